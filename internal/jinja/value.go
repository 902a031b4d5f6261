package jinja

import (
	"bytes"
	"encoding/json"
	"io"
	"iter"
	"math"
	"math/big"
	"strconv"
	"strings"
)

// Value is what a template computes with: None, Bool, Int, Float, String, List, *Map, and kinds of
// this package's own (tuples, macros, iterators). Values given to Render are never changed.
type Value interface {
	typeName() string // as Python names the type in its errors
}

type (
	None   struct{}
	Bool   bool
	Int    int64
	Float  float64
	String string // UTF-8; counted in code points, as Python does
	List   []Value

	bigInt struct{ *big.Int } // an integer that does not fit Int
	markup string             // a string marked safe: what is added to it is escaped for HTML
	tuple  []Value
)

func (None) typeName() string   { return "NoneType" }
func (Bool) typeName() string   { return "bool" }
func (Int) typeName() string    { return "int" }
func (bigInt) typeName() string { return "int" }
func (Float) typeName() string  { return "float" }
func (String) typeName() string { return "str" }
func (markup) typeName() string { return "Markup" }
func (List) typeName() string   { return "list" }
func (tuple) typeName() string  { return "tuple" }
func (*Map) typeName() string   { return "dict" }

// Map is a Python dict: keys in the order they were put.
type Map struct {
	keys   []Value
	values []Value
	index  map[mapKey]int
}

// mapKey is equal for keys that Python takes for equal: 1, 1.0 and True are one key.
type mapKey struct {
	kind byte
	text string
	num  int64
}

// NewMap is an empty map.
func NewMap() *Map { return &Map{} }

// Set puts a text key. It returns the map, for building.
func (m *Map) Set(key string, v Value) *Map {
	m.put(mapKey{'s', key, 0}, String(key), v)
	return m
}

// Get looks a text key up.
func (m *Map) Get(key string) (Value, bool) { return m.get(mapKey{'s', key, 0}) }

// Len is the number of keys.
func (m *Map) Len() int { return len(m.keys) }

// scanKeys is the size up to which a map is searched by a scan, without an index.
const scanKeys = 8

func (m *Map) find(k mapKey) int {
	if m.index != nil {
		if i, ok := m.index[k]; ok {
			return i
		}
		return -1
	}
	for i, key := range m.keys {
		if s, ok := key.(String); ok && k.kind == 's' {
			if string(s) == k.text {
				return i
			}
			continue
		}
		if other, _ := keyOf(key); other == k {
			return i
		}
	}
	return -1
}

func (m *Map) get(k mapKey) (Value, bool) {
	if i := m.find(k); i >= 0 {
		return m.values[i], true
	}
	return nil, false
}

func (m *Map) put(k mapKey, key, v Value) {
	if i := m.find(k); i >= 0 {
		m.values[i] = v
		return
	}
	m.keys, m.values = append(m.keys, key), append(m.values, v)
	if m.index != nil {
		m.index[k] = len(m.keys) - 1
	} else if len(m.keys) > scanKeys {
		m.index = make(map[mapKey]int, 2*len(m.keys))
		for i, key := range m.keys {
			k, _ := keyOf(key)
			m.index[k] = i
		}
	}
}

// keyOf gives a value's key, false where Python calls the value unhashable.
func keyOf(v Value) (mapKey, bool) {
	switch v := v.(type) {
	case String:
		return mapKey{'s', string(v), 0}, true
	case markup:
		return mapKey{'s', string(v), 0}, true
	case Bool:
		if v {
			return mapKey{'i', "", 1}, true
		}
		return mapKey{'i', "", 0}, true
	case Int:
		return mapKey{'i', "", int64(v)}, true
	case bigInt:
		return mapKey{'b', v.String(), 0}, true
	case Float:
		if f := float64(v); f == math.Trunc(f) && math.Abs(f) < 1<<62 {
			return mapKey{'i', "", int64(f)}, true
		}
		return mapKey{'f', "", int64(math.Float64bits(float64(v)))}, true
	case None:
		return mapKey{'n', "", 0}, true
	case *undefined:
		return mapKey{'u', "", 0}, true
	case tuple:
		var b strings.Builder
		ok := tupleKey(&b, v, 0)
		return mapKey{'t', b.String(), 0}, ok
	}
	return mapKey{}, false
}

// maxKeyBytes and maxKeyDepth bound a tuple that is a key; a larger one counts as unhashable.
const (
	maxKeyBytes = 1 << 16
	maxKeyDepth = 16
)

func tupleKey(b *strings.Builder, t tuple, depth int) bool {
	for _, e := range t {
		if inner, ok := e.(tuple); ok {
			b.WriteByte('(')
			if depth == maxKeyDepth || !tupleKey(b, inner, depth+1) {
				return false
			}
			b.WriteByte(')')
			continue
		}
		k, ok := keyOf(e)
		if !ok || b.Len()+len(k.text) > maxKeyBytes {
			return false
		}
		b.WriteByte(k.kind)
		b.WriteString(strconv.Itoa(len(k.text)) + ":" + strconv.FormatInt(k.num, 10) + ":" + k.text)
	}
	return true
}

// maxJSONDepth is the deepest JSON that is read; it is above every Depth that Render allows by default.
const maxJSONDepth = 1000

// FromJSON reads one JSON text: objects keep their order, integers are exact, other numbers are floats.
func FromJSON(text []byte) (Value, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	v, err := decode(d, 0)
	if err != nil {
		return nil, ErrRender.Because("jinja: not a JSON text: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, ErrRender.Because("jinja: a JSON value is followed by more text at byte %d", d.InputOffset())
	}
	return v, nil
}

func decode(d *json.Decoder, depth int) (Value, error) {
	if depth > maxJSONDepth {
		return nil, ErrLimit.Because("jinja: JSON nests more than %d deep", maxJSONDepth)
	}
	tok, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch tok := tok.(type) {
	case json.Delim:
		if tok == '[' {
			return decodeList(d, depth)
		}
		return decodeMap(d, depth)
	case string:
		return String(tok), nil
	case bool:
		return Bool(tok), nil
	case json.Number:
		return number(string(tok))
	}
	return None{}, nil
}

func decodeList(d *json.Decoder, depth int) (Value, error) {
	list := List{}
	for d.More() {
		v, err := decode(d, depth+1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err := d.Token()
	return list, err
}

func decodeMap(d *json.Decoder, depth int) (Value, error) {
	m := NewMap()
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, err
		}
		v, err := decode(d, depth+1)
		if err != nil {
			return nil, err
		}
		m.Set(key.(string), v)
	}
	_, err := d.Token()
	return m, err
}

func number(s string) (Value, error) {
	if !strings.ContainsAny(s, ".eE") {
		return parseInt(s, 10)
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil && !math.IsInf(f, 0) {
		return nil, err
	}
	return Float(f), nil
}

// parseInt reads digits with a sign; longer ones than Python converts are refused.
func parseInt(s string, base int) (Value, error) {
	if n, err := strconv.ParseInt(s, base, 64); err == nil {
		return Int(n), nil
	}
	if len(s) > maxDigits {
		return nil, ErrLimit.Because("jinja: an integer has %d digits, at most %d are read", len(s), maxDigits)
	}
	n, ok := new(big.Int).SetString(s, base)
	if !ok {
		return nil, ErrRender.Because("jinja: %q is no integer", s)
	}
	return shrink(n), nil
}

// truth is Python's bool(v).
func truth(v Value) bool {
	switch v := v.(type) {
	case None, *undefined:
		return false
	case Bool:
		return bool(v)
	case Int:
		return v != 0
	case Float:
		return v != 0
	case String:
		return v != ""
	case markup:
		return v != ""
	case List:
		return len(v) > 0
	case tuple:
		return len(v) > 0
	case *Map:
		return len(v.keys) > 0
	case *view:
		return len(v.m.keys) > 0
	case span:
		return v.len() > 0
	}
	return true
}

// stringOf gives the text of a str.
func stringOf(v Value) (string, bool) {
	switch v := v.(type) {
	case String:
		return string(v), true
	case markup:
		return string(v), true
	}
	return "", false
}

// equal is Python's ==.
func (r *run) equal(a, b Value) bool {
	r.spend(1)
	if s, ok := stringOf(a); ok {
		t, ok := stringOf(b)
		if ok && len(s) == len(t) {
			r.spend(len(s) >> 5)
		}
		return ok && s == t
	}
	switch x := a.(type) {
	case None:
		_, ok := b.(None)
		return ok
	case *undefined:
		_, ok := b.(*undefined)
		return ok
	case List:
		y, ok := b.(List)
		return ok && r.equalSlices(x, y)
	case tuple:
		y, ok := b.(tuple)
		return ok && r.equalSlices(x, y)
	case *Map:
		y, ok := b.(*Map)
		return ok && r.equalMaps(x, y)
	case span:
		y, ok := b.(span)
		return ok && x.len() == y.len() && (x.len() == 0 || x.start == y.start && (x.len() == 1 || x.step == y.step))
	case *view:
		if isA[*view](b) {
			r.fail("comparing what keys(), values() or items() give is not supported: put it through the filter list")
		}
		return false
	case *bound:
		return false
	}
	if c, ok := compareNumbers(a, b); ok {
		return c == 0
	}
	if isNumber(a) || isNumber(b) {
		return false
	}
	return a == b
}

func (r *run) equalSlices(a, b []Value) bool {
	if len(a) != len(b) {
		return false
	}
	defer r.deeper()()
	for i := range a {
		if !r.equal(a[i], b[i]) {
			return false
		}
	}
	return true
}

func (r *run) equalMaps(a, b *Map) bool {
	if len(a.keys) != len(b.keys) {
		return false
	}
	defer r.deeper()()
	for i, key := range a.keys {
		k, _ := keyOf(key)
		v, ok := b.get(k)
		if !ok || !r.equal(a.values[i], v) {
			return false
		}
	}
	return true
}

// less is Python's <; values without an order are an error.
func (r *run) less(a, b Value, op string) bool {
	r.spend(1)
	r.undefinedFails(a)
	r.undefinedFails(b)
	if s, ok := stringOf(a); ok {
		if t, ok := stringOf(b); ok {
			r.spend(min(len(s), len(t)) >> 5)
			return s < t // the order of UTF-8 bytes is that of code points
		}
	}
	if isNumber(a) && isNumber(b) {
		c, ok := compareNumbers(a, b)
		return ok && c < 0
	}
	if x, ok := a.(List); ok {
		if y, ok := b.(List); ok {
			return r.lessSlices(x, y, op)
		}
	}
	if x, ok := a.(tuple); ok {
		if y, ok := b.(tuple); ok {
			return r.lessSlices(x, y, op)
		}
	}
	r.fail("'%s' not supported between instances of '%s' and '%s'", op, a.typeName(), b.typeName())
	return false
}

func (r *run) lessSlices(a, b []Value, op string) bool {
	defer r.deeper()()
	for i := range min(len(a), len(b)) {
		if !r.equal(a[i], b[i]) {
			return r.less(a[i], b[i], op)
		}
	}
	return len(a) < len(b)
}

// All walks over the map's text keys and their values, in order.
func (m *Map) All() iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) {
		for i, key := range m.keys {
			if s, ok := stringOf(key); ok && !yield(s, m.values[i]) {
				return
			}
		}
	}
}

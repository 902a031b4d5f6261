package grammar

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	maxSchemaBytes = 1 << 20
	maxSchemaDepth = 128 // objects and arrays in each other
	maxExponent    = 400 // of a number in a schema
)

// value is JSON with its properties in the order of the text.
type value struct {
	kind byte // n null, t true, f false, 0 number, " string, [ array, { object
	text string
	list []value
	keys []string // of an object; their values are list
	num  decimal
}

// get is an object's property.
func (v *value) get(key string) (*value, bool) {
	if v.kind != '{' {
		return nil, false
	}
	if i := slices.Index(v.keys, key); i >= 0 {
		return &v.list[i], true
	}
	return nil, false
}

func wrongSchema(at, format string, args ...any) error {
	return ErrSchema.Because("grammar: schema at %s: %s", pointerName(at), fmt.Sprintf(format, args...)).At(at)
}

func pointerName(at string) string {
	if at == "" {
		return "its top"
	}
	return at
}

// pointer appends a step to a JSON pointer.
func pointer(at, step string) string {
	if strings.ContainsAny(step, "~/") {
		step = strings.ReplaceAll(strings.ReplaceAll(step, "~", "~0"), "/", "~1")
	}
	return at + "/" + step
}

func parseValue(text []byte) (*value, error) {
	if len(text) > maxSchemaBytes {
		return nil, ErrLimit.Because("grammar: the schema has %d bytes, at most %d", len(text), maxSchemaBytes)
	}
	if !utf8.Valid(text) {
		return nil, wrongSchema("", "it is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	v, err := readValue(d, "", 0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, wrongSchema("", "something follows the JSON value")
	}
	return v, nil
}

func readValue(d *json.Decoder, at string, depth int) (*value, error) {
	if depth > maxSchemaDepth {
		return nil, ErrLimit.Because("grammar: the schema nests deeper than %d at %.80s", maxSchemaDepth, at).At(at)
	}
	token, err := d.Token()
	if err != nil {
		return nil, wrongSchema(at, "%v", err)
	}
	switch token := token.(type) {
	case nil:
		return &value{kind: 'n'}, nil
	case bool:
		if token {
			return &value{kind: 't'}, nil
		}
		return &value{kind: 'f'}, nil
	case string:
		return &value{kind: '"', text: token}, nil
	case json.Number:
		num, err := parseDecimal(string(token))
		if err != nil {
			return nil, wrongSchema(at, "%v", err)
		}
		return &value{kind: '0', text: string(token), num: num}, nil
	}
	v := &value{kind: byte(token.(json.Delim))}
	for d.More() {
		step := strconv.Itoa(len(v.list))
		if v.kind == '{' {
			key, err := d.Token()
			if err != nil {
				return nil, wrongSchema(at, "%v", err)
			}
			step = key.(string)
			v.keys = append(v.keys, step)
		}
		item, err := readValue(d, pointer(at, step), depth+1)
		if err != nil {
			return nil, err
		}
		v.list = append(v.list, *item)
	}
	if _, err := d.Token(); err != nil {
		return nil, wrongSchema(at, "%v", err)
	}
	seen := map[string]bool{}
	for _, k := range v.keys {
		if seen[k] {
			return nil, wrongSchema(at, "property %q is there twice", k)
		}
		seen[k] = true
	}
	return v, nil
}

// equal is JSON Schema's equality: numbers by value, objects without order.
func (v *value) equal(w *value) bool {
	if v.kind != w.kind || len(v.list) != len(w.list) {
		return false
	}
	switch v.kind {
	case '0':
		return v.num == w.num
	case '"':
		return v.text == w.text
	case '[':
		for i := range v.list {
			if !v.list[i].equal(&w.list[i]) {
				return false
			}
		}
	case '{':
		for i, k := range v.keys {
			if x, ok := w.get(k); !ok || !v.list[i].equal(x) {
				return false
			}
		}
	}
	return true
}

// quoteJSON writes a string in JSON's shortest form.
func quoteJSON(text string) string {
	out := []byte{'"'}
	for _, r := range text {
		switch i := strings.IndexRune("\"\\\b\f\n\r\t", r); {
		case i >= 0:
			out = append(out, '\\', "\"\\bfnrt"[i])
		case r < 0x20:
			out = fmt.Appendf(out, `\u%04x`, r)
		default:
			out = utf8.AppendRune(out, r)
		}
	}
	return string(append(out, '"'))
}

// document is a schema's text, and the schemas read from it so far.
type document struct {
	root    *value
	schemas map[string]*schema
	count   int
	base    map[string]string // pointer of a schema with an $id → its URI
	uris    map[string]string // URI, or URI#anchor → pointer
	dynamic map[string]int    // $dynamicAnchor → how many there are
	rests   bool              // there is an unevaluated keyword: which alternatives hold matters then
	old     bool              // draft 7 or older: $ref stands alone
}

func (d *document) fresh(at string) *schema {
	d.count++
	return &schema{id: d.count, at: at, types: typeAny, maxLen: noLimit, maxItems: noLimit, maxProps: noLimit}
}

func readDocument(text []byte) (*document, *schema, error) {
	root, err := parseValue(text)
	if err != nil {
		return nil, nil, err
	}
	d := &document{root: root, schemas: map[string]*schema{}, base: map[string]string{"": ""}, uris: map[string]string{"": ""}, dynamic: map[string]int{}}
	if v, ok := root.get("$schema"); ok {
		for _, draft := range []string{"draft-03", "draft-04", "draft-06", "draft-07"} {
			d.old = d.old || strings.Contains(v.text, draft)
		}
	}
	if err := d.index(root, "", ""); err != nil {
		return nil, nil, err
	}
	s, err := d.schema("")
	return d, s, err
}

// places are where a keyword holds schemas: itself, its list, its properties.
var places = map[string]string{
	"items": "sl", "additionalItems": "s", "prefixItems": "l", "contains": "s", "unevaluatedItems": "s",
	"properties": "p", "patternProperties": "p", "additionalProperties": "s", "propertyNames": "s", "unevaluatedProperties": "s",
	"dependentSchemas": "p", "dependencies": "p", "allOf": "l", "anyOf": "l", "oneOf": "l", "not": "s", "if": "s", "then": "s", "else": "s",
	"$defs": "p", "definitions": "p", "contentSchema": "s",
}

// index finds the names that schemas give themselves.
func (d *document) index(v *value, at, base string) error {
	if v.kind != '{' {
		return nil
	}
	_, refAlone := v.get("$ref")
	refAlone = refAlone && d.old
	for _, key := range []string{"$id", "id"} {
		if id, ok := v.get(key); ok && id.kind == '"' && !refAlone && (key == "$id" || d.old) {
			uri, err := resolve(base, id.text)
			if err != nil {
				return wrongSchema(pointer(at, key), "%q is no URI", id.text)
			}
			plain, anchor, _ := strings.Cut(uri, "#")
			if anchor != "" {
				d.uris[uri] = at
			}
			if strings.HasPrefix(id.text, "#") {
				continue
			}
			base = plain
			d.base[at] = base
			d.uris[base] = at
		}
	}
	for _, key := range []string{"$anchor", "$dynamicAnchor"} {
		if a, ok := v.get(key); ok && a.kind == '"' {
			d.uris[base+"#"+a.text] = at
			if key == "$dynamicAnchor" {
				d.dynamic[a.text]++
			}
		}
	}
	for i, key := range v.keys {
		sub, where := &v.list[i], places[key]
		d.rests = d.rests || key == "unevaluatedProperties" || key == "unevaluatedItems"
		if strings.Contains(where, "s") && sub.kind == '{' {
			if err := d.index(sub, pointer(at, key), base); err != nil {
				return err
			}
		}
		if strings.Contains(where, "l") && sub.kind == '[' || strings.Contains(where, "p") && sub.kind == '{' {
			for j := range sub.list {
				step := strconv.Itoa(j)
				if sub.kind == '{' {
					step = sub.keys[j]
				}
				if err := d.index(&sub.list[j], pointer(pointer(at, key), step), base); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func resolve(base, ref string) (string, error) {
	b, err := url.Parse(base)
	if err != nil {
		return "", err
	}
	r, err := url.Parse(ref)
	if err != nil {
		return "", err
	}
	return b.ResolveReference(r).String(), nil
}

// baseOf is the URI of the innermost schema around a pointer that has one, and that schema's pointer.
func (d *document) baseOf(at string) (uri, root string) {
	for {
		if base, ok := d.base[at]; ok {
			return base, at
		}
		at = at[:strings.LastIndexByte(at, '/')]
	}
}

// follow finds the schema that a $ref at a place names.
func (d *document) follow(ref *value, at string) (*schema, error) {
	if ref.kind != '"' {
		return nil, wrongSchema(at, "a reference must be a string")
	}
	base, _ := d.baseOf(at)
	uri, err := resolve(base, ref.text)
	if err != nil {
		return nil, wrongSchema(at, "%q is no URI", ref.text)
	}
	plain, fragment, _ := strings.Cut(uri, "#")
	root, ok := d.uris[plain]
	if !ok {
		return nil, ErrUnenforceable.Because("grammar: $ref at %s: %q is not in this schema, and other documents are not fetched: copy it into $defs", at, ref.text).At(at)
	}
	if target, ok := d.uris[uri]; ok && fragment != "" {
		return d.schema(target)
	}
	if fragment != "" && fragment[0] != '/' {
		return nil, wrongSchema(at, "there is no anchor %q", fragment)
	}
	path, err := url.PathUnescape(fragment)
	if err != nil {
		return nil, wrongSchema(at, "%q is badly escaped", ref.text)
	}
	if d.find(root+path) == nil {
		return nil, wrongSchema(at, "%q leads nowhere", ref.text)
	}
	return d.schema(root + path)
}

// find is the value at a pointer.
func (d *document) find(at string) *value {
	v := d.root
	if at == "" {
		return v
	}
	for _, step := range strings.Split(at[1:], "/") {
		step = strings.ReplaceAll(strings.ReplaceAll(step, "~1", "/"), "~0", "~")
		if v.kind == '[' {
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(v.list) {
				return nil
			}
			v = &v.list[i]
			continue
		}
		next, ok := v.get(step)
		if !ok {
			return nil
		}
		v = next
	}
	return v
}

// schema reads the schema at a pointer.
func (d *document) schema(at string) (*schema, error) { return d.read(d.find(at), at) }

// read reads the schema v at a pointer; one that is being read is given as it is.
func (d *document) read(v *value, at string) (*schema, error) {
	if s, ok := d.schemas[at]; ok {
		return s, nil
	}
	s := d.fresh(at)
	d.schemas[at] = s
	switch v.kind {
	case 't':
		return s, nil
	case 'f':
		s.never = true
		return s, nil
	case '{':
	default:
		return nil, wrongSchema(at, "a schema is an object, true or false")
	}
	r := &reader{d, s, v, at}
	if _, ok := v.get("$ref"); ok && d.old {
		return s, r.keyword("$ref")
	}
	for _, key := range v.keys {
		if err := r.keyword(key); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// holdsAll reports whether a value satisfies schemas that have nothing left to choose.
func (c *compiler) holdsAll(flat []*schema, v *value, depth int) (bool, error) {
	for _, s := range flat {
		if ok, err := c.holdsHere(s, v, depth); !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}

// holds reports whether a value satisfies a schema with everything that it applies.
func (c *compiler) holds(s *schema, v *value, depth int) (bool, error) {
	if err := c.spend(s.at); err != nil {
		return false, err
	}
	if depth > maxSchemaDepth {
		return false, unenforceable(s.at, "it refers to itself without end")
	}
	if ok, err := c.holdsHere(s, v, depth); !ok || err != nil {
		return false, err
	}
	for _, sub := range s.all {
		if ok, err := c.holds(sub, v, depth+1); !ok || err != nil {
			return false, err
		}
	}
	for _, n := range s.nots {
		if ok, err := c.holds(n.v, v, depth+1); ok || err != nil {
			return false, err
		}
	}
	for _, g := range s.groups {
		n := 0
		for _, sub := range g.alts {
			ok, err := c.holds(sub, v, depth+1)
			if err != nil {
				return false, err
			}
			if ok {
				n++
			}
		}
		if n == 0 || g.exclusive && n > 1 {
			return false, nil
		}
	}
	return true, nil
}

func typeOf(v *value) typeSet {
	switch v.kind {
	case 'n':
		return typeNull
	case 't', 'f':
		return typeBool
	case '"':
		return typeString
	case '[':
		return typeArray
	case '{':
		return typeObject
	}
	if v.num.isInteger() {
		return typeInteger
	}
	return typeFraction
}

// holdsHere looks at a schema's own keywords.
func (c *compiler) holdsHere(s *schema, v *value, depth int) (bool, error) {
	is := func(w value) bool { return v.equal(&w) }
	if s.never || typeOf(v)&s.types == 0 || s.hasEnum && !slices.ContainsFunc(s.enum, is) || slices.ContainsFunc(s.excluded, is) {
		return false, nil
	}
	if s.unevaluated != [2]*schema{} && (v.kind == '[' || v.kind == '{') {
		return false, unenforceable(s.at, "unevaluated keywords beside enum or const are not decided")
	}
	switch v.kind {
	case '0':
		for _, d := range s.divisors {
			if !v.num.dividedBy(d.v) {
				return false, nil
			}
		}
		for _, d := range s.odd {
			if v.num.dividedBy(d.v) {
				return false, nil
			}
		}
		return s.low.admits(v.num, false) && s.high.admits(v.num, true), nil
	case '"':
		n := int32(utf8.RuneCountInString(v.text))
		for _, r := range s.texts {
			if ok, err := c.matches(r, v.text); !ok || err != nil {
				return false, err
			}
		}
		return n >= s.minLen && (s.maxLen == noLimit || n <= s.maxLen), nil
	case '[':
		return c.holdsArray(s, v, depth)
	case '{':
		return c.holdsObject(s, v, depth)
	}
	return true, nil
}

func (c *compiler) holdsArray(s *schema, v *value, depth int) (bool, error) {
	n := int32(len(v.list))
	if n < s.minItems || s.maxItems != noLimit && n > s.maxItems {
		return false, nil
	}
	for i := range v.list {
		sub := s.items
		if i < len(s.prefix) {
			sub = s.prefix[i]
		}
		if sub != nil {
			if ok, err := c.holds(sub, &v.list[i], depth+1); !ok || err != nil {
				return false, err
			}
		}
		for j := range i {
			if s.unique && v.list[i].equal(&v.list[j]) {
				return false, nil
			}
		}
	}
	for _, x := range s.contains {
		found := int32(0)
		for i := range v.list {
			ok, err := c.holds(x.s, &v.list[i], depth+1)
			if err != nil {
				return false, err
			}
			if ok {
				found++
			}
		}
		if found < x.min || x.max != noLimit && found > x.max {
			return false, nil
		}
	}
	return true, nil
}

func (c *compiler) holdsObject(s *schema, v *value, depth int) (bool, error) {
	n := int32(len(v.list))
	if n < s.minProps || s.maxProps != noLimit && n > s.maxProps {
		return false, nil
	}
	for _, name := range s.required {
		if _, ok := v.get(name); !ok {
			return false, nil
		}
	}
	for _, some := range s.some {
		found := false
		for i, name := range v.keys {
			ok, err := c.isSome(some, name)
			if ok && err == nil {
				ok, err = c.holds(some.s, &v.list[i], depth+1)
			}
			if err != nil {
				return false, err
			}
			found = found || ok
		}
		if !found {
			return false, nil
		}
	}
	alone := *s // without what its choices add
	alone.unevaluated = [2]*schema{}
	m := &merged{flat: []*schema{&alone}}
	for i, name := range v.keys {
		subs, err := c.property(m, name)
		if err != nil {
			return false, err
		}
		for _, sub := range subs {
			if ok, err := c.holds(sub, &v.list[i], depth+1); !ok || err != nil {
				return false, err
			}
		}
		for _, sub := range s.names {
			if ok, err := c.holds(sub, &value{kind: '"', text: name}, depth+1); !ok || err != nil {
				return false, err
			}
		}
	}
	return true, nil
}

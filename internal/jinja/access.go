package jinja

import (
	"strings"
	"unicode/utf8"
)

// undefined is what a name, a key or an attribute gives that is not there. It prints as nothing,
// is false and empty; whatever else is done with it fails with the hint.
type undefined struct{ hint string }

func (*undefined) typeName() string { return "Undefined" }

func (r *run) undefinedFails(v Value) {
	if u, ok := v.(*undefined); ok {
		r.fail("%s", u.hint)
	}
}

// iterator is what map, select and their like give: it can be walked once. An error on the way comes
// when the walk reaches it.
type iterator struct {
	next source
	name string
}

func (i *iterator) typeName() string { return i.name }

// source gives the next value of a walk.
type source func(r *run) (Value, bool)

// view is what the methods items, keys and values of a map give.
type view struct {
	m    *Map
	kind string
}

func (v *view) typeName() string { return "dict_" + v.kind }

func (v *view) at(i int) Value {
	switch v.kind {
	case "keys":
		return v.m.keys[i]
	case "values":
		return v.m.values[i]
	}
	return tuple{v.m.keys[i], v.m.values[i]}
}

func (v *view) list() []Value {
	out := make([]Value, len(v.m.keys))
	for i := range out {
		out[i] = v.at(i)
	}
	return out
}

// span is a range.
type span struct{ start, stop, step int64 }

func (span) typeName() string { return "range" }

func (s span) len() int {
	n := (s.stop - s.start + s.step - 1) / s.step
	if s.step < 0 {
		n = (s.stop - s.start + s.step + 1) / s.step
	}
	return int(max(n, 0))
}

func (s span) at(i int) Value { return Int(s.start + int64(i)*s.step) }

// iterate begins a walk over a value; size is -1 where it is not known.
func (r *run) iterate(v Value) (next source, size int) {
	at := func(n int, get func(int) Value) (source, int) {
		i := 0
		return func(r *run) (Value, bool) {
			if i >= n {
				return nil, false
			}
			r.spend(1)
			i++
			return get(i - 1), true
		}, n
	}
	switch v := v.(type) {
	case List:
		return at(len(v), func(i int) Value { return v[i] })
	case tuple:
		return at(len(v), func(i int) Value { return v[i] })
	case *Map:
		return at(len(v.keys), func(i int) Value { return v.keys[i] })
	case *view:
		return at(len(v.m.keys), v.at)
	case span:
		return at(v.len(), v.at)
	case *undefined:
		return at(0, nil)
	case String, markup:
		r.reads(v)
		return runes(v), runeCount(v)
	case *iterator:
		return v.next, -1
	}
	r.fail("'%s' object is not iterable", v.typeName())
	return nil, 0
}

func runes(v Value) source {
	s, _ := stringOf(v)
	return func(r *run) (Value, bool) {
		if s == "" {
			return nil, false
		}
		r.spend(1)
		_, n := utf8.DecodeRuneInString(s)
		c := s[:n]
		s = s[n:]
		return String(c), true
	}
}

func runeCount(v Value) int {
	s, _ := stringOf(v)
	return utf8.RuneCountInString(s)
}

// list is Python's list(v).
func (r *run) list(v Value) []Value {
	switch v := v.(type) {
	case List:
		return v
	case tuple:
		return v
	}
	next, size := r.iterate(v)
	out := make([]Value, 0, max(0, size))
	for {
		e, ok := next(r)
		if !ok {
			return out
		}
		r.spend(1)
		out = append(out, e)
	}
}

// length is Python's len(v), false where there is none.
func length(v Value) (int, bool) {
	switch v := v.(type) {
	case String, markup:
		return runeCount(v), true
	case List:
		return len(v), true
	case tuple:
		return len(v), true
	case *Map:
		return len(v.keys), true
	case *view:
		return len(v.m.keys), true
	case span:
		return v.len(), true
	case *undefined:
		return 0, true
	}
	return 0, false
}

// reads accounts for looking at the whole of a text.
func (r *run) reads(v Value) {
	if s, ok := stringOf(v); ok {
		r.spend(len(s) >> 5)
	}
}

func (r *run) len(v Value) int {
	r.reads(v)
	n, ok := length(v)
	if l, isLoop := v.(*loop); isLoop {
		return l.length(r)
	}
	if !ok {
		r.fail("object of type '%s' has no len()", v.typeName())
	}
	return n
}

// int is an argument that must be an integer.
func (r *run) int(v Value, what string) int {
	n, ok := small(v)
	if !ok {
		r.undefinedFails(v)
		r.fail("%s must be an integer, not %s", what, v.typeName())
	}
	return int(n)
}

func (r *run) missing(v Value, what, name string) Value {
	if v == nil {
		return &undefined{hint: what}
	}
	return &undefined{hint: "'" + v.typeName() + " object' has no " + what + " '" + name + "'"}
}

// attr is v.name: what Python has behind the dot first, then the key.
func (r *run) attr(v Value, name string) Value {
	r.undefinedFails(v)
	if strings.HasPrefix(name, "__") {
		return &undefined{hint: "access to attribute '" + name + "' of '" + v.typeName() + "' object is unsafe."}
	}
	if a := r.builtin(v, name); a != nil {
		return a
	}
	if m, ok := v.(*Map); ok {
		if e, ok := m.Get(name); ok {
			return e
		}
	}
	return r.missing(v, "attribute", name)
}

// item is v[key]: the key first, then what Python has behind the dot.
func (r *run) item(v, key Value) Value {
	r.undefinedFails(v)
	r.reads(key)
	if m, ok := v.(*Map); ok {
		if k, ok := keyOf(key); ok {
			if e, ok := m.get(k); ok {
				return e
			}
		}
	} else if i, ok := small(key); ok {
		if e := r.element(v, i); e != nil {
			return e
		}
	}
	name, ok := stringOf(key)
	if !ok {
		return r.missing(v, "element", r.reprText(key))
	}
	if !strings.HasPrefix(name, "__") {
		if a := r.builtin(v, name); a != nil {
			return a
		}
	}
	return r.missing(v, "attribute", name)
}

// element is the i-th of a sequence, counted from the end if it is negative; nil if there is none.
func (r *run) element(v Value, i int64) Value {
	var n int
	switch v := v.(type) {
	case String, markup:
		return r.character(v, i)
	case List:
		n = len(v)
	case tuple:
		n = len(v)
	case span:
		n = v.len()
	default:
		return nil
	}
	if i < 0 {
		i += int64(n)
	}
	if i < 0 || i >= int64(n) {
		return nil
	}
	switch v := v.(type) {
	case List:
		return v[i]
	case tuple:
		return v[i]
	}
	return v.(span).at(int(i))
}

func (r *run) character(v Value, i int64) Value {
	s, _ := stringOf(v)
	r.spend(len(s) >> 5)
	_, safe := v.(markup)
	n := int64(utf8.RuneCountInString(s))
	if i < 0 {
		i += n
	}
	if i < 0 || i >= n {
		return nil
	}
	if n == int64(len(s)) {
		return r.marked(safe, s[i:i+1])
	}
	for ; i > 0; i-- {
		_, w := utf8.DecodeRuneInString(s)
		s = s[w:]
	}
	_, w := utf8.DecodeRuneInString(s)
	return r.marked(safe, s[:w])
}

// slice is v[start:stop:step].
func (r *run) slice(v Value, bounds [3]Value) Value {
	r.undefinedFails(v)
	switch v := v.(type) {
	case String, markup:
		s, _ := stringOf(v)
		_, safe := v.(markup)
		return r.marked(safe, r.sliceText(s, bounds))
	case List:
		return List(pick(r, len(v), bounds, func(i int) Value { return v[i] }))
	case tuple:
		return tuple(pick(r, len(v), bounds, func(i int) Value { return v[i] }))
	case span:
		start, _, step, n := r.indices(v.len(), bounds)
		first := v.start + int64(start)*v.step
		return span{first, first + int64(n)*v.step*int64(step), v.step * int64(step)}
	}
	r.fail("'%s' object is not subscriptable with a slice", v.typeName())
	return nil
}

func (r *run) sliceText(s string, bounds [3]Value) string {
	r.spend(len(s) >> 4)
	chars := utf8.RuneCountInString(s)
	start, _, step, n := r.indices(chars, bounds)
	if chars == len(s) && step == 1 {
		return s[start : start+n]
	}
	all := []rune(s)
	out := make([]rune, n)
	for i := range out {
		out[i] = all[start+i*step]
	}
	return string(out)
}

func pick(r *run, length int, bounds [3]Value, at func(int) Value) []Value {
	start, _, step, n := r.indices(length, bounds)
	r.spend(n)
	out := make([]Value, n)
	for i := range out {
		out[i] = at(start + i*step)
	}
	return out
}

// indices gives the first index, one past the last, the step and how many there are.
func (r *run) indices(length int, bounds [3]Value) (start, stop, step, n int) {
	bound := func(v Value, otherwise, low, high int) int {
		if _, none := v.(None); none {
			return otherwise
		}
		i, ok := small(v)
		if b, big := v.(bigInt); big {
			i, ok = int64(b.Sign())<<60, true
		}
		if !ok {
			r.fail("slice indices must be integers or None or have an __index__ method")
		}
		if i < 0 {
			i += int64(length)
		}
		return int(min(max(i, int64(low)), int64(high)))
	}
	step = 1
	if _, none := bounds[2].(None); !none {
		i, ok := small(bounds[2])
		if !ok {
			r.fail("slice indices must be integers or None or have an __index__ method")
		}
		step = int(min(max(i, -1<<40), 1<<40))
	}
	if step == 0 {
		r.fail("slice step cannot be zero")
	}
	if step > 0 {
		start, stop = bound(bounds[0], 0, 0, length), bound(bounds[1], length, 0, length)
		n = max(0, (stop-start+step-1)/step)
		return start, stop, step, n
	}
	start, stop = bound(bounds[0], length-1, -1, length-1), bound(bounds[1], -1, -1, length-1)
	n = max(0, (stop-start+step+1)/step)
	return start, stop, step, n
}

package jinja

import (
	"math"
	"math/big"
	"slices"
	"strings"
	"unicode/utf8"
)

// filter is what stands behind a bar.
type filter func(r *run, v Value, a args) Value

// filterNamed finds a filter, nil if there is none of that name.
func filterNamed(name string) filter {
	switch name {
	case "abs":
		return absolute
	case "attr":
		return attrFilter
	case "capitalize", "center", "lower", "title", "trim", "upper":
		return textFilter(name)
	case "count", "length":
		return func(r *run, v Value, a args) Value { a.bind(r, name); return Int(r.len(v)) }
	case "d", "default":
		return defaultFilter
	case "e", "escape", "forceescape":
		return escapeFilter
	case "float":
		return floatFilter
	case "format":
		return formatFilter
	case "indent":
		return indent
	case "int":
		return intFilter
	case "list":
		return func(r *run, v Value, a args) Value {
			a.bind(r, name)
			all := r.list(v)
			r.spend(len(all))
			return List(slices.Clone(all))
		}
	case "replace":
		return replace
	case "round":
		return round
	case "safe":
		return func(r *run, v Value, a args) Value { a.bind(r, name); return markup(r.str(v)) }
	case "string":
		return stringFilter
	case "tojson":
		return toJSON
	case "truncate":
		return truncate
	case "urlencode":
		return urlencode
	case "wordcount":
		return wordcount
	}
	return sequenceFilter(name)
}

// sequenceFilter finds the filters that walk over their value.
func sequenceFilter(name string) filter {
	switch name {
	case "batch":
		return batch
	case "dictsort":
		return dictsort
	case "first":
		return first
	case "items":
		return items
	case "join":
		return joinFilter
	case "last":
		return last
	case "map":
		return mapFilter
	case "max", "min":
		return extreme(name)
	case "reject", "rejectattr", "select", "selectattr":
		return selection(strings.HasPrefix(name, "select"), strings.HasSuffix(name, "attr"))
	case "reverse":
		return reverse
	case "sort":
		return sortFilter
	case "sum":
		return sum
	case "unique":
		return unique
	}
	return nil
}

// soft is Jinja's soft_str: a text stays what it is, anything else becomes its text.
func (r *run) soft(v Value) Value {
	if _, ok := stringOf(v); ok {
		return v
	}
	return String(r.str(v))
}

func textFilter(name string) filter {
	switch name {
	case "title":
		return func(r *run, v Value, a args) Value {
			a.bind(r, name)
			s := r.str(v)
			r.spend(len(s))
			return r.text(filterTitle(s)) // a plain text, of a safe one too
		}
	case "center":
		return func(r *run, v Value, a args) Value {
			width := or(a.bind(r, name, "width")[0], Int(80))
			return strMethods[name](r, r.soft(v), args{plain: []Value{width}})
		}
	case "trim":
		return func(r *run, v Value, a args) Value {
			chars := or(a.bind(r, name, "chars")[0], None{})
			return strMethods["strip"](r, r.soft(v), args{plain: []Value{chars}})
		}
	}
	return func(r *run, v Value, a args) Value {
		a.bind(r, name)
		return strMethods[name](r, r.soft(v), args{})
	}
}

// filterTitle begins a word behind blanks, hyphens and opening brackets only, unlike str.title.
func filterTitle(s string) string {
	var b strings.Builder
	var word strings.Builder
	flush := func() {
		w := word.String()
		if w != "" {
			_, n := utf8.DecodeRuneInString(w)
			b.WriteString(upper(w[:n]) + lower(w[n:]))
		}
		word.Reset()
	}
	for _, c := range s {
		if isSpace(c) || strings.ContainsRune("-({[<", c) {
			flush()
			b.WriteRune(c)
			continue
		}
		word.WriteRune(c)
	}
	flush()
	return b.String()
}

func absolute(r *run, v Value, a args) Value {
	a.bind(r, "abs")
	r.undefinedFails(v)
	if f, ok := v.(Float); ok {
		return Float(math.Abs(float64(f)))
	}
	n := integer(v)
	if n == nil {
		r.fail("bad operand type for abs(): '%s'", v.typeName())
	}
	return shrink(new(big.Int).Abs(n))
}

func attrFilter(r *run, v Value, a args) Value {
	name, ok := stringOf(or(a.bind(r, "attr", "name")[0], None{}))
	if !ok {
		r.fail("attr: the name must be a text")
	}
	if b := r.builtin(v, name); b != nil && !strings.HasPrefix(name, "_") {
		return b
	}
	return r.missing(v, "attribute", name)
}

func defaultFilter(r *run, v Value, a args) Value {
	got := a.bind(r, "default", "default_value", "boolean")
	_, missing := v.(*undefined)
	if missing || yes(got[1]) && !truth(v) {
		return or(got[0], String(""))
	}
	return v
}

func escapeFilter(r *run, v Value, a args) Value {
	a.bind(r, "escape")
	if _, safe := v.(markup); safe {
		return v
	}
	return r.marked(true, escape(String(r.str(v))))
}

func stringFilter(r *run, v Value, a args) Value {
	a.bind(r, "string")
	return r.soft(v)
}

func formatFilter(r *run, v Value, a args) Value {
	if len(a.plain) > 0 && len(a.names) > 0 {
		r.fail("format: can't handle positional and keyword arguments at the same time")
	}
	s := r.soft(v)
	if len(a.names) > 0 {
		m := NewMap()
		for i, name := range a.names {
			m.Set(name, a.named[i])
		}
		return r.binary("%", s, m)
	}
	return r.binary("%", s, tuple(a.plain))
}

func floatFilter(r *run, v Value, a args) Value {
	otherwise := or(a.bind(r, "float", "default")[0], Float(0))
	r.undefinedFails(v)
	r.reads(v)
	if f, ok := toFloat(r, v); ok {
		return Float(f)
	}
	return otherwise
}

func toFloat(r *run, v Value) (float64, bool) {
	if s, ok := stringOf(v); ok {
		return parseFloat(s)
	}
	if isNumber(v) {
		return r.float(v), true
	}
	return 0, false
}

func intFilter(r *run, v Value, a args) Value {
	got := a.bind(r, "int", "default", "base")
	r.undefinedFails(v)
	r.reads(v)
	if s, ok := stringOf(v); ok {
		base := r.int(or(got[1], Int(10)), "base")
		if base != 0 && (base < 2 || base > 36) {
			return or(got[0], Int(0))
		}
		if n, ok := readInt(s, base); ok {
			return n
		}
	} else if n := integer(v); n != nil {
		return shrink(n)
	}
	f, ok := toFloat(r, v)
	if !ok || math.IsInf(f, 0) || math.IsNaN(f) {
		return or(got[0], Int(0))
	}
	n, _ := big.NewFloat(f).Int(nil)
	return shrink(n)
}

func round(r *run, v Value, a args) Value {
	got := a.bind(r, "round", "precision", "method")
	digits := r.int(or(got[0], Int(0)), "precision")
	method, _ := stringOf(or(got[1], String("common")))
	r.undefinedFails(v)
	if !isNumber(v) {
		r.fail("type %s doesn't define __round__ method", v.typeName())
	}
	if digits > 300 || digits < -300 {
		r.fail("round: a precision of %d digits is not supported, -300 to 300 are", digits)
	}
	scale := math.Pow(10, float64(digits))
	switch method {
	case "common":
		if _, ok := v.(Float); !ok && digits >= 0 {
			return shrink(integer(v))
		}
		return r.roundTo(v, digits)
	case "ceil":
		return Float(math.Ceil(r.float(v)*scale) / scale)
	case "floor":
		return Float(math.Floor(r.float(v)*scale) / scale)
	}
	r.fail("method must be common, ceil or floor")
	return nil
}

func replace(r *run, v Value, a args) Value {
	got := a.bind(r, "replace", "old", "new", "count")
	if got[0] == nil || got[1] == nil {
		r.fail("replace: old and new are needed")
	}
	n := Value(Int(-1))
	if _, none := or(got[2], None{}).(None); !none {
		n = got[2]
	}
	return strMethods["replace"](r, String(r.str(v)), args{plain: []Value{String(r.str(got[0])), String(r.str(got[1])), n}})
}

func indent(r *run, v Value, a args) Value {
	got := a.bind(r, "indent", "width", "first", "blank")
	s, ok := stringOf(v)
	if !ok {
		r.undefinedFails(v)
		r.fail("indent: a text is needed, not %s", v.typeName())
	}
	pad, ok := stringOf(or(got[0], Int(4)))
	if !ok {
		n := max(0, r.int(or(got[0], Int(4)), "width"))
		r.madeTimes(n, 1)
		pad = strings.Repeat(" ", n)
	}
	lines := splitLines(s+"\n", false)
	r.madeTimes(len(lines), len(pad)+1)
	for i, line := range lines {
		if i == 0 && yes(got[1]) || i > 0 && (line != "" || yes(got[2])) {
			lines[i] = pad + line
		}
	}
	_, safe := v.(markup)
	return r.marked(safe, strings.Join(lines, "\n"))
}

func truncate(r *run, v Value, a args) Value {
	got := a.bind(r, "truncate", "length", "killwords", "end", "leeway")
	end := r.str(or(got[2], String("...")))
	n, tail := r.int(or(got[0], Int(255)), "length"), utf8.RuneCountInString(end)
	leeway := r.int(or(got[3], Int(5)), "leeway")
	s, ok := stringOf(v)
	if size, sized := length(v); !ok && sized && size <= n+leeway && n >= tail && leeway >= 0 {
		return v
	}
	if !ok || n < tail || leeway < 0 {
		r.fail("truncate: a text, a length of at least %d and a leeway of at least 0 are needed", tail)
	}
	chars := []rune(s)
	r.spend(len(chars))
	if len(chars) <= n+leeway {
		return v
	}
	s = string(chars[:n-tail])
	if !yes(got[1]) {
		if i := strings.LastIndexByte(s, ' '); i >= 0 {
			s = s[:i]
		}
	}
	return r.text(s + end)
}

func wordcount(r *run, v Value, a args) Value {
	a.bind(r, "wordcount")
	r.reads(v)
	words := strings.FieldsFunc(r.str(v), func(c rune) bool { return c != '_' && !isAlnum(c) })
	r.spend(len(words))
	return Int(len(words))
}

// urlencode is Python's quote: a slash stays as it is in a text, and not in a query.
func urlencode(r *run, v Value, a args) Value {
	a.bind(r, "urlencode")
	var pairs []Value
	switch v := v.(type) {
	case *Map:
		pairs = (&view{v, "items"}).list()
	case List, tuple, *iterator, *view:
		pairs = r.list(v)
	default:
		return r.text(r.percentEncode(v, "/"))
	}
	out := make([]string, len(pairs))
	for i, p := range pairs {
		kv := r.list(p)
		if len(kv) != 2 {
			r.fail("urlencode: pairs are needed, not %d values", len(kv))
		}
		out[i] = strings.ReplaceAll(r.percentEncode(kv[0], ""), "%20", "+") + "=" + strings.ReplaceAll(r.percentEncode(kv[1], ""), "%20", "+")
	}
	return r.text(strings.Join(out, "&"))
}

func (r *run) percentEncode(v Value, safe string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	s := r.str(v)
	r.made(3 * len(s))
	for i := range len(s) {
		c := s[i]
		if c|32 >= 'a' && c|32 <= 'z' || decimal(c) || strings.IndexByte("_.-~"+safe, c) >= 0 {
			b.WriteByte(c)
		} else {
			b.WriteString(string([]byte{'%', hex[c>>4], hex[c&15]}))
		}
	}
	return b.String()
}

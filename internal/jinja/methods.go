package jinja

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"
)

// method is a method of a value.
type method func(r *run, self Value, a args) Value

// builtin is what Python has behind v's dot, nil if there is nothing of that name. What would change
// v can be named, and fails when it is called.
func (r *run) builtin(v Value, name string) Value {
	var table map[string]method
	switch v := v.(type) {
	case String, markup:
		if name == "format" { // not in the table: it looks attributes up itself
			return &bound{v, name, formatMethod}
		}
		table = strMethods
	case *Map:
		table = mapMethods
	case List:
		table = listMethods
	case tuple, span:
		table = tupleMethods
	case *namespace:
		if a, ok := v.attrs.Get(name); ok {
			return a
		}
		return nil
	case *loop:
		return v.attr(r, name)
	case *macro:
		switch name {
		case "name":
			return String(v.def.name)
		case "caller":
			return Bool(v.def.caller)
		}
		return nil
	case Int, Bool, bigInt, Float:
		return numberAttr(v, name)
	}
	if fn := table[name]; fn != nil {
		return &bound{v, name, fn}
	}
	if changes := table["!"]; changes != nil && isMutator(v, name) {
		return &undefined{hint: "access to attribute '" + name + "' of '" + v.typeName() + "' object is unsafe."}
	}
	return nil
}

func isMutator(v Value, name string) bool {
	if isA[*Map](v) {
		return slices.Contains([]string{"clear", "pop", "popitem", "setdefault", "update"}, name)
	}
	return slices.Contains([]string{"append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove"}, name)
}

func numberAttr(v Value, name string) Value {
	switch name {
	case "real":
		return v
	case "imag":
		if isA[Float](v) {
			return Float(0)
		}
		return Int(0)
	case "is_integer":
		if f, ok := v.(Float); ok {
			return &bound{v, name, func(*run, Value, args) Value { return Bool(floatIsInteger(float64(f))) }}
		}
	case "bit_length":
		if n := integer(v); n != nil {
			return &bound{v, name, func(*run, Value, args) Value { return Int(n.BitLen()) }}
		}
	}
	return nil
}

// mutates marks a table whose type has methods that change it.
func mutates(r *run, _ Value, _ args) Value { return None{} }

var mapMethods = map[string]method{
	"!": mutates,
	"get": func(r *run, self Value, a args) Value {
		r.noNames("get", a)
		got := a.bind(r, "get", "key", "default")
		k, ok := keyOf(or(got[0], None{}))
		if !ok {
			r.fail("unhashable type: '%s'", got[0].typeName())
		}
		if got[0] == nil {
			r.fail("get expected at least 1 argument, got 0")
		}
		if v, ok := self.(*Map).get(k); ok {
			return v
		}
		return or(got[1], None{})
	},
	"items":  func(r *run, self Value, a args) Value { a.bind(r, "items"); return &view{self.(*Map), "items"} },
	"keys":   func(r *run, self Value, a args) Value { a.bind(r, "keys"); return &view{self.(*Map), "keys"} },
	"values": func(r *run, self Value, a args) Value { a.bind(r, "values"); return &view{self.(*Map), "values"} },
	"copy": func(r *run, self Value, a args) Value {
		a.bind(r, "copy")
		return dictOf(r, args{plain: []Value{self}})
	},
}

var listMethods = map[string]method{
	"!": mutates, "index": indexOf, "count": countOf,
	"copy": func(r *run, self Value, a args) Value {
		a.bind(r, "copy")
		return List(slices.Clone(r.list(self)))
	},
}

var tupleMethods = map[string]method{"index": indexOf, "count": countOf}

func indexOf(r *run, self Value, a args) Value {
	r.noNames("index", a)
	got := a.bind(r, "index", "value", "start", "stop")
	all := r.list(self)
	start, stop, _, _ := r.indices(len(all), [3]Value{or(got[1], None{}), or(got[2], None{}), None{}})
	for i := start; i < stop; i++ {
		if r.equal(all[i], or(got[0], None{})) {
			return Int(i)
		}
	}
	r.fail("%s is not in list", r.reprText(or(got[0], None{})))
	return nil
}

func countOf(r *run, self Value, a args) Value {
	r.noNames("count", a)
	want := or(a.bind(r, "count", "value")[0], None{})
	n := 0
	for _, v := range r.list(self) {
		if r.equal(v, want) {
			n++
		}
	}
	return Int(n)
}

// noNames refuses keyword arguments, as Python's built-in methods do.
func (r *run) noNames(fn string, a args) {
	if len(a.names) > 0 {
		r.fail("%s() takes no keyword arguments", fn)
	}
}

// isSpace is Python's str.isspace of one character.
func isSpace(c rune) bool { return unicode.IsSpace(c) || c >= 0x1c && c <= 0x1f }

func isAlnum(c rune) bool { return unicode.IsLetter(c) || unicode.IsNumber(c) }

func strip(s string, is func(rune) bool) string { return strings.TrimFunc(s, is) }

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func upper(s string) string {
	if ascii(s) {
		return strings.ToUpper(s)
	}
	return cases.Upper(language.Und).String(s)
}

func lower(s string) string {
	if ascii(s) {
		return strings.ToLower(s)
	}
	return cases.Lower(language.Und).String(s)
}

// titleRune is the title case of a word's first character.
func titleRune(c rune) string {
	if t := unicode.ToTitle(c); t != c || c < utf8.RuneSelf {
		return string(t)
	}
	if u := upper(string(c)); u != string(c) { // ß begins a word as Ss
		_, n := utf8.DecodeRuneInString(u)
		return u[:n] + lower(u[n:])
	}
	return string(c)
}

func capitalize(s string) string {
	c, n := utf8.DecodeRuneInString(s)
	if n == 0 {
		return ""
	}
	return titleRune(c) + lower(s[n:])
}

// title is Python's str.title: a word is a run of letters.
func title(s string) string {
	var b strings.Builder
	from := -1
	for i, c := range s {
		cased := unicode.IsUpper(c) || unicode.IsLower(c) || unicode.IsTitle(c)
		if !cased && from >= 0 {
			b.WriteString(capitalize(s[from:i]))
			from = -1
		}
		if cased && from < 0 {
			from = i
		}
		if !cased {
			b.WriteRune(c)
		}
	}
	if from >= 0 {
		b.WriteString(capitalize(s[from:]))
	}
	return b.String()
}

func swapcase(s string) string {
	var b strings.Builder
	for _, c := range s {
		switch {
		case unicode.IsUpper(c):
			b.WriteString(lower(string(c)))
		case unicode.IsLower(c):
			b.WriteString(upper(string(c)))
		default:
			b.WriteRune(c)
		}
	}
	return b.String()
}

// splitLines is Python's str.splitlines.
func splitLines(s string, keep bool) []string {
	out := []string{}
	from := 0
	for i := 0; i < len(s); {
		c, n := utf8.DecodeRuneInString(s[i:])
		end := i + n
		switch {
		case c == '\r' && strings.HasPrefix(s[end:], "\n"):
			end++
		case c >= '\n' && c <= '\r', c >= 0x1c && c <= 0x1e, c == 0x85, c == 0x2028, c == 0x2029:
		default:
			i = end
			continue
		}
		if keep {
			out = append(out, s[from:end])
		} else {
			out = append(out, s[from:i])
		}
		from, i = end, end
	}
	if from < len(s) {
		out = append(out, s[from:])
	}
	return out
}

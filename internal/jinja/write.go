package jinja

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// str is Python's str(v): what {{ v }} writes.
func (r *run) str(v Value) string {
	switch v := v.(type) {
	case String:
		return string(v)
	case markup:
		return string(v)
	case *undefined:
		return ""
	}
	var b strings.Builder
	r.repr(&b, v)
	r.made(b.Len())
	return b.String()
}

func (r *run) reprText(v Value) string {
	var b strings.Builder
	r.repr(&b, v)
	return b.String()
}

// repr writes Python's repr(v).
func (r *run) repr(b *strings.Builder, v Value) {
	r.spend(1)
	if b.Len() > r.options.OutputBytes {
		r.tooLong(b.Len())
	}
	switch v := v.(type) {
	case None:
		b.WriteString("None")
	case Bool:
		if v {
			b.WriteString("True")
		} else {
			b.WriteString("False")
		}
	case Int:
		b.WriteString(strconv.FormatInt(int64(v), 10))
	case bigInt:
		r.spend(v.BitLen() >> 3)
		b.WriteString(v.String())
	case Float:
		b.WriteString(floatText(float64(v)))
	case String:
		r.spend(len(v) >> 5)
		quote(b, string(v))
	case markup:
		r.spend(len(v) >> 5)
		b.WriteString("Markup(")
		quote(b, string(v))
		b.WriteByte(')')
	case List:
		r.reprItems(b, "[", v, "]")
	case tuple:
		if len(v) == 1 {
			r.reprItems(b, "(", v, ",)")
		} else {
			r.reprItems(b, "(", v, ")")
		}
	case *Map:
		r.reprMap(b, v)
	default:
		r.reprObject(b, v)
	}
}

func (r *run) reprItems(b *strings.Builder, open string, items []Value, end string) {
	defer r.deeper()()
	b.WriteString(open)
	for i, item := range items {
		if i > 0 {
			b.WriteString(", ")
		}
		r.repr(b, item)
	}
	b.WriteString(end)
}

func (r *run) reprMap(b *strings.Builder, m *Map) {
	defer r.deeper()()
	b.WriteByte('{')
	for i, key := range m.keys {
		if i > 0 {
			b.WriteString(", ")
		}
		r.repr(b, key)
		b.WriteString(": ")
		r.repr(b, m.values[i])
	}
	b.WriteByte('}')
}

// reprObject writes what has no literal. Where Python would write an address, there is none.
func (r *run) reprObject(b *strings.Builder, v Value) {
	switch v := v.(type) {
	case *undefined:
		b.WriteString("Undefined")
	case *view:
		b.WriteString("dict_" + v.kind + "(")
		r.repr(b, List(v.list()))
		b.WriteByte(')')
	case span:
		if v.step == 1 {
			fmt.Fprintf(b, "range(%d, %d)", v.start, v.stop)
		} else {
			fmt.Fprintf(b, "range(%d, %d, %d)", v.start, v.stop, v.step)
		}
	case *namespace:
		b.WriteString("<Namespace ")
		r.repr(b, v.attrs)
		b.WriteByte('>')
	case *macro:
		if v.def.name == "" {
			b.WriteString("<Macro anonymous>")
			return
		}
		b.WriteString("<Macro ")
		quote(b, v.def.name)
		b.WriteByte('>')
	case *loop:
		fmt.Fprintf(b, "<LoopContext %d/%d>", v.index0+1, v.length(r))
	default:
		b.WriteString("<" + v.typeName() + ">")
	}
}

// quote writes a string literal as Python's repr does.
func quote(b *strings.Builder, s string) {
	q := byte('\'')
	if strings.IndexByte(s, '\'') >= 0 && strings.IndexByte(s, '"') < 0 {
		q = '"'
	}
	b.WriteByte(q)
	for _, c := range s {
		switch {
		case c == rune(q) || c == '\\':
			b.WriteByte('\\')
			b.WriteRune(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\r':
			b.WriteString(`\r`)
		case c == '\t':
			b.WriteString(`\t`)
		case unicode.IsPrint(c):
			b.WriteRune(c)
		case c < 0x100:
			fmt.Fprintf(b, `\x%02x`, c)
		case c < 0x10000:
			fmt.Fprintf(b, `\u%04x`, c)
		default:
			fmt.Fprintf(b, `\U%08x`, c)
		}
	}
	b.WriteByte(q)
}

// jsonStyle is how json.dumps was asked to write.
type jsonStyle struct {
	ascii, sorted bool
	indent        string // of one level
	lines         bool   // an indent was given, perhaps an empty one
	item, key     string // separators
}

// toJSON is the filter as transformers defines it: json.dumps with ensure_ascii=False and no HTML
// escapes.
func toJSON(r *run, v Value, a args) Value {
	got := a.bind(r, "tojson", "ensure_ascii", "indent", "separators", "sort_keys")
	s := jsonStyle{item: ", ", key: ": ", ascii: yes(got[0]), sorted: yes(got[3])}
	switch indent := or(got[1], None{}).(type) {
	case None:
	case String:
		s.lines, s.indent = true, string(indent)
	default:
		n := r.int(indent, "indent")
		s.lines, s.indent = true, strings.Repeat(" ", min(max(n, 0), 1000))
	}
	if s.lines {
		s.item = ","
	}
	if _, none := or(got[2], None{}).(None); !none {
		pair := r.list(got[2])
		if len(pair) != 2 {
			r.fail("tojson: separators must be a pair of texts, not %d values", len(pair))
		}
		item, ok := stringOf(pair[0])
		key, ok2 := stringOf(pair[1])
		if !ok || !ok2 {
			r.fail("tojson: separators must be texts")
		}
		s.item, s.key = item, key
	}
	var b strings.Builder
	s.write(r, &b, v, 0)
	r.made(b.Len())
	return String(b.String())
}

func (s *jsonStyle) write(r *run, b *strings.Builder, v Value, level int) {
	r.spend(1)
	if b.Len() > r.options.OutputBytes {
		r.tooLong(b.Len())
	}
	switch v := v.(type) {
	case None:
		b.WriteString("null")
	case Bool:
		b.WriteString(strconv.FormatBool(bool(v)))
	case Int, bigInt:
		r.repr(b, v)
	case Float:
		b.WriteString(jsonFloat(float64(v)))
	case String:
		r.spend(len(v) >> 5)
		s.quote(b, string(v))
	case markup:
		r.spend(len(v) >> 5)
		s.quote(b, string(v))
	case List:
		s.writeList(r, b, v, level)
	case tuple:
		s.writeList(r, b, v, level)
	case *Map:
		s.writeMap(r, b, v, level)
	default:
		r.fail("Object of type %s is not JSON serializable", v.typeName())
	}
}

func jsonFloat(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	case math.IsNaN(f):
		return "NaN"
	}
	return floatText(f)
}

func (s *jsonStyle) line(r *run, b *strings.Builder, level int) {
	if !s.lines {
		return
	}
	b.WriteByte('\n')
	r.spend(level * len(s.indent) >> 5)
	for range level {
		b.WriteString(s.indent)
	}
}

func (s *jsonStyle) writeList(r *run, b *strings.Builder, items []Value, level int) {
	if len(items) == 0 {
		b.WriteString("[]")
		return
	}
	defer r.deeper()()
	b.WriteByte('[')
	for i, item := range items {
		if i > 0 {
			b.WriteString(s.item)
		}
		s.line(r, b, level+1)
		s.write(r, b, item, level+1)
	}
	s.line(r, b, level)
	b.WriteByte(']')
}

func (s *jsonStyle) writeMap(r *run, b *strings.Builder, m *Map, level int) {
	if len(m.keys) == 0 {
		b.WriteString("{}")
		return
	}
	defer r.deeper()()
	order := make([]int, len(m.keys))
	for i := range order {
		order[i] = i
	}
	if s.sorted {
		slices.SortStableFunc(order, func(i, j int) int { return r.order(m.keys[i], m.keys[j]) })
	}
	b.WriteByte('{')
	for n, i := range order {
		if n > 0 {
			b.WriteString(s.item)
		}
		s.line(r, b, level+1)
		s.writeKey(r, b, m.keys[i])
		b.WriteString(s.key)
		s.write(r, b, m.values[i], level+1)
	}
	s.line(r, b, level)
	b.WriteByte('}')
}

func (s *jsonStyle) writeKey(r *run, b *strings.Builder, key Value) {
	switch k := key.(type) {
	case String:
		s.quote(b, string(k))
	case markup:
		s.quote(b, string(k))
	case None, Bool, Int, bigInt, Float:
		b.WriteByte('"')
		s.write(r, b, key, 0)
		b.WriteByte('"')
	default:
		r.fail("keys must be str, int, float, bool or None, not %s", key.typeName())
	}
}

func (s *jsonStyle) quote(b *strings.Builder, text string) {
	b.WriteByte('"')
	from := 0
	for i, c := range text {
		if c >= ' ' && c != '"' && c != '\\' && (!s.ascii || c < 0x7f) {
			continue
		}
		b.WriteString(text[from:i])
		from = i + max(1, utf8.RuneLen(c))
		if c == utf8.RuneError && !strings.HasPrefix(text[i:], "\uFFFD") {
			from = i + 1
		}
		switch c {
		case '"', '\\':
			b.WriteByte('\\')
			b.WriteRune(c)
		case '\n':
			b.WriteString(`\n`)
		case '\r':
			b.WriteString(`\r`)
		case '\t':
			b.WriteString(`\t`)
		case '\f':
			b.WriteString(`\f`)
		case '\b':
			b.WriteString(`\b`)
		default:
			if c >= 0x10000 {
				c -= 0x10000
				fmt.Fprintf(b, `\u%04x`, 0xd800+c>>10)
				c = 0xdc00 + c&0x3ff
			}
			fmt.Fprintf(b, `\u%04x`, c)
		}
	}
	b.WriteString(text[from:])
	b.WriteByte('"')
}

// order compares for sorting, by Python's < alone.
func (r *run) order(a, b Value) int {
	if r.less(a, b, "<") {
		return -1
	}
	if r.less(b, a, "<") {
		return 1
	}
	return 0
}

// JSON writes a value as the filter tojson does.
func JSON(v Value) (text string, err error) {
	defer rescue(&err)
	r := &run{options: Options{}.withDefaults(), line: 1}
	r.fuel = r.options.Steps
	text, _ = stringOf(toJSON(r, v, args{}))
	return text, nil
}

package jinja

import (
	"math"
	"math/big"
	"strings"
	"unicode"
	"unicode/utf8"
)

// percent is the % operator of texts.
func (r *run) percent(format string, v Value, safe bool) string {
	p := &percentFormat{r: r, safe: safe, values: []Value{v}, single: true}
	if t, ok := v.(tuple); ok {
		p.values, p.single = t, false
	}
	if m, ok := v.(*Map); ok {
		p.named, p.single = m, false
		p.values = []Value{v}
	}
	var b strings.Builder
	for {
		i := strings.IndexByte(format, '%')
		if i < 0 {
			break
		}
		b.WriteString(format[:i])
		format = p.one(&b, format[i+1:])
		r.spend(1)
		if b.Len() > r.options.OutputBytes {
			r.tooLong(b.Len())
		}
	}
	if p.named == nil && p.used < len(p.values) && !(p.single && isContainer(v)) {
		r.fail("not all arguments converted during string formatting")
	}
	b.WriteString(format)
	return b.String()
}

// isContainer reports what Python takes for a mapping in a format, so that it may be left over.
func isContainer(v Value) bool { return isA[List](v) || isA[*undefined](v) || isA[span](v) }

type percentFormat struct {
	r      *run
	safe   bool
	values []Value
	single bool
	named  *Map
	used   int
}

func (p *percentFormat) take() Value {
	if p.used >= len(p.values) {
		p.r.fail("not enough arguments for format string")
	}
	p.used++
	return p.values[p.used-1]
}

// one writes the conversion behind a percent sign and gives what follows it.
func (p *percentFormat) one(b *strings.Builder, s string) string {
	f := spec{precision: -1, sign: '-'}
	var v Value
	if strings.HasPrefix(s, "(") {
		end := strings.IndexByte(s, ')')
		if p.named == nil || end < 0 {
			p.r.fail("format requires a mapping")
		}
		v = p.r.item(p.named, String(s[1:end]))
		if isA[*undefined](v) {
			p.r.fail("KeyError: '%s'", s[1:end])
		}
		s = s[end+1:]
	}
	for ; s != "" && strings.IndexByte("-+ #0", s[0]) >= 0; s = s[1:] {
		switch s[0] {
		case '-':
			f.align = '<'
		case '+':
			f.sign = '+'
		case ' ':
			if f.sign == '-' {
				f.sign = ' '
			}
		case '#':
			f.alt = true
		case '0':
			f.zero = true
		}
	}
	f.width, s = p.size(s)
	if f.width < 0 {
		f.align, f.width = '<', -f.width
	}
	if strings.HasPrefix(s, ".") {
		f.precision, s = p.size(s[1:])
	}
	if s == "" {
		p.r.fail("incomplete format")
	}
	if s[0] == '%' {
		b.WriteByte('%')
		return s[1:]
	}
	if v == nil {
		v = p.take()
	}
	f.verb = s[0]
	b.WriteString(p.convert(f, v))
	return s[1:]
}

// size reads a number, or takes it from the values for a star.
func (p *percentFormat) size(s string) (int, string) {
	if strings.HasPrefix(s, "*") {
		return p.r.int(p.take(), "* wants int"), s[1:]
	}
	return p.r.readSize(s)
}

func (r *run) readSize(s string) (int, string) {
	n := 0
	for s != "" && decimal(s[0]) {
		if n = n*10 + int(s[0]-'0'); n > r.options.OutputBytes {
			r.tooLong(n)
		}
		s = s[1:]
	}
	return n, s
}

func (p *percentFormat) convert(f spec, v Value) string {
	r := p.r
	switch f.verb {
	case 's', 'r', 'a':
		s := r.reprText(v)
		if f.verb == 's' {
			s = r.str(v)
		}
		if p.safe {
			if isA[markup](v) {
				s = escape(v)
			} else {
				s = escape(String(s))
			}
		}
		if f.precision >= 0 {
			s = r.sliceText(s, [3]Value{None{}, Int(f.precision), None{}})
		}
		return r.pad(f, s, '>')
	case 'c':
		return r.pad(f, p.character(v), '>')
	}
	r.undefinedFails(v)
	if !isNumber(v) {
		r.fail("%%%c format: a real number is required, not %s", f.verb, v.typeName())
	}
	if f.zero && f.align == 0 {
		f.fill, f.align = "0", '='
	}
	switch f.verb {
	case 'd', 'i', 'u', 'x', 'X', 'o':
		n := integer(v)
		if n == nil {
			if x := r.float(v); f.verb == 'd' || f.verb == 'i' || f.verb == 'u' {
				if math.IsInf(x, 0) || math.IsNaN(x) {
					r.fail("cannot convert float infinity or NaN to integer")
				}
				n, _ = big.NewFloat(x).Int(nil)
			} else {
				r.fail("%%%c format: an integer is required, not float", f.verb)
			}
		}
		return r.formatInt(f, n)
	case 'f', 'F', 'e', 'E', 'g', 'G':
		return r.formatFloat(f, r.float(v))
	}
	r.fail("unsupported format character '%c'", f.verb)
	return ""
}

func (p *percentFormat) character(v Value) string {
	if s, ok := stringOf(v); ok && utf8.RuneCountInString(s) == 1 {
		return s
	}
	n, ok := small(v)
	if !ok || n < 0 || n > utf8.MaxRune || !utf8.ValidRune(rune(n)) {
		p.r.fail("%%c requires int or char")
	}
	return string(rune(n))
}

// braces is one call of str.format.
type braces struct {
	r    *run
	a    args
	next int // the next automatic position, -1 once positions are written out
	self Value
}

func formatMethod(r *run, self Value, a args) Value {
	f := &braces{r: r, a: a, self: self}
	return r.like(self, f.format(own(self), 0))
}

func (f *braces) format(s string, depth int) string {
	if depth > 1 {
		f.r.fail("Max string recursion exceeded")
	}
	var b strings.Builder
	for s != "" {
		i := strings.IndexAny(s, "{}")
		if i < 0 {
			break
		}
		b.WriteString(s[:i])
		c := s[i]
		s = s[i+1:]
		if s != "" && s[0] == c {
			b.WriteByte(c)
			s = s[1:]
			continue
		}
		if c == '}' {
			f.r.fail("Single '}' encountered in format string")
		}
		field, rest := f.field(s)
		s = rest
		b.WriteString(f.value(field, depth))
		f.r.spend(1)
		if b.Len() > f.r.options.OutputBytes {
			f.r.tooLong(b.Len())
		}
	}
	b.WriteString(s)
	return b.String()
}

// field cuts a replacement field, which may hold others in its format, from what follows it.
func (f *braces) field(s string) (field, rest string) {
	open := 1
	for i := range len(s) {
		switch s[i] {
		case '{':
			open++
		case '}':
			if open--; open == 0 {
				return s[:i], s[i+1:]
			}
		}
	}
	f.r.fail("expected '}' before end of string")
	return "", ""
}

func (f *braces) value(field string, depth int) string {
	r := f.r
	name := field
	conversion, format := byte(0), ""
	bracket := false
	for i := range len(field) {
		if field[i] == '[' || field[i] == ']' {
			bracket = field[i] == '['
		}
		if bracket || field[i] != '!' && field[i] != ':' {
			continue
		}
		name = field[:i]
		if field[i] == ':' {
			format = field[i+1:]
			break
		}
		rest := field[i+1:]
		if rest == "" || len(rest) > 1 && rest[1] != ':' {
			r.fail("expected ':' after conversion specifier")
		}
		conversion = rest[0]
		if len(rest) > 1 {
			format = rest[2:]
		}
		break
	}
	v := f.lookup(name)
	switch conversion {
	case 0:
	case 's':
		v = String(r.str(v))
	case 'r', 'a':
		v = String(r.reprText(v))
	default:
		r.fail("Unknown conversion specifier %c", conversion)
	}
	if format != "" {
		format = f.format(format, depth+1)
	}
	text := r.formatted(v, format)
	if isA[markup](f.self) {
		if isA[markup](v) {
			return text
		}
		return escape(String(text))
	}
	return text
}

// lookup follows a field's name: 0, name, 0.attr[key].
func (f *braces) lookup(name string) Value {
	r := f.r
	end := strings.IndexAny(name, ".[")
	if end < 0 {
		end = len(name)
	}
	if end == 0 && name != "" { // string.Formatter numbers a field only if it has no name at all
		r.fail("KeyError: ''")
	}
	v := f.first(name[:end])
	for path := name[end:]; path != ""; {
		if path[0] == '.' {
			end := strings.IndexAny(path[1:], ".[") + 1
			if end == 0 {
				end = len(path)
			}
			v = r.attr(v, path[1:end])
			path = path[end:]
			continue
		}
		end := strings.IndexByte(path, ']')
		if path[0] != '[' || end < 0 {
			r.fail("Only '.' or '[' may follow ']' in format field specifier")
		}
		if n, ok := readInt(path[1:end], 10); ok {
			v = r.item(v, n)
		} else {
			v = r.item(v, String(path[1:end]))
		}
		path = path[end+1:]
	}
	return v
}

func (f *braces) first(name string) Value {
	at := f.next
	switch {
	case name == "":
		if at < 0 {
			f.r.fail("cannot switch from manual field specification to automatic field numbering")
		}
		f.next++
	case strings.Trim(name, "0123456789") == "":
		if f.next > 0 {
			f.r.fail("cannot switch from automatic field numbering to manual field specification")
		}
		f.next = -1
		at, _ = f.r.readSize(name)
	default:
		for i, n := range f.a.names {
			if n == name {
				return f.a.named[i]
			}
		}
		f.r.fail("KeyError: '%s'", name)
	}
	if at >= len(f.a.plain) {
		f.r.fail("Replacement index %d out of range for positional args tuple", at)
	}
	return f.a.plain[at]
}

// formatted is Python's format(v, text).
func (r *run) formatted(v Value, text string) string {
	if text == "" {
		return r.str(v)
	}
	s := r.readSpec(text)
	switch v := v.(type) {
	case String, markup:
		if s.verb != 0 && s.verb != 's' || s.align == '=' || s.sign != '-' || s.comma || s.unders {
			r.fail("Unknown format code for object of type 'str': '%s'", text)
		}
		out := own(v)
		if s.precision >= 0 {
			out = r.sliceText(out, [3]Value{None{}, Int(s.precision), None{}})
		}
		return r.pad(s, out, '<')
	case Int, bigInt, Bool:
		return r.formattedInt(v, s, text)
	case Float:
		if s.verb != 0 && strings.IndexByte("eEfFgGn%", s.verb) < 0 {
			r.fail("Unknown format code '%c' for object of type 'float'", s.verb)
		}
		return r.formatFloat(s, float64(v))
	}
	r.fail("unsupported format string passed to %s.__format__", v.typeName())
	return ""
}

func (r *run) formattedInt(v Value, s spec, text string) string {
	if b, ok := v.(Bool); ok && s.verb == 's' {
		return r.pad(s, r.str(b), '<')
	}
	switch s.verb {
	case 0, 'd', 'x', 'X', 'o', 'b', 'n':
		if s.precision >= 0 {
			r.fail("Precision not allowed in integer format specifier")
		}
		return r.formatInt(s, integer(v))
	case 'c':
		return r.pad(s, (&percentFormat{r: r}).character(v), '<')
	case 'e', 'E', 'f', 'F', 'g', 'G', '%':
		return r.formatFloat(s, r.float(v))
	}
	r.fail("Unknown format code for object of type 'int': '%s'", text)
	return ""
}

// readSpec reads [[fill]align][sign][#][0][width][,|_][.precision][type].
func (r *run) readSpec(text string) spec {
	s := spec{precision: -1, sign: '-'}
	isAlign := func(t string) bool { return t != "" && strings.IndexByte("<>^=", t[0]) >= 0 }
	rest := text
	if _, n := utf8.DecodeRuneInString(rest); isAlign(rest[n:]) {
		s.fill, s.align, rest = rest[:n], rest[n], rest[n+1:]
	} else if isAlign(rest) {
		s.align, rest = rest[0], rest[1:]
	}
	if rest != "" && strings.IndexByte("+- ", rest[0]) >= 0 {
		s.sign, rest = rest[0], rest[1:]
	}
	if strings.HasPrefix(rest, "#") {
		s.alt, rest = true, rest[1:]
	}
	if strings.HasPrefix(rest, "0") {
		rest = rest[1:]
		if s.fill == "" {
			s.fill = "0"
		}
		if s.align == 0 {
			s.align = '='
		}
	}
	s.width, rest = r.readSize(rest)
	if strings.HasPrefix(rest, ",") {
		s.comma, rest = true, rest[1:]
	} else if strings.HasPrefix(rest, "_") {
		s.unders, rest = true, rest[1:]
	}
	if strings.HasPrefix(rest, ".") {
		if rest = rest[1:]; rest == "" || !unicode.IsDigit(rune(rest[0])) {
			r.fail("Format specifier missing precision")
		}
		s.precision, rest = r.readSize(rest)
	}
	if len(rest) == 1 {
		s.verb, rest = rest[0], ""
	}
	if rest != "" {
		r.fail("Invalid format specifier '%s'", text)
	}
	return s
}

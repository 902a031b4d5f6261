package jinja

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// braces is one call of str.format.
type braces struct {
	r    *run
	a    args
	next int // the next automatic position, -1 once positions are written out
	self Value
}

func formatMethod(r *run, self Value, a args) Value {
	f := &braces{r: r, a: a, self: self}
	return r.like(self, f.format(self2(self), 0))
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
	format = f.format(format, depth+1)
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
		out := self2(v)
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

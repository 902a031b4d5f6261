package jinja

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"
)

// spec is how one value is written: of "%-5.2f" and of "{:>8,.2f}".
type spec struct {
	fill                     string
	align                    byte // < > ^ =, 0 for the type's own
	sign                     byte // - + or space
	alt, zero, comma, unders bool
	width, precision         int // precision is -1 where there is none
	verb                     byte
}

// maxPrecision is the most digits behind the point that are written.
const maxPrecision = 1000

func floatIsInteger(f float64) bool { return f == math.Trunc(f) && !math.IsInf(f, 0) }

func roundFloat(f float64, digits int) float64 {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return f
	}
	if digits >= 0 {
		v, _ := strconv.ParseFloat(strconv.FormatFloat(f, 'f', digits, 64), 64)
		return v
	}
	unit := math.Pow(10, float64(-digits))
	return math.RoundToEven(f/unit) * unit
}

// pad fills a text up to the width.
func (r *run) pad(s spec, text string, align byte) string {
	n := s.width - utf8.RuneCountInString(text)
	if n <= 0 {
		return text
	}
	fill := s.fill
	if fill == "" {
		fill = " "
	}
	r.madeTimes(n, len(fill))
	if s.align != 0 {
		align = s.align
	}
	left := 0
	switch align {
	case '>':
		left = n
	case '^':
		left = n / 2
	case '=':
		sign := 0
		if strings.HasPrefix(text, "-") || strings.HasPrefix(text, "+") || strings.HasPrefix(text, " ") {
			sign = 1
		}
		if s.alt && len(text) > sign+1 && strings.IndexByte("xXob", text[sign+1]) >= 0 {
			sign += 2
		}
		return text[:sign] + strings.Repeat(fill, n) + text[sign:]
	}
	return strings.Repeat(fill, left) + text + strings.Repeat(fill, n-left)
}

// signed puts the sign that the spec asks for in front of a number.
func (s spec) signed(negative bool, digits string) string {
	switch {
	case negative:
		return "-" + digits
	case s.sign == '+' || s.sign == ' ':
		return string(s.sign) + digits
	}
	return digits
}

// group puts a separator between thousands.
func group(digits, sep string, size int) string {
	whole, rest, _ := strings.Cut(digits, ".")
	if e := strings.IndexByte(whole, 'e'); e >= 0 {
		return digits
	}
	var b strings.Builder
	for i, c := range whole {
		if i > 0 && (len(whole)-i)%size == 0 {
			b.WriteString(sep)
		}
		b.WriteRune(c)
	}
	if len(rest) > 0 || strings.HasSuffix(digits, ".") {
		b.WriteString("." + rest)
	}
	return b.String()
}

func (r *run) grouped(s spec, digits string, size int) string {
	switch {
	case s.comma:
		return group(digits, ",", size)
	case s.unders:
		return group(digits, "_", size)
	}
	return digits
}

func (r *run) formatInt(s spec, n *big.Int) string {
	base, prefix, size := 10, "", 3
	switch s.verb {
	case 'x', 'X':
		base, prefix, size = 16, "0x", 4
	case 'o':
		base, prefix, size = 8, "0o", 4
	case 'b':
		base, prefix, size = 2, "0b", 4
	}
	digits := r.grouped(s, new(big.Int).Abs(n).Text(base), size)
	if s.alt {
		digits = prefix + digits
	}
	if s.verb == 'X' {
		digits = strings.ToUpper(digits)
	}
	return r.pad(s, s.signed(n.Sign() < 0, digits), '>')
}

func (r *run) formatFloat(s spec, f float64) string {
	verb, precision := s.verb|32, s.precision
	if precision > maxPrecision {
		r.fail("a precision of %d is not supported, at most %d", precision, maxPrecision)
	}
	abs := math.Abs(f)
	var digits string
	switch {
	case math.IsInf(f, 0):
		digits = "inf"
	case math.IsNaN(f):
		digits = "nan"
	case verb == '%'|32:
		digits = strconv.FormatFloat(abs*100, 'f', or6(precision), 64) + "%"
	case verb == 'f':
		digits = strconv.FormatFloat(abs, 'f', or6(precision), 64)
	case verb == 'e':
		digits = strconv.FormatFloat(abs, 'e', or6(precision), 64)
	case s.verb == 0 && precision < 0:
		digits = floatText(abs)
	default:
		digits = general(abs, max(1, or6(precision)), s.verb == 0, s.alt)
	}
	if s.verb >= 'A' && s.verb <= 'Z' {
		digits = strings.ToUpper(digits)
	}
	negative := f < 0 || f == 0 && math.Signbit(f)
	return r.pad(s, s.signed(negative, r.grouped(s, digits, 3)), '>')
}

func or6(precision int) int {
	if precision < 0 {
		return 6
	}
	return precision
}

// general is Python's 'g', and with point the presentation of format(f, ".5"), which keeps a digit
// behind the point.
func general(f float64, precision int, point, alt bool) string {
	e := strconv.FormatFloat(f, 'e', precision-1, 64)
	at := strings.IndexByte(e, 'e')
	exp, _ := strconv.Atoi(e[at+1:])
	limit := precision
	if point {
		limit--
	}
	trim := func(s string) string {
		if alt || !strings.ContainsRune(s, '.') {
			return s
		}
		return strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	if exp < -4 || exp >= limit && f != 0 {
		return trim(e[:at]) + e[at:]
	}
	s := trim(strconv.FormatFloat(f, 'f', max(0, precision-1-exp), 64))
	if point && !strings.ContainsRune(s, '.') {
		s += ".0"
	}
	return s
}

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

func isContainer(v Value) bool { return isA[List](v) }

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

// strftime writes the clock's time in C's conversions, in the C locale.
func (r *run) strftime(format string) string {
	t := r.options.Now()
	_, isoWeek := t.ISOWeek()
	isoYear, _ := t.ISOWeek()
	sundays := (t.YearDay() + 6 - int(t.Weekday())) / 7
	mondays := (t.YearDay() + 6 - (int(t.Weekday())+6)%7) / 7
	layouts := map[byte]string{
		'a': "Mon", 'A': "Monday", 'b': "Jan", 'h': "Jan", 'B': "January", 'c': "Mon Jan _2 15:04:05 2006", 'd': "02",
		'D': "01/02/06", 'e': "_2", 'F': "2006-01-02", 'H': "15", 'I': "03", 'j': "002", 'm': "01", 'M': "04", 'p': "PM",
		'r': "03:04:05 PM", 'R': "15:04", 'S': "05", 'T': "15:04:05", 'x': "01/02/06", 'X': "15:04:05", 'y': "06", 'Y': "2006",
	}
	numbers := map[byte]string{
		'C': fmt.Sprintf("%02d", t.Year()/100), 'f': fmt.Sprintf("%06d", t.Nanosecond()/1000), 'G': strconv.Itoa(isoYear),
		'k': fmt.Sprintf("%2d", t.Hour()), 'l': fmt.Sprintf("%2d", (t.Hour()+11)%12+1), 'n': "\n", 't': "\t", '%': "%",
		's': strconv.FormatInt(t.Unix(), 10), 'u': strconv.Itoa((int(t.Weekday())+6)%7 + 1), 'w': strconv.Itoa(int(t.Weekday())),
		'U': fmt.Sprintf("%02d", sundays), 'W': fmt.Sprintf("%02d", mondays), 'V': fmt.Sprintf("%02d", isoWeek),
		'z': "", 'Z': "", // as for Python's times without a zone
	}
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		c := format[i]
		if c != '%' || i+1 == len(format) {
			b.WriteByte(c)
			continue
		}
		i++
		bare := format[i] == '-' && i+1 < len(format) // %-d: without the leading zero
		if bare {
			i++
		}
		text, ok := numbers[format[i]]
		if layout, found := layouts[format[i]]; found {
			text, ok = t.Format(layout), true
		}
		if !ok {
			r.fail("strftime_now: the conversion %%%c is not supported", format[i])
		}
		if bare {
			text = strings.TrimLeft(text[:len(text)-1], "0 ") + text[len(text)-1:]
		}
		b.WriteString(text)
	}
	return b.String()
}

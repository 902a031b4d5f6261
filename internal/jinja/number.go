package jinja

import (
	"math"
	"math/big"
	"math/bits"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxDigits is the longest integer, in decimal digits, that Python turns into text and back.
const maxDigits = 4300

// maxBits is the size past which an integer is refused: a little more than maxDigits.
const maxBits = 14300

func shrink(n *big.Int) Value {
	if n.IsInt64() {
		return Int(n.Int64())
	}
	return bigInt{n}
}

func isNumber(v Value) bool {
	switch v.(type) {
	case Bool, Int, bigInt, Float:
		return true
	}
	return false
}

// small gives an integer of 64 bits.
func small(v Value) (int64, bool) {
	switch v := v.(type) {
	case Int:
		return int64(v), true
	case Bool:
		if v {
			return 1, true
		}
		return 0, true
	}
	return 0, false
}

// integer gives any integer, nil for another value.
func integer(v Value) *big.Int {
	if b, ok := v.(bigInt); ok {
		return b.Int
	}
	if n, ok := small(v); ok {
		return big.NewInt(n)
	}
	return nil
}

func (r *run) float(v Value) float64 {
	switch v := v.(type) {
	case Float:
		return float64(v)
	case bigInt:
		f, _ := new(big.Float).SetInt(v.Int).Float64()
		if math.IsInf(f, 0) {
			r.fail("int too large to convert to float")
		}
		return f
	}
	n, _ := small(v)
	return float64(n)
}

// compareNumbers orders two numbers exactly; false where one is no number, or not a number.
func compareNumbers(a, b Value) (int, bool) {
	if !isNumber(a) || !isNumber(b) {
		return 0, false
	}
	if x, ok := small(a); ok {
		if y, ok := small(b); ok {
			switch {
			case x < y:
				return -1, true
			case x > y:
				return 1, true
			}
			return 0, true
		}
	}
	exact := func(v Value) *big.Float {
		if f, ok := v.(Float); ok {
			if math.IsNaN(float64(f)) {
				return nil
			}
			return big.NewFloat(float64(f))
		}
		return new(big.Float).SetInt(integer(v))
	}
	x, y := exact(a), exact(b)
	if x == nil || y == nil {
		return 0, false
	}
	return x.Cmp(y), true
}

// arithmetic is a binary operator on two numbers.
func (r *run) arithmetic(op string, a, b Value) Value {
	_, fa := a.(Float)
	_, fb := b.(Float)
	if fa || fb || op == "/" {
		return r.floats(op, a, b)
	}
	if x, ok := small(a); ok {
		if y, ok := small(b); ok {
			if v, ok := r.smallInts(op, x, y); ok {
				return v
			}
		}
	}
	return r.bigInts(op, integer(a), integer(b))
}

// smallInts gives false where the result does not fit.
func (r *run) smallInts(op string, x, y int64) (Value, bool) {
	switch op {
	case "+":
		s := x + y
		return Int(s), (s > x) == (y > 0)
	case "-":
		s := x - y
		return Int(s), (s < x) == (y > 0)
	case "*":
		hi, lo := bits.Mul64(uint64(max(x, -x)), uint64(max(y, -y)))
		return Int(x * y), hi == 0 && lo < 1<<63 && x != math.MinInt64 && y != math.MinInt64
	case "//", "%":
		if y == 0 {
			r.fail("integer division or modulo by zero")
		}
		if y == -1 {
			return nil, false
		}
		q, m := x/y, x%y
		if m != 0 && (m < 0) != (y < 0) {
			q, m = q-1, m+y
		}
		if op == "%" {
			return Int(m), true
		}
		return Int(q), true
	}
	return nil, false
}

func (r *run) bigInts(op string, x, y *big.Int) Value {
	z := new(big.Int)
	r.spend(1 + (x.BitLen()+y.BitLen())>>6)
	switch op {
	case "+":
		z.Add(x, y)
	case "-":
		z.Sub(x, y)
	case "*":
		z.Mul(x, y)
	case "//", "%":
		if y.Sign() == 0 {
			r.fail("integer division or modulo by zero")
		}
		m := new(big.Int)
		z.QuoRem(x, y, m)
		if m.Sign() != 0 && (m.Sign() < 0) != (y.Sign() < 0) {
			z.Sub(z, big.NewInt(1))
			m.Add(m, y)
		}
		if op == "%" {
			z = m
		}
	case "**":
		if y.Sign() < 0 {
			return r.floats(op, shrink(x), shrink(y))
		}
		switch {
		case x.BitLen() <= 1: // 0, 1 and -1: whether the exponent is 0, odd or even says all
			y = big.NewInt(int64(y.Sign()) * (2 - int64(y.Bit(0))))
		case !y.IsInt64() || y.Int64() > maxBits || int64(x.BitLen()-1)*y.Int64() > maxBits:
			r.bigLimit()
		}
		z.Exp(x, y, nil)
		r.spend(z.BitLen() >> 3)
	}
	if z.BitLen() > maxBits {
		r.bigLimit()
	}
	return shrink(z)
}

func (r *run) bigLimit() {
	panic(failure{ErrLimit.Because("jinja: line %d: an integer passes %d bits", r.line, maxBits)})
}

func (r *run) floats(op string, a, b Value) Value {
	x, y := r.float(a), r.float(b)
	switch op {
	case "+":
		return Float(x + y)
	case "-":
		return Float(x - y)
	case "*":
		return Float(x * y)
	case "/":
		if y == 0 {
			r.fail("division by zero")
		}
		return Float(x / y)
	case "//", "%":
		if y == 0 {
			r.fail("float floor division or modulo by zero")
		}
		q, m := floorDivide(x, y)
		if op == "%" {
			return Float(m)
		}
		return Float(q)
	}
	if x == 0 && y < 0 {
		r.fail("0.0 cannot be raised to a negative power")
	}
	z := power(x, y)
	if math.IsNaN(z) && !math.IsNaN(x) && !math.IsNaN(y) {
		r.fail("a negative number raised to a fraction is a complex number: not supported")
	}
	if math.IsInf(z, 0) && !math.IsInf(x, 0) && !math.IsInf(y, 0) {
		r.fail("result of ** is too large")
	}
	return Float(z)
}

// floorDivide is Python's divmod of floats.
func floorDivide(x, y float64) (q, m float64) {
	m = math.Mod(x, y)
	q = (x - m) / y
	if m != 0 {
		if (y < 0) != (m < 0) {
			m += y
			q--
		}
	} else {
		m = math.Copysign(0, y)
	}
	if q == 0 {
		return math.Copysign(0, x/y), m
	}
	floor := math.Floor(q)
	if q-floor > 0.5 {
		floor++
	}
	return floor, m
}

// floatText is Python's repr of a float: the shortest digits that read back, an exponent for
// values below 1e-4 or from 1e16.
func floatText(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	case math.IsNaN(f):
		return "nan"
	}
	e := strconv.FormatFloat(f, 'e', -1, 64)
	at := strings.IndexByte(e, 'e')
	exp, _ := strconv.Atoi(e[at+1:])
	if f != 0 && (exp < -4 || exp >= 16) {
		return e
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.ContainsRune(s, '.') {
		s += ".0"
	}
	return s
}

// parseFloat reads a text as Python's float() does.
func parseFloat(s string) (float64, bool) {
	s = strings.ToLower(strip(s, isSpace))
	sign := strings.TrimLeft(s, "+-")
	if len(s)-len(sign) > 1 {
		return 0, false
	}
	switch sign {
	case "inf", "infinity", "nan":
	default:
		if sign == "" || strings.ContainsAny(sign, "xpin") || !underscores(sign) {
			return 0, false
		}
	}
	f, err := strconv.ParseFloat(strings.ReplaceAll(s, "_", ""), 64)
	return f, err == nil || math.IsInf(f, 0)
}

// underscores reports whether every _ stands between two digits.
func underscores(s string) bool {
	digit := func(i int) bool {
		return i >= 0 && i < len(s) && (s[i] >= '0' && s[i] <= '9' || s[i] >= 'a' && s[i] <= 'z')
	}
	for i := range s {
		if s[i] == '_' && (!digit(i-1) || !digit(i+1)) {
			return false
		}
	}
	return true
}

// readInt reads a text as Python's int(s, base) does.
func readInt(s string, base int) (Value, bool) {
	s = strings.ToLower(strip(s, isSpace))
	digits := strings.TrimLeft(s, "+-")
	if len(s)-len(digits) > 1 || digits == "" {
		return nil, false
	}
	sign := s[:len(s)-len(digits)]
	for prefix, b := range map[string]int{"0x": 16, "0o": 8, "0b": 2} {
		if strings.HasPrefix(digits, prefix) && (base == b || base == 0) {
			digits, base = strings.TrimPrefix(digits[2:], "_"), b
			break
		}
	}
	if base == 0 {
		if base = 10; len(digits) > 1 && digits[0] == '0' && strings.Trim(digits, "0_") != "" {
			return nil, false
		}
	}
	if !underscores(digits) || strings.HasPrefix(digits, "_") || strings.ContainsAny(digits, "+-") {
		return nil, false
	}
	v, err := parseInt(sign+strings.ReplaceAll(digits, "_", ""), base)
	return v, err == nil
}

// power is x to the y. Go's math.Pow is a few units in the last place off C's; for whole exponents it
// is computed exactly and rounded once.
func power(x, y float64) float64 {
	if y != math.Trunc(y) || math.Abs(y) > 1100 || x == 0 || math.IsInf(x, 0) || math.IsNaN(x) {
		return math.Pow(x, y)
	}
	const precision = 300 // bits: 64 and what 11 squarings lose, with much to spare
	z, square := big.NewFloat(1).SetPrec(precision), big.NewFloat(x).SetPrec(precision)
	for n := uint64(math.Abs(y)); n > 0; n >>= 1 {
		if n&1 == 1 {
			z.Mul(z, square)
		}
		square.Mul(square, square)
	}
	if y < 0 {
		z.Quo(big.NewFloat(1).SetPrec(precision), z)
	}
	f, _ := z.Float64()
	return f
}

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

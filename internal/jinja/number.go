package jinja

import (
	"math"
	"math/big"
	"math/bits"
	"strconv"
	"strings"
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
		if x.BitLen() <= 1 { // 0, 1 and -1: the exponent's parity says all
			y = new(big.Int).Sub(y, new(big.Int).Lsh(new(big.Int).Rsh(new(big.Int).Sub(y, big.NewInt(int64(min(y.Sign(), 1)))), 1), 1))
		} else if !y.IsInt64() || y.Int64() > maxBits || int64(x.BitLen()-1)*y.Int64() > maxBits {
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
	z := math.Pow(x, y)
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

package grammar

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"github.com/galerne-ai/galerne/internal/grammar/automaton"
)

// Numbers are written without useless zeros or signs. Without bounds, integers fit 64 bits and all
// numbers are finite as a float64.
const (
	maxDigits   = 18 // before the point, where no bound says more
	maxFraction = 32 // behind the point, beyond the digits of a bound
	maxModulus  = 10000
	sumStates   = 1 << 17 // of the automaton of a number's conditions
)

// decimal is an exact number: whole has no leading zeros and frac no trailing ones, so that equal
// numbers are equal structs.
type decimal struct {
	neg         bool
	whole, frac string
}

func parseDecimal(text string) (decimal, error) {
	rest, neg := strings.CutPrefix(text, "-")
	mantissa, exp, hasExp := strings.Cut(strings.ToLower(rest), "e")
	whole, frac, _ := strings.Cut(mantissa, ".")
	if hasExp {
		e, err := strconv.Atoi(exp)
		if err != nil || e > maxExponent || e < -maxExponent {
			return decimal{}, fmt.Errorf("the number %.40s has an exponent beyond %d", text, maxExponent)
		}
		if e > 0 {
			frac += strings.Repeat("0", max(0, e-len(frac)))
			whole, frac = whole+frac[:e], frac[e:]
		} else if e < 0 {
			whole = strings.Repeat("0", max(0, -e-len(whole))) + whole
			whole, frac = whole[:len(whole)+e], whole[len(whole)+e:]+frac
		}
	}
	d := decimal{whole: strings.TrimLeft(whole, "0"), frac: strings.TrimRight(frac, "0")}
	d.neg = neg && (d.whole != "" || d.frac != "")
	if len(d.whole)+len(d.frac) > 3*maxExponent {
		return decimal{}, fmt.Errorf("the number %.40s has %d digits, at most %d", text, len(d.whole)+len(d.frac), 3*maxExponent)
	}
	return d, nil
}

func (d decimal) isInteger() bool { return d.frac == "" }
func (d decimal) isZero() bool    { return d.whole == "" && d.frac == "" }

func (d decimal) negate() decimal {
	d.neg = !d.neg && !d.isZero()
	return d
}

func (d decimal) cmp(e decimal) int {
	switch {
	case d.neg && !e.neg:
		return -1
	case !d.neg && e.neg:
		return 1
	}
	c := len(d.whole) - len(e.whole)
	if c == 0 {
		c = strings.Compare(d.whole, e.whole)
	}
	if c == 0 {
		c = strings.Compare(d.frac, e.frac)
	}
	if d.neg {
		return -c
	}
	return c
}

// String is the number without an exponent.
func (d decimal) String() string {
	text := d.whole0()
	if d.frac != "" {
		text += "." + d.frac
	}
	if d.neg {
		text = "-" + text
	}
	return text
}

// whole0 is the digits before the point, "0" for none.
func (d decimal) whole0() string {
	if d.whole == "" {
		return "0"
	}
	return d.whole
}

// bound is an end of a range of numbers.
type bound struct {
	decimal
	strict bool
}

func (b *bound) admits(d decimal, upper bool) bool {
	if b == nil {
		return true
	}
	c := d.cmp(b.decimal)
	if upper {
		c = -c
	}
	return c > 0 || c == 0 && !b.strict
}

// tighter is the narrower of two bounds; either may be nil.
func tighter(a, b *bound, upper bool) *bound {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	c := a.cmp(b.decimal)
	if upper {
		c = -c
	}
	if c > 0 || c == 0 && a.strict {
		return a
	}
	return b
}

// integer is the innermost integer of a bound.
func (b *bound) integer(upper bool) *big.Int {
	n, _ := new(big.Int).SetString(b.whole0(), 10)
	if b.neg {
		n.Neg(n)
	}
	step := int64(1)
	if upper {
		step = -1
	}
	switch {
	case b.isInteger() && b.strict, !b.isInteger() && b.neg == upper:
		n.Add(n, big.NewInt(step))
	}
	return n
}

func nines(digits int) *big.Int {
	n := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(digits)), nil)
	return n.Sub(n, big.NewInt(1))
}

func (s *store) digit() term { return s.bytes('0', '9') }

// integers are the integers between two bounds, either of which may be nil.
func (s *store) integers(low, high *bound) term {
	if low == nil && high == nil {
		some := s.cat(s.bytes('1', '9'), s.rep(s.digit(), 0, maxDigits-1))
		return s.alt(s.lit("0"), s.cat(s.opt(s.lit("-")), some))
	}
	limit := nines(maxDigits)
	for _, b := range []*bound{low, high} {
		if b != nil && len(b.whole) >= maxDigits {
			limit = nines(len(b.whole) + 1)
		}
	}
	lo, hi := new(big.Int).Neg(limit), limit
	if low != nil {
		lo = low.integer(false)
	}
	if high != nil {
		hi = high.integer(true)
	}
	zero, one := new(big.Int), big.NewInt(1)
	negative := s.naturals(maxInt(new(big.Int).Neg(hi), one), new(big.Int).Neg(lo))
	return s.alt(s.cat(s.lit("-"), negative), s.naturals(maxInt(lo, zero), hi))
}

func maxInt(a, b *big.Int) *big.Int {
	if a.Cmp(b) > 0 {
		return a
	}
	return b
}

// naturals are the integers from lo to hi, lo being at least 0.
func (s *store) naturals(lo, hi *big.Int) term {
	if lo.Cmp(hi) > 0 {
		return none
	}
	a, b := lo.String(), hi.String()
	if len(a) == len(b) {
		return s.sameLength(a, b)
	}
	list := []term{s.sameLength(a, strings.Repeat("9", len(a))), s.sameLength("1"+strings.Repeat("0", len(b)-1), b)}
	if len(b)-len(a) > 1 {
		list = append(list, s.cat(s.bytes('1', '9'), s.rep(s.digit(), int32(len(a)), int32(len(b)-2))))
	}
	return s.alt(list...)
}

// sameLength are the digit strings from a to b, which are equally long.
func (s *store) sameLength(a, b string) term {
	if a == "" {
		return empty
	}
	rest := int32(len(a) - 1)
	if a[0] == b[0] {
		return s.cat2(s.bytes(a[0], a[0]), s.sameLength(a[1:], b[1:]))
	}
	least, most := strings.Repeat("0", int(rest)), strings.Repeat("9", int(rest))
	lo, hi := a[0], b[0]
	var list []term
	if a[1:] != least {
		list = append(list, s.cat2(s.bytes(lo, lo), s.sameLength(a[1:], most)))
		lo++
	}
	if b[1:] != most {
		list = append(list, s.cat2(s.bytes(hi, hi), s.sameLength(least, b[1:])))
		hi--
	}
	if lo <= hi {
		list = append(list, s.cat2(s.bytes(lo, hi), s.rep(s.digit(), rest, rest)))
	}
	return s.alt(list...)
}

// numbers are the numbers between two bounds: any form without bounds, no exponent with one.
func (s *store) numbers(low, high *bound) term {
	if low == nil && high == nil {
		exponent := s.cat(s.alt(s.lit("e"), s.lit("E")), s.opt(s.alt(s.lit("+"), s.lit("-"))), s.digit(), s.opt(s.digit()))
		return s.cat(s.plainNumbers(), s.opt(exponent))
	}
	zero := &bound{}
	above := &bound{strict: true}
	var lo, hi *bound // of negative numbers, turned round
	if low != nil {
		hi = &bound{low.negate(), low.strict}
	}
	if high != nil {
		lo = &bound{high.negate(), high.strict}
	}
	return s.alt(s.cat(s.lit("-"), s.magnitudes(tighter(lo, above, false), hi)), s.magnitudes(tighter(low, zero, false), high))
}

// plainNumbers are numbers without an exponent.
func (s *store) plainNumbers() term {
	whole := s.alt(s.lit("0"), s.cat(s.bytes('1', '9'), s.rep(s.digit(), 0, maxDigits-1)))
	return s.cat(s.opt(s.lit("-")), whole, s.opt(s.cat(s.lit("."), s.rep(s.digit(), 1, maxFraction))))
}

// fractions are texts of digits behind a point: some is those that have any, and none tells whether
// there may be no point at all.
type fractions struct {
	some term
	none bool
}

func (s *store) after(whole term, f fractions) term {
	list := []term{s.cat(s.lit("."), f.some)}
	if f.none {
		list = append(list, empty)
	}
	return s.cat(whole, s.alt(list...))
}

// then is a digit and what may follow it.
func (s *store) then(digit byte, f fractions) term {
	rest := f.some
	if f.none {
		rest = s.opt(rest)
	}
	return s.cat(s.bytes(digit, digit), rest)
}

// magnitudes are the numbers from lo, which is 0 at least, to hi, which may be nil.
func (s *store) magnitudes(lo, hi *bound) term {
	if hi != nil && (hi.neg || lo.cmp(hi.decimal) > 0) {
		return none
	}
	digits := s.rep(s.digit(), 0, maxFraction)
	any := fractions{s.cat(s.digit(), digits), true}
	loWhole, _ := new(big.Int).SetString(lo.whole0(), 10)
	next := new(big.Int).Add(loWhole, big.NewInt(1))
	if hi == nil {
		more := s.naturals(next, nines(max(maxDigits, len(lo.whole)+1)))
		return s.alt(s.after(s.lit(lo.whole0()), s.fractionsAbove(lo.frac, lo.strict)), s.after(more, any))
	}
	if lo.whole == hi.whole {
		return s.after(s.lit(lo.whole0()), s.fractionsBetween(lo.frac, lo.strict, hi.frac, hi.strict))
	}
	hiWhole, _ := new(big.Int).SetString(hi.whole0(), 10)
	return s.alt(
		s.after(s.lit(lo.whole0()), s.fractionsAbove(lo.frac, lo.strict)),
		s.after(s.naturals(next, new(big.Int).Sub(hiWhole, big.NewInt(1))), any),
		s.after(s.lit(hi.whole0()), s.fractionsBelow(hi.frac, hi.strict)),
	)
}

func (s *store) fractionsAbove(f string, strict bool) fractions {
	digits := s.rep(s.digit(), 0, maxFraction)
	if f == "" {
		if strict {
			return fractions{some: s.cat(s.rep(s.lit("0"), 0, maxFraction), s.bytes('1', '9'), digits)}
		}
		return fractions{s.cat(s.digit(), digits), true}
	}
	out := s.then(f[0], s.fractionsAbove(f[1:], strict))
	if f[0] < '9' {
		out = s.alt(out, s.cat(s.bytes(f[0]+1, '9'), digits))
	}
	return fractions{some: out}
}

func (s *store) fractionsBelow(f string, strict bool) fractions {
	if f == "" {
		if strict {
			return fractions{}
		}
		return fractions{s.rep(s.lit("0"), 1, maxFraction), true}
	}
	out := s.then(f[0], s.fractionsBelow(f[1:], strict))
	if f[0] > '0' {
		out = s.alt(out, s.cat(s.bytes('0', f[0]-1), s.rep(s.digit(), 0, maxFraction)))
	}
	return fractions{out, true}
}

func (s *store) fractionsBetween(lo string, loStrict bool, hi string, hiStrict bool) fractions {
	if lo == "" && !loStrict {
		return s.fractionsBelow(hi, hiStrict)
	}
	if hi == "" {
		return fractions{} // 0 is not above lo
	}
	a, b := byte('0'), hi[0]
	loRest := ""
	if lo != "" {
		a, loRest = lo[0], lo[1:]
	}
	var out term
	switch {
	case a > b:
		return fractions{}
	case a == b:
		out = s.then(a, s.fractionsBetween(loRest, loStrict, hi[1:], hiStrict))
	default:
		out = s.alt(s.then(a, s.fractionsAbove(loRest, loStrict)), s.then(b, s.fractionsBelow(hi[1:], hiStrict)))
		if a+1 < b {
			out = s.alt(out, s.cat(s.bytes(a+1, b-1), s.rep(s.digit(), 0, maxFraction)))
		}
	}
	return fractions{some: out}
}

// multiples are the numbers without an exponent that d divides, as an automaton over
// '-', '0' to '9' and '.': a state is the remainder and how many digits follow the point.
func (s *store) multiples(d decimal) (term, bool) {
	scale := len(d.frac)
	k, _ := new(big.Int).SetString(d.whole+d.frac, 10)
	if k == nil || !k.IsInt64() || k.Int64()*int64(scale+1) > maxModulus {
		return none, false
	}
	m := int(k.Int64())
	at := func(rem, places int) int32 { return int32(1 + places*m + rem) } // places 0: before the point; 1: behind it without digits
	auto := &automaton.Table{}
	add := func(accept bool) []int32 {
		row := make([]int32, 12)
		for i := range row {
			row[i] = -1
		}
		auto.Next = append(auto.Next, row)
		auto.Accept = append(auto.Accept, accept)
		return row
	}
	divides := func(rem, digits int) bool { // rem × 10^(scale-digits) is a multiple of m
		for ; digits < scale; digits++ {
			rem = rem * 10 % m
		}
		return rem%m == 0
	}
	start := add(false)
	start[0] = 0
	for c := range 10 {
		start[1+c] = at(c%m, 0)
	}
	for places := 0; places <= scale+1; places++ {
		for rem := range m {
			digits := max(0, places-1)
			row := add(places != 1 && divides(rem, digits))
			if places == 0 && scale > 0 {
				row[11] = at(rem, 1)
			}
			if places == 1+scale {
				continue
			}
			for c := range 10 {
				row[1+c] = at((rem*10+c)%m, min(places, 1)*(places+1))
			}
		}
	}
	classes := []term{s.lit("-")}
	for c := byte('0'); c <= '9'; c++ {
		classes = append(classes, s.bytes(c, c))
	}
	return s.auto(s.addAuto(auto, append(classes, s.lit("."))), 0, noLimit), true
}

// same are the ways to write a number without an exponent.
func (s *store) same(d decimal) term {
	zeros := s.rep(s.lit("0"), 0, noLimit)
	sign := empty
	if d.neg {
		sign = s.lit("-")
	} else if d.isZero() {
		sign = s.opt(s.lit("-"))
	}
	if d.isInteger() {
		return s.cat(sign, s.lit(d.whole0()), s.opt(s.cat(s.lit("."), zeros)))
	}
	return s.cat(sign, s.lit(d.whole0()+"."+d.frac), zeros)
}

// dividedBy reports whether d is a multiple of e, which is not 0.
func (d decimal) dividedBy(e decimal) bool {
	scale := max(len(d.frac), len(e.frac))
	scaled := func(d decimal) *big.Int {
		n, _ := new(big.Int).SetString(d.whole0()+d.frac+strings.Repeat("0", scale-len(d.frac)), 10)
		return n
	}
	return new(big.Int).Rem(scaled(d), scaled(e)).Sign() == 0
}

// formats are JSON Schema's, as regular expressions of the whole text. Each is the standard's form or a
// part of it: what is written is always valid, and rare spellings (leap seconds, lower-case date-time
// letters, quoted local parts, international host names, nested groups of a regex) are not written.
// <name> stands for a part below.
var formats = map[string]string{
	"date":                  `<date>`,
	"time":                  `<time>`,
	"date-time":             `<date>T<time>`,
	"duration":              `P(?:[0-9]{1,9}W|<days>(?:T<hours>)?|T<hours>)`,
	"email":                 `<email>`,
	"idn-email":             `<email>`,
	"hostname":              `<label>(?:\.<label>){0,5}`,
	"idn-hostname":          `<lower>(?:\.<lower>){0,5}`,
	"ipv4":                  `<octet>(?:\.<octet>){3}`,
	"ipv6":                  `<ipv6>`,
	"uuid":                  `<hex>{8}-<hex>{4}-<hex>{4}-<hex>{4}-<hex>{12}`,
	"uri":                   `<uri>`,
	"uri-reference":         `(?:<uri>|(?:/<pchar>+)*/?(?:\?<query>*)?(?:#<query>*)?)`,
	"iri":                   `<origin>(?:/<ichar>*)*(?:\?<ichar>*)?(?:#<ichar>*)?`,
	"iri-reference":         `(?:<origin>(?:/<ichar>*)*|(?:/<ichar>+)*/?)(?:\?<ichar>*)?(?:#<ichar>*)?`,
	"uri-template":          `(?:[A-Za-z0-9._~/:?#=&@-]|%<hex>{2}|\{[+#./;?&]?[A-Za-z0-9_]{1,30}(?:,[A-Za-z0-9_]{1,30}){0,3}\})*`,
	"json-pointer":          `<jsonpointer>`,
	"relative-json-pointer": `(?:0|[1-9][0-9]{0,8})(?:#|<jsonpointer>)`,
	"regex":                 `\^?(?:<atoms>|\((?:\?:)?<atoms>(?:\|<atoms>)*\)<times>?|\|)*\$?`,
}

var formatParts = map[string]string{
	"date":  `(?:<year>-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))|<leap>-02-29)`,
	"year":  `(?:[0-9]{3}[1-9]|[0-9]{2}[1-9]0|[0-9][1-9]00|[1-9]000)`,
	"leap":  `(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)`,
	"time":  `(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])`,
	"days":  `(?:[0-9]{1,9}Y(?:[0-9]{1,9}M(?:[0-9]{1,9}D)?)?|[0-9]{1,9}M(?:[0-9]{1,9}D)?|[0-9]{1,9}D)`,
	"hours": `(?:[0-9]{1,9}H(?:[0-9]{1,9}M(?:[0-9]{1,9}S)?)?|[0-9]{1,9}M(?:[0-9]{1,9}S)?|[0-9]{1,9}S)`,
	"atext": `[A-Za-z0-9!#$%&'*+/=?^_{|}~-]`,
	"email": `<atext>{1,32}(?:\.<atext>{1,15}){0,2}@<label>(?:\.<label>){1,4}`,
	"lower": `[a-z0-9]{1,20}(?:-[a-z0-9]{1,20})?`,
	// At most 41 characters with one hyphen inside, so that six labels stay below a name's 253.
	"label": `[A-Za-z0-9]{1,20}(?:-[A-Za-z0-9]{1,20})?`,
	"octet": `(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])`,
	"hex":   `[0-9a-fA-F]`,
	"h16":   `<hex>{1,4}`,
	"ls32":  `(?:<h16>:<h16>|<octet>(?:\.<octet>){3})`,
	"ipv6": `(?:(?:<h16>:){6}<ls32>|::(?:<h16>:){5}<ls32>|(?:<h16>)?::(?:<h16>:){4}<ls32>|` +
		`(?:(?:<h16>:){0,1}<h16>)?::(?:<h16>:){3}<ls32>|(?:(?:<h16>:){0,2}<h16>)?::(?:<h16>:){2}<ls32>|` +
		`(?:(?:<h16>:){0,3}<h16>)?::<h16>:<ls32>|(?:(?:<h16>:){0,4}<h16>)?::<ls32>|` +
		`(?:(?:<h16>:){0,5}<h16>)?::<h16>|(?:(?:<h16>:){0,6}<h16>)?::)`,
	"pchar":  `(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%<hex>{2})`,
	"query":  `(?:<pchar>|[/?])`,
	"origin": `[A-Za-z][A-Za-z0-9+.-]*://(?:<label>(?:\.<label>)*|<octet>(?:\.<octet>){3}|\[<ipv6>\])(?::[0-9]{1,5})?`,
	"ichar":  `(?:<pchar>|[\u00A0-\uD7FF\uF900-\uFDCF\uFDF0-\uFFEF])`,
	"times":  `(?:[*+?]|\{[1-9]\})`,
	"atoms":  `(?:(?:[A-Za-z0-9 _/:,@=-]|\\[dDwWsS.*+?()\[\]{}|^$/]|\.|\[\^?(?:a-z|A-Z|0-9|_|\\[dws])+\])<times>?)+`,
	"uri": `(?:<origin>(?:/<pchar>*)*|[A-Za-z][A-Za-z0-9+.-]*:` +
		`/?<pchar>+(?:/<pchar>*)*)(?:\?<query>*)?(?:#<query>*)?`,
	"jsonpointer": `(?:/(?:[^~/]|~[01])*)*`,
}

// expandFormat puts the parts in their places; parts have parts, and none has itself.
func expandFormat(expr string) string {
	for {
		from := strings.IndexByte(expr, '<')
		if from < 0 {
			return expr
		}
		end := from + strings.IndexByte(expr[from:], '>')
		expr = expr[:from] + "(?:" + formatParts[expr[from+1:end]] + ")" + expr[end+1:]
	}
}

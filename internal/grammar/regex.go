package grammar

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxPattern      = 16 << 10 // bytes of a regular expression
	maxPatternDepth = 100      // groups in groups
	maxRepeat       = 1 << 20  // of one counted repetition
)

type patternOp uint8

const (
	opEmpty patternOp = iota
	opSet             // one code point
	opCat
	opAlt
	opRep   // subs[0], min to max times
	opBegin // ^
	opEnd   // $
	opLook  // what follows begins, or with not does not begin, with subs[0]
)

// pattern is a regular expression as ECMA-262 reads it with the u flag.
type pattern struct {
	op       patternOp
	set      runeSet
	subs     []*pattern
	min, max int32
	not      bool
}

type regexParser struct {
	text  string
	at    int
	depth int
	fold  bool      // (?i)
	dotNL bool      // (?s)
	pairs [][2]rune // code points that (?i) takes for each other, once they are needed
}

func parseRegex(text string) (*pattern, error) {
	p := &regexParser{text: text}
	if len(text) > maxPattern {
		return nil, ErrLimit.Because("grammar: the regular expression has %d bytes, at most %d", len(text), maxPattern)
	}
	if !utf8.ValidString(text) {
		return nil, ErrRegex.Because("grammar: the regular expression is not UTF-8")
	}
	out, err := p.alternatives()
	if err == nil && p.at < len(text) {
		err = p.wrong("unmatched )")
	}
	return out, err
}

func (p *regexParser) wrong(format string) error {
	return ErrRegex.Because("grammar: regular expression %.60q: %s at byte %d", p.text, format, p.at)
}

func (p *regexParser) peek() rune {
	if p.at >= len(p.text) {
		return -1
	}
	r, _ := utf8.DecodeRuneInString(p.text[p.at:])
	return r
}

func (p *regexParser) next() rune {
	r := p.peek()
	if r >= 0 {
		p.at += utf8.RuneLen(r)
	}
	return r
}

func (p *regexParser) accept(s string) bool {
	if strings.HasPrefix(p.text[p.at:], s) {
		p.at += len(s)
		return true
	}
	return false
}

func (p *regexParser) alternatives() (*pattern, error) {
	if p.depth++; p.depth > maxPatternDepth {
		return nil, ErrLimit.Because("grammar: the regular expression nests deeper than %d groups", maxPatternDepth)
	}
	defer func() { p.depth-- }()
	var alts []*pattern
	for {
		var seq []*pattern
		for r := p.peek(); r >= 0 && r != '|' && r != ')'; r = p.peek() {
			item, err := p.item()
			if err != nil {
				return nil, err
			}
			if item != nil {
				seq = append(seq, item)
			}
		}
		alts = append(alts, &pattern{op: opCat, subs: seq})
		if !p.accept("|") {
			break
		}
	}
	if len(alts) == 1 {
		return alts[0], nil
	}
	return &pattern{op: opAlt, subs: alts}, nil
}

// item is an atom with its quantifier, nil for a flag group.
func (p *regexParser) item() (*pattern, error) {
	atom, err := p.atom()
	if err != nil || atom == nil {
		return nil, err
	}
	min, max, ok, err := p.quantifier()
	if err != nil || !ok {
		return atom, err
	}
	if atom.op == opBegin || atom.op == opEnd || atom.op == opLook {
		return nil, p.wrong("nothing to repeat")
	}
	p.accept("?") // fewest first: the same language
	if _, _, again, _ := p.quantifier(); again {
		return nil, p.wrong("nothing to repeat")
	}
	return &pattern{op: opRep, subs: []*pattern{atom}, min: min, max: max}, nil
}

func (p *regexParser) quantifier() (min, max int32, ok bool, err error) {
	switch {
	case p.accept("*"):
		return 0, noLimit, true, nil
	case p.accept("+"):
		return 1, noLimit, true, nil
	case p.accept("?"):
		return 0, 1, true, nil
	case p.peek() != '{':
		return 0, 0, false, nil
	}
	end := strings.IndexByte(p.text[p.at:], '}')
	if end < 0 {
		return 0, 0, false, nil
	}
	lo, hi, comma := strings.Cut(p.text[p.at+1:p.at+end], ",")
	if !digits(lo) || comma && hi != "" && !digits(hi) {
		return 0, 0, false, nil // a brace that is no quantifier stands for itself
	}
	a, err1 := strconv.Atoi(lo)
	b := a
	var err2 error
	if comma {
		if b = int(noLimit); hi != "" {
			b, err2 = strconv.Atoi(hi)
		}
	}
	if err1 != nil || err2 != nil || a > maxRepeat || b > maxRepeat {
		return 0, 0, false, ErrLimit.Because("grammar: repetition {%s,%s} in the regular expression: at most %d", lo, hi, maxRepeat)
	}
	if b != int(noLimit) && b < a {
		return 0, 0, false, p.wrong("repetition with its maximum below its minimum")
	}
	p.at += end + 1
	return int32(a), int32(b), true, nil
}

func digits(s string) bool {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return s != ""
}

func (p *regexParser) atom() (*pattern, error) {
	switch r := p.next(); r {
	case '^':
		return &pattern{op: opBegin}, nil
	case '$':
		return &pattern{op: opEnd}, nil
	case '.':
		if p.dotNL {
			return one(allRunes()), nil
		}
		return one(newRuneSet(runeRange{'\n', '\n'}, runeRange{'\r', '\r'}, runeRange{0x2028, 0x2029}).complement()), nil
	case '(':
		return p.group()
	case '[':
		set, err := p.class()
		return one(set), err
	case '\\':
		return p.escapeAtom()
	case '*', '+', '?':
		p.at--
		return nil, p.wrong("nothing to repeat")
	default:
		return one(p.folded(runeSet{{r, r}})), nil
	}
}

func one(set runeSet) *pattern { return &pattern{op: opSet, set: set} }

func (p *regexParser) group() (*pattern, error) {
	fold, dotNL := p.fold, p.dotNL
	look, not := false, false
	if p.accept("?") {
		switch {
		case p.accept(":"):
		case p.accept("="):
			look = true
		case p.accept("!"):
			look, not = true, true
		case p.accept("<="), p.accept("<!"):
			return nil, p.wrong("lookbehind, which this server does not have,")
		case p.accept("<"), p.accept("P<"):
			end := strings.IndexByte(p.text[p.at:], '>')
			if end < 1 {
				return nil, p.wrong("group name without >")
			}
			p.at += end + 1
		default:
			whole, err := p.flags()
			if err != nil || whole {
				return nil, err
			}
		}
	}
	body, err := p.alternatives()
	if err != nil {
		return nil, err
	}
	if !p.accept(")") {
		return nil, p.wrong("missing )")
	}
	p.fold, p.dotNL = fold, dotNL
	if look {
		return &pattern{op: opLook, not: not, subs: []*pattern{body}}, nil
	}
	return &pattern{op: opCat, subs: []*pattern{body}}, nil
}

// flags reads (?is-is) and (?is-is: ; whole is true for the first, which lasts to the group's end.
func (p *regexParser) flags() (whole bool, err error) {
	on := true
	for {
		switch p.next() {
		case 'i':
			p.fold = on
		case 's':
			p.dotNL = on
		case '-':
			on = false
		case ':':
			return false, nil
		case ')':
			return true, nil
		default:
			return false, p.wrong("group or flag that this server does not have")
		}
	}
}

func (p *regexParser) folded(set runeSet) runeSet {
	if !p.fold {
		return set
	}
	if p.pairs == nil {
		p.pairs = casePairs()
	}
	ranges := append([]runeRange(nil), set...)
	for _, c := range p.pairs {
		if set.has(c[0]) {
			ranges = append(ranges, runeRange{c[1], c[1]})
		}
	}
	return newRuneSet(ranges...)
}

// casePairs are the code points that differ in case only.
func casePairs() [][2]rune {
	const lastCased = 0x1E943
	var out [][2]rune
	for r := rune(0); r <= lastCased; r++ {
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			out = append(out, [2]rune{r, f})
		}
	}
	return out
}

func (p *regexParser) escapeAtom() (*pattern, error) {
	switch r := p.peek(); {
	case r == 'A':
		p.at++
		return &pattern{op: opBegin}, nil
	case r == 'z':
		p.at++
		return &pattern{op: opEnd}, nil
	case r == 'b' || r == 'B':
		return nil, p.wrong(`word border, which this server does not have,`)
	case r >= '1' && r <= '9' || r == 'k':
		return nil, p.wrong("back reference, which no finite automaton has,")
	}
	set, err := p.escape()
	return one(p.folded(set)), err
}

// class reads a bracketed class behind its bracket.
func (p *regexParser) class() (runeSet, error) {
	negated := p.accept("^")
	var ranges []runeRange
	for !p.accept("]") {
		if p.at >= len(p.text) {
			return nil, p.wrong("missing ]")
		}
		if strings.HasPrefix(p.text[p.at:], "[:") && strings.Contains(p.text[p.at:], ":]") {
			return nil, p.wrong(`POSIX class (write \d, \w, \s or \p{...} instead)`)
		}
		lo, err := p.classAtom()
		if err != nil {
			return nil, err
		}
		rest := p.text[p.at:]
		if len(rest) < 2 || rest[0] != '-' || rest[1] == ']' {
			ranges = append(ranges, lo...)
			continue
		}
		p.at++
		hi, err := p.classAtom()
		if err != nil {
			return nil, err
		}
		single := func(s runeSet) bool { return len(s) == 1 && s[0].lo == s[0].hi }
		switch {
		case !single(lo) || !single(hi): // [\w-.]: the dash stands for itself
			ranges = append(append(append(ranges, lo...), hi...), runeRange{'-', '-'})
		case hi[0].lo < lo[0].lo:
			return nil, p.wrong("range out of order")
		default:
			ranges = append(ranges, runeRange{lo[0].lo, hi[0].lo})
		}
	}
	set := p.folded(newRuneSet(ranges...))
	if negated {
		set = set.complement()
	}
	return set, nil
}

func (p *regexParser) classAtom() (runeSet, error) {
	r := p.next()
	if r < 0 {
		return nil, p.wrong("missing ]")
	}
	if r != '\\' {
		return runeSet{{r, r}}, nil
	}
	if p.accept("b") {
		return runeSet{{'\b', '\b'}}, nil
	}
	return p.escape()
}

func perlClass(r rune) runeSet {
	switch r {
	case 'd':
		return runeSet{{'0', '9'}}
	case 'w':
		return runeSet{{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}}
	case 's':
		return newRuneSet(append(tableRanges(unicode.Zs), runeRange{'\t', '\r'}, runeRange{0x2028, 0x2029}, runeRange{0xFEFF, 0xFEFF})...)
	}
	return nil
}

// escape reads behind a backslash.
func (p *regexParser) escape() (runeSet, error) {
	r := p.next()
	if set := perlClass(r); set != nil {
		return set, nil
	}
	if set := perlClass(unicode.ToLower(r)); set != nil && r < utf8.RuneSelf {
		return set.complement(), nil
	}
	if i := strings.IndexRune("nrtfv", r); i >= 0 {
		c := rune("\n\r\t\f\v"[i])
		return runeSet{{c, c}}, nil
	}
	switch {
	case r == 'p' || r == 'P':
		return p.property(r == 'P')
	case r == 'x' || r == 'u':
		c, err := p.hex(r)
		return runeSet{{c, c}}, err
	case r == '0' && (p.peek() < '0' || p.peek() > '9'):
		return runeSet{{0, 0}}, nil
	case r == 'c':
		if c := p.next(); c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' {
			return runeSet{{c & 31, c & 31}}, nil
		}
	case r >= 0 && r < utf8.RuneSelf && !unicode.IsLetter(r) && !unicode.IsDigit(r):
		return runeSet{{r, r}}, nil
	}
	return nil, p.wrong("unknown escape")
}

func (p *regexParser) hex(kind rune) (rune, error) {
	n := 2
	if kind == 'u' {
		n = 4
	}
	rest := p.text[p.at:]
	if strings.HasPrefix(rest, "{") {
		end := strings.IndexByte(rest, '}')
		if end < 0 {
			return 0, p.wrong("missing }")
		}
		v, err := strconv.ParseUint(rest[1:end], 16, 32)
		if err != nil || !utf8.ValidRune(rune(v)) {
			return 0, p.wrong("no code point")
		}
		p.at += end + 1
		return rune(v), nil
	}
	if len(rest) < n {
		return 0, p.wrong("too few hexadecimal digits")
	}
	v, err := strconv.ParseUint(rest[:n], 16, 32)
	if err != nil {
		return 0, p.wrong("bad hexadecimal digits")
	}
	p.at += n
	if low := p.text[p.at:]; v >= surrogateMin && v < 0xDC00 && len(low) >= 6 && low[:2] == `\u` {
		w, err := strconv.ParseUint(low[2:6], 16, 32)
		if err == nil && w >= 0xDC00 && w <= surrogateMax {
			p.at += 6
			return rune((v-surrogateMin)<<10+(w-0xDC00)) + 0x10000, nil
		}
	}
	if !utf8.ValidRune(rune(v)) {
		return 0, p.wrong("half of a surrogate pair")
	}
	return rune(v), nil
}

// property reads the name of a Unicode property: a category, a script, or a long name of either.
func (p *regexParser) property(negated bool) (runeSet, error) {
	name := ""
	if p.accept("{") {
		end := strings.IndexByte(p.text[p.at:], '}')
		if end < 0 {
			return nil, p.wrong("missing }")
		}
		name = p.text[p.at : p.at+end]
		p.at += end + 1
	} else if r := p.next(); r >= 0 {
		name = string(r)
	}
	if rest, ok := strings.CutPrefix(name, "^"); ok {
		name, negated = rest, !negated
	}
	key, value, found := strings.Cut(name, "=")
	if found && (key == "Script" || key == "sc" || key == "General_Category" || key == "gc") {
		name = value
	}
	set := propertySet(name)
	if set == nil {
		return nil, p.wrong("unknown Unicode property")
	}
	if negated {
		set = set.complement()
	}
	return set, nil
}

func propertySet(name string) runeSet {
	if name == "Any" {
		return allRunes()
	}
	long := map[string]string{
		"Letter": "L", "Lowercase_Letter": "Ll", "Uppercase_Letter": "Lu", "Titlecase_Letter": "Lt", "Modifier_Letter": "Lm",
		"Other_Letter": "Lo", "Mark": "M", "Number": "N", "Decimal_Number": "Nd", "digit": "Nd", "Letter_Number": "Nl",
		"Other_Number": "No", "Punctuation": "P", "punct": "P", "Symbol": "S", "Math_Symbol": "Sm", "Currency_Symbol": "Sc",
		"Separator": "Z", "Space_Separator": "Zs", "Other": "C", "Control": "Cc", "cntrl": "Cc", "Format": "Cf",
	}
	switch name {
	case "ASCII":
		return runeSet{{0, unicode.MaxASCII}}
	case "Alphabetic":
		return newRuneSet(append(append(tableRanges(unicode.L), tableRanges(unicode.Nl)...), tableRanges(unicode.Other_Alphabetic)...)...)
	case "Uppercase":
		return newRuneSet(append(tableRanges(unicode.Lu), tableRanges(unicode.Other_Uppercase)...)...)
	case "Lowercase":
		return newRuneSet(append(tableRanges(unicode.Ll), tableRanges(unicode.Other_Lowercase)...)...)
	}
	if short := long[name]; short != "" {
		name = short
	}
	for _, tables := range []map[string]*unicode.RangeTable{unicode.Categories, unicode.Scripts, unicode.Properties} {
		if t := tables[name]; t != nil {
			return newRuneSet(tableRanges(t)...)
		}
	}
	return nil
}

func tableRanges(t *unicode.RangeTable) []runeRange {
	var out []runeRange
	add := func(lo, hi, stride rune) {
		if stride == 1 {
			out = append(out, runeRange{lo, hi})
			return
		}
		for r := lo; r <= hi; r += stride {
			out = append(out, runeRange{r, r})
		}
	}
	for _, r := range t.R16 {
		add(rune(r.Lo), rune(r.Hi), rune(r.Stride))
	}
	for _, r := range t.R32 {
		add(rune(r.Lo), rune(r.Hi), rune(r.Stride))
	}
	return out
}

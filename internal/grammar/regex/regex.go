// Package regex answers: what does a regular expression say? Its text becomes a pattern of sets of code points. What that
// allows an answer is for package grammar to say.
package regex

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/galerne-ai/galerne/internal/fault"
)

var (
	// ErrSyntax: the regular expression is malformed or uses what this package does not have.
	ErrSyntax = fault.New(fault.Invalid, "invalid_regex", "grammar: bad regular expression")
	// ErrLimit: the regular expression, or the grammar that it is in, is larger than is allowed.
	ErrLimit = fault.New(fault.Invalid, "grammar_too_large", "grammar: too large")
)

const (
	MaxText   = 16 << 10  // bytes of a regular expression
	maxDepth  = 100       // groups in groups
	MaxRepeat = 1 << 20   // of one counted repetition
	NoLimit   = int32(-1) // of Pattern.Max
)

// Op is what a pattern is made of its parts with.
type Op uint8

const (
	Empty Op = iota
	Set      // one code point
	Cat
	Alt
	Rep   // Subs[0], Min to Max times
	Begin // ^
	End   // $
	Look  // what follows begins, or with Not does not begin, with Subs[0]
)

// Pattern is a regular expression as ECMA-262 reads it with the u flag.
type Pattern struct {
	Op       Op
	Set      Runes
	Subs     []*Pattern
	Min, Max int32
	Not      bool
}

type parser struct {
	text  string
	at    int
	depth int
	fold  bool      // (?i)
	dotNL bool      // (?s)
	pairs [][2]rune // code points that (?i) takes for each other, once they are needed
}

// Parse reads ECMA-262's dialect with the u flag, and RE2's flags, \A, \z and names; no back references, no lookbehind,
// no word borders.
func Parse(text string) (*Pattern, error) {
	p := &parser{text: text}
	if len(text) > MaxText {
		return nil, ErrLimit.Because("grammar: the regular expression has %d bytes, at most %d", len(text), MaxText)
	}
	if !utf8.ValidString(text) {
		return nil, ErrSyntax.Because("grammar: the regular expression is not UTF-8")
	}
	out, err := p.alternatives()
	if err == nil && p.at < len(text) {
		err = p.wrong("unmatched )")
	}
	return out, err
}

func (p *parser) wrong(format string) error {
	return ErrSyntax.Because("grammar: regular expression %.60q: %s at byte %d", p.text, format, p.at)
}

func (p *parser) peek() rune {
	if p.at >= len(p.text) {
		return -1
	}
	r, _ := utf8.DecodeRuneInString(p.text[p.at:])
	return r
}

func (p *parser) next() rune {
	r := p.peek()
	if r >= 0 {
		p.at += utf8.RuneLen(r)
	}
	return r
}

func (p *parser) accept(s string) bool {
	if strings.HasPrefix(p.text[p.at:], s) {
		p.at += len(s)
		return true
	}
	return false
}

func (p *parser) alternatives() (*Pattern, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, ErrLimit.Because("grammar: the regular expression nests deeper than %d groups", maxDepth)
	}
	defer func() { p.depth-- }()
	var alts []*Pattern
	for {
		var seq []*Pattern
		for r := p.peek(); r >= 0 && r != '|' && r != ')'; r = p.peek() {
			item, err := p.item()
			if err != nil {
				return nil, err
			}
			if item != nil {
				seq = append(seq, item)
			}
		}
		alts = append(alts, &Pattern{Op: Cat, Subs: seq})
		if !p.accept("|") {
			break
		}
	}
	if len(alts) == 1 {
		return alts[0], nil
	}
	return &Pattern{Op: Alt, Subs: alts}, nil
}

// item is an atom with its quantifier, nil for a flag group.
func (p *parser) item() (*Pattern, error) {
	atom, err := p.atom()
	if err != nil || atom == nil {
		return nil, err
	}
	min, max, ok, err := p.quantifier()
	if err != nil || !ok {
		return atom, err
	}
	if atom.Op == Begin || atom.Op == End || atom.Op == Look {
		return nil, p.wrong("nothing to repeat")
	}
	p.accept("?") // fewest first: the same language
	if _, _, again, _ := p.quantifier(); again {
		return nil, p.wrong("nothing to repeat")
	}
	return &Pattern{Op: Rep, Subs: []*Pattern{atom}, Min: min, Max: max}, nil
}

func (p *parser) quantifier() (min, max int32, ok bool, err error) {
	switch {
	case p.accept("*"):
		return 0, NoLimit, true, nil
	case p.accept("+"):
		return 1, NoLimit, true, nil
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
		if b = int(NoLimit); hi != "" {
			b, err2 = strconv.Atoi(hi)
		}
	}
	if err1 != nil || err2 != nil || a > MaxRepeat || b > MaxRepeat {
		return 0, 0, false, ErrLimit.Because("grammar: repetition {%s,%s} in the regular expression: at most %d", lo, hi, MaxRepeat)
	}
	if b != int(NoLimit) && b < a {
		return 0, 0, false, p.wrong("repetition with its maximum below its minimum")
	}
	p.at += end + 1
	return int32(a), int32(b), true, nil
}

func (p *parser) atom() (*Pattern, error) {
	switch r := p.next(); r {
	case '^':
		return &Pattern{Op: Begin}, nil
	case '$':
		return &Pattern{Op: End}, nil
	case '.':
		if p.dotNL {
			return One(AllRunes()), nil
		}
		return One(NewRunes(Range{'\n', '\n'}, Range{'\r', '\r'}, Range{0x2028, 0x2029}).Complement()), nil
	case '(':
		return p.group()
	case '[':
		set, err := p.class()
		return One(set), err
	case '\\':
		return p.escapeAtom()
	case '*', '+', '?':
		p.at--
		return nil, p.wrong("nothing to repeat")
	default:
		return One(p.folded(Runes{{r, r}})), nil
	}
}

func (p *parser) group() (*Pattern, error) {
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
		return &Pattern{Op: Look, Not: not, Subs: []*Pattern{body}}, nil
	}
	return &Pattern{Op: Cat, Subs: []*Pattern{body}}, nil
}

// flags reads (?is-is) and (?is-is: ; whole is true for the first, which lasts to the group's end.
func (p *parser) flags() (whole bool, err error) {
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

func (p *parser) folded(set Runes) Runes {
	if !p.fold {
		return set
	}
	if p.pairs == nil {
		p.pairs = casePairs()
	}
	ranges := append([]Range(nil), set...)
	for _, c := range p.pairs {
		if set.Has(c[0]) {
			ranges = append(ranges, Range{c[1], c[1]})
		}
	}
	return NewRunes(ranges...)
}

func (p *parser) escapeAtom() (*Pattern, error) {
	switch r := p.peek(); {
	case r == 'A':
		p.at++
		return &Pattern{Op: Begin}, nil
	case r == 'z':
		p.at++
		return &Pattern{Op: End}, nil
	case r == 'b' || r == 'B':
		return nil, p.wrong(`word border, which this server does not have,`)
	case r >= '1' && r <= '9' || r == 'k':
		return nil, p.wrong("back reference, which no finite automaton has,")
	}
	set, err := p.escape()
	return One(p.folded(set)), err
}

// class reads a bracketed class behind its bracket.
func (p *parser) class() (Runes, error) {
	negated := p.accept("^")
	var ranges []Range
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
		single := func(s Runes) bool { return len(s) == 1 && s[0].Lo == s[0].Hi }
		switch {
		case !single(lo) || !single(hi): // [\w-.]: the dash stands for itself
			ranges = append(append(append(ranges, lo...), hi...), Range{'-', '-'})
		case hi[0].Lo < lo[0].Lo:
			return nil, p.wrong("range out of order")
		default:
			ranges = append(ranges, Range{lo[0].Lo, hi[0].Lo})
		}
	}
	set := p.folded(NewRunes(ranges...))
	if negated {
		set = set.Complement()
	}
	return set, nil
}

func (p *parser) classAtom() (Runes, error) {
	r := p.next()
	if r < 0 {
		return nil, p.wrong("missing ]")
	}
	if r != '\\' {
		return Runes{{r, r}}, nil
	}
	if p.accept("b") {
		return Runes{{'\b', '\b'}}, nil
	}
	return p.escape()
}

// escape reads behind a backslash.
func (p *parser) escape() (Runes, error) {
	r := p.next()
	if set := perlClass(r); set != nil {
		return set, nil
	}
	if set := perlClass(unicode.ToLower(r)); set != nil && r < utf8.RuneSelf {
		return set.Complement(), nil
	}
	if i := strings.IndexRune("nrtfv", r); i >= 0 {
		c := rune("\n\r\t\f\v"[i])
		return Runes{{c, c}}, nil
	}
	switch {
	case r == 'p' || r == 'P':
		return p.property(r == 'P')
	case r == 'x' || r == 'u':
		c, err := p.hex(r)
		return Runes{{c, c}}, err
	case r == '0' && (p.peek() < '0' || p.peek() > '9'):
		return Runes{{0, 0}}, nil
	case r == 'c':
		if c := p.next(); c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' {
			return Runes{{c & 31, c & 31}}, nil
		}
	case r >= 0 && r < utf8.RuneSelf && !unicode.IsLetter(r) && !unicode.IsDigit(r):
		return Runes{{r, r}}, nil
	}
	return nil, p.wrong("unknown escape")
}

func (p *parser) hex(kind rune) (rune, error) {
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
func (p *parser) property(negated bool) (Runes, error) {
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
		set = set.Complement()
	}
	return set, nil
}

func digits(s string) bool {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return s != ""
}

// One matches one code point of a set.
func One(set Runes) *Pattern { return &Pattern{Op: Set, Set: set} }

// Literal matches one text.
func Literal(text string) *Pattern {
	p := &Pattern{Op: Cat}
	for _, r := range text {
		p.Subs = append(p.Subs, One(Runes{{r, r}}))
	}
	return p
}

func perlClass(r rune) Runes {
	switch r {
	case 'd':
		return Runes{{'0', '9'}}
	case 'w':
		return Runes{{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}}
	case 's':
		return NewRunes(append(tableRanges(unicode.Zs), Range{'\t', '\r'}, Range{0x2028, 0x2029}, Range{0xFEFF, 0xFEFF})...)
	}
	return nil
}

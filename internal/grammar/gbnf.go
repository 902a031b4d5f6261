package grammar

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/galerne-ai/galerne/internal/grammar/regex"
)

const (
	maxGBNF      = 1 << 20 // bytes of a grammar's text
	maxGBNFDepth = 200     // groups in groups
)

// gbnfParser reads llama.cpp's notation into a store.
type gbnfParser struct {
	*store
	text  string
	at    int
	depth int
	rules map[string]term
	first map[string]int // where a rule is first named
	has   map[string]bool
	calls []string // names in order of first use
}

// CompileGBNF makes a grammar of llama.cpp's notation; the rule root is what the answer must be.
// Terminals are code points. Tokens by name or number (<think>, <[12]>) are refused: this package
// constrains text, and tokens of that kind are no text.
func CompileGBNF(text string) (*Grammar, error) {
	if len(text) > maxGBNF {
		return nil, ErrLimit.Because("grammar: the GBNF text has %d bytes, at most %d", len(text), maxGBNF)
	}
	if !utf8.ValidString(text) {
		return nil, ErrGBNF.Because("grammar: the GBNF text is not UTF-8")
	}
	p := &gbnfParser{store: newStore(), text: text, rules: map[string]term{}, first: map[string]int{}, has: map[string]bool{}}
	p.space(true)
	for p.at < len(p.text) {
		if err := p.definition(); err != nil {
			return nil, err
		}
	}
	if !p.has["root"] {
		return nil, ErrGBNF.Because("grammar: there is no rule named root: it must say what the answer is")
	}
	for _, name := range p.calls {
		if !p.has[name] {
			p.at = p.first[name]
			return nil, p.wrong("rule " + strconv.Quote(name) + " is not defined: it is used")
		}
	}
	return sealed(p.store, p.rules["root"])
}

func (p *gbnfParser) wrong(what string) error {
	line := 1 + strings.Count(p.text[:p.at], "\n")
	column := 1 + utf8.RuneCountInString(p.text[strings.LastIndexByte(p.text[:p.at], '\n')+1:p.at])
	return ErrGBNF.Because("grammar: GBNF: %s at line %d, column %d", what, line, column)
}

// space skips blanks and comments, and with lines line ends too.
func (p *gbnfParser) space(lines bool) {
	for p.at < len(p.text) {
		switch c := p.text[p.at]; {
		case c == ' ' || c == '\t' || lines && (c == '\n' || c == '\r'):
			p.at++
		case c == '#':
			if end := strings.IndexAny(p.text[p.at:], "\r\n"); end >= 0 {
				p.at += end
			} else {
				p.at = len(p.text)
			}
		default:
			return
		}
	}
}

func (p *gbnfParser) peek() byte {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}

func (p *gbnfParser) name() string {
	from := p.at
	for isWord(p.peek()) {
		p.at++
	}
	return p.text[from:p.at]
}

func (p *gbnfParser) ref(name string, at int) term {
	r, ok := p.rules[name]
	if !ok {
		r = p.rule(name)
		p.rules[name] = r
		p.first[name] = at
		p.calls = append(p.calls, name)
	}
	return r
}

func (p *gbnfParser) definition() error {
	from := p.at
	name := p.name()
	if name == "" {
		return p.wrong("expected the name of a rule")
	}
	p.space(false)
	if !strings.HasPrefix(p.text[p.at:], "::=") {
		return p.wrong("expected ::= behind the name " + strconv.Quote(name))
	}
	if p.has[name] {
		p.at = from
		return p.wrong("rule " + strconv.Quote(name) + " is defined twice, again")
	}
	p.at += 3
	p.space(true)
	rule := p.ref(name, from)
	body, err := p.alternatives(false)
	if err != nil {
		return err
	}
	if p.full {
		return errTooLarge()
	}
	p.define(rule, body)
	p.has[name] = true
	if c := p.peek(); c != 0 && c != '\n' && c != '\r' || c == 0 && p.at < len(p.text) {
		return p.wrong("expected the end of the rule")
	}
	p.space(true)
	return nil
}

func (p *gbnfParser) alternatives(nested bool) (term, error) {
	if p.depth++; p.depth > maxGBNFDepth {
		return none, ErrLimit.Because("grammar: GBNF nests deeper than %d groups", maxGBNFDepth)
	}
	defer func() { p.depth-- }()
	var alts []term
	for {
		seq, err := p.sequence(nested)
		if err != nil {
			return none, err
		}
		alts = append(alts, seq)
		if p.peek() != '|' {
			return p.alt(alts...), nil
		}
		p.at++
		p.space(true)
	}
}

func (p *gbnfParser) sequence(nested bool) (term, error) {
	var parts []term
	for {
		t, ok, err := p.item(nested)
		if err != nil {
			return none, err
		}
		if !ok {
			return p.cat(parts...), nil
		}
		p.space(nested)
		for {
			var again bool
			if t, again, err = p.repeated(t); err != nil {
				return none, err
			}
			if !again {
				break
			}
			p.space(nested)
		}
		parts = append(parts, t)
	}
}

// item is a literal, class, rule or group; ok is false where the sequence ends.
func (p *gbnfParser) item(nested bool) (t term, ok bool, err error) {
	switch c := p.peek(); {
	case c == '"':
		t, err = p.literal()
	case c == '[':
		t, err = p.class()
	case c == '.':
		p.at++
		t = p.utf8(regex.AllRunes())
	case c == '(':
		p.at++
		p.space(true)
		if t, err = p.alternatives(true); err != nil {
			return none, false, err
		}
		if p.peek() != ')' {
			return none, false, p.wrong("missing )")
		}
		p.at++
	case c == '<' || c == '!':
		return none, false, p.wrong("tokens by name or number are not supported: constrain their text instead,")
	case isWord(c):
		from := p.at
		t = p.ref(p.name(), from)
	default:
		return none, false, nil
	}
	return t, err == nil, err
}

func (p *gbnfParser) repeated(t term) (term, bool, error) {
	switch p.peek() {
	case '*':
		p.at++
		return p.rep(t, 0, noLimit), true, nil
	case '+':
		p.at++
		return p.rep(t, 1, noLimit), true, nil
	case '?':
		p.at++
		return p.opt(t), true, nil
	case '{':
	default:
		return t, false, nil
	}
	end := strings.IndexByte(p.text[p.at:], '}')
	if end < 0 {
		return none, false, p.wrong("missing }")
	}
	lo, hi, comma := strings.Cut(p.text[p.at+1:p.at+end], ",")
	lo, hi = strings.TrimSpace(lo), strings.TrimSpace(hi)
	min, err1 := strconv.Atoi(lo)
	max := min
	var err2 error
	if comma {
		if max = int(noLimit); hi != "" {
			max, err2 = strconv.Atoi(hi)
		}
	}
	switch {
	case err1 != nil || err2 != nil || strings.Trim(lo+hi, "0123456789") != "":
		return none, false, p.wrong("expected {m}, {m,} or {m,n}")
	case min > maxRepeat || max > maxRepeat:
		return none, false, ErrLimit.Because("grammar: GBNF repetition {%s,%s}: at most %d", lo, hi, maxRepeat)
	case max != int(noLimit) && max < min:
		return none, false, p.wrong("repetition with its maximum below its minimum")
	}
	p.at += end + 1
	return p.rep(t, int32(min), int32(max)), true, nil
}

func (p *gbnfParser) literal() (term, error) {
	p.at++
	var text []byte
	for p.peek() != '"' {
		r, err := p.char()
		if err != nil {
			return none, err
		}
		text = utf8.AppendRune(text, r)
	}
	p.at++
	return p.lit(string(text)), nil
}

func (p *gbnfParser) class() (term, error) {
	p.at++
	negated := p.peek() == '^'
	if negated {
		p.at++
	}
	var ranges []regex.Range
	for p.peek() != ']' {
		lo, err := p.char()
		if err != nil {
			return none, err
		}
		hi := lo
		if p.peek() == '-' && p.at+1 < len(p.text) && p.text[p.at+1] != ']' {
			p.at++
			if hi, err = p.char(); err != nil {
				return none, err
			}
			if hi < lo {
				return none, p.wrong("range out of order")
			}
		}
		ranges = append(ranges, regex.Range{Lo: lo, Hi: hi})
	}
	p.at++
	set := regex.NewRunes(ranges...)
	if negated {
		set = set.Complement()
	}
	return p.utf8(set), nil
}

// char is one character of a literal or class.
func (p *gbnfParser) char() (rune, error) {
	r, size := utf8.DecodeRuneInString(p.text[p.at:])
	if size == 0 {
		return 0, p.wrong("the text ends inside a literal or class")
	}
	p.at += size
	if r != '\\' {
		return r, nil
	}
	c := p.peek()
	p.at++
	switch c {
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case '\\', '"', '[', ']', '-', '^', '/':
		return rune(c), nil
	case 'x', 'u', 'U':
		n := map[byte]int{'x': 2, 'u': 4, 'U': 8}[c]
		if p.at+n <= len(p.text) {
			v, err := strconv.ParseUint(p.text[p.at:p.at+n], 16, 32)
			if err == nil && v <= utf8.MaxRune && utf8.ValidRune(rune(v)) {
				p.at += n
				return rune(v), nil
			}
		}
		return 0, p.wrong("expected the hexadecimal number of a code point")
	}
	p.at--
	return 0, p.wrong("unknown escape")
}

package tokenizer

import (
	"encoding/json"
	"math"
	"regexp/syntax"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/dlclark/regexp2/v2"
)

// maxDepth bounds sequences within sequences in a tokenizer.json, maxParts their parts.
const (
	maxDepth = 8
	maxParts = 64
)

func absent(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

// readPart decodes one normalizer, pre-tokenizer, decoder or processor.
func readPart(what string, raw json.RawMessage, into any, depth int) error {
	if depth > maxDepth {
		return ErrVocabulary.Because("tokenizer: %ss are nested more than %d deep", what, maxDepth)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return ErrVocabulary.Because("tokenizer: the %s of tokenizer.json: %w", what, err)
	}
	return nil
}

// pattern is {"String": …} or {"Regex": …}; old files have the string alone.
type pattern struct{ String, Regex string }

func (p *pattern) UnmarshalJSON(raw []byte) error {
	if len(raw) > 0 && raw[0] == '"' {
		return json.Unmarshal(raw, &p.String)
	}
	var both struct{ String, Regex string }
	err := json.Unmarshal(raw, &both)
	p.String, p.Regex = both.String, both.Regex
	return err
}

func (p pattern) finder(what string) (finder, error) {
	switch {
	case p.String != "":
		return literalFinder(p.String), nil
	case p.Regex != "":
		re, err := fromOniguruma(p.Regex)
		if err != nil {
			return nil, err
		}
		return regexFinder(re)
	}
	return nil, ErrVocabulary.Because("tokenizer: %s has an empty pattern", what)
}

// fromOniguruma translates a pattern of the reference's regex library for ours, where they differ: a
// class may have classes inside and be intersected, and ^ and $ are borders of lines.
func fromOniguruma(p string) (string, error) {
	var b strings.Builder
	b.WriteString("(?m)")
	inClass := false
	for i := 0; i < len(p); i++ {
		c := p[i]
		switch {
		case c == '\\' && i+1 < len(p):
			if strings.IndexByte("hHRXGKgk", p[i+1]) >= 0 {
				return "", ErrUnsupported.Because("tokenizer: \\%c in the pattern %q is not supported", p[i+1], p)
			}
			b.WriteString(p[i : i+2])
			i++
			continue
		case !inClass && c == '[':
			inClass = true
			b.WriteByte(c)
			if rest := p[i+1:]; strings.HasPrefix(rest, "^") {
				b.WriteByte('^')
				i++
			}
			continue
		case inClass && strings.HasPrefix(p[i:], "&&[^"):
			end := strings.IndexByte(p[i:], ']')
			if end < 0 || end+1 >= len(p[i:]) || p[i+end+1] != ']' || strings.Contains(p[i+4:i+end], "[") {
				return "", ErrUnsupported.Because("tokenizer: the intersection of classes in the pattern %q is not supported", p)
			}
			b.WriteString("-[" + p[i+4:i+end] + "]")
			i += end
			continue
		case inClass && strings.HasPrefix(p[i:], "&&"):
			return "", ErrUnsupported.Because("tokenizer: the intersection of classes in the pattern %q is not supported", p)
		case inClass && strings.HasPrefix(p[i:], "[:"):
			return "", ErrUnsupported.Because("tokenizer: the POSIX class in the pattern %q is not supported", p)
		case inClass && c == '[': // a class inside is a union
			end := strings.IndexByte(p[i:], ']')
			if end < 0 || strings.HasPrefix(p[i:], "[^") || strings.ContainsAny(p[i+1:i+end], "[\\") {
				return "", ErrUnsupported.Because("tokenizer: the class inside a class in the pattern %q is not supported", p)
			}
			b.WriteString(p[i+1 : i+end])
			i += end
			continue
		case inClass && c == ']':
			inClass = false
		}
		b.WriteByte(c)
	}
	return b.String(), nil
}

// finder appends the places of a text that a pattern matches, from left to right.
type finder func(dst []span, text string) []span

// regexFinder compiles a pattern for which there is no lexer.
func regexFinder(pattern string) (finder, error) {
	if match := classMatcher(pattern); match != nil {
		return match.find, nil
	}
	re, err := regexp2.Compile(pattern)
	if err != nil {
		return nil, ErrUnsupported.Because("tokenizer: the pattern %q: %w", pattern, err)
	}
	re.MatchTimeout = 5 * time.Second // patterns come from files, and backtrack
	return func(dst []span, text string) []span {
		// Where the time runs out, the rest of the text stays in one part: nothing is lost.
		found, _ := re.FindAllStringIndex(text, -1)
		for _, f := range found {
			dst = append(dst, span{f[0], f[1]})
		}
		return dst
	}, nil
}

// literalFinder finds a string.
func literalFinder(literal string) finder {
	return func(dst []span, text string) []span {
		for at := 0; ; {
			i := strings.Index(text[at:], literal)
			if i < 0 {
				return dst
			}
			dst = append(dst, span{at + i, at + i + len(literal)})
			at += i + len(literal)
		}
	}
}

// runeFinder finds characters, each by itself.
func runeFinder(is func(rune) bool) finder {
	return func(dst []span, text string) []span {
		for i, r := range text {
			if is(r) {
				_, n := utf8.DecodeRuneInString(text[i:])
				dst = append(dst, span{i, i + n})
			}
		}
		return dst
	}
}

// behavior is what becomes of the matches of a pattern that cuts.
type behavior uint8

const (
	isolated behavior = iota // a part of their own
	removed
	withPrevious // joined to what is before
	withNext
	contiguous // neighbours are one part
)

// splitStep cuts at what find finds; inverted, at what is between.
func splitStep(find finder, b behavior, invert bool) step {
	return step{all: func(dst []span, text string) []span {
		matches := find(nil, text)
		type part struct {
			span
			match bool
		}
		parts := make([]part, 0, 2*len(matches)+1)
		at := 0
		for _, m := range matches {
			if m.start > at {
				parts = append(parts, part{span{at, m.start}, invert})
			}
			if m.end > m.start {
				parts = append(parts, part{m, !invert})
			}
			at = m.end
		}
		if at < len(text) {
			parts = append(parts, part{span{at, len(text)}, invert})
		}
		for i, p := range parts {
			before := i > 0 && parts[i-1].match
			switch {
			case b == removed && p.match:
			case b == withPrevious && p.match && i > 0 && !before,
				b == contiguous && i > 0 && before == p.match,
				b == withNext && !p.match && before:
				dst[len(dst)-1].end = p.end
			default:
				dst = append(dst, p.span)
			}
		}
		return dst
	}}
}

// matchLength is the length of a pattern's match at a place of a text, 0 where there is none.
type matchLength func(text string, at int) int

func (m matchLength) find(dst []span, text string) []span {
	for at := 0; at < len(text); {
		if n := m(text, at); n > 0 {
			dst = append(dst, span{at, at + n})
			at += n
			continue
		}
		_, n := utf8.DecodeRuneInString(text[at:])
		at += n
	}
	return dst
}

// cut is the splitter of an isolated pattern: a match, or what is before the next.
func (m matchLength) cut(text string, at int) int {
	if n := m(text, at); n > 0 {
		return n
	}
	end := at
	for {
		_, n := utf8.DecodeRuneInString(text[end:])
		if end += n; end >= len(text) || m(text, end) > 0 {
			return end - at
		}
	}
}

// classMatcher matches a pattern of one class: [a-z], \p{L}+ or \s?[a-z]{1,3}; nil for any other
// pattern. It is many times faster than backtracking.
func classMatcher(pattern string) matchLength {
	class, spaced := strings.CutPrefix(strings.TrimPrefix(pattern, "(?m)"), `\s?`)
	most := 1
	for end, n := range map[string]int{"+": math.MaxInt, "{1,3}": 3} {
		if rest, ok := strings.CutSuffix(class, end); ok && !strings.HasSuffix(rest, `\`) {
			class, most = rest, n
		}
	}
	is := classOf(class)
	if is == nil {
		return nil
	}
	return func(text string, at int) int {
		end := at
		if spaced {
			if r, n := utf8.DecodeRuneInString(text[at:]); unicode.IsSpace(r) {
				if next, m := utf8.DecodeRuneInString(text[at+n:]); m > 0 && is(next) {
					end += n
				}
			}
		}
		for count := 0; count < most && end < len(text); count++ {
			r, n := utf8.DecodeRuneInString(text[end:])
			if !is(r) {
				break
			}
			end += n
		}
		return end - at
	}
}

// classOf is membership in a class of characters, nil where the text is more than one, or has a part
// that Go's syntax understands in another way.
func classOf(class string) func(rune) bool {
	bracketed := strings.HasPrefix(class, "[") && strings.IndexByte(class, ']') == len(class)-1 && strings.LastIndexByte(class, '[') == 0
	property := strings.HasPrefix(class, `\p{`) && strings.IndexByte(class, '}') == len(class)-1
	if !bracketed && !property || strings.HasPrefix(class, "[^") || strings.Contains(class, "&&") {
		return nil
	}
	for i := 0; i+1 < len(class); i++ {
		if class[i] == '\\' {
			if i++; strings.IndexByte("pPnrt", class[i]) < 0 && unicode.IsLetter(rune(class[i])) {
				return nil // \s and \w are ASCII's in Go's syntax
			}
		}
	}
	parsed, err := syntax.Parse(class, syntax.Perl)
	if err != nil || parsed.Op != syntax.OpCharClass {
		return nil
	}
	newer := map[string]*unicode.RangeTable{`\p{L}`: newL, `\p{N}`: newN, `\p{M}`: newM}
	var tables []*unicode.RangeTable
	for name, table := range newer {
		if strings.Contains(class, name) {
			tables = append(tables, table)
		}
	}
	ranges := parsed.Rune
	var ascii [utf8.RuneSelf]bool
	for i := 0; i < len(ranges); i += 2 {
		for r := ranges[i]; r <= ranges[i+1] && r < utf8.RuneSelf; r++ {
			ascii[r] = true
		}
	}
	return func(r rune) bool {
		if r >= 0 && r < utf8.RuneSelf {
			return ascii[r]
		}
		lo, hi := 0, len(ranges)/2
		for lo < hi {
			mid := (lo + hi) / 2
			switch {
			case r < ranges[2*mid]:
				hi = mid
			case r > ranges[2*mid+1]:
				lo = mid + 1
			default:
				return true
			}
		}
		return r >= 0x897 && unicode.In(r, tables...)
	}
}

// lexerOf gives the hand-written lexer of a published pattern, nil if there is none.
func lexerOf(regex string) splitter {
	const tiktoken = `'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+`
	switch regex {
	case gpt2Pattern:
		return gpt2Lexer{}.next
	case cl100k, tiktoken:
		return wordLexer{digits: 3}.next
	case qwen2:
		return wordLexer{digits: 1}.next
	case qwen35:
		return wordLexer{digits: 1, marks: true}.next
	case tekken:
		return caseLexer{digits: 1}.next
	case gpt4o:
		return caseLexer{digits: 3, contractions: true}.next
	case lines:
		return lineSplitter
	}
	return nil
}

// stepSpec is one pre-tokenizer of a tokenizer.json.
type stepSpec struct {
	Type          string            `json:"type"`
	Steps         []json.RawMessage `json:"pretokenizers"`
	PrefixSpace   *bool             `json:"add_prefix_space"`
	UseRegex      *bool             `json:"use_regex"`
	Replacement   string            `json:"replacement"`
	PrependScheme string            `json:"prepend_scheme"`
	Split         *bool             `json:"split"`
	Pattern       pattern           `json:"pattern"`
	Behavior      string            `json:"behavior"`
	Invert        bool              `json:"invert"`
	Individual    bool              `json:"individual_digits"`
	Delimiter     string            `json:"delimiter"`
}

// readSteps appends the pre-tokenizers of a value to list.
func readSteps(raw json.RawMessage, list []step, depth int) (_ []step, err error) {
	if absent(raw) {
		return list, nil
	}
	var s stepSpec
	if err := readPart("pre-tokenizer", raw, &s, depth); err != nil {
		return nil, err
	}
	if s.Type == "Sequence" {
		for _, part := range s.Steps {
			if list, err = readSteps(part, list, depth+1); err != nil {
				return nil, err
			}
		}
		return list, nil
	}
	if len(list) > maxParts {
		return nil, ErrVocabulary.Because("tokenizer: more than %d pre-tokenizers", maxParts)
	}
	return s.append(list)
}

func (s *stepSpec) append(list []step) ([]step, error) {
	b, err := behaviorOf(s.Behavior)
	if err != nil {
		return nil, err
	}
	switch s.Type {
	case "ByteLevel":
		if s.PrefixSpace == nil || *s.PrefixSpace {
			list = append(list, step{rewrite: prefixedWith(" ", true)})
		}
		if s.UseRegex == nil || *s.UseRegex {
			list = append(list, step{next: gpt2Lexer{}.next})
		}
		return append(list, step{letters: true}), nil
	case "Metaspace":
		return s.metaspace(list)
	case "Split":
		if next := lexerOf(s.Pattern.Regex); next != nil && (b == isolated && !s.Invert || b == removed && s.Invert) {
			return append(list, step{next: next}), nil // these patterns match everything
		}
		if match := classMatcher(s.Pattern.Regex); match != nil && b == isolated && !s.Invert {
			return append(list, step{next: match.cut}), nil
		}
		find, err := s.Pattern.finder("pre-tokenizer Split")
		if err != nil {
			return nil, err
		}
		return append(list, splitStep(find, b, s.Invert)), nil
	case "Whitespace":
		return append(list, step{all: wordsAndMarks}), nil
	case "WhitespaceSplit":
		return append(list, splitStep(runeFinder(unicode.IsSpace), removed, false)), nil
	case "BertPreTokenizer":
		return append(list, step{all: bertWords}), nil
	case "Punctuation":
		return append(list, splitStep(runeFinder(isPunctuation), b, false)), nil
	case "Digits":
		b = contiguous
		if s.Individual {
			b = isolated
		}
		return append(list, splitStep(runeFinder(isNumeric), b, false)), nil
	case "CharDelimiterSplit":
		if s.Delimiter == "" {
			return nil, ErrVocabulary.Because("tokenizer: CharDelimiterSplit has no delimiter")
		}
		return append(list, splitStep(literalFinder(s.Delimiter), removed, false)), nil
	}
	return nil, ErrUnsupported.Because("tokenizer: the pre-tokenizer %q is not supported", s.Type)
}

func behaviorOf(name string) (behavior, error) {
	switch strings.ToLower(name) {
	case "", "isolated":
		return isolated, nil
	case "removed":
		return removed, nil
	case "mergedwithprevious":
		return withPrevious, nil
	case "mergedwithnext":
		return withNext, nil
	case "contiguous":
		return contiguous, nil
	}
	return 0, ErrUnsupported.Because("tokenizer: the behavior %q is not supported", name)
}

// metaspace marks words with a character, and cuts before each.
func (s *stepSpec) metaspace(list []step) ([]step, error) {
	scheme, err := s.scheme()
	if err != nil {
		return nil, err
	}
	mark := s.Replacement
	prefix := prefixedWith(mark, scheme == "always")
	out := step{rewrite: func(text string, first bool) string {
		text = strings.ReplaceAll(text, " ", mark)
		if scheme == "never" {
			return text
		}
		return prefix(text, first)
	}}
	if s.Split == nil || *s.Split {
		out.next = func(text string, at int) int {
			_, n := utf8.DecodeRuneInString(text[at:])
			if i := strings.Index(text[at+n:], mark); i >= 0 {
				return n + i
			}
			return len(text) - at
		}
	}
	return append(list, out), nil
}

// scheme is when a Metaspace puts its mark before a text; older files have a bool for it.
func (s *stepSpec) scheme() (string, error) {
	if utf8.RuneCountInString(s.Replacement) != 1 {
		return "", ErrVocabulary.Because("tokenizer: Metaspace's replacement is %q, one character is needed", s.Replacement)
	}
	switch s.PrependScheme {
	case "always", "first", "never":
		return s.PrependScheme, nil
	case "":
		if s.PrefixSpace != nil && !*s.PrefixSpace {
			return "never", nil
		}
		return "always", nil
	}
	return "", ErrUnsupported.Because("tokenizer: Metaspace's prepend_scheme %q is not supported", s.PrependScheme)
}

// prefixedWith puts a prefix before a run that does not begin with it: before every run, or before one
// that begins the text.
func prefixedWith(prefix string, every bool) func(string, bool) string {
	return func(text string, first bool) string {
		if text == "" || !first && !every || strings.HasPrefix(text, prefix) {
			return text
		}
		return prefix + text
	}
}

func isNumeric(r rune) bool {
	if r < utf8.RuneSelf {
		return r >= '0' && r <= '9'
	}
	return unicode.Is(numericChars, r)
}

func isPunctuation(r rune) bool {
	if r < utf8.RuneSelf {
		return r >= 33 && r <= 47 || r >= 58 && r <= 64 || r >= 91 && r <= 96 || r >= 123 && r <= 126
	}
	return unicode.Is(bertPunctuation, r)
}

// bertWords cuts at white space, which is left out; a mark of punctuation is a word of its own.
func bertWords(dst []span, text string) []span {
	begin := -1
	for i, r := range text {
		blank := unicode.IsSpace(r)
		mark := !blank && isPunctuation(r)
		if begin >= 0 && (blank || mark) {
			dst = append(dst, span{begin, i})
			begin = -1
		}
		if mark {
			dst = append(dst, span{i, i + utf8.RuneLen(r)})
		} else if begin < 0 && !blank {
			begin = i
		}
	}
	if begin >= 0 {
		dst = append(dst, span{begin, len(text)})
	}
	return dst
}

// wordsAndMarks is \w+|[^\w\s]+ .
func wordsAndMarks(dst []span, text string) []span {
	last, begin := space, 0
	for i, r := range text {
		kind := other
		switch {
		case unicode.IsSpace(r):
			kind = space
		case unicode.Is(wordChars, r):
			kind = letter
		}
		if kind != last {
			if last != space {
				dst = append(dst, span{begin, i})
			}
			last, begin = kind, i
		}
	}
	if last != space && begin < len(text) {
		dst = append(dst, span{begin, len(text)})
	}
	return dst
}

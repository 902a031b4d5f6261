package tokenizer

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// step is one pre-tokenizer: it may rewrite a run of text, then cuts it. One of next and all is set, or
// neither.
type step struct {
	rewrite func(text string, first bool) string // first: the run begins the whole text
	next    splitter                             // cuts everything into words
	all     func(dst []span, text string) []span // cuts, and may leave parts out
	letters bool                                 // writes bytes as GPT-2's letters, and cuts nothing
}

// span is a part of a text, in bytes.
type span struct{ start, end int }

// splitter gives the length of the word that begins at text[at:]; merges never cross a word's border.
// It is always at least 1.
type splitter func(text string, at int) int

// encodeSteps appends the tokens of a run of plain, normalized text.
func (t *Tokenizer) encodeSteps(dst []int32, steps []step, text string, first bool) []int32 {
	if len(steps) == 0 {
		return t.model.encode(dst, text)
	}
	s := &steps[0]
	if s.rewrite != nil {
		text = s.rewrite(text, first)
	}
	switch {
	case s.next != nil && len(steps) == 1:
		for at := 0; at < len(text); {
			n := s.next(text, at)
			dst = t.model.encode(dst, text[at:at+n])
			at += n
		}
		return dst
	case s.next != nil:
		for at := 0; at < len(text); {
			n := s.next(text, at)
			dst = t.encodeSteps(dst, steps[1:], text[at:at+n], first && at == 0)
			at += n
		}
		return dst
	case s.all != nil:
		for _, p := range s.all(nil, text) {
			dst = t.encodeSteps(dst, steps[1:], text[p.start:p.end], first && p.start == 0)
		}
		return dst
	}
	return t.encodeSteps(dst, steps[1:], text, first)
}

// The published patterns of the families. Those with a hand-written lexer are oracles of its test.
const (
	gpt2Pattern = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
	cl100k      = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	qwen2       = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	qwen35      = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	tekken      = `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	gpt4o       = `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	deepseek3   = `[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_` + "`" + `{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	lines       = `[^\n]+|[\n]+`

	deepseekLetters = `\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+`
)

// stepsOf is the rule that a GGUF file's tokenizer.ggml.pre names, for BPE over bytes.
func stepsOf(pre string) ([]step, error) {
	switch pre {
	case "llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "dbrx", "smaug-bpe", "chatglm-bpe", "glm4", "glm5":
		return []step{{next: wordLexer{digits: 3}.next}}, nil
	case "qwen2", "deepseek-r1-qwen", "stablelm2", "megrez", "hunyuan", "solar-open", "kormo", "grok-2":
		return []step{{next: wordLexer{digits: 1}.next}}, nil
	case "qwen35":
		return []step{{next: wordLexer{digits: 1, marks: true}.next}}, nil
	case "gpt-2", "phi-2", "mpt", "olmo", "jais", "trillion", "exaone4", "modern-bert", "roberta-bpe", "jina-es", "jina-de", "jina-v1-en", "jina-v2-code", "jina-v2-es", "jina-v2-de", "gigachat", "a.x-4.0", "mellum", "granite-docling":
		return []step{{next: gpt2Lexer{}.next}}, nil
	case "starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b", "mellum2":
		return []step{{next: gpt2Lexer{aloneDigits: true}.next}}, nil
	}
	switch pre {
	case "tekken":
		return []step{{next: caseLexer{digits: 1}.next}}, nil
	case "gpt-4o", "llama4":
		return []step{{next: caseLexer{digits: 3, contractions: true}.next}}, nil
	}
	patterns := map[string][]string{
		"deepseek-v3":    {`\p{N}{1,3}`, `[一-龥぀-ゟ゠-ヿ]+`, deepseek3},
		"deepseek-llm":   {`[\r\n]`, deepseekLetters, `\s?[!-/:-~！-／：-～‘-‟　-。]+`, `\s+$`, `[一-龥ࠀ-一가-퟿]+`, `\p{N}+`},
		"deepseek-coder": {`[\r\n]`, `\s?\p{L}+`, `\s?\p{P}+`, `[一-龥ࠀ-一가-퟿]+`, `\p{N}`},
		"falcon":         {"[\\p{P}\\$\\+<=>\\^~\\|`]+", gpt2Pattern, `[0-9][0-9][0-9]`},
		"viking":         {` ?[^(\s|.,!?…。，、।۔،)]+`, `\p{N}`},
		"poro-chat":      {` ?[^(\s|.,!?…。，、।۔،)]+`},
		"bloom":          {` ?[^(\s|.,!?…。，、।۔،)]+`},
		"gpt3-finnish":   {` ?[^(\s|.,!?…。，、।۔،)]+`},
		"default":        {`[\p{P}\$\+<=>\^~\|]+`, gpt2Pattern, `\p{N}+`, `[0-9][0-9][0-9]`},
	}[pre]
	if patterns == nil {
		return nil, ErrUnsupported.Because("tokenizer: pre-tokenizer %q is not supported: convert the model again, or ask for it", pre)
	}
	var steps []step
	for _, p := range patterns {
		if match := classMatcher(p); match != nil {
			steps = append(steps, step{next: match.cut})
			continue
		}
		find, err := regexFinder(p)
		if err != nil {
			return nil, err
		}
		steps = append(steps, splitStep(find, isolated, false))
	}
	return steps, nil
}

// kindOf tells the four kinds of character that the lexers know.
type charKind uint8

const (
	other charKind = iota
	letter
	number
	space
	mark
)

func kindOf(r rune) charKind {
	if r < 0x80 {
		switch {
		case r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z':
			return letter
		case r >= '0' && r <= '9':
			return number
		case r == ' ' || r >= '\t' && r <= '\r':
			return space
		}
		return other
	}
	switch {
	case unicode.IsLetter(r):
		return letter
	case unicode.IsNumber(r):
		return number
	case unicode.IsSpace(r):
		return space
	case unicode.IsMark(r):
		return mark
	case r < 0x897: // newer than Go's tables
		return other
	case unicode.Is(newL, r):
		return letter
	case unicode.Is(newN, r):
		return number
	case unicode.Is(newM, r):
		return mark
	}
	return other
}

func peek(text string, at int) (charKind, int) {
	if at >= len(text) {
		return other, 0
	}
	if c := text[at]; c < utf8.RuneSelf {
		return kindOf(rune(c)), 1
	}
	r, n := utf8.DecodeRuneInString(text[at:])
	return kindOf(r), n
}

// gpt2Lexer is gpt2Pattern. With aloneDigits every digit is a word before the pattern is applied, so
// that a digit ends a run of spaces as the end of the text does.
type gpt2Lexer struct{ aloneDigits bool }

func (l gpt2Lexer) next(text string, at int) int {
	if text[at] == '\'' {
		for _, c := range [...]string{"s", "t", "re", "ve", "m", "ll", "d"} {
			if strings.HasPrefix(text[at+1:], c) {
				return 1 + len(c)
			}
		}
	}
	kind, n := peek(text, at)
	if l.aloneDigits && kind == number {
		return n
	}
	run, end := l.class(kind), at+n
	if kind == space {
		if text[at] != ' ' {
			return l.spaces(text, at)
		}
		next, m := peek(text, end)
		if m == 0 || next == space || l.aloneDigits && next == number {
			return l.spaces(text, at)
		}
		run, end = l.class(next), end+m
	}
	for {
		k, m := peek(text, end)
		if m == 0 || l.class(k) != run {
			return end - at
		}
		end += m
	}
}

func (l gpt2Lexer) class(k charKind) charKind {
	if k == mark {
		return other
	}
	return k
}

// spaces is \s+(?!\S)|\s+ : the last space before a word is left to the word.
func (l gpt2Lexer) spaces(text string, at int) int {
	end, last := at, 0
	for {
		k, n := peek(text, end)
		if n == 0 || l.aloneDigits && k == number {
			return end - at
		}
		if k != space {
			if end-last > at {
				end -= last
			}
			return end - at
		}
		end, last = end+n, n
	}
}

// wordLexer is cl100k (digits 3), qwen2 (digits 1) and qwen35 (digits 1, marks are letters).
type wordLexer struct {
	digits int
	marks  bool
}

func (l wordLexer) class(k charKind) charKind {
	if k == mark {
		if l.marks {
			return letter
		}
		return other
	}
	return k
}

func (l wordLexer) next(text string, at int) int {
	if text[at] == '\'' {
		if n := contraction(text[at+1:]); n > 0 {
			return 1 + n
		}
	}
	raw, n := peek(text, at)
	kind := l.class(raw)
	if kind == number {
		return l.number(text, at)
	}
	// [^\r\n\p{L}\p{N}]?\p{L}+
	if kind == letter {
		return l.run(text, at+n, letter) - at
	}
	if c := text[at]; c != '\r' && c != '\n' {
		if next, m := peek(text, at+n); m > 0 && l.class(next) == letter {
			return l.run(text, at+n+m, letter) - at
		}
	}
	// ` ?[^\s\p{L}\p{N}]+[\r\n]*`
	end := at
	if text[at] == ' ' {
		end++
	}
	if next, m := peek(text, end); m > 0 && l.class(next) == other {
		end = l.run(text, end+m, other)
		for end < len(text) && (text[end] == '\r' || text[end] == '\n') {
			end++
		}
		return end - at
	}
	return l.spaces(text, at)
}

func (l wordLexer) run(text string, end int, class charKind) int {
	for {
		k, n := peek(text, end)
		if n == 0 || l.class(k) != class {
			return end
		}
		end += n
	}
}

func (l wordLexer) number(text string, at int) int {
	end := at
	for range l.digits {
		k, n := peek(text, end)
		if n == 0 || k != number {
			break
		}
		end += n
	}
	return end - at
}

// spaces is \s*[\r\n]+|\s+(?!\S)|\s+ .
func (l wordLexer) spaces(text string, at int) int {
	end, last, line := at, 0, 0
	for {
		k, n := peek(text, end)
		if n == 0 || k != space {
			break
		}
		if c := text[end]; c == '\r' || c == '\n' {
			line = end + 1
		}
		end, last = end+n, n
	}
	switch {
	case line > 0:
		return line - at
	case end < len(text) && end-last > at:
		return end - last - at
	}
	return end - at
}

// caseLexer is tekken and gpt4o: a word's capitals come before its small letters.
type caseLexer struct {
	digits       int
	contractions bool
}

// The two kinds of letter; what has no case, and marks, are both.
const (
	capital = 1 << iota
	small
)

func caseAt(text string, at int) (letters, n int) {
	if at >= len(text) {
		return 0, 0
	}
	if c := text[at]; c < utf8.RuneSelf {
		switch {
		case c >= 'a' && c <= 'z':
			return small, 1
		case c >= 'A' && c <= 'Z':
			return capital, 1
		}
		return 0, 1
	}
	r, n := utf8.DecodeRuneInString(text[at:])
	switch kind := kindOf(r); {
	case kind != letter && kind != mark:
		return 0, n
	case unicode.In(r, unicode.Ll, newLl):
		return small, n
	case unicode.In(r, unicode.Lu, unicode.Lt, newLu):
		return capital, n
	}
	return capital | small, n
}

func (l caseLexer) next(text string, at int) int {
	kind, n := peek(text, at)
	w := wordLexer{digits: l.digits}
	if kind == number {
		return w.number(text, at)
	}
	// [^\r\n\p{L}\p{N}]? may take one character, a mark among them, before the letters. Words that have a
	// small letter are tried with it and without it first.
	with, without := 0, 0
	if c := text[at]; kind != letter && c != '\r' && c != '\n' {
		end, hasSmall := l.word(text, at+n)
		if hasSmall {
			return end - at
		}
		with = end
	}
	if kind == letter || kind == mark {
		end, hasSmall := l.word(text, at)
		if hasSmall {
			return end - at
		}
		without = end
	}
	switch {
	case with > 0:
		return with - at
	case without > 0:
		return without - at
	}
	end := at
	if text[at] == ' ' {
		end++
	}
	if next, m := peek(text, end); m > 0 && w.class(next) == other {
		end = w.run(text, end+m, other)
		for end < len(text) && (text[end] == '\r' || text[end] == '\n' || text[end] == '/') {
			end++
		}
		return end - at
	}
	return w.spaces(text, at)
}

// word is where the letters from at on end: capitals then at least one small letter, else capitals
// alone; 0 if there are no letters.
func (l caseLexer) word(text string, at int) (end int, hasSmall bool) {
	end = at
	both := 0 // where the last letter without case ended
	for {
		c, n := caseAt(text, end)
		if c&capital == 0 {
			break
		}
		if end += n; c&small != 0 {
			both = end
		}
	}
	capitals := end
	for {
		c, n := caseAt(text, end)
		if c&small == 0 {
			break
		}
		end += n
	}
	hasSmall = end > capitals || both > 0
	if end == capitals && both > 0 {
		end = both
	}
	if end == at {
		return 0, false
	}
	if l.contractions && end < len(text) && text[end] == '\'' {
		if n := contraction(text[end+1:]); n > 0 {
			end += 1 + n
		}
	}
	return end, hasSmall
}

// contraction is the length of s, t, re, ve, m, ll or d in either case; ſ is a small s.
func contraction(s string) int {
	if s == "" {
		return 0
	}
	switch s[0] | 0x20 {
	case 's', 't', 'm', 'd':
		return 1
	}
	if strings.HasPrefix(s, "ſ") {
		return len("ſ")
	}
	if len(s) > 1 {
		switch string([]byte{s[0] | 0x20, s[1] | 0x20}) {
		case "re", "ve", "ll":
			return 2
		}
	}
	return 0
}

package tokenizer

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/dlclark/regexp2/v2"
)

// splitter gives the length of the word that begins at text[at:]; merges never cross a word's border.
// It is always at least 1.
type splitter func(text string, at int) int

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

// splitterOf is the rule that a GGUF file's tokenizer.ggml.pre names, for characters GPT-2 style.
func splitterOf(pre string) (splitter, error) {
	switch pre {
	case "llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "dbrx", "smaug-bpe", "chatglm-bpe", "glm4", "glm5":
		return wordLexer{digits: 3}.next, nil
	case "qwen2", "deepseek-r1-qwen", "stablelm2", "megrez", "hunyuan", "solar-open", "kormo", "grok-2":
		return wordLexer{digits: 1}.next, nil
	case "qwen35":
		return wordLexer{digits: 1, marks: true}.next, nil
	case "gpt-2", "phi-2", "mpt", "olmo", "jais", "trillion", "exaone4", "modern-bert", "roberta-bpe", "jina-es", "jina-de", "jina-v1-en", "jina-v2-code", "jina-v2-es", "jina-v2-de", "gigachat", "a.x-4.0", "mellum", "granite-docling":
		return gpt2Lexer{}.next, nil
	case "starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b", "mellum2":
		return gpt2Lexer{aloneDigits: true}.next, nil
	}
	patterns := map[string][]string{
		"tekken":         {tekken},
		"gpt-4o":         {gpt4o},
		"llama4":         {gpt4o},
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
	return regexSplitter(patterns...)
}

// regexSplitter cuts by each pattern in turn: a match is a word, and so is what is between matches.
func regexSplitter(patterns ...string) (splitter, error) {
	stages := make([]*regexp2.Regexp, len(patterns))
	for i, p := range patterns {
		re, err := regexp2.Compile(p)
		if err != nil {
			return nil, ErrUnsupported.Because("tokenizer: the pattern %q: %w", p, err)
		}
		re.MatchTimeout = 10 * time.Second // patterns come from files, and backtrack
		stages[i] = re
	}
	return func(text string, at int) int {
		// A stage sees what the one before left: a run between two newlines at most, then less. Words
		// are short, so a window is cut first, and looked at again only where a word fills it.
		return firstWord(stages, text[at:])
	}, nil
}

// firstWord is the length of the first word of text.
func firstWord(stages []*regexp2.Regexp, text string) int {
	n := len(text)
	for _, re := range stages {
		for window := min(n, 256); ; window *= 4 {
			end := wholeRunes(text[:n], min(n, window))
			cut, touches := firstCut(re, text[:end])
			if end == n || !touches {
				n = min(n, cut)
				break
			}
		}
	}
	return max(n, 1)
}

// firstCut is the end of the first match if it begins the text, else the beginning of the first match;
// touches tells that a longer text could change it.
func firstCut(re *regexp2.Regexp, text string) (cut int, touches bool) {
	found, err := re.FindAllStringIndex(text, 1)
	if err != nil || len(found) == 0 || found[0][1] == 0 {
		return len(text), true
	}
	touches = found[0][1] == len(text)
	if found[0][0] > 0 {
		return found[0][0], touches
	}
	return found[0][1], touches
}

// wholeRunes moves an offset back to the beginning of a character.
func wholeRunes(text string, at int) int {
	if at >= len(text) {
		return len(text)
	}
	for at > 0 && !utf8.RuneStart(text[at]) {
		at--
	}
	return at
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

package tokenizer

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// wordpiece cuts each word greedily into the longest pieces of the vocabulary (Schuster and Nakajima
// 2012; Devlin et al. 2018, https://arxiv.org/abs/1810.04805).
type wordpiece struct {
	first, rest map[string]int32 // pieces that begin a word, and those behind them
	longest     int              // bytes of the longest piece
	unknown     int32
	mostRunes   int // a longer word is unknown
	lower       bool
	strip       bool // accents
	chinese     bool // every CJK character is a word
}

func (m *wordpiece) encode(dst []int32, text string) []int32 {
	text = m.normalize(text)
	for text != "" {
		word, rest := nextWord(text)
		if word != "" {
			dst = m.word(dst, word)
		}
		text = rest
	}
	return dst
}

// nextWord cuts at white space; a mark of punctuation is a word of its own.
func nextWord(text string) (word, rest string) {
	text = strings.TrimLeftFunc(text, unicode.IsSpace)
	for i, r := range text {
		switch {
		case unicode.IsSpace(r):
			return text[:i], text[i:]
		case isPunctuation(r):
			if i == 0 {
				n := len(string(r))
				return text[:n], text[n:]
			}
			return text[:i], text[i:]
		}
	}
	return text, ""
}

func isPunctuation(r rune) bool {
	return r >= 33 && r <= 47 || r >= 58 && r <= 64 || r >= 91 && r <= 96 || r >= 123 && r <= 126 || unicode.In(r, unicode.P)
}

func (m *wordpiece) word(dst []int32, word string) []int32 {
	if m.mostRunes > 0 && len([]rune(word)) > m.mostRunes {
		return append(dst, m.unknown)
	}
	begin := len(dst)
	table := m.first
	for word != "" {
		n := min(len(word), m.longest)
		id, ok := int32(0), false
		for ; n > 0; n-- {
			if id, ok = table[word[:n]]; ok {
				break
			}
		}
		if !ok {
			return append(dst[:begin], m.unknown)
		}
		dst = append(dst, id)
		word, table = word[n:], m.rest
	}
	return dst
}

// normalize is BertNormalizer: clean, space CJK characters, strip accents, lower case.
func (m *wordpiece) normalize(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == 0 || r == 0xFFFD || isControl(r):
		case unicode.IsSpace(r):
			b.WriteByte(' ')
		case m.chinese && isChinese(r):
			b.WriteByte(' ')
			b.WriteRune(r)
			b.WriteByte(' ')
		default:
			b.WriteRune(r)
		}
	}
	text = b.String()
	if m.strip {
		b.Reset()
		for _, r := range norm.NFD.String(text) {
			if !unicode.Is(unicode.Mn, r) {
				b.WriteRune(r)
			}
		}
		text = b.String()
	}
	if m.lower {
		text = lower(text)
	}
	return text
}

// lower maps every character by itself, as Rust's char::to_lowercase does: İ becomes i and a dot.
func lower(text string) string {
	if !strings.ContainsRune(text, 'İ') {
		return strings.Map(unicode.ToLower, text)
	}
	return strings.Map(unicode.ToLower, strings.ReplaceAll(text, "İ", "i̇"))
}

// isControl is the categories that BertNormalizer drops: Cc, Cf, Cn and Co but for white space.
func isControl(r rune) bool {
	if r == '\t' || r == '\n' || r == '\r' {
		return false
	}
	return unicode.In(r, unicode.C) || !unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.P, unicode.S, unicode.Z)
}

func isChinese(r rune) bool {
	return r >= 0x4E00 && r <= 0x9FFF || r >= 0x3400 && r <= 0x4DBF || r >= 0x20000 && r <= 0x2A6DF ||
		r >= 0x2A700 && r <= 0x2B73F || r >= 0x2B740 && r <= 0x2B81F || r >= 0x2B920 && r <= 0x2CEAF ||
		r >= 0xF900 && r <= 0xFAFF || r >= 0x2F800 && r <= 0x2FA1F
}

package tokenizer

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"
	"golang.org/x/text/unicode/norm"
)

// bertNormalizer cleans, puts spaces around CJK characters, strips accents and lowers, in this order.
type bertNormalizer struct{ clean, chinese, strip, lower bool }

func (n bertNormalizer) normalize(text string) string {
	if n.clean || n.chinese {
		var b strings.Builder
		b.Grow(len(text) + len(text)/8)
		for _, r := range text {
			switch {
			case n.clean && r != ' ' && unicode.Is(bertControl, r):
			case n.clean && unicode.IsSpace(r):
				b.WriteByte(' ')
			case n.chinese && isChinese(r):
				b.WriteByte(' ')
				b.WriteRune(r)
				b.WriteByte(' ')
			default:
				b.WriteRune(r)
			}
		}
		text = b.String()
	}
	if n.strip && !isASCII(text) {
		text = without(bertMarks)(nfd(text))
	}
	if n.lower {
		text = lower(text)
	}
	return text
}

func isASCII(text string) bool {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func isChinese(r rune) bool {
	return r >= 0x3400 && (r >= 0x4E00 && r <= 0x9FFF || r <= 0x4DBF || r >= 0x20000 && r <= 0x2A6DF ||
		r >= 0x2A700 && r <= 0x2B73F || r >= 0x2B740 && r <= 0x2B81F || r >= 0x2B920 && r <= 0x2CEAF ||
		r >= 0xF900 && r <= 0xFAFF || r >= 0x2F800 && r <= 0x2FA1F)
}

// without drops the characters of a table.
func without(table *unicode.RangeTable) normalizer {
	return func(text string) string {
		return strings.Map(func(r rune) rune {
			if unicode.Is(table, r) {
				return -1
			}
			return r
		}, text)
	}
}

// lower maps every character by itself, as Rust's char::to_lowercase does: İ becomes i and a dot.
func lower(text string) string {
	if isASCII(text) {
		return strings.ToLower(text)
	}
	text = strings.ReplaceAll(text, "İ", "i̇")
	return strings.Map(func(r rune) rune {
		if to, ok := newLower[r]; ok {
			return to
		}
		return unicode.ToLower(r)
	}, text)
}

func nfc(text string) string { return keeping(norm.NFC, keptByNFC, text) }
func nfd(text string) string { return keeping(norm.NFD, keptByNFD, text) }

// keeping normalizes all but the characters of a table, which are newer than the reference's tables.
func keeping(form norm.Form, table *unicode.RangeTable, text string) string {
	if form.QuickSpanString(text) == len(text) {
		return text
	}
	var b strings.Builder
	from := 0
	for i, r := range text {
		if r >= 0x300 && unicode.Is(table, r) {
			b.WriteString(form.String(text[from:i]))
			b.WriteRune(r)
			from = i + utf8.RuneLen(r)
		}
	}
	if from == 0 {
		return form.String(text)
	}
	b.WriteString(form.String(text[from:]))
	return b.String()
}

// nmt is what Google's translation models clean away.
func nmt(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 1 && r <= 8, r == 0xB, r >= 0xE && r <= 0x1F, r == 0x7F, r == 0x8F, r == 0x9F:
			return -1
		case r == 9, r == 0xA, r == 0xC, r == 0xD, r == 0x1680, r >= 0x200B && r <= 0x200F, r == 0x2028, r == 0x2029, r == 0x2581, r == 0xFEFF, r == 0xFFFD:
			return ' '
		}
		return r
	}, text)
}

// normalizerSpec is one normalizer of a tokenizer.json.
type normalizerSpec struct {
	Type        string            `json:"type"`
	Normalizers []json.RawMessage `json:"normalizers"`
	Clean       bool              `json:"clean_text"`
	Chinese     bool              `json:"handle_chinese_chars"`
	Strip       *bool             `json:"strip_accents"`
	Lower       bool              `json:"lowercase"`
	Left        bool              `json:"strip_left"`
	Right       bool              `json:"strip_right"`
	Pattern     pattern           `json:"pattern"`
	Content     string            `json:"content"`
	Prepend     string            `json:"prepend"`
	Charsmap    string            `json:"precompiled_charsmap"`
}

// mostGrowth bounds how much longer a hostile file's replacements can make a text.
const mostGrowth = 1024

// readNormalizer appends the normalizers of a value to list; growth is how much they can lengthen a text.
func readNormalizer(raw json.RawMessage, list []normalizer, growth *int, depth int) ([]normalizer, error) {
	if absent(raw) {
		return list, nil
	}
	var s normalizerSpec
	if err := readPart("normalizer", raw, &s, depth); err != nil {
		return nil, err
	}
	switch s.Type {
	case "Sequence":
		for _, part := range s.Normalizers {
			var err error
			if list, err = readNormalizer(part, list, growth, depth+1); err != nil {
				return nil, err
			}
		}
		return list, nil
	case "Prepend":
		return append(list, func(text string) string {
			if text == "" {
				return text
			}
			return s.Prepend + text
		}), s.grow(growth, len(s.Prepend), 1)
	case "Replace":
		find, err := s.Pattern.finder("normalizer Replace")
		if err != nil {
			return nil, err
		}
		n, err := s.replacer(find), s.grow(growth, len(s.Content), max(1, len(s.Pattern.String)))
		return append(list, n), err
	}
	n, err := s.simple()
	return append(list, n), err
}

func (s *normalizerSpec) grow(growth *int, to, from int) error {
	*growth *= max(1, (to+from-1)/from)
	if *growth > mostGrowth {
		return ErrVocabulary.Because("tokenizer: the normalizers can make a text more than %d times longer", mostGrowth)
	}
	return nil
}

func (s *normalizerSpec) replacer(find finder) normalizer {
	if s.Pattern.String != "" {
		return func(text string) string { return strings.ReplaceAll(text, s.Pattern.String, s.Content) }
	}
	return func(text string) string {
		found := find(nil, text)
		if len(found) == 0 {
			return text
		}
		var b strings.Builder
		from := 0
		for _, f := range found {
			b.WriteString(text[from:f.start])
			b.WriteString(s.Content)
			from = f.end
		}
		b.WriteString(text[from:])
		return b.String()
	}
}

// simple is for the normalizers that have no parts.
func (s *normalizerSpec) simple() (normalizer, error) {
	switch s.Type {
	case "NFC":
		return nfc, nil
	case "NFD":
		return nfd, nil
	case "NFKC":
		return func(text string) string { return keeping(norm.NFKC, keptByNFKD, text) }, nil
	case "NFKD":
		return func(text string) string { return keeping(norm.NFKD, keptByNFKD, text) }, nil
	case "Lowercase":
		return lower, nil
	case "StripAccents":
		return without(accentMarks), nil
	case "Nmt":
		return nmt, nil
	case "ByteLevel":
		return toLetters(byteLetters()), nil
	case "Strip":
		return func(text string) string {
			if s.Left {
				text = strings.TrimLeftFunc(text, unicode.IsSpace)
			}
			if s.Right {
				text = strings.TrimRightFunc(text, unicode.IsSpace)
			}
			return text
		}, nil
	case "BertNormalizer":
		strip := s.Lower
		if s.Strip != nil {
			strip = *s.Strip
		}
		return bertNormalizer{s.Clean, s.Chinese, strip, s.Lower}.normalize, nil
	case "Precompiled":
		raw, err := base64.StdEncoding.DecodeString(s.Charsmap)
		if err != nil {
			return nil, ErrVocabulary.Because("tokenizer: precompiled_charsmap is no base64: %w", err)
		}
		c, err := newCharsmap(raw)
		if err != nil {
			return nil, err
		}
		return c.byGraphemes, nil
	}
	return nil, ErrUnsupported.Because("tokenizer: the normalizer %q is not supported", s.Type)
}

// toLetters writes each byte of a text as GPT-2's letter for it.
func toLetters(letters [256]rune) normalizer {
	return func(text string) string {
		var b strings.Builder
		b.Grow(2 * len(text))
		for i := range len(text) {
			b.WriteRune(letters[text[i]])
		}
		return b.String()
	}
}

// charsmap is SentencePiece's table of replacements: a double-array trie whose values are offsets of
// strings that a zero ends (https://github.com/google/sentencepiece, normalizer.cc).
type charsmap struct {
	units   []uint32
	strings string
}

// longestReplacement bounds what a character becomes, in bytes: Unicode's longest has 33.
const longestReplacement = 256

// newCharsmap reads a precompiled_charsmap; nil for an empty one.
func newCharsmap(raw []byte) (*charsmap, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	if len(raw) < 8 || uint64(binary.LittleEndian.Uint32(raw)) > uint64(len(raw)-4) || binary.LittleEndian.Uint32(raw)%4 != 0 {
		return nil, ErrVocabulary.Because("tokenizer: precompiled_charsmap of %d bytes does not hold the trie that it announces", len(raw))
	}
	size := int(binary.LittleEndian.Uint32(raw))
	c := &charsmap{units: make([]uint32, size/4), strings: string(raw[4+size:])}
	for i := range c.units {
		c.units[i] = binary.LittleEndian.Uint32(raw[4+4*i:])
	}
	return c, nil
}

// match gives the replacement of the shortest, or the longest, beginning of text that has one, and the
// length of that beginning; 0 if there is none.
func (c *charsmap) match(text string, longest bool) (to string, length int) {
	if c == nil || len(c.units) == 0 {
		return "", 0
	}
	offset := func(u uint32) uint32 { return (u >> 10) << ((u & (1 << 9)) >> 6) }
	at, value := offset(c.units[0]), -1
	for i := 0; i < len(text) && text[i] != 0; i++ {
		at ^= uint32(text[i])
		if int64(at) >= int64(len(c.units)) {
			break
		}
		u := c.units[at]
		if u&(1<<31|0xFF) != uint32(text[i]) {
			break
		}
		at ^= offset(u)
		if u>>8&1 == 1 && int64(at) < int64(len(c.units)) {
			value, length = int(c.units[at]&0x7FFFFFFF), i+1
			if !longest {
				break
			}
		}
	}
	if value < 0 || value > len(c.strings) {
		return "", 0
	}
	to = c.strings[value:]
	end := strings.IndexByte(to[:min(len(to), longestReplacement)], 0)
	if end < 0 {
		return "", 0
	}
	return to[:end], length
}

// byGraphemes is Hugging Face's way: a short grapheme becomes what its shortest beginning becomes, of a
// longer one each character by itself.
func (c *charsmap) byGraphemes(text string) string {
	var b strings.Builder
	for g, state := "", -1; text != ""; {
		g, text, _, state = uniseg.FirstGraphemeClusterInString(text, state)
		if len(g) < 6 {
			if to, n := c.match(g, false); n > 0 {
				b.WriteString(to)
				continue
			}
		}
		for g != "" {
			_, size := utf8.DecodeRuneInString(g)
			if to, n := c.match(g[:size], false); n > 0 {
				b.WriteString(to)
			} else {
				b.WriteString(g[:size])
			}
			g = g[size:]
		}
	}
	return b.String()
}

// byPrefixes is SentencePiece's own way: the longest beginning of the rest is replaced.
func (c *charsmap) byPrefixes(text string) string {
	var b strings.Builder
	for text != "" {
		to, n := c.match(text, true)
		if n == 0 {
			var r rune
			r, n = utf8.DecodeRuneInString(text)
			b.WriteRune(r)
		}
		b.WriteString(to)
		text = text[n:]
	}
	return b.String()
}

// oneSpace takes away spaces at both ends, and all but one where several follow each other.
func oneSpace(text string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(text, " ") {
		if part == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(part)
	}
	return b.String()
}

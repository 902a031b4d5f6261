package tokenizer

import (
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Decode gives the text of tokens. Bytes that are no UTF-8 become U+FFFD, one for each maximal part of a
// character; Hugging Face's ByteFallback has more of them there.
func (t *Tokenizer) Decode(ids []int32, skipSpecial bool) string {
	d := t.NewDecoder(skipSpecial)
	var out []byte
	for _, id := range ids {
		out = append(out, d.Append(id)...)
	}
	return string(append(out, d.Flush()...))
}

// Decoder turns a stream of tokens into text and never gives out half a character.
type Decoder struct {
	t           *Tokenizer
	skipSpecial bool
	begun       bool
	drop        int    // spaces still to take away
	held        []byte // the beginning of a character
	out         []byte
}

// NewDecoder starts a text. With skipSpecial, special tokens give nothing.
func (t *Tokenizer) NewDecoder(skipSpecial bool) *Decoder {
	return &Decoder{t: t, skipSpecial: skipSpecial, drop: t.dropSpaces}
}

// Append gives the complete characters that the token finishes. The bytes are valid until the next call.
func (d *Decoder) Append(id int32) []byte {
	d.out = d.out[:0]
	if id < 0 || int(id) >= len(d.t.pieces) || d.skipSpecial && d.t.Special(id) {
		return d.out
	}
	piece := d.t.pieces[id]
	if !d.begun && d.t.opening != nil {
		piece = d.t.opening[id]
	}
	d.begun = true
	for ; d.drop > 0 && piece != ""; d.drop-- {
		if piece[0] != ' ' {
			d.drop = 0
			break
		}
		piece = piece[1:]
	}
	d.held = append(d.held, piece...)
	d.release(false)
	return d.out
}

// Flush ends the text: what is held can no longer become a character.
func (d *Decoder) Flush() []byte {
	d.out = d.out[:0]
	d.release(true)
	return d.out
}

func (d *Decoder) release(all bool) {
	b := d.held
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			n = prefix(b)
			if n == len(b) && !all {
				break // more bytes may come
			}
			d.out = append(d.out, "\uFFFD"...)
		} else {
			d.out = append(d.out, b[:n]...)
		}
		b = b[n:]
	}
	d.held = append(d.held[:0], b...)
}

// prefix is the length of the longest beginning of b that could begin a character, at least 1: what
// one U+FFFD stands for (Unicode 15.0, section 3.9, maximal subparts). b does not begin with a
// whole character.
func prefix(b []byte) int {
	lo, hi, want := byte(0x80), byte(0xBF), 0
	switch c := b[0]; {
	case c >= 0xC2 && c <= 0xDF:
		want = 2
	case c >= 0xE0 && c <= 0xEF:
		want = 3
		if c == 0xE0 {
			lo = 0xA0
		} else if c == 0xED {
			hi = 0x9F
		}
	case c >= 0xF0 && c <= 0xF4:
		want = 4
		if c == 0xF0 {
			lo = 0x90
		} else if c == 0xF4 {
			hi = 0x8F
		}
	default:
		return 1
	}
	n := 1
	for n < want && n < len(b) && b[n] >= lo && b[n] <= hi {
		n++
		lo, hi = 0x80, 0xBF
	}
	return n
}

// decoderSpec is one decoder of a tokenizer.json.
type decoderSpec struct {
	Type          string            `json:"type"`
	Decoders      []json.RawMessage `json:"decoders"`
	Prefix        string            `json:"prefix"`
	Cleanup       *bool             `json:"cleanup"`
	Pattern       pattern           `json:"pattern"`
	Content       string            `json:"content"`
	Start         int               `json:"start"`
	Stop          int               `json:"stop"`
	Replacement   string            `json:"replacement"`
	PrependScheme string            `json:"prepend_scheme"`
	PrefixSpace   *bool             `json:"add_prefix_space"`
}

// decoding is what the decoders do to one token; first tells that it begins the text.
type decoding struct {
	steps      []func(token string, first bool) string
	fused      bool // what follows is for the whole text
	dropSpaces int
	opens      bool // some step looks at first
}

// setDecoding works out what every token decodes to.
func (t *Tokenizer) setDecoding(raw json.RawMessage) error {
	var d decoding
	if absent(raw) {
		d.opens = true
		d.steps = append(d.steps, func(token string, first bool) string {
			if first {
				return token
			}
			return " " + token
		})
	} else if err := d.read(raw, 0); err != nil {
		return err
	}
	all := func(first bool) []string {
		out := make([]string, len(t.tokens))
		for i, token := range t.tokens {
			if token == "" {
				continue // a hole in the vocabulary
			}
			for _, step := range d.steps {
				token = step(token, first)
			}
			out[i] = token
		}
		return out
	}
	t.pieces = all(false)
	if d.opens {
		t.opening = all(true)
	}
	t.dropSpaces = d.dropSpaces
	return nil
}

func (d *decoding) read(raw json.RawMessage, depth int) error {
	var s decoderSpec
	if err := readPart("decoder", raw, &s, depth); err != nil {
		return err
	}
	if len(d.steps) > maxParts {
		return ErrVocabulary.Because("tokenizer: more than %d decoders", maxParts)
	}
	if d.fused {
		switch {
		case s.Type == "Strip" && s.Content == " " && s.Stop == 0 && s.Start >= 0:
			d.dropSpaces += s.Start
			return nil
		case s.Type != "Fuse":
			return ErrUnsupported.Because("tokenizer: the decoder %q behind one that joins all tokens is not supported", s.Type)
		}
	}
	switch s.Type {
	case "Sequence":
		for _, part := range s.Decoders {
			if err := d.read(part, depth+1); err != nil {
				return err
			}
		}
		return nil
	case "Fuse":
		d.fused = true
		return nil
	}
	step, err := s.step(d)
	d.steps = append(d.steps, step)
	return err
}

func (s *decoderSpec) step(d *decoding) (func(string, bool) string, error) {
	switch s.Type {
	case "ByteLevel":
		d.fused = true
		of := lettersOf(byteLetters())
		return func(token string, _ bool) string { raw, _ := fromLetters(token, of); return raw }, nil
	case "ByteFallback":
		return func(token string, _ bool) string {
			if b, ok := byteToken(token); ok {
				return string([]byte{b})
			}
			return token
		}, nil
	case "Replace":
		find, err := s.Pattern.finder("decoder Replace")
		if err != nil {
			return nil, err
		}
		if len(s.Content) > longestReplacement {
			return nil, ErrVocabulary.Because("tokenizer: the decoder's replacement has %d bytes, at most %d are allowed", len(s.Content), longestReplacement)
		}
		replace := (&normalizerSpec{Pattern: s.Pattern, Content: s.Content}).replacer(find)
		return func(token string, _ bool) string { return replace(token) }, nil
	case "Strip":
		return s.strip, nil
	case "Metaspace":
		d.opens = true
		scheme, err := (&stepSpec{Replacement: s.Replacement, PrependScheme: s.PrependScheme, PrefixSpace: s.PrefixSpace}).scheme()
		return func(token string, first bool) string {
			if first && scheme != "never" {
				return strings.ReplaceAll(token, s.Replacement, "")
			}
			return strings.ReplaceAll(token, s.Replacement, " ")
		}, err
	case "WordPiece":
		d.opens = true
		return s.wordPiece, nil
	}
	return nil, ErrUnsupported.Because("tokenizer: the decoder %q is not supported", s.Type)
}

// strip takes away so many of a character at the ends of every token.
func (s *decoderSpec) strip(token string, _ bool) string {
	if s.Content == "" {
		return token
	}
	for n := s.Start; n > 0 && strings.HasPrefix(token, s.Content); n-- {
		token = token[len(s.Content):]
	}
	for n := s.Stop; n > 0 && strings.HasSuffix(token, s.Content); n-- {
		token = token[:len(token)-len(s.Content)]
	}
	return token
}

func (s *decoderSpec) wordPiece(token string, first bool) string {
	if !first {
		if rest, ok := strings.CutPrefix(token, s.Prefix); ok && s.Prefix != "" {
			token = rest
		} else {
			token = " " + token
		}
	}
	if s.Cleanup == nil || *s.Cleanup {
		for _, r := range [...][2]string{{" .", "."}, {" ?", "?"}, {" !", "!"}, {" ,", ","}, {" ' ", "'"}, {" n't", "n't"}, {" 'm", "'m"},
			{" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}} {
			token = strings.ReplaceAll(token, r[0], r[1])
		}
	}
	return token
}

// byteToken reads <0xNN>.
func byteToken(token string) (byte, bool) {
	if len(token) != 6 || !strings.HasPrefix(token, "<0x") || token[5] != '>' {
		return 0, false
	}
	v, err := strconv.ParseUint(token[3:5], 16, 8)
	return byte(v), err == nil
}

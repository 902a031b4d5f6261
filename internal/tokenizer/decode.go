package tokenizer

import "unicode/utf8"

// Decode gives the text of tokens; bytes that are no UTF-8 become U+FFFD.
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
	held        []byte // the beginning of a character
	out         []byte
}

// NewDecoder starts a text. With skipSpecial, special tokens give nothing.
func (t *Tokenizer) NewDecoder(skipSpecial bool) *Decoder {
	return &Decoder{t: t, skipSpecial: skipSpecial}
}

// Append gives the complete characters that the token finishes. The bytes are valid until the next call.
func (d *Decoder) Append(id int32) []byte {
	d.out = d.out[:0]
	if id < 0 || int(id) >= len(d.t.pieces) || d.skipSpecial && d.t.Special(id) {
		return d.out
	}
	piece := d.t.pieces[id]
	if !d.begun {
		d.begun = true
		if d.t.prefixSpace && len(piece) > 0 && piece[0] == ' ' && !d.t.Special(id) {
			piece = piece[1:]
		}
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

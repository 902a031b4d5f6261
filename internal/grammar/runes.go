package grammar

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/galerne-ai/galerne/internal/grammar/regex"
)

// utf8 is one code point of the set, as UTF-8.
func (s *store) utf8(set regex.Runes) term { return s.written("u", set, s.makeUTF8) }

// written remembers how a set is written: the same sets come again and again.
func (s *store) written(how string, set regex.Runes, write func(regex.Runes) term) term {
	k := how + set.Key()
	t, ok := s.chars[k]
	if !ok {
		t = write(set)
		s.chars[k] = t
	}
	return t
}

func (s *store) makeUTF8(set regex.Runes) term {
	var list []term
	var ascii byteSet
	for _, r := range set {
		if r.Lo < utf8.RuneSelf {
			ascii.add(byte(r.Lo), byte(min(r.Hi, utf8.RuneSelf-1)))
		}
		for _, border := range []regex.Range{{Lo: 0x80, Hi: 0x7FF}, {Lo: 0x800, Hi: 0xFFFF}, {Lo: 0x10000, Hi: utf8.MaxRune}} {
			if lo, hi := max(r.Lo, border.Lo), min(r.Hi, border.Hi); lo <= hi {
				list = append(list, s.utf8Range(lo, hi))
			}
		}
	}
	return s.alt(append(list, s.set(ascii))...)
}

// utf8Range is for code points whose encodings are equally long: the range is cut where the last
// bytes do not run through all their values.
func (s *store) utf8Range(lo, hi rune) term {
	var a, b [utf8.UTFMax]byte
	n := utf8.EncodeRune(a[:], lo)
	utf8.EncodeRune(b[:], hi)
	return s.byteRange(a[:n], b[:n])
}

func (s *store) byteRange(a, b []byte) term {
	if len(a) == 0 {
		return empty
	}
	if a[0] == b[0] {
		return s.cat2(s.bytes(a[0], a[0]), s.byteRange(a[1:], b[1:]))
	}
	lo, hi := a[0], b[0]
	var list []term
	lowest, highest := make([]byte, len(a)-1), make([]byte, len(a)-1)
	for i := range lowest {
		lowest[i], highest[i] = 0x80, 0xBF
	}
	if !slices.Equal(a[1:], lowest) {
		list = append(list, s.cat2(s.bytes(lo, lo), s.byteRange(a[1:], highest)))
		lo++
	}
	if !slices.Equal(b[1:], highest) {
		list = append(list, s.cat2(s.bytes(hi, hi), s.byteRange(lowest, b[1:])))
		hi--
	}
	if lo <= hi {
		list = append(list, s.cat2(s.bytes(lo, hi), s.byteRange(lowest, highest)))
	}
	return s.alt(list...)
}

// escapes are the characters that JSON writes in two.
const escapes = "\"\"\\\\\bb\ff\nn\rr\tt" // pairs: the character, and what follows the backslash

// raw are the characters that strings are written with as they are. Between tags, < is none, so that no
// value has the tag that ends it.
func (s *store) raw() regex.Runes {
	if s.tagged {
		return rawInJSON().Minus(regex.NewRunes(regex.Range{Lo: '<', Hi: '<'}))
	}
	return rawInJSON()
}

func rawInJSON() regex.Runes {
	return regex.NewRunes(regex.Range{Lo: 0x20, Hi: '"' - 1}, regex.Range{Lo: '"' + 1, Hi: '\\' - 1}, regex.Range{Lo: '\\' + 1, Hi: utf8.MaxRune})
}

// jsonRune is one code point of the set inside a JSON string, in its shortest form.
func (s *store) jsonRune(set regex.Runes) term { return s.written("j", set, s.makeJSONRune) }

func (s *store) makeJSONRune(set regex.Runes) term {
	raw := set.Complement().Union(s.raw().Complement()).Complement()
	list := []term{s.utf8(raw)}
	control := set.Minus(s.raw())
	for i := 0; i < len(escapes); i += 2 {
		if c := rune(escapes[i]); control.Has(c) {
			list = append(list, s.lit(`\`+escapes[i+1:i+2]))
			control = control.Minus(regex.NewRunes(regex.Range{Lo: c, Hi: c}))
		}
	}
	for _, r := range control {
		for c := r.Lo; c <= r.Hi; c++ {
			list = append(list, s.hexEscape(fmt.Sprintf("%04x", c)))
		}
	}
	return s.alt(list...)
}

func (s *store) hexEscape(digits string) term {
	parts := []term{s.lit(`\u`)}
	for _, d := range []byte(digits) {
		t := s.bytes(d, d)
		if d >= 'a' {
			t = s.alt(t, s.bytes(d-'a'+'A', d-'a'+'A'))
		}
		parts = append(parts, t)
	}
	return s.cat(parts...)
}

// freeRune is any code point inside a JSON string in any form that JSON has for it.
func (s *store) freeRune() term {
	if s.free != none {
		return s.free
	}
	if s.tagged { // the vocabulary does not know these strings by heart
		return s.written("free", nil, func(regex.Runes) term { return s.anyForm() })
	}
	s.free = s.anyForm()
	return s.free
}

func (s *store) anyForm() term {
	hex := func(values ...int) term { // one hexadecimal digit, in either case
		var b byteSet
		for _, v := range values {
			for _, d := range []byte(fmt.Sprintf("%x%X", v, v)) {
				b.add(d, d)
			}
		}
		return s.set(b)
	}
	notD := hex(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15)
	d, any := hex(13), hex(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
	u := s.lit(`\u`)
	var short byteSet
	for _, c := range []byte(`"\/bfnrt`) {
		short.add(c, c)
	}
	return s.alt(
		s.utf8(s.raw()),
		s.cat(s.lit(`\`), s.set(short)),
		s.cat(u, notD, any, any, any),
		s.cat(u, d, hex(0, 1, 2, 3, 4, 5, 6, 7), any, any),
		s.cat(u, d, hex(8, 9, 10, 11), any, any, u, d, hex(12, 13, 14, 15), any, any),
	)
}

// quote writes a string as jsonRune does.
func (s *store) quote(text string) string {
	if s.tagged {
		return strings.ReplaceAll(quoteJSON(text), "<", `\u003c`)
	}
	return quoteJSON(text)
}

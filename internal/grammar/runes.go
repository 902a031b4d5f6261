package grammar

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// runeSet is a set of code points: ranges in rising order with gaps between them. Surrogates are no
// code points.
type runeSet []runeRange

type runeRange struct{ lo, hi rune }

const (
	surrogateMin = 0xD800
	surrogateMax = 0xDFFF
)

// newRuneSet sorts, merges and takes the surrogates away.
func newRuneSet(ranges ...runeRange) runeSet {
	list := make([]runeRange, 0, len(ranges)+1)
	for _, r := range ranges {
		if r.lo < surrogateMin && r.hi > surrogateMax {
			list = append(list, runeRange{r.lo, surrogateMin - 1}, runeRange{surrogateMax + 1, r.hi})
			continue
		}
		if r.lo >= surrogateMin && r.lo <= surrogateMax {
			r.lo = surrogateMax + 1
		}
		if r.hi >= surrogateMin && r.hi <= surrogateMax {
			r.hi = surrogateMin - 1
		}
		if r.lo <= r.hi {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b runeRange) int { return int(a.lo) - int(b.lo) })
	out := runeSet(list[:0])
	for _, r := range list {
		if n := len(out); n > 0 && r.lo <= out[n-1].hi+1 {
			out[n-1].hi = max(out[n-1].hi, r.hi)
		} else {
			out = append(out, r)
		}
	}
	return out
}

func allRunes() runeSet { return newRuneSet(runeRange{0, utf8.MaxRune}) }

func (s runeSet) complement() runeSet {
	var out []runeRange
	at := rune(0)
	for _, r := range s {
		if r.lo > at {
			out = append(out, runeRange{at, r.lo - 1})
		}
		at = r.hi + 1
	}
	if at <= utf8.MaxRune {
		out = append(out, runeRange{at, utf8.MaxRune})
	}
	return newRuneSet(out...)
}

func (s runeSet) union(t runeSet) runeSet { return newRuneSet(append(slices.Clone(s), t...)...) }

func (s runeSet) minus(t runeSet) runeSet { return s.complement().union(t).complement() }

func (s runeSet) has(r rune) bool {
	_, ok := slices.BinarySearchFunc(s, r, func(x runeRange, r rune) int {
		switch {
		case x.hi < r:
			return -1
		case x.lo > r:
			return 1
		}
		return 0
	})
	return ok
}

// utf8 is one code point of the set, as UTF-8.
func (s *store) utf8(set runeSet) term { return s.written("u", set, s.makeUTF8) }

// written remembers how a set is written: the same sets come again and again.
func (s *store) written(how string, set runeSet, write func(runeSet) term) term {
	k := how + set.key()
	t, ok := s.chars[k]
	if !ok {
		t = write(set)
		s.chars[k] = t
	}
	return t
}

// key tells sets apart.
func (s runeSet) key() string {
	b := make([]byte, 0, 8*len(s))
	for _, r := range s {
		b = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(b, uint32(r.lo)), uint32(r.hi))
	}
	return string(b)
}

func (s *store) makeUTF8(set runeSet) term {
	var list []term
	var ascii byteSet
	for _, r := range set {
		if r.lo < utf8.RuneSelf {
			ascii.add(byte(r.lo), byte(min(r.hi, utf8.RuneSelf-1)))
		}
		for _, border := range []runeRange{{0x80, 0x7FF}, {0x800, 0xFFFF}, {0x10000, utf8.MaxRune}} {
			if lo, hi := max(r.lo, border.lo), min(r.hi, border.hi); lo <= hi {
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
func (s *store) raw() runeSet {
	if s.tagged {
		return rawInJSON().minus(runeSet{{'<', '<'}})
	}
	return rawInJSON()
}

func rawInJSON() runeSet {
	return newRuneSet(runeRange{0x20, '"' - 1}, runeRange{'"' + 1, '\\' - 1}, runeRange{'\\' + 1, utf8.MaxRune})
}

// jsonRune is one code point of the set inside a JSON string, in its shortest form.
func (s *store) jsonRune(set runeSet) term { return s.written("j", set, s.makeJSONRune) }

func (s *store) makeJSONRune(set runeSet) term {
	raw := set.complement().union(s.raw().complement()).complement()
	list := []term{s.utf8(raw)}
	control := set.minus(s.raw())
	for i := 0; i < len(escapes); i += 2 {
		if c := rune(escapes[i]); control.has(c) {
			list = append(list, s.lit(`\`+escapes[i+1:i+2]))
			control = control.minus(runeSet{{c, c}})
		}
	}
	for _, r := range control {
		for c := r.lo; c <= r.hi; c++ {
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
		return s.written("free", nil, func(runeSet) term { return s.anyForm() })
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

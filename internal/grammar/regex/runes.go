package regex

import (
	"encoding/binary"
	"slices"
	"strconv"
	"unicode"
	"unicode/utf8"
)

// Runes is a set of code points: ranges in rising order with gaps between them. Surrogates are no
// code points.
type Runes []Range

// Range is the code points from Lo to Hi.
type Range struct{ Lo, Hi rune }

const (
	surrogateMin = 0xD800
	surrogateMax = 0xDFFF
)

// NewRunes sorts, merges and takes the surrogates away.
func NewRunes(ranges ...Range) Runes {
	list := make([]Range, 0, len(ranges)+1)
	for _, r := range ranges {
		if r.Lo < surrogateMin && r.Hi > surrogateMax {
			list = append(list, Range{r.Lo, surrogateMin - 1}, Range{surrogateMax + 1, r.Hi})
			continue
		}
		if r.Lo >= surrogateMin && r.Lo <= surrogateMax {
			r.Lo = surrogateMax + 1
		}
		if r.Hi >= surrogateMin && r.Hi <= surrogateMax {
			r.Hi = surrogateMin - 1
		}
		if r.Lo <= r.Hi {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b Range) int { return int(a.Lo) - int(b.Lo) })
	out := Runes(list[:0])
	for _, r := range list {
		if n := len(out); n > 0 && r.Lo <= out[n-1].Hi+1 {
			out[n-1].Hi = max(out[n-1].Hi, r.Hi)
		} else {
			out = append(out, r)
		}
	}
	return out
}

// AllRunes is every code point.
func AllRunes() Runes { return NewRunes(Range{0, utf8.MaxRune}) }

// Complement is the code points that are not in s.
func (s Runes) Complement() Runes {
	var out []Range
	at := rune(0)
	for _, r := range s {
		if r.Lo > at {
			out = append(out, Range{at, r.Lo - 1})
		}
		at = r.Hi + 1
	}
	if at <= utf8.MaxRune {
		out = append(out, Range{at, utf8.MaxRune})
	}
	return NewRunes(out...)
}

// Union is the code points of either.
func (s Runes) Union(t Runes) Runes { return NewRunes(append(slices.Clone(s), t...)...) }

// Minus is the code points of s that are not in t.
func (s Runes) Minus(t Runes) Runes { return s.Complement().Union(t).Complement() }

// Has reports whether r is one of s.
func (s Runes) Has(r rune) bool {
	_, ok := slices.BinarySearchFunc(s, r, func(x Range, r rune) int {
		switch {
		case x.Hi < r:
			return -1
		case x.Lo > r:
			return 1
		}
		return 0
	})
	return ok
}

// Key tells sets apart.
func (s Runes) Key() string {
	b := make([]byte, 0, 8*len(s))
	for _, r := range s {
		b = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(b, uint32(r.Lo)), uint32(r.Hi))
	}
	return string(b)
}

// Partition cuts the code points into classes that no set tells apart; ok is false if there are more than most.
func Partition(sets []Runes, most int) (classes []Runes, ok bool) {
	starts := []rune{0, surrogateMax + 1}
	for _, set := range sets {
		for _, r := range set {
			starts = append(starts, r.Lo, r.Hi+1)
		}
	}
	slices.Sort(starts)
	starts = slices.Compact(starts)
	signature := make([][]byte, len(starts))
	for i, set := range sets {
		mark := append(strconv.AppendInt(nil, int64(i), 36), ' ')
		for _, r := range set {
			at, _ := slices.BinarySearch(starts, r.Lo)
			for ; at < len(starts) && starts[at] <= r.Hi; at++ {
				signature[at] = append(signature[at], mark...)
			}
		}
	}
	number := map[string]int{}
	ranges := [][]Range{}
	for i, lo := range starts {
		hi := rune(0x10FFFF)
		if i+1 < len(starts) {
			hi = starts[i+1] - 1
		}
		if len(NewRunes(Range{lo, hi})) == 0 {
			continue
		}
		n, seen := number[string(signature[i])]
		if !seen {
			n = len(number)
			if n >= most {
				return nil, false
			}
			number[string(signature[i])] = n
			ranges = append(ranges, nil)
		}
		ranges[n] = append(ranges[n], Range{lo, hi})
	}
	for _, r := range ranges {
		classes = append(classes, NewRunes(r...))
	}
	return classes, true
}

// casePairs are the code points that differ in case only.
func casePairs() [][2]rune {
	const lastCased = 0x1E943
	var out [][2]rune
	for r := rune(0); r <= lastCased; r++ {
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			out = append(out, [2]rune{r, f})
		}
	}
	return out
}

func propertySet(name string) Runes {
	if name == "Any" {
		return AllRunes()
	}
	long := map[string]string{
		"Letter": "L", "Lowercase_Letter": "Ll", "Uppercase_Letter": "Lu", "Titlecase_Letter": "Lt", "Modifier_Letter": "Lm",
		"Other_Letter": "Lo", "Mark": "M", "Number": "N", "Decimal_Number": "Nd", "digit": "Nd", "Letter_Number": "Nl",
		"Other_Number": "No", "Punctuation": "P", "punct": "P", "Symbol": "S", "Math_Symbol": "Sm", "Currency_Symbol": "Sc",
		"Separator": "Z", "Space_Separator": "Zs", "Other": "C", "Control": "Cc", "cntrl": "Cc", "Format": "Cf",
	}
	switch name {
	case "ASCII":
		return Runes{{0, unicode.MaxASCII}}
	case "Alphabetic":
		return NewRunes(append(append(tableRanges(unicode.L), tableRanges(unicode.Nl)...), tableRanges(unicode.Other_Alphabetic)...)...)
	case "Uppercase":
		return NewRunes(append(tableRanges(unicode.Lu), tableRanges(unicode.Other_Uppercase)...)...)
	case "Lowercase":
		return NewRunes(append(tableRanges(unicode.Ll), tableRanges(unicode.Other_Lowercase)...)...)
	}
	if short := long[name]; short != "" {
		name = short
	}
	for _, tables := range []map[string]*unicode.RangeTable{unicode.Categories, unicode.Scripts, unicode.Properties} {
		if t := tables[name]; t != nil {
			return NewRunes(tableRanges(t)...)
		}
	}
	return nil
}

func tableRanges(t *unicode.RangeTable) []Range {
	var out []Range
	add := func(lo, hi, stride rune) {
		if stride == 1 {
			out = append(out, Range{lo, hi})
			return
		}
		for r := lo; r <= hi; r += stride {
			out = append(out, Range{r, r})
		}
	}
	for _, r := range t.R16 {
		add(rune(r.Lo), rune(r.Hi), rune(r.Stride))
	}
	for _, r := range t.R32 {
		add(rune(r.Lo), rune(r.Hi), rune(r.Stride))
	}
	return out
}

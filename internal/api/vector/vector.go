// Package vector answers: how do vendors tell the numbers of an embedding?
package vector

import (
	"encoding/base64"
	"encoding/binary"
	"math"
)

// Type is how the numbers of a vector are told.
type Type string

// The types that vendors know by these names. Small numbers keep the order of cosine similarities, not
// their values:
//
//	int8, uint8      the vector scaled so that its largest number is ±127; uint8 adds 128
//	binary, ubinary  a bit for every number, 1 where it is above 0, eight to a byte, the first the highest,
//	                 the last byte filled with 0; binary takes 128 from each byte
const (
	Floats  Type = "float"
	Int8    Type = "int8"
	Uint8   Type = "uint8"
	Binary  Type = "binary"
	UBinary Type = "ubinary"
)

// Known reports whether it is one of the types.
func (t Type) Known() bool {
	switch t {
	case Floats, Int8, Uint8, Binary, UBinary:
		return true
	}
	return false
}

// Numbers is a vector for JSON: []float32 of Floats, else []int.
func (t Type) Numbers(v []float32) any {
	if t == Floats {
		return v
	}
	return t.small(v)
}

// Base64 is a vector as bytes in base64: 32-bit floats, little-endian, or a byte a number.
func (t Type) Base64(v []float32) string {
	var b []byte
	if t == Floats {
		for _, x := range v {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
		}
	} else {
		for _, n := range t.small(v) {
			b = append(b, byte(n))
		}
	}
	return base64.StdEncoding.EncodeToString(b)
}

func (t Type) small(v []float32) []int {
	if t == Binary || t == UBinary {
		out := make([]int, (len(v)+7)/8)
		for i, x := range v {
			if x > 0 {
				out[i/8] |= 1 << (7 - i%8)
			}
		}
		for i := range out {
			if t == Binary {
				out[i] -= 128
			}
		}
		return out
	}
	var largest float64
	for _, x := range v {
		largest = max(largest, math.Abs(float64(x)))
	}
	out := make([]int, len(v))
	for i, x := range v {
		if largest > 0 {
			out[i] = int(math.Round(float64(x) / largest * 127))
		}
		if t == Uint8 {
			out[i] += 128
		}
	}
	return out
}

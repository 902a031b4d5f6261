package kernel

import (
	"encoding/binary"
	"math"
)

// FromF16 widens an IEEE 754 half-precision number.
func FromF16(h uint16) float32 {
	sign := uint32(h&0x8000) << 16
	exp := uint32(h>>10) & 0x1f
	frac := uint32(h & 0x3ff)
	switch {
	case exp == 0x1f:
		return math.Float32frombits(sign | 0x7f800000 | frac<<13)
	case exp != 0:
		return math.Float32frombits(sign | (exp+112)<<23 | frac<<13)
	}
	f := float32(frac) * (1.0 / (1 << 24)) // subnormal: frac × 2^-24, exact
	return math.Float32frombits(math.Float32bits(f) | sign)
}

// ToF16 rounds to the nearest half-precision number, ties to even; too large becomes infinity.
func ToF16(f float32) uint16 {
	b := math.Float32bits(f)
	sign := uint16(b>>16) & 0x8000
	b &= 0x7fffffff
	switch {
	case b > 0x7f800000:
		return sign | 0x7e00
	case b >= 0x477ff000: // 65520 and above round to infinity
		return sign | 0x7c00
	case b < 0x38800000: // below 2^-14: subnormal; adding 0.5 aligns the bits, the FPU rounds
		r := math.Float32frombits(b) + 0.5
		return sign | uint16(math.Float32bits(r)-0x3f000000)
	}
	b += 0xc8000fff + (b>>13)&1 // rebias by -112, round half to even
	return sign | uint16(b>>13)
}

// FromBF16 widens a bfloat16 number.
func FromBF16(h uint16) float32 { return math.Float32frombits(uint32(h) << 16) }

func u16(b []byte) uint16 { return uint16(b[0]) | uint16(b[1])<<8 }

func u32(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }

func f16(b []byte) float32 { return FromF16(u16(b)) }

func f32(b []byte) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(b)) }

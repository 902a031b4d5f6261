package kernel

import (
	"encoding/binary"
	"math"

	"github.com/galerne-ai/galerne/internal/dtype"
)

// block is one run of at most 32 weights in the one shape that every type decodes to:
//
//	weight[i] = scale·(int8(code[i]) - zero) + offset       zero is the form's
//
// See scales and codes. scale is factor (half precision), for K types times an integer; offset likewise:
// packing keeps these, resolve multiplies them.
type block struct {
	code              [32]byte
	scale, offset     float32
	factor, factorLow uint16
	times, timesLow   int8
}

// decode fills dst, a group.
func (b *block) decode(dst []float32, zero int8) {
	for i := range dst {
		dst[i] = float32(b.scale*float32(int8(b.code[i])-zero)) + b.offset
	}
}

// resolve computes scale and offset for a form with scales of so many bytes.
func (b *block) resolve(scaleBytes int) {
	switch scaleBytes {
	case 1:
		b.scale, b.offset = FromF16(b.factor)*float32(b.times), FromF16(b.factorLow)*float32(b.timesLow)
	case 2:
		b.scale, b.offset = FromF16(b.factor), FromF16(b.factorLow)
	}
}

// Dequantize decodes whole blocks of type t to float32: len(dst) weights, a multiple of t.Elems().
// Source: the GGML block formats, https://github.com/ggml-org/ggml/blob/master/src/ggml-common.h.
func Dequantize(t dtype.Type, dst []float32, data []byte) {
	switch t {
	case dtype.F32:
		for i := range dst {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
		}
		return
	case dtype.F16:
		for i := range dst {
			dst[i] = f16(data[2*i:])
		}
		return
	case dtype.BF16:
		for i := range dst {
			dst[i] = FromBF16(u16(data[2*i:]))
		}
		return
	}
	f, elems, bytes := formOf(t), t.Elems(), t.Bytes()
	var b block
	for len(dst) > 0 {
		for g := range elems / f.group {
			b.scales(t, data[:bytes], g)
			b.codes(t, data[:bytes], g)
			b.resolve(f.scaleBytes)
			b.decode(dst[:f.group], f.zero)
			dst = dst[f.group:]
		}
		data = data[bytes:]
	}
}

// scales reads what group g of one block of a quantized type has beside its codes.
func (b *block) scales(t dtype.Type, d []byte, g int) {
	b.offset, b.factorLow, b.timesLow = 0, 0, 0
	minus := func(offset uint16, times uint8) { b.factorLow, b.timesLow = offset^0x8000, int8(times) }
	switch t {
	case dtype.Q4_0, dtype.IQ4NL, dtype.Q5_0, dtype.Q8_0:
		b.factor = u16(d)
	case dtype.Q4_1, dtype.Q5_1:
		b.factor, b.factorLow = u16(d), u16(d[2:])
	case dtype.MXFP4:
		b.scale = float32(math.Ldexp(1, int(d[0])-128)) // 2^(e-127), halved: the codes are doubled
	case dtype.Q2_K: // u8 scales[16], u8 qs[64], f16 d, f16 dmin
		b.factor, b.times = u16(d[80:]), int8(d[g]&15)
		minus(u16(d[82:]), d[g]>>4)
	case dtype.Q3_K: // u8 hmask[32], u8 qs[64], u8 scales[12], f16 d
		b.factor, b.times = u16(d[108:]), scale3(d[96:108], g)
	case dtype.Q4_K, dtype.Q5_K: // f16 d, f16 dmin, u8 scales[12], for Q5_K u8 qh[32], u8 qs[128]
		sc, m := scale4(d[4:16], g)
		b.factor, b.times = u16(d), int8(sc)
		minus(u16(d[2:]), m)
	case dtype.Q6_K: // u8 ql[128], u8 qh[64], i8 scales[16], f16 d
		b.factor, b.times = u16(d[208:]), int8(d[192+g])
	case dtype.IQ4XS: // f16 d, u16 scales_h, u8 scales_l[4], u8 qs[128]
		low := d[4+g/2] >> (g % 2 * 4) & 15
		high := u16(d[2:]) >> (2 * g) & 3
		b.factor, b.times = u16(d), int8(int(low)|int(high)<<4-32)
	default:
		panic("kernel: no decoder for " + t.String())
	}
}

// codes decodes the codes of group g of one block of a quantized type.
func (b *block) codes(t dtype.Type, d []byte, g int) {
	switch t {
	case dtype.Q4_0:
		b.nibbles(d[2:18])
	case dtype.IQ4NL:
		b.nibbles(d[2:18])
		b.lookUp(&iq4)
	case dtype.Q4_1:
		b.nibbles(d[4:20])
	case dtype.Q5_0:
		b.nibbles(d[6:22])
		b.fifthBits(d[2:6])
	case dtype.Q5_1:
		b.nibbles(d[8:24])
		b.fifthBits(d[4:8])
	case dtype.Q8_0:
		copy(b.code[:], d[2:34])
	case dtype.MXFP4:
		b.nibbles(d[1:17])
		b.lookUp(&e2m1)
	case dtype.Q2_K:
		b.fields(16, d[16+g/8*32+g%2*16:], g%8/2*2, 3, 0)
	case dtype.Q3_K:
		b.fields(16, d[32+g/8*32+g%2*16:], g%8/2*2, 3, 0)
		b.addFields(16, d[g%2*16:], g/2, 1, 2)
	case dtype.Q4_K:
		b.fields(32, d[16+g/2*32:], g%2*4, 15, 0)
	case dtype.Q5_K:
		b.fields(32, d[48+g/2*32:], g%2*4, 15, 0)
		b.addFields(32, d[16:48], g, 1, 4)
	case dtype.Q6_K:
		half, quarter, at := g/8, g%8/2, g%2*16
		b.fields(16, d[half*64+quarter%2*32+at:], quarter/2*4, 15, 0)
		b.addFields(16, d[128+half*32+at:], quarter*2, 3, 4)
	case dtype.IQ4XS:
		b.nibbles(d[8+16*g:][:16])
		b.lookUp(&iq4)
	}
}

const (
	eachByte = 0x0101010101010101
	u64Bytes = 8
)

// nibbles decodes 16 bytes: low nibbles are weights 0-15, high ones 16-31.
func (b *block) nibbles(q []byte) {
	for i := 0; i < 16; i += u64Bytes {
		v := binary.LittleEndian.Uint64(q[i:])
		binary.LittleEndian.PutUint64(b.code[i:], v&(15*eachByte))
		binary.LittleEndian.PutUint64(b.code[16+i:], v>>4&(15*eachByte))
	}
}

func (b *block) lookUp(table *[16]int8) {
	for i, v := range b.code {
		b.code[i] = byte(table[v&15])
	}
}

// fifthBits adds 32 bits to the codes, one each.
func (b *block) fifthBits(bits []byte) {
	for i, v := range bits[:4] {
		one := uint64(v) * eachByte & 0x8040201008040201 // byte j has bit j or nothing
		one = (one + 0x7f*eachByte) >> 7 & eachByte << 4 // 16 or nothing
		at := b.code[u64Bytes*i:]
		binary.LittleEndian.PutUint64(at, binary.LittleEndian.Uint64(at)|one)
	}
}

// fields fills the first n codes with mask-wide fields of bytes, each shifted right, and then left.
func (b *block) fields(n int, q []byte, right int, mask uint64, left int) {
	for i := 0; i < n; i += u64Bytes {
		binary.LittleEndian.PutUint64(b.code[i:], binary.LittleEndian.Uint64(q[i:])>>right&(mask*eachByte)<<left)
	}
}

// addFields is fields, added to what is there.
func (b *block) addFields(n int, q []byte, right int, mask uint64, left int) {
	for i := 0; i < n; i += u64Bytes {
		at := b.code[i:]
		binary.LittleEndian.PutUint64(at, binary.LittleEndian.Uint64(at)|binary.LittleEndian.Uint64(q[i:])>>right&(mask*eachByte)<<left)
	}
}

// iq4 is the table of IQ4_NL and IQ4_XS.
var iq4 = [16]int8{-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}

// e2m1 is the OCP 4-bit float (sign, 2 exponent bits, 1 mantissa bit), doubled to be an integer.
var e2m1 = [16]int8{0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12}

// scale4 is the 6-bit scale and minimum of group g of Q4_K and Q5_K.
func scale4(s []byte, g int) (sc, m uint8) {
	if g < 4 {
		return s[g] & 63, s[g+4] & 63
	}
	return s[g+4]&15 | s[g-4]>>6<<4, s[g+4]>>4 | s[g]>>6<<4
}

// scale3 is the 6-bit signed scale of group g of Q3_K.
func scale3(s []byte, g int) int8 {
	low := s[g%8] >> (g / 8 * 4) & 15
	high := s[8+g%4] >> (g / 4 * 2) & 3
	return int8(low|high<<4) - 32
}

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

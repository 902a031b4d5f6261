package kernel

import (
	"encoding/binary"
	"math"

	"github.com/galerne-ai/galerne/internal/dtype"
)

// block is one run of at most 32 weights in the one form that every type decodes to:
// weight[i] = scale*code[i] - or + offset. See split.
type block struct {
	code   [32]int8
	scale  float32
	offset float32 // added to every weight; 0 for the types without one
}

// groupOf is the number of weights that share a scale: 16 for the types with finer blocks, else 32.
func groupOf(t dtype.Type) int {
	switch t {
	case dtype.Q2_K, dtype.Q3_K, dtype.Q6_K:
		return 16
	}
	return 32
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
	group, elems, bytes := groupOf(t), t.Elems(), t.Bytes()
	var b block
	for len(dst) > 0 {
		for g := range elems / group {
			split(t, data[:bytes], g, &b)
			for i := range group {
				dst[i] = float32(b.scale*float32(b.code[i])) + b.offset
			}
			dst = dst[group:]
		}
		data = data[bytes:]
	}
}

// split decodes group g of one block of a quantized type.
func split(t dtype.Type, d []byte, g int, b *block) {
	b.offset = 0
	switch t {
	case dtype.Q4_0, dtype.IQ4NL:
		b.scale = f16(d)
		nibbles(t, d[2:18], b)
	case dtype.Q4_1:
		b.scale, b.offset = f16(d), f16(d[2:])
		nibbles(t, d[4:20], b)
	case dtype.Q5_0:
		b.scale = f16(d)
		nibbles(t, d[6:22], b)
		fifthBits(binary.LittleEndian.Uint32(d[2:]), 16, b)
	case dtype.Q5_1:
		b.scale, b.offset = f16(d), f16(d[2:])
		nibbles(t, d[8:24], b)
		fifthBits(binary.LittleEndian.Uint32(d[4:]), 0, b)
	case dtype.Q8_0:
		b.scale = f16(d)
		for i := range 32 {
			b.code[i] = int8(d[2+i])
		}
	case dtype.MXFP4:
		b.scale = float32(math.Ldexp(1, int(d[0])-128)) // 2^(e-127), halved: the codes are doubled
		nibbles(t, d[1:17], b)
	default:
		splitK(t, d, g, b)
	}
}

// nibbles decodes 16 bytes: low nibbles are weights 0-15, high ones 16-31.
func nibbles(t dtype.Type, q []byte, b *block) {
	for i, v := range q[:16] {
		lo, hi := v&15, v>>4
		switch t {
		case dtype.Q4_0:
			b.code[i], b.code[i+16] = int8(lo)-8, int8(hi)-8
		case dtype.IQ4NL:
			b.code[i], b.code[i+16] = iq4[lo], iq4[hi]
		case dtype.MXFP4:
			b.code[i], b.code[i+16] = e2m1[lo], e2m1[hi]
		default:
			b.code[i], b.code[i+16] = int8(lo), int8(hi)
		}
	}
}

func fifthBits(bits uint32, zero int8, b *block) {
	for i := range 32 {
		b.code[i] = b.code[i] | int8(bits>>i&1)<<4 - zero
	}
}

// iq4 is the table of IQ4_NL and IQ4_XS.
var iq4 = [16]int8{-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}

// e2m1 is the OCP 4-bit float (sign, 2 exponent bits, 1 mantissa bit), doubled to be an integer.
var e2m1 = [16]int8{0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12}

// splitK decodes the types with blocks of 256.
func splitK(t dtype.Type, d []byte, g int, b *block) {
	switch t {
	case dtype.Q2_K: // u8 scales[16], u8 qs[64], f16 d, f16 dmin
		sc := d[g]
		b.scale = f16(d[80:]) * float32(sc&15)
		b.offset = -f16(d[82:]) * float32(sc>>4)
		q := d[16+g/8*32+g%2*16:]
		shift := g % 8 / 2 * 2
		for i := range 16 {
			b.code[i] = int8(q[i] >> shift & 3)
		}
	case dtype.Q3_K: // u8 hmask[32], u8 qs[64], u8 scales[12], f16 d
		b.scale = f16(d[108:]) * float32(scale3(d[96:108], g))
		q, h := d[32+g/8*32+g%2*16:], d[g%2*16:]
		shift := g % 8 / 2 * 2
		bit := g / 2
		for i := range 16 {
			b.code[i] = int8(q[i]>>shift&3) - 4 + int8(h[i]>>bit&1)<<2
		}
	case dtype.Q4_K: // f16 d, f16 dmin, u8 scales[12], u8 qs[128]
		sc, m := scale4(d[4:16], g)
		b.scale, b.offset = f16(d)*float32(sc), -f16(d[2:])*float32(m)
		q := d[16+g/2*32:]
		for i := range 32 {
			b.code[i] = int8(q[i] >> (g % 2 * 4) & 15)
		}
	case dtype.Q5_K: // f16 d, f16 dmin, u8 scales[12], u8 qh[32], u8 qs[128]
		sc, m := scale4(d[4:16], g)
		b.scale, b.offset = f16(d)*float32(sc), -f16(d[2:])*float32(m)
		q, h := d[48+g/2*32:], d[16:48]
		for i := range 32 {
			b.code[i] = int8(q[i]>>(g%2*4)&15 | h[i]>>g&1<<4)
		}
	case dtype.Q6_K: // u8 ql[128], u8 qh[64], i8 scales[16], f16 d
		b.scale = f16(d[208:]) * float32(int8(d[192+g]))
		half, quarter, at := g/8, g%8/2, g%2*16
		l := d[half*64+quarter%2*32+at:]
		h := d[128+half*32+at:]
		for i := range 16 {
			b.code[i] = int8(l[i]>>(quarter/2*4)&15|h[i]>>(quarter*2)&3<<4) - 32
		}
	case dtype.IQ4XS: // f16 d, u16 scales_h, u8 scales_l[4], u8 qs[128]
		low := d[4+g/2] >> (g % 2 * 4) & 15
		high := u16(d[2:]) >> (2 * g) & 3
		b.scale = f16(d) * float32(int(low)|int(high)<<4-32)
		nibbles(dtype.IQ4NL, d[8+16*g:], b)
	default:
		panic("kernel: no decoder for " + t.String())
	}
}

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

//go:build !purego

package kernel

import (
	"unsafe"

	"github.com/galerne-ai/galerne/internal/dtype"
)

// hasF16C reads CPUID leaf 1, bit 29 of ECX: conversions between half and single precision.
func hasF16C() bool { return cpuidECX(1)>>29&1 == 1 }

// cpuidECX is ECX of a CPUID leaf.
func cpuidECX(leaf uint32) uint32

// trial runs every quantized form once and compares bits with generic Go, since machines advertise
// what they do not do.
func trial(run func(f *form, c *dotCall, n int) bool) bool {
	const cols, blocks = 512, 16
	in := Input{Rows: tileRows, Cols: cols, q: make([]int8, tileRows*cols), d: make([]float32, tileRows*blocks),
		z32: make([]int32, tileRows*blocks), z16: make([]int32, 2*tileRows*blocks),
		s32: make([]float32, tileRows*blocks), s16: make([]float32, 2*tileRows*blocks)}
	seed := uint32(1)
	next := func() uint32 { seed = seed*1664525 + 1013904223; return seed >> 8 }
	for i := range in.q {
		in.q[i] = int8(next()%255) - 127
	}
	for i := range in.d {
		in.d[i] = float32(next()%1000) / 1000
		for j, v := range in.q[32*i : 32*i+32] {
			in.z32[i] += int32(v)
			in.z16[2*i+j/16] += int32(v)
		}
		in.s32[i] = in.d[i] * float32(in.z32[i])
		in.s16[2*i], in.s16[2*i+1] = in.d[i]*float32(in.z16[2*i]), in.d[i]*float32(in.z16[2*i+1])
	}
	for _, t := range dtype.All() {
		f := formOf(t)
		if f.bits == 0 {
			continue
		}
		w := make([]byte, panelSize(t, f, cols))
		var b block
		for g := range cols / f.group {
			for lane := range panelRows {
				b.scale, b.offset = float32(next()%64)/64, float32(next()%64)/-64
				for k := range b.code {
					b.code[k] = int8(next())
					if f.bits == 4 {
						b.code[k] = int8(next()&15) - int8(f.zero)
					}
				}
				f.put(w[g*f.groupBytes():], lane, &b)
			}
		}
		for _, n := range []int{1, tileRows} {
			var got, want tile
			for i, out := range []*tile{&got, &want} {
				c := dotCall{w: unsafe.Pointer(&w[0]), dst: unsafe.Pointer(&out[0]), dstStride: 4 * panelRows}
				in.point(&c, 0, f.group)
				if i == 0 {
					run(&f, &c, n)
				} else {
					dotGeneric(&f, &c, n)
				}
			}
			if got != want {
				return false
			}
		}
	}
	return true
}

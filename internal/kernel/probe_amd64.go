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
// tile is how many rows a kernel takes of those left.
func trial(kernels func(k kind, rows int) func(*dotCall), tile func(f *form, left int) int) bool {
	const cols, panels = 256, 3
	random := lcg(1)
	x := make([]float32, cols)
	in := Input{Rows: maxRows, Cols: cols}
	in.reserve()
	for r := range in.Rows {
		for i := range x {
			x[i] = float32(random.next()%2000)/1000 - 1
		}
		quantizeRowGeneric(x, in.row(r))
	}
	for _, t := range dtype.All() {
		f := formOf(t)
		if f.bits == 0 {
			continue
		}
		size := panelSize(t, f, cols)
		w := make([]byte, panels*size)
		for i := range panels {
			random.fill(f, w[i*size:(i+1)*size], cols)
		}
		for _, left := range []int{1, 2, 4, 8, 16} {
			n := tile(&f, left)
			var got, want [maxRows * panels * panelRows]float32
			c := dotCall{w: unsafe.Pointer(&w[0]), x: unsafe.Pointer(&in.lines[0]), dst: unsafe.Pointer(&got[0]),
				xStride: uintptr(in.stride), dstStride: 4 * panels * panelRows, blocks: cols / 32, panels: panels}
			kernels(f.kind, n)(&c)
			c.dst = unsafe.Pointer(&want[0])
			dotGeneric(&f, &c, n)
			if got != want {
				return false
			}
		}
	}
	return true
}

func anyRows(_ *form, left int) int { return left }

// lcg is a small generator of numbers that look random.
type lcg uint32

func (l *lcg) next() uint32 {
	*l = *l*1664525 + 1013904223
	return uint32(*l) >> 8
}

// fill makes one panel of weights.
func (l *lcg) fill(f form, panel []byte, cols int) {
	var b block
	for g := range cols / f.group {
		header, at := f.place(g)
		for lane := range panelRows {
			b.scale = float32(l.next()%64) / 64
			b.factor, b.factorLow = ToF16(b.scale), ToF16(float32(l.next()%64)/-64)
			b.times, b.timesLow = int8(l.next()%127)-63, int8(l.next()%63)
			for k := range b.code {
				b.code[k] = byte(l.next() & (1<<f.bits - 1))
			}
			f.put(panel[header:], panel[at:at+f.groupBytes()], lane, &b)
		}
	}
}

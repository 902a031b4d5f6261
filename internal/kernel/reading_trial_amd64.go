//go:build !purego

package kernel

import (
	"fmt"
	"math"

	"github.com/galerne-ai/galerne/internal/dtype"
)

// tryReading compares the kernels for rows that are read with readGeneric, of types that so many columns suit, and says what differs. All rows
// are computed in numbers that fill tiles and others; a few are compared.
func tryReading(cols int, types ...dtype.Type) (fault string) {
	const panels, most = 3, 53
	random := lcg(1)
	x := make([]float32, cols)
	in := Input{Rows: most, Cols: cols}
	in.reserve()
	for r := range most {
		for i := range x {
			x[i] = float32(random.next()%2000)/1000 - 1
		}
		x[r%cols] = 1e-41 // which is 0
		roundRow(x, in.row(r))
		for i, v := range x {
			if got := u16(in.row(r)[2*i:]); got != roundBF16(v) {
				return fmt.Sprintf("%g becomes bf16 %#x", v, got)
			}
		}
	}
	var sums tile
	scratch := newReadScratch()
	for _, t := range types {
		f := formOf(t)
		if f.bits == 0 || cols%(f.headerGroups()*f.group) != 0 {
			continue
		}
		size := panelSize(t, f, cols)
		w := make([]byte, panels*size)
		for i := range panels {
			random.fill(f, w[i*size:(i+1)*size], cols)
		}
		got, want := make([]float32, most*panels*panelRows), make([]float32, panels*panelRows)
		for _, n := range []int{1, 16, most} {
			clear(got)
			c := trialCall(w, panels, &in, got, &sums)
			read(&f, &c, n, scratch)
			for r := 0; r < most; r += 13 {
				clear(want)
				if r < n {
					readGeneric(f, w, size, in.row(r), want)
				}
				for i, v := range want {
					if g := got[r*len(want)+i]; math.Float32bits(g) != math.Float32bits(v) {
						return fmt.Sprintf("%s, row %d of %d, of %d columns: output %d is %g, not %g", t, r, n, cols, i, g, v)
					}
				}
			}
		}
	}
	return ""
}

// readGeneric fills dst with the products of one row's lines with panels of size bytes.
func readGeneric(f form, w []byte, size int, lines []byte, dst []float32) {
	var b block
	zero := int(f.zero)
	if f.bits == 8 {
		zero = 128
	}
	for i := range dst {
		var acc float32
		panel := w[i/panelRows*size:][:size]
		for k := 0; k < len(lines)/2; k += 32 {
			var parts [2]float32
			for j := range 32 {
				if j%f.group == 0 {
					f.get(panel, (k+j)/f.group, i%panelRows, &b)
				}
				code := int(b.code[j%f.group])
				if f.bits == 8 {
					code = int(int8(code)) + 128
				}
				weight := fma32(1+float32(code)/256, 256*b.scale, fma32(b.scale, float32(-256-zero), b.offset))
				part := &parts[j%2]
				*part = normal(fma32(FromBF16(u16(lines[2*(k+j):])), FromBF16(roundBF16(weight)), *part))
			}
			acc = normal(acc + normal(parts[0]+parts[1]))
		}
		dst[i] = acc
	}
}

// roundBF16 is the nearest bf16, of two the even one; 0 below the normal numbers.
func roundBF16(x float32) uint16 {
	bits := math.Float32bits(normal(x))
	if x != x {
		return uint16(bits>>16) | 0x40
	}
	return uint16((bits + 0x7fff + bits>>16&1) >> 16)
}

// normal is x, or 0 where it is below the least normal number.
func normal(x float32) float32 {
	if bits := math.Float32bits(x); bits&0x7f800000 == 0 {
		return math.Float32frombits(bits & 0x80000000)
	}
	return x
}

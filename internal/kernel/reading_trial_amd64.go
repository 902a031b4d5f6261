//go:build !purego

package kernel

import (
	"fmt"
	"math"

	"github.com/galerne-ai/galerne/internal/dtype"
)

// tryReading compares the kernels for rows that are read with readGeneric, of types that so many columns suit, and says what differs. Some
// numbers of rows fill tiles; a few rows are compared. Round is what makes lines.
func tryReading(round func(x []float32, lines []byte), cols int, types ...dtype.Type) (fault string) {
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
		round(x, in.row(r))
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
		w := random.panels(t, f, cols, panels)
		if w == nil {
			continue
		}
		weights := roundGeneric(f, w, panels, cols)
		got, want := make([]float32, most*panels*panelRows), make([]float32, most*panels*panelRows)
		for r := 0; r < most; r += 13 {
			readGeneric(weights, in.row(r), want[r*panels*panelRows:][:panels*panelRows])
		}
		for _, n := range []int{1, 2, 15, 16, 17, 32, 33, 48, 49, most} {
			clear(got)
			c := trialCall(w, panels, &in, got, &sums)
			read(&f, &c, n, scratch)
			for r := 0; r < most; r += 13 {
				for i := range panels * panelRows {
					g, v := got[r*panels*panelRows+i], float32(0) // of rows that were not computed
					if r < n {
						v = want[r*panels*panelRows+i]
					}
					if math.Float32bits(g) != math.Float32bits(v) {
						return fmt.Sprintf("%s, row %d of %d, of %d columns: output %d is %g, not %g", t, r, n, cols, i, g, v)
					}
				}
			}
		}
	}
	return ""
}

// roundGeneric is weights as bf16, [panels·panelRows][cols].
func roundGeneric(f form, w []byte, panels, cols int) []float32 {
	var b block
	zero, unit := int(f.zero), 256
	switch f.bits {
	case 4:
		unit = 16
	case 8:
		zero = 128
	}
	most, less := float32(raise*float64(unit)), float32(-raise*float64(unit+zero))
	weights, size := make([]float32, panels*panelRows*cols), len(w)/panels
	for i := range weights {
		row, k := i/cols, i%cols
		if k%f.group == 0 {
			f.get(w[row/panelRows*size:][:size], k/f.group, row%panelRows, &b)
		}
		code := int(b.code[k%f.group])
		if f.bits == 8 {
			code = int(int8(code)) + 128
		}
		rest := fma32(b.scale, less, float32(b.offset*raise))
		w := fma32(1+float32(code)/float32(unit), float32(b.scale*most), rest)
		weights[i] = normal(math.Float32frombits(math.Float32bits(w) &^ 0xffff))
	}
	return weights
}

// readGeneric fills dst with the products of one row's lines with weights.
func readGeneric(weights []float32, lines []byte, dst []float32) {
	cols := len(lines) / 2
	for i := range dst {
		var acc float32
		row := weights[i*cols:][:cols]
		for k := 0; k < cols; k += 32 {
			var parts [2]float32
			for j, w := range row[k:][:32] {
				parts[j%2] = normal(fma32(FromBF16(u16(lines[2*(k+j):])), w, parts[j%2]))
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

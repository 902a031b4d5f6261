//go:build (amd64 || arm64) && !purego

package kernel

import (
	"fmt"
	"slices"
	"unsafe"

	"github.com/galerne-ai/galerne/internal/dtype"
)

// dotKernels compute n rows against whole panels.
type dotKernels func(f *form, c *dotCall, n int)

// trial runs every quantized form once and compares bits with generic Go, since machines advertise
// what they do not do.
func trial(run dotKernels) bool { return trials(run)[0] }

// trials does so with all that are not nil, which share generic Go's numbers: these take the time.
func trials(runs ...dotKernels) (passed []bool) {
	for _, fault := range tryAll(runs, 256, 1, 2, 3, 4, 5, 8, 12, 16) {
		passed = append(passed, fault == "")
	}
	return passed
}

// tryForms compares every quantized form that so many columns suit, in all these numbers of rows, and says what differs.
func tryForms(run dotKernels, cols int, rows ...int) (fault string) {
	return tryAll([]dotKernels{run}, cols, rows...)[0]
}

func tryAll(runs []dotKernels, cols int, rows ...int) (faults []string) {
	faults = make([]string, len(runs))
	for i, run := range runs {
		if run == nil {
			faults[i] = "not tried"
		}
	}
	const panels = 3
	most := slices.Max(rows)
	random := lcg(1)
	x := make([]float32, cols)
	in := Input{Rows: most, Cols: cols}
	in.reserve()
	for r := range most {
		for i := range x {
			x[i] = float32(random.next()%2000)/1000 - 1
			switch { // the first rows' sums are as large as any
			case r == 0, r == 1 && i%4 < 2:
				x[i] = 1
			case r < 3:
				x[i] = -1
			}
		}
		quantizeRowGeneric(x, in.row(r))
	}
	for _, t := range dtype.All() {
		f := formOf(t)
		w := random.panels(t, f, cols, panels)
		if w == nil {
			continue
		}
		var sums tile
		got, want := make([]float32, most*panels*panelRows), make([]float32, most*panels*panelRows)
		c := trialCall(w, panels, &in, want, &sums)
		again := c
		dotGeneric(&f, &again, most)
		for i, run := range runs {
			for _, n := range rows {
				if faults[i] != "" {
					break
				}
				clear(got)
				again = c
				again.dst, again.rows = unsafe.Pointer(&got[0]), uintptr(n)
				run(&f, &again, n)
				end := n * panels * panelRows
				if !slices.Equal(got[:end], want[:end]) || slices.ContainsFunc(got[end:], func(v float32) bool { return v != 0 }) {
					faults[i] = fmt.Sprintf("%s, %d rows of %d columns", t, n, cols)
				}
			}
		}
	}
	return faults
}

// trialCall is some panels against all rows of the input; dst is [rows][panels][panelRows].
func trialCall(w []byte, panels int, in *Input, dst []float32, sums *tile) dotCall {
	return dotCall{w: unsafe.Pointer(&w[0]), x: unsafe.Pointer(&in.lines[0]), dst: unsafe.Pointer(&dst[0]),
		xStride: uintptr(in.stride), dstStride: uintptr(4 * panels * panelRows), blocks: uintptr(in.Cols / 32), panels: uintptr(panels),
		sums: unsafe.Pointer(sums), rows: uintptr(in.Rows), size: uintptr(len(w) / panels)}
}

// lcg is a small generator of numbers that look random.
type lcg uint32

func (l *lcg) next() uint32 {
	*l = *l*1664525 + 1013904223
	return uint32(*l) >> 8
}

// panels makes some of a quantized type, nil if so many columns do not suit it.
func (l *lcg) panels(t dtype.Type, f form, cols, panels int) []byte {
	if f.bits == 0 || cols%(f.headerGroups()*f.group) != 0 {
		return nil
	}
	size := panelSize(t, f, cols)
	w := make([]byte, panels*size)
	for i := range panels {
		l.fill(f, w[i*size:(i+1)*size], cols)
	}
	return w
}

// fill makes one panel of weights, whose first rows have the least and the greatest codes alone.
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
				switch lane {
				case 0:
					b.code[k] = 0
				case 1:
					b.code[k] = 1<<f.bits - 1
				case 2:
					b.code[k] = 1 << (f.bits - 1) // of 8 bits, -128
				}
			}
			f.putScales(panel[header:], panel[at:], lane, &b)
			f.putCodes(panel[at+f.codesAt()+4*lane:], &b)
		}
	}
}

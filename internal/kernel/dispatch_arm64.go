//go:build !purego

package kernel

import (
	"math/bits"
	"unsafe"

	"golang.org/x/sys/cpu"
)

// useDot is chosen once, at start, and never changes. Without it, on CPUs before ARMv8.2 and some of that, quantized
// products are generic Go's; the other kernels need only what every arm64 has.
var useDot = cpu.ARM64.HasASIMDDP && trial(dotNEON)

// Implementations lists what this machine runs, slowest first.
func Implementations() []string {
	if useDot {
		return []string{"generic", "neon", "neon-dot"}
	}
	return []string{"generic", "neon"}
}

// tileRows is how many rows the next kernel call should take of those left.
func (f *form) tileRows(left int) int {
	switch {
	case f.bits > 0 && !useDot:
		return min(left, maxRows)
	case f.bits > 0 && left >= 4:
		return 4
	}
	return min(left, 2)
}

// dot computes n rows, a number that tileRows gave, against whole panels.
func dot(f *form, c *dotCall, n int) {
	switch {
	case f.bits == 0:
		floatsNEON(f.kind, n)(c)
	case useDot:
		dotNEON(f, c, n)
	default:
		dotGeneric(f, c, n)
	}
}

// dotNEON takes as many rows a call as its kernels do.
func dotNEON(f *form, c *dotCall, n int) {
	for {
		rows := 1 << (bits.Len(uint(min(n, 4))) - 1)
		dotsNEON(f.kind, rows)(c)
		if n -= rows; n == 0 {
			return // a pointer moved behind the last row could hold on to somebody else's memory
		}
		c.x, c.dst = unsafe.Add(c.x, uintptr(rows)*c.xStride), unsafe.Add(c.dst, uintptr(rows)*c.dstStride)
	}
}

func pause() { pauseNEON() }

func quantizeRow(x []float32, lines []byte) {
	if !quantizeNEON(first(x), first(lines), len(x)/32) {
		quantizeRowGeneric(x, lines)
	}
}

func transpose(lines, rows []byte, stride, runs int) {
	_, _ = lines[256*runs-1], rows[15*stride+16*runs-1]
	transposeNEON(&lines[0], &rows[0], stride, runs)
}

// first is where x begins; a kernel that is given a length of 0 does not look there.
func first[T any](x []T) *T { return unsafe.SliceData(x) }

func add(dst, x []float32) { addNEON(first(dst), first(x), len(dst)) }

func addScaled(dst, x []float32, f float32) { addScaledNEON(first(dst), first(x), len(dst), f) }

func scale(x []float32, f float32) { scaleNEON(first(x), len(x), f) }

func scaleBy(dst, x, w []float32, f float32) {
	scaleByNEON(first(dst), first(x), first(w), len(dst), f)
}

func toF16(dst []uint16, x []float32) { toF16NEON(first(dst), first(x), len(dst)) }

func fromF16(dst []float32, x []uint16) { fromF16NEON(first(dst), first(x), len(dst)) }

func widenRow(wide []float32, codes []byte, f float32) {
	widenRowNEON(first(wide), first(codes), len(wide), f)
}

func widenColumns(wide []float32, scales, codes []byte) {
	if len(scales) == 4*maxBlock && len(wide) > 0 {
		widenColumnsNEON(&wide[0], &scales[0], &codes[0], len(wide)/maxBlock)
		return
	}
	widenColumnsGeneric(wide, scales, codes)
}

func ropePairs(x, cos, sin []float32) { ropePairsNEON(first(x), first(cos), first(sin), len(cos)) }

func ropeHalves(lo, hi, cos, sin []float32) {
	ropeHalvesNEON(first(lo), first(hi), first(cos), first(sin), len(cos))
}

func swiGLU(gate, up []float32) { swiGLUNEON(first(gate), first(up), len(gate)) }

func squares(x []float32, part *[32]float32) {
	n := len(x) &^ 31
	if n > 0 {
		squaresNEON(&x[0], n, part)
	}
	squaresGeneric(x[n:], part)
}

func expSum(dst, x []float32, most float32) float32 {
	var part [8]float32
	expPartsNEON(first(dst), first(x), len(x), most, &part)
	return sumParts(&part)
}

func scores(c *attendCall) {
	switch {
	case c.block != maxBlock:
		scoresGeneric(c)
	case c.wide:
		scoresF32NEON(c)
	default:
		scoresF16NEON(c)
	}
}

func soften(c *attendCall) { softenNEON(c) }

func mix(c *attendCall) {
	switch {
	case c.dim%4 != 0:
		mixGeneric(c)
	case c.wide:
		mixF32NEON(c)
	default:
		mixF16NEON(c)
	}
}

func pairNibbles(even, odd, lines []byte, n int) { pairNibblesGeneric(even, odd, lines, n) }
func scatter(to []byte, size int, line []byte)   { scatterGeneric(to, size, line) }
func gatherBits(to, lines []byte, n, shift, width int) {
	gatherBitsGeneric(to, lines, n, shift, width)
}

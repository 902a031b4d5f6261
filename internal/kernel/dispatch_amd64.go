//go:build !purego

package kernel

import (
	"math/bits"
	"unsafe"

	"golang.org/x/sys/cpu"
)

// The choice is made once, at start, and never changes: package state that is constant in effect.
var (
	tried     = trials(candidates()...)
	useAVX2   = tried[0]
	useAVX512 = useAVX2 && tried[1]
	useTiles  = useAVX512 && tried[2] && tilesPay()
	useInts   = useAVX512 && hasInts()

	// farPrefetch: the second-level cache is where weights for a few rows are best asked for. True of Intel's processors; on an EPYC of Zen 4
	// one row's came up to 42 % slower so than to the first (bench/NOTES.md).
	farPrefetch = cpuidECX(0) == 0x6c65746e // GenuineI"ntel"
)

// candidates are the kernels of AVX2, AVX-512 and AMX, or nil where the processor does not claim to have it.
func candidates() []dotKernels {
	var all [3]dotKernels
	if hasAVX2() {
		all[0] = dotAVX2
	}
	if hasAVX512() {
		all[1] = dotAVX512
	}
	if hasTiles() {
		all[2] = dotTiles
	}
	return all[:]
}

func hasAVX2() bool { return cpu.X86.HasAVX2 && cpu.X86.HasFMA && hasF16C() }

func hasAVX512() bool {
	return cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512VL && cpu.X86.HasAVX512VNNI
}

// Implementations lists what this machine runs, slowest first.
func Implementations() []string {
	names := []string{"generic"}
	if useAVX2 {
		names = append(names, "avx2")
	}
	if useAVX512 {
		names = append(names, "avx512")
	}
	if useTiles {
		names = append(names, "amx")
	}
	if useReading {
		names = append(names, "amx-bf16")
	}
	return names
}

// tileRows is how many rows the next kernel call should take of those left.
func (f *form) tileRows(left int) int {
	if f.bits == 0 || !useAVX512 {
		return min(left, maxRows)
	}
	if n := inTiles(left); n > 0 {
		return n
	}
	n := min(left, maxRows)
	if n%4 == 3 { // three take no longer than four, but longer in two calls
		return n
	}
	return max(n&^3, n&3)
}

// dotAVX2 takes one row, or several in pairs.
func dotAVX2(f *form, c *dotCall, n int) {
	row, tile := dotsAVX2(f.kind)
	if n > 1 {
		c.ahead = fetchAhead(c.size)
		tile(c)
		return
	}
	if inPairs(c, oneAVX2(f.kind), farPrefetch) {
		row(c)
	}
}

// inPairs has a kernel take what panels there are by pairs, if it is to take any, and reports whether one or more are left.
func inPairs(c *dotCall, kernel func(*dotCall), any bool) bool {
	pairs := c.panels &^ 1
	if !any || pairs == 0 {
		return true
	}
	left := c.panels - pairs
	c.panels, c.ahead = pairs, fetchAhead(2*c.size)
	kernel(c)
	if left > 0 { // else pointers would be moved behind the last panel
		c.w, c.dst, c.panels = unsafe.Add(c.w, pairs*c.size), unsafe.Add(c.dst, 4*panelRows*pairs), left
	}
	return left > 0
}

// dot computes n rows, a number that tileRows gave, against whole panels.
func dot(f *form, c *dotCall, n int) {
	switch {
	case f.bits == 0 && useAVX2:
		dotFloats(f, c, n)
	case useTiles && n >= tileLeast:
		dotTiles(f, c, n)
	case useAVX512:
		dotAVX512(f, c, n)
	case useAVX2:
		dotAVX2(f, c, n)
	default:
		dotGeneric(f, c, n)
	}
}

// dotAVX512 takes panels by pairs where there are rows enough to be worth it, or another number than a tile has, and the rest in tiles.
func dotAVX512(f *form, c *dotCall, n int) {
	kernel, any := pairsAVX512(f.kind), n > 2 && n != 4
	if n == 1 {
		kernel, any = oneAVX512(f.kind), farPrefetch
	}
	if !inPairs(c, kernel, any) {
		return
	}
	for {
		rows := 1 << (bits.Len(uint(min(n, 16))) - 1)
		if rows <= 4 && !farPrefetch {
			dotsNearAVX512(f.kind, rows)(c)
		} else {
			dotsAVX512(f.kind, rows)(c)
		}
		if n -= rows; n == 0 {
			return // see dotFloats
		}
		c.x, c.dst = unsafe.Add(c.x, uintptr(rows)*c.xStride), unsafe.Add(c.dst, uintptr(rows)*c.dstStride)
	}
}

// fetchAhead is as far as the next panels, of size bytes, if a second-level cache can be trusted to keep them till then.
func fetchAhead(size uintptr) uintptr {
	const most, near = 256 << 10, 4096
	if size <= most {
		return size
	}
	return near
}

// dotFloats takes two rows a call.
func dotFloats(f *form, c *dotCall, n int) {
	for {
		switch {
		case f.kind == kindF32 && n > 1:
			dotf32R2AVX2(c)
		case f.kind == kindF32:
			dotf32R1AVX2(c)
		case f.kind == kindF16 && n > 1:
			dotf16R2AVX2(c)
		case f.kind == kindF16:
			dotf16R1AVX2(c)
		case n > 1:
			dotbf16R2AVX2(c)
		default:
			dotbf16R1AVX2(c)
		}
		if n -= 2; n <= 0 {
			return // a pointer moved behind the last row could hold on to somebody else's memory
		}
		c.x, c.dst = unsafe.Add(c.x, 2*c.xStride), unsafe.Add(c.dst, 2*c.dstStride)
	}
}

func pause() { pauseAVX2() }

func quantizeRow(x []float32, lines []byte) {
	blocks, ok := len(x)/32, false
	switch {
	case useAVX512 && blocks >= 4:
		ok = quantizeAVX512(&x[0], &lines[0], blocks)
	case useAVX2 && blocks > 0:
		ok = quantizeAVX2(&x[0], &lines[0], blocks)
	}
	if !ok {
		quantizeRowGeneric(x, lines)
	}
}

func transpose(lines, rows []byte, stride, runs int) {
	if !useAVX2 {
		transposeGeneric(lines, rows, stride, runs)
		return
	}
	_, _ = lines[256*runs-1], rows[15*stride+16*runs-1]
	transposeAVX2(&lines[0], &rows[0], stride, runs)
}

func pairNibbles(even, odd, lines []byte, n int) {
	if !useAVX2 {
		pairNibblesGeneric(even, odd, lines, n)
		return
	}
	_, _, _ = even[64*n-1], odd[64*n-1], lines[128*n-1]
	pairNibblesAVX2(&even[0], &odd[0], &lines[0], n)
}

func gatherBits(to, lines []byte, n, shift, width int) {
	if !useAVX2 {
		gatherBitsGeneric(to, lines, n, shift, width)
		return
	}
	_, _ = to[63], lines[64*n-1]
	gatherBitsAVX2(&to[0], &lines[0], n, shift, width, (1<<width-1)*0x01010101)
}

func scatter(to []byte, size int, line []byte) {
	if !useAVX2 {
		scatterGeneric(to, size, line)
		return
	}
	_, _ = to[3*size+15], line[63]
	scatterAVX2(&to[0], size, &line[0])
}

func squares(x []float32, part *[32]float32) {
	n := len(x) &^ 31
	if useAVX2 && n > 0 {
		squaresAVX2(&x[0], n, part)
		x = x[n:]
	}
	squaresGeneric(x, part)
}

func expSum(dst, x []float32, most float32) float32 {
	if !useAVX2 {
		return expSumGeneric(dst, x, most)
	}
	var part [8]float32
	n := len(x) &^ 7
	if n > 0 {
		expPartsAVX2(&dst[0], &x[0], n, most, &part)
	}
	if rest := x[n:]; len(rest) > 0 {
		var last, sums [8]float32
		copy(last[:], rest)
		expPartsAVX2(&last[0], &last[0], 8, most, &sums)
		copy(dst[n:], last[:len(rest)])
		for i := range rest {
			part[i] += sums[i]
		}
	}
	return sumParts(&part)
}

func swiGLU(gate, up []float32) {
	if n := len(gate) &^ 31; useAVX512 && n > 0 {
		swiGLUAVX512(&gate[0], &up[0], n)
		gate, up = gate[n:], up[n:]
	}
	n := len(gate) &^ 7
	if useAVX2 && n > 0 {
		swiGLUAVX2(&gate[0], &up[0], n)
		gate, up = gate[n:], up[n:]
	}
	swiGLUGeneric(gate, up)
}

// wide is how many of n numbers kernels of AVX-512 take.
func wide(n int) int {
	if !useAVX512 {
		return 0
	}
	return n &^ 15
}

// narrow is how many of n numbers kernels of AVX2 take.
func narrow(n int) int {
	if !useAVX2 {
		return 0
	}
	return n &^ 7
}

func toF16(dst []uint16, x []float32) {
	if n := wide(len(x)); n > 0 {
		toF16AVX512(&dst[0], &x[0], n)
		dst, x = dst[n:], x[n:]
	}
	if n := narrow(len(x)); n > 0 {
		toF16AVX2(&dst[0], &x[0], n)
		dst, x = dst[n:], x[n:]
	}
	toF16Generic(dst, x)
}

func add(dst, x []float32) {
	if n := wide(len(dst)); n > 0 {
		addAVX512(&dst[0], &x[0], n)
		dst, x = dst[n:], x[n:]
	}
	if n := narrow(len(dst)); n > 0 {
		addAVX2(&dst[0], &x[0], n)
		dst, x = dst[n:], x[n:]
	}
	addGeneric(dst, x)
}

func addScaled(dst, x []float32, f float32) {
	if n := wide(len(dst)); n > 0 {
		addScaledAVX512(&dst[0], &x[0], n, f)
		dst, x = dst[n:], x[n:]
	}
	if n := narrow(len(dst)); n > 0 {
		addScaledAVX2(&dst[0], &x[0], n, f)
		dst, x = dst[n:], x[n:]
	}
	addScaledGeneric(dst, x, f)
}

func scale(x []float32, f float32) {
	if n := wide(len(x)); n > 0 {
		scaleAVX512(&x[0], n, f)
		x = x[n:]
	}
	if n := narrow(len(x)); n > 0 {
		scaleAVX2(&x[0], n, f)
		x = x[n:]
	}
	scaleGeneric(x, f)
}

func scaleBy(dst, x, w []float32, f float32) {
	if n := wide(len(dst)); n > 0 {
		scaleByAVX512(&dst[0], &x[0], &w[0], n, f)
		dst, x, w = dst[n:], x[n:], w[n:]
	}
	if n := narrow(len(dst)); n > 0 {
		scaleByAVX2(&dst[0], &x[0], &w[0], n, f)
		dst, x, w = dst[n:], x[n:], w[n:]
	}
	scaleByGeneric(dst, x, w, f)
}

func ropePairs(x, cos, sin []float32) {
	if n := wide(len(cos)); n > 0 {
		ropePairsAVX512(&x[0], &cos[0], &sin[0], n)
		x, cos, sin = x[2*n:], cos[n:], sin[n:]
	}
	if n := narrow(len(cos)); n > 0 {
		ropePairsAVX2(&x[0], &cos[0], &sin[0], n)
		x, cos, sin = x[2*n:], cos[n:], sin[n:]
	}
	ropePairsGeneric(x, cos, sin)
}

func ropeHalves(lo, hi, cos, sin []float32) {
	if n := wide(len(cos)); n > 0 {
		ropeHalvesAVX512(&lo[0], &hi[0], &cos[0], &sin[0], n)
		lo, hi, cos, sin = lo[n:], hi[n:], cos[n:], sin[n:]
	}
	if n := narrow(len(cos)); n > 0 {
		ropeHalvesAVX2(&lo[0], &hi[0], &cos[0], &sin[0], n)
		lo, hi, cos, sin = lo[n:], hi[n:], cos[n:], sin[n:]
	}
	ropeHalvesGeneric(lo, hi, cos, sin)
}

func fromF16(dst []float32, x []uint16) {
	if n := wide(len(dst)); n > 0 {
		fromF16AVX512(&dst[0], &x[0], n)
		dst, x = dst[n:], x[n:]
	}
	if n := narrow(len(dst)); n > 0 {
		fromF16AVX2(&dst[0], &x[0], n)
		dst, x = dst[n:], x[n:]
	}
	fromF16Generic(dst, x)
}

func widenColumns(wide []float32, scales, codes []byte) {
	if useAVX2 && len(scales) == 4*maxBlock && len(wide) > 0 {
		widenColumnsAVX2(&wide[0], &scales[0], &codes[0], len(wide)/maxBlock)
		return
	}
	widenColumnsGeneric(wide, scales, codes)
}

func widenRow(wide []float32, codes []byte, scale float32) {
	n := len(wide) &^ 7
	if useAVX2 && n > 0 {
		widenRowAVX2(&wide[0], &codes[0], n, scale)
		wide, codes = wide[n:], codes[n:]
	}
	widenRowGeneric(wide, codes, scale)
}

func scores(c *attendCall) {
	switch {
	case c.block != maxBlock || !useAVX2:
		scoresGeneric(c)
	case useAVX512 && c.wide:
		scoresF32AVX512(c)
	case useAVX512:
		scoresF16AVX512(c)
	case c.wide:
		scoresF32AVX2(c)
	default:
		scoresF16AVX2(c)
	}
}

func soften(c *attendCall) {
	switch {
	case useAVX512:
		softenAVX512(c)
	case useAVX2:
		softenAVX2(c)
	default:
		softenGeneric(c)
	}
}

func mix(c *attendCall) {
	switch {
	case useAVX512 && c.dim%16 == 0 && c.wide:
		mixF32AVX512(c)
	case useAVX512 && c.dim%16 == 0:
		mixF16AVX512(c)
	case useAVX2 && c.dim%8 == 0 && c.wide:
		mixF32AVX2(c)
	case useAVX2 && c.dim%8 == 0:
		mixF16AVX2(c)
	default:
		mixGeneric(c)
	}
}

//go:build !purego

package kernel

import (
	"unsafe"

	"golang.org/x/sys/cpu"

	"github.com/galerne-ai/galerne/internal/dtype"
)

// Rows that are read are multiplied by tiles of bf16 (AMX), where a machine has them: input and weights are rounded to bf16, and sums are
// of float32, over all columns. Beside integers that is three times as fast where many rows pass, since no block's sum has to leave
// its tile to be scaled, and nearer to the products of the weights as they are. Few rows would wait for the weights to be rounded, so that
// rows that are written stay with integers. A row's bits are, over the blocks of 32 columns in order,
//
//	w = bf16(fma(1 + code/256, 256·scale, fma(scale, -256-zero, offset)))           codes of 8 bits as code+128, zero 128
//	acc = acc + ((… (x₀·w₀ + x₂·w₂) + … + x₃₀·w₃₀) + (… (x₁·w₁ + x₃·w₃) + … + x₃₁·w₃₁))
//
// where each multiplication and addition is rounded once, and what is below the normal numbers is 0 (Intel, Architecture Instruction
// Set Extensions Programming Reference, TDPBF16PS and VCVTNE2PS2BF16).
var useReading = useTiles && hasReading()

// hasReading tries the kernels, since machines advertise what they do not do.
func hasReading() bool {
	return hasTiles() && cpu.X86.HasAMXBF16 && cpu.X86.HasAVX512BF16 && tryReading(256, dtype.Q4_K, dtype.Q6_K) == ""
}

const (
	// readRows bounds the rows of a part, for which weights are rounded once.
	readRows = 256
	// readRun is how many blocks are gone through for all panels before the next ones, so that the rows' stay in the second-level cache.
	readRun = 64
)

// readScratch is what a worker keeps.
type readScratch struct {
	weights [readRun][2][1024]byte             // tiles [16 pairs of columns][16 rows of a panel][2]bf16
	sums    [tileHeight][2 * panelRows]float32 // of rows that do not fill a tile
}

func newReadScratch() *readScratch {
	return (*readScratch)(unsafe.Pointer(&room(int(unsafe.Sizeof(readScratch{})))[0]))
}

// unpackCall has blocks of a panel, which have one header at most, rounded, each as a tile 2 KiB behind the one before.
type unpackCall struct {
	w, header unsafe.Pointer
	blocks    uintptr
	to        unsafe.Pointer
}

// readCall multiplies blocks with runs of rows, as many as the kernel takes at a time.
type readCall struct {
	x         unsafe.Pointer // [rows] of lines
	xStride   uintptr
	weights   unsafe.Pointer
	blocks    uintptr
	dst       unsafe.Pointer // float32
	dstStride uintptr
	times     uintptr
	fresh     uintptr // 1: sums begin at zero; 0: at dst's
}

// read computes n rows against whole panels.
func read(f *form, c *dotCall, n int, s *readScratch) {
	for block := uintptr(0); block < c.blocks; block += readRun {
		count := min(readRun, c.blocks-block)
		for panel := uintptr(0); panel < c.panels; panel += 2 {
			pair := min(2, c.panels-panel)
			for i := range pair {
				s.round(f, unsafe.Add(c.w, (panel+i)*c.size), block, count, i)
			}
			s.multiply(c, n, panel, pair, block, count)
		}
	}
}

// round makes tiles of blocks of a panel, the first or second of a pair.
func (s *readScratch) round(f *form, panel unsafe.Pointer, block, count, second uintptr) {
	groups := 32 / f.group // of a block
	step := count
	if f.scaleBytes == 1 {
		step = uintptr(f.headerGroups() / groups)
	}
	for i := uintptr(0); i < count; i += step {
		header, at := f.place(int(block+i) * groups)
		call := unpackCall{unsafe.Add(panel, at), unsafe.Add(panel, header), min(step, count-i), unsafe.Pointer(&s.weights[i][second])}
		unpackBF16(f.kind, &call)
	}
}

// multiply adds blocks of one or two panels to the sums of n rows.
func (s *readScratch) multiply(c *dotCall, n int, panel, panels, block, count uintptr) {
	call := readCall{x: unsafe.Add(c.x, block*lineBytes), xStride: c.xStride, weights: unsafe.Pointer(&s.weights), blocks: count,
		dst: unsafe.Add(c.dst, 4*panelRows*panel), dstStride: c.dstStride, times: uintptr(n / (2 * tileHeight))}
	if block == 0 {
		call.fresh = 1
	}
	next := func(rows uintptr) {
		call.x, call.dst = unsafe.Add(call.x, rows*call.xStride), unsafe.Add(call.dst, rows*call.dstStride)
	}
	if call.times > 0 {
		readTwo(&call, panels)
		if n %= 2 * tileHeight; n == 0 {
			return // see dotFloats
		}
		next(2 * tileHeight * call.times)
	}
	call.times = 1
	if n >= tileHeight {
		readOne(&call, panels)
		if n -= tileHeight; n == 0 {
			return
		}
		next(tileHeight)
	}
	row := func(r int) []float32 {
		return numbers(unsafe.Add(call.dst, uintptr(r)*c.dstStride), panels*panelRows)
	}
	for r := range n {
		copy(s.sums[r][:], row(r))
	}
	last := call
	last.dst, last.dstStride = unsafe.Pointer(&s.sums), unsafe.Sizeof(s.sums[0])
	readOne(&last, panels)
	for r := range n {
		copy(row(r), s.sums[r][:])
	}
}

// readTwo takes two tiles of rows at a time, readOne one.
func readTwo(c *readCall, panels uintptr) {
	if panels == 2 {
		read2x2(c)
		return
	}
	read2x1(c)
}

func readOne(c *readCall, panels uintptr) {
	if panels == 2 {
		read1x2(c)
		return
	}
	read1x1(c)
}

// roundRow makes lines of bf16 of x, of a multiple of 32: a block's numbers are a line.
func roundRow(x []float32, lines []byte) {
	if n := len(x) / 32; n > 0 {
		_ = lines[n*lineBytes-1]
		toBF16AVX512(&lines[0], &x[0], n)
	}
}

func unpackBF16(k kind, c *unpackCall) {
	switch k {
	case kind4z:
		unpack4zBF16(c)
	case kind4m:
		unpack4mBF16(c)
	case kind4k:
		unpack4kBF16(c)
	case kind5z:
		unpack5zBF16(c)
	case kind5m:
		unpack5mBF16(c)
	case kind5k:
		unpack5kBF16(c)
	case kind6s:
		unpack6sBF16(c)
	case kind4s:
		unpack4sBF16(c)
	case kind4t:
		unpack4tBF16(c)
	case kind8:
		unpack8BF16(c)
	case kind8w:
		unpack8wBF16(c)
	case kind8x:
		unpack8xBF16(c)
	}
}

// Written by _gen into kernels_reading_amd64.s.

//go:noescape
func toBF16AVX512(lines *byte, x *float32, blocks int)

//go:noescape
func unpack4zBF16(c *unpackCall)

//go:noescape
func unpack4mBF16(c *unpackCall)

//go:noescape
func unpack4kBF16(c *unpackCall)

//go:noescape
func unpack5zBF16(c *unpackCall)

//go:noescape
func unpack5mBF16(c *unpackCall)

//go:noescape
func unpack5kBF16(c *unpackCall)

//go:noescape
func unpack6sBF16(c *unpackCall)

//go:noescape
func unpack4sBF16(c *unpackCall)

//go:noescape
func unpack4tBF16(c *unpackCall)

//go:noescape
func unpack8BF16(c *unpackCall)

//go:noescape
func unpack8wBF16(c *unpackCall)

//go:noescape
func unpack8xBF16(c *unpackCall)

//go:noescape
func read1x1(c *readCall)

//go:noescape
func read1x2(c *readCall)

//go:noescape
func read2x1(c *readCall)

//go:noescape
func read2x2(c *readCall)

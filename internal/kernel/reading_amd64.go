//go:build !purego

package kernel

import (
	"unsafe"

	"golang.org/x/sys/cpu"

	"github.com/galerne-ai/galerne/internal/dtype"
)

// Rows that are read are multiplied by tiles of bf16 (AMX), where a machine has them: input is rounded to bf16, weights are cut off to it, and sums
// are of float32, over all columns. Beside integers that is two to three times as fast where many rows pass, since no block's sum has to leave
// its tile to be scaled, and nearer to the products of the weights as they are. A row's bits are, over the blocks of 32 columns in order,
//
//	w = upper half of fma(1 + code/n, raise·n·scale, fma(scale, -raise·(n+zero), raise·offset))
//	acc = acc + ((… (x₀·w₀ + x₂·w₂) + … + x₃₀·w₃₀) + (… (x₁·w₁ + x₃·w₃) + … + x₃₁·w₃₁))
//
// where n is 16 for codes of 4 bits, else 256 (codes of 8 bits as code+128, zero 128), raise makes up for what is cut off, on average, each
// multiplication and addition is rounded once, and what is below the normal numbers is 0 (Intel, Architecture Instruction Set Extensions
// Programming Reference, TDPBF16PS).
var useReading = useTiles && hasReading()

// hasReading tries the kernels, since machines advertise what they do not do.
func hasReading() bool {
	return hasTiles() && cpu.X86.HasAMXBF16 && cpu.X86.HasAVX512BF16 && tryReading(roundRow, 256, dtype.Q4_K, dtype.Q6_K) == ""
}

const (
	// readRows bounds the rows of a part, for which weights are rounded once.
	readRows = 256
	// readFew is how many rows are few: two tiles.
	readFew = 2 * tileHeight
	// readLag is how many blocks are unpacked before the first of them is multiplied, in a ring of readRing.
	readLag, readRing = 3, 4
	// raise is one and about half of a bf16's last place.
	raise = 1 + 23./8192
	// readRun is how many blocks are gone through for all panels before the next ones, so that the rows' stay in the second-level cache.
	readRun = 64
)

// readScratch is what a worker keeps.
type readScratch struct {
	tiles *readTiles
	turn  int      // whose weights are multiplied; the others are unpacked meanwhile
	ready readUnit // has been unpacked
	next  readUnit // that the worker's next part begins with, as far as can be told
	calls struct { // what kernels are given: a call through a table would allocate it each time
		unpack unpackCall
		few    fewCall
		read   readCall
	}
}

// readTiles are weights as tiles [16 pairs of columns][16 rows of a panel][2]bf16, of blocks of one or two panels.
type readTiles struct {
	ring    [readRing][2][1024]byte // of few rows
	weights [2][readRun][2][1024]byte
}

// readUnit is some blocks of one or two panels.
type readUnit struct {
	at             unsafe.Pointer // the first panel's first group or its header; nil: none
	blocks, panels uintptr
}

func newReadScratch() *readScratch {
	return &readScratch{tiles: (*readTiles)(unsafe.Pointer(&room(int(unsafe.Sizeof(readTiles{})))[0]))}
}

// unpackCall has blocks of a panel, which have one header at most, unpacked, each as a tile 2 KiB behind the one before.
type unpackCall struct {
	w, header unsafe.Pointer
	blocks    uintptr
	to        unsafe.Pointer
}

// forget is called where weights may be others behind the same addresses.
func (s *readScratch) forget() {
	if s != nil {
		s.ready = readUnit{}
	}
}

// expect says which part comes next, as a rule, so that its weights can be unpacked before.
func (s *readScratch) expect(now *partPlace, next partPlace) {
	s.next = readUnit{}
	if next.job == nil {
		return
	}
	m, like := next.job.W, now.job.W
	if m.form != like.form || m.Cols != like.Cols || m.deferred.Load() {
		return
	}
	whole := min(next.to, m.Rows/panelRows) - next.from // a last panel with fewer rows than lanes has a call of its own
	s.next = readUnit{at: unsafe.Pointer(&m.data[next.from*m.panelBytes]), panels: uintptr(max(1, min(2, whole)))}
}

// readCall multiplies a unit with more than readFew rows, and unpacks the next one: see readRows in _gen.
type readCall struct {
	x          unsafe.Pointer // [rows] of lines
	xStride    uintptr
	weights    unsafe.Pointer
	blocks     uintptr
	dst        unsafe.Pointer // float32
	dstStride  uintptr
	twos       uintptr // runs of two tiles of rows
	fresh      uintptr // 1: sums begin at zero; 0: at dst's
	panels     uintptr
	second     uintptr // 1
	shape      *tileShape
	last       *tileShape // of rows that are left; nil: none
	lastSecond uintptr    // 1: they fill more than a tile
	next       readUnit
	size       uintptr // bytes of a panel
	to         unsafe.Pointer
}

// read computes n rows against whole panels.
func read(f *form, c *dotCall, n int, s *readScratch) {
	if n <= readFew {
		s.few(f, c, n)
		return
	}
	pieces := (c.blocks + readRun - 1) / readRun // of about one length, whole headers each
	run := ((c.blocks+pieces-1)/pieces + 7) &^ 7
	for block := uintptr(0); block < c.blocks; block += run {
		for panel := uintptr(0); panel < c.panels; panel += 2 {
			next := s.next
			switch {
			case panel+2 < c.panels:
				next = unitAt(f, c, panel+2, block, run)
			case block+run < c.blocks:
				next = unitAt(f, c, 0, block+run, run)
			case next.at != nil:
				next.blocks = min(run, c.blocks)
			}
			s.multiply(f, c, n, panel, block, unitAt(f, c, panel, block, run), next)
		}
	}
}

// unitAt is one or two panels, as many as there are, and at most run blocks of them.
func unitAt(f *form, c *dotCall, panel, block, run uintptr) readUnit {
	header, _ := f.place(int(block) * 32 / f.group)
	return readUnit{unsafe.Add(c.w, panel*c.size+uintptr(header)), min(run, c.blocks-block), min(2, c.panels-panel)}
}

// multiply adds a unit, which is panel and block of the call, to the sums of n rows, and has the next one unpacked.
func (s *readScratch) multiply(f *form, c *dotCall, n int, panel, block uintptr, unit, next readUnit) {
	if s.ready != unit {
		s.unpack(f, c, unit)
	}
	call := &s.calls.read
	*call = readCall{x: unsafe.Add(c.x, block*lineBytes), xStride: c.xStride, weights: unsafe.Pointer(&s.tiles.weights[s.turn]), blocks: unit.blocks,
		dst: unsafe.Add(c.dst, 4*panelRows*panel), dstStride: c.dstStride, twos: uintptr(n / readFew), panels: unit.panels, second: 1,
		shape: &fewShapes[readFew], next: next, size: c.size, to: unsafe.Pointer(&s.tiles.weights[1-s.turn])}
	if block == 0 {
		call.fresh = 1
	}
	if left := n % readFew; left > 0 {
		call.last = &fewShapes[left]
		if left > tileHeight {
			call.lastSecond = 1
		}
	}
	s.turn, s.ready = 1-s.turn, next
	readers[f.kind].read(call)
}

// unpack makes tiles of a unit while nothing is multiplied.
func (s *readScratch) unpack(f *form, c *dotCall, u readUnit) {
	step := u.blocks
	if f.scaleBytes == 1 {
		step = 8 // of a header
	}
	for panel := range u.panels {
		at := unsafe.Add(u.at, panel*c.size)
		for i := uintptr(0); i < u.blocks; i += step {
			groups := unsafe.Add(at, f.headerBytes())
			call := &s.calls.unpack
			*call = unpackCall{groups, at, min(step, u.blocks-i), unsafe.Pointer(&s.tiles.weights[s.turn][i][panel])}
			readers[f.kind].unpack(call)
			at = unsafe.Add(groups, int(call.blocks)*f.groupBytes()*32/f.group)
		}
	}
}

// fewCall multiplies at most readFew rows with panels: see few in _gen.
type fewCall struct {
	w, x, dst          unsafe.Pointer
	xStride, dstStride uintptr
	blocks, panels     uintptr
	size               uintptr // bytes of a panel
	ahead              uintptr // how many bytes before their use weights are asked for
	ring, end          unsafe.Pointer
	shape              *tileShape
	both               uintptr // 1: rows fill more than a tile
	start, rest        uintptr // blocks less the lag, and the lag, or all
}

func (s *readScratch) few(f *form, c *dotCall, n int) {
	call := &s.calls.few
	*call = fewCall{w: c.w, x: c.x, dst: c.dst, xStride: c.xStride, dstStride: c.dstStride, blocks: c.blocks, panels: c.panels, size: c.size,
		ahead: fetchAhead(2 * c.size), ring: unsafe.Pointer(&s.tiles.ring), end: unsafe.Add(unsafe.Pointer(&s.tiles.ring), unsafe.Sizeof(s.tiles.ring)),
		shape: &fewShapes[n], start: c.blocks - readLag, rest: min(readLag, c.blocks)}
	if n > tileHeight {
		call.both = 1
	}
	readers[f.kind].few(call)
}

// fewShapes are those of so many rows: tiles 0, 1 and 4 have the first, 2, 3 and 5 the others, 6 and 7 weights.
var fewShapes = func() (all [readFew + 1]tileShape) {
	for n := range all {
		first, others := min(n, tileHeight), max(1, n-tileHeight) // a tile of no rows is none
		all[n] = tileShape{palette: 1}
		for i, rows := range []int{first, first, others, others, first, others, 16, 16} {
			all[n].rowBytes[i], all[n].rows[i] = 64, uint8(rows)
		}
	}
	return all
}()

// roundRow makes lines of bf16 of x, of a multiple of 32: a block's numbers are a line.
func roundRow(x []float32, lines []byte) {
	if n := len(x) / 32; n > 0 {
		_ = lines[n*lineBytes-1]
		toBF16AVX512(&lines[0], &x[0], n)
	}
}

// readKernels are those of a form.
type readKernels struct {
	unpack func(*unpackCall)
	few    func(*fewCall)
	read   func(*readCall)
}

var readers = [...]readKernels{
	kind4z: {unpack4zBF16, few4z, read4z},
	kind4m: {unpack4mBF16, few4m, read4m},
	kind4k: {unpack4kBF16, few4k, read4k},
	kind5z: {unpack5zBF16, few5z, read5z},
	kind5m: {unpack5mBF16, few5m, read5m},
	kind5k: {unpack5kBF16, few5k, read5k},
	kind6s: {unpack6sBF16, few6s, read6s},
	kind4s: {unpack4sBF16, few4s, read4s},
	kind4t: {unpack4tBF16, few4t, read4t},
	kind8:  {unpack8BF16, few8, read8},
	kind8w: {unpack8wBF16, few8w, read8w},
	kind8x: {unpack8xBF16, few8x, read8x},
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
func few4z(c *fewCall)

//go:noescape
func few4m(c *fewCall)

//go:noescape
func few4k(c *fewCall)

//go:noescape
func few5z(c *fewCall)

//go:noescape
func few5m(c *fewCall)

//go:noescape
func few5k(c *fewCall)

//go:noescape
func few6s(c *fewCall)

//go:noescape
func few4s(c *fewCall)

//go:noescape
func few4t(c *fewCall)

//go:noescape
func few8(c *fewCall)

//go:noescape
func few8w(c *fewCall)

//go:noescape
func few8x(c *fewCall)

//go:noescape
func read4z(c *readCall)

//go:noescape
func read4m(c *readCall)

//go:noescape
func read4k(c *readCall)

//go:noescape
func read5z(c *readCall)

//go:noescape
func read5m(c *readCall)

//go:noescape
func read5k(c *readCall)

//go:noescape
func read6s(c *readCall)

//go:noescape
func read4s(c *readCall)

//go:noescape
func read4t(c *readCall)

//go:noescape
func read8(c *readCall)

//go:noescape
func read8w(c *readCall)

//go:noescape
func read8x(c *readCall)

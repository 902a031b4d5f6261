//go:build !purego

package kernel

import (
	"time"
	"unsafe"

	"golang.org/x/sys/cpu"

	"github.com/galerne-ai/galerne/internal/dtype"
)

// hasTiles reports tiles of 8-bit integers (AMX) that the system lets this process use: their 8 KiB of state a thread are
// given on demand only.
func hasTiles() bool { return hasAVX512() && cpu.X86.HasAMXTile && cpu.X86.HasAMXInt8 && permitTiles() }

const (
	// tileHeight is how many rows of input fill a tile, tileLeast how many are worth unpacking weights for, and tileRest how many behind
	// full tiles are worth one more.
	tileHeight, tileLeast, tileRest = 16, 32, 4
	// tileMost is how many rows one call takes: dst of a panel with fewer rows than lanes is in front of the scratch.
	tileMost = 64
	// tileRun is how many blocks are unpacked at once, as many as have a header together, of tilePanels panels: what stands in the
	// scratch, with the rows' blocks, should stay in the first-level cache.
	tileRun, tilePanels = 8, 4
)

// tileScratch is what the kernels for tiles keep: see amx in _gen.
type tileScratch struct {
	_        [tileMost * panelRows]float32
	codes    [tilePanels * tileRun][32 * panelRows]int8
	scales   [tilePanels * tileRun * 2][2][panelRows]float32
	products [2][tileHeight][panelRows]int32
	rest     [tileHeight][tilePanels * panelRows]float32 // sums of a tile that is not full
}

const _ = unsafe.Sizeof(tile{}) - unsafe.Sizeof(tileScratch{}) // which has that much room

// tileCall is what the kernels for tiles are given: unpackXAMX what is above the line.
type tileCall struct {
	w      unsafe.Pointer // first group of the run, or its header
	codes  unsafe.Pointer
	scales unsafe.Pointer
	blocks uintptr // of the run
	ahead  uintptr // how many bytes before their use weights are asked for

	x         unsafe.Pointer // first row's lines of the run
	xStride   uintptr
	dst       unsafe.Pointer // float32
	dstStride uintptr
	panels    uintptr
	tiles     uintptr // of 16 rows
	products  unsafe.Pointer
	fresh     uintptr // 1: sums begin at zero; 0: at dst's
}

// tilesPay reports whether tiles beat vectors in a product of 64 rows: a millisecond or two, once, since a virtual machine's may be
// slow. Which ones are chosen changes no bit.
func tilesPay() bool {
	const cols, panels = 1024, 4
	f := formOf(dtype.Q4_K)
	w, dst := make([]byte, panels*panelSize(dtype.Q4_K, f, cols)), make([]float32, tileMost*panels*panelRows)
	in := Input{Rows: tileMost, Cols: cols}
	in.reserve()
	c := trialCall(w, panels, &in, dst, new(tile))
	vectors := func(f *form, c *dotCall, _ int) {
		for range tileMost / maxRows {
			again := *c
			again.rows = maxRows
			dotAVX512(f, &again, maxRows)
		}
	}
	least := [...]time.Duration{time.Hour, time.Hour}
	for range 16 { // in turn, so that a busy moment strikes both
		for i, run := range [...]func(*form, *dotCall, int){dotTilesAlone, vectors} {
			again := c
			from := time.Now()
			run(&f, &again, tileMost)
			least[i] = min(least[i], time.Since(from))
		}
	}
	return least[0] < least[1]
}

// inTiles is how many rows of those left one call should take in tiles; 0: they do not suit.
func inTiles(left int) int {
	n := min(left, tileMost)
	switch rest := n % tileHeight; {
	case !useTiles || n < tileLeast:
		return 0
	case rest < tileRest:
		return n - rest
	}
	return n
}

// dotTiles takes from tileLeast to tileMost rows, or fewer, which tiles do not suit.
func dotTiles(f *form, c *dotCall, n int) {
	if n < tileLeast {
		dotAVX512(f, c, n)
		return
	}
	dotTilesAlone(f, c, n)
}

// dotTilesAlone takes from 16 to tileMost rows.
func dotTilesAlone(f *form, c *dotCall, n int) {
	tileProduct(f, c, n, unpackAMX(f.kind), runsAMX(f))
	releaseAMX()
}

// tileProduct goes through runs of a few panels at a time. The last rows' tile may go on behind the batch: see Input.reserve.
func tileProduct(f *form, c *dotCall, n int, unpack, runs func(*tileCall)) {
	s := (*tileScratch)(c.sums)
	full, rest := uintptr(n/tileHeight), uintptr(n%tileHeight)
	t := tileCall{xStride: c.xStride, products: unsafe.Pointer(&s.products)}
	groups := uintptr(32 / f.group) // of a block
	header, bytes := uintptr(f.headerBytes()), uintptr(f.groupBytes())*groups
	run := uintptr(tileRun)
	if header == 0 { // runs of one length
		pieces := (c.blocks + tileRun - 1) / tileRun
		run = (c.blocks + pieces - 1) / pieces
	}
	for panel := uintptr(0); panel < c.panels; panel += tilePanels {
		t.panels = min(tilePanels, c.panels-panel)
		dst := unsafe.Add(c.dst, 4*panelRows*panel)
		t.fresh = 1
		for block := uintptr(0); block < c.blocks; block += run {
			at := block/tileRun*header + block*bytes // of the run in its panel
			t.blocks = min(run, c.blocks-block)
			t.ahead = header + t.blocks*bytes
			if block+run >= c.blocks {
				t.ahead = tilePanels*c.size - at
			}
			for i := range t.panels {
				t.w = unsafe.Add(c.w, (panel+i)*c.size+at)
				t.codes = unsafe.Pointer(&s.codes[i*t.blocks])
				t.scales = unsafe.Pointer(&s.scales[i*t.blocks*groups])
				unpack(&t)
			}
			t.codes, t.scales = unsafe.Pointer(&s.codes), unsafe.Pointer(&s.scales)
			t.x, t.tiles, t.dst, t.dstStride = unsafe.Add(c.x, block*lineBytes), full, dst, c.dstStride
			runs(&t)
			if rest > 0 {
				t.x, t.tiles = unsafe.Add(t.x, full*tileHeight*c.xStride), 1
				t.dst, t.dstStride = unsafe.Pointer(&s.rest), unsafe.Sizeof(s.rest[0])
				runs(&t)
			}
			t.fresh = 0
		}
		for r := range rest {
			row := unsafe.Add(dst, (full*tileHeight+r)*c.dstStride)
			copy(unsafe.Slice((*float32)(row), t.panels*panelRows), s.rest[r][:])
		}
	}
}

func unpackAMX(k kind) func(*tileCall) {
	kernels := [...]func(*tileCall){
		kind4z: unpack4zAMX,
		kind4m: unpack4mAMX,
		kind4k: unpack4kAMX,
		kind5z: unpack5zAMX,
		kind5m: unpack5mAMX,
		kind5k: unpack5kAMX,
		kind6s: unpack6sAMX,
		kind4s: unpack4sAMX,
		kind4t: unpack4tAMX,
		kind8:  unpack8AMX,
		kind8w: unpack8wAMX,
		kind8x: unpack8xAMX,
	}
	return kernels[k]
}

func runsAMX(f *form) func(*tileCall) {
	switch {
	case f.group == 32 && f.offset:
		return runs32mAMX
	case f.group == 32:
		return runs32AMX
	case f.offset:
		return runs16mAMX
	}
	return runs16AMX
}

// Written by _gen into kernels_amx_amd64.s.

//go:noescape
func unpack4zAMX(c *tileCall)

//go:noescape
func unpack4mAMX(c *tileCall)

//go:noescape
func unpack4kAMX(c *tileCall)

//go:noescape
func unpack5zAMX(c *tileCall)

//go:noescape
func unpack5mAMX(c *tileCall)

//go:noescape
func unpack5kAMX(c *tileCall)

//go:noescape
func unpack6sAMX(c *tileCall)

//go:noescape
func unpack4sAMX(c *tileCall)

//go:noescape
func unpack4tAMX(c *tileCall)

//go:noescape
func unpack8AMX(c *tileCall)

//go:noescape
func unpack8wAMX(c *tileCall)

//go:noescape
func unpack8xAMX(c *tileCall)

func releaseAMX()

//go:noescape
func runs32AMX(c *tileCall)

//go:noescape
func runs32mAMX(c *tileCall)

//go:noescape
func runs16AMX(c *tileCall)

//go:noescape
func runs16mAMX(c *tileCall)

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
	// tileHeight is how many rows of input fill a tile, tileLeast how many are worth tiles.
	tileHeight, tileLeast = 16, 28
	// tileMost is how many rows one call takes: dst of a panel with fewer rows than lanes is in front of the scratch.
	tileMost = 64
	// tileRun is how many blocks a unit has at most of a panel, as many as have a header together, tilePanels how many panels, and
	// tileRecords how many blocks in all: two units' records, and the rows' lines, should stay in the first-level cache.
	tileRun, tilePanels, tileRecords = 8, 4, 24
	// tileAhead is how many of a unit's steps there must be, so that those of the next one are unpacked when they are wanted.
	tileAhead = 6
	// tileUnits is how many units one call of the kernel takes.
	tileUnits = 64
)

// tileRecord is room for a block: see amx in _gen.
type tileRecord [512 + 2*128]byte

// tileScratch is what the kernels for tiles keep.
type tileScratch struct {
	_        [tileMost * panelRows]float32
	records  [2][tileRecords]tileRecord
	products [2][tileHeight][panelRows]int32
	units    [tileUnits + 1]tileUnit
	call     tileCall
}

const _ = unsafe.Sizeof(tile{}) - unsafe.Sizeof(tileScratch{}) // which has that much room

// tileUnit is a run of blocks of a few panels. Its addresses are of memory that a dotCall keeps.
type tileUnit struct {
	w      uintptr // first panel's first group of the run
	header uintptr
	blocks uintptr // of the run
	panels uintptr
	x      uintptr // first row's lines of the run
	dst    uintptr // float32
	fresh  uintptr // 1: sums begin at zero; 0: at dst's
	ahead  uintptr // how many bytes before their use weights are asked for
}

// tileCall is what the kernels for tiles are given.
type tileCall struct {
	unpack    uintptr // the kernel's address
	unit      uintptr // the first; behind the last one another stands, which is not computed
	units     uintptr
	products  uintptr
	xStride   uintptr
	dstStride uintptr
	rows      uintptr
	tiles     uintptr // of 16 rows
	size      uintptr // bytes of a panel
	records   uintptr
	both      uintptr
	state     [9]uintptr
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
		for i, run := range [...]func(*form, *dotCall, int){dotTiles, vectors} {
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
	if !useTiles || left < tileLeast {
		return 0
	}
	return min(left, tileMost)
}

// dotTiles takes from 1 to tileMost rows.
func dotTiles(f *form, c *dotCall, n int) {
	if !tileProduct(f, c, n, unpackers[f.kind], productAMX(f)) {
		dotAVX512(f, c, n)
	}
}

// tileProduct cuts the product into units and has them multiplied, or says that they would be too small. The last tile may go on behind
// the batch: see Input.reserve.
func tileProduct(f *form, c *dotCall, n int, unpack uintptr, product func(*tileCall)) bool {
	s := (*tileScratch)(c.sums)
	address := func(p unsafe.Pointer) uintptr { return uintptr(p) }
	first := address(unsafe.Pointer(&s.records[0]))
	t := &s.call
	*t = tileCall{unpack: unpack, products: address(unsafe.Pointer(&s.products)), xStride: c.xStride, dstStride: c.dstStride, rows: uintptr(n),
		tiles: uintptr((n + tileHeight - 1) / tileHeight), size: c.size, records: first, both: 2*first + unsafe.Sizeof(s.records[0]),
		unit: address(unsafe.Pointer(&s.units[0]))}
	header, bytes := uintptr(f.headerBytes()), uintptr(f.groupBytes())*uintptr(32/f.group)
	run, pieces := uintptr(tileRun), uintptr(0)
	if header == 0 { // runs of about one length
		pieces = (c.blocks + tileRun - 1) / tileRun
		run = (c.blocks + pieces - 1) / pieces
	}
	panels := min(tilePanels, tileRecords/run)
	if t.tiles == 1 { // whose time is that of the weights, which come fastest one after the other
		panels = 1
	}
	groups := (c.panels + panels - 1) / panels
	if last := (c.blocks-1)%run + 1; last*(c.panels/groups) < tileAhead {
		return false
	}
	flush := func() {
		if t.units > 0 {
			s.units[t.units] = s.units[t.units-1]
			product(t)
			t.units = 0
		}
	}
	for g := range groups {
		panel, end := c.panels*g/groups, c.panels*(g+1)/groups
		for block := uintptr(0); block < c.blocks; block += run {
			u := &s.units[t.units]
			at := block/tileRun*header + block*bytes // of the run in its panel
			u.blocks, u.panels = min(run, c.blocks-block), end-panel
			u.header = address(c.w) + panel*c.size + at
			u.w = u.header + header
			u.x, u.dst = address(c.x)+block*lineBytes, address(c.dst)+4*panelRows*panel
			u.fresh, u.ahead = 0, header+u.blocks*bytes
			if block == 0 {
				u.fresh = 1
			}
			if block+run >= c.blocks {
				u.ahead = (end-panel)*c.size - at
			}
			if t.units++; t.units == tileUnits {
				flush()
			}
		}
	}
	flush()
	return true
}

// unpackers are where the kernels' code is that unpack, of each kind.
var unpackers = func() (all [12]uintptr) {
	unpackersAMX(&all)
	return all
}()

func productAMX(f *form) func(*tileCall) {
	switch {
	case f.group == 32 && f.offset:
		return product32mAMX
	case f.group == 32:
		return product32AMX
	case f.offset:
		return product16mAMX
	}
	return product16AMX
}

// Written by _gen into kernels_amx_amd64.s.

//go:noescape
func unpackersAMX(to *[12]uintptr)

//go:noescape
func product32AMX(c *tileCall)

//go:noescape
func product32mAMX(c *tileCall)

//go:noescape
func product16AMX(c *tileCall)

//go:noescape
func product16mAMX(c *tileCall)

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
	// tileLeast is how many rows of input fill a tile.
	tileLeast = 16
	// tileMost is how many rows the scratch has sums for.
	tileMost = 64
	// tileScratch is what the kernels write behind dotCall's sums: see amx in _gen.
	tileScratch = 64*tileMost + 8*512 + 16*128 + 2*1024

	_ = unsafe.Sizeof(tile{}) - tileScratch // which has that much room
)

// tilesPay reports whether tiles beat vectors in a product of 32 rows: half a millisecond, once, since nobody has timed
// them yet, and a virtual machine's may be slow. Which ones are chosen changes no bit.
func tilesPay() bool {
	const rows, cols, panels = maxRows, 1024, 4
	f := formOf(dtype.Q4_K)
	w, dst := make([]byte, panels*panelSize(dtype.Q4_K, f, cols)), make([]float32, rows*panels*panelRows)
	in := Input{Rows: rows, Cols: cols}
	in.reserve()
	c := trialCall(w, panels, &in, dst, new(tile))
	least := [...]time.Duration{time.Hour, time.Hour}
	for range 5 { // in turn, so that a busy moment strikes both
		for i, run := range [...]func(*form, *dotCall, int){dotTiles, dotAVX512} {
			again := c
			from := time.Now()
			run(&f, &again, rows)
			least[i] = min(least[i], time.Since(from))
		}
	}
	return least[0] < least[1]
}

// dotTiles takes 16 rows, a multiple of it up to tileMost, or fewer, which tiles do not suit.
func dotTiles(f *form, c *dotCall, n int) {
	if n < tileLeast {
		dotAVX512(f, c, n)
		return
	}
	c.ahead = fetchAhead(c.size)
	tilesAMX(f.kind)(c)
}

func tilesAMX(k kind) func(*dotCall) {
	kernels := [...]func(*dotCall){
		kind4z: tiles4zAMX,
		kind4m: tiles4mAMX,
		kind4k: tiles4kAMX,
		kind5z: tiles5zAMX,
		kind5m: tiles5mAMX,
		kind5k: tiles5kAMX,
		kind6s: tiles6sAMX,
		kind4s: tiles4sAMX,
		kind4t: tiles4tAMX,
		kind8:  tiles8AMX,
		kind8w: tiles8wAMX,
		kind8x: tiles8xAMX,
	}
	return kernels[k]
}

// Written by _gen into kernels_amx_amd64.s.

//go:noescape
func tiles4zAMX(c *dotCall)

//go:noescape
func tiles4mAMX(c *dotCall)

//go:noescape
func tiles4kAMX(c *dotCall)

//go:noescape
func tiles5zAMX(c *dotCall)

//go:noescape
func tiles5mAMX(c *dotCall)

//go:noescape
func tiles5kAMX(c *dotCall)

//go:noescape
func tiles6sAMX(c *dotCall)

//go:noescape
func tiles4sAMX(c *dotCall)

//go:noescape
func tiles4tAMX(c *dotCall)

//go:noescape
func tiles8AMX(c *dotCall)

//go:noescape
func tiles8wAMX(c *dotCall)

//go:noescape
func tiles8xAMX(c *dotCall)

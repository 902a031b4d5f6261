//go:build !purego

package kernel

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

// hasInts reports what kernels of 16-bit integers need: what machines with tiles have.
func hasInts() bool { return hasAVX512() && cpu.X86.HasAVX512VBMI }

// attendsInts reports whether attention over integers is faster here than over half precision.
func attendsInts() bool { return useTiles && useInts }

// leastQueries is how many fill a tile well enough.
const leastQueries = 8

// tileShape is what LDTILECFG reads, of tiles 0 to 7.
type tileShape struct {
	palette  byte
	_        [15]byte
	rowBytes [16]uint16
	rows     [16]uint8
}

const _ = -(unsafe.Sizeof(tileShape{}) % 64)

// tileShapes has at n what n queries take.
type tileShapes [tileHeight + 1]tileShape

// scoreShapes and mixShapes have the shapes that _gen/ints_amx.go says.
var scoreShapes, mixShapes = newTileShapes(64, 16), newTileShapes(32, 8)

// newTileShapes has tiles of queries, but for the last two, of 16 rows and of last; tile 5 has so many bytes a row.
func newTileShapes(bytes, last int) *tileShapes {
	var all tileShapes
	for n := 1; n < len(all); n++ {
		s := &all[n]
		s.palette = 1
		for t := range 8 {
			s.rowBytes[t], s.rows[t] = 64, uint8(n)
		}
		s.rowBytes[5], s.rows[6], s.rows[7] = uint16(bytes), tileHeight, uint8(last)
	}
	return &all
}

func split16Row(high, low []int8, x []float32) (s split16) {
	if !useInts || len(x) == 0 || len(x)%16 > 0 {
		return split16Generic(high, low, x)
	}
	_, _ = high[len(x)-1], low[len(x)-1]
	split16AVX512(&high[0], &low[0], &x[0], len(x), &s)
	return s
}

func placeBytes(to, codes []int8, slot int) {
	n := len(codes)
	if !useInts || n == 0 || n%16 > 0 {
		placeBytesGeneric(to, codes, slot)
		return
	}
	_ = to[4*n-1]
	placeBytesAVX512(&to[0], &codes[0], n, slot)
}

func scoresInts(c *attendCall) {
	switch {
	case !useInts:
		scoresIntsGeneric(c)
	case useTiles && c.n >= leastQueries:
		inTilesOfQueries(c, scoreShapes, scoresIntsAMX)
	default:
		scoresIntsAVX512(c)
	}
}

func weigh(c *attendCall) {
	if !useInts {
		weighGeneric(c)
		return
	}
	weighAVX512(c)
}

func mixInts(c *attendCall) {
	switch {
	case !useInts:
		mixIntsGeneric(c)
	case useTiles && c.n >= leastQueries:
		inTilesOfQueries(c, mixShapes, mixIntsAMX)
	default:
		mixIntsAVX512(c)
	}
}

func inTilesOfQueries(c *attendCall, shapes *tileShapes, run func(*attendCall)) {
	c.shapes = unsafe.Pointer(shapes)
	run(c)
}

// Written by _gen into kernels_amx_amd64.s.

//go:noescape
func split16AVX512(high, low *int8, x *float32, n int, to *split16)

//go:noescape
func placeBytesAVX512(to, codes *int8, n, slot int)

//go:noescape
func weighAVX512(c *attendCall)

//go:noescape
func scoresIntsAVX512(c *attendCall)

//go:noescape
func mixIntsAVX512(c *attendCall)

//go:noescape
func scoresIntsAMX(c *attendCall)

//go:noescape
func mixIntsAMX(c *attendCall)

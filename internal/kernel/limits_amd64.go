//go:build !purego

package kernel

func integersAVX2(n int)
func integersAVX512(n int)
func floatsAVX2(n int)
func floatsAVX512(n int)

// limits are the loops of the best unit that is used.
func limits() (integers, floats limit) {
	switch {
	case useAVX512:
		return limit{integersAVX512, 2 * 30 * 64}, limit{floatsAVX512, 2 * 30 * 16}
	case useAVX2:
		return limit{integersAVX2, 2 * 48 * 32}, limit{floatsAVX2, 2 * 12 * 8}
	}
	return limit{}, limit{}
}

// An instruction of the bare loops for integers is worth so many operations: of AVX-512 one multiplies and adds, of AVX2 one multiplies
// and one adds.
const (
	worthAVX2   = 32
	worthAVX512 = 2 * 64
)

// effort is the vector operations that a product's kernels have for 32 columns of a panel: with one input row, or once a tile of
// maxRows rows, of AMX tileMost, and for each of them. Loads, stores and numbers spread from memory are not among them: other units do
// those beside, as far as they can, which the loop of AVX2 shows, since it has as many. Beside tiles of AMX each multiplication of floats
// counts twice, since tiles take the other unit; what the tiles themselves do takes less, and is not counted.
type effort struct{ one, tile, row float64 }

func (e effort) of(rows, tile int) float64 {
	if rows == 1 {
		return e.one
	}
	return float64((rows+tile-1)/tile)*e.tile + float64(rows)*e.row
}

// busyReading is busy of rows that are read: for 16 of them, 16 of a panel and 32 columns tiles take 16 cycles, of two vector operations, and
// meanwhile weights are unpacked by some 140 of these, once for readRows.
func busyReading(m *Matrix, rows int) int64 {
	blocks := float64(m.panels() * m.Cols / 32)
	tiles, times := (rows+tileHeight-1)/tileHeight, (rows+readRows-1)/readRows
	return int64(blocks * worthAVX512 * float64(max(32*tiles, 140*times)))
}

// busy is how many operations of the bare loop take as many vector operations as rows with a matrix; 0: nobody counted.
func busy(m *Matrix, rows int) int64 {
	blocks := float64(m.panels() * m.Cols / 32)
	switch {
	case m.form.bits == 0 || rows == 0:
		return 0
	case useAVX512:
		tiled := 0
		for n := inTiles(rows); n > 0; n = inTiles(rows - tiled) {
			tiled += n
		}
		whole := (tiled + tileHeight - 1) / tileHeight * tileHeight
		count := effortsAMX[m.form.kind].of(whole, tileMost) + effortsAVX512[m.form.kind].of(rows-tiled, maxRows)
		return int64(blocks * worthAVX512 * count)
	case useAVX2:
		return int64(blocks * worthAVX2 * effortsAVX2[m.form.kind].of(rows, maxRows))
	}
	return 0
}

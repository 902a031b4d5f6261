//go:build purego || !(amd64 || arm64)

package kernel

func pause() {}

func dot(f *form, c *dotCall, n int)        { dotGeneric(f, c, n) }
func quantizeRow(x []float32, lines []byte) { quantizeRowGeneric(x, lines) }

func (f *form) tileRows(left int) int                      { return min(left, maxRows) }
func transpose(lines, rows []byte, stride, runs int)       { transposeGeneric(lines, rows, stride, runs) }
func squares(x []float32, part *[32]float32)               { squaresGeneric(x, part) }
func expSum(dst, x []float32, most float32) float32        { return expSumGeneric(dst, x, most) }
func swiGLU(gate, up []float32)                            { swiGLUGeneric(gate, up) }
func toF16(dst []uint16, x []float32)                      { toF16Generic(dst, x) }
func add(dst, x []float32)                                 { addGeneric(dst, x) }
func addScaled(dst, x []float32, f float32)                { addScaledGeneric(dst, x, f) }
func scale(x []float32, f float32)                         { scaleGeneric(x, f) }
func scaleBy(dst, x, w []float32, f float32)               { scaleByGeneric(dst, x, w, f) }
func ropePairs(x, cos, sin []float32)                      { ropePairsGeneric(x, cos, sin) }
func ropeHalves(lo, hi, cos, sin []float32)                { ropeHalvesGeneric(lo, hi, cos, sin) }
func widenColumns(wide []float32, scales, codes []byte)    { widenColumnsGeneric(wide, scales, codes) }
func widenRow(wide []float32, codes []byte, scale float32) { widenRowGeneric(wide, codes, scale) }
func fromF16(dst []float32, x []uint16)                    { fromF16Generic(dst, x) }
func scores(c *attendCall)                                 { scoresGeneric(c) }
func soften(c *attendCall)                                 { softenGeneric(c) }
func mix(c *attendCall)                                    { mixGeneric(c) }

// Implementations lists what this machine runs.
func Implementations() []string { return []string{"generic"} }

func pairNibbles(even, odd, lines []byte, n int) { pairNibblesGeneric(even, odd, lines, n) }
func scatter(to []byte, size int, line []byte)   { scatterGeneric(to, size, line) }
func gatherBits(to, lines []byte, n, shift, width int) {
	gatherBitsGeneric(to, lines, n, shift, width)
}

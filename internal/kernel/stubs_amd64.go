//go:build !purego

package kernel

// Written by _gen into kernels_amd64.s; see dotGeneric for what the dot kernels compute. The number behind R is
// how many input rows one takes, Near those that ask for weights into the first-level cache.

//go:noescape
func row4zAVX2(c *dotCall)

//go:noescape
func tile4zAVX2(c *dotCall)

//go:noescape
func dot4zR1NearAVX512(c *dotCall)

//go:noescape
func dot4zR2NearAVX512(c *dotCall)

//go:noescape
func dot4zR4NearAVX512(c *dotCall)

//go:noescape
func dot4zR2AVX512(c *dotCall)

//go:noescape
func dot4zR4AVX512(c *dotCall)

//go:noescape
func dot4zR8AVX512(c *dotCall)

//go:noescape
func dot4zR16AVX512(c *dotCall)

//go:noescape
func row4mAVX2(c *dotCall)

//go:noescape
func tile4mAVX2(c *dotCall)

//go:noescape
func dot4mR1NearAVX512(c *dotCall)

//go:noescape
func dot4mR2NearAVX512(c *dotCall)

//go:noescape
func dot4mR4NearAVX512(c *dotCall)

//go:noescape
func dot4mR2AVX512(c *dotCall)

//go:noescape
func dot4mR4AVX512(c *dotCall)

//go:noescape
func dot4mR8AVX512(c *dotCall)

//go:noescape
func dot4mR16AVX512(c *dotCall)

//go:noescape
func row4kAVX2(c *dotCall)

//go:noescape
func tile4kAVX2(c *dotCall)

//go:noescape
func dot4kR1NearAVX512(c *dotCall)

//go:noescape
func dot4kR2NearAVX512(c *dotCall)

//go:noescape
func dot4kR4NearAVX512(c *dotCall)

//go:noescape
func dot4kR2AVX512(c *dotCall)

//go:noescape
func dot4kR4AVX512(c *dotCall)

//go:noescape
func dot4kR8AVX512(c *dotCall)

//go:noescape
func dot4kR16AVX512(c *dotCall)

//go:noescape
func row5zAVX2(c *dotCall)

//go:noescape
func tile5zAVX2(c *dotCall)

//go:noescape
func dot5zR1NearAVX512(c *dotCall)

//go:noescape
func dot5zR2NearAVX512(c *dotCall)

//go:noescape
func dot5zR4NearAVX512(c *dotCall)

//go:noescape
func dot5zR2AVX512(c *dotCall)

//go:noescape
func dot5zR4AVX512(c *dotCall)

//go:noescape
func dot5zR8AVX512(c *dotCall)

//go:noescape
func dot5zR16AVX512(c *dotCall)

//go:noescape
func row5mAVX2(c *dotCall)

//go:noescape
func tile5mAVX2(c *dotCall)

//go:noescape
func dot5mR1NearAVX512(c *dotCall)

//go:noescape
func dot5mR2NearAVX512(c *dotCall)

//go:noescape
func dot5mR4NearAVX512(c *dotCall)

//go:noescape
func dot5mR2AVX512(c *dotCall)

//go:noescape
func dot5mR4AVX512(c *dotCall)

//go:noescape
func dot5mR8AVX512(c *dotCall)

//go:noescape
func dot5mR16AVX512(c *dotCall)

//go:noescape
func row5kAVX2(c *dotCall)

//go:noescape
func tile5kAVX2(c *dotCall)

//go:noescape
func dot5kR1NearAVX512(c *dotCall)

//go:noescape
func dot5kR2NearAVX512(c *dotCall)

//go:noescape
func dot5kR4NearAVX512(c *dotCall)

//go:noescape
func dot5kR2AVX512(c *dotCall)

//go:noescape
func dot5kR4AVX512(c *dotCall)

//go:noescape
func dot5kR8AVX512(c *dotCall)

//go:noescape
func dot5kR16AVX512(c *dotCall)

//go:noescape
func row6sAVX2(c *dotCall)

//go:noescape
func tile6sAVX2(c *dotCall)

//go:noescape
func dot6sR1NearAVX512(c *dotCall)

//go:noescape
func dot6sR2NearAVX512(c *dotCall)

//go:noescape
func dot6sR4NearAVX512(c *dotCall)

//go:noescape
func dot6sR2AVX512(c *dotCall)

//go:noescape
func dot6sR4AVX512(c *dotCall)

//go:noescape
func dot6sR8AVX512(c *dotCall)

//go:noescape
func dot6sR16AVX512(c *dotCall)

//go:noescape
func row4sAVX2(c *dotCall)

//go:noescape
func tile4sAVX2(c *dotCall)

//go:noescape
func dot4sR1NearAVX512(c *dotCall)

//go:noescape
func dot4sR2NearAVX512(c *dotCall)

//go:noescape
func dot4sR4NearAVX512(c *dotCall)

//go:noescape
func dot4sR2AVX512(c *dotCall)

//go:noescape
func dot4sR4AVX512(c *dotCall)

//go:noescape
func dot4sR8AVX512(c *dotCall)

//go:noescape
func dot4sR16AVX512(c *dotCall)

//go:noescape
func row4tAVX2(c *dotCall)

//go:noescape
func tile4tAVX2(c *dotCall)

//go:noescape
func dot4tR1NearAVX512(c *dotCall)

//go:noescape
func dot4tR2NearAVX512(c *dotCall)

//go:noescape
func dot4tR4NearAVX512(c *dotCall)

//go:noescape
func dot4tR2AVX512(c *dotCall)

//go:noescape
func dot4tR4AVX512(c *dotCall)

//go:noescape
func dot4tR8AVX512(c *dotCall)

//go:noescape
func dot4tR16AVX512(c *dotCall)

//go:noescape
func row8AVX2(c *dotCall)

//go:noescape
func tile8AVX2(c *dotCall)

//go:noescape
func dot8R1NearAVX512(c *dotCall)

//go:noescape
func dot8R2NearAVX512(c *dotCall)

//go:noescape
func dot8R4NearAVX512(c *dotCall)

//go:noescape
func dot8R2AVX512(c *dotCall)

//go:noescape
func dot8R4AVX512(c *dotCall)

//go:noescape
func dot8R8AVX512(c *dotCall)

//go:noescape
func dot8R16AVX512(c *dotCall)

//go:noescape
func row8wAVX2(c *dotCall)

//go:noescape
func tile8wAVX2(c *dotCall)

//go:noescape
func dot8wR1NearAVX512(c *dotCall)

//go:noescape
func dot8wR2NearAVX512(c *dotCall)

//go:noescape
func dot8wR4NearAVX512(c *dotCall)

//go:noescape
func dot8wR2AVX512(c *dotCall)

//go:noescape
func dot8wR4AVX512(c *dotCall)

//go:noescape
func dot8wR8AVX512(c *dotCall)

//go:noescape
func dot8wR16AVX512(c *dotCall)

//go:noescape
func row8xAVX2(c *dotCall)

//go:noescape
func tile8xAVX2(c *dotCall)

//go:noescape
func dot8xR1NearAVX512(c *dotCall)

//go:noescape
func dot8xR2NearAVX512(c *dotCall)

//go:noescape
func dot8xR4NearAVX512(c *dotCall)

//go:noescape
func dot8xR2AVX512(c *dotCall)

//go:noescape
func dot8xR4AVX512(c *dotCall)

//go:noescape
func dot8xR8AVX512(c *dotCall)

//go:noescape
func dot8xR16AVX512(c *dotCall)

//go:noescape
func dotf32R1AVX2(c *dotCall)

//go:noescape
func dotf32R2AVX2(c *dotCall)

//go:noescape
func dotf16R1AVX2(c *dotCall)

//go:noescape
func dotf16R2AVX2(c *dotCall)

//go:noescape
func dotbf16R1AVX2(c *dotCall)

//go:noescape
func dotbf16R2AVX2(c *dotCall)

func pauseAVX2()

//go:noescape
func quantizeAVX2(x *float32, lines *byte, blocks int) bool

//go:noescape
func quantizeAVX512(x *float32, lines *byte, blocks int) bool

//go:noescape
func squaresAVX2(x *float32, n int, part *[32]float32)

//go:noescape
func expPartsAVX2(dst, x *float32, n int, most float32, part *[8]float32)

//go:noescape
func swiGLUAVX2(gate, up *float32, n int)

//go:noescape
func swiGLUAVX512(gate, up *float32, n int)

//go:noescape
func toF16AVX2(dst *uint16, x *float32, n int)

//go:noescape
func toF16AVX512(dst *uint16, x *float32, n int)

//go:noescape
func scoresF16AVX2(c *attendCall)

//go:noescape
func scoresF32AVX2(c *attendCall)

//go:noescape
func scoresF16AVX512(c *attendCall)

//go:noescape
func scoresF32AVX512(c *attendCall)

//go:noescape
func mixF16AVX2(c *attendCall)

//go:noescape
func mixF32AVX2(c *attendCall)

//go:noescape
func mixF16AVX512(c *attendCall)

//go:noescape
func mixF32AVX512(c *attendCall)

//go:noescape
func softenAVX2(c *attendCall)

//go:noescape
func softenAVX512(c *attendCall)

//go:noescape
func addAVX2(dst, x *float32, n int)

//go:noescape
func addAVX512(dst, x *float32, n int)

//go:noescape
func addScaledAVX2(dst, x *float32, n int, f float32)

//go:noescape
func addScaledAVX512(dst, x *float32, n int, f float32)

//go:noescape
func scaleAVX2(x *float32, n int, f float32)

//go:noescape
func scaleAVX512(x *float32, n int, f float32)

//go:noescape
func scaleByAVX2(dst, x, w *float32, n int, f float32)

//go:noescape
func scaleByAVX512(dst, x, w *float32, n int, f float32)

//go:noescape
func ropePairsAVX2(x, cos, sin *float32, n int)

//go:noescape
func ropePairsAVX512(x, cos, sin *float32, n int)

//go:noescape
func ropeHalvesAVX2(lo, hi, cos, sin *float32, n int)

//go:noescape
func ropeHalvesAVX512(lo, hi, cos, sin *float32, n int)

//go:noescape
func pairs4zAVX512(c *dotCall)

//go:noescape
func one4zAVX512(c *dotCall)

//go:noescape
func one4zAVX2(c *dotCall)

//go:noescape
func pairs4mAVX512(c *dotCall)

//go:noescape
func one4mAVX512(c *dotCall)

//go:noescape
func one4mAVX2(c *dotCall)

//go:noescape
func pairs4kAVX512(c *dotCall)

//go:noescape
func one4kAVX512(c *dotCall)

//go:noescape
func one4kAVX2(c *dotCall)

//go:noescape
func pairs5zAVX512(c *dotCall)

//go:noescape
func one5zAVX512(c *dotCall)

//go:noescape
func one5zAVX2(c *dotCall)

//go:noescape
func pairs5mAVX512(c *dotCall)

//go:noescape
func one5mAVX512(c *dotCall)

//go:noescape
func one5mAVX2(c *dotCall)

//go:noescape
func pairs5kAVX512(c *dotCall)

//go:noescape
func one5kAVX512(c *dotCall)

//go:noescape
func one5kAVX2(c *dotCall)

//go:noescape
func pairs6sAVX512(c *dotCall)

//go:noescape
func one6sAVX512(c *dotCall)

//go:noescape
func one6sAVX2(c *dotCall)

//go:noescape
func pairs4sAVX512(c *dotCall)

//go:noescape
func one4sAVX512(c *dotCall)

//go:noescape
func one4sAVX2(c *dotCall)

//go:noescape
func pairs4tAVX512(c *dotCall)

//go:noescape
func one4tAVX512(c *dotCall)

//go:noescape
func one4tAVX2(c *dotCall)

//go:noescape
func pairs8AVX512(c *dotCall)

//go:noescape
func one8AVX512(c *dotCall)

//go:noescape
func one8AVX2(c *dotCall)

//go:noescape
func pairs8wAVX512(c *dotCall)

//go:noescape
func one8wAVX512(c *dotCall)

//go:noescape
func one8wAVX2(c *dotCall)

//go:noescape
func pairs8xAVX512(c *dotCall)

//go:noescape
func one8xAVX512(c *dotCall)

//go:noescape
func one8xAVX2(c *dotCall)

//go:noescape
func widenColumnsAVX2(wide *float32, scales, codes *byte, dim int)

//go:noescape
func widenRowAVX2(wide *float32, codes *byte, n int, scale float32)

//go:noescape
func fromF16AVX2(dst *float32, x *uint16, n int)

//go:noescape
func fromF16AVX512(dst *float32, x *uint16, n int)

//go:noescape
func transposeAVX2(lines, rows *byte, stride, runs int)

//go:noescape
func pairNibblesAVX2(even, odd, lines *byte, n int)

//go:noescape
func gatherBitsAVX2(to, lines *byte, n, shift, width int, mask uint32)

//go:noescape
func scatterAVX2(to *byte, size int, line *byte)

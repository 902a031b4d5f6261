//go:build !purego

package kernel

// Written by _gen into kernels_arm64.s; see dotGeneric for what the dot kernels compute. The number behind R is
// how many input rows one takes. Those of quantized forms need the dot product instructions of ARMv8.2, the
// others what every arm64 has. Rows may have any length.

//go:noescape
func dot4zR1NEON(c *dotCall)

//go:noescape
func dot4zR2NEON(c *dotCall)

//go:noescape
func dot4zR4NEON(c *dotCall)

//go:noescape
func dot4mR1NEON(c *dotCall)

//go:noescape
func dot4mR2NEON(c *dotCall)

//go:noescape
func dot4mR4NEON(c *dotCall)

//go:noescape
func dot4kR1NEON(c *dotCall)

//go:noescape
func dot4kR2NEON(c *dotCall)

//go:noescape
func dot4kR4NEON(c *dotCall)

//go:noescape
func dot5zR1NEON(c *dotCall)

//go:noescape
func dot5zR2NEON(c *dotCall)

//go:noescape
func dot5zR4NEON(c *dotCall)

//go:noescape
func dot5mR1NEON(c *dotCall)

//go:noescape
func dot5mR2NEON(c *dotCall)

//go:noescape
func dot5mR4NEON(c *dotCall)

//go:noescape
func dot5kR1NEON(c *dotCall)

//go:noescape
func dot5kR2NEON(c *dotCall)

//go:noescape
func dot5kR4NEON(c *dotCall)

//go:noescape
func dot6sR1NEON(c *dotCall)

//go:noescape
func dot6sR2NEON(c *dotCall)

//go:noescape
func dot6sR4NEON(c *dotCall)

//go:noescape
func dot4sR1NEON(c *dotCall)

//go:noescape
func dot4sR2NEON(c *dotCall)

//go:noescape
func dot4sR4NEON(c *dotCall)

//go:noescape
func dot4tR1NEON(c *dotCall)

//go:noescape
func dot4tR2NEON(c *dotCall)

//go:noescape
func dot4tR4NEON(c *dotCall)

//go:noescape
func dot8R1NEON(c *dotCall)

//go:noescape
func dot8R2NEON(c *dotCall)

//go:noescape
func dot8R4NEON(c *dotCall)

//go:noescape
func dot8wR1NEON(c *dotCall)

//go:noescape
func dot8wR2NEON(c *dotCall)

//go:noescape
func dot8wR4NEON(c *dotCall)

//go:noescape
func dot8xR1NEON(c *dotCall)

//go:noescape
func dot8xR2NEON(c *dotCall)

//go:noescape
func dot8xR4NEON(c *dotCall)

//go:noescape
func dotf32R1NEON(c *dotCall)

//go:noescape
func dotf32R2NEON(c *dotCall)

//go:noescape
func dotf16R1NEON(c *dotCall)

//go:noescape
func dotf16R2NEON(c *dotCall)

//go:noescape
func dotbf16R1NEON(c *dotCall)

//go:noescape
func dotbf16R2NEON(c *dotCall)

func pauseNEON()

//go:noescape
func addNEON(dst, x *float32, n int)

//go:noescape
func addScaledNEON(dst, x *float32, n int, f float32)

//go:noescape
func scaleNEON(x *float32, n int, f float32)

//go:noescape
func scaleByNEON(dst, x, w *float32, n int, f float32)

//go:noescape
func toF16NEON(dst *uint16, x *float32, n int)

//go:noescape
func fromF16NEON(dst *float32, x *uint16, n int)

//go:noescape
func widenRowNEON(wide *float32, codes *byte, n int, f float32)

//go:noescape
func widenColumnsNEON(wide *float32, scales, codes *byte, n int)

//go:noescape
func ropeHalvesNEON(lo, hi, cos, sin *float32, n int)

//go:noescape
func ropePairsNEON(x, cos, sin *float32, n int)

//go:noescape
func swiGLUNEON(gate, up *float32, n int)

//go:noescape
func squaresNEON(x *float32, n int, part *[32]float32)

//go:noescape
func expPartsNEON(dst, x *float32, n int, most float32, part *[8]float32)

//go:noescape
func scoresF16NEON(c *attendCall)

//go:noescape
func scoresF32NEON(c *attendCall)

//go:noescape
func mixF16NEON(c *attendCall)

//go:noescape
func mixF32NEON(c *attendCall)

//go:noescape
func softenNEON(c *attendCall)

//go:noescape
func quantizeNEON(x *float32, lines *byte, blocks int) bool

//go:noescape
func transposeNEON(lines, rows *byte, stride, runs int)

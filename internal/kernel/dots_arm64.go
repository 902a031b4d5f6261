//go:build !purego

package kernel

import "math/bits"

// dotsNEON is the kernel of a quantized form for 1, 2 or 4 rows.
func dotsNEON(k kind, rows int) func(*dotCall) {
	kernels := [...][3]func(*dotCall){
		kind4z: {dot4zR1NEON, dot4zR2NEON, dot4zR4NEON},
		kind4m: {dot4mR1NEON, dot4mR2NEON, dot4mR4NEON},
		kind4k: {dot4kR1NEON, dot4kR2NEON, dot4kR4NEON},
		kind5z: {dot5zR1NEON, dot5zR2NEON, dot5zR4NEON},
		kind5m: {dot5mR1NEON, dot5mR2NEON, dot5mR4NEON},
		kind5k: {dot5kR1NEON, dot5kR2NEON, dot5kR4NEON},
		kind6s: {dot6sR1NEON, dot6sR2NEON, dot6sR4NEON},
		kind4s: {dot4sR1NEON, dot4sR2NEON, dot4sR4NEON},
		kind4t: {dot4tR1NEON, dot4tR2NEON, dot4tR4NEON},
		kind8:  {dot8R1NEON, dot8R2NEON, dot8R4NEON},
		kind8w: {dot8wR1NEON, dot8wR2NEON, dot8wR4NEON},
		kind8x: {dot8xR1NEON, dot8xR2NEON, dot8xR4NEON},
	}
	return kernels[k][bits.Len(uint(rows))-1]
}

// floatsNEON is the kernel of a float form for 1 or 2 rows.
func floatsNEON(k kind, rows int) func(*dotCall) {
	kernels := [...][2]func(*dotCall){
		kindF32:  {dotf32R1NEON, dotf32R2NEON},
		kindF16:  {dotf16R1NEON, dotf16R2NEON},
		kindBF16: {dotbf16R1NEON, dotbf16R2NEON},
	}
	return kernels[k][rows-1]
}

//go:build !purego

package kernel

import "math/bits"

// dotsAVX2 is the kernel of a form for 1 or 4 rows.
func dotsAVX2(k kind, rows int) func(*dotCall) {
	kernels := [...][2]func(*dotCall){
		kind4z: {dot4zR1AVX2, dot4zR4AVX2},
		kind4m: {dot4mR1AVX2, dot4mR4AVX2},
		kind4k: {dot4kR1AVX2, dot4kR4AVX2},
		kind8:  {dot8R1AVX2, dot8R4AVX2},
		kind8m: {dot8mR1AVX2, dot8mR4AVX2},
		kind8k: {dot8kR1AVX2, dot8kR4AVX2},
		kind8w: {dot8wR1AVX2, dot8wR4AVX2},
		kind8s: {dot8sR1AVX2, dot8sR4AVX2},
		kind8t: {dot8tR1AVX2, dot8tR4AVX2},
	}
	return kernels[k][rows/4]
}

// dotsAVX512 is the kernel of a form for 1, 2, 4, 8 or 16 rows.
func dotsAVX512(k kind, rows int) func(*dotCall) {
	kernels := [...][5]func(*dotCall){
		kind4z: {dot4zR1AVX512, dot4zR2AVX512, dot4zR4AVX512, dot4zR8AVX512, dot4zR16AVX512},
		kind4m: {dot4mR1AVX512, dot4mR2AVX512, dot4mR4AVX512, dot4mR8AVX512, dot4mR16AVX512},
		kind4k: {dot4kR1AVX512, dot4kR2AVX512, dot4kR4AVX512, dot4kR8AVX512, dot4kR16AVX512},
		kind8:  {dot8R1AVX512, dot8R2AVX512, dot8R4AVX512, dot8R8AVX512, dot8R16AVX512},
		kind8m: {dot8mR1AVX512, dot8mR2AVX512, dot8mR4AVX512, dot8mR8AVX512, dot8mR16AVX512},
		kind8k: {dot8kR1AVX512, dot8kR2AVX512, dot8kR4AVX512, dot8kR8AVX512, dot8kR16AVX512},
		kind8w: {dot8wR1AVX512, dot8wR2AVX512, dot8wR4AVX512, dot8wR8AVX512, dot8wR16AVX512},
		kind8s: {dot8sR1AVX512, dot8sR2AVX512, dot8sR4AVX512, dot8sR8AVX512, dot8sR16AVX512},
		kind8t: {dot8tR1AVX512, dot8tR2AVX512, dot8tR4AVX512, dot8tR8AVX512, dot8tR16AVX512},
	}
	return kernels[k][bits.Len(uint(rows))-1]
}

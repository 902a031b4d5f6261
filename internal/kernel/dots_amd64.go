//go:build !purego

package kernel

import "math/bits"

// dotsAVX2 is the kernel of a form for one row, and that for an even number of them.
func dotsAVX2(k kind) (row, tile func(*dotCall)) {
	kernels := [...][2]func(*dotCall){
		kind4z: {row4zAVX2, tile4zAVX2},
		kind4m: {row4mAVX2, tile4mAVX2},
		kind4k: {row4kAVX2, tile4kAVX2},
		kind5z: {row5zAVX2, tile5zAVX2},
		kind5m: {row5mAVX2, tile5mAVX2},
		kind5k: {row5kAVX2, tile5kAVX2},
		kind6s: {row6sAVX2, tile6sAVX2},
		kind4s: {row4sAVX2, tile4sAVX2},
		kind4t: {row4tAVX2, tile4tAVX2},
		kind8:  {row8AVX2, tile8AVX2},
		kind8w: {row8wAVX2, tile8wAVX2},
		kind8x: {row8xAVX2, tile8xAVX2},
	}
	return kernels[k][0], kernels[k][1]
}

// dotsAVX512 is the kernel of a form for 1, 2, 4, 8 or 16 rows, where farPrefetch holds.
func dotsAVX512(k kind, rows int) func(*dotCall) {
	kernels := [...][5]func(*dotCall){
		kind4z: {dot4zR1NearAVX512, dot4zR2AVX512, dot4zR4AVX512, dot4zR8AVX512, dot4zR16AVX512},
		kind4m: {dot4mR1NearAVX512, dot4mR2AVX512, dot4mR4AVX512, dot4mR8AVX512, dot4mR16AVX512},
		kind4k: {dot4kR1NearAVX512, dot4kR2AVX512, dot4kR4AVX512, dot4kR8AVX512, dot4kR16AVX512},
		kind5z: {dot5zR1NearAVX512, dot5zR2AVX512, dot5zR4AVX512, dot5zR8AVX512, dot5zR16AVX512},
		kind5m: {dot5mR1NearAVX512, dot5mR2AVX512, dot5mR4AVX512, dot5mR8AVX512, dot5mR16AVX512},
		kind5k: {dot5kR1NearAVX512, dot5kR2AVX512, dot5kR4AVX512, dot5kR8AVX512, dot5kR16AVX512},
		kind6s: {dot6sR1NearAVX512, dot6sR2AVX512, dot6sR4AVX512, dot6sR8AVX512, dot6sR16AVX512},
		kind4s: {dot4sR1NearAVX512, dot4sR2AVX512, dot4sR4AVX512, dot4sR8AVX512, dot4sR16AVX512},
		kind4t: {dot4tR1NearAVX512, dot4tR2AVX512, dot4tR4AVX512, dot4tR8AVX512, dot4tR16AVX512},
		kind8:  {dot8R1NearAVX512, dot8R2AVX512, dot8R4AVX512, dot8R8AVX512, dot8R16AVX512},
		kind8w: {dot8wR1NearAVX512, dot8wR2AVX512, dot8wR4AVX512, dot8wR8AVX512, dot8wR16AVX512},
		kind8x: {dot8xR1NearAVX512, dot8xR2AVX512, dot8xR4AVX512, dot8xR8AVX512, dot8xR16AVX512},
	}
	return kernels[k][bits.Len(uint(rows))-1]
}

// dotsNearAVX512 is that for 1, 2 or 4 where it does not.
func dotsNearAVX512(k kind, rows int) func(*dotCall) {
	kernels := [...][3]func(*dotCall){
		kind4z: {dot4zR1NearAVX512, dot4zR2NearAVX512, dot4zR4NearAVX512},
		kind4m: {dot4mR1NearAVX512, dot4mR2NearAVX512, dot4mR4NearAVX512},
		kind4k: {dot4kR1NearAVX512, dot4kR2NearAVX512, dot4kR4NearAVX512},
		kind5z: {dot5zR1NearAVX512, dot5zR2NearAVX512, dot5zR4NearAVX512},
		kind5m: {dot5mR1NearAVX512, dot5mR2NearAVX512, dot5mR4NearAVX512},
		kind5k: {dot5kR1NearAVX512, dot5kR2NearAVX512, dot5kR4NearAVX512},
		kind6s: {dot6sR1NearAVX512, dot6sR2NearAVX512, dot6sR4NearAVX512},
		kind4s: {dot4sR1NearAVX512, dot4sR2NearAVX512, dot4sR4NearAVX512},
		kind4t: {dot4tR1NearAVX512, dot4tR2NearAVX512, dot4tR4NearAVX512},
		kind8:  {dot8R1NearAVX512, dot8R2NearAVX512, dot8R4NearAVX512},
		kind8w: {dot8wR1NearAVX512, dot8wR2NearAVX512, dot8wR4NearAVX512},
		kind8x: {dot8xR1NearAVX512, dot8xR2NearAVX512, dot8xR4NearAVX512},
	}
	return kernels[k][bits.Len(uint(rows))-1]
}

// pairsAVX512 is the kernel of a form for pairs of panels and any multiple of 4 rows.
func pairsAVX512(k kind) func(*dotCall) {
	kernels := [...]func(*dotCall){
		kind4z: pairs4zAVX512,
		kind4m: pairs4mAVX512,
		kind4k: pairs4kAVX512,
		kind5z: pairs5zAVX512,
		kind5m: pairs5mAVX512,
		kind5k: pairs5kAVX512,
		kind6s: pairs6sAVX512,
		kind4s: pairs4sAVX512,
		kind4t: pairs4tAVX512,
		kind8:  pairs8AVX512,
		kind8w: pairs8wAVX512,
		kind8x: pairs8xAVX512,
	}
	return kernels[k]
}

// oneAVX512 is the kernel of a form for pairs of panels and one row.
func oneAVX512(k kind) func(*dotCall) {
	kernels := [...]func(*dotCall){
		kind4z: one4zAVX512,
		kind4m: one4mAVX512,
		kind4k: one4kAVX512,
		kind5z: one5zAVX512,
		kind5m: one5mAVX512,
		kind5k: one5kAVX512,
		kind6s: one6sAVX512,
		kind4s: one4sAVX512,
		kind4t: one4tAVX512,
		kind8:  one8AVX512,
		kind8w: one8wAVX512,
		kind8x: one8xAVX512,
	}
	return kernels[k]
}

// oneAVX2 is the kernel of a form for pairs of panels and one row.
func oneAVX2(k kind) func(*dotCall) {
	kernels := [...]func(*dotCall){
		kind4z: one4zAVX2,
		kind4m: one4mAVX2,
		kind4k: one4kAVX2,
		kind5z: one5zAVX2,
		kind5m: one5mAVX2,
		kind5k: one5kAVX2,
		kind6s: one6sAVX2,
		kind4s: one4sAVX2,
		kind4t: one4tAVX2,
		kind8:  one8AVX2,
		kind8w: one8wAVX2,
		kind8x: one8xAVX2,
	}
	return kernels[k]
}

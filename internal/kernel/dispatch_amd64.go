//go:build !purego

package kernel

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

// The choice is made once, at start, and never changes: package state that is constant in effect.
var (
	useAVX2   = cpu.X86.HasAVX2 && cpu.X86.HasFMA && hasF16C() && trial(runAVX2)
	useAVX512 = useAVX2 && cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512VL && cpu.X86.HasAVX512VNNI && trial(runAVX512)
)

// Implementations lists what this machine runs, slowest first.
func Implementations() []string {
	names := []string{"generic"}
	if useAVX2 {
		names = append(names, "avx2")
	}
	if useAVX512 {
		names = append(names, "avx512")
	}
	return names
}

// dot computes one tile: n (1 or tileRows) activation rows against the 16 lanes of a panel.
func dot(f *form, c *dotCall, n int) {
	switch {
	case useAVX512 && runAVX512(f, c, n):
	case useAVX2 && runAVX2(f, c, n):
	default:
		dotGeneric(f, c, n)
	}
}

// runAVX2 reports whether it has a kernel for the form.
func runAVX2(f *form, c *dotCall, n int) bool {
	if f.bits == 0 {
		runFloats(f, c, n)
		return true
	}
	if n == 1 {
		switch f.name {
		case "4z":
			dot4zR1AVX2(c)
		case "4m":
			dot4mR1AVX2(c)
		case "4k":
			dot4kR1AVX2(c)
		case "8":
			dot8R1AVX2(c)
		case "8m":
			dot8mR1AVX2(c)
		case "8k":
			dot8kR1AVX2(c)
		case "8w":
			dot8wR1AVX2(c)
		case "8s":
			dot8sR1AVX2(c)
		case "8t":
			dot8tR1AVX2(c)
		}
		return true
	}
	switch f.name {
	case "4z":
		dot4zR4AVX2(c)
	case "4m":
		dot4mR4AVX2(c)
	case "4k":
		dot4kR4AVX2(c)
	case "8":
		dot8R4AVX2(c)
	case "8m":
		dot8mR4AVX2(c)
	case "8k":
		dot8kR4AVX2(c)
	case "8w":
		dot8wR4AVX2(c)
	case "8s":
		dot8sR4AVX2(c)
	case "8t":
		dot8tR4AVX2(c)
	}
	return true
}

// runAVX512 reports whether it has a kernel for the form.
func runAVX512(f *form, c *dotCall, n int) bool {
	if f.bits == 0 {
		return false
	}
	if n == 1 {
		switch f.name {
		case "4z":
			dot4zR1AVX512(c)
		case "4m":
			dot4mR1AVX512(c)
		case "4k":
			dot4kR1AVX512(c)
		case "8":
			dot8R1AVX512(c)
		case "8m":
			dot8mR1AVX512(c)
		case "8k":
			dot8kR1AVX512(c)
		case "8w":
			dot8wR1AVX512(c)
		case "8s":
			dot8sR1AVX512(c)
		case "8t":
			dot8tR1AVX512(c)
		}
		return true
	}
	switch f.name {
	case "4z":
		dot4zR4AVX512(c)
	case "4m":
		dot4mR4AVX512(c)
	case "4k":
		dot4kR4AVX512(c)
	case "8":
		dot8R4AVX512(c)
	case "8m":
		dot8mR4AVX512(c)
	case "8k":
		dot8kR4AVX512(c)
	case "8w":
		dot8wR4AVX512(c)
	case "8s":
		dot8sR4AVX512(c)
	case "8t":
		dot8tR4AVX512(c)
	}
	return true
}

func runFloats(f *form, c *dotCall, n int) {
	for {
		switch {
		case f.name == "f32" && n > 1:
			dotf32R2AVX2(c)
		case f.name == "f32":
			dotf32R1AVX2(c)
		case f.name == "f16" && n > 1:
			dotf16R2AVX2(c)
		case f.name == "f16":
			dotf16R1AVX2(c)
		case n > 1:
			dotbf16R2AVX2(c)
		default:
			dotbf16R1AVX2(c)
		}
		if n -= 2; n <= 0 {
			return // a pointer moved behind the last row could hold on to somebody else's memory
		}
		c.x, c.dst = unsafe.Add(c.x, 2*c.xStride), unsafe.Add(c.dst, 2*c.dstStride)
	}
}

func pause() { pauseAVX2() }

func quantizeRow(x []float32, q []int8, d []float32) {
	if !useAVX2 || len(d) == 0 || !quantizeAVX2(&x[0], &q[0], &d[0], len(d)) {
		quantizeRowGeneric(x, q, d)
	}
}

func sums16(q []int8, z []int32) {
	if useAVX2 && len(z) > 0 {
		sums16AVX2(&q[0], &z[0], len(z))
		return
	}
	sums16Generic(q, z)
}

func sumSquares(x []float32) float32 {
	n := len(x) &^ 7
	if !useAVX2 || n == 0 {
		return sumSquaresGeneric(x)
	}
	var part [8]float32
	squaresAVX2(&x[0], n, &part)
	for i, v := range x[n:] {
		part[i] += float32(v * v)
	}
	return sumParts(&part)
}

func expSum(dst, x []float32, most float32) float32 {
	n := len(x) &^ 7
	if !useAVX2 || n == 0 {
		return expSumGeneric(dst, x, most)
	}
	var part [8]float32
	expPartsAVX2(&dst[0], &x[0], n, most, &part)
	for i, v := range x[n:] {
		e := exp32(v - most)
		dst[n+i] = e
		part[i] += e
	}
	return sumParts(&part)
}

func swiGLU(gate, up []float32) {
	n := len(gate) &^ 7
	if useAVX2 && n > 0 {
		swiGLUAVX2(&gate[0], &up[0], n)
		gate, up = gate[n:], up[n:]
	}
	swiGLUGeneric(gate, up)
}

func toF16(dst []uint16, x []float32) {
	n := len(x) &^ 7
	if useAVX2 && n > 0 {
		toF16AVX2(&dst[0], &x[0], n)
		dst, x = dst[n:], x[n:]
	}
	toF16Generic(dst, x)
}

func scores16(score, q []float32, k []uint16) {
	if useAVX2 && len(q)%8 == 0 && len(score) > 0 {
		scoresAVX2(&score[0], &q[0], &k[0], len(score), len(q))
		return
	}
	scores16Generic(score, q, k)
}

func mix16(acc, p []float32, v []uint16) {
	if useAVX2 && len(acc)%8 == 0 && len(p) > 0 {
		mixAVX2(&acc[0], &p[0], &v[0], len(p), len(acc))
		return
	}
	mix16Generic(acc, p, v)
}

package main

import "math"

// Registers of the quantizer: V0-V7 a line's numbers, then its codes in V0 and V1; for the moment V2-V7.
const (
	inverse, finite, step = 10, 11, 12 // 127/max|x|, where that is finite, and the line's scale
	q127, qLimit          = 16, 17
)

// quantizeNEON: quantizeNEON(x *float32, lines *byte, blocks int) bool fills kernel.Input's lines; it stops with
// false at a block that is not finite.
//
//	R1 x   R2 lines   R3 blocks left   R6, R7 for the moment
func quantizeNEON() {
	table("quantizeTable", func(i int) uint32 { return math.Float32bits([]float32{127, 3.4e38}[i]) }, 2)
	text("quantizeNEON", 25)
	p("MOVD x+0(FP), R1")
	p("MOVD lines+8(FP), R2")
	p("MOVD blocks+16(FP), R3")
	p("CBZ R3, quantize_end")
	p("MOVD $·quantizeTable(SB), R6")
	for i := range 2 {
		everywhere(q127+i, 6)
	}
	label("quantize_loop")
	largestNEON()
	v("fdiv", step, 8, q127)
	write(4, step, 2, lineScale)
	codesNEON()
	codeSumsNEON()
	p("ADD $%d, R2", lineBytes)
	p("SUB $1, R3")
	p("CBNZ R3, quantize_loop")
	label("quantize_end")
	p("MOVD $1, R6")
	p("MOVB R6, ret+24(FP)")
	p("RET")
	label("quantize_fail")
	p("MOVB ZR, ret+24(FP)")
	p("RET")
}

// largestNEON reads a line's numbers to V0-V7 and leaves the greatest magnitude everywhere in V8, and 127 divided by
// it, 0 where that is infinite, as the inverse.
func largestNEON() {
	for i := range 8 {
		readOn(16, i, 1)
		if i == 0 {
			v("fabs", 8, i)
			continue
		}
		v("fabs", 9, i)
		v("umax", 8, 8, 9) // as integers, of which a NaN is the largest
	}
	v("umaxv", 8, 8)
	p("FMOVS F8, R6")
	p("MOVW $%#x, R7", math.Float32bits(float32(math.Inf(1))))
	p("CMPW R7, R6")
	p("BHS quantize_fail")
	spread(8, 8, 0)
	v("fdiv", inverse, q127, 8)
	v("fcmge", finite, qLimit, inverse)
	v("and", inverse, inverse, finite)
}

// codesNEON writes V0 to V7, times the inverse, as a line's codes, which stay in V0 and V1.
func codesNEON() {
	for i := range 8 {
		v("fmul", i, i, inverse)
		v("fcvtns", i, i)
	}
	for i := range 4 {
		v("sqxtn4h", 2*i, 2*i)
		v("sqxtn8h", 2*i, 2*i+1)
	}
	for i, from := range []int{0, 4} {
		v("sqxtn8b", from, from)
		v("sqxtnb", from, from+2)
		if from > i {
			move(i, from)
		}
		write(16, i, 2, 16*i)
	}
}

// codeSumsNEON writes the sums of the codes in V0 and V1.
func codeSumsNEON() {
	for half := range 2 {
		v("saddlv", 2+half, half)
		v("sxtl4s", 2+half, 2+half)
	}
	v("add", 4, 2, 3)
	v("scvtf", 5, 4)
	v("fmul", 5, 5, step)
	write(4, 5, 2, lineSum)
	v("neg", 4, 4)
	shift("shl4s", 4, 4, 7)
	write(4, 4, 2, lineN128)
	v("zip1", 2, 2, 3)
	v("neg", 2, 2)
	shift("shl4s", 2, 2, 7)
	write(8, 2, 2, lineN16)
	for half := range 2 {
		twos := 2 + half
		v("saddlp", twos, half)
		v("zip2d", 4, twos, twos)
		v("add8h", twos, twos, 4)
		v("rev64", 4, twos)
		v("add8h", twos, twos, 4)
		v("neg8h", twos, twos)
	}
	v("add8h", 4, 2, 3)
	shift("shl8h", 4, 4, 4)
	write(4, 4, 2, lineM16)
	v("zip1", 2, 2, 3)
	shift("shl8h", 2, 2, 5)
	write(8, 2, 2, lineM32)
}

// transposeNEON writes kernel.transposeGeneric: of 16 rows' 16 bytes, four lines.
func transposeNEON() {
	// transposeNEON(lines, rows *byte, stride, runs int)
	text("transposeNEON", 32)
	p("MOVD lines+0(FP), R1")
	p("MOVD rows+8(FP), R2")
	p("MOVD stride+16(FP), R3")
	p("MOVD runs+24(FP), R4")
	label("transpose_run")
	p("MOVD R2, R6")
	for quad := range 4 {
		for r := range 4 {
			read(16, r, 6, 0)
			if quad < 3 || r < 3 {
				p("ADD R3, R6")
			}
		}
		v("zip1", 4, 0, 1) // words 0, 1 of rows 0, 1
		v("zip2", 5, 0, 1) // words 2, 3
		v("zip1", 6, 2, 3) // of rows 2, 3
		v("zip2", 7, 2, 3)
		for half := range 2 {
			v("zip1d", 16, 4+half, 6+half)
			v("zip2d", 17, 4+half, 6+half)
			write(16, 16, 1, 128*half+16*quad)
			write(16, 17, 1, 128*half+64+16*quad)
		}
	}
	p("ADD $16, R2")
	p("ADD $256, R1")
	p("SUB $1, R4")
	p("CBNZ R4, transpose_run")
	p("RET")
}

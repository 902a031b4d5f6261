package main

import "math"

// quantize: quantizeAVX2(x *float32, lines *byte, blocks int) bool; stops with false at a block that is
// not finite. The row's lines are kernel.Input's.
func quantize() {
	text("quantizeAVX2", 25)
	p("MOVQ x+0(FP), SI")
	p("MOVQ lines+8(FP), DI")
	p("MOVQ blocks+16(FP), CX")
	p("VMOVUPS ·absMask(SB), Y15")
	p("VMOVUPS ·interleave(SB), Y14")
	p("VMOVDQU ·ones16(SB), Y13")
	p("VMOVDQU ·ones8(SB), Y11")
	p("VMOVSS ·c127(SB), X12")
	label("quantize_loop")
	for i := range 4 {
		p("VMOVUPS %d(SI), Y%d", 32*i, i)
		p("VANDPS Y15, Y%d, Y%d", i, 4+i)
	}
	p("VPMAXUD Y5, Y4, Y4") // as integers, of which a NaN is the largest
	p("VPMAXUD Y7, Y6, Y6")
	p("VPMAXUD Y6, Y4, Y4")
	p("VEXTRACTI128 $1, Y4, X5")
	p("VPMAXUD X5, X4, X4")
	p("VPSHUFD $0x4e, X4, X5")
	p("VPMAXUD X5, X4, X4")
	p("VPSHUFD $0xb1, X4, X5")
	p("VPMAXUD X5, X4, X4") // X4 = max|x|
	p("VMOVD X4, AX")
	p("CMPL AX, $%#x", math.Float32bits(float32(math.Inf(1))))
	p("JAE quantize_fail")
	p("VDIVSS X12, X4, X8") // d
	p("VMOVSS X8, %d(DI)", lineScale)
	p("VDIVSS X4, X12, X5")               // 127 / max
	p("VCMPSS $0x12, ·limit(SB), X5, X6") // an infinite inverse becomes 0
	p("VANDPS X6, X5, X5")
	p("VBROADCASTSS X5, Y5")
	for i := range 4 {
		p("VMULPS Y5, Y%d, Y%d", i, i)
		p("VCVTPS2DQ Y%d, Y%d", i, i)
	}
	p("VPACKSSDW Y1, Y0, Y0")
	p("VPACKSSDW Y3, Y2, Y2")
	p("VPACKSSWB Y2, Y0, Y0")
	p("VPERMD Y0, Y14, Y0")
	p("VMOVDQU Y0, (DI)")
	quantizedSums()
	p("ADDQ $128, SI")
	p("ADDQ $%d, DI", lineBytes)
	p("DECQ CX")
	p("JNZ quantize_loop")
	p("MOVB $1, ret+24(FP)")
	p("VZEROUPPER")
	p("RET")
	label("quantize_fail")
	p("MOVB $0, ret+24(FP)")
	p("VZEROUPPER")
	p("RET")
}

// quantizedSums writes the sums of the codes in Y0, whose scale is X8, to the line.
func quantizedSums() {
	p("VPMADDUBSW Y0, Y11, Y2") // the first half's pairs | the last half's
	for _, order := range []int{0x4e, 0xb1} {
		p("VPSHUFD $%#x, Y2, Y3", order)
		p("VPADDW Y3, Y2, Y2")
	}
	p("VEXTRACTI128 $1, Y2, X3")
	p("VPXOR X7, X7, X7")
	p("VPADDW X3, X2, X4")
	p("VPSUBW X4, X7, X4")
	p("VPSLLW $4, X4, X4")
	p("VMOVD X4, %d(DI)", lineM16)
	p("VPUNPCKLDQ X3, X2, X2")
	p("VPSUBW X2, X7, X4")
	p("VPSLLW $5, X4, X4")
	p("VMOVQ X4, %d(DI)", lineM32)
	p("VPMADDWD X13, X2, X2") // of the first 16, of the last
	p("VPHADDD X2, X2, X3")   // of all
	p("VPSUBD X2, X7, X4")
	p("VPSLLD $7, X4, X4")
	p("VMOVQ X4, %d(DI)", lineN16)
	p("VPSUBD X3, X7, X4")
	p("VPSLLD $7, X4, X4")
	p("VMOVD X4, %d(DI)", lineN128)
	p("VCVTDQ2PS X3, X3")
	p("VMULSS X8, X3, X3")
	p("VMOVSS X3, %d(DI)", lineSum)
}

// The constants of quantizeZ, from register 16 on, and the greatest of all numbers.
const (
	zAbs, z127, zLimit, zInfinite, zOnes8, zOnes16, zMinus1, zMinus16, zMinus32 = 16, 17, 18, 19, 20, 21, 22, 23, 24
	zCodes, zSums, zFirsts, zSpread, zMost                                      = 25, 26, 27, 28, 29
)

// quantizeZ: quantizeAVX512(x *float32, lines *byte, blocks int) bool does what quantizeAVX2 does, with four blocks at a time and, while
// it waits for their scales, the codes of the four before. Of blocks there are four at least; where fewer are left, it does some
// again. It says no at the end only.
//
//	SI x, DI lines of four blocks   R8 x, R9 lines of the next   CX blocks left
func quantizeZ() {
	constant("minus1", 0xffffffff)
	constant("minus16", 0xfff0fff0)
	constant("minus32", 0xffe0ffe0)
	wide("codesOfTwo", 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15)
	wide("sumsOfFour", 0, 4, 0, 4, 8, 12, 8, 12, 2, 6, 2, 6, 10, 14, 10, 14)
	wide("quarterEach", 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3)
	text("quantizeAVX512", 25)
	p("MOVQ x+0(FP), R8")
	p("MOVQ lines+8(FP), R9")
	p("MOVQ blocks+16(FP), CX")
	for i, name := range []string{"absMask", "c127", "limit", "infinite", "ones8", "ones16", "minus1", "minus16", "minus32"} {
		p("VPBROADCASTD ·%s(SB), Z%d", name, zAbs+i)
	}
	for i, name := range []string{"codesOfTwo", "sumsOfFour", "firsts", "quarterEach"} {
		p("VMOVDQU32 ·%s(SB), Z%d", name, zCodes+i)
	}
	for i, lanes := range []int{0xff00, 0x1111, 0x2222, 0x8888, 0xcccc} {
		p("MOVL $%#x, AX", lanes)
		p("KMOVD AX, K%d", 1+i)
	}
	p("VPXORD Z%d, Z%d, Z%d", zMost, zMost, zMost)
	scalesZ()
	label("quantize512_loop")
	p("MOVQ R8, SI")
	p("MOVQ R9, DI")
	p("SUBQ $4, CX")
	p("JLE quantize512_last")
	p("ADDQ $512, R8")
	p("ADDQ $%d, R9", 4*lineBytes)
	p("CMPQ CX, $4")
	p("JGE quantize512_next")
	p("SUBQ $4, CX") // so many back
	p("SHLQ $6, CX")
	p("ADDQ CX, R9")
	p("LEAQ (R8)(CX*2), R8")
	p("MOVQ $4, CX")
	label("quantize512_next")
	scalesZ()
	label("quantize512_last")
	codesZ()
	sumsZ()
	p("TESTQ CX, CX")
	p("JG quantize512_loop")
	p("VPCMPUD $5, Z%d, Z%d, K6", zInfinite, zMost)
	p("KORTESTW K6, K6")
	p("SETEQ ret+24(FP)")
	p("VZEROUPPER")
	p("RET")
}

// inverses and scales of four blocks stand in their last line until it is written: lines before it may be those of the four before.
const inverses, scales = 3 * lineBytes, 3*lineBytes + 16

// scalesZ leaves the next four blocks' inverses and scales.
func scalesZ() {
	for b := range 4 {
		for i := range 2 {
			p("VPANDD %d(R8), Z%d, Z%d", 128*b+64*i, zAbs, 8+b+4*i)
		}
		p("VPMAXUD Z%d, Z%d, Z%d", 12+b, 8+b, 8+b) // as integers, of which a NaN is the largest
	}
	quarters("VPMAXUD", 8, 12)
	p("VPMAXUD Z8, Z%d, Z%d", zMost, zMost)
	p("VPERMPS Z8, Z%d, Z8", zFirsts)
	p("VDIVPS X8, X%d, X9", z127)
	p("VCMPPS $0x12, X%d, X9, K6", zLimit) // an infinite inverse becomes 0
	p("VMOVAPS.Z X9, K6, X9")
	p("VMOVUPS X9, %d(R9)", inverses)
	p("VDIVPS X%d, X8, X8", z127)
	p("VMOVUPS X8, %d(R9)", scales)
}

// codesZ leaves the codes of two blocks in Z0, of two in Z4, and a block's scale in each quarter of Z7.
func codesZ() {
	for b := range 4 {
		p("VBROADCASTSS %d(DI), Z%d", inverses+4*b, 8+b)
		for i := range 2 {
			p("VMULPS %d(SI), Z%d, Z%d", 128*b+64*i, 8+b, 2*b+i)
			p("VCVTPS2DQ Z%d, Z%d", 2*b+i, 2*b+i)
		}
		p("VPACKSSDW Z%d, Z%d, Z%d", 2*b+1, 2*b, 2*b)
	}
	p("VMOVUPS %d(DI), X7", scales)
	p("VPERMPS Z7, Z%d, Z7", zSpread)
	for i, r := range []int{0, 4} {
		p("VPACKSSWB Z%d, Z%d, Z%d", r+2, r, r)
		p("VPERMD Z%d, Z%d, Z%d", r, zCodes, r)
		p("VMOVDQU Y%d, %d(DI)", r, 2*lineBytes*i)
		p("VEXTRACTI64X4 $1, Z%d, %d(DI)", r, 2*lineBytes*i+lineBytes)
	}
}

// sumsZ writes what stands behind the codes: a quarter of Z1 and then one of Z3 are a block's.
func sumsZ() {
	p("VPMADDUBSW Z0, Z%d, Z0", zOnes8)
	p("VPMADDUBSW Z4, Z%d, Z4", zOnes8)
	p("VSHUFPS $0x88, Z4, Z0, Z1")
	p("VSHUFPS $0xdd, Z4, Z0, Z2")
	p("VPADDW Z2, Z1, Z1")
	p("VPSRLQ $32, Z1, Z2")
	p("VPADDW Z2, Z1, Z1")
	p("VPERMD Z1, Z%d, Z0", zSums) // of either half, twice
	p("VPMADDWD Z%d, Z0, Z2", zMinus1)
	p("VPMULLW Z%d, Z0, Z3", zMinus32)
	p("VPSLLD $7, Z2, K5, Z3")
	p("VPSHUFD $0xb1, Z0, Z2")
	p("VPADDW Z2, Z0, Z0") // of all
	p("VPMADDWD Z%d, Z0, Z2", zMinus1)
	p("VPMULLW Z%d, Z0, Z1", zMinus16)
	p("VPSLLD $7, Z2, K4, Z1")
	p("VPMADDWD Z%d, Z0, Z2", zOnes16)
	p("VCVTDQ2PS Z2, Z2")
	p("VMULPS Z7, Z2, K3, Z1")
	p("VMOVAPS Z7, K2, Z1")
	for b := range 4 {
		p("VEXTRACTI32X4 $%d, Z1, %d(DI)", b, lineBytes*b+lineScale)
		p("VEXTRACTI32X4 $%d, Z3, %d(DI)", b, lineBytes*b+lineScale+16)
	}
}

package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// expNames are the constants that exp needs; expTerms those of kernel.exp32, of which the last two are one.
var (
	expNames = []string{"expLow", "expHigh", "log2e", "toInteger", "ln2High", "ln2Low", "exp6", "exp5", "exp4", "exp3", "exp2", "one"}
	expTerms = []string{"exp6", "exp5", "exp4", "exp3", "exp2", "one", "one"}
)

// expConstant is an operand: in memory for AVX2, and for AVX-512 where expConstants puts it.
func expConstant(v, name string) string {
	if v == "Z" {
		return fmt.Sprintf("Z%d", 16+slices.Index(expNames, name))
	}
	return "·" + name + "(SB)"
}

// forEach writes an instruction once for each of several chains, with the registers that pick gives: several at a time keep
// the processor busy while each waits for its last operation. V in the format is the registers' letter.
func forEach(v string, chains int, format string, pick func(i int) []any) {
	for i := range chains {
		p(strings.ReplaceAll(format, "V%", v+"%"), pick(i)...)
	}
}

// expLimit keeps each x where e^x is finite, as exp needs it; spoiled are n. It keeps a NaN.
func expLimit(v string, x, n []int) {
	high := expConstant(v, "expHigh")
	if v == "Z" {
		forEach(v, len(x), "VMINPS V%d, "+high+", V%d", func(i int) []any { return []any{x[i], x[i]} })
		return
	}
	forEach(v, len(x), "VMOVUPS "+high+", V%d", func(i int) []any { return []any{n[i]} })
	forEach(v, len(x), "VMINPS V%d, V%d, V%d", func(i int) []any { return []any{x[i], n[i], x[i]} })
}

// exp replaces each register x of several by e^x: the operations of kernel.exp32, in its order. n, t and mask are registers
// it may use; masks of AVX-512 are K registers, of which only gives those of the lanes that count: others become 0.
func exp(v string, x, n, t, mask []int, only ...int) {
	wide := v == "Z"
	each := func(format string, pick func(i int) []any) { forEach(v, len(x), format, pick) }
	constant := func(name string) string { return expConstant(v, name) }
	switch {
	case len(only) > 0:
		each("VCMPPS $0x15, "+constant("expLow")+", V%d, K%d, K%d", func(i int) []any { return []any{x[i], only[i], mask[i]} })
	case wide:
		each("VCMPPS $0x15, "+constant("expLow")+", V%d, K%d", func(i int) []any { return []any{x[i], mask[i]} }) // not x < low
	default:
		each("VCMPPS $0x11, "+constant("expLow")+", V%d, V%d", func(i int) []any { return []any{x[i], mask[i]} }) // x < low: 0 in the end
	}
	load := map[bool]string{true: "VMOVAPS ", false: "VMOVUPS "}[wide]
	each(load+constant("log2e")+", V%d", func(i int) []any { return []any{t[i]} })
	each("VFMADD213PS "+constant("toInteger")+", V%d, V%d", func(i int) []any { return []any{x[i], t[i]} })
	each("VSUBPS "+constant("toInteger")+", V%d, V%d", func(i int) []any { return []any{t[i], n[i]} })
	each("VFNMADD231PS "+constant("ln2High")+", V%d, V%d", func(i int) []any { return []any{n[i], x[i]} })
	each("VFNMADD231PS "+constant("ln2Low")+", V%d, V%d", func(i int) []any { return []any{n[i], x[i]} })
	sum := n // the shifted n stays in t
	if wide {
		sum = t // n stays
	}
	each(load+constant(expTerms[0])+", V%d", func(i int) []any { return []any{sum[i]} })
	for _, term := range expTerms[1:] {
		each("VFMADD213PS "+constant(term)+", V%d, V%d", func(i int) []any { return []any{x[i], sum[i]} })
	}
	if wide {
		each("VSCALEFPS.Z V%d, V%d, K%d, V%d", func(i int) []any { return []any{n[i], sum[i], mask[i], x[i]} })
		return
	}
	each("VPSLLD $23, V%d, V%d", func(i int) []any { return []any{t[i], t[i]} })
	each("VPADDD "+constant("one")+", V%d, V%d", func(i int) []any { return []any{t[i], t[i]} })
	each("VMULPS V%d, V%d, V%d", func(i int) []any { return []any{t[i], sum[i], x[i]} })
	each("VANDNPS V%d, V%d, V%d", func(i int) []any { return []any{x[i], mask[i], x[i]} })
}

// expConstants loads expNames to Z16-Z27.
func expConstants() {
	for i, name := range expNames {
		p("VBROADCASTSS ·%s(SB), Z%d", name, 16+i)
	}
}

// swiGLU512 has two chains of e^x at a time.
func swiGLU512() {
	// swiGLUAVX512(gate, up *float32, n int); n a multiple of 32
	text("swiGLUAVX512", 24)
	p("MOVQ gate+0(FP), DI")
	p("MOVQ up+8(FP), SI")
	p("MOVQ n+16(FP), CX")
	expConstants()
	p("VPBROADCASTD ·signBit(SB), Z30")
	label("swiglu512_loop")
	for i := range 2 {
		p("VMOVUPS %d(DI), Z%d", 64*i, 6+i)
		p("VPXORD Z30, Z%d, Z%d", 6+i, i)
	}
	expLimit("Z", []int{0, 1}, []int{2, 3})
	exp("Z", []int{0, 1}, []int{2, 3}, []int{4, 5}, []int{3, 4})
	for i := range 2 {
		p("VADDPS %s, Z%d, Z%d", expConstant("Z", "one"), i, i)
		p("VDIVPS Z%d, Z%d, Z%d", i, 6+i, i)
		p("VMULPS %d(SI), Z%d, Z%d", 64*i, i, i)
		p("VMOVUPS Z%d, %d(DI)", i, 64*i)
	}
	p("ADDQ $128, SI")
	p("ADDQ $128, DI")
	p("SUBQ $32, CX")
	p("JG swiglu512_loop")
	p("VZEROUPPER")
	p("RET")
}

// swiGLUY is a step of swiGLUAVX2: several vectors, one chain of e^x each.
func swiGLUY(vectors int) {
	x, n, t, mask := []int{0, 1, 2}[:vectors], []int{3, 4, 5}[:vectors], []int{6, 7, 8}[:vectors], []int{9, 10, 11}[:vectors]
	for i := range vectors {
		p("VMOVUPS %d(DI), Y%d", 32*i, 12+i)
		p("VXORPS ·signBit(SB), Y%d, Y%d", 12+i, x[i])
	}
	expLimit("Y", x, n)
	exp("Y", x, n, t, mask)
	for i := range vectors {
		p("VADDPS ·one(SB), Y%d, Y%d", x[i], x[i])
		p("VDIVPS Y%d, Y%d, Y%d", x[i], 12+i, x[i])
		p("VMULPS %d(SI), Y%d, Y%d", 32*i, x[i], x[i])
		p("VMOVUPS Y%d, %d(DI)", x[i], 32*i)
	}
	p("ADDQ $%d, SI", 32*vectors)
	p("ADDQ $%d, DI", 32*vectors)
	p("SUBQ $%d, CX", 8*vectors)
}

// sumY adds the eight parts of Y register n to X register n: ((0+4)+(1+5))+((2+6)+(3+7)).
func sumY(n int) {
	p("VEXTRACTF128 $1, Y%d, X13", n)
	p("VADDPS X13, X%d, X%d", n, n)
	p("VHADDPS X%d, X%d, X%d", n, n, n)
	p("VHADDPS X%d, X%d, X%d", n, n, n)
}

func vectors() {
	float("expLow", -87.33654)
	float("expHigh", 88.02969)
	float("log2e", 1.44269504)
	float("toInteger", 3<<22)
	float("ln2High", 0.693147182464599609375)
	float("ln2Low", -1.904654323148236e-9)
	for i, v := range []float32{0.00138145401, 0.00836874511, 0.0416683908, 0.166665204, 0.499999934} {
		float(expTerms[i], v)
	}
	float("one", 1)
	constant("signBit", 0x80000000)
	float("limit", 3.4e38)
	float("c127", 127)

	text("pauseAVX2", 0)
	p("PAUSE")
	p("RET")

	// cpuidECX(leaf uint32) uint32
	text("cpuidECX", 12)
	p("MOVL leaf+0(FP), AX")
	p("XORL CX, CX")
	p("CPUID")
	p("MOVL CX, ret+8(FP)")
	p("RET")

	// expPartsAVX2(dst, x *float32, n int, most float32, part *[8]float32); n a multiple of 8
	text("expPartsAVX2", 40)
	p("MOVQ dst+0(FP), DI")
	p("MOVQ x+8(FP), SI")
	p("MOVQ n+16(FP), CX")
	p("VBROADCASTSS most+24(FP), Y6")
	p("MOVQ part+32(FP), DX")
	p("VXORPS Y5, Y5, Y5")
	label("exp_loop")
	p("VMOVUPS (SI), Y0")
	p("VSUBPS Y6, Y0, Y0")
	expLimit("Y", []int{0}, []int{1})
	exp("Y", []int{0}, []int{1}, []int{2}, []int{4})
	p("VMOVUPS Y0, (DI)")
	p("VADDPS Y0, Y5, Y5")
	p("ADDQ $32, SI")
	p("ADDQ $32, DI")
	p("SUBQ $8, CX")
	p("JG exp_loop")
	p("VMOVUPS Y5, (DX)")
	p("VZEROUPPER")
	p("RET")

	// swiGLUAVX2(gate, up *float32, n int); n a multiple of 8
	text("swiGLUAVX2", 24)
	p("MOVQ gate+0(FP), DI")
	p("MOVQ up+8(FP), SI")
	p("MOVQ n+16(FP), CX")
	p("JMP swiglu_more")
	label("swiglu_three")
	swiGLUY(3)
	label("swiglu_more")
	p("CMPQ CX, $24")
	p("JGE swiglu_three")
	p("TESTQ CX, CX")
	p("JLE swiglu_done")
	label("swiglu_one")
	swiGLUY(1)
	p("JG swiglu_one")
	label("swiglu_done")
	p("VZEROUPPER")
	p("RET")

	swiGLU512()

	// squaresAVX2(x *float32, n int, part *[32]float32); n a multiple of 32
	text("squaresAVX2", 24)
	p("MOVQ x+0(FP), SI")
	p("MOVQ n+8(FP), CX")
	p("MOVQ part+16(FP), DX")
	for i := range 4 {
		p("VMOVUPS %d(DX), Y%d", 32*i, 4+i)
	}
	label("squares_loop")
	for i := range 4 {
		p("VMOVUPS %d(SI), Y%d", 32*i, i)
		p("VMULPS Y%d, Y%d, Y%d", i, i, i)
		p("VADDPS Y%d, Y%d, Y%d", i, 4+i, 4+i)
	}
	p("ADDQ $128, SI")
	p("SUBQ $32, CX")
	p("JG squares_loop")
	for i := range 4 {
		p("VMOVUPS Y%d, %d(DX)", 4+i, 32*i)
	}
	p("VZEROUPPER")
	p("RET")

	// toF16AVX2(dst *uint16, x *float32, n int); n a multiple of 8
	text("toF16AVX2", 24)
	p("MOVQ dst+0(FP), DI")
	p("MOVQ x+8(FP), SI")
	p("MOVQ n+16(FP), CX")
	label("half_loop")
	p("VMOVUPS (SI), Y0")
	p("VCVTPS2PH $0, Y0, (DI)")
	p("ADDQ $32, SI")
	p("ADDQ $16, DI")
	p("SUBQ $8, CX")
	p("JG half_loop")
	p("VZEROUPPER")
	p("RET")

	// fromF16AVX2(dst *float32, x *uint16, n int); n a multiple of 8
	text("fromF16AVX2", 24)
	p("MOVQ dst+0(FP), DI")
	p("MOVQ x+8(FP), SI")
	p("MOVQ n+16(FP), CX")
	label("single_loop")
	p("VCVTPH2PS (SI), Y0")
	p("VMOVUPS Y0, (DI)")
	p("ADDQ $32, DI")
	p("ADDQ $16, SI")
	p("SUBQ $8, CX")
	p("JG single_loop")
	p("VZEROUPPER")
	p("RET")

	rows()
	quantize()
	attention()
}

// each runs body for every 8 numbers at DI, and SI, and DX where there are such; CX counts, a multiple of 8.
func each(name string, pointers []string, body func()) {
	label("%s_loop", name)
	body()
	for _, r := range pointers {
		p("ADDQ $32, %s", r)
	}
	p("SUBQ $8, CX")
	p("JG %s_loop", name)
	p("VZEROUPPER")
	p("RET")
}

// rows: the plain functions on rows; n is a multiple of 8 in all.
func rows() {
	text("addAVX2", 24)
	p("MOVQ dst+0(FP), DI")
	p("MOVQ x+8(FP), SI")
	p("MOVQ n+16(FP), CX")
	each("add", []string{"DI", "SI"}, func() {
		p("VMOVUPS (DI), Y0")
		p("VADDPS (SI), Y0, Y0")
		p("VMOVUPS Y0, (DI)")
	})

	text("addScaledAVX2", 28)
	p("MOVQ dst+0(FP), DI")
	p("MOVQ x+8(FP), SI")
	p("MOVQ n+16(FP), CX")
	p("VBROADCASTSS f+24(FP), Y1")
	each("add_scaled", []string{"DI", "SI"}, func() {
		p("VMULPS (SI), Y1, Y0")
		p("VADDPS (DI), Y0, Y0")
		p("VMOVUPS Y0, (DI)")
	})

	text("scaleAVX2", 20)
	p("MOVQ x+0(FP), DI")
	p("MOVQ n+8(FP), CX")
	p("VBROADCASTSS f+16(FP), Y1")
	each("scale", []string{"DI"}, func() {
		p("VMULPS (DI), Y1, Y0")
		p("VMOVUPS Y0, (DI)")
	})

	text("scaleByAVX2", 36)
	p("MOVQ dst+0(FP), DI")
	p("MOVQ x+8(FP), SI")
	p("MOVQ w+16(FP), DX")
	p("MOVQ n+24(FP), CX")
	p("VBROADCASTSS f+32(FP), Y1")
	each("scale_by", []string{"DI", "SI", "DX"}, func() {
		p("VMULPS (SI), Y1, Y0")
		p("VMULPS (DX), Y0, Y0")
		p("VMOVUPS Y0, (DI)")
	})

	// ropePairsAVX2(x, cos, sin *float32, n int): pairs stand side by side; n of them
	constant("twice", 0, 0, 1, 1, 2, 2, 3, 3)
	text("ropePairsAVX2", 32)
	p("MOVQ x+0(FP), DI")
	p("MOVQ cos+8(FP), SI")
	p("MOVQ sin+16(FP), DX")
	p("MOVQ n+24(FP), CX")
	p("SHLQ $1, CX")
	p("VMOVDQU ·twice(SB), Y5")
	label("rope_pairs_loop")
	p("VMOVUPS (SI), X1")
	p("VMOVUPS (DX), X2")
	p("VPERMPS Y1, Y5, Y1")
	p("VPERMPS Y2, Y5, Y2")
	p("VMOVUPS (DI), Y0")
	p("VPERMILPS $0xb1, Y0, Y3")
	p("VMULPS Y1, Y0, Y0")
	p("VMULPS Y2, Y3, Y3")
	p("VADDSUBPS Y3, Y0, Y0") // the first of a pair minus, the second plus
	p("VMOVUPS Y0, (DI)")
	p("ADDQ $32, DI")
	p("ADDQ $16, SI")
	p("ADDQ $16, DX")
	p("SUBQ $8, CX")
	p("JG rope_pairs_loop")
	p("VZEROUPPER")
	p("RET")

	// ropeHalvesAVX2(lo, hi, cos, sin *float32, n int)
	text("ropeHalvesAVX2", 40)
	p("MOVQ lo+0(FP), DI")
	p("MOVQ hi+8(FP), BX")
	p("MOVQ cos+16(FP), SI")
	p("MOVQ sin+24(FP), DX")
	p("MOVQ n+32(FP), CX")
	each("rope_halves", []string{"DI", "BX", "SI", "DX"}, func() {
		p("VMOVUPS (DI), Y0")
		p("VMOVUPS (BX), Y1")
		p("VMOVUPS (SI), Y2")
		p("VMOVUPS (DX), Y3")
		p("VMULPS Y2, Y0, Y4")
		p("VMULPS Y3, Y1, Y5")
		p("VSUBPS Y5, Y4, Y4")
		p("VMULPS Y3, Y0, Y0")
		p("VMULPS Y2, Y1, Y1")
		p("VADDPS Y1, Y0, Y0")
		p("VMOVUPS Y4, (DI)")
		p("VMOVUPS Y0, (BX)")
	})
}

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

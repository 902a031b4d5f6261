package main

import (
	"fmt"
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

// exp replaces each register x of several by e^x: the operations of kernel.exp32, in its order, for an x that expLimit would keep. n, t
// and mask are registers it may use, masks of AVX-512 K registers.
func exp(v string, x, n, t, mask []int) {
	wide := v == "Z"
	each := func(format string, pick func(i int) []any) { forEach(v, len(x), format, pick) }
	constant := func(name string) string { return expConstant(v, name) }
	if wide {
		each("VCMPPS $0x15, "+constant("expLow")+", V%d, K%d", func(i int) []any { return []any{x[i], mask[i]} }) // not x < low
	} else {
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
	wide("twice", 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7)

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

	for _, a := range isas {
		a.rows()
		a.halves()
		a.ropes()
	}
	quantize()
	quantizeZ()
	attention()
}

// p writes an instruction with its vector registers at #.
func (a isa) p(text string) { p("%s", strings.ReplaceAll(text, "#", a.v)) }

// row begins a function of float32 rows, the first number's first, and their length.
func (a isa) row(name string, args int, pointers ...string) {
	text(name+a.name, args)
	for i, register := range pointers {
		name, at, _ := strings.Cut(register, " ")
		p("MOVQ %s+%d(FP), %s", name, 8*i, at)
	}
	p("MOVQ n+%d(FP), CX", 8*len(pointers))
}

// each runs body for every vector of CX numbers, a multiple of lanes; then it moves the pointers, those of two bytes a number, or
// of one number for two, half as far.
func (a isa) each(name string, pointers, half []string, body func()) {
	label("%s%s_loop", name, a.name)
	body()
	for _, r := range pointers {
		p("ADDQ $%d, %s", 4*a.lanes, r)
	}
	for _, r := range half {
		p("ADDQ $%d, %s", 2*a.lanes, r)
	}
	p("SUBQ $%d, CX", a.lanes)
	p("JG %s%s_loop", name, a.name)
	p("VZEROUPPER")
	p("RET")
}

// rows: the plain functions on rows; n is a multiple of lanes in all.
func (a isa) rows() {
	a.row("add", 24, "dst DI", "x SI")
	a.each("add", []string{"DI", "SI"}, nil, func() {
		a.p("VMOVUPS (DI), #0")
		a.p("VADDPS (SI), #0, #0")
		a.p("VMOVUPS #0, (DI)")
	})

	a.row("addScaled", 28, "dst DI", "x SI")
	a.p("VBROADCASTSS f+24(FP), #1")
	a.each("addScaled", []string{"DI", "SI"}, nil, func() {
		a.p("VMULPS (SI), #1, #0")
		a.p("VADDPS (DI), #0, #0")
		a.p("VMOVUPS #0, (DI)")
	})

	a.row("scale", 20, "x DI")
	a.p("VBROADCASTSS f+16(FP), #1")
	a.each("scale", []string{"DI"}, nil, func() {
		a.p("VMULPS (DI), #1, #0")
		a.p("VMOVUPS #0, (DI)")
	})

	a.row("scaleBy", 36, "dst DI", "x SI", "w DX")
	a.p("VBROADCASTSS f+32(FP), #1")
	a.each("scaleBy", []string{"DI", "SI", "DX"}, nil, func() {
		a.p("VMULPS (SI), #1, #0")
		a.p("VMULPS (DX), #0, #0")
		a.p("VMOVUPS #0, (DI)")
	})
}

// halves: from and to half precision; n is a multiple of lanes.
func (a isa) halves() {
	a.row("toF16", 24, "dst DI", "x SI")
	a.each("toF16", []string{"SI"}, []string{"DI"}, func() {
		a.p("VMOVUPS (SI), #0")
		a.p("VCVTPS2PH $0, #0, (DI)")
	})

	a.row("fromF16", 24, "dst DI", "x SI")
	a.each("fromF16", []string{"DI"}, []string{"SI"}, func() {
		a.p("VCVTPH2PS (SI), #0")
		a.p("VMOVUPS #0, (DI)")
	})
}

// ropes turn pairs that stand side by side, n of them, half a multiple of lanes, and pairs of two rows of n, a multiple of lanes.
func (a isa) ropes() {
	a.row("ropePairs", 32, "x DI", "cos SI", "sin DX")
	p("SHLQ $1, CX")
	a.p("VMOVUPS ·twice(SB), #5")
	half := "X"
	if !a.narrow() {
		half = "Y"
		p("MOVL $0xaaaa, AX")
		p("KMOVD AX, K1")
	}
	a.each("ropePairs", []string{"DI"}, []string{"SI", "DX"}, func() {
		p("VMOVUPS (SI), %s1", half)
		p("VMOVUPS (DX), %s2", half)
		a.p("VPERMPS #1, #5, #1")
		a.p("VPERMPS #2, #5, #2")
		a.p("VMOVUPS (DI), #0")
		a.p("VPERMILPS $0xb1, #0, #3")
		a.p("VMULPS #1, #0, #0")
		a.p("VMULPS #2, #3, #3")
		if a.narrow() { // the first of a pair minus, the second plus
			a.p("VADDSUBPS #3, #0, #4")
		} else {
			a.p("VSUBPS #3, #0, #4")
			a.p("VADDPS #3, #0, K1, #4")
		}
		a.p("VMOVUPS #4, (DI)")
	})

	a.row("ropeHalves", 40, "lo DI", "hi BX", "cos SI", "sin DX")
	a.each("ropeHalves", []string{"DI", "BX", "SI", "DX"}, nil, func() {
		a.p("VMOVUPS (DI), #0")
		a.p("VMOVUPS (BX), #1")
		a.p("VMOVUPS (SI), #2")
		a.p("VMOVUPS (DX), #3")
		a.p("VMULPS #2, #0, #4")
		a.p("VMULPS #3, #1, #5")
		a.p("VSUBPS #5, #4, #4")
		a.p("VMULPS #3, #0, #0")
		a.p("VMULPS #2, #1, #1")
		a.p("VADDPS #1, #0, #0")
		a.p("VMOVUPS #4, (DI)")
		a.p("VMOVUPS #0, (BX)")
	})
}

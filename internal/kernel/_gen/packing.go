package main

// packing writes what packs weights.
func packing() {
	constant("lowNibbles", 0x0f0f0f0f)
	constant("everyFourth", 0x0c080400, 0x0d090501, 0x0e0a0602, 0x0f0b0703)
	transpose()
	pairNibbles()
	gatherBits()
	scatter()
}

// transpose writes kernel.transposeGeneric: of 16 rows' 16 bytes, four lines.
func transpose() {
	// transposeAVX2(lines, rows *byte, stride, runs int)
	text("transposeAVX2", 32)
	p("MOVQ lines+0(FP), DI")
	p("MOVQ rows+8(FP), SI")
	p("MOVQ stride+16(FP), R11")
	p("MOVQ runs+24(FP), CX")
	p("LEAQ (R11)(R11*2), R12")
	p("LEAQ (SI)(R11*4), R8")
	p("LEAQ (R8)(R11*4), R9")
	p("LEAQ (R9)(R11*4), R10")
	label("transposeAVX2_run")
	for half := range 2 { // rows 0 to 7, then 8 to 15
		for r := range 4 { // a row and the fourth behind it
			p("VMOVDQU %s, X%d", rowAt(0, 8*half+r), r)
			p("VINSERTI128 $1, %s, Y%d, Y%d", rowAt(0, 8*half+r+4), r, r)
		}
		p("VPUNPCKLDQ Y1, Y0, Y4") // words 0, 1 of rows 0, 1
		p("VPUNPCKHDQ Y1, Y0, Y5") // words 2, 3
		p("VPUNPCKLDQ Y3, Y2, Y6") // of rows 2, 3
		p("VPUNPCKHDQ Y3, Y2, Y7")
		for v, from := range [][2]int{{4, 6}, {5, 7}} {
			p("VPUNPCKLQDQ Y%d, Y%d, Y8", from[1], from[0])
			p("VPUNPCKHQDQ Y%d, Y%d, Y9", from[1], from[0])
			p("VMOVDQU Y8, %d(DI)", 128*v+32*half)
			p("VMOVDQU Y9, %d(DI)", 128*v+64+32*half)
		}
	}
	for _, base := range bases {
		p("ADDQ $16, %s", base)
	}
	p("ADDQ $256, DI")
	p("DECQ CX")
	p("JNZ transposeAVX2_run")
	p("VZEROUPPER")
	p("RET")
}

// pairNibbles writes kernel.pairNibblesGeneric.
func pairNibbles() {
	// pairNibblesAVX2(even, odd, lines *byte, n int)
	text("pairNibblesAVX2", 32)
	p("MOVQ even+0(FP), DI")
	p("MOVQ odd+8(FP), R8")
	p("MOVQ lines+16(FP), SI")
	p("MOVQ n+24(FP), CX")
	p("SHLQ $6, CX")
	p("LEAQ (SI)(CX*1), R9")
	p("XORQ AX, AX")
	p("VMOVDQU ·lowNibbles(SB), Y15")
	label("pairNibblesAVX2_next")
	p("VMOVDQU (SI)(AX*1), Y0")
	p("VMOVDQU (R9)(AX*1), Y1")
	p("VPAND Y15, Y0, Y2")
	p("VPAND Y15, Y1, Y3")
	p("VPSLLW $4, Y3, Y3")
	p("VPOR Y3, Y2, Y2")
	p("VMOVDQU Y2, (DI)(AX*1)")
	p("VPSRLW $4, Y0, Y0")
	p("VPAND Y15, Y0, Y0")
	p("VPANDN Y1, Y15, Y1") // the high nibbles
	p("VPOR Y1, Y0, Y0")
	p("VMOVDQU Y0, (R8)(AX*1)")
	p("ADDQ $32, AX")
	p("CMPQ AX, CX")
	p("JB pairNibblesAVX2_next")
	p("VZEROUPPER")
	p("RET")
}

// gatherBits writes kernel.gatherBitsGeneric, with the mask spread over four bytes.
func gatherBits() {
	// gatherBitsAVX2(to, lines *byte, n, shift, width int, mask uint32)
	text("gatherBitsAVX2", 44)
	p("MOVQ to+0(FP), DI")
	p("MOVQ lines+8(FP), SI")
	p("MOVQ n+16(FP), CX")
	p("VMOVQ shift+24(FP), X12")
	p("VMOVQ width+32(FP), X13")
	p("MOVL mask+40(FP), AX")
	p("VMOVD AX, X15")
	p("VPBROADCASTD X15, Y15")
	p("VPXOR X14, X14, X14") // how far a line's bits go up
	p("VPXOR Y4, Y4, Y4")
	p("VPXOR Y5, Y5, Y5")
	label("gatherBitsAVX2_next")
	for half := range 2 {
		p("VMOVDQU %d(SI), Y0", 32*half)
		p("VPSRLW X12, Y0, Y0")
		p("VPAND Y15, Y0, Y0")
		p("VPSLLW X14, Y0, Y0")
		p("VPOR Y0, Y%d, Y%d", 4+half, 4+half)
	}
	p("VPADDQ X13, X14, X14")
	p("ADDQ $64, SI")
	p("DECQ CX")
	p("JNZ gatherBitsAVX2_next")
	p("VMOVDQU Y4, (DI)")
	p("VMOVDQU Y5, 32(DI)")
	p("VZEROUPPER")
	p("RET")
}

// scatter writes kernel.scatterGeneric.
func scatter() {
	// scatterAVX2(to *byte, size int, line *byte)
	text("scatterAVX2", 24)
	p("MOVQ to+0(FP), DI")
	p("MOVQ size+8(FP), R11")
	p("LEAQ (R11)(R11*2), R12")
	p("MOVQ line+16(FP), SI")
	p("VMOVDQU ·everyFourth(SB), X15")
	for i := range 4 {
		p("VMOVDQU %d(SI), X%d", 16*i, i)
		p("VPSHUFB X15, X%d, X%d", i, i)
	}
	p("VPUNPCKLDQ X1, X0, X4")
	p("VPUNPCKHDQ X1, X0, X5")
	p("VPUNPCKLDQ X3, X2, X6")
	p("VPUNPCKHDQ X3, X2, X7")
	p("VPUNPCKLQDQ X6, X4, X0")
	p("VPUNPCKHQDQ X6, X4, X1")
	p("VPUNPCKLQDQ X7, X5, X2")
	p("VPUNPCKHQDQ X7, X5, X3")
	p("VMOVDQU X0, (DI)")
	p("VMOVDQU X1, (DI)(R11*1)")
	p("VMOVDQU X2, (DI)(R11*2)")
	p("VMOVDQU X3, (DI)(R12*1)")
	p("RET")
}

package main

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

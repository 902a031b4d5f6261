package main

// Few rows that are read, of at most two tiles, wait for their weights: fewX leaves a block in the ring, which stays in the first-level cache,
// and multiplies one that was left there before, so that no tile is loaded from what is not written yet.

// Where kernel.fewCall has what.
const (
	fewW         = 0 // first panel
	fewX         = 8
	fewDst       = 16
	fewXStride   = 24
	fewDstStride = 32
	fewBlocks    = 40
	fewPanels    = 48
	fewSize      = 56 // bytes of a panel
	fewAhead     = 64
	fewRing      = 72
	fewRingEnd   = 80
	fewShape     = 88
	fewBoth      = 96  // 1: two tiles of rows
	fewStart     = 104 // blocks less the lag
	fewRest      = 112 // blocks that are multiplied behind the last one's unpacking
)

// few is the kernel of a form:
//
//	AX call   BX groups of the first panel   R8 size, which is where the second one's are   R15 header   CX blocks left   R12 how far ahead
//	SI rows   R11 row stride   DI, R9 where the ring is written and read   DX 64   R13 dst   R14 panels left   R10 the other rows, dst stride
//
// Tiles 0, 1 are the first rows' sums, 2, 3 the others', 4, 5 rows, 6, 7 weights.
func few(f form) {
	name := "few" + f.name
	text(name, 8)
	p("MOVQ c+0(FP), AX")
	p("MOVQ %d(AX), CX", fewShape)
	tileConfig()
	f.cutConstants("CX")
	callFields(fewW, "BX", fewDst, "R13", fewXStride, "R11", fewPanels, "R14", fewSize, "R8", fewAhead, "R12", fewRing, "DI")
	p("MOVQ $64, DX")
	label("%s_panel", name)
	p("MOVQ %d(AX), SI", fewX)
	p("MOVQ %d(AX), CX", fewBlocks)
	p("MOVQ DI, R9")
	for t := range 4 {
		tileZero(t)
	}
	label("%s_block", name)
	f.overHeader(name+"_first", "CX")
	f.fetch("PREFETCHT0", 0, "BX)(R12*1")
	f.cutBlock(place{"BX", "R15"}, "DI", 0)
	p("CMPQ CX, %d(AX)", fewStart)
	p("JGT %s_second", name)
	fewFirst(name + "_firstDot")
	label("%s_second", name)
	p("CMPQ R14, $2")
	p("JLT %s_next", name)
	p("ADDQ R8, R12")
	f.fetch("PREFETCHT0", 0, "BX)(R12*1")
	p("SUBQ R8, R12")
	f.cutBlock(place{"BX)(R8*1", "R15)(R8*1"}, "DI", tileSize)
	p("CMPQ CX, %d(AX)", fewStart)
	p("JGT %s_left", name)
	fewSecond(name + "_secondDot")
	label("%s_next", name)
	p("CMPQ CX, %d(AX)", fewStart)
	p("JGT %s_left", name)
	fewAdvance(name+"_wrapRead", "R9")
	p("ADDQ DX, SI")
	label("%s_left", name)
	fewAdvance(name+"_wrapWrite", "DI")
	p("ADDQ $%d, BX", f.blockBytes())
	p("DECQ CX")
	p("JNZ %s_block", name)
	p("MOVQ %d(AX), CX", fewRest)
	label("%s_rest", name)
	fewFirst(name + "_firstRest")
	p("CMPQ R14, $2")
	p("JLT %s_alone", name)
	fewSecond(name + "_secondRest")
	label("%s_alone", name)
	fewAdvance(name+"_wrapRest", "R9")
	p("ADDQ DX, SI")
	p("DECQ CX")
	p("JNZ %s_rest", name)
	p("MOVQ %d(AX), R10", fewDstStride)
	tileStore(0, "R13", "R10", 0)
	p("MOVQ R10, R9")
	p("SHLQ $4, R9")
	p("ADDQ R13, R9")
	p("CMPQ %d(AX), $0", fewBoth)
	p("JEQ %s_stored", name)
	tileStore(2, "R9", "R10", 0)
	label("%s_stored", name)
	p("CMPQ R14, $2")
	p("JLT %s_done", name)
	tileStore(1, "R13", "R10", 64)
	p("CMPQ %d(AX), $0", fewBoth)
	p("JEQ %s_storedTwo", name)
	tileStore(3, "R9", "R10", 64)
	label("%s_storedTwo", name)
	p("ADDQ R8, BX")
	p("ADDQ $128, R13")
	p("SUBQ $2, R14")
	p("JNZ %s_panel", name)
	label("%s_done", name)
	tileRelease()
	p("VZEROUPPER")
	p("RET")
}

// fewFirst multiplies what the ring has of the first panel, fewSecond of the second.
func fewFirst(name string) {
	tileLoad(4, "SI", "R11", 0)
	tileLoad(6, "R9", "DX", 0)
	tileDotBF16(0, 4, 6)
	p("CMPQ %d(AX), $0", fewBoth)
	p("JEQ %s", name)
	p("MOVQ R11, R10")
	p("SHLQ $4, R10")
	p("ADDQ SI, R10")
	tileLoad(5, "R10", "R11", 0)
	tileDotBF16(2, 5, 6)
	label("%s", name)
}

func fewSecond(name string) {
	tileLoad(7, "R9", "DX", tileSize)
	tileDotBF16(1, 4, 7)
	p("CMPQ %d(AX), $0", fewBoth)
	p("JEQ %s", name)
	tileDotBF16(3, 5, 7)
	label("%s", name)
}

// fewAdvance moves a pointer to the ring's next place.
func fewAdvance(name, pointer string) {
	p("ADDQ $%d, %s", 2*tileSize, pointer)
	p("CMPQ %s, %d(AX)", pointer, fewRingEnd)
	p("JNE %s", name)
	p("MOVQ %d(AX), %s", fewRing, pointer)
	label("%s", name)
}

package main

import "fmt"

// Attention over 16-bit integers by tiles, for many queries: 16 at a time, or fewer if there are no more.

// shapes configures tiles for c's queries.
func shapes() {
	passRows("CX")
	p("SHLQ $6, CX")
	p("ADDQ %d(AX), CX", attendShapes)
	tileConfig()
}

// passRows leaves how many of the queries left a pass has.
func passRows(to string) {
	p("MOVQ $16, %s", to)
	p("CMPQ R14, %s", to)
	p("CMOVQLT R14, %s", to)
}

// scoresIntsAMX is scoresIntsGeneric. Tiles 0 and 1 are upper products by the block's halves, 2 and 3 lower ones; 4 and 5 upper and lower bytes of
// the queries, 6 and 7 of the keys.
//
//	R15 queries of the pass, SI, BX their bytes of 64 dimensions, R11 their stride   R14 queries left   R9, R13 bytes of keys
//	R10 64 dimensions left   R12 products, [2][16][32] int32   DI score   R8 scale   DX 128   CX queries left of the pass
func scoresIntsAMX() {
	text("scoresIntsAMX", 8)
	callFields(attendN, "R14", attendQ, "R15", attendScore, "DI", attendScale, "R8", attendDim, "R11", attendProducts, "R12", attendK, "R9")
	shapes()
	p("VMOVUPS (R9), Z14")
	p("VMOVUPS 64(R9), Z15")
	p("ADDQ R11, R11")
	p("MOVQ $128, DX")
	label("scores_tiles")
	for t := range 4 {
		tileZero(t)
	}
	p("MOVQ %d(AX), R9", attendK)
	p("ADDQ $%d, R9", scalesBytes)
	p("MOVQ %d(AX), R10", attendDim)
	p("MOVQ R15, SI")
	p("LEAQ (SI)(R10*1), BX")
	p("MOVQ R10, R13")
	p("SHLQ $5, R13")
	p("ADDQ R9, R13")
	p("SHRQ $6, R10")
	label("scores_tiles_dims")
	tileLoad(4, "SI", "R11", 0)
	tileLoad(5, "BX", "R11", 0)
	for half := range 2 {
		tileLoad(6, "R9", "DX", 64*half)
		tileLoad(7, "R13", "DX", 64*half)
		tileDot(half, 4, 6)
		tileDot(2+half, 4, 7)
		tileDot(2+half, 5, 6)
	}
	p("ADDQ $64, SI")
	p("ADDQ $64, BX")
	p("ADDQ $2048, R9")
	p("ADDQ $2048, R13")
	p("DECQ R10")
	p("JNZ scores_tiles_dims")
	for t := range 4 {
		tileStore(t, "R12", "DX", t/2*2048+t%2*64)
	}
	p("MOVQ R12, BX")
	passRows("CX")
	label("scores_tiles_row")
	for half := range 2 {
		at := 64 * half
		p("VMOVDQU32 %d(BX), Z%d", at, half)
		product(half, fmt.Sprintf("%d(BX)", 2048+at))
		p("VMULPS Z%d, Z%d, Z%d", 14+half, half, half)
		p("VMULPS.BCST (R8), Z%d, Z%d", half, half)
		p("VMOVUPS Z%d, %d(DI)", half, at)
	}
	p("SUBQ $-128, BX")
	p("SUBQ $-128, DI")
	p("ADDQ $4, R8")
	p("DECQ CX")
	p("JNZ scores_tiles_row")
	p("MOVQ R11, CX")
	p("SHLQ $4, CX")
	p("ADDQ CX, R15")
	p("SUBQ $16, R14")
	p("JG scores_tiles")
	tileRelease()
	p("VZEROUPPER")
	p("RET")
}

// mixIntsAMX is mixIntsGeneric. Tiles 0 and 1 are lower products with two columns of 16 dimensions, 2 and 3 upper ones; 4 is the weights, upper
// and lower bytes, 5 upper ones alone, 6 the values, lower and upper bytes, 7 upper ones alone: so one instruction adds both lower products.
//
//	DI weights of the pass, DX their stride   R15 acc, R11 its stride, and of four slots' values   R14 queries left   R9, R10 values at the columns
//	R13 columns left, by twos   R12 products, [4][16][16] int32   SI acc at the columns   R8, BX shrink and top, with the frame's
func mixIntsAMX() {
	frame("mixIntsAMX", 16)
	callFields(attendN, "R14", attendWeights, "DI", attendAcc, "R15", attendShrink, "R8", attendTop, "BX", attendDim, "R11", attendProducts, "R12")
	p("MOVQ R8, shrink-8(SP)")
	p("MOVQ BX, top-16(SP)")
	shapes()
	p("SHLQ $2, R11")
	p("MOVQ $64, DX")
	label("mix_tiles")
	tileLoad(4, "DI", "DX", 0)
	tileLoad(5, "DI", "DX", 0)
	p("MOVQ %d(AX), R9", attendV)
	p("ADDQ $%d, R9", scalesBytes)
	p("LEAQ (R9)(R11*8), R10")
	p("MOVQ R11, R13")
	p("SHRQ $7, R13")
	p("MOVQ R15, SI")
	label("mix_tiles_columns")
	for col := range 2 {
		tileZero(col)
		tileZero(2 + col)
		tileLoad(6, "R9", "R11", 64*col)
		tileLoad(7, "R10", "R11", 64*col)
		tileDotUnsigned(col, 4, 6)
		tileDotUnsigned(2+col, 5, 7)
	}
	for t := range 4 {
		tileStore(t, "R12", "DX", 1024*t)
	}
	p("MOVQ R12, CX")
	p("MOVQ SI, AX")
	p("MOVQ shrink-8(SP), R8")
	p("MOVQ top-16(SP), BX")
	passRows("R10")
	label("mix_tiles_row")
	p("VBROADCASTSS (R8), Z2")
	for col := range 2 {
		p("VMOVDQU32 %d(CX), Z%d", 2048+1024*col, col)
		product(col, fmt.Sprintf("%d(CX)", 1024*col))
		p("VMULPS %d(AX), Z2, Z%d", 64*col, 3+col)
		p("VFMADD231PS.BCST (BX), Z%d, Z%d", col, 3+col)
		p("VMOVUPS Z%d, %d(AX)", 3+col, 64*col)
	}
	p("ADDQ $64, CX")
	p("ADDQ R11, AX")
	p("ADDQ $4, R8")
	p("ADDQ $4, BX")
	p("DECQ R10")
	p("JNZ mix_tiles_row")
	p("ADDQ $128, SI")
	p("ADDQ $128, R9")
	p("LEAQ (R9)(R11*8), R10")
	p("DECQ R13")
	p("JNZ mix_tiles_columns")
	p("MOVQ c+0(FP), AX")
	p("MOVQ R11, CX")
	p("SHLQ $4, CX")
	p("ADDQ CX, R15")
	p("ADDQ $1024, DI")
	p("ADDQ $64, shrink-8(SP)")
	p("ADDQ $64, top-16(SP)")
	p("SUBQ $16, R14")
	p("JG mix_tiles")
	tileRelease()
	p("VZEROUPPER")
	p("RET")
}

func intAttention() {
	constant("half16", 128)
	constant("greatest", 0x7f7fffff)
	constant("quietNaN", 0x7fc00000)
	float("most16", 127<<8)
	float("per16", 1.0/(127<<8))
	float("per16times256", 256.0/(127<<8))
	wide("slotBytes", slotBytes()...)
	splitInts()
	placeValues()
	weigh()
	scoresInts()
	mixInts()
	scoresIntsAMX()
	mixIntsAMX()
}

package main

import "fmt"

// Attention over 16-bit integers: see kernel/attend_ints.go, which says how they lie and what is added.

// Where kernel.attendCall has what.
const (
	attendQ        = 0
	attendK        = 8
	attendV        = 16
	attendScore    = 24
	attendAcc      = 32
	attendShrink   = 56
	attendMask     = 64
	attendN        = 72
	attendDim      = 80
	attendNext     = 112
	attendScale    = 128
	attendBias     = 136
	attendWeights  = 144
	attendTop      = 152
	attendInverse  = 160
	attendShapes   = 168
	attendProducts = 176
)

// scalesBytes is how far behind their scales a block's integers stand.
const scalesBytes = 128

// callFields loads fields of kernel.attendCall.
func callFields(fields ...any) {
	p("MOVQ c+0(FP), AX")
	for i := 0; i < len(fields); i += 2 {
		p("MOVQ %d(AX), %s", fields[i], fields[i+1])
	}
}

// across leaves in the first lane of register n what op makes of all 16, using register t.
func across(op string, n, t int) {
	p("VEXTRACTI64X4 $1, Z%d, Y%d", n, t)
	p("%s Y%d, Y%d, Y%d", op, t, n, n)
	p("VEXTRACTI128 $1, Y%d, X%d", n, t)
	p("%s X%d, X%d, X%d", op, t, n, n)
	for _, order := range []string{"$0x4e", "$0xb1"} {
		p("VPSHUFD %s, X%d, X%d", order, n, t)
		p("%s X%d, X%d, X%d", op, t, n, n)
	}
}

// splitInts is split16Generic, of a multiple of 16.
func splitInts() {
	// split16AVX512(high, low *int8, x *float32, n int, to *split16)
	text("split16AVX512", 40)
	p("MOVQ high+0(FP), DI")
	p("MOVQ low+8(FP), DX")
	p("MOVQ x+16(FP), SI")
	p("MOVQ n+24(FP), CX")
	p("MOVQ to+32(FP), BX")
	p("VBROADCASTSS ·absMask(SB), Z10")
	p("VPBROADCASTD ·half16(SB), Z11")
	p("VBROADCASTSS ·greatest(SB), Z12")
	p("VPXORD Z0, Z0, Z0")
	p("MOVQ SI, R8")
	p("MOVQ CX, R9")
	label("split16_most")
	p("VPANDD (R8), Z10, Z1")
	p("VPMAXUD Z1, Z0, Z0") // as bits, of which those of a NaN are the greatest
	p("ADDQ $64, R8")
	p("SUBQ $16, R9")
	p("JG split16_most")
	across("VPMAXUD", 0, 1)
	p("VPBROADCASTD X0, Z0")
	p("VCMPPS $2, Z12, Z0, K2")
	p("VBROADCASTSS ·most16(SB), Z1")
	p("VDIVPS Z0, Z1, Z1")
	p("VCMPPS $2, Z12, Z1, K1")
	p("VMOVAPS.Z Z1, K1, Z1")
	p("VBROADCASTSS ·per16(SB), Z2")
	p("VBROADCASTSS ·quietNaN(SB), Z3")
	p("VMULPS Z2, Z0, K2, Z3")
	p("VMOVSS X3, (BX)")
	p("VPXORD Z7, Z7, Z7")
	p("VPXORD Z8, Z8, Z8")
	label("split16_loop")
	p("VMULPS (SI), Z1, Z4")
	p("VCVTPS2DQ.Z Z4, K2, Z4")
	p("VPADDD Z11, Z4, Z5")
	p("VPSRAD $8, Z5, Z5")
	p("VPSLLD $8, Z5, Z6")
	p("VPSUBD Z6, Z4, Z6")
	p("VPADDD Z5, Z7, Z7")
	p("VPADDD Z6, Z8, Z8")
	p("VPMOVDB Z5, (DI)")
	p("VPMOVDB Z6, (DX)")
	p("ADDQ $64, SI")
	p("ADDQ $16, DI")
	p("ADDQ $16, DX")
	p("SUBQ $16, CX")
	p("JG split16_loop")
	across("VPADDD", 7, 1)
	across("VPADDD", 8, 1)
	p("VMOVD X7, 4(BX)")
	p("VMOVD X8, 8(BX)")
	p("VZEROUPPER")
	p("RET")
}

// placeValues puts n bytes, a multiple of 16, each in its four slots' word, as the one of a slot.
func placeValues() {
	// placeBytesAVX512(to, codes *int8, n, slot int)
	text("placeBytesAVX512", 32)
	p("MOVQ to+0(FP), DI")
	p("MOVQ codes+8(FP), SI")
	p("MOVQ n+16(FP), DX")
	p("MOVQ slot+24(FP), CX")
	p("MOVQ $0x1111111111111111, AX")
	p("SHLQ CX, AX")
	p("KMOVQ AX, K1")
	p("SHLQ $3, CX")
	p("VMOVD CX, X1")
	label("place_loop")
	p("VPMOVZXBD (SI), Z0")
	p("VPSLLD X1, Z0, Z0")
	p("VMOVDQU8 Z0, K1, (DI)")
	p("ADDQ $16, SI")
	p("ADDQ $64, DI")
	p("SUBQ $16, DX")
	p("JG place_loop")
	p("VZEROUPPER")
	p("RET")
}

// weigh is weighGeneric: products with the scales and their maxima, then factors of 16 queries at a time, then integers.
//
//	SI score   R8 mask   BX top   R10 inverse   DI weights   CX queries left   Z14, Z15 scales
func weigh() {
	text("weighAVX512", 8)
	start := func() {
		callFields(attendScore, "SI", attendMask, "R8", attendTop, "BX", attendInverse, "R10", attendN, "CX")
	}
	start()
	p("MOVQ %d(AX), DI", attendV)
	p("VMOVUPS (DI), Z14")
	p("VMOVUPS 64(DI), Z15")
	label("weigh_most")
	p("KMOVD (R8), K1")
	p("KSHIFTRD $16, K1, K2")
	p("VMULPS.Z (SI), Z14, K1, Z0")
	p("VMULPS.Z 64(SI), Z15, K2, Z1")
	p("VMOVUPS Z0, (SI)")
	p("VMOVUPS Z1, 64(SI)")
	p("VPMAXUD Z1, Z0, Z0")
	across("VPMAXUD", 0, 1)
	p("VMOVD X0, (BX)")
	p("ADDQ $128, SI")
	p("ADDQ $4, R8")
	p("ADDQ $4, BX")
	p("DECQ CX")
	p("JNZ weigh_most")

	start()
	for i, name := range []string{"most16", "greatest", "per16times256"} {
		p("VBROADCASTSS ·%s(SB), Z%d", name, 10+i)
	}
	label("weigh_factors") // rows are padded to a multiple of 16
	p("VMOVUPS (BX), Z0")
	p("VDIVPS Z0, Z10, Z1")
	p("VCMPPS $2, Z11, Z1, K1")
	p("VMOVAPS.Z Z1, K1, Z1")
	p("VMOVUPS Z1, (R10)")
	p("VMULPS Z12, Z0, Z0")
	p("VMOVUPS Z0, (BX)")
	p("ADDQ $64, BX")
	p("ADDQ $64, R10")
	p("SUBQ $16, CX")
	p("JG weigh_factors")

	start()
	p("MOVQ %d(AX), DI", attendWeights)
	p("VMOVDQU32 ·slotBytes(SB), Z13")
	label("weigh_integers")
	p("VBROADCASTSS (R10), Z2")
	for v := range 2 {
		p("VMULPS %d(SI), Z2, Z%d", 64*v, v)
		p("VCVTPS2DQ Z%d, Z%d", v, v)
	}
	p("VPACKUSDW Z1, Z0, Z0")
	p("VPERMB Z0, Z13, Z0")
	p("VMOVDQU32 Z0, (DI)")
	p("ADDQ $128, SI")
	p("ADDQ $64, DI")
	p("ADDQ $4, R10")
	p("DECQ CX")
	p("JNZ weigh_integers")
	p("VZEROUPPER")
	p("RET")
}

// slotBytes is the order in which VPERMB takes upper bytes, then lower ones, of 32 slots from the words that VPACKUSDW leaves of two vectors.
func slotBytes() []uint32 {
	var order [64]byte
	for s := range 32 {
		word := s%16/4*8 + s/16*4 + s%4
		order[s], order[32+s] = byte(2*word+1), byte(2*word)
	}
	words := make([]uint32, 16)
	for i, b := range order {
		words[i/4] |= uint32(b) << (i % 4 * 8)
	}
	return words
}

// product makes float32 of register great, upper products, with small, the lower ones, in register great.
func product(great int, small string) {
	p("VPSLLD $8, Z%d, Z%d", great, great)
	p("VPADDD %s, Z%d, Z%d", small, great, great)
	p("VCVTDQ2PS Z%d, Z%d", great, great)
}

// scoresInts is scoresIntsGeneric for few queries: lanes are slots. Keys lose their sign for the instruction, by 128, which the query's
// bias takes back.
//
//	SI, BX upper and lower bytes of the pass's queries, R11, R12 their stride ×1, ×3   R9, R10 those of keys   CX fours of dimensions left
//	R15 queries at first   R14 left   DI score   R8 bias   DX scale   R13 from keys to the next ones, which are asked for meanwhile
//	Z4r to Z4r+3 products of query r: upper ones by halves of the block, lower ones   Z28, Z29 scales   Z31 128
func scoresInts() {
	text("scoresIntsAVX512", 8)
	callFields(attendQ, "R15", attendScore, "DI", attendN, "R14", attendBias, "R8", attendScale, "DX", attendNext, "R13", attendDim, "R11", attendK, "R9")
	p("ADDQ R11, R11")
	p("LEAQ (R11)(R11*2), R12")
	p("VPBROADCASTD ·high1(SB), Z31")
	p("VMOVUPS (R9), Z28")
	p("VMOVUPS 64(R9), Z29")
	for rows := 4; rows > 0; rows-- {
		label("scores_ints%d", rows)
		p("CMPQ R14, $%d", rows)
		p("JLT scores_ints_below%d", rows)
		p("MOVQ %d(AX), R9", attendK)
		p("ADDQ $%d, R9", scalesBytes)
		p("MOVQ %d(AX), CX", attendDim)
		p("MOVQ CX, R10")
		p("SHLQ $5, R10")
		p("ADDQ R9, R10")
		p("MOVQ R15, SI")
		p("LEAQ (R15)(CX*1), BX")
		p("SHRQ $2, CX")
		for r := range rows {
			for i := range 4 {
				p("VPBROADCASTD %d(R8), Z%d", 8*r+i/2*4, 4*r+i)
			}
		}
		label("scores_ints_dims%d", rows)
		for half := range 2 {
			p("VPXORD %d(R9), Z31, Z%d", 64*half, 16+half)
			p("VPXORD %d(R10), Z31, Z%d", 64*half, 18+half)
			p("PREFETCHT0 %d(R9)(R13*1)", 64*half)
			p("PREFETCHT0 %d(R10)(R13*1)", 64*half)
		}
		for r := range rows {
			high, low := 20+2*(r%2), 21+2*(r%2)
			index := []string{"", "(R11*1)", "(R11*2)", "(R12*1)"}[r]
			p("VPBROADCASTD (SI)%s, Z%d", index, high)
			p("VPBROADCASTD (BX)%s, Z%d", index, low)
			for half := range 2 {
				p("VPDPBUSD Z%d, Z%d, Z%d", high, 16+half, 4*r+half)
				p("VPDPBUSD Z%d, Z%d, Z%d", high, 18+half, 4*r+2+half)
			}
			for half := range 2 {
				p("VPDPBUSD Z%d, Z%d, Z%d", low, 16+half, 4*r+2+half)
			}
		}
		for _, reg := range []string{"SI", "BX"} {
			p("ADDQ $4, %s", reg)
		}
		p("SUBQ $-128, R9")
		p("SUBQ $-128, R10")
		p("DECQ CX")
		p("JNZ scores_ints_dims%d", rows)
		for r := range rows {
			for half := range 2 {
				n := 4*r + half
				product(n, fmt.Sprintf("Z%d", n+2))
				p("VMULPS Z%d, Z%d, Z%d", 28+half, n, n)
				p("VMULPS.BCST %d(DX), Z%d, Z%d", 4*r, n, n)
				p("VMOVUPS Z%d, %d(DI)", n, 128*r+64*half)
			}
		}
		p("ADDQ $%d, DI", 128*rows)
		p("ADDQ $%d, R8", 8*rows)
		p("ADDQ $%d, DX", 4*rows)
		p("IMUL3Q $%d, R11, CX", rows)
		p("ADDQ CX, R15")
		p("SUBQ $%d, R14", rows)
		p("JMP scores_ints%d", rows)
		label("scores_ints_below%d", rows)
	}
	p("VZEROUPPER")
	p("RET")
}

// mixInts is mixIntsGeneric for few queries: lanes are dimensions.
//
//	SI acc at the columns, R11, R12 bytes of a row of it ×1, ×3, of four slots' values too   R15 weights   R14 queries left   R8 dimensions left
//	R9, R10 lower and upper bytes of values at the columns, BX, DX of the four slots, DI their weights   CX fours of slots left, or for the moment
//	R13 from values to the next ones, which are asked for meanwhile
func mixInts() {
	frame("mixIntsAVX512", 24)
	callFields(attendAcc, "SI", attendN, "R14", attendWeights, "R15", attendNext, "R13", attendDim, "R11", attendShrink, "CX", attendTop, "DX")
	p("MOVQ CX, shrink-8(SP)")
	p("MOVQ DX, top-16(SP)")
	p("MOVQ SI, acc-24(SP)")
	p("SHLQ $2, R11")
	p("LEAQ (R11)(R11*2), R12")
	for rows := 4; rows > 0; rows-- {
		mixIntsPass(rows, min(4, 8/rows/2*2))
	}
	p("VZEROUPPER")
	p("RET")
}

func mixIntsPass(rows, columns int) {
	if rows == 3 {
		columns = 4
	}
	great := func(r, w int) int { return 2 * (r*columns + w) }
	weight := 2 * rows * columns // register of the first query's upper bytes
	value := weight + 2*rows
	label("mix_ints%d", rows)
	p("CMPQ R14, $%d", rows)
	p("JLT mix_ints_below%d", rows)
	p("MOVQ c+0(FP), AX")
	p("MOVQ acc-24(SP), SI")
	p("MOVQ %d(AX), R9", attendV)
	p("ADDQ $%d, R9", scalesBytes)
	p("MOVQ %d(AX), R8", attendDim)
	p("LEAQ (R9)(R11*8), R10")
	label("mix_ints_columns%d", rows)
	p("MOVQ R9, BX")
	p("MOVQ R10, DX")
	p("MOVQ R15, DI")
	p("MOVQ $8, CX")
	for i := range 2 * rows * columns {
		p("VPXORD Z%d, Z%d, Z%d", i, i, i)
	}
	label("mix_ints_slots%d", rows)
	for r := range rows {
		p("VPBROADCASTD %d(DI), Z%d", 64*r, weight+2*r)
		p("VPBROADCASTD %d(DI), Z%d", 64*r+32, weight+2*r+1)
	}
	for w := range columns {
		p("VMOVDQU32 %d(DX), Z%d", 64*w, value)
		p("VMOVDQU32 %d(BX), Z%d", 64*w, value+1)
		p("PREFETCHT0 %d(DX)(R13*1)", 64*w)
		p("PREFETCHT0 %d(BX)(R13*1)", 64*w)
		for r := range rows {
			p("VPDPBUSD Z%d, Z%d, Z%d", value, weight+2*r, great(r, w))
			p("VPDPBUSD Z%d, Z%d, Z%d", value+1, weight+2*r, great(r, w)+1)
		}
		for r := range rows {
			p("VPDPBUSD Z%d, Z%d, Z%d", value, weight+2*r+1, great(r, w)+1)
		}
	}
	p("ADDQ R11, BX")
	p("ADDQ R11, DX")
	p("ADDQ $4, DI")
	p("DECQ CX")
	p("JNZ mix_ints_slots%d", rows)
	p("MOVQ shrink-8(SP), CX")
	p("MOVQ top-16(SP), DX")
	for r := range rows {
		p("VBROADCASTSS %d(CX), Z%d", 4*r, weight)
		p("VBROADCASTSS %d(DX), Z%d", 4*r, weight+1)
		for w := range columns {
			n := great(r, w)
			product(n, fmt.Sprintf("Z%d", n+1))
			p("VMULPS %s, Z%d, Z%d", rowAt(64*w, r), weight, n+1)
			p("VFMADD231PS Z%d, Z%d, Z%d", weight+1, n, n+1)
			p("VMOVUPS Z%d, %s", n+1, rowAt(64*w, r))
		}
	}
	for _, reg := range []string{"SI", "R9", "R10"} {
		p("ADDQ $%d, %s", 64*columns, reg)
	}
	p("SUBQ $%d, R8", 16*columns)
	p("JG mix_ints_columns%d", rows)
	p("IMUL3Q $%d, R11, CX", rows)
	p("ADDQ CX, acc-24(SP)")
	p("ADDQ $%d, shrink-8(SP)", 4*rows)
	p("ADDQ $%d, top-16(SP)", 4*rows)
	p("ADDQ $%d, R15", 64*rows)
	p("SUBQ $%d, R14", rows)
	p("JMP mix_ints%d", rows)
	label("mix_ints_below%d", rows)
}

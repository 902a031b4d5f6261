package main

import "fmt"

// widenNEON loads count quarters of a cache row, half precision or float32, to registers from t on.
func widenNEON(half bool, t, count, base, off int) {
	for i := 0; i < count; i += 2 {
		switch {
		case !half:
			for j := i; j < min(i+2, count); j++ {
				read(16, t+j, base, off+16*j)
			}
		case i+1 < count:
			read(16, t+i, base, off+8*i)
			v("fcvtl2", t+i+1, t+i)
			v("fcvtl", t+i, t+i)
		default:
			read(8, t+i, base, off+8*i)
			v("fcvtl", t+i, t+i)
		}
	}
}

func kindNEON(half bool) (name string, size int) {
	if half {
		return "F16NEON", 2
	}
	return "F32NEON", 4
}

// passes runs body for as many rows at a time as R3 still has, the greatest number first.
func passes(name string, numbers []int, body func(rows int)) {
	for _, rows := range numbers {
		label("%s_rows%d", name, rows)
		p("CMP $%d, R3", rows)
		p("BLT %s_below%d", name, rows)
		body(rows)
		p("SUB $%d, R3", rows)
		p("B %s_rows%d", name, rows)
		label("%s_below%d", name, rows)
	}
	p("RET")
}

// scoresNEON is scoresGeneric: for each row a chain of fused multiply-adds over the dimensions, lanes are slots.
//
//	R0 call   R15 q of the pass   R6-R8 its rows   R1 keys   R2 score   R3 rows left   R4 bytes of a row   R5 dimensions left
//	V0 on eight a row   V24-V27 keys   V28 on q
func scoresNEON(half bool) {
	kind, size := kindNEON(half)
	name := "scores" + kind
	text(name, 8)
	p("MOVD c+0(FP), R0")
	p("MOVD 0(R0), R15")
	p("MOVD 24(R0), R2")
	p("MOVD 72(R0), R3")
	p("MOVD 80(R0), R4")
	p("LSL $2, R4")
	passes(name, []int{3, 2, 1}, func(rows int) {
		rowsAt(rows)
		p("MOVD 8(R0), R1")
		p("MOVD 80(R0), R5")
		for i := range 8 * rows {
			clearVector(i)
		}
		label("%s_dim%d", name, rows)
		for r := range rows {
			readOn(4, 28+r, rRows+r)
		}
		for part := range 2 {
			widenNEON(half, 24, 4, 1, 16*size*part)
			for r := range rows {
				for i := range 4 {
					byElement("fmla", 8*r+4*part+i, 24+i, 28+r, 0)
				}
			}
		}
		p("ADD $%d, R1", 32*size)
		p("SUB $1, R5")
		p("CBNZ R5, %s_dim%d", name, rows)
		for i := range 8 * rows {
			writeOn(16, i, 2)
		}
		p("MOVD R%d, R15", rRows+rows-1) // the last row's end
	})
}

// rowsAt points R6 and on at rows from R15 on.
func rowsAt(rows int) {
	p("MOVD R15, R%d", rRows)
	for r := 1; r < rows; r++ {
		p("ADD R4, R%d, R%d", rRows+r-1, rRows+r)
	}
}

// mixNEON is mixGeneric with fused multiply-adds. Lanes are dimensions, a multiple of 4.
//
//	R0 call   R15 acc of the pass   R6-R9 its rows   R12 its weights   R11 its shrink   R3 rows left   R4 bytes of a row
//	R1 values' column   R5 dimensions left   R14 bytes of a value row   R2 value   R10 weight   R13 slots left
//	V0 on sums   V16 on values   V20 on weights
func mixNEON(half bool) {
	kind, size := kindNEON(half)
	name := "mix" + kind
	text(name, 8)
	p("MOVD c+0(FP), R0")
	p("MOVD 24(R0), R12")
	p("MOVD 32(R0), R15")
	p("MOVD 56(R0), R11")
	p("MOVD 72(R0), R3")
	p("MOVD 80(R0), R4")
	p("LSL $%d, R4, R14", size/2)
	p("LSL $2, R4")
	passes(name, []int{4, 2, 1}, func(rows int) {
		rowsAt(rows)
		p("MOVD 16(R0), R1")
		p("MOVD 80(R0), R5")
		for _, width := range []int{4, 1} {
			mixColumnsNEON(fmt.Sprintf("%s_r%dw%d", name, rows, width), half, rows, width, size)
		}
		p("ADD $%d, R12", 128*rows)
		p("ADD $%d, R11", 4*rows)
		p("MOVD R%d, R15", rRows+rows-1)
	})
}

// mixColumnsNEON does width quarters of dimensions of some rows at a time, as long as there are so many.
func mixColumnsNEON(name string, half bool, rows, width, size int) {
	label("%s", name)
	p("CMP $%d, R5", 4*width)
	p("BLT %s_done", name)
	for r := range rows {
		read(4, 20, 11, 4*r)
		for w := range width {
			read(16, r*width+w, rRows+r, 16*w)
			byElement("fmul", r*width+w, r*width+w, 20, 0)
		}
	}
	p("MOVD 88(R0), R13")
	p("ADD R13<<2, R12, R10")
	p("MUL R13, R14, R2")
	p("ADD R1, R2")
	p("MOVD 96(R0), R13")
	label("%s_slot", name)
	widenNEON(half, 16, width, 2, 0)
	for r := range rows {
		read(4, 20+r, 10, 128*r)
		for w := range width {
			byElement("fmla", r*width+w, 16+w, 20+r, 0)
		}
	}
	p("ADD $4, R10")
	p("ADD R14, R2")
	p("SUB $1, R13")
	p("CBNZ R13, %s_slot", name)
	for r := range rows {
		for w := range width {
			writeOn(16, r*width+w, rRows+r)
		}
	}
	p("ADD $%d, R1", 4*size*width)
	p("SUB $%d, R5", 4*width)
	p("B %s", name)
	label("%s_done", name)
}

// softenNEON is softenGeneric: R0 rows left   R1 score   R2 sum   R3 most   R4 shrink   R5 mask   R14 bits of slots.
func softenNEON() {
	table("slotBits", func(i int) uint32 { return 1 << i }, 32)
	float("lowest", -1e30)
	start := func() {
		p("MOVD c+0(FP), R0")
		for i := range 5 {
			p("MOVD %d(R0), R%d", []int{24, 40, 48, 56, 64}[i], 1+i)
		}
		p("MOVD 72(R0), R0")
		p("MOVD $·slotBits(SB), R14")
	}
	text("softenNEON", 8)
	start()
	p("MOVD $·lowest(SB), R13")
	everywhere(24, 13)
	for i := range 8 {
		read(16, 16+i, 14, 16*i)
	}
	label("soften_most")
	everywhere(7, 5)
	move(3, 24)
	for i := range 8 {
		readOn(16, 0, 1)
		v("cmtst", 1, 7, 16+i)
		v("bsl", 1, 0, 24)
		v("fmaxnm", 3, 3, 1)
	}
	v("fmaxnmv", 3, 3)
	read(4, 4, 3, 0)
	v("fmaxnm", 3, 3, 4)
	v("fsub", 4, 4, 3)
	writeOn(4, 3, 3)
	writeOn(4, 4, 4)
	p("SUB $1, R0")
	p("CBNZ R0, soften_most")

	start()
	loadExp()
	label("soften_shrink") // rows are padded to a multiple of 16
	read(16, 0, 4, 0)
	expNEON([]int{0}, []int{1}, []int{2}, []int{4}, []int{3})
	writeOn(16, 0, 4)
	p("SUBS $4, R0")
	p("BGT soften_shrink")

	start()
	label("soften_exp")
	everywhere(7, 5)
	everywhere(6, 3)
	everywhere(30, 4)
	for i := range 4 {
		for j, slot := range []int{4 * i, 4*i + 16} {
			read(16, j, 1, 4*slot)
			v("fsub", j, j, 6)
		}
		expNEON([]int{0, 1}, []int{2, 3}, []int{4, 5}, []int{11, 12}, []int{8, 9})
		for j, slot := range []int{4 * i, 4*i + 16} {
			read(16, 10, 14, 4*slot)
			v("cmtst", 10, 7, 10)
			v("and", j, j, 10)
			write(16, j, 1, 4*slot)
		}
		v("fadd", 0, 0, 1)
		read(16, 1, 2, 0)
		v("fmul", 1, 1, 30)
		v("fadd", 1, 1, 0)
		writeOn(16, 1, 2)
	}
	p("ADD $128, R1")
	p("SUB $1, R0")
	p("CBNZ R0, soften_exp")
	p("RET")
}

func attentionNEON() {
	for _, half := range []bool{true, false} {
		scoresNEON(half)
		mixNEON(half)
	}
	softenNEON()
}

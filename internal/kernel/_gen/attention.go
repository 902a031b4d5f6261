package main

import (
	"fmt"
	"math"
)

// isa is a width of vectors: registers' letter and how many float32 they hold.
type isa struct {
	name  string
	v     string
	lanes int
	// Register numbers: accumulators from 0 on, then what is loaded, then broadcast numbers.
	loaded, broadcast int
	scoreRows         []int // rows of queries a pass, largest first
	mixRows           []int
}

var isas = []isa{
	{"AVX2", "Y", 8, 12, 13, []int{3, 2, 1}, []int{3, 2, 1}},
	{"AVX512", "Z", 16, 24, 28, []int{12, 4, 3, 2, 1}, []int{6, 4, 3, 2, 1}},
}

// widen loads lanes numbers of a cache row, half precision or float32, to register n.
func (a isa) widen(half bool, off int, base string, n int) {
	if half {
		p("VCVTPH2PS %d(%s), %s%d", off/2, base, a.v, n)
	} else {
		p("VMOVUPS %d(%s), %s%d", off, base, a.v, n)
	}
}

func (a isa) kind(half bool) string {
	if half {
		return "F16" + a.name
	}
	return "F32" + a.name
}

// narrow vectors are short of registers: their passes take three rows at most.
func (a isa) narrow() bool { return a.lanes == 8 }

// startPass goes on to passes of fewer rows where not so many are left, and of narrow vectors lets the last four pass by twos.
func (a isa) startPass(name string, rows int) {
	label("%s_rows%d", name, rows)
	p("CMPQ R14, $%d", rows)
	p("JLT %s_below%d", name, rows)
	if a.narrow() && rows == 3 {
		p("CMPQ R14, $4")
		p("JEQ %s_below3", name)
	}
	p("MOVQ R15, SI")
}

// products adds to each row's accumulators the vectors of a cache row at BX, times the row's own number. Narrow ones come to one
// register each for all rows, whose numbers stay; of others a row's number comes to one for all vectors.
func (a isa) products(half bool, rows, vectors int, number func(row int) string) {
	multiply := func(r, v, loaded, one int) {
		p("VFMADD231PS %s%d, %s%d, %s%d", a.v, loaded, a.v, one, a.v, r*vectors+v)
	}
	if a.narrow() {
		for r := range rows {
			p("VBROADCASTSS %s, %s%d", number(r), a.v, a.broadcast+r)
		}
		for v := range vectors {
			a.widen(half, 4*a.lanes*v, "BX", a.loaded)
			for r := range rows {
				multiply(r, v, a.loaded, a.broadcast+r)
			}
		}
		return
	}
	for v := range vectors {
		a.widen(half, 4*a.lanes*v, "BX", a.loaded+v)
	}
	for r := range rows {
		one := a.broadcast + r%4
		p("VBROADCASTSS %s, %s%d", number(r), a.v, one)
		for v := range vectors {
			multiply(r, v, a.loaded+v, one)
		}
	}
}

// scores is scoresGeneric: for each row a chain of fused multiply-adds over the dimensions, lanes are slots.
//
//	R15 q of the pass   DI score   R14 rows left   BX keys   CX dimensions left   bases, R11, R12: see rowAt
//	R13 from keys to the next ones, which are asked for meanwhile
func (a isa) scores(half bool) {
	name := "scores" + a.kind(half)
	vectors, step := 32/a.lanes, 64
	if !half {
		step = 128
	}
	text(name, 8)
	p("MOVQ c+0(FP), AX")
	p("MOVQ 0(AX), R15")
	p("MOVQ 24(AX), DI")
	p("MOVQ 72(AX), R14")
	p("MOVQ 80(AX), R11")
	p("SHLQ $2, R11")
	p("LEAQ (R11)(R11*2), R12")
	for _, rows := range a.scoreRows {
		a.startPass(name, rows)
		for b := 1; b < (rows+3)/4; b++ {
			p("LEAQ (%s)(R11*4), %s", bases[b-1], bases[b])
		}
		p("MOVQ 8(AX), BX")
		p("MOVQ 80(AX), CX")
		if half {
			p("MOVQ 112(AX), R13")
		}
		for i := range rows * vectors {
			p("VXORPS %s%d, %s%d, %s%d", a.v, i, a.v, i, a.v, i)
		}
		label("%s_dim%d", name, rows)
		if half {
			p("PREFETCHT0 (BX)(R13*1)")
		}
		a.products(half, rows, vectors, func(r int) string { return rowAt(0, r) })
		p("ADDQ $%d, BX", step)
		for b := range (rows + 3) / 4 {
			p("ADDQ $4, %s", bases[b])
		}
		p("DECQ CX")
		p("JNZ %s_dim%d", name, rows)
		for i := range rows * vectors {
			p("VMOVUPS %s%d, %d(DI)", a.v, i, 4*a.lanes*i)
		}
		p("ADDQ $%d, DI", 128*rows)
		p("IMUL3Q $%d, R11, DX", rows)
		p("ADDQ DX, R15")
		p("SUBQ $%d, R14", rows)
		p("JMP %s_rows%d", name, rows)
		label("%s_below%d", name, rows)
	}
	p("VZEROUPPER")
	p("RET")
}

// mix is mixGeneric. Lanes are dimensions.
//
//	R15 acc of the pass   DX weights of the pass   R13 shrink of the pass   R14 rows left
//	AX bytes of a value row   R9 values' column   R10 dimensions left   BX value   DI weight   CX slots left
//	R8 from values to the next ones, which are asked for meanwhile where no row needs it
func (a isa) mix(half bool) {
	name := "mix" + a.kind(half)
	shift, size := 1, 2
	if !half {
		shift, size = 2, 4
	}
	text(name, 8)
	p("MOVQ c+0(FP), AX")
	p("MOVQ 24(AX), DX")
	p("MOVQ 32(AX), R15")
	p("MOVQ 56(AX), R13")
	p("MOVQ 72(AX), R14")
	p("MOVQ 80(AX), R11")
	p("SHLQ $2, R11")
	p("LEAQ (R11)(R11*2), R12")
	for _, rows := range a.mixRows {
		a.startPass(name, rows)
		if rows > 4 {
			p("LEAQ (SI)(R11*4), R8")
		}
		p("MOVQ c+0(FP), AX")
		p("MOVQ 16(AX), R9")
		p("MOVQ 80(AX), R10")
		widths := []int{4, 1}
		if rows == 1 && a.narrow() { // chains enough to hide the instruction's latency
			widths = []int{8, 4, 1}
		}
		for _, width := range widths {
			a.mixColumns(fmt.Sprintf("%s_r%dw%d", name, rows, width), half, rows, width, shift, size)
		}
		p("ADDQ $%d, DX", 128*rows)
		p("ADDQ $%d, R13", 4*rows)
		p("IMUL3Q $%d, R11, CX", rows)
		p("ADDQ CX, R15")
		p("SUBQ $%d, R14", rows)
		p("JMP %s_rows%d", name, rows)
		label("%s_below%d", name, rows)
	}
	p("VZEROUPPER")
	p("RET")
}

// mixColumns does width vectors of dimensions of some rows at a time, as long as there are so many.
func (a isa) mixColumns(name string, half bool, rows, width, shift, size int) {
	label("%s", name)
	p("CMPQ R10, $%d", a.lanes*width)
	p("JLT %s_done", name)
	for r := range rows {
		p("VBROADCASTSS %d(R13), %s%d", 4*r, a.v, a.broadcast)
		for w := range width {
			p("VMULPS %s, %s%d, %s%d", rowAt(4*a.lanes*w, r), a.v, a.broadcast, a.v, r*width+w)
		}
	}
	p("MOVQ c+0(FP), CX")
	p("MOVQ 80(CX), AX")
	p("SHLQ $%d, AX", shift)
	p("MOVQ 88(CX), BX")
	p("LEAQ (DX)(BX*4), DI")
	p("IMULQ AX, BX")
	p("ADDQ R9, BX")
	p("MOVQ 96(CX), CX")
	ahead := 0
	if half && rows <= 4 {
		ahead = a.lanes * width * size / lineBytes
		p("MOVQ c+0(FP), R8")
		p("MOVQ 112(R8), R8")
	}
	label("%s_slot", name)
	for line := range ahead {
		p("PREFETCHT0 %d(BX)(R8*1)", lineBytes*line)
	}
	a.products(half, rows, width, func(r int) string { return fmt.Sprintf("%d(DI)", 128*r) })
	p("ADDQ $4, DI")
	p("ADDQ AX, BX")
	p("DECQ CX")
	p("JNZ %s_slot", name)
	for r := range rows {
		for w := range width {
			p("VMOVUPS %s%d, %s", a.v, r*width+w, rowAt(4*a.lanes*w, r))
		}
	}
	for b := range (rows + 3) / 4 {
		p("ADDQ $%d, %s", 4*a.lanes*width, bases[b])
	}
	p("ADDQ $%d, R9", size*a.lanes*width)
	p("SUBQ $%d, R10", a.lanes*width)
	p("JMP %s", name)
	label("%s_done", name)
}

// highest leaves the greatest number of X or Y register n in X register n, using register t.
func highest(n, t int) {
	p("VEXTRACTF128 $1, Y%d, X%d", n, t)
	p("VMAXPS X%d, X%d, X%d", t, n, n)
	p("VPERMILPS $0x4e, X%d, X%d", n, t)
	p("VMAXPS X%d, X%d, X%d", t, n, n)
	p("VPERMILPS $0xb1, X%d, X%d", n, t)
	p("VMAXPS X%d, X%d, X%d", t, n, n)
}

// softenStart reads kernel.attendCall: SI score, DI sum, BX most, DX shrink, R8 mask, CX rows.
func softenStart() {
	p("MOVQ c+0(FP), AX")
	p("MOVQ 24(AX), SI")
	p("MOVQ 40(AX), DI")
	p("MOVQ 48(AX), BX")
	p("MOVQ 56(AX), DX")
	p("MOVQ 64(AX), R8")
	p("MOVQ 72(AX), CX")
}

// newMost puts the greater of X3 and the row's most there, and what it grew by, negated, in shrink.
func newMost() {
	p("VMOVSS (BX), X4")
	p("VMAXSS X4, X3, X3")
	p("VSUBSS X3, X4, X4")
	p("VMOVSS X3, (BX)")
	p("VMOVSS X4, (DX)")
	p("ADDQ $4, BX")
	p("ADDQ $4, DX")
	p("ADDQ $4, R8")
	p("ADDQ $128, SI")
}

// softenAVX512 is softenGeneric. Slots that a query does not read become -Inf first, so that no mask is needed later.
func softenAVX512() {
	text("softenAVX512", 8)
	mostsZ()

	softenStart()
	expConstants()
	label("soften512_shrink") // rows are padded to a multiple of 16
	p("VMOVUPS (DX), Z0")
	exp("Z", []int{0}, []int{1}, []int{2}, []int{3})
	p("VMOVUPS Z0, (DX)")
	p("ADDQ $64, DX")
	p("SUBQ $16, CX")
	p("JG soften512_shrink")

	softenStart()
	byRows("soften512_exp", 2, softenZ)
	p("VZEROUPPER")
	p("RET")
}

// byRows runs body for several of CX rows at a time, and for those left one by one.
func byRows(name string, many int, body func(rows int)) {
	p("SUBQ $%d, CX", many)
	p("JLT %s_rest", name)
	label("%s_many", name)
	body(many)
	p("SUBQ $%d, CX", many)
	p("JGE %s_many", name)
	label("%s_rest", name)
	p("ADDQ $%d, CX", many)
	p("JEQ %s_end", name)
	label("%s_one", name)
	body(1)
	p("DECQ CX")
	p("JNZ %s_one", name)
	label("%s_end", name)
}

// mostsZ is the part of softenAVX512 that finds the greatest numbers.
func mostsZ() {
	softenStart()
	p("VBROADCASTSS ·minusInf(SB), Z30")
	p("VMOVDQU32 ·firsts(SB), Z31")
	p("MOVL $0xff00, AX")
	p("KMOVD AX, K1")
	byRows("soften512_most", 4, func(rows int) {
		if rows == 4 {
			p("MOVQ (R8), AX")
			p("ANDQ 8(R8), AX")
			p("INCQ AX")
		} else {
			p("MOVL (R8), AX")
			p("INCL AX")
		}
		p("JNE soften512_hide%d", rows)
		label("soften512_hidden%d", rows)
		if rows == 4 {
			fourMosts()
			return
		}
		p("VMOVUPS (SI), Z3")
		p("VMAXPS 64(SI), Z3, Z3")
		p("VEXTRACTF64X4 $1, Z3, Y4")
		p("VMAXPS Y4, Y3, Y3")
		highest(3, 4)
		newMost()
	})
	p("JMP soften512_found")
	for _, rows := range []int{4, 1} {
		label("soften512_hide%d", rows)
		for r := range rows {
			p("MOVL %d(R8), AX", 4*r)
			p("NOTL AX")
			p("KMOVD AX, K2")
			p("KSHIFTRD $16, K2, K3")
			p("VMOVUPS Z30, K2, %d(SI)", 128*r)
			p("VMOVUPS Z30, K3, %d(SI)", 128*r+64)
		}
		p("JMP soften512_hidden%d", rows)
	}
	label("soften512_found")
}

// fourMosts is newMost of four rows, whose numbers come to one register. K1 has a register's last eight lanes.
func fourMosts() {
	for r := range 4 {
		p("VMOVUPS %d(SI), Z%d", 128*r, r)
		p("VMAXPS %d(SI), Z%d, Z%d", 128*r+64, r, r)
	}
	quarters("VMAXPS", 0, 4)
	p("VPERMPS Z0, Z31, Z3")
	p("VMOVUPS (BX), X4")
	p("VMAXPS X4, X3, X3")
	p("VSUBPS X3, X4, X4")
	p("VMOVUPS X3, (BX)")
	p("VMOVUPS X4, (DX)")
	p("ADDQ $16, BX")
	p("ADDQ $16, DX")
	p("ADDQ $16, R8")
	p("ADDQ $512, SI")
}

// quarters reduces four registers from first on to first, of which a quarter has in every lane the greatest number of one. K1 has
// a register's last eight lanes; two registers from spare on are spoiled.
func quarters(greatest string, first, spare int) {
	halves := func(r int) {
		p("VSHUFF64X2 $0x4e, Z%d, Z%d, Z%d", r+1, r, spare)
		p("VMOVAPS Z%d, K1, Z%d", r+1, r)
		p("%s Z%d, Z%d, Z%d", greatest, spare, r, r)
	}
	halves(first)
	halves(first + 2)
	p("VSHUFF64X2 $0x88, Z%d, Z%d, Z%d", first+2, first, spare)
	p("VSHUFF64X2 $0xdd, Z%d, Z%d, Z%d", first+2, first, spare+1)
	p("%s Z%d, Z%d, Z%d", greatest, spare+1, spare, first)
	for _, order := range []int{0x4e, 0xb1} {
		p("VPERMILPS $%#x, Z%d, Z%d", order, first, spare)
		p("%s Z%d, Z%d, Z%d", greatest, spare, first, first)
	}
}

// softenZ does e^x and the sums of some rows.
func softenZ(rows int) {
	var x, n, t, mask []int
	for i := range 2 * rows {
		x, n, t, mask = append(x, i), append(n, 2*rows+i), append(t, 4*rows+i), append(mask, 1+i)
		p("VMOVUPS %d(SI), Z%d", 64*i, i)
		p("VSUBPS.BCST %d(BX), Z%d, Z%d", 4*(i/2), i, i)
	}
	exp("Z", x, n, t, mask)
	for r := range rows {
		p("VMOVUPS Z%d, %d(SI)", 2*r, 128*r)
		p("VMOVUPS Z%d, %d(SI)", 2*r+1, 128*r+64)
		p("VADDPS Z%d, Z%d, Z%d", 2*r+1, 2*r, 2*r)
		p("VBROADCASTSS %d(DX), Z%d", 4*r, 2*r+1)
		p("VMULPS %d(DI), Z%d, Z%d", 64*r, 2*r+1, 2*r+1)
		p("VADDPS Z%d, Z%d, Z%d", 2*r, 2*r+1, 2*r)
		p("VMOVUPS Z%d, %d(DI)", 2*r, 64*r)
	}
	p("ADDQ $%d, DI", 64*rows)
	p("ADDQ $%d, BX", 4*rows)
	p("ADDQ $%d, DX", 4*rows)
	p("ADDQ $%d, SI", 128*rows)
}

// softenAVX2 is softenGeneric, in the way of softenAVX512.
func softenAVX2() {
	text("softenAVX2", 8)
	softenStart()
	label("soften2_most")
	p("CMPL (R8), $-1")
	p("JNE soften2_hide")
	label("soften2_hidden")
	p("VMOVUPS (SI), Y3")
	for v := 1; v < 4; v++ {
		p("VMAXPS %d(SI), Y3, Y3", 32*v)
	}
	highest(3, 4)
	newMost()
	p("DECQ CX")
	p("JNZ soften2_most")
	p("JMP soften2_found")
	label("soften2_hide")
	p("VPBROADCASTD (R8), Y7")
	p("VPXOR Y6, Y6, Y6")
	p("VMOVUPS ·minusInf(SB), Y5")
	for v := range 4 {
		p("VPAND ·bits%d(SB), Y7, Y4", v)
		p("VPCMPEQD Y6, Y4, Y4")
		p("VMASKMOVPS Y5, Y4, %d(SI)", 32*v)
	}
	p("JMP soften2_hidden")
	label("soften2_found")

	softenStart()
	label("soften2_shrink")
	p("VMOVUPS (DX), Y0")
	exp("Y", []int{0}, []int{1}, []int{2}, []int{4})
	p("VMOVUPS Y0, (DX)")
	p("ADDQ $32, DX")
	p("SUBQ $8, CX")
	p("JG soften2_shrink")

	softenStart()
	label("soften2_exp")
	p("VBROADCASTSS (BX), Y4")
	for v := range 4 {
		p("VMOVUPS %d(SI), Y%d", 32*v, v)
		p("VSUBPS Y4, Y%d, Y%d", v, v)
	}
	exp("Y", []int{0, 1, 2, 3}, []int{4, 5, 6, 7}, []int{8, 9, 10, 11}, []int{12, 13, 14, 15})
	for v := range 4 {
		p("VMOVUPS Y%d, %d(SI)", v, 32*v)
	}
	p("VADDPS Y2, Y0, Y8")
	p("VADDPS Y3, Y1, Y9")
	p("VBROADCASTSS (DX), Y6")
	for v := range 2 {
		p("VMULPS %d(DI), Y6, Y5", 32*v)
		p("VADDPS Y%d, Y5, Y5", 8+v)
		p("VMOVUPS Y5, %d(DI)", 32*v)
	}
	p("ADDQ $64, DI")
	p("ADDQ $4, BX")
	p("ADDQ $4, DX")
	p("ADDQ $4, R8")
	p("ADDQ $128, SI")
	p("DECQ CX")
	p("JNZ soften2_exp")
	p("VZEROUPPER")
	p("RET")
}

// widenQ8 turns 8-bit keys and values to float32.
func widenQ8() {
	text("widenColumnsAVX2", 32)
	p("MOVQ wide+0(FP), DI")
	p("MOVQ scales+8(FP), SI")
	p("MOVQ codes+16(FP), DX")
	p("MOVQ dim+24(FP), CX")
	for v := range 4 {
		p("VMOVUPS %d(SI), Y%d", 32*v, 4+v)
	}
	label("widen_columns_loop")
	for v := range 4 {
		p("VPMOVSXBD %d(DX), Y0", 8*v)
		p("VCVTDQ2PS Y0, Y0")
		p("VMULPS Y%d, Y0, Y0", 4+v)
		p("VMOVUPS Y0, %d(DI)", 32*v)
	}
	p("ADDQ $128, DI")
	p("ADDQ $32, DX")
	p("DECQ CX")
	p("JNZ widen_columns_loop")
	p("VZEROUPPER")
	p("RET")

	text("widenRowAVX2", 28)
	p("MOVQ wide+0(FP), DI")
	p("MOVQ codes+8(FP), DX")
	p("MOVQ n+16(FP), CX")
	p("VBROADCASTSS scale+24(FP), Y1")
	label("widen_row_loop")
	p("VPMOVSXBD (DX), Y0")
	p("VCVTDQ2PS Y0, Y0")
	p("VMULPS Y1, Y0, Y0")
	p("VMOVUPS Y0, (DI)")
	p("ADDQ $32, DI")
	p("ADDQ $8, DX")
	p("SUBQ $8, CX")
	p("JG widen_row_loop")
	p("VZEROUPPER")
	p("RET")
}

func attention() {
	widenQ8()
	float("minusInf", float32(math.Inf(-1)))
	float("infinite", float32(math.Inf(1)))
	wide("firsts", 0, 4, 8, 12)
	for v := range 4 {
		var bits [8]uint32
		for i := range bits {
			bits[i] = 1 << (8*v + i)
		}
		constant(fmt.Sprintf("bits%d", v), bits[:]...)
	}
	for _, a := range isas {
		for _, half := range []bool{true, false} {
			a.scores(half)
			a.mix(half)
		}
	}
	softenAVX2()
	softenAVX512()
}

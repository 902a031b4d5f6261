package main

import (
	"fmt"
	"math/bits"
)

// neon writes kernels_arm64.s. General registers of the dot kernels:
//
//	R0 call   R1 panel   R2 dst   R3 dst stride   R4 panels left   R5 blocks left   R6-R9 input rows
//	R10 header   R11 blocks left of a header   R12 the panel's start   R13, R14 for the moment
const (
	rCall, rPanel, rDst = 0, 1, 2
	rRows, rHeader      = 6, 10
)

func neon() {
	beginFile("arm64")
	for _, f := range forms {
		for _, rows := range []int{1, 2, 4} {
			tile{f, rows}.dot()
		}
	}
	for _, rows := range []int{1, 2} {
		floatsNEON("f32", 4, rows)
		floatsNEON("f16", 2, rows)
		floatsNEON("bf16", 2, rows)
	}
	text("pauseNEON", 0)
	p("YIELD")
	p("RET")
	expTable()
	rowsNEON()
	sumsNEON()
	quantizeNEON()
	transposeNEON()

	attentionNEON()
}

// tile is a dot kernel: some rows against all 16 lanes of a panel, or one half after the other, so that the
// sums of all rows fit in registers. A quarter is the four lanes of a register.
type tile struct {
	form
	rows int
}

// quarters is how many a pass has.
func (t tile) quarters() int {
	if t.rows > 2 {
		return 2
	}
	return 4
}

// Vector registers: V0-V7 sums, V8-V15 integer sums of a group, V16 on two a row of input codes, then up to
// V27 two a quarter of weights' codes, which make room for scales and offsets.
const (
	low4, upper = 28, 29 // masks
	t0, t1      = 30, 31
)

func (t tile) sum(r, q int) int      { return r*t.quarters() + q }
func (t tile) integer(r, q int) int  { return 8 + t.sum(r, q) }
func (t tile) input(r, half int) int { return 16 + 2*r + half }
func (t tile) low(q int) int         { return 28 - 2*t.quarters() + q }
func (t tile) high(q int) int        { return 28 - t.quarters() + q }

// startNEON reads kernel.dotCall.
func startNEON() {
	p("MOVD c+0(FP), R0")
	p("MOVD 0(R0), R1")
	p("MOVD 16(R0), R2")
	p("MOVD 32(R0), R3")
	p("MOVD 48(R0), R4")
}

// inputsNEON points at the first block of each row.
func inputsNEON(rows int) {
	p("MOVD 8(R0), R%d", rRows)
	p("MOVD 24(R0), R14")
	p("MOVD 40(R0), R5")
	for r := 1; r < rows; r++ {
		p("ADD R14, R%d, R%d", rRows+r-1, rRows+r)
	}
}

// storeNEON writes one pass's sums into each output row; sum says where they are.
func storeNEON(rows, quarters, pass int, sum func(r, q int) int) {
	p("MOVD R2, R13")
	for r := range rows {
		for q := range quarters {
			write(16, sum(r, q), 13, 16*(pass*quarters+q))
		}
		if r < rows-1 {
			p("ADD R3, R13")
		}
	}
}

func (t tile) dot() {
	name := fmt.Sprintf("dot%sR%dNEON", t.name, t.rows)
	text(name, 8)
	startNEON()
	if t.bits < 8 {
		bytesOf(low4, 15)
	}
	if t.bits > 4 && t.bits < 8 {
		bytesOf(upper, map[int]int{5: 0x10, 6: 0x30}[t.bits])
	}
	label("%s_panel", name)
	p("MOVD R1, R12")
	for pass := range 4 / t.quarters() {
		if pass > 0 {
			p("MOVD R12, R1")
		}
		inputsNEON(t.rows)
		for i := range t.rows * t.quarters() {
			clearVector(i)
		}
		t.loop(fmt.Sprintf("%s_pass%d", name, pass), pass)
		storeNEON(t.rows, t.quarters(), pass, t.sum)
	}
	p("ADD $64, R2")
	p("SUB $1, R4")
	p("CBNZ R4, %s_panel", name)
	p("RET")
}

// loop runs over the blocks of 32 weights of a panel.
func (t tile) loop(name string, pass int) {
	label("%s", name)
	if t.header() > 0 {
		p("MOVD R1, R10")
		p("ADD $%d, R1", t.header())
		p("MOVD $8, R11")
		label("%s_block", name)
	}
	for r := range t.rows {
		read(16, t.input(r, 0), rRows+r, 0)
		read(16, t.input(r, 1), rRows+r, 16)
	}
	for sub := range 32 / t.group {
		base := sub * t.groupBytes()
		t.begin(sub)
		t.products(base+t.codesAt()+16*pass*t.quarters(), sub)
		t.scales(base, pass)
		t.finish(sub)
	}
	p("ADD $%d, R1", t.groupBytes()*32/t.group)
	for r := range t.rows {
		p("ADD $%d, R%d", lineBytes, rRows+r)
	}
	if t.header() > 0 {
		p("SUB $1, R11")
		p("CBNZ R11, %s_block", name)
		p("SUB $8, R5")
	} else {
		p("SUB $1, R5")
	}
	p("CBNZ R5, %s", name)
}

// begin starts the integer sums: unsigned codes are too large by their zero, whose product with the sum of the
// row's codes stands in the line, 128-fold.
func (t tile) begin(sub int) {
	at := t.bias(sub)
	for r := range t.rows {
		if t.zero > 0 {
			read(16, t0, rRows+r, at&^15)
			shift("sshr4s", t0, t0, bits.TrailingZeros(uint(128/t.zero)))
		}
		for q := range t.quarters() {
			if t.zero > 0 {
				spread(t.integer(r, q), t0, at%16/4)
			} else {
				clearVector(t.integer(r, q))
			}
		}
	}
}

// products adds those of a group to the integer sums.
func (t tile) products(codes, sub int) {
	vectors := t.group / 4
	multiply := func(vector int, code func(q int) int) {
		k := sub*t.group + 4*vector
		for r := range t.rows {
			for q := range t.quarters() {
				byElement("sdot", t.integer(r, q), code(q), t.input(r, k/16), k%16/4)
			}
		}
	}
	if t.bits == 8 {
		for vector := range vectors {
			for q := range t.quarters() {
				read(16, t.low(q), rPanel, codes+64*vector+16*q)
			}
			multiply(vector, t.low)
		}
		return
	}
	for vector := range vectors / 2 {
		for q := range t.quarters() {
			read(16, t.low(q), rPanel, codes+64*vector+16*q)
			shift("ushr16b", t.high(q), t.low(q), 4)
			v("and", t.low(q), t.low(q), low4)
			if t.bits > 4 {
				t.upperBits(t.low(q), codes+16*q, vector)
				t.upperBits(t.high(q), codes+16*q, vector+vectors/2)
			}
		}
		multiply(vector, t.low)
		multiply(vector+vectors/2, t.high)
	}
}

// upperBits adds them to the low four of a vector of codes.
func (t tile) upperBits(code, codes, vector int) {
	plane, bit := t.plane(vector)
	read(16, t0, rPanel, codes+64*(t.group/8+plane))
	switch {
	case bit < 4:
		shift("shl16b", t0, t0, 4-bit)
	case bit > 4:
		shift("ushr16b", t0, t0, bit-4)
	}
	v("and", t0, t0, upper)
	v("orr", code, code, t0)
}

// scales loads the lanes' scales to the registers low, and offsets to high.
func (t tile) scales(base, pass int) {
	for i, to := range []func(int) int{t.low, t.high} {
		if i == 1 && !t.offset {
			return
		}
		for q := 0; q < t.quarters(); q += 2 {
			lane := 4 * (pass*t.quarters() + q)
			a, b, at := to(q), to(q+1), base+(16*i+lane)*t.scaleBytes
			switch t.scaleBytes {
			case 1:
				read(8, t0, rPanel, at)
				v("sxtl8h", t0, t0)
				v("sxtl4s", a, t0)
				v("sxtl4s2", b, t0)
				v("scvtf", a, a)
				v("scvtf", b, b)
				read(16, t0, rHeader, 32*i+2*lane)
				v("fcvtl", t1, t0)
				v("fcvtl2", t0, t0)
				v("fmul", a, t1, a)
				v("fmul", b, t0, b)
			case 2:
				read(16, b, rPanel, at)
				v("fcvtl", a, b)
				v("fcvtl2", b, b)
			case 4:
				read(16, a, rPanel, at)
				read(16, b, rPanel, at+16)
			}
		}
	}
}

// finish adds the integer sums, scaled, and the offsets to the rows' sums. The row's scale and sums take the
// place of input codes that are done with.
func (t tile) finish(sub int) {
	for r := range t.rows {
		line, sums, at, add := t.input(r, sub), t.input(r, sub), lineSum, "fmla"
		read(16, line, rRows+r, lineScale)
		if t.offset && t.group == 16 {
			sums, at, add = t1, t.bias(sub), "fmls"
			read(16, sums, rRows+r, at&^15)
			shift("sshr4s", sums, sums, 7)
			v("scvtf", sums, sums)
			byElement("fmul", sums, sums, line, 0)
		}
		for q := range t.quarters() {
			v("scvtf", t.integer(r, q), t.integer(r, q))
			byElement("fmul", t0, t.low(q), line, 0)
			v("fmla", t.sum(r, q), t.integer(r, q), t0)
			if t.offset {
				byElement(add, t.sum(r, q), t.high(q), sums, at%16/4)
			}
		}
	}
}

// floatsNEON keeps a sum for each part, k%4, row and quarter in V0-V15; V16-V19 are weights, V20 on inputs.
func floatsNEON(kind string, bytes, rows int) {
	name, quarters := fmt.Sprintf("dot%sR%dNEON", kind, rows), 4/rows
	sum := func(part, r, q int) int { return (part*rows+r)*quarters + q }
	step := func(part, pass, element int) {
		for q := 0; q < quarters; q += 2 {
			a, b, at := 16+q, 17+q, 16*bytes*part+4*bytes*(pass*quarters+q)
			read(16, a, rPanel, at)
			switch kind {
			case "f32":
				read(16, b, rPanel, at+16)
			case "f16":
				v("fcvtl2", b, a)
				v("fcvtl", a, a)
			case "bf16":
				v("shll2", b, a)
				v("shll", a, a)
			}
		}
		for r := range rows {
			for q := range quarters {
				byElement("fmla", sum(part, r, q), 16+q, 20+r, element)
			}
		}
	}
	text(name, 8)
	startNEON()
	label("%s_panel", name)
	p("MOVD R1, R12")
	for pass := range 4 / quarters {
		p("MOVD R12, R1")
		inputsNEON(rows)
		for i := range 16 {
			clearVector(i)
		}
		p("SUBS $4, R5")
		p("BLT %s_tail%d", name, pass)
		label("%s_loop%d", name, pass)
		for r := range rows {
			readOn(16, 20+r, rRows+r)
		}
		for part := range 4 {
			step(part, pass, part)
		}
		p("ADD $%d, R1", 4*16*bytes)
		p("SUBS $4, R5")
		p("BGE %s_loop%d", name, pass)
		label("%s_tail%d", name, pass)
		for part := range 3 {
			p("CMP $%d, R5", part-3)
			p("BLT %s_done%d", name, pass)
			for r := range rows {
				readOn(4, 20+r, rRows+r)
			}
			step(part, pass, 0)
		}
		label("%s_done%d", name, pass)
		for r := range rows {
			for q := range quarters {
				v("fadd", sum(0, r, q), sum(0, r, q), sum(1, r, q))
				v("fadd", sum(2, r, q), sum(2, r, q), sum(3, r, q))
				v("fadd", sum(0, r, q), sum(0, r, q), sum(2, r, q))
			}
		}
		storeNEON(rows, quarters, pass, func(r, q int) int { return sum(0, r, q) })
	}
	// The columns need not be whole steps of the loop, so the next panel is found from this one's start.
	p("MOVD 40(R0), R5")
	p("LSL $%d, R5", map[int]int{2: 5, 4: 6}[bytes])
	p("ADD R5, R12, R1")
	p("ADD $64, R2")
	p("SUB $1, R4")
	p("CBNZ R4, %s_panel", name)
	p("RET")
}

package main

import (
	"fmt"
	"math"
)

// Where the constants of exp stand once loadExp has run; of the polynomial's terms the last is one.
const (
	expLow, expHigh, expLog2e, expMagic, expLn2High, expLn2Low, expTerm, expOne = 16, 17, 18, 19, 20, 21, 22, 27
)

func expTable() {
	words := []float32{-87.33654, 88.02969, 1.44269504, 3 << 22, -0.693147182464599609375, 1.904654323148236e-9,
		0.00138145401, 0.00836874511, 0.0416683908, 0.166665204, 0.499999934, 1}
	table("expTable", func(i int) uint32 { return math.Float32bits(words[i]) }, len(words))
}

// loadExp spoils R13.
func loadExp() {
	p("MOVD $·expTable(SB), R13")
	for i := expLow; i <= expOne; i++ {
		everywhere(i, 13)
	}
}

// expLimitNEON keeps each x where e^x is finite, as expNEON needs it. It keeps a NaN.
func expLimitNEON(x []int) {
	for _, r := range x {
		v("fmin", r, r, expHigh)
	}
}

// expNEON replaces each register of x by e^x, by the operations of kernel.exp32 in its order; n, t, u and zero are
// registers that it may use.
func expNEON(x, n, t, u, zero []int) {
	each := func(name string, registers func(i int) []int) {
		for i := range x {
			v(name, registers(i)...)
		}
	}
	add := func(to []int, from int, a []int, b func(i int) int) { // to = from + a·b
		for i := range x {
			move(to[i], from)
			v("fmla", to[i], a[i], b(i))
		}
	}
	each("fcmgt", func(i int) []int { return []int{zero[i], expLow, x[i]} }) // 0 in the end
	add(t, expMagic, x, func(int) int { return expLog2e })
	each("fsub", func(i int) []int { return []int{n[i], t[i], expMagic} })
	each("fmla", func(i int) []int { return []int{x[i], n[i], expLn2High} })
	each("fmla", func(i int) []int { return []int{x[i], n[i], expLn2Low} })
	add(u, expTerm+1, x, func(int) int { return expTerm })
	for c := 2; c <= 6; c++ {
		add(n, min(expTerm+c, expOne), x, func(i int) int { return u[i] })
		n, u = u, n
	}
	for i := range x {
		shift("shl4s", t[i], t[i], 23)
	}
	each("add", func(i int) []int { return []int{t[i], t[i], expOne} })
	each("fmul", func(i int) []int { return []int{x[i], u[i], t[i]} })
	each("bic", func(i int) []int { return []int{x[i], x[i], zero[i]} })
}

// arguments loads a function's pointers to R1, R2 and so on, and its count to R0.
func arguments(pointers ...string) {
	for i, name := range pointers {
		p("MOVD %s+%d(FP), R%d", name, 8*i, 1+i)
	}
	p("MOVD n+%d(FP), R0", 8*len(pointers))
}

// overRow runs body for every four of R0 numbers, and then for every one: what body does with the other lanes
// means nothing. It is given the bytes of a float32 access.
func overRow(name string, body func(size int)) {
	p("SUBS $4, R0")
	p("BLT %s_ones", name)
	label("%s_fours", name)
	body(16)
	p("SUBS $4, R0")
	p("BGE %s_fours", name)
	label("%s_ones", name)
	p("ADDS $4, R0")
	p("BEQ %s_end", name)
	label("%s_one", name)
	body(4)
	p("SUBS $1, R0")
	p("BNE %s_one", name)
	label("%s_end", name)
	p("RET")
}

// rowsNEON: the plain functions on rows of any length.
func rowsNEON() {
	row := func(name string, args int, pointers []string, factor bool, body func(size int)) {
		text(name, args)
		arguments(pointers...)
		if factor {
			p("FMOVS f+%d(FP), F7", 8+8*len(pointers))
			spread(7, 7, 0)
		}
		overRow(name, body)
	}
	row("addNEON", 24, []string{"dst", "x"}, false, func(size int) {
		read(size, 0, 1, 0)
		readOn(size, 1, 2)
		v("fadd", 0, 0, 1)
		writeOn(size, 0, 1)
	})
	row("addScaledNEON", 28, []string{"dst", "x"}, true, func(size int) {
		read(size, 0, 1, 0)
		readOn(size, 1, 2)
		v("fmul", 1, 1, 7)
		v("fadd", 0, 0, 1)
		writeOn(size, 0, 1)
	})
	row("scaleNEON", 20, []string{"x"}, true, func(size int) {
		read(size, 0, 1, 0)
		v("fmul", 0, 0, 7)
		writeOn(size, 0, 1)
	})
	row("scaleByNEON", 36, []string{"dst", "x", "w"}, true, func(size int) {
		readOn(size, 0, 2)
		readOn(size, 1, 3)
		v("fmul", 0, 0, 7)
		v("fmul", 0, 0, 1)
		writeOn(size, 0, 1)
	})
	row("toF16NEON", 24, []string{"dst", "x"}, false, func(size int) {
		readOn(size, 0, 2)
		v("fcvtn", 0, 0)
		writeOn(size/2, 0, 1)
	})
	row("fromF16NEON", 24, []string{"dst", "x"}, false, func(size int) {
		readOn(size/2, 0, 2)
		v("fcvtl", 0, 0)
		writeOn(size, 0, 1)
	})
	widen := func(size, t, base int) {
		readOn(size/4, t, base)
		v("sxtl8h", t, t)
		v("sxtl4s", t, t)
		v("scvtf", t, t)
	}
	row("widenRowNEON", 28, []string{"wide", "codes"}, true, func(size int) {
		widen(size, 0, 2)
		v("fmul", 0, 0, 7)
		writeOn(size, 0, 1)
	})
	ropesNEON(row)

	text("swiGLUNEON", 24)
	arguments("gate", "up")
	loadExp()
	overRow("swiglu", func(size int) {
		read(size, 5, 1, 0)
		readOn(size, 6, 2)
		v("fneg", 0, 5)
		expLimitNEON([]int{0})
		expNEON([]int{0}, []int{1}, []int{2}, []int{4}, []int{3})
		v("fadd", 0, 0, expOne)
		v("fdiv", 0, 5, 0)
		v("fmul", 0, 0, 6)
		writeOn(size, 0, 1)
	})

	// widenColumnsNEON(wide *float32, scales, codes *byte, n int): n rows of 32 codes
	text("widenColumnsNEON", 32)
	arguments("wide", "scales", "codes")
	for i := range 8 {
		read(16, 16+i, 2, 16*i)
	}
	label("widen_columns")
	for i := range 8 {
		widen(16, 0, 3)
		v("fmul", 0, 0, 16+i)
		writeOn(16, 0, 1)
	}
	p("SUBS $1, R0")
	p("BNE widen_columns")
	p("RET")
}

func ropesNEON(row func(name string, args int, pointers []string, factor bool, body func(size int))) {
	turn := func(a, b, cos, sin int) { // a, b to V4, V5
		v("fmul", 4, a, cos)
		v("fmul", 6, b, sin)
		v("fsub", 4, 4, 6)
		v("fmul", 5, a, sin)
		v("fmul", 6, b, cos)
		v("fadd", 5, 5, 6)
	}
	row("ropeHalvesNEON", 40, []string{"lo", "hi", "cos", "sin"}, false, func(size int) {
		read(size, 0, 1, 0)
		read(size, 1, 2, 0)
		readOn(size, 2, 3)
		readOn(size, 3, 4)
		turn(0, 1, 2, 3)
		writeOn(size, 4, 1)
		writeOn(size, 5, 2)
	})
	row("ropePairsNEON", 32, []string{"x", "cos", "sin"}, false, func(size int) {
		if size == 16 {
			emit(0x4c408820, "ld2 {v0.4s, v1.4s}, [x1]")
		} else {
			read(4, 0, 1, 0)
			read(4, 1, 1, 4)
		}
		readOn(size, 2, 2)
		readOn(size, 3, 3)
		turn(0, 1, 2, 3)
		if size == 16 {
			emit(0x4c9f8824, "st2 {v4.4s, v5.4s}, [x1], #32")
		} else {
			writeOn(4, 4, 1)
			writeOn(4, 5, 1)
		}
	})
}

// sumsNEON: those that add up a row in interleaved parts.
func sumsNEON() {
	// squaresNEON(x *float32, n int, part *[32]float32); n a multiple of 32
	text("squaresNEON", 24)
	arguments("x")
	p("MOVD part+16(FP), R4")
	for i := range 8 {
		read(16, 16+i, 4, 16*i)
	}
	label("squares")
	for i := range 8 {
		readOn(16, i, 1)
		v("fmul", i, i, i)
		v("fadd", 16+i, 16+i, i)
	}
	p("SUBS $32, R0")
	p("BGT squares")
	for i := range 8 {
		write(16, 16+i, 4, 16*i)
	}
	p("RET")

	// expPartsNEON(dst, x *float32, n int, most float32, part *[8]float32): the parts are of V5 and V6 and then in memory
	text("expPartsNEON", 40)
	arguments("dst", "x")
	p("FMOVS most+24(FP), F7")
	spread(7, 7, 0)
	loadExp()
	p("MOVD part+32(FP), R4")
	body := func(size int, into []int) {
		x, n, t, u, zero := []int{0, 1}[:len(into)], []int{2, 3}, []int{4, 8}, []int{11, 12}, []int{9, 10}
		for i := range x {
			readOn(size, x[i], 2)
			v("fsub", x[i], x[i], 7)
		}
		expLimitNEON(x)
		expNEON(x, n, t, u, zero)
		for i, sum := range into {
			writeOn(size, x[i], 1)
			v("fadd", sum, sum, x[i])
		}
	}
	clearVector(5)
	clearVector(6)
	p("SUBS $8, R0")
	p("BLT exp_parts_rest")
	label("exp_parts_eights")
	body(16, []int{5, 6})
	p("SUBS $8, R0")
	p("BGE exp_parts_eights")
	label("exp_parts_rest")
	write(16, 5, 4, 0)
	write(16, 6, 4, 16)
	p("ADDS $8, R0")
	p("BEQ exp_parts_end")
	label("exp_parts_one")
	read(4, 5, 4, 0)
	body(4, []int{5})
	writeOn(4, 5, 4)
	p("SUBS $1, R0")
	p("BNE exp_parts_one")
	label("exp_parts_end")
	p("RET")
}

// table writes n words of read-only data.
func table(name string, word func(i int) uint32, n int) {
	for i := range n {
		fmt.Fprintf(&out, "DATA ·%s+%d(SB)/4, $0x%08x\n", name, 4*i, word(i))
	}
	fmt.Fprintf(&out, "GLOBL ·%s(SB), RODATA|NOPTR, $%d\n", name, 4*n)
}

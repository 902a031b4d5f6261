package main

import "fmt"

// Products of tiles take two kernels: unpackXAMX leaves a run of a panel, 8 blocks or what is left, in scratch as a tile wants it, with
// its scales; runsAMX multiplies the runs of a few panels with 16 input rows or a multiple of it and adds them to dst. Both are given
// a kernel.tileCall. runsAMX leaves tiles in use, for releaseAMX.
//
//	codes    [panels][blocks][32/group][group/4][16][4] int8, around zero
//	scales   [panels][blocks][32/group][2][16] float32: scale, offset
//	products [2][16 rows][16] int32

// unpackAMX: BX the next group, R9 its header, DI codes, SI scales, CX blocks left, R8 how far ahead weights are asked for.
func unpackAMX(f form) {
	name := "unpack" + f.name + "AMX"
	text(name, 8)
	p("MOVQ c+0(FP), AX")
	for i, reg := range []string{"BX", "DI", "SI", "CX", "R8"} {
		p("MOVQ %d(AX), %s", 8*i, reg)
	}
	if f.header() > 0 {
		p("MOVQ BX, R9")
		p("ADDQ $%d, BX", f.header())
	}
	if f.bits < 8 {
		p("VPBROADCASTD ·low4(SB), Z13")
		if f.zero > 0 {
			p("VPBROADCASTD ·zero%d(SB), Z16", f.zero)
		}
	}
	label("%s_block", name)
	for line := 0; line < f.groupBytes()*32/f.group; line += lineBytes {
		p("PREFETCHT1 %d(BX)(R8*1)", line)
	}
	plain := f
	plain.zero = 0 // codes as they are
	for sub := range 32 / f.group {
		base := sub * f.groupBytes()
		f.scales("Z", place{"BX", "R9"}, base, 0, 15, 12)
		p("VMOVUPS Z15, %d(SI)", 128*sub)
		if f.offset {
			p("VMOVUPS Z14, %d(SI)", 128*sub+64)
		}
		if f.bits < 8 {
			unpack(plain, "BX", base+f.codesAt(), 0)
		}
		for v := range f.group / 4 {
			if f.bits == 8 {
				p("VMOVDQU32 %d(BX), Z%d", base+f.codesAt()+64*v, v)
			}
			if f.zero > 0 {
				p("VPSUBB Z16, Z%d, Z%d", v, v)
			}
			p("VMOVDQU32 Z%d, %d(DI)", v, 16*f.group*sub+64*v)
		}
	}
	p("ADDQ $%d, BX", f.groupBytes()*32/f.group)
	p("ADDQ $%d, SI", 128*32/f.group)
	p("ADDQ $512, DI")
	p("DECQ CX")
	p("JNZ %s_block", name)
	p("VZEROUPPER")
	p("RET")
}

// runsAMX goes through the groups of a run, of all panels' runs, of all tiles of 16 rows, in steps of one group. A tile's products
// leave it through memory only, which takes long, so a step loads what the third step behind it multiplies, multiplies for the second,
// stores the products of the next one, and scales and adds its own: what it waits for was begun long before.
//
// While tiles are busy, the processor (Sapphire Rapids, Granite Rapids) has one unit for multiplications of floats in place of two, but
// still two for additions. So integers become floats by an addition: n + magic, as bits, is the float magic + n.
//
// Registers:
//
//	AX scales   SI, R8, R9, R10 rows 0, 4, 8, 12 at the step's block   R11, R12 row strides   DX 64   R13 blocks left of the run
//	R15, DI rows and codes of the third step behind   R14 products   BX, CX for the moment
//	Z15, Z14 scale, offset   Z13, Z12 magic, as integer and negative   Z16+r sums of row r
//
// Tiles 0, 1 are rows, 2, 3 codes, 4 to 7 products, of every second and every fourth step.
func runsAMX(f form) {
	name := "runs" + runsName(f) + "AMX"
	frame(name, 72)
	p("MOVQ c+0(FP), BX")
	p("LEAQ ·tileShapes%d(SB), CX", f.group)
	tileConfig()
	p("MOVQ %d(BX), R11", callXStride)
	p("LEAQ (R11)(R11*2), R12")
	p("MOVQ R11, CX")
	p("SHLQ $4, CX")
	p("MOVQ CX, tile-24(SP)")
	p("MOVQ %d(BX), R13", callBlocks)
	p("MOVQ R13, blocks-8(SP)")
	p("MOVQ R13, ahead-16(SP)") // blocks left of the run that the third step behind is in
	p("MOVQ R13, CX")
	p("SHLQ $6, CX")
	p("MOVQ CX, line-32(SP)")
	p("MOVQ %d(BX), CX", callPanels)
	p("MOVQ CX, panels-40(SP)")
	p("MOVQ CX, aheadPanels-48(SP)")
	p("MOVQ %d(BX), CX", callTiles)
	p("MOVQ CX, tiles-56(SP)")
	p("MOVQ CX, aheadTiles-64(SP)")
	p("MOVQ %d(BX), CX", callDst)
	p("MOVQ CX, dst-72(SP)")
	p("MOVQ %d(BX), R14", callProducts)
	p("MOVQ %d(BX), AX", callScales)
	p("MOVQ %d(BX), DI", callCodes)
	p("MOVQ %d(BX), SI", callX)
	p("MOVQ SI, R15")
	for b := 1; b < len(bases); b++ {
		p("LEAQ (%s)(R11*4), %s", bases[b-1], bases[b])
	}
	p("MOVQ $64, DX")
	p("VPBROADCASTD ·magic(SB), Z13")
	p("VPBROADCASTD ·unmagic(SB), Z12")
	var aside []func() // what is done at the end of a run, behind the loop
	for step := range lag {
		loadAMX(f, step)
		aside = append(aside, aheadAMX(fmt.Sprintf("%s_begin%d", name, step), f, step))
		if step < lag-1 {
			multiplyAMX(step)
		}
	}
	tileStore(4, "R14", "DX", 0)
	sumsAMX(name + "_first")
	label("%s_step", name)
	for step := range 4 {
		stepAMX(f, step)
		aside = append(aside,
			aheadAMX(fmt.Sprintf("%s_ahead%d", name, step), f, step+lag),
			nextAMX(fmt.Sprintf("%s_next%d", name, step), name, f, step))
	}
	p("JMP %s_step", name)
	for _, do := range aside {
		do()
	}
	label("%s_done", name)
	p("VZEROUPPER")
	p("RET")
}

// lag is how many steps behind a step the one is whose rows and codes it loads.
const lag = 3

// Where kernel.tileCall has what.
const (
	callCodes     = 8
	callScales    = 16
	callBlocks    = 24
	callX         = 40
	callXStride   = 48
	callDst       = 56
	callDstStride = 64
	callPanels    = 72
	callTiles     = 80
	callProducts  = 88
	callFresh     = 96
)

// runsName is that of the kernel for runs of a form: forms differ in how they are packed, but hardly behind unpackAMX.
func runsName(f form) string {
	name := fmt.Sprint(f.group)
	if f.offset {
		name += "m"
	}
	return name
}

// inBlock is which group of its block a step has, endsBlock whether the last.
func (f form) inBlock(step int) int { return step % (32 / f.group) }

func (f form) endsBlock(step int) bool { return f.inBlock(step) == 32/f.group-1 }

// loadAMX loads what a step multiplies.
func loadAMX(f form, step int) {
	tileZero(4 + step%4)
	tileLoad(step%2, "R15", "R11", f.group*f.inBlock(step))
	tileLoad(2+step%2, "DI", "DX", 0)
}

func multiplyAMX(step int) { tileDot(4+step%4, step%2, 2+step%2) }

// stepAMX: instructions of tiles hold up others for longer where they stand together.
func stepAMX(f form, step int) {
	multiplyAMX(step + lag - 1)
	p("VMOVUPS (AX), Z15")
	if f.offset {
		p("VMOVUPS 64(AX), Z14")
	}
	for r := range 16 {
		if r == 4 {
			tileStore(4+(step+1)%4, "R14", "DX", 1024*((step+1)%2))
		}
		if r == 15 {
			loadAMX(f, step+lag)
		}
		product := fmt.Sprintf("%d(R14)", 1024*(step%2)+64*r)
		if !f.offset && r%4 == 0 { // the multiplier has time for some
			p("VCVTDQ2PS %s, Z%d", product, r%4)
		} else {
			p("VPADDD %s, Z13, Z%d", product, r%4)
			p("VADDPS Z12, Z%d, Z%d", r%4, r%4)
		}
		p("VMULPS.BCST %s, Z15, Z%d", rowAt(lineScale, r), 4+r%4)
		p("VFMADD231PS Z%d, Z%d, Z%d", 4+r%4, r%4, 16+r)
		f.addOffset(f.inBlock(step), r, 14, r%4, 16+r)
	}
}

// aheadAMX goes on to the next group of codes and of rows for products, and returns what is done where a run ends: the next panel's
// follows, for the same rows; after the last panel the first, for the next 16 rows; after these, whose products nobody wants, all
// begins again.
func aheadAMX(name string, f form, step int) func() {
	p("ADDQ $%d, DI", 16*f.group)
	if !f.endsBlock(step) {
		return func() {}
	}
	p("DECQ ahead-16(SP)")
	p("LEAQ 64(R15), R15") // leaves the flags
	p("JZ %s", name)
	label("%s_back", name)
	return func() {
		label("%s", name)
		p("MOVQ blocks-8(SP), BX")
		p("MOVQ BX, ahead-16(SP)")
		p("SUBQ line-32(SP), R15")
		p("DECQ aheadPanels-48(SP)")
		p("JNZ %s_back", name)
		p("MOVQ c+0(FP), BX")
		p("MOVQ %d(BX), DI", callPanels)
		p("MOVQ DI, aheadPanels-48(SP)")
		p("MOVQ %d(BX), DI", callCodes)
		p("ADDQ tile-24(SP), R15")
		p("DECQ aheadTiles-64(SP)")
		p("JNZ %s_back", name)
		p("MOVQ %d(BX), R15", callTiles)
		p("MOVQ R15, aheadTiles-64(SP)")
		p("MOVQ %d(BX), R15", callX)
		p("JMP %s_back", name)
	}
}

// nextAMX goes on to the next step, and returns what is done where a run ends: its sums go to dst.
func nextAMX(name, kernel string, f form, step int) func() {
	p("ADDQ $128, AX")
	if !f.endsBlock(step) {
		return func() {}
	}
	for _, base := range bases {
		p("ADDQ DX, %s", base)
	}
	p("DECQ R13")
	p("JZ %s", name)
	label("%s_back", name)
	return func() {
		label("%s", name)
		p("MOVQ blocks-8(SP), R13")
		p("MOVQ c+0(FP), BX")
		p("MOVQ dst-72(SP), CX")
		p("MOVQ %d(BX), BX", callDstStride)
		for r := range 16 {
			p("VMOVUPS Z%d, (CX)", 16+r)
			if r < 15 {
				p("ADDQ BX, CX")
			}
		}
		p("ADDQ $64, dst-72(SP)")
		p("SUBQ line-32(SP), SI")
		p("DECQ panels-40(SP)")
		p("JNZ %s_sums", name)
		p("MOVQ c+0(FP), BX")
		p("MOVQ %d(BX), CX", callPanels)
		p("MOVQ CX, panels-40(SP)")
		p("SHLQ $6, CX")
		p("SUBQ CX, dst-72(SP)")
		p("MOVQ %d(BX), CX", callDstStride)
		p("SHLQ $4, CX")
		p("ADDQ CX, dst-72(SP)")
		p("MOVQ %d(BX), AX", callScales)
		p("ADDQ tile-24(SP), SI")
		p("DECQ tiles-56(SP)")
		p("JZ %s_done", kernel)
		label("%s_sums", name)
		for b := 1; b < len(bases); b++ {
			p("LEAQ (%s)(R11*4), %s", bases[b-1], bases[b])
		}
		sumsAMX(name)
		p("JMP %s_back", name)
	}
}

// sumsAMX begins the sums of 16 rows, at zero or at what dst has. Lines of dst that nobody wrote yet are asked for: stores that wait
// for them would hold up those of tiles.
func sumsAMX(name string) {
	p("MOVQ c+0(FP), BX")
	p("MOVQ dst-72(SP), CX")
	p("CMPQ %d(BX), $0", callFresh)
	p("MOVQ %d(BX), BX", callDstStride)
	p("JEQ %s_add", name)
	for r := range 16 {
		p("VPXORD Z%d, Z%d, Z%d", 16+r, 16+r, 16+r)
		prefetchWrite("CX", 0)
		p("ADDQ BX, CX")
	}
	p("JMP %s_begun", name)
	label("%s_add", name)
	for r := range 16 {
		p("VMOVUPS (CX), Z%d", 16+r)
		if r < 15 {
			p("ADDQ BX, CX")
		}
	}
	label("%s_begun", name)
}

// Instructions of tiles, which Go's assembler does not know.

// tileConfig reads shapes at CX.
func tileConfig() { word("LDTILECFG (CX)", 0xc4, 0xe2, 0x78, 0x49, 0x01) }

func tileRelease() { word("TILERELEASE", 0xc4, 0xe2, 0x78, 0x49, 0xc0) }

func tileZero(to int) {
	word(fmt.Sprintf("TILEZERO T%d", to), 0xc4, 0xe2, 0x7b, 0x49, 0xc0|byte(to)<<3)
}

// tileDot adds products of signed integers.
func tileDot(to, rows, codes int) {
	text := fmt.Sprintf("TDPBSSD T%d, T%d, T%d", codes, rows, to)
	word(text, 0xc4, 0xe2, 0x03|^byte(codes)&15<<3, 0x5e, 0xc0|byte(to)<<3|byte(rows))
}

// tileDotUnsigned has rows without a sign.
func tileDotUnsigned(to, rows, codes int) {
	text := fmt.Sprintf("TDPBUSD T%d, T%d, T%d", codes, rows, to)
	word(text, 0xc4, 0xe2, 0x01|^byte(codes)&15<<3, 0x5e, 0xc0|byte(to)<<3|byte(rows))
}

func tileLoad(to int, base, stride string, off int) {
	tileMove(fmt.Sprintf("TILELOADD %d(%s)(%s*1), T%d", off, base, stride, to), 3, to, base, stride, off)
}

func tileStore(from int, base, stride string, off int) {
	tileMove(fmt.Sprintf("TILESTORED T%d, %d(%s)(%s*1)", from, off, base, stride), 2, from, base, stride, off)
}

// tileMove encodes an operand in memory, with a displacement of 4 bytes; prefix is 2 for F3, 3 for F2.
func tileMove(text string, prefix byte, tile int, base, index string, off int) {
	numbers := map[string]byte{"DX": 2, "BX": 3, "SI": 6, "DI": 7, "R9": 9, "R10": 10, "R11": 11, "R12": 12, "R13": 13, "R14": 14, "R15": 15}
	b, i := numbers[base], numbers[index]
	extend := 0xe2 ^ i>>3<<6 ^ b>>3<<5
	word(text, 0xc4, extend, 0x78|prefix, 0x4b, 0x84|byte(tile)<<3, i&7<<3|b&7,
		byte(off), byte(off>>8), byte(off>>16), byte(off>>24))
}

// word writes an instruction as bytes, with its text behind.
func word(text string, bytes ...byte) {
	line := ""
	for i, b := range bytes {
		if i > 0 {
			line += "; "
		}
		line += fmt.Sprintf("BYTE $0x%02x", b)
	}
	p("%s // %s", line, text)
}

// tileShape is what LDTILECFG reads, for groups of that many weights.
func tileShape(group int) {
	words := make([]uint32, 16)
	words[0] = 1 // palette
	shape := func(tile, rows, bytes int) {
		words[4+tile/2] |= uint32(bytes) << (tile % 2 * 16)
		words[12+tile/4] |= uint32(rows) << (tile % 4 * 8)
	}
	for i := range 2 {
		shape(i, 16, group)
		shape(2+i, group/4, 64)
	}
	for i := range 4 {
		shape(4+i, 16, 64)
	}
	wide(fmt.Sprintf("tileShapes%d", group), words...)
}

func tiles() {
	out.WriteString("// Code generated by _gen; DO NOT EDIT.\n\n//go:build amd64 && !purego\n\n#include \"textflag.h\"\n\n")
	for _, zero := range []uint32{4, 8, 16, 32} {
		constant(fmt.Sprintf("zero%d", zero), zero*0x01010101)
	}
	constant("magic", 0x4b400000) // 1.5·2²³
	constant("unmagic", 0xcb400000)
	tileShape(16)
	tileShape(32)
	have := map[string]bool{}
	for _, f := range forms {
		unpackAMX(f)
		if name := runsName(f); !have[name] {
			have[name] = true
			runsAMX(f)
		}
	}
	intAttention()
	text("releaseAMX", 0)
	tileRelease()
	p("RET")
}

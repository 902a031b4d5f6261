package main

import "fmt"

// amx takes 16 input rows or a multiple of it, a panel at a time. Weights of a run, 8 blocks or what is left, are unpacked
// to scratch once for all rows; then, for 16 rows at a time, a group is one instruction of tiles, and sums stay in
// registers till the run ends. While a group's products are scaled and added, the next one's are made.
//
// The scratch begins at kernel.dotCall's sums:
//
//	sums     [64 rows][16] float32
//	codes    [8 blocks][8][16][4] int8: of 8 bits, tiles are read from the panel instead
//	scales   [16 groups][2][16] float32: scale, offset
//	products [2][16 rows][16] int32
//
// Registers:
//
//	BX panel   R14 scratch   R15 bytes of lines behind   R13 blocks left   DX 64   CX counts   R11, R12 row strides
//	SI, R8, R9, R10 rows 0, 4, 8, 12 at the group's block   DI the group's codes   AX its scales
//	Z15, Z14 scale, offset   Z16+r sums of row r
//
// Tiles 0 to 2 are rows, codes and products of groups 0, 2, 4 …; tiles 3 to 5 of the others.
func amx(f form) {
	name := "tiles" + f.name + "AMX"
	fmt.Fprintf(&out, "\n// func %s\nTEXT ·%s(SB), NOSPLIT, $56-8\n", name, name)
	p("MOVQ c+0(FP), AX")
	p("LEAQ ·tileShapes%d(SB), CX", f.group)
	tileConfig()
	p("MOVQ 0(AX), BX")
	p("MOVQ 16(AX), CX")
	p("MOVQ CX, dst-8(SP)")
	p("MOVQ 24(AX), R11")
	p("LEAQ (R11)(R11*2), R12")
	p("MOVQ 48(AX), CX")
	p("MOVQ CX, panels-16(SP)")
	p("MOVQ 56(AX), R14")
	p("MOVQ $64, DX")
	label("%s_panel", name)
	clearAMX(name)
	label("%s_run", name)
	unpackAMX(name, f)
	runAMX(name, f)
	p("MOVQ run-24(SP), CX")
	p("SUBQ CX, R13")
	p("SHLQ $6, CX")
	p("ADDQ CX, R15")
	p("TESTQ R13, R13")
	p("JNZ %s_run", name)
	storeAMX(name)
	p("ADDQ $64, dst-8(SP)")
	p("DECQ panels-16(SP)")
	p("JNZ %s_panel", name)
	tileRelease()
	p("VZEROUPPER")
	p("RET")
}

// Where parts of the scratch begin.
const (
	amxCodes    = 64 * 64
	amxScales   = amxCodes + 8*512
	amxProducts = amxScales + 16*128
)

// clearAMX zeroes sums and begins a panel.
func clearAMX(name string) {
	p("MOVQ c+0(FP), AX")
	p("MOVQ 40(AX), R13")
	p("MOVQ 64(AX), CX")
	p("MOVQ R14, DI")
	p("XORQ R15, R15")
	p("VPXORD Z0, Z0, Z0")
	label("%s_clear", name)
	p("VMOVUPS Z0, (DI)")
	p("ADDQ DX, DI")
	p("DECQ CX")
	p("JNZ %s_clear", name)
}

// unpackAMX leaves a run's codes, as signed integers around zero, and scales in the scratch.
func unpackAMX(name string, f form) {
	p("MOVQ $8, CX")
	p("CMPQ R13, CX")
	p("CMOVQLT R13, CX")
	p("MOVQ CX, run-24(SP)")
	p("MOVQ c+0(FP), AX")
	p("MOVQ 80(AX), R8")
	if f.header() > 0 {
		p("MOVQ BX, R9")
		p("ADDQ $%d, BX", f.header())
	}
	if f.bits == 8 {
		p("MOVQ BX, codes-32(SP)")
	} else {
		p("LEAQ %d(R14), DI", amxCodes)
		p("MOVQ DI, codes-32(SP)")
		p("VPBROADCASTD ·low4(SB), Z13")
		if f.zero > 0 {
			p("VPBROADCASTD ·zero%d(SB), Z16", f.zero)
		}
	}
	p("LEAQ %d(R14), SI", amxScales)
	label("%s_unpack", name)
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
		if f.bits == 8 {
			continue
		}
		unpack(plain, "BX", base+f.codesAt(), 0)
		for v := range f.group / 4 {
			if f.zero > 0 {
				p("VPSUBB Z16, Z%d, Z%d", v, v)
			}
			p("VMOVDQU32 Z%d, %d(DI)", v, 16*f.group*sub+64*v)
		}
	}
	p("ADDQ $%d, BX", f.groupBytes()*32/f.group)
	p("ADDQ $%d, SI", 128*32/f.group)
	if f.bits < 8 {
		p("ADDQ $512, DI")
	}
	p("DECQ CX")
	p("JNZ %s_unpack", name)
}

// runAMX adds a run to the sums of all rows.
func runAMX(name string, f form) {
	p("MOVQ 8(AX), SI")
	p("ADDQ R15, SI")
	p("MOVQ SI, x-40(SP)")
	p("MOVQ 64(AX), CX")
	p("MOVQ CX, rows-48(SP)")
	p("MOVQ R14, sums-56(SP)")
	label("%s_rows", name)
	p("MOVQ x-40(SP), SI")
	for b := 1; b < len(bases); b++ {
		p("LEAQ (%s)(R11*4), %s", bases[b-1], bases[b])
	}
	p("LEAQ (R10)(R11*4), CX")
	p("MOVQ CX, x-40(SP)")
	p("MOVQ codes-32(SP), DI")
	p("MOVQ sums-56(SP), CX")
	for r := range 16 {
		p("VMOVUPS %d(CX), Z%d", 64*r, 16+r)
	}
	p("LEAQ %d(R14), AX", amxScales)
	p("MOVQ run-24(SP), CX")
	groupsAMX(name, f)
	p("MOVQ sums-56(SP), CX")
	for r := range 16 {
		p("VMOVUPS Z%d, %d(CX)", 16+r, 64*r)
	}
	p("ADDQ $1024, sums-56(SP)")
	p("SUBQ $16, rows-48(SP)")
	p("JNZ %s_rows", name)
}

// groupsAMX is the run's groups for 16 rows: those of 32 weights in pairs of blocks, those of 16 in pairs of one.
func groupsAMX(name string, f form) {
	step := f.groupBytes() // to the next group's codes
	at := f.codesAt()
	if f.bits < 8 {
		step, at = 16*f.group, 0
	}
	productsAMX(f, 0, at, 0)
	label("%s_groups", name)
	for half := range 2 {
		next := lineBytes // bytes to the next group's numbers
		if f.group == 16 {
			next = 16
			if half == 1 {
				next = lineBytes
			}
		}
		last := f.group == 32 || half == 1 // of its block
		if last {
			p("CMPQ CX, $1")
			p("JEQ %s_last%d", name, half)
		}
		productsAMX(f, next, at+step, 1-half)
		label("%s_last%d", name, half)
		p("VMOVUPS (AX), Z15")
		if f.offset {
			p("VMOVUPS 64(AX), Z14")
		}
		sub := 0
		if f.group == 16 {
			sub = half
		}
		for r := range 16 {
			p("VCVTDQ2PS %d(R14), Z%d", amxProducts+1024*half+64*r, r%4)
			p("VMULPS.BCST %s, Z15, Z%d", rowAt(lineScale, r), 4+r%4)
			p("VFMADD231PS Z%d, Z%d, Z%d", 4+r%4, r%4, 16+r)
			f.addOffset(sub, r, 14, r%4, 16+r)
		}
		p("ADDQ $128, AX")
		p("ADDQ $%d, DI", step)
		if !last {
			continue
		}
		for _, base := range bases {
			p("ADDQ DX, %s", base)
		}
		p("DECQ CX")
		if half == 0 {
			p("JZ %s_done", name)
			continue
		}
		p("JNZ %s_groups", name)
	}
	label("%s_done", name)
}

// productsAMX makes the products of a group, whose numbers stand x bytes behind the rows and whose codes w behind DI.
func productsAMX(f form, x, w, set int) {
	rows, codes, products := 3*set, 3*set+1, 3*set+2
	tileZero(products)
	tileLoad(rows, "SI", "R11", x)
	tileLoad(codes, "DI", "DX", w)
	tileDot(products, rows, codes)
	tileStore(products, "R14", "DX", amxProducts+1024*set)
}

// storeAMX copies the sums to dst.
func storeAMX(name string) {
	p("MOVQ c+0(FP), AX")
	p("MOVQ 32(AX), R8")
	p("MOVQ 64(AX), CX")
	p("MOVQ dst-8(SP), DI")
	p("MOVQ R14, SI")
	label("%s_store", name)
	p("VMOVUPS (SI), Z0")
	p("VMOVUPS Z0, (DI)")
	p("ADDQ DX, SI")
	p("ADDQ R8, DI")
	p("DECQ CX")
	p("JNZ %s_store", name)
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

func tileLoad(to int, base, stride string, off int) {
	tileMove(fmt.Sprintf("TILELOADD %d(%s)(%s*1), T%d", off, base, stride, to), 3, to, base, stride, off)
}

func tileStore(from int, base, stride string, off int) {
	tileMove(fmt.Sprintf("TILESTORED T%d, %d(%s)(%s*1)", from, off, base, stride), 2, from, base, stride, off)
}

// tileMove encodes an operand in memory, with a displacement of 4 bytes; prefix is 2 for F3, 3 for F2.
func tileMove(text string, prefix byte, tile int, base, index string, off int) {
	numbers := map[string]byte{"DX": 2, "SI": 6, "DI": 7, "R11": 11, "R14": 14}
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
	for set := range 2 {
		shape(3*set, 16, group)
		shape(3*set+1, group/4, 64)
		shape(3*set+2, 16, 64)
	}
	wide(fmt.Sprintf("tileShapes%d", group), words...)
}

func tiles() {
	out.WriteString("// Code generated by _gen; DO NOT EDIT.\n\n//go:build amd64 && !purego\n\n#include \"textflag.h\"\n\n")
	for _, zero := range []uint32{4, 8, 16, 32} {
		constant(fmt.Sprintf("zero%d", zero), zero*0x01010101)
	}
	tileShape(16)
	tileShape(32)
	for _, f := range forms {
		amx(f)
	}
}

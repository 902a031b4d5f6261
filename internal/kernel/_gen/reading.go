package main

import "fmt"

// Products of rows that are read (see kernel.Input.Read) take two kernels: unpackXBF16 leaves blocks of a panel as tiles of bf16, and
// readRxP multiplies them with R tiles of 16 input rows at a time, P panels at once, whose sums stay in tiles meanwhile.
//
//	tile of weights [16 pairs along k][16 rows of the panel][2] bf16; a block's of both panels stand side by side

// Where kernel.unpackCall has what.
const (
	roundW      = 0  // first group
	roundHeader = 8  // its header
	roundBlocks = 16 // of 32 weights
	roundTo     = 24
)

// tileSize is what a tile takes.
const tileSize = 1024

// unpackBF16: w = fma(1 + code/256, 256·scale, offset - (256+zero)·scale), rounded to bf16. A code is put in a float's upper bits, whose
// rest is that of 1. Codes of 8 bits have their zero at 128 then.
//
//	BX groups   R15 header   CX blocks left   DI to   Z24, Z25 256·scale, the rest of it   Z26 to Z31 constants
func unpackBF16(f form) {
	name := "unpack" + f.name + "BF16"
	text(name, 8)
	callFields(roundW, "BX", roundHeader, "R15", roundBlocks, "CX", roundTo, "DI")
	zero := f.zero
	if f.bits == 8 {
		zero = 128
		p("VPBROADCASTD ·high1(SB), Z13")
	}
	p("VPBROADCASTD ·low4(SB), Z26")
	p("VMOVDQU32 ·besides(SB), Z27")
	p("VBROADCASTSS ·lessThan%d(SB), Z28", zero)
	p("VBROADCASTSS ·times256(SB), Z29")
	p("VBROADCASTSS ·unity(SB), Z30")
	p("VPBROADCASTD ·fraction8(SB), Z31")
	label("%s_block", name)
	bytes := f.groupBytes() * 32 / f.group
	for line := 0; line < bytes; line += lineBytes {
		p("PREFETCHT0 %d(BX)", 2048+line)
	}
	plain := f
	plain.zero = 0
	for sub := range 32 / f.group {
		base := sub * f.groupBytes()
		f.scales("Z", place{"BX", "R15"}, base, 0, 15, 11)
		p("VMULPS Z29, Z15, Z24")
		if f.offset {
			p("VMOVAPS Z14, Z25")
			p("VFMADD231PS Z28, Z15, Z25")
		} else {
			p("VMULPS Z28, Z15, Z25")
		}
		unpackWith(plain, "BX", base+f.codesAt(), 0, "VPANDD Z26", 12)
		for v := range f.group / 4 {
			for i, shift := range []string{"VPSLLD $15", "VPSLLD $7", "VPSRLD $1", "VPSRLD $9"} {
				to := 16 + v%2*4 + i
				p("%s, Z%d, Z%d", shift, v, to)
				p("VPTERNLOGD $0xea, Z30, Z31, Z%d", to)
				p("VFMADD213PS Z25, Z24, Z%d", to)
			}
			for i := range 2 {
				even := 16 + v%2*4 + 2*i
				pairOfBF16(even+1, even, even)
				p("VPERMW Z%d, Z27, Z%d", even, even)
				p("VMOVDQU32 Z%d, %d(DI)", even, 32*f.group*sub+128*v+64*i)
			}
		}
	}
	p("ADDQ $%d, BX", bytes)
	p("ADDQ $%d, DI", 2*tileSize)
	p("DECQ CX")
	p("JNZ %s_block", name)
	p("VZEROUPPER")
	p("RET")
}

// pairOfBF16 rounds two vectors of floats, to the upper and to the lower half of one of bf16.
func pairOfBF16(high, low, to int) {
	bit := func(reg, b int) byte { return byte(^reg>>b) & 1 }
	p0 := bit(to, 3)<<7 | bit(low, 4)<<6 | bit(low, 3)<<5 | bit(to, 4)<<4 | 2
	p1 := byte(^high)&15<<3 | 4 | 3
	p2 := 0x40 | bit(high, 4)<<3
	word(fmt.Sprintf("VCVTNE2PS2BF16 Z%d, Z%d, Z%d", low, high, to), 0x62, p0, p1, p2, 0x72, 0xc0|byte(to&7)<<3|byte(low&7))
}

// tileDotBF16 adds products of pairs of bf16.
func tileDotBF16(to, rows, weights int) {
	text := fmt.Sprintf("TDPBF16PS T%d, T%d, T%d", weights, rows, to)
	word(text, 0xc4, 0xe2, 0x02|^byte(weights)&15<<3, 0x5c, 0xc0|byte(to)<<3|byte(rows))
}

// Where kernel.readCall has what.
const (
	readX         = 0
	readXStride   = 8
	readWeights   = 16
	readBlocks    = 24
	readDst       = 32
	readDstStride = 40
	readTimes     = 48 // runs of so many tiles of rows
	readFresh     = 56
)

// readRows multiplies.
//
//	AX call   SI, R12 rows   R11 row stride   DI weights   DX 64   CX blocks left   R13 dst   BX dst stride   R14 runs left   R9, R10 for the moment
//
// Tiles 0 to 3 are sums, 4, 5 rows, 6, 7 weights.
func readRows(tiles, panels int) {
	name := fmt.Sprintf("read%dx%d", tiles, panels)
	text(name, 8)
	p("LEAQ ·tileShapes64(SB), CX")
	tileConfig()
	callFields(readX, "SI", readXStride, "R11", readDst, "R13", readDstStride, "BX", readTimes, "R14")
	p("MOVQ $64, DX")
	sums := func(do func(tile int, base string, off int)) {
		p("MOVQ R13, R9")
		for t := range tiles {
			for panel := range panels {
				do(2*t+panel, "R9", 64*panel)
			}
			if t+1 < tiles {
				p("MOVQ BX, R10")
				p("SHLQ $4, R10")
				p("ADDQ R10, R9")
			}
		}
	}
	label("%s_run", name)
	p("MOVQ %d(AX), DI", readWeights)
	p("MOVQ %d(AX), CX", readBlocks)
	p("MOVQ R11, R12")
	p("SHLQ $4, R12")
	p("ADDQ SI, R12")
	p("CMPQ %d(AX), $0", readFresh)
	p("JEQ %s_add", name)
	sums(func(tile int, _ string, _ int) { tileZero(tile) })
	p("JMP %s_block", name)
	label("%s_add", name)
	sums(func(tile int, base string, off int) { tileLoad(tile, base, "BX", off) })
	label("%s_block", name)
	tileLoad(4, "SI", "R11", 0)
	for panel := range panels {
		tileLoad(6+panel, "DI", "DX", tileSize*panel)
		tileDotBF16(panel, 4, 6+panel)
	}
	if tiles > 1 {
		tileLoad(5, "R12", "R11", 0)
		for panel := range panels {
			tileDotBF16(2+panel, 5, 6+panel)
		}
		p("ADDQ DX, R12")
	}
	p("ADDQ DX, SI")
	p("ADDQ $%d, DI", 2*tileSize)
	p("DECQ CX")
	p("JNZ %s_block", name)
	sums(func(tile int, base string, off int) { tileStore(tile, base, "BX", off) })
	// The next rows: SI is behind the blocks of the first tile's.
	p("MOVQ %d(AX), CX", readBlocks)
	p("SHLQ $6, CX")
	p("SUBQ CX, SI")
	p("MOVQ R11, CX")
	p("SHLQ $%d, CX", 3+tiles)
	p("ADDQ CX, SI")
	p("MOVQ BX, CX")
	p("SHLQ $%d, CX", 3+tiles)
	p("ADDQ CX, R13")
	p("DECQ R14")
	p("JNZ %s_run", name)
	tileRelease()
	p("VZEROUPPER")
	p("RET")
}

// reading writes these kernels.
func reading() {
	beginFile("amd64")
	tileShape(64)
	float("times256", 256)
	float("unity", 1)
	constant("fraction8", 0x007f8000)
	for _, zero := range []int{0, 4, 8, 16, 32, 128} {
		float(fmt.Sprintf("lessThan%d", zero), float32(-256-zero))
	}
	besides := make([]uint32, 16)
	for i := range besides {
		besides[i] = uint32(i | (16+i)<<16)
	}
	wide("besides", besides...)
	for _, f := range forms {
		unpackBF16(f)
	}
	toBF16()
	for tiles := 1; tiles <= 2; tiles++ {
		for panels := 1; panels <= 2; panels++ {
			readRows(tiles, panels)
		}
	}
}

// toBF16: blocks of 32 floats become lines.
func toBF16() {
	text("toBF16AVX512", 24)
	p("MOVQ lines+0(FP), DI")
	p("MOVQ x+8(FP), SI")
	p("MOVQ blocks+16(FP), CX")
	label("toBF16_block")
	p("VMOVUPS (SI), Z0")
	p("VMOVUPS 64(SI), Z1")
	pairOfBF16(1, 0, 0)
	p("VMOVDQU32 Z0, (DI)")
	p("ADDQ $128, SI")
	p("ADDQ $64, DI")
	p("DECQ CX")
	p("JNZ toBF16_block")
	p("VZEROUPPER")
	p("RET")
}

package main

import "fmt"

// Products of rows that are read (see kernel.Input.Read) take two kernels: unpackXBF16 leaves blocks of a panel as tiles of bf16, and
// readX multiplies tiles with 32 input rows at a time, two panels at once, whose sums stay in tiles meanwhile.
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

// unpackBF16 leaves blocks as tiles.
//
//	BX groups   R15 header   CX blocks left   DI to
func unpackBF16(f form) {
	name := "unpack" + f.name + "BF16"
	text(name, 8)
	f.cutConstants("CX")
	callFields(roundW, "BX", roundHeader, "R15", roundBlocks, "CX", roundTo, "DI")
	label("%s_block", name)
	f.fetch("PREFETCHT0", 2048, "BX")
	f.cutBlock(place{"BX", "R15"}, "DI", 0)
	p("ADDQ $%d, BX", f.blockBytes())
	p("ADDQ $%d, DI", 2*tileSize)
	p("DECQ CX")
	p("JNZ %s_block", name)
	p("VZEROUPPER")
	p("RET")
}

// unit is what a code is divided by to be a float's fraction: see kernel's reading.
func (f form) unit() int {
	if f.bits == 4 {
		return 16
	}
	return 256
}

// cutConstants fills K1 and Z26 to Z31, of which Z13 is one of codes of 8 bits, for cutBlock.
func (f form) cutConstants(moment string) {
	p("MOVL $0xaaaaaaaa, %s", moment)
	p("KMOVD %s, K1", moment)
	zero := f.zero
	if f.bits == 8 {
		zero = 128
		p("VPBROADCASTD ·high1(SB), Z13")
	}
	p("VPBROADCASTD ·low4(SB), Z26")
	p("VBROADCASTSS ·raise(SB), Z27")
	p("VBROADCASTSS ·lessThan%dAnd%d(SB), Z28", f.unit(), zero)
	p("VBROADCASTSS ·times%d(SB), Z29", f.unit())
	p("VBROADCASTSS ·unity(SB), Z30")
	p("VPBROADCASTD ·fraction%d(SB), Z31", f.unit())
}

// cutBlock leaves a block of a panel in a tile, off bytes behind a register: each weight is fma(1 + code/unit, multiplier Z24, rest Z25), of which
// the upper half is kept. A code is put in a float's fraction, whose other bits are those of 1. Z0 to Z25 are spoiled.
func (f form) cutBlock(at place, to string, off int) {
	plain := f
	plain.zero = 0
	for sub := range 32 / f.group {
		base := sub * f.groupBytes()
		f.scales("Z", at, base, 0, 15, 11)
		p("VMULPS Z29, Z15, Z24")
		if f.offset {
			p("VMULPS Z27, Z14, Z25")
			p("VFMADD231PS Z28, Z15, Z25")
		} else {
			p("VMULPS Z28, Z15, Z25")
		}
		codes := base + f.codesAt()
		if f.bits == 4 {
			half := f.group / 8
			for v := range half {
				p("VMOVDQU32 %d(%s), Z%d", codes+64*v, at.group, v)
			}
			for v := range 2 * half {
				line := off + 32*f.group*sub + 128*v
				if v < half {
					cutVector(v, to, line, "VPSLLD $19", "VPSLLD $11", "VPSLLD $3", "VPSRLD $5")
				} else {
					cutVector(v-half, to, line, "VPSLLD $15", "VPSLLD $7", "VPSRLD $1", "VPSRLD $9")
				}
			}
			continue
		}
		unpackWith(plain, at.group, codes, 0, "VPANDD Z26", 12)
		for v := range f.group / 4 {
			cutVector(v, to, off+32*f.group*sub+128*v, "VPSLLD $15", "VPSLLD $7", "VPSRLD $1", "VPSRLD $9")
		}
	}
}

// cutVector makes two lines of pairs of a vector whose words have four codes each, which so many shifts bring to the fraction.
func cutVector(from int, base string, to int, shifts ...string) {
	first := 16 + from%2*4
	for i, shift := range shifts {
		p("%s, Z%d, Z%d", shift, from, first+i)
		p("VPTERNLOGD $0xea, Z30, Z31, Z%d", first+i)
		p("VFMADD213PS Z25, Z24, Z%d", first+i)
	}
	for i := range 2 {
		even := first + 2*i
		p("VPSRLD $16, Z%d, Z%d", even, even)
		p("VMOVDQU16 Z%d, K1, Z%d", even+1, even)
		p("VMOVDQU32 Z%d, %d(%s)", even, to+64*i, base)
	}
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
	readX          = 0
	readXStride    = 8
	readWeights    = 16
	readBlocks     = 24
	readDst        = 32
	readDstStride  = 40
	readTwos       = 48 // runs of two tiles of rows
	readFresh      = 56
	readPanels     = 64
	readSecond     = 72 // whether there is a second tile
	readShape      = 80
	readLast       = 88 // shape of the last rows, or 0
	readLastSecond = 96
	readNext       = 104 // first panel's groups that are unpacked meanwhile
	readNextBlocks = 112 // 0: none
	readNextPanels = 120
	readSize       = 128
	readTo         = 136
)

// readRows multiplies, and unpacks what comes next in between, since tiles and vectors are two units that need not wait for each other.
//
//	AX call   SI, R8 rows   R11 row stride   DI weights   DX 64   CX blocks left   R13 dst   R14 runs left   R12 for the moment
//	BX next groups   R15 header   R9 where they go   R10 blocks left of them
//
// Tiles 0, 1 are the first rows' sums, 2, 3 the second's, 4, 5 rows, 6, 7 weights.
func readRows(f form) {
	name := "read" + f.name
	text(name, 8)
	p("MOVQ c+0(FP), AX")
	p("MOVQ %d(AX), CX", readShape)
	tileConfig()
	f.cutConstants("CX")
	callFields(readX, "SI", readXStride, "R11", readDst, "R13", readTwos, "R14", readNext, "BX", readNextBlocks, "R10", readTo, "R9")
	p("MOVQ $64, DX")
	skip := func(field int, to string) {
		p("CMPQ %d(AX), $%d", field, map[int]int{readPanels: 1, readSecond: 0, readFresh: 0}[field])
		p("JEQ %s_%s", name, to)
	}
	sums := func(at string, do func(tile int, base string, off int)) {
		p("MOVQ %d(AX), R12", readDstStride)
		do(0, "R13", 0)
		skip(readPanels, at+"One")
		do(1, "R13", 64)
		label("%s_%sOne", name, at)
		skip(readSecond, at+"Done")
		p("MOVQ R12, R8")
		p("SHLQ $4, R8")
		p("ADDQ R13, R8")
		do(2, "R8", 0)
		skip(readPanels, at+"Done")
		do(3, "R8", 64)
		label("%s_%sDone", name, at)
	}
	label("%s_rows", name)
	for t := range 4 {
		tileZero(t)
	}
	p("CMPQ %d(AX), $1", readFresh)
	p("JEQ %s_loadDone", name)
	sums("load", func(tile int, base string, off int) { tileLoad(tile, base, "R12", off) })
	p("MOVQ %d(AX), DI", readWeights)
	p("MOVQ %d(AX), CX", readBlocks)
	p("MOVQ R11, R8")
	p("SHLQ $4, R8")
	p("ADDQ SI, R8")
	label("%s_block", name)
	tileLoad(4, "SI", "R11", 0)
	tileLoad(6, "DI", "DX", 0)
	tileDotBF16(0, 4, 6)
	skip(readPanels, "one")
	tileLoad(7, "DI", "DX", tileSize)
	tileDotBF16(1, 4, 7)
	label("%s_one", name)
	skip(readSecond, "dots")
	tileLoad(5, "R8", "R11", 0)
	tileDotBF16(2, 5, 6)
	skip(readPanels, "dots")
	tileDotBF16(3, 5, 7)
	label("%s_dots", name)
	p("TESTQ R10, R10")
	p("JEQ %s_next", name)
	f.cutNext(name)
	label("%s_next", name)
	p("ADDQ DX, SI")
	p("ADDQ DX, R8")
	p("ADDQ $%d, DI", 2*tileSize)
	p("DECQ CX")
	p("JNZ %s_block", name)
	sums("store", func(tile int, base string, off int) { tileStore(tile, base, "R12", off) })
	// The next rows: SI is behind the blocks of the first tile's.
	p("MOVQ %d(AX), CX", readBlocks)
	p("SHLQ $6, CX")
	p("SUBQ CX, SI")
	p("MOVQ R11, CX")
	p("SHLQ $5, CX")
	p("ADDQ CX, SI")
	p("SHLQ $5, R12")
	p("ADDQ R12, R13")
	p("DECQ R14")
	p("JNZ %s_rows", name)
	p("MOVQ %d(AX), CX", readLast)
	p("TESTQ CX, CX")
	p("JEQ %s_rest", name)
	tileConfig()
	p("MOVQ $0, %d(AX)", readLast)
	p("MOVQ %d(AX), CX", readLastSecond)
	p("MOVQ CX, %d(AX)", readSecond)
	p("MOVQ $1, R14")
	p("JMP %s_rows", name)
	label("%s_rest", name)
	p("TESTQ R10, R10")
	p("JEQ %s_done", name)
	f.cutNext(name + "_rest")
	p("JMP %s_rest", name)
	label("%s_done", name)
	tileRelease()
	p("VZEROUPPER")
	p("RET")
}

// cutNext unpacks one of the next blocks, the first panel's and then the second's.
func (f form) cutNext(name string) {
	f.overHeader(name+"_cut", "R10")
	f.fetch("PREFETCHT0", 2048, "BX")
	f.cutBlock(place{"BX", "R15"}, "R9", 0)
	p("ADDQ $%d, BX", f.blockBytes())
	p("ADDQ $%d, R9", 2*tileSize)
	p("DECQ R10")
	p("JNZ %s_left", name)
	p("DECQ %d(AX)", readNextPanels)
	p("JEQ %s_left", name)
	p("MOVQ %d(AX), BX", readNext)
	p("ADDQ %d(AX), BX", readSize)
	p("MOVQ %d(AX), R9", readTo)
	p("ADDQ $%d, R9", tileSize)
	p("MOVQ %d(AX), R10", readNextBlocks)
	label("%s_left", name)
}

// reading writes these kernels.
func reading() {
	beginFile("amd64")
	const raise = 1 + 23./8192
	float("raise", raise)
	float("unity", 1)
	cutting := func(unit int, zeros ...int) {
		float(fmt.Sprintf("times%d", unit), float32(raise*float64(unit)))
		constant(fmt.Sprintf("fraction%d", unit), 0x7fffff&^(0x7fffff/uint32(unit)))
		for _, zero := range zeros {
			float(fmt.Sprintf("lessThan%dAnd%d", unit, zero), float32(-raise*float64(unit+zero)))
		}
	}
	cutting(16, 0, 4, 8)
	cutting(256, 0, 16, 32, 128)
	for _, f := range forms {
		unpackBF16(f)
		few(f)
		readRows(f)
	}
	toBF16()
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

package main

import "fmt"

// Products of tiles take two kernels: unpackXAMX leaves a block of a panel in a record, as a tile wants it, with its scales behind; productAMX
// goes through units, each a run of blocks of a few panels, and multiplies them with all input rows, 16 a tile. Between a unit's steps it has
// the next one's blocks unpacked, so that the unit for tiles never waits for that. Both are given a kernel.tileCall.
//
//	record   [32/group][group/4][16][4] int8 codes, around zero; [32/group][2][16] float32 scale, offset
//	products [2][16 rows][16] int32

// record is how many bytes a block takes.
func (f form) record() int { return 512 + 128*32/f.group }

// Where kernel.tileCall has what.
const (
	callUnpack    = 0
	callUnit      = 8
	callUnits     = 16
	callProducts  = 24
	callXStride   = 32
	callDstStride = 40
	callRows      = 48
	callTiles     = 56
	callSize      = 64
	callRecords   = 72 // first of two buffers of records
	callBoth      = 80 // sum of both's addresses

	// Of unpacking.
	callW      = 88  // next group
	callHeader = 96  // its header
	callTo     = 104 // next record
	callBlocks = 112 // left of the panel's run
	callPanels = 120 // left of the unit; 0: all is unpacked
	callRun    = 128 // blocks of the unit
	callAhead  = 136
	callKeepA  = 144 // registers meanwhile
	callKeepR  = 152

	// Of a unit.
	unitW      = 0
	unitHeader = 8
	unitBlocks = 16
	unitPanels = 24
	unitX      = 32
	unitDst    = 40
	unitFresh  = 48
	unitAhead  = 56
	unitBytes  = 64
)

// unpackAMX: BX the call, R13 the next group, AX its header, CX the record. It keeps all but BX and CX, and of vectors Z12, Z13 and those from Z16 on.
func unpackAMX(f form) {
	name := "unpack" + f.name + "AMX"
	fmt.Fprintf(&out, "\n// func %s\nTEXT ·%s<>(SB), NOSPLIT, $0-0\n", name, name)
	p("MOVQ AX, %d(BX)", callKeepA)
	p("MOVQ R13, %d(BX)", callKeepR)
	p("MOVQ %d(BX), R13", callW)
	p("MOVQ %d(BX), AX", callAhead)
	p("MOVQ %d(BX), CX", callTo)
	bytes := f.blockBytes()
	for line := 0; line < bytes; line += lineBytes {
		p("PREFETCHT1 %d(R13)(AX*1)", line)
	}
	p("MOVQ %d(BX), AX", callHeader)
	plain := f
	plain.zero = 0 // codes as they are
	for sub := range 32 / f.group {
		base := sub * f.groupBytes()
		f.scales("Z", place{"R13", "AX"}, base, 0, 15, 11)
		p("VMOVUPS Z15, %d(CX)", 512+128*sub)
		if f.offset {
			p("VMOVUPS Z14, %d(CX)", 512+128*sub+64)
		}
		if f.bits < 8 {
			unpackWith(plain, "R13", base+f.codesAt(), 0, "VPANDD.BCST ·low4(SB)", 14)
		}
		for v := range f.group / 4 {
			if f.bits == 8 {
				p("VMOVDQU32 %d(R13), Z%d", base+f.codesAt()+64*v, v)
			}
			if f.zero > 0 {
				p("VPSUBB ·wideZero%d(SB), Z%d, Z%d", f.zero, v, v)
			}
			p("VMOVDQU32 Z%d, %d(CX)", v, 16*f.group*sub+64*v)
		}
	}
	p("ADDQ $%d, %d(BX)", bytes, callW)
	p("ADDQ $%d, %d(BX)", f.record(), callTo)
	p("DECQ %d(BX)", callBlocks)
	p("JNZ %s_end", name)
	p("DECQ %d(BX)", callPanels) // the next panel's run is a panel further than this one's
	p("MOVQ %d(BX), CX", callRun)
	p("MOVQ CX, %d(BX)", callBlocks)
	p("IMUL3Q $%d, CX, CX", bytes)
	p("SUBQ CX, %d(BX)", callW)
	p("MOVQ %d(BX), CX", callSize)
	p("ADDQ CX, %d(BX)", callW)
	p("ADDQ CX, %d(BX)", callHeader)
	label("%s_end", name)
	p("MOVQ %d(BX), AX", callKeepA)
	p("MOVQ %d(BX), R13", callKeepR)
	p("RET")
}

// productAMX goes through the groups of a run, of all panels' runs, of all tiles of 16 rows, of all units, in steps of one group. A tile's
// products leave it through memory only, which takes long, so a step loads what the third step behind it multiplies, multiplies for the second,
// stores the products of the next one, and scales and adds its own: what it waits for was begun long before.
//
// While tiles are busy, the processor (Sapphire Rapids, Granite Rapids) has one unit for multiplications of floats in place of two, but
// still two for additions. So integers become floats by an addition: n + magic, as bits, is the float magic + n.
//
// Registers:
//
//	AX record   SI, R8, R9, R10 rows 0, 4, 8, 12 at the step's block   R11, R12 row strides   DX 64   R13 blocks left of the run
//	R15, DI rows and record of the third step behind   R14 products   BX, CX for the moment
//	Z15, Z14 scale, offset   Z13, Z12 magic, as integer and negative   Z16+r sums of row r
//
// Tiles 0, 1 are rows, 2, 3 codes, 4 to 7 products, of every second and every fourth step.
func productAMX(f form) {
	name := "product" + shapeName(f) + "AMX"
	frame(name, 112)
	p("MOVQ c+0(FP), BX")
	p("LEAQ ·tileShapes%d(SB), CX", f.group)
	tileConfig()
	for _, move := range [][2]any{{callXStride, "R11"}, {callProducts, "R14"}, {callRecords, "AX"}, {callTiles, "R12"}, {callRows, "R13"}} {
		p("MOVQ %d(BX), %s", move[0], move[1])
	}
	p("MOVQ R12, tiles-56(SP)")
	p("MOVQ R12, aheadTiles-80(SP)")
	p("MOVQ R13, rows-96(SP)")
	p("MOVQ AX, records-104(SP)")
	p("MOVQ AX, aheadRecords-112(SP)")
	p("MOVQ AX, DI")
	p("LEAQ (R11)(R11*2), R12")
	p("MOVQ %d(BX), CX", callUnit)
	p("MOVQ CX, unit-8(SP)")
	p("MOVQ CX, aheadUnit-16(SP)")
	unpackUnit(name+"_first", "CX", "AX")
	p("MOVQ unit-8(SP), CX")
	p("MOVQ %d(CX), R13", unitPanels)
	p("MOVQ R13, panels-48(SP)")
	p("MOVQ R13, aheadPanels-72(SP)")
	p("MOVQ %d(CX), SI", unitBlocks)
	p("MOVQ SI, aheadBlocks-64(SP)")
	p("MOVQ %d(CX), SI", unitDst)
	p("MOVQ SI, dst-88(SP)")
	p("MOVQ %d(CX), SI", unitX)
	p("MOVQ SI, R15")
	beginUnpacking(name + "_begin_first")
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
	tileRelease()
	p("VZEROUPPER")
	p("RET")
}

// lag is how many steps behind a step the one is whose rows and codes it loads.
const lag = 3

// shapeName is that of the kernel for products of a form: forms differ in how they are packed, but hardly behind unpackAMX.
func shapeName(f form) string {
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
	tileLoad(2+step%2, "DI", "DX", 16*f.group*f.inBlock(step))
}

func multiplyAMX(step int) { tileDot(4+step%4, step%2, 2+step%2) }

// stepAMX: instructions of tiles hold up others for longer where they stand together.
func stepAMX(f form, step int) {
	multiplyAMX(step + lag - 1)
	scales := 512 + 128*f.inBlock(step)
	p("VMOVUPS %d(AX), Z15", scales)
	if f.offset {
		p("VMOVUPS %d(AX), Z14", scales+64)
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
// follows, for the same rows; after the last panel the first, for the next 16 rows; after these the next unit. Behind the last one stands
// another, whose products nobody wants.
func aheadAMX(name string, f form, step int) func() {
	if !f.endsBlock(step) {
		return func() {}
	}
	p("ADDQ $%d, DI", f.record())
	p("DECQ aheadBlocks-64(SP)")
	p("LEAQ 64(R15), R15") // leaves the flags
	p("JZ %s", name)
	label("%s_back", name)
	return func() {
		label("%s", name)
		p("MOVQ aheadUnit-16(SP), BX")
		p("MOVQ %d(BX), CX", unitBlocks)
		p("MOVQ CX, aheadBlocks-64(SP)")
		p("SHLQ $6, CX")
		p("SUBQ CX, R15")
		p("DECQ aheadPanels-72(SP)")
		p("JNZ %s_back", name)
		p("MOVQ %d(BX), CX", unitPanels)
		p("MOVQ CX, aheadPanels-72(SP)")
		p("MOVQ aheadRecords-112(SP), DI")
		p("MOVQ R11, CX")
		p("SHLQ $4, CX")
		p("ADDQ CX, R15")
		p("DECQ aheadTiles-80(SP)")
		p("JNZ %s_back", name)
		p("MOVQ c+0(FP), BX")
		p("MOVQ %d(BX), CX", callTiles)
		p("MOVQ CX, aheadTiles-80(SP)")
		p("MOVQ %d(BX), DI", callBoth)
		p("SUBQ aheadRecords-112(SP), DI")
		p("MOVQ DI, aheadRecords-112(SP)")
		p("ADDQ $%d, aheadUnit-16(SP)", unitBytes)
		p("MOVQ aheadUnit-16(SP), BX")
		p("MOVQ %d(BX), CX", unitBlocks)
		p("MOVQ CX, aheadBlocks-64(SP)")
		p("MOVQ %d(BX), CX", unitPanels)
		p("MOVQ CX, aheadPanels-72(SP)")
		p("MOVQ %d(BX), R15", unitX)
		p("JMP %s_back", name)
	}
}

// nextAMX goes on to the next step, has a block unpacked if some are left, and returns what is done where a run ends: its sums go to dst.
func nextAMX(name, kernel string, f form, step int) func() {
	if !f.endsBlock(step) {
		return func() {}
	}
	p("ADDQ $%d, AX", f.record())
	for _, base := range bases {
		p("ADDQ DX, %s", base)
	}
	p("MOVQ c+0(FP), BX")
	p("CMPQ %d(BX), $0", callPanels)
	p("JNE %s_unpack", name)
	label("%s_unpacked", name)
	p("DECQ R13")
	p("JZ %s", name)
	label("%s_back", name)
	return func() {
		label("%s_unpack", name)
		callUnpacker()
		p("JMP %s_unpacked", name)

		label("%s", name)
		storeTileSums(name)
		p("ADDQ $64, dst-88(SP)")
		p("MOVQ unit-8(SP), BX")
		p("MOVQ %d(BX), CX", unitBlocks)
		p("SHLQ $6, CX")
		p("SUBQ CX, SI")
		p("DECQ panels-48(SP)")
		p("JNZ %s_sums", name)
		p("MOVQ %d(BX), CX", unitPanels)
		p("MOVQ CX, panels-48(SP)")
		p("SHLQ $6, CX")
		p("SUBQ CX, dst-88(SP)")
		p("MOVQ c+0(FP), BX")
		p("MOVQ %d(BX), CX", callDstStride)
		p("SHLQ $4, CX")
		p("ADDQ CX, dst-88(SP)")
		p("MOVQ records-104(SP), AX")
		p("MOVQ R11, CX")
		p("SHLQ $4, CX")
		p("ADDQ CX, SI")
		p("SUBQ $16, rows-96(SP)")
		p("DECQ tiles-56(SP)")
		p("JNZ %s_sums", name)
		nextUnit(name, kernel)
		label("%s_sums", name)
		sumsAMX(name)
		p("JMP %s_back", name)
	}
}

// nextUnit begins the next unit, whose blocks are unpacked by then, or at once.
func nextUnit(name, kernel string) {
	p("DECQ %d(BX)", callUnits)
	p("JZ %s_done", kernel)
	label("%s_rest", name)
	p("CMPQ %d(BX), $0", callPanels)
	p("JEQ %s_unit", name)
	callUnpacker()
	p("JMP %s_rest", name)
	label("%s_unit", name)
	p("MOVQ %d(BX), CX", callTiles)
	p("MOVQ CX, tiles-56(SP)")
	p("MOVQ %d(BX), CX", callRows)
	p("MOVQ CX, rows-96(SP)")
	p("MOVQ %d(BX), AX", callBoth)
	p("SUBQ records-104(SP), AX")
	p("MOVQ AX, records-104(SP)")
	p("ADDQ $%d, unit-8(SP)", unitBytes)
	p("MOVQ unit-8(SP), CX")
	p("MOVQ %d(CX), R13", unitPanels)
	p("MOVQ R13, panels-48(SP)")
	p("MOVQ %d(CX), SI", unitDst)
	p("MOVQ SI, dst-88(SP)")
	p("MOVQ %d(CX), SI", unitX)
	beginUnpacking(name + "_begin")
}

// beginUnpacking turns to the unit behind that in hand, if there is one.
func beginUnpacking(name string) {
	p("MOVQ c+0(FP), BX")
	p("CMPQ %d(BX), $1", callUnits)
	p("JEQ %s", name)
	p("MOVQ %d(BX), CX", callBoth)
	p("SUBQ records-104(SP), CX")
	p("MOVQ CX, %d(BX)", callTo)
	p("MOVQ unit-8(SP), CX")
	p("ADDQ $%d, CX", unitBytes)
	toUnpack("CX")
	label("%s", name)
}

// toUnpack makes a unit the one that is unpacked, in the call at BX.
func toUnpack(unit string) {
	for _, move := range [][2]int{{unitW, callW}, {unitHeader, callHeader}, {unitBlocks, callBlocks}, {unitBlocks, callRun}, {unitAhead, callAhead}, {unitPanels, callPanels}} {
		p("MOVQ %d(%s), R12", move[0], unit)
		p("MOVQ R12, %d(BX)", move[1])
	}
	p("LEAQ (R11)(R11*2), R12")
}

// unpackUnit unpacks a unit at once.
func unpackUnit(name, unit, to string) {
	p("MOVQ %s, %d(BX)", to, callTo)
	toUnpack(unit)
	label("%s", name)
	callUnpacker()
	p("CMPQ %d(BX), $0", callPanels)
	p("JNE %s", name)
}

// callUnpacker has the next block unpacked. BX is the call.
func callUnpacker() {
	p("MOVQ %d(BX), CX", callUnpack)
	p("CALL CX")
	p("MOVQ c+0(FP), BX")
}

// storeTileSums writes those of a tile's rows.
func storeTileSums(name string) {
	p("MOVQ c+0(FP), BX")
	p("MOVQ %d(BX), BX", callDstStride)
	p("MOVQ dst-88(SP), CX")
	eachRow(name+"_store", func(r int) { p("VMOVUPS Z%d, (CX)", 16+r) })
}

// eachRow goes from row to row of dst, from CX on and BX bytes apart: 16, or as many as are left. It spoils R13.
func eachRow(name string, do func(r int)) {
	p("MOVQ rows-96(SP), R13")
	p("CMPQ R13, $16")
	p("JLT %s_few", name)
	for r := range 16 {
		do(r)
		if r < 15 {
			p("ADDQ BX, CX")
		}
	}
	p("JMP %s_done", name)
	label("%s_few", name)
	for r := range 15 {
		do(r)
		p("DECQ R13")
		p("JZ %s_done", name)
		p("ADDQ BX, CX")
	}
	label("%s_done", name)
}

// sumsAMX begins a run: the sums of a tile's rows at zero, or at what dst has. Lines of dst that nobody wrote yet are asked for: stores that
// wait for them would hold up those of tiles.
func sumsAMX(name string) {
	for b := 1; b < len(bases); b++ {
		p("LEAQ (%s)(R11*4), %s", bases[b-1], bases[b])
	}
	p("MOVQ c+0(FP), BX")
	p("MOVQ %d(BX), BX", callDstStride)
	p("MOVQ unit-8(SP), CX")
	p("CMPQ %d(CX), $0", unitFresh)
	p("MOVQ dst-88(SP), CX")
	p("JEQ %s_add", name)
	for r := range 16 {
		p("VPXORD Z%d, Z%d, Z%d", 16+r, 16+r, 16+r)
	}
	eachRow(name+"_ask", func(int) { prefetchWrite("CX", 0) })
	p("JMP %s_begun", name)
	label("%s_add", name)
	eachRow(name+"_load", func(r int) { p("VMOVUPS (CX), Z%d", 16+r) })
	label("%s_begun", name)
	p("MOVQ unit-8(SP), CX")
	p("MOVQ %d(CX), R13", unitBlocks)
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
	numbers := map[string]byte{"DX": 2, "BX": 3, "SI": 6, "DI": 7, "R8": 8, "R9": 9, "R10": 10, "R11": 11, "R12": 12, "R13": 13, "R14": 14, "R15": 15}
	b, i := numbers[base], numbers[index]
	if numbers[base] == 0 || numbers[index] == 0 {
		panic("no number of " + text)
	}
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
	beginFile("amd64")
	for _, zero := range []uint32{4, 8, 16, 32} {
		wide(fmt.Sprintf("wideZero%d", zero), zero*0x01010101)
	}
	constant("magic", 0x4b400000) // 1.5·2²³
	constant("unmagic", 0xcb400000)
	tileShape(16)
	tileShape(32)
	have := map[string]bool{}
	for _, f := range forms {
		unpackAMX(f)
		if name := shapeName(f); !have[name] {
			have[name] = true
			productAMX(f)
		}
	}
	text("unpackersAMX", 8)
	p("MOVQ to+0(FP), AX")
	for i, f := range forms {
		p("LEAQ ·unpack%sAMX<>(SB), CX", f.name)
		p("MOVQ CX, %d(AX)", 8*i)
	}
	p("RET")
	intAttention()
}

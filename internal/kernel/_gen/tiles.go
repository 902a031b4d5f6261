package main

import (
	"fmt"
	"math/bits"
)

// The kernels of AVX2 take both halves of a panel, of 8 weight rows each, at once, so that an input number fetched and
// spread serves both: a core fetches two a cycle, and would else wait for them. Codes of 16 weights fill Y0 to Y3 and, of
// the second half, Y4 to Y7, so that a block takes two passes, in the first and in the second 16 of its weights.
//
// Codes below 8 bits are unsigned. Their products are summed in 16 bits, where they wrap around, until what their zero
// added is taken away: 16 weights less than 32 from their zero, or 32 less than 16, times 127 fit. See m16 and m32 of
// kernel.Input.

// rowAVX2 is one input row, whose sums stay in registers:
//
//	BX panel   R15 its header   SI the row's line   CX blocks left   R14 panels left   DI dst   Y10, Y11 sums of the halves
func rowAVX2(f form) {
	name := fmt.Sprintf("row%sAVX2", f.name)
	text(name, 8)
	loadCall()
	label("%s_panel", name)
	startRows(1)
	p("VXORPS Y10, Y10, Y10")
	p("VXORPS Y11, Y11, Y11")
	loop(name+"_loop", f, 1, "PREFETCHT0", func() { f.rowBlock(place{"BX", "R15"}, [2]string{"Y10", "Y11"}) })
	store("Y", 10, 1, 0)
	store("Y", 11, 1, 32)
	p("ADDQ $64, DI")
	p("DECQ R14")
	p("JNZ %s_panel", name)
	p("VZEROUPPER")
	p("RET")
}

// rowBlock is a block of a panel and one row. The halves' sums are registers or stand in memory.
func (f form) rowBlock(at place, halves [2]string) {
	if f.bits == 8 {
		p("VMOVDQU ·ones16(SB), Y14")
		bytesAVX2(f, at.group, []sums{{8, 9}}, 4)
		f.finishRow(0, at, halves)
		return
	}
	for pass := range 2 {
		f.codesAVX2(at.group, pass)
		f.products(pass, 0, sums{8, 9}, f.group == 32 && pass == 1)
		if f.complete(pass) {
			f.integers(pass, 0, sums{8, 9})
			f.finishRow(f.sub(pass), at, halves)
		}
	}
}

// finishRow adds the integer sums Y8 and Y9 to those of the row's halves. The codes are done with.
func (f form) finishRow(sub int, at place, halves [2]string) {
	p("VBROADCASTSS %s, Y0", rowAt(lineScale, 0))
	if f.offset {
		f.sum("Y", sub, 0, 0, 1)
	}
	for half, sum := range halves {
		f.scales("Y", at, sub*f.groupBytes(), 8*half, 15, 12)
		p("VCVTDQ2PS Y%d, Y%d", 8+half, 8+half)
		p("VMULPS Y0, Y15, Y15")
		in := sum
		if sum[0] == 'Y' {
			p("VFMADD231PS Y15, Y%d, %s", 8+half, sum)
		} else {
			in = fmt.Sprintf("Y%d", 8+half)
			p("VFMADD213PS %s, Y15, %s", sum, in)
		}
		if f.offset {
			p("%s Y1, Y14, %s", f.addSum(), in)
		}
		if in != sum {
			p("VMOVUPS %s, %s", in, sum)
		}
	}
}

// scaleScratch is where, behind the sums of all rows (kernel's maxRows), scales and offsets stand that registers lack
// room for.
const scaleScratch = 32 * 128

// tileAVX2 is any number of rows, whose sums stand in memory, so that all of them use what was unpacked once. They pass in
// pairs: behind an odd number's last row one more is read, whose sums nobody stores.
//
//	BX panel   R15 its header   R8 row 0 at the block   SI rows of the pair   R11, R12 strides   DX sums of the pair
//	AX rows left   CX blocks left   R14 panels left   DI dst   R13 its stride   R10 how far ahead weights are asked for
//	R9 scales of the halves, and offsets
//
// The 128 bytes of a row's sums are those of the panel and, of a block's first pass, sums in 16 bits.
func tileAVX2(f form) {
	name := fmt.Sprintf("tile%sAVX2", f.name)
	text(name, 8)
	loadCall()
	p("MOVQ 80(AX), R10")
	p("MOVQ 56(AX), R9")
	p("ADDQ $%d, R9", scaleScratch)
	label("%s_panel", name)
	p("MOVQ c+0(FP), AX")
	p("MOVQ 8(AX), R8")
	p("MOVQ 40(AX), CX")
	clearTile(name)
	label("%s_loop", name)
	f.overHeader(name+"_block", "CX")
	f.fetch("PREFETCHT1", 0, "BX)(R10*1")
	if f.bits == 8 {
		tileBytes(name, f)
	} else {
		for pass := range 2 {
			tilePass(fmt.Sprintf("%s_pass%d", name, pass), f, pass)
		}
	}
	p("ADDQ $%d, BX", f.blockBytes())
	p("ADDQ $%d, R8", lineBytes)
	p("DECQ CX")
	p("JNZ %s_loop", name)
	storeTile(name)
	p("ADDQ $64, DI")
	p("DECQ R14")
	p("JNZ %s_panel", name)
	p("VZEROUPPER")
	p("RET")
}

// sub is the group of a pass, and complete whether its sums are behind it.
func (f form) sub(pass int) int {
	if f.group == 16 {
		return pass
	}
	return 0
}

func (f form) complete(pass int) bool { return f.group == 16 || pass == 1 }

// sums are the registers of a row's integer sums with either half.
type sums [2]int

// tilePass is a pass of all rows, two at a time, so that what waits for others of its row leaves the processor room to go
// on with another's. Y14 and Y15 are scales of the halves.
func tilePass(name string, f form, pass int) {
	f.codesAVX2("BX", pass)
	if f.complete(pass) {
		for half := range 2 {
			f.scales("Y", place{"BX", "R15"}, f.sub(pass)*f.groupBytes(), 8*half, 12, 13)
			p("VMOVAPS Y12, Y%d", 14+half)
			if f.offset {
				p("VMOVUPS Y11, %d(R9)", 32*half)
			}
		}
	}
	startPairs()
	label("%s_pair", name)
	pair := []sums{{8, 9}, {10, 11}}
	for r, s := range pair {
		if pass == 0 {
			p("PREFETCHT0 %s", rowAt(lineBytes, r))
		}
		f.products(pass, r, s, false)
		for half, sum := range s {
			between := fmt.Sprintf("%d(DX)", 128*r+64+32*half)
			switch {
			case !f.complete(pass):
				p("VMOVDQU Y%d, %s", sum, between)
			case f.group == 32:
				p("VPADDW %s, Y%d, Y%d", between, sum, sum)
			}
		}
	}
	if f.complete(pass) {
		for r, s := range pair {
			f.integers(pass, r, s)
		}
		f.finish(f.sub(pass), pair, 14)
	}
	nextPair(name)
}

func startPairs() {
	p("MOVQ R8, SI")
	p("MOVQ c+0(FP), AX")
	p("MOVQ 56(AX), DX")
	p("MOVQ 64(AX), AX")
}

func nextPair(name string) {
	p("LEAQ (SI)(R11*2), SI")
	p("ADDQ $256, DX")
	p("SUBQ $2, AX")
	p("JG %s_pair", name)
}

// codesAVX2 unpacks a pass's codes of the block at w.
func (f form) codesAVX2(w string, pass int) {
	vectors, from := f.group/4, 4*pass%(f.group/4)
	codes := f.sub(pass)*f.groupBytes() + f.codesAt()
	p("VMOVDQU ·low4(SB), Y12")
	for half := range 2 {
		at := codes + 32*half
		for i := range 4 {
			v, to := from+i, 4*half+i
			if v < vectors/2 {
				p("VPAND %d(%s), Y12, Y%d", at+64*v, w, to)
				continue
			}
			p("VMOVDQU %d(%s), Y%d", at+64*(v-vectors/2), w, to)
			p("VPSRLW $4, Y%d, Y%d", to, to)
			p("VPAND Y12, Y%d, Y%d", to, to)
		}
		if f.bits == 4 {
			continue
		}
		for i := range 4 {
			vector, bit := f.plane(from + i)
			if bit == 0 || i == 0 {
				p("VMOVDQU %d(%s), Y13", at+64*(vectors/2+vector), w)
			}
			from := 13
			if bit != 4 {
				from = 14
				toFourth("Y", bit, 13, from)
			}
			p("VPAND ·upper%d(SB), Y%d, Y14", f.bits, from)
			p("VPOR Y14, Y%d, Y%d", 4*half+i, 4*half+i)
		}
	}
}

// products sums, in 16 bits, a pass's codes times row r's numbers, or adds them to what there is. Y12 and Y13 are spoiled.
func (f form) products(pass, r int, s sums, add bool) {
	for v := range 4 {
		p("VPBROADCASTD %s, Y12", rowAt(16*pass+4*v, r))
		if v == 0 && !add {
			p("VPMADDUBSW Y12, Y0, Y%d", s[0])
			p("VPMADDUBSW Y12, Y4, Y%d", s[1])
			continue
		}
		p("VPMADDUBSW Y12, Y%d, Y13", v)
		p("VPMADDUBSW Y12, Y%d, Y12", 4+v)
		p("VPADDW Y13, Y%d, Y%d", s[0], s[0])
		p("VPADDW Y12, Y%d, Y%d", s[1], s[1])
	}
}

// integers makes sums of 32 bits of a group's in 16, less what the codes' zero added. Codes of 5 bits that are
// unsigned do not fit in 16 bits: for so long 16 is their zero. Y12 is spoiled.
func (f form) integers(pass, r int, s sums) {
	zero, at, times := f.zero, lineM16, 16
	if f.bits == 5 {
		zero = 16
	}
	if f.group == 16 {
		at, times = lineM32+4*f.sub(pass), 32
	}
	if zero > 0 {
		p("VPBROADCASTD %s, Y12", rowAt(at, r))
		if zero < times {
			p("VPSRAW $%d, Y12, Y12", bits.TrailingZeros(uint(times/zero)))
		}
	}
	for _, sum := range s {
		if zero > 0 {
			p("VPADDW Y12, Y%d, Y%d", sum, sum)
		}
		p("VPMADDWD ·ones16(SB), Y%d, Y%d", sum, sum)
	}
	if zero == f.zero {
		return
	}
	p("VPBROADCASTD %s, Y12", rowAt(lineN128, r))
	p("VPSRAD $%d, Y12, Y12", bits.TrailingZeros(uint(128/zero)))
	for _, sum := range s {
		p("VPSUBD Y12, Y%d, Y%d", sum, sum)
	}
}

// finish adds rows' integer sums, scaled, and offsets to their sums in memory. The halves' scales are in registers from
// scale on; Y12 and Y13 are spoiled.
func (f form) finish(sub int, rows []sums, scale int) {
	for _, s := range rows {
		p("VCVTDQ2PS Y%d, Y%d", s[0], s[0])
		p("VCVTDQ2PS Y%d, Y%d", s[1], s[1])
	}
	for r, s := range rows {
		p("VBROADCASTSS %s, Y12", rowAt(lineScale, r))
		p("VMULPS Y%d, Y12, Y13", scale)
		p("VFMADD213PS %d(DX), Y13, Y%d", 128*r, s[0])
		p("VMULPS Y%d, Y12, Y13", scale+1)
		p("VFMADD213PS %d(DX), Y13, Y%d", 128*r+32, s[1])
		if f.offset {
			f.sum("Y", sub, r, 12, 13)
			p("%s (R9), Y13, Y%d", f.addSum(), s[0])
			p("%s 32(R9), Y13, Y%d", f.addSum(), s[1])
		}
	}
	for r, s := range rows {
		p("VMOVUPS Y%d, %d(DX)", s[0], 128*r)
		p("VMOVUPS Y%d, %d(DX)", s[1], 128*r+32)
	}
}

// tileBytes is a block of codes of 8 bits, which are fetched where they are used: four rows at a time, of which the last may
// be nobody's, or two.
func tileBytes(name string, f form) {
	for half := range 2 {
		f.scales("Y", place{"BX", "R15"}, 0, 8*half, 12, 13)
		p("VMOVUPS Y12, %d(R9)", 32*half)
	}
	p("VMOVDQU ·ones16(SB), Y14")
	startPairs()
	rows := func(s []sums) {
		for r := range s {
			p("PREFETCHT0 %s", rowAt(lineBytes, r))
		}
		bytesAVX2(f, "BX", s, 8)
		p("VMOVUPS (R9), Y8")
		p("VMOVUPS 32(R9), Y9")
		f.finish(0, s, 8)
	}
	four := []sums{{0, 1}, {2, 3}, {4, 5}, {6, 7}}
	p("SUBQ $3, AX")
	p("JL %s_two", name)
	label("%s_four", name)
	rows(four)
	p("LEAQ (SI)(R11*4), SI")
	p("ADDQ $512, DX")
	p("SUBQ $4, AX")
	p("JGE %s_four", name)
	label("%s_two", name)
	p("ADDQ $2, AX")
	p("JL %s_done", name)
	rows(four[:2])
	label("%s_done", name)
}

// bytesAVX2 sums rows' numbers times codes of 8 bits as |w|·(x·sign w), of which two products fit in 16 bits:
// 2 × 128 × 127. Four registers from spare on are spoiled, and Y12 and Y13; Y14 has ones.
func bytesAVX2(f form, w string, rows []sums, spare int) {
	for v := range 8 {
		for half := range 2 {
			p("VMOVDQU %d(%s), Y%d", f.codesAt()+64*v+32*half, w, spare+2+half)
			p("VPABSB Y%d, Y%d", spare+2+half, spare+half)
		}
		for r, s := range rows {
			p("VPBROADCASTD %s, Y12", rowAt(4*v, r))
			p("VPSIGNB Y%d, Y12, Y13", spare+2)
			p("VPSIGNB Y%d, Y12, Y12", spare+3)
			for half, product := range []int{13, 12} {
				to := product
				if v == 0 {
					to = s[half]
				}
				p("VPMADDUBSW Y%d, Y%d, Y%d", product, spare+half, to)
			}
			for half, product := range []int{13, 12} {
				if v == 0 {
					p("VPMADDWD Y14, Y%d, Y%d", s[half], s[half])
					continue
				}
				p("VPMADDWD Y14, Y%d, Y%d", product, product)
				p("VPADDD Y%d, Y%d, Y%d", product, s[half], s[half])
			}
		}
	}
}

// clearTile zeroes the sums of all rows.
func clearTile(name string) {
	p("MOVQ 56(AX), DX")
	p("MOVQ 64(AX), AX")
	p("VXORPS Y0, Y0, Y0")
	label("%s_clear", name)
	p("VMOVUPS Y0, (DX)")
	p("VMOVUPS Y0, 32(DX)")
	p("ADDQ $128, DX")
	p("DECQ AX")
	p("JNZ %s_clear", name)
}

// storeTile copies the sums to dst.
func storeTile(name string) {
	p("MOVQ c+0(FP), AX")
	p("MOVQ 56(AX), DX")
	p("MOVQ 64(AX), AX")
	p("MOVQ DI, SI")
	label("%s_store", name)
	p("VMOVUPS (DX), Y0")
	p("VMOVUPS 32(DX), Y1")
	p("VMOVUPS Y0, (SI)")
	p("VMOVUPS Y1, 32(SI)")
	p("ADDQ $128, DX")
	p("ADDQ R13, SI")
	p("DECQ AX")
	p("JNZ %s_store", name)
}

package main

import "fmt"

// The kernels of AVX2 take a panel's two halves, of 8 weight rows each, one after the other: codes of a block of
// one half fill Y0 to Y7, with 8 bits as they are and else unsigned; scales are in Y15, offsets in Y14, those of a
// block's second group, where both pass together, in Y13 and Y12; what is left are sums and numbers just fetched.

// rowAVX2 is one input row, whose sums stay in registers:
//
//	BX panel   R15 its header   SI the row's line   CX blocks left   R14 panels left   DI dst   Y12, Y13 sums of the halves
func rowAVX2(f form) {
	name := fmt.Sprintf("row%sAVX2", f.name)
	text(name, 8)
	loadCall()
	label("%s_panel", name)
	startRows(1)
	p("VXORPS Y12, Y12, Y12")
	p("VXORPS Y13, Y13, Y13")
	p("VMOVDQU ·ones16(SB), Y11")
	loop(name+"_loop", f, 1, true, func() {
		for sub := range 32 / f.group {
			for half := range 2 {
				base := sub * f.groupBytes()
				f.scales("Y", place{"BX", "R15"}, base, 8*half, 15, 8)
				codesAVX2(f, base+f.codesAt()+32*half, 0)
				productsAVX2(f, sub, 0, []int{10}, []int{9}, "Y11")
				p("VBROADCASTSS %s, Y8", rowAt(lineScale, 0))
				p("VMULPS Y15, Y8, Y8")
				p("VFMADD231PS Y8, Y10, Y%d", 12+half)
				if f.offset {
					p("VBROADCASTSS %s, Y8", f.sumAt(sub, 0))
					p("VFMADD231PS Y8, Y14, Y%d", 12+half)
				}
			}
		}
	})
	store("Y", 12, 1, 0)
	store("Y", 13, 1, 32)
	p("ADDQ $64, DI")
	p("DECQ R14")
	p("JNZ %s_panel", name)
	p("VZEROUPPER")
	p("RET")
}

// tileAVX2 is an even number of rows, whose sums stand in memory, so that any number of them uses what was unpacked once:
//
//	BX panel   R15 its header   R8 row 0 at the block   SI rows of the quad   R11, R12 strides   DX sums of the quad, [4][32]
//	AX rows left   CX blocks left   R14 panels left   DI dst   R13 its stride   R10 how far ahead weights are asked for
func tileAVX2(f form) {
	name := fmt.Sprintf("tile%sAVX2", f.name)
	text(name, 8)
	loadCall()
	p("MOVQ 80(AX), R10")
	label("%s_panel", name)
	p("MOVQ c+0(FP), AX")
	p("MOVQ 8(AX), R8")
	p("MOVQ 40(AX), CX")
	clearTile(name)
	label("%s_loop", name)
	if f.header() > 0 {
		p("TESTQ $7, CX")
		p("JNZ %s_block", name)
		p("MOVQ BX, R15")
		p("ADDQ $%d, BX", f.header())
		label("%s_block", name)
	}
	for line := 0; line < f.groupBytes()*32/f.group; line += lineBytes {
		p("PREFETCHT1 %d(BX)(R10*1)", line)
	}
	for half := range 2 {
		for i, subs := range f.passes() {
			tileHalf(fmt.Sprintf("%s_half%d_pass%d", name, half, i), f, half, subs)
		}
	}
	p("ADDQ $%d, BX", f.groupBytes()*32/f.group)
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

// passes is which of a block's groups rows pass together: where each has scales and offsets, one, so that registers are
// left for four rows.
func (f form) passes() [][]int {
	switch {
	case f.group == 32:
		return [][]int{{0}}
	case f.offset:
		return [][]int{{0}, {1}}
	}
	return [][]int{{0, 1}}
}

// tileHalf is groups of a block of 8 weight rows for all input rows: four at a time, or two, so that what waits for others
// of its row leaves the processor room to go on with another's.
func tileHalf(name string, f form, half int, subs []int) {
	for i, sub := range subs {
		base := sub * f.groupBytes()
		f.scales("Y", place{"BX", "R15"}, base, 8*half, 15-2*i, 8)
		codesAVX2(f, base+f.codesAt()+32*half, i*f.group/4)
	}
	if ones := f.onesAVX2(); ones[0] == 'Y' {
		p("VMOVDQU ·ones16(SB), %s", ones)
	}
	p("MOVQ R8, SI")
	p("MOVQ c+0(FP), AX")
	p("MOVQ 56(AX), DX")
	p("MOVQ 64(AX), AX")
	if f.atOnce() == 4 {
		p("SUBQ $4, AX")
		p("JL %s_pair", name)
		label("%s_quad", name)
		tileRows(f, half, subs, 4)
		p("LEAQ (SI)(R11*4), SI")
		p("ADDQ $512, DX")
		p("SUBQ $4, AX")
		p("JGE %s_quad", name)
		label("%s_pair", name)
		p("ADDQ $2, AX")
		p("JL %s_done", name)
		tileRows(f, half, subs, 2)
		label("%s_done", name)
		return
	}
	label("%s_pair", name)
	tileRows(f, half, subs, 2)
	p("LEAQ (SI)(R11*2), SI")
	p("ADDQ $256, DX")
	p("SUBQ $2, AX")
	p("JG %s_pair", name)
}

// atOnce is how many rows registers are free for.
func (f form) atOnce() int {
	if f.bits == 4 || !f.offset {
		return 4
	}
	return 2
}

// onesAVX2 is where tiles keep ones of 16 bits.
func (f form) onesAVX2() string {
	switch {
	case f.bits == 6, f.bits == 5 && !f.offset:
		return "·ones16(SB)"
	case f.group == 16 && !f.offset:
		return "Y14"
	}
	return "Y11"
}

// fit is how many products of two fit in 16 bits together: 2 × (2^bits - 1) × 127 each.
func (f form) fit() int { return map[int]int{4: 8, 5: 4, 6: 2, 8: 1}[f.bits] }

// tileRows adds to n rows' sums.
func tileRows(f form, half int, subs []int, n int) {
	sums, spare := []int{9, 10, 12, 13}[:n], []int{14}
	switch {
	case f.group == 16 && !f.offset:
		sums = []int{9, 10, 11, 12}[:n]
	case f.bits == 5 && f.offset:
		spare = []int{12, 13}
	case f.bits == 5:
		spare = []int{11, 14}
	}
	for i, sub := range subs {
		scale := 15 - 2*i
		productsAVX2(f, sub, i*f.group/4, sums, spare, f.onesAVX2())
		for r, sum := range sums {
			if half == 0 && sub == 0 {
				p("PREFETCHT0 %s", rowAt(lineBytes, r))
			}
			p("VBROADCASTSS %s, Y8", rowAt(lineScale, r))
			p("VMULPS Y%d, Y8, Y8", scale)
			p("VFMADD213PS %d(DX), Y8, Y%d", 128*r+32*half, sum)
		}
		for r, sum := range sums {
			if f.offset {
				p("VBROADCASTSS %s, Y8", f.sumAt(sub, r))
				p("VFMADD231PS Y8, Y%d, Y%d", scale-1, sum)
			}
			p("VMOVUPS Y%d, %d(DX)", sum, 128*r+32*half)
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

// codesAVX2 unpacks the half's codes of a group to registers from first on.
func codesAVX2(f form, codes, first int) {
	vectors := f.group / 4
	if f.bits == 8 {
		for v := range vectors {
			p("VMOVDQU %d(BX), Y%d", codes+64*v, first+v)
		}
		return
	}
	p("VMOVDQU ·low4(SB), Y10")
	for v := range vectors / 2 {
		lo, hi := first+v, first+v+vectors/2
		p("VMOVDQU %d(BX), Y%d", codes+64*v, lo)
		p("VPSRLW $4, Y%d, Y%d", lo, hi)
		p("VPAND Y10, Y%d, Y%d", lo, lo)
		p("VPAND Y10, Y%d, Y%d", hi, hi)
	}
	if f.bits == 4 {
		return
	}
	for v := range vectors {
		vector, bit := f.plane(v)
		if bit == 0 {
			p("VMOVDQU %d(BX), Y8", codes+64*(vectors/2+vector))
		}
		from := 8
		if bit != 4 {
			from = 9
			toFourth("Y", bit, 8, from)
		}
		p("VPAND ·upper%d(SB), Y%d, Y9", f.bits, from)
		p("VPOR Y9, Y%d, Y%d", first+v, first+v)
	}
}

// productsAVX2 leaves in register sums[r], as float32, the sums of a group's codes, in registers from first on, with row
// r's numbers. Codes of 8 bits need one spare register; where a group does not fit in 16 bits, its second part is summed
// in them, for as many rows at once as there are.
func productsAVX2(f form, sub, first int, sums, spare []int, ones string) {
	if f.bits == 8 {
		bytesAVX2(sub, first, sums, spare[0], ones)
	} else {
		fit := min(f.fit(), f.group/4)
		runAVX2(f, sub, first, 0, fit, 0, sums, ones)
		for r := 0; fit < f.group/4 && r < len(sums); r += len(spare) {
			n := min(len(spare), len(sums)-r)
			runAVX2(f, sub, first, fit, 2*fit, r, spare[:n], ones)
			for i, more := range spare[:n] {
				p("VPADDD Y%d, Y%d, Y%d", more, sums[r+i], sums[r+i])
			}
		}
	}
	for r, sum := range sums {
		if f.bits < 8 && f.zero > 0 {
			p("VPBROADCASTD %s, Y8", f.biasAt(sub, r))
			if !f.eighths() {
				p("VPSRAD $%d, Y8, Y8", map[int]int{16: 3, 32: 2, 4: 5}[f.zero])
			}
			p("VPADDD Y8, Y%d, Y%d", sum, sum)
		}
		p("VCVTDQ2PS Y%d, Y%d", sum, sum)
	}
}

// runAVX2 sums codes [from, to) of a group, which fit in 16 bits, times rows' numbers from the given row on.
func runAVX2(f form, sub, first, from, to, row int, sums []int, ones string) {
	for v := from; v < to; v++ {
		for r, sum := range sums {
			p("VPBROADCASTD %s, Y8", rowAt(sub*f.group+4*v, row+r))
			if v == from {
				p("VPMADDUBSW Y8, Y%d, Y%d", first+v, sum)
				continue
			}
			p("VPMADDUBSW Y8, Y%d, Y8", first+v)
			p("VPADDW Y8, Y%d, Y%d", sum, sum)
		}
	}
	for _, sum := range sums {
		p("VPMADDWD %s, Y%d, Y%d", ones, sum, sum)
	}
}

// bytesAVX2 sums codes of 8 bits as |w|·(x·sign w), of which two products fit in 16 bits: 2 × 128 × 127.
func bytesAVX2(sub, first int, sums []int, size int, ones string) {
	for v := range 8 {
		p("VPABSB Y%d, Y%d", first+v, size)
		for r, sum := range sums {
			p("VPBROADCASTD %s, Y8", rowAt(32*sub+4*v, r))
			p("VPSIGNB Y%d, Y8, Y8", first+v)
			if v == 0 {
				p("VPMADDUBSW Y8, Y%d, Y%d", size, sum)
				p("VPMADDWD %s, Y%d, Y%d", ones, sum, sum)
				continue
			}
			p("VPMADDUBSW Y8, Y%d, Y8", size)
			p("VPMADDWD %s, Y8, Y8", ones)
			p("VPADDD Y8, Y%d, Y%d", sum, sum)
		}
	}
}

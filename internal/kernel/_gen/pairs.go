package main

import "fmt"

// pairsAVX512 takes panels two by two, so that an input number fetched and spread serves both: with one
// panel loads are as scarce as arithmetic. Sums stand in memory, so that any number of rows uses what was unpacked once; the last quad
// may go on behind the batch, see kernel.Input, whose sums nobody stores. Weights are asked for a whole pair before their use: two streams a fixed
// number of bytes ahead would leave the beginning of every second panel to be waited for.
//
//	BX, R9 panels A, B   R15, R10 their headers   R8 row 0 at the block   SI rows of the quad, R11, R12 strides
//	DX sums of the quad [4][32]   AX quads left   CX blocks left   R14 panels left   DI dst
//	Z0-Z7, Z16-Z23 codes   Z15, Z31 scales   Z14, Z30 offsets   Z8-Z11, Z24-Z27 products of the quad's rows
func pairsAVX512(f form) {
	name := "pairs" + f.name + "AVX512"
	text(name, 8)
	p("MOVQ c+0(FP), AX")
	p("MOVQ 0(AX), BX")
	p("MOVQ 16(AX), DI")
	p("MOVQ 24(AX), R11")
	p("LEAQ (R11)(R11*2), R12")
	p("MOVQ 48(AX), R14")
	label("%s_pair", name)
	p("MOVQ c+0(FP), AX")
	p("MOVQ BX, R9")
	p("ADDQ 72(AX), R9")
	p("MOVQ 8(AX), R8")
	p("MOVQ 40(AX), CX")
	clearSums(name)
	label("%s_loop", name)
	if f.header() > 0 {
		p("TESTQ $7, CX")
		p("JNZ %s_block", name)
		p("MOVQ BX, R15")
		p("MOVQ R9, R10")
		p("ADDQ $%d, BX", f.header())
		p("ADDQ $%d, R9", f.header())
		label("%s_block", name)
	}
	p("MOVQ c+0(FP), AX")
	p("MOVQ 80(AX), SI")
	for line := 0; line < f.blockBytes(); line += lineBytes {
		p("PREFETCHT1 %d(BX)(SI*1)", line)
		p("PREFETCHT1 %d(R9)(SI*1)", line)
	}
	for sub := range 32 / f.group {
		pairGroup(fmt.Sprintf("%s_quad%d", name, sub), f, sub)
	}
	p("ADDQ $%d, BX", f.blockBytes())
	p("ADDQ $%d, R9", f.blockBytes())
	p("ADDQ $%d, R8", lineBytes)
	p("DECQ CX")
	p("JNZ %s_loop", name)
	storeSums(name)
	p("MOVQ R9, BX")
	p("ADDQ $128, DI")
	p("SUBQ $2, R14")
	p("JG %s_pair", name)
	p("VZEROUPPER")
	p("RET")
}

// one is a kernel of one row that takes panels two at a time, which are two streams from memory. Both come to the second-level cache: a Xeon
// with AMX read 25.6 GB/s of Q5_0 so, 22.1 into the first.
//
//	BX panel A, R8 bytes to panel B   R15 header of A   SI the row's line   CX blocks left   R14 panels left   DI dst   R10, R11 how far
//	ahead weights are asked for
//
// clear begins a pair's sums, block adds a block of either panel to them, store ends them.
func (f form) one(name string, clear func(), block func(panel int, at place), store func()) {
	text(name, 8)
	callFields(0, "BX", 16, "DI", 48, "R14", 72, "R8", 80, "R10")
	p("LEAQ (R8)(R10*1), R11")
	label("%s_pair", name)
	startRows(1)
	clear()
	label("%s_loop", name)
	f.overHeader(name+"_block", "CX")
	for panel, at := range []place{{"BX", "R15"}, {"BX)(R8*1", "R15)(R8*1"}} {
		f.fetch("PREFETCHT1", 0, []string{"BX)(R10*1", "BX)(R11*1"}[panel])
		block(panel, at)
	}
	p("ADDQ $%d, BX", f.blockBytes())
	p("ADDQ $%d, SI", lineBytes)
	p("DECQ CX")
	p("JNZ %s_loop", name)
	store()
	p("ADDQ R8, BX")
	p("ADDQ $128, DI")
	p("SUBQ $2, R14")
	p("JNZ %s_pair", name)
	p("VZEROUPPER")
	p("RET")
}

// oneAVX512 has its sums in Z16 and Z17.
func oneAVX512(f form) {
	f.one("one"+f.name+"AVX512", func() {
		f.codesMask()
		p("VPXORD Z16, Z16, Z16")
		p("VPXORD Z17, Z17, Z17")
	}, func(panel int, at place) {
		for sub := range 32 / f.group {
			base := sub * f.groupBytes()
			f.scales("Z", at, base, 0, 15, 12)
			unpack(f, at.group, base+f.codesAt(), 0)
			rowsAVX512(f, 0, 1, sub, 16+panel)
		}
	}, func() {
		p("VMOVUPS Z16, (DI)")
		p("VMOVUPS Z17, 64(DI)")
	})
}

// oneAVX2 has its sums where they are wanted, since registers lack room for four of them.
func oneAVX2(f form) {
	f.one("one"+f.name+"AVX2", func() {
		p("VXORPS Y0, Y0, Y0")
		for i := range 4 {
			p("VMOVUPS Y0, %d(DI)", 32*i)
		}
	}, func(panel int, at place) {
		f.rowBlock(at, [2]string{fmt.Sprintf("%d(DI)", 64*panel), fmt.Sprintf("%d(DI)", 64*panel+32)})
	}, func() {})
}

// clearSums zeroes the sums of all rows, and asks for the lines of dst that they will go to: the stores of sums would wait behind
// stores to lines that are far away.
func clearSums(name string) {
	p("MOVQ 56(AX), DX")
	p("MOVQ 32(AX), SI")
	p("MOVQ 64(AX), AX")
	p("MOVQ DI, R10")
	p("VPXORD Z0, Z0, Z0")
	label("%s_clear", name)
	p("VMOVUPS Z0, (DX)")
	p("VMOVUPS Z0, 64(DX)")
	prefetchWrite("R10", 0)
	prefetchWrite("R10", 64)
	p("ADDQ SI, R10")
	p("ADDQ $128, DX")
	p("DECQ AX")
	p("JNZ %s_clear", name)
}

// storeSums copies the sums to dst.
func storeSums(name string) {
	p("MOVQ c+0(FP), AX")
	p("MOVQ 56(AX), DX")
	p("MOVQ 32(AX), SI")
	p("MOVQ 64(AX), AX")
	p("MOVQ DI, R8")
	label("%s_store", name)
	p("VMOVUPS (DX), Z0")
	p("VMOVUPS 64(DX), Z1")
	p("VMOVUPS Z0, (R8)")
	p("VMOVUPS Z1, 64(R8)")
	p("ADDQ $128, DX")
	p("ADDQ SI, R8")
	p("DECQ AX")
	p("JNZ %s_store", name)
}

// pairGroup is one group of both panels for all rows.
func pairGroup(name string, f form, sub int) {
	base := sub * f.groupBytes()
	for i, at := range []place{{"BX", "R15"}, {"R9", "R10"}} {
		f.codesMask()
		f.scales("Z", at, base, 0, 15+16*i, 12)
		unpack(f, at.group, base+f.codesAt(), 16*i)
	}
	p("MOVQ R8, SI")
	p("MOVQ c+0(FP), AX")
	p("MOVQ 56(AX), DX")
	p("MOVQ 64(AX), AX")
	label("%s", name)
	for r := range 4 {
		for _, acc := range []int{8, 24} {
			if f.bits == 8 || f.zero > 0 {
				p("VPBROADCASTD %s, Z%d", rowAt(f.bias(sub), r), acc+r)
			} else {
				p("VPXORD Z%d, Z%d, Z%d", acc+r, acc+r, acc+r)
			}
		}
	}
	spread := []int{12, 13, 28, 29}
	for v := range f.group / 4 {
		for r := range 4 {
			p("VPBROADCASTD %s, Z%d", rowAt(sub*f.group+4*v, r), spread[r])
			p("VPDPBUSD Z%d, Z%d, Z%d", spread[r], v, 8+r)
			p("VPDPBUSD Z%d, Z%d, Z%d", spread[r], 16+v, 24+r)
		}
	}
	for r := range 4 {
		p("VBROADCASTSS %s, Z12", rowAt(lineScale, r))
		if f.offset {
			f.sum("Z", sub, r, 12, 28)
		}
		for i, acc := range []int{8, 24} {
			p("VCVTDQ2PS Z%d, Z%d", acc+r, acc+r)
			p("VMULPS Z12, Z%d, Z13", 15+16*i)
			p("VFMADD213PS %d(DX), Z13, Z%d", 128*r+64*i, acc+r)
			if f.offset {
				p("%s Z28, Z%d, Z%d", f.addSum(), 14+16*i, acc+r)
			}
			p("VMOVUPS Z%d, %d(DX)", acc+r, 128*r+64*i)
		}
	}
	p("LEAQ (SI)(R11*4), SI")
	p("ADDQ $512, DX")
	p("SUBQ $4, AX")
	p("JG %s", name)
}

// prefetchWrite asks for a line to write to, which Go's assembler cannot.
func prefetchWrite(base string, off int8) {
	b := map[string]byte{"CX": 1, "R10": 10}[base]
	word(fmt.Sprintf("PREFETCHW %d(%s)", off, base), 0x40|b>>3, 0x0f, 0x0d, 0x48|b&7, byte(off))
}

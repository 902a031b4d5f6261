// Command gen writes the assembly of package kernel for amd64:
//
//	cd internal/kernel/_gen && go run . > ../kernels_amd64.s
//
// Operands are in Go's order (the destination last). Registers of the dot kernels:
//
//	AX call   BX panel   SI x   DI d   DX s   R12 z   CX blocks left
//	R8, R9 x stride ×1, ×3   R10, R11 d stride ×1, ×3   R14, R15 s stride ×1, ×3
package main

import (
	"fmt"
	"math"
	"os"
	"strings"
)

var out strings.Builder

func p(format string, args ...any) { fmt.Fprintf(&out, "\t"+format+"\n", args...) }

func label(format string, args ...any) { fmt.Fprintf(&out, format+":\n", args...) }

// form mirrors kernel's own.
type form struct {
	name       string
	bits       int
	group      int
	scaleBytes int
	offset     bool
	zero       bool
}

var forms = []form{
	{"4z", 4, 32, 2, false, true}, {"4m", 4, 32, 2, true, false}, {"4k", 4, 32, 4, true, false},
	{"8", 8, 32, 2, false, false}, {"8m", 8, 32, 2, true, false}, {"8k", 8, 32, 4, true, false},
	{"8w", 8, 32, 4, false, false}, {"8s", 8, 16, 4, false, false}, {"8t", 8, 16, 4, true, false},
}

func (f form) header() int {
	if f.offset {
		return 32 * f.scaleBytes
	}
	return 16 * f.scaleBytes
}

func (f form) groupBytes() int { return f.header() + 16*f.group*f.bits/8 }

// at is row r's operand: off bytes behind base, rows one stride apart.
func at(off int, base, stride, stride3 string, r int) string {
	switch r {
	case 1:
		return fmt.Sprintf("%d(%s)(%s*1)", off, base, stride)
	case 2:
		return fmt.Sprintf("%d(%s)(%s*2)", off, base, stride)
	case 3:
		return fmt.Sprintf("%d(%s)(%s*1)", off, base, stride3)
	}
	return fmt.Sprintf("%d(%s)", off, base)
}

func xAt(off, r int) string { return at(off, "SI", "R8", "R9", r) }
func dAt(r int) string      { return at(0, "DI", "R10", "R11", r) }
func sAt(off, r int) string { return at(off, "DX", "R14", "R15", r) }
func zAt(off, r int) string { return at(off, "R12", "R14", "R15", r) }

func text(name string, args int) {
	fmt.Fprintf(&out, "\n// func %s\nTEXT ·%s(SB), NOSPLIT, $0-%d\n", name, name, args)
}

func loadCall() {
	p("MOVQ c+0(FP), AX")
	p("MOVQ 48(AX), R8")
	p("LEAQ (R8)(R8*2), R9")
	p("MOVQ 56(AX), R10")
	p("LEAQ (R10)(R10*2), R11")
	p("MOVQ 64(AX), R14")
	p("LEAQ (R14)(R14*2), R15")
}

func loadPointers() {
	p("MOVQ 0(AX), BX")
	p("MOVQ 8(AX), SI")
	p("MOVQ 16(AX), DI")
	p("MOVQ 24(AX), DX")
	p("MOVQ 32(AX), R12")
	p("MOVQ 80(AX), CX")
}

func advance(f form) {
	p("ADDQ $%d, BX", f.groupBytes()*32/f.group)
	p("ADDQ $32, SI")
	p("ADDQ $4, DI")
	p("ADDQ $%d, DX", 4*32/f.group)
	p("ADDQ $%d, R12", 4*32/f.group)
	p("DECQ CX")
}

// store writes rows' accumulators, 32·half bytes into each output row.
func store(v string, first, rows, half int) {
	p("MOVQ 40(AX), R13")
	p("MOVQ 72(AX), CX")
	for r := range rows {
		p("VMOVUPS %s%d, %d(R13)", v, first+r, 32*half)
		if r < rows-1 {
			p("ADDQ CX, R13")
		}
	}
}

// finish turns the integer sums in v13 to floats and adds them to the row's accumulator.
func finish(v string, f form, r, sub int) {
	p("VCVTDQ2PS %s13, %s13", v, v)
	p("VBROADCASTSS %s, %s12", dAt(r), v)
	p("VMULPS %s15, %s12, %s12", v, v, v)
	p("VMULPS %s12, %s13, %s13", v, v, v)
	p("VADDPS %s13, %s%d, %s%d", v, v, 8+r, v, 8+r)
	if f.offset {
		p("VBROADCASTSS %s, %s12", sAt(4*sub, r), v)
		p("VMULPS %s14, %s12, %s12", v, v, v)
		p("VADDPS %s12, %s%d, %s%d", v, v, 8+r, v, 8+r)
	}
}

func loadScales(v string, f form, base, half, lanes int) {
	load := "VMOVUPS"
	if f.scaleBytes == 2 {
		load = "VCVTPH2PS"
	}
	p("%s %d(BX), %s15", load, base+half*lanes*f.scaleBytes, v)
	if f.offset {
		p("%s %d(BX), %s14", load, base+16*f.scaleBytes+half*lanes*f.scaleBytes, v)
	}
}

func dotAVX2(f form, rows int) {
	name := fmt.Sprintf("dot%sR%dAVX2", f.name, rows)
	text(name, 8)
	loadCall()
	for half := range 2 {
		loadPointers()
		for r := range rows {
			p("VXORPS Y%d, Y%d, Y%d", 8+r, 8+r, 8+r)
		}
		if f.bits == 8 {
			p("VMOVDQU ·ones16(SB), Y3")
		}
		label("%s_loop%d", name, half)
		for sub := range 32 / f.group {
			base := sub * f.groupBytes()
			loadScales("Y", f, base, half, 8)
			if f.bits == 4 {
				nibblesAVX2(f, base+f.header()+32*half, rows, sub)
			} else {
				bytesAVX2(f, base+f.header()+32*half, rows, sub)
			}
		}
		advance(f)
		p("JNZ %s_loop%d", name, half)
		store("Y", 8, rows, half)
	}
	p("VZEROUPPER")
	p("RET")
}

func nibblesAVX2(f form, codes, rows, sub int) {
	p("VMOVDQU ·low4(SB), Y13")
	for v := range 4 {
		p("VMOVDQU %d(BX), Y%d", codes+64*v, v)
		p("VPSRLW $4, Y%d, Y%d", v, v+4)
		p("VPAND Y13, Y%d, Y%d", v, v)
		p("VPAND Y13, Y%d, Y%d", v+4, v+4)
	}
	for r := range rows {
		for c := range 8 {
			p("VPBROADCASTD %s, Y12", xAt(4*c, r))
			if c == 0 {
				p("VPMADDUBSW Y12, Y%d, Y13", c)
				continue
			}
			p("VPMADDUBSW Y12, Y%d, Y12", c)
			p("VPADDW Y12, Y13, Y13") // 8 × 2 × 15 × 127 = 30480 fits
		}
		p("VPMADDWD ·ones16(SB), Y13, Y13")
		if f.zero {
			p("VPBROADCASTD %s, Y12", zAt(0, r))
			p("VPSLLD $3, Y12, Y12")
			p("VPSUBD Y12, Y13, Y13")
		}
		finish("Y", f, r, sub)
	}
}

func bytesAVX2(f form, codes, rows, sub int) {
	for r := range rows {
		p("VPXOR Y%d, Y%d, Y%d", 4+r, 4+r, 4+r)
	}
	for v := range f.group / 4 {
		p("VMOVDQU %d(BX), Y0", codes+64*v)
		p("VPABSB Y0, Y1")
		for r := range rows {
			p("VPBROADCASTD %s, Y2", xAt(sub*f.group+4*v, r))
			p("VPSIGNB Y0, Y2, Y2")
			p("VPMADDUBSW Y2, Y1, Y2") // |w|·(x·sign w): 2 × 128 × 127 fits
			p("VPMADDWD Y3, Y2, Y2")
			p("VPADDD Y2, Y%d, Y%d", 4+r, 4+r)
		}
	}
	for r := range rows {
		p("VMOVDQA Y%d, Y13", 4+r)
		finish("Y", f, r, sub)
	}
}

func dotAVX512(f form, rows int) {
	name := fmt.Sprintf("dot%sR%dAVX512", f.name, rows)
	text(name, 8)
	loadCall()
	loadPointers()
	for r := range rows {
		p("VPXORD Z%d, Z%d, Z%d", 8+r, 8+r, 8+r)
	}
	if f.bits == 4 {
		p("VPBROADCASTD ·low4(SB), Z16")
	} else {
		p("VPBROADCASTD ·high1(SB), Z16")
	}
	label("%s_loop", name)
	for sub := range 32 / f.group {
		base := sub * f.groupBytes()
		loadScales("Z", f, base, 0, 16)
		for r := range rows {
			p("VPXORD Z%d, Z%d, Z%d", 18+r, 18+r, 18+r)
		}
		codes := base + f.header()
		if f.bits == 4 {
			for v := range 4 {
				p("VMOVDQU32 %d(BX), Z%d", codes+64*v, v)
				p("VPSRLW $4, Z%d, Z%d", v, v+4)
				p("VPANDD Z16, Z%d, Z%d", v, v)
				p("VPANDD Z16, Z%d, Z%d", v+4, v+4)
			}
			for c := range 8 {
				for r := range rows {
					p("VPDPBUSD.BCST %s, Z%d, Z%d", xAt(4*c, r), c, 18+r)
				}
			}
		} else {
			for v := range f.group / 4 {
				p("VPXORD %d(BX), Z16, Z0", codes+64*v) // signed w to unsigned w+128
				for r := range rows {
					p("VPDPBUSD.BCST %s, Z0, Z%d", xAt(sub*f.group+4*v, r), 18+r)
				}
			}
		}
		for r := range rows {
			shift := 3
			if f.bits == 8 {
				shift = 7
			}
			if f.bits == 8 || f.zero {
				p("VPBROADCASTD %s, Z12", zAt(4*sub, r))
				p("VPSLLD $%d, Z12, Z12", shift)
				p("VPSUBD Z12, Z%d, Z13", 18+r)
			} else {
				p("VMOVDQA32 Z%d, Z13", 18+r)
			}
			finish("Z", f, r, sub)
		}
	}
	advance(f)
	p("JNZ %s_loop", name)
	store("Z", 8, rows, 0)
	p("VZEROUPPER")
	p("RET")
}

// floats: accumulators Y(4r+part), part = k%4.
func floatsAVX2(kind string, bytes, rows int) {
	name := fmt.Sprintf("dot%sR%dAVX2", kind, rows)
	text(name, 8)
	loadCall()
	step := func(j, half int) {
		off := 16*bytes*j + 8*bytes*half
		switch kind {
		case "f32":
			p("VMOVUPS %d(BX), Y8", off)
		case "f16":
			p("VCVTPH2PS %d(BX), Y8", off)
		case "bf16":
			p("VPMOVZXWD %d(BX), Y8", off)
			p("VPSLLD $16, Y8, Y8")
		}
		for r := range rows {
			p("VBROADCASTSS %s, Y9", xAt(4*j, r))
			p("VFMADD231PS Y9, Y8, Y%d", 4*r+j)
		}
	}
	for half := range 2 {
		loadPointers()
		for i := range 4 * rows {
			p("VXORPS Y%d, Y%d, Y%d", i, i, i)
		}
		p("SUBQ $4, CX")
		p("JL %s_tail%d", name, half)
		label("%s_loop%d", name, half)
		for j := range 4 {
			step(j, half)
		}
		p("ADDQ $%d, BX", 4*16*bytes)
		p("ADDQ $16, SI")
		p("SUBQ $4, CX")
		p("JGE %s_loop%d", name, half)
		label("%s_tail%d", name, half)
		for j := range 3 {
			p("CMPQ CX, $%d", j-3)
			p("JLT %s_done%d", name, half)
			step(j, half)
		}
		label("%s_done%d", name, half)
		for r := range rows {
			p("VADDPS Y%d, Y%d, Y%d", 4*r+1, 4*r, 4*r)
			p("VADDPS Y%d, Y%d, Y%d", 4*r+3, 4*r+2, 4*r+2)
			p("VADDPS Y%d, Y%d, Y%d", 4*r+2, 4*r, 8+r)
		}
		store("Y", 8, rows, half)
	}
	p("VZEROUPPER")
	p("RET")
}

func constant(name string, words ...uint32) {
	for i := range 8 {
		fmt.Fprintf(&out, "DATA ·%s+%d(SB)/4, $0x%08x\n", name, 4*i, words[i%len(words)])
	}
	fmt.Fprintf(&out, "GLOBL ·%s(SB), RODATA|NOPTR, $32\n", name)
}

func float(name string, v float32) { constant(name, math.Float32bits(v)) }

func main() {
	out.WriteString("// Code generated by _gen; DO NOT EDIT.\n\n//go:build amd64 && !purego\n\n#include \"textflag.h\"\n\n")
	constant("low4", 0x0f0f0f0f)
	constant("ones16", 0x00010001)
	constant("high1", 0x80808080)
	constant("absMask", 0x7fffffff)
	constant("interleave", 0, 4, 1, 5, 2, 6, 3, 7)
	for _, f := range forms {
		for _, rows := range []int{1, 4} {
			dotAVX2(f, rows)
			dotAVX512(f, rows)
		}
	}
	for _, rows := range []int{1, 2} {
		floatsAVX2("f32", 4, rows)
		floatsAVX2("f16", 2, rows)
		floatsAVX2("bf16", 2, rows)
	}
	vectors()
	fmt.Fprint(os.Stdout, out.String())
}

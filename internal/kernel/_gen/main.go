// Command gen writes the assembly of package kernel:
//
//	cd internal/kernel/_gen && go run . amd64 > ../kernels_amd64.s && go run . amx > ../kernels_amx_amd64.s && go run . reading > ../kernels_reading_amd64.s && go run . arm64 > ../kernels_arm64.s && go run . efforts > ../efforts_amd64.go
//
// What begins with neon is for arm64, the rest for amd64, but for forms and lines. There, operands are in Go's order (the destination last). Registers of the dot kernels:
//
//	AX call   BX panel   CX blocks left   DI dst   R13 dst stride   R14 panels left
//	SI, R8, R9, R10 input rows 0, 4, 8, 12   R11, R12 row stride ×1, ×3
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
	zero       int
}

var forms = []form{
	{"4z", 4, 32, 2, false, 8}, {"4m", 4, 32, 2, true, 0}, {"4k", 4, 32, 1, true, 0},
	{"5z", 5, 32, 2, false, 16}, {"5m", 5, 32, 2, true, 0}, {"5k", 5, 32, 1, true, 0},
	{"6s", 6, 16, 1, false, 32}, {"4s", 4, 16, 1, false, 4}, {"4t", 4, 16, 1, true, 0},
	{"8", 8, 32, 2, false, 0}, {"8w", 8, 32, 4, false, 0}, {"8x", 8, 32, 1, false, 0},
}

// codesAt is where a group's codes begin.
func (f form) codesAt() int {
	if f.offset {
		return 32 * f.scaleBytes
	}
	return 16 * f.scaleBytes
}

func (f form) groupBytes() int { return f.codesAt() + 16*f.group*f.bits/8 }

// blockBytes is what 32 weights of each lane take, but for a header.
func (f form) blockBytes() int { return f.groupBytes() * 32 / f.group }

// fetch asks for a block's lines that stand so many bytes behind a place.
func (f form) fetch(op string, ahead int, at string) {
	for line := 0; line < f.blockBytes(); line += lineBytes {
		p("%s %d(%s)", op, ahead+line, at)
	}
}

// overHeader takes BX over a header, and R15 to it, where one stands in front of the next eight of the blocks left.
func (f form) overHeader(behind, left string) {
	if f.header() == 0 {
		return
	}
	p("TESTQ $7, %s", left)
	p("JNZ %s", behind)
	p("MOVQ BX, R15")
	p("ADDQ $%d, BX", f.header())
	label("%s", behind)
}

// codesMask fills Z13 for unpack.
func (f form) codesMask() {
	if f.bits < 8 {
		p("VPBROADCASTD ·low4(SB), Z13")
	} else {
		p("VPBROADCASTD ·high1(SB), Z13")
	}
}

// header is the bytes in front of eight blocks of 32 weights.
func (f form) header() int {
	switch {
	case f.scaleBytes != 1:
		return 0
	case f.offset:
		return 64
	}
	return 32
}

// bases point at rows 0, 4, 8 and 12 of a tile.
var bases = [...]string{"SI", "R8", "R9", "R10"}

// rowAt is row r's operand, off bytes behind its start.
func rowAt(off, r int) string {
	base := bases[r/4]
	switch r % 4 {
	case 1:
		return fmt.Sprintf("%d(%s)(R11*1)", off, base)
	case 2:
		return fmt.Sprintf("%d(%s)(R11*2)", off, base)
	case 3:
		return fmt.Sprintf("%d(%s)(R12*1)", off, base)
	}
	return fmt.Sprintf("%d(%s)", off, base)
}

// The line of an input row: see kernel.Input.
const (
	lineBytes = 64
	lineScale = 32 // d
	lineSum   = 36 // d·Σq of all 32
	lineM16   = 40 // -16·Σq of the first two of each four, of the last two
	lineN128  = 44 // -128·Σq
	lineM32   = 48 // -32·Σq of twos likewise, of the first 16, then of the last
	lineN16   = 56 // -128·Σq of the first 16, of the last
)

// bias is where in a line -128 times the sum of a group's numbers stands.
func (f form) bias(sub int) int {
	if f.group == 16 {
		return lineN16 + 4*sub
	}
	return lineN128
}

// sum fills a register with d·Σq of row r's group; where that is of 16, with -d·Σq, and the register scale has d.
func (f form) sum(v string, sub, r, scale, to int) {
	if f.group == 32 {
		p("VBROADCASTSS %s, %s%d", rowAt(lineSum, r), v, to)
		return
	}
	p("VPBROADCASTD %s, %s%d", rowAt(f.bias(sub), r), v, to)
	p("VPSRAD $7, %s%d, %s%d", v, to, v, to)
	p("VCVTDQ2PS %s%d, %s%d", v, to, v, to)
	p("VMULPS %s%d, %s%d, %s%d", v, scale, v, to, v, to)
}

// addSum is the instruction that adds what sum left times offsets.
func (f form) addSum() string {
	if f.group == 32 {
		return "VFMADD231PS"
	}
	return "VFNMADD231PS"
}

// addOffset does both with AVX-512, to an accumulator; the register for the moment is spoiled.
func (f form) addOffset(sub, r, offset, moment, acc int) {
	switch {
	case !f.offset:
	case f.group == 32:
		p("VFMADD231PS.BCST %s, Z%d, Z%d", rowAt(lineSum, r), offset, acc)
	default:
		p("VPSRAD.BCST $7, %s, Z%d", rowAt(f.bias(sub), r), moment)
		p("VCVTDQ2PS Z%d, Z%d", moment, moment)
		p("VMULPS.BCST %s, Z%d, Z%d", rowAt(lineScale, r), moment, moment)
		p("VFNMADD231PS Z%d, Z%d, Z%d", moment, offset, acc)
	}
}

func text(name string, args int) {
	fmt.Fprintf(&out, "\n// func %s\nTEXT ·%s(SB), NOSPLIT, $0-%d\n", name, name, args)
}

// frame begins a kernel that is given a pointer, with so many bytes of its own.
func frame(name string, bytes int) {
	fmt.Fprintf(&out, "\n// func %s\nTEXT ·%s(SB), NOSPLIT, $%d-8\n", name, name, bytes)
}

// loadCall reads kernel.dotCall.
func loadCall() {
	p("MOVQ c+0(FP), AX")
	p("MOVQ 0(AX), BX")
	p("MOVQ 16(AX), DI")
	p("MOVQ 24(AX), R11")
	p("LEAQ (R11)(R11*2), R12")
	p("MOVQ 32(AX), R13")
	p("MOVQ 48(AX), R14")
}

// startRows points the bases at the first block.
func startRows(rows int) {
	p("MOVQ 8(AX), SI")
	p("MOVQ 40(AX), CX")
	for b := 1; b < (rows+3)/4; b++ {
		p("LEAQ (%s)(R11*4), %s", bases[b-1], bases[b])
	}
}

// ahead is how far before their use weights are asked for: one row against a matrix in memory read, on one
// core of a Xeon with AVX-512, 9.5 GB/s of Q4_K without, 12.2 with 1,024 bytes, 13.5 with 2,048, 14.3 with 4,096.
const ahead = 4096

// loop runs body for every block of 32 weights, with R15 at the header where there is one; fetch asks for weights.
func loop(name string, f form, rows int, fetch string, body func()) {
	label("%s", name)
	if f.header() > 0 {
		p("MOVQ BX, R15")
		p("ADDQ $%d, BX", f.header())
		p("MOVQ $8, DX")
		label("%s_block", name)
	}
	f.fetch(fetch, ahead, "BX")
	body()
	p("ADDQ $%d, BX", f.blockBytes())
	for b := range (rows + 3) / 4 {
		p("ADDQ $%d, %s", lineBytes, bases[b])
	}
	if f.header() > 0 {
		p("DECQ DX")
		p("JNZ %s_block", name)
		p("SUBQ $8, CX")
	} else {
		p("DECQ CX")
	}
	p("JNZ %s", name)
}

// store writes rows' accumulators, from register first on, off bytes into each output row.
func store(v string, first, rows, off int) {
	p("MOVQ DI, DX")
	for r := range rows {
		p("VMOVUPS %s%d, %d(DX)", v, first+r, off)
		if r < rows-1 {
			p("ADDQ R13, DX")
		}
	}
}

// place is where a kernel finds a panel: registers that point at the next group and at its header.
type place struct{ group, header string }

// scales fills register to with the scales of lanes, from the first given one on, of the group base bytes on, and the one
// before it with their offsets; register spoiled is.
func (f form) scales(v string, at place, base, first, to, spoiled int) {
	for i, reg := range []int{to, to - 1} {
		if i == 1 && !f.offset {
			return
		}
		off := base + (16*i+first)*f.scaleBytes
		switch f.scaleBytes {
		case 1:
			p("VPMOVSXBD %d(%s), %s%d", off, at.group, v, reg)
			p("VCVTDQ2PS %s%d, %s%d", v, reg, v, reg)
			p("VCVTPH2PS %d(%s), %s%d", 32*i+2*first, at.header, v, spoiled)
			p("VMULPS %s%d, %s%d, %s%d", v, spoiled, v, reg, v, reg)
		case 2:
			p("VCVTPH2PS %d(%s), %s%d", off, at.group, v, reg)
		case 4:
			p("VMOVUPS %d(%s), %s%d", off, at.group, v, reg)
		}
	}
}

// plane is where the upper bits of vector v of codes stand: which vector behind the nibbles, and from
// which bit of its bytes on.
func (f form) plane(v int) (vector, bit int) {
	extra := f.bits - 4
	per := 8 / extra
	return v / per, v % per * extra
}

// toFourth moves the bits from one bit of each byte on to the fourth, in register from, to register to.
func toFourth(v string, bit, from, to int) {
	switch {
	case bit < 4:
		p("VPSLLW $%d, %s%d, %s%d", 4-bit, v, from, v, to)
	case bit > 4:
		p("VPSRLW $%d, %s%d, %s%d", bit-4, v, from, v, to)
	default:
		p("VMOVDQA%s %s%d, %s%d", map[string]string{"Y": "", "Z": "32"}[v], v, from, v, to)
	}
}

// dotAVX512: a group's codes are unpacked to Z0-Z7 once for all rows; rows take their integer products
// four at a time in Z8-Z11, so that four chains hide the instruction's latency; Z16+r accumulates. Those that fetch to the first-level cache
// are called Near.
func dotAVX512(f form, rows int, fetch string) {
	name := fmt.Sprintf("dot%sR%d%sAVX512", f.name, rows, map[string]string{"PREFETCHT0": "Near"}[fetch])
	text(name, 8)
	loadCall()
	f.codesMask()
	label("%s_panel", name)
	startRows(rows)
	for r := range rows {
		p("VPXORD Z%d, Z%d, Z%d", 16+r, 16+r, 16+r)
	}
	loop(name+"_loop", f, rows, fetch, func() {
		for sub := range 32 / f.group {
			base := sub * f.groupBytes()
			f.scales("Z", place{"BX", "R15"}, base, 0, 15, 12)
			unpack(f, "BX", base+f.codesAt(), 0)
			for first := 0; first < rows; first += 4 {
				rowsAVX512(f, first, min(first+4, rows), sub, 16)
			}
		}
	})
	store("Z", 16, rows, 0)
	p("ADDQ $64, DI")
	p("DECQ R14")
	p("JNZ %s_panel", name)
	p("VZEROUPPER")
	p("RET")
}

// unpack leaves unsigned codes in registers from first on, with their zero at 128 where the bias is of n128
// or n16. Z13 has the mask; Z8 to Z12 are spoiled.
func unpack(f form, w string, codes, first int) { unpackWith(f, w, codes, first, "VPANDD Z13", 12) }

// unpackWith takes the four lower bits by an instruction's beginning, and spoils a register.
func unpackWith(f form, w string, codes, first int, low4 string, spoiled int) {
	vectors := f.group / 4
	if f.bits == 8 {
		for v := range vectors {
			p("VPXORD %d(%s), Z13, Z%d", codes+64*v, w, first+v) // signed w to unsigned w+128
		}
		return
	}
	for v := range vectors / 2 {
		lo, hi := first+v, first+v+vectors/2
		p("VMOVDQU32 %d(%s), Z%d", codes+64*v, w, lo)
		p("VPSRLW $4, Z%d, Z%d", lo, hi)
		p("%s, Z%d, Z%d", low4, lo, lo)
		p("%s, Z%d, Z%d", low4, hi, hi)
	}
	if f.bits > 4 {
		for v := range vectors {
			vector, bit := f.plane(v)
			if bit == 0 {
				p("VMOVDQU32 %d(%s), Z%d", codes+64*(vectors/2+vector), w, spoiled)
			}
			from := spoiled
			if bit != 4 {
				from = 8 + v%4
				toFourth("Z", bit, spoiled, from)
			}
			p("VPTERNLOGD.BCST $0xf8, ·upper%d(SB), Z%d, Z%d", f.bits, from, first+v) // |= from & upper
		}
	}
	if f.zero > 0 {
		for v := range vectors {
			p("VPADDB ·to128from%d(SB), Z%d, Z%d", f.zero, first+v, first+v)
		}
	}
}

// rowsAVX512 adds products of a group to the rows' accumulators, of which acc is the first.
func rowsAVX512(f form, from, to, sub, acc int) {
	for r := from; r < to; r++ {
		if f.bits == 8 || f.zero > 0 {
			p("VPBROADCASTD %s, Z%d", rowAt(f.bias(sub), r), 8+r-from)
		} else {
			p("VPXORD Z%d, Z%d, Z%d", 8+r-from, 8+r-from, 8+r-from)
		}
	}
	for v := range f.group / 4 {
		for r := from; r < to; r++ {
			p("VPDPBUSD.BCST %s, Z%d, Z%d", rowAt(sub*f.group+4*v, r), v, 8+r-from)
		}
	}
	for r := from; r < to; r++ {
		p("VCVTDQ2PS Z%d, Z%d", 8+r-from, 8+r-from)
		p("VMULPS.BCST %s, Z15, Z12", rowAt(lineScale, r))
		p("VFMADD231PS Z12, Z%d, Z%d", 8+r-from, acc+r)
		f.addOffset(sub, r, 14, 12, acc+r)
	}
}

// floats: accumulators Y(4r+part), part = k%4.
func floatsAVX2(kind string, bytes, rows int) {
	name := fmt.Sprintf("dot%sR%dAVX2", kind, rows)
	text(name, 8)
	loadCall()
	label("%s_panel", name)
	p("MOVQ BX, R15")
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
			p("VBROADCASTSS %s, Y9", rowAt(4*j, r))
			p("VFMADD231PS Y9, Y8, Y%d", 4*r+j)
		}
	}
	for half := range 2 {
		p("MOVQ R15, BX")
		startRows(rows)
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
		store("Y", 8, rows, 32*half)
	}
	// The columns need not be whole steps of the loop, so the next panel is found from this one's start.
	p("MOVQ 40(AX), CX")
	p("IMULQ $%d, CX", 16*bytes)
	p("LEAQ (R15)(CX*1), BX")
	p("ADDQ $64, DI")
	p("DECQ R14")
	p("JNZ %s_panel", name)
	p("VZEROUPPER")
	p("RET")
}

func constant(name string, words ...uint32) { data(name, 8, words) }

// wide fills 64 bytes.
func wide(name string, words ...uint32) { data(name, 16, words) }

func data(name string, n int, words []uint32) {
	for i := range n {
		fmt.Fprintf(&out, "DATA ·%s+%d(SB)/4, $0x%08x\n", name, 4*i, words[i%len(words)])
	}
	fmt.Fprintf(&out, "GLOBL ·%s(SB), RODATA|NOPTR, $%d\n", name, 4*n)
}

func float(name string, v float32) { constant(name, math.Float32bits(v)) }

func main() {
	switch strings.Join(os.Args[1:], " ") {
	case "amd64":
		amd64()
	case "amx":
		tiles()
	case "reading":
		reading()
	case "arm64":
		neon()
	case "efforts":
		fmt.Print(efforts())
		return
	default:
		fmt.Fprintln(os.Stderr, "usage: go run . amd64|amx|reading|arm64|efforts")
		os.Exit(2)
	}
	fmt.Fprint(os.Stdout, out.String())
}

// beginFile writes what every file of an architecture begins with.
func beginFile(arch string) {
	fmt.Fprintf(&out, "// Code generated by _gen; DO NOT EDIT.\n\n//go:build %s && !purego\n\n#include \"textflag.h\"\n\n", arch)
}

func amd64() {
	beginFile("amd64")
	constant("low4", 0x0f0f0f0f)
	constant("ones8", 0x01010101)
	constant("ones16", 0x00010001)
	constant("high1", 0x80808080)
	constant("upper5", 0x10101010)
	constant("upper6", 0x30303030)
	for _, zero := range []int{4, 8, 16, 32} {
		wide(fmt.Sprintf("to128from%d", zero), uint32(128-zero)*0x01010101)
	}
	constant("absMask", 0x7fffffff)
	constant("interleave", 0, 4, 1, 5, 2, 6, 3, 7)
	for _, f := range forms {
		rowAVX2(f)
		oneAVX2(f)
		tileAVX2(f)
		for _, rows := range []int{2, 4, 8, 16} {
			dotAVX512(f, rows, "PREFETCHT1")
		}
		for _, rows := range []int{1, 2, 4} {
			dotAVX512(f, rows, "PREFETCHT0")
		}
		pairsAVX512(f)
		oneAVX512(f)
	}
	for _, rows := range []int{1, 2} {
		floatsAVX2("f32", 4, rows)
		floatsAVX2("f16", 2, rows)
		floatsAVX2("bf16", 2, rows)
	}
	vectors()
	packing()
}

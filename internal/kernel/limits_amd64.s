//go:build !purego

#include "textflag.h"

// Bare loops that wait for nothing; see measure.go. Their operands are what registers and stack hold, whose values do not change the speed of
// integers; those of the floats are zeros, so that none is denormal.

// PRODUCTS makes two products of each of three numbers that stand on the stack.
#define PRODUCTS(a, b, c) \
	VPBROADCASTD a(SP), Y12; \
	VPMADDUBSW Y12, Y13, Y6; \
	VPMADDUBSW Y12, Y14, Y7; \
	VPBROADCASTD b(SP), Y12; \
	VPMADDUBSW Y12, Y13, Y8; \
	VPMADDUBSW Y12, Y14, Y9; \
	VPBROADCASTD c(SP), Y12; \
	VPMADDUBSW Y12, Y13, Y10; \
	VPMADDUBSW Y12, Y14, Y11

// SUMS adds the products of six numbers, a to f, to six sums, of which three come from the stack, x to z, and go back there.
#define SUMS(a, b, c, d, e, f, x, y, z) \
	PRODUCTS(a, b, c); \
	VPADDW x(SP), Y6, Y0; \
	VPADDW y(SP), Y7, Y1; \
	VPADDW z(SP), Y8, Y2; \
	VPADDW Y9, Y3, Y3; \
	VPADDW Y10, Y4, Y4; \
	VPADDW Y11, Y5, Y5; \
	PRODUCTS(d, e, f); \
	VPADDW Y6, Y0, Y0; \
	VPADDW Y7, Y1, Y1; \
	VPADDW Y8, Y2, Y2; \
	VPADDW Y9, Y3, Y3; \
	VPADDW Y10, Y4, Y4; \
	VPADDW Y11, Y5, Y5; \
	VMOVDQU Y0, x(SP); \
	VMOVDQU Y1, y(SP); \
	VMOVDQU Y2, z(SP)

// func integersAVX2(n int)
// 48 × 32 products: each two of them with another number that is spread from memory, which is how AVX2 takes one, and added to sums of 16
// bits, one in four of which comes from memory and goes back there, as sums of tiles of many rows must.
TEXT ·integersAVX2(SB), NOSPLIT, $448-8
	MOVQ n+0(FP), CX

loop:
	SUMS(0, 4, 8, 12, 16, 20, 64, 96, 128)
	SUMS(24, 28, 32, 36, 40, 44, 160, 192, 224)
	SUMS(48, 52, 56, 60, 0, 4, 256, 288, 320)
	SUMS(8, 12, 16, 20, 24, 28, 352, 384, 416)
	DECQ CX
	JNZ loop
	VZEROUPPER
	RET

// THIRTY is an instruction on thirty sums: with twelve, Xeons whose two units of 512 bits take turns wait for the sums (1.3 a cycle, not 2).
#define FIVE(op, a, b, c, d, e) \
	op Z31, Z30, a; \
	op Z31, Z30, b; \
	op Z31, Z30, c; \
	op Z31, Z30, d; \
	op Z31, Z30, e
#define THIRTY(op) \
	FIVE(op, Z0, Z1, Z2, Z3, Z4); \
	FIVE(op, Z5, Z6, Z7, Z8, Z9); \
	FIVE(op, Z10, Z11, Z12, Z13, Z14); \
	FIVE(op, Z15, Z16, Z17, Z18, Z19); \
	FIVE(op, Z20, Z21, Z22, Z23, Z24); \
	FIVE(op, Z25, Z26, Z27, Z28, Z29)
#define CLEAR \
	VPXORD Z31, Z31, Z31; \
	VPXORD Z30, Z30, Z30; \
	THIRTY(VPANDD)

// func integersAVX512(n int)
// 30 × 64 products, added to sums of 32 bits.
TEXT ·integersAVX512(SB), NOSPLIT, $0-8
	MOVQ n+0(FP), CX
	CLEAR

loop:
	THIRTY(VPDPBUSD)
	DECQ CX
	JNZ loop
	VZEROUPPER
	RET

// func floatsAVX2(n int)
// 12 × 8 products, added.
TEXT ·floatsAVX2(SB), NOSPLIT, $0-8
	MOVQ n+0(FP), CX
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
	VXORPS Y2, Y2, Y2
	VXORPS Y3, Y3, Y3
	VXORPS Y4, Y4, Y4
	VXORPS Y5, Y5, Y5
	VXORPS Y6, Y6, Y6
	VXORPS Y7, Y7, Y7
	VXORPS Y8, Y8, Y8
	VXORPS Y9, Y9, Y9
	VXORPS Y10, Y10, Y10
	VXORPS Y11, Y11, Y11
	VXORPS Y12, Y12, Y12
	VXORPS Y13, Y13, Y13

loop:
	VFMADD231PS Y13, Y12, Y0
	VFMADD231PS Y13, Y12, Y1
	VFMADD231PS Y13, Y12, Y2
	VFMADD231PS Y13, Y12, Y3
	VFMADD231PS Y13, Y12, Y4
	VFMADD231PS Y13, Y12, Y5
	VFMADD231PS Y13, Y12, Y6
	VFMADD231PS Y13, Y12, Y7
	VFMADD231PS Y13, Y12, Y8
	VFMADD231PS Y13, Y12, Y9
	VFMADD231PS Y13, Y12, Y10
	VFMADD231PS Y13, Y12, Y11
	DECQ CX
	JNZ loop
	VZEROUPPER
	RET

// func floatsAVX512(n int)
// 30 × 16 products, added.
TEXT ·floatsAVX512(SB), NOSPLIT, $0-8
	MOVQ n+0(FP), CX
	CLEAR

loop:
	THIRTY(VFMADD231PS)
	DECQ CX
	JNZ loop
	VZEROUPPER
	RET

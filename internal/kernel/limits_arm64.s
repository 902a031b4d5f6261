//go:build !purego

#include "textflag.h"

// Bare loops over sixteen sums in registers; see measure.go.

// func integersNEON(n int)
// 16 × 16 products, added to sums of 32 bits.
TEXT ·integersNEON(SB), NOSPLIT, $0-8
	MOVD n+0(FP), R0

loop:
	WORD $0x4e9f97c0 // sdot v0.4s, v30.16b, v31.16b
	WORD $0x4e9f97c1 // sdot v1.4s, v30.16b, v31.16b
	WORD $0x4e9f97c2 // sdot v2.4s, v30.16b, v31.16b
	WORD $0x4e9f97c3 // sdot v3.4s, v30.16b, v31.16b
	WORD $0x4e9f97c4 // sdot v4.4s, v30.16b, v31.16b
	WORD $0x4e9f97c5 // sdot v5.4s, v30.16b, v31.16b
	WORD $0x4e9f97c6 // sdot v6.4s, v30.16b, v31.16b
	WORD $0x4e9f97c7 // sdot v7.4s, v30.16b, v31.16b
	WORD $0x4e9f97c8 // sdot v8.4s, v30.16b, v31.16b
	WORD $0x4e9f97c9 // sdot v9.4s, v30.16b, v31.16b
	WORD $0x4e9f97ca // sdot v10.4s, v30.16b, v31.16b
	WORD $0x4e9f97cb // sdot v11.4s, v30.16b, v31.16b
	WORD $0x4e9f97cc // sdot v12.4s, v30.16b, v31.16b
	WORD $0x4e9f97cd // sdot v13.4s, v30.16b, v31.16b
	WORD $0x4e9f97ce // sdot v14.4s, v30.16b, v31.16b
	WORD $0x4e9f97cf // sdot v15.4s, v30.16b, v31.16b
	SUB $1, R0
	CBNZ R0, loop
	RET

// func fmaNEON(n int)
// 16 × 4 products, added.
TEXT ·fmaNEON(SB), NOSPLIT, $0-8
	MOVD n+0(FP), R0
	VEOR V0.B16, V0.B16, V0.B16
	VEOR V1.B16, V1.B16, V1.B16
	VEOR V2.B16, V2.B16, V2.B16
	VEOR V3.B16, V3.B16, V3.B16
	VEOR V4.B16, V4.B16, V4.B16
	VEOR V5.B16, V5.B16, V5.B16
	VEOR V6.B16, V6.B16, V6.B16
	VEOR V7.B16, V7.B16, V7.B16
	VEOR V8.B16, V8.B16, V8.B16
	VEOR V9.B16, V9.B16, V9.B16
	VEOR V10.B16, V10.B16, V10.B16
	VEOR V11.B16, V11.B16, V11.B16
	VEOR V12.B16, V12.B16, V12.B16
	VEOR V13.B16, V13.B16, V13.B16
	VEOR V14.B16, V14.B16, V14.B16
	VEOR V15.B16, V15.B16, V15.B16
	VEOR V30.B16, V30.B16, V30.B16
	VEOR V31.B16, V31.B16, V31.B16

loop:
	VFMLA V30.S4, V31.S4, V0.S4
	VFMLA V30.S4, V31.S4, V1.S4
	VFMLA V30.S4, V31.S4, V2.S4
	VFMLA V30.S4, V31.S4, V3.S4
	VFMLA V30.S4, V31.S4, V4.S4
	VFMLA V30.S4, V31.S4, V5.S4
	VFMLA V30.S4, V31.S4, V6.S4
	VFMLA V30.S4, V31.S4, V7.S4
	VFMLA V30.S4, V31.S4, V8.S4
	VFMLA V30.S4, V31.S4, V9.S4
	VFMLA V30.S4, V31.S4, V10.S4
	VFMLA V30.S4, V31.S4, V11.S4
	VFMLA V30.S4, V31.S4, V12.S4
	VFMLA V30.S4, V31.S4, V13.S4
	VFMLA V30.S4, V31.S4, V14.S4
	VFMLA V30.S4, V31.S4, V15.S4
	SUB $1, R0
	CBNZ R0, loop
	RET

// Package kernel answers: how are a network's numbers computed on this machine?
//
// It has the matrix products over packed weights ([Matrix], [Input], [Pool.MatMul]), attention
// over a paged cache ([CacheLayout], [Attend]), and the row-wise functions between them.
//
// # Bits
//
// An output element depends on its own input row and weight row alone: never on the other rows
// of the batch, on how a prompt was cut, or on the number of threads. For quantized weights it
// has the same bits on every implementation, generic Go included: products are exact integers
// within a block, and blocks are added in order, with fused multiply-adds. Where a machine has tiles of bf16
// (AMX), rows of a prompt may be multiplied by these instead ([Input.Read]): their bits are others, and as
// fixed.
// Float weights and attention use fused multiply-adds where the machine has vector kernels for them.
//
// # Implementations
//
// Pure Go (xGeneric) is always compiled and is the oracle. Assembly (xAVX2, xAVX512, xAMX, xNEON) is generated
// by _gen and chosen once, by probing: the CPU's flags, for AMX the system's permission, then a trial run against
// generic Go. GODEBUG=cpu.amxtile=off, cpu.avx512vnni=off or cpu.avx2=off does without one. An arm64
// without dot product instructions (before ARMv8.2) has NEON for all but quantized products. The build
// tag purego turns all of it off.
package kernel

//go:build !purego

package kernel

// hasF16C reads CPUID leaf 1, bit 29 of ECX: conversions between half and single precision.
func hasF16C() bool { return cpuidECX(1)>>29&1 == 1 }

// cpuidECX is ECX of a CPUID leaf.
func cpuidECX(leaf uint32) uint32

//go:build !purego

package kernel

import "testing"

// TestEveryFormMatchesGenericBits runs the trial of the start again: all forms, all implementations.
func TestEveryFormMatchesGenericBits(t *testing.T) {
	if !useAVX2 {
		t.Log("NOT TESTED: this machine has no AVX2, or its kernels failed their trial")
	} else if !trial(dotsAVX2, 1, 4) {
		t.Error("AVX2 differs from generic Go")
	}
	if !useAVX512 {
		t.Log("NOT TESTED: this machine has no AVX-512 VNNI, or its kernels failed their trial")
	} else if !trial(dotsAVX512, 1, 2, 4, 8, 16) {
		t.Error("AVX-512 differs from generic Go")
	}
}

//go:build !purego

package kernel

import "testing"

// TestEveryFormMatchesGenericBits runs the trial of the start again: all forms, all implementations.
func TestEveryFormMatchesGenericBits(t *testing.T) {
	if !useAVX2 {
		t.Log("NOT TESTED: this machine has no AVX2, or its kernels failed their trial")
	} else if !trial(dotTileAVX2) {
		t.Error("AVX2 differs from generic Go")
	}
	if !useAVX512 {
		t.Log("NOT TESTED: this machine has no AVX-512 VNNI, or its kernels failed their trial")
	} else if !trial(dotAVX512) {
		t.Error("AVX-512 differs from generic Go")
	}
}

func attentionKernels() []attentionKernel {
	return []attentionKernel{
		{"avx2", useAVX2, 8, [2]func(*attendCall){scoresF16AVX2, scoresF32AVX2}, [2]func(*attendCall){mixF16AVX2, mixF32AVX2}, softenAVX2},
		{"avx512", useAVX512, 16, [2]func(*attendCall){scoresF16AVX512, scoresF32AVX512}, [2]func(*attendCall){mixF16AVX512, mixF32AVX512}, softenAVX512},
	}
}

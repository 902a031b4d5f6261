//go:build !purego

package kernel

import (
	"testing"

	"golang.org/x/sys/cpu"
)

// TestEveryFormMatchesGenericBits runs the trial of the start again: all forms.
func TestEveryFormMatchesGenericBits(t *testing.T) {
	if !cpu.ARM64.HasASIMDDP {
		t.Log("NOT TESTED: this machine has no dot product instructions")
	} else if !trial(dotNEON) {
		t.Error("NEON differs from generic Go")
	}
}

func attentionKernels() []attentionKernel {
	return []attentionKernel{
		{"neon", true, 4, [2]func(*attendCall){scoresF16NEON, scoresF32NEON}, [2]func(*attendCall){mixF16NEON, mixF32NEON}, softenNEON},
	}
}

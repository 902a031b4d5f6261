//go:build !purego

package kernel

import (
	"testing"

	"github.com/galerne-ai/galerne/internal/dtype"
)

// TestReadingMatchesGenericBits: of every type, rows that fill tiles and others, panels by two and one alone, more blocks than a run.
func TestReadingMatchesGenericBits(t *testing.T) {
	if !hasTiles() {
		t.Skip("NOT TESTED: this machine has no tiles of bf16, or they are slow")
	}
	for _, cols := range []int{32, 64, 256, 96 * 32} {
		if fault := tryReading(roundRow, cols, dtype.All()...); fault != "" {
			t.Error(fault)
		}
	}
}

//go:build !purego

package kernel

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"github.com/galerne-ai/galerne/internal/dtype"
)

// TestEveryFormMatchesGenericBits runs the trial of the start again: all forms, all implementations that the
// processor claims to have, with the kernels of either maker's processors. One that fails its trial is not used and would otherwise go unnoticed.
func TestEveryFormMatchesGenericBits(t *testing.T) {
	defer func(was bool) { farPrefetch = was }(farPrefetch)
	for _, far := range []bool{false, true} {
		farPrefetch = far
		everyForm(t)
	}
}

func everyForm(t *testing.T) {
	if !hasAVX2() {
		t.Log("NOT TESTED: this machine has no AVX2")
	} else if !trial(dotAVX2) {
		t.Error("AVX2 differs from generic Go")
	}
	if !hasAVX512() {
		t.Log("NOT TESTED: this machine has no AVX-512 VNNI")
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

// TestSwiGLUOfEveryWidth: the width that dispatch does not choose for long rows has generic Go's bits too.
func TestSwiGLUOfEveryWidth(t *testing.T) {
	rng := rand.New(rand.NewPCG(31, 32))
	for n := 32; n <= 256; n += 32 {
		x, up := randomFloats(rng, n), randomFloats(rng, n)
		for i := range x {
			x[i] *= 40
		}
		x[0], x[1], x[n-1] = nan32(), 1e30, -1e30
		want := slices.Clone(x)
		swiGLUGeneric(want, up)
		if useAVX2 {
			got := slices.Clone(x)
			swiGLUAVX2(&got[0], &up[0], n)
			same(t, dtype.F32, fmt.Sprint("avx2 ", n), got, want)
		}
		if useAVX512 {
			got := slices.Clone(x)
			swiGLUAVX512(&got[0], &up[0], n)
			same(t, dtype.F32, fmt.Sprint("avx512 ", n), got, want)
		}
	}
}

// TestScalesStandBehindTheSums: where they do not, many rows would write over them.
func TestScalesStandBehindTheSums(t *testing.T) {
	if at := 4 * maxRows * 2 * panelRows; at != 32*128 {
		t.Errorf("sums of all rows are %d bytes: _gen/tiles.go has 32*128", at)
	}
}

// TestNextBlockIsWhereKernelsLookForIt: an offset that is wrong would only be slow.
func TestNextBlockIsWhereKernelsLookForIt(t *testing.T) {
	var c attendCall
	if at := unsafe.Offsetof(c.next); at != 112 {
		t.Errorf("next is at %d: _gen/attention.go has 112", at)
	}
}

// TestRowsOfAVX2MatchGeneric: what is not chosen where there is AVX-512 has generic Go's bits too.
func TestRowsOfAVX2MatchGeneric(t *testing.T) {
	defer func(was bool) { useAVX512 = was }(useAVX512)
	useAVX512 = false
	TestVectorsMatchGeneric(t)
	TestF16RoundTripsAndRounds(t)
	TestQuantizeMatchesGenericAndShowsFaults(t)
}

package kernel

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/galerne-ai/galerne/internal/dtype"
)

// TestWorkersOfAProductKeepToTheirStretch: parts side by side go to one worker, who takes others' only behind its own;
// of other tasks the first parts go first, whoever comes.
func TestWorkersOfAProductKeepToTheirStretch(t *testing.T) {
	p := &Pool{threads: 3, runs: make([]stretch, 3)}
	order := func(task Task, worker int) []int {
		p.deal(10, task)
		seen := &sequence{}
		p.task = seen
		p.drain(worker)
		return *seen
	}
	for worker, want := range [][]int{{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, {3, 4, 5, 6, 7, 8, 9, 0, 1, 2}, {6, 7, 8, 9, 0, 1, 2, 3, 4, 5}} {
		if got := order(&p.product, worker); !slices.Equal(got, want) {
			t.Errorf("worker %d of a product took %v, not %v", worker, got, want)
		}
		if got := order(&Attention{}, worker); !slices.IsSorted(got) || len(got) != 10 {
			t.Errorf("worker %d of another task took %v", worker, got)
		}
	}
	if _, ok := p.runs[0].take(); ok {
		t.Error("a part was left")
	}
}

type sequence []int

func (s *sequence) Part(part, _ int) { *s = append(*s, part) }

// TestProductsAgainAndAgain: no part of a stretch is left out or given to two, by however many workers, early or late.
func TestProductsAgainAndAgain(t *testing.T) {
	rng := rand.New(rand.NewPCG(41, 42))
	const rows, cols = 40 * panelRows, 64
	data, x := randomWeights(rng, dtype.Q8_0, rows, cols), randomFloats(rng, cols)
	var want []float32
	for _, threads := range []int{1, 2, 3, 7} {
		p := NewPool(threads)
		m := mustPack(t, p, dtype.Q8_0, rows, cols, data)
		var in Input
		out := make([]float32, rows)
		for range 300 {
			for i := range out {
				out[i] = nan32()
			}
			p.Set(&in, x, 1, cols)
			p.MatMul([]Job{{W: m, In: &in, Dst: out, Stride: rows}})
			if want == nil {
				want = slices.Clone(out)
			}
			if !slices.Equal(out, want) {
				t.Fatalf("%d workers gave other numbers", threads)
			}
		}
		m.Close()
		p.Close()
	}
}

// TestPartsAreManyAndNotTooShort: one row of a small matrix, many rows of it, a wide one, and an output of a whole vocabulary.
func TestPartsAreManyAndNotTooShort(t *testing.T) {
	for _, c := range []struct{ units, threads, bytes, work, want int }{
		{36, 2, 5 << 10, 576 * 16, 2},              // not fewer than 8 parts a worker, though they are short
		{192, 2, 5 << 10, 576 * 16, 6},             // of one row: 32 KB
		{192, 2, 5 << 10, 576 * 16 * 16, 2},        // of 16 rows: 300,000 multiplications
		{1000, 2, 100 << 10, 4096 * 16 * 16, 10},   // a mebibyte
		{9500, 2, 30 << 10, 896 * 16 * 64, 34},     // a mebibyte, in pairs of panels
		{3, 2, 5 << 10, 576 * 16, 1},               // fewer panels than parts
		{100, 2, 15 << 10, 1536 * 16 * 16, 2},      // a pair, though one panel were long enough
		{100000, 2, 4 << 20, 1 << 18, 1},           // a panel of more than that
		{1 << 20, 64, 5 << 10, 576 * 16 * 64, 204}, // many threads
	} {
		if got := perPart(c.units, c.threads, c.bytes, c.work); got != c.want {
			t.Errorf("%+v: %d panels", c, got)
		}
	}
}

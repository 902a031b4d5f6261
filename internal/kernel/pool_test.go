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

package kernel

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/galerne-ai/galerne/internal/dtype"
)

// TestWorkersKeepToTheirStretch: parts side by side go to one worker, who takes others' only behind its own; of attention
// the first parts go first, whoever comes.
func TestWorkersKeepToTheirStretch(t *testing.T) {
	p := &Pool{threads: 3, runs: make([]stretch, 3)}
	order := func(task Task, worker int) []int {
		p.deal(10, task)
		seen := &sequence{}
		p.task = seen
		p.drain(worker)
		return *seen
	}
	for worker, want := range [][]int{{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, {3, 4, 5, 6, 7, 8, 9, 0, 1, 2}, {6, 7, 8, 9, 0, 1, 2, 3, 4, 5}} {
		for _, task := range []Task{&p.product, &Input{}} {
			if got := order(task, worker); !slices.Equal(got, want) {
				t.Errorf("worker %d of a %T took %v, not %v", worker, task, got, want)
			}
		}
		if got := order(&Attention{}, worker); !slices.IsSorted(got) || len(got) != 10 {
			t.Errorf("worker %d of attention took %v", worker, got)
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

// TestBandsOfRows: with many rows each worker has its own, of all jobs, of any number of chunks; the numbers are those of one worker.
func TestBandsOfRows(t *testing.T) {
	rng := rand.New(rand.NewPCG(43, 44))
	const cols = 64
	wide, narrow := mustPack(t, nil, dtype.Q8_0, 150, cols, randomWeights(rng, dtype.Q8_0, 150, cols)), mustPack(t, nil, dtype.Q4_0, 16, cols, randomWeights(rng, dtype.Q4_0, 16, cols))
	for _, n := range []int{3 * mostPartRows, 4 * mostPartRows, 9*mostPartRows + 5, 12 * mostPartRows} {
		x := randomFloats(rng, n*cols)
		var want [2][]float32
		for _, threads := range []int{1, 2, 3} {
			p := NewPool(threads)
			var in Input
			p.Set(&in, x, n, cols)
			got := [2][]float32{make([]float32, n*150), make([]float32, n*16)}
			p.MatMul([]Job{{W: wide, In: &in, Dst: got[0], Stride: 150}, {W: narrow, In: &in, Dst: got[1], Stride: 16}})
			if banded := threads > 1 && n >= 2*threads*mostPartRows; banded != (p.product.bands > 1) {
				t.Errorf("%d rows, %d workers: %d bands", n, threads, p.product.bands)
			}
			for b := range p.product.bands {
				if a, e := p.begin(p.product.bandBegin(p.product.bands), &p.product, b), p.product.bandBegin(b); p.product.bands > 1 && a != e {
					t.Errorf("%d rows: worker %d begins at %d, its band at %d", n, b, a, e)
				}
			}
			if threads == 1 {
				want = got
			}
			if !slices.Equal(got[0], want[0]) || !slices.Equal(got[1], want[1]) {
				t.Errorf("%d rows, %d workers: other numbers", n, threads)
			}
			p.Close()
		}
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

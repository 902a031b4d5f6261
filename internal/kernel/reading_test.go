package kernel

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/galerne-ai/galerne/internal/dtype"
)

// TestARowThatIsReadDependsOnItselfAlone compares bits: among others of both kinds, in any order and number, on two threads, with the
// row alone on one. More rows than a part has, more columns than a run, a last panel that is not whole.
func TestARowThatIsReadDependsOnItselfAlone(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	one, two := NewPool(1), NewPool(2)
	defer one.Close()
	defer two.Close()
	for i, kind := range dtype.All() {
		rows, cols, n := 72, 256, 70+i%2*470
		if kind == dtype.Q4_K {
			cols = 256 * 9
		}
		m := mustPack(t, nil, kind, rows, cols, randomWeights(rng, kind, rows, cols))
		x, read := randomFloats(rng, n*cols), make([]bool, n)
		for r := range read {
			read[r] = r >= 20 && r != 40 && r/64 != 3
		}
		batch := make([]float32, n*rows)
		var in, some, single Input
		two.Set(&in, x, n, cols)
		in.Read(read)
		two.MatMul([]Job{{W: m, In: &in, Dst: batch, Stride: rows}})
		picked := []int32{3, 69, 0, 40, 21, 21}
		gathered := make([]float32, len(picked)*rows)
		two.Gather(&some, &in, picked)
		two.MatMul([]Job{{W: m, In: &some, Dst: gathered, Stride: rows}})
		for i, r := range picked {
			same(t, kind, "gathered", gathered[i*rows:(i+1)*rows], batch[int(r)*rows:][:rows])
		}
		alone := make([]float32, rows)
		for r := 0; r < n; r += 1 + r/70*6 {
			one.Set(&single, x[r*cols:(r+1)*cols], 1, cols)
			single.Read(read[r : r+1])
			one.MatMul([]Job{{W: m, In: &single, Dst: alone, Stride: rows}})
			same(t, kind, "alone", alone, batch[r*rows:(r+1)*rows])
		}
	}
}

// TestReadingIsTheProductOfTheDequantizedWeights bounds its error, which is less than that of 8-bit activations: numbers of both sides keep 8
// bits of their fraction, whose error is at most 1/512 of them, and evenly spread.
func TestReadingIsTheProductOfTheDequantizedWeights(t *testing.T) {
	if !useReading {
		t.Skip("NOT TESTED: rows that are read are computed like others on this machine")
	}
	rng := rand.New(rand.NewPCG(3, 4))
	pool := NewPool(2)
	defer pool.Close()
	for _, kind := range dtype.All() {
		if nmse := productError(t, rng, pool, kind, true); !(nmse < 8e-6) { // twice (1/512)²/3
			t.Errorf("%s: NMSE %g", kind, nmse)
		} else {
			t.Logf("%s: NMSE %.2g", kind, nmse)
		}
	}
}

// productError is how far a product of random rows, all read or none, is from that of the dequantized weights: mean square, of the mean
// square of these.
func productError(t *testing.T, rng *rand.Rand, pool *Pool, kind dtype.Type, read bool) float64 {
	rows, cols, n := 50, 768, 7
	data := randomWeights(rng, kind, rows, cols)
	w := make([]float32, rows*cols)
	Dequantize(kind, w, data)
	x := randomFloats(rng, n*cols)
	m := mustPack(t, pool, kind, rows, cols, data)
	var in Input
	pool.Set(&in, x, n, cols)
	in.Read(slices.Repeat([]bool{read}, n))
	got := make([]float32, n*rows)
	pool.MatMul([]Job{{W: m, In: &in, Dst: got, Stride: rows}})
	var diff, size float64
	for r := range n {
		for o := range rows {
			var want float64
			for k := range cols {
				want += float64(x[r*cols+k]) * float64(w[o*cols+k])
			}
			diff += (want - float64(got[r*rows+o])) * (want - float64(got[r*rows+o]))
			size += want * want
		}
	}
	return diff / size
}

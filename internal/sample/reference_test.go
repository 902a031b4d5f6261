package sample

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// listed is what the rules leave, as their definitions say: all tokens, ranked, each rule in its turn.
func listed(o Options, x []float32) []weighted {
	most := slices.Max(x)
	var all []weighted
	for id, v := range x {
		all = append(all, weighted{int32(id), v, math.Exp(float64(v-most) / float64(o.Temperature))})
	}
	byRank := func(a, b weighted) int { return cmp.Or(cmp.Compare(b.x, a.x), cmp.Compare(a.id, b.id)) }
	if o.TopK > 0 && o.TopK < len(all) {
		slices.SortFunc(all, byRank)
		all = all[:o.TopK]
	}
	if o.TopP > 0 && o.TopP < 1 {
		slices.SortFunc(all, byRank)
		all = nucleus(all, float64(o.TopP))
	}
	if o.MinP > 0 {
		all = slices.DeleteFunc(all, func(c weighted) bool { return c.p < float64(o.MinP) })
	}
	if o.TypicalP > 0 && o.TypicalP < 1 {
		s := Sampler{o: o, heap: all}
		s.typical()
		all = s.heap
	}
	return all
}

// TestDrawsAreThoseOfTheRulesAsDefined: of many draws nearly all take the token that the rules' definitions, carried out one after the other
// on all tokens, give for the same random number; the others, by the last digits of sums, its neighbour.
func TestDrawsAreThoseOfTheRulesAsDefined(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for _, n := range []int{1, 7, 255, 257, 1500} {
		for _, width := range []float64{0.1, 3, 12} {
			x := make([]float32, n)
			for i := range x {
				x[i] = float32(rng.NormFloat64() * width)
			}
			for i := 3; i < n; i += 5 {
				x[i] = x[i-3] // equal ones
			}
			for i := 2; i < n; i += 50 {
				x[i] = float32(math.Inf(-1))
			}
			for _, o := range []Options{{}, {TopK: 40}, {TopK: n}, {TopK: n - 1}, {TopK: 5, TopP: 0.9}, {TopP: 0.5}, {TopP: 0.999999}, {TopP: 0.9, MinP: 0.1}, {MinP: 0.05},
				{MinP: 1}, {TypicalP: 0.9}, {TopK: 100, TypicalP: 0.5}, {TopK: 40, TopP: 0.95, MinP: 0.05}} {
				for _, temperature := range []float32{0.01, 0.7, 1, 5} {
					o.Temperature = temperature
					drawnAlike(t, fmt.Sprintf("%d tokens, width %v, %+v", n, width, o), o, x)
				}
			}
		}
	}
}

func drawnAlike(t *testing.T, what string, o Options, x []float32) {
	t.Helper()
	want := listed(o, x)
	others := 0
	for seed := range uint64(200) {
		o.Seed = seed
		got, err := New(o, 0, nil, nil).Next(x)
		if err != nil {
			t.Fatal(what, err)
		}
		reference := Sampler{o: o, heap: want}
		if got == reference.draw() {
			continue
		}
		if others++; !slices.ContainsFunc(want, func(c weighted) bool { return c.id == got }) {
			t.Fatalf("%s: token %d was drawn, which the rules leave out", what, got)
		}
	}
	if others > 2 {
		t.Errorf("%s: %d of 200 draws are other tokens", what, others)
	}
}

package sample

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// frequencies draws n times from the same logits.
func frequencies(t *testing.T, o Options, logits []float32, n int) []float64 {
	t.Helper()
	out := make([]float64, len(logits))
	s := New(o, 0, nil, nil)
	for range n {
		id, err := s.Next(logits)
		if err != nil {
			t.Fatal(err)
		}
		out[id] += 1 / float64(n)
	}
	return out
}

func TestDrawsFollowTheFilteredDistribution(t *testing.T) {
	// probabilities 0.5, 0.25, 0.15, 0.1
	logits := []float32{float32(math.Log(0.25)), float32(math.Log(0.5)), float32(math.Log(0.1)), float32(math.Log(0.15))}
	for name, c := range map[string]struct {
		o    Options
		want []float64
	}{
		"plain":       {Options{Temperature: 1}, []float64{0.25, 0.5, 0.1, 0.15}},
		"greedy":      {Options{}, []float64{0, 1, 0, 0}},
		"cold":        {Options{Temperature: 0.5}, []float64{0.0625 / 0.345, 0.25 / 0.345, 0.01 / 0.345, 0.0225 / 0.345}},
		"top-k":       {Options{Temperature: 1, TopK: 2}, []float64{1. / 3, 2. / 3, 0, 0}},
		"top-p":       {Options{Temperature: 1, TopP: 0.8}, []float64{0.25 / 0.9, 0.5 / 0.9, 0, 0.15 / 0.9}},
		"top-p small": {Options{Temperature: 1, TopP: 0.01}, []float64{0, 1, 0, 0}},
		"top-k-p":     {Options{Temperature: 1, TopK: 3, TopP: 0.6}, []float64{1. / 3, 2. / 3, 0, 0}},
		"min-p":       {Options{Temperature: 1, MinP: 0.28}, []float64{0.25 / 0.9, 0.5 / 0.9, 0, 0.15 / 0.9}},
		// entropy 1.208 nat; informations 1.386 0.693 2.303 1.897: nearest is token 0, then 1
		"typical": {Options{Temperature: 1, TypicalP: 0.6}, []float64{1. / 3, 2. / 3, 0, 0}},
		"bias":    {Options{Temperature: 1, Bias: map[int32]float32{1: -100}}, []float64{0.5, 0, 0.2, 0.3}},
	} {
		got := frequencies(t, c.o, logits, 20000)
		for i := range got {
			if math.Abs(got[i]-c.want[i]) > 0.015 {
				t.Errorf("%s: token %d is drawn with %.3f, want %.3f", name, i, got[i], c.want[i])
			}
		}
	}
}

func TestPenalties(t *testing.T) {
	logits := []float32{2, 1.9, -1, -3}
	s := New(Options{Repetition: 2}, 0, []int32{0, 3}, nil)
	if x := s.adjust(logits); x[0] != 1 || x[3] != -6 || x[1] != 1.9 {
		t.Fatal(x)
	}
	s = New(Options{Frequency: 0.5, Presence: 0.25}, 0, []int32{0}, nil)
	for _, want := range []int32{0, 1, 0, 1, 0} {
		if id, err := s.Next(logits); err != nil || id != want {
			t.Fatal(id, err, want)
		}
	}
	if x := s.adjust(logits); math.Abs(float64(x[0]-(2-1.5-0.25))) > 1e-6 {
		t.Fatal(x)
	}
}

func TestADrawDependsOnSeedChoiceAndPositionAlone(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	logits := make([]float32, 1000)
	for i := range logits {
		logits[i] = float32(rng.NormFloat64())
	}
	run := func(seed uint64, choice int) (out []int32) {
		s := New(Options{Temperature: 1, Seed: seed}, choice, nil, nil)
		for range 20 {
			id, _ := s.Next(logits)
			out = append(out, id)
		}
		return out
	}
	same := func(a, b []int32) bool {
		for i := range a {
			if a[i] != b[i] {
				return false
			}
		}
		return true
	}
	if !same(run(7, 0), run(7, 0)) || same(run(7, 0), run(7, 1)) || same(run(7, 0), run(8, 0)) {
		t.Fatal("draws do not follow seed and choice")
	}
}

type evens struct{ n int }

func (evens) Allowed() []uint64      { return []uint64{0x5555555555555555} }
func (e *evens) Advance(int32) error { e.n++; return nil }

func TestAMaskIsObeyed(t *testing.T) {
	m := &evens{}
	s := New(Options{}, 0, nil, m)
	if id, err := s.Next([]float32{0, 9, 1, 8}); id != 2 || err != nil || m.n != 1 {
		t.Fatal(id, err, m.n)
	}
	if _, err := New(Options{}, 0, nil, m).Next([]float32{float32(math.Inf(-1)), 1}); !errors.Is(err, ErrNothing) {
		t.Fatal(err)
	}
}

func TestBrokenLogitsAreAnError(t *testing.T) {
	for _, bad := range []float64{math.NaN(), math.Inf(1)} {
		for _, o := range []Options{{}, {Temperature: 1}} {
			if _, err := New(o, 0, nil, nil).Next([]float32{1, float32(bad), 2}); !errors.Is(err, ErrLogits) {
				t.Fatal(bad, err)
			}
		}
	}
}

func TestLogprobsAreTheSoftmax(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 1))
	logits := make([]float32, 500)
	var sum float64
	for i := range logits {
		logits[i] = float32(rng.NormFloat64() * 3)
		sum += math.Exp(float64(logits[i]))
	}
	lp, top := Logprobs(logits, 17, 5, nil)
	if math.Abs(float64(lp)-(float64(logits[17])-math.Log(sum))) > 1e-4 || len(top) != 5 {
		t.Fatal(lp, top)
	}
	for i, c := range top {
		better := 0
		for _, v := range logits {
			if v > logits[c.ID] {
				better++
			}
		}
		if better != i || math.Abs(float64(c.Logprob)-(float64(logits[c.ID])-math.Log(sum))) > 1e-4 {
			t.Fatal(i, c)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, o := range []Options{{Temperature: -1}, {TopP: 1.5}, {MinP: -0.1}, {TypicalP: 2}, {TopK: -1}, {Repetition: -1},
		{Frequency: float32(math.NaN())}, {Bias: map[int32]float32{99: 1}}, {Temperature: float32(math.NaN())}} {
		if err := o.Validate(50); !errors.Is(err, ErrOption) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if err := (&Options{Temperature: 1, TopP: 0.9}).Validate(50); err != nil {
		t.Fatal(err)
	}
}

func TestNextAllocatesNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 1))
	logits := make([]float32, 50000)
	for i := range logits {
		logits[i] = float32(rng.NormFloat64())
	}
	s := New(Options{Temperature: 0.8, TopK: 40, TopP: 0.95, MinP: 0.05}, 0, nil, nil)
	s.Next(logits)
	if n := testing.AllocsPerRun(20, func() { s.Next(logits) }); n != 0 {
		t.Fatalf("%v allocations a token", n)
	}
}

func BenchmarkNext(b *testing.B) {
	rng := rand.New(rand.NewPCG(3, 1))
	logits := make([]float32, 50000)
	for i := range logits {
		logits[i] = float32(rng.NormFloat64() * 3)
	}
	for name, o := range map[string]Options{"greedy": {}, "plain": {Temperature: 1}, "top-p": {Temperature: 1, TopP: 0.9}, "top-k": {Temperature: 1, TopK: 40}} {
		b.Run(name, func(b *testing.B) {
			s := New(o, 0, nil, nil)
			for b.Loop() {
				s.Next(logits)
			}
		})
	}
}

func TestForbiddenTokensAreThoseWithoutABit(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 63, 64, 65, 200, 1000} {
		allowed := make([]uint64, (n+63)/64)
		for i := range allowed {
			allowed[i] = []uint64{0, ^uint64(0), r.Uint64(), r.Uint64()}[r.IntN(4)]
		}
		x := make([]float32, n)
		forbid(x, allowed)
		for id, v := range x {
			if (v == 0) != (allowed[id>>6]>>(id&63)&1 != 0) {
				t.Fatalf("%d of %d: %v", id, n, v)
			}
		}
	}
}

// TestTheGreatestIsFoundWhereverItStands, the first of equals, and a logit that is not a number too.
func TestTheGreatestIsFoundWhereverItStands(t *testing.T) {
	for n := 1; n <= 40; n++ {
		for at := range n {
			x := make([]float32, n)
			for i := range x {
				x[i] = -float32((i * 7) % 11)
			}
			x[at], x[n-1] = 3, 3
			if got, err := New(Options{}, 0, nil, nil).Next(slices.Clone(x)); err != nil || int(got) != at {
				t.Fatalf("of %v token %d was taken (%v)", x, got, err)
			}
			x[at] = float32(math.NaN())
			want := fmt.Sprintf("token %d is not a number", at)
			if _, err := New(Options{}, 0, nil, nil).Next(x); !errors.Is(err, ErrLogits) || !strings.Contains(err.Error(), want) {
				t.Fatalf("logits %v: %v", x, err)
			}
		}
	}
}

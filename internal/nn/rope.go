package nn

import (
	"math"

	"github.com/galerne-ai/galerne/internal/kernel"
)

// Rope turns queries and keys by their position (Su et al. 2021, https://arxiv.org/abs/2104.09864).
type Rope struct {
	freq        []float32 // [pairs] radians a position
	factor      float32   // of cos and sin (YaRN's attention factor); 1 for most
	interleaved bool
	cos, sin    []float32 // [rows][pairs] of the step
}

// RopeScaling stretches the angles so that a network reads further than it was trained for. The zero
// value stretches nothing.
type RopeScaling struct {
	Kind      string  // "", linear, llama3, yarn
	Factor    float64 // how many times further
	Low, High float64 // llama3: factors of the slow and the fast frequencies
	Context   float64 // what the network was first trained for, in tokens (llama3, yarn)

	BetaFast, BetaSlow float64   // yarn: rotations within Context that bound the mixed frequencies
	Attention          float64   // yarn: factor of the angles' cosines; 0: 0.1·ln(Factor)+1
	Divisors           []float32 // [pairs] read from a file: frequencies are divided by them
}

// NewRope makes the part for heads whose first dims numbers are turned.
func NewRope(dims int, base float64, interleaved bool, scaling RopeScaling) *Rope {
	r := &Rope{freq: make([]float32, dims/2), factor: 1, interleaved: interleaved}
	for i := range r.freq {
		f := float32(1 / math.Pow(base, float64(2*i)/float64(dims)))
		switch scaling.Kind {
		case "linear":
			f /= float32(scaling.Factor)
		case "llama3":
			f = scaling.llama3(f)
		case "yarn":
			f = scaling.yarn(f, i, dims, base)
		}
		if i < len(scaling.Divisors) {
			f /= scaling.Divisors[i]
		}
		r.freq[i] = f
	}
	if scaling.Kind == "yarn" {
		r.factor = float32(scaling.Attention)
		if r.factor == 0 {
			r.factor = float32(0.1*math.Log(scaling.Factor) + 1)
		}
	}
	return r
}

// llama3 divides slow frequencies by Factor, leaves fast ones, and mixes between (Llama 3.1's rule).
func (s RopeScaling) llama3(f float32) float32 {
	wave := 2 * math.Pi / float64(f)
	switch {
	case wave > s.Context/s.Low:
		return float32(float64(f) / s.Factor)
	case wave < s.Context/s.High:
		return f
	}
	smooth := (s.Context/wave - s.Low) / (s.High - s.Low)
	return float32((1-smooth)*float64(f)/s.Factor + smooth*float64(f))
}

// yarn mixes by how often a pair turns within Context (Peng et al. 2023, https://arxiv.org/abs/2309.00071).
func (s RopeScaling) yarn(f float32, pair, dims int, base float64) float32 {
	dim := func(rotations float64) float64 {
		return float64(dims) * math.Log(s.Context/(rotations*2*math.Pi)) / (2 * math.Log(base))
	}
	low, high := math.Max(math.Floor(dim(s.BetaFast)), 0), math.Min(math.Ceil(dim(s.BetaSlow)), float64(dims-1))
	if low == high {
		high += 0.001
	}
	slow := math.Min(math.Max((float64(pair)-low)/(high-low), 0), 1)
	return float32(float64(f)/s.Factor*slow + float64(f)*(1-slow))
}

// Begin computes the angles of the step's positions.
func (r *Rope) Begin(s *Step) {
	n := len(r.freq)
	r.cos, r.sin = kernel.Grow(r.cos, s.Rows*n), kernel.Grow(r.sin, s.Rows*n)
	for row, pos := range s.Positions[:s.Rows] {
		for i, f := range r.freq {
			sin, cos := math.Sincos(float64(float32(pos) * f))
			r.cos[row*n+i], r.sin[row*n+i] = float32(cos)*r.factor, float32(sin)*r.factor
		}
	}
}

// heads turns the heads [count][headDim] of one row.
func (r *Rope) heads(row int, x []float32, headDim int) {
	n := len(r.freq)
	cos, sin := r.cos[row*n:(row+1)*n], r.sin[row*n:(row+1)*n]
	for ; len(x) > 0; x = x[headDim:] {
		kernel.Rope(x[:2*n], cos, sin, r.interleaved)
	}
}

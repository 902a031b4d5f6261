package nn

import "github.com/galerne-ai/galerne/internal/kernel"

// FeedForward fills dst from in, both [rows][width].
type FeedForward interface {
	Apply(s *Step, in *kernel.Input, dst []float32)
}

// Activation joins gate and up in place: gate = act(gate)·up. kernel.SwiGLU and kernel.GeGLU are two.
type Activation func(gate, up []float32)

// FeedForwardWork is the scratch memory that the layers of a network share.
type FeedForwardWork struct {
	mid      kernel.Input
	gate, up []float32
	out      []float32
	routing          // of this layer
	next     routing // guessed, of the next
	slots    []int32 // [experts] the next free place of each, -1: not in this wave
	order    []int32 // rows in the order of the experts that they are sent to
	sorted   kernel.Input
}

// GatedMLP is down(act(gate·x)·(up·x)) (Shazeer 2020, https://arxiv.org/abs/2002.05202).
type GatedMLP struct {
	Gate, Up, Down Linear
	act            Activation
	work           *FeedForwardWork
	then           func(row, from, to int)
}

// NewGatedMLP makes the part.
func NewGatedMLP(gate, up, down Linear, act Activation, work *FeedForwardWork) *GatedMLP {
	f := &GatedMLP{Gate: gate, Up: up, Down: down, act: act, work: work}
	f.then = func(row, from, to int) {
		f.act(f.Gate.some(f.work.gate, row, from, to), f.Up.some(f.work.up, row, from, to))
		f.work.mid.Filled(row, from, to)
	}
	return f
}

// Apply implements FeedForward.
func (f *GatedMLP) Apply(s *Step, in *kernel.Input, dst []float32) {
	w, n := f.work, f.Gate.Out()
	w.gate, w.up = grow(w.gate, s.Rows*n), grow(w.up, s.Rows*n)
	s.Pool.Expect(&w.mid, w.gate, s.Rows, n)
	s.jobs = append(s.jobs[:0], kernel.Job{W: f.Gate.W, In: in, Dst: w.gate, Stride: n, Twin: f.Up.W, TwinDst: w.up, Then: f.then, Unit: 32})
	s.Pool.MatMul(s.jobs)
	f.Down.Apply(s, &w.mid, dst)
}

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
	each           func(row, worker int)
}

// NewGatedMLP makes the part.
func NewGatedMLP(gate, up, down Linear, act Activation, work *FeedForwardWork) *GatedMLP {
	f := &GatedMLP{Gate: gate, Up: up, Down: down, act: act, work: work}
	f.each = func(row, _ int) {
		n := f.Gate.Out()
		g, u := f.work.gate[row*n:(row+1)*n], f.work.up[row*n:(row+1)*n]
		f.Gate.addBias(g)
		f.Up.addBias(u)
		f.act(g, u)
		f.work.mid.Filled(row)
	}
	return f
}

// Apply implements FeedForward.
func (f *GatedMLP) Apply(s *Step, in *kernel.Input, dst []float32) {
	w, n := f.work, f.Gate.Out()
	w.gate, w.up = kernel.Grow(w.gate, s.Rows*n), kernel.Grow(w.up, s.Rows*n)
	s.jobs = append(s.jobs[:0], f.Gate.job(in, w.gate), f.Up.job(in, w.up))
	s.Pool.MatMul(s.jobs)
	s.Expect(&w.mid, w.gate, n)
	s.Each(f.each)
	f.Down.Apply(s, &w.mid, dst)
}

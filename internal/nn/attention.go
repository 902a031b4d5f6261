package nn

import "github.com/galerne-ai/galerne/internal/kernel"

// Attention is causal self-attention over the cache, with keys shared by groups of heads.
type Attention struct {
	Q, K, V, O   Linear
	QNorm, KNorm *RMSNorm // of each head, before the turn; nil where the family has none
	Rope         *Rope
	Layer        int
	KVHeads      int
	HeadDim      int
	Window       int     // 0: every earlier token
	Scale        float32 // of the scores
	SoftCap      float32 // 0: none
	work         *AttentionWork
	keep, turn   func(row, from, to int) // of keys and values, of queries
	step         *Step
}

// AttentionWork is the scratch memory that the layers of a network share.
type AttentionWork struct {
	mid     kernel.Input
	q, k, v []float32 // [rows][heads or KVHeads][HeadDim]
	attend  kernel.Attention
}

// Init must be called once, when the fields are set.
func (a *Attention) Init(work *AttentionWork) *Attention {
	a.work = work
	a.keep = func(row, from, to int) {
		s := a.step
		k, v := a.K.some(work.k, row, from, to), a.V.some(work.v, row, from, to)
		if a.KNorm != nil {
			a.KNorm.heads(k)
		}
		a.Rope.heads(row, k, a.HeadDim)
		at := s.place[row]
		s.Cache.Layout.Store(s.Cache.Layer(a.Layer), at.block, int(at.slot), from/a.HeadDim, k, v)
	}
	a.turn = func(row, from, to int) {
		q := a.Q.some(work.q, row, from, to)
		if a.QNorm != nil {
			a.QNorm.heads(q)
		}
		a.Rope.heads(row, q, a.HeadDim)
	}
	return a
}

// Apply fills dst [rows][O.Out()] from in [rows][width]. It is Remember and Recall of all rows, in one go.
func (a *Attention) Apply(s *Step, in *kernel.Input, dst []float32) {
	a.project(s, in, true, true)
	a.attend(s, dst)
}

// Remember puts the keys and values of in [rows][width] in the cache.
func (a *Attention) Remember(s *Step, in *kernel.Input) { a.project(s, in, false, true) }

// Recall fills dst [rows][O.Out()] from in [rows][width], whose keys and values are in the cache.
func (a *Attention) Recall(s *Step, in *kernel.Input, dst []float32) {
	a.project(s, in, true, false)
	a.attend(s, dst)
}

// project computes queries, or keys and values, or both, and goes on with each head as it is there.
func (a *Attention) project(s *Step, in *kernel.Input, queries, keys bool) {
	w := a.work
	a.step, s.jobs = s, s.jobs[:0]
	if keys {
		n := a.K.Out()
		w.k, w.v = grow(w.k, s.Rows*n), grow(w.v, s.Rows*n)
		s.jobs = append(s.jobs, kernel.Job{W: a.K.W, In: in, Dst: w.k, Stride: n, Twin: a.V.W, TwinDst: w.v, Then: a.keep, Unit: a.HeadDim})
	}
	if queries {
		n := a.Q.Out()
		w.q = grow(w.q, s.Rows*n)
		s.jobs = append(s.jobs, kernel.Job{W: a.Q.W, In: in, Dst: w.q, Stride: n, Then: a.turn, Unit: a.HeadDim})
	}
	s.Pool.MatMul(s.jobs)
}

// attend fills dst from the queries.
func (a *Attention) attend(s *Step, dst []float32) {
	w, nq := a.work, a.Q.Out()
	t := &w.attend
	t.Layout, t.Arena, t.Spans = s.Cache.Layout, s.Cache.Layer(a.Layer), s.Spans
	t.Q, t.Out, t.Batch, t.Heads = w.q, w.q, &w.mid, nq/a.HeadDim
	t.Scale, t.SoftCap, t.Window = a.Scale, a.SoftCap, a.Window
	s.Pool.Attend(t)
	a.O.Apply(s, &w.mid, dst)
}

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
	keep, turn   func(row, worker int) // of keys and values, of queries
	both         func(row, worker int)
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
	a.keep = func(row, _ int) {
		s, w, n := a.step, a.work, a.K.Out()
		k, v := w.k[row*n:(row+1)*n], w.v[row*n:(row+1)*n]
		a.K.addBias(k)
		a.V.addBias(v)
		if a.KNorm != nil {
			a.KNorm.heads(k)
		}
		a.Rope.heads(row, k, a.HeadDim)
		at := s.place[row]
		s.Cache.Layout.Store(s.Cache.Layer(a.Layer), at.block, int(at.slot), k, v)
	}
	a.turn = func(row, _ int) {
		n := a.Q.Out()
		q := a.work.q[row*n : (row+1)*n]
		a.Q.addBias(q)
		if a.QNorm != nil {
			a.QNorm.heads(q)
		}
		a.Rope.heads(row, q, a.HeadDim)
	}
	a.both = func(row, worker int) {
		a.keep(row, worker)
		a.turn(row, worker)
	}
	return a
}

// Apply fills dst [rows][O.Out()] from in [rows][width]. It is Remember and Recall of all rows, in one go.
func (a *Attention) Apply(s *Step, in *kernel.Input, dst []float32) {
	a.project(s, in, true, true, a.both)
	a.attend(s, dst)
}

// Remember puts the keys and values of in [rows][width] in the cache.
func (a *Attention) Remember(s *Step, in *kernel.Input) { a.project(s, in, false, true, a.keep) }

// Recall fills dst [rows][O.Out()] from in [rows][width], whose keys and values are in the cache.
func (a *Attention) Recall(s *Step, in *kernel.Input, dst []float32) {
	a.project(s, in, true, false, a.turn)
	a.attend(s, dst)
}

// project computes queries, or keys and values, or all, and passes each row on.
func (a *Attention) project(s *Step, in *kernel.Input, queries, keys bool, each func(row, worker int)) {
	w := a.work
	s.jobs = s.jobs[:0]
	if queries {
		w.q = kernel.Grow(w.q, s.Rows*a.Q.Out())
		s.jobs = append(s.jobs, a.Q.job(in, w.q))
	}
	if keys {
		w.k, w.v = kernel.Grow(w.k, s.Rows*a.K.Out()), kernel.Grow(w.v, s.Rows*a.K.Out())
		s.jobs = append(s.jobs, a.K.job(in, w.k), a.V.job(in, w.v))
	}
	s.Pool.MatMul(s.jobs)
	a.step = s
	s.Each(each)
}

// attend fills dst from the queries.
func (a *Attention) attend(s *Step, dst []float32) {
	w, nq := a.work, a.Q.Out()
	t := &w.attend
	t.Layout, t.Arena, t.Spans = s.Cache.Layout, s.Cache.Layer(a.Layer), s.Spans
	t.Q, t.Out, t.Batch, t.Heads = w.q, w.q, &w.mid, nq/a.HeadDim
	t.Read = s.read
	t.Scale, t.SoftCap, t.Window = a.Scale, a.SoftCap, a.Window
	s.Pool.Attend(t)
	a.O.Apply(s, &w.mid, dst)
}

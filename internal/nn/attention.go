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
	each         func(row, worker int)
	step         *Step
}

// AttentionWork is the scratch memory that the layers of a network share.
type AttentionWork struct {
	in, mid kernel.Input
	q, k, v []float32 // [rows][heads or KVHeads][HeadDim]
	attend  kernel.Attention
}

// Init must be called once, when the fields are set.
func (a *Attention) Init(work *AttentionWork) *Attention {
	a.work = work
	a.each = func(row, _ int) {
		s, w := a.step, a.work
		nq, nk := a.Q.Out(), a.K.Out()
		q, k, v := w.q[row*nq:(row+1)*nq], w.k[row*nk:(row+1)*nk], w.v[row*nk:(row+1)*nk]
		a.Q.addBias(q)
		a.K.addBias(k)
		a.V.addBias(v)
		if a.QNorm != nil {
			a.QNorm.heads(q)
		}
		if a.KNorm != nil {
			a.KNorm.heads(k)
		}
		a.Rope.heads(row, q, a.HeadDim)
		a.Rope.heads(row, k, a.HeadDim)
		at := s.place[row]
		s.Cache.Layout.Store(s.Cache.Layer(a.Layer), at.block, int(at.slot), k, v)
	}
	return a
}

// Apply fills dst [rows][O.Out()] from x [rows][width].
func (a *Attention) Apply(s *Step, x, dst []float32) {
	w, nq, nk := a.work, a.Q.Out(), a.K.Out()
	w.q, w.k, w.v = grow(w.q, s.Rows*nq), grow(w.k, s.Rows*nk), grow(w.v, s.Rows*nk)
	s.Pool.Set(&w.in, x, s.Rows, a.Q.W.Cols)
	s.jobs = append(s.jobs[:0], a.Q.job(&w.in, w.q), a.K.job(&w.in, w.k), a.V.job(&w.in, w.v))
	s.Pool.MatMul(s.jobs)
	a.step = s
	s.Each(a.each)
	t := &w.attend
	t.Layout, t.Arena, t.Spans = s.Cache.Layout, s.Cache.Layer(a.Layer), s.Spans
	t.Q, t.Out, t.Heads = w.q, w.q, nq/a.HeadDim
	t.Scale, t.SoftCap, t.Window = a.Scale, a.SoftCap, a.Window
	s.Pool.Attend(t)
	s.Pool.Set(&w.mid, w.q, s.Rows, nq)
	a.O.Apply(s, &w.mid, dst)
}

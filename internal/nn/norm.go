package nn

import "github.com/galerne-ai/galerne/internal/kernel"

// RMSNorm scales rows to unit root mean square, then by W (https://arxiv.org/abs/1910.07467).
type RMSNorm struct {
	W      []float32 // [width]
	Eps    float32
	each   func(row, worker int)
	dst, x []float32
	delta  []float32     // nil: none
	batch  *kernel.Input // nil: none
}

// NewRMSNorm makes the part.
func NewRMSNorm(w []float32, eps float32) *RMSNorm {
	n := &RMSNorm{W: w, Eps: eps}
	n.each = func(row, _ int) {
		from, to := row*len(n.W), (row+1)*len(n.W)
		x := n.x[from:to]
		if n.delta != nil {
			kernel.Add(x, n.delta[from:to])
		}
		kernel.RMSNorm(n.dst[from:to], x, n.W, n.Eps)
		if n.batch != nil {
			n.batch.Filled(row)
		}
	}
	return n
}

// Apply is dst = norm(x), both [rows][width]; dst may be x.
func (n *RMSNorm) Apply(s *Step, dst, x []float32) {
	n.dst, n.x, n.delta, n.batch = dst, x, nil, nil
	s.Each(n.each)
}

// AddApply is x += delta; dst = norm(x), which batch becomes: the end of one residual branch and the start of the next.
func (n *RMSNorm) AddApply(s *Step, batch *kernel.Input, dst, x, delta []float32) {
	n.dst, n.x, n.delta, n.batch = dst, x, delta, batch
	s.Expect(batch, dst, len(n.W))
	s.Each(n.each)
}

// heads normalizes every head [count][len(W)] of one row.
func (n *RMSNorm) heads(x []float32) {
	for ; len(x) > 0; x = x[len(n.W):] {
		kernel.RMSNorm(x[:len(n.W)], x[:len(n.W)], n.W, n.Eps)
	}
}

// LayerNorm scales rows to zero mean and unit variance, then by W, plus B (https://arxiv.org/abs/1607.06450).
type LayerNorm struct {
	W, B []float32
	Eps  float32
}

// AddApply is x = norm(x + delta), rows of len(W); delta may be nil.
func (n *LayerNorm) AddApply(x, delta []float32) {
	for from := 0; from < len(x); from += len(n.W) {
		row := x[from : from+len(n.W)]
		if delta != nil {
			kernel.Add(row, delta[from:from+len(n.W)])
		}
		kernel.LayerNorm(row, row, n.W, n.B, n.Eps)
	}
}

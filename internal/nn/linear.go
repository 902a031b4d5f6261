package nn

import "github.com/galerne-ai/galerne/internal/kernel"

// Linear is y = W·x + Bias.
type Linear struct {
	W    *kernel.Matrix // [out][in]
	Bias []float32      // [out], nil for none
}

// Out is the width of y.
func (l *Linear) Out() int { return l.W.Rows }

// Apply fills dst [rows][out].
func (l *Linear) Apply(s *Step, in *kernel.Input, dst []float32) {
	s.jobs = append(s.jobs[:0], l.job(in, dst))
	s.Pool.MatMul(s.jobs)
	l.addBias(dst)
}

func (l *Linear) job(in *kernel.Input, dst []float32) kernel.Job {
	return kernel.Job{W: l.W, In: in, Dst: dst, Stride: l.W.Rows}
}

func (l *Linear) addBias(dst []float32) {
	if l.Bias == nil {
		return
	}
	for len(dst) > 0 {
		kernel.Add(dst[:len(l.Bias)], l.Bias)
		dst = dst[len(l.Bias):]
	}
}

// Embedding is the table of token vectors [vocabulary][width].
type Embedding struct {
	W     *kernel.Matrix
	Scale float32 // of the vectors; 1 for most families
	each  func(row, worker int)
	ids   []int32
	dst   []float32
}

// NewEmbedding makes the part.
func NewEmbedding(w *kernel.Matrix, scale float32) *Embedding {
	e := &Embedding{W: w, Scale: scale}
	e.each = func(row, _ int) {
		x := e.dst[row*e.W.Cols : (row+1)*e.W.Cols]
		e.W.Row(int(e.ids[row]), x)
		if e.Scale != 1 {
			kernel.Scale(x, e.Scale)
		}
	}
	return e
}

// Apply fills dst [rows][width] with the vectors of ids [rows].
func (e *Embedding) Apply(s *Step, ids []int32, dst []float32) {
	e.ids, e.dst = ids, dst
	s.Each(e.each)
}

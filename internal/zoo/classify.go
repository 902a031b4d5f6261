package zoo

import (
	"math"

	"github.com/galerne-ai/galerne/internal/kernel"
	"github.com/galerne-ai/galerne/internal/model"
	"github.com/galerne-ai/galerne/internal/nn"
)

// head turns the row of a text's first token into a number for each label: out · tanh(dense · row). BERT
// calls dense its pooler; a cross-encoder is a head of one label over two texts read as one sequence.
type head struct {
	dense, out nn.Linear
	in         kernel.Input
	row        []float32 // [Dim]
}

func newHead(b *binder, s *spec) *head {
	return &head{dense: b.linear(s.Dim, s.Dim, "cls"), out: b.linear(len(s.Labels), s.Dim, "cls.output"), row: make([]float32, s.Dim)}
}

// apply fills out [labels] from x [Dim].
func (h *head) apply(s *nn.Step, x, out []float32) {
	s.Rows = 1
	s.Pool.Set(&h.in, x, 1, len(x))
	h.dense.Apply(s, &h.in, h.row)
	for i, v := range h.row {
		h.row[i] = float32(math.Tanh(float64(v)))
	}
	s.Pool.Set(&h.in, h.row, 1, len(h.row))
	h.out.Apply(s, &h.in, out)
}

// Classify implements model.Classifier. Texts are run one by one; each is 1 to Context tokens.
func (m *bert) Classify(pool *kernel.Pool, texts []model.Text, out []float32) {
	labels := len(m.config.Labels)
	for i, t := range texts {
		m.run(pool, t)
		m.head.apply(&m.step, m.x[:m.config.Dim], out[i*labels:(i+1)*labels])
	}
}

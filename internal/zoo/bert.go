package zoo

import (
	"math"

	"github.com/galerne-ai/galerne/internal/kernel"
	"github.com/galerne-ai/galerne/internal/model"
	"github.com/galerne-ai/galerne/internal/nn"
)

// bert is an encoder with learned positions (Devlin et al. 2018, https://arxiv.org/abs/1810.04805),
// whose embedding of a text is the mean of its last layer's rows, or the first of them. RoBERTa is the same
// network (Liu et al. 2019, https://arxiv.org/abs/1907.11692), whose table of positions begins with rows
// that no text uses.
type bert struct {
	config          model.Config
	pooling         pooling
	tokens          *nn.Embedding
	positions, kind *kernel.Matrix
	skipped         int // rows of positions before a text's first
	norm            *nn.LayerNorm
	layers          []bertLayer
	step            nn.Step
	in              kernel.Input
	x, q, k, v, h   []float32
	wide            []float32
	row             []float32
	heads           headsTask
	head            *head // of a classifier
}

type bertLayer struct {
	q, k, v, o, up, down nn.Linear
	attentionNorm, norm  *nn.LayerNorm
}

func buildBERT(b *binder, s *spec) Network {
	m := &bert{
		config:    s.Config,
		pooling:   s.pooling,
		tokens:    nn.NewEmbedding(b.embedding(), 1),
		positions: b.matrix(s.positions, s.Dim, "position_embd"),
		skipped:   s.skipped,
		norm:      b.layerNorm(s.Dim, "token_embd_norm"),
		row:       make([]float32, s.Dim),
	}
	kinds := 2
	if t := b.tensor(b.nameOf("token_types.weight", "")); t != nil && len(t.Shape) == 2 {
		kinds = t.Shape[0]
	}
	m.kind = b.matrix(kinds, s.Dim, "token_types")
	for i := range s.Layers {
		m.layers = append(m.layers, bertLayer{
			q: b.linear(s.Dim, s.Dim, "blk.%d.attn_q", i), k: b.linear(s.Dim, s.Dim, "blk.%d.attn_k", i),
			v: b.linear(s.Dim, s.Dim, "blk.%d.attn_v", i), o: b.linear(s.Dim, s.Dim, "blk.%d.attn_output", i),
			attentionNorm: b.layerNorm(s.Dim, "blk.%d.attn_output_norm", i),
			up:            b.linear(s.FFN, s.Dim, "blk.%d.ffn_up", i), down: b.linear(s.Dim, s.FFN, "blk.%d.ffn_down", i),
			norm: b.layerNorm(s.Dim, "blk.%d.layer_output_norm", i),
		})
	}
	if len(s.Labels) == 0 {
		return Network{Encoder: m}
	}
	m.head = newHead(b, s)
	return Network{Classifier: m}
}

// Encode implements model.Encoder. Texts are run one by one; each is at most Context tokens.
func (m *bert) Encode(pool *kernel.Pool, texts [][]int32, out []float32) {
	dim := m.config.Dim
	for i, ids := range texts {
		m.run(pool, model.Text{Tokens: ids})
		mean := out[i*dim : (i+1)*dim]
		clear(mean)
		if m.pooling == poolFirst {
			ids = ids[:min(1, len(ids))]
		}
		for r := range ids {
			kernel.Add(mean, m.x[r*dim:(r+1)*dim])
		}
		kernel.Scale(mean, 1/float32(max(len(ids), 1)))
	}
}

// Rows implements model.Encoder.
func (m *bert) Rows(pool *kernel.Pool, text []int32, out []float32) {
	m.run(pool, model.Text{Tokens: text})
	copy(out, m.x[:len(text)*m.config.Dim])
}

// run leaves the last layer's rows [len(Tokens)][Dim] in m.x.
func (m *bert) run(pool *kernel.Pool, t model.Text) {
	s, rows, dim := &m.step, len(t.Tokens), m.config.Dim
	s.Pool, s.Rows = pool, rows
	m.x, m.h = kernel.Grow(m.x, rows*dim), kernel.Grow(m.h, rows*dim)
	m.q, m.k, m.v = kernel.Grow(m.q, rows*dim), kernel.Grow(m.k, rows*dim), kernel.Grow(m.v, rows*dim)
	m.wide = kernel.Grow(m.wide, rows*m.config.FFN)
	m.tokens.Apply(s, t.Tokens, m.x)
	for r := range t.Tokens {
		m.positions.Row(m.skipped+r, m.row)
		kernel.Add(m.x[r*dim:(r+1)*dim], m.row)
		kind := 0
		if t.Kinds != nil {
			kind = min(int(t.Kinds[r]), m.kind.Rows-1) // RoBERTa has one kind for both texts
		}
		m.kind.Row(kind, m.row)
		kernel.Add(m.x[r*dim:(r+1)*dim], m.row)
	}
	m.norm.AddApply(m.x, nil)
	for i := range m.layers {
		m.layers[i].apply(s, m)
	}
}

func (l *bertLayer) apply(s *nn.Step, m *bert) {
	dim := m.config.Dim
	s.Pool.Set(&m.in, m.x, s.Rows, dim)
	l.q.Apply(s, &m.in, m.q)
	l.k.Apply(s, &m.in, m.k)
	l.v.Apply(s, &m.in, m.v)
	m.heads.m, m.heads.rows = m, s.Rows
	m.heads.grow(s.Pool.Threads())
	s.Pool.Run(m.config.Heads, &m.heads)
	s.Pool.Set(&m.in, m.q, s.Rows, dim)
	l.o.Apply(s, &m.in, m.h)
	l.attentionNorm.AddApply(m.x, m.h)
	s.Pool.Set(&m.in, m.x, s.Rows, dim)
	l.up.Apply(s, &m.in, m.wide)
	kernel.GELU(m.wide)
	s.Pool.Set(&m.in, m.wide, s.Rows, m.config.FFN)
	l.down.Apply(s, &m.in, m.h)
	l.norm.AddApply(m.x, m.h)
}

// headsTask is attention over all rows of a text, a part a head; the result takes the queries' place.
type headsTask struct {
	m           *bert
	rows        int
	scores, acc [][]float32
}

func (t *headsTask) grow(threads int) {
	for len(t.scores) < threads {
		t.scores, t.acc = append(t.scores, nil), append(t.acc, make([]float32, t.m.config.HeadDim))
	}
	for i := range t.scores {
		t.scores[i] = kernel.Grow(t.scores[i], t.rows)
	}
}

// Part runs one head.
func (t *headsTask) Part(head, worker int) {
	m, dim := t.m, t.m.config.HeadDim
	kernel.AttendAll(m.q, m.q, m.k, m.v, t.rows, m.config.Heads, dim, float32(1/math.Sqrt(float64(dim))), head, t.scores[worker], t.acc[worker])
}

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

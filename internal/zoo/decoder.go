package zoo

import (
	"math"

	"github.com/galerne-ai/galerne/internal/kernel"
	"github.com/galerne-ai/galerne/internal/model"
	"github.com/galerne-ai/galerne/internal/nn"
)

// decoder runs a stack of layers from tokens to logits: what the decoder-only families share.
type decoder struct {
	config  model.Config
	embed   *nn.Embedding
	ropes   []*nn.Rope
	layers  []layer
	norm    *nn.RMSNorm
	output  nn.Linear
	step    nn.Step
	in      kernel.Input
	x, h, d []float32 // [rows][Dim] residual stream, a branch's input, a branch's result
	wanted  []float32 // [len(Want)][Dim]
}

// layer adds its two branches to the residual stream x.
type layer interface {
	apply(s *nn.Step, m *decoder)
}

// preNorm is x += attention(norm(x)); x += feedForward(norm(x)).
type preNorm struct {
	attentionNorm, ffnNorm *nn.RMSNorm
	attention              *nn.Attention
	ffn                    nn.FeedForward
}

func (l *preNorm) apply(s *nn.Step, m *decoder) {
	l.attentionNorm.AddApply(s, m.h, m.x, m.d)
	l.attention.Apply(s, m.h, m.d)
	l.ffnNorm.AddApply(s, m.h, m.x, m.d)
	l.ffn.Apply(s, m.h, m.d)
}

// newDecoder takes the parts that every decoder has.
func newDecoder(b *binder, s *spec, scale float32) *decoder {
	embedding := b.embedding()
	return &decoder{
		config: s.Config,
		embed:  nn.NewEmbedding(embedding, scale),
		norm:   b.rmsNorm(s.Dim, "output_norm"),
		output: nn.Linear{W: b.output(embedding)},
	}
}

// attention takes the parts of one layer's attention.
func (b *binder) attention(i int, rope *nn.Rope, work *nn.AttentionWork) *nn.Attention {
	s := b.spec
	a := &nn.Attention{
		Q: b.linear(s.Heads*s.HeadDim, s.Dim, "blk.%d.attn_q", i), K: b.linear(s.KVHeads*s.HeadDim, s.Dim, "blk.%d.attn_k", i),
		V: b.linear(s.KVHeads*s.HeadDim, s.Dim, "blk.%d.attn_v", i), O: b.linear(s.Dim, s.Heads*s.HeadDim, "blk.%d.attn_output", i),
		Rope: rope, Layer: i, KVHeads: s.KVHeads, HeadDim: s.HeadDim, Window: s.Window, Scale: float32(1 / math.Sqrt(float64(s.HeadDim))),
	}
	if s.seesAll(i) {
		a.Window = 0
	}
	return a.Init(work)
}

func (b *binder) gatedMLP(i int, act nn.Activation, work *nn.FeedForwardWork) nn.FeedForward {
	s := b.spec
	return nn.NewGatedMLP(b.linear(s.FFN, s.Dim, "blk.%d.ffn_gate", i), b.linear(s.FFN, s.Dim, "blk.%d.ffn_up", i),
		b.linear(s.Dim, s.FFN, "blk.%d.ffn_down", i), act, work)
}

// mixture takes the router and experts of one layer.
func (b *binder) mixture(i int, work *nn.FeedForwardWork) nn.FeedForward {
	s := b.spec
	router := b.matrix(s.Experts, s.Dim, "blk.%d.ffn_gate_inp", i)
	gate, up, down := b.experts(s.FFN, s.Dim, i, "gate"), b.experts(s.FFN, s.Dim, i, "up"), b.experts(s.Dim, s.FFN, i, "down")
	experts := make([]nn.Expert, s.Experts)
	for e := range experts {
		experts[e] = nn.Expert{Gate: gate[e], Up: up[e], Down: down[e]}
	}
	return nn.NewMoE(router, experts, s.ExpertsUsed, s.normalize, kernel.SwiGLU, work)
}

// Forward implements model.Model.
func (m *decoder) Forward(b *model.Batch) {
	s, rows, dim := &m.step, len(b.Tokens), m.config.Dim
	s.Pool, s.Rows, s.Positions, s.Spans, s.Cache = b.Pool, rows, b.Positions, b.Spans, b.Cache
	s.Begin()
	for _, r := range m.ropes {
		r.Begin(s)
	}
	m.x, m.h, m.d = resize(m.x, rows*dim), resize(m.h, rows*dim), resize(m.d, rows*dim)
	m.embed.Apply(s, b.Tokens, m.x)
	clear(m.d) // nothing to add before the first layer
	for _, l := range m.layers {
		l.apply(s, m)
	}
	if len(b.States) > 0 {
		m.last(b.States, b.Hidden)
	}
	if len(b.Want) == 0 {
		return
	}
	// Only the rows whose logits are wanted go through the widest matrix.
	m.wanted = resize(m.wanted, len(b.Want)*dim)
	m.last(b.Want, m.wanted)
	s.Pool.Set(&m.in, m.wanted, len(b.Want), dim)
	m.output.Apply(s, &m.in, b.Logits)
}

// last gives the hidden states of rows behind the last norm.
func (m *decoder) last(rows []int32, out []float32) {
	dim := m.config.Dim
	for i, r := range rows {
		row := out[i*dim : (i+1)*dim]
		copy(row, m.x[int(r)*dim:][:dim])
		kernel.Add(row, m.d[int(r)*dim:][:dim])
	}
	m.step.Rows = len(rows)
	m.norm.Apply(&m.step, out, out)
}

func resize(b []float32, n int) []float32 {
	if cap(b) < n {
		return make([]float32, n)
	}
	return b[:n]
}

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
	in      kernel.Input // h as a batch; in the end what is wanted
	x, h, d []float32    // [rows][Dim] residual stream, a branch's input, a branch's result
	kept    []int32      // the rows that go on behind the last layer's keys and values
	wanted  []float32    // [len(Want)][Dim]
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
	l.attentionNorm.AddApply(s, &m.in, m.h, m.x, m.d)
	m.attend(s, l.attention)
	l.ffnNorm.AddApply(s, &m.in, m.h, m.x, m.d)
	l.ffn.Apply(s, &m.in, m.d)
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
	m := nn.NewMoE(b.matrix(s.Experts, s.Dim, "blk.%d.ffn_gate_inp", i), b.experts(i), s.FFN, s.ExpertsUsed, s.normalize, kernel.SwiGLU, work)
	if b.store != nil && b.mixed != nil {
		b.mixed.Next = m.Router
	}
	b.mixed = m
	return m
}

// Forward implements model.Model.
func (m *decoder) Forward(b *model.Batch) {
	s, rows, dim := &m.step, len(b.Tokens), m.config.Dim
	s.Pool, s.Rows, s.Positions, s.Spans, s.Cache, s.Err = b.Pool, rows, b.Positions, b.Spans, b.Cache, nil
	s.Begin()
	for _, r := range m.ropes {
		r.Begin(s)
	}
	m.x, m.h, m.d = kernel.Grow(m.x, rows*dim), kernel.Grow(m.h, rows*dim), kernel.Grow(m.d, rows*dim)
	m.embed.Apply(s, b.Tokens, m.x)
	clear(m.d) // nothing to add before the first layer
	m.kept = union(m.kept[:0], b.Want, b.States)
	for _, l := range m.layers {
		l.apply(s, m)
		if b.Err = s.Err; b.Err != nil {
			return
		}
	}
	if len(b.States) > 0 {
		m.last(b.States, b.Hidden)
	}
	if len(b.Want) == 0 {
		return
	}
	// Only the rows whose logits are wanted go through the widest matrix, all in the way of answers: those of prompts are few.
	m.wanted = kernel.Grow(m.wanted, len(b.Want)*dim)
	m.last(b.Want, m.wanted)
	s.Pool.Set(&m.in, m.wanted, len(b.Want), dim)
	m.output.Apply(s, &m.in, b.Logits)
}

// attend fills d with a layer's attention to h. Of the last layer nothing but the kept rows is ever asked for, so that
// they alone go on from there, in x, h and d; the others leave their keys and values.
func (m *decoder) attend(s *nn.Step, a *nn.Attention) {
	if a.Layer < len(m.layers)-1 || len(m.kept) == s.Rows {
		a.Apply(s, &m.in, m.d)
		return
	}
	a.Remember(s, &m.in)
	s.Narrow(m.kept)
	for _, r := range m.ropes {
		r.Begin(s)
	}
	dim := m.config.Dim
	for i, r := range m.kept {
		copy(m.x[i*dim:(i+1)*dim], m.x[int(r)*dim:])
		copy(m.h[i*dim:(i+1)*dim], m.h[int(r)*dim:])
	}
	s.Set(&m.in, m.h, dim)
	a.Recall(s, &m.in, m.d)
}

// union appends what is in a or in b, both ascending.
func union(to, a, b []int32) []int32 {
	for len(a)+len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0] < b[0]:
			to, a = append(to, a[0]), a[1:]
		case len(a) == 0 || b[0] < a[0]:
			to, b = append(to, b[0]), b[1:]
		default:
			to, a, b = append(to, a[0]), a[1:], b[1:]
		}
	}
	return to
}

// last gives the hidden states of rows, which are among the kept, behind the last norm.
func (m *decoder) last(rows []int32, out []float32) {
	dim, at := m.config.Dim, 0
	for i, r := range rows {
		for m.kept[at] != r {
			at++
		}
		row := out[i*dim : (i+1)*dim]
		copy(row, m.x[at*dim:][:dim])
		kernel.Add(row, m.d[at*dim:][:dim])
	}
	m.step.Rows = len(rows)
	m.norm.Apply(&m.step, out, out)
}

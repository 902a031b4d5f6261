package zoo

import (
	"math"

	"github.com/galerne-ai/galerne/internal/kernel"
	"github.com/galerne-ai/galerne/internal/nn"
)

// gemmaLayer norms both ends of each branch: x += norm(attention(norm(x))); x += norm(ffn(norm(x))).
type gemmaLayer struct {
	attentionNorm, afterAttention, ffnNorm, afterFFN *nn.RMSNorm
	attention                                        *nn.Attention
	ffn                                              nn.FeedForward
}

func (l *gemmaLayer) apply(s *nn.Step, m *decoder) {
	l.attentionNorm.AddApply(s, &m.in, m.h, m.x, m.d)
	m.attend(s, l.attention)
	l.afterAttention.Apply(s, m.d, m.d)
	l.ffnNorm.AddApply(s, &m.in, m.h, m.x, m.d)
	l.ffn.Apply(s, &m.in, m.d)
	l.afterFFN.Apply(s, m.d, m.d)
}

// buildGemma3 is Gemma 3's text network: most layers see a window and turn by a base of their own,
// every pattern-th sees everything (Gemma Team 2025, https://arxiv.org/abs/2503.19786).
func buildGemma3(b *binder, s *spec) Network {
	// Hugging Face multiplies by sqrt(Dim) rounded to the weights' type; GGUF engines do not round.
	m := newDecoder(b, s, float32(math.Sqrt(float64(s.Dim))))
	b.plusOne(m.norm)
	global, local := b.rope(s.ropeBase, s.scaling), b.rope(s.ropeLocal, nn.RopeScaling{})
	m.ropes = []*nn.Rope{global, local}
	scale := float32(1 / math.Sqrt(float64(s.HeadDim)))
	if s.queryScalar > 0 {
		scale = float32(1 / math.Sqrt(s.queryScalar))
	} else if s.gguf && s.Layers == 62 { // 27B: the one whose queries are scaled by width/heads
		scale = float32(1 / math.Sqrt(float64(s.Dim/s.Heads)))
	}
	var attention nn.AttentionWork
	var ffn nn.FeedForwardWork
	for i := range s.Layers {
		rope := local
		if s.seesAll(i) {
			rope = global
		}
		a := b.attention(i, rope, &attention)
		a.Scale = scale
		a.QNorm, a.KNorm = b.rmsNorm(s.HeadDim, "blk.%d.attn_q_norm", i), b.rmsNorm(s.HeadDim, "blk.%d.attn_k_norm", i)
		l := &gemmaLayer{
			attentionNorm: b.rmsNorm(s.Dim, "blk.%d.attn_norm", i), afterAttention: b.rmsNorm(s.Dim, "blk.%d.post_attention_norm", i),
			ffnNorm: b.rmsNorm(s.Dim, "blk.%d.ffn_norm", i), afterFFN: b.rmsNorm(s.Dim, "blk.%d.post_ffw_norm", i),
			attention: a, ffn: b.gatedMLP(i, kernel.GeGLU, &ffn),
		}
		b.plusOne(a.QNorm, a.KNorm, l.attentionNorm, l.afterAttention, l.ffnNorm, l.afterFFN)
		m.layers = append(m.layers, l)
	}
	return Network{Model: m}
}

// plusOne adds the 1 that Gemma's safetensors leave away from norms; GGUF files have it in.
func (b *binder) plusOne(norms ...*nn.RMSNorm) {
	if b.spec.gguf {
		return
	}
	for _, n := range norms {
		for i := range n.W {
			n.W[i]++
		}
	}
}

package zoo

import (
	"github.com/galerne-ai/galerne/internal/kernel"
	"github.com/galerne-ai/galerne/internal/model"
	"github.com/galerne-ai/galerne/internal/nn"
)

// buildQwen3 is Llama with a norm on each head's query and key (https://arxiv.org/abs/2505.09388).
func buildQwen3(b *binder, s *spec) Network {
	var ffn nn.FeedForwardWork
	return Network{Model: qwen3(b, s, func(i int) nn.FeedForward { return b.gatedMLP(i, kernel.SwiGLU, &ffn) })}
}

// buildQwen3MoE is Qwen 3 with a mixture of experts.
func buildQwen3MoE(b *binder, s *spec) Network {
	var ffn nn.FeedForwardWork
	return Network{Model: qwen3(b, s, func(i int) nn.FeedForward { return b.mixture(i, &ffn) })}
}

func qwen3(b *binder, s *spec, ffn func(i int) nn.FeedForward) model.Model {
	m := newDecoder(b, s, 1)
	rope := b.rope(s.ropeBase, s.scaling)
	m.ropes = []*nn.Rope{rope}
	var work nn.AttentionWork
	for i := range s.Layers {
		a := b.attention(i, rope, &work)
		a.QNorm, a.KNorm = b.rmsNorm(s.HeadDim, "blk.%d.attn_q_norm", i), b.rmsNorm(s.HeadDim, "blk.%d.attn_k_norm", i)
		m.layers = append(m.layers, &preNorm{
			attentionNorm: b.rmsNorm(s.Dim, "blk.%d.attn_norm", i),
			attention:     a,
			ffnNorm:       b.rmsNorm(s.Dim, "blk.%d.ffn_norm", i),
			ffn:           ffn(i),
		})
	}
	return m
}

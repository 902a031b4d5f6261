package zoo

import (
	"github.com/galerne-ai/galerne/internal/kernel"
	"github.com/galerne-ai/galerne/internal/nn"
)

// buildLlama is Llama 2 and 3, Mistral, Yi and SmolLM2; with biases on queries, keys and values, which
// are taken where the file has them, it is Qwen 2 too. (Touvron et al. 2023,
// https://arxiv.org/abs/2307.09288; Jiang et al. 2023, https://arxiv.org/abs/2310.06825.)
func buildLlama(b *binder, s *spec) Network {
	m := newDecoder(b, s, 1)
	rope := b.rope(s.ropeBase, s.scaling)
	m.ropes = []*nn.Rope{rope}
	var attention nn.AttentionWork
	var ffn nn.FeedForwardWork
	for i := range s.Layers {
		m.layers = append(m.layers, &preNorm{
			attentionNorm: b.rmsNorm(s.Dim, "blk.%d.attn_norm", i),
			attention:     b.attention(i, rope, &attention),
			ffnNorm:       b.rmsNorm(s.Dim, "blk.%d.ffn_norm", i),
			ffn:           b.gatedMLP(i, kernel.SwiGLU, &ffn),
		})
	}
	return Network{Model: m}
}

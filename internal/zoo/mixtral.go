package zoo

import (
	"github.com/galerne-ai/galerne/internal/nn"
)

// buildMixtral is Mistral with a mixture of experts in place of the feed-forward (Jiang et al. 2024,
// https://arxiv.org/abs/2401.04088).
func buildMixtral(b *binder, s *spec) Network {
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
			ffn:           b.mixture(i, &ffn),
		})
	}
	return Network{Model: m}
}

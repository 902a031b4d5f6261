package zoo

import (
	"fmt"
	"strings"
)

// huggingFace lists, for each of GGUF's names, what the families' safetensors call it; %d is the layer.
func huggingFace(arch string) map[string]string {
	switch arch {
	case "bert", "roberta", "xlm-roberta":
		names := map[string]string{
			"token_embd.weight":        "embeddings.word_embeddings.weight",
			"position_embd.weight":     "embeddings.position_embeddings.weight",
			"token_types.weight":       "embeddings.token_type_embeddings.weight",
			"token_embd_norm":          "embeddings.LayerNorm",
			"blk.%d.attn_q":            "encoder.layer.%d.attention.self.query",
			"blk.%d.attn_k":            "encoder.layer.%d.attention.self.key",
			"blk.%d.attn_v":            "encoder.layer.%d.attention.self.value",
			"blk.%d.attn_output":       "encoder.layer.%d.attention.output.dense",
			"blk.%d.attn_output_norm":  "encoder.layer.%d.attention.output.LayerNorm",
			"blk.%d.ffn_up":            "encoder.layer.%d.intermediate.dense",
			"blk.%d.ffn_down":          "encoder.layer.%d.output.dense",
			"blk.%d.layer_output_norm": "encoder.layer.%d.output.LayerNorm",
			"cls":                      "pooler.dense",
			"cls.output":               "classifier",
		}
		if arch != "bert" {
			names["cls"], names["cls.output"] = "classifier.dense", "classifier.out_proj"
		}
		return names
	}
	names := map[string]string{
		"token_embd.weight":   "model.embed_tokens.weight",
		"output_norm":         "model.norm",
		"output.weight":       "lm_head.weight",
		"blk.%d.attn_norm":    "model.layers.%d.input_layernorm",
		"blk.%d.ffn_norm":     "model.layers.%d.post_attention_layernorm",
		"blk.%d.attn_q":       "model.layers.%d.self_attn.q_proj",
		"blk.%d.attn_k":       "model.layers.%d.self_attn.k_proj",
		"blk.%d.attn_v":       "model.layers.%d.self_attn.v_proj",
		"blk.%d.attn_output":  "model.layers.%d.self_attn.o_proj",
		"blk.%d.attn_q_norm":  "model.layers.%d.self_attn.q_norm",
		"blk.%d.attn_k_norm":  "model.layers.%d.self_attn.k_norm",
		"blk.%d.ffn_gate":     "model.layers.%d.mlp.gate_proj",
		"blk.%d.ffn_up":       "model.layers.%d.mlp.up_proj",
		"blk.%d.ffn_down":     "model.layers.%d.mlp.down_proj",
		"blk.%d.ffn_gate_inp": "model.layers.%d.mlp.gate",
		"blk.%d.ffn_gate.%d":  "model.layers.%d.mlp.experts.%d.gate_proj",
		"blk.%d.ffn_up.%d":    "model.layers.%d.mlp.experts.%d.up_proj",
		"blk.%d.ffn_down.%d":  "model.layers.%d.mlp.experts.%d.down_proj",
	}
	switch {
	case arch == "mixtral":
		names["blk.%d.ffn_gate_inp"] = "model.layers.%d.block_sparse_moe.gate"
		names["blk.%d.ffn_gate.%d"] = "model.layers.%d.block_sparse_moe.experts.%d.w1"
		names["blk.%d.ffn_up.%d"] = "model.layers.%d.block_sparse_moe.experts.%d.w3"
		names["blk.%d.ffn_down.%d"] = "model.layers.%d.block_sparse_moe.experts.%d.w2"
	case strings.HasPrefix(arch, "gemma3"):
		names["blk.%d.post_attention_norm"] = "model.layers.%d.post_attention_layernorm"
		names["blk.%d.ffn_norm"] = "model.layers.%d.pre_feedforward_layernorm"
		names["blk.%d.post_ffw_norm"] = "model.layers.%d.post_feedforward_layernorm"
	}
	return names
}

// nameOf fills a pattern of GGUF's ("blk.%d.attn_q", ending) for the file's format.
func (b *binder) nameOf(pattern, ending string, numbers ...any) string {
	if !b.spec.gguf {
		if hf, ok := b.names[pattern]; ok {
			pattern = hf
		} else if hf, ok := b.names[pattern+ending]; ok {
			pattern, ending = hf, ""
		}
	}
	if len(numbers) > 0 {
		pattern = fmt.Sprintf(pattern, numbers...)
	}
	return pattern + ending
}

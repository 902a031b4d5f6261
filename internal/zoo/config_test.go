package zoo

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/galerne-ai/galerne/internal/weights"
)

// safetensors writes a file of float32 zeros with these shapes.
func safetensors(t testing.TB, path string, shapes map[string][]int) {
	t.Helper()
	header, at := map[string]any{}, 0
	for name, shape := range shapes {
		n := 4
		for _, d := range shape {
			n *= d
		}
		header[name] = map[string]any{"dtype": "F32", "shape": shape, "data_offsets": []int{at, at + n}}
		at += n
	}
	raw, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	data := append(binary.LittleEndian.AppendUint64(nil, uint64(len(raw))), raw...)
	if err := os.WriteFile(path, append(data, make([]byte, at)...), 0o600); err != nil {
		t.Fatal(err)
	}
}

// tinyLlama is the shapes of a network of one layer that fits smallConfig.
func tinyLlama() map[string][]int {
	return map[string][]int{
		"model.embed_tokens.weight": {6, 8}, "model.norm.weight": {8}, "lm_head.weight": {6, 8},
		"model.layers.0.input_layernorm.weight": {8}, "model.layers.0.post_attention_layernorm.weight": {8},
		"model.layers.0.self_attn.q_proj.weight": {8, 8}, "model.layers.0.self_attn.k_proj.weight": {4, 8},
		"model.layers.0.self_attn.v_proj.weight": {4, 8}, "model.layers.0.self_attn.o_proj.weight": {8, 8},
		"model.layers.0.mlp.gate_proj.weight": {10, 8}, "model.layers.0.mlp.up_proj.weight": {10, 8},
		"model.layers.0.mlp.down_proj.weight": {8, 10},
	}
}

const smallConfig = `{"model_type":"llama","vocab_size":6,"hidden_size":8,"num_hidden_layers":1,"num_attention_heads":2,
	"num_key_value_heads":1,"intermediate_size":10,"max_position_embeddings":32,"rms_norm_eps":1e-5,"tie_word_embeddings":false}`

// openConfig opens tensors with a config.json.
func openConfig(t testing.TB, config string, shapes map[string][]int) (*Network, error) {
	t.Helper()
	dir := t.TempDir()
	safetensors(t, filepath.Join(dir, "model.safetensors"), shapes)
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := weights.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := Inspect(f); err != nil {
		return nil, err
	}
	return Open(f, Options{})
}

func TestAllWrongTensorsComeInOneError(t *testing.T) {
	net, err := openConfig(t, smallConfig, tinyLlama())
	if err != nil {
		t.Fatal(err)
	}
	net.Close()
	shapes := tinyLlama()
	delete(shapes, "lm_head.weight")
	delete(shapes, "model.norm.weight")
	delete(shapes, "model.layers.0.mlp.up_proj.weight")
	shapes["model.layers.0.self_attn.k_proj.weight"] = []int{8, 4}
	_, err = openConfig(t, smallConfig, shapes)
	if !errors.Is(err, ErrTensors) {
		t.Fatal(err)
	}
	for _, want := range []string{"4 tensors", "lm_head.weight [6 8] is missing", "model.norm.weight [8] is missing",
		"model.layers.0.mlp.up_proj.weight [10 8] is missing", "model.layers.0.self_attn.k_proj.weight is [8 4], wanted is [4 8]"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\ndoes not say %q", err, want)
		}
	}
}

func TestAnOutputMatrixMayBeLeftAwayOnlyWhereItIsTied(t *testing.T) {
	shapes := tinyLlama()
	delete(shapes, "lm_head.weight")
	if _, err := openConfig(t, smallConfig, shapes); !errors.Is(err, ErrTensors) {
		t.Error(err)
	}
	net, err := openConfig(t, strings.Replace(smallConfig, `"tie_word_embeddings":false`, `"tie_word_embeddings":true`, 1), shapes)
	if err != nil {
		t.Fatal(err)
	}
	net.Close()
}

// TestConfigsThatCannotBeServedAreRefusedByName: each is smallConfig with something added.
func TestConfigsThatCannotBeServedAreRefusedByName(t *testing.T) {
	for added, want := range map[string]string{
		`"model_type":"mamba"`:                              `"mamba" is not supported`,
		`"hidden_size":-8`:                                  "width is -8",
		`"hidden_size":1e3`:                                 "config.json",
		`"num_hidden_layers":4000`:                          "too few for 4000 layers",
		`"num_hidden_layers":99999999`:                      "number of layers",
		`"num_attention_heads":0`:                           "number of heads",
		`"num_key_value_heads":3`:                           "cannot share 3 key heads",
		`"head_dim":5`:                                      "in pairs",
		`"rms_norm_eps":0`:                                  "epsilon",
		`"rope_theta":-1`:                                   "rotary base",
		`"rope_scaling":{"rope_type":"longrope"}`:           "longrope",
		`"rope_scaling":{"rope_type":"llama3"}`:             "incomplete",
		`"rope_scaling":{"rope_type":"linear"}`:             "incomplete",
		`"rope_parameters":{"partial_rotary_factor":.5}`:    "config.json",
		`"partial_rotary_factor":0.5`:                       "partial_rotary_factor",
		`"layer_types":["linear_attention"]`:                "linear_attention",
		`"layer_types":["full_attention","full_attention"]`: "names 2 layers",
		`"sliding_window":-1`:                               "sliding window of -1",
		`"hidden_act":"relu"`:                               `"relu"`,
		`"attn_logit_softcapping":50`:                       "soft-capped",
		`"num_experts":4,"num_experts_per_tok":2`:           "experts are not supported for llama",
		`"model_type":"mixtral"`:                            "how many experts",
		`"model_type":"mixtral","num_local_experts":4000,"num_experts_per_tok":4001`:       "4001 of 4000 experts",
		`"model_type":"mixtral","num_local_experts":4000,"num_experts_per_tok":2`:          "block_sparse_moe.experts.0.w1.weight [10 8] is missing",
		`"model_type":"bert","position_embedding_type":"relative_key","hidden_act":"gelu"`: "relative_key",
		`"vocab_size":7`:                   "wanted is [7 8]",
		`"intermediate_size":11`:           "wanted is [11 8]",
		`"max_position_embeddings":0`:      "the context is 0",
		`"vocab_size":"many"`:              "vocab_size",
		`"layer_types":[[[[[[[[{}]]]]]]]]`: "layer_types",
	} {
		_, err := openConfig(t, strings.TrimSuffix(smallConfig, "}")+","+added+"}", tinyLlama())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v\ndoes not say %q", added, err, want)
		}
	}
}

// TestThePublishedGemmaConfigLeavesMuchToDefaults: google/gemma-3-4b-it's config.json names only what differs.
func TestThePublishedGemmaConfigLeavesMuchToDefaults(t *testing.T) {
	f := &weights.File{Format: weights.Safetensors, Config: []byte(`{"architectures":["Gemma3ForConditionalGeneration"],"model_type":"gemma3",
		"text_config":{"hidden_size":2560,"intermediate_size":10240,"model_type":"gemma3_text","num_hidden_layers":34,
		"rope_scaling":{"factor":8.0,"rope_type":"linear"},"sliding_window":1024},"vision_config":{"hidden_size":1152}}`)}
	var c config
	if err := json.Unmarshal(f.Config, &c); err != nil {
		t.Fatal(err)
	}
	s, err := specJSON(f)
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(s.Heads, s.KVHeads, s.HeadDim, s.Context, s.Window, s.eps, s.ropeBase, s.ropeLocal, s.queryScalar, s.scaling.Factor)
	if want := "8 4 256 131072 1024 1e-06 1e+06 10000 256 8"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for i := range s.Layers {
		if s.seesAll(i) != (i%6 == 5) {
			t.Errorf("layer %d: sees all: %v", i, s.seesAll(i))
		}
	}
}

func TestAFolderWithoutAConfigSaysSo(t *testing.T) {
	dir := t.TempDir()
	safetensors(t, filepath.Join(dir, "model.safetensors"), tinyLlama())
	f, err := weights.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, c := range []struct {
		config []byte
		want   string
	}{{nil, "no config.json"}, {[]byte{}, "config.json"}, {[]byte("[]"), "config.json"}, {make([]byte, 2<<20), "2097152 bytes"}} {
		f.Config = c.config
		if _, err := Open(f, Options{}); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v\ndoes not say %q", err, c.want)
		}
	}
}

// TestKeysThatCannotBeServedAreRefusedByName: each is a small GGUF file with one key changed.
func TestKeysThatCannotBeServedAreRefusedByName(t *testing.T) {
	for _, c := range []struct {
		arch, key string
		value     any
		want      string
	}{
		{"llama", "block_count", "one", "llama.block_count is of type str"},
		{"llama", "block_count", 99, "too few for 99 layers"},
		{"llama", "rope.freq_base", "high", "llama.rope.freq_base is of type str"},
		{"llama", "attention.head_count_kv", []int{1, 2}, "differs from layer to layer"},
		{"llama", "attention.head_count_kv", []int{1, 1}, ""},
		{"llama", "attention.head_count_kv", []int{}, "is of type arr"},
		{"llama", "attention.head_count", 0, "number of heads is 0"},
		{"llama", "rope.scaling.type", "longrope", "longrope"},
		{"llama", "rope.scaling.type", "none", ""},
		{"llama", "rope.scaling.type", "linear", ""},
		{"llama", "expert_count", 4, "0 of 4 experts"},
		{"gemma3", "final_logit_softcapping", float32(30), "soft-capped"},
		{"gemma3", "attention.sliding_window", 0, ""},
		{"qwen3moe", "expert_weights_scale", float32(2.5), "expert_weights_scale"},
		{"qwen3moe", "expert_used_count", 9, "9 of 3 experts"},
		{"bert", "pooling_type", 2, ""},
		{"bert", "pooling_type", 3, "pooling_type 3"},
		{"mamba", "block_count", 1, `"mamba" is not supported`},
	} {
		path := filepath.Join(t.TempDir(), "m.gguf")
		if err := os.WriteFile(path, smallGGUF(c.arch, map[string]any{c.key: c.value}), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := weights.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		net, err := Open(f, Options{})
		if err == nil {
			net.Close()
		}
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s.%s of %v: %v\ndoes not say %q", c.arch, c.key, c.value, err, c.want)
		}
	}
}

// TestTensorsAreFoundBehindThePrefixesThatCheckpointsHave: models with a part for pictures put their
// text network behind a name.
func TestTensorsAreFoundBehindThePrefixesThatCheckpointsHave(t *testing.T) {
	for _, rename := range []func(string) string{
		func(s string) string { return "language_model." + s },
		func(s string) string { return "model.language_model." + strings.TrimPrefix(s, "model.") },
		func(s string) string { return strings.TrimPrefix(s, "model.") },
	} {
		shapes := map[string][]int{}
		for name, shape := range tinyLlama() {
			shapes[rename(name)] = shape
		}
		net, err := openConfig(t, `{"model_type":"llama","text_config":`+smallConfig+`}`, shapes)
		if err != nil {
			t.Error(err)
			continue
		}
		net.Close()
	}
}

// TestThePlanIsWhatOpeningTakes: memory is promised by Inspect before a byte is packed.
func TestThePlanIsWhatOpeningTakes(t *testing.T) {
	var paths []string
	for _, r := range append(tinies(t, false), tinies(t, true)...) {
		paths = append(paths, r.folder())
	}
	for _, arch := range seedArchitectures() { // experts of 5 rows, which are padded one by one
		path := filepath.Join(t.TempDir(), arch+".gguf")
		if err := os.WriteFile(path, smallGGUF(arch, nil), 0o600); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	for _, path := range paths {
		f, err := weights.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		plan, err := Inspect(f)
		if err != nil {
			t.Fatal(err)
		}
		one, _ := pools(t)
		if net := openTiny(t, path, one); net.WeightBytes != plan.Weights.Total() {
			t.Errorf("%s: planned are %d bytes, taken were %d", path, plan.Weights.Total(), net.WeightBytes)
		}
	}
}

func TestATensorOfNothingIsNoDivisionByZero(t *testing.T) {
	shapes := tinyLlama()
	shapes["extra"] = []int{2, 0}
	net, err := openConfig(t, smallConfig, shapes)
	if err != nil {
		t.Fatal(err)
	}
	net.Close()
	shapes["model.layers.0.mlp.up_proj.weight"] = []int{10, 0}
	if _, err := openConfig(t, smallConfig, shapes); !errors.Is(err, ErrTensors) {
		t.Fatal(err)
	}
}

func TestPoolingIsReadFromEitherKindOfFile(t *testing.T) {
	for raw, want := range map[string]pooling{
		`{"pooling_mode_cls_token":false,"pooling_mode_mean_tokens":true}`: poolMean,
		`{"pooling_mode_cls_token":true,"pooling_mode_mean_tokens":false}`: poolFirst,
		`{"pooling_mode":"cls"}`: poolFirst, `{"pooling_mode":"mean"}`: poolMean,
		`{"pooling_mode":"max"}`: -1, `{"pooling_mode_max_tokens":true}`: -1, `{`: -1,
	} {
		s := &spec{}
		s.Arch, s.pooling = "bert", -1
		if err := s.poolingJSON([]byte(raw)); s.pooling != want || (err != nil) != (want == -1) {
			t.Errorf("%s: %d, %v", raw, s.pooling, err)
		}
	}
}

func TestAFileThatShrinksWhileItIsPackedGivesAnErrorAndNoCrash(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("NOT TESTED: a mapped file cannot shrink there")
	}
	_, two := pools(t)
	const vocab = 1 << 16 // panels enough that both workers meet missing pages
	shapes, dir := tinyLlama(), t.TempDir()
	shapes["model.embed_tokens.weight"], shapes["lm_head.weight"] = []int{vocab, 8}, []int{vocab, 8}
	path := filepath.Join(dir, "model.safetensors")
	safetensors(t, path, shapes)
	config := strings.Replace(smallConfig, `"vocab_size":6`, fmt.Sprintf(`"vocab_size":%d`, vocab), 1)
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := weights.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.Truncate(path, 1<<16); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(f, Options{Pool: two}); !errors.Is(err, weights.ErrChanged) {
		t.Fatal(err)
	}
}

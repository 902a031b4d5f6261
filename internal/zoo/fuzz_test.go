package zoo

import (
	"encoding/binary"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/galerne-ai/galerne/internal/kernel"
	"github.com/galerne-ai/galerne/internal/model"
	"github.com/galerne-ai/galerne/internal/weights"
)

// exercise runs an opened network for a few tokens.
func exercise(t *testing.T, net *Network) {
	t.Helper()
	pool := kernel.NewPool(1)
	defer pool.Close()
	if net.Encoder != nil {
		if net.Config.Context >= 3 && net.Config.Vocab >= 2 {
			net.Encoder.Encode(pool, [][]int32{{0, 1, 0}, {}}, make([]float32, 2*net.Config.Dim))
		}
		return
	}
	if net.Classifier != nil {
		if net.Config.Context >= 3 && net.Config.Vocab >= 2 {
			net.Classifier.Classify(pool, []model.Text{{Tokens: []int32{0, 1, 0}, Kinds: []int32{0, 1, 9}}, {Tokens: []int32{1}}}, make([]float32, 2*len(net.Config.Labels)))
		}
		return
	}
	r := tiny{tokens: [][]int32{{0, 0, 0, 0}, {0}, {0, 0}}}
	r.run(t, net, pool, r.together(), every)
}

// FuzzConfig opens arbitrary configs over the same tensors: an error or a network that runs.
func FuzzConfig(f *testing.F) {
	f.Add([]byte(smallConfig))
	folders, _ := filepath.Glob("testdata/tiny/*/config.json")
	for _, path := range folders {
		raw, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	dir := f.TempDir()
	safetensors(f, filepath.Join(dir, "model.safetensors"), tinyLlama())
	opened, err := weights.Open(dir)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { opened.Close() })
	f.Fuzz(func(t *testing.T, raw []byte) {
		file := *opened
		file.Config = raw
		openFuzzed(t, &file)
	})
}

// FuzzCheckpoint opens arbitrary safetensors with arbitrary configs.
func FuzzCheckpoint(f *testing.F) {
	path := filepath.Join(f.TempDir(), "model.safetensors")
	safetensors(f, path, tinyLlama())
	data, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(smallConfig), data)
	f.Fuzz(func(t *testing.T, config, data []byte) {
		dir := t.TempDir()
		for name, b := range map[string][]byte{"config.json": config, "model.safetensors": data} {
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		file, err := weights.Open(dir)
		if err != nil {
			return
		}
		defer file.Close()
		openFuzzed(t, file)
	})
}

// openFuzzed inspects, opens and runs a file, if it can be.
func openFuzzed(t *testing.T, file *weights.File) {
	t.Helper()
	if _, err := Inspect(file); err != nil {
		if _, err := Open(file, Options{}); err == nil {
			t.Error("Open took what Inspect refused")
		}
		return
	}
	net, err := Open(file, Options{})
	if err != nil {
		return
	}
	defer net.Close()
	exercise(t, net)
}

func seedArchitectures() []string { return []string{"llama", "qwen3", "qwen3moe", "gemma3", "bert"} }

// FuzzNetwork opens arbitrary bytes as a GGUF file, runs the network in it, and begins with files that
// are right.
func FuzzNetwork(f *testing.F) {
	for _, arch := range seedArchitectures() {
		f.Add(smallGGUF(arch, nil))
	}
	f.Add(smallGGUF("bert", map[string]any{"pooling_type": 4}))
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "m.gguf")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := weights.Open(path)
		if err != nil {
			return
		}
		defer file.Close()
		openFuzzed(t, file)
	})
}

func TestTheFuzzersSeedsAreNetworks(t *testing.T) {
	for _, arch := range seedArchitectures() {
		path := filepath.Join(t.TempDir(), "m.gguf")
		if err := os.WriteFile(path, smallGGUF(arch, nil), 0o600); err != nil {
			t.Fatal(err)
		}
		one, _ := pools(t)
		exercise(t, openTiny(t, path, one))
	}
	path := filepath.Join(t.TempDir(), "classifier.gguf")
	if err := os.WriteFile(path, smallGGUF("bert", map[string]any{"pooling_type": 4}), 0o600); err != nil {
		t.Fatal(err)
	}
	one, _ := pools(t)
	net := openTiny(t, path, one)
	if len(net.Config.Labels) != 2 || net.Config.Labels[1] != "LABEL_1" {
		t.Errorf("labels %q", net.Config.Labels)
	}
	exercise(t, net)
}

// smallGGUF is a network of one layer, all weights 0, with other keys in place of its own or beside them.
func smallGGUF(arch string, more map[string]any) []byte {
	le := binary.LittleEndian
	keys := map[string]any{"context_length": 16, "embedding_length": 8, "block_count": 1, "attention.head_count": 2,
		"attention.head_count_kv": 1, "feed_forward_length": 10, "attention.sliding_window": 2, "attention.sliding_window_pattern": 2,
		"attention.layer_norm_rms_epsilon": float32(1e-5)}
	shapes := map[string][]int{"token_embd": {6, 8}, "output_norm": {8}, "blk.0.attn_norm": {8}, "blk.0.ffn_norm": {8},
		"blk.0.attn_q": {8, 8}, "blk.0.attn_k": {4, 8}, "blk.0.attn_v": {4, 8}, "blk.0.attn_output": {8, 8},
		"blk.0.ffn_gate": {10, 8}, "blk.0.ffn_up": {10, 8}, "blk.0.ffn_down": {8, 10}}
	switch arch {
	case "qwen3moe":
		for _, kind := range []string{"gate", "up", "down"} {
			delete(shapes, "blk.0.ffn_"+kind)
		}
		keys["expert_count"], keys["expert_used_count"], keys["expert_feed_forward_length"] = 3, 2, 5
		shapes["blk.0.ffn_gate_inp"], shapes["blk.0.ffn_gate_exps"] = []int{3, 8}, []int{3, 5, 8}
		shapes["blk.0.ffn_up_exps"], shapes["blk.0.ffn_down_exps"] = []int{3, 5, 8}, []int{3, 8, 5}
		shapes["blk.0.attn_q_norm"], shapes["blk.0.attn_k_norm"] = []int{4}, []int{4}
	case "qwen3":
		shapes["blk.0.attn_q_norm"], shapes["blk.0.attn_k_norm"] = []int{4}, []int{4}
	case "gemma3":
		shapes["blk.0.attn_q_norm"], shapes["blk.0.attn_k_norm"] = []int{4}, []int{4}
		shapes["blk.0.post_attention_norm"], shapes["blk.0.post_ffw_norm"] = []int{8}, []int{8}
	case "bert":
		for _, name := range []string{"output_norm", "blk.0.attn_norm", "blk.0.ffn_norm", "blk.0.ffn_gate"} {
			delete(shapes, name)
		}
		shapes["blk.0.attn_k"], shapes["blk.0.attn_v"], shapes["position_embd"], shapes["token_types"] = []int{8, 8}, []int{8, 8}, []int{16, 8}, []int{2, 8}
		for _, norm := range []string{"token_embd_norm", "blk.0.attn_output_norm", "blk.0.layer_output_norm"} {
			shapes[norm], shapes[norm+".bias"] = []int{8}, []int{8}
		}
		if more["pooling_type"] == 4 {
			shapes["cls"], shapes["cls.output"] = []int{8, 8}, []int{2, 8}
		}
	}
	maps.Copy(keys, more)
	b := le.AppendUint64(le.AppendUint32([]byte("GGUF"), 3), uint64(len(shapes)))
	b = le.AppendUint64(b, uint64(len(keys)+1))
	b = ggufString(le.AppendUint32(ggufString(b, "general.architecture"), 8), arch)
	for _, name := range slices.Sorted(maps.Keys(keys)) {
		b = ggufValue(ggufString(b, arch+"."+name), keys[name])
	}
	at := 0
	for _, name := range slices.Sorted(maps.Keys(shapes)) {
		full, size := name, 4
		if !strings.HasSuffix(name, ".bias") {
			full += ".weight"
		}
		b = le.AppendUint32(ggufString(b, full), uint32(len(shapes[name])))
		for i := range shapes[name] {
			d := shapes[name][len(shapes[name])-1-i]
			b, size = le.AppendUint64(b, uint64(d)), size*d
		}
		b = le.AppendUint64(le.AppendUint32(b, 0), uint64(at))
		at += (size + 31) / 32 * 32
	}
	return append(b, make([]byte, (32-len(b)%32)%32+at)...)
}

func ggufString(b []byte, s string) []byte {
	return append(binary.LittleEndian.AppendUint64(b, uint64(len(s))), s...)
}

// ggufValue appends a value's type and the value.
func ggufValue(b []byte, v any) []byte {
	le := binary.LittleEndian
	switch v := v.(type) {
	case int:
		return le.AppendUint32(le.AppendUint32(b, 4), uint32(v))
	case float32:
		return le.AppendUint32(le.AppendUint32(b, 6), math.Float32bits(v))
	case string:
		return ggufString(le.AppendUint32(b, 8), v)
	case []int:
		b = le.AppendUint64(le.AppendUint32(le.AppendUint32(b, 9), 4), uint64(len(v)))
		for _, n := range v {
			b = le.AppendUint32(b, uint32(n))
		}
	}
	return b
}

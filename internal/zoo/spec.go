package zoo

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/galerne-ai/galerne/internal/model"
	"github.com/galerne-ai/galerne/internal/nn"
	"github.com/galerne-ai/galerne/internal/weights"
)

// spec is a network's shape with what only its own file needs.
type spec struct {
	model.Config
	gguf        bool
	eps         float32
	ropeBase    float64
	ropeLocal   float64 // base of the windowed layers (Gemma 3)
	ropeDims    int
	scaling     nn.RopeScaling
	interleaved bool // pairs of the turn are neighbours: how GGUF stores Llama's queries and keys
	normalize   bool // router weights of the chosen experts add up to 1
	queryScalar float64
	pattern     int      // every pattern-th layer has no window (Gemma 3); 0: Window is every layer's
	wholeFirst  int      // so many layers at the front have no window (Qwen 2 and 3)
	layerKinds  []string // full_attention or sliding_attention, a layer each; empty: by the numbers above
	untied      bool     // the output has a matrix of its own, which must be in the file
	pooling     pooling
	positions   int // rows of an encoder's table of positions
	skipped     int // those before a text's first
}

// encodes reports whether the network reads texts at once and writes nothing.
func (s *spec) encodes() bool {
	return s.Arch == "bert" || s.Arch == "roberta" || s.Arch == "xlm-roberta"
}

// pooling is how an encoder makes one vector of its last layer's rows.
type pooling int

const (
	poolMean  pooling = iota
	poolFirst         // the row of the first token, [CLS]
)

// seesAll reports whether a layer has no window.
func (s *spec) seesAll(i int) bool {
	switch {
	case len(s.layerKinds) > 0:
		return s.layerKinds[i] == "full_attention"
	case s.pattern > 0:
		return (i+1)%s.pattern == 0
	}
	return s.Window == 0 || i < s.wholeFirst
}

// readSpec takes the shape from GGUF's key-values or from config.json.
func readSpec(f *weights.File) (*spec, error) {
	var s *spec
	var err error
	if f.Format == weights.GGUF {
		s, err = specGGUF(f)
	} else {
		s, err = specJSON(f)
	}
	if err != nil {
		return nil, err
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	if n := len(f.Tensors()); s.Layers > n {
		return nil, ErrConfig.Because("zoo: %s has %d tensors, too few for %d layers: its configuration is corrupt", f.Path, n, s.Layers)
	}
	return s, nil
}

// Bounds that no network of 2026 comes near: a config beyond them is a mistake or an attack.
const (
	maxWidth  = 1 << 20
	maxLayers = 1 << 12
	maxLabels = 1 << 12
)

func (s *spec) check() error {
	if _, ok := architectures()[s.Arch]; !ok {
		return ErrArchitecture.Because("zoo: the architecture %q is not supported: supported are %s", s.Arch, strings.Join(Supported(), ", "))
	}
	for _, n := range []struct {
		name  string
		value int
		most  int
	}{
		{"the vocabulary's size", s.Vocab, 1 << 24}, {"the width", s.Dim, maxWidth}, {"the number of layers", s.Layers, maxLayers},
		{"the number of heads", s.Heads, maxWidth}, {"the number of key heads", s.KVHeads, maxWidth}, {"a head's width", s.HeadDim, maxWidth},
		{"the feed-forward's width", s.FFN, maxWidth}, {"the context", s.Context, 1 << 28}, {"the turned part of a head", s.ropeDims, s.HeadDim},
	} {
		if n.value < 1 || n.value > n.most {
			return ErrConfig.Because("zoo: %s is %d, 1 to %d is possible: the file's configuration is incomplete or corrupt", n.name, n.value, n.most)
		}
	}
	for _, kind := range s.layerKinds {
		if kind != "full_attention" && kind != "sliding_attention" {
			return ErrArchitecture.Because("zoo: layers of %q are not supported: full_attention and sliding_attention are", kind)
		}
	}
	switch {
	case len(s.layerKinds) > 0 && len(s.layerKinds) != s.Layers:
		return ErrConfig.Because("zoo: layer_types names %d layers, there are %d", len(s.layerKinds), s.Layers)
	case s.Window < 0 || s.pattern < 0:
		return ErrConfig.Because("zoo: a sliding window of %d in a pattern of %d layers is impossible", s.Window, s.pattern)
	case s.Heads%s.KVHeads != 0:
		return ErrConfig.Because("zoo: %d heads cannot share %d key heads evenly", s.Heads, s.KVHeads)
	case s.ropeDims%2 != 0:
		return ErrConfig.Because("zoo: %d numbers of a head cannot be turned in pairs", s.ropeDims)
	case s.Experts == 0 && (s.Arch == "mixtral" || strings.HasPrefix(s.Arch, "qwen3") && strings.HasSuffix(s.Arch, "moe")):
		return ErrConfig.Because("zoo: the configuration of a %s does not say how many experts there are", s.Arch)
	case s.Experts > 0 && !slices.Contains([]string{"mixtral", "qwen3moe", "qwen3_moe"}, s.Arch):
		return ErrArchitecture.Because("zoo: %d experts are not supported for %s", s.Experts, s.Arch)
	case s.Experts < 0 || s.Experts > 4096 || s.Experts > 0 && (s.ExpertsUsed < 1 || s.ExpertsUsed > s.Experts):
		return ErrConfig.Because("zoo: %d of %d experts cannot be used", s.ExpertsUsed, s.Experts)
	case len(s.Labels) > maxLabels:
		return ErrConfig.Because("zoo: there are %d labels, at most %d are possible", len(s.Labels), maxLabels)
	case !(s.eps > 0) && !s.encodes():
		return ErrConfig.Because("zoo: the norm's epsilon is %v", s.eps)
	case !(s.ropeBase > 0):
		return ErrConfig.Because("zoo: the rotary base is %v", s.ropeBase)
	case s.scaling.Kind == "llama3" && !(s.scaling.Factor > 0 && s.scaling.Low > 0 && s.scaling.High > s.scaling.Low && s.scaling.Context > 0),
		(s.scaling.Kind == "linear" || s.scaling.Kind == "yarn") && !(s.scaling.Factor > 0):
		return ErrConfig.Because("zoo: rope scaling %+v is incomplete", s.scaling)
	}
	return nil
}

// keys reads GGUF's key-values of one architecture and keeps a list of those that are not what they should be.
type keys struct {
	meta  weights.Meta
	arch  string
	wrong []string
}

func (k *keys) number(name string, otherwise int) int {
	name = k.arch + "." + name
	if v, ok := k.meta.Int(name); ok {
		return int(v)
	}
	if list, ok := k.meta.Ints(name); ok && len(list) > 0 { // a number a layer
		for _, v := range list {
			if v != list[0] {
				k.wrong = append(k.wrong, fmt.Sprintf("%s differs from layer to layer, which is not supported", name))
				break
			}
		}
		return int(list[0])
	}
	return k.absent(name, "an integer", otherwise)
}

func (k *keys) float(name string, otherwise float64) float64 {
	name = k.arch + "." + name
	if v, ok := k.meta.Float(name); ok {
		return v
	}
	k.absent(name, "a number", 0)
	return otherwise
}

// absent gives otherwise, and a problem if the key is there.
func (k *keys) absent(name, wanted string, otherwise int) int {
	if kind := k.meta.Type(name); kind != "" {
		k.wrong = append(k.wrong, fmt.Sprintf("%s is of type %s, wanted is %s", name, kind, wanted))
	}
	return otherwise
}

func specGGUF(f *weights.File) (*spec, error) {
	arch, ok := f.Meta.String("general.architecture")
	if !ok {
		return nil, ErrConfig.Because("zoo: %s has no general.architecture", f.Path)
	}
	k := &keys{meta: f.Meta, arch: arch}
	s := &spec{gguf: true, normalize: true}
	s.Arch = arch
	s.Name, _ = f.Meta.String("general.name")
	s.Vocab = f.Meta.Len("tokenizer.ggml.tokens")
	if t := f.Tensor("token_embd.weight"); t != nil && len(t.Shape) == 2 {
		s.Vocab = t.Shape[0]
	}
	s.Dim, s.Layers = k.number("embedding_length", 0), k.number("block_count", 0)
	s.Heads = k.number("attention.head_count", 0)
	s.KVHeads = k.number("attention.head_count_kv", s.Heads)
	s.HeadDim = k.number("attention.key_length", s.Dim/max(s.Heads, 1))
	s.FFN, s.Context = k.number("feed_forward_length", 0), k.number("context_length", 0)
	s.Experts, s.ExpertsUsed = k.number("expert_count", 0), k.number("expert_used_count", 0)
	if s.Experts > 0 && arch == "qwen3moe" {
		s.FFN = k.number("expert_feed_forward_length", s.FFN)
	}
	s.Window = k.number("attention.sliding_window", 0)
	if arch == "gemma3" && s.Window > 0 {
		s.pattern = k.number("attention.sliding_window_pattern", 6)
	}
	s.eps = float32(k.float("attention.layer_norm_rms_epsilon", k.float("attention.layer_norm_epsilon", 0)))
	s.ropeBase = k.float("rope.freq_base", 10000)
	s.ropeLocal = k.float("rope.freq_base_swa", 10000)
	s.ropeDims = k.number("rope.dimension_count", s.HeadDim)
	s.interleaved = arch == "llama"
	if arch == "llama" && s.Experts > 0 {
		s.Arch = "mixtral" // GGUF has no name of its own for it
	}
	if err := s.ropeGGUF(k); err != nil {
		return nil, err
	}
	if err := s.refuseGGUF(k); err != nil {
		return nil, err
	}
	if err := s.poolingGGUF(f, k); err != nil {
		return nil, err
	}
	if len(k.wrong) > 0 {
		return nil, ErrConfig.Because("zoo: %s: %s", f.Path, strings.Join(k.wrong, "; "))
	}
	return s, nil
}

func (s *spec) ropeGGUF(k *keys) error {
	kind, ok := k.meta.String(k.arch + ".rope.scaling.type")
	if !ok || kind == "none" {
		return nil
	}
	if kind != "linear" && kind != "yarn" {
		return ErrArchitecture.Because("zoo: rope scaling %q is not supported: linear, yarn and llama3's are", kind)
	}
	s.scaling = nn.RopeScaling{Kind: kind, Factor: k.float("rope.scaling.factor", 1), BetaFast: k.float("rope.scaling.yarn_beta_fast", 32),
		BetaSlow: k.float("rope.scaling.yarn_beta_slow", 1), Context: k.float("rope.scaling.original_context_length", float64(s.Context))}
	// GGUF's factor comes on top of YaRN's own; 0 would be YaRN's own alone.
	if on := k.float("rope.scaling.attn_factor", 1); on != 1 {
		s.scaling.Attention = on * (0.1*math.Log(s.scaling.Factor) + 1)
	}
	return nil
}

// refuseGGUF names what a file asks for and the networks here do not do.
func (s *spec) refuseGGUF(k *keys) error {
	for _, name := range []string{"attn_logit_softcapping", "final_logit_softcapping"} {
		if v := k.float(name, 0); v != 0 {
			return ErrArchitecture.Because("zoo: %s.%s is %v: soft-capped logits are not supported", k.arch, name, v)
		}
	}
	if v := k.float("expert_weights_scale", 1); v != 1 && v != 0 {
		return ErrArchitecture.Because("zoo: %s.expert_weights_scale is %v: scaled experts are not supported", k.arch, v)
	}
	return nil
}

// poolingGGUF reads how an encoder's rows become one vector, or that they are for a classifier's head.
func (s *spec) poolingGGUF(f *weights.File, k *keys) error {
	s.positions = s.Context
	switch kind := k.number("pooling_type", 1); {
	case k.arch != "bert" || kind == 1:
	case kind == 2:
		s.pooling = poolFirst
	case kind == 4:
		out := f.Tensor("cls.output.weight")
		if out == nil || len(out.Shape) != 2 { // llama.cpp's converter leaves BERT's pooler away
			return ErrArchitecture.Because("zoo: %s is a classifier without cls.output.weight, the second half of its head: take the safetensors, which have it", f.Path)
		}
		s.Labels, _ = f.Meta.Strings("bert.classifier.output_labels")
		if len(s.Labels) != min(out.Shape[0], maxLabels) {
			s.Labels = numbered(min(out.Shape[0], maxLabels))
		}
	default:
		return ErrArchitecture.Because("zoo: bert.pooling_type %d is not supported: 1 (mean), 2 (first token) and 4 (classifier) are", kind)
	}
	return nil
}

// numbered names labels that the file does not name, as transformers does.
func numbered(n int) []string {
	labels := make([]string, n)
	for i := range labels {
		labels[i] = fmt.Sprintf("LABEL_%d", i)
	}
	return labels
}

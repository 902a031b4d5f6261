package zoo

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/galerne-ai/galerne/internal/nn"
	"github.com/galerne-ai/galerne/internal/weights"
)

// config is config.json of the supported families (Hugging Face transformers).
type config struct {
	ModelType         string      `json:"model_type"`
	TextConfig        *config     `json:"text_config"`
	Vocab             int         `json:"vocab_size"`
	Dim               int         `json:"hidden_size"`
	Layers            int         `json:"num_hidden_layers"`
	Heads             int         `json:"num_attention_heads"`
	KVHeads           int         `json:"num_key_value_heads"`
	HeadDim           int         `json:"head_dim"`
	FFN               int         `json:"intermediate_size"`
	Context           int         `json:"max_position_embeddings"`
	Eps               float64     `json:"rms_norm_eps"`
	LayerEps          float64     `json:"layer_norm_eps"`
	RopeTheta         float64     `json:"rope_theta"`
	RopeLocal         float64     `json:"rope_local_base_freq"`
	Scaling           *ropeConfig `json:"rope_scaling"`
	Rope              ropeByKind  `json:"rope_parameters"`
	Window            int         `json:"sliding_window"`
	UseWindow         *bool       `json:"use_sliding_window"`
	Pattern           int         `json:"sliding_window_pattern"`
	MaxWindowLayers   *int        `json:"max_window_layers"`
	Tied              *bool       `json:"tie_word_embeddings"`
	LayerTypes        []string    `json:"layer_types"`
	Experts           int         `json:"num_experts"`
	LocalExperts      int         `json:"num_local_experts"`
	ExpertsUsed       int         `json:"num_experts_per_tok"`
	ExpertFFN         int         `json:"moe_intermediate_size"`
	NormTopK          *bool       `json:"norm_topk_prob"`
	QueryScalar       float64     `json:"query_pre_attn_scalar"`
	Act               string      `json:"hidden_act"`
	Activation        string      `json:"hidden_activation"`
	AttnSoftCap       float64     `json:"attn_logit_softcapping"`
	FinalSoftCap      float64     `json:"final_logit_softcapping"`
	DecoderSparseStep int         `json:"decoder_sparse_step"`
	MLPOnlyLayers     []int       `json:"mlp_only_layers"`
	PositionEmbedding string      `json:"position_embedding_type"`
	PartRotary        float64     `json:"partial_rotary_factor"`
	Bidirectional     bool        `json:"use_bidirectional_attention"`

	Architectures []string          `json:"architectures"`
	Labels        map[string]string `json:"id2label"`
	NumLabels     *int              `json:"num_labels"`
	Problem       string            `json:"problem_type"`
	Padding       *int              `json:"pad_token_id"`
}

type ropeConfig struct {
	Type       string  `json:"rope_type"`
	OldType    string  `json:"type"`
	Theta      float64 `json:"rope_theta"`
	Factor     float64 `json:"factor"`
	Low        float64 `json:"low_freq_factor"`
	High       float64 `json:"high_freq_factor"`
	Context    float64 `json:"original_max_position_embeddings"`
	BetaFast   float64 `json:"beta_fast"`
	BetaSlow   float64 `json:"beta_slow"`
	Attention  float64 `json:"attention_factor"`
	MScale     float64 `json:"mscale"`
	MScaleAll  float64 `json:"mscale_all_dim"`
	PartRotary float64 `json:"partial_rotary_factor"`
}

// ropeByKind is rope_parameters: one for all layers, or one for each kind of layer.
type ropeByKind struct {
	ropeConfig
	Full    *ropeConfig `json:"full_attention"`
	Sliding *ropeConfig `json:"sliding_attention"`
}

// maxConfigBytes bounds what a parsed config.json can take; real ones have a few thousand bytes.
const maxConfigBytes = 1 << 20

func specJSON(f *weights.File) (*spec, error) {
	if f.Config == nil {
		return nil, ErrConfig.Because("zoo: there is no config.json beside the safetensors of %s", f.Path)
	}
	if len(f.Config) > maxConfigBytes {
		return nil, ErrConfig.Because("zoo: config.json has %d bytes, at most %d are read", len(f.Config), maxConfigBytes)
	}
	var c config
	if err := json.Unmarshal(f.Config, &c); err != nil {
		return nil, ErrConfig.Because("zoo: config.json: %w", err)
	}
	if c.TextConfig != nil {
		if c.TextConfig.ModelType == "" {
			c.TextConfig.ModelType = c.ModelType
		}
		c = *c.TextConfig
	}
	if strings.HasPrefix(c.ModelType, "gemma3") {
		c.gemmaDefaults(f)
	}
	s := &spec{normalize: true, eps: float32(c.Eps), ropeBase: c.RopeTheta, ropeLocal: c.RopeLocal, pattern: c.Pattern,
		queryScalar: c.QueryScalar, layerKinds: c.LayerTypes, untied: c.Tied != nil && !*c.Tied}
	s.Arch, s.Vocab, s.Dim, s.Layers, s.Heads, s.KVHeads = c.ModelType, c.Vocab, c.Dim, c.Layers, c.Heads, c.KVHeads
	s.HeadDim, s.FFN, s.Context, s.Window = c.HeadDim, c.FFN, c.Context, c.Window
	s.Experts, s.ExpertsUsed = max(c.Experts, c.LocalExperts), c.ExpertsUsed
	if s.KVHeads == 0 {
		s.KVHeads = s.Heads
	}
	if s.HeadDim == 0 {
		s.HeadDim = s.Dim / max(s.Heads, 1)
	}
	if s.encodes() {
		if err := s.encoderJSON(&c, f.Sentences); err != nil {
			return nil, err
		}
	}
	if c.ExpertFFN > 0 {
		s.FFN = c.ExpertFFN
	}
	if c.NormTopK != nil {
		s.normalize = *c.NormTopK
	}
	s.windowsJSON(&c)
	s.ropeDims = s.HeadDim
	if err := c.refuse(s); err != nil {
		return nil, err
	}
	if err := s.poolingJSON(f.Pooling); err != nil {
		return nil, err
	}
	return s, s.ropeJSON(&c)
}

// gemmaDefaults fills in what the published configs of Gemma 3 leave to the defaults of transformers.
func (c *config) gemmaDefaults(f *weights.File) {
	for _, n := range []struct {
		value     *int
		otherwise int
	}{{&c.Heads, 8}, {&c.KVHeads, 4}, {&c.HeadDim, 256}, {&c.Context, 131072}} {
		if *n.value == 0 {
			*n.value = n.otherwise
		}
	}
	for _, n := range []struct {
		value     *float64
		otherwise float64
	}{{&c.Eps, 1e-6}, {&c.RopeTheta, 1e6}, {&c.RopeLocal, 1e4}, {&c.QueryScalar, 256}} {
		if *n.value == 0 {
			*n.value = n.otherwise
		}
	}
	if c.Vocab > 0 {
		return
	}
	for _, t := range f.Tensors() {
		if strings.HasSuffix(t.Name, "embed_tokens.weight") && len(t.Shape) == 2 {
			c.Vocab = t.Shape[0]
		}
	}
}

// encoderJSON reads what encoders have of their own: which rows of the table of positions are used, how much
// sentence-transformers read of a text (sentences is its configuration), and a classifier's labels.
func (s *spec) encoderJSON(c *config, sentences []byte) error {
	s.eps, s.positions = float32(c.LayerEps), s.Context
	if s.Arch != "bert" { // a text's first position is the one behind the padding token's id
		s.skipped = 2
		if c.Padding != nil {
			s.skipped = *c.Padding + 1
		}
		if s.skipped < 0 || s.skipped >= s.positions {
			return ErrConfig.Because("zoo: positions begin at %d of %d", s.skipped, s.positions)
		}
		s.Context -= s.skipped
	}
	var read struct {
		Most int `json:"max_seq_length"`
	}
	if sentences != nil {
		if err := json.Unmarshal(sentences, &read); err != nil {
			return ErrConfig.Because("zoo: sentence_bert_config.json: %w", err)
		}
	}
	if read.Most > 0 {
		s.Context = min(s.Context, read.Most)
	}
	if len(c.Architectures) == 0 || !strings.HasSuffix(c.Architectures[0], "ForSequenceClassification") {
		return nil
	}
	s.MultiLabel = c.Problem == "multi_label_classification"
	count := 2 // the default of transformers
	if c.NumLabels != nil {
		count = min(max(*c.NumLabels, 0), maxLabels+1)
	}
	s.Labels = numbered(count)
	if len(c.Labels) > 0 {
		s.Labels = numbered(min(len(c.Labels), maxLabels+1))
		for i := range s.Labels {
			name, ok := c.Labels[strconv.Itoa(i)]
			if !ok {
				return ErrConfig.Because("zoo: id2label has %d labels and none of number %d", len(c.Labels), i)
			}
			s.Labels[i] = name
		}
	}
	if len(s.Labels) == 0 {
		return ErrConfig.Because("zoo: a classifier has no labels: id2label of config.json names them")
	}
	return nil
}

// poolingJSON reads how sentence-transformers pools: by a name, or by switches in older files.
func (s *spec) poolingJSON(raw []byte) error {
	if !s.encodes() || raw == nil {
		return nil
	}
	var c struct {
		Mode  string `json:"pooling_mode"`
		First bool   `json:"pooling_mode_cls_token"`
		Mean  bool   `json:"pooling_mode_mean_tokens"`
	}
	if len(raw) > maxConfigBytes {
		return ErrConfig.Because("zoo: 1_Pooling/config.json has %d bytes, at most %d are read", len(raw), maxConfigBytes)
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return ErrConfig.Because("zoo: 1_Pooling/config.json: %w", err)
	}
	switch {
	case c.Mode == "mean" || c.Mode == "" && c.Mean && !c.First:
		s.pooling = poolMean
	case c.Mode == "cls" || c.Mode == "" && c.First && !c.Mean:
		s.pooling = poolFirst
	default:
		return ErrArchitecture.Because("zoo: the pooling of 1_Pooling/config.json is not supported: mean and cls are")
	}
	return nil
}

// windowsJSON finds which layers have a window where the file does not name each layer's kind.
func (s *spec) windowsJSON(c *config) {
	switch {
	case strings.HasPrefix(s.Arch, "gemma3"):
		if s.pattern == 0 {
			s.pattern = 6
		}
	case strings.HasPrefix(s.Arch, "qwen"):
		if c.UseWindow == nil || !*c.UseWindow {
			s.Window, s.layerKinds = 0, nil
		}
		s.wholeFirst = 28 // the default of transformers
		if c.MaxWindowLayers != nil {
			s.wholeFirst = *c.MaxWindowLayers
		}
	}
}

// refuse names what a config asks for and the networks here do not do.
func (c *config) refuse(s *spec) error {
	arch := s.Arch
	act := c.Act + c.Activation
	ok := act == "silu" && !s.encodes() || act == "gelu" && s.encodes() || strings.HasPrefix(arch, "gemma3") && strings.HasPrefix(act, "gelu_pytorch_tanh")
	switch {
	case !ok && act != "":
		return ErrArchitecture.Because("zoo: the activation %q is not supported for %s", act, arch)
	case c.PartRotary != 0 && c.PartRotary != 1 || c.Rope.PartRotary != 0 && c.Rope.PartRotary != 1:
		return ErrArchitecture.Because("zoo: partial_rotary_factor is not supported for %s", arch)
	case c.Bidirectional:
		return ErrArchitecture.Because("zoo: use_bidirectional_attention is not supported for %s", arch)
	case c.Rope.Sliding != nil && c.Rope.Sliding.Type != "" && c.Rope.Sliding.Type != "default":
		return ErrArchitecture.Because("zoo: rope scaling %q of the windowed layers is not supported", c.Rope.Sliding.Type)
	case c.AttnSoftCap != 0 || c.FinalSoftCap != 0:
		return ErrArchitecture.Because("zoo: soft-capped logits are not supported for %s", arch)
	case len(c.MLPOnlyLayers) > 0 || c.DecoderSparseStep > 1:
		return ErrArchitecture.Because("zoo: layers without experts among layers with experts are not supported (mlp_only_layers, decoder_sparse_step)")
	case s.encodes() && c.PositionEmbedding != "" && c.PositionEmbedding != "absolute":
		return ErrArchitecture.Because("zoo: position_embedding_type %q is not supported for %s", c.PositionEmbedding, arch)
	}
	return nil
}

func (s *spec) ropeJSON(c *config) error {
	r := c.Scaling
	if r == nil {
		r = &c.Rope.ropeConfig
	}
	if c.Rope.Full != nil {
		r = c.Rope.Full
	}
	if c.Rope.Sliding != nil {
		s.ropeLocal = c.Rope.Sliding.Theta
	}
	if r.Theta > 0 {
		s.ropeBase = r.Theta
	} else if c.Rope.Theta > 0 {
		s.ropeBase = c.Rope.Theta
	}
	if s.ropeBase == 0 {
		s.ropeBase = 10000
	}
	if s.ropeLocal == 0 {
		s.ropeLocal = 10000
	}
	kind := r.Type
	if kind == "" {
		kind = r.OldType
	}
	switch kind {
	case "", "default":
		return nil
	case "linear", "llama3", "yarn":
	default:
		return ErrArchitecture.Because("zoo: rope scaling %q is not supported: linear, llama3 and yarn are", kind)
	}
	if r.PartRotary != 0 && r.PartRotary != 1 || r.MScale != 0 || r.MScaleAll != 0 {
		return ErrArchitecture.Because("zoo: rope scaling with partial_rotary_factor, mscale or mscale_all_dim is not supported")
	}
	s.scaling = nn.RopeScaling{Kind: kind, Factor: r.Factor, Low: r.Low, High: r.High, Context: r.Context,
		BetaFast: r.BetaFast, BetaSlow: r.BetaSlow, Attention: r.Attention}
	if s.scaling.Context == 0 {
		s.scaling.Context = float64(s.Context)
	}
	if s.scaling.BetaFast == 0 {
		s.scaling.BetaFast = 32
	}
	if s.scaling.BetaSlow == 0 {
		s.scaling.BetaSlow = 1
	}
	return nil
}

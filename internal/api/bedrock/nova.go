package bedrock

import (
	"bytes"
	"encoding/json"
	"net/http"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

// nova is the body of Amazon's Nova models: that of converse, but for its settings.
type nova struct {
	Version   string      `json:"schemaVersion"`
	Messages  []message   `json:"messages"`
	System    []block     `json:"system"`
	Tools     *toolConfig `json:"toolConfig"`
	Inference novaConfig  `json:"inferenceConfig"`
}

// novaConfig has names of two generations.
type novaConfig struct {
	inferenceConfig
	TopK      *int     `json:"topK"`
	MaxTokens *int     `json:"max_new_tokens"`
	TopPOld   *float64 `json:"top_p"`
	TopKOld   *int     `json:"top_k"`
}

// novaAnswer is what these models answer.
type novaAnswer struct {
	Output struct {
		Message answerMessage `json:"message"`
	} `json:"output"`
	StopReason string    `json:"stopReason"`
	Usage      novaUsage `json:"usage"`
}

type novaUsage struct {
	Input      int `json:"inputTokens"`
	Output     int `json:"outputTokens"`
	Total      int `json:"totalTokens"`
	CacheRead  int `json:"cacheReadInputTokenCount"`
	CacheWrite int `json:"cacheWriteInputTokenCount"`
}

type novaMetadata struct {
	Usage novaUsage `json:"usage"`
}

func novaUsageOf(u *chat.Usage) novaUsage { return novaUsage(usageOf(u)) }

// isNova reports whether a body with messages is in Nova's form: what tells it from OpenAI's are the names of its
// settings, or parts of messages that have no type.
func (s *shape) isNova() bool {
	if !isNull(s.Nova) || !isNull(s.Schema) || !isNull(s.Tools) {
		return true
	}
	var messages []struct {
		Content json.RawMessage `json:"content"`
	}
	if json.Unmarshal(s.Messages, &messages) != nil || len(messages) == 0 || !bytes.HasPrefix(messages[0].Content, []byte("[")) {
		return false
	}
	var parts []struct {
		Type json.RawMessage `json:"type"`
	}
	return json.Unmarshal(messages[0].Content, &parts) == nil && len(parts) > 0 && isNull(parts[0].Type)
}

func readNova(c *api.Call) (*view, error) {
	var b nova
	if err := c.Decode(&b, nil); err != nil {
		return nil, err
	}
	if b.Version != "" && b.Version != "messages-v1" {
		return nil, unsupported("schemaVersion", "schemaVersion is %q: only messages-v1 is possible", b.Version)
	}
	g, top, err := b.Inference.read()
	if err != nil {
		return nil, err
	}
	v, err := (&body{Messages: b.Messages, System: b.System, Tools: b.Tools, Inference: g}).view(modelOf(c))
	if err == nil {
		v.request.Sampling.TopK = top
	}
	return v, err
}

// read gives the settings by their newer names, and how many likely tokens are drawn from.
func (n *novaConfig) read() (g *inferenceConfig, top *int, err error) {
	g = &n.inferenceConfig
	if g.MaxTokens, err = either("max_new_tokens", n.MaxTokens, g.MaxTokens); err != nil {
		return nil, nil, err
	}
	if g.TopP, err = either("top_p", n.TopPOld, g.TopP); err != nil {
		return nil, nil, err
	}
	top, err = either("top_k", n.TopKOld, n.TopK)
	return g, top, err
}

func either[T any](name string, old, newer *T) (*T, error) {
	switch {
	case old == nil:
		return newer, nil
	case newer != nil:
		at := "inferenceConfig." + name
		return nil, invalid(at, "%s is there under its newer name too: send one", at)
	}
	return old, nil
}

func invokeNova(c *api.Call) error {
	v, err := readNova(c)
	if err != nil {
		return err
	}
	got, err := c.Answer(v.request)
	if err != nil {
		return err
	}
	as := v.answer(got)
	return c.JSON(http.StatusOK, novaAnswer{as.Output, as.StopReason, novaUsageOf(&got.Usage)})
}

func streamNova(c *api.Call) error {
	v, err := readNova(c)
	if err != nil {
		return err
	}
	return c.Stream(&events{view: *v, nova: true}, v.request)
}

package ollama

import (
	"encoding/json"
	"net/http"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

type embedBody struct {
	Model      string          `json:"model"`
	Input      json.RawMessage `json:"input"`
	Truncate   *bool           `json:"truncate"`
	Dimensions int             `json:"dimensions"`
	Options    json.RawMessage `json:"options"`
	KeepAlive  json.RawMessage `json:"keep_alive"`
}

type embedAnswer struct {
	Model      string      `json:"model"`
	Embeddings [][]float32 `json:"embeddings"`
	Tokens     int         `json:"prompt_eval_count"`
}

const maxInputs = 2048

// embed answers POST /api/embed.
func embed(c *api.Call) error {
	var b embedBody
	if err := c.Decode(&b, nil); err != nil {
		return err
	}
	if b.Dimensions < 0 {
		return invalid("dimensions", "dimensions is %d: it must be at least 0", b.Dimensions)
	}
	texts, err := readTexts(b.Input)
	if err != nil {
		return err
	}
	r := &chat.EmbedRequest{Texts: texts, Dimensions: b.Dimensions, Truncate: b.Truncate == nil || *b.Truncate}
	got, err := vectors(c, b.Model, r, b.Options, b.KeepAlive)
	if err != nil {
		return err
	}
	out := embedAnswer{Model: b.Model, Embeddings: [][]float32{}, Tokens: got.Tokens}
	out.Embeddings = append(out.Embeddings, got.Vectors...)
	return c.JSON(http.StatusOK, &out)
}

// readTexts reads one text or several; nothing, or an empty text alone, asks to load the model.
func readTexts(raw json.RawMessage) ([]string, error) {
	if isNull(raw) || string(raw) == `""` {
		return nil, nil
	}
	if raw[0] == '"' {
		texts := make([]string, 1)
		return texts, api.Decode("input", raw, &texts[0], false)
	}
	if raw[0] != '[' {
		return nil, invalid("input", "input must be a string or an array of strings")
	}
	var texts []*string
	if err := api.Decode("input", raw, &texts, false); err != nil {
		return nil, err
	}
	if len(texts) > maxInputs {
		return nil, invalid("input", "input has %d texts: at most %d are possible", len(texts), maxInputs)
	}
	out := make([]string, len(texts))
	for i, t := range texts {
		if t == nil {
			return nil, invalid("input", "input[%d] is null: it must be a string", i)
		}
		out[i] = *t
	}
	return out, nil
}

// vectors embeds texts, and sets how long the model stays.
func vectors(c *api.Call, model string, r *chat.EmbedRequest, options, keepAlive json.RawMessage) (*chat.Embeddings, error) {
	var err error
	if r.Model, err = modelName("model", model); err != nil {
		return nil, err
	}
	keep, err := readKeepAlive(keepAlive)
	if err != nil {
		return nil, err
	}
	if err := readOptions(c, options, &chat.Request{}); err != nil { // they change no vector, and are checked all the same
		return nil, err
	}
	got := &chat.Embeddings{}
	if len(r.Texts) > 0 {
		if got, err = c.Backend.Embed(c.R.Context(), r); err != nil {
			return nil, about(model, err)
		}
	}
	if keep != nil || len(r.Texts) == 0 {
		err = c.Backend.Load(c.R.Context(), r.Model, keep)
	}
	return got, about(model, err)
}

type embeddingsBody struct {
	Model     string          `json:"model"`
	Prompt    string          `json:"prompt"`
	Options   json.RawMessage `json:"options"`
	KeepAlive json.RawMessage `json:"keep_alive"`
}

// embedOne answers POST /api/embeddings, the older form: one text, and its vector as the model gives
// it, whatever its length.
func embedOne(c *api.Call) error {
	var b embeddingsBody
	if err := c.Decode(&b, nil); err != nil {
		return err
	}
	r := &chat.EmbedRequest{Truncate: true, Raw: true}
	if b.Prompt != "" {
		r.Texts = []string{b.Prompt}
	}
	got, err := vectors(c, b.Model, r, b.Options, b.KeepAlive)
	if err != nil {
		return err
	}
	out := map[string][]float32{"embedding": {}}
	if len(got.Vectors) > 0 {
		out["embedding"] = got.Vectors[0]
	}
	return c.JSON(http.StatusOK, out)
}

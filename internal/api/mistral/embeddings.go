package mistral

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/vector"
	"github.com/galerne-ai/galerne/internal/chat"
)

// embeddingBody is the request of /v1/embeddings, without what embeddingFields lists.
type embeddingBody struct {
	Model     string          `json:"model"`
	Input     json.RawMessage `json:"input"`
	Dimension *int            `json:"output_dimension"`
	Type      string          `json:"output_dtype"`
	Encoding  string          `json:"encoding_format"`
}

type embeddingList struct {
	ID     string      `json:"id"`
	Object string      `json:"object"`
	Data   []embedding `json:"data"`
	Model  string      `json:"model"`
	Usage  *usage      `json:"usage"`
}

type embedding struct {
	Object    string `json:"object"`
	Embedding any    `json:"embedding"` // numbers, or a string of base64
	Index     int    `json:"index"`
}

const maxInputs = 2048

// embeddings answers POST /v1/embeddings.
func embeddings(c *api.Call) error {
	var b embeddingBody
	if err := c.Decode(&b, embeddingFields()); err != nil {
		return err
	}
	r, err := b.request()
	if err != nil {
		return err
	}
	kind := vector.Type(b.Type)
	if b.Type == "" {
		kind = vector.Floats
	}
	if !kind.Known() {
		return invalid("output_dtype", "output_dtype is %q: it must be float, int8, uint8, binary or ubinary", b.Type)
	}
	if b.Encoding != "" && b.Encoding != "float" && b.Encoding != "base64" {
		return invalid("encoding_format", "encoding_format is %q: it must be float or base64", b.Encoding)
	}
	got, err := c.Backend.Embed(c.R.Context(), r)
	if err != nil {
		return err
	}
	out := embeddingList{ID: answerID(c.ID), Object: "list", Data: []embedding{}, Model: modelName(b.Model, got.Model), Usage: usageOf(&chat.Usage{Prompt: got.Tokens})}
	for i, v := range got.Vectors {
		one := embedding{"embedding", kind.Numbers(v), i}
		if b.Encoding == "base64" {
			one.Embedding = kind.Base64(v)
		}
		out.Data = append(out.Data, one)
	}
	return c.JSON(http.StatusOK, &out)
}

func (b *embeddingBody) request() (*chat.EmbedRequest, error) {
	r := &chat.EmbedRequest{Model: b.Model}
	if b.Model == "" {
		return nil, missing("model")
	}
	if b.Dimension != nil {
		if r.Dimensions = *b.Dimension; r.Dimensions < 1 {
			return nil, invalid("output_dimension", "output_dimension is %d: it must be at least 1", r.Dimensions)
		}
	}
	switch {
	case isNull(b.Input):
		return nil, missing("input")
	case b.Input[0] == '"':
		r.Texts = make([]string, 1)
		return r, api.Decode("input", b.Input, &r.Texts[0], false)
	}
	var all []*string
	if err := api.Decode("input", b.Input, &all, false); err != nil {
		return nil, err
	}
	if len(all) == 0 || len(all) > maxInputs {
		return nil, invalid("input", "input has %d texts: it must have from 1 to %d", len(all), maxInputs)
	}
	for i, s := range all {
		if s == nil {
			at := fmt.Sprintf("input[%d]", i)
			return nil, invalid(at, "%s is null: it must be a string", at)
		}
		r.Texts = append(r.Texts, *s)
	}
	return r, nil
}

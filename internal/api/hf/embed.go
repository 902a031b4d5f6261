package hf

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/vector"
	"github.com/galerne-ai/galerne/internal/chat"
)

// embedBody asks for vectors, without what embedFields lists.
type embedBody struct {
	Inputs     json.RawMessage `json:"inputs"`
	Normalize  *bool           `json:"normalize"`
	Truncate   bool            `json:"truncate"`
	Direction  string          `json:"truncation_direction"`
	Dimensions *int            `json:"dimensions"`
	Encoding   string          `json:"encoding_format"`
	Model      string          `json:"model"`
}

const maxInputs = 2048

// embed answers POST /embed.
func embed(c *api.Call) error {
	var b embedBody
	if err := c.Decode(&b, embedFields()); err != nil {
		return err
	}
	r := &chat.EmbedRequest{Truncate: b.Truncate, Raw: b.Normalize != nil && !*b.Normalize}
	if err := fill(r, b.Inputs, b.Direction); err != nil {
		return err
	}
	if b.Dimensions != nil {
		if r.Dimensions = *b.Dimensions; r.Dimensions < 1 {
			return invalid("dimensions", "dimensions is %d: it must be at least 1", r.Dimensions)
		}
	}
	if b.Encoding != "" && b.Encoding != "float" && b.Encoding != "base64" {
		return invalid("encoding_format", "encoding_format is %q: it must be float or base64", b.Encoding)
	}
	got, err := vectors(c, r, b.Model)
	if err != nil {
		return err
	}
	out := make([]any, len(got.Vectors))
	for i, v := range got.Vectors {
		if out[i] = v; b.Encoding == "base64" {
			out[i] = vector.Floats.Base64(v)
		}
	}
	return c.JSON(http.StatusOK, out)
}

// embedAllBody asks for the vectors of tokens, without what embedFields lists.
type embedAllBody struct {
	Inputs    json.RawMessage `json:"inputs"`
	Truncate  bool            `json:"truncate"`
	Direction string          `json:"truncation_direction"`
	Model     string          `json:"model"`
}

// embedAll answers POST /embed_all: of each text a vector for every token that is read, as the network gives it.
func embedAll(c *api.Call) error {
	var b embedAllBody
	if err := c.Decode(&b, embedFields()); err != nil {
		return err
	}
	r := &chat.EmbedRequest{Truncate: b.Truncate, EachToken: true}
	if err := fill(r, b.Inputs, b.Direction); err != nil {
		return err
	}
	got, err := vectors(c, r, b.Model)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, got.Rows)
}

// fill reads what is to be embedded, and checks where it may be cut.
func fill(r *chat.EmbedRequest, inputs json.RawMessage, word string) (err error) {
	if r.Texts, r.Tokens, err = readInputs(inputs); err != nil {
		return err
	}
	return direction("truncation_direction", r.Truncate, word)
}

// vectors asks the embedder that the caller named, or the default one.
func vectors(c *api.Call, r *chat.EmbedRequest, model string) (*chat.Embeddings, error) {
	var err error
	if r.Model, err = embedder(c, named(c, model)); err != nil {
		return nil, err
	}
	return c.Backend.Embed(c.R.Context(), r)
}

func direction(at string, truncate bool, word string) error {
	if truncate && strings.EqualFold(word, "left") {
		return unsupported(at, "truncation_direction is %s: texts are cut at their end only", word)
	}
	if word != "" && !strings.EqualFold(word, "left") && !strings.EqualFold(word, "right") {
		return invalid(at, "truncation_direction is %q: it must be Left or Right", word)
	}
	return nil
}

// readInputs reads a text, texts, or lists of tokens; one of the results is nil.
func readInputs(raw json.RawMessage) (texts []string, ids [][]int32, err error) {
	const at = "inputs"
	switch {
	case isNull(raw):
		return nil, nil, missing(at)
	case raw[0] == '"':
		texts = make([]string, 1)
		return texts, nil, api.Decode(at, raw, &texts[0], false)
	case raw[0] != '[':
		return nil, nil, invalid(at, "inputs must be a string, or an array of strings or of lists of tokens")
	}
	var all []json.RawMessage
	if err := api.Decode(at, raw, &all, false); err != nil {
		return nil, nil, err
	}
	if len(all) == 0 || len(all) > maxInputs {
		return nil, nil, invalid(at, "inputs has %d elements: it must have from 1 to %d", len(all), maxInputs)
	}
	for i, one := range all {
		at := fmt.Sprintf("%s[%d]", at, i)
		switch {
		case one[0] == '"' && ids == nil:
			texts = append(texts, "")
			err = api.Decode(at, one, &texts[i], false)
		case one[0] == '[' && texts == nil:
			ids = append(ids, nil)
			if err = api.Decode(at, one, &ids[i], false); err == nil && len(ids[i]) == 0 {
				err = invalid(at, "%s is an empty list of tokens", at)
			}
		default:
			err = invalid(at, "%s must be what the others are: strings, or lists of tokens", at)
		}
		if err != nil {
			return nil, nil, err
		}
	}
	return texts, ids, nil
}

// similarityBody asks how near sentences are to one. Parameters are of TEI.
type similarityBody struct {
	Inputs *struct {
		Source    *string   `json:"source_sentence"`
		Sentences []*string `json:"sentences"`
	} `json:"inputs"`
	Parameters *struct {
		Truncate   bool    `json:"truncate"`
		Direction  string  `json:"truncation_direction"`
		PromptName *string `json:"prompt_name"`
	} `json:"parameters"`
	Model string `json:"model"`
}

// similarity answers POST /similarity: the cosine of each sentence to the source.
func similarity(c *api.Call) error {
	var b similarityBody
	if err := c.Decode(&b, nil); err != nil {
		return err
	}
	r, err := b.request()
	if err != nil {
		return err
	}
	got, err := vectors(c, r, b.Model)
	if err != nil {
		return err
	}
	out := make([]float64, len(got.Vectors)-1)
	for i := range out {
		for d, x := range got.Vectors[0] {
			out[i] += float64(x) * float64(got.Vectors[i+1][d])
		}
	}
	return c.JSON(http.StatusOK, out)
}

func (b *similarityBody) request() (*chat.EmbedRequest, error) {
	in := b.Inputs
	switch {
	case in == nil:
		return nil, missing("inputs")
	case in.Source == nil:
		return nil, missing("inputs.source_sentence")
	case len(in.Sentences) == 0 || len(in.Sentences) > maxInputs:
		return nil, invalid("inputs.sentences", "inputs.sentences has %d elements: it must have from 1 to %d", len(in.Sentences), maxInputs)
	}
	r := &chat.EmbedRequest{Texts: []string{*in.Source}}
	for i, s := range in.Sentences {
		if s == nil {
			at := fmt.Sprintf("inputs.sentences[%d]", i)
			return nil, invalid(at, "%s is null: it must be a string", at)
		}
		r.Texts = append(r.Texts, *s)
	}
	if p := b.Parameters; p != nil {
		if p.PromptName != nil {
			return nil, unsupported("parameters.prompt_name", "prompt_name is not supported: put the prompt before each text")
		}
		r.Truncate = p.Truncate
		return r, direction("parameters.truncation_direction", p.Truncate, p.Direction)
	}
	return r, nil
}

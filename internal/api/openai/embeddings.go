package openai

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strings"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

type embeddingBody struct {
	Model      string          `json:"model"`
	Input      json.RawMessage `json:"input"`
	Dimensions *int            `json:"dimensions"`
	Encoding   string          `json:"encoding_format"`
}

type embeddingList struct {
	Object string         `json:"object"`
	Data   []embedding    `json:"data"`
	Model  string         `json:"model"`
	Usage  embeddingUsage `json:"usage"`
}

type embedding struct {
	Object    string `json:"object"`
	Index     int    `json:"index"`
	Embedding any    `json:"embedding"` // []float32, or a string of base64
}

type embeddingUsage struct {
	Prompt int `json:"prompt_tokens"`
	Total  int `json:"total_tokens"`
}

const maxInputs = 2048

// Embeddings answers POST /v1/embeddings.
func Embeddings(c *api.Call) error {
	var b embeddingBody
	if err := c.Decode(&b, embeddingFields()); err != nil {
		return err
	}
	if id := c.R.PathValue("deployment"); id != "" {
		b.Model = id // the path names the model
	}
	if b.Encoding != "" && b.Encoding != "float" && b.Encoding != "base64" {
		return Invalid("encoding_format", "encoding_format is %q: it must be float or base64", b.Encoding)
	}
	r := &chat.EmbedRequest{Model: b.Model}
	if b.Dimensions != nil {
		if *b.Dimensions < 1 {
			return Invalid("dimensions", "dimensions is %d: it must be at least 1", *b.Dimensions)
		}
		r.Dimensions = *b.Dimensions
	}
	var err error
	if r.Texts, r.Tokens, err = readInputs("input", b.Input, maxInputs); err != nil {
		return err
	}
	got, err := c.Backend.Embed(c.R.Context(), r)
	if err != nil {
		return err
	}
	out := embeddingList{Object: "list", Data: []embedding{}, Model: ModelName(b.Model, got.Model), Usage: embeddingUsage{got.Tokens, got.Tokens}}
	for i, v := range got.Vectors {
		one := embedding{"embedding", i, v}
		if b.Encoding == "base64" {
			one.Embedding = littleEndian(v)
		}
		out.Data = append(out.Data, one)
	}
	return c.JSON(http.StatusOK, &out)
}

// littleEndian is a vector as base64 of its 32-bit floats, which OpenAI's clients ask for unless
// told otherwise.
func littleEndian(v []float32) string {
	b := make([]byte, 0, 4*len(v))
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return base64.StdEncoding.EncodeToString(b)
}

// readInputs reads a text, texts, tokens, or lists of tokens; one of the results is nil.
func readInputs(at string, raw json.RawMessage, most int) (texts []string, tokens [][]int32, err error) {
	switch {
	case IsNull(raw):
		return nil, nil, Missing(at)
	case raw[0] == '"':
		texts = make([]string, 1)
		err = api.Decode(at, raw, &texts[0], false)
	case raw[0] == '[':
		texts, tokens, err = readList(at, raw)
	default:
		err = Invalid(at, "%s must be a string, an array of strings, or tokens", at)
	}
	if err != nil {
		return nil, nil, err
	}
	if n := len(texts) + len(tokens); n == 0 || n > most {
		return nil, nil, Invalid(at, "%s has %d elements: it must have from 1 to %d", at, n, most)
	}
	for i, ids := range tokens {
		if len(ids) == 0 {
			return nil, nil, Invalid(fmt.Sprintf("%s[%d]", at, i), "%s has an empty list of tokens", at)
		}
	}
	return texts, tokens, nil
}

// readList tells the three kinds of arrays apart by their first element.
func readList(at string, raw json.RawMessage) (texts []string, tokens [][]int32, err error) {
	var all []json.RawMessage
	if err := api.Decode(at, raw, &all, false); err != nil || len(all) == 0 {
		return nil, nil, err
	}
	if all[0][0] != '"' && strings.Contains(string(raw), "null") { // which would be read as token 0
		return nil, nil, Invalid(at, "%s has null among its tokens", at)
	}
	switch all[0][0] {
	case '"':
		for i, one := range all {
			if one[0] != '"' {
				return nil, nil, Invalid(fmt.Sprintf("%s[%d]", at, i), "%s begins with a string: all its elements must be strings", at)
			}
		}
		err = api.Decode(at, raw, &texts, false)
	case '[':
		err = api.Decode(at, raw, &tokens, false)
	default:
		tokens = make([][]int32, 1)
		err = api.Decode(at, raw, &tokens[0], false)
	}
	return texts, tokens, err
}

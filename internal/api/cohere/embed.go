package cohere

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/vector"
	"github.com/galerne-ai/galerne/internal/chat"
)

// embedBody is the request of /v2/embed, without what embedFields lists.
type embedBody struct {
	Model     string    `json:"model"`
	Texts     []*string `json:"texts"`
	Inputs    []input   `json:"inputs"`
	InputType *string   `json:"input_type"` // what the vectors are for: the models here make no difference
	Types     []string  `json:"embedding_types"`
	Dimension *int      `json:"output_dimension"`
	Truncate  string    `json:"truncate"`
}

type input struct {
	Content []part `json:"content"`
}

type embedAnswer struct {
	ID           string   `json:"id"`
	Embeddings   any      `json:"embeddings"` // by type; of version 1, where no type is asked for, the vectors
	Texts        []string `json:"texts"`
	ResponseType string   `json:"response_type"`
	Meta         meta     `json:"meta"`
}

const maxTexts = 2048

// embed answers POST /v2/embed.
func embed(c *api.Call) error {
	var b embedBody
	if err := c.Decode(&b, embedFields()); err != nil {
		return err
	}
	switch {
	case b.Model == "":
		return missing("model")
	case b.InputType == nil:
		return missing("input_type")
	}
	return b.embed(c, "2")
}

// embedV1 answers POST /v1/embed, whose vectors come without a type unless one is asked for.
func embedV1(c *api.Call) error {
	var b embedBody
	if err := c.Decode(&b, embedFields()); err != nil {
		return err
	}
	var err error
	if b.Model, err = c.First(b.Model, func(m *chat.Model) bool { return m.Embeds && !m.Chats }, func(m *chat.Model) bool { return m.Embeds }); err != nil {
		return err
	}
	return b.embed(c, "1")
}

func (b *embedBody) embed(c *api.Call, version string) error {
	r, err := b.request()
	if err != nil {
		return err
	}
	untyped := version == "1" && len(b.Types) == 0
	if len(b.Types) == 0 {
		b.Types = []string{string(vector.Floats)}
	}
	for i, t := range b.Types {
		if t != "base64" && !vector.Type(t).Known() {
			return invalid(fmt.Sprintf("embedding_types[%d]", i), "embedding_types has %q: it must be float, int8, uint8, binary, ubinary or base64", t)
		}
	}
	got, err := c.Backend.Embed(c.R.Context(), r)
	if err != nil {
		return err
	}
	byType := map[string]any{}
	out := embedAnswer{ID: answerID(c.ID), Embeddings: byType, Texts: r.Texts, ResponseType: "embeddings_by_type"}
	for _, t := range b.Types {
		all := make([]any, len(got.Vectors))
		for i, v := range got.Vectors {
			if t == "base64" {
				all[i] = vector.Floats.Base64(v)
			} else {
				all[i] = vector.Type(t).Numbers(v)
			}
		}
		byType[t] = all
	}
	if untyped {
		out.Embeddings, out.ResponseType = byType[string(vector.Floats)], "embeddings_floats"
	}
	var warnings []string
	for _, i := range got.Truncated {
		warnings = append(warnings, fmt.Sprintf("texts[%d] was longer than the model reads and was cut at its end", i))
	}
	out.Meta = metaOf(version, &billed{Input: &got.Tokens}, warnings...)
	return c.JSON(http.StatusOK, &out)
}

func (b *embedBody) request() (*chat.EmbedRequest, error) {
	r := &chat.EmbedRequest{Model: b.Model}
	if b.InputType != nil {
		switch *b.InputType {
		case "search_document", "search_query", "classification", "clustering":
		case "image":
			return nil, unsupported("input_type", "input_type is image: models here read text only")
		default:
			return nil, invalid("input_type", "input_type is %q: it must be search_document, search_query, classification or clustering", *b.InputType)
		}
	}
	switch strings.ToUpper(b.Truncate) {
	case "", "END":
		r.Truncate = true
	case "NONE":
	case "START":
		return nil, unsupported("truncate", "truncate is START: only END and NONE are possible")
	default:
		return nil, invalid("truncate", "truncate is %q: it must be NONE or END", b.Truncate)
	}
	if b.Dimension != nil {
		if r.Dimensions = *b.Dimension; r.Dimensions < 1 {
			return nil, invalid("output_dimension", "output_dimension is %d: it must be at least 1", r.Dimensions)
		}
	}
	return r, b.readTexts(r)
}

// readTexts reads the texts, of which either form has some.
func (b *embedBody) readTexts(r *chat.EmbedRequest) error {
	if len(b.Texts) > 0 && len(b.Inputs) > 0 {
		return invalid("inputs", "texts and inputs are both given: send one")
	}
	if n := len(b.Texts) + len(b.Inputs); n == 0 || n > maxTexts {
		return invalid("texts", "there are %d texts: there must be from 1 to %d", n, maxTexts)
	}
	for i, t := range b.Texts {
		if t == nil {
			at := fmt.Sprintf("texts[%d]", i)
			return invalid(at, "%s is null: it must be a string", at)
		}
		r.Texts = append(r.Texts, *t)
	}
	for i, in := range b.Inputs {
		var text []string
		for j, p := range in.Content {
			at := fmt.Sprintf("inputs[%d].content[%d]", i, j)
			switch {
			case p.Type == "image_url":
				return unsupported(at, "%s is an image: models here read text only", at)
			case p.Type != "text" || p.Text == nil:
				return invalid(at+".type", "%s must be a text", at)
			}
			text = append(text, *p.Text)
		}
		if text == nil {
			return missing(fmt.Sprintf("inputs[%d].content", i))
		}
		r.Texts = append(r.Texts, strings.Join(text, "\n"))
	}
	return nil
}

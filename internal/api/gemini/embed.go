package gemini

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

// embedBody is the request of embedContent, without what embedFields lists.
type embedBody struct {
	Model        string   `json:"model"`
	Content      *content `json:"content"`
	Title        string   `json:"title"`
	Dimensions   *int     `json:"outputDimensionality"`
	AutoTruncate bool     `json:"autoTruncate"`
	Task         string   `json:"taskType"`

	Config *struct {
		Title        string `json:"title"`
		Dimensions   *int   `json:"outputDimensionality"`
		AutoTruncate bool   `json:"autoTruncate"`
		Task         string `json:"taskType"`
	} `json:"embedContentConfig"` // where newer clients put the three
}

// batchBody is the request of batchEmbedContents.
type batchBody struct {
	Requests []embedBody `json:"requests"`
}

type embedding struct {
	Values []float32 `json:"values"`
}

type embedAnswer struct {
	Embedding *embedding  `json:"embedding,omitempty"`
	All       []embedding `json:"embeddings,omitempty"`
	Usage     *usage      `json:"usageMetadata"`
}

const maxTexts = 2048

// embed answers models/{model}:embedContent.
func embed(c *api.Call) error {
	var b embedBody
	if err := decode(c, &b, embedFields()); err != nil {
		return err
	}
	r := &chat.EmbedRequest{Model: modelOf(c)}
	if err := b.add(r, ""); err != nil {
		return err
	}
	got, err := c.Backend.Embed(c.R.Context(), r)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, &embedAnswer{Embedding: &embedding{got.Vectors[0]}, Usage: usageOf(&chat.Usage{Prompt: got.Tokens})})
}

// batchEmbed answers models/{model}:batchEmbedContents, which is what their clients call.
func batchEmbed(c *api.Call) error {
	var b batchBody
	if err := decode(c, &b, nil); err != nil {
		return err
	}
	if len(b.Requests) == 0 || len(b.Requests) > maxTexts {
		return invalid("requests", "requests has %d elements: it must have from 1 to %d", len(b.Requests), maxTexts)
	}
	r := &chat.EmbedRequest{Model: modelOf(c)}
	for i := range b.Requests {
		at := fmt.Sprintf("requests[%d]", i)
		if m := strings.TrimPrefix(b.Requests[i].Model, "models/"); m != "" && m != r.Model {
			return invalid(at+".model", "%s.model is %q, and the path says %q: a batch is for one model", at, m, r.Model)
		}
		if err := b.Requests[i].add(r, at+"."); err != nil {
			return err
		}
	}
	got, err := c.Backend.Embed(c.R.Context(), r)
	if err != nil {
		return err
	}
	out := embedAnswer{All: []embedding{}, Usage: usageOf(&chat.Usage{Prompt: got.Tokens})}
	for _, v := range got.Vectors {
		out.All = append(out.All, embedding{v})
	}
	return c.JSON(http.StatusOK, &out)
}

// add adds the text of one request to a batch; at is where it stands, with a dot, or empty.
func (b *embedBody) add(r *chat.EmbedRequest, at string) error {
	if o := b.Config; o != nil {
		b.Title, b.AutoTruncate = firstOf(b.Title, o.Title), b.AutoTruncate || o.AutoTruncate
		if b.Dimensions == nil {
			b.Dimensions = o.Dimensions
		}
	}
	if b.Content == nil || len(b.Content.Parts) == 0 {
		return missing(at + "content")
	}
	var text strings.Builder
	if b.Title != "" {
		text.WriteString(b.Title + "\n")
	}
	for i, p := range b.Content.Parts {
		if p.Text == nil {
			here := fmt.Sprintf("%scontent.parts[%d]", at, i)
			return unsupported(here, "%s is not text, and the models here read text only", here)
		}
		text.WriteString(*p.Text)
	}
	dimensions := 0
	if b.Dimensions != nil {
		if dimensions = *b.Dimensions; dimensions < 1 {
			return invalid(at+"outputDimensionality", "%soutputDimensionality is %d: it must be at least 1", at, dimensions)
		}
	}
	if len(r.Texts) > 0 && (r.Dimensions != dimensions || r.Truncate != b.AutoTruncate) {
		return invalid(at+"outputDimensionality", "%soutputDimensionality or autoTruncate differs from that of the request before: send those apart", at)
	}
	r.Texts, r.Dimensions, r.Truncate = append(r.Texts, text.String()), dimensions, b.AutoTruncate
	return nil
}

// countBody is the request of countTokens: contents alone, or a whole request.
type countBody struct {
	body
	Request *body `json:"generateContentRequest"`
}

// countTokens answers models/{model}:countTokens.
func countTokens(c *api.Call) error {
	var b countBody
	if err := decode(c, &b, nil); err != nil {
		return err
	}
	whole := &b.body
	if b.Request != nil {
		if len(b.Contents) > 0 {
			return invalid("generateContentRequest", "contents and generateContentRequest are both given: send one")
		}
		whole = b.Request
	}
	v, err := whole.view(modelOf(c))
	if err != nil {
		return err
	}
	n, err := c.Backend.Count(c.R.Context(), v.request)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]any{"totalTokens": n, "promptTokensDetails": []modality{{"TEXT", n}}})
}

package cohere

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

// rerankBody is the request of /v2/rerank, without what rerankFields lists.
type rerankBody struct {
	Model     string            `json:"model"`
	Query     *string           `json:"query"`
	Documents []json.RawMessage `json:"documents"`
	Top       *int              `json:"top_n"`
	PerDoc    *int              `json:"max_tokens_per_doc"`
}

type rerankAnswer struct {
	ID      string   `json:"id"`
	Results []ranked `json:"results"`
	Meta    meta     `json:"meta"`
}

type ranked struct {
	Index int     `json:"index"`
	Score float64 `json:"relevance_score"`
}

// rerank answers POST /v2/rerank.
func rerank(c *api.Call) error {
	var b rerankBody
	if err := c.Decode(&b, rerankFields()); err != nil {
		return err
	}
	r, err := b.request()
	if err != nil {
		return err
	}
	if b.PerDoc != nil {
		for i, d := range r.Documents {
			if r.Documents[i], err = firstTokens(c, b.Model, d, *b.PerDoc); err != nil {
				return err
			}
		}
	}
	got, err := c.Rank(r)
	if err != nil {
		return err
	}
	one := 1
	out := rerankAnswer{ID: answerID(c.ID), Results: []ranked{}, Meta: metaOf("2", &billed{Search: &one})}
	if got.By == chat.Embedding {
		out.Meta.Warnings = []string{"scores are of the cosine of embeddings: the model is no cross-encoder"}
	}
	for _, s := range got.Scores {
		out.Results = append(out.Results, ranked{s.Index, s.Score})
	}
	return c.JSON(http.StatusOK, &out)
}

const maxRanked = 10_000

func (b *rerankBody) request() (*chat.RankRequest, error) {
	switch n := len(b.Documents); {
	case b.Model == "":
		return nil, missing("model")
	case b.Query == nil || *b.Query == "":
		return nil, missing("query")
	case n == 0 || n > maxRanked:
		return nil, invalid("documents", "there are %d documents: there must be from 1 to %d", n, maxRanked)
	case b.Top != nil && *b.Top < 1:
		return nil, invalid("top_n", "top_n is %d: it must be at least 1", *b.Top)
	case b.PerDoc != nil && *b.PerDoc < 1:
		return nil, invalid("max_tokens_per_doc", "max_tokens_per_doc is %d: it must be at least 1", *b.PerDoc)
	}
	r := &chat.RankRequest{Model: b.Model, Query: *b.Query}
	if b.Top != nil {
		r.Top = *b.Top
	}
	for i, raw := range b.Documents {
		at := fmt.Sprintf("documents[%d]", i)
		var text string
		switch raw[0] {
		case '"':
			if err := api.Decode(at, raw, &text, false); err != nil {
				return nil, err
			}
		case '{': // as version 1 has them
			var fields map[string]any
			if err := api.Decode(at, raw, &fields, false); err != nil {
				return nil, err
			}
			has := false
			if text, has = fields["text"].(string); !has {
				text = lines(fields)
			}
		default:
			return nil, invalid(at, "%s must be a string", at)
		}
		r.Documents = append(r.Documents, text)
	}
	return r, nil
}

// firstTokens is the beginning of a text, of so many tokens.
func firstTokens(c *api.Call, model, text string, n int) (string, error) {
	if len(text) <= n { // a token has a byte at least
		return text, nil
	}
	tokens, err := c.Backend.Tokenize(c.R.Context(), model, text, false)
	if err != nil || len(tokens) <= n {
		return text, err
	}
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = tokens[i].ID
	}
	return c.Backend.Detokenize(c.R.Context(), model, ids)
}

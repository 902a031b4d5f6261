package cohere

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

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
	Index    int             `json:"index"`
	Score    float64         `json:"relevance_score"`
	Document json.RawMessage `json:"document,omitempty"` // of version 1
}

// rerankV1Body is the request of /v1/rerank, without what rerankV1Fields lists.
type rerankV1Body struct {
	Model     string            `json:"model"`
	Query     *string           `json:"query"`
	Documents []json.RawMessage `json:"documents"`
	Top       *int              `json:"top_n"`
	Fields    []string          `json:"rank_fields"`
	Return    bool              `json:"return_documents"`
}

// rerank answers POST /v2/rerank.
func rerank(c *api.Call) error {
	var b rerankBody
	if err := c.Decode(&b, rerankFields()); err != nil {
		return err
	}
	if b.Model == "" {
		return missing("model")
	}
	r, err := b.request(nil)
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
	return answerRanked(c, r, "2", nil)
}

// rerankV1 answers POST /v1/rerank.
func rerankV1(c *api.Call) error {
	var b rerankV1Body
	if err := c.Decode(&b, rerankV1Fields()); err != nil {
		return err
	}
	model, err := c.First(b.Model, (*chat.Model).Ranks, func(m *chat.Model) bool { return m.Embeds })
	if err != nil {
		return err
	}
	two := rerankBody{Model: model, Query: b.Query, Documents: b.Documents, Top: b.Top}
	r, err := two.request(b.Fields)
	if err != nil {
		return err
	}
	if !b.Return {
		return answerRanked(c, r, "1", nil)
	}
	for i, raw := range b.Documents {
		if raw[0] != '"' {
			continue
		}
		if b.Documents[i], err = api.Encode(map[string]json.RawMessage{"text": raw}); err != nil {
			return err
		}
	}
	return answerRanked(c, r, "1", b.Documents)
}

// answerRanked ranks and tells the order, with the documents if they are given.
func answerRanked(c *api.Call, r *chat.RankRequest, version string, documents []json.RawMessage) error {
	got, err := c.Rank(r)
	if err != nil {
		return err
	}
	one := 1
	out := rerankAnswer{ID: answerID(c.ID), Results: []ranked{}, Meta: metaOf(version, &billed{Search: &one})}
	if got.By == chat.Embedding {
		out.Meta.Warnings = []string{"scores are of the cosine of embeddings: the model is no cross-encoder"}
	}
	for _, s := range got.Scores {
		one := ranked{Index: s.Index, Score: s.Score}
		if documents != nil {
			one.Document = documents[s.Index]
		}
		out.Results = append(out.Results, one)
	}
	return c.JSON(http.StatusOK, &out)
}

const maxRanked = 10_000

// request is what is asked. Of a document that is an object, names are the fields that count: nil means its
// text, or all.
func (b *rerankBody) request(names []string) (*chat.RankRequest, error) {
	switch n := len(b.Documents); {
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
			if names != nil {
				text = values(fields, names)
			}
		default:
			return nil, invalid(at, "%s must be a string", at)
		}
		r.Documents = append(r.Documents, text)
	}
	return r, nil
}

// values are those of some fields that are strings, a line each.
func values(fields map[string]any, names []string) string {
	var out []string
	for _, name := range names {
		if text, ok := fields[name].(string); ok {
			out = append(out, text)
		}
	}
	return strings.Join(out, "\n")
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

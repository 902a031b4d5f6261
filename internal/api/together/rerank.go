package together

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/openai"
	"github.com/galerne-ai/galerne/internal/chat"
)

// rerankBody is the request of /v1/rerank.
type rerankBody struct {
	Model      string            `json:"model"`
	Query      *string           `json:"query"`
	Documents  []json.RawMessage `json:"documents"`
	Top        *int              `json:"top_n"`
	Return     bool              `json:"return_documents"`
	RankFields []string          `json:"rank_fields"`
}

type rerankAnswer struct {
	Object  string   `json:"object"`
	ID      string   `json:"id"`
	Model   string   `json:"model"`
	By      string   `json:"by"` // cross-encoder or embedding
	Results []ranked `json:"results"`
	Usage   usage    `json:"usage"`
}

type ranked struct {
	Index    int             `json:"index"`
	Score    float64         `json:"relevance_score"`
	Document json.RawMessage `json:"document"`
}

const maxRanked = 10_000

// rerank answers POST /v1/rerank.
func rerank(c *api.Call) error {
	var b rerankBody
	if err := c.Decode(&b, nil); err != nil {
		return err
	}
	r, shown, err := b.request()
	if err != nil {
		return err
	}
	got, err := c.Rank(r)
	if err != nil {
		return err
	}
	out := rerankAnswer{Object: "rerank", ID: answerID(c.ID), Model: openai.ModelName(b.Model, got.Model), By: got.By, Results: []ranked{},
		Usage: usageOf(&chat.Usage{Prompt: got.Tokens})}
	for _, s := range got.Scores {
		out.Results = append(out.Results, ranked{s.Index, s.Score, shown[s.Index]})
	}
	return c.JSON(http.StatusOK, &out)
}

// request is what is asked, and each document as the answer shows it.
func (b *rerankBody) request() (*chat.RankRequest, []json.RawMessage, error) {
	switch n := len(b.Documents); {
	case b.Model == "":
		return nil, nil, openai.Missing("model")
	case b.Query == nil || *b.Query == "":
		return nil, nil, openai.Missing("query")
	case n == 0 || n > maxRanked:
		return nil, nil, openai.Invalid("documents", "there are %d documents: there must be from 1 to %d", n, maxRanked)
	case b.Top != nil && *b.Top < 1:
		return nil, nil, openai.Invalid("top_n", "top_n is %d: it must be at least 1", *b.Top)
	}
	r := &chat.RankRequest{Model: b.Model, Query: *b.Query}
	if b.Top != nil {
		r.Top = *b.Top
	}
	shown := make([]json.RawMessage, len(b.Documents))
	for i, raw := range b.Documents {
		text, object, err := b.document(fmt.Sprintf("documents[%d]", i), raw)
		if err != nil {
			return nil, nil, err
		}
		if shown[i] = json.RawMessage("{}"); b.Return {
			shown[i] = object
		}
		r.Documents = append(r.Documents, text)
	}
	return r, shown, nil
}

// document is one as it is scored, and as an object: a string is its text; of an object the fields that
// are wanted count, in the order of their names unless the caller has one.
func (b *rerankBody) document(at string, raw json.RawMessage) (string, json.RawMessage, error) {
	var text string
	if raw[0] == '"' {
		if err := api.Decode(at, raw, &text, false); err != nil {
			return "", nil, err
		}
		object, err := api.Encode(map[string]string{"text": text})
		return text, object, err
	}
	if raw[0] != '{' {
		return "", nil, openai.Invalid(at, "%s must be a string or an object", at)
	}
	fields := map[string]json.RawMessage{}
	if err := api.Decode(at, raw, &fields, false); err != nil {
		return "", nil, err
	}
	names := b.RankFields
	if len(names) == 0 {
		for name := range fields {
			names = append(names, name)
		}
		slices.Sort(names)
	}
	var lines []string
	for _, name := range names {
		value, ok := fields[name]
		if !ok {
			continue
		}
		word := string(value)
		if value[0] == '"' {
			if err := api.Decode(at+"."+name, value, &word, false); err != nil {
				return "", nil, err
			}
		}
		lines = append(lines, word)
	}
	return strings.Join(lines, "\n"), raw, nil
}

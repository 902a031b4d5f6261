package cohere

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

type tokenizeBody struct {
	Text  *string `json:"text"`
	Model string  `json:"model"`
}

type detokenizeBody struct {
	Tokens []int32 `json:"tokens"`
	Model  string  `json:"model"`
}

// tokenize answers POST /v1/tokenize: the tokens of a text, without the model's own begin and end.
func tokenize(c *api.Call) error {
	var b tokenizeBody
	if err := c.Decode(&b, nil); err != nil {
		return err
	}
	switch {
	case b.Text == nil:
		return missing("text")
	case b.Model == "":
		return missing("model")
	}
	tokens, err := c.Backend.Tokenize(c.R.Context(), b.Model, *b.Text, false)
	if err != nil {
		return err
	}
	ids, texts := make([]int32, len(tokens)), make([]string, len(tokens))
	for i, t := range tokens {
		ids[i], texts[i] = t.ID, strings.ToValidUTF8(string(t.Bytes), "\uFFFD")
	}
	return c.JSON(http.StatusOK, map[string]any{"tokens": ids, "token_strings": texts, "meta": metaOf("1", nil)})
}

// detokenize answers POST /v1/detokenize.
func detokenize(c *api.Call) error {
	var b detokenizeBody
	if err := c.Decode(&b, nil); err != nil {
		return err
	}
	switch {
	case b.Tokens == nil:
		return missing("tokens")
	case b.Model == "":
		return missing("model")
	}
	text, err := c.Backend.Detokenize(c.R.Context(), b.Model, b.Tokens)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]any{"text": text, "meta": metaOf("1", nil)})
}

type model struct {
	Name      string   `json:"name"`
	Endpoints []string `json:"endpoints"`
	Finetuned bool     `json:"finetuned"`
	Context   int      `json:"context_length"`
	Tokenizer *string  `json:"tokenizer_url"` // null: their client then asks /v1/tokenize
	Defaults  []string `json:"default_endpoints"`
	Features  []string `json:"features"`
}

// modelOf describes a model to callers.
func modelOf(m *chat.Model, name string) model {
	out := model{Name: name, Endpoints: []string{}, Context: m.Context, Defaults: []string{}, Features: []string{}}
	if m.Chats {
		out.Endpoints = append(out.Endpoints, "chat")
	}
	if m.Embeds {
		out.Endpoints = append(out.Endpoints, "embed", "rerank")
	}
	if m.Ranks() {
		out.Endpoints = append(out.Endpoints, "rerank")
	}
	if m.CallsTools {
		out.Features = append(out.Features, "tools")
	}
	if m.Thinks {
		out.Features = append(out.Features, "reasoning")
	}
	return out
}

const (
	usualModels = 20
	maxModels   = 1000
)

// listModels answers GET /v1/models, a page of it. A page's token is the name of the last model before it.
func listModels(c *api.Call) error {
	all, err := c.Backend.Models(c.R.Context())
	if err != nil {
		return err
	}
	q := c.R.URL.Query()
	size := usualModels
	if text := q.Get("page_size"); text != "" {
		if size, err = strconv.Atoi(text); err != nil || size < 1 || size > maxModels {
			return invalid("page_size", "page_size is %q: it must be from 1 to %d", text, maxModels)
		}
	}
	found := []model{}
	for i := range all {
		m := modelOf(&all[i], all[i].Name)
		if e := q.Get("endpoint"); e == "" || slices.Contains(m.Endpoints, e) {
			found = append(found, m)
		}
	}
	begin := 0
	if after := q.Get("page_token"); after != "" {
		begin = slices.IndexFunc(found, func(m model) bool { return m.Name == after }) + 1
		if begin == 0 {
			return invalid("page_token", "page_token is %q, which no page has given: begin without one", after)
		}
	}
	end := min(begin+size, len(found))
	out := map[string]any{"models": found[begin:end]}
	if end < len(found) {
		out["next_page_token"] = found[end-1].Name
	}
	return c.JSON(http.StatusOK, out)
}

// getModel answers GET /v1/models/{id}, where the id is a name or an alias and may have slashes.
func getModel(c *api.Call) error {
	name := c.R.PathValue("id")
	m, err := c.Backend.Model(c.R.Context(), name)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, modelOf(m, name))
}

package hf

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

// rerankBody asks for an order of texts, without what rerankFields lists.
type rerankBody struct {
	Query      *string   `json:"query"`
	Texts      []*string `json:"texts"`
	RawScores  bool      `json:"raw_scores"`
	ReturnText bool      `json:"return_text"`
	Truncate   bool      `json:"truncate"`
	Model      string    `json:"model"`
}

type rank struct {
	Index int     `json:"index"`
	Text  *string `json:"text,omitempty"`
	Score float64 `json:"score"`
}

// rerank answers POST /rerank: by the cross-encoder that is named, else by the first there is, else by vectors.
func rerank(c *api.Call) error {
	var b rerankBody
	if err := c.Decode(&b, rerankFields()); err != nil {
		return err
	}
	if b.Query == nil {
		return missing("query")
	}
	if n := len(b.Texts); n == 0 || n > maxInputs {
		return invalid("texts", "texts has %d elements: it must have from 1 to %d", n, maxInputs)
	}
	name, err := c.First(named(c, b.Model), (*chat.Model).Ranks, embeds)
	if err != nil {
		return err
	}
	r := &chat.RankRequest{Model: name, Query: *b.Query, Whole: !b.Truncate}
	for i, t := range b.Texts {
		if t == nil {
			at := fmt.Sprintf("texts[%d]", i)
			return invalid(at, "%s is null: it must be a string", at)
		}
		r.Documents = append(r.Documents, *t)
	}
	got, err := c.Rank(r)
	if err != nil {
		return err
	}
	out := make([]rank, len(got.Scores))
	for i, s := range got.Scores {
		out[i] = rank{Index: s.Index, Score: s.Score}
		if b.RawScores {
			out[i].Score = s.Raw
		}
		if b.ReturnText {
			out[i].Text = b.Texts[s.Index]
		}
	}
	return c.JSON(http.StatusOK, out)
}

// predictBody asks what texts are, without what predictFields lists. Parameters are InferenceClient's.
type predictBody struct {
	Inputs     json.RawMessage `json:"inputs"`
	RawScores  bool            `json:"raw_scores"`
	Truncate   bool            `json:"truncate"`
	Parameters *struct {
		Function string `json:"function_to_apply"`
		Top      *int   `json:"top_k"`
	} `json:"parameters"`
	Model string `json:"model"`
}

type prediction struct {
	Score float64 `json:"score"`
	Label string  `json:"label"`
}

// predict answers POST /predict: every label with its score, the likeliest first; of several inputs a list
// for each, and so for InferenceClient of one.
func predict(c *api.Call) error {
	var b predictBody
	if err := c.Decode(&b, predictFields()); err != nil {
		return err
	}
	texts, batch, err := readPredict(b.Inputs)
	if err != nil {
		return err
	}
	top := 0
	if p := b.Parameters; p != nil {
		b.RawScores = b.RawScores || p.Function == "none"
		if p.Function != "" && p.Function != "none" {
			return unsupported("parameters.function_to_apply", "function_to_apply is %q: the model's labels say what its scores are, and none gives them as they are", p.Function)
		}
		if p.Top != nil {
			if top = *p.Top; top < 1 {
				return invalid("parameters.top_k", "top_k is %d: it must be at least 1", top)
			}
		}
	}
	name, err := c.First(named(c, b.Model), classifies)
	if err != nil {
		return err
	}
	got, err := c.Backend.Classify(c.R.Context(), &chat.ClassifyRequest{Model: name, Texts: texts, Truncate: b.Truncate})
	if err != nil {
		return err
	}
	out := make([][]prediction, len(texts))
	for i := range out {
		scores := got.Scores[i]
		if b.RawScores {
			scores = got.Logits[i]
		}
		for k, label := range got.Labels {
			out[i] = append(out[i], prediction{scores[k], label})
		}
		slices.SortStableFunc(out[i], func(a, b prediction) int { return cmp.Compare(b.Score, a.Score) })
		if top > 0 {
			out[i] = out[i][:min(top, len(out[i]))]
		}
	}
	if !batch && !strings.Contains(c.R.UserAgent(), "hf_hub/") {
		return c.JSON(http.StatusOK, out[0])
	}
	return c.JSON(http.StatusOK, out)
}

// readPredict reads a text, a pair of them in a list of strings, or a list of such lists.
func readPredict(raw json.RawMessage) (texts []chat.Classified, batch bool, err error) {
	const at = "inputs"
	switch {
	case isNull(raw):
		return nil, false, missing(at)
	case raw[0] == '"':
		texts = make([]chat.Classified, 1)
		return texts, false, api.Decode(at, raw, &texts[0].Text, false)
	case raw[0] != '[':
		return nil, false, invalid(at, "inputs must be a string, a pair of strings, or an array of arrays of one or two strings")
	}
	var all []json.RawMessage
	if err := api.Decode(at, raw, &all, false); err != nil {
		return nil, false, err
	}
	if len(all) == 0 || len(all) > maxInputs {
		return nil, false, invalid(at, "inputs has %d elements: it must have from 1 to %d", len(all), maxInputs)
	}
	if all[0][0] != '[' {
		one, err := readPair(at, raw)
		return []chat.Classified{one}, false, err
	}
	for i, one := range all {
		pair, err := readPair(fmt.Sprintf("%s[%d]", at, i), one)
		if err != nil {
			return nil, false, err
		}
		texts = append(texts, pair)
	}
	return texts, true, nil
}

// readPair reads an array of one or two strings.
func readPair(at string, raw json.RawMessage) (out chat.Classified, err error) {
	var list []*string
	if raw[0] != '[' {
		return out, invalid(at, "%s must be an array of one or two strings, as the others are", at)
	}
	if err := api.Decode(at, raw, &list, false); err != nil {
		return out, err
	}
	if len(list) < 1 || len(list) > 2 || slices.Contains(list, nil) {
		return out, invalid(at, "%s must have one or two strings", at)
	}
	out.Text = *list[0]
	if len(list) == 2 {
		out.Pair = list[1]
	}
	return out, nil
}

// Kinds of model that a request without a name can be for.
func embeds(m *chat.Model) bool     { return m.Embeds }
func onlyEmbeds(m *chat.Model) bool { return m.Embeds && !m.Chats }
func classifies(m *chat.Model) bool { return len(m.Labels) > 0 }

// embedder is the model for vectors: one that is made for them goes before one that can.
func embedder(c *api.Call, name string) (string, error) {
	return c.First(name, onlyEmbeds, embeds)
}

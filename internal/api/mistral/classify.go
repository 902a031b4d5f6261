package mistral

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/moderate"
	"github.com/galerne-ai/galerne/internal/chat"
)

// classifyBody is the request of /v1/moderations and /v1/classifications: a text or texts; of their chat forms
// messages: one conversation or several. The chat form of classifications wraps them in objects.
type classifyBody struct {
	Model string          `json:"model"`
	Input json.RawMessage `json:"input"`
}

type moderationAnswer struct {
	ID      string       `json:"id"`
	Model   string       `json:"model"`
	Results []moderation `json:"results"`
}

type moderation struct {
	Categories map[string]bool    `json:"categories"`
	Scores     map[string]float64 `json:"category_scores"`
}

type classAnswer struct {
	ID      string             `json:"id"`
	Model   string             `json:"model"`
	Results []map[string]class `json:"results"` // by target: a classifier here has one, "label"
}

type class struct {
	Scores map[string]float64 `json:"scores"`
}

// categories are Mistral's, and what a chat model is asked about each.
func categories() []moderate.Category {
	return []moderate.Category{
		{Name: "sexual", Question: "describe sexual activity or offer sexual services"},
		{Name: "hate_and_discrimination", Question: "express prejudice, hate or discrimination against people for what they are"},
		{Name: "violence_and_threats", Question: "describe, glorify, incite or threaten violence"},
		{Name: "dangerous_and_criminal_content", Question: "promote or give instructions for crimes or for acts that endanger people"},
		{Name: "selfharm", Question: "promote, plan, describe or encourage self-harm"},
		{Name: "health", Question: "give or ask for detailed medical advice"},
		{Name: "financial", Question: "give or ask for detailed financial advice"},
		{Name: "law", Question: "give or ask for detailed legal advice"},
		{Name: "pii", Question: "ask for, share or try to find out somebody's personal data, such as an address or an identity number"},
	}
}

// reader reads what is judged out of a request's input.
type reader func(json.RawMessage) ([]moderate.Text, error)

// moderations answers POST /v1/moderations and its chat form, where the last message is judged: by a
// classifier's own labels if the model is one, else by what it answers to questions.
func moderations(read reader) func(*api.Call) error {
	return func(c *api.Call) error {
		b, texts, err := readJudged(c, read)
		if err != nil {
			return err
		}
		m, err := c.Backend.Model(c.R.Context(), b.Model)
		if err != nil {
			return err
		}
		out := moderationAnswer{ID: answerID(c.ID), Model: b.Model}
		var names []string
		var scores [][]float64
		if len(m.Labels) > 0 {
			got, err := classified(c, b.Model, texts)
			if err != nil {
				return err
			}
			names, scores = got.Labels, got.Scores
		} else {
			for _, k := range categories() {
				names = append(names, k.Name)
			}
			if scores, _, err = moderate.Judge(c.Answers, b.Model, texts, categories()); err != nil {
				return err
			}
		}
		for _, row := range scores {
			one := moderation{map[string]bool{}, map[string]float64{}}
			for k, name := range names {
				one.Categories[name], one.Scores[name] = row[k] >= moderate.Flagged, row[k]
			}
			out.Results = append(out.Results, one)
		}
		return c.JSON(http.StatusOK, &out)
	}
}

// classifications answers POST /v1/classifications and its chat form, by a classifier.
func classifications(read reader) func(*api.Call) error {
	return func(c *api.Call) error {
		b, texts, err := readJudged(c, read)
		if err != nil {
			return err
		}
		got, err := classified(c, b.Model, texts)
		if err != nil {
			return err
		}
		out := classAnswer{ID: answerID(c.ID), Model: b.Model}
		for _, row := range got.Scores {
			scores := map[string]float64{}
			for k, name := range got.Labels {
				scores[name] = row[k]
			}
			out.Results = append(out.Results, map[string]class{"label": {scores}})
		}
		return c.JSON(http.StatusOK, &out)
	}
}

// classified asks a classifier. What went before a text in a conversation is read before it.
func classified(c *api.Call, model string, texts []moderate.Text) (*chat.Classes, error) {
	r := &chat.ClassifyRequest{Model: model}
	for _, t := range texts {
		text := t.Text
		if t.Before != "" {
			text = t.Before + "\n" + text
		}
		r.Texts = append(r.Texts, chat.Classified{Text: text})
	}
	return c.Backend.Classify(c.R.Context(), r)
}

func readJudged(c *api.Call, read reader) (*classifyBody, []moderate.Text, error) {
	var b classifyBody
	if err := c.Decode(&b, shared()); err != nil {
		return nil, nil, err
	}
	switch {
	case b.Model == "":
		return nil, nil, missing("model")
	case isNull(b.Input):
		return nil, nil, missing("input")
	}
	texts, err := read(b.Input)
	if err == nil && (len(texts) == 0 || len(texts) > moderate.MaxTexts) {
		err = invalid("input", "input has %d elements: it must have from 1 to %d", len(texts), moderate.MaxTexts)
	}
	return &b, texts, err
}

// readTexts reads a text or an array of them.
func readTexts(raw json.RawMessage) ([]moderate.Text, error) {
	if raw[0] == '"' {
		out := make([]moderate.Text, 1)
		return out, api.Decode("input", raw, &out[0].Text, false)
	}
	if raw[0] != '[' {
		return nil, invalid("input", "input must be a string or an array of strings")
	}
	var all []*string
	if err := api.Decode("input", raw, &all, false); err != nil {
		return nil, err
	}
	out := make([]moderate.Text, len(all))
	for i, text := range all {
		if text == nil {
			at := fmt.Sprintf("input[%d]", i)
			return nil, invalid(at, "%s is null: it must be a string", at)
		}
		out[i].Text = *text
	}
	return out, nil
}

// readChats reads a conversation, an array of messages, or an array of conversations.
func readChats(raw json.RawMessage) ([]moderate.Text, error) {
	var all []json.RawMessage
	if raw[0] != '[' {
		return nil, invalid("input", "input must be an array of messages, or of arrays of them")
	}
	if err := api.Decode("input", raw, &all, false); err != nil {
		return nil, err
	}
	if len(all) == 0 || all[0][0] != '[' {
		one, err := readChat("input", raw)
		return []moderate.Text{one}, err
	}
	var out []moderate.Text
	for i, part := range all {
		one, err := readChat(fmt.Sprintf("input[%d]", i), part)
		if err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, nil
}

// readWrapped reads {"messages": [...]} or an array of such objects.
func readWrapped(raw json.RawMessage) ([]moderate.Text, error) {
	type wrapped struct {
		Messages json.RawMessage `json:"messages"`
	}
	var all []wrapped
	switch raw[0] {
	case '{':
		all = make([]wrapped, 1)
		if err := api.Decode("input", raw, &all[0], false); err != nil {
			return nil, err
		}
	case '[':
		if err := api.Decode("input", raw, &all, false); err != nil {
			return nil, err
		}
	default:
		return nil, invalid("input", "input must be an object with messages, or an array of them")
	}
	var out []moderate.Text
	for i, one := range all {
		at := "input.messages"
		if raw[0] == '[' {
			at = fmt.Sprintf("input[%d].messages", i)
		}
		if isNull(one.Messages) {
			return nil, missing(at)
		}
		text, err := readChat(at, one.Messages)
		if err != nil {
			return nil, err
		}
		out = append(out, text)
	}
	return out, nil
}

// readChat is a conversation whose last message is judged.
func readChat(at string, raw json.RawMessage) (out moderate.Text, err error) {
	var list []message
	if raw[0] != '[' {
		return out, invalid(at, "%s must be an array of messages", at)
	}
	if err := api.Decode(at, raw, &list, false); err != nil {
		return out, err
	}
	if len(list) == 0 {
		return out, invalid(at, "%s is empty: send at least one message", at)
	}
	var before []string
	for i := range list {
		at := fmt.Sprintf("%s[%d].content", at, i)
		parts, err := readContent(at, list[i].Content)
		if err != nil {
			return out, err
		}
		var text strings.Builder
		for j, p := range parts {
			if p.Kind == chat.MediaPart {
				at := fmt.Sprintf("%s[%d]", at, j)
				return out, unsupported(at, "%s is not text, and the models here read text only: leave it out", at)
			}
			text.WriteString(p.Text)
		}
		if out.Text = text.String(); i < len(list)-1 {
			before = append(before, list[i].Role+": "+out.Text)
		}
	}
	out.Before = strings.Join(before, "\n")
	return out, nil
}

package openai

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/moderate"
	"github.com/galerne-ai/galerne/internal/chat"
)

type moderationBody struct {
	Model string          `json:"model"`
	Input json.RawMessage `json:"input"`
}

type moderationAnswer struct {
	ID      string             `json:"id"`
	Model   string             `json:"model"`
	Results []moderationResult `json:"results"`
}

type moderationResult struct {
	Flagged    bool                `json:"flagged"`
	Categories map[string]bool     `json:"categories"`
	Scores     map[string]float64  `json:"category_scores"`
	Applied    map[string][]string `json:"category_applied_input_types"`
}

func categories() []moderate.Category {
	return []moderate.Category{
		{Name: "harassment", Question: "insult, mock or harass somebody"},
		{Name: "harassment/threatening", Question: "harass somebody and threaten them with violence"},
		{Name: "hate", Question: "express hate of people for their race, gender, ethnicity, religion, nationality, sexual orientation, disability or caste"},
		{Name: "hate/threatening", Question: "express such hate and threaten these people with violence"},
		{Name: "illicit", Question: "give advice or instructions for breaking the law"},
		{Name: "illicit/violent", Question: "give advice or instructions for breaking the law with violence or weapons"},
		{Name: "self-harm", Question: "promote or depict self-harm or suicide"},
		{Name: "self-harm/instructions", Question: "give instructions for self-harm or suicide"},
		{Name: "self-harm/intent", Question: "say that its author harms himself or means to"},
		{Name: "sexual", Question: "describe sexual activity to arouse, or offer sexual services"},
		{Name: "sexual/minors", Question: "contain sexual content about anyone under 18"},
		{Name: "violence", Question: "depict death, violence or injury"},
		{Name: "violence/graphic", Question: "depict death, violence or injury in graphic detail"},
	}
}

// moderations answers POST /v1/moderations with what the served model thinks.
func moderations(c *api.Call) error {
	var b moderationBody
	if err := c.Decode(&b, Hints("user")); err != nil {
		return err
	}
	texts, err := moderated(b.Input)
	if err != nil {
		return err
	}
	scores, name, err := moderate.Judge(c.Answers, b.Model, texts, categories())
	if err != nil {
		return err
	}
	out := moderationAnswer{ID: Named("modr-", c.ID), Model: ModelName(b.Model, name), Results: []moderationResult{}}
	for i := range texts {
		one := moderationResult{Categories: map[string]bool{}, Scores: map[string]float64{}, Applied: map[string][]string{}}
		for j, k := range categories() {
			score := scores[i][j]
			one.Scores[k.Name], one.Categories[k.Name], one.Applied[k.Name] = score, score >= moderate.Flagged, []string{"text"}
			one.Flagged = one.Flagged || score >= moderate.Flagged
		}
		out.Results = append(out.Results, one)
	}
	return c.JSON(http.StatusOK, &out)
}

// moderated reads a text, texts, or parts that are one text together.
func moderated(raw json.RawMessage) ([]moderate.Text, error) {
	if !IsNull(raw) && raw[0] == '[' && strings.HasPrefix(strings.TrimSpace(string(raw[1:])), "{") {
		parts, err := readContent("input", raw)
		if err != nil {
			return nil, err
		}
		var b strings.Builder
		for i, p := range parts {
			if p.Kind != chat.TextPart {
				at := fmt.Sprintf("input[%d]", i)
				return nil, Unsupported(at, "%s is not text, and the models here read text only: leave it out", at)
			}
			b.WriteString(p.Text + "\n")
		}
		return []moderate.Text{{Text: b.String()}}, nil
	}
	texts, tokens, err := readInputs("input", raw, moderate.MaxTexts)
	if err == nil && tokens != nil {
		err = Invalid("input", "input must be text, not tokens")
	}
	out := make([]moderate.Text, len(texts))
	for i, text := range texts {
		out[i].Text = text
	}
	return out, err
}

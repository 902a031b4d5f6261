package replicate

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

// input is what language models are given there, without what inputFields lists. Models of different makers
// have different names for one thing.
type input struct {
	Prompt       string          `json:"prompt"`
	SystemPrompt string          `json:"system_prompt"`
	Template     string          `json:"prompt_template"`
	Messages     []turn          `json:"messages"`
	MaxTokens    *int            `json:"max_tokens"`
	MaxNew       *int            `json:"max_new_tokens"`
	MaxLength    *int            `json:"max_length"`
	MaxCompleted *int            `json:"max_completion_tokens"`
	MinTokens    *int            `json:"min_tokens"`
	MinNew       *int            `json:"min_new_tokens"`
	Temperature  *float64        `json:"temperature"`
	TopP         *float64        `json:"top_p"`
	TopK         *int            `json:"top_k"`
	Presence     *float64        `json:"presence_penalty"`
	Frequency    *float64        `json:"frequency_penalty"`
	Repetition   *float64        `json:"repetition_penalty"`
	Repeat       *float64        `json:"repeat_penalty"`
	Seed         *int64          `json:"seed"`
	Stop         json.RawMessage `json:"stop_sequences"` // with commas between them, or a list
	StopShort    json.RawMessage `json:"stop"`
	Effort       string          `json:"reasoning_effort"`
	Grammar      string          `json:"grammar"`
	Schema       json.RawMessage `json:"jsonschema"` // a schema, or a string that is one
}

type turn struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// texts is what models that make vectors are given.
type texts struct {
	Text  *string         `json:"text"`
	Texts json.RawMessage `json:"texts"`
	Batch json.RawMessage `json:"text_batch"`
}

// inputSchema describes input to programs that read it.
func inputSchema() map[string]any {
	out := map[string]any{}
	for kind, names := range map[string][]string{
		"string":  {"prompt", "system_prompt", "prompt_template", "stop_sequences", "reasoning_effort", "grammar", "jsonschema"},
		"integer": {"max_tokens", "min_tokens", "top_k", "seed"},
		"number":  {"temperature", "top_p", "presence_penalty", "frequency_penalty", "repetition_penalty"},
	} {
		for _, name := range names {
			out[name] = map[string]string{"type": kind, "title": name}
		}
	}
	return out
}

const maxStops = 64 // what every token is compared with

// readInput is what is asked of a chat model.
func readInput(raw json.RawMessage, model string, strict bool) (*chat.Request, error) {
	raw, err := api.Check("input", raw, inputFields())
	if err != nil {
		return nil, err
	}
	var in input
	if err := api.Decode("input", raw, &in, strict); err != nil {
		return nil, err
	}
	r := &chat.Request{Model: model, MinTokens: first(in.MinTokens, in.MinNew, -1), Sampling: chat.Sampling{
		Temperature: in.Temperature, TopP: in.TopP, TopK: in.TopK, Presence: in.Presence, Frequency: in.Frequency, Repetition: in.Repetition}}
	if in.Repetition == nil {
		r.Sampling.Repetition = in.Repeat
	}
	if in.Seed != nil && *in.Seed >= 0 { // -1: any
		seed := uint64(*in.Seed)
		r.Sampling.Seed = &seed
	}
	r.MinTokens = max(r.MinTokens, 0) // -1: none
	for _, read := range []func(*chat.Request) error{in.readMessages, in.readLength, in.readStops, in.readForm} {
		if err := read(r); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// first is the first of two that is set.
func first(a, b *int, otherwise int) int {
	switch {
	case a != nil:
		return *a
	case b != nil:
		return *b
	}
	return otherwise
}

func (in *input) readMessages(r *chat.Request) error {
	if in.Prompt == "" && len(in.Messages) == 0 {
		return missing("input.prompt")
	}
	text := func(role chat.Role, s string) {
		r.Messages = append(r.Messages, chat.Message{Role: role, Parts: []chat.Part{{Kind: chat.TextPart, Text: s}}})
	}
	if t := strings.TrimSpace(in.Template); t != "" && t != "{prompt}" {
		if !strings.Contains(t, "{prompt}") {
			return invalid("input.prompt_template", "input.prompt_template has no {prompt}")
		}
		r.Raw = &chat.RawPrompt{Text: strings.NewReplacer("{prompt}", in.Prompt, "{system_prompt}", in.SystemPrompt).Replace(in.Template), ParseSpecial: true}
		return nil
	}
	if in.SystemPrompt != "" {
		text(chat.System, in.SystemPrompt)
	}
	for i, m := range in.Messages {
		switch m.Role {
		case "system", "developer", "user", "assistant":
			text(chat.Role(m.Role), m.Content)
		default:
			at := fmt.Sprintf("input.messages[%d].role", i)
			return invalid(at, "%s is %q: it must be system, user or assistant", at, m.Role)
		}
	}
	if in.Prompt != "" {
		text(chat.User, in.Prompt)
	}
	return nil
}

func (in *input) readLength(r *chat.Request) error {
	for _, v := range []struct {
		name  string
		value *int
	}{{"max_tokens", in.MaxTokens}, {"max_new_tokens", in.MaxNew}, {"max_length", in.MaxLength}, {"max_completion_tokens", in.MaxCompleted}} {
		if v.value == nil || r.MaxTokens != nil {
			continue
		}
		if *v.value < 1 {
			return invalid("input."+v.name, "input.%s is %d: it must be at least 1", v.name, *v.value)
		}
		r.MaxTokens = v.value
	}
	for _, v := range []struct {
		name      string
		value     *float64
		low, high float64
	}{{"temperature", in.Temperature, 0, 5}, {"top_p", in.TopP, 0, 1}, {"presence_penalty", in.Presence, -2, 2}, {"frequency_penalty", in.Frequency, -2, 2}} {
		if v.value != nil && (*v.value < v.low || *v.value > v.high) {
			return invalid("input."+v.name, "input.%s is %v: it must be from %v to %v", v.name, *v.value, v.low, v.high)
		}
	}
	if in.TopK != nil && *in.TopK < 0 {
		r.Sampling.TopK = nil // -1: all tokens
	}
	return nil
}

func (in *input) readStops(r *chat.Request) error {
	raw, at := in.Stop, "input.stop_sequences"
	if isNull(raw) {
		raw, at = in.StopShort, "input.stop"
	}
	switch {
	case isNull(raw):
		return nil
	case raw[0] == '"':
		var all string
		if err := api.Decode(at, raw, &all, false); err != nil {
			return err
		}
		if all != "" {
			r.Stop = strings.Split(all, ",")
		}
	default:
		if err := api.Decode(at, raw, &r.Stop, false); err != nil {
			return err
		}
	}
	if len(r.Stop) > maxStops || slices.Contains(r.Stop, "") {
		return invalid(at, "%s must have at most %d strings, none of them empty", at, maxStops)
	}
	return nil
}

func (in *input) readForm(r *chat.Request) error {
	switch in.Effort {
	case "", "minimal", "low", "medium", "high":
		r.Reasoning.Effort = in.Effort
	case "none":
		no := false
		r.Reasoning.Enabled = &no
	default:
		return invalid("input.reasoning_effort", "input.reasoning_effort is %q: it must be none, minimal, low, medium or high", in.Effort)
	}
	if in.Grammar != "" {
		r.Format = chat.Format{Kind: chat.Grammar, Pattern: in.Grammar}
	}
	if isNull(in.Schema) || string(in.Schema) == `""` {
		return nil
	}
	schema := in.Schema
	if schema[0] == '"' {
		var text string
		if err := api.Decode("input.jsonschema", schema, &text, false); err != nil {
			return err
		}
		schema = json.RawMessage(text)
	}
	if !json.Valid(schema) || schema[0] != '{' || in.Grammar != "" {
		return invalid("input.jsonschema", "input.jsonschema must be a JSON Schema, an object, without a grammar beside it")
	}
	r.Format = chat.Format{Kind: chat.JSONSchema, Schema: schema, Strict: true}
	return nil
}

// readTexts is what is asked of a model that makes vectors.
func readTexts(raw json.RawMessage, model string) (*chat.EmbedRequest, error) {
	var in texts
	if err := api.Decode("input", raw, &in, false); err != nil {
		return nil, err
	}
	r := &chat.EmbedRequest{Model: model}
	if in.Text != nil {
		r.Texts = append(r.Texts, *in.Text)
	}
	for name, list := range map[string]json.RawMessage{"texts": in.Texts, "text_batch": in.Batch} {
		if isNull(list) {
			continue
		}
		at := "input." + name
		if list[0] == '"' { // a string that is a list
			var text string
			if err := api.Decode(at, list, &text, false); err != nil {
				return nil, err
			}
			list = json.RawMessage(text)
		}
		var all []string
		if json.Unmarshal(list, &all) != nil {
			return nil, invalid(at, "%s must be a list of strings, or a string that is a JSON list of them", at)
		}
		r.Texts = append(r.Texts, all...)
	}
	if len(r.Texts) == 0 {
		return nil, missing("input.text")
	}
	return r, nil
}

// isNull reports whether a field is absent or null.
func isNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

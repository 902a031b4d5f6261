package openai

import (
	"encoding/json"
	"strings"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

// format is what an answer must look like: OpenAI's response_format, and the fields of vLLM and of
// llama.cpp. At most one may be set.
type format struct {
	ResponseFormat json.RawMessage `json:"response_format"`
	Structured     json.RawMessage `json:"structured_outputs"`
	GuidedJSON     json.RawMessage `json:"guided_json"`
	GuidedRegex    *string         `json:"guided_regex"`
	GuidedChoice   []string        `json:"guided_choice"`
	GuidedGrammar  *string         `json:"guided_grammar"`
	GrammarText    *string         `json:"grammar"`
	JSONSchema     json.RawMessage `json:"json_schema"`
}

func (f *format) read() (chat.Format, error) {
	var set []string
	out := chat.Format{}
	use := func(name string, got chat.Format) {
		if got.Kind != chat.AnyText {
			set, out = append(set, name), got
		}
	}
	response, err := readFormat("response_format", f.ResponseFormat)
	if err != nil {
		return out, err
	}
	use("response_format", response)
	structured, err := readStructured(f.Structured)
	if err != nil {
		return out, err
	}
	use("structured_outputs", structured)
	for _, s := range []struct {
		name string
		raw  json.RawMessage
	}{{"guided_json", f.GuidedJSON}, {"json_schema", f.JSONSchema}} {
		got, err := SchemaOf(s.name, s.raw)
		if err != nil {
			return out, err
		}
		use(s.name, got)
	}
	use("guided_regex", pattern(chat.Regex, f.GuidedRegex))
	use("guided_grammar", pattern(chat.Grammar, f.GuidedGrammar))
	use("grammar", pattern(chat.Grammar, f.GrammarText))
	if f.GuidedChoice != nil {
		use("guided_choice", chat.Format{Kind: chat.OneOf, Choices: f.GuidedChoice})
	}
	if len(set) > 1 {
		return out, Invalid(set[1], "%s are set, and an answer can have one form only", strings.Join(set, " and "))
	}
	if out.Kind == chat.OneOf && len(out.Choices) == 0 {
		return out, Invalid(set[0], "%s has no choices", set[0])
	}
	return out, nil
}

func pattern(kind chat.FormatKind, text *string) chat.Format {
	if text == nil || *text == "" {
		return chat.Format{}
	}
	return chat.Format{Kind: kind, Pattern: *text}
}

// SchemaOf reads a JSON Schema, which vLLM's clients also send as a string of JSON.
func SchemaOf(at string, raw json.RawMessage) (chat.Format, error) {
	if IsNull(raw) {
		return chat.Format{}, nil
	}
	if raw[0] == '"' {
		var text string
		if err := api.Decode(at, raw, &text, false); err != nil {
			return chat.Format{}, err
		}
		if raw = json.RawMessage(strings.TrimSpace(text)); !json.Valid(raw) {
			return chat.Format{}, Invalid(at, "%s is a string that is not JSON", at)
		}
	}
	if raw[0] != '{' && string(raw) != "true" && string(raw) != "false" {
		return chat.Format{}, Invalid(at, "%s must be a JSON Schema, an object", at)
	}
	return chat.Format{Kind: chat.JSONSchema, Schema: raw, Strict: true}, nil
}

// readFormat reads OpenAI's object; llama.cpp and TGI put a schema beside json_object.
func readFormat(at string, raw json.RawMessage) (chat.Format, error) {
	if IsNull(raw) {
		return chat.Format{}, nil
	}
	var f struct {
		Type       string          `json:"type"`
		Schema     json.RawMessage `json:"schema"`
		Value      json.RawMessage `json:"value"`
		JSONSchema *struct {
			Name        string          `json:"name"`
			Description string          `json:"description"`
			Schema      json.RawMessage `json:"schema"`
			Strict      *bool           `json:"strict"`
		} `json:"json_schema"`
	}
	if err := api.Decode(at, raw, &f, false); err != nil {
		return chat.Format{}, err
	}
	switch f.Type {
	case "text":
		return chat.Format{}, nil
	case "json_object":
		for name, schema := range map[string]json.RawMessage{"schema": f.Schema, "value": f.Value} {
			if !IsNull(schema) {
				return SchemaOf(at+"."+name, schema)
			}
		}
		return chat.Format{Kind: chat.JSONValue}, nil
	case "json_schema":
		switch {
		case f.JSONSchema == nil:
			return chat.Format{}, Missing(at + ".json_schema")
		case f.JSONSchema.Name == "":
			return chat.Format{}, Missing(at + ".json_schema.name")
		case IsNull(f.JSONSchema.Schema):
			return chat.Format{}, Missing(at + ".json_schema.schema")
		}
		out, err := SchemaOf(at+".json_schema.schema", f.JSONSchema.Schema)
		out.Name, out.Strict = f.JSONSchema.Name, f.JSONSchema.Strict != nil && *f.JSONSchema.Strict
		return out, err
	case "":
		return chat.Format{}, Missing(at + ".type")
	}
	return chat.Format{}, Unsupported(at+".type", "%s.type is %q: text, json_object and json_schema are possible", at, f.Type)
}

// readStructured reads vLLM's object, of which one member is set.
func readStructured(raw json.RawMessage) (chat.Format, error) {
	if IsNull(raw) {
		return chat.Format{}, nil
	}
	var f struct {
		JSON       json.RawMessage `json:"json"`
		Regex      *string         `json:"regex"`
		Choice     []string        `json:"choice"`
		Grammar    *string         `json:"grammar"`
		JSONObject bool            `json:"json_object"`
		Tag        json.RawMessage `json:"structural_tag"`
	}
	const at = "structured_outputs"
	if err := api.Decode(at, raw, &f, false); err != nil {
		return chat.Format{}, err
	}
	if !IsNull(f.Tag) {
		return chat.Format{}, Unsupported(at+".structural_tag", "structural_tag is not supported: use json, regex, choice or grammar")
	}
	inner := format{GuidedJSON: f.JSON, GuidedRegex: f.Regex, GuidedChoice: f.Choice, GuidedGrammar: f.Grammar}
	if f.JSONObject {
		inner.ResponseFormat = json.RawMessage(`{"type":"json_object"}`)
	}
	return inner.read()
}

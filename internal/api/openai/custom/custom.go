// Package custom answers: how does a model that knows functions use OpenAI's custom tools, whose input is any
// text? It sees a function of one string; what it writes as that function's arguments is unwrapped on the way back.
package custom

import (
	"bytes"
	"encoding/json"

	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/grammar"
)

// Names are the tools of a request that are custom.
type Names map[string]bool

// Format is what a tool's input must look like. Chat completions put the rule under grammar, the Responses API
// beside the type.
type Format struct {
	Type    string `json:"type"`
	Grammar *rule  `json:"grammar"`
	rule
}

type rule struct {
	Syntax     string `json:"syntax"`
	Definition string `json:"definition"`
}

// pattern is the JSON Schema pattern of a format, "" for any text. At is the format's place in the request.
func (f *Format) pattern(at string) (string, error) {
	if f == nil || f.Type == "text" {
		return "", nil
	}
	if f.Type != "grammar" {
		return "", chat.ErrUnsupported.Because("openai: %s.type is %q: text and grammar are possible", at, f.Type).At(at + ".type")
	}
	r := &f.rule
	if f.Grammar != nil {
		r, at = f.Grammar, at+".grammar"
	}
	switch {
	case r.Syntax != "regex":
		return "", chat.ErrUnsupported.Because("openai: %s.syntax is %q: only regex is enforced; write a regular expression, or leave the format out and describe the input in the tool's description", at, r.Syntax).At(at + ".syntax")
	case r.Definition == "":
		return "", chat.ErrRequest.Because("openai: %s.definition is empty: it must be a regular expression", at).At(at + ".definition")
	}
	if _, err := grammar.CompileRegex(r.Definition); err != nil { // by itself: a stray ")" would leave the group below
		return "", chat.ErrRequest.Because("openai: %s.definition cannot be enforced: %w", at, err).At(at + ".definition")
	}
	return "^(?:" + r.Definition + ")$", nil
}

type object map[string]any

// Tool is the function that stands for a custom tool. At is the place of its fields in the request. It is strict
// where its format is to be enforced: strict tools are refused by models that cannot be held to them, and any text
// needs no such model.
func Tool(at, name, description string, f *Format) (chat.Tool, error) {
	input := object{"type": "string", "description": "The whole input of the tool, as plain text."}
	pattern, err := f.pattern(at + ".format")
	if err != nil {
		return chat.Tool{}, err
	}
	if pattern != "" {
		input["pattern"] = pattern
	}
	schema := encode(object{"type": "object", "properties": object{key: input}, "required": []string{key}, "additionalProperties": false})
	if _, err := grammar.CompileSchema(schema, grammar.Options{}); err != nil { // only a pattern can be to blame
		return chat.Tool{}, chat.ErrRequest.Because("openai: %s.format cannot be enforced: %w", at, err).At(at + ".format")
	}
	return chat.Tool{Name: name, Description: description, Schema: schema, Strict: pattern != ""}, nil
}

// Arguments are what the model wrote when it gave a custom tool this input.
func Arguments(input string) string { return string(encode(object{key: input})) }

const key = "input"

// encode is JSON that leaves <, > and & as they are: models read it.
func encode(v any) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // maps and strings only: cannot fail
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

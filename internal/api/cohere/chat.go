package cohere

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/cite"
	"github.com/galerne-ai/galerne/internal/chat"
)

// chatBody is the request of /v2/chat, without what chatFields lists.
type chatBody struct {
	Model         string            `json:"model"`
	Messages      []message         `json:"messages"`
	Stream        bool              `json:"stream"`
	Tools         []tool            `json:"tools"`
	StrictTools   bool              `json:"strict_tools"`
	ToolChoice    *string           `json:"tool_choice"`
	Documents     []json.RawMessage `json:"documents"`
	Citations     *citationOptions  `json:"citation_options"`
	Format        *responseFormat   `json:"response_format"`
	MaxTokens     *int              `json:"max_tokens"`
	StopSequences []string          `json:"stop_sequences"`
	Temperature   *float64          `json:"temperature"`
	Seed          *int64            `json:"seed"`
	Frequency     *float64          `json:"frequency_penalty"`
	Presence      *float64          `json:"presence_penalty"`
	K             *int              `json:"k"`
	P             *float64          `json:"p"`
	Logprobs      bool              `json:"logprobs"`
	Thinking      *thinking         `json:"thinking"`
}

type citationOptions struct {
	Mode string `json:"mode"`
}

type responseFormat struct {
	Type   string          `json:"type"`
	Schema json.RawMessage `json:"json_schema"`
	Old    json.RawMessage `json:"schema"` // the name that the schema had first
}

type thinking struct {
	Type   string `json:"type"`
	Budget *int   `json:"token_budget"`
}

type tool struct {
	Type     string `json:"type"`
	Function *struct {
		Name        string          `json:"name"`
		Description string          `json:"description"`
		Parameters  json.RawMessage `json:"parameters"`
	} `json:"function"`
}

// view is what of the request shapes its answer.
type view struct {
	request *chat.Request
	results map[string]bool // ids of sources that are what a tool gave
}

// converse answers POST /v2/chat.
func converse(c *api.Call) error {
	var b chatBody
	if err := c.Decode(&b, chatFields()); err != nil {
		return err
	}
	v, sources, err := b.read()
	if err != nil {
		return err
	}
	if v.request.Citations != "off" && len(sources) > 0 {
		c.Backend = cited{c.Backend, cite.Responder(c.Backend, sources)}
	}
	if b.Stream {
		return c.Stream(&events{view: v}, v.request)
	}
	answer, err := c.Answer(v.request)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, v.answer(answer))
}

// cited is a backend whose answers are cited.
type cited struct {
	chat.Backend
	chat.Responder
}

// Respond is the Responder's.
func (b cited) Respond(ctx context.Context, r *chat.Request) (chat.Stream, error) {
	return b.Responder.Respond(ctx, r)
}

// read is what is asked, in package chat's words, and what the answer may cite.
func (b *chatBody) read() (view, []chat.Document, error) {
	r := &chat.Request{Model: b.Model, MaxTokens: b.MaxTokens}
	v := view{request: r, results: map[string]bool{}}
	if b.Model == "" {
		return v, nil, missing("model")
	}
	for _, read := range []func(*chat.Request) error{b.readDocuments, b.readTools, b.readSampling, b.readOutput} {
		if err := read(r); err != nil {
			return v, nil, err
		}
	}
	sources := slices.Clone(r.Documents)
	given, err := readMessages(b.Messages, r)
	if err != nil {
		return v, nil, err
	}
	for i := range given {
		d := &given[i]
		if slices.ContainsFunc(sources, func(o chat.Document) bool { return o.ID == d.ID }) {
			d.ID = "tool:" + d.ID
		}
		v.results[d.ID] = true
	}
	return v, append(sources, given...), nil
}

// maxStops bounds what every token is compared with.
const maxStops = 64

func (b *chatBody) readSampling(r *chat.Request) error {
	r.Sampling = chat.Sampling{Temperature: b.Temperature, TopP: b.P, TopK: b.K, Frequency: b.Frequency, Presence: b.Presence}
	for _, v := range []struct {
		name  string
		value *float64
		high  float64
	}{{"temperature", b.Temperature, 2}, {"p", b.P, 1}, {"frequency_penalty", b.Frequency, 1}, {"presence_penalty", b.Presence, 1}} {
		if v.value != nil && (*v.value < 0 || *v.value > v.high) {
			return invalid(v.name, "%s is %v: it must be from 0 to %v", v.name, *v.value, v.high)
		}
	}
	if b.K != nil && *b.K < 0 {
		return invalid("k", "k is %d: it must be at least 0; 0 means all", *b.K)
	}
	if b.MaxTokens != nil && *b.MaxTokens < 1 {
		return invalid("max_tokens", "max_tokens is %d: it must be at least 1", *b.MaxTokens)
	}
	if b.Seed != nil {
		seed := uint64(*b.Seed)
		r.Sampling.Seed = &seed
	}
	if b.Logprobs {
		none := 0
		r.Logprobs = &none
	}
	if len(b.StopSequences) > maxStops {
		return invalid("stop_sequences", "stop_sequences has %d strings: at most %d are possible", len(b.StopSequences), maxStops)
	}
	for i, s := range b.StopSequences {
		if s == "" {
			return invalid(fmt.Sprintf("stop_sequences[%d]", i), "stop_sequences has an empty string, which would end every answer at once")
		}
	}
	r.Stop = b.StopSequences
	return nil
}

// readOutput reads what the answer must be like.
func (b *chatBody) readOutput(r *chat.Request) error {
	if o := b.Citations; o != nil {
		switch o.Mode {
		case "", "ENABLED", "ACCURATE", "enabled", "accurate":
			r.Citations = "accurate"
		case "FAST", "fast":
			r.Citations = "fast"
		case "OFF", "off", "DISABLED", "disabled":
			r.Citations = "off"
		default:
			return invalid("citation_options.mode", "citation_options.mode is %q: it must be ENABLED, FAST, ACCURATE, OFF or DISABLED", o.Mode)
		}
	}
	if f := b.Format; f != nil {
		schema := f.Schema
		if isNull(schema) {
			schema = f.Old
		}
		switch {
		case f.Type == "text":
		case f.Type != "json_object":
			return invalid("response_format.type", "response_format.type is %q: it must be text or json_object", f.Type)
		case isNull(schema):
			r.Format.Kind = chat.JSONValue
		case schema[0] != '{':
			return invalid("response_format.json_schema", "response_format.json_schema must be a JSON Schema, an object")
		default:
			r.Format = chat.Format{Kind: chat.JSONSchema, Schema: schema, Strict: true}
		}
	}
	if t := b.Thinking; t != nil {
		on := t.Type == "enabled"
		if !on && t.Type != "disabled" {
			return invalid("thinking.type", "thinking.type is %q: it must be enabled or disabled", t.Type)
		}
		if t.Budget != nil && *t.Budget < 1 {
			return invalid("thinking.token_budget", "thinking.token_budget is %d: it must be at least 1", *t.Budget)
		}
		r.Reasoning = chat.Reasoning{Enabled: &on, Budget: t.Budget}
	}
	return nil
}

const maxTools = 512

// toolName is what Cohere allows as the name of a function.
var toolName = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)

func (b *chatBody) readTools(r *chat.Request) error {
	if len(b.Tools) > maxTools {
		return invalid("tools", "there are %d tools: at most %d are possible", len(b.Tools), maxTools)
	}
	for i, t := range b.Tools {
		at := fmt.Sprintf("tools[%d]", i)
		f := t.Function
		switch {
		case t.Type != "" && t.Type != "function":
			return invalid(at+".type", "%s.type is %q: it must be function", at, t.Type)
		case f == nil:
			return missing(at + ".function")
		case !toolName.MatchString(f.Name):
			return invalid(at+".function.name", "%s.function.name is %q: it must have 1 to 64 letters, digits, underscores and dashes", at, f.Name)
		case !isNull(f.Parameters) && f.Parameters[0] != '{':
			return invalid(at+".function.parameters", "%s.function.parameters must be a JSON Schema, an object", at)
		case slices.ContainsFunc(r.Tools, func(o chat.Tool) bool { return o.Name == f.Name }):
			return invalid(at+".function.name", "%s.function.name is %q, which an earlier tool has: names must be unique", at, f.Name)
		}
		one := chat.Tool{Name: f.Name, Description: f.Description, Strict: b.StrictTools}
		if !isNull(f.Parameters) {
			one.Schema = f.Parameters
		}
		r.Tools = append(r.Tools, one)
	}
	if b.ToolChoice == nil {
		return nil
	}
	switch *b.ToolChoice {
	case "REQUIRED":
		if len(r.Tools) == 0 {
			return invalid("tool_choice", "tool_choice is REQUIRED and there are no tools: send tools")
		}
		r.ToolChoice.Mode = chat.ToolsRequired
	case "NONE":
		r.ToolChoice.Mode = chat.ToolsNone
	default:
		return invalid("tool_choice", "tool_choice is %q: it must be REQUIRED or NONE, or be left out", *b.ToolChoice)
	}
	return nil
}

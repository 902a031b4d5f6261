package cohere

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/cite"
	"github.com/galerne-ai/galerne/internal/chat"
)

// chatV1Body is the request of /v1/chat, without what chatV1Fields lists: one message, and what went before.
type chatV1Body struct {
	Message   *string           `json:"message"`
	Model     string            `json:"model"`
	Preamble  string            `json:"preamble"`
	History   []turn            `json:"chat_history"`
	Documents []json.RawMessage `json:"documents"`
	Quality   string            `json:"citation_quality"`
	Tools     []toolV1          `json:"tools"`
	Results   []resultV1        `json:"tool_results"`
	Stream    bool              `json:"stream"`

	Format        *responseFormat `json:"response_format"`
	MaxTokens     *int            `json:"max_tokens"`
	StopSequences []string        `json:"stop_sequences"`
	Temperature   *float64        `json:"temperature"`
	Seed          *int64          `json:"seed"`
	Frequency     *float64        `json:"frequency_penalty"`
	Presence      *float64        `json:"presence_penalty"`
	K             *int            `json:"k"`
	P             *float64        `json:"p"`
}

// turn is a message of version 1. It is what was said and, of the assistant, the calls it made, or what
// tools gave.
type turn struct {
	Role    string     `json:"role"` // USER, CHATBOT, SYSTEM or TOOL
	Message string     `json:"message"`
	Calls   []callV1   `json:"tool_calls,omitempty"`
	Results []resultV1 `json:"tool_results,omitempty"`
}

type callV1 struct {
	Name       string          `json:"name"`
	Parameters json.RawMessage `json:"parameters"` // an object
}

// resultV1 is what a tool gave. Calls have no ids here: a result names its call.
type resultV1 struct {
	Call    callV1            `json:"call"`
	Outputs []json.RawMessage `json:"outputs"` // objects
}

type toolV1 struct {
	Name        string                 `json:"name"`
	Description string                 `json:"description"`
	Parameters  map[string]parameterV1 `json:"parameter_definitions"`
}

type parameterV1 struct {
	Description string `json:"description"`
	Type        string `json:"type"` // of Python: str, int, float, bool, List[...], Dict[...]
	Required    bool   `json:"required"`
}

// converseV1 answers POST /v1/chat.
func converseV1(c *api.Call) error {
	var b chatV1Body
	if err := c.Decode(&b, chatV1Fields()); err != nil {
		return err
	}
	return b.converse(c, nil)
}

// Invoke answers a chat of version 1 that does not name its model; with a framing it is streamed in that.
func Invoke(c *api.Call, model string, f api.Framing) error {
	var b chatV1Body
	if err := c.Decode(&b, chatV1Fields()); err != nil {
		return err
	}
	if b.Stream {
		return invalid("stream", "stream is not a field of this body: the path says whether the answer is streamed")
	}
	b.Model = model
	return b.converse(c, f)
}

// converse answers; a framing is another vendor's, nil for ours.
func (b *chatV1Body) converse(c *api.Call, f api.Framing) error {
	v := viewV1{body: b}
	r, sources, err := b.read()
	if err != nil {
		return err
	}
	if r.Citations != "off" && len(sources) > 0 {
		c.Backend = cited{c.Backend, cite.Responder(c.Backend, sources)}
	}
	if f != nil {
		return c.Stream(&framedV1{eventsV1{view: v, framing: f}}, r)
	}
	if b.Stream {
		return c.Stream(&eventsV1{view: v, sse: c.R.Header.Get("Accepts") == "text/event-stream"}, r)
	}
	answer, err := c.Answer(r)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, v.answer(answer))
}

// read is what is asked, in package chat's words, and what the answer may cite.
func (b *chatV1Body) read() (*chat.Request, []chat.Document, error) {
	r := &chat.Request{Model: b.Model, MaxTokens: b.MaxTokens}
	two := chatBody{Format: b.Format, MaxTokens: b.MaxTokens, StopSequences: b.StopSequences, Temperature: b.Temperature, Seed: b.Seed,
		Frequency: b.Frequency, Presence: b.Presence, K: b.K, P: b.P, Citations: &citationOptions{b.Quality}}
	if b.Message == nil {
		return nil, nil, missing("message")
	}
	if b.Quality != "" && b.Quality != "fast" && b.Quality != "accurate" && b.Quality != "off" {
		return nil, nil, invalid("citation_quality", "citation_quality is %q: it must be fast, accurate or off", b.Quality)
	}
	for _, read := range []func(*chat.Request) error{two.readSampling, two.readOutput, b.readDocuments, b.readTools} {
		if err := read(r); err != nil {
			return nil, nil, err
		}
	}
	v := conversationV1{request: r}
	if b.Preamble != "" {
		v.say(chat.System, b.Preamble)
	}
	for i := range b.History {
		if err := v.read(fmt.Sprintf("chat_history[%d]", i), &b.History[i]); err != nil {
			return nil, nil, err
		}
	}
	if *b.Message != "" {
		v.say(chat.User, *b.Message)
	}
	if err := v.results("tool_results", b.Results); err != nil {
		return nil, nil, err
	}
	if len(r.Messages) == 0 {
		return nil, nil, invalid("message", "message is empty, and nothing went before it")
	}
	return r, append(slices.Clone(r.Documents), v.given...), nil
}

// readDocuments reads sources: objects of strings, among which id names one and _excludes lists those that
// the model does not see.
func (b *chatV1Body) readDocuments(r *chat.Request) error {
	if len(b.Documents) > maxDocuments {
		return invalid("documents", "there are %d documents: at most %d are possible", len(b.Documents), maxDocuments)
	}
	for i, raw := range b.Documents {
		at := fmt.Sprintf("documents[%d]", i)
		var fields map[string]any
		if raw[0] != '{' {
			return invalid(at, "%s must be an object of strings", at)
		}
		if err := api.Decode(at, raw, &fields, false); err != nil {
			return err
		}
		d := chat.Document{ID: fmt.Sprintf("doc_%d", i), Data: raw}
		if id, ok := fields["id"].(string); ok && id != "" {
			d.ID = id
		}
		hidden, _ := fields["_excludes"].([]any)
		for _, name := range append(hidden, "id", "_excludes") {
			if name, ok := name.(string); ok {
				delete(fields, name)
			}
		}
		d.Title, _ = fields["title"].(string)
		if text, ok := fields["text"].(string); ok {
			d.Text = text
		} else {
			d.Text = lines(fields)
		}
		if slices.ContainsFunc(r.Documents, func(o chat.Document) bool { return o.ID == d.ID }) {
			return invalid(at+".id", "%s.id is %q, which an earlier document has: ids must be unique", at, d.ID)
		}
		r.Documents = append(r.Documents, d)
	}
	return nil
}

func (b *chatV1Body) readTools(r *chat.Request) error {
	if len(b.Tools) > maxTools {
		return invalid("tools", "there are %d tools: at most %d are possible", len(b.Tools), maxTools)
	}
	for i, t := range b.Tools {
		at := fmt.Sprintf("tools[%d]", i)
		if !toolName.MatchString(t.Name) {
			return invalid(at+".name", "%s.name is %q: it must have 1 to 64 letters, digits, underscores and dashes", at, t.Name)
		}
		if slices.ContainsFunc(r.Tools, func(o chat.Tool) bool { return o.Name == t.Name }) {
			return invalid(at+".name", "%s.name is %q, which an earlier tool has: names must be unique", at, t.Name)
		}
		properties, required := map[string]any{}, []string{}
		for name, p := range t.Parameters {
			schema := schemaV1(p.Type)
			if p.Description != "" {
				schema["description"] = p.Description
			}
			if properties[name] = schema; p.Required {
				required = append(required, name)
			}
		}
		slices.Sort(required)
		schema, err := api.Encode(map[string]any{"type": "object", "properties": properties, "required": required})
		if err != nil {
			return err
		}
		r.Tools = append(r.Tools, chat.Tool{Name: t.Name, Description: t.Description, Schema: schema})
	}
	return nil
}

// schemaV1 is the JSON Schema of a type that is named as Python does; what it does not know is anything.
func schemaV1(kind string) map[string]any {
	kind, inner, _ := strings.Cut(strings.TrimSuffix(strings.TrimSpace(kind), "]"), "[")
	switch strings.ToLower(kind) {
	case "str", "string":
		return map[string]any{"type": "string"}
	case "int", "integer":
		return map[string]any{"type": "integer"}
	case "float", "number":
		return map[string]any{"type": "number"}
	case "bool", "boolean":
		return map[string]any{"type": "boolean"}
	case "list", "array":
		out := map[string]any{"type": "array"}
		if inner != "" && !strings.Contains(inner, "[") {
			out["items"] = schemaV1(inner)
		}
		return out
	case "dict", "object":
		return map[string]any{"type": "object"}
	}
	return map[string]any{}
}

// conversationV1 is messages being read.
type conversationV1 struct {
	request *chat.Request
	given   []chat.Document // what tools have given since the user last spoke
	calls   []chat.Part     // of the assistant's latest turn, without a result so far
	count   int             // of calls
}

func (v *conversationV1) say(role chat.Role, text string) {
	v.request.Messages = append(v.request.Messages, chat.Message{Role: role, Parts: []chat.Part{{Kind: chat.TextPart, Text: text}}})
	v.given, v.calls = nil, nil
}

func (v *conversationV1) read(at string, m *turn) error {
	switch strings.ToUpper(m.Role) {
	case "SYSTEM":
		v.say(chat.System, m.Message)
	case "USER":
		v.say(chat.User, m.Message)
	case "CHATBOT":
		given := v.given
		out := chat.Message{Role: chat.Assistant}
		if m.Message != "" {
			out.Parts = append(out.Parts, chat.Part{Kind: chat.TextPart, Text: m.Message})
		}
		if len(m.Calls) == 0 && out.Parts == nil {
			return invalid(at+".message", "%s.message is empty, and there are no tool_calls", at)
		}
		v.request.Messages = append(v.request.Messages, out)
		v.calls, v.given = nil, given
		for i := range m.Calls {
			if err := v.call(fmt.Sprintf("%s.tool_calls[%d]", at, i), &m.Calls[i]); err != nil {
				return err
			}
		}
	case "TOOL":
		return v.results(at+".tool_results", m.Results)
	default:
		return invalid(at+".role", "%s.role is %q: it must be USER, CHATBOT, SYSTEM or TOOL", at, m.Role)
	}
	return nil
}

// call adds one to the assistant's turn, which is the last.
func (v *conversationV1) call(at string, c *callV1) error {
	if c.Name == "" {
		return missing(at + ".name")
	}
	arguments := "{}"
	if !isNull(c.Parameters) {
		if arguments = string(c.Parameters); arguments[0] != '{' {
			return invalid(at+".parameters", "%s.parameters must be an object", at)
		}
	}
	part := chat.Part{Kind: chat.CallPart, ID: fmt.Sprintf("call_%d", v.count), Name: c.Name, Arguments: arguments}
	v.count++
	v.calls = append(v.calls, part)
	last := &v.request.Messages[len(v.request.Messages)-1]
	last.Parts = append(last.Parts, part)
	return nil
}

// results adds what tools gave. A result whose call is not in the turn before brings its call with it.
func (v *conversationV1) results(at string, list []resultV1) error {
	for i := range list {
		at, one := fmt.Sprintf("%s[%d]", at, i), &list[i]
		k := slices.IndexFunc(v.calls, func(p chat.Part) bool { return p.Name == one.Call.Name })
		if k < 0 {
			v.request.Messages = append(v.request.Messages, chat.Message{Role: chat.Assistant})
			if err := v.call(at+".call", &one.Call); err != nil {
				return err
			}
			k = len(v.calls) - 1
		}
		call := v.calls[k]
		v.calls = slices.Delete(v.calls, k, k+1)
		var texts []string
		for j, raw := range one.Outputs {
			var fields map[string]any
			if raw[0] != '{' {
				return invalid(at+".outputs", "%s.outputs[%d] must be an object", at, j)
			}
			if err := api.Decode(fmt.Sprintf("%s.outputs[%d]", at, j), raw, &fields, false); err != nil {
				return err
			}
			texts = append(texts, string(raw))
			v.given = append(v.given, chat.Document{ID: fmt.Sprintf("%s:%s:%d", call.Name, strings.TrimPrefix(call.ID, "call_"), j), Text: lines(fields), Data: raw})
		}
		v.request.Messages = append(v.request.Messages, chat.Message{Role: chat.ToolRole,
			Parts: []chat.Part{{Kind: chat.ResultPart, CallID: call.ID, Name: call.Name, Text: strings.Join(texts, "\n")}}})
	}
	return nil
}

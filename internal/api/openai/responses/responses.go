// Package responses answers: what does OpenAI's Responses API say of a question and its answer?
// With a store, answers are kept, gone on from and made in the background (stored.go); without one
// nothing is, and the fields that name what was stored are refused.
package responses

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/openai"
	"github.com/galerne-ai/galerne/internal/api/openai/custom"
	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/jobs"
)

// Routes are for openai.Surface, where nothing is stored.
func Routes() []api.Route { return (&handler{}).routes() }

// handler answers; s is nil where nothing is stored.
type handler struct {
	s       *jobs.Store
	keepFor time.Duration
}

func (h *handler) routes() []api.Route {
	return []api.Route{
		{Method: "POST", Pattern: "/v1/responses", Scope: api.Generate, Handle: h.create, Body: body{}, Fields: h.fields()},
		{Method: "POST", Pattern: "/v1/responses/input_tokens", Scope: api.Tokenize, Handle: h.count, Body: body{}, Fields: h.fields()},
		{Method: "POST", Pattern: "/v1/responses/compact", Scope: api.Generate, Handle: h.compact, Body: compactBody{}, Fields: h.compactFields(),
			Note: "the model writes a summary, which stands in an item of type compaction as base64"},
	}
}

func (h *handler) fields() []api.Field {
	out := append(openai.SamplingFields(), append(openai.Hints("user", "safety_identifier", "prompt_cache_key",
		"prompt_cache_retention", "prompt_cache_options", "service_tier", "max_tool_calls"),
		openai.Refused("conversation", "go on from an answer with previous_response_id, or send the whole conversation as input"),
		openai.Refused("prompt", "prompts are not stored here: send input and instructions"),
		openai.Refused("context_management", "input is never compacted by itself: call /v1/responses/compact", "[]"),
		openai.Refused("moderation", "call a moderation model yourself"),
		openai.Refused("n", "ask several times", "1"),
		openai.Refused("stop", "the Responses API has no stop strings: use /v1/chat/completions"),
	)...)
	if h.s == nil {
		out = append(out,
			openai.Refused("store", "nothing is stored here: leave it out", "false"),
			openai.Refused("background", "answers are given while one waits", "false"),
			openai.Refused("previous_response_id", notStored))
	}
	return out
}

const notStored = "nothing is stored here: send the whole conversation as input"

// body is the request, without what fields lists.
type body struct {
	openai.Sampling
	openai.Ending
	Model           string            `json:"model"`
	Input           json.RawMessage   `json:"input"`
	Instructions    *string           `json:"instructions"`
	MaxOutputTokens *int              `json:"max_output_tokens"`
	Include         []string          `json:"include"`
	TopLogprobs     *int              `json:"top_logprobs"`
	ParallelCalls   *bool             `json:"parallel_tool_calls"`
	Reasoning       *reasoning        `json:"reasoning"`
	Text            *textConfig       `json:"text"`
	Tools           []json.RawMessage `json:"tools"`
	ToolChoice      json.RawMessage   `json:"tool_choice"`
	Metadata        map[string]string `json:"metadata"`
	Stream          bool              `json:"stream"`
	StreamOptions   *struct {
		IncludeObfuscation *bool `json:"include_obfuscation"`
	} `json:"stream_options"`
	Truncation *string `json:"truncation"`
	Store      *bool   `json:"store"`
	Background *bool   `json:"background"`
	PreviousID *string `json:"previous_response_id"`

	heard json.RawMessage // the input, behind what it goes on from
	keep  bool            // the answer is stored
	texts custom.Names    // the tools that are custom
}

type reasoning struct {
	Effort  *string `json:"effort"`
	Summary *string `json:"summary"`
}

type textConfig struct {
	Format    json.RawMessage `json:"format"`
	Verbosity *string         `json:"verbosity,omitempty"`
}

// create answers POST /v1/responses.
func (h *handler) create(c *api.Call) error {
	b, r, err := h.read(c)
	if err != nil {
		return err
	}
	sink := jobs.SinkOf(c.R.Context())
	if sink != nil || !b.background() {
		if err := b.shorten(c, r); err != nil {
			return err
		}
	}
	switch {
	case sink != nil: // we are called by ourselves, for an answer in the background
		return c.Stream(&stream{b: b, r: r, sink: sink, as: sink.ID()}, r)
	case b.background():
		return h.queue(c, b, r)
	case b.Stream && !b.keep:
		return c.Stream(&stream{b: b, r: r}, r)
	case b.Stream:
		return c.Stream(&stream{b: b, r: r, as: c.ID, keep: func(whole *response) { h.keep(c, b, whole) }}, r)
	}
	got, err := c.Answer(r)
	if err != nil {
		return err
	}
	if b.keep {
		got.ID = c.ID
	}
	whole := responseOf(b, r, got)
	if b.keep {
		h.keep(c, b, whole)
	}
	return c.JSON(http.StatusOK, whole)
}

// count answers POST /v1/responses/input_tokens.
func (h *handler) count(c *api.Call) error {
	b, r, err := h.read(c)
	if err == nil {
		err = b.shorten(c, r)
	}
	if err != nil {
		return err
	}
	n, err := c.Backend.Count(c.R.Context(), r)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, struct {
		Object string `json:"object"`
		Tokens int    `json:"input_tokens"`
	}{"response.input_tokens", n})
}

func (h *handler) read(c *api.Call) (*body, *chat.Request, error) {
	b := new(body)
	if err := c.Decode(b, h.fields()); err != nil {
		return nil, nil, err
	}
	r, err := h.request(c, b)
	return b, r, err
}

// request is what is asked, with what it names of what is stored.
func (h *handler) request(c *api.Call, b *body) (*chat.Request, error) {
	b.heard = b.Input
	if h.s != nil {
		if err := h.remember(c, b); err != nil {
			return nil, err
		}
	}
	return b.request()
}

// request is what is asked, in package chat's words.
func (b *body) request() (*chat.Request, error) {
	r := &chat.Request{Model: b.Model, ParallelTools: b.ParallelCalls}
	err := openai.CheckMetadata(b.Metadata)
	if err != nil {
		return nil, err
	}
	if err = b.checkTruncation(); err != nil {
		return nil, err
	}
	if r.Messages, err = readInput(b.Instructions, b.heard); err != nil {
		return nil, err
	}
	if r.Tools, b.texts, err = readTools(b.Tools); err != nil {
		return nil, err
	}
	if r.ToolChoice, err = openai.ReadChoice(b.ToolChoice, r.Tools); err != nil {
		return nil, err
	}
	if r.Sampling, err = b.Sampling.Read(); err != nil {
		return nil, err
	}
	if err = b.Ending.Read(r); err != nil {
		return nil, err
	}
	if r.Format, err = b.Text.read(); err != nil {
		return nil, err
	}
	if err = b.reasoning(r); err != nil {
		return nil, err
	}
	return r, b.counts(r)
}

// even reports whether the pieces of a stream are to be of even lengths.
func (b *body) even() bool {
	o := b.StreamOptions
	return o != nil && o.IncludeObfuscation != nil && *o.IncludeObfuscation
}

func (b *body) reasoning(r *chat.Request) error {
	if b.Reasoning == nil {
		return nil
	}
	if s := b.Reasoning.Summary; s != nil && *s != "auto" {
		return openai.Unsupported("reasoning.summary", "reasoning.summary is %q: reasoning is given whole, not summarized; leave it out", *s)
	}
	if b.Reasoning.Effort == nil {
		return nil
	}
	return openai.ReadEffort("reasoning.effort", *b.Reasoning.Effort, &r.Reasoning)
}

const (
	includeLogprobs  = "message.output_text.logprobs"
	includeReasoning = "reasoning.encrypted_content"
)

func (b *body) counts(r *chat.Request) error {
	if b.MaxOutputTokens != nil && *b.MaxOutputTokens < 1 {
		return openai.Invalid("max_output_tokens", "max_output_tokens is %d: it must be at least 1", *b.MaxOutputTokens)
	}
	r.MaxTokens = b.MaxOutputTokens
	n := 0
	if b.TopLogprobs != nil {
		if n = *b.TopLogprobs; n < 0 || n > 20 {
			return openai.Invalid("top_logprobs", "top_logprobs is %d: it must be from 0 to 20", n)
		}
		r.Logprobs = &n
	}
	for i, name := range b.Include {
		switch name {
		case includeLogprobs:
			r.Logprobs = &n
		case includeReasoning: // always there
		default:
			at := fmt.Sprintf("include[%d]", i)
			return openai.Unsupported(at, "%s is %q: %s and %s are possible", at, name, includeLogprobs, includeReasoning)
		}
	}
	return nil
}

// read reads text.format, whose members stand at its top here.
func (t *textConfig) read() (chat.Format, error) {
	if t == nil {
		return chat.Format{}, nil
	}
	if t.Verbosity != nil && *t.Verbosity != "medium" {
		return chat.Format{}, openai.Unsupported("text.verbosity", "text.verbosity is %q: say in the input how long the answer should be", *t.Verbosity)
	}
	if openai.IsNull(t.Format) {
		return chat.Format{}, nil
	}
	var f struct {
		Type   string          `json:"type"`
		Name   string          `json:"name"`
		Schema json.RawMessage `json:"schema"`
		Strict *bool           `json:"strict"`
	}
	if err := api.Decode("text.format", t.Format, &f, false); err != nil {
		return chat.Format{}, err
	}
	switch {
	case f.Type == "text":
		return chat.Format{}, nil
	case f.Type == "json_object":
		return chat.Format{Kind: chat.JSONValue}, nil
	case f.Type != "json_schema":
		return chat.Format{}, openai.Unsupported("text.format.type", "text.format.type is %q: text, json_object and json_schema are possible", f.Type)
	case f.Name == "":
		return chat.Format{}, openai.Missing("text.format.name")
	case openai.IsNull(f.Schema):
		return chat.Format{}, openai.Missing("text.format.schema")
	}
	out, err := openai.SchemaOf("text.format.schema", f.Schema)
	out.Name, out.Strict = f.Name, f.Strict != nil && *f.Strict
	return out, err
}

// readTools reads tools, and which of them are custom.
func readTools(in []json.RawMessage) (out []chat.Tool, texts custom.Names, err error) {
	texts = custom.Names{}
	for i, raw := range in {
		at := fmt.Sprintf("tools[%d]", i)
		var t struct {
			Type        string          `json:"type"`
			Name        string          `json:"name"`
			Description string          `json:"description"`
			Parameters  json.RawMessage `json:"parameters"`
			Strict      *bool           `json:"strict"`
			Format      *custom.Format  `json:"format"`
		}
		if err := api.Decode(at, raw, &t, false); err != nil {
			return nil, nil, err
		}
		one := chat.Tool{Name: t.Name, Description: t.Description, Schema: t.Parameters, Strict: t.Strict != nil && *t.Strict}
		switch t.Type {
		case "function":
		case "custom":
			texts[t.Name] = true
			if one, err = custom.Tool(at, t.Name, t.Description, t.Format); err != nil {
				return nil, nil, err
			}
		default:
			return nil, nil, openai.Unsupported(at+".type", "%s.type is %q: function and custom are possible", at, t.Type)
		}
		if out, err = openai.AddTool(out, at, one); err != nil {
			return nil, nil, err
		}
	}
	return out, texts, nil
}

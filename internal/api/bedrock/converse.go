package bedrock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/anthropic"
	"github.com/galerne-ai/galerne/internal/api/cite"
	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/fault"
)

// body is the request of converse, without what bodyFields lists.
type body struct {
	Messages   []message        `json:"messages"`
	System     []block          `json:"system"`
	Inference  *inferenceConfig `json:"inferenceConfig"`
	Tools      *toolConfig      `json:"toolConfig"`
	Output     *outputConfig    `json:"outputConfig"`
	Additional json.RawMessage  `json:"additionalModelRequestFields"`
	Paths      []string         `json:"additionalModelResponseFieldPaths"`
	Guardrail  *struct {
		ID string `json:"guardrailIdentifier"`
	} `json:"guardrailConfig"`
}

type inferenceConfig struct {
	MaxTokens     *int     `json:"maxTokens"`
	Temperature   *float64 `json:"temperature"`
	TopP          *float64 `json:"topP"`
	StopSequences []string `json:"stopSequences"`
}

type outputConfig struct {
	TextFormat *struct {
		Type      string `json:"type"`
		Structure struct {
			JSONSchema *struct {
				Schema      string `json:"schema"`
				Name        string `json:"name"`
				Description string `json:"description"`
			} `json:"jsonSchema"`
		} `json:"structure"`
	} `json:"textFormat"`
	Effort string `json:"effort"`
}

// additional are fields of models' own that this server knows by one of their names.
type additional struct {
	TopK        *int     `json:"top_k"`
	TopKCamel   *int     `json:"topK"`
	Seed        *uint64  `json:"seed"`
	MinP        *float64 `json:"min_p"`
	Presence    *float64 `json:"presence_penalty"`
	Frequency   *float64 `json:"frequency_penalty"`
	Repetition  *float64 `json:"repetition_penalty"`
	Thinking    *thought `json:"thinking"`
	Reasoning   *thought `json:"reasoning_config"`
	Beta        []string `json:"anthropic_beta"` // versions that a client names change nothing
	BetaVersion string   `json:"anthropic_version"`
	Nested      *struct {
		TopK *int `json:"topK"`
	} `json:"inferenceConfig"`
}

type thought struct {
	Type   string `json:"type"`
	Budget *int   `json:"budget_tokens"`
}

const (
	maxStops = 64 // what every token is compared with
	maxTools = 512
)

// view is how an answer is shown.
type view struct {
	request *chat.Request
	matched bool // the stop sequence that was met is told
}

// converse answers POST /model/{model}/converse.
func converse(c *api.Call) error {
	v, err := readConverse(c)
	if err != nil {
		return err
	}
	a, err := c.Answer(v.request)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, v.answer(a))
}

// converseStream answers POST /model/{model}/converse-stream.
func converseStream(c *api.Call) error {
	v, err := readConverse(c)
	if err != nil {
		return err
	}
	return c.Stream(&events{view: *v}, v.request)
}

func readConverse(c *api.Call) (*view, error) {
	var b body
	if err := c.Decode(&b, bodyFields()); err != nil {
		return nil, err
	}
	v, err := b.view(modelOf(c))
	if err == nil && v.request.Citations != "" {
		c.Backend = cited{c.Backend, cite.Responder(c.Backend, v.request.Documents)}
	}
	return v, err
}

// cited is a backend whose answers cite.
type cited struct {
	chat.Backend
	answers chat.Responder
}

// Respond implements chat.Responder.
func (b cited) Respond(ctx context.Context, r *chat.Request) (chat.Stream, error) {
	return b.answers.Respond(ctx, r)
}

func (b *body) view(model string) (*view, error) {
	v := &view{request: &chat.Request{Model: model}}
	if b.Guardrail != nil && b.Guardrail.ID != "" {
		return nil, unsupported("guardrailConfig", "guardrailConfig is not supported: no guardrails are kept here; check texts yourself")
	}
	if err := b.readMessages(v.request); err != nil {
		return nil, err
	}
	for _, read := range []func(*chat.Request) error{b.Inference.read, b.readTools, b.Output.read, b.readAdditional} {
		if err := read(v.request); err != nil {
			return nil, err
		}
	}
	for i, p := range b.Paths {
		if p == "" || p[0] != '/' {
			at := fmt.Sprintf("additionalModelResponseFieldPaths[%d]", i)
			return nil, invalid(at, "%s is %q: it must be a JSON pointer, as in /stop_sequence", at, p)
		}
	}
	v.matched = slices.Contains(b.Paths, "/stop_sequence")
	return v, nil
}

func (g *inferenceConfig) read(r *chat.Request) error {
	if g == nil {
		return nil
	}
	if g.MaxTokens != nil && *g.MaxTokens < 1 {
		return invalid("inferenceConfig.maxTokens", "inferenceConfig.maxTokens is %d: it must be at least 1", *g.MaxTokens)
	}
	for _, v := range []struct {
		name  string
		value *float64
	}{{"temperature", g.Temperature}, {"topP", g.TopP}} {
		if v.value != nil && (*v.value < 0 || *v.value > 1) {
			at := "inferenceConfig." + v.name
			return invalid(at, "%s is %v: it must be from 0 to 1", at, *v.value)
		}
	}
	if len(g.StopSequences) > maxStops || slices.Contains(g.StopSequences, "") {
		return invalid("inferenceConfig.stopSequences", "inferenceConfig.stopSequences must have at most %d strings, none of them empty", maxStops)
	}
	r.MaxTokens, r.Stop = g.MaxTokens, g.StopSequences
	r.Sampling.Temperature, r.Sampling.TopP = g.Temperature, g.TopP
	return nil
}

func (o *outputConfig) read(r *chat.Request) error {
	if o == nil {
		return nil
	}
	switch o.Effort {
	case "", "low", "medium", "high":
		r.Reasoning.Effort = o.Effort
	case "xhigh", "max":
		r.Reasoning.Effort = "high" // the most there is
	default:
		return invalid("outputConfig.effort", "outputConfig.effort is %q: it must be low, medium, high, xhigh or max", o.Effort)
	}
	f := o.TextFormat
	if f == nil {
		return nil
	}
	const at = "outputConfig.textFormat"
	switch s := f.Structure.JSONSchema; {
	case f.Type != "json_schema":
		return invalid(at+".type", "%s.type is %q: only json_schema is possible", at, f.Type)
	case s == nil:
		return missing(at + ".structure.jsonSchema")
	case !json.Valid([]byte(s.Schema)) || s.Schema == "" || s.Schema[0] != '{':
		return invalid(at+".structure.jsonSchema.schema", "%s.structure.jsonSchema.schema must be a string that is a JSON Schema, an object", at)
	default:
		r.Format = chat.Format{Kind: chat.JSONSchema, Name: s.Name, Schema: json.RawMessage(s.Schema), Strict: true}
	}
	return nil
}

// readAdditional reads the fields of models' own. One that is not known is refused: its model would have
// heeded it.
func (b *body) readAdditional(r *chat.Request) error {
	const at = "additionalModelRequestFields"
	if isNull(b.Additional) {
		return nil
	}
	if b.Additional[0] != '{' {
		return invalid(at, "%s must be an object", at)
	}
	var a additional
	if err := api.Decode(at, b.Additional, &a, true); errors.Is(err, api.ErrUnknownField) {
		var f *fault.Error
		errors.As(err, &f)
		return unsupported(f.Param, "%s is not supported: the models here do not know it", f.Param)
	} else if err != nil {
		return err
	}
	s := &r.Sampling
	s.TopK, s.Seed, s.MinP, s.Presence, s.Frequency, s.Repetition = a.TopK, a.Seed, a.MinP, a.Presence, a.Frequency, a.Repetition
	if a.TopKCamel != nil {
		s.TopK = a.TopKCamel
	}
	if a.Nested != nil && a.Nested.TopK != nil {
		s.TopK = a.Nested.TopK
	}
	if a.Thinking == nil {
		a.Thinking = a.Reasoning
	}
	if a.Thinking == nil {
		return nil
	}
	on := a.Thinking.Type == "enabled"
	switch a.Thinking.Type {
	case "adaptive":
	case "enabled", "disabled":
		r.Reasoning.Enabled, r.Reasoning.Budget = &on, a.Thinking.Budget
	default:
		return invalid(at+".thinking.type", "%s.thinking.type is %q: it must be enabled, disabled or adaptive", at, a.Thinking.Type)
	}
	if n := a.Thinking.Budget; n != nil && (*n < 1 || !on) {
		return invalid(at+".thinking.budget_tokens", "%s.thinking.budget_tokens is %d: it must be at least 1, and goes with the type enabled", at, *n)
	}
	return nil
}

// countBody is the request of count-tokens.
type countBody struct {
	Input struct {
		Converse *body `json:"converse"`
		Invoke   *struct {
			Body []byte `json:"body"`
		} `json:"invokeModel"`
	} `json:"input"`
}

// countTokens answers POST /model/{model}/count-tokens.
func countTokens(c *api.Call) error {
	var b countBody
	if err := c.Decode(&b, nil); err != nil {
		return err
	}
	var r *chat.Request
	switch {
	case b.Input.Converse != nil:
		v, err := b.Input.Converse.view(modelOf(c))
		if err != nil {
			return err
		}
		r = v.request
	case b.Input.Invoke != nil:
		data := b.Input.Invoke.Body
		if !json.Valid(data) {
			return invalid("input.invokeModel.body", "input.invokeModel.body is not JSON")
		}
		var err error
		if r, err = anthropic.InvokeCount(data, modelOf(c)); err != nil {
			return err
		}
	default:
		return missing("input")
	}
	n, err := c.Backend.Count(c.R.Context(), r)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]int{"inputTokens": n})
}

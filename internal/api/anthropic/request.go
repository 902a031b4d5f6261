package anthropic

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

// body is the request of /v1/messages, without what bodyFields lists.
type body struct {
	Model         string          `json:"model"`
	Messages      []message       `json:"messages"`
	System        json.RawMessage `json:"system"`
	MaxTokens     *int            `json:"max_tokens"`
	StopSequences []string        `json:"stop_sequences"`
	Temperature   *float64        `json:"temperature"`
	TopP          *float64        `json:"top_p"`
	TopK          *int            `json:"top_k"`
	Tools         []tool          `json:"tools"`
	ToolChoice    *toolChoice     `json:"tool_choice"`
	Thinking      *thinking       `json:"thinking"`
	OutputConfig  *outputConfig   `json:"output_config"`
	OutputFormat  *outputFormat   `json:"output_format"` // the name it had first
	Metadata      *struct {
		UserID string `json:"user_id"`
	} `json:"metadata"`
	Stream            bool         `json:"stream"`
	ContextManagement *management  `json:"context_management"`
	Diagnostics       *diagnostics `json:"diagnostics"`
}

type thinking struct {
	Type    string `json:"type"`
	Budget  *int   `json:"budget_tokens"`
	Display string `json:"display"`
}

type outputConfig struct {
	Effort *string       `json:"effort"`
	Format *outputFormat `json:"format"`
}

type outputFormat struct {
	Type   string          `json:"type"`
	Schema json.RawMessage `json:"schema"`
}

// diagnostics asks why a prompt was not in the cache.
type diagnostics struct {
	Previous string `json:"previous_message_id"`
}

// messages answers POST /v1/messages.
func messages(c *api.Call) error {
	var b body
	if err := c.Decode(&b, bodyFields()); err != nil {
		return err
	}
	v, err := b.view()
	if err != nil {
		return err
	}
	if b.Stream {
		return c.Stream(&events{view: *v}, v.request)
	}
	return v.whole(c)
}

// view is what is asked, and how the answer is shown.
func (b *body) view() (*view, error) {
	switch {
	case b.MaxTokens == nil:
		return nil, missing("max_tokens")
	case *b.MaxTokens < 0:
		return nil, invalid("max_tokens", "max_tokens is %d: it must be at least 0", *b.MaxTokens)
	}
	r, err := b.request()
	return &view{request: r, omit: b.Thinking != nil && b.Thinking.Display == "omitted", diagnose: b.Diagnostics != nil && b.Diagnostics.Previous != ""}, err
}

// whole answers with a whole message.
func (v *view) whole(c *api.Call) error {
	answer, err := c.Answer(v.request)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, v.message(answer))
}

// countTokens answers POST /v1/messages/count_tokens: the tokens of what /v1/messages would read.
func countTokens(c *api.Call) error {
	var b body
	if err := c.Decode(&b, bodyFields()); err != nil {
		return err
	}
	r, err := b.request()
	if err != nil {
		return err
	}
	n, err := c.Backend.Count(c.R.Context(), r)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]int{"input_tokens": n})
}

// request is what is asked, in package chat's words.
func (b *body) request() (*chat.Request, error) {
	r := &chat.Request{Model: b.Model, MaxTokens: b.MaxTokens}
	if b.Model == "" {
		return nil, missing("model")
	}
	if err := b.readMessages(r); err != nil {
		return nil, err
	}
	for _, read := range []func(*chat.Request) error{b.readTools, b.readSampling, b.readThinking, b.readOutput, b.manage} {
		if err := read(r); err != nil {
			return nil, err
		}
	}
	if b.Metadata != nil {
		r.User = b.Metadata.UserID
	}
	return r, nil
}

// maxStops bounds what every token is compared with.
const maxStops = 64

func (b *body) readSampling(r *chat.Request) error {
	r.Sampling = chat.Sampling{Temperature: b.Temperature, TopP: b.TopP, TopK: b.TopK}
	for _, v := range []struct {
		name  string
		value *float64
	}{{"temperature", b.Temperature}, {"top_p", b.TopP}} {
		if v.value != nil && (*v.value < 0 || *v.value > 1) {
			return invalid(v.name, "%s is %v: it must be from 0 to 1", v.name, *v.value)
		}
	}
	if b.TopK != nil && *b.TopK < 0 {
		return invalid("top_k", "top_k is %d: it must be at least 0", *b.TopK)
	}
	if len(b.StopSequences) > maxStops {
		return invalid("stop_sequences", "stop_sequences has %d strings: at most %d are possible", len(b.StopSequences), maxStops)
	}
	for i, s := range b.StopSequences {
		if s == "" {
			at := fmt.Sprintf("stop_sequences[%d]", i)
			return invalid(at, "%s is empty, which would end every answer at once", at)
		}
	}
	r.Stop = b.StopSequences
	return nil
}

func (b *body) readThinking(r *chat.Request) error {
	t := b.Thinking
	if t == nil {
		return nil
	}
	if t.Display != "" && t.Display != "summarized" && t.Display != "omitted" {
		return invalid("thinking.display", "thinking.display is %q: it must be summarized or omitted", t.Display)
	}
	yes, no := true, false
	switch t.Type {
	case "adaptive": // as the model is used to
	case "disabled":
		r.Reasoning.Enabled = &no
	case "enabled":
		switch {
		case t.Budget == nil:
			return missing("thinking.budget_tokens")
		case *t.Budget < 1:
			return invalid("thinking.budget_tokens", "thinking.budget_tokens is %d: it must be at least 1", *t.Budget)
		case b.MaxTokens != nil && *t.Budget >= *b.MaxTokens:
			return invalid("thinking.budget_tokens", "thinking.budget_tokens is %d: it must be less than max_tokens, which is %d", *t.Budget, *b.MaxTokens)
		}
		r.Reasoning.Enabled, r.Reasoning.Budget = &yes, t.Budget
	case "between_tools":
		return unsupported("thinking.type", "thinking.type between_tools is not supported: use enabled, adaptive or disabled")
	case "":
		return missing("thinking.type")
	default:
		return invalid("thinking.type", "thinking.type is %q: it must be enabled, adaptive or disabled", t.Type)
	}
	return nil
}

// readOutput reads how much effort to make, and what form the answer must have.
func (b *body) readOutput(r *chat.Request) error {
	format, at := b.OutputFormat, "output_format"
	if o := b.OutputConfig; o != nil {
		if o.Effort != nil {
			switch *o.Effort {
			case "low", "medium", "high":
				r.Reasoning.Effort = *o.Effort
			case "xhigh", "max":
				r.Reasoning.Effort = "high" // the most there is
			default:
				return invalid("output_config.effort", "output_config.effort is %q: it must be low, medium, high, xhigh or max", *o.Effort)
			}
		}
		if o.Format != nil {
			if format != nil {
				return invalid(at, "output_format and output_config.format are two names of one thing: send one")
			}
			format, at = o.Format, "output_config.format"
		}
	}
	switch {
	case format == nil:
		return nil
	case format.Type != "json_schema":
		return invalid(at+".type", "%s.type is %q: only json_schema is possible", at, format.Type)
	case isNull(format.Schema) || format.Schema[0] != '{':
		return invalid(at+".schema", "%s.schema must be a JSON Schema, an object", at)
	}
	r.Format = chat.Format{Kind: chat.JSONSchema, Schema: format.Schema, Strict: true}
	return nil
}

// isNull reports whether a field is absent or null.
func isNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

package ollama

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

// asking is what generate and chat have in common.
type asking struct {
	Model       string          `json:"model"`
	Stream      *bool           `json:"stream"`
	Format      json.RawMessage `json:"format"`
	Options     json.RawMessage `json:"options"`
	KeepAlive   json.RawMessage `json:"keep_alive"`
	Think       json.RawMessage `json:"think"`
	Logprobs    bool            `json:"logprobs"`
	TopLogprobs int             `json:"top_logprobs"`
}

// options are how tokens are chosen and when an answer ends.
type options struct {
	Seed             *int64   `json:"seed"`
	NumPredict       *int     `json:"num_predict"`
	TopK             *int     `json:"top_k"`
	TopP             *float64 `json:"top_p"`
	MinP             *float64 `json:"min_p"`
	TypicalP         *float64 `json:"typical_p"`
	Temperature      *float64 `json:"temperature"`
	RepeatLastN      *int     `json:"repeat_last_n"`
	RepeatPenalty    *float64 `json:"repeat_penalty"`
	PresencePenalty  *float64 `json:"presence_penalty"`
	FrequencyPenalty *float64 `json:"frequency_penalty"`
	Stop             []string `json:"stop"`
}

const (
	maxTop   = 20
	maxStops = 64 // each is compared with every token
)

// read fills what every request has. The stream is on unless it is turned off.
func (a *asking) read(c *api.Call, r *chat.Request) (stream bool, err error) {
	if r.Model, err = modelName("model", a.Model); err != nil {
		return false, err
	}
	if r.KeepAlive, err = readKeepAlive(a.KeepAlive); err != nil {
		return false, err
	}
	if err := readOptions(c, a.Options, r); err != nil {
		return false, err
	}
	if r.Format, err = readFormat(a.Format); err != nil {
		return false, err
	}
	if err := readThink(a.Think, &r.Reasoning); err != nil {
		return false, err
	}
	if a.TopLogprobs < 0 || a.TopLogprobs > maxTop {
		return false, invalid("top_logprobs", "top_logprobs is %d: it must be from 0 to %d", a.TopLogprobs, maxTop)
	}
	if a.Logprobs {
		r.Logprobs = &a.TopLogprobs
	}
	return a.Stream == nil || *a.Stream, nil
}

func readOptions(c *api.Call, raw json.RawMessage, r *chat.Request) error {
	if isNull(raw) {
		return nil
	}
	if raw[0] != '{' {
		return invalid("options", "options must be an object")
	}
	raw, err := api.Check("options", raw, optionFields())
	if err != nil {
		return err
	}
	var o options
	if err := api.Decode("options", raw, &o, c.Strict()); err != nil {
		return err
	}
	return o.read(r)
}

func (o *options) read(r *chat.Request) error {
	r.Sampling = chat.Sampling{Temperature: o.Temperature, TopK: o.TopK, TopP: o.TopP, MinP: o.MinP, TypicalP: o.TypicalP,
		Repetition: o.RepeatPenalty, LastN: o.RepeatLastN, Frequency: o.FrequencyPenalty, Presence: o.PresencePenalty}
	for _, v := range []struct {
		name      string
		value     *float64
		low, high float64
	}{
		{"temperature", o.Temperature, 0, 2}, {"top_p", o.TopP, 0, 1}, {"min_p", o.MinP, 0, 1}, {"typical_p", o.TypicalP, 0, 1},
		{"frequency_penalty", o.FrequencyPenalty, -2, 2}, {"presence_penalty", o.PresencePenalty, -2, 2},
	} {
		if v.value != nil && (*v.value < v.low || *v.value > v.high) {
			return invalid("options."+v.name, "options.%s is %v: it must be from %v to %v", v.name, *v.value, v.low, v.high)
		}
	}
	switch {
	case o.RepeatPenalty != nil && *o.RepeatPenalty <= 0:
		return invalid("options.repeat_penalty", "options.repeat_penalty is %v: it must be greater than 0; 1 means none", *o.RepeatPenalty)
	case o.TopK != nil && *o.TopK < 0:
		return invalid("options.top_k", "options.top_k is %d: it must be at least 0; 0 means all", *o.TopK)
	case o.RepeatLastN != nil && *o.RepeatLastN < -1:
		return invalid("options.repeat_last_n", "options.repeat_last_n is %d: it must be at least -1, which means the whole context", *o.RepeatLastN)
	case len(o.Stop) > maxStops:
		return invalid("options.stop", "options.stop has %d strings: at most %d are possible", len(o.Stop), maxStops)
	}
	for i, s := range o.Stop {
		if s == "" {
			return invalid(fmt.Sprintf("options.stop[%d]", i), "options.stop has an empty string, which would end every answer at once")
		}
	}
	r.Stop = o.Stop
	if o.NumPredict != nil && *o.NumPredict > 0 { // -1 and -2 mean as many as there is room for, 0 what is usual
		r.MaxTokens = o.NumPredict
	}
	if o.Seed != nil {
		seed := uint64(*o.Seed)
		r.Sampling.Seed = &seed
	}
	return nil
}

// readKeepAlive reads a duration as Go writes it, or seconds, which may be in a string; nil is unset.
func readKeepAlive(raw json.RawMessage) (*chat.KeepAlive, error) {
	if isNull(raw) {
		return nil, nil
	}
	text := string(raw)
	if raw[0] == '"' {
		if err := api.Decode("keep_alive", raw, &text, false); err != nil {
			return nil, err
		}
	}
	if text == "" {
		return nil, nil
	}
	if d, err := time.ParseDuration(text); err == nil {
		return &d, nil
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || seconds > 1e9 || seconds != seconds {
		return nil, invalid("keep_alive", "keep_alive is %s: it must be a duration such as \"5m\", or seconds; 0 unloads the model, -1 keeps it", raw)
	}
	d := time.Duration(-1)
	if seconds >= 0 {
		d = time.Duration(seconds * float64(time.Second))
	}
	return &d, nil
}

func readFormat(raw json.RawMessage) (chat.Format, error) {
	switch text := string(raw); {
	case isNull(raw), text == `""`:
		return chat.Format{}, nil
	case text == `"json"`:
		return chat.Format{Kind: chat.JSONValue}, nil
	case raw[0] == '{':
		return chat.Format{Kind: chat.JSONSchema, Schema: raw, Strict: true}, nil
	}
	return chat.Format{}, invalid("format", "format is %.80s: it must be \"json\" or a JSON Schema, an object", raw)
}

func readThink(raw json.RawMessage, out *chat.Reasoning) error {
	if isNull(raw) {
		return nil
	}
	yes, no := true, false
	switch string(raw) {
	case "true":
		out.Enabled = &yes
	case "false":
		out.Enabled = &no
	case `"low"`, `"medium"`, `"high"`:
		out.Enabled = &yes
		out.Effort = string(raw[1 : len(raw)-1])
	default:
		return invalid("think", "think is %.80s: it must be true, false, \"low\", \"medium\" or \"high\"", raw)
	}
	return nil
}

// isNull reports whether a field is absent or null.
func isNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

package openai

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

// Sampling is how tokens are chosen: OpenAI's fields, and those that other servers of open models
// have taught people to use.
type Sampling struct {
	Temperature       *float64           `json:"temperature"`
	TopP              *float64           `json:"top_p"`
	FrequencyPenalty  *float64           `json:"frequency_penalty"`
	PresencePenalty   *float64           `json:"presence_penalty"`
	LogitBias         map[string]float64 `json:"logit_bias"`
	Seed              *int64             `json:"seed"`
	TopK              *int               `json:"top_k"`
	MinP              *float64           `json:"min_p"`
	TypicalP          *float64           `json:"typical_p"`
	RepetitionPenalty *float64           `json:"repetition_penalty"`
	RepeatPenalty     *float64           `json:"repeat_penalty"` // llama.cpp's name for the same
	RepeatLastN       *int               `json:"repeat_last_n"`
}

func (s *Sampling) Read() (chat.Sampling, error) {
	out := chat.Sampling{Temperature: s.Temperature, TopK: s.TopK, TopP: s.TopP, MinP: s.MinP, TypicalP: s.TypicalP,
		Repetition: s.RepetitionPenalty, LastN: s.RepeatLastN, Frequency: s.FrequencyPenalty, Presence: s.PresencePenalty}
	if s.RepeatPenalty != nil {
		if out.Repetition != nil && *out.Repetition != *s.RepeatPenalty {
			return out, Invalid("repeat_penalty", "repeat_penalty and repetition_penalty are two names of one thing and differ: send one")
		}
		out.Repetition = s.RepeatPenalty
	}
	for _, r := range []struct {
		name      string
		value     *float64
		low, high float64
	}{
		{"temperature", s.Temperature, 0, 2}, {"top_p", s.TopP, 0, 1}, {"min_p", s.MinP, 0, 1}, {"typical_p", s.TypicalP, 0, 1},
		{"frequency_penalty", s.FrequencyPenalty, -2, 2}, {"presence_penalty", s.PresencePenalty, -2, 2},
	} {
		if r.value != nil && (*r.value < r.low || *r.value > r.high) {
			return out, Invalid(r.name, "%s is %v: it must be from %v to %v", r.name, *r.value, r.low, r.high)
		}
	}
	if out.Repetition != nil && *out.Repetition <= 0 {
		return out, Invalid("repetition_penalty", "repetition_penalty is %v: it must be greater than 0; 1 means none", *out.Repetition)
	}
	if s.TopK != nil && *s.TopK < -1 {
		return out, Invalid("top_k", "top_k is %d: it must be at least 0; 0 and -1 mean all", *s.TopK)
	}
	if s.TopK != nil && *s.TopK == -1 { // vLLM's word for all
		all := 0
		out.TopK = &all
	}
	if s.Seed != nil {
		seed := uint64(*s.Seed)
		out.Seed = &seed
	}
	for id, bias := range s.LogitBias {
		n, err := strconv.ParseInt(id, 10, 32)
		at := fmt.Sprintf("logit_bias.%s", id)
		if err != nil || n < 0 {
			return out, Invalid(at, "logit_bias has the key %q: keys are token ids", id)
		}
		if bias < -100 || bias > 100 {
			return out, Invalid(at, "logit_bias of token %s is %v: it must be from -100 to 100", id, bias)
		}
		if out.Bias == nil {
			out.Bias = map[int32]float64{}
		}
		out.Bias[int32(n)] = bias
	}
	return out, nil
}

// maxStops bounds what every token is compared with.
const maxStops = 64

// Ending is when an answer ends.
type Ending struct {
	Stop      json.RawMessage `json:"stop"`
	StopIDs   []int32         `json:"stop_token_ids"`
	KeepStop  bool            `json:"include_stop_str_in_output"`
	IgnoreEnd bool            `json:"ignore_eos"`
	MinTokens int             `json:"min_tokens"`
	TokenIDs  bool            `json:"return_token_ids"`
}

func (e *Ending) Read(r *chat.Request) error {
	if e.MinTokens < 0 {
		return Invalid("min_tokens", "min_tokens is %d: it must be at least 0", e.MinTokens)
	}
	r.StopIDs, r.KeepStop, r.IgnoreEnd, r.MinTokens, r.TokenIDs = e.StopIDs, e.KeepStop, e.IgnoreEnd, e.MinTokens, e.TokenIDs
	if IsNull(e.Stop) {
		return nil
	}
	if e.Stop[0] == '"' {
		r.Stop = make([]string, 1)
		if err := api.Decode("stop", e.Stop, &r.Stop[0], false); err != nil {
			return err
		}
	} else if err := api.Decode("stop", e.Stop, &r.Stop, false); err != nil {
		return err
	}
	if len(r.Stop) > maxStops {
		return Invalid("stop", "stop has %d strings: at most %d are possible", len(r.Stop), maxStops)
	}
	for i, s := range r.Stop {
		if s == "" {
			return Invalid(fmt.Sprintf("stop[%d]", i), "stop has an empty string, which would end every answer at once")
		}
	}
	return nil
}

// IsNull reports whether a field is absent or null.
func IsNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

package serve

import (
	"encoding/json"
	"math"
	"math/rand/v2"

	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/sample"
	"github.com/galerne-ai/galerne/internal/weights"
)

// Defaults are how a model's tokens are drawn where a request does not say.
type Defaults struct {
	chat.Sampling
	From string // who says so: "catalogue", "generation_config.json", "GGUF" or "Galerne"
}

// DefaultsOf takes the first word of: the catalogue, generation_config.json, the keys general.sampling.* of
// a GGUF file. Where nobody says anything, or something that cannot be: livelier than greedy, and without
// the tail that makes small models wander.
func DefaultsOf(f *weights.File, catalogue chat.Sampling) Defaults {
	for _, d := range []Defaults{{catalogue, "catalogue"}, {generationConfig(f.GenerationConfig), "generation_config.json"}, {samplingKeys(f.Meta), "GGUF"}} {
		s := &d.Sampling
		says := s.Temperature != nil || s.TopP != nil || s.TopK != nil || s.MinP != nil || s.TypicalP != nil || s.Repetition != nil
		if o := d.options(chat.Sampling{}); says && o.Validate(0) == nil {
			return d
		}
	}
	temperature, topP := 0.7, 0.95
	return Defaults{chat.Sampling{Temperature: &temperature, TopP: &topP}, "Galerne"}
}

func generationConfig(raw []byte) (s chat.Sampling) {
	var c struct {
		Temperature *float64 `json:"temperature"`
		TopK        *int     `json:"top_k"`
		TopP        *float64 `json:"top_p"`
		MinP        *float64 `json:"min_p"`
		TypicalP    *float64 `json:"typical_p"`
		Repetition  *float64 `json:"repetition_penalty"`
	}
	if len(raw) == 0 || json.Unmarshal(raw, &c) != nil {
		return s
	}
	return chat.Sampling{Temperature: c.Temperature, TopK: c.TopK, TopP: c.TopP, MinP: c.MinP, TypicalP: c.TypicalP, Repetition: c.Repetition}
}

// samplingKeys reads the keys that llama.cpp's converter writes.
func samplingKeys(meta weights.Meta) (s chat.Sampling) {
	number := func(key string) *float64 {
		if v, ok := meta.Float("general.sampling." + key); ok {
			return &v
		}
		return nil
	}
	s = chat.Sampling{Temperature: number("temp"), TopP: number("top_p"), MinP: number("min_p"), Repetition: number("penalty_repeat")}
	if v, ok := meta.Int("general.sampling.top_k"); ok {
		k := int(min(v, math.MaxInt32))
		s.TopK = &k
	}
	return s
}

// options are the engine's of a request. Who sets the temperature knows what the other numbers do: then
// none of the defaults is taken.
func (d Defaults) options(s chat.Sampling) sample.Options {
	otherwise := d.Sampling
	if s.Temperature != nil {
		otherwise = chat.Sampling{}
	}
	number := func(p, otherwise *float64) float32 {
		switch {
		case p != nil:
			return float32(*p)
		case otherwise != nil:
			return float32(*otherwise)
		}
		return 0
	}
	count := func(p, otherwise *int) int {
		switch {
		case p != nil:
			return *p
		case otherwise != nil:
			return *otherwise
		}
		return 0
	}
	one := 1.0
	if otherwise.Temperature == nil {
		otherwise.Temperature = &one
	}
	o := sample.Options{Temperature: number(s.Temperature, otherwise.Temperature), TopK: count(s.TopK, otherwise.TopK),
		TopP: number(s.TopP, otherwise.TopP), MinP: number(s.MinP, otherwise.MinP), TypicalP: number(s.TypicalP, otherwise.TypicalP),
		Repetition: number(s.Repetition, otherwise.Repetition), LastN: count(s.LastN, nil),
		Frequency: number(s.Frequency, nil), Presence: number(s.Presence, nil)}
	if len(s.Bias) > 0 {
		o.Bias = make(map[int32]float32, len(s.Bias))
		for id, v := range s.Bias {
			o.Bias[id] = float32(v)
		}
	}
	if s.Seed != nil {
		o.Seed = *s.Seed
	} else {
		o.Seed = rand.Uint64()
	}
	return o
}

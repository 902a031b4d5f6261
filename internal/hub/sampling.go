package hub

import "github.com/galerne-ai/galerne/internal/chat"

// Sampling is how the model's makers say that tokens should be drawn. What is left out is left open.
type Sampling struct {
	Temperature *float64 `json:"temperature,omitempty"` // 0 to 100; 0 always takes the likeliest
	TopP        *float64 `json:"top_p,omitempty"`       // 0 to 1
	TopK        *int     `json:"top_k,omitempty"`       // 0 or more
	MinP        *float64 `json:"min_p,omitempty"`       // 0 to 1
	TypicalP    *float64 `json:"typical_p,omitempty"`   // 0 to 1
	Repetition  *float64 `json:"repetition_penalty,omitempty"`
}

// Sampling is the catalogue's word on a model; zero where it has none.
func (c *Catalogue) Sampling(name string) chat.Sampling {
	e := c.Find(name)
	if e == nil || e.Sampling == nil {
		return chat.Sampling{}
	}
	s := e.Sampling
	return chat.Sampling{Temperature: s.Temperature, TopP: s.TopP, TopK: s.TopK, MinP: s.MinP, TypicalP: s.TypicalP, Repetition: s.Repetition}
}

func (s *Sampling) check() error {
	if s == nil {
		return nil
	}
	for _, c := range []struct {
		name string
		v    *float64
		most float64
	}{{"temperature", s.Temperature, 100}, {"top_p", s.TopP, 1}, {"min_p", s.MinP, 1}, {"typical_p", s.TypicalP, 1}, {"repetition_penalty", s.Repetition, 10}} {
		if c.v != nil && !(*c.v >= 0 && *c.v <= c.most) {
			return ErrCatalogue.Because("\"sampling\": %s is %v: 0 to %v are possible", c.name, *c.v, c.most)
		}
	}
	if s.TopK != nil && *s.TopK < 0 {
		return ErrCatalogue.Because("\"sampling\": top_k is %d: 0 or more are possible", *s.TopK)
	}
	return nil
}

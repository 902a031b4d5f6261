package prompt

import (
	"encoding/json"
	"sort"
	"strings"

	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/jinja"
)

// variable is a further variable of the template.
type variable struct {
	name  string
	value jinja.Value
}

// extra are the variables that a request sets: those of its Template, which go first, and those that
// templates have for reasoning.
func (f *Format) extra(r *chat.Request) ([]variable, error) {
	var out []variable
	if err := f.reasoning(r, &out); err != nil {
		return nil, err
	}
	names := make([]string, 0, len(r.Template))
	for name := range r.Template {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		switch name {
		case "messages", "tools", "documents", "add_generation_prompt", "bos_token", "eos_token":
			return nil, chat.ErrRequest.Because("prompt: the template variable %s is set by the request itself: leave it out", name).At("template." + name)
		}
		text, err := json.Marshal(r.Template[name])
		if err != nil {
			return nil, chat.ErrRequest.Because("prompt: the template variable %s cannot be given to a template: %w", name, err).At("template." + name)
		}
		v, err := jinja.FromJSON(text)
		if err != nil {
			return nil, err
		}
		out = append(out, variable{name, v})
	}
	return out, nil
}

// reasoning sets the switches that templates have for it. A model that cannot think is asked to only
// in vain, so that is refused; not to think is what it does anyway.
func (f *Format) reasoning(r *chat.Request, out *[]variable) error {
	able := f.Thinks()
	if on := r.Reasoning.Enabled; on != nil {
		for _, name := range []string{"enable_thinking", "thinking"} {
			if strings.Contains(f.source, name) {
				*out = append(*out, variable{name, jinja.Bool(*on)})
				able = true
			}
		}
		if *on && !able {
			return chat.ErrUnsupported.Because("prompt: this model does not reason: leave reasoning out or choose a model that does").At("reasoning")
		}
	}
	if effort := r.Reasoning.Effort; effort != "" {
		if strings.Contains(f.source, "reasoning_effort") {
			*out = append(*out, variable{"reasoning_effort", jinja.String(effort)})
		} else if !able {
			return chat.ErrUnsupported.Because("prompt: this model has no reasoning effort: leave it out or choose a model that reasons").At("reasoning.effort")
		}
	}
	return nil
}

package mistral

import (
	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

// fimBody is the request of /v1/fim/completions, without what fimFields lists.
type fimBody struct {
	drawing
	Model  string  `json:"model"`
	Prompt *string `json:"prompt"`
	Suffix *string `json:"suffix"`
}

// fim answers POST /v1/fim/completions: what stands between prompt and suffix, or after the prompt.
func fim(c *api.Call) error {
	var b fimBody
	if err := c.Decode(&b, fimFields()); err != nil {
		return err
	}
	switch {
	case b.Model == "":
		return missing("model")
	case b.Prompt == nil:
		return missing("prompt")
	}
	r := &chat.Request{Model: b.Model, Raw: &chat.RawPrompt{Text: *b.Prompt, Suffix: b.Suffix}}
	if err := b.drawing.read(r); err != nil {
		return err
	}
	return respond(c, r, b.Stream)
}

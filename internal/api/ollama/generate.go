package ollama

import (
	"net/http"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

// generateBody is the request of /api/generate, without what generateFields lists.
type generateBody struct {
	asking
	Prompt  string  `json:"prompt"`
	Suffix  *string `json:"suffix"`
	System  string  `json:"system"`
	Raw     bool    `json:"raw"`
	Context []int32 `json:"context"`
}

// generate answers POST /api/generate. An empty prompt loads the model, or unloads it.
func generate(c *api.Call) error {
	var b generateBody
	if err := c.Decode(&b, generateFields()); err != nil {
		return err
	}
	r := &chat.Request{}
	stream, err := b.read(c, r)
	if err != nil {
		return err
	}
	v := view{request: r, name: b.Model}
	if b.Prompt == "" && (b.Suffix == nil || *b.Suffix == "") {
		return v.load(c)
	}
	if err := b.prompt(r); err != nil {
		return err
	}
	v.remember = r.Raw == nil
	return v.answer(c, stream)
}

// prompt makes what the model reads: the prompt as it is, with what follows it, or as a user's turn.
func (b *generateBody) prompt(r *chat.Request) error {
	switch {
	case b.Raw && (b.System != "" || len(b.Context) > 0):
		return invalid("raw", "raw is true, and system or context is given: a raw prompt is the whole prompt")
	case b.Suffix != nil && *b.Suffix != "":
		if len(b.Context) > 0 || b.System != "" {
			return invalid("suffix", "suffix is given, and so is system or context: what is filled in has no conversation")
		}
		r.Raw = &chat.RawPrompt{Text: b.Prompt, Suffix: b.Suffix}
		return nil
	case b.Raw:
		r.Raw = &chat.RawPrompt{Text: b.Prompt, ParseSpecial: true}
		return nil
	}
	var err error
	if r.Messages, err = fromContext(b.Context); err != nil {
		return err
	}
	if b.System != "" {
		if len(r.Messages) > 0 && r.Messages[0].Role == chat.System {
			r.Messages = r.Messages[1:]
		}
		r.Messages = append([]chat.Message{said(chat.System, b.System)}, r.Messages...)
	}
	r.Messages = append(r.Messages, said(chat.User, b.Prompt))
	return nil
}

func said(role chat.Role, text string) chat.Message {
	return chat.Message{Role: role, Parts: []chat.Part{{Kind: chat.TextPart, Text: text}}}
}

// load brings the model into memory, or takes it out, without a question.
func (v *view) load(c *api.Call) error {
	keep := v.request.KeepAlive
	if err := c.Backend.Load(c.R.Context(), v.request.Model, keep); err != nil {
		return about(v.name, err)
	}
	l := line{Model: v.name, CreatedAt: timestamp(c.Began()), Done: true, DoneReason: "load"}
	if keep != nil && *keep == 0 {
		l.DoneReason = "unload"
	}
	v.say(&l, "")
	return c.JSON(http.StatusOK, &l)
}

// answer gives the answer whole or streamed.
func (v *view) answer(c *api.Call, stream bool) error {
	if stream {
		return about(v.name, c.Stream(&lines{view: v}, v.request))
	}
	a, err := c.Answer(v.request)
	if err != nil {
		return about(v.name, err)
	}
	return c.JSON(http.StatusOK, v.whole(a))
}

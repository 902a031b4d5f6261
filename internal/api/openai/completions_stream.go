package openai

import (
	"encoding/json"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

// texts encodes a streamed completion of one or more prompts.
type texts struct {
	r       *chat.Request // any of rs: they differ in their prompts only
	rs      []*chat.Request
	usage   bool
	base    textCompletion
	choices []textState
}

type textState struct {
	begun  bool
	place  place
	prompt []chat.Token
}

func (s *texts) Type() string { return "text/event-stream" }

func (s *texts) Event(out *api.Frames, ev *chat.Event) error {
	n := max(s.r.N, 1)
	switch ev.Kind {
	case chat.Started:
		if s.base.ID == "" {
			s.base = textCompletion{ID: Named("cmpl-", ev.ID), Object: "text_completion", Created: ev.Created.Unix(), Model: ModelName(s.r.Model, ev.Model)}
			if s.usage {
				s.base.Usage = json.RawMessage("null")
			}
		}
		for i := range n {
			s.choices[ev.Choice+i].prompt = ev.Prompt
		}
		return nil
	case chat.Ended:
		return s.end(out, ev)
	}
	c := &s.choices[ev.Choice]
	if !c.begun {
		c.begun = true
		one := textChoice{Index: ev.Choice}
		one.echo(s.rs[ev.Choice/n], c.prompt, &c.place)
		if s.r.Echo || s.r.TokenIDs {
			if err := s.send(out, one); err != nil {
				return err
			}
		}
	}
	switch ev.Kind {
	case chat.Delta:
		one := textChoice{Index: ev.Choice, Text: ev.Text}
		one.tokens(s.r, &c.place, ev.Tokens)
		return s.send(out, one)
	case chat.Finished:
		why := textFinish(ev.Finish)
		return s.send(out, textChoice{Index: ev.Choice, FinishReason: &why})
	}
	return nil
}

func (s *texts) end(out *api.Frames, ev *chat.Event) error {
	if !s.usage || ev.Usage == nil {
		return nil
	}
	counts, err := api.Encode(usageOf(ev.Usage))
	if err != nil {
		return err
	}
	last := s.base
	last.Choices, last.Usage = []textChoice{}, counts
	return out.SSE("", "", &last)
}

func (s *texts) send(out *api.Frames, one textChoice) error {
	s.base.Choices = append(s.base.Choices[:0], one)
	return out.SSE("", "", &s.base)
}

func (s *texts) Ping(out *api.Frames)                 { out.Raw(": keep-alive\n\n") }
func (s *texts) Fail(out *api.Frames, f *api.Failure) { _ = out.SSE("", "", errorOf(f)) } // strings only: cannot fail
func (s *texts) End(out *api.Frames)                  { out.Raw("data: [DONE]\n\n") }

package mistral

import (
	"strings"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

// chunkChoice has all its keys always: their clients refuse a chunk without finish_reason.
type chunkChoice struct {
	Index          int       `json:"index"`
	Delta          delta     `json:"delta"`
	FinishReason   *string   `json:"finish_reason"`
	Logprobs       *logprobs `json:"logprobs,omitempty"`
	PromptLogprobs *logprobs `json:"prompt_logprobs,omitempty"`
}

type delta struct {
	Role      string     `json:"role,omitempty"`
	Content   any        `json:"content"` // a string, or chunks of reasoning
	ToolCalls []toolCall `json:"tool_calls,omitempty"`
}

// chunks encodes a streamed chat. What is told of the end of a choice waits for the next event, since
// the last chunk has the usage too.
type chunks struct {
	r       *chat.Request
	base    completion
	prompt  *logprobs // told with the first chunk of every choice
	choices []state
	held    *chunkChoice
}

// state is one choice under way.
type state struct {
	begun, finished bool
	calls           int
	arguments       strings.Builder // of the open call
	call            *chat.Call
}

func (s *chunks) Type() string { return "text/event-stream; charset=utf-8" }

func (s *chunks) Event(out *api.Frames, ev *chat.Event) error {
	switch ev.Kind {
	case chat.Started:
		s.base = completion{ID: answerID(ev.ID), Object: "chat.completion.chunk", Created: ev.Created.Unix(), Model: modelName(s.r.Model, ev.Model)}
		if s.r.PromptLogprobs != nil {
			s.prompt = (*logprobs)(nil).add(ev.Prompt[min(1, len(ev.Prompt)):]) // the first has none
		}
		return nil
	case chat.Ended:
		s.base.Usage = usageOf(ev.Usage)
		return s.flush(out)
	}
	c := &s.choices[ev.Choice]
	if !c.begun {
		c.begun = true
		if err := s.send(out, chunkChoice{Index: ev.Choice, Delta: delta{Role: "assistant", Content: ""}, PromptLogprobs: s.prompt}); err != nil {
			return err
		}
	}
	switch ev.Kind {
	case chat.BlockStart:
		c.call = ev.Call
		c.arguments.Reset()
	case chat.Delta:
		return s.delta(out, ev, c)
	case chat.BlockStop:
		return s.stop(out, ev, c)
	case chat.Finished:
		if err := s.flush(out); err != nil {
			return err
		}
		why := finishReason(ev.Finish)
		c.finished = true
		s.held = &chunkChoice{Index: ev.Choice, Delta: delta{Content: ""}, FinishReason: &why}
	}
	return nil
}

func (s *chunks) delta(out *api.Frames, ev *chat.Event, c *state) error {
	one := chunkChoice{Index: ev.Choice, Delta: delta{Content: ev.Text}}
	switch ev.BlockKind {
	case chat.CallBlock: // in one piece: every piece would have to name the function
		c.arguments.WriteString(ev.Text)
		return nil
	case chat.ThinkingBlock:
		thought, err := thinkChunk(ev.Text, nil)
		if err != nil {
			return err
		}
		one.Delta.Content = []contentChunk{thought}
	case chat.TextBlock:
		if s.r.Logprobs != nil {
			one.Logprobs = one.Logprobs.add(ev.Tokens)
		}
	}
	if ev.Text == "" && one.Logprobs == nil {
		return nil
	}
	return s.send(out, one)
}

// stop tells a call that is complete, or that the reasoning is.
func (s *chunks) stop(out *api.Frames, ev *chat.Event, c *state) error {
	switch ev.BlockKind {
	case chat.ThinkingBlock:
		closed := true
		thought, err := thinkChunk("", &closed)
		if err != nil {
			return err
		}
		return s.send(out, chunkChoice{Index: ev.Choice, Delta: delta{Content: []contentChunk{thought}}})
	case chat.CallBlock:
		call := toolCall{ID: callID(c.call.ID), Type: "function", Function: functionCall{c.call.Name, arguments(c.arguments.String())}, Index: c.calls}
		c.calls++
		return s.send(out, chunkChoice{Index: ev.Choice, Delta: delta{Content: "", ToolCalls: []toolCall{call}}})
	}
	return nil
}

func (s *chunks) flush(out *api.Frames) error {
	if s.held == nil {
		return nil
	}
	one := *s.held
	s.held = nil
	s.base.Choices = append(s.base.Choices[:0], one)
	return out.SSE("", "", &s.base)
}

func (s *chunks) send(out *api.Frames, one chunkChoice) error {
	if err := s.flush(out); err != nil {
		return err
	}
	s.base.Choices = append(s.base.Choices[:0], one)
	return out.SSE("", "", &s.base)
}

// Ping is a comment, which clients of event streams pass over.
func (s *chunks) Ping(out *api.Frames) { out.Raw(": keep-alive\n\n") }

// Fail ends every answer under way with finish_reason error. Their clients know no event for an error
// and break on one, so that its text is a comment, for people.
func (s *chunks) Fail(out *api.Frames, f *api.Failure) {
	s.held = nil
	out.Raw(": error: " + strings.ReplaceAll(strings.ReplaceAll(f.Message, "\r", " "), "\n", " ") + "\n\n")
	why := "error"
	for i := range s.choices {
		if !s.choices[i].finished {
			_ = s.send(out, chunkChoice{Index: i, Delta: delta{Content: ""}, FinishReason: &why}) // strings only: cannot fail
		}
	}
}

// Cut says that the connection ends with an error, so that no client takes the part for the whole.
func (s *chunks) Cut() {}

func (s *chunks) End(out *api.Frames) { out.Raw("data: [DONE]\n\n") }

package cohere

import (
	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

// events encodes a streamed chat. Content, calls and citations are each numbered from 0.
type events struct {
	view      view
	id        string
	contents  int // begun so far
	calls     int
	citations int
	finish    string
}

// event is any of them. What its type has not is left out.
type event struct {
	Type     string   `json:"type"`
	ID       string   `json:"id,omitempty"`
	Index    *int     `json:"index,omitempty"`
	Delta    any      `json:"delta,omitempty"`
	Logprobs *logprob `json:"logprobs,omitempty"`
}

type messageDelta struct {
	Message any `json:"message"`
}

// What a delta's message has: one object of each, never a list, or their clients pass the event over.
type (
	begun struct {
		Role      string   `json:"role"`
		Content   []string `json:"content"`
		ToolPlan  string   `json:"tool_plan"`
		ToolCalls []string `json:"tool_calls"`
		Citations []string `json:"citations"`
	}
	content struct {
		Content any `json:"content"`
	}
	calls struct {
		Calls any `json:"tool_calls"`
	}
	arguments struct {
		Function functionCall `json:"function"`
	}
	citing struct {
		Citation citation `json:"citations"`
	}
)

// piece is more of a content.
type piece struct {
	Text     *string `json:"text,omitempty"`
	Thinking *string `json:"thinking,omitempty"`
}

type ending struct {
	Error        string `json:"error,omitempty"`
	FinishReason string `json:"finish_reason"`
	Usage        *usage `json:"usage,omitempty"`
}

func (s *events) Type() string { return "text/event-stream; charset=utf-8" }

func (s *events) Event(out *api.Frames, ev *chat.Event) error {
	switch ev.Kind {
	case chat.Started:
		s.id = answerID(ev.ID)
		return s.send(out, event{Type: "message-start", ID: s.id, Delta: messageDelta{begun{Role: "assistant", Content: []string{}, ToolCalls: []string{}, Citations: []string{}}}})
	case chat.BlockStart:
		if ev.BlockKind == chat.CallBlock {
			return s.at(out, "tool-call-start", s.calls, calls{toolCall{ev.Call.ID, "function", functionCall{Name: ev.Call.Name}}})
		}
		return s.at(out, "content-start", s.contents, content{contentOf(ev.BlockKind, "")})
	case chat.Delta:
		return s.more(out, ev)
	case chat.Cited:
		one := s.view.citation(ev.Citation, s.contents)
		at := s.citations
		s.citations++
		if err := s.at(out, "citation-start", at, citing{one}); err != nil {
			return err
		}
		return s.send(out, event{Type: "citation-end", Index: &at})
	case chat.BlockStop:
		kind, count := "content-end", &s.contents
		if ev.BlockKind == chat.CallBlock {
			kind, count = "tool-call-end", &s.calls
		}
		at := *count
		*count++
		return s.send(out, event{Type: kind, Index: &at})
	case chat.Finished:
		s.finish = finishReason(ev.Finish)
	case chat.Ended:
		return s.send(out, event{Type: "message-end", ID: s.id, Delta: ending{FinishReason: s.finish, Usage: usageOf(ev.Usage)}})
	}
	return nil
}

func (s *events) more(out *api.Frames, ev *chat.Event) error {
	switch {
	case ev.BlockKind == chat.CallBlock:
		if ev.Text == "" {
			return nil
		}
		return s.at(out, "tool-call-delta", s.calls, calls{arguments{functionCall{Arguments: ev.Text}}})
	case ev.BlockKind == chat.ThinkingBlock:
		return s.at(out, "content-delta", s.contents, content{piece{Thinking: &ev.Text}})
	case ev.BlockKind == chat.TextBlock && s.view.request.Logprobs != nil:
		return s.tokens(out, ev)
	}
	return s.at(out, "content-delta", s.contents, content{piece{Text: &ev.Text}})
}

// tokens sends a delta whose first event has the text, and every event one token.
func (s *events) tokens(out *api.Frames, ev *chat.Event) error {
	text, at := ev.Text, s.contents
	for _, p := range s.view.logprobs(ev.Tokens) {
		if err := s.send(out, event{Type: "content-delta", Index: &at, Delta: messageDelta{content{piece{Text: &text}}}, Logprobs: &p}); err != nil {
			return err
		}
		text = ""
	}
	if text == "" {
		return nil
	}
	return s.at(out, "content-delta", at, content{piece{Text: &text}})
}

func (s *events) at(out *api.Frames, kind string, index int, message any) error {
	return s.send(out, event{Type: kind, Index: &index, Delta: messageDelta{message}})
}

func (s *events) send(out *api.Frames, e event) error { return out.SSE(e.Type, "", e) }

// Ping is a comment, which clients of event streams pass over.
func (s *events) Ping(out *api.Frames) { out.Raw(": keep-alive\n\n") }

// Fail ends the message with an error.
func (s *events) Fail(out *api.Frames, f *api.Failure) {
	_ = s.send(out, event{Type: "message-end", ID: s.id, Delta: ending{Error: errorText(f), FinishReason: "ERROR"}}) // strings only: cannot fail
}

// End adds nothing: message-end was the last.
func (s *events) End(*api.Frames) {}

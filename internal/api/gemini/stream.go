package gemini

import (
	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

// chunks encodes a streamed answer. The last piece has the ends of all candidates, and the usage.
type chunks struct {
	view     view
	send     func(out *api.Frames, a *answer) error
	base     answer
	states   map[int]*state
	finished []candidate
}

func (s *chunks) Type() string { return "text/event-stream" }

func (s *chunks) Event(out *api.Frames, ev *chat.Event) error {
	switch ev.Kind {
	case chat.Started:
		s.base, s.states = *s.view.piece(ev.ID, ev.Model), map[int]*state{}
		return nil
	case chat.Ended:
		last := s.base
		last.Candidates, last.Usage = s.finished, usageOf(ev.Usage)
		return s.send(out, &last)
	}
	c := s.states[ev.Choice]
	if c == nil {
		c = &state{index: ev.Choice, view: &s.view}
		s.states[ev.Choice] = c
	}
	var parts []answerPart
	switch ev.Kind {
	case chat.BlockStart:
		parts = c.begin(ev.BlockKind, ev.Call)
	case chat.Delta:
		parts = c.delta(ev.Text, ev.Tokens)
	case chat.Cited:
		c.cite(ev.Citation)
	case chat.BlockStop:
		parts = c.end()
	case chat.Finished:
		s.finished = append(s.finished, c.finish(ev.Finish))
	}
	if len(parts) == 0 {
		return nil
	}
	one := s.base
	one.Candidates = []candidate{{Content: answerContent{parts, "model"}, Index: ev.Choice}}
	return s.send(out, &one)
}

// Ping is an empty line: their clients break on the comments that others pass over.
func (s *chunks) Ping(out *api.Frames) { out.Raw("\n\n") }

// Fail is an error as it would have come in place of the answer.
func (s *chunks) Fail(out *api.Frames, f *api.Failure) { _ = out.SSE("", "", errorOf(f)) } // strings only: cannot fail

// End says nothing: the stream ends where the connection does.
func (s *chunks) End(*api.Frames) {}

// array encodes the same as one JSON array.
type array struct{ chunks }

func (s *array) Type() string { return "application/json; charset=utf-8" }

// Ping is white space between elements.
func (s *array) Ping(out *api.Frames) { out.Raw("\r\n") }

func (s *array) Fail(out *api.Frames, f *api.Failure) {
	_ = out.Item(errorOf(f)) // strings only: cannot fail
	out.CloseArray()
}

func (s *array) End(out *api.Frames) { out.CloseArray() }

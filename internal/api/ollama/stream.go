package ollama

import (
	"strings"
	"time"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

// lines encodes a streamed answer.
type lines struct {
	view    *view
	created string
	text    strings.Builder // said so far, where the end has a context
	call    *chat.Call
	calls   int
	input   strings.Builder // arguments of the open call
	tokens  []chat.Token    // of the open call
	reason  string
}

func (s *lines) Type() string { return "application/x-ndjson" }

func (s *lines) Event(out *api.Frames, ev *chat.Event) error {
	switch ev.Kind {
	case chat.Started:
		s.created = timestamp(ev.Created)
	case chat.BlockStart:
		s.call = ev.Call
		s.input.Reset()
		s.tokens = nil
	case chat.Delta:
		return s.delta(out, ev)
	case chat.BlockStop:
		if ev.BlockKind != chat.CallBlock {
			return nil
		}
		l := s.line()
		s.view.say(l, "")
		s.view.call(l, []toolCall{callOf(s.calls, s.call, s.input.String())})
		s.calls++
		if s.view.request.Logprobs != nil {
			l.Logprobs = logprobsOf(s.tokens)
		}
		return out.Line(l)
	case chat.Finished:
		s.reason = doneReason(ev.Finish)
	case chat.Ended:
		l := s.line()
		s.view.say(l, "")
		l.Done, l.DoneReason, l.counts = true, s.reason, countsOf(ev.Usage, ev.Timing)
		if s.view.remember {
			l.Context = toContext(s.view.request.Messages, s.text.String())
		}
		return out.Line(l)
	}
	return nil
}

// delta passes text on as it comes; the arguments of a call are kept until they are whole, since
// clients take an object only.
func (s *lines) delta(out *api.Frames, ev *chat.Event) error {
	l := s.line()
	switch ev.BlockKind {
	case chat.CallBlock:
		s.input.WriteString(ev.Text)
		s.tokens = append(s.tokens, ev.Tokens...)
		return nil
	case chat.ThinkingBlock:
		s.view.think(l, ev.Text)
	default:
		if s.view.remember {
			s.text.WriteString(ev.Text)
		}
		s.view.say(l, ev.Text)
	}
	if s.view.request.Logprobs != nil {
		l.Logprobs = logprobsOf(ev.Tokens)
	}
	if ev.Text == "" && len(l.Logprobs) == 0 {
		return nil
	}
	return out.Line(l)
}

func (s *lines) line() *line { return &line{Model: s.view.name, CreatedAt: s.created} }

// Ping is a part without text: their clients take nothing but parts.
func (s *lines) Ping(out *api.Frames) {
	l := s.line()
	if l.CreatedAt == "" {
		l.CreatedAt = timestamp(time.Now())
	}
	s.view.say(l, "")
	_ = out.Line(l) // texts only: cannot fail
}

// Fail sends an error in the middle of a stream. Nothing follows it.
func (s *lines) Fail(out *api.Frames, f *api.Failure) { _ = out.Line(errorLine{f.Message}) } // a string: cannot fail

// End has been said by the last event.
func (s *lines) End(*api.Frames) {}

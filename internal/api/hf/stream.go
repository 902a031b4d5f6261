package hf

import (
	"unicode/utf8"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

// tokens encodes a streamed text: an event a token. What is told of the end goes with the last token, so
// each is held until the next comes.
type tokens struct {
	g       *generation
	text    string
	count   int
	held    *piece
	details *streamDetails
}

type piece struct {
	Index         int            `json:"index"`
	Token         token          `json:"token"`
	TopTokens     []token        `json:"top_tokens,omitempty"`
	GeneratedText *string        `json:"generated_text"`
	Details       *streamDetails `json:"details"`
}

type streamDetails struct {
	FinishReason    string `json:"finish_reason"`
	GeneratedTokens int    `json:"generated_tokens"`
	InputLength     int    `json:"input_length"`
	Seed            *int64 `json:"seed"`
}

func (s *tokens) Type() string { return "text/event-stream" }

func (s *tokens) Event(out *api.Frames, ev *chat.Event) error {
	switch ev.Kind {
	case chat.Delta:
		return s.more(out, ev)
	case chat.Finished:
		s.details = &streamDetails{FinishReason: finishReason(ev.Finish), Seed: s.g.seed}
	case chat.Ended:
		return s.end(out, ev.Usage)
	}
	return nil
}

// more tells the tokens of a delta. Their texts joined are the delta's text: each has its own where they
// are whole characters, else the last has all; special tokens have none.
func (s *tokens) more(out *api.Frames, ev *chat.Event) error {
	s.text += ev.Text
	if len(ev.Tokens) == 0 && s.held != nil {
		s.held.Token.Text += ev.Text
		return nil
	}
	own := ""
	whole := true
	for i := range ev.Tokens {
		if t := &ev.Tokens[i]; !t.Special {
			own += string(t.Bytes)
			whole = whole && utf8.Valid(t.Bytes)
		}
	}
	whole = whole && own == ev.Text
	for i := range ev.Tokens {
		one := &piece{Token: tokenOf(&ev.Tokens[i])}
		if one.Token.Special || !whole {
			one.Token.Text = ""
		}
		if !whole && i == len(ev.Tokens)-1 {
			one.Token.Text = ev.Text
		}
		if s.g.top > 0 {
			one.TopTokens = topOf(&ev.Tokens[i])
		}
		if err := s.hold(out, one); err != nil {
			return err
		}
	}
	if len(ev.Tokens) == 0 && ev.Text != "" {
		return s.hold(out, &piece{Token: token{Text: ev.Text}})
	}
	return nil
}

func (s *tokens) hold(out *api.Frames, next *piece) error {
	s.count++
	next.Index = s.count
	last := s.held
	s.held = next
	if last == nil {
		return nil
	}
	return out.SSE("", "", last)
}

func (s *tokens) end(out *api.Frames, usage *chat.Usage) error {
	if s.held == nil { // the answer is empty
		s.held = &piece{Index: 1, Token: token{Special: true}}
	}
	text := s.g.inputs + s.text
	s.held.GeneratedText, s.held.Details = &text, s.details
	if usage != nil && s.details != nil {
		s.details.GeneratedTokens, s.details.InputLength = usage.Answer, usage.Prompt
	}
	return out.SSE("", "", s.held)
}

// Ping is a comment, which their client passes over.
func (s *tokens) Ping(out *api.Frames) { out.Raw(": keep-alive\n\n") }

// Fail sends what is held and an error.
func (s *tokens) Fail(out *api.Frames, f *api.Failure) {
	if s.held != nil {
		_ = out.SSE("", "", s.held) // strings and numbers only: cannot fail
	}
	body, _ := errorOf(f)
	_ = out.SSE("", "", body) // strings only: cannot fail
}

// End adds nothing: the last token said that it was the last.
func (s *tokens) End(*api.Frames) {}

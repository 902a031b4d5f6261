package openai

import (
	"crypto/rand"
	"encoding/json"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

// answered is what a piece of a streamed answer has beside its choices C; a whole completion has it too.
type answered[C any] struct {
	ID                string          `json:"id"`
	Object            string          `json:"object"`
	Created           int64           `json:"created"`
	Model             string          `json:"model"`
	SystemFingerprint *string         `json:"system_fingerprint"`
	ServiceTier       string          `json:"service_tier,omitempty"`
	Choices           []C             `json:"choices"`
	Usage             json.RawMessage `json:"usage,omitempty"`
	PromptTokenIDs    []int32         `json:"prompt_token_ids,omitempty"`
	Obfuscation       string          `json:"obfuscation,omitempty"`
}

// sender is what the streams of chats and of completions have in common: how a piece is sent, what goes on
// where there is none, and how the stream ends.
type sender[C any] struct {
	manner
	base    answered[C]
	framing api.Framing // nil: OpenAI's own, server-sent events
}

// write writes one piece.
func (s *sender[C]) write(out *api.Frames, v *answered[C]) error {
	if s.framing != nil {
		return s.framing.Event(out, v)
	}
	return out.SSE("", "", v)
}

// begin sets what every piece says.
func (s *sender[C]) begin(base answered[C]) {
	if s.base = base; s.usage {
		s.base.Usage = json.RawMessage("null")
	}
}

func (s *sender[C]) send(out *api.Frames, one C) error {
	s.base.Choices, s.base.Obfuscation = append(s.base.Choices[:0], one), ""
	if s.even {
		piece, err := api.Encode(one)
		if err != nil {
			return err
		}
		s.base.Obfuscation = Filling(len(piece))
	}
	return s.write(out, &s.base)
}

// evenTo is what the length of a piece is a multiple of: a token's text, with its place around it, is rarely longer.
const evenTo = 128

// Filling is random letters, at least one, that make a piece of n bytes even.
func Filling(n int) string {
	letters := rand.Text() + rand.Text() + rand.Text() + rand.Text() + rand.Text() // of 26 each
	return letters[:evenTo-n%evenTo]
}

// end tells the usage, if it was asked for.
func (s *sender[C]) end(out *api.Frames, ev *chat.Event) error {
	if !s.usage || ev.Usage == nil {
		return nil
	}
	counts, err := api.Encode(usageOf(ev.Usage))
	if err != nil {
		return err
	}
	last := s.base
	last.Choices, last.Usage, last.Obfuscation = []C{}, counts, ""
	return s.write(out, &last)
}

// Type implements api.Encoder.
func (s *sender[C]) Type() string { return "text/event-stream" }

// Ping is a comment, which clients of event streams pass over.
func (s *sender[C]) Ping(out *api.Frames) { out.Raw(": keep-alive\n\n") }

// Fail sends an error in the middle of a stream. No [DONE] follows: the answer is not done.
func (s *sender[C]) Fail(out *api.Frames, f *api.Failure) { _ = out.SSE("", "", errorOf(f)) } // strings only: cannot fail

// End implements api.Encoder.
func (s *sender[C]) End(out *api.Frames) { out.Raw("data: [DONE]\n\n") }

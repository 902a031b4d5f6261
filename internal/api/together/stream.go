package together

import (
	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/openai"
	"github.com/galerne-ai/galerne/internal/chat"
)

// chunk is a piece of a streamed answer to a chat or a text.
type chunk struct {
	ID           string        `json:"id"`
	Object       string        `json:"object"`
	Created      int64         `json:"created"`
	Model        string        `json:"model"`
	Choices      []chunkChoice `json:"choices"`
	Token        *chunkToken   `json:"token,omitempty"`
	Prompt       []prompt      `json:"prompt,omitempty"` // of the first
	FinishReason *string       `json:"finish_reason,omitempty"`
	Usage        *usage        `json:"usage"`
}

type chunkToken struct {
	ID      int32   `json:"id"`
	Text    string  `json:"text"`
	Logprob float64 `json:"logprob"`
	Special bool    `json:"special"`
}

type chunkChoice struct {
	Index        int                `json:"index"`
	Text         string             `json:"text"`
	Delta        delta              `json:"delta"`
	Logprobs     *float64           `json:"logprobs"`
	Top          map[string]float64 `json:"top_logprobs,omitempty"`
	FinishReason *string            `json:"finish_reason"`
	Seed         *uint64            `json:"seed"`
}

type delta struct {
	TokenID   *int32     `json:"token_id"`
	Role      string     `json:"role"`
	Content   string     `json:"content"`
	Reasoning *string    `json:"reasoning,omitempty"`
	ToolCalls []toolCall `json:"tool_calls,omitempty"`
}

// chunks encodes a stream. The last chunk has the usage, so the end of each choice waits for what comes.
type chunks struct {
	v     *view
	base  chunk
	held  *chunkChoice
	calls []int // of each choice, begun so far
}

func newChunks(v *view) *chunks { return &chunks{v: v, calls: make([]int, max(v.request.N, 1))} }

func (s *chunks) Type() string { return "text/event-stream; charset=utf-8" }

func (s *chunks) Event(out *api.Frames, ev *chat.Event) error {
	one := chunkChoice{Index: ev.Choice, Seed: s.v.request.Sampling.Seed, Delta: delta{Role: "assistant"}}
	switch ev.Kind {
	case chat.Started:
		s.base = chunk{ID: answerID(ev.ID), Object: s.v.object(false), Created: ev.Created.Unix(), Model: openai.ModelName(s.v.request.Model, ev.Model)}
		if s.v.echo {
			s.base.Prompt = s.v.prompts(ev.Prompt)
		}
	case chat.BlockStart:
		if ev.BlockKind == chat.CallBlock {
			one.Delta.ToolCalls = []toolCall{{s.calls[ev.Choice], ev.Call.ID, "function", functionCall{Name: ev.Call.Name}}}
			s.calls[ev.Choice]++
			return s.send(out, one, nil)
		}
	case chat.Delta:
		return s.more(out, ev, one)
	case chat.Finished:
		if err := s.flush(out); err != nil {
			return err
		}
		why := finishReason(ev.Finish)
		one.FinishReason = &why
		s.held = &one
	case chat.Ended:
		if ev.Usage != nil {
			u := usageOf(ev.Usage)
			s.base.Usage = &u
		}
		return s.flush(out)
	}
	return nil
}

// more tells a delta, a chunk a token: the last one has the text.
func (s *chunks) more(out *api.Frames, ev *chat.Event, one chunkChoice) error {
	var last *chat.Token
	for i := range ev.Tokens {
		next := one
		last = &ev.Tokens[i]
		s.token(&next, last)
		if i == len(ev.Tokens)-1 {
			one = next
		} else if err := s.send(out, next, last); err != nil {
			return err
		}
	}
	switch ev.BlockKind {
	case chat.CallBlock:
		one.Delta.ToolCalls = []toolCall{{Index: s.calls[ev.Choice] - 1, Function: functionCall{Arguments: ev.Text}}}
	case chat.ThinkingBlock:
		one.Delta.Reasoning = &ev.Text
	default:
		one.Text, one.Delta.Content = ev.Text, ev.Text
	}
	if ev.Text == "" && last == nil {
		return nil
	}
	return s.send(out, one, last)
}

func (s *chunks) token(one *chunkChoice, t *chat.Token) {
	one.Delta.TokenID = &t.ID
	if s.v.request.Logprobs == nil {
		return
	}
	p := finite(t.Logprob)
	one.Logprobs, one.Top = &p, map[string]float64{}
	for i := range t.Top {
		one.Top[textOf(&t.Top[i])] = finite(t.Top[i].Logprob)
	}
}

func (s *chunks) flush(out *api.Frames) error {
	if s.held == nil {
		return nil
	}
	one := *s.held
	s.held = nil
	return s.write(out, one, nil)
}

func (s *chunks) send(out *api.Frames, one chunkChoice, t *chat.Token) error {
	if err := s.flush(out); err != nil {
		return err
	}
	return s.write(out, one, t)
}

func (s *chunks) write(out *api.Frames, one chunkChoice, t *chat.Token) error {
	s.base.Choices = append(s.base.Choices[:0], one)
	s.base.Token, s.base.FinishReason = nil, nil
	if !s.v.chatting {
		s.base.FinishReason = one.FinishReason
		s.base.Token = &chunkToken{Text: one.Text}
		if t != nil {
			s.base.Token.ID, s.base.Token.Special = t.ID, t.Special
			if s.v.request.Logprobs != nil {
				s.base.Token.Logprob = finite(t.Logprob)
			}
		}
	}
	err := out.SSE("", "", &s.base)
	s.base.Prompt = nil // said once
	return err
}

// Ping is a comment, which clients of event streams pass over.
func (s *chunks) Ping(out *api.Frames) { out.Raw(": keep-alive\n\n") }

// Fail sends an error in the middle of a stream, as OpenAI's clients and Together's know it. No [DONE]
// follows: the answer is not done.
func (s *chunks) Fail(out *api.Frames, f *api.Failure) {
	_ = out.SSE("", "", openai.ErrorOf(f)) // strings only: cannot fail
}

// Cut says that the connection ends with an error: their older client passes the one above over.
func (s *chunks) Cut() {}

func (s *chunks) End(out *api.Frames) { out.Raw("data: [DONE]\n\n") }

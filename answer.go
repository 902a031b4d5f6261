package galerne

import (
	"context"
	"errors"
	"io"
	"iter"
	"unicode/utf8"

	"github.com/galerne-ai/galerne/internal/chat"
)

// Message is one turn of a conversation.
type Message struct {
	Role string // system, user or assistant
	Text string
}

// System gives the model instructions; it comes first.
func System(text string) Message { return Message{"system", text} }

// User is what the model shall answer.
func User(text string) Message { return Message{"user", text} }

// Assistant is an earlier answer of the model.
func Assistant(text string) Message { return Message{"assistant", text} }

// Request is what is asked for. A pointer that is nil leaves the choice to the model; new(0.2) is a
// pointer to a number.
type Request struct {
	Messages []Message // for Chat and Stream
	Text     string    // for Complete: what the model continues, as it is

	MaxTokens   *int     // longest answer. Default: what the context has room for.
	Stop        []string // texts that end the answer; they are not part of it
	Temperature *float64 // 0 always takes the likeliest token
	TopP        *float64 // choose among the likeliest tokens whose probabilities reach this together
	TopK        *int     // choose among so many of the likeliest tokens
	Seed        *uint64  // the same seed and request give the same answer
}

// Answer is a whole answer.
type Answer struct {
	Text     string
	Thinking string // what a reasoning model wrote before
	Finish   Finish

	PromptTokens int
	AnswerTokens int // reasoning included
}

// Finish is why an answer ended.
type Finish string

const (
	Stopped   Finish = "stop"   // the model ended it, or a text of Request.Stop did
	MaxTokens Finish = "length" // Request.MaxTokens
	Full      Finish = "full"   // the model's context
)

// Piece is a stretch of an answer that is being written.
type Piece struct {
	Text     string
	Thinking string
	Answer   *Answer // with the last piece: the whole answer
}

// Chat asks and waits for the whole answer.
func (m *Model) Chat(ctx context.Context, r Request) (*Answer, error) {
	return last(m.Stream(ctx, r))
}

// Stream asks and gives the answer as it is written; leaving the loop ends it. An error is the last
// thing that comes.
func (m *Model) Stream(ctx context.Context, r Request) iter.Seq2[Piece, error] {
	q, err := r.question()
	switch {
	case err != nil:
		return failed(err)
	case r.Text != "":
		return failed(chat.ErrRequest.Because("galerne: a conversation has Messages, and Text is set: Complete continues a text").At("Text"))
	case len(r.Messages) == 0:
		return failed(chat.ErrRequest.Because("galerne: a conversation needs at least one message").At("Messages"))
	}
	for i, t := range r.Messages {
		switch t.Role {
		case "system", "user", "assistant":
		default:
			return failed(chat.ErrRequest.Because("galerne: message %d is of the role %q: system, user and assistant are possible", i, t.Role).At("Messages"))
		}
		q.Messages = append(q.Messages, chat.Message{Role: chat.Role(t.Role), Parts: []chat.Part{{Kind: chat.TextPart, Text: t.Text}}})
	}
	return m.respond(ctx, q)
}

// Complete continues Request.Text; no chat template touches it.
func (m *Model) Complete(ctx context.Context, r Request) (*Answer, error) {
	if len(r.Messages) > 0 {
		return nil, chat.ErrRequest.Because("galerne: Complete continues Text, and Messages are set: Chat answers them").At("Messages")
	}
	q, err := r.question()
	if err != nil {
		return nil, err
	}
	q.Raw = &chat.RawPrompt{Text: r.Text}
	return last(m.respond(ctx, q))
}

// question is the request without what is asked.
func (r *Request) question() (*chat.Request, error) {
	if r.MaxTokens != nil && *r.MaxTokens < 1 {
		return nil, chat.ErrRequest.Because("galerne: an answer of at most %d tokens is asked for: 1 is the least", *r.MaxTokens).At("MaxTokens")
	}
	if !utf8.ValidString(r.Text) {
		return nil, chat.ErrRequest.Because("galerne: the text is not UTF-8").At("Text")
	}
	for i, t := range r.Messages {
		if !utf8.ValidString(t.Text) {
			return nil, chat.ErrRequest.Because("galerne: message %d is not UTF-8", i).At("Messages")
		}
	}
	return &chat.Request{MaxTokens: r.MaxTokens, Stop: r.Stop,
		Sampling: chat.Sampling{Temperature: r.Temperature, TopP: r.TopP, TopK: r.TopK, Seed: r.Seed}}, nil
}

func failed(err error) iter.Seq2[Piece, error] {
	return func(yield func(Piece, error) bool) { yield(Piece{}, err) }
}

// last is the whole answer at a stream's end.
func last(pieces iter.Seq2[Piece, error]) (*Answer, error) {
	var answer *Answer
	for piece, err := range pieces {
		if err != nil {
			return nil, err
		}
		answer = piece.Answer
	}
	return answer, nil
}

func (m *Model) respond(ctx context.Context, q *chat.Request) iter.Seq2[Piece, error] {
	return func(yield func(Piece, error) bool) {
		st, err := m.server.Respond(ctx, q)
		if err != nil {
			yield(Piece{}, err)
			return
		}
		defer st.Close()
		var fold chat.Fold
		for {
			ev, err := st.Next(ctx)
			switch {
			case errors.Is(err, io.EOF) && ctx.Err() != nil: // an answer that was cut short ends too
				yield(Piece{}, ctx.Err())
				return
			case errors.Is(err, io.EOF):
				yield(Piece{Answer: whole(fold.Response())}, nil)
				return
			case err != nil:
				yield(Piece{}, err)
				return
			}
			fold.Add(ev)
			p := Piece{}
			switch {
			case ev.Kind != chat.Delta || ev.Text == "":
				continue
			case ev.BlockKind == chat.ThinkingBlock:
				p.Thinking = ev.Text
			default:
				p.Text = ev.Text
			}
			if !yield(p, nil) {
				return
			}
		}
	}
}

func whole(r *chat.Response) *Answer {
	a := &Answer{PromptTokens: r.Usage.Prompt, AnswerTokens: r.Usage.Answer, Finish: Stopped}
	for i := range r.Choices {
		c := &r.Choices[i]
		for _, b := range c.Blocks {
			if b.Kind == chat.ThinkingBlock {
				a.Thinking += b.Text
			} else {
				a.Text += b.Text
			}
		}
		switch c.Finish {
		case chat.Length:
			a.Finish = MaxTokens
		case chat.Full:
			a.Finish = Full
		}
	}
	return a
}

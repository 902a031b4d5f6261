package upstream

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/galerne-ai/galerne/internal/chat"
)

// stream reads one streamed answer. A goroutine reads lines, so that Next can be given up and taken up.
type stream struct {
	m       *model
	request *chat.Request
	lines   chan line
	leave   context.CancelFunc // ends the request behind us, and the goroutine
	left    <-chan struct{}
	over    bool

	pending []chat.Event
	begun   bool
	choices []choice
	usage   chat.Usage
	born    time.Time
	first   time.Time
	err     error
}

type line struct {
	data []byte
	err  error
}

type choice struct {
	block    int // number of the open block, -1 before the first
	open     bool
	kind     chat.BlockKind
	call     int    // index of the open tool call
	id       string // its id
	finished bool
}

// longestLine bounds one event of a server.
const longestLine = 16 << 20

// stream sends a request to a replica, and to another where the first cannot be reached, is overloaded, or
// breaks off before it has said anything.
func (m *model) stream(ctx context.Context, r *chat.Request, path string, body []byte) (chat.Stream, error) {
	ctx, leave := context.WithCancel(ctx)
	tries := m.attempts(prefixOf(r))
	open := func() (rep *replica, answer io.ReadCloser, err error) {
		rep, err = tries.do(ctx, func(rep *replica) error {
			resp, err := m.send(ctx, rep, http.MethodPost, path, body)
			if err == nil {
				answer = resp.Body
			}
			return err
		})
		return rep, answer, err
	}
	rep, answer, err := open()
	if err != nil {
		leave()
		return nil, err
	}
	s := &stream{m: m, request: r, lines: make(chan line), leave: leave, left: ctx.Done(), choices: make([]choice, max(r.N, 1)), born: time.Now()}
	for i := range s.choices {
		s.choices[i].block = -1
	}
	go func() {
		for {
			said, err := s.read(answer)
			answer.Close()
			rep.end()
			if !said && ctx.Err() == nil {
				if next, again, failed := open(); failed == nil {
					rep, answer = next, again
					continue
				}
			}
			s.hand(line{err: err})
			return
		}
	}()
	return s, nil
}

// read hands over the data lines of server-sent events. said: there was one. The error is never nil.
func (s *stream) read(answer io.Reader) (said bool, err error) {
	in := bufio.NewScanner(answer)
	in.Buffer(make([]byte, 64<<10), longestLine)
	for in.Scan() {
		data, ok := bytes.CutPrefix(in.Bytes(), []byte("data:"))
		if !ok {
			continue
		}
		if data = bytes.TrimSpace(data); len(data) > 0 {
			said = true
			if !s.hand(line{data: bytes.Clone(data)}) {
				return said, context.Canceled
			}
		}
	}
	if err = in.Err(); err == nil {
		err = io.ErrUnexpectedEOF
	}
	return said, err
}

// hand gives a line to Next, unless the stream is closed.
func (s *stream) hand(l line) bool {
	select {
	case s.lines <- l:
		return true
	case <-s.left:
		return false
	}
}

// Next implements chat.Stream.
func (s *stream) Next(ctx context.Context) (chat.Event, error) {
	for {
		if len(s.pending) > 0 {
			ev := s.pending[0]
			s.pending = s.pending[1:]
			return ev, nil
		}
		if s.err != nil {
			return chat.Event{}, s.err
		}
		select {
		case l := <-s.lines:
			s.take(l)
		case <-s.left:
			return chat.Event{}, context.Canceled
		case <-ctx.Done():
			return chat.Event{}, ctx.Err()
		}
	}
}

// Close implements chat.Stream.
func (s *stream) Close() {
	if s.over {
		return
	}
	s.over = true
	s.leave()
	if s.err == nil {
		s.err, s.pending = io.EOF, nil
	}
}

func (s *stream) give(ev chat.Event) { s.pending = append(s.pending, ev) }

func (s *stream) take(l line) {
	switch {
	case errors.Is(l.err, io.ErrUnexpectedEOF) && s.complete():
		s.end() // a server that says no [DONE]
	case l.err != nil:
		s.err = ErrAnswer.Because("upstream: the answer of %s broke off: %w", s.m.Name, l.err)
	case string(l.data) == "[DONE]":
		s.end()
	default:
		var c chunk
		if err := json.Unmarshal(l.data, &c); err != nil {
			s.err = ErrAnswer.Because("upstream: %s sent what is no JSON: %w", s.m.Name, err)
			return
		}
		if c.Object == "error" || len(c.Error) > 0 && string(c.Error) != "null" {
			s.err = ErrAnswer.Because("upstream: %s failed in the middle of its answer: %s", s.m.Name, complaintOf(l.data).Message)
			return
		}
		s.chunk(&c)
	}
}

func (s *stream) complete() bool {
	for i := range s.choices {
		if !s.choices[i].finished {
			return false
		}
	}
	return true
}

func (s *stream) end() {
	if !s.complete() {
		s.err = ErrAnswer.Because("upstream: %s ended without saying why", s.m.Name)
		return
	}
	usage := s.usage
	timing := chat.Timing{Prompt: s.first.Sub(s.born), Answer: time.Since(s.first)}
	s.give(chat.Event{Kind: chat.Ended, Usage: &usage, Timing: &timing})
	s.err = io.EOF
}

// chunk is an event of OpenAI's chat or completions stream, with the names that others use for reasoning.
type chunk struct {
	Object  string          `json:"object"`
	Error   json.RawMessage `json:"error"`
	Choices []struct {
		Index int     `json:"index"`
		Text  *string `json:"text"`
		Delta struct {
			Content   *string `json:"content"`
			Refusal   *string `json:"refusal"`
			Thinking  *string `json:"reasoning_content"`
			Reasoning *string `json:"reasoning"`
			Calls     []struct {
				Index    int    `json:"index"`
				ID       string `json:"id"`
				Function struct {
					Name      string `json:"name"`
					Arguments string `json:"arguments"`
				} `json:"function"`
			} `json:"tool_calls"`
		} `json:"delta"`
		Logprobs *struct {
			Content []logprob `json:"content"`
		} `json:"logprobs"`
		Finish     *string `json:"finish_reason"`
		StopReason any     `json:"stop_reason"` // vLLM: the stop string
	} `json:"choices"`
	Usage *struct {
		Prompt  int `json:"prompt_tokens"`
		Answer  int `json:"completion_tokens"`
		Details *struct {
			Cached int `json:"cached_tokens"`
		} `json:"prompt_tokens_details"`
		AnswerDetails *struct {
			Reasoning int `json:"reasoning_tokens"`
		} `json:"completion_tokens_details"`
	} `json:"usage"`
}

type logprob struct {
	Token   string    `json:"token"`
	Bytes   []uint16  `json:"bytes"` // numbers: of []byte JSON makes base64
	Logprob float32   `json:"logprob"`
	Top     []logprob `json:"top_logprobs"`
}

func (s *stream) chunk(c *chunk) {
	if u := c.Usage; u != nil {
		s.usage = chat.Usage{Prompt: u.Prompt, Answer: u.Answer}
		if u.Details != nil {
			s.usage.Cached = u.Details.Cached
		}
		if u.AnswerDetails != nil {
			s.usage.Reasoning = u.AnswerDetails.Reasoning
		}
	}
	if !s.begun {
		s.begun, s.first = true, time.Now()
		usage := s.usage
		s.give(chat.Event{Kind: chat.Started, ID: s.request.ID, Model: s.m.Name, Created: s.born, Usage: &usage})
	}
	for i := range c.Choices {
		ch := &c.Choices[i]
		if ch.Index < 0 || ch.Index >= len(s.choices) || s.choices[ch.Index].finished {
			continue
		}
		var tokens []chat.Token
		if ch.Logprobs != nil {
			tokens = tokensOf(ch.Logprobs.Content)
		}
		d := &ch.Delta
		for _, p := range []struct {
			text *string
			kind chat.BlockKind
		}{{d.Thinking, chat.ThinkingBlock}, {d.Reasoning, chat.ThinkingBlock}, {d.Content, chat.TextBlock}, {ch.Text, chat.TextBlock}, {d.Refusal, chat.RefusalBlock}} {
			if p.text != nil && *p.text != "" {
				s.delta(ch.Index, p.kind, *p.text, tokens)
				tokens = nil
			}
		}
		for _, call := range d.Calls {
			s.call(ch.Index, call.Index, call.ID, call.Function.Name, call.Function.Arguments)
		}
		if ch.Finish != nil && *ch.Finish != "" {
			s.finish(ch.Index, *ch.Finish, ch.StopReason)
		}
	}
}

func tokensOf(from []logprob) []chat.Token {
	out := make([]chat.Token, len(from))
	for i, l := range from {
		out[i] = chat.Token{ID: -1, Bytes: []byte(l.Token), Logprob: l.Logprob, Top: tokensOf(l.Top)}
		if len(l.Bytes) > 0 {
			out[i].Bytes = out[i].Bytes[:0]
			for _, b := range l.Bytes {
				out[i].Bytes = append(out[i].Bytes, byte(b))
			}
		}
	}
	return out
}

// open makes sure that a block of a kind is open.
func (s *stream) openBlock(i int, kind chat.BlockKind, call *chat.Call) {
	c := &s.choices[i]
	if c.open && c.kind == kind && call == nil {
		return
	}
	s.closeBlock(i)
	c.block, c.open, c.kind = c.block+1, true, kind
	s.give(chat.Event{Kind: chat.BlockStart, Choice: i, Block: c.block, BlockKind: kind, Call: call})
}

func (s *stream) closeBlock(i int) {
	if c := &s.choices[i]; c.open {
		c.open = false
		s.give(chat.Event{Kind: chat.BlockStop, Choice: i, Block: c.block, BlockKind: c.kind})
	}
}

func (s *stream) delta(i int, kind chat.BlockKind, text string, tokens []chat.Token) {
	s.openBlock(i, kind, nil)
	c := &s.choices[i]
	s.give(chat.Event{Kind: chat.Delta, Choice: i, Block: c.block, BlockKind: kind, Text: text, Tokens: tokens})
}

func (s *stream) call(i, index int, id, name, arguments string) {
	c := &s.choices[i]
	// Some servers repeat the id with each piece, and some give every call the index 0.
	if !c.open || c.kind != chat.CallBlock || c.call != index || id != "" && id != c.id {
		s.openBlock(i, chat.CallBlock, &chat.Call{ID: id, Name: name})
		c.call, c.id = index, id
	}
	if arguments != "" {
		s.give(chat.Event{Kind: chat.Delta, Choice: i, Block: c.block, BlockKind: chat.CallBlock, Text: arguments})
	}
}

func (s *stream) finish(i int, reason string, stop any) {
	s.closeBlock(i)
	s.choices[i].finished = true
	ev := chat.Event{Kind: chat.Finished, Choice: i}
	switch reason {
	case "length":
		ev.Finish = chat.Length
	case "tool_calls", "function_call":
		ev.Finish = chat.ToolCall
	case "content_filter":
		ev.Finish = chat.Filtered
	}
	if text, ok := stop.(string); ok && text != "" && ev.Finish == chat.Stop {
		ev.Finish, ev.StopText = chat.StopString, text
	}
	s.give(ev)
}

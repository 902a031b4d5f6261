package serve

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/engine"
	"github.com/galerne-ai/galerne/internal/prompt"
	"github.com/galerne-ai/galerne/internal/sample"
)

// answer turns an engine's tokens into chat events.
type answer struct {
	m       *loaded
	request *chat.Request
	prompt  *prompt.Prompt
	stream  *engine.Stream
	choices []choice
	pending []chat.Event // not yet read, from next on
	next    int
	begun   bool // Started was given out
	read    []chat.Token
	usage   chat.Usage
	timing  chat.Timing
	at      time.Time // of the last step of timing
	freed   bool
	err     error
}

// choice is one answer under way.
type choice struct {
	reader  *prompt.Reader
	stops   stops
	tokens  []chat.Token // whose text has not been given out
	block   int          // number of the open block, -1 before the first
	open    bool
	kind    chat.BlockKind
	calls   bool
	stopped bool
}

func newAnswer(m *loaded, r *chat.Request, p *prompt.Prompt, st *engine.Stream, begin, loaded time.Time) *answer {
	a := &answer{m: m, request: r, prompt: p, stream: st, choices: make([]choice, max(r.N, 1)), at: loaded}
	for i := range a.choices {
		a.choices[i] = choice{reader: m.format.NewReader(r, p), stops: stops{strings: r.Stop, keep: r.KeepStop}, block: -1}
	}
	a.usage.Prompt = len(p.IDs)
	a.timing.Load = loaded.Sub(begin)
	if r.PromptLogprobs != nil || r.Echo || r.TokenIDs {
		a.read = append(a.read, m.token(p.IDs[0]))
		if r.PromptLogprobs == nil {
			for _, id := range p.IDs[1:] {
				a.read = append(a.read, m.token(id))
			}
		}
	}
	return a
}

// Next implements chat.Stream.
func (a *answer) Next(ctx context.Context) (chat.Event, error) {
	for {
		if a.next < len(a.pending) {
			ev := a.pending[a.next]
			a.next++
			return ev, nil
		}
		if a.err != nil {
			return chat.Event{}, a.err
		}
		a.pending, a.next = a.pending[:0], 0
		ev, err := a.stream.Next(ctx)
		switch {
		case errors.Is(err, io.EOF):
			a.end()
		case err != nil:
			return chat.Event{}, err // the reader's own context; the answer goes on
		default:
			a.take(ev)
		}
	}
}

// Close implements chat.Stream.
func (a *answer) Close() {
	a.stream.Close()
	if a.err == nil {
		a.err = io.EOF
		a.pending, a.next = nil, 0
		a.m.server.metrics.cancelled(a.m.slot.entry.Name)
	}
	a.free()
}

func (a *answer) free() {
	if !a.freed {
		a.freed = true
		a.m.release(a.request.KeepAlive)
	}
}

func (a *answer) give(ev chat.Event) { a.pending = append(a.pending, ev) }

// lap is the time since the last call.
func (a *answer) lap() time.Duration {
	now := time.Now()
	took := now.Sub(a.at)
	a.at = now
	return took
}

// take works on one event of the engine.
func (a *answer) take(ev engine.Event) {
	switch ev.Kind {
	case engine.Started:
		if ev.Choice == 0 {
			a.usage.Cached = ev.Cached
			a.timing.Queue = a.lap()
		}
	case engine.PromptToken:
		t := a.m.token(ev.ID)
		a.score(&t, ev.Logprob, ev.Top, *a.request.PromptLogprobs)
		a.read = append(a.read, t)
	case engine.Token:
		if a.timing.Prompt == 0 {
			a.timing.Prompt = a.lap()
		}
		a.begin()
		a.token(ev)
	case engine.Finished:
		switch ev.Finish {
		case engine.Failed:
			a.fail(ev.Err)
			return
		case engine.Cancelled: // who asked has left: what there is must not pass for the whole
			a.Close()
			a.err = context.Canceled
			return
		}
		a.begin()
		a.finish(ev)
	}
}

// begin tells that the answer starts, once the prompt has been read.
func (a *answer) begin() {
	if a.begun {
		return
	}
	a.begun = true
	usage := a.usage
	a.give(chat.Event{Kind: chat.Started, ID: a.request.ID, Model: a.m.slot.entry.Name, Created: time.Now(), Prompt: a.read, Usage: &usage})
}

func (a *answer) score(t *chat.Token, logprob float32, top []sample.Candidate, n int) {
	t.Logprob = logprob
	for _, c := range top[:min(n, len(top))] {
		alternative := a.m.token(c.ID)
		alternative.Logprob = c.Logprob
		t.Top = append(t.Top, alternative)
	}
}

func (a *answer) token(ev engine.Event) {
	c := &a.choices[ev.Choice]
	if c.stopped || a.request.MaxTokens != nil && *a.request.MaxTokens == 0 {
		return
	}
	a.usage.Answer++
	if a.request.Logprobs != nil || a.request.TokenIDs {
		t := a.m.token(ev.ID)
		if a.request.Logprobs != nil {
			a.score(&t, ev.Logprob, ev.Top, *a.request.Logprobs)
		}
		c.tokens = append(c.tokens, t)
	}
	if c.open && c.kind == chat.ThinkingBlock {
		a.usage.Reasoning++
	}
	if ev.End && !a.request.IgnoreEnd {
		return // an end token is no text
	}
	a.pieces(ev.Choice, c.reader.Add(ev.ID))
}

// pieces gives out what a token completed.
func (a *answer) pieces(i int, pieces []prompt.Piece) {
	c := &a.choices[i]
	for _, p := range pieces {
		if p.Begins {
			a.closeBlock(i)
			c.block, c.open, c.kind = c.block+1, true, p.Kind
			c.calls = c.calls || p.Kind == chat.CallBlock
			a.give(chat.Event{Kind: chat.BlockStart, Choice: i, Block: c.block, BlockKind: p.Kind, Call: p.Call})
		}
		text, met := p.Text, ""
		if p.Kind == chat.TextBlock {
			text, met = c.stops.add(p.Text)
		}
		a.delta(i, text)
		if met != "" {
			c.stopped = true
			a.stream.Stop(i)
			a.complete(i, chat.StopString, met)
			return
		}
	}
}

func (a *answer) delta(i int, text string) {
	c := &a.choices[i]
	if text == "" {
		return
	}
	a.give(chat.Event{Kind: chat.Delta, Choice: i, Block: c.block, BlockKind: c.kind, Text: text, Tokens: c.tokens})
	c.tokens = nil
}

func (a *answer) closeBlock(i int) {
	c := &a.choices[i]
	if !c.open {
		return
	}
	a.delta(i, c.stops.flush())
	if len(c.tokens) > 0 { // tokens without text: an end, or half a character
		a.give(chat.Event{Kind: chat.Delta, Choice: i, Block: c.block, BlockKind: c.kind, Tokens: c.tokens})
		c.tokens = nil
	}
	c.open = false
	a.give(chat.Event{Kind: chat.BlockStop, Choice: i, Block: c.block, BlockKind: c.kind})
}

// finish ends one answer as the engine says.
func (a *answer) finish(ev engine.Event) {
	c := &a.choices[ev.Choice]
	if c.stopped {
		return
	}
	a.pieces(ev.Choice, c.reader.Flush(ev.Finish == engine.Length))
	if c.stopped { // by a stop string in what was held
		return
	}
	why := chat.Stop
	switch {
	case ev.Finish == engine.Length && a.request.MaxTokens != nil && len(a.prompt.IDs)+*a.request.MaxTokens <= a.m.context:
		why = chat.Length
	case ev.Finish == engine.Length:
		why = chat.Full
	case c.calls:
		why = chat.ToolCall
	}
	a.complete(ev.Choice, why, "")
}

func (a *answer) complete(i int, why chat.Finish, met string) {
	a.closeBlock(i)
	a.give(chat.Event{Kind: chat.Finished, Choice: i, Finish: why, StopText: met})
}

// end gives the counts.
func (a *answer) end() {
	a.timing.Answer = a.lap()
	usage, timing := a.usage, a.timing
	a.give(chat.Event{Kind: chat.Ended, Usage: &usage, Timing: &timing})
	a.err = io.EOF
	a.m.server.metrics.answered(a.m.slot.entry.Name, &a.usage)
	a.free()
}

// fail ends everything with an error; one that is ours goes to the log in full.
func (a *answer) fail(err error) {
	a.err = err
	a.m.server.o.Log.Error("an answer failed", "model", a.m.slot.entry.Name, "request", a.request.ID, "error", err)
	a.m.server.metrics.failed(a.m.slot.entry.Name)
	a.stream.Close()
	a.free()
}

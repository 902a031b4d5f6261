package engine

import (
	"context"
	"io"
	"sync/atomic"

	"github.com/galerne-ai/galerne/internal/sample"
)

// EventKind tells what an Event is.
type EventKind uint8

const (
	Started     EventKind = iota // the answer left the queue; Cached tokens of its prompt were known
	PromptToken                  // the probability of the prompt's next token (from its second on)
	Token                        // a token of the answer
	Finished                     // the answer is complete; the last event of its choice
	Embedded                     // the prompt's vector, of Request.Embed; Finished follows
)

// Finish is why an answer ended.
type Finish uint8

const (
	End       Finish = iota // an end token, which was the last Token event
	Length                  // MaxTokens or the context; also an answer that its mask ended so as to be complete within them
	Stopped                 // the reader called Stop
	Cancelled               // the reader left
	Failed                  // Err says why
)

func (f Finish) String() string {
	return [...]string{"end", "length", "stopped", "cancelled", "failed"}[f]
}

// Event is one thing that happened to an answer.
type Event struct {
	Choice  int
	Kind    EventKind
	ID      int32
	Logprob float32            // where they were asked for
	Top     []sample.Candidate // the likeliest first
	End     bool               // this token ends the answer
	Cached  int
	Vector  []float32 // [Dim]
	Finish  Finish
	Err     error
}

// Stream is the events of one request, for one reader. The engine writes and the reader reads without
// a lock: a chain of chunks whose counts are atomic. A reader that waits is woken through a channel;
// a slow one never holds the engine up, and holds as many events as its answers have tokens.
type Stream struct {
	ctx      context.Context
	engine   *Engine
	request  *Request
	closed   atomic.Bool
	stopped  []atomic.Bool // [choices]
	finished []bool        // [choices], the engine's own
	left     int           // choices that are not finished, the engine's own

	write   *chunk
	read    *chunk
	taken   int32
	waiting atomic.Bool
	wake    chan struct{}
	over    atomic.Bool
}

const chunkEvents = 32

type chunk struct {
	events [chunkEvents]Event
	filled atomic.Int32
	next   atomic.Pointer[chunk]
}

func newStream(ctx context.Context, e *Engine, r *Request) *Stream {
	n := max(r.N, 1)
	c := &chunk{}
	return &Stream{ctx: ctx, engine: e, request: r, stopped: make([]atomic.Bool, n), finished: make([]bool, n), left: n,
		write: c, read: c, wake: make(chan struct{}, 1)}
}

// push is the engine's side.
func (s *Stream) push(ev Event) {
	n := s.write.filled.Load()
	if n == chunkEvents {
		c := &chunk{}
		s.write.next.Store(c)
		s.write, n = c, 0
	}
	s.write.events[n] = ev
	s.write.filled.Store(n + 1)
	s.signal()
}

func (s *Stream) signal() {
	if s.waiting.Load() {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

func (s *Stream) end() {
	s.over.Store(true)
	s.signal()
}

// Next gives the next event, waiting for it; io.EOF after the last. When ctx ends first, the request
// goes on: Close ends it.
func (s *Stream) Next(ctx context.Context) (Event, error) {
	for {
		over := s.over.Load() // before the look at the events, since it is set after them
		if ev, ok := s.poll(); ok {
			return ev, nil
		}
		if over {
			return Event{}, io.EOF
		}
		s.waiting.Store(true)
		if s.ready() {
			s.waiting.Store(false)
			continue
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
			s.waiting.Store(false)
			return Event{}, ctx.Err()
		}
		s.waiting.Store(false)
	}
}

func (s *Stream) ready() bool {
	return s.over.Load() || s.taken < s.read.filled.Load() || s.taken == chunkEvents && s.read.next.Load() != nil
}

func (s *Stream) poll() (Event, bool) {
	if s.taken == chunkEvents {
		next := s.read.next.Load()
		if next == nil {
			return Event{}, false
		}
		s.read, s.taken = next, 0
	}
	if s.taken >= s.read.filled.Load() {
		return Event{}, false
	}
	ev := s.read.events[s.taken]
	s.taken++
	return ev, true
}

// Stop ends one answer within a step: its reader has seen enough.
func (s *Stream) Stop(choice int) {
	s.stopped[choice].Store(true)
	s.engine.poke()
}

// Close ends the request within a step. It may be called more than once, and after the last event.
func (s *Stream) Close() {
	s.closed.Store(true)
	s.engine.poke()
}

package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"sync"

	"github.com/galerne-ai/galerne/internal/chat"
)

// together is how many requests of one call are worked on at once: enough to fill a batch, too few
// to fill the queue that all callers share.
const together = 8

// respond begins one answer, or several that are told as one: the choices of the second request
// follow those of the first, and usage is summed.
func (c *Call) respond(rs []*chat.Request) (chat.Stream, error) {
	if len(rs) == 1 {
		return c.Backend.Respond(c.R.Context(), rs[0])
	}
	ctx, cancel := context.WithCancel(c.R.Context())
	j := &joined{events: make(chan joinedEvent, len(rs)), cancel: cancel, left: len(rs)}
	slots := make(chan struct{}, together)
	first := 0
	for _, r := range rs {
		at := first
		j.group.Go(func() {
			select {
			case slots <- struct{}{}:
				defer func() { <-slots }()
				j.pump(ctx, c.Backend, r, at)
			case <-ctx.Done():
			}
		})
		first += max(r.N, 1)
	}
	return j, nil
}

// joined is several streams as one.
type joined struct {
	events chan joinedEvent
	cancel context.CancelFunc // ends every part
	group  sync.WaitGroup

	left  int // streams that have not ended
	usage chat.Usage
	last  chat.Event // the latest Ended
}

type joinedEvent struct {
	ev  chat.Event
	err error
}

// pump answers one request and passes its events on, its choices counted from first.
func (j *joined) pump(ctx context.Context, backend chat.Responder, r *chat.Request, first int) {
	pass := func(e joinedEvent) bool {
		select {
		case j.events <- e:
			return e.err == nil
		case <-ctx.Done():
			return false
		}
	}
	defer func() {
		if cause := recover(); cause != nil {
			pass(joinedEvent{err: fmt.Errorf("%w: %v\n%s", errPanic, cause, debug.Stack())})
		}
	}()
	s, err := backend.Respond(ctx, r)
	if err != nil {
		pass(joinedEvent{err: err})
		return
	}
	defer s.Close()
	for more := true; more; {
		ev, err := s.Next(ctx)
		ev.Choice += first
		more = pass(joinedEvent{ev, err})
	}
}

func (j *joined) Next(ctx context.Context) (chat.Event, error) {
	for {
		if j.left == 0 {
			return chat.Event{}, io.EOF
		}
		var e joinedEvent
		select {
		case <-ctx.Done():
			return chat.Event{}, ctx.Err()
		case e = <-j.events:
		}
		if e.err != nil && !errors.Is(e.err, io.EOF) {
			return chat.Event{}, e.err
		}
		switch {
		case e.err != nil:
			if j.left--; j.left == 0 {
				j.last.Usage = &j.usage
				return j.last, nil
			}
		case e.ev.Kind == chat.Ended:
			j.last = e.ev
			j.last.Choice = 0
			if u := e.ev.Usage; u != nil {
				j.usage.Prompt += u.Prompt
				j.usage.Cached += u.Cached
				j.usage.Answer += u.Answer
				j.usage.Reasoning += u.Reasoning
			}
		default:
			return e.ev, nil
		}
	}
}

// Close ends every part and waits for their readers.
func (j *joined) Close() {
	j.cancel()
	j.group.Wait()
}

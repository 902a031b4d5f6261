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

// respond begins one answer, or several that are told as one: the choices of the second request
// follow those of the first, and usage is summed.
func (c *Call) respond(rs []*chat.Request) (chat.Stream, error) {
	ctx := c.R.Context()
	if len(rs) == 1 {
		return c.Backend.Respond(ctx, rs[0])
	}
	j := &joined{events: make(chan joinedEvent, len(rs)), done: make(chan struct{}), left: len(rs)}
	first := 0
	for _, r := range rs {
		s, err := c.Backend.Respond(ctx, r)
		if err != nil {
			j.Close()
			return nil, err
		}
		j.parts = append(j.parts, s)
		j.group.Go(func() { j.pump(ctx, s, first) })
		first += max(r.N, 1)
	}
	return j, nil
}

// joined is several streams as one.
type joined struct {
	parts  []chat.Stream
	events chan joinedEvent
	done   chan struct{} // closed by Close
	group  sync.WaitGroup
	once   sync.Once

	left  int // streams that have not ended
	usage chat.Usage
	last  chat.Event // the latest Ended
}

type joinedEvent struct {
	ev  chat.Event
	err error
}

// pump passes one stream's events on, its choices counted from first.
func (j *joined) pump(ctx context.Context, s chat.Stream, first int) {
	defer func() {
		if cause := recover(); cause != nil {
			select {
			case j.events <- joinedEvent{err: fmt.Errorf("%w: %v\n%s", errPanic, cause, debug.Stack())}:
			case <-j.done:
			}
		}
	}()
	for {
		ev, err := s.Next(ctx)
		ev.Choice += first
		select {
		case j.events <- joinedEvent{ev, err}:
		case <-j.done:
			return
		}
		if err != nil {
			return
		}
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
	j.once.Do(func() {
		close(j.done)
		for _, s := range j.parts {
			s.Close()
		}
	})
	j.group.Wait()
}

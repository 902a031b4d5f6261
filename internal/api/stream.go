package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/galerne-ai/galerne/internal/chat"
)

// Encoder writes an answer as a vendor streams it. It is used for one answer, from one goroutine;
// what it puts into out is sent after each call.
type Encoder interface {
	// Type is the stream's Content-Type.
	Type() string
	// Event writes what there is to say about one event, which may be nothing.
	Event(out *Frames, ev *chat.Event) error
	// Ping writes something that the vendor's clients pass over, to keep the connection alive.
	Ping(out *Frames)
	// Fail writes an error in the middle of a stream and, where the vendor has one, the end. After the
	// Fail of an Encoder that has a method Cut(), the connection is cut: for vendors whose clients would
	// take the part for the whole.
	Fail(out *Frames, f *Failure)
	// End writes what comes after the last event.
	End(out *Frames)
}

// Framing is how a vendor streams answers that are in another vendor's form.
type Framing interface {
	Type() string
	Event(out *Frames, v any) error
	Ping(out *Frames)
	Fail(out *Frames, f *Failure)
}

// Answer waits for the whole answer, as long as the caller does.
func (c *Call) Answer(r *chat.Request) (*chat.Response, error) {
	all, err := c.Answers([]*chat.Request{r})
	return all[0], err
}

// patience is a context that ends when the caller no longer waits for the first byte: clients made by
// Stainless say how long they do. Where a proxy keeps the connection open, nothing else would tell.
func (c *Call) patience() (context.Context, context.CancelFunc) {
	for _, name := range []string{"X-Stainless-Read-Timeout", "X-Stainless-Timeout"} {
		seconds, err := strconv.ParseFloat(c.R.Header.Get(name), 64)
		if err == nil && seconds > 0 && seconds < longestWait.Seconds() {
			return context.WithDeadline(c.R.Context(), c.began.Add(time.Duration(seconds*float64(time.Second))+grace))
		}
	}
	return context.WithCancel(c.R.Context())
}

const (
	longestWait = 30 * 24 * time.Hour // where waiting becomes waiting for ever
	grace       = time.Second         // so that the caller, where it is still there, is the first to give up
)

// Answers waits for the whole answers to several requests, some of which are worked on side by side.
// The first error ends them all.
func (c *Call) Answers(rs []*chat.Request) ([]*chat.Response, error) {
	ctx, cancel := c.patience()
	defer cancel()
	out, err := c.sideBySide(ctx, cancel, rs)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) && c.R.Context().Err() == nil {
		err = ErrLate.Because("api: the answer was not complete when the client's timeout was over: give it a longer one, ask for less, or stream")
	}
	return out, err
}

func (c *Call) sideBySide(ctx context.Context, cancel context.CancelFunc, rs []*chat.Request) ([]*chat.Response, error) {
	out := make([]*chat.Response, len(rs))
	if len(rs) == 1 {
		s, err := c.Backend.Respond(ctx, rs[0])
		if err == nil {
			out[0], err = chat.Collect(ctx, s)
		}
		return out, err
	}
	errs := make(chan error, len(rs))
	slots := make(chan struct{}, together)
	for i, r := range rs {
		go func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			defer contain(errs)
			s, err := c.Backend.Respond(ctx, r)
			if err == nil {
				out[i], err = chat.Collect(ctx, s)
			}
			errs <- err
		}()
	}
	var first error
	for range rs {
		if err := <-errs; err != nil && first == nil {
			first = err
			cancel()
		}
	}
	return out, first
}

// contain makes an error of a panic in a goroutine, where nobody else would catch it.
func contain(errs chan<- error) {
	if cause := recover(); cause != nil {
		errs <- fmt.Errorf("%w: %v\n%s", errPanic, cause, debug.Stack())
	}
}

// Stream answers event by event. Several requests are answered as one, the choices of the second
// after those of the first, each with a Started event whose Choice is its first. An error before the first part of the answer is
// returned, to be answered with a status of its own; when that takes longer than the keep-alive
// interval the stream begins anyway, and an error is written into it.
func (c *Call) Stream(e Encoder, rs ...*chat.Request) error {
	s, err := c.respond(rs)
	if err != nil {
		return err
	}
	defer s.Close()
	p := &pump{c: c, e: e, s: s, last: time.Now()}
	return p.run()
}

// pump carries events from a stream to a connection.
type pump struct {
	c    *Call
	e    Encoder
	s    chat.Stream
	out  Frames
	open bool      // the status has been sent
	last time.Time // when something was sent, at first when the wait began
}

func (p *pump) run() error {
	every := p.c.server.o.KeepAlive
	for {
		// One timer for many events: twice an interval it looks whether the connection has been silent.
		ctx, cancel := context.WithTimeout(p.c.R.Context(), every/2)
		err := p.events(ctx)
		cancel()
		switch {
		case errors.Is(err, io.EOF):
			p.e.End(&p.out)
			return p.send()
		case err == nil: // the half interval is over
			if time.Since(p.last) >= every-every/8 {
				p.e.Ping(&p.out)
				if err := p.send(); err != nil {
					return err
				}
			}
		case errors.Is(err, errGone) || p.c.R.Context().Err() != nil:
			return p.gone()
		case !p.open:
			return err
		default:
			return p.fail(err)
		}
	}
}

// events passes events on until ctx ends, which is no error.
func (p *pump) events(ctx context.Context) error {
	for {
		ev, err := p.s.Next(ctx)
		if err != nil {
			if ctx.Err() != nil && p.c.R.Context().Err() == nil && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)) {
				return nil
			}
			return err
		}
		if err := p.e.Event(&p.out, &ev); err != nil {
			return err
		}
		// What is said of the beginning waits for the first part: until then an error can still have
		// a status of its own.
		if ev.Kind == chat.Started {
			continue
		}
		if err := p.send(); err != nil {
			return err
		}
	}
}

// errGone: the reader has left, or does not read.
var errGone = errors.New("api: nobody reads the stream")

// send writes what has been gathered. A reader that takes nothing for the write timeout is dropped.
func (p *pump) send() error {
	if len(p.out.b) == 0 {
		return nil
	}
	if !p.open {
		p.open = true
		h := p.c.W.Header()
		h.Set("Content-Type", p.e.Type())
		h.Set("Cache-Control", "no-cache")
		h.Set("X-Accel-Buffering", "no")
		p.c.W.WriteHeader(http.StatusOK)
	}
	_ = p.c.control.SetWriteDeadline(time.Now().Add(p.c.server.o.WriteTimeout)) // not every writer has deadlines
	_, err := p.c.W.Write(p.out.b)
	if err == nil {
		err = p.c.control.Flush()
	}
	p.out.Reset()
	p.last = time.Now()
	if err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			p.c.server.metrics.slow.WithLabelValues(p.c.surface.Name).Inc()
		}
		return errGone
	}
	return nil
}

// gone ends a stream that nobody reads.
func (p *pump) gone() error {
	p.c.out.status = statusClosed
	if p.open {
		panic(http.ErrAbortHandler)
	}
	return nil
}

// fail writes an error into a stream that has begun.
func (p *pump) fail(err error) error {
	p.e.Fail(&p.out, p.c.Failure(err))
	if err := p.send(); err != nil {
		return p.gone()
	}
	if _, ok := p.e.(interface{ Cut() }); ok {
		panic(http.ErrAbortHandler)
	}
	return nil
}

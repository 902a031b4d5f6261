package replicate

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/fault"
	"github.com/galerne-ai/galerne/internal/jobs"
)

// work makes a prediction. What goes wrong is its outcome, but for a server that is busy: then the request is
// refused, and package jobs asks again.
func (h *handler) work(c *api.Call, sink *jobs.Sink) error {
	ctx := c.R.Context()
	k, err := h.Store.Kept(ctx, c.Owner(), dialect, sink.ID())
	if err != nil {
		return err
	}
	var rec record
	if err := json.Unmarshal(k.Answer, &rec); err != nil {
		return err
	}
	w := &worker{h: h, c: c, sink: sink, k: &k, rec: &rec, began: time.Now()}
	defer w.group.Wait()
	defer w.giveUp()()
	if err := w.run(ctx); err != nil {
		switch {
		case ctx.Err() != nil:
			w.stopped()
			return err
		case fault.KindOf(err) == fault.Busy && w.said == 0:
			return err
		}
		rec.Error = c.Failure(err).Message
	}
	rec.Ended = time.Now().UTC().Format(stamp)
	text, err := api.Encode(&rec)
	if err != nil {
		return err
	}
	sink.End(text)
	h.tellEnd(&k)
	c.W.WriteHeader(http.StatusOK)
	return nil
}

// worker makes one prediction.
type worker struct {
	h     *handler
	c     *api.Call
	sink  *jobs.Sink
	k     *jobs.Kept
	rec   *record
	began time.Time

	n      int // events
	said   int // of them, output
	pieces []string
	told   time.Time // when a webhook was last told of output
	group  sync.WaitGroup
	busy   atomic.Bool // a webhook is being told
}

// start notes that the work has begun: not before the model has taken it.
func (w *worker) start(ctx context.Context) {
	w.rec.Started = w.began.UTC().Format(stamp)
	w.add(startEvent, w.rec.Started)
	w.tell(ctx, "start")
}

// tell tells the webhook beside the work, unless it has not heard the last word yet.
func (w *worker) tell(ctx context.Context, event string) {
	if w.rec.Webhook == "" || !w.busy.CompareAndSwap(false, true) {
		return
	}
	k := w.now()
	w.group.Go(func() {
		defer w.busy.Store(false)
		w.h.tell(ctx, k, event)
	})
}

func (w *worker) add(name, text string) {
	w.sink.Add(jobs.Event{N: w.n, Name: name, Text: []byte(text)})
	w.n++
}

// now is the prediction as it is while it is made.
func (w *worker) now() *jobs.Kept {
	k := *w.k
	k.State = jobs.Working
	rec := *w.rec
	if w.pieces != nil {
		rec.Output, _ = api.Encode(w.pieces) // strings only: cannot fail
	}
	k.Answer, _ = api.Encode(&rec) // it was read from JSON
	return &k
}

// giveUp cancels the prediction when its maker wants it no more.
func (w *worker) giveUp() (stop func()) {
	until, err := time.Parse(stamp, w.rec.Until)
	if err != nil {
		return func() {}
	}
	t := time.AfterFunc(time.Until(until), func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_, _ = w.h.Store.Stop(ctx, w.k.Owner, dialect, w.k.ID) // it goes on if the store cannot say so
	})
	return func() { t.Stop() }
}

// stopped tells of a prediction that was cancelled; of one that another process will take up there is
// nothing to tell.
func (w *worker) stopped() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.c.R.Context()), 10*time.Second)
	defer cancel()
	k, err := w.h.Store.Kept(ctx, w.k.Owner, dialect, w.k.ID)
	if err == nil && (k.State == jobs.Stopping || k.State == jobs.Stopped) {
		w.h.tellEnd(&k)
	}
}

func (w *worker) run(ctx context.Context) error {
	m, err := w.c.Backend.Model(ctx, w.rec.Model)
	if err != nil {
		return err
	}
	if !m.Chats && m.Embeds {
		return w.embed(ctx)
	}
	r, err := readInput(w.k.Input, w.rec.Model, false)
	if err != nil {
		return err
	}
	s, err := w.c.Backend.Respond(ctx, r)
	if err != nil {
		return err
	}
	defer s.Close()
	w.start(ctx)
	w.rec.Metrics = &metrics{}
	w.pieces = []string{}
	for {
		ev, err := s.Next(ctx)
		if errors.Is(err, io.EOF) {
			w.rec.Output, err = api.Encode(w.pieces)
			return err
		}
		if err != nil {
			return err
		}
		w.event(ctx, &ev)
	}
}

// event adds what an event says to the output. Reasoning stands in it between the marks that models use.
func (w *worker) event(ctx context.Context, ev *chat.Event) {
	switch {
	case ev.Kind == chat.BlockStart && ev.BlockKind == chat.ThinkingBlock:
		w.say(ctx, "<think>\n")
	case ev.Kind == chat.BlockStop && ev.BlockKind == chat.ThinkingBlock:
		w.say(ctx, "\n</think>\n\n")
	case ev.Kind == chat.Delta && ev.BlockKind != chat.CallBlock:
		w.say(ctx, ev.Text)
	case ev.Kind == chat.Ended:
		m, took := w.rec.Metrics, time.Since(w.began).Seconds()
		m.Predict, m.Total = took, time.Since(w.k.Created).Seconds()
		if ev.Usage != nil {
			m.Input, m.Output = ev.Usage.Prompt, ev.Usage.Answer
			m.Speed = float64(m.Output) / max(took, 1e-3)
		}
	}
}

func (w *worker) say(ctx context.Context, text string) {
	if text == "" {
		return
	}
	if w.said == 0 {
		w.rec.Metrics.First = time.Since(w.began).Seconds()
	}
	w.said++
	w.pieces = append(w.pieces, text)
	w.add(outputEvent, text)
	if time.Since(w.told) >= tellEvery {
		w.told = time.Now()
		w.tell(ctx, "output")
	}
}

func (w *worker) embed(ctx context.Context) error {
	r, err := readTexts(w.k.Input, w.rec.Model)
	if err != nil {
		return err
	}
	got, err := w.c.Backend.Embed(ctx, r)
	if err != nil {
		return err
	}
	w.start(ctx)
	type vector struct {
		Embedding []float32 `json:"embedding"`
	}
	out := make([]vector, len(got.Vectors))
	for i, v := range got.Vectors {
		out[i].Embedding = v
	}
	w.rec.Metrics = &metrics{Predict: time.Since(w.began).Seconds(), Total: time.Since(w.k.Created).Seconds(), Input: got.Tokens}
	w.rec.Output, err = api.Encode(out)
	return err
}

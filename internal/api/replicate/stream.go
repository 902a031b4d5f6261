package replicate

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/jobs"
)

const (
	idle      = 30 * time.Second // how long a reader of a stream may take nothing
	keepAlive = 10 * time.Second
)

// stream answers GET /v1/predictions/{id}/stream: the output from its begin, or after the event that
// Last-Event-ID names, until the prediction has ended. Whoever leaves does not stop it.
func (h *handler) stream(c *api.Call) error {
	k, err := h.kept(c)
	if err != nil {
		return err
	}
	after := -1
	if text := c.R.Header.Get("Last-Event-Id"); text != "" {
		if after, err = strconv.Atoi(text); err != nil {
			return invalid("Last-Event-ID", "the header Last-Event-ID is %.40q, which is none of this server's", text)
		}
	}
	head := c.W.Header()
	head.Set("Content-Type", "text/event-stream; charset=utf-8")
	head.Set("Cache-Control", "no-cache")
	head.Set("X-Accel-Buffering", "no")
	c.W.WriteHeader(http.StatusOK)
	f := &follower{h: h, c: c, after: after, control: http.NewResponseController(c.W), last: time.Now()}
	tick := time.NewTicker(look)
	defer tick.Stop()
	ctx := c.R.Context()
	for {
		now, err := h.Store.Kept(ctx, k.Owner, dialect, k.ID) // before its events: then none is missed at the end
		if err != nil {
			return err // the connection is cut, so that nobody takes the part for the whole
		}
		if gone, err := f.step(&now); gone || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// follower is a reader of a prediction's stream.
type follower struct {
	h       *handler
	c       *api.Call
	after   int // the event that was sent last
	control *http.ResponseController
	out     api.Frames
	last    time.Time
}

// step sends what is new. It reports whether there is nothing more to do.
func (f *follower) step(k *jobs.Kept) (done bool, err error) {
	events, err := f.h.Store.Events(f.c.R.Context(), k.ID, f.after)
	if err != nil {
		return false, err
	}
	for _, e := range events {
		if f.after = e.N; e.Name == outputEvent {
			f.out.SSEText("output", strconv.Itoa(e.N), string(e.Text))
		}
	}
	switch {
	case k.Ended():
		if err := f.end(k); err != nil {
			return false, err
		}
	case len(f.out.Bytes()) == 0 && time.Since(f.last) >= keepAlive:
		f.out.Raw(": keep-alive\n\n")
	}
	if len(f.out.Bytes()) == 0 {
		return false, nil
	}
	f.last = time.Now()
	_ = f.control.SetWriteDeadline(f.last.Add(idle)) // not every writer has deadlines
	_, err = f.c.W.Write(f.out.Bytes())
	f.out.Reset()
	return err != nil || f.control.Flush() != nil || k.Ended(), nil
}

// end tells how the prediction has ended.
func (f *follower) end(k *jobs.Kept) error {
	var rec record
	if err := json.Unmarshal(k.Answer, &rec); err != nil {
		return err
	}
	id, status := strconv.Itoa(f.after+1), statusOf(k, &rec)
	switch status {
	case "succeeded":
		return f.out.SSE("done", id, struct{}{})
	case "failed":
		if k.State == jobs.Refused {
			rec.Error = refusalText(k.Failure)
		}
		if err := f.out.SSE("error", id, map[string]string{"detail": rec.Error}); err != nil {
			return err
		}
		status = "error"
	}
	return f.out.SSE("done", strconv.Itoa(f.after+2), map[string]string{"reason": status})
}

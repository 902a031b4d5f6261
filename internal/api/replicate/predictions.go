package replicate

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/jobs"
)

// body is the request for a prediction, without what bodyFields lists.
type body struct {
	Version string          `json:"version"`
	Input   json.RawMessage `json:"input"`
	Webhook string          `json:"webhook"`
	Filter  []string        `json:"webhook_events_filter"`
}

// record is what is kept of a prediction beside its input: the first four from the begin, the rest when it
// is done.
type record struct {
	Model   string   `json:"model"` // its name here
	Version string   `json:"version"`
	Base    string   `json:"base"` // where its maker reaches this surface
	Webhook string   `json:"webhook,omitempty"`
	Filter  []string `json:"filter,omitempty"`
	Until   string   `json:"until,omitempty"` // when it shall be given up

	Output  json.RawMessage `json:"output,omitempty"`
	Error   string          `json:"error,omitempty"`
	Started string          `json:"started,omitempty"`
	Ended   string          `json:"ended,omitempty"`
	Metrics *metrics        `json:"metrics,omitempty"`
}

type metrics struct {
	Predict float64 `json:"predict_time"`
	Total   float64 `json:"total_time"`
	First   float64 `json:"time_to_first_token,omitempty"`
	Speed   float64 `json:"tokens_per_second,omitempty"`
	Input   int     `json:"input_token_count"`
	Output  int     `json:"output_token_count"`
}

type prediction struct {
	ID        string            `json:"id"`
	Model     string            `json:"model"`
	Version   string            `json:"version"`
	Input     json.RawMessage   `json:"input"`
	Logs      string            `json:"logs"`
	Output    json.RawMessage   `json:"output"`
	Error     *string           `json:"error"`
	Status    string            `json:"status"`
	Created   string            `json:"created_at"`
	Started   *string           `json:"started_at"`
	Completed *string           `json:"completed_at"`
	Removed   bool              `json:"data_removed"`
	Source    string            `json:"source"`
	Metrics   *metrics          `json:"metrics,omitempty"`
	URLs      map[string]string `json:"urls"`
	Webhook   string            `json:"webhook,omitempty"`
	Filter    []string          `json:"webhook_events_filter,omitempty"`
}

const (
	startEvent  = "start" // when the work began
	outputEvent = "output"

	usualWait = 60 * time.Second
	stopWait  = 2 * time.Second // for work to end that was cancelled
	look      = 50 * time.Millisecond
)

// create answers the three paths that ask for a prediction. From inside it is the work itself.
func (h *handler) create(c *api.Call) error {
	if sink := jobs.SinkOf(c.R.Context()); sink != nil {
		return h.work(c, sink)
	}
	var b body
	if err := c.Decode(&b, bodyFields()); err != nil {
		return err
	}
	m, err := b.model(c)
	if err != nil {
		return err
	}
	if isNull(b.Input) || b.Input[0] != '{' {
		return invalid("input", "input must be an object")
	}
	// Who asks for what cannot be is told now.
	if m.Chats || !m.Embeds {
		_, err = readInput(b.Input, m.Name, c.Strict())
	} else {
		_, err = readTexts(b.Input, m.Name)
	}
	if err != nil {
		return err
	}
	rec := record{Model: m.Name, Version: versionOf(m), Base: base(c), Webhook: b.Webhook, Filter: b.Filter}
	if err := h.checkWebhook(&b); err != nil {
		return err
	}
	if rec.Until, err = cancelAfter(c); err != nil {
		return err
	}
	wait, err := waitOf(c)
	if err != nil {
		return err
	}
	text, err := api.Encode(&rec)
	if err != nil {
		return err
	}
	k, err := h.Store.Keep(c.R.Context(), jobs.Kept{ID: newID(), Owner: c.Owner(), Key: c.KeyID(), Dialect: dialect, State: jobs.Queued,
		Path: "/replicate/v1/predictions", Request: json.RawMessage("{}"), Input: b.Input, Answer: text, Expires: time.Now().Add(keepFor)})
	if err != nil {
		return err
	}
	return h.begun(c, k, wait)
}

// model is the model that a prediction is asked of: by the path, or by the version.
func (b *body) model(c *api.Call) (*chat.Model, error) {
	if c.R.PathValue("name") != "" {
		return find(c)
	}
	if b.Version == "" {
		return nil, missing("version")
	}
	return byVersion(c, b.Version)
}

// newID is a prediction's name; their clients take what they get.
func newID() string { return api.NewID() }

// waitOf is how long the caller would like to wait for the end.
func waitOf(c *api.Call) (time.Duration, error) {
	for _, part := range strings.FieldsFunc(c.R.Header.Get("Prefer"), func(r rune) bool { return r == ',' || r == ';' }) {
		name, value, given := strings.Cut(strings.TrimSpace(part), "=")
		if name != "wait" {
			continue
		}
		if !given {
			return usualWait, nil
		}
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 || n > 60 {
			return 0, invalid("Prefer", "the header Prefer says wait=%.20s: it must be from 1 to 60 seconds", value)
		}
		return time.Duration(n) * time.Second, nil
	}
	return 0, nil
}

// cancelAfter is when the caller wants no answer any more.
func cancelAfter(c *api.Call) (string, error) {
	text := c.R.Header.Get("Cancel-After")
	if text == "" {
		return "", nil
	}
	d, err := time.ParseDuration(text)
	if n, bad := strconv.Atoi(text); bad == nil {
		d, err = time.Duration(n)*time.Second, nil
	}
	if err != nil || d < 5*time.Second {
		return "", invalid("Cancel-After", "the header Cancel-After is %.20q: it must be at least 5 seconds, as in 30s or 5m", text)
	}
	return time.Now().Add(d).UTC().Format(stamp), nil
}

// begun answers with a new prediction: when it has ended, or when the wait is over. Whoever leaves does not
// stop it.
func (h *handler) begun(c *api.Call, k jobs.Kept, wait time.Duration) error {
	k, err := h.await(c.R.Context(), k, wait)
	if err != nil {
		return err
	}
	p, err := h.render(c.R.Context(), &k)
	if err != nil {
		return err
	}
	status := http.StatusCreated
	if !k.Ended() {
		p.Status, p.Output = "starting", nil // their clients take processing for the end of a wait
		if wait > 0 {
			status = http.StatusAccepted
		}
	}
	return c.JSON(status, p)
}

// await is a prediction when it has ended, or as it is when the wait is over.
func (h *handler) await(ctx context.Context, k jobs.Kept, wait time.Duration) (jobs.Kept, error) {
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for !k.Ended() && waiting.Err() == nil {
		select {
		case <-waiting.Done():
		case <-time.After(look):
		}
		now, err := h.Store.Kept(context.WithoutCancel(ctx), k.Owner, dialect, k.ID)
		if err != nil {
			return k, err
		}
		k = now
	}
	return k, nil
}

func (h *handler) kept(c *api.Call) (jobs.Kept, error) {
	id := c.R.PathValue("id")
	k, err := h.Store.Kept(c.R.Context(), c.Owner(), dialect, id)
	if errors.Is(err, jobs.ErrNotFound) {
		err = jobs.ErrNotFound.Because("replicate: there is no prediction %.80q: they are kept for a day", id)
	}
	return k, err
}

func (h *handler) get(c *api.Call) error {
	k, err := h.kept(c)
	if err != nil {
		return err
	}
	p, err := h.render(c.R.Context(), &k)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, p)
}

func (h *handler) cancel(c *api.Call) error {
	k, err := h.kept(c)
	if err != nil {
		return err
	}
	if k, err = h.Store.Stop(c.R.Context(), k.Owner, dialect, k.ID); err != nil {
		return err
	}
	if k.State == jobs.Stopped { // nobody had begun, so nobody else tells
		h.tellEnd(&k)
	}
	if k, err = h.await(c.R.Context(), k, stopWait); err != nil {
		return err
	}
	p, err := h.render(c.R.Context(), &k)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, p)
}

const pageSize = 100

// list answers GET /v1/predictions, the newest first.
func (h *handler) list(c *api.Call) error {
	all, more, err := h.Store.Answers(c.R.Context(), c.Owner(), dialect, jobs.Page{After: c.R.URL.Query().Get("cursor"), Limit: pageSize})
	if err != nil {
		return err
	}
	out := page{}
	if more {
		next := base(c) + "/v1/predictions?cursor=" + all[pageSize-1].ID
		out.Next = &next
	}
	results := make([]*prediction, len(all))
	for i := range all {
		if results[i], err = h.render(c.R.Context(), &all[i]); err != nil {
			return err
		}
	}
	out.Results = results
	return c.JSON(http.StatusOK, out)
}

// statusOf is Replicate's word.
func statusOf(k *jobs.Kept, rec *record) string {
	switch k.State {
	case jobs.Queued:
		return "starting"
	case jobs.Working:
		return "processing"
	case jobs.Stopping, jobs.Stopped:
		return "canceled"
	}
	if k.State == jobs.Refused || rec.Error != "" {
		return "failed"
	}
	return "succeeded"
}

// render is a prediction as it is now, with what it has said so far.
func (h *handler) render(ctx context.Context, k *jobs.Kept) (*prediction, error) {
	var rec record
	if err := json.Unmarshal(k.Answer, &rec); err != nil {
		return nil, err
	}
	out := &prediction{ID: k.ID, Model: slug(rec.Model), Version: rec.Version, Input: k.Input, Output: rec.Output, Status: statusOf(k, &rec),
		Created: k.Created.Format(stamp), Source: "api", Metrics: rec.Metrics, Webhook: rec.Webhook, Filter: rec.Filter, URLs: map[string]string{}}
	url := rec.Base + "/v1/predictions/" + k.ID
	out.URLs["get"], out.URLs["web"], out.URLs["cancel"], out.URLs["stream"] = url, url, url+"/cancel", url+"/stream"
	if rec.Started != "" {
		out.Started = &rec.Started
	}
	if rec.Error != "" {
		out.Error = &rec.Error
	}
	if !k.EndedAt.IsZero() {
		at := k.EndedAt.Format(stamp)
		out.Completed = &at
	}
	if k.State == jobs.Refused {
		text := refusalText(k.Failure)
		out.Error = &text
	}
	if k.State == jobs.Done {
		return out, nil
	}
	return out, h.soFar(ctx, k, out)
}

// soFar adds what a prediction that is not done has said.
func (h *handler) soFar(ctx context.Context, k *jobs.Kept, out *prediction) error {
	events, err := h.Store.Events(ctx, k.ID, -1)
	if err != nil {
		return err
	}
	var pieces []string
	for _, e := range events {
		switch e.Name {
		case startEvent:
			at := string(e.Text)
			out.Started = &at
		case outputEvent:
			pieces = append(pieces, string(e.Text))
		}
	}
	if pieces != nil {
		out.Output, err = api.Encode(pieces)
	}
	return err
}

// refusalText is why a prediction could not even be tried.
func refusalText(failure json.RawMessage) string {
	var f struct {
		Detail string `json:"detail"` // our own form
		Error  struct {
			Message string `json:"message"` // of package jobs
		} `json:"error"`
	}
	_ = json.Unmarshal(failure, &f) // a form that we do not know says nothing
	switch {
	case f.Detail != "":
		return f.Detail
	case f.Error.Message != "":
		return f.Error.Message
	}
	return "the prediction was refused"
}

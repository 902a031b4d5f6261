package anthropic

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/fault"
	"github.com/galerne-ai/galerne/internal/jobs"
)

// dialect is what jobs calls our batches.
const dialect = "anthropic"

// window is how long a batch may take.
const window = 24 * time.Hour

// Dialects are for jobs.Options. Results lie with the batch: there are no files.
func Dialects() map[string]jobs.Dialect { return map[string]jobs.Dialect{dialect: {}} }

// batches answers message batches; package jobs does the work and outlives the process.
type batches struct{ s *jobs.Store }

func (h *batches) routes() []api.Route {
	return []api.Route{
		{Method: "POST", Pattern: "/v1/messages/batches", Scope: api.Files, Handle: h.create, Body: batchBody{}},
		{Method: "GET", Pattern: "/v1/messages/batches", Scope: api.Files, Handle: h.list},
		{Method: "GET", Pattern: "/v1/messages/batches/{id}", Scope: api.Files, Handle: h.get},
		{Method: "DELETE", Pattern: "/v1/messages/batches/{id}", Scope: api.Files, Handle: h.delete},
		{Method: "POST", Pattern: "/v1/messages/batches/{id}/cancel", Scope: api.Files, Handle: h.cancel},
		{Method: "GET", Pattern: "/v1/messages/batches/{id}/results", Scope: api.Files, Handle: h.results},
	}
}

type batchBody struct {
	Requests []batchRequest `json:"requests"`
}

type batchRequest struct {
	ID     string          `json:"custom_id"`
	Params json.RawMessage `json:"params"`
}

// customID is what Anthropic allows.
var customID = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)

// create answers POST /v1/messages/batches. What is wrong with one message's params its own result tells.
func (h *batches) create(c *api.Call) error {
	var b batchBody
	if err := c.Decode(&b, nil); err != nil {
		return err
	}
	if err := b.check(); err != nil {
		return err
	}
	made := jobs.Batch{Owner: c.Owner(), Key: c.KeyID(), Dialect: dialect, Endpoint: "/v1/messages", Expires: time.Now().Add(window)}
	made, err := h.s.Create(c.R.Context(), made, b.items())
	if err != nil {
		return err
	}
	if len(made.Errors) > 0 {
		_ = h.s.DeleteBatch(c.R.Context(), made.Owner, dialect, made.ID) // of a batch that was not taken nothing is kept
		return invalid("requests", "%s", made.Errors[0].Message)
	}
	return c.JSON(http.StatusOK, batchOf(c, &made))
}

func (b *batchBody) check() error {
	if len(b.Requests) == 0 {
		return invalid("requests", "requests is empty: at least one is required")
	}
	seen := map[string]int{}
	for i, r := range b.Requests {
		at := fmt.Sprintf("requests[%d]", i)
		if first, twice := seen[r.ID]; twice {
			return invalid(at+".custom_id", "%s.custom_id is %q, which requests[%d] has: each must be there once", at, r.ID, first)
		}
		seen[r.ID] = i
		var head struct {
			Stream bool `json:"stream"`
		}
		switch {
		case !customID.MatchString(r.ID):
			return invalid(at+".custom_id", "%s.custom_id is %.80q: it must have 1 to 64 letters, digits, underscores and dashes", at, r.ID)
		case len(r.Params) == 0 || r.Params[0] != '{':
			return invalid(at+".params", "%s.params must be an object, as /v1/messages takes it", at)
		case json.Unmarshal(r.Params, &head) == nil && head.Stream:
			return invalid(at+".params.stream", "%s.params.stream is true: answers of a batch cannot be streamed", at)
		}
	}
	return nil
}

func (b *batchBody) items() iter.Seq2[jobs.Item, error] {
	return func(yield func(jobs.Item, error) bool) {
		for _, r := range b.Requests {
			if !yield(jobs.Item{Name: r.ID, Method: http.MethodPost, Path: "/" + dialect + "/v1/messages", Body: r.Params}, nil) {
				return
			}
		}
	}
}

type batchCounts struct {
	Processing int `json:"processing"`
	Succeeded  int `json:"succeeded"`
	Errored    int `json:"errored"`
	Canceled   int `json:"canceled"`
	Expired    int `json:"expired"`
}

// batch has every key always; times that have not come are null.
type batch struct {
	ID         string      `json:"id"`
	Type       string      `json:"type"`
	Status     string      `json:"processing_status"`
	Counts     batchCounts `json:"request_counts"`
	Created    string      `json:"created_at"`
	Expires    string      `json:"expires_at"`
	Ended      *string     `json:"ended_at"`
	Canceling  *string     `json:"cancel_initiated_at"`
	Archived   *string     `json:"archived_at"`
	ResultsURL *string     `json:"results_url"`
}

func batchOf(c *api.Call, b *jobs.Batch) batch {
	out := batch{ID: "msgbatch_" + b.ID, Type: "message_batch", Status: "in_progress", Created: b.Created.UTC().Format(time.RFC3339),
		Expires: b.Expires.UTC().Format(time.RFC3339), Ended: when(b.EndedAt), Canceling: when(b.Cancelling),
		Counts: batchCounts{Succeeded: b.Completed, Errored: b.Failed}}
	rest := &out.Counts.Processing
	switch {
	case b.Status == jobs.Cancelling:
		out.Status = "canceling"
	case b.Ended():
		out.Status = "ended"
		url := resultsURL(c.R, out.ID)
		out.ResultsURL = &url
		rest = map[jobs.Status]*int{jobs.Cancelled: &out.Counts.Canceled, jobs.Expired: &out.Counts.Expired}[b.Status]
		if rest == nil {
			rest = &out.Counts.Errored
		}
	}
	*rest += b.Total - b.Completed - b.Failed
	return out
}

func when(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	text := t.UTC().Format(time.RFC3339)
	return &text
}

// resultsURL is where the caller reaches this server, by the name and the prefix that it has used.
func resultsURL(r *http.Request, id string) string {
	scheme, prefix := "http", ""
	if r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" {
		scheme = "https"
	}
	if strings.HasPrefix(r.RequestURI, "/"+dialect+"/") {
		prefix = "/" + dialect
	}
	return scheme + "://" + r.Host + prefix + "/v1/messages/batches/" + id + "/results"
}

func batchID(id string) string { return strings.TrimPrefix(id, "msgbatch_") }

// list answers GET /v1/messages/batches, the newest first.
func (h *batches) list(c *api.Call) error {
	q := c.R.URL.Query()
	p := jobs.Page{After: batchID(q.Get("after_id")), Limit: usualModels}
	if text := q.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxModels {
			return invalid("limit", "limit is %.60q: it must be from 1 to %d", text, maxModels)
		}
		p.Limit = n
	}
	if before := batchID(q.Get("before_id")); before != "" {
		if p.After != "" {
			return invalid("before_id", "after_id and before_id are both given: send one")
		}
		p.After, p.Oldest = before, true
	}
	all, more, err := h.s.Batches(c.R.Context(), c.Owner(), dialect, p)
	if err != nil {
		return err
	}
	if p.Oldest {
		slices.Reverse(all)
	}
	out := struct {
		Data    []batch `json:"data"`
		HasMore bool    `json:"has_more"`
		FirstID *string `json:"first_id"`
		LastID  *string `json:"last_id"`
	}{Data: []batch{}, HasMore: more}
	for i := range all {
		out.Data = append(out.Data, batchOf(c, &all[i]))
	}
	if n := len(out.Data); n > 0 {
		out.FirstID, out.LastID = &out.Data[0].ID, &out.Data[n-1].ID
	}
	return c.JSON(http.StatusOK, &out)
}

func (h *batches) get(c *api.Call) error {
	b, err := h.s.Batch(c.R.Context(), c.Owner(), dialect, batchID(c.R.PathValue("id")))
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, batchOf(c, &b))
}

// cancel answers with the batch, also where it has ended already.
func (h *batches) cancel(c *api.Call) error {
	b, err := h.s.Cancel(c.R.Context(), c.Owner(), dialect, batchID(c.R.PathValue("id")))
	if err != nil && !(errors.Is(err, jobs.ErrState) && b.Ended()) {
		return err
	}
	return c.JSON(http.StatusOK, batchOf(c, &b))
}

func (h *batches) delete(c *api.Call) error {
	id := batchID(c.R.PathValue("id"))
	if err := h.s.DeleteBatch(c.R.Context(), c.Owner(), dialect, id); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]string{"id": "msgbatch_" + id, "type": "message_batch_deleted"})
}

// results answers GET /v1/messages/batches/{id}/results: a line a message, in the order of the requests.
func (h *batches) results(c *api.Call) error {
	b, err := h.s.Batch(c.R.Context(), c.Owner(), dialect, batchID(c.R.PathValue("id")))
	if err != nil {
		return err
	}
	if !b.Ended() {
		return jobs.ErrState.Because("anthropic: the batch has not ended: its results are there when processing_status is ended")
	}
	c.W.Header().Set("Content-Type", "application/x-jsonl")
	return h.s.Results(c.R.Context(), &b, func(r *jobs.Result) error {
		line, err := api.Encode(resultOf(&b, r))
		if err != nil {
			return err
		}
		_, err = c.W.Write(append(line, '\n'))
		return err
	})
}

type batchResult struct {
	ID     string `json:"custom_id"`
	Result struct {
		Type    string          `json:"type"`
		Message json.RawMessage `json:"message,omitempty"`
		Error   any             `json:"error,omitempty"`
	} `json:"result"`
}

func resultOf(b *jobs.Batch, r *jobs.Result) *batchResult {
	out := &batchResult{ID: r.Name}
	to := &out.Result
	switch {
	case r.Status == 0 && b.Status == jobs.Cancelled:
		to.Type = "canceled"
	case r.Status == 0 && b.Status == jobs.Expired:
		to.Type = "expired"
	case r.Status == 0:
		text := "the batch has failed"
		if len(b.Errors) > 0 {
			text = b.Errors[0].Message
		}
		to.Type, to.Error = "errored", errorOf(&api.Failure{Kind: fault.Internal, Status: http.StatusInternalServerError, Message: text})
	case r.Status < http.StatusBadRequest && json.Valid(r.Body):
		to.Type, to.Message = "succeeded", r.Body
	default:
		to.Type = "errored"
		if to.Error = json.RawMessage(r.Body); !json.Valid(r.Body) {
			to.Error = errorOf(&api.Failure{Kind: fault.Internal, Status: http.StatusInternalServerError, Message: "the answer was cut", RequestID: r.RequestID})
		}
	}
	return out
}

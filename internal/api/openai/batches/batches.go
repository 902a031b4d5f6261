// Package batches answers: how do OpenAI's clients store files and have many requests answered at
// leisure? Package jobs does the work and outlives the process; here are the words.
package batches

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/openai"
	"github.com/galerne-ai/galerne/internal/api/openai/page"
	"github.com/galerne-ai/galerne/internal/jobs"
)

// dialect is what jobs calls our batches.
const dialect = "openai"

// window is how long a batch may take, the only one that OpenAI's clients may ask for.
const window = 24 * time.Hour

// Routes are for openai.Surface.
func Routes(s *jobs.Store) []api.Route {
	h := &handler{s}
	return []api.Route{
		{Method: "POST", Pattern: "/v1/files", Scope: api.Files, Handle: h.upload, Body: uploadForm{}},
		{Method: "GET", Pattern: "/v1/files", Scope: api.Files, Handle: h.listFiles},
		{Method: "GET", Pattern: "/v1/files/{id}", Scope: api.Files, Handle: h.file},
		{Method: "DELETE", Pattern: "/v1/files/{id}", Scope: api.Files, Handle: h.deleteFile},
		{Method: "GET", Pattern: "/v1/files/{id}/content", Scope: api.Files, Handle: h.content},
		{Method: "POST", Pattern: "/v1/batches", Scope: api.Files, Handle: h.create, Body: body{}, Fields: fields()},
		{Method: "GET", Pattern: "/v1/batches", Scope: api.Files, Handle: h.list},
		{Method: "GET", Pattern: "/v1/batches/{id}", Scope: api.Files, Handle: h.get},
		{Method: "POST", Pattern: "/v1/batches/{id}/cancel", Scope: api.Files, Handle: h.cancel},
	}
}

// Dialects are for jobs.Options.
func Dialects() map[string]jobs.Dialect {
	return map[string]jobs.Dialect{dialect: {Purpose: "batch_output", Line: line}}
}

type handler struct{ s *jobs.Store }

// endpoints are what a batch's requests may ask.
func endpoints() []string {
	return []string{"/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses", "/v1/moderations"}
}

type body struct {
	Input    string            `json:"input_file_id"`
	Endpoint string            `json:"endpoint"`
	Window   string            `json:"completion_window"`
	Metadata map[string]string `json:"metadata"`
}

func fields() []api.Field {
	return []api.Field{openai.Refused("output_expires_after", "delete the files when you have read them")}
}

// create answers POST /v1/batches. The file is read before the answer, so that a batch that cannot be
// read has failed from the begin.
func (h *handler) create(c *api.Call) error {
	var b body
	if err := c.Decode(&b, fields()); err != nil {
		return err
	}
	switch {
	case b.Input == "":
		return openai.Missing("input_file_id")
	case b.Endpoint == "":
		return openai.Missing("endpoint")
	case b.Window == "":
		return openai.Missing("completion_window")
	case !slices.Contains(endpoints(), b.Endpoint):
		return openai.Invalid("endpoint", "endpoint is %q: %s are possible", b.Endpoint, strings.Join(endpoints(), ", "))
	case b.Window != "24h":
		return openai.Invalid("completion_window", "completion_window is %q: only 24h is possible", b.Window)
	}
	if err := openai.CheckMetadata(b.Metadata); err != nil {
		return err
	}
	f, file, err := h.s.OpenFile(c.R.Context(), c.Owner(), fileID(b.Input))
	if err != nil {
		return page.At("input_file_id", err)
	}
	defer f.Close()
	if file.Purpose != "batch" {
		return openai.Invalid("input_file_id", "the file %s has the purpose %q: upload it with the purpose batch", b.Input, file.Purpose)
	}
	metadata, err := json.Marshal(b.Metadata)
	if err != nil {
		return err
	}
	made := jobs.Batch{Owner: c.Owner(), Key: c.KeyID(), Dialect: dialect, Endpoint: b.Endpoint, Input: file.ID, Metadata: metadata, Expires: time.Now().Add(window)}
	if made, err = h.s.Create(c.R.Context(), made, items(f, b.Endpoint)); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, batchOf(&made))
}

const maxLine = 16 << 20 // bytes; jobs limits the request in it further

// items reads a file of requests. Empty lines are passed over at its end only.
func items(r io.Reader, endpoint string) iter.Seq2[jobs.Item, error] {
	return func(yield func(jobs.Item, error) bool) {
		lines := bufio.NewScanner(r)
		lines.Buffer(make([]byte, 1<<16), maxLine)
		n, empty := 0, 0
		for lines.Scan() {
			n++
			text := lines.Bytes()
			if n == 1 {
				text = bytes.TrimPrefix(text, []byte("\ufeff"))
			}
			if text = bytes.TrimSpace(text); len(text) == 0 {
				empty++
				continue
			}
			for ; empty > 0; empty-- {
				if !yield(jobs.Item{}, wrong(n-empty, "invalid_json_line", "", "the line is empty")) {
					return
				}
			}
			item, err := itemOf(n, text, endpoint)
			if !yield(item, err) {
				return
			}
		}
		switch err := lines.Err(); {
		case errors.Is(err, bufio.ErrTooLong):
			yield(jobs.Item{}, wrong(n+1, "request_too_large", "", "the line is longer than %d bytes", maxLine))
		case err != nil:
			yield(jobs.Item{}, err)
		}
	}
}

func wrong(line int, code, param, format string, args ...any) error {
	return &jobs.Invalid{Line: line, Code: code, Param: param, Message: fmt.Sprintf(format, args...)}
}

func itemOf(n int, text []byte, endpoint string) (jobs.Item, error) {
	var l struct {
		ID     *string         `json:"custom_id"`
		Method *string         `json:"method"`
		URL    *string         `json:"url"`
		Body   json.RawMessage `json:"body"`
	}
	if err := json.Unmarshal(text, &l); err != nil {
		return jobs.Item{}, wrong(n, "invalid_json_line", "", "the line is no JSON object as a batch has it: %v", err)
	}
	var head struct {
		Stream bool `json:"stream"`
	}
	switch {
	case l.ID == nil || *l.ID == "":
		return jobs.Item{}, wrong(n, "missing_required_parameter", "custom_id", "custom_id is missing")
	case len(*l.ID) > 512:
		return jobs.Item{}, wrong(n, "invalid_custom_id", "custom_id", "custom_id has %d bytes, at most 512 are taken", len(*l.ID))
	case l.Method == nil || *l.Method != http.MethodPost:
		return jobs.Item{}, wrong(n, "invalid_method", "method", "method must be POST")
	case l.URL == nil || *l.URL != endpoint:
		return jobs.Item{}, wrong(n, "mismatched_url", "url", "url must be the batch's endpoint, %s", endpoint)
	case len(l.Body) == 0 || l.Body[0] != '{':
		return jobs.Item{}, wrong(n, "invalid_request", "body", "body must be an object")
	case json.Unmarshal(l.Body, &head) == nil && head.Stream:
		return jobs.Item{}, wrong(n, "invalid_request", "body.stream", "answers of a batch cannot be streamed: leave stream out")
	}
	return jobs.Item{Name: *l.ID, Method: http.MethodPost, Path: "/openai" + endpoint, Body: l.Body}, nil
}

// line is a result as a file of results has it.
func line(b *jobs.Batch, r *jobs.Result) ([]byte, bool, error) {
	type answer struct {
		Status    int             `json:"status_code"`
		RequestID string          `json:"request_id"`
		Body      json.RawMessage `json:"body"`
	}
	type problem struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	out := struct {
		ID     string   `json:"id"`
		Custom string   `json:"custom_id"`
		Answer *answer  `json:"response"`
		Error  *problem `json:"error"`
	}{ID: "batch_req_" + b.ID + "_" + strconv.Itoa(r.N), Custom: r.Name}
	if r.Status == 0 {
		out.Error = &problem{"batch_expired", "This request could not be executed before the completion window expired."}
	} else {
		out.Answer = &answer{r.Status, r.RequestID, r.Body}
		if !json.Valid(r.Body) {
			text, err := json.Marshal(string(r.Body))
			if err != nil {
				return nil, false, err
			}
			out.Answer.Body = text
		}
	}
	text, err := api.Encode(&out)
	return text, r.Status == 0 || r.Status >= 400, err
}

// list answers GET /v1/batches.
func (h *handler) list(c *api.Call) error {
	p, err := page.Read(c, "batch_", page.Shape{Usual: 20, Most: 100})
	if err != nil {
		return err
	}
	all, more, err := h.s.Batches(c.R.Context(), c.Owner(), dialect, p)
	if err != nil {
		return page.At("after", err)
	}
	out := []batch{}
	for i := range all {
		out = append(out, batchOf(&all[i]))
	}
	return c.JSON(http.StatusOK, page.Of(out, more, func(b *batch) string { return b.ID }))
}

func (h *handler) get(c *api.Call) error {
	b, err := h.s.Batch(c.R.Context(), c.Owner(), dialect, strings.TrimPrefix(c.R.PathValue("id"), "batch_"))
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, batchOf(&b))
}

func (h *handler) cancel(c *api.Call) error {
	b, err := h.s.Cancel(c.R.Context(), c.Owner(), dialect, strings.TrimPrefix(c.R.PathValue("id"), "batch_"))
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, batchOf(&b))
}

type problems struct {
	Object string    `json:"object"`
	Data   []problem `json:"data"`
}

type problem struct {
	Code    string  `json:"code"`
	Message string  `json:"message"`
	Param   *string `json:"param"`
	Line    *int    `json:"line"`
}

type counts struct {
	Total     int `json:"total"`
	Completed int `json:"completed"`
	Failed    int `json:"failed"`
}

// batch has every key always; times that have not come are null.
type batch struct {
	ID          string          `json:"id"`
	Object      string          `json:"object"`
	Endpoint    string          `json:"endpoint"`
	Errors      *problems       `json:"errors"`
	Input       string          `json:"input_file_id"`
	Window      string          `json:"completion_window"`
	Status      string          `json:"status"`
	Output      *string         `json:"output_file_id"`
	Failures    *string         `json:"error_file_id"`
	Created     int64           `json:"created_at"`
	InProgress  *int64          `json:"in_progress_at"`
	Expires     *int64          `json:"expires_at"`
	Finalizing  *int64          `json:"finalizing_at"`
	CompletedAt *int64          `json:"completed_at"`
	FailedAt    *int64          `json:"failed_at"`
	ExpiredAt   *int64          `json:"expired_at"`
	Cancelling  *int64          `json:"cancelling_at"`
	CancelledAt *int64          `json:"cancelled_at"`
	Counts      counts          `json:"request_counts"`
	Metadata    json.RawMessage `json:"metadata"`
}

func batchOf(b *jobs.Batch) batch {
	out := batch{ID: "batch_" + b.ID, Object: "batch", Endpoint: b.Endpoint, Input: "file-" + b.Input, Window: "24h", Status: string(b.Status),
		Output: orNull("file-", b.Output), Failures: orNull("file-", b.Failures), Created: b.Created.Unix(), Expires: seconds(b.Expires),
		Finalizing: seconds(b.Finalizing), Cancelling: seconds(b.Cancelling), Counts: counts{b.Total, b.Completed, b.Failed}, Metadata: b.Metadata}
	if b.Total > 0 {
		out.InProgress = &out.Created
	}
	end := seconds(b.EndedAt)
	switch b.Status {
	case jobs.Completed:
		out.CompletedAt = end
	case jobs.Failed:
		out.FailedAt = end
	case jobs.Expired:
		out.ExpiredAt = end
	case jobs.Cancelled:
		out.CancelledAt = end
	}
	if len(b.Errors) > 0 {
		out.Errors = &problems{Object: "list"}
	}
	for _, e := range b.Errors {
		p := problem{Code: e.Code, Message: e.Message, Param: orNull("", e.Param)}
		if e.Line > 0 {
			p.Line = &e.Line
		}
		out.Errors.Data = append(out.Errors.Data, p)
	}
	return out
}

func orNull(prefix, text string) *string {
	if text == "" {
		return nil
	}
	text = prefix + text
	return &text
}

func seconds(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	s := t.Unix()
	return &s
}

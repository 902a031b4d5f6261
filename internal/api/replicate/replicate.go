// Package replicate answers: what do Replicate's clients say and expect, word for word? A prediction is made
// in the background, whoever waits: it is a kept answer of package jobs, goes on after a restart, and can be
// waited for, asked about, streamed and cancelled; whoever wants is told of it by a signed request.
//
// A model is named OWNER/NAME. One here that has no owner in its name is galerne's. Its version is the digest
// of its weights. Inputs are those that language models have there (input.go).
package replicate

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/fault"
	"github.com/galerne-ai/galerne/internal/jobs"
)

// Options of the surface.
type Options struct {
	Store *jobs.Store
	// May says why an address may not be told; nil lets all be. Send tells a webhook something and gives
	// the status of its answer; nil: no webhooks.
	May     func(address *url.URL) error
	Send    func(ctx context.Context, url string, header http.Header, body []byte) (status int, err error)
	Secret  []byte          // that webhooks are signed with
	Telling *sync.WaitGroup // who still tells webhooks of the end, for at most tellFor; nil: nobody waits for them
	Ending  <-chan struct{} // closed when the server ends: webhooks that did not hear are not told again
}

// Surface is Replicate's API.
func Surface(o Options) *api.Surface {
	if o.Telling == nil {
		o.Telling = new(sync.WaitGroup)
	}
	h := &handler{o}
	s := &api.Surface{
		Name:   "replicate",
		Marks:  []api.Mark{{Header: "User-Agent", Prefix: "replicate-"}},
		Error:  writeError,
		Absent: absent(),
	}
	create := func(pattern, note string) api.Route {
		return api.Route{Method: "POST", Pattern: pattern, Scope: api.Generate, Handle: h.create, Note: note}
	}
	first := create("/v1/models/{owner}/{name}/predictions", "input is that of language models; docs/replicate.md lists it")
	first.Body, first.Fields = body{}, bodyFields()
	s.Routes = append([]api.Route{
		first,
		create("/v1/predictions", "the same, with version"),
		create("/v1/deployments/{owner}/{name}/predictions", "as of a model of that name"),
		{Method: "GET", Pattern: "/v1/predictions", Scope: api.Generate, Handle: h.list},
		{Method: "GET", Pattern: "/v1/predictions/{id}", Scope: api.Generate, Handle: h.get},
		{Method: "GET", Pattern: "/v1/predictions/{id}/stream", Scope: api.Generate, Handle: h.stream},
		{Method: "POST", Pattern: "/v1/predictions/{id}/cancel", Scope: api.Generate, Handle: h.cancel},
		{Method: "GET", Pattern: "/v1/models", Scope: api.Models, Handle: listModels},
		{Method: "GET", Pattern: "/v1/models/{owner}/{name}", Scope: api.Models, Handle: getModel},
		{Method: "GET", Pattern: "/v1/models/{owner}/{name}/versions", Scope: api.Models, Handle: listVersions},
		{Method: "GET", Pattern: "/v1/models/{owner}/{name}/versions/{id}", Scope: api.Models, Handle: getVersion},
		{Method: "GET", Pattern: "/v1/account", Scope: api.Models, Handle: account},
		{Method: "GET", Pattern: "/v1/hardware", Scope: api.Models, Handle: hardware},
		{Method: "GET", Pattern: "/v1/collections", Scope: api.Models, Handle: collections},
		{Method: "GET", Pattern: "/v1/webhooks/default/secret", Scope: api.Generate, Handle: h.secret},
	}, unserved()...)
	return s
}

// handler answers about predictions.
type handler struct{ Options }

const (
	dialect = "replicate"    // what jobs calls our predictions
	keepFor = 24 * time.Hour // how long a prediction is kept; Replicate keeps what they say for an hour
	stamp   = "2006-01-02T15:04:05.000Z"
)

// problem is an error as RFC 7807 has it.
type problem struct {
	Title   string         `json:"title"`
	Detail  string         `json:"detail"`
	Status  int            `json:"status"`
	Type    string         `json:"type,omitempty"`
	Request string         `json:"instance"`
	Invalid []invalidField `json:"invalid_fields,omitempty"`
}

type invalidField struct {
	Type        string `json:"type"`
	Field       string `json:"field"`
	Description string `json:"description"`
}

// writeError writes an error as Replicate does.
func writeError(c *api.Call, f *api.Failure) {
	out := problem{Title: title(f), Detail: f.Message, Status: f.Status, Request: f.RequestID}
	switch {
	case f.Code == api.ErrQuota.Code:
		out.Status = http.StatusPaymentRequired
	case f.Kind == fault.Invalid && f.Status == http.StatusBadRequest && f.Code != api.ErrBody.Code || f.Code == chat.ErrRequest.Code && f.Param != "":
		out.Status = http.StatusUnprocessableEntity
		out.Title = "Input validation failed"
		if f.Param != "" {
			out.Invalid = []invalidField{{"required", f.Param, f.Message}}
			if !strings.HasSuffix(f.Message, "is missing") {
				out.Invalid[0].Type = "invalid"
			}
		}
	}
	_ = c.JSON(out.Status, &out) // strings only: cannot fail
}

func title(f *api.Failure) string {
	switch {
	case f.Code == api.ErrQuota.Code:
		return "Insufficient credit"
	case f.Status == http.StatusUnauthorized:
		return "Unauthenticated"
	case f.Status == http.StatusForbidden:
		return "Permission denied"
	case f.Status == http.StatusTooManyRequests:
		return "Request was throttled"
	case f.Status >= http.StatusInternalServerError:
		return "Server error"
	}
	return http.StatusText(f.Status)
}

// invalid is an error about one field.
func invalid(param, format string, args ...any) error {
	return chat.ErrRequest.Because("replicate: "+format, args...).At(param)
}

// unsupported is a field that is understood and cannot be honoured.
func unsupported(param, format string, args ...any) error {
	return chat.ErrUnsupported.Because("replicate: "+format, args...).At(param)
}

// missing is a field that must be there.
func missing(param string) error { return invalid(param, "%s is missing", param) }

// base is where the caller reaches this surface.
func base(c *api.Call) string {
	scheme := "http://"
	if c.R.TLS != nil || c.R.Header.Get("X-Forwarded-Proto") == "https" {
		scheme = "https://"
	}
	prefix := ""
	if strings.HasPrefix(c.R.RequestURI, "/replicate/") {
		prefix = "/replicate"
	}
	return scheme + c.R.Host + prefix
}

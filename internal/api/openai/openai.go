// Package openai answers: what do OpenAI's clients say and expect, word for word? It reads their
// requests into package chat's, and writes chat's events as their answers, streams and errors.
//
// Fields that are known and cannot be honoured are refused by name (fields.go lists them); fields
// that nobody knows are passed over unless the server is strict.
package openai

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/fault"
)

// Surface is OpenAI's API, with routes that packages above this one add or have in the place of ours.
func Surface(more ...api.Route) *api.Surface {
	return &api.Surface{
		Name: "openai",
		Marks: []api.Mark{
			{Header: "OpenAI-Organization"}, {Header: "OpenAI-Project"}, {Header: "OpenAI-Beta"},
			{Header: "User-Agent", Prefix: "OpenAI/"}, {Header: "User-Agent", Prefix: "AsyncOpenAI/"},
		},
		Routes: joined([]api.Route{
			{Method: "POST", Pattern: "/v1/chat/completions", Scope: api.Generate, Handle: Chat, Body: chatBody{}, Fields: chatFields()},
			{Method: "POST", Pattern: "/v1/completions", Scope: api.Generate, Handle: completions, Body: textBody{}, Fields: completionFields()},
			{Method: "POST", Pattern: "/v1/embeddings", Scope: api.Embed, Handle: Embeddings, Body: embeddingBody{}, Fields: embeddingFields()},
			{Method: "POST", Pattern: "/v1/moderations", Scope: api.Embed, Handle: moderations, Body: moderationBody{}, Fields: Hints("user"),
				Note: "by the served model, which is asked about each category; a model that is wrong about known examples is refused"},
			{Method: "GET", Pattern: "/v1/models", Scope: api.Models, Handle: listModels},
			{Method: "GET", Pattern: "/v1/models/{id...}", Scope: api.Models, Handle: getModel},
		}, more),
		Error:  Error,
		Head:   head,
		Absent: absent(),
	}
}

func joined(own, more []api.Route) []api.Route {
	for _, rt := range more {
		same := func(o api.Route) bool { return o.Method == rt.Method && o.Pattern == rt.Pattern }
		if i := slices.IndexFunc(own, same); i >= 0 {
			own[i] = rt
		} else {
			own = append(own, rt)
		}
	}
	return own
}

// Deleted answers that something is no longer kept.
func Deleted(c *api.Call, id, object string) error {
	return c.JSON(http.StatusOK, struct {
		ID      string `json:"id"`
		Object  string `json:"object"`
		Deleted bool   `json:"deleted"`
	}{id, object, true})
}

func head(c *api.Call, h http.Header) {
	h.Set("Openai-Processing-Ms", strconv.FormatInt(time.Since(c.Began()).Milliseconds(), 10))
	h.Set("Openai-Version", "2020-10-01")
	requests, tokens := c.Quotas()
	for name, q := range map[string]*api.Quota{"Requests": requests, "Tokens": tokens} {
		if q != nil {
			h.Set("X-Ratelimit-Limit-"+name, strconv.Itoa(q.Limit))
			h.Set("X-Ratelimit-Remaining-"+name, strconv.Itoa(q.Remaining))
			h.Set("X-Ratelimit-Reset-"+name, q.Reset.Round(time.Millisecond).String())
		}
	}
}

// errorBody has four keys always; clients read all of them.
type errorBody struct {
	Message string  `json:"message"`
	Type    string  `json:"type"`
	Param   *string `json:"param"`
	Code    *string `json:"code"`
}

type errorAnswer struct {
	Error errorBody `json:"error"`
}

// Error writes an error as OpenAI does.
func Error(c *api.Call, f *api.Failure) {
	_ = c.JSON(f.Status, errorOf(f)) // strings only: cannot fail
}

// ErrorOf is the body of an error, for streams of surfaces that write errors so.
func ErrorOf(f *api.Failure) any { return errorOf(f) }

func errorOf(f *api.Failure) errorAnswer {
	body := errorBody{Message: f.Message, Type: "invalid_request_error", Code: &f.Code}
	switch {
	case f.Code == api.ErrQuota.Code:
		body.Type = "insufficient_quota"
	case f.Status == http.StatusTooManyRequests:
		body.Type = "rate_limit_error"
	case f.Kind == fault.Busy, f.Kind == fault.Unavailable, f.Kind == fault.Internal:
		body.Type = "server_error"
	}
	if f.Param != "" {
		body.Param = &f.Param
	}
	return errorAnswer{body}
}

// Invalid is an error about one field.
func Invalid(param, format string, args ...any) error {
	return chat.ErrRequest.Because("openai: "+format, args...).At(param)
}

// Unsupported is a field that is understood and cannot be honoured.
func Unsupported(param, format string, args ...any) error {
	return chat.ErrUnsupported.Because("openai: "+format, args...).At(param)
}

// Missing is a field that must be there.
func Missing(param string) error {
	return errMissing.Because("openai: %s is missing", param).At(param)
}

var errMissing = fault.New(fault.Invalid, "missing_required_parameter", "openai: a field is missing")

// Named is an id with OpenAI's prefix for its kind.
func Named(prefix, id string) string { return prefix + strings.TrimPrefix(id, "req_") }

// ModelName is what an answer says: the name that the caller used, where they used one.
func ModelName(asked, answered string) string {
	if asked != "" {
		return asked
	}
	return answered
}

// Package anthropic answers: what do Anthropic's clients say and expect, word for word? It reads their
// requests into package chat's, and writes chat's events as their messages, streams and errors.
//
// Fields that are known and cannot be honoured are refused by name (fields.go lists them); fields
// that nobody knows are passed over unless the server is strict. Versions and betas that a client names
// in its headers change nothing: what a beta adds to the body is honoured or refused as any field is.
package anthropic

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/fault"
	"github.com/galerne-ai/galerne/internal/jobs"
)

// Surface is Anthropic's API. Without a store (nil) there are no message batches.
func Surface(kept *jobs.Store) *api.Surface {
	more := unserved(kept != nil)
	if kept != nil {
		more = append((&batches{kept}).routes(), more...)
	}
	return &api.Surface{
		Name: "anthropic",
		Marks: []api.Mark{
			{Header: "Anthropic-Version"}, {Header: "Anthropic-Beta"},
			{Header: "User-Agent", Prefix: "Anthropic/"}, {Header: "User-Agent", Prefix: "AsyncAnthropic/"},
			{Header: "User-Agent", Prefix: "claude-"},
		},
		Routes: append([]api.Route{
			{Method: "POST", Pattern: "/v1/messages", Scope: api.Generate, Handle: messages, Body: body{}, Fields: bodyFields()},
			{Method: "POST", Pattern: "/v1/messages/count_tokens", Scope: api.Tokenize, Handle: countTokens, Body: body{}, Fields: bodyFields()},
			{Method: "GET", Pattern: "/v1/models", Scope: api.Models, Handle: listModels},
			{Method: "GET", Pattern: "/v1/models/{id...}", Scope: api.Models, Handle: getModel},
		}, more...),
		Error:  writeError,
		Head:   head,
		Absent: absent(),
	}
}

// head tells what is left of the key's limits. Tokens that are read and made count alike.
func head(c *api.Call, h http.Header) {
	requests, tokens := c.Quotas()
	for name, q := range map[string]*api.Quota{"Requests": requests, "Tokens": tokens, "Input-Tokens": tokens, "Output-Tokens": tokens} {
		if q != nil {
			h.Set("Anthropic-Ratelimit-"+name+"-Limit", strconv.Itoa(q.Limit))
			h.Set("Anthropic-Ratelimit-"+name+"-Remaining", strconv.Itoa(q.Remaining))
			h.Set("Anthropic-Ratelimit-"+name+"-Reset", time.Now().Add(q.Reset).UTC().Format(time.RFC3339))
		}
	}
}

type errorAnswer struct {
	Type      string    `json:"type"`
	Error     errorBody `json:"error"`
	RequestID string    `json:"request_id"`
}

type errorBody struct {
	Type    string `json:"type"`
	Message string `json:"message"`
}

// writeError writes an error with Anthropic's status for it.
func writeError(c *api.Call, f *api.Failure) {
	_ = c.JSON(statusOf(f), errorOf(f)) // strings only: cannot fail
}

// statusOf gives the statuses that Anthropic has of its own: their clients try again after 529.
func statusOf(f *api.Failure) int {
	switch {
	case f.Code == api.ErrQuota.Code:
		return http.StatusPaymentRequired
	case f.Kind == fault.Busy && f.Status == http.StatusServiceUnavailable:
		return statusOverloaded
	}
	return f.Status
}

const statusOverloaded = 529

func errorOf(f *api.Failure) *errorAnswer {
	types := map[int]string{
		http.StatusUnauthorized:          "authentication_error",
		http.StatusPaymentRequired:       "billing_error",
		http.StatusForbidden:             "permission_error",
		http.StatusNotFound:              "not_found_error",
		http.StatusRequestEntityTooLarge: "request_too_large",
		http.StatusTooManyRequests:       "rate_limit_error",
		http.StatusInternalServerError:   "api_error",
		http.StatusServiceUnavailable:    "api_error",
		http.StatusGatewayTimeout:        "timeout_error",
		statusOverloaded:                 "overloaded_error",
	}
	kind, ok := types[statusOf(f)]
	if !ok {
		kind = "invalid_request_error"
	}
	text := f.Message
	if f.Code == "context_length_exceeded" {
		text = "prompt is too long: " + text // the words by which programs know that they must shorten it
	}
	return &errorAnswer{"error", errorBody{kind, text}, f.RequestID}
}

// invalid is an error about one field.
func invalid(param, format string, args ...any) error {
	return chat.ErrRequest.Because("anthropic: "+format, args...).At(param)
}

// unsupported is a field that is understood and cannot be honoured.
func unsupported(param, format string, args ...any) error {
	return chat.ErrUnsupported.Because("anthropic: "+format, args...).At(param)
}

// missing is a field that must be there.
func missing(param string) error { return invalid(param, "%s is missing", param) }

// named is an id with Anthropic's prefix for its kind.
func named(prefix, id string) string {
	return prefix + strings.TrimPrefix(strings.TrimPrefix(id, "call_"), "req_")
}

// modelName is what an answer says: the name that the caller used, where they used one.
func modelName(asked, answered string) string {
	if asked != "" {
		return asked
	}
	return answered
}

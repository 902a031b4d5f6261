// Package gemini answers: what do the clients of Google's Gemini API say and expect, word for word? It
// reads their requests into package chat's, and writes chat's events as their answers, streams and errors.
//
// Requests are protobuf in JSON: names come as camelCase or as snake_case, and a list of one may come
// without its brackets (names.go). The API's versions (v1, v1beta, v1alpha) and Vertex AI's paths are served
// alike. Fields that are known and cannot be honoured are refused by name (fields.go lists them); fields
// that nobody knows are passed over unless the server is strict.
package gemini

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

// Surface is the Gemini API.
func Surface() *api.Surface {
	s := &api.Surface{
		Name: "gemini",
		Marks: []api.Mark{{Header: "X-Goog-Api-Key"}, {Header: "X-Goog-Api-Client"},
			{Header: "User-Agent", Prefix: "google-genai-sdk/"}, {Header: "User-Agent", Prefix: "google-api-"}},
		Error:  writeError,
		Absent: absent(),
	}
	for _, version := range []string{"/v1", "/v1beta", "/v1alpha"} {
		s.Routes = append(s.Routes, methods(version+"/models/{model...}", version == "/v1")...)
		s.Routes = append(s.Routes,
			api.Route{Method: "GET", Pattern: version + "/models", Scope: api.Models, Handle: listModels},
			api.Route{Method: "GET", Pattern: version + "/models/{model...}", Scope: api.Models, Handle: getModel})
	}
	for _, version := range []string{"/v1", "/v1beta1"} { // Vertex AI's paths; project, location and publisher may be any
		s.Routes = append(s.Routes, methods(version+"/projects/{project}/locations/{location}/publishers/{publisher}/models/{model...}", false)...)
	}
	s.Routes = append(s.Routes, unserved()...)
	return s
}

// methods are what can be asked of a model.
func methods(path string, documented bool) []api.Route {
	out := []api.Route{
		{Verb: ":generateContent", Scope: api.Generate, Handle: generate, Body: body{}, Fields: bodyFields(), Note: "also as /v1beta and /v1alpha, like all of these"},
		{Verb: ":streamGenerateContent", Scope: api.Generate, Handle: streamGenerate, Note: "with alt=sse as events, else as one JSON array; the body is that of generateContent"},
		{Verb: ":countTokens", Scope: api.Tokenize, Handle: countTokens, Body: countBody{}},
		{Verb: ":embedContent", Scope: api.Embed, Handle: embed, Body: embedBody{}, Fields: embedFields()},
		{Verb: ":batchEmbedContents", Scope: api.Embed, Handle: batchEmbed, Body: batchBody{}},
	}
	for i := range out {
		out[i].Method, out[i].Pattern = "POST", path
		if !documented {
			out[i].Body, out[i].Fields, out[i].Note = nil, nil, ""
		}
	}
	return out
}

// errorAnswer is google.rpc.Status in JSON.
type errorAnswer struct {
	Error rpcStatus `json:"error"`
}

type rpcStatus struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
	Status  string `json:"status"`
	Details []any  `json:"details,omitempty"`
}

// The details of an error.
type errorInfo struct {
	Type     string            `json:"@type"`
	Reason   string            `json:"reason"`
	Domain   string            `json:"domain"`
	Metadata map[string]string `json:"metadata"`
}

type badRequest struct {
	Type       string           `json:"@type"`
	Violations []fieldViolation `json:"fieldViolations"`
}

type fieldViolation struct {
	Field       string `json:"field"`
	Description string `json:"description"`
}

type retryInfo struct {
	Type  string `json:"@type"`
	Delay string `json:"retryDelay"`
}

const typeURL = "type.googleapis.com/google.rpc."

// writeError writes an error as Google does.
func writeError(c *api.Call, f *api.Failure) {
	_ = c.JSON(f.Status, errorOf(f)) // strings only: cannot fail
}

func errorOf(f *api.Failure) *errorAnswer {
	names := map[int]string{
		http.StatusUnauthorized:        "UNAUTHENTICATED",
		http.StatusForbidden:           "PERMISSION_DENIED",
		http.StatusNotFound:            "NOT_FOUND",
		http.StatusTooManyRequests:     "RESOURCE_EXHAUSTED",
		http.StatusInternalServerError: "INTERNAL",
		http.StatusServiceUnavailable:  "UNAVAILABLE",
		http.StatusGatewayTimeout:      "DEADLINE_EXCEEDED",
	}
	name, ok := names[f.Status]
	if !ok {
		name = "INVALID_ARGUMENT"
	}
	out := &errorAnswer{rpcStatus{Code: f.Status, Message: f.Message, Status: name}}
	add := func(detail any) { out.Error.Details = append(out.Error.Details, detail) }
	add(errorInfo{typeURL + "ErrorInfo", strings.ToUpper(f.Code), "galerne", map[string]string{"requestId": f.RequestID}})
	if f.Param != "" {
		add(badRequest{typeURL + "BadRequest", []fieldViolation{{f.Param, f.Message}}})
	}
	if f.RetryAfter > 0 {
		add(retryInfo{typeURL + "RetryInfo", strconv.FormatFloat(f.RetryAfter.Seconds(), 'f', -1, 64) + "s"})
	}
	return out
}

// invalid is an error about one field.
func invalid(param, format string, args ...any) error {
	return chat.ErrRequest.Because("gemini: "+format, args...).At(param)
}

// unsupported is a field that is understood and cannot be honoured.
func unsupported(param, format string, args ...any) error {
	return chat.ErrUnsupported.Because("gemini: "+format, args...).At(param)
}

// missing is a field that must be there.
func missing(param string) error { return invalid(param, "%s is missing", param) }

// isNull reports whether a field is absent or null.
func isNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

// modelOf is the model that a path names, without its verb.
func modelOf(c *api.Call) string {
	path := c.R.PathValue("model")
	if i := strings.LastIndexByte(path, ':'); i >= 0 {
		path = path[:i]
	}
	return path
}

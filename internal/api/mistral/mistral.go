// Package mistral answers: what do Mistral's clients say and expect, word for word? It reads their
// requests into package chat's, and writes chat's events as their answers, streams and errors.
//
// Mistral's clients check every answer against its reference: keys that may be null must still be there,
// and a tool call comes in one piece. Fields that are known and cannot be honoured are refused by name
// (fields.go lists them); fields that nobody knows are passed over unless the server is strict.
package mistral

import (
	"crypto/sha256"
	"encoding/json"
	"math/big"
	"net/http"
	"strconv"
	"strings"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/fault"
)

// Surface is Mistral's API.
func Surface() *api.Surface {
	return &api.Surface{
		Name: "mistral",
		Marks: []api.Mark{{Header: "User-Agent", Prefix: "mistral-client"}, {Header: "User-Agent", Prefix: "speakeasy-sdk/"},
			{Field: "random_seed"}, {Field: "safe_prompt"}, {Field: "prompt_mode"}, {Field: "output_dimension"}, {Field: "output_dtype"}},
		Routes: append([]api.Route{
			{Method: "POST", Pattern: "/v1/chat/completions", Scope: api.Generate, Handle: completions, Body: chatBody{}, Fields: chatFields()},
			{Method: "POST", Pattern: "/v1/agents/completions", Scope: api.Generate, Handle: agents, Body: agentBody{}, Fields: chatFields()},
			{Method: "POST", Pattern: "/v1/fim/completions", Scope: api.Generate, Handle: fim, Body: fimBody{}, Fields: fimFields()},
			{Method: "POST", Pattern: "/v1/embeddings", Scope: api.Embed, Handle: embeddings, Body: embeddingBody{}, Fields: embeddingFields()},
			{Method: "POST", Pattern: "/v1/moderations", Scope: api.Embed, Handle: moderations(readTexts), Body: classifyBody{}, Fields: shared()},
			{Method: "POST", Pattern: "/v1/chat/moderations", Scope: api.Embed, Handle: moderations(readChats), Body: classifyBody{}, Fields: shared()},
			{Method: "POST", Pattern: "/v1/classifications", Scope: api.Embed, Handle: classifications(readTexts), Body: classifyBody{}, Fields: shared()},
			{Method: "POST", Pattern: "/v1/chat/classifications", Scope: api.Embed, Handle: classifications(readWrapped), Body: classifyBody{}, Fields: shared()},
			{Method: "GET", Pattern: "/v1/models", Scope: api.Models, Handle: listModels},
			{Method: "GET", Pattern: "/v1/models/{id...}", Scope: api.Models, Handle: getModel},
		}, unserved()...),
		Error:  writeError,
		Head:   head,
		Absent: absent(),
	}
}

// head tells what is left of the key's limits.
func head(c *api.Call, h http.Header) {
	requests, tokens := c.Quotas()
	for name, q := range map[string]*api.Quota{"Req": requests, "Tokens": tokens} {
		if q != nil {
			h.Set("X-Ratelimit-Limit-"+name+"-Minute", strconv.Itoa(q.Limit))
			h.Set("X-Ratelimit-Remaining-"+name+"-Minute", strconv.Itoa(q.Remaining))
		}
	}
}

// errorAnswer is any error but one about the form of a request.
type errorAnswer struct {
	Object  string  `json:"object"`
	Message string  `json:"message"`
	Type    string  `json:"type"`
	Param   *string `json:"param"`
	Code    string  `json:"code"`
}

// validation is an error about the form of a request: their clients make an exception of its own of it.
type validation struct {
	Detail []detail `json:"detail"`
}

type detail struct {
	Type string `json:"type"`
	Loc  []any  `json:"loc"` // names and indexes from the body down
	Msg  string `json:"msg"`
}

var errMissing = fault.New(fault.Invalid, "missing_required_parameter", "mistral: a field is missing")

// writeError writes an error as Mistral does.
func writeError(c *api.Call, f *api.Failure) {
	switch f.Code {
	case chat.ErrRequest.Code, api.ErrUnknownField.Code, errMissing.Code:
		kind := map[string]string{errMissing.Code: "missing", api.ErrUnknownField.Code: "extra_forbidden"}[f.Code]
		if kind == "" {
			kind = "value_error"
		}
		_ = c.JSON(http.StatusUnprocessableEntity, validation{[]detail{{kind, location(f.Param), f.Message}}}) // strings only: cannot fail
		return
	}
	out := errorAnswer{Object: "error", Message: f.Message, Type: "invalid_request_error", Code: f.Code}
	switch {
	case f.Status == http.StatusTooManyRequests:
		out.Type = "rate_limited"
	case f.Status == http.StatusUnauthorized:
		out.Type = "authentication_error"
	case f.Status == http.StatusForbidden:
		out.Type = "permission_error"
	case f.Code == chat.ErrModel.Code:
		out.Type = "invalid_model"
	case f.Status >= http.StatusInternalServerError:
		out.Type = "internal_server_error"
	}
	if f.Param != "" {
		out.Param = &f.Param
	}
	_ = c.JSON(f.Status, &out) // strings only: cannot fail
}

// location takes a field's name apart: messages[2].content is body, messages, 2, content.
func location(param string) []any {
	out := []any{"body"}
	for _, name := range strings.FieldsFunc(param, func(r rune) bool { return r == '.' || r == '[' || r == ']' }) {
		if n, err := strconv.Atoi(name); err == nil {
			out = append(out, n)
			continue
		}
		out = append(out, name)
	}
	return out
}

// invalid is an error about one field.
func invalid(param, format string, args ...any) error {
	return chat.ErrRequest.Because("mistral: "+format, args...).At(param)
}

// unsupported is a field that is understood and cannot be honoured.
func unsupported(param, format string, args ...any) error {
	return chat.ErrUnsupported.Because("mistral: "+format, args...).At(param)
}

// missing is a field that must be there.
func missing(param string) error {
	return errMissing.Because("mistral: %s is missing", param).At(param)
}

// isNull reports whether a field is absent or null.
func isNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

// answerID is an id as Mistral writes it, without a prefix.
func answerID(id string) string { return strings.TrimPrefix(id, "req_") }

// callID is the id of a tool call in Mistral's form, 9 letters and digits, which their templates and
// programs check; an id of another form is made into one, always the same.
func callID(id string) string {
	const size = 9
	fits := len(id) == size
	for _, c := range []byte(id) {
		fits = fits && (c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z')
	}
	if fits {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return new(big.Int).SetBytes(sum[:]).Text(62)[:size]
}

// modelName is what an answer says: the name that the caller used, where they used one.
func modelName(asked, answered string) string {
	if asked != "" {
		return asked
	}
	return answered
}

// Package cohere answers: what do Cohere's clients say and expect, word for word? It reads their
// requests into package chat's, and writes chat's events as their answers, streams and errors. It speaks
// version 2 of Cohere's API, and of version 1 all that does not need what Cohere keeps: chats, data, jobs.
//
// Citations are the model's own where it marks them, else those that package cite finds: stretches of the
// answer that stand word for word in a document or in what a tool gave.
//
// Fields that are known and cannot be honoured are refused by name (fields.go lists them); fields
// that nobody knows are passed over unless the server is strict.
package cohere

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

// Surface is Cohere's API.
func Surface() *api.Surface {
	return &api.Surface{
		Name: "cohere",
		Marks: []api.Mark{{Header: "X-Fern-SDK-Name", Prefix: "cohere"}, {Header: "User-Agent", Prefix: "cohere"},
			{Field: "max_chunks_per_doc"}, {Field: "max_tokens_per_doc"}},
		Routes: append([]api.Route{
			{Method: "POST", Pattern: "/v2/chat", Scope: api.Generate, Handle: converse, Body: chatBody{}, Fields: chatFields()},
			{Method: "POST", Pattern: "/v2/embed", Scope: api.Embed, Handle: embed, Body: embedBody{}, Fields: embedFields()},
			{Method: "POST", Pattern: "/v2/rerank", Scope: api.Embed, Handle: rerank, Body: rerankBody{}, Fields: rerankFields()},
			{Method: "POST", Pattern: "/v1/chat", Scope: api.Generate, Handle: converseV1, Body: chatV1Body{}, Fields: chatV1Fields()},
			{Method: "POST", Pattern: "/v1/embed", Scope: api.Embed, Handle: embedV1, Body: embedBody{}, Fields: embedFields()},
			{Method: "POST", Pattern: "/v1/rerank", Scope: api.Embed, Handle: rerankV1, Body: rerankV1Body{}, Fields: rerankV1Fields()},
			{Method: "POST", Pattern: "/v1/classify", Scope: api.Embed, Handle: classify, Body: classifyBody{}, Fields: classifyFields()},
			{Method: "POST", Pattern: "/v1/tokenize", Scope: api.Tokenize, Handle: tokenize, Body: tokenizeBody{}},
			{Method: "POST", Pattern: "/v1/detokenize", Scope: api.Tokenize, Handle: detokenize, Body: detokenizeBody{}},
			{Method: "GET", Pattern: "/v1/models", Scope: api.Models, Handle: listModels},
			{Method: "GET", Pattern: "/v1/models/{id...}", Scope: api.Models, Handle: getModel},
			{Method: "POST", Pattern: "/v1/check-api-key", Scope: api.Models, Handle: checkKey},
		}, unserved()...),
		Error:  writeError,
		Absent: absent(),
	}
}

// errorAnswer is any error.
type errorAnswer struct {
	Message string `json:"message"`
	ID      string `json:"id"`
}

// writeError writes an error as Cohere does: the status tells its kind.
func writeError(c *api.Call, f *api.Failure) {
	_ = c.JSON(f.Status, errorAnswer{errorText(f), answerID(f.RequestID)}) // strings only: cannot fail
}

func errorText(f *api.Failure) string {
	if f.Code == chat.ErrRequest.Code {
		return "invalid request: " + f.Message
	}
	return f.Message
}

// invalid is an error about one field.
func invalid(param, format string, args ...any) error {
	return chat.ErrRequest.Because("cohere: "+format, args...).At(param)
}

// unsupported is a field that is understood and cannot be honoured.
func unsupported(param, format string, args ...any) error {
	return chat.ErrUnsupported.Because("cohere: "+format, args...).At(param)
}

// missing is a field that must be there.
func missing(param string) error { return invalid(param, "%s is missing", param) }

// isNull reports whether a field is absent or null.
func isNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

// answerID is an id as Cohere writes it, without a prefix.
func answerID(id string) string { return strings.TrimPrefix(id, "req_") }

// meta is what Cohere says beside an answer.
type meta struct {
	Version struct {
		Version string `json:"version"`
	} `json:"api_version"`
	Billed   *billed  `json:"billed_units,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
}

type billed struct {
	Input  *int `json:"input_tokens,omitempty"`
	Output *int `json:"output_tokens,omitempty"`
	Search *int `json:"search_units,omitempty"`
}

func metaOf(version string, b *billed, warnings ...string) meta {
	out := meta{Billed: b, Warnings: warnings}
	out.Version.Version = version
	return out
}

// checkKey answers POST /v1/check-api-key: whoever comes this far has a good key.
func checkKey(c *api.Call) error { return c.JSON(http.StatusOK, map[string]bool{"valid": true}) }

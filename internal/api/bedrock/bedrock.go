// Package bedrock answers: what do the clients of Amazon's Bedrock runtime say and expect, word for word?
// It reads their requests into package chat's, and writes chat's events as their answers, binary event
// streams and errors.
//
// A model is named in the path: by its name here, or by an ARN whose last part is that. Converse is read and
// written here; the bodies of InvokeModel are other vendors', of which those are served that invoke.go names.
// Fields that are known and cannot be honoured are refused by name (fields.go lists them); fields that nobody
// knows are passed over unless the server is strict.
package bedrock

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

// Surface is the Bedrock runtime's API.
func Surface() *api.Surface {
	return &api.Surface{
		Name: "bedrock",
		Marks: []api.Mark{{Header: "Authorization", Prefix: "AWS4-HMAC-SHA256"}, {Header: "X-Amz-Date"},
			{Header: "User-Agent", Prefix: "Boto3/"}, {Header: "User-Agent", Prefix: "aws-sdk-"}},
		Routes: append([]api.Route{
			{Method: "POST", Pattern: "/model/{model}/converse", Scope: api.Generate, Handle: converse, Body: body{}, Fields: bodyFields()},
			{Method: "POST", Pattern: "/model/{model}/converse-stream", Scope: api.Generate, Handle: converseStream, Note: "the body is that of converse"},
			{Method: "POST", Pattern: "/model/{model}/count-tokens", Scope: api.Tokenize, Handle: countTokens, Body: countBody{}},
			{Method: "POST", Pattern: "/model/{model}/invoke", Scope: api.Generate, Handle: invoke,
				Note: "bodies of Anthropic's models (anthropic_version, as POST /v1/messages has it), of those that take OpenAI's chat (messages), of Meta's (max_gen_len), Mistral's (prompt), Titan's (inputText), Nova's (messages with parts that have no type) and Cohere's (message), and of Titan's and Cohere's for vectors"},
			{Method: "POST", Pattern: "/model/{model}/invoke-with-response-stream", Scope: api.Generate, Handle: invokeStream, Note: "the same bodies, but those for vectors"},
		}, unserved()...),
		Error:  writeError,
		Head:   head,
		Absent: absent(),
	}
}

func head(c *api.Call, h http.Header) { h.Set("X-Amzn-Requestid", c.ID) }

// modelOf is the model that a path names. Of an ARN it is the last part.
func modelOf(c *api.Call) string {
	name := c.R.PathValue("model")
	if strings.HasPrefix(name, "arn:") {
		name = name[strings.LastIndexByte(name, '/')+1:]
	}
	return name
}

type errorAnswer struct {
	Message string `json:"message"`
}

// writeError writes an error as Amazon does: its name is in a header.
func writeError(c *api.Call, f *api.Failure) {
	status, name := exception(f)
	c.W.Header().Set("X-Amzn-Errortype", name)
	_ = c.JSON(status, errorAnswer{f.Message}) // strings only: cannot fail
}

// exception is the status and the name of an error. A budget that is used up has a name that their
// clients do not try again after.
func exception(f *api.Failure) (status int, name string) {
	switch {
	case f.Code == api.ErrQuota.Code:
		return http.StatusBadRequest, "ServiceQuotaExceededException"
	case f.Code == api.ErrKey.Code:
		return http.StatusForbidden, "UnrecognizedClientException"
	case f.Code == api.ErrRoute.Code, f.Code == api.ErrMethod.Code:
		return http.StatusNotFound, "UnknownOperationException"
	}
	switch f.Status {
	case http.StatusForbidden:
		return f.Status, "AccessDeniedException"
	case http.StatusNotFound:
		return f.Status, "ResourceNotFoundException"
	case http.StatusTooManyRequests:
		return f.Status, "ThrottlingException"
	case http.StatusGatewayTimeout:
		return http.StatusRequestTimeout, "ModelTimeoutException"
	case http.StatusServiceUnavailable:
		return f.Status, "ServiceUnavailableException"
	case http.StatusInternalServerError:
		return f.Status, "InternalServerException"
	}
	return f.Status, "ValidationException"
}

// invalid is an error about one field.
func invalid(param, format string, args ...any) error {
	return chat.ErrRequest.Because("bedrock: "+format, args...).At(param)
}

// unsupported is a field that is understood and cannot be honoured.
func unsupported(param, format string, args ...any) error {
	return chat.ErrUnsupported.Because("bedrock: "+format, args...).At(param)
}

// missing is a field that must be there.
func missing(param string) error { return invalid(param, "%s is missing", param) }

// isNull reports whether a field is absent or null.
func isNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

package openai

import (
	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

// For surfaces that take OpenAI's fields and answer in a form of their own. Their bodies come from
// Call.Decode with the fields below, so that they have been checked.

// ChatFields and CompletionFields are what the two bodies have beside the fields that are served.
func ChatFields() []api.Field { return chatFields() }

// CompletionFields are those of /v1/completions.
func CompletionFields() []api.Field { return completionFields() }

// ChatBody and TextBody are the two bodies, for docs/apis.md.
type (
	ChatBody = chatBody
	TextBody = textBody
)

// ReadChat reads the body of a chat, and whether the answer shall be streamed.
func ReadChat(data []byte, strict bool) (*chat.Request, bool, error) {
	var b chatBody
	if err := api.Decode("", data, &b, strict); err != nil {
		return nil, false, err
	}
	if err := b.StreamOptions.checkForeign(b.Stream); err != nil {
		return nil, false, err
	}
	r, err := b.request()
	if len(b.texts) > 0 {
		return nil, false, Unsupported("tools", "tools of type custom are not supported by this API: a function with one string as its parameter takes any text")
	}
	return r, b.Stream, err
}

// ReadText reads the body of a text to be continued, a request a prompt.
func ReadText(data []byte, strict bool) ([]*chat.Request, bool, error) {
	var b textBody
	if err := api.Decode("", data, &b, strict); err != nil {
		return nil, false, err
	}
	if err := b.StreamOptions.checkForeign(b.Stream); err != nil {
		return nil, false, err
	}
	rs, err := b.requests()
	return rs, b.Stream, err
}

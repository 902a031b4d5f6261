package mistral

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

// message is a turn as it is sent. Content is a string, a list of chunks or null.
type message struct {
	Role       string          `json:"role"`
	Content    json.RawMessage `json:"content"`
	ToolCalls  []toolCall      `json:"tool_calls"`
	ToolCallID string          `json:"tool_call_id"`
	Name       string          `json:"name"`
	Prefix     bool            `json:"prefix"`
}

// toolCall is a call as it is sent back and as it is answered; arguments may come back as an object.
type toolCall struct {
	ID       string       `json:"id"`
	Type     string       `json:"type,omitempty"`
	Function functionCall `json:"function"`
	Index    int          `json:"index"`
}

type functionCall struct {
	Name      string          `json:"name"`
	Arguments json.RawMessage `json:"arguments"`
}

// text is the arguments as the model wrote them.
func (f *functionCall) text(at string) (string, error) {
	if len(f.Arguments) == 0 || f.Arguments[0] != '"' {
		return string(f.Arguments), nil
	}
	var text string
	err := api.Decode(at+".function.arguments", f.Arguments, &text, false)
	return text, err
}

// chunk is a piece of content.
type contentChunk struct {
	Type      string          `json:"type"`
	Text      *string         `json:"text,omitempty"`
	Thinking  json.RawMessage `json:"thinking,omitempty"`
	Closed    *bool           `json:"closed,omitempty"`
	Signature *string         `json:"signature,omitempty"`
	ImageURL  json.RawMessage `json:"image_url,omitempty"`
	Document  string          `json:"document_url,omitempty"`
}

// readMessages turns messages into chat's. Tool results get the name of the call that they answer.
func readMessages(in []message) ([]chat.Message, error) {
	if len(in) == 0 {
		return nil, invalid("messages", "messages is empty: send at least one")
	}
	names := map[string]string{} // of calls, by id
	out := make([]chat.Message, 0, len(in))
	for i := range in {
		at := fmt.Sprintf("messages[%d]", i)
		m, err := in[i].read(at, names)
		if err != nil {
			return nil, err
		}
		if m.Prefix && (i != len(in)-1 || m.Role != chat.Assistant) {
			return nil, invalid(at+".prefix", "%s.prefix is for the last message, where it is the assistant's", at)
		}
		out = append(out, m)
	}
	return out, nil
}

func (m *message) read(at string, names map[string]string) (chat.Message, error) {
	out := chat.Message{Role: chat.Role(m.Role), Prefix: m.Prefix}
	parts, err := readContent(at+".content", m.Content)
	if err != nil {
		return out, err
	}
	switch m.Role {
	case "system", "user":
		if isNull(m.Content) {
			return out, missing(at + ".content")
		}
		out.Parts = parts
		return out, nil
	case "assistant":
		out.Parts = parts
		return out, m.calls(at, names, &out)
	case "tool":
		return out, m.result(at, parts, names, &out)
	case "":
		return out, missing(at + ".role")
	}
	return out, invalid(at+".role", "%s.role is %q: it must be system, user, assistant or tool", at, m.Role)
}

func (m *message) calls(at string, names map[string]string, out *chat.Message) error {
	for j := range m.ToolCalls {
		c, at := &m.ToolCalls[j], fmt.Sprintf("%s.tool_calls[%d]", at, j)
		if c.Function.Name == "" {
			return missing(at + ".function.name")
		}
		text, err := c.Function.text(at)
		if err != nil {
			return err
		}
		names[c.ID] = c.Function.Name
		out.Parts = append(out.Parts, chat.Part{Kind: chat.CallPart, ID: c.ID, Name: c.Function.Name, Arguments: text})
	}
	if isNull(m.Content) && len(out.Parts) == 0 {
		return missing(at + ".content")
	}
	return nil
}

// result makes one part of what a tool gave.
func (m *message) result(at string, parts []chat.Part, names map[string]string, out *chat.Message) error {
	var text strings.Builder
	for j, p := range parts {
		if p.Kind != chat.TextPart {
			return invalid(fmt.Sprintf("%s.content[%d].type", at, j), "%s has a chunk that is not text: results of tools are text", at)
		}
		text.WriteString(p.Text)
	}
	name := m.Name
	if name == "" {
		name = names[m.ToolCallID]
	}
	out.Parts = []chat.Part{{Kind: chat.ResultPart, CallID: m.ToolCallID, Name: name, Text: text.String()}}
	return nil
}

// readContent reads a string or a list of chunks; null is none.
func readContent(at string, raw json.RawMessage) ([]chat.Part, error) {
	return api.Content(at, raw, readChunk)
}

func readChunk(at string, c *contentChunk) (chat.Part, error) {
	switch c.Type {
	case "text", "":
		if c.Text == nil {
			return chat.Part{}, missing(at + ".text")
		}
		return chat.Part{Kind: chat.TextPart, Text: *c.Text}, nil
	case "thinking":
		return c.thought(at + ".thinking")
	case "image_url":
		return media("image", c.ImageURL), nil
	case "document_url":
		return chat.Part{Kind: chat.MediaPart, Media: &chat.Media{Type: "file", URL: c.Document}}, nil
	case "input_audio", "file":
		return chat.Part{Kind: chat.MediaPart, Media: &chat.Media{Type: c.Type}}, nil
	case "reference":
		return chat.Part{}, unsupported(at+".type", "%s is a reference, which the models here do not know: leave it out", at)
	}
	return chat.Part{}, invalid(at+".type", "%s.type is %q: it must be text or thinking", at, c.Type)
}

// thought reads reasoning: a string, or a list of texts.
func (c *contentChunk) thought(at string) (chat.Part, error) {
	parts, err := readContent(at, c.Thinking)
	if err != nil {
		return chat.Part{}, err
	}
	out := chat.Part{Kind: chat.ThinkingPart}
	for i, p := range parts {
		if p.Kind != chat.TextPart {
			return out, unsupported(fmt.Sprintf("%s[%d]", at, i), "%s has a chunk that is not text", at)
		}
		out.Text += p.Text
	}
	return out, nil
}

// media notes what is not text; the door refuses it by its place.
func media(kind string, raw json.RawMessage) chat.Part {
	m := &chat.Media{Type: kind}
	_ = json.Unmarshal(raw, &m.URL) // a string, or an object that says more: neither is read
	return chat.Part{Kind: chat.MediaPart, Media: m}
}

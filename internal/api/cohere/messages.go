package cohere

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

// message is a turn as it is sent. Content is a string, a list of parts or null.
type message struct {
	Role       string          `json:"role"`
	Content    json.RawMessage `json:"content"`
	ToolCalls  []toolCall      `json:"tool_calls"`
	ToolPlan   string          `json:"tool_plan"`
	ToolCallID string          `json:"tool_call_id"`
	Citations  json.RawMessage `json:"citations"` // of an answer that is sent back: not read
}

type toolCall struct {
	ID       string       `json:"id"`
	Type     string       `json:"type"`
	Function functionCall `json:"function"`
}

type functionCall struct {
	Name      string `json:"name,omitempty"`
	Arguments string `json:"arguments"`
}

// part is a piece of a message. Document is of a tool's result.
type part struct {
	Type     string          `json:"type"`
	Text     *string         `json:"text,omitempty"`
	Thinking *string         `json:"thinking,omitempty"`
	Image    json.RawMessage `json:"image_url,omitempty"`
	Document json.RawMessage `json:"document,omitempty"`
}

// conversation is messages being read.
type conversation struct {
	names  map[string]string // of calls, by id
	latest []chat.Document   // what tools have given since the user last spoke
}

// readMessages turns messages into chat's, and gives what the answer may cite of them: the results of
// tools since the user last spoke.
func readMessages(in []message, r *chat.Request) ([]chat.Document, error) {
	if len(in) == 0 {
		return nil, invalid("messages", "messages is empty: send at least one")
	}
	v := conversation{names: map[string]string{}}
	for i := range in {
		m, err := v.read(fmt.Sprintf("messages[%d]", i), &in[i])
		if err != nil {
			return nil, err
		}
		r.Messages = append(r.Messages, m)
	}
	return v.latest, nil
}

func (v *conversation) read(at string, m *message) (chat.Message, error) {
	out := chat.Message{Role: chat.Role(m.Role)}
	var err error
	switch m.Role {
	case "system", "user":
		if isNull(m.Content) {
			return out, missing(at + ".content")
		}
		v.latest = nil
		out.Parts, err = readContent(at+".content", m.Content)
		return out, err
	case "assistant":
		return out, v.assistant(at, m, &out)
	case "tool":
		return out, v.result(at, m, &out)
	case "":
		return out, missing(at + ".role")
	}
	return out, invalid(at+".role", "%s.role is %q: it must be system, user, assistant or tool", at, m.Role)
}

// assistant adds what the model said before, in the order in which it said it.
func (v *conversation) assistant(at string, m *message, out *chat.Message) error {
	if m.ToolPlan != "" {
		out.Parts = append(out.Parts, chat.Part{Kind: chat.TextPart, Text: m.ToolPlan})
	}
	parts, err := readContent(at+".content", m.Content)
	if err != nil {
		return err
	}
	out.Parts = append(out.Parts, parts...)
	for j := range m.ToolCalls {
		c, at := &m.ToolCalls[j], fmt.Sprintf("%s.tool_calls[%d]", at, j)
		if c.Function.Name == "" {
			return missing(at + ".function.name")
		}
		v.names[c.ID] = c.Function.Name
		out.Parts = append(out.Parts, chat.Part{Kind: chat.CallPart, ID: c.ID, Name: c.Function.Name, Arguments: c.Function.Arguments})
	}
	if isNull(m.Content) && len(out.Parts) == 0 {
		return missing(at + ".content")
	}
	return nil
}

// result makes one part of what a tool gave. A result is one source, or one for each document in it.
func (v *conversation) result(at string, m *message, out *chat.Message) error {
	switch {
	case m.ToolCallID == "":
		return missing(at + ".tool_call_id")
	case isNull(m.Content):
		return missing(at + ".content")
	}
	var parts []part
	if m.Content[0] == '"' {
		var text string
		if err := api.Decode(at+".content", m.Content, &text, false); err != nil {
			return err
		}
		parts = []part{{Type: "text", Text: &text}}
	} else if err := api.Decode(at+".content", m.Content, &parts, false); err != nil {
		return err
	}
	var texts []string
	for j, p := range parts {
		at, id := fmt.Sprintf("%s.content[%d]", at, j), fmt.Sprintf("%s:%d", m.ToolCallID, j)
		switch {
		case p.Type == "text" && p.Text != nil:
			data, err := api.Encode(map[string]string{"content": *p.Text})
			if err != nil {
				return err
			}
			texts = append(texts, *p.Text)
			v.latest = append(v.latest, chat.Document{ID: id, Text: *p.Text, Data: data})
		case p.Type == "document":
			d, err := readDocument(at+".document", p.Document, id)
			if err != nil {
				return err
			}
			texts = append(texts, string(d.Data))
			v.latest = append(v.latest, d)
		default:
			return invalid(at+".type", "%s must be a text or a document: results of tools are text", at)
		}
	}
	out.Role = chat.ToolRole
	out.Parts = []chat.Part{{Kind: chat.ResultPart, CallID: m.ToolCallID, Name: v.names[m.ToolCallID], Text: strings.Join(texts, "\n")}}
	return nil
}

// readContent reads a string or a list of parts; null is none.
func readContent(at string, raw json.RawMessage) ([]chat.Part, error) {
	return api.Content(at, raw, func(at string, p *part) (chat.Part, error) {
		switch {
		case p.Type == "text" && p.Text != nil:
			return chat.Part{Kind: chat.TextPart, Text: *p.Text}, nil
		case p.Type == "thinking" && p.Thinking != nil:
			return chat.Part{Kind: chat.ThinkingPart, Text: *p.Thinking}, nil
		case p.Type == "image_url":
			return chat.Part{Kind: chat.MediaPart, Media: &chat.Media{Type: "image"}}, nil // refused at the door, by its place
		}
		return chat.Part{}, invalid(at+".type", "%s must be a text or thinking, with what its type says", at)
	})
}

package openai

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/openai/custom"
	"github.com/galerne-ai/galerne/internal/chat"
)

// message is a turn as it is sent. Content is a string, a list of parts or null.
type message struct {
	Role         string          `json:"role"`
	Content      json.RawMessage `json:"content"`
	Name         string          `json:"name"`
	Refusal      *string         `json:"refusal"`
	ToolCalls    []toolCall      `json:"tool_calls"`
	ToolCallID   string          `json:"tool_call_id"`
	FunctionCall *functionCall   `json:"function_call"`
	Reasoning    *string         `json:"reasoning_content"`
	Prefix       bool            `json:"prefix"`
	Audio        json.RawMessage `json:"audio"`
	Annotations  json.RawMessage `json:"annotations"` // of an answer that is sent back: not read
}

type toolCall struct {
	Index    *int          `json:"index,omitempty"`
	ID       string        `json:"id,omitempty"`
	Type     string        `json:"type,omitempty"`
	Function *functionCall `json:"function,omitempty"`
	Custom   *customCall   `json:"custom,omitempty"`
}

type customCall struct {
	Name  string `json:"name,omitempty"`
	Input string `json:"input"`
}

type functionCall struct {
	Name      string `json:"name,omitempty"`
	Arguments string `json:"arguments"`
}

type part struct {
	Type       string          `json:"type"`
	Text       *string         `json:"text"`
	Refusal    *string         `json:"refusal"`
	ImageURL   json.RawMessage `json:"image_url"`
	InputAudio json.RawMessage `json:"input_audio"`
	VideoURL   json.RawMessage `json:"video_url"`
	File       json.RawMessage `json:"file"`
	Thinking   *string         `json:"thinking"`
}

// readMessages turns messages into chat's. Tool results get the name of the call that they answer.
func readMessages(in []message) ([]chat.Message, error) {
	if len(in) == 0 {
		return nil, Invalid("messages", "messages is empty: send at least one")
	}
	names := map[string]string{} // of calls, by id
	out := make([]chat.Message, 0, len(in))
	for i := range in {
		at := fmt.Sprintf("messages[%d]", i)
		m, err := in[i].read(at, names)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

func (m *message) read(at string, names map[string]string) (chat.Message, error) {
	out := chat.Message{Role: chat.Role(m.Role), Name: m.Name, Prefix: m.Prefix}
	if !IsNull(m.Audio) {
		return out, Unsupported(at+".audio", "%s.audio is not supported: models here read text only", at)
	}
	parts, err := readContent(at+".content", m.Content)
	if err != nil {
		return out, err
	}
	switch m.Role {
	case "system", "developer", "user":
		out.Parts = parts
	case "assistant":
		return out, m.assistant(at, parts, names, &out)
	case "tool", "function":
		out.Role = chat.ToolRole
		return out, m.result(at, parts, names, &out)
	case "":
		return out, Missing(at + ".role")
	default:
		return out, Invalid(at+".role", "%s.role is %q: it must be system, developer, user, assistant or tool", at, m.Role)
	}
	if IsNull(m.Content) {
		return out, Missing(at + ".content")
	}
	return out, nil
}

// assistant adds what the model said before, in the order in which it said it.
func (m *message) assistant(at string, parts []chat.Part, names map[string]string, out *chat.Message) error {
	if m.Reasoning != nil && *m.Reasoning != "" {
		out.Parts = append(out.Parts, chat.Part{Kind: chat.ThinkingPart, Text: *m.Reasoning})
	}
	out.Parts = append(out.Parts, parts...)
	if m.Refusal != nil && *m.Refusal != "" {
		out.Parts = append(out.Parts, chat.Part{Kind: chat.RefusalPart, Text: *m.Refusal})
	}
	calls := m.ToolCalls
	if m.FunctionCall != nil {
		calls = append(calls, toolCall{Type: "function", Function: m.FunctionCall})
	}
	for j, c := range calls {
		at := fmt.Sprintf("%s.tool_calls[%d]", at, j)
		f, err := c.asFunction(at)
		if err != nil {
			return err
		}
		names[c.ID] = f.Name
		out.Parts = append(out.Parts, chat.Part{Kind: chat.CallPart, ID: c.ID, Name: f.Name, Arguments: f.Arguments})
	}
	if IsNull(m.Content) && len(out.Parts) == 0 {
		return Missing(at + ".content")
	}
	return nil
}

// asFunction is a call as the model made it: one of a custom tool was one of a function too.
func (c *toolCall) asFunction(at string) (*functionCall, error) {
	switch c.Type {
	case "function", "":
		if c.Function == nil || c.Function.Name == "" {
			return nil, Missing(at + ".function.name")
		}
		return c.Function, nil
	case "custom":
		if c.Custom == nil || c.Custom.Name == "" {
			return nil, Missing(at + ".custom.name")
		}
		return &functionCall{c.Custom.Name, custom.Arguments(c.Custom.Input)}, nil
	}
	return nil, Unsupported(at+".type", "%s.type is %q: function and custom are possible", at, c.Type)
}

// result makes one part of what a tool gave.
func (m *message) result(at string, parts []chat.Part, names map[string]string, out *chat.Message) error {
	if m.Role == "tool" && m.ToolCallID == "" {
		return Missing(at + ".tool_call_id")
	}
	if IsNull(m.Content) {
		return Missing(at + ".content")
	}
	var text strings.Builder
	for j, p := range parts {
		if p.Kind != chat.TextPart {
			return Invalid(fmt.Sprintf("%s.content[%d].type", at, j), "%s has a part that is not text: results of tools are text", at)
		}
		text.WriteString(p.Text)
	}
	name := m.Name
	if name == "" {
		name = names[m.ToolCallID]
	}
	out.Name = ""
	out.Parts = []chat.Part{{Kind: chat.ResultPart, CallID: m.ToolCallID, Name: name, Text: text.String()}}
	return nil
}

// readContent reads a string or a list of parts; null is none.
func readContent(at string, raw json.RawMessage) ([]chat.Part, error) {
	return api.Content(at, raw, readPart)
}

func readPart(at string, p *part) (chat.Part, error) {
	texts := map[string]struct {
		text *string
		kind chat.PartKind
		name string
	}{"text": {p.Text, chat.TextPart, "text"}, "refusal": {p.Refusal, chat.RefusalPart, "refusal"}, "thinking": {p.Thinking, chat.ThinkingPart, "thinking"}}
	if t, ok := texts[p.Type]; ok {
		if t.text == nil {
			return chat.Part{}, Missing(at + "." + t.name)
		}
		return chat.Part{Kind: t.kind, Text: *t.text}, nil
	}
	switch p.Type {
	case "image_url":
		return media(at+".image_url", "image", p.ImageURL)
	case "video_url":
		return media(at+".video_url", "video", p.VideoURL)
	case "input_audio":
		return media(at+".input_audio", "audio", p.InputAudio)
	case "file":
		return file(at+".file", p.File)
	case "":
		return chat.Part{}, Missing(at + ".type")
	}
	return chat.Part{}, Invalid(at+".type", "%s.type is %q: it must be text, refusal, image_url, input_audio or file", at, p.Type)
}

// file reads a file of a message: one of text as what it says.
func file(at string, raw json.RawMessage) (chat.Part, error) {
	var f struct {
		ID   string `json:"file_id"`
		Name string `json:"filename"`
		Data string `json:"file_data"`
	}
	if !IsNull(raw) {
		if err := api.Decode(at, raw, &f, false); err != nil {
			return chat.Part{}, err
		}
	}
	switch {
	case f.Data == "" && f.ID != "":
		return chat.Part{}, Unsupported(at+".file_id", "%s names a file that was sent before, and chats do not read those: send what it says in file_data", at)
	case f.Data == "":
		return media(at, "file", raw)
	}
	return File(at+".file_data", f.Name, f.Data)
}

// File reads a file's data, as base64 or as a data URL. What it says stands behind its name; a file that is not
// text is media. Of types that say nothing certain, such as application/sql, the content decides.
func File(at, name, data string) (chat.Part, error) {
	kind := ""
	if rest, ok := strings.CutPrefix(data, "data:"); ok {
		var head string
		head, data, ok = strings.Cut(rest, ",")
		if kind, _, _ = strings.Cut(head, ";"); !ok || !strings.HasSuffix(head, ";base64") {
			return chat.Part{}, Invalid(at, "%s is no data URL: write data:text/plain;base64, and the data", at)
		}
	}
	content, err := base64.StdEncoding.DecodeString(data)
	if err != nil {
		return chat.Part{}, Invalid(at, "%s is not base64", at)
	}
	if kind == "application/vnd.ms-excel" && strings.HasSuffix(strings.ToLower(name), ".csv") {
		kind = "text/csv" // browsers on Windows
	}
	content = bytes.TrimPrefix(content, []byte("\ufeff"))
	text := utf8.Valid(content) && bytes.IndexByte(content, 0) < 0
	switch {
	case strings.HasPrefix(kind, "text/"), kind == "application/json", kind == "application/xml":
		if !text {
			return chat.Part{}, Invalid(at, "%s is of the type %s, and is not text in UTF-8: save the file in that encoding", at, kind)
		}
	case !text, bytes.HasPrefix(content, []byte("%PDF")), kind == "application/pdf", kind != "" && !strings.HasPrefix(kind, "application/"):
		return chat.Part{Kind: chat.MediaPart, Media: &chat.Media{Type: "file", Data: content}}, nil
	}
	if name != "" {
		name += "\n"
	}
	return chat.Part{Text: name + string(content) + "\n"}, nil
}

// media reads what is not text: a URL, or base64 data.
func media(at, kind string, raw json.RawMessage) (chat.Part, error) {
	var v struct {
		URL    string `json:"url"`
		Data   string `json:"data"`
		FileID string `json:"file_id"`
		Format string `json:"format"`
	}
	if IsNull(raw) {
		return chat.Part{}, Missing(at)
	}
	if err := api.Decode(at, raw, &v, false); err != nil {
		return chat.Part{}, err
	}
	m := &chat.Media{Type: kind, URL: v.URL}
	if v.FileID != "" {
		m.URL = "file:" + v.FileID
	}
	if v.Data != "" {
		var err error
		if m.Data, err = base64.StdEncoding.DecodeString(v.Data); err != nil {
			return chat.Part{}, Invalid(at+".data", "%s has data that is not base64", at)
		}
	}
	return chat.Part{Kind: chat.MediaPart, Media: m}, nil
}

package gemini

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/galerne-ai/galerne/internal/chat"
)

// content is a turn.
type content struct {
	Role  string `json:"role"`
	Parts []part `json:"parts"`
}

// part is a piece of a turn. One of its fields says what it is.
type part struct {
	Text             *string           `json:"text"`
	Thought          bool              `json:"thought"`
	ThoughtSignature string            `json:"thoughtSignature"`
	InlineData       *blob             `json:"inlineData"`
	FileData         *fileData         `json:"fileData"`
	FunctionCall     *functionCall     `json:"functionCall"`
	FunctionResponse *functionResponse `json:"functionResponse"`
	VideoMetadata    json.RawMessage   `json:"videoMetadata"`   // of media, which are refused
	MediaResolution  json.RawMessage   `json:"mediaResolution"` // the same
	PartMetadata     json.RawMessage   `json:"partMetadata"`    // the caller's own

	ExecutableCode *struct {
		Language string `json:"language"`
		Code     string `json:"code"`
	} `json:"executableCode"`
	CodeExecutionResult *struct {
		Outcome string `json:"outcome"`
		Output  string `json:"output"`
	} `json:"codeExecutionResult"`
	ToolCall     json.RawMessage `json:"toolCall"`
	ToolResponse json.RawMessage `json:"toolResponse"`
}

type blob struct {
	MIMEType    string `json:"mimeType"`
	Data        string `json:"data"`
	DisplayName string `json:"displayName"`
}

type fileData struct {
	MIMEType    string `json:"mimeType"`
	FileURI     string `json:"fileUri"`
	DisplayName string `json:"displayName"`
}

type functionCall struct {
	ID   string          `json:"id"`
	Name string          `json:"name"`
	Args json.RawMessage `json:"args"`
}

type functionResponse struct {
	ID           string          `json:"id"`
	Name         string          `json:"name"`
	Response     json.RawMessage `json:"response"`
	WillContinue bool            `json:"willContinue"`
	Scheduling   string          `json:"scheduling"`
	Parts        json.RawMessage `json:"parts"` // media
}

// conversation gathers the turns of a request.
type conversation struct {
	messages []chat.Message
	open     []chat.Part // calls that no response has answered, in their order
	calls    int
}

// readContents reads the system instruction and the turns.
func readContents(system *content, contents []content) ([]chat.Message, error) {
	var v conversation
	if system != nil && len(system.Parts) > 0 {
		parts, err := v.parts("systemInstruction.parts", system.Parts, chat.System)
		if err != nil {
			return nil, err
		}
		v.messages = append(v.messages, chat.Message{Role: chat.System, Parts: parts})
	}
	if len(contents) == 0 {
		return nil, missing("contents")
	}
	for i := range contents {
		at := fmt.Sprintf("contents[%d]", i)
		role := chat.User
		switch contents[i].Role {
		case "", "user", "function", "tool":
		case "model":
			role = chat.Assistant
		default:
			return nil, invalid(at+".role", "%s.role is %q: it must be user or model", at, contents[i].Role)
		}
		if len(contents[i].Parts) == 0 {
			return nil, invalid(at+".parts", "%s.parts is empty: a turn needs at least one part", at)
		}
		parts, err := v.parts(at+".parts", contents[i].Parts, role)
		if err != nil {
			return nil, err
		}
		v.add(role, parts)
	}
	if last := &v.messages[len(v.messages)-1]; last.Role == chat.Assistant {
		if len(v.open) > 0 {
			return nil, invalid("contents", "the last turn calls functions, and no functionResponse follows: send one for each functionCall")
		}
		last.Prefix = true
	}
	return v.messages, nil
}

// add makes one turn of those of one speaker in a row.
func (v *conversation) add(role chat.Role, parts []chat.Part) {
	if n := len(v.messages); n > 0 && v.messages[n-1].Role == role {
		v.messages[n-1].Parts = append(v.messages[n-1].Parts, parts...)
		return
	}
	v.messages = append(v.messages, chat.Message{Role: role, Parts: parts})
}

func (v *conversation) parts(at string, all []part, role chat.Role) ([]chat.Part, error) {
	out := make([]chat.Part, 0, len(all))
	for i := range all {
		p, err := v.part(fmt.Sprintf("%s[%d]", at, i), &all[i], role)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

func (v *conversation) part(at string, p *part, role chat.Role) (chat.Part, error) {
	if role == chat.System && p.Text == nil {
		return chat.Part{}, invalid(at, "%s has no text: a system instruction is text", at)
	}
	switch {
	case p.Text != nil && p.Thought:
		return chat.Part{Kind: chat.ThinkingPart, Text: *p.Text, Signature: p.ThoughtSignature}, nil
	case p.Text != nil:
		return chat.Part{Kind: chat.TextPart, Text: *p.Text}, nil
	case p.InlineData != nil:
		return p.InlineData.read(at + ".inlineData")
	case p.FileData != nil:
		return chat.Part{Kind: chat.MediaPart, Media: &chat.Media{Type: firstOf(p.FileData.MIMEType, "file"), URL: p.FileData.FileURI}}, nil
	case p.FunctionCall != nil:
		return v.call(at+".functionCall", p.FunctionCall, role)
	case p.FunctionResponse != nil:
		return v.response(at+".functionResponse", p.FunctionResponse, role)
	case p.ExecutableCode != nil: // what a model of Google's has run before is read as text
		return chat.Part{Kind: chat.TextPart, Text: "```" + strings.ToLower(p.ExecutableCode.Language) + "\n" + p.ExecutableCode.Code + "\n```"}, nil
	case p.CodeExecutionResult != nil:
		return chat.Part{Kind: chat.TextPart, Text: "```\n" + p.CodeExecutionResult.Output + "\n```"}, nil
	case !isNull(p.ToolCall), !isNull(p.ToolResponse):
		return chat.Part{}, unsupported(at, "%s comes from a tool of another server: give what it says as text", at)
	}
	return chat.Part{}, invalid(at, "%s has none of text, inlineData, fileData, functionCall and functionResponse", at)
}

// read gives what is text as text, and the rest as media.
func (b *blob) read(at string) (chat.Part, error) {
	data, err := base64.StdEncoding.DecodeString(b.Data)
	if err != nil {
		data, err = base64.URLEncoding.DecodeString(b.Data)
	}
	if err != nil {
		return chat.Part{}, invalid(at+".data", "%s.data is not base64: %v", at, err)
	}
	if strings.HasPrefix(b.MIMEType, "text/") || b.MIMEType == "application/json" {
		return chat.Part{Kind: chat.TextPart, Text: strings.ToValidUTF8(string(data), "\uFFFD")}, nil
	}
	return chat.Part{Kind: chat.MediaPart, Media: &chat.Media{Type: firstOf(b.MIMEType, "file"), Data: data}}, nil
}

// call reads a call of the model. Calls need no id here: their order says which response is whose.
func (v *conversation) call(at string, f *functionCall, role chat.Role) (chat.Part, error) {
	switch {
	case role != chat.Assistant:
		return chat.Part{}, invalid(at, "%s belongs into a turn of the role model", at)
	case f.Name == "":
		return chat.Part{}, missing(at + ".name")
	case isNull(f.Args):
		f.Args = json.RawMessage("{}")
	case f.Args[0] != '{':
		return chat.Part{}, invalid(at+".args", "%s.args must be an object", at)
	}
	v.calls++
	out := chat.Part{Kind: chat.CallPart, ID: firstOf(f.ID, fmt.Sprintf("call_%d", v.calls)), Name: f.Name, Arguments: string(f.Args)}
	for _, o := range v.open {
		if o.ID == out.ID {
			return out, invalid(at+".id", "%s.id is %q, which an earlier call has: ids must be unique", at, f.ID)
		}
	}
	v.open = append(v.open, out)
	return out, nil
}

// response reads what a function gave: to the call of its id, else to the first open one of its name.
func (v *conversation) response(at string, f *functionResponse, role chat.Role) (chat.Part, error) {
	switch {
	case role != chat.User:
		return chat.Part{}, invalid(at, "%s belongs into a turn of the role user", at)
	case f.Name == "" && f.ID == "":
		return chat.Part{}, missing(at + ".name")
	case !isNull(f.Parts) && string(f.Parts) != "[]":
		return chat.Part{}, unsupported(at+".parts", "%s.parts has media, and the models here read text only: put text into response", at)
	case f.WillContinue:
		return chat.Part{}, unsupported(at+".willContinue", "%s.willContinue is not supported: send the response once it is whole", at)
	}
	for i, o := range v.open {
		if f.ID != "" && o.ID != f.ID || f.ID == "" && o.Name != f.Name {
			continue
		}
		v.open = append(v.open[:i:i], v.open[i+1:]...)
		text, failed, err := responseText(at+".response", f.Response)
		return chat.Part{Kind: chat.ResultPart, CallID: o.ID, Name: o.Name, Text: text, Failed: failed}, err
	}
	return chat.Part{}, invalid(at, "%s is for the function %q, and no functionCall before it waits for one", at, firstOf(f.ID, f.Name))
}

// responseText is what the model reads of a response: of one that has only an output or result, or only
// an error, as Google asks for, that; else all of it.
func responseText(at string, raw json.RawMessage) (text string, failed bool, err error) {
	if isNull(raw) {
		return "", false, nil
	}
	all, err := members(at, raw)
	if err != nil || len(all) != 1 {
		return string(raw), false, err
	}
	switch m := all[0]; m.name {
	case "output", "result", "error":
		if json.Unmarshal(m.value, &text) != nil {
			text = string(m.value)
		}
		return text, m.name == "error", nil
	}
	return string(raw), false, nil
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

package ollama

import (
	"encoding/json"
	"fmt"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

// chatBody is the request of /api/chat, without what answerFields lists.
type chatBody struct {
	asking
	Messages []message `json:"messages"`
	Tools    []tool    `json:"tools"`
}

type message struct {
	Role       string     `json:"role"`
	Content    string     `json:"content"`
	Thinking   string     `json:"thinking"`
	Images     []string   `json:"images"`
	ToolCalls  []toolCall `json:"tool_calls"`
	ToolName   string     `json:"tool_name"`
	Name       string     `json:"name"` // the same in older programs
	ToolCallID string     `json:"tool_call_id"`
}

type toolCall struct {
	ID       string       `json:"id,omitempty"`
	Function functionCall `json:"function"`
}

type functionCall struct {
	Index     *int            `json:"index,omitempty"`
	Name      string          `json:"name"`
	Arguments json.RawMessage `json:"arguments"`
}

type tool struct {
	Type     string `json:"type"`
	Function struct {
		Name        string          `json:"name"`
		Description string          `json:"description"`
		Parameters  json.RawMessage `json:"parameters"`
	} `json:"function"`
}

const maxTools = 512

// talk answers POST /api/chat. Without messages it loads the model, or unloads it.
func talk(c *api.Call) error {
	var b chatBody
	if err := c.Decode(&b, answerFields()); err != nil {
		return err
	}
	r := &chat.Request{}
	stream, err := b.read(c, r)
	if err != nil {
		return err
	}
	v := view{request: r, name: b.Model, chat: true}
	if len(b.Messages) == 0 {
		return v.load(c)
	}
	if r.Messages, err = readMessages(b.Messages); err != nil {
		return err
	}
	if r.Tools, err = readTools(b.Tools); err != nil {
		return err
	}
	return v.answer(c, stream)
}

// conversation finds the calls that results belong to: by id where there is one, else by name, else
// in order.
type conversation struct {
	open []chat.Part // calls without a result
}

// readMessages turns messages into chat's. A last turn of the assistant is continued by the answer.
func readMessages(in []message) ([]chat.Message, error) {
	var v conversation
	out := make([]chat.Message, 0, len(in))
	for i := range in {
		m, err := v.read(fmt.Sprintf("messages[%d]", i), i, &in[i])
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	last := &out[len(out)-1]
	last.Prefix = last.Role == chat.Assistant && len(v.open) == 0
	return out, nil
}

func (v *conversation) read(at string, i int, m *message) (chat.Message, error) {
	out := chat.Message{Role: chat.Role(m.Role)}
	if len(m.Images) > 0 {
		return out, unsupported(at+".images", "%s.images is not supported: models here read text only", at)
	}
	text := chat.Part{Kind: chat.TextPart, Text: m.Content}
	switch m.Role {
	case "system", "user", "developer":
		out.Parts = []chat.Part{text}
	case "assistant":
		if m.Thinking != "" {
			out.Parts = append(out.Parts, chat.Part{Kind: chat.ThinkingPart, Text: m.Thinking})
		}
		if m.Content != "" || len(m.ToolCalls) == 0 {
			out.Parts = append(out.Parts, text)
		}
		return out, v.calls(at, i, m, &out)
	case "tool":
		out.Parts = []chat.Part{v.result(m)}
	case "":
		return out, invalid(at+".role", "%s.role is required", at)
	default:
		return out, invalid(at+".role", "%s.role is %q: it must be system, user, assistant or tool", at, m.Role)
	}
	return out, nil
}

// calls adds those that the model made before.
func (v *conversation) calls(at string, i int, m *message, out *chat.Message) error {
	v.open = v.open[:0]
	for j, c := range m.ToolCalls {
		at := fmt.Sprintf("%s.tool_calls[%d].function", at, j)
		if c.Function.Name == "" {
			return invalid(at+".name", "%s.name is required", at)
		}
		p := chat.Part{Kind: chat.CallPart, ID: c.ID, Name: c.Function.Name, Arguments: "{}"}
		if p.ID == "" {
			p.ID = fmt.Sprintf("call_%d_%d", i, j)
		}
		if raw := c.Function.Arguments; !isNull(raw) {
			p.Arguments = string(raw)
			if raw[0] == '"' { // some programs send the text
				if err := api.Decode(at+".arguments", raw, &p.Arguments, false); err != nil {
					return err
				}
			} else if raw[0] != '{' {
				return invalid(at+".arguments", "%s.arguments must be an object", at)
			}
		}
		out.Parts, v.open = append(out.Parts, p), append(v.open, p)
	}
	return nil
}

// result is what a tool gave.
func (v *conversation) result(m *message) chat.Part {
	out := chat.Part{Kind: chat.ResultPart, CallID: m.ToolCallID, Name: m.ToolName, Text: m.Content}
	if out.Name == "" {
		out.Name = m.Name
	}
	at := -1
	for i, c := range v.open {
		if out.CallID != "" && c.ID == out.CallID || out.CallID == "" && (out.Name == "" || c.Name == out.Name) {
			at = i
			break
		}
	}
	if at >= 0 {
		out.CallID, out.Name = v.open[at].ID, v.open[at].Name
		v.open = append(v.open[:at], v.open[at+1:]...)
	}
	return out
}

func readTools(in []tool) (out []chat.Tool, err error) {
	if len(in) > maxTools {
		return nil, invalid("tools", "there are %d tools: at most %d are possible", len(in), maxTools)
	}
	names := map[string]bool{}
	for i, t := range in {
		at, f := fmt.Sprintf("tools[%d]", i), t.Function
		switch {
		case t.Type != "" && t.Type != "function":
			return nil, unsupported(at+".type", "%s.type is %q: only function is possible", at, t.Type)
		case f.Name == "":
			return nil, invalid(at+".function.name", "%s.function.name is required", at)
		case names[f.Name]:
			return nil, invalid(at+".function.name", "%s.function.name is %q, which an earlier tool has", at, f.Name)
		case !isNull(f.Parameters) && f.Parameters[0] != '{':
			return nil, invalid(at+".function.parameters", "%s.function.parameters must be a JSON Schema, an object", at)
		}
		names[f.Name] = true
		one := chat.Tool{Name: f.Name, Description: f.Description}
		if !isNull(f.Parameters) {
			one.Schema = f.Parameters
		}
		out = append(out, one)
	}
	return out, nil
}

package anthropic

import (
	"encoding/json"
	"fmt"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

// message is a turn as it is sent. Content is a string or blocks.
type message struct {
	Role    string          `json:"role"`
	Content json.RawMessage `json:"content"`
}

// conversation gathers the turns of a request.
type conversation struct {
	request *chat.Request
	calls   map[string]string // names of the tools that were called, by id
	open    map[string]bool   // calls that no result has answered
}

// readMessages reads the system prompt and the turns. Turns of one speaker in a row are one turn, and
// a last turn of the assistant is continued by the answer.
func (b *body) readMessages(r *chat.Request) error {
	if len(b.Messages) == 0 {
		return invalid("messages", "messages is empty: at least one message is required")
	}
	v := &conversation{r, map[string]string{}, map[string]bool{}}
	if !isNull(b.System) {
		parts, err := v.content("system", b.System, "system")
		if err != nil {
			return err
		}
		v.add(chat.System, parts)
	}
	for i := range b.Messages {
		m, at := &b.Messages[i], fmt.Sprintf("messages[%d]", i)
		switch m.Role {
		case "user", "assistant", "system":
		case "":
			return missing(at + ".role")
		default:
			return invalid(at+".role", "%s.role is %q: it must be user, assistant or system", at, m.Role)
		}
		parts, err := v.content(at+".content", m.Content, m.Role)
		if err != nil {
			return err
		}
		v.add(chat.Role(m.Role), parts)
	}
	last := &r.Messages[len(r.Messages)-1]
	if last.Role != chat.Assistant {
		return nil
	}
	if len(v.open) > 0 {
		return invalid("messages", "the last message calls tools, and no tool_result follows: send one for each tool_use")
	}
	last.Prefix = true
	return nil
}

func (v *conversation) add(role chat.Role, parts []chat.Part) {
	all := v.request.Messages
	if n := len(all); n > 0 && all[n-1].Role == role {
		all[n-1].Parts = append(all[n-1].Parts, parts...)
		return
	}
	v.request.Messages = append(all, chat.Message{Role: role, Parts: parts})
}

// block is any block of content. Which of the fields it has is a matter of its type.
type block struct {
	Type      string          `json:"type"`
	Text      *string         `json:"text"`
	Source    json.RawMessage `json:"source"`
	Title     string          `json:"title"`
	Context   string          `json:"context"`
	Citations json.RawMessage `json:"citations"`
	ID        string          `json:"id"`
	Name      string          `json:"name"`
	Input     json.RawMessage `json:"input"`
	ToolUseID string          `json:"tool_use_id"`
	Content   json.RawMessage `json:"content"`
	IsError   bool            `json:"is_error"`
	Thinking  *string         `json:"thinking"`
	Signature string          `json:"signature"`
}

// content reads a string or a list of blocks, in the order in which they are.
func (v *conversation) content(at string, raw json.RawMessage, role string) ([]chat.Part, error) {
	if isNull(raw) {
		return nil, missing(at)
	}
	if raw[0] == '"' {
		var text string
		if err := api.Decode(at, raw, &text, false); err != nil {
			return nil, err
		}
		return []chat.Part{{Kind: chat.TextPart, Text: text}}, nil
	}
	if raw[0] != '[' {
		return nil, invalid(at, "%s must be a string or an array of blocks", at)
	}
	var blocks []block
	if err := api.Decode(at, raw, &blocks, false); err != nil {
		return nil, err
	}
	out := make([]chat.Part, 0, len(blocks))
	for i := range blocks {
		here := fmt.Sprintf("%s[%d]", at, i)
		if role == "system" && blocks[i].Type != "text" {
			return nil, invalid(here+".type", "%s.type is %q: a system prompt is text", here, blocks[i].Type)
		}
		parts, err := v.block(here, &blocks[i], role)
		if err != nil {
			return nil, err
		}
		out = append(out, parts...)
	}
	return out, nil
}

func (v *conversation) block(at string, b *block, role string) ([]chat.Part, error) {
	whose := map[string]string{"tool_use": "assistant", "thinking": "assistant", "tool_result": "user", "image": "user", "document": "user", "search_result": "user"}
	if w, ok := whose[b.Type]; ok && w != role {
		return nil, invalid(at+".type", "%s.type is %s, which belongs into a message of the role %s", at, b.Type, w)
	}
	switch b.Type {
	case "text":
		if b.Text == nil {
			return nil, missing(at + ".text")
		}
		return []chat.Part{{Kind: chat.TextPart, Text: *b.Text}}, nil
	case "thinking":
		if b.Thinking == nil {
			return nil, missing(at + ".thinking")
		}
		return []chat.Part{{Kind: chat.ThinkingPart, Text: thoughtOf(*b.Thinking, b.Signature), Signature: b.Signature}}, nil
	case "tool_use":
		return v.call(at, b)
	case "tool_result":
		return v.result(at, b)
	case "image":
		p, err := media(at+".source", "image", b.Source)
		return []chat.Part{p}, err
	case "document":
		return v.document(at, b)
	case "search_result":
		return v.searchResult(at, b)
	case "":
		return nil, missing(at + ".type")
	}
	return nil, b.refuse(at)
}

// refuse names a block that cannot be read here.
func (b *block) refuse(at string) error {
	switch b.Type {
	case "redacted_thinking":
		return unsupported(at+".type", "%s is reasoning that another server has encrypted: leave it out", at)
	case "server_tool_use", "web_search_tool_result", "web_fetch_tool_result", "code_execution_tool_result", "bash_code_execution_tool_result",
		"text_editor_code_execution_tool_result", "tool_search_tool_result", "mcp_tool_use", "mcp_tool_result", "container_upload", "compaction":
		return unsupported(at+".type", "%s.type %s is not supported: it comes from a tool of another server; give what it says as text", at, b.Type)
	}
	return invalid(at+".type", "%s.type is %q: it must be text, image, document, search_result, thinking, tool_use or tool_result", at, b.Type)
}

func (v *conversation) call(at string, b *block) ([]chat.Part, error) {
	switch {
	case b.ID == "":
		return nil, missing(at + ".id")
	case b.Name == "":
		return nil, missing(at + ".name")
	case isNull(b.Input):
		return nil, missing(at + ".input")
	case b.Input[0] != '{':
		return nil, invalid(at+".input", "%s.input must be an object", at)
	}
	if _, twice := v.calls[b.ID]; twice {
		return nil, invalid(at+".id", "%s.id is %q, which an earlier tool_use has: ids must be unique", at, b.ID)
	}
	v.calls[b.ID], v.open[b.ID] = b.Name, true
	return []chat.Part{{Kind: chat.CallPart, ID: b.ID, Name: b.Name, Arguments: string(b.Input)}}, nil
}

// result makes one part of what a tool gave.
func (v *conversation) result(at string, b *block) ([]chat.Part, error) {
	if b.ToolUseID == "" {
		return nil, missing(at + ".tool_use_id")
	}
	name, known := v.calls[b.ToolUseID]
	if !known {
		return nil, invalid(at+".tool_use_id", "%s.tool_use_id is %q, and no tool_use before it has that id", at, b.ToolUseID)
	}
	delete(v.open, b.ToolUseID)
	out := chat.Part{Kind: chat.ResultPart, CallID: b.ToolUseID, Name: name, Failed: b.IsError}
	if isNull(b.Content) {
		out.Text = silent(b.IsError)
		return []chat.Part{out}, nil
	}
	parts, err := v.content(at+".content", b.Content, "user")
	if err != nil {
		return nil, err
	}
	for i, p := range parts {
		if p.Kind != chat.TextPart {
			return nil, unsupported(at+".content", "%s.content has a block that is not text: the models here read text only", at)
		}
		if i > 0 {
			out.Text += "\n"
		}
		out.Text += p.Text
	}
	if out.Text == "" {
		out.Text = silent(b.IsError)
	}
	return []chat.Part{out}, nil
}

// silent is what the model reads of a tool that said nothing: that it failed, if it did.
func silent(failed bool) string {
	if failed {
		return "The tool failed."
	}
	return ""
}

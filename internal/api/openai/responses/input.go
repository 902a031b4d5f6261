package responses

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/openai"
	"github.com/galerne-ai/galerne/internal/api/openai/custom"
	"github.com/galerne-ai/galerne/internal/chat"
)

// item is an element of the input: a message, a call and its result, or reasoning, as they stand in
// an earlier output.
type item struct {
	Type      string          `json:"type"`
	Role      string          `json:"role"`
	Content   json.RawMessage `json:"content"`
	CallID    string          `json:"call_id"`
	Name      string          `json:"name"`
	Arguments *string         `json:"arguments"`
	Input     *string         `json:"input"`
	Output    json.RawMessage `json:"output"`
	Encrypted *string         `json:"encrypted_content"`
}

// reference is an item that stands for one that is stored.
const reference = "item_reference"

// input gathers messages. What the assistant said, called and thought in a row is one message.
type input struct {
	out   []chat.Message
	names map[string]string // of calls, by id
}

// readInput reads a text, or items.
func readInput(instructions *string, raw json.RawMessage) ([]chat.Message, error) {
	in := input{names: map[string]string{}}
	if instructions != nil && *instructions != "" {
		in.add(chat.System, chat.Part{Text: *instructions})
	}
	if openai.IsNull(raw) {
		return nil, openai.Missing("input")
	}
	if raw[0] == '"' {
		var text string
		if err := api.Decode("input", raw, &text, false); err != nil {
			return nil, err
		}
		in.add(chat.User, chat.Part{Text: text})
		return in.out, nil
	}
	var items []item
	if err := api.Decode("input", raw, &items, false); err != nil {
		return nil, err
	}
	if len(items) == 0 {
		return nil, openai.Invalid("input", "input is empty: send at least one item")
	}
	for i := range items {
		if err := in.item(fmt.Sprintf("input[%d]", i), &items[i]); err != nil {
			return nil, err
		}
	}
	return in.out, nil
}

func (in *input) add(role chat.Role, parts ...chat.Part) {
	if n := len(in.out); n > 0 && role == chat.Assistant && in.out[n-1].Role == role {
		in.out[n-1].Parts = append(in.out[n-1].Parts, parts...)
		return
	}
	in.out = append(in.out, chat.Message{Role: role, Parts: parts})
}

func (in *input) item(at string, it *item) error {
	switch it.Type {
	case "message", "":
		return in.message(at, it)
	case "reasoning":
		text, err := it.thoughts(at)
		if err == nil && text != "" {
			in.add(chat.Assistant, chat.Part{Kind: chat.ThinkingPart, Text: text})
		}
		return err
	case "function_call":
		if it.Arguments == nil {
			return openai.Missing(at + ".arguments")
		}
		return in.call(at, it, *it.Arguments)
	case "custom_tool_call":
		if it.Input == nil {
			return openai.Missing(at + ".input")
		}
		return in.call(at, it, custom.Arguments(*it.Input))
	case "function_call_output", "custom_tool_call_output":
		if it.CallID == "" {
			return openai.Missing(at + ".call_id")
		}
		if openai.IsNull(it.Output) {
			return openai.Missing(at + ".output")
		}
		parts, err := readContent(at+".output", it.Output)
		if err != nil {
			return err
		}
		text, err := textOf(at+".output", parts)
		in.add(chat.ToolRole, chat.Part{Kind: chat.ResultPart, CallID: it.CallID, Name: in.names[it.CallID], Text: text})
		return err
	case compaction:
		return in.summary(at, it)
	case reference:
		return openai.Unsupported(at+".type", "%s.type is %q: nothing is stored here; send the item itself", at, it.Type)
	}
	return openai.Unsupported(at+".type", "%s.type is %q: message, reasoning, function_call, function_call_output, custom_tool_call, custom_tool_call_output, compaction and item_reference are possible", at, it.Type)
}

func (in *input) call(at string, it *item, arguments string) error {
	switch {
	case it.CallID == "":
		return openai.Missing(at + ".call_id")
	case it.Name == "":
		return openai.Missing(at + ".name")
	}
	in.names[it.CallID] = it.Name
	in.add(chat.Assistant, chat.Part{Kind: chat.CallPart, ID: it.CallID, Name: it.Name, Arguments: arguments})
	return nil
}

func (in *input) message(at string, it *item) error {
	role := chat.Role(it.Role)
	switch role {
	case chat.System, chat.Developer, chat.User, chat.Assistant:
	case "":
		return openai.Missing(at + ".role")
	default:
		return openai.Invalid(at+".role", "%s.role is %q: it must be system, developer, user or assistant", at, it.Role)
	}
	if openai.IsNull(it.Content) {
		return openai.Missing(at + ".content")
	}
	parts, err := readContent(at+".content", it.Content)
	if err == nil {
		in.add(role, parts...)
	}
	return err
}

// thoughts is the text of a reasoning item; what stands under encrypted_content is the same text,
// for clients that keep that only.
func (it *item) thoughts(at string) (string, error) {
	if !openai.IsNull(it.Content) {
		parts, err := readContent(at+".content", it.Content)
		if err != nil {
			return "", err
		}
		if text, err := textOf(at+".content", parts); text != "" || err != nil {
			return text, err
		}
	}
	if it.Encrypted == nil || *it.Encrypted == "" {
		return "", nil
	}
	text, err := base64.StdEncoding.DecodeString(*it.Encrypted)
	if err != nil {
		return "", openai.Invalid(at+".encrypted_content", "%s.encrypted_content is not of this server", at)
	}
	return string(text), nil
}

// content is a part of a message.
type content struct {
	Type       string          `json:"type"`
	Text       *string         `json:"text"`
	Refusal    *string         `json:"refusal"`
	ImageURL   string          `json:"image_url"`
	InputAudio json.RawMessage `json:"input_audio"`
	Filename   string          `json:"filename"`
	FileData   string          `json:"file_data"`
}

// readContent reads a string or a list of parts.
func readContent(at string, raw json.RawMessage) ([]chat.Part, error) {
	return api.Content(at, raw, func(at string, p *content) (chat.Part, error) {
		switch p.Type {
		case "input_text", "output_text", "text", "reasoning_text", "summary_text":
			if p.Text == nil {
				return chat.Part{}, openai.Missing(at + ".text")
			}
			return chat.Part{Text: *p.Text}, nil
		case "refusal":
			if p.Refusal == nil {
				return chat.Part{}, openai.Missing(at + ".refusal")
			}
			return chat.Part{Kind: chat.RefusalPart, Text: *p.Refusal}, nil
		case "input_file":
			if p.FileData != "" {
				part, err := openai.File(at+".file_data", p.Filename, p.FileData)
				if err != nil || part.Kind == chat.TextPart {
					return part, err
				}
			}
			return chat.Part{}, openai.Unsupported(at+".type", "%s is no file of text in file_data, and the models here read text only: send what it says", at)
		case "input_image", "input_audio":
			return chat.Part{}, openai.Unsupported(at+".type", "%s is not text, and the models here read text only: leave it out or describe it", at)
		}
		return chat.Part{}, openai.Invalid(at+".type", "%s.type is %q: it must be input_text, output_text or refusal", at, p.Type)
	})
}

// textOf joins parts that must be text.
func textOf(at string, parts []chat.Part) (string, error) {
	var b strings.Builder
	for i, p := range parts {
		if p.Kind != chat.TextPart {
			return "", openai.Invalid(fmt.Sprintf("%s[%d].type", at, i), "%s[%d] must be text", at, i)
		}
		b.WriteString(p.Text)
	}
	return b.String(), nil
}

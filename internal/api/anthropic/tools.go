package anthropic

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/galerne-ai/galerne/internal/chat"
)

type tool struct {
	Type           string            `json:"type"`
	Name           string            `json:"name"`
	Description    string            `json:"description"`
	InputSchema    json.RawMessage   `json:"input_schema"`
	Strict         bool              `json:"strict"`
	DeferLoading   bool              `json:"defer_loading"`
	AllowedCallers []string          `json:"allowed_callers"`
	InputExamples  []json.RawMessage `json:"input_examples"`
	CacheControl   json.RawMessage   `json:"cache_control"`         // every prefix is kept as long as there is room
	EagerInput     *bool             `json:"eager_input_streaming"` // input streams as it comes
}

type toolChoice struct {
	Type            string `json:"type"`
	Name            string `json:"name"`
	DisableParallel *bool  `json:"disable_parallel_tool_use"`
}

// toolName is what Anthropic allows.
var toolName = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,128}$`)

const maxTools = 512

func (b *body) readTools(r *chat.Request) error {
	if len(b.Tools) > maxTools {
		return invalid("tools", "there are %d tools: at most %d are possible", len(b.Tools), maxTools)
	}
	names := map[string]bool{}
	for i := range b.Tools {
		at := fmt.Sprintf("tools[%d]", i)
		t, err := b.Tools[i].read(at)
		if err != nil {
			return err
		}
		if names[t.Name] {
			return invalid(at+".name", "%s.name is %q, which an earlier tool has: names must be unique", at, t.Name)
		}
		names[t.Name] = true
		r.Tools = append(r.Tools, t)
	}
	return b.ToolChoice.read(r, names)
}

func (t *tool) read(at string) (chat.Tool, error) {
	out := chat.Tool{Name: t.Name, Description: t.Description, Schema: t.InputSchema, Strict: t.Strict}
	switch {
	case t.Type != "" && t.Type != "custom":
		return out, unsupported(at+".type", "%s.type %q is not supported: its models know that tool and these do not; give its description and input_schema as a custom tool", at, t.Type)
	case t.Name == "":
		return out, missing(at + ".name")
	case !toolName.MatchString(t.Name):
		return out, invalid(at+".name", "%s.name is %q: it must have 1 to 128 letters, digits, underscores and dashes", at, t.Name)
	case isNull(t.InputSchema):
		return out, missing(at + ".input_schema")
	case t.InputSchema[0] != '{':
		return out, invalid(at+".input_schema", "%s.input_schema must be a JSON Schema, an object", at)
	case t.DeferLoading:
		return out, unsupported(at+".defer_loading", "%s.defer_loading is not supported: the model sees every tool", at)
	}
	for _, who := range t.AllowedCallers {
		if who != "direct" {
			return out, unsupported(at+".allowed_callers", "%s.allowed_callers has %q: only direct calls are possible", at, who)
		}
	}
	if len(t.InputExamples) > 0 { // where the model reads them
		examples := make([]string, len(t.InputExamples))
		for i, e := range t.InputExamples {
			examples[i] = string(e)
		}
		out.Description = strings.TrimLeft(out.Description+"\nExamples of input: "+strings.Join(examples, " "), "\n")
	}
	return out, nil
}

func (c *toolChoice) read(r *chat.Request, names map[string]bool) error {
	if c == nil {
		return nil
	}
	switch c.Type {
	case "auto":
	case "none":
		r.ToolChoice.Mode = chat.ToolsNone
	case "any", "tool":
		if len(names) == 0 {
			return invalid("tool_choice", "tool_choice is %s and there are no tools: send tools", c.Type)
		}
		r.ToolChoice.Mode = chat.ToolsRequired
		if c.Type == "any" {
			break
		}
		if !names[c.Name] {
			return invalid("tool_choice.name", "tool_choice.name is %q, which is not among the tools", c.Name)
		}
		r.ToolChoice = chat.ToolChoice{Mode: chat.ToolsNamed, Names: []string{c.Name}}
	case "":
		return missing("tool_choice.type")
	default:
		return invalid("tool_choice.type", "tool_choice.type is %q: it must be auto, any, tool or none", c.Type)
	}
	if c.DisableParallel != nil && len(names) > 0 {
		parallel := !*c.DisableParallel
		r.ParallelTools = &parallel
	}
	return nil
}

package openai

import (
	"encoding/json"
	"fmt"
	"regexp"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/openai/custom"
	"github.com/galerne-ai/galerne/internal/chat"
)

type tool struct {
	Type     string `json:"type"`
	Function *struct {
		Name        string          `json:"name"`
		Description string          `json:"description"`
		Parameters  json.RawMessage `json:"parameters"`
		Strict      *bool           `json:"strict"`
	} `json:"function"`
	Custom *struct {
		Name        string         `json:"name"`
		Description string         `json:"description"`
		Format      *custom.Format `json:"format"`
	} `json:"custom"`
}

// toolName is what OpenAI allows as the name of a function.
var toolName = regexp.MustCompile(`^[a-zA-Z0-9_.-]{1,64}$`)

const maxTools = 512

// readTools reads tools, and which of them are custom.
func readTools(in []tool) (out []chat.Tool, texts custom.Names, err error) {
	texts = custom.Names{}
	for i := range in {
		at := fmt.Sprintf("tools[%d]", i)
		one, err := in[i].read(at)
		if err != nil {
			return nil, nil, err
		}
		kind := "function"
		if in[i].Type == "custom" {
			kind, texts[one.Name] = "custom", true
		}
		if out, err = AddTool(out, at+"."+kind, one); err != nil {
			return nil, nil, err
		}
	}
	return out, texts, nil
}

func (t *tool) read(at string) (chat.Tool, error) {
	switch t.Type {
	case "function", "":
		if t.Function == nil {
			return chat.Tool{}, Missing(at + ".function")
		}
		f := t.Function
		return chat.Tool{Name: f.Name, Description: f.Description, Schema: f.Parameters, Strict: f.Strict != nil && *f.Strict}, nil
	case "custom":
		if t.Custom == nil {
			return chat.Tool{}, Missing(at + ".custom")
		}
		return custom.Tool(at+".custom", t.Custom.Name, t.Custom.Description, t.Custom.Format)
	}
	return chat.Tool{}, Unsupported(at+".type", "%s.type is %q: function and custom are possible", at, t.Type)
}

// AddTool checks a tool and adds it to those before it.
func AddTool(list []chat.Tool, at string, t chat.Tool) ([]chat.Tool, error) {
	switch {
	case len(list) == maxTools:
		return nil, Invalid("tools", "there are more than %d tools", maxTools)
	case t.Name == "":
		return nil, Missing(at + ".name")
	case !toolName.MatchString(t.Name):
		return nil, Invalid(at+".name", "%s.name is %q: it must have 1 to 64 letters, digits, underscores, dots and dashes", at, t.Name)
	case !IsNull(t.Schema) && t.Schema[0] != '{':
		return nil, Invalid(at+".parameters", "%s.parameters must be a JSON Schema, an object", at)
	}
	for _, other := range list {
		if other.Name == t.Name {
			return nil, Invalid(at+".name", "%s.name is %q, which an earlier tool has", at, t.Name)
		}
	}
	if IsNull(t.Schema) {
		t.Schema = nil
	}
	return append(list, t), nil
}

// choice is tool_choice where it is an object. The Responses API has no inner objects.
type choice struct {
	Type string `json:"type"`
	chosen
	Allowed *allowed `json:"allowed_tools"`
	allowed
}

// chosen is a tool's name, in an object of its kind or, in the Responses API, by itself.
type chosen struct {
	Name     string `json:"name"`
	Function *named `json:"function"`
	Custom   *named `json:"custom"`
}

type named struct {
	Name string `json:"name"`
}

func (c *chosen) name() string {
	switch {
	case c.Function != nil:
		return c.Function.Name
	case c.Custom != nil:
		return c.Custom.Name
	}
	return c.Name
}

type allowed struct {
	Mode  string   `json:"mode"`
	Tools []chosen `json:"tools"`
}

// ReadChoice reads tool_choice: a word, a function's name, or a mode with those that are allowed.
func ReadChoice(raw json.RawMessage, tools []chat.Tool) (chat.ToolChoice, error) {
	var out chat.ToolChoice
	if IsNull(raw) {
		return out, nil
	}
	if raw[0] == '"' {
		var word string
		if err := api.Decode("tool_choice", raw, &word, false); err != nil {
			return out, err
		}
		return choiceMode(out, word, "tool_choice", tools)
	}
	var c choice
	if err := api.Decode("tool_choice", raw, &c, false); err != nil {
		return out, err
	}
	switch c.Type {
	case "function", "custom":
		out.Mode, out.Names = chat.ToolsNamed, []string{c.name()}
		return out, known("tool_choice."+c.Type+".name", out.Names, tools)
	case "allowed_tools":
		if c.Allowed == nil {
			c.Allowed = &c.allowed
		}
		for i := range c.Allowed.Tools {
			out.Names = append(out.Names, c.Allowed.Tools[i].name())
		}
		if err := known("tool_choice.allowed_tools.tools", out.Names, tools); err != nil {
			return out, err
		}
		return choiceMode(out, c.Allowed.Mode, "tool_choice.allowed_tools.mode", tools)
	case "":
		return out, Missing("tool_choice.type")
	}
	return out, Unsupported("tool_choice.type", "tool_choice.type is %q: function, custom and allowed_tools are possible", c.Type)
}

func choiceMode(out chat.ToolChoice, word, at string, tools []chat.Tool) (chat.ToolChoice, error) {
	switch word {
	case "auto":
	case "none":
		out.Mode = chat.ToolsNone
	case "required", "any":
		out.Mode = chat.ToolsRequired
		if len(tools) == 0 {
			return out, Invalid("tool_choice", "tool_choice is %q and there are no tools: send tools", word)
		}
	default:
		return out, Invalid(at, "%s is %q: it must be none, auto or required, or name a tool", at, word)
	}
	return out, nil
}

// known refuses names that no tool has.
func known(at string, names []string, tools []chat.Tool) error {
	for _, n := range names {
		found := false
		for _, t := range tools {
			found = found || t.Name == n
		}
		if !found {
			return Invalid(at, "%s names %q, which is not among the tools", at, n)
		}
	}
	return nil
}

package openai

import (
	"encoding/json"
	"fmt"
	"regexp"

	"github.com/galerne-ai/galerne/internal/api"
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
}

// toolName is what OpenAI allows as the name of a function.
var toolName = regexp.MustCompile(`^[a-zA-Z0-9_.-]{1,64}$`)

const maxTools = 512

func readTools(in []tool) ([]chat.Tool, error) {
	if len(in) > maxTools {
		return nil, invalid("tools", "there are %d tools: at most %d are possible", len(in), maxTools)
	}
	var out []chat.Tool
	seen := map[string]bool{}
	for i, t := range in {
		at := fmt.Sprintf("tools[%d]", i)
		switch {
		case t.Type != "function" && t.Type != "":
			return nil, unsupported(at+".type", "%s.type is %q: only function is possible", at, t.Type)
		case t.Function == nil:
			return nil, missing(at + ".function")
		case t.Function.Name == "":
			return nil, missing(at + ".function.name")
		case !toolName.MatchString(t.Function.Name):
			return nil, invalid(at+".function.name", "%s.function.name is %q: it must have 1 to 64 letters, digits, underscores, dots and dashes", at, t.Function.Name)
		case seen[t.Function.Name]:
			return nil, invalid(at+".function.name", "%s.function.name is %q, which an earlier tool has", at, t.Function.Name)
		case !isNull(t.Function.Parameters) && t.Function.Parameters[0] != '{':
			return nil, invalid(at+".function.parameters", "%s.function.parameters must be a JSON Schema, an object", at)
		}
		seen[t.Function.Name] = true
		one := chat.Tool{Name: t.Function.Name, Description: t.Function.Description, Strict: t.Function.Strict != nil && *t.Function.Strict}
		if !isNull(t.Function.Parameters) {
			one.Schema = t.Function.Parameters
		}
		out = append(out, one)
	}
	return out, nil
}

// choice is tool_choice where it is an object.
type choice struct {
	Type     string `json:"type"`
	Name     string `json:"name"`
	Function *struct {
		Name string `json:"name"`
	} `json:"function"`
	Allowed *struct {
		Mode  string `json:"mode"`
		Tools []struct {
			Type     string `json:"type"`
			Name     string `json:"name"`
			Function *struct {
				Name string `json:"name"`
			} `json:"function"`
		} `json:"tools"`
	} `json:"allowed_tools"`
}

// readChoice reads tool_choice: a word, a function's name, or a mode with those that are allowed.
func readChoice(raw json.RawMessage, tools []chat.Tool) (chat.ToolChoice, error) {
	var out chat.ToolChoice
	if isNull(raw) {
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
	case "function":
		name := c.Name
		if c.Function != nil {
			name = c.Function.Name
		}
		out.Mode, out.Names = chat.ToolsNamed, []string{name}
		return out, known("tool_choice.function.name", out.Names, tools)
	case "allowed_tools":
		if c.Allowed == nil {
			return out, missing("tool_choice.allowed_tools")
		}
		for _, t := range c.Allowed.Tools {
			name := t.Name
			if t.Function != nil {
				name = t.Function.Name
			}
			out.Names = append(out.Names, name)
		}
		if err := known("tool_choice.allowed_tools.tools", out.Names, tools); err != nil {
			return out, err
		}
		return choiceMode(out, c.Allowed.Mode, "tool_choice.allowed_tools.mode", tools)
	case "":
		return out, missing("tool_choice.type")
	}
	return out, unsupported("tool_choice.type", "tool_choice.type is %q: function and allowed_tools are possible", c.Type)
}

func choiceMode(out chat.ToolChoice, word, at string, tools []chat.Tool) (chat.ToolChoice, error) {
	switch word {
	case "auto":
	case "none":
		out.Mode = chat.ToolsNone
	case "required", "any":
		out.Mode = chat.ToolsRequired
		if len(tools) == 0 {
			return out, invalid("tool_choice", "tool_choice is %q and there are no tools: send tools", word)
		}
	default:
		return out, invalid(at, "%s is %q: it must be none, auto or required, or name a function", at, word)
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
			return invalid(at, "%s names %q, which is not among the tools", at, n)
		}
	}
	return nil
}

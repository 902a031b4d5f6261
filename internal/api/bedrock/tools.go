package bedrock

import (
	"encoding/json"
	"fmt"
	"regexp"

	"github.com/galerne-ai/galerne/internal/chat"
)

type toolConfig struct {
	Tools []struct {
		Spec       *toolSpec       `json:"toolSpec"`
		System     json.RawMessage `json:"systemTool"`
		CachePoint json.RawMessage `json:"cachePoint"` // every prefix is kept as long as there is room
	} `json:"tools"`
	Choice *struct {
		Auto json.RawMessage `json:"auto"`
		Any  json.RawMessage `json:"any"`
		Tool *struct {
			Name string `json:"name"`
		} `json:"tool"`
	} `json:"toolChoice"`
}

type toolSpec struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Schema      struct {
		JSON json.RawMessage `json:"json"`
	} `json:"inputSchema"`
	Strict bool `json:"strict"`
}

// toolName is what Amazon allows.
var toolName = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)

func (b *body) readTools(r *chat.Request) error {
	t := b.Tools
	if t == nil {
		return nil
	}
	if len(t.Tools) > maxTools {
		return invalid("toolConfig.tools", "toolConfig.tools has %d tools: at most %d are possible", len(t.Tools), maxTools)
	}
	names := map[string]bool{}
	for i := range t.Tools {
		at := fmt.Sprintf("toolConfig.tools[%d]", i)
		switch s := t.Tools[i].Spec; {
		case !isNull(t.Tools[i].System):
			return unsupported(at+".systemTool", "%s.systemTool is not supported: it is run by Amazon; declare a toolSpec that does it, and run it yourself", at)
		case s == nil && !isNull(t.Tools[i].CachePoint):
			continue
		case s == nil:
			return missing(at + ".toolSpec")
		case !toolName.MatchString(s.Name):
			return invalid(at+".toolSpec.name", "%s.toolSpec.name is %q: it must have 1 to 64 letters, digits, underscores and dashes", at, s.Name)
		case names[s.Name]:
			return invalid(at+".toolSpec.name", "%s.toolSpec.name is %q, which an earlier tool has: names must be unique", at, s.Name)
		case isNull(s.Schema.JSON) || s.Schema.JSON[0] != '{':
			return invalid(at+".toolSpec.inputSchema.json", "%s.toolSpec.inputSchema.json must be a JSON Schema, an object", at)
		default:
			names[s.Name] = true
			r.Tools = append(r.Tools, chat.Tool{Name: s.Name, Description: s.Description, Schema: s.Schema.JSON, Strict: s.Strict})
		}
	}
	c := t.Choice
	switch {
	case c == nil:
	case c.Tool != nil:
		if !names[c.Tool.Name] {
			return invalid("toolConfig.toolChoice.tool.name", "toolConfig.toolChoice.tool.name is %q, which is not among the tools", c.Tool.Name)
		}
		r.ToolChoice = chat.ToolChoice{Mode: chat.ToolsNamed, Names: []string{c.Tool.Name}}
	case !isNull(c.Any):
		if len(names) == 0 {
			return invalid("toolConfig.toolChoice", "toolConfig.toolChoice is any and there are no tools: send tools")
		}
		r.ToolChoice.Mode = chat.ToolsRequired
	case isNull(c.Auto):
		return invalid("toolConfig.toolChoice", "toolConfig.toolChoice must have one of auto, any and tool")
	}
	return nil
}

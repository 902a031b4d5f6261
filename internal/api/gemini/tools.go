package gemini

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

// tool is functions that the model may call. Tools that Google runs itself are refused by name.
type tool struct {
	Functions []function `json:"functionDeclarations"`
}

type function struct {
	Name                 string          `json:"name"`
	Description          string          `json:"description"`
	Behavior             string          `json:"behavior"`
	Parameters           json.RawMessage `json:"parameters"`
	ParametersJSONSchema json.RawMessage `json:"parametersJsonSchema"`
	Response             json.RawMessage `json:"response"`
	ResponseJSONSchema   json.RawMessage `json:"responseJsonSchema"`
}

type toolConfig struct {
	FunctionCalling *struct {
		Mode        string   `json:"mode"`
		Allowed     []string `json:"allowedFunctionNames"`
		StreamCalls bool     `json:"streamFunctionCallArguments"`
	} `json:"functionCallingConfig"`
	Retrieval   json.RawMessage `json:"retrievalConfig"` // where the user is, for Google's own tools
	ServerCalls bool            `json:"includeServerSideToolInvocations"`
}

// functionName is what Google allows.
var functionName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_.:-]{0,127}$`)

const maxFunctions = 512

func (b *body) readTools(r *chat.Request) error {
	names := map[string]bool{}
	for i, raw := range b.Tools {
		at := fmt.Sprintf("tools[%d]", i)
		if isNull(raw) || raw[0] != '{' {
			return invalid(at, "%s must be an object", at)
		}
		raw, err := api.Check(at, raw, toolFields())
		if err != nil {
			return err
		}
		var t tool
		if err := api.Decode(at, raw, &t, false); err != nil {
			return err
		}
		for j := range t.Functions {
			here := fmt.Sprintf("%s.functionDeclarations[%d]", at, j)
			one, err := t.Functions[j].read(here)
			if err != nil {
				return err
			}
			if names[one.Name] {
				return invalid(here+".name", "%s.name is %q, which an earlier function has: names must be unique", here, one.Name)
			}
			names[one.Name] = true
			r.Tools = append(r.Tools, one)
		}
	}
	if len(r.Tools) > maxFunctions {
		return invalid("tools", "there are %d functions: at most %d are possible", len(r.Tools), maxFunctions)
	}
	return b.ToolConfig.read(r, names)
}

func (f *function) read(at string) (chat.Tool, error) {
	out := chat.Tool{Name: f.Name, Description: f.Description}
	switch {
	case f.Name == "":
		return out, missing(at + ".name")
	case !functionName.MatchString(f.Name):
		return out, invalid(at+".name", "%s.name is %q: it must begin with a letter or underscore and have at most 128 letters, digits, underscores, dots, colons and dashes", at, f.Name)
	case f.Behavior != "" && f.Behavior != "BLOCKING" && f.Behavior != "UNSPECIFIED":
		return out, unsupported(at+".behavior", "%s.behavior %s is not supported: the answer waits for the function, which is BLOCKING", at, f.Behavior)
	case !isNull(f.Parameters) && !isNull(f.ParametersJSONSchema):
		return out, invalid(at+".parametersJsonSchema", "%s has parameters and parametersJsonSchema: send one", at)
	}
	var err error
	switch {
	case !isNull(f.Parameters):
		out.Schema, err = openAPI(at+".parameters", f.Parameters)
	case !isNull(f.ParametersJSONSchema):
		if out.Schema = f.ParametersJSONSchema; out.Schema[0] != '{' {
			err = invalid(at+".parametersJsonSchema", "%s.parametersJsonSchema must be a JSON Schema, an object", at)
		}
	}
	if err != nil {
		return out, err
	}
	for _, returns := range []json.RawMessage{f.Response, f.ResponseJSONSchema} { // where the model reads it
		if !isNull(returns) {
			out.Description += "\nReturns: " + string(returns)
		}
	}
	out.Description = strings.TrimPrefix(out.Description, "\n")
	return out, nil
}

func (t *toolConfig) read(r *chat.Request, names map[string]bool) error {
	if t == nil {
		return nil
	}
	if t.ServerCalls {
		return unsupported("toolConfig.includeServerSideToolInvocations", "toolConfig.includeServerSideToolInvocations is not supported: no tools run here")
	}
	c := t.FunctionCalling
	if c == nil {
		return nil
	}
	const at = "toolConfig.functionCallingConfig"
	if c.StreamCalls {
		return unsupported(at+".streamFunctionCallArguments", "%s.streamFunctionCallArguments is not supported: calls come whole", at)
	}
	for i, name := range c.Allowed {
		if !names[name] {
			here := fmt.Sprintf("%s.allowedFunctionNames[%d]", at, i)
			return invalid(here, "%s is %q, which is not among the functions", here, name)
		}
	}
	r.ToolChoice.Names = slices.Clone(c.Allowed)
	switch c.Mode {
	case "", "AUTO", "MODE_UNSPECIFIED":
	case "NONE":
		r.ToolChoice = chat.ToolChoice{Mode: chat.ToolsNone}
	case "VALIDATED":
		strict(r.Tools)
	case "ANY":
		if len(names) == 0 {
			return invalid(at+".mode", "%s.mode is ANY and there are no functions: send tools", at)
		}
		strict(r.Tools)
		r.ToolChoice.Mode = chat.ToolsRequired
		if len(c.Allowed) > 0 {
			r.ToolChoice.Mode = chat.ToolsNamed
		}
	default:
		return invalid(at+".mode", "%s.mode is %q: it must be AUTO, ANY, NONE or VALIDATED", at, c.Mode)
	}
	return nil
}

// strict has the arguments of calls fit their schemas, as Google promises for these modes.
func strict(tools []chat.Tool) {
	for i := range tools {
		tools[i].Strict = true
	}
}

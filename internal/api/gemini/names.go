package gemini

import (
	"encoding/json"
	"strings"

	"github.com/galerne-ai/galerne/internal/api"
)

// decode reads the body, in either spelling of its names, into v.
func decode(c *api.Call, v any, fields []api.Field) error {
	var raw json.RawMessage
	if err := c.Decode(&raw, nil); err != nil {
		return err
	}
	data, err := camel("", raw, 0)
	if err != nil {
		return err
	}
	if len(fields) > 0 {
		if data, err = api.Check("", data, fields); err != nil {
			return err
		}
	}
	return api.Decode("", data, v, c.Strict())
}

// verbatim reports whether a field's names are the caller's own. Schemas in Google's form are among
// them: openAPI reads their names.
func verbatim(name string) bool {
	switch name {
	case "args", "parameters", "parametersJsonSchema", "response", "responseJsonSchema", "responseSchema", "_responseJsonSchema", "labels", "example":
		return true
	}
	return false
}

// repeated reports whether a field is a list, of which one element may come without brackets.
func repeated(name string) bool {
	switch name {
	case "contents", "parts", "tools", "functionDeclarations", "stopSequences", "requests", "safetySettings", "allowedFunctionNames":
		return true
	}
	return false
}

// maxDepth is how deep there are names of Google's: deeper levels stay as they are, and cost nothing.
const maxDepth = 12

// camel writes the names of an object, and of those in it, as camelCase.
func camel(at string, raw json.RawMessage, depth int) (json.RawMessage, error) {
	if depth == maxDepth {
		return raw, nil
	}
	switch raw[0] {
	case '[':
		var items []json.RawMessage
		if err := api.Decode(at, raw, &items, false); err != nil {
			return nil, err
		}
		for i := range items {
			var err error
			if items[i], err = camel(at, items[i], depth+1); err != nil {
				return nil, err
			}
		}
		return json.Marshal(items)
	case '{':
	default:
		return raw, nil
	}
	var object map[string]json.RawMessage
	if err := api.Decode(at, raw, &object, false); err != nil {
		return nil, err
	}
	out := make(map[string]json.RawMessage, len(object))
	for name, value := range object {
		own := camelName(name)
		here := strings.TrimPrefix(at+"."+own, ".")
		if _, twice := out[own]; twice {
			return nil, invalid(here, "%s is given in two spellings: send one", here)
		}
		if !verbatim(own) {
			var err error
			if value, err = camel(here, value, depth+1); err != nil {
				return nil, err
			}
		}
		if repeated(own) && value[0] != '[' && string(value) != "null" {
			value = append(append(json.RawMessage("["), value...), ']')
		}
		out[own] = value
	}
	return json.Marshal(out)
}

// camelName is camelCase of snake_case; an underscore in front stays.
func camelName(name string) string {
	if !strings.Contains(name, "_") {
		return name
	}
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		if name[i] == '_' && i > 0 && i+1 < len(name) && name[i+1] >= 'a' && name[i+1] <= 'z' {
			i++
			b.WriteByte(name[i] - 'a' + 'A')
			continue
		}
		b.WriteByte(name[i])
	}
	return b.String()
}

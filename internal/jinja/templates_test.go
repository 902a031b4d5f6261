package jinja

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/galerne-ai/galerne/internal/testdeps"
	"github.com/galerne-ai/galerne/internal/weights"
)

const weatherTool = `{"type":"function","function":{"name":"get_weather","description":"The weather of a place, <now> & \"here\".",
 "parameters":{"type":"object","properties":{"city":{"type":"string","description":"The city, e.g. Brest"},
 "unit":{"type":"string","enum":["celsius","fahrenheit"],"default":"celsius"},"days":{"type":"integer","minimum":1},
 "where":{"type":"object","properties":{"lat":{"type":"number"},"tags":{"type":"array","items":{"type":"string"}}},"required":["lat"]},
 "any":{"anyOf":[{"type":"string"},{"type":"null"}]}},"required":["city"]}}}`

const clockTool = `{"type":"function","function":{"name":"clock","description":"The time","parameters":{"type":"object","properties":{}}}}`

// call is an assistant's turn with one tool call; the id is one that Mistral's templates accept.
func call(content, arguments string) string {
	return `{"role":"assistant","content":` + content + `,"tool_calls":[{"id":"call12345","type":"function","function":{"name":"get_weather","arguments":` + arguments + `}}]}`
}

const (
	system = `{"role":"system","content":"You are terse. Été <b>&'\"</b>"}`
	user   = `{"role":"user","content":"  What's the weather in Brest? \n"}`
	result = `{"role":"tool","tool_call_id":"call12345","name":"get_weather","content":"{\"temp\": 11.5, \"sky\": \"gris\"}"}`
	answer = `{"role":"assistant","content":"It is **11.5** degrees.\n\n"}`
	object = `{"city":"Brest","days":2,"deep":{"a":[1,2.0,true,null,"é\n"]}}`
)

var conversations = map[string]string{
	"plain":            `[` + user + `]`,
	"system":           `[` + system + `,` + user + `]`,
	"multi-turn":       `[` + system + `,` + user + `,` + answer + `,{"role":"user","content":"And <tomorrow>?"}]`,
	"ends-assistant":   `[` + user + `,` + answer + `]`,
	"call":             `[` + system + `,` + user + `,` + call(`""`, object) + `,` + result + `]`,
	"call-null":        `[` + user + `,` + call(`null`, object) + `,` + result + `,` + answer + `,` + user + `]`,
	"call-text":        `[` + user + `,` + call(`"I look it up."`, `"{\"city\": \"Brest\"}"`) + `,` + result + `]`,
	"calls-pending":    `[` + user + `,` + call(`""`, object) + `]`,
	"two-calls":        `[` + user + `,{"role":"assistant","content":"","tool_calls":[{"id":"call12345","type":"function","function":{"name":"get_weather","arguments":{"city":"Brest"}}},{"id":"call67890","type":"function","function":{"name":"clock","arguments":{}}}]},` + result + `,{"role":"tool","tool_call_id":"call67890","name":"clock","content":"12:00"}]`,
	"reasoning":        `[` + user + `,{"role":"assistant","reasoning_content":"Let me think.\nYes.","thinking":"Let me think.\nYes.","content":"Grey."},` + user + `]`,
	"reasoning-inline": `[` + user + `,{"role":"assistant","content":"<think>\nhm\n</think>\n\nGrey."},` + user + `]`,
	"reasoning-call":   `[` + user + `,{"role":"assistant","reasoning_content":"I need a tool.","content":"","tool_calls":[{"id":"call12345","type":"function","function":{"name":"get_weather","arguments":{"city":"Brest"}}}]},` + result + `]`,
	"parts":            `[{"role":"user","content":[{"type":"text","text":"Hello "},{"type":"text","text":"there"}]},` + answer + `,` + user + `]`,
	"odd-roles":        `[` + user + `,` + user + `]`,
	"developer":        `[{"role":"developer","content":"Be kind."},` + user + `]`,
	"empty":            `[]`,
}

// contexts are the variables of every conversation, with and without tools and the answer's beginning.
func contexts() map[string]json.RawMessage {
	out := map[string]json.RawMessage{}
	for name, messages := range conversations {
		for _, tools := range []string{"", "[" + weatherTool + "," + clockTool + "]"} {
			for _, begin := range []bool{false, true} {
				key, vars := name, `{"messages":`+messages+`,"bos_token":"<s>","eos_token":"</s>"`
				if tools == "" {
					vars += `,"tools":null,"documents":null`
				} else {
					key, vars = key+"+tools", vars+`,"tools":`+tools
				}
				if begin {
					key += "+prompt"
				}
				out[key] = json.RawMessage(vars + fmt.Sprintf(`,"add_generation_prompt":%v}`, begin))
			}
		}
		out[name+"+options"] = json.RawMessage(`{"messages":` + messages + `,"bos_token":"<s>","eos_token":"</s>","enable_thinking":false,
			"thinking":true,"reasoning_effort":"high","add_generation_prompt":true,"builtin_tools":["browser","python"],"model_identity":"You are X.",
			"documents":[{"title":"T","text":"body"}],"tools":[` + clockTool + `],"date_string":"1 Jan 2025","custom_tools":null,"tools_in_user_message":false}`)
	}
	return out
}

func templates(t *testing.T) map[string]string {
	t.Helper()
	dir := testdeps.Dep(t, "llama.cpp/models/templates")
	files, err := filepath.Glob(filepath.Join(dir, "*.jinja"))
	if err != nil || len(files) < 50 {
		t.Fatalf("found %d templates (%v)", len(files), err)
	}
	out := map[string]string{}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		out[strings.TrimSuffix(filepath.Base(f), ".jinja")] = string(text)
	}
	for name, text := range ggufTemplates(t) {
		out[name] = text
	}
	return out
}

func TestPublishedTemplatesRenderAsInTransformers(t *testing.T) {
	w := work{Templates: templates(t), Contexts: contexts()}
	for name := range w.Templates {
		for context := range w.Contexts {
			w.Cases = append(w.Cases, [2]string{name, context})
		}
	}
	rendered := agree(t, w)
	if rendered < len(w.Cases)/2 {
		t.Errorf("the oracle rendered only %d of %d cases: is it whole?", rendered, len(w.Cases))
	}
	t.Logf("%d templates, %d cases, %d rendered by the oracle", len(w.Templates), len(w.Cases), rendered)
}

// ggufTemplates are the templates inside the real models.
func ggufTemplates(t *testing.T) map[string]string {
	out := map[string]string{}
	for _, name := range []string{"smollm2-135m.gguf", "qwen2.5-coder-0.5b.gguf"} {
		f, err := weights.Open(testdeps.Dep(t, "models/"+name))
		if err != nil {
			t.Fatal(err)
		}
		text, ok := f.Meta.String("tokenizer.chat_template")
		if !ok || text == "" {
			t.Fatalf("%s has no template", name)
		}
		out[name] = text
		f.Close()
	}
	return out
}

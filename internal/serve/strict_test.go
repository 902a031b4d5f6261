package serve

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/prompt"
	"github.com/galerne-ai/galerne/internal/testdeps"
	"github.com/galerne-ai/galerne/internal/tokenizer"
	"github.com/galerne-ai/galerne/internal/weights"
)

// speaks is a model of Qwen's vocabulary that is talked to with a template; "" is its own. It has no network.
func speaks(t testing.TB, template string) *loaded {
	t.Helper()
	f, err := weights.Open(testdeps.Dep(t, "models/qwen2.5-coder-0.5b.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	meta := templated{Meta: f.Meta}
	if template != "" {
		text, err := os.ReadFile(testdeps.Dep(t, "llama.cpp/models/templates/"+template+".jinja"))
		if err != nil {
			t.Fatal(err)
		}
		meta.template = string(text)
	}
	m := &loaded{slot: &slot{}}
	if m.tokens, err = tokenizer.Open(tokenizer.Source{Meta: meta}); err != nil {
		t.Fatal(err)
	}
	if m.format, err = prompt.New(m.tokens); err != nil {
		t.Fatal(err)
	}
	m.constraints = newConstraints(m)
	return m
}

// templated is a file's data with another chat template.
type templated struct {
	tokenizer.Meta
	template string
}

func (m templated) String(key string) (string, bool) {
	if key == "tokenizer.chat_template" && m.template != "" {
		return m.template, true
	}
	return m.Meta.String(key)
}

// drawnSchema is an object's schema as programs write them for strict tools.
func drawnSchema(r *rand.Rand, depth int) map[string]any {
	properties, required := map[string]any{}, []string{}
	for i := range r.IntN(4) {
		name := "abcd"[i:i+1] + []string{"", "name", "_1"}[r.IntN(3)]
		properties[name] = drawnType(r, depth)
		if r.IntN(3) > 0 {
			required = append(required, name)
		}
	}
	return map[string]any{"type": "object", "properties": properties, "required": required, "additionalProperties": false}
}

func drawnType(r *rand.Rand, depth int) map[string]any {
	switch n := r.IntN(8); {
	case n == 0:
		return map[string]any{"type": "string", "pattern": []string{"^[A-Z]{2}-[0-9]{3}$", "^a+b?$"}[r.IntN(2)]}
	case n == 1:
		return map[string]any{"enum": []any{"low", "high", 3, nil}[r.IntN(3):]}
	case n == 2:
		return map[string]any{"type": "integer", "minimum": r.IntN(5), "maximum": 5 + r.IntN(40)}
	case n == 3:
		return map[string]any{"type": []string{"boolean", "null"}}
	case n == 4 && depth > 0:
		return map[string]any{"type": "array", "items": drawnType(r, depth-1), "maxItems": 1 + r.IntN(3)}
	case n == 5 && depth > 0:
		return drawnSchema(r, depth-1)
	}
	return map[string]any{"type": "string", "maxLength": 1 + r.IntN(12)}
}

// attempt is what a model might be about to write: a call with or without a mark, right or wrong, or JSON that is none.
func attempt(r *rand.Rand, tools []chat.Tool) string {
	pick := func(from ...string) string { return from[r.IntN(len(from))] }
	name, key := tools[r.IntN(len(tools))].Name, pick("arguments", "parameters")
	arguments := pick(`{}`, `{"a": 1, "b": "x"}`, `{"aname": "AB-123"}`, `{"a": "low", "b_1": null, "c": [1]}`, `"{\"a\": 1}"`, `[]`, "{\n    \"a\": \"x\"\n  }", `null`)
	space, line := pick("", " "), pick("", "\n  ")
	call := pick(
		`{`+line+`"name":`+space+`"`+name+`",`+line+` "`+key+`":`+space+arguments+line+`}`,
		`{`+line+`"name":`+space+`"`+name+`",`+line+` "`+key+`":`+space+arguments+line+`}`,
		`{"type": "function", "name": "`+name+`", "`+key+`": `+arguments+`}`,
		`{"`+key+`": `+arguments+`, "name": "`+name+`"}`,
		`{"name": "\u00`+strconv.FormatInt(int64(name[0]), 16)+name[1:]+`", "`+key+`": `+arguments+`}`,
		`{"name": "`+name+`", "id": "7", "`+key+`": `+arguments+`}`,
		`{"name": "`+name+`", "age": 3}`, `{"name": "Ann", "arguments": `+arguments+`}`, `{"a": 1}`, `[1]`)
	call = pick("", "", call+pick("\n", ", ", "; ", "", "\n```\n```json\n", "```\n\n```\n")) + call
	return pick("", "", "\n", "<think>\nHm {\"name\": \"", "<think>", "Well. ") + pick("", "</think>\n") +
		pick("", "", "```json\n", "```", "<tool_call>\n", "<seed:tool_call>\n", "[TOOL_CALLS]", "<|python_tag|>", "<function="+name+">") + call + pick("", "\n```", "</tool_call>", " And more.")
}

// walk writes an answer: what the attempt says as long as the mask allows it, else any token that it allows, then
// again the attempt's or any. It gives the answer's calls and text, and whether a token ended it.
func walk(t *testing.T, m *loaded, q *chat.Request, r *rand.Rand) (c *chat.Choice, ended bool) {
	t.Helper()
	p, err := m.format.Render(q)
	if err != nil {
		t.Fatal(err)
	}
	most := 40 + r.IntN(100)
	make, err := m.mask(q, p)
	if err != nil {
		t.Fatal(err)
	}
	mask := make(most)
	want := m.tokens.Encode(nil, attempt(r, q.Tools), tokenizer.EncodeOptions{ParseSpecial: true})
	reader, out := m.format.NewReader(q, p), &chat.Choice{}
	take := func(pieces []prompt.Piece) {
		for _, x := range pieces {
			if x.Begins {
				out.Blocks = append(out.Blocks, chat.Block{Kind: x.Kind, Call: x.Call})
			}
			out.Blocks[len(out.Blocks)-1].Text += x.Text
		}
	}
	for range most {
		allowed := mask.Allowed()
		id := int32(-1)
		if len(want) > 0 {
			id, want = want[0], want[1:]
		}
		if id < 0 || allowed[id>>6]>>(id&63)&1 == 0 {
			if id = testdeps.OneOf(allowed, r); r.IntN(3) == 0 {
				want = nil
			}
		}
		if id < 0 {
			t.Fatalf("nothing is allowed behind %+v", out)
		}
		if err := mask.Advance(id); err != nil {
			t.Fatal(err)
		}
		if ended = slices.Contains(m.tokens.EndIDs(), id); ended {
			break
		}
		take(reader.Add(id))
	}
	take(reader.Flush(!ended))
	return out, ended
}

// TestWhateverIsCalledStrictlyFits: random tools, and answers of a model that tries to write calls of all kinds and
// random tokens. In every family, whatever comes back as a call has arguments that Python's jsonschema finds valid.
func TestWhateverIsCalledStrictlyFits(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 11))
	var claims testdeps.Claims
	calls, texts := map[string]int{}, 0
	for _, template := range []string{"", "Qwen-Qwen3-0.6B", "meta-llama-Llama-3.1-8B-Instruct", "google-gemma-2-2b-it", "mistralai-Mistral-Nemo-Instruct-2407", "Mistral-Small-3.2-24B-Instruct-2506", "Qwen3-Coder", "GLM-4.6", "ByteDance-Seed-OSS", "meetkai-functionary-medium-v3.1"} {
		m := speaks(t, template)
		for range 6 {
			q := &chat.Request{Messages: []chat.Message{{Role: chat.User, Parts: []chat.Part{{Text: "Q"}}}}}
			schemas := map[string]json.RawMessage{}
			for i := range 1 + r.IntN(3) {
				name := []string{"get_it", "get", "x-1"}[i]
				schemas[name], _ = json.Marshal(drawnSchema(r, 2))
				q.Tools = append(q.Tools, chat.Tool{Name: name, Schema: schemas[name], Strict: true})
			}
			switch r.IntN(4) {
			case 0:
				q.Format = chat.Format{Kind: chat.JSONValue}
			case 1:
				q.ParallelTools = ptr(false)
			}
			for range 14 {
				c, _ := walk(t, m, q, r)
				if q.ParallelTools != nil && len(c.Calls()) > 1 {
					t.Errorf("%s: %d calls where one may be: %+v", template, len(c.Calls()), c)
				}
				if len(c.Calls()) == 0 {
					texts++
				}
				for _, call := range c.Calls() {
					calls[template]++
					if schemas[call.Call.Name] == nil {
						t.Errorf("%s: a call of %q", template, call.Call.Name)
						continue
					}
					claims.Add(t, testdeps.Claim{Schema: schemas[call.Call.Name], Text: call.Text, Match: true, Of: fmt.Sprintf("%s %+v", template, c)})
				}
			}
		}
		if calls[template] < 3 {
			t.Errorf("%s: only %d calls", template, calls[template])
		}
	}
	t.Log(calls, texts)
	claims.Check(t)
}

// TestJSONThatIsNoCallStaysPossible: with strict tools around, an answer may still be any text and any JSON, and what
// begins a call only as long as it may be none.
func TestJSONThatIsNoCallStaysPossible(t *testing.T) {
	tools := []chat.Tool{{Name: "clock", Strict: true, Schema: []byte(`{"type":"object","properties":{"hour":{"type":"integer"}},"required":["hour"]}`)}, {Name: "clocks"}}
	for _, template := range []string{"", "Qwen-Qwen3-0.6B", "meta-llama-Llama-3.1-8B-Instruct"} {
		form, _ := speaks(t, template).format.CallForm()
		b := builder{form: &form, tools: tools, most: 2}
		g := b.free("<think>", "</think>")
		if b.err != nil {
			t.Fatal(b.err)
		}
		for text, want := range map[string]bool{
			"": true, "Hello {": true, `{"a": 1}`: true, "```json\n{\"name\": \"Ann\", \"age\": 3}\n```": true, "```go\nx := 1\n``` and more": true, `[{"name": "clock"}]`: true,
			`{"name": "clock", "age": 3}`: true, `{"name": "clock"} and so on`: true, `{"name": "cloc", "arguments": 3}`: true, `{"name": "clock", "arg`: true, "<think>a {\"name\": \"clock\", \"arguments\": </think>x": true,
			`See {"name": "clock", "arguments": 3}`:       true,
			`{"name": "clock", "arguments": {"hour": 1}}`: true, "\n```json\n{\n  \"name\": \"clock\",\n  \"arguments\": {\n    \"hour\": 1\n  }\n}\n```": true, `{"name":"clocks","parameters":{}}` + "\n" + `{"name": "clock", "arguments": {"hour": 2}}`: true,
			"<think>\nx</think>\n\n{\"name\": \"clock\", \"arguments\": {\"hour\": 1}}": true, "<think></think><think>x</think>{\"name\": \"clock\", \"arguments\": {\"hour\": 1}}": true,
			"```json\n{\"name\": \"clocks\", \"arguments\": {}}\n```\n\n```json\n{\"name\": \"clock\", \"arguments\": {\"hour\": 2}}\n```": true, "```\n{\"name\": \"clocks\", \"arguments\": {}}\n{\"name\": \"clock\", \"arguments\": {\"hour\": 2}}\n```": true,
			"```json\n{\"name\": \"clocks\", \"arguments\": {}}\n```\n```json\n{\"name\": \"clock\", \"arguments\": {\"hour\": \"2": false, "```\n{\"name\": \"clocks\", \"arguments\": {}}\n{\"name\": \"clock\", \"arguments\": {}": false,
			`{"name": "clock", "arguments": 3`: false, `{"name": "clock", "arguments": {}}`: false, `{"name": "clock", "parameters": {"hour": "1"}}`: false, `{"name": "clock", "arguments": {"hour": 1}} more`: false,
			"```\n{\"name\" : \"clock\" ,\"arguments\":": false, "<think>x</think>{\"name\": \"clock\", \"arguments\": []": false, `{"name":"clocks","parameters":{}};{"name": "clock", "arguments": {}}`: false,
			form.Trigger: false,
		} {
			if g.Match([]byte(text)) != want {
				t.Errorf("%s: %v: %q", template, !want, text)
			}
		}
	}
}

// many makes grammars of calls of so many strict tools.
func many(t testing.TB, tools int) *builder {
	form, _ := speaks(t, "").format.CallForm()
	b := &builder{form: &form, most: callsMost}
	for i := range tools {
		b.tools = append(b.tools, chat.Tool{Name: fmt.Sprintf("tool_%d_of_many", i), Strict: true, Schema: orders.Schema})
	}
	return b
}

// BenchmarkStrictTools compiles what a set of tools costs once.
func BenchmarkStrictTools(b *testing.B) {
	for _, tools := range []int{4, 128} {
		b.Run(fmt.Sprint(tools), func(b *testing.B) {
			m := many(b, tools)
			for b.Loop() {
				if m.free("<think>", "</think>"); m.err != nil {
					b.Fatal(m.err)
				}
			}
		})
	}
}

// TestManyStrictToolsCompile: as many tools as OpenAI takes fit into one grammar.
func TestManyStrictToolsCompile(t *testing.T) {
	b := many(t, 128)
	g := b.free("", "")
	if b.err != nil {
		t.Fatal(b.err)
	}
	const call = `{"name": "tool_77_of_many", "arguments": {"number": "AB-1234", "priority": "low"}}`
	if text := call + "\n" + call; !g.Match([]byte(text)) || g.Match([]byte(strings.Replace(text, "AB-", "A-", 1))) || g.Match([]byte(strings.ReplaceAll(text, "low", "no"))) {
		t.Error("calls of many tools are not held")
	}
}

// writes reports whether a mask allows a whole answer.
func writes(t *testing.T, m *loaded, q *chat.Request, text string) bool {
	t.Helper()
	p, err := m.format.Render(q)
	if err != nil {
		t.Fatal(err)
	}
	begin, err := m.mask(q, p)
	if err != nil {
		t.Fatal(err)
	}
	mask := begin(200)
	for _, id := range append(m.tokens.Encode(nil, text, tokenizer.EncodeOptions{ParseSpecial: true}), m.tokens.EndIDs()[0]) {
		if mask.Allowed()[id>>6]>>(id&63)&1 == 0 || mask.Advance(id) != nil {
			return false
		}
	}
	return true
}

// TestCallsArePossibleBesideAResponseFormat: the answer has the format or calls, and one call where only one may be.
func TestCallsArePossibleBesideAResponseFormat(t *testing.T) {
	const call = "<tool_call>\n{\"name\": \"find_order\", \"arguments\": {\"number\": \"AB-1234\", \"priority\": \"low\"}}\n</tool_call>"
	m := speaks(t, "")
	for _, strict := range []bool{false, true} {
		tool := orders
		tool.Strict = strict
		q := calling(tool, "Q", chat.ToolsAuto, 200)
		q.Format = chat.Format{Kind: chat.JSONSchema, Schema: []byte(`{"type":"object","properties":{"answer":{"type":"string"}},"required":["answer"]}`)}
		for text, want := range map[string]bool{`{"answer": "x"}`: true, call: true, call + "\n" + call: true, "x": false, `{"a": 1}`: false, call + "x": false, strings.Replace(call, "low", "no", 1): false} {
			if writes(t, m, q, text) != want {
				t.Errorf("strict %v: %v: %q", strict, !want, text)
			}
		}
		q.Format, q.ParallelTools = chat.Format{}, ptr(false)
		for text, want := range map[string]bool{"x": true, call: true, "x " + call: true, call + "\n" + call: false} {
			if writes(t, m, q, text) != want {
				t.Errorf("one call, strict %v: %v: %q", strict, !want, text)
			}
		}
	}
	q := calling(orders, "Q", chat.ToolsAuto, 200)
	q.Format = chat.Format{Kind: chat.Regex, Pattern: `[\s\S]*`}
	p, err := m.format.Render(q)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.mask(q, p); err == nil || !strings.Contains(err.Error(), "narrow the form") {
		t.Errorf("a form that may begin like a call: %v", err)
	}
}

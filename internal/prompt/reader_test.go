package prompt

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/galerne-ai/galerne/internal/chat"
	"pgregory.net/rapid"
)

var weather = chat.Tool{Name: "get_weather", Description: "The weather", Schema: json.RawMessage(`{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"},"zip":{"type":"string"}}}`)}

// parse reads an answer that comes in these stretches, and shows its blocks.
func parse(syn syntax, think pair, thinking bool, stretches ...string) string {
	n := 0
	r := &Reader{f: &Format{family: &family{syntax: syn, think: think}}, newID: func() string { n++; return fmt.Sprintf("id%d", n) }}
	if syn != none {
		r.offer([]chat.Tool{weather, {Name: "clock"}})
	}
	if thinking {
		r.state, r.skip = inThinking, true
	}
	var blocks []string
	take := func() {
		for _, p := range r.out {
			if p.Begins {
				name := [...]string{"text", "thinking", "call"}[p.Kind]
				if p.Call != nil {
					name += " " + p.Call.ID + " " + p.Call.Name
				}
				blocks = append(blocks, name+": ")
			}
			if len(blocks) == 0 {
				blocks = append(blocks, "NO BLOCK: ")
			}
			blocks[len(blocks)-1] += p.Text
		}
		r.out = r.out[:0]
	}
	for _, s := range stretches {
		r.feed(s)
		take()
	}
	r.over = true
	r.feed("")
	take()
	return strings.Join(blocks, " | ")
}

var thinks = pair{"<think>", "</think>"}

var answers = []struct {
	name     string
	syntax   syntax
	think    pair
	thinking bool
	text     string
	want     string
}{
	{"plain", hermes, thinks, false, "Hello\n\nthere. ", "text: Hello\n\nthere. "},
	{"reasoning", none, thinks, false, "<think>\nHm.\nYes\n</think>\n\nGrey.", "thinking: Hm.\nYes | text: Grey."},
	{"no reasoning", none, thinks, false, "<think>\n\n</think>\n\nGrey.", "text: Grey."},
	{"reasoning that the prompt opened", none, thinks, true, "\nHm.</think>Grey.", "thinking: Hm. | text: Grey."},
	{"reasoning cut short", none, thinks, false, "<think>Hm\n", "thinking: Hm\n"},
	{"a mark that is none", none, thinks, false, "a <thin air> b <think", "text: a <thin air> b <think"},
	{"reasoning later", none, thinks, false, "First. <think>x</think> Then.", "text: First. | thinking: x | text:  Then."},
	{"hermes", hermes, thinks, false, "<think>x</think>\n\nI look.\n<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Brest}\", \"l\": [1, {\"a\": \"\\\"]\"}]}}\n</tool_call>",
		`thinking: x | text: I look. | call id1 get_weather: {"city": "Brest}", "l": [1, {"a": "\"]"}]}`},
	{"hermes, two", hermes, thinks, false, "<tool_call>\n{\"name\": \"clock\", \"arguments\": {}}\n</tool_call>\n<tool_call>\n{\"name\":\"clock\",\"arguments\":{\"a\":1}}\n</tool_call>", `call id1 clock: {} | call id2 clock: {"a":1}`},
	{"hermes and text", hermes, thinks, false, "<tool_call>{\"name\": \"clock\", \"arguments\": {}}</tool_call>\nDone.", `call id1 clock: {} | text: Done.`},
	{"hermes, other order", hermes, thinks, false, `<tool_call>{"arguments": {"a": 1}, "name": "clock"}</tool_call>`, `call id1 clock: {"a": 1}`},
	{"hermes, arguments in a string", hermes, thinks, false, `<tool_call>{"name": "clock", "arguments": "{\"a\": 1}"}</tool_call> x`, `call id1 clock: {"a": 1} | text:  x`},
	{"hermes, more keys", hermes, thinks, false, `<tool_call>{"name": "clock", "arguments": {"a": 1}, "id": "7"}</tool_call>`, `call id1 clock: {"a": 1}`},
	{"hermes, no last brace", hermes, thinks, false, `<tool_call>{"name": "clock", "arguments": {"a": 1}</tool_call> b`, `call id1 clock: {"a": 1} | text:  b`},
	{"hermes, no end mark", hermes, thinks, false, `<tool_call>{"name": "clock", "arguments": {"a": 1}}`, `call id1 clock: {"a": 1}`},
	{"hermes, whole without end mark", hermes, thinks, false, `<tool_call>{"arguments": {"a": 1}, "name": "clock"}`, `call id1 clock: {"a": 1}`},
	{"hermes, cut in arguments", hermes, thinks, false, `<tool_call>{"name": "clock", "arguments": {"a": "Br`, `call id1 clock: {"a": "Br`},
	{"hermes, cut in the name", hermes, thinks, false, "Well <tool_call>\n{\"name\": \"clo", "text: Well <tool_call>\n{\"name\": \"clo"},
	{"hermes, malformed", hermes, thinks, false, "a \n<tool_call>\nnonsense</tool_call> b", "text: a \n<tool_call>\nnonsense</tool_call> b"},
	{"hermes, no object", hermes, thinks, false, `<tool_call>{"name": "clock", "arguments": [1]}</tool_call>`, `text: <tool_call>{"name": "clock", "arguments": [1]}</tool_call>`},
	{"hermes, no name", hermes, thinks, false, `<tool_call>{"nam": "clock"}</tool_call>`, `text: <tool_call>{"nam": "clock"}</tool_call>`},
	{"hermes, no arguments", hermes, thinks, false, `<tool_call>{"name": "clock"}</tool_call>`, `call id1 clock: {}`},
	{"hermes, escaped name", hermes, thinks, false, `<tool_call>{"name": "\u0063lock", "arguments": {}}</tool_call>`, `call id1 clock: {}`},
	{"hermes, arguments without end", hermes, thinks, false, `<tool_call>{"name": "clock", "arguments": {"a": 1</tool_call> b`, `call id1 clock: {"a": 1 | text:  b`},
	{"hermes, no end mark but a space", hermes, thinks, false, `<tool_call>{"name": "clock", "arguments": {"a": 1}} `, `call id1 clock: {"a": 1}`},
	{"coder", coder, thinks, false, "I look.\n<tool_call>\n<function=get_weather>\n<parameter=city>\nBrest\n</parameter>\n<parameter=days>\n2\n</parameter>\n<parameter=zip>\n29200\n</parameter>\n</function>\n</tool_call>",
		`text: I look. | call id1 get_weather: {"city": "Brest", "days": 2, "zip": "29200"}`},
	{"coder, newlines of a text", coder, thinks, false, "<tool_call><function=get_weather><parameter=city>\n\n<b>\"Brest\"\n\n</parameter><parameter=zip></parameter>\n</function></tool_call>", `call id1 get_weather: {"city": "\n<b>\"Brest\"\n", "zip": ""}`},
	{"coder, cut in a text", coder, thinks, false, "<tool_call>\n<function=get_weather>\n<parameter=city>\nBrest\n</param", `call id1 get_weather: {"city": "Brest\n</param`},
	{"glm, a text that looks like JSON", glm, thinks, false, "<tool_call>get_weather<arg_key>zip</arg_key><arg_value>\n29200 </arg_value></tool_call>", `call id1 get_weather: {"zip": "\n29200 "}`},
	{"coder, two", coder, thinks, false, "<tool_call>\n<function=clock>\n</function>\n</tool_call>\n<tool_call>\n<function=clock>\n<parameter=q>\n{\"a\": [1]}\n</parameter>\n</function>\n</tool_call>", `call id1 clock: {} | call id2 clock: {"q": {"a": [1]}}`},
	{"coder, lines and tags in a value", coder, thinks, false, "<tool_call><function=clock><parameter=code>\nif a < b:\n\n  \"x\"</parameter></function></tool_call>", `call id1 clock: {"code": "if a < b:\n\n  \"x\""}`},
	{"coder, cut in a value", coder, thinks, false, "<tool_call>\n<function=clock>\n<parameter=a>\nBr", `call id1 clock: {"a": "Br`},
	{"coder, malformed", coder, thinks, false, "<tool_call>\n{\"x\"}</tool_call>", "text: <tool_call>\n{\"x\"}</tool_call>"},
	{"seed", seed, thinks, false, "Well.\n<seed:tool_call>\n<function=get_weather>\n<parameter=city>\nBrest</parameter>\n<parameter=days>2</parameter>\n</function>\n</seed:tool_call> x", `text: Well. | call id1 get_weather: {"city": "\nBrest", "days": 2} | text:  x`},
	{"glm", glm, thinks, false, "<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Brest</arg_value>\n<arg_key>days</arg_key>\n<arg_value>2</arg_value>\n</tool_call>", `call id1 get_weather: {"city": "Brest", "days": 2}`},
	{"hermes without its mark", hermes, thinks, false, "{\"name\": \"clock\", \"arguments\": {\"a\": 1}}\n{\"name\": \"clock\", \"arguments\": {}}\n", `call id1 clock: {"a": 1} | call id2 clock: {}`},
	{"hermes in a block of code", hermes, thinks, false, "\n```json\n{\n  \"name\": \"clock\",\n  \"arguments\": {\"a\": 1}\n}\n``` x", `call id1 clock: {"a": 1} | text:  x`},
	{"hermes in a block of code, other order", hermes, thinks, false, "```\n{\"arguments\": {}, \"name\": \"clock\"}\n```", `call id1 clock: {}`},
	{"hermes in two blocks of code", hermes, thinks, false, "```json\n{\"name\": \"clock\", \"arguments\": {\"a\": 1}}\n```\n\n```json\n{\n  \"name\": \"get_weather\",\n  \"arguments\": {}\n}\n```\n", `call id1 clock: {"a": 1} | call id2 get_weather: {}`},
	{"hermes in blocks of code, other order", hermes, thinks, false, "```\n{\"arguments\": {}, \"name\": \"clock\"}\n``` ```{\"arguments\": {\"a\": 1}, \"name\": \"clock\"}\n```\nDone.", `call id1 clock: {} | call id2 clock: {"a": 1} | text: Done.`},
	{"hermes, two in one block of code", hermes, thinks, false, "```json\n{\"name\": \"clock\", \"arguments\": {\"a\": 1}}\n{\"name\": \"clock\", \"arguments\": {}}\n```", `call id1 clock: {"a": 1} | call id2 clock: {}`},
	{"llama in three blocks of code", llama, pair{}, false, "```\n{\"name\": \"clock\", \"parameters\": {}}\n```\n```\n{\"name\": \"clock\", \"parameters\": {\"a\": 2}}\n```\n```\n{\"name\": \"clock\", \"parameters\": {\"a\": 3}}\n```", `call id1 clock: {} | call id2 clock: {"a": 2} | call id3 clock: {"a": 3}`},
	{"a call and a block of JSON", hermes, thinks, false, "```json\n{\"name\": \"clock\", \"arguments\": {}}\n```\n```json\n{\"name\": \"Ann\"}\n```", "call id1 clock: {} | text: ```json\n{\"name\": \"Ann\"}\n```"},
	{"a call and a block of code", hermes, thinks, false, "```json\n{\"name\": \"clock\", \"arguments\": {}}\n```\n```go\nx := 1\n```", "call id1 clock: {} | text: ```go\nx := 1\n```"},
	{"a call, text and a block of code", hermes, thinks, false, "```\n{\"name\": \"clock\", \"arguments\": {}}\n```\nThen\n```\n{\"name\": \"clock\", \"arguments\": {}}\n```", "call id1 clock: {} | text: Then\n```\n{\"name\": \"clock\", \"arguments\": {}}\n```"},
	{"hermes in a second block of code, cut", hermes, thinks, false, "```\n{\"name\": \"clock\", \"arguments\": {}}\n```\n```\n{\"name\": \"clock\", \"arguments\": {\"a\": \"x", `call id1 clock: {} | call id2 clock: {"a": "x`},
	{"a block of JSON", hermes, thinks, false, "```json\n{\"a\": 1}\n```", "text: ```json\n{\"a\": 1}\n```"},
	{"a block of JSON with a name", hermes, thinks, false, "```json\n{\"name\": \"Ann\", \"age\": 1}\n```", "text: ```json\n{\"name\": \"Ann\", \"age\": 1}\n```"},
	{"a block of code", hermes, thinks, false, "```go\nx := 1\n```", "text: ```go\nx := 1\n```"},
	{"hermes without its mark behind reasoning", hermes, thinks, false, "<think>x</think>\n{\"name\": \"clock\", \"arguments\": {}}", `thinking: x | call id1 clock: {}`},
	{"llama", llama, pair{}, false, `{"name": "get_weather", "parameters": {"city": "Brest"}}`, `call id1 get_weather: {"city": "Brest"}`},
	{"llama, behind its mark", llama, pair{}, false, `<|python_tag|>{"name": "other", "parameters": {"city": "Brest"}}`, `call id1 other: {"city": "Brest"}`},
	{"llama, two", llama, pair{}, false, `{"name": "clock", "parameters": {}}; {"name": "clock", "parameters": {"a": 1}}`, `call id1 clock: {} | call id2 clock: {"a": 1}`},
	{"llama, an answer in JSON", llama, pair{}, false, `{"city": "Brest"}  `, `text: {"city": "Brest"}  `},
	{"llama, an unknown tool", llama, pair{}, false, `{"name": "nobody", "parameters": {"a": 1}} x`, `text: {"name": "nobody", "parameters": {"a": 1}} x`},
	{"llama, text first", llama, pair{}, false, `See {"name": "clock", "parameters": {}}`, `text: See {"name": "clock", "parameters": {}}`},
	{"llama, type first", llama, pair{}, false, ` {"type": "function", "name": "clock", "parameters": {"a": 1}}`, `call id1 clock: {"a": 1}`},
	{"mistral", mistral, pair{}, false, `[TOOL_CALLS][{"name": "clock", "arguments": {"a": [1]}}, {"name": "clock", "arguments": {}, "id": "123456789"}]`, `call id1 clock: {"a": [1]} | call id2 clock: {}`},
	{"mistral, with space and text", mistral, pair{}, false, `Ok. [TOOL_CALLS] [{"name": "clock", "arguments": {}}] x`, `text: Ok. | call id1 clock: {} | text:  x`},
	{"mistral, malformed", mistral, pair{}, false, `[TOOL_CALLS][1] x`, `text: [TOOL_CALLS][1] x`},
	{"mistral, with marks", mistralArgs, pair{}, false, `[TOOL_CALLS]clock[ARGS]{"a": "]}"}[TOOL_CALLS]get_weather[CALL_ID]abc[ARGS]{}`, `call id1 clock: {"a": "]}"} | call abc get_weather: {}`},
	{"mistral, marks and a list", mistralArgs, pair{}, false, `[TOOL_CALLS][{"name": "clock", "arguments": {"a": 1}}]`, `call id1 clock: {"a": 1}`},
	{"mistral, marks malformed", mistralArgs, pair{}, false, `[TOOL_CALLS]not a name[ARGS]{}`, `text: [TOOL_CALLS]not a name[ARGS]{}`},
	{"functionary", functionary, pair{}, false, `<function=clock>{"a": 1}</function><function=clock>{}</function> x`, `call id1 clock: {"a": 1} | call id2 clock: {} | text:  x`},
	{"functionary, malformed", functionary, pair{}, false, `<function=clock>nope</function> x`, `text: <function=clock>nope</function> x`},
}

func TestAnswersBecomeBlocks(t *testing.T) {
	for _, c := range answers {
		if got := parse(c.syntax, c.think, c.thinking, c.text); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestWhereAnAnswerIsCutMakesNoDifference(t *testing.T) {
	for _, c := range answers {
		for i := range len(c.text) {
			if got := parse(c.syntax, c.think, c.thinking, c.text[:i], c.text[i:]); got != c.want {
				t.Fatalf("%s, cut at %q:\n got %s\nwant %s", c.name, c.text[:i], got, c.want)
			}
		}
		if got := parse(c.syntax, c.think, c.thinking, strings.Split(c.text, "")...); got != c.want {
			t.Errorf("%s, letter by letter:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

// TestAnyTextIsReadTheSameWhereverItIsCut takes texts of marks and their parts in any order.
func TestAnyTextIsReadTheSameWhereverItIsCut(t *testing.T) {
	parts := []string{"<think>", "</think>", "<tool_call>", "</tool_call>", "[TOOL_CALLS]", "[ARGS]", "[CALL_ID]", "<function=", "</function>", "<parameter=", "</parameter>", "<arg_key>", "</arg_key>",
		"<arg_value>", "</arg_value>", "<|python_tag|>", "```json\n", "```", `{"name": "clock", "arguments": {"a": 1}}`, `{"name": "clock", "parameters": {`, `"`, "{", "}", "[", "]", "}}", ",", "; ", "\n", " ", "clock", ">", "a", "<", `\`, `"name"`}
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(rapid.SampledFrom(parts), 0, 14).Draw(t, "parts"), "")
		syn := syntax(rapid.IntRange(0, int(seed)).Draw(t, "syntax"))
		whole := parse(syn, thinks, false, text)
		if letters := parse(syn, thinks, false, strings.Split(text, "")...); letters != whole {
			t.Fatalf("%q\nwhole   %s\nletters %s", text, whole, letters)
		}
		if strings.Contains(whole, "NO BLOCK") {
			t.Fatalf("%q: text without a block: %s", text, whole)
		}
	})
}

// TestArgumentsAreGivenOutAsTheyCome: a long text is read while it is written, whatever the family.
func TestArgumentsAreGivenOutAsTheyCome(t *testing.T) {
	for syn, begin := range map[syntax]string{
		hermes: "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"", coder: "<tool_call>\n<function=get_weather>\n<parameter=city>\n", seed: "<seed:tool_call><function=get_weather><parameter=city>", glm: "<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>",
		llama: "{\"name\": \"get_weather\", \"parameters\": {\"city\": \"", mistral: "[TOOL_CALLS][{\"name\": \"get_weather\", \"arguments\": {\"city\": \"", mistralArgs: "[TOOL_CALLS]get_weather[ARGS]{\"city\": \"", functionary: "<function=get_weather>{\"city\": \"",
	} {
		r := &Reader{f: &Format{family: &family{syntax: syn}}, tools: map[string]*chat.Tool{"get_weather": &weather}, newID: func() string { return "id" }}
		r.feed(begin)
		r.out = nil
		r.feed("a long text")
		got := ""
		for _, p := range r.out {
			got += p.Text
		}
		if got != "a long text" {
			t.Errorf("syntax %d: of a text only %q was given out", syn, got)
		}
	}
}

func TestWithoutToolsAndMarksTheTextStaysAsItIs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.SampledFrom([]rune("<tool_call>{}\n [é"))).Draw(t, "text")
		want := ""
		if text != "" {
			want = "text: " + text
		}
		if got := parse(none, pair{}, false, strings.Split(text, "")...); got != want {
			t.Fatalf("%q became %q", text, got)
		}
	})
}

// FuzzAnswer: any text in any syntax is read the same whole and letter by letter, and all that is not
// of a form's own comes out.
func FuzzAnswer(f *testing.F) {
	for _, c := range answers {
		f.Add(c.text, uint8(c.syntax), c.thinking)
	}
	f.Fuzz(func(t *testing.T, text string, s uint8, thinking bool) {
		syn := syntax(s % uint8(seed+1))
		whole := parse(syn, thinks, thinking, text)
		if letters := parse(syn, thinks, thinking, strings.Split(text, "")...); letters != whole {
			t.Fatalf("%q\nwhole   %s\nletters %s", text, whole, letters)
		}
		if !strings.ContainsAny(text, "<[{`") && strings.TrimLeft(text, "\n") != "" && !strings.HasSuffix(whole, strings.TrimLeft(text, "\n")) {
			t.Fatalf("%q became %s", text, whole)
		}
	})
}

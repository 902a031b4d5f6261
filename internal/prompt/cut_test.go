package prompt

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/galerne-ai/galerne/internal/chat"
)

// strictReader reads answers to a request with the strict tools clock (an hour is needed) and get_weather.
func strictReader(syn syntax, must, formed bool) *Reader {
	f := &Format{family: &family{syntax: syn}}
	r := &Reader{f: f, newID: func() string { return "id" }, formed: formed, unheld: formed}
	r.offer([]chat.Tool{weather, {Name: "clock", Strict: true, Schema: json.RawMessage(`{"type":"object","properties":{"hour":{"type":"integer"},"zone":{"type":"string"}},"required":["hour"]}`)}})
	if must {
		if syn.tagged() {
			f.family.pairForm = syn.pairForm()
		}
		form, _ := f.CallForm()
		r.form = &form
	}
	return r
}

// read gives a reader's blocks of an answer that is cut, or not, read in one piece or by the letter.
func read(r *Reader, text string, short, letters bool) string {
	stretches := []string{text}
	if letters {
		stretches = strings.Split(text, "")
	}
	for _, s := range stretches {
		r.feed(s)
	}
	r.end("", short)
	var blocks []string
	for _, p := range r.out {
		if p.Begins {
			blocks = append(blocks, [...]string{"text", "thinking", "call"}[p.Kind]+": ")
			if p.Call != nil {
				blocks[len(blocks)-1] = "call " + p.Call.Name + ": "
			}
		}
		blocks[len(blocks)-1] += p.Text
	}
	return strings.Join(blocks, " | ")
}

// TestAForcedCallIsOneWhereverItIsCut: no letter of the form comes out as text, the tool is named as soon as it is
// certain, and the arguments are a beginning of those of the whole call.
func TestAForcedCallIsOneWhereverItIsCut(t *testing.T) {
	const arguments = `{"hour": 12, "zone": "C <T"}`
	const pairs = "<parameter=hour>\n12\n</parameter>\n<parameter=zone>\nC <T\n</parameter>\n"
	for syn, c := range map[syntax]struct{ head, rest string }{
		hermes:      {"<tool_call>\n{\"name\": \"clock\", \"arguments\": ", arguments + "}\n</tool_call>"},
		llama:       {`{"name": "clock", "parameters": `, arguments + "}"},
		mistral:     {`[TOOL_CALLS][{"name": "clock", "arguments": `, arguments + "}]"},
		mistralArgs: {"[TOOL_CALLS]clock[ARGS]", arguments},
		functionary: {"<function=clock>", arguments + "</function>"},
		coder:       {"<tool_call>\n<function=clock>\n", pairs + "</function>\n</tool_call>"},
		seed:        {"<seed:tool_call>\n<function=clock>\n", "<parameter=hour>12</parameter>\n<parameter=zone>C <T</parameter>\n</function>\n</seed:tool_call>"},
		glm:         {"<tool_call>clock\n", "<arg_key>hour</arg_key>\n<arg_value>12</arg_value>\n<arg_key>zone</arg_key>\n<arg_value>C <T</arg_value>\n</tool_call>"},
	} {
		form := strictReader(syn, true, false).form
		named := len(form.Open + form.Begin + "c")
		text := c.head + c.rest
		whole := strings.TrimPrefix(read(strictReader(syn, true, false), text, true, false), "call clock: ")
		if whole != arguments {
			t.Errorf("syntax %d: whole: %s", syn, whole)
		}
		last := -1
		for n := range len(text) + 1 {
			got := read(strictReader(syn, true, false), text[:n], true, n%2 == 1)
			if n < named {
				if got != "" {
					t.Errorf("syntax %d: %q: %s", syn, text[:n], got)
				}
				continue
			}
			part, ok := strings.CutPrefix(got, "call clock: ")
			if !ok || !strings.HasPrefix(arguments, part) || len(part) < last {
				t.Errorf("syntax %d: %q: %s", syn, text[:n], got)
			}
			last = len(part)
		}
		between := form.Between + form.Begin
		if form.Close == "" && syn != llama {
			between = form.Between + strings.TrimSpace(form.Begin)
		}
		second := strings.TrimSuffix(text, form.Close) + between
		for n := len(text) - len(form.Close); n < len(second); n++ {
			if got := read(strictReader(syn, true, false), second[:n], true, false); got != "call clock: "+arguments {
				t.Errorf("syntax %d: %q: %s", syn, second[:n], got)
			}
		}
		if got := read(strictReader(syn, true, false), second+"get", true, false); got != "call clock: "+arguments+" | call get_weather: " {
			t.Errorf("syntax %d: %q: %s", syn, second+"get", got)
		}
	}
}

// TestACallOfOneToolNeedsNoName: which tool a forced call is of is certain before it is written.
func TestACallOfOneToolNeedsNoName(t *testing.T) {
	for text, want := range map[string]string{"": "", "\n": "", "<": "call clock: ", "<tool_call>": "call clock: ", "<think>x</think>\n": "thinking: x", "<think>x": "thinking: x", "<think>x</think>\n\n<tool": "thinking: x | call clock: "} {
		r := strictReader(hermes, true, false)
		r.f.family.think = thinks
		delete(r.tools, "get_weather")
		if got := read(r, text, true, false); got != want {
			t.Errorf("%q: %s, not %s", text, got, want)
		}
	}
}

// TestStrictCallsThatNoGrammarHeldAreLookedAt: a call in another order is one only if its arguments fit, and behind
// it, as in an answer of a form, so is every call without a mark.
func TestStrictCallsThatNoGrammarHeldAreLookedAt(t *testing.T) {
	for _, c := range []struct {
		formed     bool
		text, want string
	}{
		{false, `{"arguments": {"hour": 1}, "name": "clock"}`, `call clock: {"hour": 1}`},
		{false, `{"arguments": {"hour": "1"}, "name": "clock"}`, `text: {"arguments": {"hour": "1"}, "name": "clock"}`},
		{false, `{"name": "clock"}`, `text: {"name": "clock"}`},
		{false, `{"name": "get_weather"}`, `call get_weather: {}`},
		{false, `{"n\u0061me": "clock", "arguments": {"hour": "1"}}`, `text: {"n\u0061me": "clock", "arguments": {"hour": "1"}}`},
		{false, `{"name": "\u0063lock", "arguments": {"hour": "1"}}`, `text: {"name": "\u0063lock", "arguments": {"hour": "1"}}`},
		{false, `{"name": "\u0063lock", "arguments": {"hour":1,"zone":"\u00e9"}}`, `call clock: {"hour":1,"zone":"\u00e9"}`},
		{false, `{"type": "function", "name": "clock", "parameters": {"hour": 2}}` + "\n" + `{"name": "clock", "arguments": {"hour": "1"}}`, `call clock: {"hour": 2} | text: {"name": "clock", "arguments": {"hour": "1"}}`},
		{false, `{"name": "clock", "arguments": {"hour": 1}} {"name": "clock", "id": "7", "arguments": {"hour": null}}`, `call clock: {"hour": 1} | text: {"name": "clock", "id": "7", "arguments": {"hour": null}}`},
		{true, `{"name": "clock", "arguments": {"hour": 1}}`, `call clock: {"hour": 1}`},
		{true, `{"name": "clock", "arguments": {"hour": "1"}}`, `text: {"name": "clock", "arguments": {"hour": "1"}}`},
		{true, "<tool_call>{\"name\": \"clock\", \"arguments\": {\"hour\": 1}}</tool_call>", `call clock: {"hour": 1}`},
		{true, "<tool_call>{\"name\": \"clock\", \"arguments\": {\"hour\": 1}}</tool_call>\n<tool_call>{\"name\": \"clock\", \"arguments\": {\"hour\": 2}}</tool_call>", `call clock: {"hour": 1} | call clock: {"hour": 2}`},
		{true, `{"name": "clock", "arguments": {"hour": 1}}<tool_call>{"name": "clock", "arguments": {}}</tool_call>`, `call clock: {"hour": 1} | text: <tool_call>{"name": "clock", "arguments": {}}</tool_call>`},
		{true, `{"a": "<tool_call>{\"name\": \"clock\", \"arguments\": {}}</tool_call>"}`, `text: {"a": "<tool_call>{\"name\": \"clock\", \"arguments\": {}}</tool_call>"}`},
	} {
		for _, letters := range []bool{false, true} {
			if got := read(strictReader(hermes, false, c.formed), c.text, false, letters); got != c.want {
				t.Errorf("%v %v: %s\n got %s\nwant %s", c.formed, letters, c.text, got, c.want)
			}
		}
	}
}

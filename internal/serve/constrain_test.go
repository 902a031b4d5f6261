package serve

import (
	"encoding/json"
	"testing"

	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/grammar"
	"github.com/galerne-ai/galerne/internal/prompt"
)

// TestAnAnswerOfAFormIsCompleteWithinMaxTokens: a small model would fill the string for ever. What ends it
// is told; an answer that ends by itself says so, and of too few tokens the answer is what it was.
func TestAnAnswerOfAFormIsCompleteWithinMaxTokens(t *testing.T) {
	s := real(t, Options{})
	ask := func(schema string, tokens int, temperature float64) *chat.Response {
		r := complete("A story in JSON:", tokens)
		r.Sampling.Temperature, r.Sampling.Seed = &temperature, ptr(uint64(3))
		r.Format = chat.Format{Kind: chat.JSONSchema, Schema: []byte(schema)}
		return whole(t, s, r)
	}
	const story = `{"type":"object","properties":{"story":{"type":"string"},"pages":{"type":"array","items":{"type":"integer"},"minItems":2}},"required":["story","pages"]}`
	for _, temperature := range []float64{0, 1} {
		for _, tokens := range []int{16, 24, 40} {
			out := ask(story, tokens, temperature)
			var got struct {
				Story string
				Pages []int
			}
			if err := json.Unmarshal([]byte(text(out, 0)), &got); err != nil || got.Story == "" || len(got.Pages) < 2 {
				t.Errorf("%d tokens: %q: %v", tokens, text(out, 0), err)
			}
			free := text(ask(story, 400, temperature), 0)
			if cut := text(out, 0) != free; cut != (out.Choices[0].Finish == chat.Length) {
				t.Errorf("%d tokens: %q ended with %v; with more tokens it is %q", tokens, text(out, 0), out.Choices[0].Finish, free)
			}
		}
	}
	if out := ask(`{"enum":["yes","no"]}`, 8, 0); out.Choices[0].Finish != chat.Stop || text(out, 0) != `"yes"` && text(out, 0) != `"no"` {
		t.Errorf("%q ended with %v", text(out, 0), out.Choices[0].Finish)
	}
	if out := ask(story, 5, 0); json.Valid([]byte(text(out, 0))) || out.Choices[0].Finish != chat.Length || out.Usage.Answer != 5 {
		t.Errorf("%q ended with %v", text(out, 0), out.Choices[0].Finish)
	}
}

func TestCallsBetweenTagsAreForced(t *testing.T) {
	form := prompt.CallForm{Trigger: "<tool_call>", Begin: "<tool_call>\n<function=", Middle: ">\n", End: "</function>\n</tool_call>", Between: "\n",
		Pairs: grammar.Pairs{Begin: "<parameter=", Middle: ">\n", End: "\n</parameter>\n"}}
	tools := []chat.Tool{
		{Name: "clock", Schema: []byte(`{"type":"object","properties":{"zone":{"type":"string"},"hours":{"type":"integer","maximum":24}},"required":["zone"]}`)},
		{Name: "free", Schema: []byte(`{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"array","items":{"type":"string"},"uniqueItems":true}}}`)}, // not enforced: not strict
		{Name: "none"},
	}
	b := builder{form: &form, tools: tools, most: 2}
	g := b.calls("")
	if b.err != nil {
		t.Fatal(b.err)
	}
	for text, want := range map[string]bool{
		"<tool_call>\n<function=clock>\n<parameter=zone>\nCET <b\n</parameter>\n<parameter=hours>\n12\n</parameter>\n</function>\n</tool_call>":                                                true,
		"<tool_call>\n<function=clock>\n<parameter=zone>\nCET\n</parameter>\n<parameter=hours>\n25\n</parameter>\n</function>\n</tool_call>":                                                   false,
		"<tool_call>\n<function=clock>\n</function>\n</tool_call>":                                                                                                                             false,
		"<tool_call>\n<function=none>\n</function>\n</tool_call>\n<tool_call>\n<function=free>\n<parameter=a>\n\"x\n</parameter>\n<parameter=b>\n[1]\n</parameter>\n</function>\n</tool_call>": true,
		"{\"name\": \"none\", \"arguments\": {}}": false,
	} {
		if g.Match([]byte(text)) != want {
			t.Errorf("%v: %q", !want, text)
		}
	}
	tools[1].Strict = true
	if b.calls(""); b.err == nil {
		t.Error("a strict tool that cannot be enforced is accepted")
	}
}

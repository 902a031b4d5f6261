package apitest

import (
	"fmt"
	"strings"

	"pgregory.net/rapid"
)

// DrawScript draws the events of one answer, cut anywhere: text, reasoning, refusals and calls, whose
// arguments are an object, the beginning of one, or no JSON at all.
func DrawScript(t *rapid.T) string {
	lines := []string{"start prompt=3 cached=1"}
	for b := range rapid.IntRange(0, 4).Draw(t, "blocks") {
		verb := rapid.SampledFrom([]string{"text", "think", "refuse", "call"}).Draw(t, "kind")
		if verb != "call" {
			for range rapid.IntRange(1, 3).Draw(t, "parts") {
				lines = append(lines, fmt.Sprintf("%s %q", verb, rapid.StringN(0, 6, 20).Draw(t, "part")))
			}
			continue
		}
		lines = append(lines, fmt.Sprintf("call \"call_%d\" \"f%d\"", b, b))
		text := rapid.SampledFrom([]string{"", "{}", `{"a": "b\u00e9\n", "c": [1, {"d": null}]}`, `{"a": "cut \u0`, `{"a": tr`, `[1, 2]`, "a word", `"{\"a\": 1}"`, "{\"a\": \"x\ny\"} and more"}).Draw(t, "arguments")
		for text != "" {
			n := rapid.IntRange(1, len(text)).Draw(t, "cut")
			lines = append(lines, fmt.Sprintf("args %q", text[:n]))
			text = text[n:]
		}
	}
	lines = append(lines, "finish "+rapid.SampledFrom([]string{"stop", `stop_string "END"`, "length", "full", "tool_call", "filtered", "refused"}).Draw(t, "finish"))
	return strings.Join(append(lines, "end prompt=3 cached=1 answer=9 reasoning=2"), "\n")
}

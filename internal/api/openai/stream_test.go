package openai

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/apitest"
)

// script draws the events of some answers, in any order between them, cut anywhere.
func script(t *rapid.T, answers int) string {
	lines := []string{"start prompt=3 cached=1"}
	left := make([][]string, answers)
	for i := range left {
		for b := range rapid.IntRange(0, 4).Draw(t, "blocks") {
			verb := rapid.SampledFrom([]string{"text", "think", "refuse", "call"}).Draw(t, "kind")
			if verb == "call" {
				left[i] = append(left[i], fmt.Sprintf("%d: call \"call_%d_%d\" \"f%d\"", i, i, b, b))
				verb = "args"
				if rapid.Bool().Draw(t, "wrapped") {
					left[i] = append(left[i], fmt.Sprintf(`%d: args "{\"input\":"`, i), fmt.Sprintf(`%d: args "\""`, i))
				}
			}
			for range rapid.IntRange(1, 3).Draw(t, "parts") {
				left[i] = append(left[i], fmt.Sprintf("%d: %s %q", i, verb, rapid.StringN(0, 6, 20).Draw(t, "part")))
			}
		}
		left[i] = append(left[i], fmt.Sprintf("%d: finish %s", i, rapid.SampledFrom([]string{"stop", "length", "full", "tool_call", "filtered", "refused"}).Draw(t, "finish")))
	}
	for open := answers; open > 0; {
		i := rapid.IntRange(0, answers-1).Draw(t, "who")
		if len(left[i]) == 0 {
			continue
		}
		lines = append(lines, left[i][0])
		if left[i] = left[i][1:]; len(left[i]) == 0 {
			open--
		}
	}
	return strings.Join(append(lines, "end prompt=3 cached=1 answer=9 reasoning=2"), "\n")
}

// gather puts the chunks of a stream together as a client does.
func gather(t *rapid.T, stream string, answers int) (choices []completionChoice, total json.RawMessage) {
	choices = make([]completionChoice, answers)
	frames := strings.Split(strings.TrimSuffix(stream, "\n\n"), "\n\n")
	if frames[len(frames)-1] != "data: [DONE]" {
		t.Fatalf("the stream does not end in [DONE]: %q", stream)
	}
	for _, frame := range frames[:len(frames)-1] {
		var c answered[chunkChoice]
		if err := json.Unmarshal([]byte(strings.TrimPrefix(frame, "data: ")), &c); err != nil {
			t.Fatalf("%q: %v", frame, err)
		}
		if len(c.Choices) == 0 {
			total = c.Usage
		}
		for _, one := range c.Choices {
			out := &choices[one.Index]
			m, d := &out.Message, one.Delta
			m.Role += d.Role
			if d.Content != nil && string(d.Content) != "null" {
				var text string
				_ = json.Unmarshal(d.Content, &text)
				m.Content = joinText(m.Content, text)
			}
			if d.Refusal != nil {
				m.Refusal = joinText(m.Refusal, *d.Refusal)
			}
			if d.Reasoning != nil {
				m.Reasoning = joinText(m.Reasoning, *d.Reasoning)
			}
			for _, call := range d.ToolCalls {
				if *call.Index == len(m.ToolCalls) {
					m.ToolCalls = append(m.ToolCalls, call)
					continue
				}
				if begun := m.ToolCalls[*call.Index]; begun.Custom != nil {
					begun.Custom.Input += call.Custom.Input
				} else {
					begun.Function.Arguments += call.Function.Arguments
				}
			}
			if one.FinishReason != nil {
				out.FinishReason = *one.FinishReason
			}
		}
	}
	return choices, total
}

func TestStreamedAndWholeAnswersAreOne(t *testing.T) {
	b := &apitest.Backend{Scripts: map[string]string{}}
	h := apitest.Serve(t, api.Options{Backend: b, Surfaces: []*api.Surface{Surface()}})
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 3).Draw(t, "answers")
		b.Scripts[""] = script(t, n)
		ask := func(more string) string {
			return apitest.Ask(t, h.URL+"/v1/chat/completions", fmt.Sprintf(`{"model":"m","n":%d,"messages":[{"role":"user","content":"hi"}],
				"tools":[{"type":"custom","custom":{"name":"f1"}},{"type":"custom","custom":{"name":"f2"}}]%s}`, n, more))
		}
		var whole completion
		if err := json.Unmarshal([]byte(ask("")), &whole); err != nil {
			t.Fatal(err)
		}
		streamed, total := gather(t, ask(`,"stream":true,"stream_options":{"include_usage":true}`), n)
		for i := range streamed {
			got, want := plain(t, streamed[i].Message), plain(t, whole.Choices[i].Message)
			if got != want || streamed[i].FinishReason != whole.Choices[i].FinishReason {
				t.Fatalf("answer %d:\nstreamed %s %s\nwhole    %s %s\nscript\n%s", i, got, streamed[i].FinishReason, want, whole.Choices[i].FinishReason, b.Scripts[""])
			}
		}
		if want, _ := api.Encode(whole.Usage); string(total) != string(want) {
			t.Fatalf("usage: streamed %s, whole %s", total, want)
		}
	})
}

// plain is a message as text, without indexes, which only streams have; what is empty is as good as absent.
func plain(t *rapid.T, m answerMessage) string {
	for i := range m.ToolCalls {
		m.ToolCalls[i].Index = nil
	}
	m.Annotations = nil
	for _, p := range []**string{&m.Content, &m.Refusal, &m.Reasoning} {
		if *p != nil && **p == "" {
			*p = nil
		}
	}
	out, err := api.Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// TestLengthsOfPiecesTellNothing asks for obfuscation: pieces of one answer then have one length, whatever they
// say, and say the same.
func TestLengthsOfPiecesTellNothing(t *testing.T) {
	b := &apitest.Backend{Scripts: map[string]string{"": "start\ntext \"a\"\ntext \" word\"\ntext \" of some length\"\ntext \" é\"\nfinish stop\nend"}}
	h := apitest.Serve(t, api.Options{Backend: b, Surfaces: []*api.Surface{Surface()}})
	ask := func(path, prompt, options string) []string {
		text := apitest.Ask(t, h.URL+path, `{"model":"m","stream":true,"stream_options":`+options+`,`+prompt+`}`)
		return strings.Split(strings.TrimSuffix(text, "\n\ndata: [DONE]\n\n"), "\n\n")
	}
	for path, prompt := range map[string]string{"/v1/chat/completions": `"messages":[{"role":"user","content":"a"}]`, "/v1/completions": `"prompt":"a"`} {
		lengths, fillings := map[int]int{}, map[string]bool{}
		pieces := ask(path, prompt, `{"include_obfuscation":true}`)
		for _, piece := range pieces {
			var one struct{ Obfuscation string }
			if err := json.Unmarshal([]byte(strings.TrimPrefix(piece, "data: ")), &one); err != nil || one.Obfuscation == "" {
				t.Fatalf("%s: %v", piece, err)
			}
			lengths[len(piece)]++
			fillings[one.Obfuscation] = true
		}
		if len(lengths) != 1 || len(fillings) != len(pieces) || len(pieces) < 5 {
			t.Errorf("%s: lengths %v, %d fillings of %d pieces", path, lengths, len(fillings), len(pieces))
		}
		for _, options := range []string{`{}`, `{"include_obfuscation":false}`} {
			if plain := ask(path, prompt, options); len(plain) != len(pieces) || strings.Contains(strings.Join(plain, ""), "obfuscation") {
				t.Errorf("%s without: %q", path, plain)
			}
		}
	}
}

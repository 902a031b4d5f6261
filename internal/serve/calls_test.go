package serve

import (
	"encoding/json"
	"regexp"
	"testing"

	"github.com/galerne-ai/galerne/internal/chat"
)

// orders is a tool whose arguments a small model does not write well by itself.
var orders = chat.Tool{Name: "find_order", Description: "Looks an order up.", Strict: true,
	Schema: []byte(`{"type":"object","properties":{"number":{"type":"string","pattern":"^[A-Z]{2}-[0-9]{4}$"},"priority":{"enum":["low","high"]}},"required":["number","priority"],"additionalProperties":false}`)}

func calling(tool chat.Tool, question string, mode chat.ToolMode, tokens int) *chat.Request {
	r := &chat.Request{Model: "qwen2.5-coder-0.5b", Tools: []chat.Tool{tool}, ToolChoice: chat.ToolChoice{Mode: mode}, MaxTokens: &tokens, Sampling: chat.Sampling{Temperature: ptr(0.0)},
		Messages: []chat.Message{{Role: chat.User, Parts: []chat.Part{{Text: question}}}}}
	if mode == chat.ToolsNamed {
		r.ToolChoice.Names = []string{tool.Name}
	}
	return r
}

// TestStrictCallsWithoutTheirMarkFitTheSchema: a small model of the Hermes form forgets <tool_call> and begins with
// the object. What it calls is held to the tool's schema all the same.
func TestStrictCallsWithoutTheirMarkFitTheSchema(t *testing.T) {
	s := real(t, Options{})
	number := regexp.MustCompile(`^[A-Z]{2}-[0-9]{4}$`)
	called := 0
	for _, question := range []string{"Find order 12 please.", "Where is my order fr 77 45?", "Look up the order number 9, it is urgent."} {
		out := whole(t, s, calling(orders, question, chat.ToolsAuto, 80))
		for _, c := range out.Choices[0].Calls() {
			called++
			var got struct{ Number, Priority string }
			if err := json.Unmarshal([]byte(c.Text), &got); err != nil || !number.MatchString(got.Number) || got.Priority != "low" && got.Priority != "high" {
				t.Errorf("%s: %s: %v", question, c.Text, err)
			}
		}
		t.Logf("%s: %+v", question, out.Choices[0])
	}
	if called < 2 {
		t.Errorf("only %d calls", called)
	}
}

// TestForcedCallsThatAreCutAreCalls: of too few tokens a forced call is cut, and still a call.
func TestForcedCallsThatAreCutAreCalls(t *testing.T) {
	s := real(t, Options{})
	for tokens := 1; tokens <= 14; tokens++ {
		out := whole(t, s, calling(orders, "Find order 12 please.", chat.ToolsNamed, tokens))
		c := out.Choices[0]
		if len(c.Calls()) != 1 || len(c.Blocks) != 1 || c.Calls()[0].Call.Name != "find_order" || c.Finish != chat.Length {
			t.Errorf("%d tokens: %+v", tokens, c)
		}
	}
}

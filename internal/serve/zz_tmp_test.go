package serve

import (
	"fmt"
	"testing"

	"github.com/galerne-ai/galerne/internal/chat"
)

func TestZZ(t *testing.T) {
	s := real(t, Options{})
	n := 80
	zero := 0.0
	say := func(role chat.Role, text string) chat.Message {
		return chat.Message{Role: role, Parts: []chat.Part{{Text: text}}}
	}
	tool := chat.Tool{Name: "get_weather", Description: "Get the current weather of a city", Schema: []byte(`{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}`)}
	for _, m := range []string{"small", "qwen2.5-coder-0.5b"} {
		for _, tools := range [][]chat.Tool{nil, {tool}} {
			r := whole(t, s, &chat.Request{Model: m, Tools: tools, MaxTokens: &n, Sampling: chat.Sampling{Temperature: &zero}, Messages: []chat.Message{say(chat.User, "What is the weather in Brest, France right now?")}})
			for _, b := range r.Choices[0].Blocks {
				fmt.Printf("%s tools=%d kind=%d call=%+v %q\n", m, len(tools), b.Kind, b.Call, b.Text)
			}
			fmt.Println(r.Choices[0].Finish, r.Usage)
		}
	}
}

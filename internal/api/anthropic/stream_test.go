package anthropic

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/apitest"
)

// event is any event of a stream.
type event struct {
	Type    string         `json:"type"`
	Message map[string]any `json:"message"`
	Index   int            `json:"index"`
	Block   map[string]any `json:"content_block"`
	Delta   map[string]any `json:"delta"`
	Usage   map[string]any `json:"usage"`
}

// gather puts the events of a stream together as their clients do, and fails where these would.
func gather(t *rapid.T, stream string) map[string]any {
	var message map[string]any
	var content []any
	open, input, stopped := -1, "", false
	for _, frame := range strings.Split(strings.TrimSuffix(stream, "\n\n"), "\n\n") {
		name, data, ok := strings.Cut(frame, "\ndata: ")
		var e event
		if err := json.Unmarshal([]byte(data), &e); err != nil || !ok || name != "event: "+e.Type || stopped || (message == nil) != (e.Type == "message_start") {
			t.Fatalf("%q has no place here (%v) in\n%s", frame, err, stream)
		}
		switch e.Type {
		case "message_start":
			message = e.Message
		case "content_block_start":
			if open >= 0 || e.Index != len(content) {
				t.Fatalf("block %d begins, %d is open, there are %d:\n%s", e.Index, open, len(content), stream)
			}
			open, input, content = e.Index, "", append(content, e.Block)
		case "content_block_delta":
			block := content[e.Index].(map[string]any)
			for from, to := range map[string]string{"text": "text", "thinking": "thinking", "signature": "signature"} {
				if more, ok := e.Delta[from].(string); ok {
					block[to] = block[to].(string) + more
				}
			}
			if more, ok := e.Delta["partial_json"].(string); ok {
				input += more
			}
		case "content_block_stop":
			if e.Index != open {
				t.Fatalf("block %d stops, %d is open:\n%s", e.Index, open, stream)
			}
			if block := content[open].(map[string]any); block["type"] == "tool_use" {
				var v map[string]any
				if err := json.Unmarshal([]byte(input), &v); err != nil {
					t.Fatalf("the input is %q: %v", input, err)
				}
				block["input"] = v
			}
			open = -1
		case "message_delta":
			message["stop_reason"], message["stop_sequence"] = e.Delta["stop_reason"], e.Delta["stop_sequence"]
			for k, v := range e.Usage {
				message["usage"].(map[string]any)[k] = v
			}
		case "message_stop":
			stopped = true
		}
	}
	if !stopped || open >= 0 {
		t.Fatalf("the stream does not end:\n%s", stream)
	}
	message["content"] = append([]any{}, content...)
	return message
}

func TestStreamedAndWholeAnswersAreOne(t *testing.T) {
	b := &apitest.Backend{Scripts: map[string]string{}}
	h := apitest.Serve(t, api.Options{Backend: b, Surfaces: []*api.Surface{Surface(nil)}})
	rapid.Check(t, func(t *rapid.T) {
		b.Scripts[""] = apitest.DrawScript(t)
		display := rapid.SampledFrom([]string{"summarized", "omitted"}).Draw(t, "display")
		ask := func(more string) string {
			return apitest.Ask(t, h.URL+"/v1/messages", `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}],"thinking":{"type":"adaptive","display":"`+display+`"}`+more+`}`)
		}
		var whole map[string]any
		if err := json.Unmarshal([]byte(ask("")), &whole); err != nil {
			t.Fatal(err)
		}
		if streamed := gather(t, ask(`,"stream":true`)); !reflect.DeepEqual(streamed, whole) {
			t.Fatalf("streamed %v\nwhole    %v\nscript\n%s", streamed, whole, b.Scripts[""])
		}
	})
}

package ollama

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/apitest"
)

// gather joins the lines of a stream: the last has the counts, and all of them the text.
func gather(t *rapid.T, stream string) (out map[string]any) {
	joined := map[string]any{}
	lines := strings.Split(strings.TrimSuffix(stream, "\n"), "\n")
	for i, one := range lines {
		out = nil
		if err := json.Unmarshal([]byte(one), &out); err != nil || out["done"] != (i == len(lines)-1) {
			t.Fatalf("%q has no place here (%v) in\n%s", one, err, stream)
		}
		join(joined, inner(out))
	}
	for k, v := range joined {
		inner(out)[k] = v
	}
	return out
}

// inner is where an answer has its text: in the message, or in itself.
func inner(answer map[string]any) map[string]any {
	if m, ok := answer["message"].(map[string]any); ok {
		return m
	}
	return answer
}

func join(to, more map[string]any) {
	for _, k := range []string{"content", "response", "thinking"} {
		if text, ok := more[k].(string); ok {
			before, _ := to[k].(string)
			to[k] = before + text
		}
	}
	if calls, ok := more["tool_calls"].([]any); ok {
		before, _ := to["tool_calls"].([]any)
		to["tool_calls"] = append(before, calls...)
	}
}

func TestStreamedAndWholeAnswersAreOne(t *testing.T) {
	b := &apitest.Backend{Scripts: map[string]string{}}
	h := apitest.Serve(t, api.Options{Backend: b, Surfaces: []*api.Surface{Surface(nil)}})
	rapid.Check(t, func(t *rapid.T) {
		b.Scripts[""] = apitest.DrawScript(t)
		path, body := "chat", `{"model":"m","messages":[{"role":"user","content":"hi"}]`
		if rapid.Bool().Draw(t, "generate") {
			path, body = "generate", `{"model":"m","prompt":"hi"`
		}
		ask := func(more string) string {
			return apitest.Ask(t, h.URL+"/api/"+path, body+more+"}")
		}
		var whole map[string]any
		if err := json.Unmarshal([]byte(ask(`,"stream":false`)), &whole); err != nil {
			t.Fatal(err)
		}
		if streamed := gather(t, ask("")); !reflect.DeepEqual(streamed, whole) {
			t.Fatalf("streamed %v\nwhole    %v\nscript\n%s", streamed, whole, b.Scripts[""])
		}
	})
}

package bedrock

import (
	"encoding/json"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/apitest"
)

type object = map[string]any

// gather puts the events of a stream together as their clients do.
func gather(t *rapid.T, stream []byte) object {
	all, err := apitest.ReadAWS(stream)
	if err != nil {
		t.Fatal(err)
	}
	out := object{}
	var content []any
	inputs := map[int]string{}
	for _, e := range all {
		var v object
		if err := json.Unmarshal(e.Payload, &v); err != nil {
			t.Fatal(err)
		}
		index := 0
		if n, ok := v["contentBlockIndex"].(float64); ok {
			index = int(n)
		}
		for len(content) <= index && (v["delta"] != nil || v["start"] != nil) {
			content = append(content, object{})
		}
		switch name := e.Headers[0][1]; name {
		case "contentBlockStart":
			content[index] = v["start"]
		case "contentBlockDelta":
			merge(content[index].(object), v["delta"].(object), inputs, index)
		case "messageStop":
			out["stopReason"] = v["stopReason"]
		case "metadata":
			out["usage"], out["metrics"] = v["usage"], v["metrics"]
		}
	}
	for i, text := range inputs {
		var v object
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatalf("the input is %q: %v", text, err)
		}
		content[i].(object)["toolUse"].(object)["input"] = v
	}
	out["output"] = object{"message": object{"role": "assistant", "content": append([]any{}, content...)}}
	return out
}

func merge(block, delta object, inputs map[int]string, index int) {
	if more, ok := delta["text"].(string); ok {
		before, _ := block["text"].(string)
		block["text"] = before + more
	}
	if more, ok := delta["toolUse"].(object); ok {
		inputs[index] += more["input"].(string)
	}
	if more, ok := delta["reasoningContent"].(object); ok {
		if block["reasoningContent"] == nil {
			block["reasoningContent"] = object{"reasoningText": object{"text": ""}}
		}
		to := block["reasoningContent"].(object)["reasoningText"].(object)
		if text, ok := more["text"].(string); ok {
			to["text"] = to["text"].(string) + text
		}
		if signature, ok := more["signature"]; ok {
			to["signature"] = signature
		}
	}
}

func TestStreamedAndWholeAnswersAreOne(t *testing.T) {
	b := &apitest.Backend{Scripts: map[string]string{}}
	s := apitest.Serve(t, api.Options{Backend: b, Surfaces: []*api.Surface{Surface()}})
	rapid.Check(t, func(t *rapid.T) {
		b.Scripts[""] = apitest.DrawScript(t)
		ask := func(path string) []byte {
			return []byte(apitest.Ask(t, s.URL+"/model/m/"+path, `{"messages":[{"role":"user","content":[{"text":"hi"}]}]}`))
		}
		var whole object
		if err := json.Unmarshal(ask("converse"), &whole); err != nil {
			t.Fatal(err)
		}
		if streamed := gather(t, ask("converse-stream")); !reflect.DeepEqual(streamed, whole) {
			t.Fatalf("streamed %v\nwhole    %v\nscript\n%s", streamed, whole, b.Scripts[""])
		}
	})
}

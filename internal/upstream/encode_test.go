package upstream

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/galerne-ai/galerne/internal/chat"
)

func pointer[T any](v T) *T { return &v }

// encoded is a request as the server behind us reads it, without what every request has.
func encoded(t *testing.T, r *chat.Request) (path string, got map[string]any) {
	t.Helper()
	path, body, err := encode(r, "there")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatal(err)
	}
	if got["model"] != "there" || got["stream"] != true || got["stream_options"].(map[string]any)["include_usage"] != true {
		t.Errorf("%s", body)
	}
	for _, name := range []string{"model", "stream", "stream_options"} {
		delete(got, name)
	}
	return path, got
}

func want(t *testing.T, name string, got map[string]any, expected string) {
	t.Helper()
	var w map[string]any
	if err := json.Unmarshal([]byte(expected), &w); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if !reflect.DeepEqual(got, w) {
		text, _ := json.Marshal(got)
		t.Errorf("%s:\n%s\nwant\n%s", name, text, expected)
	}
}

func TestEverythingThatIsSaidIsPassedOn(t *testing.T) {
	part := func(kind chat.PartKind, text string) chat.Part { return chat.Part{Kind: kind, Text: text} }
	r := &chat.Request{
		Messages: []chat.Message{
			{Role: chat.System, Parts: []chat.Part{{Text: "Be "}, {Text: "brief."}}},
			{Role: chat.User, Name: "ann", Parts: []chat.Part{{Text: "weather?"}}},
			{Role: chat.Assistant, Parts: []chat.Part{part(chat.ThinkingPart, "hm"), {Kind: chat.CallPart, ID: "c1", Name: "f", Arguments: `{"a":1}`}, {Kind: chat.CallPart, ID: "c2", Name: "g", Arguments: `{}`}}},
			{Role: chat.User, Parts: []chat.Part{{Kind: chat.ResultPart, CallID: "c1", Text: "rain"}, {Kind: chat.ResultPart, CallID: "c2", Text: "noon"}, {Text: "well?"}}},
			{Role: chat.ToolRole, Parts: []chat.Part{{Kind: chat.ResultPart, CallID: "c2", Text: "late"}}},
			{Role: chat.Assistant, Prefix: true, Parts: []chat.Part{{Text: "So"}}},
		},
		Tools:      []chat.Tool{{Name: "f", Description: "does", Schema: json.RawMessage(`{"type":"object"}`), Strict: true}, {Name: "g"}},
		ToolChoice: chat.ToolChoice{Mode: chat.ToolsNamed, Names: []string{"f"}}, ParallelTools: pointer(false),
		Format:    chat.Format{Kind: chat.JSONSchema, Schema: json.RawMessage(`{"type":"object"}`)},
		Reasoning: chat.Reasoning{Enabled: pointer(true), Effort: "low"}, Template: map[string]any{"x": 1},
		Sampling: chat.Sampling{Temperature: pointer(0.0), TopK: pointer(3), TopP: pointer(0.9), MinP: pointer(0.1), TypicalP: pointer(0.5), Repetition: pointer(1.1), LastN: pointer(64),
			Frequency: pointer(0.25), Presence: pointer(0.5), Bias: map[int32]float64{7: -1}, Seed: pointer(uint64(9))},
		N: 2, MaxTokens: pointer(5), MinTokens: 1, Stop: []string{"END"}, StopIDs: []int32{2}, IgnoreEnd: true, Logprobs: pointer(2), User: "u",
	}
	path, got := encoded(t, r)
	want(t, path, got, `{"messages":[
		{"role":"system","content":"Be brief."},
		{"role":"user","name":"ann","content":"weather?"},
		{"role":"assistant","content":"","reasoning_content":"hm","tool_calls":[
			{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}},{"id":"c2","type":"function","function":{"name":"g","arguments":"{}"}}]},
		{"role":"tool","tool_call_id":"c1","content":"rain"},{"role":"tool","tool_call_id":"c2","content":"noon"},{"role":"user","content":"well?"},
		{"role":"tool","tool_call_id":"c2","content":"late"},
		{"role":"assistant","content":"So"}],
		"continue_final_message":true,"add_generation_prompt":false,
		"tools":[{"type":"function","function":{"name":"f","description":"does","parameters":{"type":"object"},"strict":true}},{"type":"function","function":{"name":"g"}}],
		"tool_choice":{"type":"function","function":{"name":"f"}},"parallel_tool_calls":false,
		"response_format":{"type":"json_schema","json_schema":{"name":"answer","schema":{"type":"object"},"strict":true}},
		"reasoning_effort":"low","chat_template_kwargs":{"x":1,"enable_thinking":true,"thinking":true},
		"temperature":0,"top_k":3,"top_p":0.9,"min_p":0.1,"typical_p":0.5,"repetition_penalty":1.1,"repeat_last_n":64,"frequency_penalty":0.25,"presence_penalty":0.5,"logit_bias":{"7":-1},"seed":9,
		"n":2,"max_tokens":5,"min_tokens":1,"stop":["END"],"stop_token_ids":[2],"ignore_eos":true,"logprobs":true,"top_logprobs":2,"user":"u"}`)
	if r.Template["enable_thinking"] != nil {
		t.Error("the caller's request was changed")
	}
}

func TestWhatIsNotSaidIsNotSent(t *testing.T) {
	path, got := encoded(t, hello("hi"))
	want(t, path, got, `{"messages":[{"role":"user","content":"hi"}]}`)
	path, got = encoded(t, &chat.Request{Raw: &chat.RawPrompt{Text: "def f(", Suffix: pointer("return")}, Logprobs: pointer(0)})
	want(t, path, got, `{"prompt":"def f(","suffix":"return","logprobs":0}`)
	if path != "/completions" {
		t.Error(path)
	}
	_, got = encoded(t, &chat.Request{Raw: &chat.RawPrompt{Tokens: []int32{1, 2}, NoBOS: true}})
	want(t, "tokens", got, `{"prompt":[1,2]}`)
	_, got = encoded(t, &chat.Request{Raw: &chat.RawPrompt{Text: "a", NoBOS: true}})
	want(t, "a prompt that has its own begin", got, `{"prompt":"a","add_special_tokens":false}`)
}

func TestFormsAreToldInTheWordsOfSeveralServers(t *testing.T) {
	for _, c := range []struct {
		f    chat.Format
		want string
	}{
		{chat.Format{Kind: chat.JSONValue}, `{"response_format":{"type":"json_object"}}`},
		{chat.Format{Kind: chat.Regex, Pattern: "a+"}, `{"structured_outputs":{"regex":"a+"},"guided_regex":"a+"}`},
		{chat.Format{Kind: chat.Grammar, Pattern: "root ::= x"}, `{"structured_outputs":{"grammar":"root ::= x"},"grammar":"root ::= x"}`},
		{chat.Format{Kind: chat.OneOf, Choices: []string{"a", "b"}}, `{"structured_outputs":{"choice":["a","b"]},"guided_choice":["a","b"]}`},
	} {
		_, got := encoded(t, &chat.Request{Raw: &chat.RawPrompt{}, Format: c.f})
		delete(got, "prompt")
		want(t, c.want, got, c.want)
	}
	for mode, name := range map[chat.ToolMode]string{chat.ToolsAuto: "auto", chat.ToolsNone: "none", chat.ToolsRequired: "required"} {
		if _, got := encoded(t, &chat.Request{Tools: []chat.Tool{{Name: "f"}}, ToolChoice: chat.ToolChoice{Mode: mode}}); got["tool_choice"] != name {
			t.Errorf("%d: %v", mode, got["tool_choice"])
		}
	}
}

func TestWhatCannotBePassedOnIsRefusedByItsName(t *testing.T) {
	tools := []chat.Tool{{Name: "f"}, {Name: "g"}}
	for word, r := range map[string]*chat.Request{
		"media":           {Messages: []chat.Message{{Role: chat.User, Parts: []chat.Part{{Kind: chat.MediaPart, Media: &chat.Media{}}}}}},
		"prompt_logprobs": {PromptLogprobs: pointer(1)},
		"echo":            {Raw: &chat.RawPrompt{Text: "a"}, Echo: true},
		"stop strings":    {KeepStop: true},
		"documents":       {Documents: []chat.Document{{Text: "a"}}},
		"named tools":     {Tools: tools, ToolChoice: chat.ToolChoice{Mode: chat.ToolsNamed, Names: []string{"f", "g"}}},
		"named tools ":    {Tools: tools, ToolChoice: chat.ToolChoice{Mode: chat.ToolsNamed}},
		"form":            {Format: chat.Format{Kind: 99}},
	} {
		_, _, err := encode(r, "there")
		if !errors.Is(err, chat.ErrUnsupported) || !strings.Contains(err.Error(), strings.TrimSpace(word)) {
			t.Errorf("%s: %v", word, err)
		}
	}
}

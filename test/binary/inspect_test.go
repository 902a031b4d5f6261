package binary

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/galerne-ai/galerne/internal/testdeps"
)

// withInput runs the program with a text on standard input.
func withInput(t testing.TB, input string, args ...string) (out, errOut string, code int) {
	t.Helper()
	cmd := command(t, t.TempDir(), args...)
	var o, e bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &o, &e
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return o.String(), e.String(), cmd.ProcessState.ExitCode()
}

// consult puts a question to inspect_oracle.py.
func consult(t *testing.T, what, path string, question, answer any) {
	t.Helper()
	text, err := json.Marshal(question)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(testdeps.Python(t), "inspect_oracle.py", what, path)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(text), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("inspect_oracle.py %s: %v", what, err)
	}
	if err := json.Unmarshal(out, answer); err != nil {
		t.Fatal(err)
	}
}

type tokens struct {
	IDs    []int32 `json:"ids"`
	Pieces []any   `json:"pieces"`
}

func tokensOf(t *testing.T, text string, args ...string) tokens {
	t.Helper()
	out, errOut, code := withInput(t, text, append([]string{"inspect", "tokens"}, args...)...)
	var got tokens
	if err := json.Unmarshal([]byte(out), &got); code != 0 || err != nil || len(got.IDs) != len(got.Pieces) || got.IDs == nil {
		t.Fatalf("inspect tokens %q of %q: %d, %v, %s%s", args, text, code, err, out, errOut)
	}
	return got
}

func TestInspectTokensAgreesWithTheReferences(t *testing.T) {
	t.Parallel()
	folder := testdeps.Dep(t, "models/all-minilm-l6-v2")
	texts := []string{"", "Hello, world!", "  Un été à Brest\n\tet la galerne… ", "[SEP] 日本語 🌊 [MASK]", "naïve CAFÉ \u0301e", "a\x00b", strings.Repeat("wind ", 50)}
	var questions []any
	for _, text := range texts {
		questions = append(questions, []any{text, false}, []any{text, true})
	}
	var want [][]int32
	consult(t, "tokens", folder, questions, &want)
	for i, text := range texts {
		plain, special := tokensOf(t, text, folder, "--parse-special"), tokensOf(t, text, folder, "--parse-special", "--add-special")
		if !slices.Equal(plain.IDs, want[2*i]) || !slices.Equal(special.IDs, want[2*i+1]) {
			t.Errorf("%q: %v and %v, want %v and %v", text, plain.IDs, special.IDs, want[2*i], want[2*i+1])
		}
	}
	vocabulary := testdeps.Dep(t, "llama.cpp/models/ggml-vocab-qwen2.gguf")
	input, err := os.ReadFile(vocabulary + ".inp")
	if err != nil {
		t.Fatal(err)
	}
	output, err := os.ReadFile(vocabulary + ".out")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(output), "\n")
	for i, text := range strings.Split(string(input), "\n__ggml_vocab_test__\n")[:8] {
		if got := strings.Trim(fmt.Sprint(tokensOf(t, text, vocabulary).IDs), "[]"); got != strings.Join(strings.Fields(lines[i]), " ") {
			t.Errorf("%q: %s, want %s", text, got, lines[i])
		}
	}
}

func TestInspectTokensPiecesAreTheText(t *testing.T) {
	const text = "Été 🌊 <|im_start|>"
	for _, parse := range []bool{false, true} {
		args := []string{small(t)}
		if parse {
			args = append(args, "--parse-special")
		}
		got := tokensOf(t, text, args...)
		var all []byte
		for _, piece := range got.Pieces {
			switch piece := piece.(type) {
			case string:
				all = append(all, piece...)
			case []any: // a part of a character
				for _, b := range piece {
					all = append(all, byte(b.(float64)))
				}
			}
		}
		if string(all) != text || slices.Contains(got.IDs, 1) != parse {
			t.Errorf("%v gives %q", got, all)
		}
	}
}

// conversations have no null and no reasoning: there transformers of 5.23 changes messages before the
// template sees them, and inspect does not (docs/inspect.md).
var conversations = map[string]string{
	"plain":    `{"messages":[{"role":"user","content":"  What's the weather? \n"}]}`,
	"answered": `{"messages":[{"role":"system","content":"Be terse. <b>&'\"</b>"},{"role":"user","content":"Hi"},{"role":"assistant","content":"Hello.\n"},{"role":"user","content":"Été 🌊?"}],"add_generation_prompt":true}`,
	"tools": `{"messages":[{"role":"user","content":"Weather in Brest?"},{"role":"assistant","content":"","tool_calls":[{"id":"call12345","type":"function","function":{"name":"weather","arguments":{"city":"Brest","days":2,"deep":{"b":[1,2.0,true,null],"a":"é"}}}}]},{"role":"tool","tool_call_id":"call12345","name":"weather","content":"{\"temp\": 11.5}"}],
		"tools":[{"type":"function","function":{"name":"weather","description":"The <weather> & \"more\"","parameters":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}}}],"add_generation_prompt":true}`,
	"vars":  `{"messages":[{"role":"user","content":"Hi"}],"add_generation_prompt":true,"vars":{"enable_thinking":false,"bos_token":"<begin>","date_string":"1 Jan 2025"}}`,
	"wrong": `{"messages":[{"role":"assistant","content":"I come first"},{"role":"assistant","content":"and again"}]}`,
}

func TestInspectPromptAgreesWithTransformers(t *testing.T) {
	t.Parallel()
	folder := testdeps.Dep(t, "models/all-minilm-l6-v2")
	dir := testdeps.Dep(t, "llama.cpp/models/templates")
	type question struct {
		Template     string          `json:"template"`
		Conversation json.RawMessage `json:"conversation"`
	}
	var questions []question
	var names [][2]string
	for _, name := range []string{"Qwen-Qwen2.5-7B-Instruct", "Qwen-Qwen3-0.6B", "mistralai-Mistral-Nemo-Instruct-2407", "meta-llama-Llama-3.1-8B-Instruct", "google-gemma-2-2b-it", "HuggingFaceTB-SmolLM3-3B"} {
		path := filepath.Join(dir, name+".jinja")
		source, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []string{"plain", "answered", "tools", "vars", "wrong"} {
			if c == "plain" && strings.Contains(string(source), "strftime_now") {
				continue // it writes today's date, which may turn between the two
			}
			questions = append(questions, question{string(source), json.RawMessage(conversations[c])})
			names = append(names, [2]string{path, c})
		}
	}
	var want []struct {
		Text  *string
		Error string
	}
	consult(t, "prompt", folder, questions, &want)
	rendered, refused := 0, 0
	for i, w := range want {
		// The oracle's tokenizer has these special tokens.
		var c map[string]any
		if err := json.Unmarshal(questions[i].Conversation, &c); err != nil {
			t.Fatal(err)
		}
		vars, _ := c["vars"].(map[string]any)
		if vars == nil {
			vars = map[string]any{}
		}
		for name, token := range map[string]string{"bos_token": "<s>", "eos_token": "</s>"} {
			if vars[name] == nil {
				vars[name] = token
			}
		}
		input := withVars(t, questions[i].Conversation, vars)
		out, errOut, code := withInput(t, input, "inspect", "prompt", "--template", names[i][0])
		switch {
		case w.Text == nil:
			refused++
			if code != 1 || errOut == "" || out != "" {
				t.Errorf("%v: %d %q, transformers refuses it: %s", names[i], code, out, w.Error)
			}
		case code != 0 || out != *w.Text:
			t.Errorf("%v: %d %s\n got %q\nwant %q", names[i], code, errOut, out, *w.Text)
		default:
			rendered++
		}
	}
	if rendered < 15 || refused < 2 {
		t.Errorf("transformers rendered %d and refused %d: the test tests less than it says", rendered, refused)
	}
}

// withVars puts vars into a conversation and leaves the order of the rest alone.
func withVars(t *testing.T, conversation json.RawMessage, vars map[string]any) string {
	t.Helper()
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(conversation, &fields); err != nil {
		t.Fatal(err)
	}
	var err error
	if fields["vars"], err = json.Marshal(vars); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestInspectPromptTakesTemplateAndSpecialTokensFromTheModel(t *testing.T) {
	out, errOut, code := withInput(t, conversations["answered"], "inspect", "prompt", small(t))
	want := "<|im_start|>system\nBe terse. <b>&'\"</b><|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello.\n<|im_end|>\n<|im_start|>user\nÉté 🌊?<|im_end|>\n<|im_start|>assistant\n"
	if code != 0 || out != want {
		t.Errorf("%d %s\n got %q\nwant %q", code, errOut, out, want)
	}
	template := filepath.Join(t.TempDir(), "t.jinja")
	source := "{{ bos_token }}|{{ eos_token }}|{{ tools is none }}|{{ add_generation_prompt }}|{{ messages[0].content }}\n\n"
	if err := os.WriteFile(template, []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range [][2]string{
		{small(t), "<|im_start|>|<|im_end|>|True|False|x\n"},
		{testdeps.Dep(t, "models/all-minilm-l6-v2"), "||True|False|x\n"},
	} {
		out, errOut, code := withInput(t, `{"messages":[{"role":"user","content":"x"}]}`, "inspect", "prompt", c[0], "--template", template)
		if code != 0 || out != c[1] {
			t.Errorf("%s: %d %q %s, want %q", c[0], code, out, errOut, c[1])
		}
	}
}

func TestInspectPromptReadsAFolderAsTransformersDoes(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	vocabulary, err := os.ReadFile(filepath.Join(testdeps.Dep(t, "models/all-minilm-l6-v2"), "tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	const names = "{{ bos_token }}|{{ eos_token }}|{{ unk_token }}|{{ sep_token }}|{{ pad_token }}|{{ cls_token }}|{{ mask_token }}|{{ messages|length }}\n"
	config, err := json.Marshal(map[string]any{
		"tokenizer_class": "PreTrainedTokenizerFast",
		"bos_token":       map[string]any{"__type": "AddedToken", "content": "[CLS]", "lstrip": false, "rstrip": false, "normalized": false, "single_word": false},
		"eos_token":       "[SEP]", "unk_token": "[UNK]", "pad_token": nil,
		"chat_template": []any{
			map[string]string{"name": "default", "template": "default " + names},
			map[string]string{"name": "tool_use", "template": "tools {{ tools|length }} " + names},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"tokenizer.json": vocabulary, "tokenizer_config.json": config, "config.json": []byte(`{"model_type":"llama"}`)} {
		if err := os.WriteFile(filepath.Join(folder, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	questions := []json.RawMessage{
		json.RawMessage(`{"messages":[{"role":"user","content":"x"}]}`),
		json.RawMessage(`{"messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"f"}}]}`),
		json.RawMessage(`{"messages":[{"role":"user","content":"x"}],"tools":[]}`),
		json.RawMessage(`{"messages":[]}`),
	}
	var want []struct {
		Text  *string
		Error string
	}
	consult(t, "folder", folder, questions, &want)
	for i, q := range questions {
		out, errOut, code := withInput(t, string(q), "inspect", "prompt", folder)
		if w := want[i].Text; w == nil && code != 1 || w != nil && (code != 0 || out != *w) {
			t.Errorf("%s: %d %q %s, want %q %s", q, code, out, errOut, value(w), want[i].Error)
		}
	}
}

func value(s *string) string {
	if s == nil {
		return "an error"
	}
	return *s
}

func TestLogitsAreTheSameBitsOnAnyNumberOfThreads(t *testing.T) {
	args := []string{"inspect", "logits", small(t), "--tokens", "504,3575,282,4649,314", "--all", "--threads"}
	one, _, code1 := output(t, t.TempDir(), append(args, "1")...)
	three, _, code3 := output(t, t.TempDir(), append(args, "3")...)
	if code1 != 0 || code3 != 0 || one != three || len(one) < 5*49152*2 {
		t.Errorf("%d and %d: %d and %d bytes, the same: %v", code1, code3, len(one), len(three), one == three)
	}
}

func TestInspectLogitsAgreesWithTransformers(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"llama", "qwen3", "mixtral", "gemma3"} {
		folder := filepath.Join(testdeps.Root(t), "internal/zoo/testdata/tiny", name)
		var want []struct {
			Tokens []int32
			Logits [][]float64
		}
		consult(t, "reference", filepath.Join(folder, "reference.safetensors"), nil, &want)
		for _, w := range want {
			ids := strings.ReplaceAll(strings.Trim(fmt.Sprint(w.Tokens), "[]"), " ", ",")
			all := logitsOf(t, folder, "--tokens", ids, "--all")
			last := logitsOf(t, folder, "--tokens", ids)
			if len(all) != len(w.Tokens) || len(last) != 1 || !slices.Equal(last[0], all[len(all)-1]) {
				t.Fatalf("%s: %d rows, %d without --all, for %d tokens", name, len(all), len(last), len(w.Tokens))
			}
			for pos := range all {
				if e := nmse(all[pos], w.Logits[pos]); !(e < 1e-6) {
					t.Errorf("%s, position %d: normalised mean squared error %g", name, pos, e)
				}
			}
		}
	}
}

func logitsOf(t *testing.T, model string, args ...string) [][]float64 {
	t.Helper()
	out, errOut, code := output(t, t.TempDir(), append([]string{"inspect", "logits", model}, args...)...)
	var got struct{ Logits [][]float64 }
	if err := json.Unmarshal([]byte(out), &got); code != 0 || err != nil {
		t.Fatalf("inspect logits %s: %d %v %.200s%s", model, code, err, out, errOut)
	}
	for _, row := range got.Logits {
		for _, v := range row { // the shortest decimal of a float32
			if text := strconv.FormatFloat(v, 'g', -1, 64); text != strconv.FormatFloat(float64(float32(v)), 'g', -1, 32) {
				t.Fatalf("%s is no float32's", text)
			}
		}
	}
	return got.Logits
}

func nmse(got, want []float64) float64 {
	if len(got) != len(want) {
		return math.Inf(1)
	}
	var diff, size float64
	for i, w := range want {
		diff, size = diff+(got[i]-w)*(got[i]-w), size+w*w
	}
	return diff / size
}

func TestInspectWeightsAgreesWithGGUF(t *testing.T) {
	t.Parallel()
	var want []json.RawMessage
	consult(t, "weights", small(t), nil, &want)
	var tensors [][]any
	var scalars map[string]any
	if err := json.Unmarshal(want[0], &tensors); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(want[1], &scalars); err != nil {
		t.Fatal(err)
	}
	out, errOut, code := output(t, t.TempDir(), "inspect", "weights", small(t), "--json")
	var got struct {
		Format     string
		Parameters int64
		Metadata   map[string]any
		Tensors    []struct {
			Name, Type string
			Shape      []any
			Bytes      float64
		}
	}
	if err := json.Unmarshal([]byte(out), &got); code != 0 || err != nil {
		t.Fatalf("%d %v %s", code, err, errOut)
	}
	if got.Format != "gguf" || got.Parameters != 134515008 || len(got.Tensors) != len(tensors) {
		t.Errorf("%s, %d parameters, %d tensors of %d", got.Format, got.Parameters, len(got.Tensors), len(tensors))
	}
	for i, w := range tensors {
		if g := got.Tensors[i]; !reflect.DeepEqual([]any{g.Name, g.Type, g.Shape, g.Bytes}, w) {
			t.Errorf("tensor %d is %v, want %v", i, g, w)
		}
	}
	for key, w := range scalars {
		g := got.Metadata[key]
		if x, ok := w.(float64); ok { // float32 there, its shortest decimal here
			if y, ok := g.(float64); ok && float32(x) == float32(y) {
				continue
			}
		}
		if !reflect.DeepEqual(g, w) {
			t.Errorf("%s is %v, want %v", key, g, w)
		}
	}
	list, _ := got.Metadata["tokenizer.ggml.tokens"].(map[string]any)
	if list["length"] != 49152.0 || len(list["first"].([]any)) != 8 || list["first"].([]any)[1] != "<|im_start|>" {
		t.Errorf("the long array of tokens is shown as %v", list)
	}
	if piped, _, _ := output(t, t.TempDir(), "inspect", "weights", small(t)); piped != out {
		t.Errorf("without --json a program reads %.200s", piped)
	}
	table, _, code := output(t, t.TempDir(), "inspect", "weights", small(t), "--table")
	if code != 0 || !strings.Contains(table, "49152 x 576") || !strings.Contains(table, "arr[str] of 49152") {
		t.Errorf("the table is %.2000s", table)
	}
}

func TestInspectSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	model, encoder := small(t), testdeps.Dep(t, "models/all-minilm-l6-v2")
	message := `{"messages":[{"role":"user","content":"x"}]`
	for _, c := range []struct {
		input string
		says  string
		args  []string
	}{
		{"a\n\xffb", "0xff at line 2, column 1", []string{"tokens", model}},
		{"", "empty", []string{"prompt", model}},
		{"{\"messages\": [\n  {\"role\": user}]}", "line 2, column 12", []string{"prompt", model}},
		{message, "line 1, column", []string{"prompt", model}},
		{"[]", "must be a JSON object", []string{"prompt", model}},
		{"null", "must be a JSON object", []string{"prompt", model}},
		{`{"messages":[]}`, `"messages" must be a list of objects`, []string{"prompt", model}},
		{`{}`, `"messages" must be`, []string{"prompt", model}},
		{`{"messages":["x"]}`, `"messages" must be`, []string{"prompt", model}},
		{message + `,"tools":{}}`, `"tools" must be`, []string{"prompt", model}},
		{message + `,"add_generation_prompt":1}`, `"add_generation_prompt" must be true or false`, []string{"prompt", model}},
		{message + `,"temperature":1}`, `"temperature" is not known`, []string{"prompt", model}},
		{message + `,"vars":{"messages":[]}}`, `beside "vars"`, []string{"prompt", model}},
		{message + `,"vars":[]}`, `"vars" must be an object`, []string{"prompt", model}},
		{`{"messages":[{"role":"user","content":"\ud800"}]}`, `\ud800 is half a character`, []string{"prompt", model}},
		{`{"messages":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`, "depth", []string{"prompt", model}},
		{message + "}", "Name a MODEL", []string{"prompt"}},
		{message + "}", "no chat template", []string{"prompt", encoder}},
		{message + "}", "no such file", []string{"prompt", "--template", "/no/such/file"}},
		{"", "0 to 49151", []string{"logits", model, "--tokens", "1,49152"}},
		{"", "it must be a number", []string{"logits", model, "--tokens", "1,x"}},
		{"", "it must be a number", []string{"logits", model, "--tokens", "99999999999"}},
		{"", "names no token", []string{"logits", model, "--tokens", ","}},
		{"", "8192", []string{"logits", model, "--tokens", strings.Repeat("1,", 8193)}},
		{"", "gives embeddings", []string{"logits", encoder, "--tokens", "1"}},
		{"", "there is no model", []string{"weights", "no-such-model"}},
		{"", "galerne pull qwen2.5-coder-0.5b", []string{"weights", "qwen2.5-coder-0.5b"}},
		{"", "neither GGUF nor safetensors", []string{"weights", "inspect_test.go"}},
	} {
		out, errOut, code := withInput(t, c.input, append([]string{"inspect"}, c.args...)...)
		if code != 1 || out != "" || !strings.Contains(errOut, c.says) || strings.Contains(errOut, "goroutine") {
			t.Errorf("inspect %.80q of %.60q: %d %.60q %.300q, want 1 and %q", c.args, c.input, code, out, errOut, c.says)
		}
	}
}

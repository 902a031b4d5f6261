package prompt

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/grammar"
	"github.com/galerne-ai/galerne/internal/testdeps"
	"github.com/galerne-ai/galerne/internal/tokenizer"
)

// toolSchemas are parameters as programs write them, and some that are hard to write between tags.
var toolSchemas = []string{
	`{"type":"object","properties":{"city":{"type":"string"},"unit":{"type":"string","enum":["celsius","fahrenheit"]},"days":{"type":"integer","minimum":1,"maximum":14}},"required":["city"],"additionalProperties":false}`,
	`{"type":"object","properties":{"path":{"type":"string"},"content":{"type":"string"},"overwrite":{"type":"boolean"}},"required":["path","content"]}`,
	`{"type":"object","properties":{}}`,
	`{"type":"object","properties":{"zip":{"type":"string","pattern":"^[0-9]{5}$"},"when":{"type":"string","format":"date"},"note":{"anyOf":[{"type":"string"},{"type":"null"}],"default":null}},"required":["zip","when","note"]}`,
	`{"type":"object","properties":{"tags":{"type":"array","items":{"type":"string"},"maxItems":3},"filter":{"type":"object","properties":{"field":{"type":"string"},"op":{"enum":["<",">","</parameter>","</arg_value>"]},"value":{}},"required":["field","op"]}},"required":["tags","filter"]}`,
	`{"type":"object","properties":{"mode":{"enum":["1","true","null","{}"]},"level":{"const":2},"name":{"type":"string","minLength":3,"maxLength":9},"blank":{"type":"string","enum":["","\n"," x ","\n\n"]}},"required":["mode","level","name","blank"]}`,
	`{"$defs":{"who":{"type":"string","minLength":1}},"type":"object","properties":{"to":{"$ref":"#/$defs/who"},"cc":{"type":"array","items":{"$ref":"#/$defs/who"}}},"required":["to"]}`,
	`{"anyOf":[{"type":"object","properties":{"id":{"type":"string"}},"required":["id"],"additionalProperties":false},{"type":"object","properties":{"id":{"type":"integer"},"all":{"type":"boolean"}},"required":["all"],"additionalProperties":false}]}`,
	`{"type":"object","additionalProperties":{"type":"number"},"minProperties":1}`,
	`{"type":"object","properties":{"n":{"type":"number","multipleOf":0.5},"é name":{"type":"string","maxLength":4}},"required":["é name","n"],"additionalProperties":false}`,
}

// forced is the grammar of one call in a form.
func forced(t testing.TB, form CallForm, schema string) *grammar.Grammar {
	t.Helper()
	head, err := grammar.Literal(form.Open + form.Begin + "get_weather" + form.Middle)
	if err != nil {
		t.Fatal(err)
	}
	arguments, err := grammar.CompileSchema([]byte(schema), grammar.Options{Pairs: form.Pairs})
	if err != nil {
		t.Fatalf("%v\n%s", err, schema)
	}
	end, err := grammar.Literal(form.End + form.Close)
	if err != nil {
		t.Fatal(err)
	}
	g, err := grammar.Seq(head, arguments, end)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// drawn is a text that tokens drawn from what a grammar allows make.
func drawn(t testing.TB, g *grammar.Grammar, tok *tokenizer.Tokenizer, v *grammar.Vocabulary, r *rand.Rand) string {
	t.Helper()
	m := g.Mask(v)
	most := 80 + r.IntN(60)
	if !m.Within(most) {
		t.Fatalf("no answer has only %d tokens", most)
	}
	var text []byte
	for range most {
		id := testdeps.OneOf(m.Allowed(), r)
		if err := m.Advance(id); err != nil {
			t.Fatal(err)
		}
		if slices.Contains(tok.EndIDs(), id) {
			break
		}
		text = append(text, tok.Piece(id)...)
	}
	return string(text)
}

// TestForcedCallsAreReadBackAndFit: whatever a model would write in the form of its template, the call is
// read back with arguments that Python's jsonschema finds valid.
func TestForcedCallsAreReadBackAndFit(t *testing.T) {
	tok := vocabulary(t, qwen)
	pieces := make([][]byte, tok.Size())
	for id := range pieces {
		if !tok.Special(int32(id)) {
			pieces[id] = tok.Piece(int32(id))
		}
	}
	v := grammar.NewVocabulary(pieces, tok.EndIDs())
	r := rand.New(rand.NewPCG(21, 22))
	files, _ := filepath.Glob(filepath.Join(testdeps.Dep(t, "llama.cpp/models/templates"), "*.jinja"))
	seen := map[syntax]int{}
	var claims testdeps.Claims
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		f, err := newFormat(tok, string(source))
		if err != nil {
			t.Fatal(err)
		}
		form, ok := f.CallForm()
		if !ok || !f.CallsTools() || seen[f.family.syntax] > 2 && !f.family.syntax.tagged() {
			continue
		}
		seen[f.family.syntax]++
		for _, schema := range toolSchemas {
			g := forced(t, form, schema)
			for range 4 {
				text := drawn(t, g, tok, v, r)
				name, arguments := readCall(f.family.syntax, schema, text)
				if name != "get_weather" || !json.Valid([]byte(arguments)) {
					t.Errorf("%s: %q is read as %s %s", filepath.Base(file), text, name, arguments)
					continue
				}
				claims.Add(t, testdeps.Claim{Schema: json.RawMessage(schema), Text: arguments, Match: true})
			}
		}
	}
	t.Log(seen, claims.Count)
	for s, n := range map[syntax]int{hermes: 3, coder: 4, glm: 6, llama: 3, mistral: 1, mistralArgs: 3, functionary: 1, seed: 1} {
		if seen[s] < n {
			t.Errorf("syntax %d: %d templates", s, seen[s])
		}
	}
	claims.Check(t)
}

// readCall reads a text letter by letter: one call, and nothing else.
func readCall(s syntax, schema, text string) (name, arguments string) {
	r := &Reader{f: &Format{family: &family{syntax: s}}, newID: func() string { return "id" }, tools: map[string]*chat.Tool{"get_weather": {Schema: json.RawMessage(schema)}}}
	var out []Piece
	for _, c := range append(strings.Split(text, ""), "") {
		r.over = c == ""
		r.feed(c)
		out = append(out, r.out...)
		r.out = r.out[:0]
	}
	for _, p := range out {
		switch {
		case p.Kind != chat.CallBlock:
			return fmt.Sprintf("text %q", p.Text), ""
		case p.Call != nil:
			name += p.Call.Name
		}
		arguments += p.Text
	}
	return name, arguments
}

// TestCallsAreForcedAsTheTemplateWritesThem: the form around names and values is the template's own.
func TestCallsAreForcedAsTheTemplateWritesThem(t *testing.T) {
	const schema = `{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"},"zip":{"type":"string"}}}`
	for _, name := range []string{"Qwen3-Coder", "Qwen3.5-4B", "NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", "StepFun3.5-Flash", "ByteDance-Seed-OSS", "GLM-4.6", "GLM-4.7-Flash", "inclusionai-ling-3.0-flash", "poolside-Laguna-S-2.1"} {
		f := format(t, qwen, name)
		form, ok := f.CallForm()
		if !ok {
			t.Errorf("%s: no form", name)
			continue
		}
		two := calls("call00000", "get_weather", `{"city": "Brest", "days": 2, "zip": "29200"}`)
		two.Parts = append(two.Parts, chat.Part{Kind: chat.CallPart, ID: "call00001", Name: "get_weather", Arguments: `{"days": 3}`})
		p := render(t, f, &chat.Request{Tools: []chat.Tool{weather}, Messages: []chat.Message{says(chat.User, "Q"), two}})
		text := p.Text[strings.LastIndex(p.Text, "Q")+1:]
		text = text[strings.Index(text, form.Trigger):]
		text = text[:strings.LastIndex(text, f.family.syntax.endMark())+len(f.family.syntax.endMark())]
		one := forced(t, form, schema)
		between, err := grammar.Literal(form.Between)
		if err != nil {
			t.Fatal(err)
		}
		both, err := grammar.Repeat(one, between, 2, 2)
		if err != nil {
			t.Fatal(err)
		}
		if !both.Match([]byte(text)) {
			t.Errorf("%s: the form %+v\ndoes not allow beyond byte %d\n%q", name, form, both.Viable([]byte(text)), text)
		}
	}
}

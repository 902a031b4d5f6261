package grammar

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/galerne-ai/galerne/internal/fault"
	"github.com/galerne-ai/galerne/internal/tokenizer"

	"github.com/galerne-ai/galerne/internal/testdeps"
)

func mustSchema(t testing.TB, text string, o Options) *Grammar {
	t.Helper()
	g, err := CompileSchema([]byte(text), o)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return g
}

func TestWhatCannotBeEnforcedIsRefusedByKeywordAndPlace(t *testing.T) {
	for _, c := range []struct {
		schema, at, says string
		cause            *fault.Cause
	}{
		{`{"properties":{"a":{"pattern":"(?<=x)y"}}}`, "/properties/a/pattern", "lookbehind", ErrSchema},
		{`{"properties":{"a/b":{"pattern":"("}}}`, "/properties/a~1b/pattern", "missing )", ErrSchema},
		{`{"items":{"$ref":"https://example.com/other.json"}}`, "/items/$ref", "not fetched", ErrUnenforceable},
		{`{"items":{"$ref":"#/$defs/gone"}}`, "/items/$ref", "leads nowhere", ErrSchema},
		{`{"$ref":"#gone"}`, "/$ref", "no anchor", ErrSchema},
		{`{"type":"array","uniqueItems":true}`, "/uniqueItems", "uniqueItems", ErrUnenforceable},
		{`{"type":"number","multipleOf":0.000123457}`, "/multipleOf", "multipleOf", ErrUnenforceable},
		{`{"type":"object","minProperties":3}`, "/minProperties", "minProperties", ErrUnenforceable},
		{`{"oneOf":[{"patternProperties":{"a":true}},{"minProperties":1}]}`, "/oneOf", "several properties", ErrUnenforceable},
		{`{"not":{"propertyNames":{"maxLength":2}}}`, "/not", "not", ErrUnenforceable},
		{`{"oneOf":[{"propertyNames":{"maxLength":2}},{"required":["a"]}]}`, "/oneOf", "alternatives 0 and 1 may both hold", ErrUnenforceable},
		{`{"type":"array","contains":true,"allOf":[{"contains":{"const":1}}]}`, "/allOf/0/contains", "contains", ErrUnenforceable},
		{`{"$dynamicRef":"#a","$defs":{"x":{"$dynamicAnchor":"a"},"y":{"$id":"z","$dynamicAnchor":"a"}}}`, "/$dynamicRef", "several places", ErrUnenforceable},
		{`{"type":"text"}`, "/type", "a type is", ErrSchema},
		{`{"type":["string",1]}`, "/type", "a type is", ErrSchema},
		{`{"enum":1}`, "/enum", "list", ErrSchema},
		{`{"minimum":"1"}`, "/minimum", "number", ErrSchema},
		{`{"multipleOf":0}`, "/multipleOf", "above 0", ErrSchema},
		{`{"maxLength":-1}`, "/maxLength", "0 or more", ErrSchema},
		{`{"maxLength":1.5}`, "/maxLength", "integer", ErrSchema},
		{`{"minLength":9999999999}`, "/minLength", "at most 1048576", ErrLimit},
		{`{"minimum":1e999}`, "/minimum", "exponent", ErrSchema},
		{`{"properties":[]}`, "/properties", "object", ErrSchema},
		{`{"required":true}`, "/required", "list of names", ErrSchema},
		{`{"anyOf":[]}`, "/anyOf", "not empty", ErrSchema},
		{`{"allOf":[1]}`, "/allOf/0", "a schema is", ErrSchema},
		{`{"a":1,"a":2}`, "", "twice", ErrSchema},
		{`{} {}`, "", "follows", ErrSchema},
		{`{"a":`, "/a", "EOF", ErrSchema},
		{`[1]`, "", "a schema is", ErrSchema},
		{"{\"a\":\"\xff\"}", "", "UTF-8", ErrSchema},
		{strings.Repeat(`{"items":`, 200) + "{}" + strings.Repeat("}", 200), "", "deeper", ErrLimit},
		{strings.Repeat(" ", maxSchemaBytes+1), "", "bytes", ErrLimit},
		{`{"type":"string","pattern":"^(a|b)*a(a|b){20}$","maxLength":50}`, "/pattern", "states", ErrLimit},
		{`{"type":"string","minLength":3,"maxLength":2}`, "", "no finite text", ErrEmpty},
		{`{"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"]}`, "", "no finite text", ErrEmpty},
		{`false`, "", "no finite text", ErrEmpty},
		{`{"anyOf":[` + strings.Repeat(`{"type":"string"},`, 60) + `true],"allOf":[` + strings.Repeat(`{"anyOf":[{"minLength":1},{"maxLength":2},{"minLength":3}]},`, 12) + `true]}`, "", "", ErrLimit},
	} {
		_, err := CompileSchema([]byte(c.schema), Options{})
		var e *fault.Error
		switch {
		case !errors.Is(err, c.cause) || !strings.Contains(err.Error(), c.says):
			t.Errorf("%.200s: %v", c.schema, err)
		case c.cause == ErrSchema || c.cause == ErrUnenforceable:
			if !errors.As(err, &e) || c.at != "" && e.Param != c.at {
				t.Errorf("%.200s: at %q: %v", c.schema, e.Param, err)
			}
		}
		if err != nil && fault.KindOf(err) != fault.Invalid {
			t.Errorf("%.200s: kind %v", c.schema, fault.KindOf(err))
		}
	}
}

func TestPropertiesComeInTheSchemasOrder(t *testing.T) {
	const schema = `{"type":"object","properties":{"b":{"type":"integer"},"a":{"type":"null"},"c":{"const":1}},"required":["a","z"]}`
	for text, want := range map[string]int{ // 1: always, 2: open only
		`{"b":1,"a":null,"c":1,"z":[]}`: 1, `{"a":null,"z":1}`: 1, `{"a": null, "z": 1}`: 1, `{"b":1,"a":null,"z":{"k":[1]}}`: 1,
		`{"a":null,"b":1,"z":1}`: 0, `{"a":null}`: 0, `{"b":1,"z":1}`: 0, `{"a":null,"z":1,}`: 0, `{"a":null,"z":1,"a":1}`: 0, `{ "a":null,"z":1}`: 0, `{"a":  null,"z":1}`: 0,
		`{"a":null,"z":1,"more":1}`: 2, `{"a":null,"z":1,"more":1,"é":2}`: 2, `{"a":null,"z":1,"\u0062":"x"}`: 0,
	} {
		if mustSchema(t, schema, Options{}).Match([]byte(text)) != (want == 1) || mustSchema(t, schema, Options{Open: true}).Match([]byte(text)) != (want > 0) {
			t.Errorf("%s: not as wanted (%d)", text, want)
		}
	}
}

func TestAnEmptyListOfPropertiesIsAnEmptyObject(t *testing.T) {
	const schema = `{"type":"object","properties":{}}`
	if g := mustSchema(t, schema, Options{}); !g.Match([]byte(`{}`)) || g.Match([]byte(`{"a":1}`)) {
		t.Error("a tool without parameters is given some")
	}
	if !mustSchema(t, schema, Options{Open: true}).Match([]byte(`{"a":1}`)) || !mustSchema(t, `{"type":"object"}`, Options{}).Match([]byte(`{"a":1}`)) {
		t.Error("an open object is closed")
	}
}

func TestWhitespaceIsBounded(t *testing.T) {
	const schema = `{"type":"array","items":{"type":"integer"},"maxItems":2}`
	for _, c := range []struct {
		o       Options
		yes, no []string
	}{
		{Options{}, []string{`[]`, `[1,2]`, `[1, 2]`}, []string{`[1,  2]`, "[1,\n2]", ` [1]`, `[1] `, `[ 1]`}},
		{Options{Whitespace: Compact}, []string{`[1,2]`}, []string{`[1, 2]`}},
		{Options{Whitespace: Indented, Indent: 4}, []string{"[\n  1,\n  2\n]", `[1, 2]`, "[\n    1\n]", "[1,\n2]"}, []string{"[\n     1\n]", "[\n\n1]"}},
	} {
		g := mustSchema(t, schema, c.o)
		for _, text := range c.yes {
			if !g.Match([]byte(text)) {
				t.Errorf("%+v refuses %q", c.o, text)
			}
		}
		for _, text := range c.no {
			if g.Match([]byte(text)) {
				t.Errorf("%+v accepts %q", c.o, text)
			}
		}
	}
}

func TestLongStringsAreCountedWithoutStates(t *testing.T) {
	g := mustSchema(t, `{"type":"string","minLength":9000,"maxLength":10000}`, Options{})
	if n := len(g.base.nodes); n > 200 {
		t.Errorf("%d terms", n)
	}
	for n, want := range map[int]bool{8999: false, 9000: true, 10000: true, 10001: false} {
		if got := g.Match([]byte(`"` + strings.Repeat("é", n) + `"`)); got != want {
			t.Errorf("%d characters: %v", n, got)
		}
	}
}

func TestAPatternWithAHighLimitIsCounted(t *testing.T) {
	g := mustSchema(t, `{"type":"string","pattern":"ab","minLength":3,"maxLength":50000}`, Options{})
	for n, want := range map[int]bool{0: false, 1: true, 49998: true, 49999: false} {
		if got := g.Match([]byte(`"ab` + strings.Repeat("x", n) + `"`)); got != want {
			t.Errorf("%d more characters: %v", n, got)
		}
		if got := g.Match([]byte(`"` + strings.Repeat("x", n) + `ab"`)); got != want {
			t.Errorf("%d characters before: %v", n, got)
		}
	}
	if n := g.Viable([]byte(`"` + strings.Repeat("x", 49999))); n != 49999 {
		t.Errorf("viable up to %d: there must be room for ab", n)
	}
}

func TestWideAndDeepSchemasCompile(t *testing.T) {
	var props, values []string
	for i := range 2000 {
		props = append(props, fmt.Sprintf(`"p%d":{"type":"integer","minimum":%d}`, i, i))
		values = append(values, fmt.Sprintf(`"value %d"`, i))
	}
	g := mustSchema(t, `{"type":"object","properties":`+testdeps.Object(props)+`}`, Options{})
	if !g.Match([]byte(`{"p7":7,"p1999":2000}`)) || g.Match([]byte(`{"p7":6}`)) {
		t.Error("wrong match of 2000 properties")
	}
	if g := mustSchema(t, `{"enum":[`+strings.Join(values, ",")+`]}`, Options{}); !g.Match([]byte(`"value 1999"`)) {
		t.Error("wrong match of 2000 values")
	}
	deep := mustSchema(t, strings.Repeat(`{"type":"array","items":`, 60)+`{"const":1}`+strings.Repeat("}", 60), Options{})
	if !deep.Match([]byte(strings.Repeat("[", 60) + "1" + strings.Repeat("]", 60))) {
		t.Error("wrong match of 60 arrays")
	}
	if any, _ := JSON(Options{}); !any.Match([]byte(strings.Repeat("[", 5000) + strings.Repeat("]", 5000))) {
		t.Error("wrong match of 5000 arrays")
	}
}

func TestToolCallsAreGrammarsAround(t *testing.T) {
	args := mustSchema(t, `{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}`, Options{})
	open, _ := Literal(`{"name": "weather", "arguments": `)
	shut, _ := Literal("}\n</tool_call>")
	call, err := Seq(open, args, shut)
	if err != nil {
		t.Fatal(err)
	}
	g, err := FreeText([]Trigger{{Text: "<tool_call>\n", Then: []*Grammar{call}, Again: true}}, false)
	if err != nil {
		t.Fatal(err)
	}
	const one = "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Brest\"}}\n</tool_call>"
	for text, want := range map[string]bool{"": true, "Let me look.\n" + one: true, one + "\n" + one: true, one + "<tool_call>\n": false, "<tool_call>\n{}": false, "<tool_call>": true} {
		if g.Match([]byte(text)) != want {
			t.Errorf("%q: %v", text, !want)
		}
	}
	v := realVocabulary(t, "qwen2.5-coder-0.5b")
	m := readOn(g.Mask(v), "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"B")
	m.g.mu.Lock()
	_, _, ok := m.gen.stringRest(m.gen.nodes[m.state].a)
	m.g.mu.Unlock()
	if !ok {
		t.Error("a string inside a tool call is not known as one: its masks would be slow")
	}
}

func BenchmarkSchema(b *testing.B) {
	const schema = `{"type":"object","properties":{"name":{"type":"string","maxLength":80},"email":{"type":"string","format":"email"},
"age":{"type":"integer","minimum":0,"maximum":150},"tags":{"type":"array","items":{"type":"string"},"maxItems":10},"kind":{"enum":["a","b","c"]},
"address":{"$ref":"#/$defs/address"}},"required":["name","age","address"],"additionalProperties":false,
"$defs":{"address":{"type":"object","properties":{"street":{"type":"string"},"zip":{"type":"string","pattern":"^[0-9]{5}$"},"next":{"$ref":"#/$defs/address"}},"required":["street"],"additionalProperties":false}}}`
	b.Run("compile", func(b *testing.B) {
		for b.Loop() {
			mustSchema(b, schema, Options{})
		}
	})
	for _, model := range []string{"smollm2-135m", "qwen2.5-coder-0.5b"} {
		v := realVocabulary(b, model)
		for _, c := range []struct{ name, read string }{
			{"start", ""}, {"string", `{"name":"ab`}, {"email", `{"name":"ab", "email":"x`}, {"number", `{"name":"x", "age":1`}, {"nested", `{"name":"ab", "age":1, "address":{"street":"x", "next":{"street":"y`},
		} {
			b.Run(fmt.Sprintf("%s/%s/cold", model, c.name), func(b *testing.B) {
				g := mustSchema(b, schema, Options{})
				for b.Loop() {
					g.gen = nil
					readOn(g.Mask(v), c.read).Allowed()
				}
			})
			b.Run(fmt.Sprintf("%s/%s/warm", model, c.name), func(b *testing.B) {
				m := readOn(mustSchema(b, schema, Options{}).Mask(v), c.read)
				for b.Loop() {
					m.Allowed()
				}
			})
		}
	}
}

// BenchmarkAnswer is the cost of a token of an answer, mask and advance together: the first answer to a
// schema, and those after it.
func BenchmarkAnswer(b *testing.B) {
	const schema = `{"type":"object","properties":{"title":{"type":"string","maxLength":120},"price":{"type":"number","minimum":0},
"tags":{"type":"array","items":{"type":"string","minLength":1,"maxLength":30},"maxItems":8},"sold":{"type":"boolean"},
"seller":{"type":"object","properties":{"name":{"type":"string"},"id":{"type":"string","pattern":"^[A-Z]{2}-[0-9]{6}$"}},"required":["name"],"additionalProperties":false}},
"required":["title","price","tags","sold","seller"],"additionalProperties":false}`
	const answer = `{"title": "A bicycle that has seen the whole coast of Brittany, with new tyres", "price": 149.5, ` +
		`"tags": ["bicycle", "second hand", "blue", "steel frame"], "sold": false, "seller": {"name": "Maëlle Le Goff", "id": "FR-204518"}}`
	for _, model := range []string{"smollm2-135m", "qwen2.5-coder-0.5b"} {
		tok, v := realTokenizer(b, model)
		ids := tok.Encode(nil, answer, tokenizer.EncodeOptions{})
		read := func(g *Grammar) {
			m := g.Mask(v)
			for _, id := range ids {
				m.Allowed()
				if err := m.Advance(id); err != nil {
					b.Fatal(err)
				}
			}
		}
		b.Run(model+"/first", func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				g := mustSchema(b, schema, Options{})
				b.StartTimer()
				read(g)
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*len(ids)), "µs/token")
		})
		b.Run(model+"/again", func(b *testing.B) {
			g := mustSchema(b, schema, Options{})
			for b.Loop() {
				read(g)
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*len(ids)), "µs/token")
		})
	}
}

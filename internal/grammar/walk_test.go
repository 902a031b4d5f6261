package grammar

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/galerne-ai/galerne/internal/testdeps"
)

// maker invents schemas.
type maker struct {
	*rand.Rand
}

func (m *maker) of(list ...string) string { return list[m.IntN(len(list))] }

func (m *maker) maybe(parts *[]string, format string, args ...any) {
	if m.IntN(2) == 0 {
		*parts = append(*parts, fmt.Sprintf(format, args...))
	}
}

func object(parts []string) string { return "{" + strings.Join(parts, ",") + "}" }

func (m *maker) schema(depth int) string {
	if depth <= 0 {
		return m.scalar()
	}
	switch m.IntN(12) {
	case 0, 1, 2:
		return m.object(depth)
	case 3, 4:
		return m.array(depth)
	case 5:
		return fmt.Sprintf(`{"anyOf":[%s,%s]}`, m.schema(depth-1), m.schema(depth-1))
	case 6:
		return m.combined(depth)
	case 7:
		return `{"$ref":"#/$defs/node"}`
	default:
		return m.scalar()
	}
}

func (m *maker) scalar() string {
	switch m.IntN(10) {
	case 0:
		return m.of(`{"type":"boolean"}`, `{"type":"null"}`, `true`, `{"const":{"a":[1,"é\n\"",null]}}`, `{"const":1.50}`, `{"type":["string","null"],"maxLength":3}`, `{"type":["integer","boolean"]}`)
	case 1:
		return m.of(`{"enum":["red","green","blue"]}`, `{"enum":[1,"1",null,[1],{"x":1}]}`, `{"type":"string","enum":["a","ab","abc"]}`, `{"type":"integer","enum":[1,2.0,2.5,"3"]}`)
	case 2, 3:
		return m.number()
	case 4:
		return fmt.Sprintf(`{"type":"string","format":%q}`, m.of("date", "time", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri", "uri-reference", "regex", "idn-email", "json-pointer", "relative-json-pointer"))
	case 5, 6:
		parts := []string{`"type":"string"`, fmt.Sprintf(`"pattern":%q`, m.of(`^[a-z]+$`, `[0-9]{3}`, `^(foo|bar)-[0-9]{1,4}$`, `x`, `^[^a]*$`, `^.{2,5}$`, `^$|^[A-Z]`, `é+`, `^(?!ab)[a-c]{2,6}$`, `^[\w.+-]+@[a-z]+\.com$`))}
		m.maybe(&parts, `"minLength":%d`, m.IntN(4))
		m.maybe(&parts, `"maxLength":%d`, 4+m.IntN(30))
		return object(parts)
	}
	parts := []string{`"type":"string"`}
	m.maybe(&parts, `"minLength":%d`, m.IntN(6))
	m.maybe(&parts, `"maxLength":%d`, []int{6, 10, 40, 100000}[m.IntN(4)])
	return object(parts)
}

func (m *maker) number() string {
	kind := m.of("integer", "number")
	parts := []string{fmt.Sprintf(`"type":%q`, kind)}
	value := func() float64 {
		v := float64(m.IntN(4000)-2000) / []float64{1, 1, 2, 8, 1000}[m.IntN(5)]
		return v * []float64{1, 1, 1e6, 0}[m.IntN(4)]
	}
	lo := value()
	hi := lo + float64(m.IntN(1000))/[]float64{1, 4, 16}[m.IntN(3)] + 1
	m.maybe(&parts, `%q:%s`, m.of("minimum", "exclusiveMinimum"), strconv.FormatFloat(lo, 'f', -1, 64))
	m.maybe(&parts, `%q:%s`, m.of("maximum", "exclusiveMaximum"), strconv.FormatFloat(hi, 'f', -1, 64))
	if m.IntN(4) == 0 {
		parts = append(parts, `"multipleOf":`+m.of("1", "2", "3", "7", "0.5", "0.25", "10"))
	}
	if m.IntN(6) == 0 {
		parts = append(parts, `"not":{"enum":[0,1,-1,2.5]}`)
	}
	return object(parts)
}

func (m *maker) array(depth int) string {
	parts := []string{`"type":"array"`}
	least := m.IntN(3)
	if m.IntN(3) == 0 {
		parts = append(parts, fmt.Sprintf(`"prefixItems":[%s,%s]`, m.schema(depth-1), m.schema(depth-1)))
	}
	parts = append(parts, `"items":`+m.schema(depth-1))
	m.maybe(&parts, `"minItems":%d`, least)
	m.maybe(&parts, `"maxItems":%d`, least+m.IntN(4))
	switch m.IntN(8) {
	case 0:
		return fmt.Sprintf(`{"type":"array","items":{"type":["integer","boolean"]},"contains":{"type":"integer","minimum":%d},"minContains":%d,"maxItems":6}`, m.IntN(9), m.IntN(3))
	case 1:
		return fmt.Sprintf(`{"type":"array","items":{"enum":[1,2,"x",true]},"uniqueItems":true,"minItems":%d}`, m.IntN(4))
	case 2:
		return `{"type":"array","contains":{"const":1},"maxContains":2,"maxItems":5,"items":{"enum":[1,2]}}`
	}
	return object(parts)
}

func (m *maker) object(depth int) string {
	var props, names []string
	for range m.IntN(5) {
		name := m.of("id", "name", "é", `a\"b`, "x-1", "value") + strconv.Itoa(m.IntN(3))
		if !strings.Contains(strings.Join(names, ","), `"`+name+`"`) {
			names = append(names, `"`+name+`"`)
			props = append(props, `"`+name+`":`+m.schema(depth-1))
		}
	}
	parts := []string{`"type":"object"`, `"properties":` + object(props)}
	if len(names) > 0 {
		parts = append(parts, `"required":[`+strings.Join(names[:m.IntN(len(names)+1)], ",")+`]`)
		m.maybe(&parts, `"maxProperties":%d`, len(names)+m.IntN(2))
	}
	switch m.IntN(8) {
	case 0:
		parts = append(parts, `"additionalProperties":`+m.schema(depth-1))
	case 1, 2:
		parts = append(parts, `"additionalProperties":false`)
	case 3:
		parts = append(parts, `"patternProperties":{"^x-":`+m.schema(depth-1)+`,"[0-9]$":`+m.schema(0)+`}`)
	case 4:
		parts = append(parts, `"propertyNames":{"maxLength":9}`, `"additionalProperties":true`)
	case 5:
		parts = append(parts, `"minProperties":1`)
	case 6:
		if len(names) > 1 {
			parts = append(parts, fmt.Sprintf(`"dependentRequired":{%s:[%s]}`, names[0], names[1]))
		}
	}
	return object(parts)
}

func (m *maker) combined(depth int) string {
	return m.of(
		fmt.Sprintf(`{"allOf":[%s,{"properties":{"extra":%s}}]}`, m.object(depth), m.schema(depth-1)),
		fmt.Sprintf(`{"type":"object","oneOf":[{"properties":{"kind":{"const":"a"},"v":%s},"required":["kind","v"]},{"properties":{"kind":{"const":"b"}},"required":["kind"]}]}`, m.schema(depth-1)),
		fmt.Sprintf(`{"oneOf":[{"type":"integer","minimum":%d},{"type":"integer","maximum":%d},{"type":"string"}]}`, m.IntN(9), m.IntN(9)),
		fmt.Sprintf(`{"type":"object","properties":{"mode":{"enum":["x","y"]},"n":{"type":"integer"},"s":%s},"required":["mode"],"if":{"properties":{"mode":{"const":"x"}}},"then":{"required":["n"]},"else":{"required":["s"]}}`, m.schema(depth-1)),
		`{"oneOf":[{"type":"object","properties":{"a":{"type":"integer"}},"additionalProperties":false},{"type":"object","properties":{"b":{"type":"integer"},"a":true},"additionalProperties":false}]}`,
		`{"type":"object","properties":{"a":{"type":"null"}},"not":{"patternProperties":{"^x-":{"type":"integer"}}},"additionalProperties":true}`,
		`{"type":"object","properties":{"zz":true},"not":{"properties":{"a":true},"additionalProperties":{"type":["integer","null"]}},"additionalProperties":{"type":["null","boolean"]}}`,
		`{"type":["integer","string"],"not":{"enum":["","a",3]}}`,
		`{"allOf":[{"type":"number","minimum":3},{"maximum":9},{"multipleOf":0.5}]}`,
		fmt.Sprintf(`{"allOf":[{"properties":{"a":%s},"required":["a"]},{"properties":{"b":{"type":"null"}}}],"type":"object","unevaluatedProperties":false}`, m.schema(depth-1)),
	)
}

// document is a schema with a recursive definition.
func (m *maker) document() string {
	return fmt.Sprintf(`{"$defs":{"node":{"type":"object","properties":{"leaf":%s,"kids":{"type":"array","items":{"$ref":"#/$defs/node"},"maxItems":2}},"required":["leaf"],"additionalProperties":false}},"allOf":[%s]}`,
		m.scalar(), m.schema(3))
}

// walk draws allowed tokens until the answer ends; ok is false if it does not.
func walk(t testing.TB, g *Grammar, v *Vocabulary, r *rand.Rand, checked bool) (text []byte, ok bool) {
	m := g.Mask(v)
	for i := range 300 {
		mask := m.Allowed()
		if Count(mask) == 0 {
			t.Fatalf("nothing is allowed behind %q: %v", text, m.Err())
		}
		if checked && i%7 == 0 {
			checkMask(t, m, r)
		}
		id := pick(mask, r)
		if i > 20 || r.IntN(3) == 0 { // towards an end: what closes things, or a short token
			for range 60 {
				other := pick(mask, r)
				if a, b := m.v.pieces[other], m.v.pieces[id]; bytes.ContainsAny(a, "\"]}") && !bytes.ContainsAny(b, "\"]}") || len(a) < len(b) {
					id = other
				}
			}
			for _, end := range v.ends {
				if allows(mask, int(end)) {
					id = end
				}
			}
		}
		if err := m.Advance(id); err != nil {
			t.Fatal(err)
		}
		if v.isEnd(id) {
			return text, true
		}
		text = append(text, v.pieces[id]...)
	}
	return text, false
}

// mutate changes something somewhere in a value.
func (m *maker) mutate(v *value) {
	if len(v.list) > 0 && m.IntN(4) > 0 {
		m.mutate(&v.list[m.IntN(len(v.list))])
		return
	}
	number := func(text string) {
		d, err := parseDecimal(text)
		if err != nil {
			panic(err)
		}
		*v = value{kind: '0', num: d}
	}
	switch kind := m.IntN(5); {
	case kind == 0:
		*v = value{kind: m.of("n", "t", "f")[0]}
	case v.kind == '0' && kind < 3 && len(v.num.whole) < 15:
		number(m.of("-"+v.num.whole0(), v.num.whole0()+"5", v.num.whole0()+".5", "0", "1", strings.TrimPrefix(v.num.String(), "-")))
	case v.kind == '"' && kind < 4:
		v.text = m.of(v.text+"a", v.text+v.text, "", "ab", "foo-1", "a1", strings.ToUpper(v.text), "123")
	case v.kind == '[' && kind < 3 && len(v.list) > 0:
		v.list = v.list[:len(v.list)-1]
	case v.kind == '[' && len(v.list) > 0:
		v.list = append(v.list, v.list[m.IntN(len(v.list))])
	case v.kind == '{' && kind < 3 && len(v.list) > 0:
		i := m.IntN(len(v.list))
		v.list, v.keys = append(append([]value(nil), v.list[:i]...), v.list[i+1:]...), append(append([]string(nil), v.keys[:i]...), v.keys[i+1:]...)
	case v.kind == '{':
		name := m.of("zz", "x-1", "x-9", "extra", "kind", "a long name of a property")
		if _, ok := v.get(name); !ok {
			v.list, v.keys = append(v.list, value{kind: 'n'}), append(v.keys, name)
		}
	default:
		*v = value{kind: '"', text: "x"}
	}
}

// answers are lines for the oracle.
type answers struct {
	lines bytes.Buffer
	count int
}

func (a *answers) add(t testing.TB, schema, text string, match, narrow bool) {
	line, err := json.Marshal(map[string]any{"schema": json.RawMessage(schema), "text": text, "match": match, "narrow": narrow})
	if err != nil {
		t.Fatal(err)
	}
	a.lines.Write(append(line, '\n'))
	a.count++
}

// check lets Python's jsonschema judge the lines.
func (a *answers) check(t testing.TB) {
	file := filepath.Join(t.TempDir(), "answers")
	if err := os.WriteFile(file, a.lines.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	out := strings.Split(strings.TrimSpace(string(testdeps.RunPython(t, "internal/grammar/testdata/validate.py", file))), "\n")
	if got := out[len(out)-1]; got != strconv.Itoa(a.count) {
		t.Fatalf("the oracle read %s answers, not %d", got, a.count)
	}
	for _, wrong := range out[:len(out)-1] {
		t.Errorf("wrong: %s", wrong)
	}
}

// mutants adds changed forms of an answer: whether they match must be whether they are valid.
func (a *answers) mutants(t testing.TB, m *maker, schema string, text []byte) {
	g := mustSchema(t, schema, Options{Open: true})
	tooLong := regexp.MustCompile(`[0-9]{19}`) // integers have at most 18 digits
	for range 3 {
		v, err := parseValue(text)
		if err != nil {
			return // a name twice
		}
		for range 1 + m.IntN(2) {
			m.mutate(v)
		}
		all := spellings(v, 600)
		match := false
		for _, text := range all {
			match = match || g.Match([]byte(text))
		}
		a.add(t, schema, all[0], match, strings.Contains(schema, "format") || len(all) >= 600 || tooLong.MatchString(all[0]))
	}
}

// TestRandomAnswersToRandomSchemasAreValid: whatever a model would choose, Python's jsonschema agrees
// with the result; and of texts that are nearly answers, those match that jsonschema finds valid.
func TestRandomAnswersToRandomSchemasAreValid(t *testing.T) {
	var a answers
	m := &maker{Rand: rand.New(rand.NewPCG(5, 6))}
	vocabularies := []*Vocabulary{realVocabulary(t, "smollm2-135m"), realVocabulary(t, "qwen2.5-coder-0.5b")}
	accepted, refused, unfinished := 0, map[string]int{}, 0
	for n := 0; accepted < 1100 && n < 3000; n++ {
		schema := m.document()
		g, err := CompileSchema([]byte(schema), Options{Whitespace: Whitespace(n % 3), Open: n%5 == 0})
		switch {
		case errors.Is(err, ErrEmpty):
			continue
		case errors.Is(err, ErrUnenforceable), errors.Is(err, ErrLimit):
			refused[err.Error()]++
			continue
		case err != nil:
			t.Fatalf("%v\n%s", err, schema)
		}
		accepted++
		text, ok := walk(t, g, vocabularies[n%7/6], m.Rand, n%40 == 0)
		if !ok {
			unfinished++
			continue
		}
		if !g.Match(text) {
			t.Fatalf("%q does not match its own grammar", text)
		}
		a.add(t, schema, string(text), true, false)
		a.mutants(t, m, schema, text)
	}
	t.Logf("%d schemas, %d unfinished, refused: %v", accepted, unfinished, refused)
	if accepted < 1000 || unfinished > accepted/10 {
		t.Errorf("%d schemas, %d of them unfinished: too few answers", accepted, unfinished)
	}
	a.check(t)
}

package grammar

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/galerne-ai/galerne/internal/testdeps"
)

// maker invents schemas and changes values.
type maker struct{ testdeps.Schemas }

func newMaker(r *rand.Rand) *maker { return &maker{testdeps.Schemas{Rand: r}} }

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
		id := testdeps.OneOf(mask, r)
		if i > 20 || r.IntN(3) == 0 { // towards an end: what closes things, or a short token
			for range 60 {
				other := testdeps.OneOf(mask, r)
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
		*v = value{kind: m.Of("n", "t", "f")[0]}
	case v.kind == '0' && kind < 3 && len(v.num.whole) < 15:
		number(m.Of("-"+v.num.whole0(), v.num.whole0()+"5", v.num.whole0()+".5", "0", "1", strings.TrimPrefix(v.num.String(), "-")))
	case v.kind == '"' && kind < 4:
		v.text = m.Of(v.text+"a", v.text+v.text, "", "ab", "foo-1", "a1", strings.ToUpper(v.text), "123")
	case v.kind == '[' && kind < 3 && len(v.list) > 0:
		v.list = v.list[:len(v.list)-1]
	case v.kind == '[' && len(v.list) > 0:
		v.list = append(v.list, v.list[m.IntN(len(v.list))])
	case v.kind == '{' && kind < 3 && len(v.list) > 0:
		i := m.IntN(len(v.list))
		v.list, v.keys = append(append([]value(nil), v.list[:i]...), v.list[i+1:]...), append(append([]string(nil), v.keys[:i]...), v.keys[i+1:]...)
	case v.kind == '{':
		name := m.Of("zz", "x-1", "x-9", "extra", "kind", "a long name of a property")
		if _, ok := v.get(name); !ok {
			v.list, v.keys = append(v.list, value{kind: 'n'}), append(v.keys, name)
		}
	default:
		*v = value{kind: '"', text: "x"}
	}
}

// answers are what Python's jsonschema judges.
type answers struct{ testdeps.Claims }

func (a *answers) add(t testing.TB, schema, text string, match, narrow bool) {
	a.Add(t, testdeps.Claim{Schema: json.RawMessage(schema), Text: text, Match: match, Narrow: narrow})
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
	m := newMaker(rand.New(rand.NewPCG(5, 6)))
	vocabularies := []*Vocabulary{realVocabulary(t, "smollm2-135m"), realVocabulary(t, "qwen2.5-coder-0.5b")}
	accepted, refused, unfinished := 0, map[string]int{}, 0
	for n := 0; accepted < 1100 && n < 3000; n++ {
		schema := m.Document()
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
	a.Check(t)
}

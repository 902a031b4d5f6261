package grammar

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/galerne-ai/galerne/internal/sample"
	"github.com/galerne-ai/galerne/internal/testdeps"
	"github.com/galerne-ai/galerne/internal/tokenizer"
	"github.com/galerne-ai/galerne/internal/weights"
)

var _ sample.Mask = (*Matcher)(nil)

// realVocabulary is a model's vocabulary: 49k tokens of SmolLM2 or 151k of Qwen 2.5.
func realVocabulary(t testing.TB, model string) *Vocabulary {
	t.Helper()
	_, v := realTokenizer(t, model)
	return v
}

func realTokenizer(t testing.TB, model string) (*tokenizer.Tokenizer, *Vocabulary) {
	t.Helper()
	f, err := weights.Open(testdeps.Dep(t, "models/"+model+".gguf"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tok, err := tokenizer.FromGGUF(f.Meta)
	if err != nil {
		t.Fatal(err)
	}
	pieces := make([][]byte, tok.Size())
	for id := range pieces {
		if !tok.Special(int32(id)) {
			pieces[id] = tok.Piece(int32(id))
		}
	}
	return tok, NewVocabulary(pieces, tok.EndIDs())
}

// byteVocabulary has the 256 bytes, some longer tokens, and 300 as its end.
func byteVocabulary() *Vocabulary {
	pieces := make([][]byte, 301)
	for i := range 256 {
		pieces[i] = []byte{byte(i)}
	}
	for i, s := range []string{`"}`, `":`, `": "`, `","`, "abc", "ab", `"}]`, "\xc3", "\xa9\"", "é", "aa", "aaa", "12", "123", `\n`, "}\n", "x", "x"} {
		pieces[256+i] = []byte(s)
	}
	pieces[300] = []byte("</s>")
	return NewVocabulary(pieces, []int32{300})
}

func allows(mask []uint64, id int) bool { return mask[id>>6]>>(id&63)&1 != 0 }

func mustGBNF(t testing.TB, text string) *Grammar {
	t.Helper()
	g, err := CompileGBNF(text)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// slowly is what a mask must be: a token is allowed exactly when reading its bytes is.
func slowly(m *Matcher, id int) bool {
	trial := *m
	return trial.Advance(int32(id)) == nil
}

// checkMask compares every bit of a mask, or some for large vocabularies.
func checkMask(t testing.TB, m *Matcher, r *rand.Rand) {
	t.Helper()
	mask := m.Allowed()
	step := 1
	if m.v.Size() > 1000 {
		step = 1 + r.IntN(97)
	}
	for id := 0; id < m.v.Size(); id += step {
		if got, want := allows(mask, id), slowly(m, id); got != want {
			t.Fatalf("token %d %q: mask says %v, reading says %v", id, m.v.pieces[id], got, want)
		}
	}
}

const jsonGBNF = `root ::= value
value ::= object | array | string | number | "true" | "false" | "null"
object ::= "{" (string ":" value ("," string ":" value)*)? "}"
array ::= "[" (value ("," value)*)? "]"
string ::= "\"" ([^"\\\x00-\x1f] | "\\" ["\\/bfnrt])* "\""
number ::= "-"? ("0" | [1-9] [0-9]{0,15}) ("." [0-9]{1,15})?
`

func TestMasksAllowExactlyWhatReads(t *testing.T) {
	v := byteVocabulary()
	r := rand.New(rand.NewPCG(1, 2))
	counted, err := CompileRegex(`(a{2,40}|b*"c{3}|é{1,2}"?){1,3}`)
	if err != nil {
		t.Fatal(err)
	}
	free := freeStrings(t)
	limited, err := stringGrammar(t, `a.*b`, 2, 3000)
	if err != nil {
		t.Fatal(err)
	}
	repeated, err := CompileRegex(`(ab?){2,3000}x{1,9}`)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range []*Grammar{mustGBNF(t, jsonGBNF), counted, free, limited, repeated} {
		for range 20 {
			m := g.Mask(v)
			for range 30 {
				checkMask(t, m, r)
				id := testdeps.OneOf(m.Allowed(), r)
				if err := m.Advance(id); err != nil {
					t.Fatal(err)
				}
				if id == 300 {
					break
				}
			}
		}
	}
}

// freeStrings has strings of every kind of bound, which masks know by heart.
func freeStrings(t testing.TB) *Grammar {
	s := newStore()
	str := func(min, max int32) term {
		return s.named("string", s.cat(s.lit(`"`), s.rep(s.freeRune(), min, max), s.lit(`"`)))
	}
	g, err := sealed(s, s.cat(s.lit("["), s.rep(s.cat(s.alt(str(0, noLimit), str(3, 5), str(0, 2)), s.lit(",")), 0, noLimit), str(100, 100000), s.lit("]")))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestMasksOfRealVocabulariesAllowExactlyWhatReads(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, model := range []string{"smollm2-135m", "qwen2.5-coder-0.5b"} {
		v := realVocabulary(t, model)
		for _, g := range []*Grammar{mustGBNF(t, jsonGBNF), freeStrings(t)} {
			for range 3 {
				m := g.Mask(v)
				for range 12 {
					checkMask(t, m, r)
					id := testdeps.OneOf(m.Allowed(), r)
					if err := m.Advance(id); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
	}
}

// TestMasksOfBoundedPatternsAllowExactlyWhatReads: every limit of one pattern shares one reading of the vocabulary.
func TestMasksOfBoundedPatternsAllowExactlyWhatReads(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for _, v := range []*Vocabulary{byteVocabulary(), realVocabulary(t, "smollm2-135m")} {
		for _, expr := range []string{`x`, `[0-9]{3}`, `é+`, `^[^a]*$`, `^(?!ab)[a-cé"]{2,6}$`, `^[a-z]+(-[a-z]+)*$`} {
			g, err := stringGrammar(t, expr, r.Int32N(4), 4+r.Int32N(12))
			if err != nil {
				t.Fatal(err)
			}
			for range 25 {
				m := g.Mask(v)
				for range 20 {
					checkMask(t, m, r)
					id := testdeps.OneOf(m.Allowed(), r)
					if err := m.Advance(id); err != nil {
						t.Fatal(err)
					}
					if v.isEnd(id) {
						break
					}
				}
			}
		}
	}
}

func TestAnswersEndExactlyWhereTheyAreComplete(t *testing.T) {
	v := byteVocabulary()
	m := mustGBNF(t, `root ::= "ab" "c"?`).Mask(v)
	if allows(m.Allowed(), 300) || m.Advance(300) == nil {
		t.Fatal("ends before it begins")
	}
	if err := m.Advance(257 + 4); err != nil { // "ab"
		t.Fatal(err)
	}
	if !allows(m.Allowed(), 300) || !m.Done() || !allows(m.Allowed(), 'c') {
		t.Fatal("may not end")
	}
	if err := m.Advance(300); err != nil {
		t.Fatal(err)
	}
	if Count(m.Allowed()) != 1 || m.Advance('c') == nil || m.Advance(-1) == nil || m.Advance(5000) == nil {
		t.Fatal("goes on behind its end")
	}
}

func TestAVocabularyWithoutTheBytesIsAnError(t *testing.T) {
	v := NewVocabulary([][]byte{[]byte("a"), []byte("b"), []byte("</s>")}, []int32{2})
	m := mustGBNF(t, `root ::= "a" "é"`).Mask(v)
	if !allows(m.Allowed(), 0) || m.Advance(0) != nil {
		t.Fatal("a is refused")
	}
	if Count(m.Allowed()) != 0 || !errors.Is(m.Err(), ErrVocabulary) {
		t.Fatal(m.Err())
	}
}

func TestWarmStepsAllocateNothing(t *testing.T) {
	g, v := mustGBNF(t, jsonGBNF), byteVocabulary()
	m := g.Mask(v)
	start := *m
	steps := func() {
		*m = start
		for _, b := range []byte(`{"key":[1,2,{"x":"é"}]}`) {
			m.Allowed()
			if err := m.Advance(int32(b)); err != nil {
				t.Fatal(err)
			}
		}
	}
	steps()
	if n := testing.AllocsPerRun(10, steps); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestAnswersShareAGrammarAcrossGoroutinesAndGenerations(t *testing.T) {
	g := mustGBNF(t, `root ::= "(" (root ("," root)*)? ")" | [a-z]{1,100000} ";"`)
	v := byteVocabulary()
	var wait sync.WaitGroup
	for seed := range 4 {
		wait.Add(1)
		go func() {
			defer wait.Done()
			r := rand.New(rand.NewPCG(uint64(seed), 9))
			m := g.Mask(v)
			for i := range 3000 {
				if i%500 == 250 {
					g.mu.Lock()
					g.gen = nil // as if it were full
					g.mu.Unlock()
				}
				mask := m.Allowed()
				if Count(mask) == 0 {
					t.Errorf("nothing allowed: %v", m.Err())
					return
				}
				id := testdeps.OneOf(mask, r)
				if err := m.Advance(id); err != nil {
					t.Error(err)
					return
				}
				if id == 300 {
					m = g.Mask(v)
				}
			}
		}()
	}
	wait.Wait()
}

func TestAmbiguityBeyondTheLimitStopsTheAnswerAndSaysSo(t *testing.T) {
	g := mustGBNF(t, `root ::= (x{0,9999} y{0,9999}){0,9999} "!"
x ::= "a" | "aa"
y ::= "a" | "aaa"`)
	m := g.Mask(byteVocabulary())
	for range 20000 {
		if Count(m.Allowed()) == 0 || m.Advance('a') != nil {
			break
		}
	}
	if m.Err() == nil || Count(m.Allowed()) != 0 {
		t.Fatal("no error")
	}
}

func TestCombinedGrammars(t *testing.T) {
	word, _ := CompileRegex("[a-z]+")
	open, _ := Literal("<call>")
	comma, _ := Literal(", ")
	words, err := Repeat(word, comma, 2, 3)
	if err != nil {
		t.Fatal(err)
	}
	call, err := Seq(open, words)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{"<call>a, b": true, "<call>a, b, c": true, "<call>a": false, "<call>a, b, c, d": false} {
		if call.Match([]byte(text)) != want {
			t.Errorf("%q: %v", text, !want)
		}
	}
	end, _ := Literal("[a-z]</call>")
	for _, c := range []struct {
		again, must bool
		yes, no     []string
	}{
		{true, false, []string{"", "free <cal text", "x<call>[a-z]</call>y", "<call>[a-z]</call><call>[a-z]</call>", "<<call>[a-z]</call>"}, []string{"x<call>", "<call>x", "<call>[a-z]</call><call>"}},
		{false, true, []string{"x<call>[a-z]</call>"}, []string{"", "x", "<call>[a-z]</call>y"}},
	} {
		g, err := FreeText([]Trigger{{Text: "<call>", Then: []*Grammar{end}, Again: c.again}, {Text: "<cat>", Then: []*Grammar{end}, Again: c.again}}, c.must)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range c.yes {
			if !g.Match([]byte(text)) {
				t.Errorf("refuses %q", text)
			}
		}
		for _, text := range c.no {
			if g.Match([]byte(text)) {
				t.Errorf("accepts %q", text)
			}
		}
	}
}

// TestFreeTextHoldsWhatItBeginsWith: a lead counts at the beginning only, behind a trigger that lets the text begin
// anew too, and what is none stays free.
func TestFreeTextHoldsWhatItBeginsWith(t *testing.T) {
	lead, err := CompileRegex(` *"(ab|abc)":`)
	if err != nil {
		t.Fatal(err)
	}
	again, err := CompileRegex(` *<t>`)
	if err != nil {
		t.Fatal(err)
	}
	one, _ := Literal("1")
	thought, _ := Literal("thought</t>")
	call, _ := Literal("call</c>")
	for _, must := range []bool{false, true} {
		g, err := FreeText([]Trigger{{Text: "<c>", Then: []*Grammar{call}}, {Lead: lead, Then: []*Grammar{one}}, {Lead: again, Then: []*Grammar{thought}, Again: true}}, must)
		if err != nil {
			t.Fatal(err)
		}
		for text, free := range map[string]bool{"": true, `"ab`: true, ` "abd":2`: true, `x "ab":2`: true, `"ab"<c`: true, `<t`: true, "x<t>y": true, `x"ab":1`: true, "<t>thought</t>x": false} {
			if g.Match([]byte(text)) != (free && !must || text == "<t>thought</t>x") {
				t.Errorf("%v: %v: %q", must, !free, text)
			}
		}
		for _, text := range []string{`"ab":1`, `  "abc":1`, `"ab"<c>call</c>`, "x<c>call</c>", `<t>thought</t>"ab":1`, `<t>thought</t> <t>thought</t>x<c>call</c>`} {
			if !g.Match([]byte(text)) {
				t.Errorf("%v: refuses %q", must, text)
			}
		}
		for _, text := range []string{`"ab":2`, `"ab":`, `"ab":1 `, ` "abc":12`, "<t>", "<t>thought</t>\"ab\":2", "<t>thought</t> <t>x", "<c>call</c> x", "x<c>"} {
			if g.Match([]byte(text)) {
				t.Errorf("%v: accepts %q", must, text)
			}
		}
	}
}

func BenchmarkVocabulary(b *testing.B) {
	v := realVocabulary(b, "qwen2.5-coder-0.5b")
	for b.Loop() {
		NewVocabulary(v.pieces, v.ends)
	}
}

func BenchmarkMask(b *testing.B) {
	for _, model := range []string{"smollm2-135m", "qwen2.5-coder-0.5b"} {
		v := realVocabulary(b, model)
		for _, c := range []struct{ name, read string }{
			{"start", ""}, {"string", `{"ab`}, {"afterKey", `{"a":`}, {"number", `{"a":12`}, {"nested", `{"a":[[{"b":["x`},
		} {
			b.Run(fmt.Sprintf("%s/%s/cold", model, c.name), func(b *testing.B) {
				g := mustGBNF(b, jsonGBNF)
				for b.Loop() {
					g.gen = nil
					readOn(g.Mask(v), c.read).Allowed()
				}
			})
			b.Run(fmt.Sprintf("%s/%s/warm", model, c.name), func(b *testing.B) {
				m := readOn(mustGBNF(b, jsonGBNF).Mask(v), c.read)
				for b.Loop() {
					m.Allowed()
				}
			})
		}
	}
}

// readOn goes on by bytes, whatever the tokens are.
func readOn(m *Matcher, text string) *Matcher {
	m.g.mu.Lock()
	defer m.g.mu.Unlock()
	m.read([]byte(text))
	return m
}

// BenchmarkAnswers draws answers of 60 tokens with a new grammar, so that every mask is made for the first time.
func BenchmarkAnswers(b *testing.B) {
	v := realVocabulary(b, "qwen2.5-coder-0.5b")
	for name, schema := range map[string]string{
		"tool":    `{"type":"object","properties":{"city":{"type":"string"},"unit":{"enum":["celsius","fahrenheit"]},"days":{"type":"integer","minimum":1,"maximum":14}},"required":["city","unit","days"]}`,
		"bounded": `{"type":"string","pattern":"[0-9]{3}","maxLength":60}`,
		"slug":    `{"type":"string","pattern":"^[a-z]+(-[a-z]+)*$","maxLength":40}`,
		"email":   `{"type":"string","format":"email"}`,
		"object":  `{"type":"object"}`,
	} {
		b.Run(name, func(b *testing.B) {
			r := rand.New(rand.NewPCG(1, 1))
			tokens := 0
			for b.Loop() {
				m := mustSchema(b, schema, Options{}).Mask(v)
				m.Within(60)
				for id := int32(-1); !v.isEnd(id) && m.left > 0; tokens++ {
					id = testdeps.OneOf(m.Allowed(), r)
					if err := m.Advance(id); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(tokens), "µs/token")
		})
	}
}

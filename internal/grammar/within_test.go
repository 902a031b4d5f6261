package grammar

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/galerne-ai/galerne/internal/sample"
	"github.com/galerne-ai/galerne/internal/testdeps"
)

// babble draws tokens that keep an answer from ending where they can, as a weak model does, until the
// answer ends or its tokens are used up.
func babble(t testing.TB, m *Matcher, r *rand.Rand, tokens int) (text []byte, narrowed bool) {
	for range tokens {
		mask := m.Allowed()
		if m.Wide() != nil {
			narrowed = true
			if wide := m.Wide(); Count(mask) == 0 || Count(mask) >= Count(wide) {
				t.Fatalf("behind %q %d of %d tokens are allowed", text, Count(mask), Count(wide))
			}
		}
		id := testdeps.OneOf(mask, r)
		for range 40 {
			if other := testdeps.OneOf(mask, r); m.v.isEnd(id) || bytes.ContainsAny(m.v.pieces[id], `"]}`) || bytes.ContainsAny(m.v.pieces[other], "[{,") {
				id = other
			}
		}
		if err := m.Advance(id); err != nil {
			t.Fatal(err)
		}
		if m.v.isEnd(id) {
			break
		}
		text = append(text, m.v.pieces[id]...)
	}
	return text, narrowed
}

// TestAnswersAreCompleteWithinTheirTokens: of whatever form, however a model babbles, and however few the
// tokens are as long as they are enough.
func TestAnswersAreCompleteWithinTheirTokens(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	m := newMaker(r)
	grammars := []*Grammar{mustGBNF(t, jsonGBNF), freeStrings(t)}
	for _, expr := range []string{`(a{2,40}|b*"c{3}|é{1,2}"?){1,3}`, `[a-z]+-[0-9]{3,}!`, `(ab?){2,3000}x{1,9}`, `.*\d.*é`} {
		g, err := CompileRegex(expr)
		if err != nil {
			t.Fatal(err)
		}
		grammars = append(grammars, g)
	}
	for len(grammars) < 300 {
		if g, err := CompileSchema([]byte(m.Document()), Options{Whitespace: Whitespace(len(grammars) % 3), Open: len(grammars)%5 == 0}); err == nil {
			grammars = append(grammars, g)
		}
	}
	real := realVocabulary(t, "smollm2-135m")
	narrowed := 0
	for i, g := range grammars {
		v := byteVocabulary()
		if i%4 == 0 {
			v = real
		}
		for _, more := range []int{0, 1, 7, 40} {
			least := int(g.current().of(v).costs.least(g.root))
			if least >= 1000 {
				t.Errorf("grammar %d: the shortest text of %d tokens?", i, least)
				continue
			}
			mask := g.Mask(v)
			if least > 0 && mask.Within(least-1) {
				t.Fatal("fewer tokens than are needed are said to be enough")
			}
			if !mask.Within(least + more) {
				t.Fatal("enough tokens are said not to be")
			}
			text, n := babble(t, mask, r, least+more)
			if !g.Match(text) {
				t.Fatalf("grammar %d: %q of %d tokens is not complete", i, text, least+more)
			}
			if n {
				narrowed++
			}
		}
	}
	t.Logf("%d of %d answers had to be ended", narrowed, 4*len(grammars))
	if narrowed < len(grammars) {
		t.Error("too few had to be ended")
	}
}

// TestTheFewestTokensOfATextAreFew: real tokens, not bytes, are what a budget is counted in.
func TestTheFewestTokensOfATextAreFew(t *testing.T) {
	v := realVocabulary(t, "smollm2-135m")
	g := mustSchema(t, `{"type":"object","properties":{"temperature":{"type":"number"},"description":{"type":"string"},"state":{"enum":["interesting","uninteresting"]}},"required":["temperature","description","state"]}`, Options{})
	if least := g.current().of(v).costs.least(g.root); least > 24 {
		t.Errorf("%d tokens", least)
	}
}

// TestASamplerKnowsThatItsMaskEndedTheAnswer: only if the mask took away what would have been taken.
func TestASamplerKnowsThatItsMaskEndedTheAnswer(t *testing.T) {
	v := byteVocabulary()
	for _, c := range []struct {
		likely string // bytes that the model wants to write, again and again
		want   string
		cut    bool
	}{{`"a`, `"aaaaaaaaaa"`, true}, {`"b"`, `"b"`, false}} {
		m := mustSchema(t, `{"type":"string"}`, Options{}).Mask(v)
		m.Within(12)
		s := sample.New(sample.Options{}, 0, nil, m)
		var text []byte
		for i := range 12 {
			logits := make([]float32, v.Size())
			logits[300] = 1
			logits[c.likely[min(i, len(c.likely)-1)]] = 2
			id, err := s.Next(logits)
			if err != nil {
				t.Fatal(err)
			}
			if id == 300 {
				break
			}
			text = append(text, v.pieces[id]...)
		}
		if string(text) != c.want || s.Cut() != c.cut {
			t.Errorf("%q: %q, cut %v", c.likely, text, s.Cut())
		}
	}
}

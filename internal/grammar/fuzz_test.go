package grammar

import (
	"encoding/json"
	"math/rand/v2"
	"regexp"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/galerne-ai/galerne/internal/fault"
	"github.com/galerne-ai/galerne/internal/testdeps"
)

// tryOut takes some random answers of a grammar, by bytes.
func tryOut(t *testing.T, g *Grammar, err error, valid func([]byte) bool) {
	if err != nil {
		if fault.KindOf(err) != fault.Invalid {
			t.Fatal(err)
		}
		return
	}
	v := byteVocabulary()
	r := rand.New(rand.NewPCG(1, 1))
	begin := time.Now()
	for range 3 {
		m := g.Mask(v)
		var text []byte
		for range 60 {
			mask := m.Allowed()
			if m.Err() != nil || time.Since(begin) > time.Second {
				return
			}
			if Count(mask) == 0 {
				t.Fatalf("nothing is allowed behind %q", text)
			}
			id := testdeps.OneOf(mask, r)
			if err := m.Advance(id); err != nil {
				t.Fatal(err)
			}
			if id == 300 {
				if !valid(text) {
					t.Fatalf("%q is not valid", text)
				}
				break
			}
			text = append(text, v.pieces[id]...)
		}
	}
}

func FuzzSchema(f *testing.F) {
	for _, s := range []string{
		`{"type":"object","properties":{"a":{"$ref":"#"},"b":{"enum":[1,"x"]}},"required":["b"],"patternProperties":{"^x":{"type":"null"}}}`,
		`{"anyOf":[{"type":"string","pattern":"^a+$","maxLength":4},{"type":"number","minimum":-1.5,"exclusiveMaximum":20,"multipleOf":0.5}]}`,
		`{"oneOf":[{"const":1},{"type":"array","prefixItems":[true],"contains":{"const":2},"maxContains":2}],"not":{"enum":[3]}}`,
		`{"if":{"required":["a"]},"then":{"required":["b"]},"dependentRequired":{"b":["c"]},"minProperties":1,"propertyNames":{"maxLength":2}}`,
		`{"allOf":[{"format":"date"},{"format":"ipv6"}],"unevaluatedProperties":false,"$defs":{"a":{"$anchor":"q"}}}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		g, err := CompileSchema([]byte(text), Options{})
		tryOut(t, g, err, json.Valid)
	})
}

func FuzzRegex(f *testing.F) {
	for _, s := range []string{`^(a|b){2,5}[^c-e]*\d+$`, `(?i:é)\p{L}|\u{1F600}`, `(?=.*a)(?!b).{2,}`, `[\w-]+@x\.com`, `(a?){50}(b*){3}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, expr string) {
		g, err := CompileRegex(expr)
		want, goErr := regexp.Compile(`\A(?:` + expr + `)\z`)
		tryOut(t, g, err, func(text []byte) bool {
			return utf8.Valid(text) || goErr != nil && want == nil
		})
	})
}

func FuzzGBNF(f *testing.F) {
	for _, s := range []string{jsonGBNF, "root ::= \"a\" (b | c)* # x\nb ::= [^a-z\\n]{2,3}\nc ::= . root?", `root ::= "\u00e9\x41\U0001F600"+`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		g, err := CompileGBNF(text)
		tryOut(t, g, err, utf8.Valid)
	})
}

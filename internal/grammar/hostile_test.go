package grammar

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/galerne-ai/galerne/internal/grammar/regex"
)

// TestHostileInputEnds: none of these may hang, take all memory or overflow the stack; each compiles
// or is refused by a limit.
func TestHostileInputEnds(t *testing.T) {
	var chain, props, refs strings.Builder
	for i := range 50000 {
		fmt.Fprintf(&chain, "r%d ::= r%d\n", i, i+1)
	}
	for i := range 7000 {
		fmt.Fprintf(&props, `"p%d":{"type":"string"},`, i)
	}
	for i := range 3000 {
		fmt.Fprintf(&refs, `"d%d":{"allOf":[{"$ref":"#/$defs/d%d"},{"$ref":"#/$defs/d%d"}]},`, i, i+1, i+2)
	}
	branch := func(inner string) string {
		return `{"anyOf":[{"properties":{"a":` + inner + `}},{"properties":{"b":` + inner + `}},{"required":["c"]}]}`
	}
	nested := `true`
	for range 20 {
		nested = branch(nested)
	}
	if len(nested) > maxSchemaBytes {
		nested = nested[:maxSchemaBytes]
	}
	for name, compile := range map[string]func() (*Grammar, error){
		"rules in a chain": func() (*Grammar, error) { return CompileGBNF("root ::= r0\n" + chain.String() + "r50000 ::= \"x\"") },
		"optional items":   func() (*Grammar, error) { return CompileGBNF("root ::= " + strings.Repeat(`"a"? [b-c]* `, 40000)) },
		"nested repetition": func() (*Grammar, error) {
			return CompileRegex(strings.Repeat("(", 60) + "(a?)" + strings.Repeat("{0,1000})", 60))
		},
		"classes": func() (*Grammar, error) {
			return CompileRegex("(?i)" + strings.Repeat(`[^a]\PL`, regex.MaxText/8))
		},
		"different classes": func() (*Grammar, error) {
			var b strings.Builder
			for i := 0; b.Len() < regex.MaxText-20; i++ {
				fmt.Fprintf(&b, `[\pL\u%04x]`, i+1)
			}
			return CompileRegex(b.String())
		},
		"many properties": func() (*Grammar, error) {
			return CompileSchema([]byte(`{"properties":{`+props.String()+`"z":true}}`), Options{})
		},
		"references fan out": func() (*Grammar, error) {
			return CompileSchema([]byte(`{"$ref":"#/$defs/d0","$defs":{`+refs.String()+`"d3000":{"type":"null"},"d3001":{"minimum":1}}}`), Options{})
		},
		"choices nest": func() (*Grammar, error) { return CompileSchema([]byte(nested), Options{}) },
		"names and patterns": func() (*Grammar, error) {
			return CompileSchema([]byte(`{"patternProperties":{"^(a|b)*a(a|b){9}":true,"(a|c)*a(a|c){9}$":{"type":"null"},"^(b|c)*b(b|c){9}":true,"d.{9}":true,"e.{9}":true}}`), Options{})
		},
		"not not not": func() (*Grammar, error) {
			return CompileSchema([]byte(strings.Repeat(`{"not":{"items":`, 50)+`{"type":"null"}`+strings.Repeat("}}", 50)), Options{})
		},
		"long constant": func() (*Grammar, error) {
			return CompileSchema([]byte(`{"const":"`+strings.Repeat("x", 1<<19)+`"}`), Options{})
		},
		"large bounds": func() (*Grammar, error) {
			return CompileSchema([]byte(`{"type":"number","minimum":-1e400,"maximum":1e400}`), Options{})
		},
		"counted arrays": func() (*Grammar, error) {
			return CompileSchema([]byte(`{"type":"array","contains":{"type":"null"},"minContains":500,"maxItems":100000}`), Options{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			g, err := compile()
			if err != nil {
				if !errors.Is(err, ErrLimit) && !errors.Is(err, ErrUnenforceable) && !errors.Is(err, ErrEmpty) && !errors.Is(err, ErrSchema) {
					t.Fatalf("%.300v", err)
				}
				t.Logf("%.200v", err)
				return
			}
			m := g.Mask(byteVocabulary())
			for range 40 {
				mask := m.Allowed()
				if Count(mask) == 0 {
					if !errors.Is(m.Err(), ErrLimit) {
						t.Fatalf("nothing is allowed: %v", m.Err())
					}
					return
				}
				for id := range 300 {
					if allows(mask, id) {
						if err := m.Advance(int32(id)); err != nil {
							t.Fatal(err)
						}
						break
					}
				}
			}
		})
	}
}

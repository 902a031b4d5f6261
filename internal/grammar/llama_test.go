package grammar

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/galerne-ai/galerne/internal/testdeps"
)

// llamaCase is a call of test_grammar or test_schema in llama.cpp's own test.
type llamaCase struct {
	kind, name, text string
	pass, fail       []string
}

// llamaCases reads the calls out of the C++ source: its string literals, raw and plain, and braces.
func llamaCases(t testing.TB) []llamaCase {
	source, err := os.ReadFile(testdeps.Dep(t, "llama.cpp/tests/test-grammar-integration.cpp"))
	if err != nil {
		t.Fatal(err)
	}
	var out []llamaCase
	for _, kind := range []string{"test_grammar", "test_schema"} {
		for _, call := range strings.Split(string(source), "\n    "+kind+"(\n")[1:] {
			if c, ok := llamaCall(t, call); ok {
				c.kind = kind
				out = append(out, c)
			}
		}
	}
	if len(out) < 40 {
		t.Fatalf("only %d cases: has the file another form now?", len(out))
	}
	return out
}

// llamaCall reads the arguments of one call; ok is false for those that build texts from tokens.
func llamaCall(t testing.TB, s string) (c llamaCase, ok bool) {
	var lists [][]string
	var heads []string
	depth := 0
	for s != "" {
		switch {
		case strings.HasPrefix(s, "//"):
			s = s[strings.IndexByte(s, '\n'):]
		case strings.HasPrefix(s, "token("):
			return c, false
		case strings.HasPrefix(s, `R"""(`):
			end := strings.Index(s, `)"""`)
			heads, lists = addText(heads, lists, depth, s[5:end])
			s = s[end+4:]
		case s[0] == '"':
			end := 1
			for s[end] != '"' {
				if s[end] == '\\' {
					end++
				}
				end++
			}
			text, err := strconv.Unquote(s[:end+1])
			if err != nil {
				t.Fatalf("%s: %v", s[:end+1], err)
			}
			heads, lists = addText(heads, lists, depth, text)
			s = s[end+1:]
		case s[0] == '{':
			depth++
			lists = append(lists, nil)
			s = s[1:]
		case s[0] == '}':
			depth--
			s = s[1:]
		case s[0] == ')' && depth == 0:
			if len(heads) != 2 || len(lists) != 2 {
				t.Fatalf("call with %d texts and %d lists", len(heads), len(lists))
			}
			return llamaCase{name: heads[0], text: heads[1], pass: lists[0], fail: lists[1]}, true
		default:
			s = s[1:]
		}
	}
	return c, false
}

func addText(heads []string, lists [][]string, depth int, text string) ([]string, [][]string) {
	if depth == 0 {
		return append(heads, text), lists
	}
	lists[len(lists)-1] = append(lists[len(lists)-1], text)
	return heads, lists
}

func TestLlamaGrammarCases(t *testing.T) {
	ran := 0
	for _, c := range llamaCases(t) {
		if c.kind != "test_grammar" || strings.Contains(c.text, "<[") {
			continue
		}
		ran++
		g, err := CompileGBNF(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		for _, text := range c.pass {
			if !g.Match([]byte(text)) {
				t.Errorf("%s refuses %q", c.name, text)
			}
		}
		for _, text := range c.fail {
			if g.Match([]byte(text)) {
				t.Errorf("%s accepts %q", c.name, text)
			}
		}
	}
	if ran < 8 {
		t.Errorf("only %d cases ran", ran)
	}
}

// TestLlamaExampleGrammars reads texts with the grammars that llama.cpp gives as examples.
func TestLlamaExampleGrammars(t *testing.T) {
	for _, c := range []struct{ file, yes, no string }{
		{"arithmetic", "(a+1)=2\n", "a+=2\n"},
		{"c", "int f(int a){return a;}", "int f(int a){return a"},
		{"chess", "1. e4 e5\n2. Nf3 Nc6\n", "1. e9 e5\n"},
		{"english", "Hello, World!", "Bonjour é"},
		{"japanese", "これは", "abc"},
		{"json", `{"a": [1, 2.5e3, "x\n", null]}`, `{"a": [1,]}`},
		{"json_arr", "[\n1,\n\"b\"]", `{"a": 1}`},
		{"list", "- a\n- b\n", "a\n"},
	} {
		text, err := os.ReadFile(testdeps.Dep(t, "llama.cpp/grammars/"+c.file+".gbnf"))
		if err != nil {
			t.Fatal(err)
		}
		g, err := CompileGBNF(string(text))
		if err != nil {
			t.Errorf("%s: %v", c.file, err)
			continue
		}
		if !g.Match([]byte(c.yes)) {
			t.Errorf("%s refuses %q from byte %d", c.file, c.yes, g.Viable([]byte(c.yes)))
		}
		if g.Match([]byte(c.no)) {
			t.Errorf("%s accepts %q", c.file, c.no)
		}
	}
}

func TestBadGrammarsAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"":                            "no rule named root",
		"a ::= \"x\"":                 "no rule named root",
		"root ::= b":                  `"b" is not defined`,
		"root ::= \"a":                "ends inside",
		"root ::= [a":                 "ends inside",
		"root ::= [b-a]":              "out of order",
		"root ::= (\"a\"":             "missing )",
		"root ::= \"a\" )":            "end of the rule",
		"root ::= root \"a\" | \"b\"": "begins with itself",
		"root ::= a\na ::= b? root \"x\" | \"y\"\nb ::= \"z\"": "begins with itself",
		"root ::= (\"a\"* root)+ | \"x\"":                      "begins with itself",
		"root ::= \"a\" root":                                  "no finite text",
		"root ::= <think>":                                     "not supported",
		"root ::= \"\\q\"":                                     "unknown escape",
		"root ::= \"\\uD800\"":                                 "hexadecimal",
		"root ::= \"a\"{3,1}":                                  "below its minimum",
		"root ::= \"a\"{x}":                                    "expected {m}",
		"root ::= \"a\"{9999999}":                              "at most",
		"root = \"a\"":                                         "expected ::=",
		"root ::= \"a\"\nroot ::= \"b\"":                       "defined twice",
		"\xff":                                                 "not UTF-8",
		"root ::= " + strings.Repeat("(", 1000):                "deeper",
	} {
		_, err := CompileGBNF(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v", text, err)
		}
	}
}

func TestLlamaSchemaCases(t *testing.T) {
	for _, c := range llamaCases(t) {
		if c.kind != "test_schema" {
			continue
		}
		g, err := CompileSchema([]byte(c.text), Options{})
		if errors.Is(err, ErrUnenforceable) && strings.Contains(c.text, "uniqueItems") {
			continue // llama.cpp does not enforce it
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		for _, text := range c.pass {
			var compact bytes.Buffer // llama.cpp has spaces inside brackets too
			if err := json.Compact(&compact, []byte(text)); err != nil {
				t.Fatal(err)
			}
			if !g.Match(compact.Bytes()) {
				t.Errorf("%s refuses %q from byte %d\n%s", c.name, text, g.Viable(compact.Bytes()), c.text)
			}
		}
		for _, text := range c.fail {
			// llama.cpp writes shorter integers, and takes a schema with items for one of arrays only.
			ours := text == "12345678900000000" || c.name == "min+max items" && text == "1"
			if g.Match([]byte(text)) && !ours {
				t.Errorf("%s accepts %q\n%s", c.name, text, c.text)
			}
		}
	}
}

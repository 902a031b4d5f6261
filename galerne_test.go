package galerne_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/galerne-ai/galerne"
	"github.com/galerne-ai/galerne/internal/testdeps"
)

// TestMain leaves the examples out where the models that they open are missing: an example cannot skip
// itself.
func TestMain(m *testing.M) {
	flag.Parse()
	for _, name := range []string{".deps/models/smollm2-135m.gguf", ".deps/models/all-minilm-l6-v2"} {
		if _, err := os.Stat(name); err != nil {
			fmt.Fprintf(os.Stderr, "NOT TESTED: the examples: %s is missing: run `make deps`\n", name)
			_ = flag.Set("test.skip", "^Example")
		}
	}
	os.Exit(m.Run())
}

func small(t *testing.T) *galerne.Model {
	t.Helper()
	m, err := galerne.Open(testdeps.Dep(t, "models/smollm2-135m.gguf"), galerne.Options{Context: 512, Home: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

func TestStreamedAndWholeAnswersAreOne(t *testing.T) {
	m := small(t)
	r := galerne.Request{Messages: []galerne.Message{galerne.System("Answer in one sentence."), galerne.User("What is the sea?")}, Seed: new(uint64(7)), MaxTokens: new(40)}
	whole, err := m.Chat(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	var streamed strings.Builder
	pieces := 0
	for piece, err := range m.Stream(t.Context(), r) {
		if err != nil {
			t.Fatal(err)
		}
		streamed.WriteString(piece.Text)
		if pieces++; piece.Answer != nil && *piece.Answer != *whole {
			t.Errorf("streamed %+v, whole %+v", *piece.Answer, *whole)
		}
	}
	if streamed.String() != whole.Text || pieces < 3 {
		t.Errorf("%d pieces say %q, the whole answer %q", pieces, streamed.String(), whole.Text)
	}
	if whole.PromptTokens < 10 || whole.AnswerTokens < 2 {
		t.Errorf("odd counts: %+v", whole)
	}
}

func TestAnswersEndAsTheRequestSays(t *testing.T) {
	m := small(t)
	counting := galerne.Request{Text: "1, 2, 3, 4,", Temperature: new(0.0)}
	for _, c := range []struct {
		name string
		more func(*galerne.Request)
		want galerne.Finish
		text string
	}{
		{"at a number of tokens", func(r *galerne.Request) { r.MaxTokens = new(2) }, galerne.MaxTokens, " 5"},
		{"before a text", func(r *galerne.Request) { r.Stop = []string{", 7"} }, galerne.Stopped, " 5, 6"},
		{"where the context is full", func(r *galerne.Request) { r.Text = strings.Repeat("1, 2, 3, 4, ", 42) }, galerne.Full, ""},
	} {
		r := counting
		c.more(&r)
		a, err := m.Complete(t.Context(), r)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if a.Finish != c.want || c.text != "" && a.Text != c.text {
			t.Errorf("%s: %+v, want %q and %s", c.name, a, c.text, c.want)
		}
	}
}

func TestLeavingTheLoopAndEndingTheContextEndAnAnswer(t *testing.T) {
	m := small(t)
	story := galerne.Request{Messages: []galerne.Message{galerne.User("Tell me a long story.")}, Seed: new(uint64(1))}
	for range m.Stream(t.Context(), story) {
		break
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	for _, err := range m.Stream(ctx, story) {
		cancel()
		last = err
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("the answer ended with %v", last)
	}
}

func TestAnswersInParallelAreThoseAlone(t *testing.T) {
	m := small(t)
	ask := func(seed uint64) string {
		a, err := m.Chat(context.Background(), galerne.Request{Messages: []galerne.Message{galerne.User("Name an animal.")}, Seed: &seed, MaxTokens: new(16)})
		if err != nil {
			t.Error(err)
			return ""
		}
		return a.Text
	}
	var alone, beside [4]string
	for i := range alone {
		alone[i] = ask(uint64(i))
	}
	var all sync.WaitGroup
	for i := range beside {
		all.Go(func() { beside[i] = ask(uint64(i)) })
	}
	all.Wait()
	if alone != beside {
		t.Errorf("alone %q\nbeside %q", alone, beside)
	}
}

func TestWrongRequestsSayWhatIsWrong(t *testing.T) {
	m := small(t)
	hello := []galerne.Message{galerne.User("Hello.")}
	for _, c := range []struct {
		name, code, says string
		r                galerne.Request
	}{
		{"no message", "invalid_request", "at least one message", galerne.Request{}},
		{"a role that is none", "invalid_request", `"robot"`, galerne.Request{Messages: []galerne.Message{{Role: "robot", Text: "x"}}}},
		{"both", "invalid_request", "Complete", galerne.Request{Messages: hello, Text: "x"}},
		{"no answer", "invalid_request", "1 is the least", galerne.Request{Messages: hello, MaxTokens: new(0)}},
		{"no UTF-8", "invalid_request", "UTF-8", galerne.Request{Messages: []galerne.Message{galerne.User("\xff")}}},
		{"a temperature below zero", "invalid_sampling", "-1", galerne.Request{Messages: hello, Temperature: new(-1.0)}},
		{"no number", "invalid_sampling", "NaN", galerne.Request{Messages: hello, TopP: new(math.NaN())}},
		{"too long", "context_length_exceeded", "512", galerne.Request{Messages: []galerne.Message{galerne.User(strings.Repeat("long ", 600))}}},
	} {
		_, err := m.Chat(t.Context(), c.r)
		if err == nil || galerne.ErrorCode(err) != c.code || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v (%s), want %s with %q", c.name, err, galerne.ErrorCode(err), c.code, c.says)
		}
	}
	if _, err := m.Embed(t.Context(), "x", ""); galerne.ErrorCode(err) != "invalid_request" {
		t.Errorf("the vector of nothing: %v", err)
	}
	m.Close()
	if _, err := m.Chat(t.Context(), galerne.Request{Messages: hello}); galerne.ErrorCode(err) != "shutting_down" {
		t.Errorf("after Close: %v", err)
	}
}

func TestModelsThatAreNotHere(t *testing.T) {
	home := t.TempDir()
	for name, code := range map[string]string{"smollm2-135m": "model_not_pulled", "no-such-model": "model_unknown", "./no/such.gguf": "model_unknown", "": "model_unknown"} {
		m, err := galerne.Open(name, galerne.Options{Home: home})
		if err == nil || galerne.ErrorCode(err) != code {
			t.Errorf("Open(%q): %v, %v (%s), want %s", name, m, err, galerne.ErrorCode(err), code)
		}
	}
	if left, _ := os.ReadDir(home); len(left) > 0 {
		t.Errorf("looking for models wrote %v", left)
	}
}

func TestTokensDecodeToTheText(t *testing.T) {
	m := small(t)
	const text = "Été 🌊 <|im_start|>"
	tokens, err := m.Tokens(text)
	if err != nil {
		t.Fatal(err)
	}
	var all []byte
	for _, token := range tokens {
		if token.Special {
			t.Errorf("a text has the special token %d", token.ID)
		}
		all = append(all, token.Bytes...)
	}
	if string(all) != text {
		t.Errorf("%q became %q", text, all)
	}
}

// TestTheInterfaceNamesNothingInternal: what is exported here can be used from any module.
func TestTheInterfaceNamesNothingInternal(t *testing.T) {
	checked := 0
	for _, name := range []string{"galerne.go", "answer.go"} {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		internal := map[string]bool{}
		for _, spec := range file.Imports {
			path, _ := strconv.Unquote(spec.Path.Value)
			internal[path[strings.LastIndexByte(path, '/')+1:]] = strings.Contains(path, "/internal/")
		}
		for _, decl := range file.Decls {
			for _, shown := range exported(decl) {
				checked++
				ast.Inspect(shown, func(n ast.Node) bool {
					if s, ok := n.(*ast.SelectorExpr); ok {
						if x, ok := s.X.(*ast.Ident); ok && internal[x.Name] {
							t.Errorf("%s shows %s.%s", name, x.Name, s.Sel.Name)
						}
					}
					return true
				})
			}
		}
	}
	if checked < 20 {
		t.Errorf("only %d exported things were found", checked)
	}
}

// exported lists what a declaration shows: signatures, and the fields and types with large letters.
func exported(decl ast.Decl) (out []ast.Node) {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() {
			out = append(out, d.Type)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			t, ok := spec.(*ast.TypeSpec)
			if !ok || !t.Name.IsExported() {
				continue
			}
			s, ok := t.Type.(*ast.StructType)
			if !ok {
				out = append(out, t.Type)
				continue
			}
			for _, f := range s.Fields.List {
				if len(f.Names) == 0 || f.Names[0].IsExported() {
					out = append(out, f.Type)
				}
			}
		}
	}
	return out
}

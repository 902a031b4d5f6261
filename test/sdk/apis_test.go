package sdk

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/jobs"
	"github.com/galerne-ai/galerne/internal/testdeps"
)

var update = flag.Lookup("update") // apitest's

// TestAPIsAreAsTheDocsSay keeps docs/apis.md what the code says of itself: endpoints, and the fate of
// every field. -update writes it anew.
func TestAPIsAreAsTheDocsSay(t *testing.T) {
	var b strings.Builder
	b.WriteString(`# The APIs that Galerne speaks

Made from the code by ` + "`go test ./test/sdk -run APIs -update`" + `: change the code, not this page.

Each API is served below its own prefix (` + "`/openai/v1/...`" + `) and at the paths that its clients call by default. Where
several vendors have a path, a client is told by its headers, then by a field of its body that no other of them has; else the path
is the first chapter's that has it. Of a request's fields, *served* ones do what they say; *hints* are accepted and cannot change
the answer here; *refused* ones get a 400 that names them, unless they ask for what happens anyway. Fields that are not listed are passed over;
` + "`galerne serve --strict`" + ` refuses them too.
`)
	for _, sf := range surfaces(new(jobs.Store)) {
		document(&b, sf)
	}
	path := filepath.Join(testdeps.Root(t), "docs", "apis.md")
	if update.Value.String() == "true" {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("docs/apis.md is not what the code says; run this test with -update and read the difference")
	}
}

func document(b *strings.Builder, sf *api.Surface) {
	fmt.Fprintf(b, "\n## /%s\n\n", sf.Name)
	var marks []string
	for _, m := range sf.Marks {
		switch {
		case m.Field != "":
			marks = append(marks, "the field `"+m.Field+"`")
		case m.Prefix != "":
			marks = append(marks, fmt.Sprintf("`%s: %s…`", m.Header, m.Prefix))
		default:
			marks = append(marks, "`"+m.Header+"`")
		}
	}
	fmt.Fprintf(b, "Told by %s.\n\n| endpoint | key's scope | |\n|---|---|---|\n", strings.Join(marks, ", "))
	for _, rt := range sf.Routes {
		fate := "served"
		if rt.Note != "" {
			fate += ": " + rt.Note
		}
		if rt.Why != "" {
			fate = "not served: " + rt.Why
		}
		fmt.Fprintf(b, "| %s `%s` | %s | %s |\n", rt.Method, rt.Pattern+rt.Verb, rt.Scope, fate)
	}
	for _, a := range sf.Absent {
		fmt.Fprintf(b, "| %s `%s` | | not served: %s |\n", a.Method, a.Pattern, a.Why)
	}
	for _, rt := range sf.Routes {
		if rt.Body == nil {
			continue
		}
		served := tags(reflect.TypeOf(rt.Body))
		var hints, refused []string
		for _, f := range rt.Fields {
			switch {
			case f.Hint:
				hints = append(hints, "`"+f.Name+"`")
			case len(f.Accept) > 0:
				refused = append(refused, fmt.Sprintf("| `%s` | %s | `%s` |", f.Name, f.Why, strings.Join(f.Accept, "`, `")))
			default:
				refused = append(refused, fmt.Sprintf("| `%s` | %s | |", f.Name, f.Why))
			}
		}
		slices.Sort(hints)
		fmt.Fprintf(b, "\n### %s %s\n\n**Served:** %s.\n", rt.Method, rt.Pattern+rt.Verb, strings.Join(served, ", "))
		if len(hints) > 0 {
			fmt.Fprintf(b, "\n**Hints:** %s.\n", strings.Join(hints, ", "))
		}
		if len(refused) > 0 {
			slices.Sort(refused)
			fmt.Fprintf(b, "\n| refused | because, or instead | accepted values |\n|---|---|---|\n%s\n", strings.Join(refused, "\n"))
		}
	}
}

// tags are the names of a struct's fields in JSON, those of embedded structs among them.
func tags(t reflect.Type) (out []string) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous:
			out = append(out, tags(f.Type)...)
		case name != "" && name != "-":
			out = append(out, "`"+name+"`")
		}
	}
	slices.Sort(out)
	return out
}

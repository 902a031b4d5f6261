package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/dtype"
	"github.com/galerne-ai/galerne/internal/grammar"
	"github.com/galerne-ai/galerne/internal/hub"
	"github.com/galerne-ai/galerne/internal/metric"
	"github.com/galerne-ai/galerne/internal/serve"
	"github.com/galerne-ai/galerne/internal/zoo"
)

var update = flag.Bool("update", false, "write the tables of docs/ that are made from the code")

func page(t *testing.T, name string) (path, text string) {
	t.Helper()
	path = filepath.Join("..", "..", "docs", name)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, string(raw)
}

// TestTheMetricsTableIsWhatIsMeasured keeps the table of docs/serving.md what /metrics has.
func TestTheMetricsTableIsWhatIsMeasured(t *testing.T) {
	registry := metric.New()
	backend := serve.New(serve.Options{Registry: registry})
	defer backend.Close()
	if _, err := api.New(api.Options{Backend: backend, Surfaces: []*api.Surface{{Name: "x"}}, Registry: registry}); err != nil {
		t.Fatal(err)
	}
	descriptions := make(chan *prometheus.Desc)
	go func() {
		registry.Describe(descriptions)
		close(descriptions)
	}()
	form := regexp.MustCompile(`fqName: "(galerne_\w+)", help: "([^"]+)", .*variableLabels: \{([^}]*)\}`)
	var rows []string
	for d := range descriptions {
		if m := form.FindStringSubmatch(d.String()); m != nil {
			rows = append(rows, fmt.Sprintf("| `%s` | %s | %s |\n", m[1], strings.ReplaceAll(m[3], ",", ", "), m[2]))
		}
	}
	if len(rows) < 15 {
		t.Fatalf("%d metrics only: has the text of descriptions changed?\n%s", len(rows), rows)
	}
	slices.Sort(rows)
	want := "| metric | by | |\n|---|---|---|\n" + strings.Join(rows, "")
	path, text := page(t, "serving.md")
	before, rest, ok := strings.Cut(text, "| metric | by | |\n")
	if !ok {
		t.Fatalf("%s has no table of metrics", path)
	}
	end := strings.Index(rest, "\n\n")
	if got := "| metric | by | |\n" + rest[:end+1]; got == want {
		return
	} else if !*update {
		t.Fatalf("%s: the table is\n%s\nand should be\n%s\nrun this test with -update", path, got, want)
	}
	if err := os.WriteFile(path, []byte(before+want+rest[end+1:]), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestThePagesNameFlagsThatExist looks at each --flag of the pages, and for each flag of serve at the pages.
func TestThePagesNameFlagsThatExist(t *testing.T) {
	parser, err := kong.New(&cli{}, kong.Writers(io.Discard, io.Discard), kong.Vars{"home": "", "listen": "", "scopes": ""})
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{"--help": true, "--no-deps": true} // the last is pip's
	var ofServe []string
	var walk func(n *kong.Node)
	walk = func(n *kong.Node) {
		for _, f := range n.Flags {
			known["--"+f.Name] = true
			if n.Name == "serve" {
				ofServe = append(ofServe, "--"+f.Name)
			}
		}
		for _, c := range n.Children {
			walk(c)
		}
	}
	walk(parser.Model.Node)
	flags := regexp.MustCompile("--[a-z][a-z0-9-]+")
	for _, name := range []string{"serving.md", "models.md", "structured-output.md", "README.md"} {
		_, text := page(t, name)
		for _, f := range flags.FindAllString(text, -1) {
			if !known[f] {
				t.Errorf("%s names %s, which no command has", name, f)
			}
		}
		if name == "serving.md" {
			for _, f := range ofServe {
				if !strings.Contains(text, "`"+f) {
					t.Errorf("%s does not name serve's flag %s", name, f)
				}
			}
		}
	}
}

// TestTheIndexHasEveryPage and the pages' links among each other lead somewhere.
func TestTheIndexHasEveryPage(t *testing.T) {
	_, index := page(t, "README.md")
	pages, err := filepath.Glob(filepath.Join("..", "..", "docs", "*.md"))
	if err != nil || len(pages) < 5 {
		t.Fatal(pages, err)
	}
	links := regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
	for _, path := range pages {
		name := filepath.Base(path)
		if name != "README.md" && !strings.Contains(index, "("+name+")") {
			t.Errorf("docs/README.md does not lead to %s", name)
		}
		_, text := page(t, name)
		for _, m := range links.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), filepath.FromSlash(m[1]))); err != nil {
				t.Errorf("%s: the link %s leads nowhere", name, m[1])
			}
		}
	}
}

// TestTheModelsPageNamesWhatIsSupported: every architecture, every type of numbers.
func TestTheModelsPageNamesWhatIsSupported(t *testing.T) {
	_, text := page(t, "models.md")
	for _, a := range zoo.Supported() {
		if !strings.Contains(text, "`"+a+"`") {
			t.Errorf("the architecture %s is not named", a)
		}
	}
	for _, d := range dtype.All() {
		if !strings.Contains(text, d.String()) {
			t.Errorf("the type %s is not named", d)
		}
	}
}

// TestTheCatalogueOfTheModelsPageIsOne reads the page's example as a company's own catalogue.
func TestTheCatalogueOfTheModelsPageIsOne(t *testing.T) {
	_, text := page(t, "models.md")
	_, rest, _ := strings.Cut(text, "```json\n")
	example, _, ok := strings.Cut(rest, "```")
	file := filepath.Join(t.TempDir(), "catalogue.json")
	if err := os.WriteFile(file, []byte(example), 0o600); err != nil || !ok {
		t.Fatal(ok, err)
	}
	h, err := hub.Open(hub.Options{Home: t.TempDir(), Catalogues: []string{file}})
	if err != nil {
		t.Fatal(err)
	}
	if e := h.Catalogue().Find("acme-support"); e == nil || h.Catalogue().Default != e.Name {
		t.Errorf("%+v, default %s", e, h.Catalogue().Default)
	}
}

// TestTheStructuredOutputPageSaysWhatHappens compiles the page's examples: each schema of the table of
// refusals is refused with the code beside it, and the others are enforced.
func TestTheStructuredOutputPageSaysWhatHappens(t *testing.T) {
	_, text := page(t, "structured-output.md")
	refused := regexp.MustCompile("(?m)^\\| `(\\{.*\\})` \\| `(\\w+)` \\|").FindAllStringSubmatch(text, -1)
	if len(refused) < 5 {
		t.Fatalf("%d examples of refusals", len(refused))
	}
	for _, m := range refused {
		_, err := grammar.CompileSchema([]byte(m[1]), grammar.Options{})
		if got := api.FailureOf(err).Code; err == nil || got != m[2] {
			t.Errorf("%s: %s (%v), the page says %s", m[1], got, err, m[2])
		}
	}
	for _, block := range regexp.MustCompile("(?s)```json\n(.*?)```").FindAllStringSubmatch(text, -1) {
		if _, err := grammar.CompileSchema([]byte(block[1]), grammar.Options{}); err != nil {
			t.Errorf("%s: %v", block[1], err)
		}
	}
}

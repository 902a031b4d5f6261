package hub

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/galerne-ai/galerne/internal/testdeps"
	"pgregory.net/rapid"
)

func TestTheBuiltInCatalogueHasWhatUpNeeds(t *testing.T) {
	c, err := loadCatalogue(nil)
	if err != nil {
		t.Fatal(err)
	}
	e := c.Find("default")
	if e == nil || e.Name != "smollm2-135m" || !e.Verified() || e.Sources[0][0][:5] != "pypi:" {
		t.Fatalf("default: %+v", e)
	}
	for _, name := range []string{"all-minilm-l6-v2", "qwen2.5-coder-0.5b", "mistral-7b", "mixtral", "mistral-small", "qwen3-4b", "qwen3-8b", "qwen3-30b-a3b", "gemma-3"} {
		if c.Find(name) == nil {
			t.Errorf("%s is missing", name)
		}
	}
	for _, e := range c.Entries {
		if bytes, exact := e.Bytes(); bytes == 0 || exact != e.Verified() || e.Licence.Reference == "" || e.Parameters == 0 {
			t.Errorf("%s: %d bytes, exact %v, verified %v, %+v", e.Name, bytes, exact, e.Verified(), e.Licence)
		}
	}
}

// The tests' own files are the same models that users get: the digests that test/deps.py checks.
func TestTheCataloguesAgreeOnDigests(t *testing.T) {
	c, err := loadCatalogue(nil)
	if err != nil {
		t.Fatal(err)
	}
	tests, err := loadCatalogue([]string{filepath.Join(testdeps.Root(t), "test/catalogue.json")})
	if err != nil {
		t.Fatal(err)
	}
	a, b := c.Find("qwen2.5-coder"), tests.Find("qwen2.5-coder")
	if a.Files[0] != b.Files[0] || len(b.Sources[0]) != 6 || strings.Contains(a.Sources[0][0], "pandas") {
		t.Errorf("%+v\n%+v", a, b)
	}
	deps, err := os.ReadFile(filepath.Join(testdeps.Root(t), "test/deps.py"))
	if err != nil {
		t.Fatal(err)
	}
	for _, digest := range []string{a.Files[0].SHA256, c.Find("smollm2").Files[0].SHA256, c.Find("all-minilm").Files[1].SHA256} {
		if !strings.Contains(string(deps), digest) {
			t.Errorf("test/deps.py does not have %s", digest)
		}
	}
}

// TestTheCataloguesShapesHaveTheirParameters: a number that is wrong gives another sum, to the last.
func TestTheCataloguesShapesHaveTheirParameters(t *testing.T) {
	c, err := loadCatalogue(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range c.Entries {
		s := e.Shape
		if s == nil || e.Architecture == "bert" { // which a test of show compares with its file
			continue
		}
		q, kv := s.Heads*s.HeadWidth, s.KeyHeads*s.HeadWidth
		layer := 2*s.Width*(q+kv) + 2*s.Width // attention, norms
		switch e.Architecture {
		case "qwen2":
			layer += q + 2*kv // biases
		case "qwen3", "qwen3moe":
			layer += 2 * s.HeadWidth // norms of queries and keys
		case "gemma3":
			layer += 2*s.HeadWidth + 2*s.Width // those, and norms behind
		}
		layer += 3*s.Width*s.FeedForward*max(s.Experts, 1) + s.Width*s.Experts
		all := int64(s.Layers*layer + s.Width + s.Vocabulary*s.Width)
		if all != e.Parameters && all+int64(s.Vocabulary*s.Width) != e.Parameters { // the output matrix is the input's or another
			t.Errorf("%s: its shape has %d parameters, or %d, the catalogue says %d", e.Name, all, all+int64(s.Vocabulary*s.Width), e.Parameters)
		}
	}
}

func TestACompanysCatalogueIsMergedOverOurs(t *testing.T) {
	data := tinyGGUF(30, 1000)
	own := oneFile("house-model", data)
	own.Aliases = []string{"mistral", "smollm2"} // names that ours has as aliases
	replaced := oneFile("qwen3-8b", data)
	h := open(t, nil, own, replaced)
	c := h.Catalogue()
	if c.Find("mistral") != c.Find("house-model") || c.Find("smollm2").Name != "house-model" || c.Find("smollm2-135m") == nil {
		t.Error("an alias of the company's is not the company's")
	}
	if e := c.Find("qwen3-8b"); e.Files[0].SHA256 != digestOf(data) || c.Find("qwen3") != nil {
		t.Errorf("%+v", e)
	}
	if c.Find("default").Name != "smollm2-135m" {
		t.Error("the default changed")
	}
	path := filepath.Join(t.TempDir(), "c.json")
	os.WriteFile(path, []byte(`{"format":1,"default":"qwen3-4b"}`), 0o644)
	if c, err := loadCatalogue([]string{path}); err != nil || c.Default != "qwen3-4b" {
		t.Errorf("%v", err)
	}
}

func TestBadCataloguesAreRefusedByName(t *testing.T) {
	const ok = `"use":"chat","licence":{"spdx":"MIT","reference":"x"},"architecture":"a","parameters":1,"quantization":"q"`
	const file = `"files":[{"path":"m.gguf","sha256":"unverified"}]`
	const source = `"sources":["hf:a/b/m.gguf"]`
	models := func(m string) string { return `{"format":1,"models":[` + m + `]}` }
	for text, want := range map[string]string{
		``:                           "EOF",
		`[]`:                         "cannot unmarshal",
		`{"format":2}`:               "format is 2",
		`{"format":1} {}`:            "follows",
		`{"format":1,"modles":1}`:    "modles",
		`{"format":1,"default":"x"}`: `default "x"`,
		models(`null`):               "null",
		models(`{"name":"../x",` + ok + `,` + file + `,` + source + `}`):                                                                        "../x",
		models(`{"name":"default",` + ok + `,` + file + `,` + source + `}`):                                                                     "default",
		models(`{"name":"a",` + ok + `,` + file + `}`):                                                                                          "0 sources",
		models(`{"name":"a",` + ok + `,` + file + `,"sources":["oci:x/y"]}`):                                                                    "not supported yet",
		models(`{"name":"a",` + ok + `,` + file + `,"sources":["ftp:x/y"]}`):                                                                    "is not a source",
		models(`{"name":"a",` + ok + `,` + file + `,"sources":[["hf:a/b/x","hf:a/b/y/"]]}`):                                                     "folder",
		models(`{"name":"a",` + ok + `,` + file + `,"sources":[[]]}`):                                                                           "0 parts",
		models(`{"name":"a",` + ok + `,"files":[{"path":"../m","sha256":"unverified"}],` + source + `}`):                                        "../m",
		models(`{"name":"a",` + ok + `,"files":[{"path":"m","sha256":""}],` + source + `}`):                                                     "sha256",
		models(`{"name":"a",` + ok + `,"files":[{"path":"m","sha256":"unverified"},{"path":"M","sha256":"unverified"}],"sources":["hf:a/b/"]}`): "twice",
		models(`{"name":"a",` + ok + `,"files":[{"path":"m","sha256":"unverified"},{"path":"n","sha256":"unverified"}],` + source + `}`):        "slash",
		models(`{"name":"a",` + ok + `,"files":[{"path":"m","bytes":-1,"sha256":"unverified"}],` + source + `}`):                                "-1 bytes",
		models(`{"name":"a",` + ok + `,` + file + `,` + source + `},{"name":"b","aliases":["a"],` + ok + `,` + file + `,` + source + `}`):       "used by",
		models(`{"name":"a","licence":{"spdx":"MIT"},` + file + `,` + source + `}`):                                                             `"use"`,
		models(`{"name":"a",` + ok + `,` + file + `,` + source + `,"shape":{"layers":2}}`):                                                      `"width" is 0`,
		models(`{"name":"a","use":"chat",` + file + `,` + source + `}`):                                                                         "SPDX",
	} {
		path := filepath.Join(t.TempDir(), "company.json")
		os.WriteFile(path, []byte(text), 0o644)
		_, err := Open(Options{Home: t.TempDir(), Catalogues: []string{path}})
		if !errors.Is(err, ErrCatalogue) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "company.json") {
			t.Errorf("%s:\n  %v, wanted %q", text, err, want)
		}
	}
	if _, err := loadCatalogue([]string{"/nowhere/c.json"}); !errors.Is(err, ErrCatalogue) {
		t.Errorf("%v", err)
	}
}

func TestSourcesAreReadAndWritten(t *testing.T) {
	for text, want := range map[string]Source{
		"hf:org/repo/f.gguf":               {Kind: "hf", Repo: "org/repo", Revision: "main", Path: "f.gguf"},
		"hf:org/repo/sub/f.gguf@refs/pr/1": {Kind: "hf", Repo: "org/repo", Revision: "refs/pr/1", Path: "sub/f.gguf"},
		"hf:org/repo@v1":                   {Kind: "hf", Repo: "org/repo", Revision: "v1", Folder: true},
		"hf:org/repo/sub/":                 {Kind: "hf", Repo: "org/repo", Revision: "main", Path: "sub/", Folder: true},
		"pypi:a-b==1.2!a_b/m.gguf":         {Kind: "pypi", Package: "a-b==1.2", Path: "a_b/m.gguf"},
		"pypi:a==1.2.post1+local":          {Kind: "pypi", Package: "a==1.2.post1+local", Folder: true},
		"file:/x/y.gguf":                   {Kind: "file", Path: "/x/y.gguf"},
		"file:///x/y/":                     {Kind: "file", Path: "/x/y/", Folder: true},
	} {
		got, err := ParseSource(text)
		if err != nil || got != want {
			t.Errorf("%s: %+v %v", text, got, err)
		}
		if again, err := ParseSource(got.String()); err != nil || again != got {
			t.Errorf("%s is written %s and read %+v, %v", text, got, again, err)
		}
	}
	for _, text := range []string{"", "hf", "hf:", "hf:repo", "hf:/r/f", "hf:o/../f", "hf:o/r/../../f", "hf:o/r//f", "hf:o/r/f@", "hf:o/r/f@../x", "hf:o/r/f@-x", "hf:o/r/a\\b",
		"hf:o/r/\x1b[2J", "hf:-o/r/f", "hf:o/r/-f", "pypi:a", "pypi:a==", "pypi:==1", "pypi:-r==1", "pypi:a==-1", "pypi:a==1!", "pypi:a==1!../x", "pypi:a==1!/etc/passwd",
		"pypi:a==1 --index-url=x", "pypi:a==1;x", "file:", "s3:x", "hf:" + strings.Repeat("a", 2000)} {
		if s, err := ParseSource(text); !errors.Is(err, ErrSource) {
			t.Errorf("%q gave %+v, %v", text, s, err)
		}
	}
	if _, err := ParseSource("oci:registry/model:1"); !errors.Is(err, ErrSource) || !strings.Contains(err.Error(), "not supported yet") {
		t.Errorf("%v", err)
	}
}

func FuzzParseSource(f *testing.F) {
	for _, seed := range []string{"hf:org/repo/f.gguf@main", "pypi:a==1!b/c", "file:/x", "hf:o/r/@x", "oci:x", "hf:o/r/a@b@c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSource(text)
		if err != nil {
			return
		}
		again, err := ParseSource(s.String())
		if err != nil || again != s {
			t.Errorf("%q is written %q and read %+v, %v", text, s, again, err)
		}
		if s.Kind != "file" && s.Path != "" && !filepath.IsLocal(s.Path) {
			t.Errorf("%q leaves its folder", text)
		}
	})
}

func FuzzCatalogue(f *testing.F) {
	f.Add(builtin)
	f.Add([]byte(`{"format":1,"models":[null]}`))
	f.Add([]byte(`{"format":1,"models":[{"name":"a","sources":[["a"],1,null]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := &Catalogue{}
		if c.merge("fuzz", data) != nil {
			return
		}
		for _, e := range c.Entries {
			if c.Find(e.Name) != e {
				t.Errorf("%q is not found", e.Name)
			}
		}
	})
}

// Levenshtein's distance is a metric: the laws that a wrong recurrence breaks.
func TestDistanceIsAMetric(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringMatching(`[abc]{0,6}`)
		a, b, c := word.Draw(t, "a"), word.Draw(t, "b"), word.Draw(t, "c")
		ab := distance(a, b)
		if ab != distance(b, a) || (ab == 0) != (a == b) || distance(a, c) > ab+distance(b, c) || ab > max(len(a), len(b)) {
			t.Fatalf("distance(%q, %q) = %d", a, b, ab)
		}
	})
	if d := distance("kitten", "sitting"); d != 3 {
		t.Errorf("kitten, sitting: %d", d)
	}
}

func TestResolveFindsAllThatIsAModel(t *testing.T) {
	data := tinyGGUF(31, 1000)
	f := newFakeHub(t, map[string][]byte{"m.gguf": data})
	e := oneFile("tiny", data)
	e.Aliases = []string{"small"}
	h := open(t, f, e)
	if _, err := h.Resolve("small"); !errors.Is(err, ErrNotPulled) || !strings.Contains(err.Error(), "galerne pull tiny") {
		t.Errorf("%v", err)
	}
	if _, err := h.Resolve("default"); !errors.Is(err, ErrNotPulled) || !strings.Contains(err.Error(), "galerne pull smollm2-135m") {
		t.Errorf("%v", err)
	}
	if _, err := h.Resolve("hf:org/repo/m.gguf@v2"); !errors.Is(err, ErrNotPulled) || !strings.Contains(err.Error(), "galerne pull hf:org/repo/m.gguf@v2") {
		t.Errorf("%v", err)
	}
	tiny := pull(t, h, "tiny")
	source := pull(t, h, "hf:org/repo/m.gguf@v2")
	folder := t.TempDir()
	file := filepath.Join(folder, "Own.Model.gguf")
	os.WriteFile(file, data, 0o644)
	for what, want := range map[string]Resolved{
		"tiny":                  {Name: "tiny", Path: tiny.Path},
		"TINY":                  {Name: "tiny", Path: tiny.Path},
		"small":                 {Name: "tiny", Path: tiny.Path},
		"hf:org/repo/m.gguf@v2": {Name: "hf:org/repo/m.gguf@v2", Path: source.Path},
		file:                    {Name: "Own.Model", Path: file},
		"file:" + file:          {Name: "Own.Model", Path: file},
		folder:                  {Name: filepath.Base(folder), Path: folder},
	} {
		got, err := h.Resolve(what)
		if err != nil || got.Name != want.Name || got.Path != want.Path {
			t.Errorf("%s: %+v %v", what, got, err)
		}
	}
	for what, want := range map[string]string{
		"tinny":                                "did you mean tiny",
		"qwen3-30b":                            "did you mean qwen3-30b-a3b",
		"minilm":                               "all-minilm-l6-v2",
		"zzzzzzzzzz":                           "list --available",
		"":                                     "list --available",
		"./nowhere.gguf":                       "no file or folder",
		"nowhere.gguf":                         "no file or folder",
		"../../etc/nothing":                    "no file or folder",
		"bad\x1b[31m":                          "cannot be known",
		"Org/Repo-GGUF":                        "for a repository on Hugging Face write hf:Org/Repo-GGUF",
		"hf.co/Org/Repo-GGUF":                  "for a repository on Hugging Face write hf:Org/Repo-GGUF",
		"https://huggingface.co/Org/Repo-GGUF": "for a repository on Hugging Face write hf:Org/Repo-GGUF",
		"https://huggingface.co/Org/Repo/blob/main/a.gguf":        "write hf:Org/Repo/a.gguf",
		"https://huggingface.co/Org/Repo/resolve/v2/b/a.gguf?x=1": "write hf:Org/Repo/b/a.gguf@v2",
		"https://huggingface.co/Org/Repo/tree/main":               "write hf:Org/Repo",
		"models/mine.gguf":    "no file or folder models/mine.gguf, and no model of that name",
		"name-smollm2-135m.x": "no model",
	} {
		if _, err := h.Resolve(what); !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, wanted %q", what, err, want)
		}
	}
	for what, want := range map[string]string{"tinny": "did you mean tiny", "Org/Repo": "hf:Org/Repo"} {
		if _, err := h.Pull(context.Background(), what, PullOptions{}); !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := h.Remove(context.Background(), "tinny", true); !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), "did you mean tiny?") {
		t.Errorf("%v", err)
	}
	if _, err := h.Remove(context.Background(), "minilm", true); err == nil || strings.Contains(err.Error(), "did you mean") {
		t.Errorf("what is not here cannot be meant: %v", err)
	}
	os.Remove(tiny.Path)
	if _, err := h.Resolve("tiny"); !errors.Is(err, ErrStore) || !strings.Contains(err.Error(), "--again") {
		t.Errorf("damaged: %v", err)
	}
	pull(t, h, "tiny")
	if _, err := h.Resolve("tiny"); err != nil {
		t.Errorf("a pull should mend what is damaged: %v", err)
	}
}

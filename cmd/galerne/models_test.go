package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/galerne-ai/galerne/internal/hub"
	"github.com/galerne-ai/galerne/internal/testdeps"
)

// command runs a command line in this process, with nothing of the machine's environment.
func command(t *testing.T, env environment, args ...string) (status int, out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	status = run(args, strings.NewReader(""), &o, &e, env)
	return status, o.String(), e.String()
}

// world is an empty data folder, a mirror of Hugging Face that has one real model, and a catalogue with it.
type world struct {
	env       environment
	catalogue string
	model     string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	model := testdeps.Dep(t, "models/smollm2-135m.gguf")
	mirror := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/org/repo/resolve/main/m.gguf" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		http.ServeFile(w, r, model)
	}))
	t.Cleanup(mirror.Close)
	data, err := os.ReadFile(model)
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`{"format":1,"default":"tiny","models":[{"name":"tiny","use":"chat","architecture":"llama","parameters":134515008,"quantization":"Q4_1",
		"licence":{"spdx":"Apache-2.0","reference":"https://example.org/licence"},
		"files":[{"path":"m.gguf","bytes":%d,"sha256":"%x"}],"sources":["hf:org/repo/m.gguf"]}]}`, len(data), sha256.Sum256(data))
	catalogue := filepath.Join(t.TempDir(), "company.json")
	if err := os.WriteFile(catalogue, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return &world{environment{home: t.TempDir(), hfURL: mirror.URL}, catalogue, model}
}

func (w *world) run(t *testing.T, args ...string) (status int, out, errOut string) {
	t.Helper()
	return command(t, w.env, append([]string{"--catalogue", w.catalogue}, args...)...)
}

// must runs a command that has to succeed.
func (w *world) must(t *testing.T, args ...string) string {
	t.Helper()
	status, out, errOut := w.run(t, args...)
	if status != 0 {
		t.Fatalf("galerne %v: status %d\n%s%s", args, status, out, errOut)
	}
	return out
}

func TestAModelsWholeLife(t *testing.T) {
	w := newWorld(t)
	if status, out, errOut := w.run(t, "list"); status != 0 || out != "" || !strings.Contains(errOut, "galerne pull tiny") {
		t.Errorf("an empty list: %d %q %q", status, out, errOut)
	}
	if out := w.must(t, "show", "tiny"); !strings.Contains(out, "galerne pull tiny") || !strings.Contains(out, "https://example.org/licence") {
		t.Errorf("show before the pull:\n%s", out)
	}
	if out := w.must(t, "pull", "tiny"); out != "tiny is here (98.4 MB; its digest is right)\n" {
		t.Errorf("pull: %q", out)
	}
	if out := w.must(t, "pull", "tiny"); out != "tiny is here (98.4 MB)\n" {
		t.Errorf("pull again: %q", out)
	}
	var list []struct{ Name, Path, Checked string }
	if err := json.Unmarshal([]byte(w.must(t, "list", "--json")), &list); err != nil || len(list) != 1 || list[0].Name != "tiny" || list[0].Checked != "catalogue" {
		t.Errorf("list --json: %+v %v", list, err)
	}
	if out := w.must(t, "list", "--available"); !strings.Contains(out, "mixtral") || !strings.Contains(out, "Apache-2.0        yes") {
		t.Errorf("list --available:\n%s", out)
	}
	if out := w.must(t, "rm", "--dry-run", "default"); out != "Would remove tiny: 1 file, 98.4 MB of disk.\n" {
		t.Errorf("rm --dry-run: %q", out)
	}
	if out := w.must(t, "rm", "tiny"); out != "Removed tiny: 1 file, 98.4 MB of disk.\n" {
		t.Errorf("rm: %q", out)
	}
	if out := w.must(t, "list", "--json"); out != "[]\n" {
		t.Errorf("the list after rm: %q", out)
	}
	if status, _, errOut := w.run(t, "rm", "tiny"); status != 1 || !strings.Contains(errOut, "galerne list") {
		t.Errorf("rm twice: %d %q", status, errOut)
	}
}

func TestShowSaysWhatServingNeeds(t *testing.T) {
	w := newWorld(t)
	show := func(args ...string) (f modelFacts) {
		t.Helper()
		if err := json.Unmarshal([]byte(w.must(t, append([]string{"show", "--json"}, args...)...)), &f); err != nil {
			t.Fatal(err)
		}
		return f
	}
	f := show(w.model)
	if f.Name != "smollm2-135m" || f.Architecture != "llama" || f.Parameters != 134515008 || f.Context != 8192 || f.Tokenizer.Tokens != 49152 || f.Shape.Layers != 30 ||
		f.Template == nil || !strings.Contains(*f.Template, "<|im_start|>") || len(f.Types) != 3 || f.Types[0].Type != "Q4_1" || f.Types[0].Tensors != 210 || len(f.Problems) > 0 {
		t.Errorf("%+v", f)
	}
	// 30 layers × 3 key heads × key and value × (64 wide × 2 bytes, and a scale where they are integers: with AMX).
	if got := f.Memory.KV / int64(f.Memory.Tokens); got != 30*3*2*64*2 && got != 30*3*2*(64*2+4) {
		t.Errorf("a token of the cache takes %d bytes", got)
	}
	if small := show("--context", "1024", "--cache", "q8", w.model); small.Memory.KV*8 >= f.Memory.KV {
		t.Errorf("1024 tokens of 8 bits take %d, 8192 of 16 bits %d", small.Memory.KV, f.Memory.KV)
	}
	b := show(testdeps.Dep(t, "models/all-minilm-l6-v2"))
	if b.Architecture != "bert" || b.Memory == nil || b.Memory.KV != 0 || b.Template != nil || b.Tokenizer == nil {
		t.Errorf("%+v", b)
	}
	if out := w.must(t, "show", w.model); !strings.Contains(out, "and a cache: weights") || !strings.Contains(out, "chat template, 368 bytes") {
		t.Errorf("%s", out)
	}
}

// TestShowEstimatesWhatIsNotHere: near to what is said after the pull, and called an estimate.
func TestShowEstimatesWhatIsNotHere(t *testing.T) {
	env := environment{home: t.TempDir()}
	show := func(args ...string) (f modelFacts) {
		t.Helper()
		status, out, errOut := command(t, env, append([]string{"show", "--json"}, args...)...)
		if err := json.Unmarshal([]byte(out), &f); status != 0 || err != nil {
			t.Fatalf("%v %s", err, errOut)
		}
		return f
	}
	for name, file := range map[string]string{"smollm2": "smollm2-135m.gguf", "qwen2.5-coder": "qwen2.5-coder-0.5b.gguf", "all-minilm": "all-minilm-l6-v2"} {
		for _, flags := range [][]string{nil, {"--context", "1024", "--cache", "q8"}, {"--memory", "900MB"}} {
			about, exact := show(append(flags, name)...), show(append(flags, testdeps.Dep(t, "models/"+file))...)
			if about.Memory == nil || exact.Memory == nil {
				t.Fatalf("%s: %+v, %+v", name, about, exact)
			}
			if *about.Shape != *exact.Shape || about.Context != exact.Context || !about.Estimated || exact.Estimated || about.Here {
				t.Errorf("%s: %+v %+v, the file has %+v %+v", name, about, about.Shape, exact, exact.Shape)
			}
			if off := float64(about.Memory.Total)/float64(exact.Memory.Total) - 1; off < -0.02 || off > 0.03 || about.Memory.Scratch != exact.Memory.Scratch {
				t.Errorf("%s %v: %+v, the file takes %+v", name, flags, about.Memory, exact.Memory)
			}
		}
	}
	big := show("mixtral", "--memory", "16GB")
	if x := big.Memory.Experts; x == nil || x.Count != 256 || x.Kept < 100 || x.Kept > 160 || big.Memory.Total > 16e9 {
		t.Errorf("%+v", big.Memory)
	}
	cache := regexp.MustCompile(`(23\.0 kB a token; serve plans 32768 tokens \(755\.0|23\.8 kB a token; serve plans 32768 tokens \(778\.6) MB\), or as many as there is room for`)
	if _, out, _ := command(t, env, "show", "smollm2"); !strings.Contains(out, "and a cache: weights 98.4 MB") || !cache.MatchString(out) || !strings.Contains(out, "estimate") {
		t.Errorf("%s", out)
	}
	if out := newWorld(t).must(t, "show", "tiny"); !strings.Contains(out, "memory         about 98.4 MB for the weights; ") {
		t.Errorf("%s", out)
	}
}

func TestModelCommandsExplainTheirFailures(t *testing.T) {
	w := newWorld(t)
	junk := filepath.Join(t.TempDir(), "junk.gguf")
	os.WriteFile(junk, []byte("junk"), 0o644)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"pull", "tinny"}, "did you mean tiny?"},
		{[]string{"pull", "hf:org/absent/m.gguf"}, "HTTP 404"},
		{[]string{"pull", "oci:x/y"}, "not supported yet"},
		{[]string{"pull", "--name", "x", "tiny"}, "source only"},
		{[]string{"pull", "--sha256", "00", "hf:org/repo/m.gguf"}, "64 hexadecimal digits"},
		{[]string{"pull", "--sha256", strings.Repeat("0", 64), "hf:org/repo/m.gguf"}, "refused and removed"},
		{[]string{"show", junk}, "neither GGUF nor"},
		{[]string{"show", "./absent.gguf"}, "no file or folder"},
		{[]string{"show", "--context=-1", "tiny"}, "--context"},
		{[]string{"show", "hf:org/repo/m.gguf"}, "galerne pull hf:org/repo/m.gguf"},
		{[]string{"rm"}, "--unfinished"},
	} {
		if status, _, errOut := w.run(t, c.args...); status != 1 || !strings.Contains(errOut, c.want) {
			t.Errorf("galerne %v: status %d, %q; wanted %q", c.args, status, errOut, c.want)
		}
	}
	if status, _, errOut := command(t, environment{}, "--home", "", "list"); status != 1 || !strings.Contains(errOut, "GALERNE_HOME") {
		t.Errorf("no home: %d %q", status, errOut)
	}
	if status, _, errOut := command(t, environment{home: t.TempDir(), proxy: "ftp://x"}, "list"); status != 1 || !strings.Contains(errOut, "proxy") {
		t.Errorf("a bad proxy: %d %q", status, errOut)
	}
	if out := w.must(t, "rm", "--unfinished", "--json"); !strings.Contains(out, `"files": 0`) {
		t.Errorf("%q", out)
	}
}

func TestTextOfOthersCannotPlayWithTheTerminal(t *testing.T) {
	if got := printable("a\x1b[2Jb\u202ec\n\té"); got != "a\\u001b[2Jb\\u202ec\n\té" {
		t.Errorf("%q", got)
	}
}

func TestProgressOffATerminalIsALineNowAndThen(t *testing.T) {
	var said []string
	l := &lines{say: func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }, name: "m"}
	l.show(hub.Progress{Phase: hub.Fetching, File: "f", Done: 49, Total: 100, Rate: 10})
	l.show(hub.Progress{Phase: hub.Fetching, File: "f", Done: 50, Total: 100}) // too soon
	l.show(hub.Progress{Phase: hub.Waiting, File: "f"})
	if len(said) != 2 || said[0] != "m: fetching f: 49%, 49 B of 100 B, 10 B/s, 5s left" || said[1] != "m: waiting for another pull of f" {
		t.Errorf("%q", said)
	}
}

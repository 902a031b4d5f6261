// Package sdk answers: do the vendors' own clients understand us? Each test runs one official client,
// from a Python file beside this one, against the real surfaces over a loopback socket; the answers
// come from scripts, so that every event is known. Tests with real models are in test/.
package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/anthropic"
	"github.com/galerne-ai/galerne/internal/api/apitest"
	"github.com/galerne-ai/galerne/internal/api/azure"
	"github.com/galerne-ai/galerne/internal/api/bedrock"
	"github.com/galerne-ai/galerne/internal/api/cohere"
	"github.com/galerne-ai/galerne/internal/api/gemini"
	"github.com/galerne-ai/galerne/internal/api/hf"
	"github.com/galerne-ai/galerne/internal/api/mistral"
	"github.com/galerne-ai/galerne/internal/api/ollama"
	"github.com/galerne-ai/galerne/internal/api/openai"
	"github.com/galerne-ai/galerne/internal/api/openai/batches"
	"github.com/galerne-ai/galerne/internal/api/openai/responses"
	"github.com/galerne-ai/galerne/internal/api/openai/stored"
	"github.com/galerne-ai/galerne/internal/api/replicate"
	"github.com/galerne-ai/galerne/internal/api/together"
	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/jobs"
	"github.com/galerne-ai/galerne/internal/testdeps"
)

// keepFor is how long answers of the Responses API are kept.
const keepFor = 30 * 24 * time.Hour

// surfaces are all vendors, in the order of the real wiring.
func surfaces(kept *jobs.Store) []*api.Surface {
	own := openai.Surface(slices.Concat(responses.Stored(kept, keepFor), stored.Routes(kept, keepFor), batches.Routes(kept))...)
	return []*api.Surface{own, azure.Surface(own), anthropic.Surface(kept), ollama.Surface(shelf{}), gemini.Surface(), mistral.Surface(), bedrock.Surface(), hf.Surface(own), together.Surface(), cohere.Surface(), replicate.Surface(replicate.Options{Store: kept, Send: post, Secret: []byte("a secret of the tests")})}
}

// TestOfficialClientsUnderstandUs runs the checks of every vendor's Python client: the files VENDOR_*.py,
// with plain functions named test_*; what a function raises is the failure.
func TestOfficialClientsUnderstandUs(t *testing.T) {
	pythonChecks(t, testdeps.Python(t), "openai", "anthropic", "ollama", "mistral", "cohere", "hf", "together", "gemini", "bedrock", "replicate")
}

// TestOlderClientsUnderstandUs runs the same files with the clients' older generation.
func TestOlderClientsUnderstandUs(t *testing.T) {
	pythonChecks(t, testdeps.Dep(t, "venv-old/bin/python"), "openai", "anthropic", "gemini", "mistral", "together")
}

func pythonChecks(t *testing.T, python string, vendors ...string) {
	for _, vendor := range vendors {
		t.Run(vendor, func(t *testing.T) {
			name := vendor
			if other, ok := map[string]string{"mistral": "mistralai", "hf": "huggingface_hub", "gemini": "google.genai", "bedrock": "boto3"}[vendor]; ok {
				name = other
			}
			if err := exec.Command(python, "-c", "import "+name).Run(); err != nil {
				t.Skipf("NOT TESTED: the Python package %s is missing: run `make deps`", name)
			}
			files, err := filepath.Glob(vendor + "_*.py")
			if err != nil {
				t.Fatal(err)
			}
			check(t, ".", python, append([]string{"run.py"}, files...)...)
		})
	}
}

// TestOfficialNodeClientsUnderstandUs does the same for Node: one file a vendor in node/, whose
// exported functions are the checks.
func TestOfficialNodeClientsUnderstandUs(t *testing.T) {
	node, folder := testdeps.Node(t, "test/sdk/node/*.mjs")
	for _, vendor := range []string{"openai", "ai", "anthropic", "ollama", "mistral", "cohere", "replicate"} {
		t.Run(vendor, func(t *testing.T) { check(t, folder, node, "run.mjs", vendor+"_checks.mjs") })
	}
}

// check runs a program of checks against servers of its own.
func check(t *testing.T, folder, program string, args ...string) {
	t.Helper()
	url := serve(t, api.Options{}).URL
	keyed := serve(t, api.Options{Keys: keys{}}).URL
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "GALERNE_TEST_URL="+url, "GALERNE_TEST_KEYED_URL="+keyed, "NO_PROXY=*")
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatalf("%s: %v", strings.Join(args, " "), err)
	}
	if !strings.Contains(string(out), "checks passed") {
		t.Fatal("no check has run")
	}
}

// keys are "right", which may do everything, and "limited", which may call thrice a minute.
type keys struct{}

func (keys) Any() bool { return true }

func (keys) Lookup(_ context.Context, c api.Credential) (*api.Key, error) {
	if c.Form == api.Signature4 {
		return &api.Key{ID: c.Secret}, c.Signed("right", time.Now())
	}
	switch c.Secret {
	case "right":
		return &api.Key{ID: "right"}, nil
	case "limited":
		return &api.Key{ID: "limited", Limits: api.Limits{Requests: 3, Tokens: 1000}}, nil
	}
	return nil, api.ErrKey
}

// shelf is a store of models that can pull "m", and breaks while it pulls "broken".
type shelf struct{}

func (shelf) Pull(_ context.Context, name string, progress func(ollama.Progress)) error {
	if name != "m" && name != "broken" {
		return chat.ErrModel.Because("hub: nobody knows %q", name)
	}
	progress(ollama.Progress{Status: "pulling m.gguf", Total: 100, Done: 40})
	if name == "broken" {
		return errors.New("a secret of ours")
	}
	return nil
}

func (shelf) Copy(context.Context, string, string) error { return nil }
func (shelf) Delete(context.Context, string) error       { return nil }

// server is a server of all surfaces, beside what the checks ask of the test itself.
type server struct {
	*apitest.Backend
	mu    sync.Mutex
	tries map[string][]string // retry-count headers that came for a name
}

// serve plays testdata/*.script: the file's name is the model's.
//
//	GET  /test/asked   the latest request that the backend got, as JSON
//	GET  /test/live    how many answers are not closed
//	POST /test/try/NAME/SCRIPT/N/... the first N calls are answered by SCRIPT, whatever model they ask
//	GET  /test/tries/NAME            their retry-count headers
//	     /test/raw/NAME/...   the file testdata/traps/NAME, whatever was asked: its first line is the Content-Type
func serve(t *testing.T, o api.Options) *httptest.Server {
	t.Helper()
	s := &server{Backend: &apitest.Backend{Scripts: map[string]string{}}, tries: map[string][]string{}}
	files, err := filepath.Glob("testdata/*.script")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts (%v)", err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		s.Scripts[strings.TrimSuffix(filepath.Base(f), ".script")] = string(text)
	}
	s.Scripts[""] = s.Scripts["plain"]
	s.Scripts["smollm2-135m"] = s.Scripts["plain"]
	for _, name := range []string{"m", "org/m:q4"} {
		m, _ := (&apitest.Backend{}).Model(context.Background(), "m")
		m.Name = name
		s.List = append(s.List, *m)
	}
	s.Unlisted = []chat.Model{{Name: "sorter", Labels: []string{"good", "bad"}, Context: 512}}
	kept, work := keep(t)
	o.Backend, o.Surfaces, o.KeepAlive = s, surfaces(kept), 200*time.Millisecond
	inner, err := api.New(o)
	if err != nil {
		t.Fatal(err)
	}
	work(inner)
	h := httptest.NewServer(s.around(inner))
	t.Cleanup(h.Close)
	return h
}

// instead marks a request that another script answers than its model's.
type instead struct{}

// Respond implements chat.Responder. The model "judge" says yes to the questions of package moderate that a
// threat and an insult deserve.
func (s *server) Respond(ctx context.Context, r *chat.Request) (chat.Stream, error) {
	script, _ := ctx.Value(instead{}).(string)
	if r.Model == "judge" {
		script = "says_no"
		if q := r.Messages[1].Parts[0].Text; strings.Contains(q, "kill") && strings.Contains(q, "injury?") || strings.Contains(q, "idiot") && strings.Contains(q, "insult") {
			script = "says_yes"
		}
	}
	if script != "" {
		played := *r
		played.Model = script
		r = &played
	}
	return s.Backend.Respond(ctx, r)
}

func (s *server) around(inner http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", inner)
	mux.HandleFunc("GET /test/asked", func(w http.ResponseWriter, r *http.Request) {
		all := s.Asked()
		if len(all) == 0 {
			http.Error(w, "nothing was asked", http.StatusNotFound)
			return
		}
		_ = json.NewEncoder(w).Encode(all[len(all)-1])
	})
	mux.HandleFunc("GET /test/live", func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(s.Live())
	})
	mux.HandleFunc("POST /test/try/{name}/{script}/{n}/", func(w http.ResponseWriter, r *http.Request) {
		name, script := r.PathValue("name"), r.PathValue("script")
		n, _ := strconv.Atoi(r.PathValue("n"))
		s.mu.Lock()
		s.tries[name] = append(s.tries[name], r.Header.Get("X-Stainless-Retry-Count"))
		count := len(s.tries[name])
		s.mu.Unlock()
		if count <= n {
			r = r.WithContext(context.WithValue(r.Context(), instead{}, script))
		}
		http.StripPrefix("/test/try/"+name+"/"+script+"/"+r.PathValue("n"), inner).ServeHTTP(w, r)
	})
	mux.HandleFunc("/test/raw/{name}/", func(w http.ResponseWriter, r *http.Request) {
		text, err := os.ReadFile(filepath.Join("testdata", "traps", filepath.Base(r.PathValue("name"))))
		if err != nil {
			http.NotFound(w, r)
			return
		}
		kind, body, _ := strings.Cut(string(text), "\n")
		w.Header().Set("Content-Type", kind)
		_, _ = w.Write([]byte(strings.TrimSuffix(body, "(end)\n"))) // a file without its last newline is hard to keep
	})
	mux.HandleFunc("GET /test/tries/{name}", func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		_ = json.NewEncoder(w).Encode(s.tries[r.PathValue("name")])
	})
	return mux
}

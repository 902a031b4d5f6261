package binary

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/galerne-ai/galerne/internal/testdeps"
)

// schemas gives n different JSON Schemas: a quarter of the official test suite's, a quarter tools'
// parameters, and invented ones of every kind.
func schemas(t testing.TB, n int) []string {
	t.Helper()
	r := rand.New(rand.NewPCG(31, 32))
	m := testdeps.Schemas{Rand: r}
	var out []string
	seen := map[string]bool{}
	add := func(s string) {
		if !seen[s] && strings.HasPrefix(s, "{") {
			seen[s] = true
			out = append(out, s)
		}
	}
	for _, draft := range []string{"draft2020-12", "draft7"} {
		files, _ := filepath.Glob(filepath.Join(testdeps.Dep(t, "jsonschema/tests"), draft, "*.json"))
		for _, file := range files {
			var groups []struct{ Schema json.RawMessage }
			text, err := os.ReadFile(file)
			if err != nil || json.Unmarshal(text, &groups) != nil {
				t.Fatalf("%s: %v", file, err)
			}
			for _, g := range groups {
				if draft == "draft7" && strings.HasPrefix(string(g.Schema), "{") { // there it is not written down
					g.Schema = []byte(`{"$schema":"http://json-schema.org/draft-07/schema#",` + string(g.Schema[1:]))
				}
				var compact bytes.Buffer
				if json.Compact(&compact, g.Schema) == nil {
					add(compact.String())
				}
			}
		}
	}
	r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	out = out[:min(len(out), n/4)]
	for len(out) < n/2 {
		add(m.Tool())
	}
	for len(out) < n {
		add(m.Document())
	}
	return out
}

// formed is an answer to a schema.
type formed struct {
	status int
	code   string // of an error
	text   string
	finish string
}

func (s *server) formed(schema string, seed, tokens int) (a formed) {
	body, err := json.Marshal(map[string]any{"model": "smollm2-135m", "seed": seed, "temperature": 1, "max_tokens": tokens,
		"messages":        []any{map[string]string{"role": "user", "content": "Invent an example in JSON."}},
		"response_format": map[string]any{"type": "json_schema", "json_schema": map[string]any{"name": "example", "schema": json.RawMessage(schema)}}})
	if err != nil {
		return formed{code: err.Error()}
	}
	r, err := http.Post(s.url+"/v1/chat/completions", "application/json", bytes.NewReader(body))
	if err != nil {
		return formed{code: err.Error()}
	}
	defer r.Body.Close()
	var out struct {
		Error   struct{ Code string }
		Choices []struct {
			Message      struct{ Content string }
			FinishReason string `json:"finish_reason"`
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&out); err != nil {
		return formed{code: err.Error()}
	}
	a.status, a.code = r.StatusCode, out.Error.Code
	if len(out.Choices) == 1 {
		a.text, a.finish = out.Choices[0].Message.Content, out.Choices[0].FinishReason
	}
	return a
}

// ask sends every schema, many at once. An answer whose tokens are too few for the shortest that fits is
// asked for again with more, as a program would.
func (s *server) ask(all []string) (answers []formed, again int) {
	answers = make([]formed, len(all))
	var wait sync.WaitGroup
	var mu sync.Mutex
	next := 0
	for range 32 {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for {
				mu.Lock()
				i := next
				next++
				mu.Unlock()
				if i >= len(all) {
					return
				}
				answers[i] = s.formed(all[i], i, 32)
				if a := answers[i]; a.status == http.StatusOK && a.finish == "length" && !json.Valid([]byte(a.text)) {
					mu.Lock()
					again++
					mu.Unlock()
					answers[i] = s.formed(all[i], i, 128)
				}
			}
		}()
	}
	wait.Wait()
	return answers, again
}

// TestAThousandSchemas: the 135M model answers a thousand different schemas, and Python's jsonschema finds
// every answer valid.
func TestAThousandSchemas(t *testing.T) {
	t.Parallel()
	const wanted = 1000
	s := start(t, t.TempDir(), "serve", small(t), "--context", "1024")
	all := schemas(t, wanted*11/10)
	answers, again := s.ask(all)
	var claims testdeps.Claims
	refused, finish := map[string]int{}, map[string]int{}
	for i, a := range answers {
		if a.status != http.StatusOK {
			if refused[a.code]++; a.code != "unsupported_schema" && a.code != "unsatisfiable_grammar" && a.code != "invalid_schema" {
				t.Errorf("%d %s: %s", a.status, a.code, all[i])
			}
			continue
		}
		finish[a.finish]++
		claims.Add(t, testdeps.Claim{Schema: json.RawMessage(all[i]), Text: a.text, Match: true})
	}
	t.Logf("%d answers, ended by %v, %d asked for again, refused %v", claims.Count, finish, again, refused)
	if claims.Count < wanted || again > wanted/8 || finish["stop"] < wanted/4 {
		t.Error("too few answers")
	}
	claims.Check(t)
}

package binary

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestAModelIsPulledUsedCopiedAndDeletedThroughTheAPI does it as Ollama's clients do, against a server
// that begins with no model, and against one whose models were named.
func TestAModelIsPulledUsedCopiedAndDeletedThroughTheAPI(t *testing.T) {
	t.Parallel()
	file := realModel(t)
	url, _ := hugging(t, file, 0)
	catalogue := catalogueOf(t, len(file), fmt.Sprintf("%x", sha256.Sum256(file)))
	for _, models := range [][]string{nil, {small(t)}} {
		t.Run(fmt.Sprint(len(models), " named"), func(t *testing.T) {
			t.Parallel()
			address := freePort(t)
			cmd := command(t, t.TempDir(), append([]string{"--catalogue", catalogue, "serve", "--listen", address, "--context", "512"}, models...)...)
			cmd.Env = append(cmd.Env, "HF_ENDPOINT="+url)
			s := started(t, cmd, address)
			ask := func(method, path, body string, want int, says ...string) {
				t.Helper()
				r, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				a, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				defer a.Body.Close()
				text, err := io.ReadAll(a.Body)
				if err != nil || a.StatusCode != want {
					t.Fatalf("%s %s: %d %s %v", method, path, a.StatusCode, text, err)
				}
				for _, word := range says {
					if no, ok := strings.CutPrefix(word, "not "); ok == strings.Contains(string(text), no) {
						t.Errorf("%s %s %s: %q in %s", method, path, body, word, text)
					}
				}
			}
			ask("POST", "/api/chat", `{"model":"tiny","messages":[{"role":"user","content":"hi"}]}`, 404, "model 'tiny' not found")
			ask("POST", "/api/pull", `{"model":"tiny"}`, 200, `"status":"fetching model.gguf"`, fmt.Sprintf(`"total":%d`, len(file)), `{"status":"success"}`)
			ask("POST", "/api/pull", `{"model":"tiny","stream":false}`, 200, `{"status":"success"}`)
			ask("POST", "/api/chat", `{"model":"tiny:latest","stream":false,"options":{"num_predict":3},"messages":[{"role":"user","content":"hi"}]}`, 200, `"done":true`)
			ask("POST", "/api/copy", `{"source":"tiny","destination":"mine"}`, 200)
			ask("POST", "/api/copy", `{"source":"tiny","destination":"../mine"}`, 400, "cannot be a name")
			ask("DELETE", "/api/delete", `{"model":"tiny"}`, 200)
			ask("GET", "/api/tags", "", 200, `"mine:latest"`, `not "tiny:latest"`)
			ask("GET", "/api/ps", "", 200, `not "tiny:latest"`)
			ask("POST", "/api/generate", `{"model":"mine","prompt":"hi","stream":false,"options":{"num_predict":3}}`, 200, `"done":true`)
			ask("DELETE", "/api/delete", `{"model":"tiny"}`, 404, "lists those")
			ask("POST", "/api/pull", `{"model":"file:/etc/passwd"}`, 400, "server's machine")
			ask("DELETE", "/api/delete", `{"model":"mine"}`, 200)
			if len(models) > 0 {
				ask("DELETE", "/api/delete", `{"model":"smollm2-135m"}`, 400, "was not pulled")
			}
		})
	}
}

// TestAModelThatIsRemovedWhileItIsServed removes it with the command line: the answer under way ends, later
// requests are told, the memory is given back, and a model that comes again is served again.
func TestAModelThatIsRemovedWhileItIsServed(t *testing.T) {
	t.Parallel()
	source := "file:" + small(t)
	for _, models := range [][]string{nil, {"tiny"}} {
		says := []string{"is not served", "was removed from this machine"}[len(models)]
		t.Run(fmt.Sprint(len(models), " named"), func(t *testing.T) {
			t.Parallel()
			home := t.TempDir()
			run := func(args ...string) {
				t.Helper()
				if out, errOut, code := output(t, home, args...); code != 0 {
					t.Fatalf("%v: %d %s %s", args, code, out, errOut)
				}
			}
			run("pull", source, "--name", "tiny")
			s := start(t, home, append([]string{"serve", "--context", "512"}, models...)...)
			ask := func(tokens int) (int, string) {
				code, _, text := s.call("POST", "/v1/completions", "", fmt.Sprintf(`{"model":"tiny","prompt":"Once","ignore_eos":true,"max_tokens":%d}`, tokens))
				return code, text
			}
			long := make(chan string, 1)
			go func() {
				code, text := ask(400)
				long <- fmt.Sprint(code, " ", text)
			}()
			s.until("an answer", func() bool { return s.metric("galerne_sequences_running") == 1 })
			run("rm", "tiny", "--yes")
			code, text := ask(1)
			if code != 404 || !strings.Contains(text, says) || !strings.Contains(text, "galerne pull ") {
				t.Errorf("%d %s", code, text)
			}
			if text := <-long; !strings.HasPrefix(text, "200 ") || !strings.Contains(text, `"completion_tokens":400`) {
				t.Errorf("the answer that was under way: %.300s", text)
			}
			s.until("its memory is free", func() bool { return strings.Contains(s.log.String(), "msg=unloaded model=tiny") })
			run("pull", source, "--name", "tiny")
			if code, text := ask(1); code != 200 {
				t.Errorf("%d %s", code, text)
			}
		})
	}
}

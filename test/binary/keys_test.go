package binary

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/galerne-ai/galerne/internal/testdeps"
)

// call asks with a key, "" for none, and gives the status, the headers and the body.
func (s *server) call(method, path, key, body string) (int, http.Header, string) {
	s.t.Helper()
	r, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	w, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer w.Body.Close()
	text, err := io.ReadAll(w.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return w.StatusCode, w.Header, string(text)
}

// addKey makes a key and gives its secret.
func addKey(t *testing.T, home string, args ...string) string {
	t.Helper()
	out, errOut, code := output(t, home, append([]string{"key", "add", "--json"}, args...)...)
	var k struct{ Secret string }
	if err := json.Unmarshal([]byte(out), &k); err != nil || code != 0 || !strings.HasPrefix(k.Secret, "gal_") {
		t.Fatalf("%d %s %s", code, out, errOut)
	}
	return k.Secret
}

const hello = `{"model":"small","messages":[{"role":"user","content":"Say hello."}],"max_tokens":4}`

func TestAKeyMadeAndRevokedWhileTheServerRunsCountsWithinASecond(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	s := start(t, home, "serve", small(t))
	if code, _, text := s.call("GET", "/v1/models", "anything", ""); code != 200 {
		t.Fatalf("before any key: %d %s", code, text)
	}
	secret := addKey(t, home, "ci")
	s.until("a key is asked for", func() bool { code, _, _ := s.call("GET", "/v1/models", "", ""); return code == 401 })
	if code, _, _ := s.call("GET", "/v1/models", secret, ""); code != 200 {
		t.Errorf("the new key: %d", code)
	}
	narrow := addKey(t, home, "narrow", "--scope", "models")
	if code, _, text := s.call("POST", "/v1/chat/completions", narrow, hello); code != 403 || !strings.Contains(text, "generate") {
		t.Errorf("beyond its scope: %d %s", code, text)
	}
	far, near := addKey(t, home, "far", "--from", "192.0.2.0/24"), addKey(t, home, "near", "--from", "192.0.2.0/24", "--from", "127.0.0.1")
	if code, _, text := s.call("GET", "/v1/models", far, ""); code != 403 || !strings.Contains(text, "127.0.0.1") {
		t.Errorf("from another network: %d %s", code, text)
	}
	if code, _, text := s.call("GET", "/v1/models", near, ""); code != 200 {
		t.Errorf("from its network: %d %s", code, text)
	}
	if _, errOut, code := output(t, home, "key", "add", "bad", "--from", "here"); code == 0 || !strings.Contains(errOut, "10.0.0.0/8") {
		t.Errorf("a network that is none: %d %s", code, errOut)
	}
	if _, errOut, code := output(t, home, "key", "revoke", "ci"); code != 0 {
		t.Fatal(errOut)
	}
	s.until("the key is refused", func() bool {
		code, _, text := s.call("GET", "/v1/models", secret, "")
		return code == 401 && strings.Contains(text, "revoked")
	})
	if strings.Contains(s.log.String(), secret) {
		t.Error("the secret is in the log")
	}
}

func TestABudgetEndsAndUsageIsWrittenDownAtShutdown(t *testing.T) {
	home := t.TempDir()
	secret := addKey(t, home, "ci", "--tokens-per-day", "10")
	s := start(t, home, "serve", small(t))
	ask := strings.Replace(hello, "small", "", 1)
	if code, _, text := s.call("POST", "/v1/chat/completions", secret, ask); code != 200 {
		t.Fatalf("%d %s", code, text)
	}
	code, h, text := s.call("POST", "/v1/chat/completions", secret, ask)
	if code != 429 || !strings.Contains(text, `"insufficient_quota"`) || h.Get("X-Should-Retry") != "false" {
		t.Errorf("%d %v %s", code, h, text)
	}
	if err := s.stop(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	var rows []struct {
		Of, Name string
		Requests int
		Failed   int
		Prompt   int `json:"prompt_tokens"`
		Answer   int `json:"answer_tokens"`
	}
	out, errOut, _ := output(t, home, "usage", "--json")
	if err := json.Unmarshal([]byte(out), &rows); err != nil {
		t.Fatalf("%v %s %s", err, out, errOut)
	}
	if len(rows) != 1 || rows[0].Name != "ci" || rows[0].Requests != 2 || rows[0].Failed != 1 || rows[0].Prompt < 6 || rows[0].Answer < 1 || rows[0].Answer > 4 {
		t.Errorf("%s", out)
	}
	s = start(t, home, "serve", small(t))
	if code, _, text := s.call("POST", "/v1/chat/completions", secret, ask); code != 429 {
		t.Errorf("after a restart: %d %s", code, text)
	}
}

func TestADamagedDatabaseStopsTheServerAndStays(t *testing.T) {
	home := t.TempDir()
	path, data := filepath.Join(home, "galerne.db"), bytes.Repeat([]byte("no database "), 1000)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	_, errOut, code := output(t, home, "serve", small(t), "--listen", freePort(t))
	if code != 1 || !strings.Contains(errOut, "damaged") || !strings.Contains(errOut, path) {
		t.Errorf("%d %s", code, errOut)
	}
	if now, _ := os.ReadFile(path); !bytes.Equal(now, data) {
		t.Error("the file has changed")
	}
}

func TestOneIdempotencyKeyGivesOneAnswerAlsoAfterAKill(t *testing.T) {
	home := t.TempDir()
	say := func(s *server) (string, string) {
		t.Helper()
		r, err := http.NewRequest("POST", s.url+"/v1/chat/completions", strings.NewReader(strings.Replace(hello, "small", "", 1)))
		if err != nil {
			t.Fatal(err)
		}
		r.Header = http.Header{"Content-Type": {"application/json"}, "Idempotency-Key": {"order 66"}}
		w, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Body.Close()
		text, err := io.ReadAll(w.Body)
		if err != nil || w.StatusCode != 200 {
			t.Fatalf("%d %s %v", w.StatusCode, text, err)
		}
		return string(text), w.Header.Get("Idempotent-Replayed")
	}
	s := start(t, home, "serve", small(t))
	first, replayed := say(s)
	if replayed != "" {
		t.Error("the first answer says that it is another's")
	}
	_ = s.stop(syscall.SIGKILL)
	if again, replayed := say(start(t, home, "serve", small(t))); again != first || replayed != "true" {
		t.Errorf("%q, then %q", first, again)
	}
}

func TestAmazonsClientSignsWithAKeysSecret(t *testing.T) {
	t.Parallel()
	python, home := testdeps.Python(t), t.TempDir()
	addKey(t, home, "ci")
	s := start(t, home, "serve", small(t))
	secret := func() (id, secret string) {
		out, errOut, code := output(t, home, "key", "aws", "ci", "--json")
		var k map[string]string
		if err := json.Unmarshal([]byte(out), &k); err != nil || code != 0 {
			t.Fatalf("%d %s %s", code, out, errOut)
		}
		return k["aws_access_key_id"], k["aws_secret_access_key"]
	}
	ask := func(id, secret, want string) {
		t.Helper()
		out, err := exec.Command(python, "signed.py", s.url, id, secret).CombinedOutput()
		if strings.TrimSpace(string(out)) != want {
			t.Errorf("%s (%v), want %s", out, err, want)
		}
	}
	if st, err := os.Stat(filepath.Join(home, "signing.key")); err == nil {
		t.Errorf("a master secret before it is needed: %v", st)
	}
	id, first := secret()
	ask(id, first, "assistant")
	ask(id, first[1:], "UnrecognizedClientException")
	ask("nobody", first, "UnrecognizedClientException")
	if _, errOut, code := output(t, home, "key", "rotate", "ci"); code != 0 {
		t.Fatal(errOut)
	}
	time.Sleep(time.Second) // as long as a key that was looked up is believed
	ask(id, first, "UnrecognizedClientException")
	_, again := secret()
	ask(id, again, "assistant")
	if st, err := os.Stat(filepath.Join(home, "signing.key")); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", st, err)
	}
}

// TestWhatIsKeptIsKeptInPostgreSQL runs what looks at keys, usage, budgets, files, batches, stored answers and
// kills once more, the database being PostgreSQL's.
func TestWhatIsKeptIsKeptInPostgreSQL(t *testing.T) {
	t.Parallel()
	testdeps.OnPostgres(t, "^Test(AKeyMade|ABudget|OneIdempotency|AmazonsClient|ABatch|AnAnswerInTheBackground)")
}

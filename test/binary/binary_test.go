// Package binary answers: does the built program do what its users are told? Each test starts it as a
// user would, with real models, and looks from outside.
package binary

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/galerne-ai/galerne/internal/testdeps"
)

var program string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "galerne-binary")
	if err != nil {
		panic(err)
	}
	program = filepath.Join(dir, "galerne")
	build := exec.Command("go", "build", "-o", program, "../../cmd/galerne")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "the program does not build: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// command runs the program with a data folder of its own, and on PostgreSQL with a database of its own.
func command(t testing.TB, home string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "GALERNE_HOME="+home, "GALERNE_API_KEY=", "NO_COLOR=1")
	if where := testdeps.Database(t, home); where != home {
		cmd.Env = append(cmd.Env, "GALERNE_DB="+where)
	}
	return cmd
}

// output runs the program to its end.
func output(t testing.TB, home string, args ...string) (out, errOut string, code int) {
	t.Helper()
	cmd := command(t, home, args...)
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	err := cmd.Run()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return o.String(), e.String(), cmd.ProcessState.ExitCode()
}

// server is a running "galerne serve".
type server struct {
	t    testing.TB
	cmd  *exec.Cmd
	url  string
	log  *lockedBuffer
	done chan error
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// start runs a command that serves, and waits until it is ready.
func start(t testing.TB, home string, args ...string) *server {
	t.Helper()
	address := freePort(t)
	return started(t, command(t, home, append(args, "--listen", address)...), address)
}

func started(t testing.TB, cmd *exec.Cmd, address string) *server {
	t.Helper()
	s := &server{t: t, cmd: cmd, url: "http://" + address, log: &lockedBuffer{}, done: make(chan error, 1)}
	cmd.Stderr, cmd.Stdout = s.log, s.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { s.done <- cmd.Wait() }()
	t.Cleanup(func() { s.stop(syscall.SIGKILL) })
	deadline := time.Now().Add(60 * time.Second)
	for {
		if r, err := http.Get(s.url + "/readyz"); err == nil {
			r.Body.Close()
			if r.StatusCode == http.StatusOK {
				return s
			}
		}
		select {
		case err := <-s.done:
			s.done <- err
			t.Fatalf("the server ended: %v\n%s", err, s.log)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("the server is not ready\n%s", s.log)
		}
	}
}

// resident is how much memory the server takes, in bytes; 0 where the system does not say.
func (s *server) resident() (n int) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if _, after, ok := strings.Cut(string(text), "VmRSS:"); ok {
		_, _ = fmt.Sscanf(after, "%d", &n)
	}
	return n << 10
}

func (s *server) stop(sig syscall.Signal) error {
	_ = s.cmd.Process.Signal(sig)
	err := <-s.done
	s.done <- err
	return err
}

// post sends JSON and gives the status, the headers and the body.
func (s *server) post(path, body string) (int, http.Header, []byte) {
	s.t.Helper()
	r, err := http.Post(s.url+path, "application/json", strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	defer r.Body.Close()
	out, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return r.StatusCode, r.Header, out
}

// metric is the sum of a metric's samples.
func (s *server) metric(name string) float64 {
	s.t.Helper()
	r, err := http.Get(s.url + "/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer r.Body.Close()
	sum := 0.0
	lines := bufio.NewScanner(r.Body)
	for lines.Scan() {
		var v float64
		if label, value, ok := strings.Cut(lines.Text(), " "); ok && (label == name || strings.HasPrefix(label, name+"{")) {
			fmt.Sscan(value, &v)
			sum += v
		}
	}
	return sum
}

func (s *server) until(what string, ok func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("%s does not happen\n%s", what, s.log)
		}
	}
}

const ask = `{"model":"default","messages":[{"role":"user","content":"Write a very long story about the sea."}],"temperature":0,"ignore_eos":true,"max_tokens":%d,"stream":%v}`

func small(t testing.TB) string { return testdeps.Dep(t, "models/smollm2-135m.gguf") }

func TestACallerWhoLeavesFreesItsPlace(t *testing.T) {
	s := start(t, t.TempDir(), "serve", small(t), "--slots", "1")
	for _, stream := range []bool{true, false} {
		ctx, cancel := context.WithCancel(context.Background())
		r, _ := http.NewRequestWithContext(ctx, "POST", s.url+"/v1/chat/completions", strings.NewReader(fmt.Sprintf(ask, 4000, stream)))
		r.Header.Set("Content-Type", "application/json")
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			if resp, err := http.DefaultClient.Do(r); err == nil {
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		}()
		s.until("an answer", func() bool { return s.metric("galerne_sequences_running") == 1 })
		cancel()
		<-ended
		s.until("the place is free", func() bool { return s.metric("galerne_sequences_running") == 0 })
	}
	if status, _, body := s.post("/v1/chat/completions", fmt.Sprintf(ask, 3, false)); status != 200 {
		t.Errorf("%d %s", status, body)
	}
	if n := s.metric("galerne_model_answers_total"); n < 3 {
		t.Errorf("%v answers were counted, 3 began", n)
	}
}

func TestAFullQueueRefusesAtOnceAndSaysWhenToComeBack(t *testing.T) {
	s := start(t, t.TempDir(), "serve", small(t), "--slots", "1", "--queue", "2")
	s.post("/v1/chat/completions", fmt.Sprintf(ask, 1, false)) // it is loaded now
	var wg sync.WaitGroup
	var mu sync.Mutex
	statuses := map[int]int{}
	for range 12 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			status, header, body := s.post("/v1/chat/completions", fmt.Sprintf(ask, 60, false))
			mu.Lock()
			defer mu.Unlock()
			statuses[status]++
			if status != 200 && (header.Get("Retry-After") == "" || !bytes.Contains(body, []byte(`"queue_full"`))) {
				t.Errorf("%v %s", header, body)
			}
		}()
	}
	wg.Wait()
	if statuses[200] < 2 || statuses[503] < 1 || statuses[200]+statuses[503] != 12 {
		t.Errorf("%v", statuses)
	}
}

func TestShutdownLetsAnswersEnd(t *testing.T) {
	s := start(t, t.TempDir(), "serve", small(t))
	got := make(chan string, 1)
	go func() {
		_, _, body := s.post("/v1/chat/completions", fmt.Sprintf(ask, 200, false))
		got <- string(body)
	}()
	s.until("an answer", func() bool { return s.metric("galerne_sequences_running") == 1 })
	s.until("packed weights", func() bool { return s.metric("galerne_model_packed") == 1 })
	if err := s.stop(syscall.SIGTERM); err != nil {
		t.Errorf("%v\n%s", err, s.log)
	}
	if body := <-got; !strings.Contains(body, `"completion_tokens":200`) {
		t.Errorf("%.300s\n%s", body, s.log)
	}
}

func TestShutdownCutsAnswersAfterTheStatedTime(t *testing.T) {
	s := start(t, t.TempDir(), "serve", small(t), "--drain", "100ms")
	r, err := http.Post(s.url+"/v1/chat/completions", "application/json", strings.NewReader(fmt.Sprintf(ask, 8000, true)))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	_, _ = r.Body.Read(make([]byte, 100))
	stopped := make(chan error, 1)
	go func() { stopped <- s.stop(syscall.SIGTERM) }()
	select {
	case <-stopped:
	case <-time.After(15 * time.Second):
		t.Errorf("it does not stop\n%s", s.log)
	}
}

func TestAnAddressThatOthersReachNeedsAKey(t *testing.T) {
	_, errOut, code := output(t, t.TempDir(), "serve", small(t), "--listen", "0.0.0.0:0")
	if code == 0 || !strings.Contains(errOut, "--key") || !strings.Contains(errOut, "--no-auth") {
		t.Errorf("%d %s", code, errOut)
	}
	s := start(t, t.TempDir(), "serve", small(t), "--key", "secret-key")
	if status, _, body := s.post("/v1/chat/completions", fmt.Sprintf(ask, 1, false)); status != 401 || !bytes.Contains(body, []byte("invalid_api_key")) {
		t.Errorf("%d %s", status, body)
	}
	r, _ := http.NewRequest("POST", s.url+"/v1/chat/completions", strings.NewReader(fmt.Sprintf(ask, 1, false)))
	r.Header.Set("Authorization", "Bearer secret-key")
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil || resp.StatusCode != 200 {
		t.Fatal(resp, err)
	}
	resp.Body.Close()
	if strings.Contains(s.log.String(), "secret-key") {
		t.Error("the key is in the log")
	}
}

func TestBadInputIsTheCallersErrorAndTheServerGoesOn(t *testing.T) {
	s := start(t, t.TempDir(), "serve", small(t), "--context", "512")
	for name, c := range map[string]struct {
		body, code string
		status     int
	}{
		"not json":   {`{"messages":`, "", 400},
		"no content": {`{}`, "", 400},
		"unknown":    {`{"model":"nobody","messages":[{"role":"user","content":"x"}]}`, "model_not_found", 404},
		"too long":   {`{"messages":[{"role":"user","content":"` + strings.Repeat("word ", 2000) + `"}]}`, "context_length_exceeded", 400},
		"seed":       {`{"messages":[{"role":"user","content":"x"}],"seed":"a"}`, "", 400},
		"top_p":      {`{"messages":[{"role":"user","content":"x"}],"top_p":7}`, "", 400},
		"bias":       {`{"messages":[{"role":"user","content":"x"}],"logit_bias":{"99999999":1}}`, "", 400},
		"image":      {`{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]}]}`, "unsupported_parameter", 400},
	} {
		status, _, body := s.post("/v1/chat/completions", c.body)
		var e struct {
			Error struct{ Message, Code string }
		}
		if err := json.Unmarshal(body, &e); err != nil || status != c.status || c.code != "" && e.Error.Code != c.code || e.Error.Message == "" {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	if status, _, body := s.post("/v1/chat/completions", fmt.Sprintf(ask, 2, false)); status != 200 {
		t.Errorf("%d %s", status, body)
	}
}

func TestAliasesAnswerForPrograms(t *testing.T) {
	s := start(t, t.TempDir(), "serve", small(t), "--alias", "gpt-*=smollm2-135m", "--alias", "claude-x=smollm2-135m")
	for _, name := range []string{"gpt-4o-mini", "GPT-5", "claude-x", "smollm2-135m"} {
		if status, _, body := s.post("/v1/chat/completions", strings.Replace(fmt.Sprintf(ask, 1, false), "default", name, 1)); status != 200 || !bytes.Contains(body, []byte(`"model":"`+name+`"`)) {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	if status, _, body := s.post("/v1/chat/completions", strings.Replace(fmt.Sprintf(ask, 1, false), "default", "claude-y", 1)); status != 404 {
		t.Errorf("%d %s", status, body)
	}
	if _, errOut, code := output(t, t.TempDir(), "serve", small(t), "--alias", "x=nobody"); code == 0 || !strings.Contains(errOut, "--alias x=nobody") {
		t.Errorf("%d %s", code, errOut)
	}
}

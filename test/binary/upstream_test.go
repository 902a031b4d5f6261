package binary

import (
	"context"
	"encoding/json"
	"fmt"
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

const story = `{"model":"%s","messages":[{"role":"user","content":"Tell me about the wind of the west."}],"temperature":0,"max_tokens":40}`

func content(t *testing.T, body []byte) string {
	t.Helper()
	var a struct {
		Choices []struct{ Message struct{ Content string } }
	}
	if err := json.Unmarshal(body, &a); err != nil || len(a.Choices) == 0 {
		t.Fatalf("%s", body)
	}
	return a.Choices[0].Message.Content
}

func TestModelsOfOtherServersAreServedAsOurs(t *testing.T) {
	home := t.TempDir()
	a := start(t, home, "serve", small(t), testdeps.Dep(t, "models/all-minilm-l6-v2"), "--context", "1024")
	b := start(t, home, "serve", small(t), "--context", "1024")
	front := start(t, t.TempDir(), "serve", testdeps.Dep(t, "models/all-minilm-l6-v2"),
		"--upstream", "far="+a.url+"/v1,"+b.url+"/v1#smollm2-135m", "--upstream", "vectors="+a.url+"/v1#all-minilm-l6-v2")

	_, _, direct := a.post("/v1/chat/completions", fmt.Sprintf(story, "smollm2-135m"))
	status, _, through := front.post("/v1/chat/completions", fmt.Sprintf(story, "far"))
	if status != 200 || content(t, through) != content(t, direct) {
		t.Fatalf("%d %s\n%s", status, through, direct)
	}
	if status, _, body := front.post("/v1/chat/completions", fmt.Sprintf(story, "nobody")); status != 404 {
		t.Errorf("%d %s", status, body)
	}
	if status, _, body := front.post("/v1/embeddings", `{"model":"vectors","input":"hello","encoding_format":"float"}`); status != 200 {
		t.Errorf("%d %s", status, body)
	}
	long := `{"model":"far","messages":[{"role":"user","content":"` + strings.Repeat("word ", 3000) + `"}]}`
	if status, _, body := front.post("/v1/chat/completions", long); status != 400 || !strings.Contains(string(body), "context_length_exceeded") {
		t.Errorf("%d %s", status, body)
	}

	// Who leaves the front is not worked for behind it.
	ctx, cancel := context.WithCancel(context.Background())
	r, _ := http.NewRequestWithContext(ctx, "POST", front.url+"/v1/chat/completions", strings.NewReader(strings.Replace(fmt.Sprintf(ask, 900, true), "default", "far", 1)))
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	running := func() float64 { return a.metric("galerne_sequences_running") + b.metric("galerne_sequences_running") }
	front.until("an answer behind the front", func() bool { return running() == 1 })
	cancel()
	resp.Body.Close()
	front.until("its end", func() bool { return running() == 0 })

	// One server less is not noticed; no server is an error of its own.
	_ = a.stop(syscall.SIGKILL)
	for range 3 {
		if status, _, body := front.post("/v1/chat/completions", fmt.Sprintf(story, "far")); status != 200 {
			t.Errorf("%d %s", status, body)
		}
	}
	_ = b.stop(syscall.SIGKILL)
	if status, _, body := front.post("/v1/chat/completions", fmt.Sprintf(story, "far")); status != 503 {
		t.Errorf("%d %s", status, body)
	}
}

// TestLlamaServerBehindUs needs llama.cpp's server, which bench/build_llama_cpp.sh builds.
func TestLlamaServerBehindUs(t *testing.T) {
	cache, _ := os.UserCacheDir()
	path := filepath.Join(cache, "galerne-peers/llama.cpp/build/bin/llama-server")
	if _, err := os.Stat(path); err != nil {
		t.Skip("NOT TESTED: llama-server is not built: run bench/build_llama_cpp.sh")
	}
	address := freePort(t)
	_, port, _ := strings.Cut(address, ":")
	peer := exec.Command(path, "-m", small(t), "--host", "127.0.0.1", "--port", port, "-c", "2048", "-t", "2", "--jinja")
	peer.Stdout, peer.Stderr = io.Discard, io.Discard
	if err := peer.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = peer.Process.Kill(); _ = peer.Wait() })
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		if r, err := http.Get("http://" + address + "/health"); err == nil {
			r.Body.Close()
			if r.StatusCode == 200 {
				break
			}
		}
		if time.Now().After(deadline) {
			t.Fatal("llama-server does not start")
		}
	}
	front := start(t, t.TempDir(), "serve", testdeps.Dep(t, "models/all-minilm-l6-v2"), "--upstream", "peer=http://"+address+"/v1")
	status, _, body := front.post("/v1/chat/completions", `{"model":"peer","messages":[{"role":"user","content":"What is the capital of France? Answer in one word."}],"temperature":0,"max_tokens":20,"logprobs":true,"top_logprobs":2}`)
	if status != 200 || !strings.Contains(content(t, body), "Paris") || !strings.Contains(string(body), `"top_logprobs":[{`) {
		t.Errorf("%d %s", status, body)
	}
	status, _, body = front.post("/v1/chat/completions", `{"model":"peer","messages":[{"role":"user","content":"A city, as JSON."}],"temperature":0,"max_tokens":60,
		"response_format":{"type":"json_schema","json_schema":{"name":"c","strict":true,"schema":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"],"additionalProperties":false}}}}`)
	var city struct{ City string }
	if status != 200 || json.Unmarshal([]byte(content(t, body)), &city) != nil {
		t.Errorf("%d %s", status, body)
	}
}

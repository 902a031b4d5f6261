package binary

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/galerne-ai/galerne/internal/testdeps"
)

func TestMistakesInTheCommandLineAreToldWithTheirRemedy(t *testing.T) {
	model := small(t)
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	head, err := os.ReadFile(model)
	if err != nil {
		t.Fatal(err)
	}
	twin := filepath.Join(dir, "twin", "smollm2-135m.gguf")
	write("twin/x", "")
	if err := os.Symlink(model, twin); err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"an unknown flag":                  {[]string{"serve", "--nope"}, 2, "Try: galerne serve --help"},
		"an unknown command":               {[]string{"nonsense"}, 2, "Try: galerne --help"},
		"no model for a command":           {[]string{"inspect", "tokens"}, 2, "Try: galerne inspect tokens --help"},
		"no slots":                         {[]string{"serve", "--slots", "0"}, 2, "--slots is 0: 1 to"},
		"a negative context":               {[]string{"serve", "--context=-1"}, 2, "--context is -1: 0 to"},
		"too many threads":                 {[]string{"up", "--threads", "100000"}, 2, "--threads is 100000"},
		"a negative queue":                 {[]string{"serve", "--queue=-1"}, 2, "--queue is -1"},
		"a negative drain":                 {[]string{"serve", "--drain=-1s"}, 2, "--drain -1s"},
		"an empty file":                    {[]string{"serve", write("empty.gguf", "")}, 1, "empty.gguf is empty"},
		"a picture":                        {[]string{"serve", write("picture.gguf", "\x89PNG\r\n\x1a\n and more")}, 1, "neither GGUF nor safetensors"},
		"a file cut short":                 {[]string{"serve", write("short.gguf", string(head[:len(head)/2]))}, 1, "cut short or corrupt"},
		"a folder of nothing":              {[]string{"serve", filepath.Dir(write("nothing/x", ""))}, 1, "has neither model.safetensors"},
		"too little memory":                {[]string{"serve", model, "--memory", "50MB"}, 1, "more --memory"},
		"two models of one name":           {[]string{"serve", model, twin}, 1, "two models would be called smollm2-135m"},
		"an upstream's name that is taken": {[]string{"serve", model, "--upstream", "smollm2-135m=http://127.0.0.1:1/v1"}, 1, "choose another name, as in other=URL#smollm2-135m"},
		"a port in use":                    {[]string{"serve", model, "--listen", taken.Addr().String()}, 1, "choose another address with --listen"},
		"an address for everyone":          {[]string{"serve", model, "--listen", "0.0.0.0:0"}, 1, "make a key"},
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(strings.Join(c.args, " "), "--listen") && len(c.args) > 1 && c.args[0] == "serve" {
				c.args = append(c.args, "--listen", "127.0.0.1:0")
			}
			out, errOut, code := output(t, t.TempDir(), c.args...)
			if code != c.code || !strings.Contains(errOut, c.want) || out != "" {
				t.Errorf("exit %d, want %d and %q:\n%s%s", code, c.code, c.want, out, errOut)
			}
		})
	}
}

func TestOneModelWrittenTwiceIsServedOnce(t *testing.T) {
	s := start(t, t.TempDir(), "serve", small(t), "file:"+small(t))
	if got := strings.Count(get(s, "/v1/models"), `"object":"model"`); got != 1 {
		t.Errorf("%d models", got)
	}
}

func TestProbesDoNotFillTheLog(t *testing.T) {
	s := start(t, t.TempDir(), "serve", small(t))
	for range 3 {
		get(s, "/readyz")
		get(s, "/healthz")
		get(s, "/metrics")
	}
	get(s, "/v1/models")
	_ = s.stop(syscall.SIGTERM)
	if log := s.log.String(); strings.Contains(log, "/readyz") || strings.Contains(log, "/metrics") || !strings.Contains(log, "route=/v1/models") {
		t.Error(log)
	}
}

func TestAServerForEveryoneSaysAnAddressThatCanBeCalled(t *testing.T) {
	home, address := t.TempDir(), "0.0.0.0:"+strings.Split(freePort(t), ":")[1]
	if _, errOut, code := output(t, home, "key", "add", "first"); code != 0 {
		t.Fatal(errOut)
	}
	s := started(t, command(t, home, "up", small(t), "--listen", address), strings.Replace(address, "0.0.0.0", "127.0.0.1", 1))
	s.until("the greeting", func() bool { return strings.Contains(s.log.String(), "is ready") })
	if log := s.log.String(); !strings.Contains(log, s.url+"/v1/chat/completions -H \"Authorization: Bearer") || !strings.Contains(log, `api_key="your key"`) {
		t.Error(log)
	}
}

func TestUpSaysHowToCallAModelThatEmbeds(t *testing.T) {
	s := start(t, t.TempDir(), "up", testdeps.Dep(t, "models/all-minilm-l6-v2"))
	s.until("the greeting", func() bool { return strings.Contains(s.log.String(), "Stop: Ctrl-C") })
	if log := s.log.String(); !strings.Contains(log, s.url+"/v1/embeddings") || strings.Contains(log, "chat/completions") || strings.Contains(log, "facts wrong") || !strings.Contains(log, "is ready: 90.9 MB of memory, contexts") {
		t.Error(log)
	}
}

func TestAFolderThatCannotBeReadIsNotAnEmptyOne(t *testing.T) {
	home := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(home, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, errOut, code := output(t, home, "list"); code != 1 || strings.Contains(out+errOut, "galerne pull") || !strings.Contains(errOut, "cannot be listed") {
		t.Errorf("exit %d: %s%s", code, out, errOut)
	}
}

func TestADamagedManifestHidesItsOwnModelAlone(t *testing.T) {
	home := t.TempDir()
	if _, errOut, code := output(t, home, "pull", "file:"+small(t), "--name", "good"); code != 0 {
		t.Fatal(errOut)
	}
	if err := os.WriteFile(filepath.Join(home, "models", "names", "name-bad.json"), []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, home, "serve")
	if models := get(s, "/v1/models"); !strings.Contains(models, `"id":"good"`) {
		t.Error(models)
	}
	if code, _, body := s.post("/v1/completions", `{"model":"good","prompt":"a","max_tokens":1}`); code != http.StatusOK {
		t.Errorf("%d %s", code, body)
	}
	if log := s.log.String(); !strings.Contains(log, "name-bad.json is damaged") {
		t.Error(log)
	}
}

func TestServingNothingIsToldAtStart(t *testing.T) {
	s := start(t, t.TempDir(), "serve")
	if log := s.log.String(); !strings.Contains(log, "no model is on this machine yet") {
		t.Error(log)
	}
}

func TestASecondInterruptDoesNotWaitForAnswers(t *testing.T) {
	s := start(t, t.TempDir(), "serve", small(t), "--drain", "10m")
	r, err := http.Post(s.url+"/v1/completions", "application/json", strings.NewReader(`{"prompt":"Once","max_tokens":8000,"stream":true,"ignore_eos":true}`))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if _, err := r.Body.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	_ = s.cmd.Process.Signal(os.Interrupt)
	s.until("the shutdown", func() bool { return strings.Contains(s.log.String(), "shutting down") })
	if err := s.stop(os.Interrupt.(syscall.Signal)); err == nil {
		t.Error("the exit status is 0 though answers were cut")
	}
	if strings.Contains(s.log.String(), "status=200") {
		t.Errorf("it waited for the answer:\n%s", s.log)
	}
}

func get(s *server, path string) string {
	s.t.Helper()
	code, _, body := s.call("GET", path, "", "")
	if code != 200 {
		s.t.Fatalf("%s: %d %s", path, code, body)
	}
	return body
}

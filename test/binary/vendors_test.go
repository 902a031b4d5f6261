package binary

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/galerne-ai/galerne/internal/testdeps"
)

// three is a server of a model that chats, one that calls tools and fills in, and one that embeds.
func three(t *testing.T) *server {
	return start(t, t.TempDir(), "serve", small(t), testdeps.Dep(t, "models/qwen2.5-coder-0.5b.gguf"), testdeps.Dep(t, "models/all-minilm-l6-v2"), "--context", "4096")
}

// TestOfficialClientsTalkToRealModels runs VENDOR_real.py for each vendor whose client is installed.
func TestOfficialClientsTalkToRealModels(t *testing.T) {
	t.Parallel()
	python := testdeps.Python(t)
	talk(t, three(t), python, "openai", "anthropic", "ollama", "mistral", "cohere", "hf", "together", "gemini", "bedrock", "replicate")
}

// TestOlderClientsTalkToRealModels runs the same programs with the clients' older generation.
func TestOlderClientsTalkToRealModels(t *testing.T) {
	t.Parallel()
	python := testdeps.Dep(t, "venv-old/bin/python")
	talk(t, three(t), python, "openai", "anthropic", "mistral", "together", "gemini")
}

// TestNodeClientsTalkToRealModels does it for Node.
func TestNodeClientsTalkToRealModels(t *testing.T) {
	node, folder := testdeps.Node(t, "test/sdk/node/run.mjs", "test/binary/node_real.mjs")
	passes(t, three(t), folder, node, "run.mjs", "node_real.mjs")
}

// TestOfficialClientsWhoLeaveFreeTheirPlace is about streams that are closed, whole answers that nobody waits
// for, and callers who leave the queue: by the clients' own means, and counted.
func TestOfficialClientsWhoLeaveFreeTheirPlace(t *testing.T) {
	s := start(t, t.TempDir(), "serve", small(t), "--slots", "1", "--queue", "4")
	passes(t, s, ".", testdeps.Python(t), "leaving_real.py", s.url)
}

func talk(t *testing.T, s *server, python string, vendors ...string) {
	for _, vendor := range vendors {
		t.Run(vendor, func(t *testing.T) {
			name := vendor
			if other, ok := map[string]string{"mistral": "mistralai", "hf": "huggingface_hub", "gemini": "google.genai", "bedrock": "boto3"}[vendor]; ok {
				name = other
			}
			if err := exec.Command(python, "-c", "import "+name).Run(); err != nil {
				t.Skipf("NOT TESTED: the Python package %s is missing: run `make deps`", name)
			}
			if vendor != "ollama" { // whose models come and go
				t.Parallel()
			}
			passes(t, s, ".", python, vendor+"_real.py", s.url)
		})
	}
}

// passes runs a program of checks in a folder.
func passes(t *testing.T, s *server, folder, program string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Env = folder, append(os.Environ(), "GALERNE_TEST_URL="+s.url, "NO_PROXY=*")
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil || !strings.Contains(string(out), "checks passed") {
		t.Fatalf("%v\n%s", err, s.log)
	}
}

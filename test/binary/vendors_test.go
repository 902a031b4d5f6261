package binary

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/galerne-ai/galerne/internal/testdeps"
)

// TestOtherVendorsClientsTalkToRealModels runs VENDOR_real.py for each vendor whose client is installed.
func TestOtherVendorsClientsTalkToRealModels(t *testing.T) {
	python := testdeps.Python(t)
	s := start(t, t.TempDir(), "serve", small(t), testdeps.Dep(t, "models/qwen2.5-coder-0.5b.gguf"), testdeps.Dep(t, "models/all-minilm-l6-v2"), "--context", "4096")
	for _, vendor := range []string{"anthropic", "ollama", "mistral", "cohere", "hf", "together", "gemini", "bedrock", "replicate"} {
		t.Run(vendor, func(t *testing.T) {
			name := vendor
			if other, ok := map[string]string{"mistral": "mistralai", "hf": "huggingface_hub", "gemini": "google.genai", "bedrock": "boto3"}[vendor]; ok {
				name = other
			}
			if err := exec.Command(python, "-c", "import "+name).Run(); err != nil {
				t.Skipf("NOT TESTED: the Python package %s is missing: run `make deps`", name)
			}
			ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
			defer cancel()
			out, err := exec.CommandContext(ctx, python, vendor+"_real.py", s.url).CombinedOutput()
			t.Logf("%s", out)
			if err != nil || !strings.Contains(string(out), "checks passed") {
				t.Fatalf("%v\n%s", err, s.log)
			}
		})
	}
}

package binary

import (
	"testing"

	"github.com/galerne-ai/galerne/internal/testdeps"
)

// TestStrictAndCutCallsThroughOfficialClients is about a real model's tool calls: strict ones that it writes without
// the mark of its family, and forced ones of too few tokens, whole and streamed.
func TestStrictAndCutCallsThroughOfficialClients(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), "serve", testdeps.Dep(t, "models/qwen2.5-coder-0.5b.gguf"), "--context", "4096")
	passes(t, s, ".", testdeps.Python(t), "calls_real.py", s.url)
}

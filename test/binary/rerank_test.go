package binary

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/galerne-ai/galerne/internal/testdeps"
)

// TestCrossEncodersAndClassifiersAreTransformers serves the tiny checkpoints of package zoo to the official
// clients of those whose APIs rerank and classify.
func TestCrossEncodersAndClassifiersAreTransformers(t *testing.T) {
	t.Parallel()
	python := testdeps.Python(t)
	folder := filepath.Join(testdeps.Root(t), "internal/zoo/testdata/tiny")
	s := start(t, t.TempDir(), "serve", filepath.Join(folder, "bert-classifier"), filepath.Join(folder, "bert-ranker"), filepath.Join(folder, "xlm-roberta-ranker"))
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, python, "rerank_real.py", s.url, folder).CombinedOutput()
	t.Logf("%s", out)
	if err != nil || !strings.Contains(string(out), "checks passed") {
		t.Fatalf("%v\n%s", err, s.log)
	}
}

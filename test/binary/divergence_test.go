package binary

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/galerne-ai/galerne/internal/testdeps"
)

type divergence struct {
	Tokens     int
	Compared   int
	Mean       float64 `json:"mean_divergence"`
	Error      float64 `json:"mean_error"`
	Worst      float64 `json:"worst_divergence"`
	SameFirst  float64 `json:"same_first"`
	Perplexity float64
	Exact      float64 `json:"exact_perplexity"`
}

func divergenceOf(t *testing.T, text string, args ...string) (d divergence) {
	t.Helper()
	out, errOut, code := withInput(t, text, append([]string{"inspect", "divergence"}, args...)...)
	if err := json.Unmarshal([]byte(out), &d); code != 0 || err != nil {
		t.Fatalf("%d %v %s%s", code, err, out, errOut)
	}
	return d
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(testdeps.Root(t), path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestDivergenceIsWhatLlamaPerplexityFinds compares with test/reference/llama_cpp.json: the same chunks of
// the same text, the same model with its weights in float32.
func TestDivergenceIsWhatLlamaPerplexityFinds(t *testing.T) {
	t.Parallel()
	var all map[string]struct {
		Perplexity float64
		Exact      struct{ Perplexity, Divergence float64 }
	}
	if err := json.Unmarshal([]byte(read(t, "test/reference/llama_cpp.json")), &all); err != nil {
		t.Fatal(err)
	}
	exact := filepath.Join(t.TempDir(), "exact.gguf")
	testdeps.RunPython(t, "internal/zoo/testdata/dequantize.py", small(t), exact)
	d := divergenceOf(t, read(t, "test/testdata/declaration.txt"), small(t), "--exact", exact)
	if d.Tokens != 3*512 || d.Compared != 3*255 {
		t.Errorf("%d tokens read, %d positions compared", d.Tokens, d.Compared)
	}
	want := all["smollm2-135m.gguf"]
	theirs := want.Exact
	if off := math.Abs(d.Exact/theirs.Perplexity - 1); !(off < 0.0005) {
		t.Errorf("the exact model's perplexity is %v, llama.cpp's %v", d.Exact, theirs.Perplexity)
	}
	if off := math.Abs(d.Perplexity/want.Perplexity - 1); !(off < 0.03) {
		t.Errorf("perplexity is %v, llama.cpp's %v", d.Perplexity, want.Perplexity)
	}
	// Two ways to round: neither the same number, nor one of another size; by tiles of bf16 it is an eighth.
	if !(d.Mean > theirs.Divergence/20 && d.Mean < 2*theirs.Divergence) || d.Worst < d.Mean {
		t.Errorf("mean divergence is %v, the worst %v, llama.cpp's mean %v", d.Mean, d.Worst, theirs.Divergence)
	}
	written := divergenceOf(t, read(t, "test/testdata/declaration.txt"), small(t), "--exact", exact, "--deterministic")
	if !(written.Mean > theirs.Divergence/2 && written.Mean < 2*theirs.Divergence) || written.Mean < d.Mean {
		t.Errorf("as answers are written the mean divergence is %v, llama.cpp's %v", written.Mean, theirs.Divergence)
	}
	if !(d.Error > d.Mean/100 && d.Error < d.Mean/5) {
		t.Errorf("the mean of %d positions is %v, give or take %v", d.Compared, d.Mean, d.Error)
	}
	if d.SameFirst < 0.9 || d.SameFirst >= 1 {
		t.Errorf("%v of the most likely tokens are the same", d.SameFirst)
	}
}

func TestAModelDoesNotDivergeFromItself(t *testing.T) {
	text := read(t, "test/testdata/declaration.txt")
	d := divergenceOf(t, text, small(t), "--exact", small(t), "--context", "100", "--chunks", "2")
	if d.Compared != 2*49 || d.Mean != 0 || d.Error != 0 || d.Worst != 0 || d.SameFirst != 1 || d.Perplexity != d.Exact {
		t.Errorf("%+v", d)
	}
}

func TestDivergenceRefusesWhatCannotBeCompared(t *testing.T) {
	other := filepath.Join(testdeps.Root(t), "internal/zoo/testdata/tiny/llama")
	for _, c := range []struct {
		text, says string
		args       []string
	}{
		{"short", "a chunk 512: give a longer text", []string{small(t), "--exact", small(t)}},
		{"x", "4 tokens or more", []string{small(t), "--exact", small(t), "--context", "3"}},
		{"x", "more than the 8192", []string{small(t), "--exact", small(t), "--context", "8193"}},
		{strings.Repeat("wind ", 50), "not the same model", []string{small(t), "--exact", other, "--context", "8"}},
		{"x", "no model", []string{small(t), "--exact", "no-such-model"}},
	} {
		out, errOut, code := withInput(t, c.text, append([]string{"inspect", "divergence"}, c.args...)...)
		if code != 1 || out != "" || !strings.Contains(errOut, c.says) {
			t.Errorf("%q: %d %.60q %.300q, want %q", c.args, code, out, errOut, c.says)
		}
	}
}

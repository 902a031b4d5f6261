package tokenizer

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/galerne-ai/galerne/internal/testdeps"
	"github.com/galerne-ai/galerne/internal/weights"
)

func load(t testing.TB, path string) *Tokenizer {
	t.Helper()
	f, err := weights.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tok, err := FromGGUF(f.Meta)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// TestPublishedVocabularies compares with the ids that llama.cpp's source carries, which were made by
// the models' own tokenizers.
func TestPublishedVocabularies(t *testing.T) {
	dir := testdeps.Dep(t, "llama.cpp/models")
	outs, _ := filepath.Glob(filepath.Join(dir, "*.gguf.out"))
	if len(outs) < 15 {
		t.Fatalf("only %d vocabularies with expected ids", len(outs))
	}
	for _, out := range outs {
		name := strings.TrimSuffix(filepath.Base(out), ".gguf.out")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tok := load(t, strings.TrimSuffix(out, ".out"))
			in, err := os.ReadFile(strings.TrimSuffix(out, ".out") + ".inp")
			if err != nil {
				t.Fatal(err)
			}
			want, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			texts := strings.Split(string(in), "\n__ggml_vocab_test__\n")
			lines := strings.Split(strings.TrimSuffix(string(want), "\n"), "\n")
			for i, text := range texts {
				if i >= len(lines) {
					break
				}
				ids := tok.Encode(nil, text, EncodeOptions{})
				got := strings.Trim(fmt.Sprint(ids), "[]")
				if strings.Join(strings.Fields(lines[i]), " ") != got {
					t.Errorf("%q\n got %s\nwant %s", text, got, lines[i])
				}
			}
		})
	}
}

package prompt_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/galerne-ai/galerne/internal/prompt"
	"github.com/galerne-ai/galerne/internal/testdeps"
	"github.com/galerne-ai/galerne/internal/weights"
)

// TestGenerationConfigNamesMoreEnds: Llama 3's answers end with a token that only generation_config.json names.
func TestGenerationConfigNamesMoreEnds(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(testdeps.Dep(t, "models/all-minilm-l6-v2"), "tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	tok, err := prompt.Tokenizer(&weights.File{Tokenizer: text, GenerationConfig: []byte(`{"eos_token_id": [1996, 2003]}`)})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []int32{1996, 2003} {
		if !slices.Contains(tok.EndIDs(), id) {
			t.Errorf("answers end with %v, without %d", tok.EndIDs(), id)
		}
	}
}

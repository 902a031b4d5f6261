package tokenizer

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/galerne-ai/galerne/internal/testdeps"
)

var loaded struct {
	sync.Mutex
	list map[string]*Tokenizer
}

// vocabularies are one of each kind, and of each way to cut words.
func vocabularies(t testing.TB) map[string]*Tokenizer {
	dir := testdeps.Dep(t, "llama.cpp/models")
	loaded.Lock()
	defer loaded.Unlock()
	if loaded.list != nil {
		return loaded.list
	}
	out := map[string]*Tokenizer{}
	for name, file := range map[string]string{"llama3": "llama-bpe", "gpt2": "gpt-2", "starcoder": "starcoder", "deepseek": "deepseek-coder", "llama2": "llama-spm",
		"gemma4": "gemma-4", "bert": "bert-bge", "unigram": "nomic-bert-moe"} {
		out[name] = load(t, filepath.Join(dir, "ggml-vocab-"+file+".gguf"))
	}
	if data, err := filepath.Glob(filepath.Join(testdeps.Root(t), ".deps/venv/lib/python3*/site-packages/mistral_common/data/tekken_240718.json")); err == nil && len(data) > 0 {
		raw, err := os.ReadFile(data[0])
		if err != nil {
			t.Fatal(err)
		}
		if out["tekken"], err = fromTekken(raw); err != nil {
			t.Fatal(err)
		}
	}
	loaded.list = out
	return out
}

// prose is real text with many different words: a declaration in English, the code of this project, the
// documentation of Python's packages.
func prose(t testing.TB) string {
	var b bytes.Buffer
	root := testdeps.Root(t)
	for _, pattern := range []string{"test/testdata/declaration.txt", "internal/*/*.go", ".deps/venv/lib/python3*/site-packages/*/METADATA"} {
		paths, _ := filepath.Glob(filepath.Join(root, pattern))
		for _, path := range paths {
			if raw, err := os.ReadFile(path); err == nil && !strings.HasSuffix(path, "tables.go") {
				b.Write(raw)
			}
		}
	}
	for _, path := range []string{"*-*/METADATA", "*.dist-info/METADATA"} {
		paths, _ := filepath.Glob(filepath.Join(root, ".deps/venv/lib/python3*/site-packages", path))
		for _, p := range paths {
			raw, _ := os.ReadFile(p)
			b.Write(raw)
		}
	}
	return b.String()
}

func BenchmarkEncode(b *testing.B) {
	text := prose(b)
	for name, tok := range vocabularies(b) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			dst := make([]int32, 0, len(text))
			for b.Loop() {
				dst = tok.Encode(dst[:0], text, EncodeOptions{ParseSpecial: true})
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	text := prose(b)
	for name, tok := range vocabularies(b) {
		b.Run(name, func(b *testing.B) {
			ids := tok.Encode(nil, text, EncodeOptions{})
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				tok.Decode(ids, true)
			}
		})
	}
}

// TestNoTextIsQuadratic encodes long texts that would take many minutes if any part looked at everything again
// for each character.
func TestNoTextIsQuadratic(t *testing.T) {
	const size = 1 << 18
	texts := map[string]string{
		"letters": strings.Repeat("a", size), "capitals": strings.Repeat("A", size), "spaces": strings.Repeat(" ", size), "lines": strings.Repeat("\n", size),
		"spaces and a letter": strings.Repeat(" ", size) + "a", "digits": strings.Repeat("7", size), "marks": "e" + strings.Repeat("\u0301", size/2),
		"punctuation": strings.Repeat("=", size), "quotes": strings.Repeat("'", size), "han": strings.Repeat("世", size/3), "unknown": strings.Repeat("\U0010FFFD", size/4),
		"no UTF-8": strings.Repeat("\xE2", size), "underscores": strings.Repeat("▁", size/3), "brackets": strings.Repeat("<", size), "almost special": strings.Repeat("<|im_star", size/9),
		"ab": strings.Repeat("ab", size/2),
	}
	for name, tok := range vocabularies(t) {
		t.Run(name, func(t *testing.T) {
			for what, text := range texts {
				ids := tok.Encode(nil, text, EncodeOptions{ParseSpecial: true})
				if back := tok.Decode(ids, false); tok.kind == "bpe" && back != strings.ToValidUTF8(text, "\uFFFD") && what != "no UTF-8" && what != "underscores" {
					t.Errorf("%s: %d tokens decode to %d bytes, %d went in", what, len(ids), len(back), len(text))
				}
			}
		})
	}
}

package engine_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/galerne-ai/galerne/internal/engine"
	"github.com/galerne-ai/galerne/internal/kernel"
	"github.com/galerne-ai/galerne/internal/testdeps"
	"github.com/galerne-ai/galerne/internal/tokenizer"
	"github.com/galerne-ai/galerne/internal/weights"
	"github.com/galerne-ai/galerne/internal/zoo"
)

// BenchmarkGuesses compares answers with and without guesses: where the answer quotes its prompt, and
// where it does not.
func BenchmarkGuesses(b *testing.B) {
	code, err := os.ReadFile(filepath.Join(testdeps.Root(b), "internal/kv/cache.go"))
	if err != nil {
		b.Fatal(err)
	}
	f, err := weights.Open(testdeps.Dep(b, "models/qwen2.5-coder-0.5b.gguf"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	tok, err := tokenizer.Open(tokenizer.Source{Meta: f.Meta})
	if err != nil {
		b.Fatal(err)
	}
	pool := kernel.NewPool(2)
	defer pool.Close()
	net, err := zoo.Open(f, zoo.Options{Pool: pool})
	if err != nil {
		b.Fatal(err)
	}
	defer net.Close()
	chat := func(text string) []int32 {
		return tok.Encode(nil, "<|im_start|>user\n"+text+"<|im_end|>\n<|im_start|>assistant\n", tokenizer.EncodeOptions{ParseSpecial: true})
	}
	prompts := map[string][]int32{
		"edit": chat("Rewrite this file with the type Cache renamed to Store. Answer with the whole file only.\n\n" + string(code)),
		"free": chat("Write an essay about the sea, the wind and the people who live on an island."),
	}
	for name, prompt := range prompts {
		for guesses, draft := range map[string]int{"with": 0, "without": -1} {
			b.Run(name+"/"+guesses, func(b *testing.B) {
				e, err := engine.New(net.Model, net.Config, pool, engine.Options{Context: 2048, Draft: draft})
				if err != nil {
					b.Fatal(err)
				}
				defer e.Close()
				run(b, e, &engine.Request{Prompt: prompt, MaxTokens: 1, Logprobs: -1}) // the prompt is known from here on
				tokens := 0
				for b.Loop() {
					tokens += run(b, e, &engine.Request{Prompt: prompt, MaxTokens: 200, Logprobs: -1, IgnoreEnd: true})
				}
				b.ReportMetric(float64(tokens)/b.Elapsed().Seconds(), "tok/s")
				st := e.Stats()
				b.ReportMetric(float64(st.Accepted)/float64(max(st.Drafted, 1)), "right")
			})
		}
	}
}

func run(b *testing.B, e *engine.Engine, r *engine.Request) (tokens int) {
	st, err := e.Submit(context.Background(), r)
	if err != nil {
		b.Fatal(err)
	}
	defer st.Close()
	for {
		ev, err := st.Next(context.Background())
		if errors.Is(err, io.EOF) {
			return tokens
		}
		if ev.Kind == engine.Token {
			tokens++
		}
	}
}

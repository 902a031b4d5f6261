package zoo

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"testing"

	"github.com/galerne-ai/galerne/internal/kernel"
	"github.com/galerne-ai/galerne/internal/kv"
	"github.com/galerne-ai/galerne/internal/model"
	"github.com/galerne-ai/galerne/internal/testdeps"
	"github.com/galerne-ai/galerne/internal/tokenizer"
	"github.com/galerne-ai/galerne/internal/weights"
)

// runner feeds one sequence to a network.
type runner struct {
	t     testing.TB
	net   *Network
	pool  *kernel.Pool
	cache *kv.Cache
	table []int32
	pos   int
}

func open(t testing.TB, path string, threads int) (*runner, *weights.File) {
	t.Helper()
	f, err := weights.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	pool := kernel.NewPool(threads)
	t.Cleanup(pool.Close)
	net, err := Open(f, Options{Pool: pool})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(net.Close)
	return newRunner(t, net, pool), f
}

func newRunner(t testing.TB, net *Network, pool *kernel.Pool) *runner {
	t.Helper()
	c := net.Config
	layout := kernel.NewCacheLayout(c.KVHeads, c.HeadDim, 32, kernel.CacheF16)
	r := &runner{t: t, net: net, pool: pool}
	for i := range 32 {
		r.table = append(r.table, int32((i*7+3)%32)) // any order
	}
	var err error
	if r.cache, err = kv.NewCache(layout, c.Layers, len(r.table)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.cache.Close)
	return r
}

// feed runs tokens and gives the logits of every one of them.
func (r *runner) feed(tokens ...int32) []float32 {
	b := &model.Batch{Tokens: tokens, Cache: r.cache, Pool: r.pool, Logits: make([]float32, len(tokens)*r.net.Config.Vocab),
		Spans: []kv.Span{{Rows: len(tokens), Pos: r.pos, Table: r.table}}}
	for i := range tokens {
		b.Positions, b.Want = append(b.Positions, int32(r.pos+i)), append(b.Want, int32(i))
	}
	r.net.Model.Forward(b)
	r.pos += len(tokens)
	return b.Logits
}

func argmax(x []float32) int32 {
	best := 0
	for i, v := range x {
		if v > x[best] {
			best = i
		}
	}
	return int32(best)
}

// TestRealModelsContinueSensibly logs the answers with a digest of all their logits, which test/arm64 compares from
// machine to machine.
func TestRealModelsContinueSensibly(t *testing.T) {
	for name, want := range map[string]string{"smollm2-135m.gguf": "Paris", "qwen2.5-coder-0.5b.gguf": "Paris"} {
		t.Run(name, func(t *testing.T) {
			r, f := open(t, testdeps.Dep(t, "models/"+name), 2)
			tok, err := tokenizer.FromGGUF(f.Meta)
			if err != nil {
				t.Fatal(err)
			}
			ids := tok.Encode(nil, "The capital of France is", tokenizer.EncodeOptions{AddSpecial: true})
			logits, digest := r.feed(ids...), crc32.NewIEEE()
			var out []int32
			for range 24 {
				for _, v := range logits {
					_ = binary.Write(digest, binary.LittleEndian, v)
				}
				next := argmax(logits[len(logits)-r.net.Config.Vocab:])
				out = append(out, next)
				logits = r.feed(next)
			}
			text := tok.Decode(out, false)
			t.Logf("answer %q logits %08x", text, digest.Sum32())
			if got := fmt.Sprintf("%.12s", text); len(got) < 6 || !contains(got, want) {
				t.Errorf("%s continued with %q", name, text)
			}
		})
	}
}

func contains(s, part string) bool {
	for i := 0; i+len(part) <= len(s); i++ {
		if s[i:i+len(part)] == part {
			return true
		}
	}
	return false
}

func BenchmarkGenerate(b *testing.B) {
	r, _ := open(b, testdeps.Dep(b, "models/smollm2-135m.gguf"), 2)
	r.feed(1, 2, 3, 4)
	b.ReportAllocs()
	for b.Loop() {
		r.feed(5)
		r.pos = 4
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tok/s")
}

func BenchmarkPrompt(b *testing.B) {
	r, _ := open(b, testdeps.Dep(b, "models/smollm2-135m.gguf"), 2)
	ids := make([]int32, 512)
	for i := range ids {
		ids[i] = int32(i + 100)
	}
	batch := &model.Batch{Tokens: ids, Cache: r.cache, Pool: r.pool, Logits: make([]float32, r.net.Config.Vocab),
		Spans: []kv.Span{{Rows: len(ids), Table: r.table}}, Want: []int32{511}, Positions: make([]int32, 512)}
	for i := range ids {
		batch.Positions[i] = int32(i)
	}
	b.ReportAllocs()
	for b.Loop() {
		r.net.Model.Forward(batch)
	}
	b.ReportMetric(512*float64(b.N)/b.Elapsed().Seconds(), "tok/s")
}

//go:build unix

package zoo

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/galerne-ai/galerne/internal/kernel"
	"github.com/galerne-ai/galerne/internal/kv"
	"github.com/galerne-ai/galerne/internal/model"
	"github.com/galerne-ai/galerne/internal/testdeps"
	"github.com/galerne-ai/galerne/internal/weights"
)

// BenchmarkNetwork is prompts and answers of real models: tokens a second of the clock, and of one
// CPU's time, which other processes disturb less.
func BenchmarkNetwork(b *testing.B) {
	for _, name := range []string{"smollm2-135m", "qwen2.5-coder-0.5b"} {
		b.Run(name, func(b *testing.B) {
			f, err := weights.Open(testdeps.Dep(b, "models/"+name+".gguf"))
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { f.Close() })
			for _, threads := range []int{1, 2} {
				pool := kernel.NewPool(threads)
				b.Cleanup(pool.Close)
				net, err := Open(f, Options{Pool: pool})
				if err != nil {
					b.Fatal(err)
				}
				b.Cleanup(net.Close)
				for _, s := range []speed{{"prompt", 1, 512, 0}, {"prompt", 1, 2048, 0}, {"generate", 1, 1, 64}, {"generate", 4, 1, 64}, {"generate", 16, 1, 64}, {"generate", 32, 1, 64}} {
					b.Run(fmt.Sprintf("threads=%d/%s/sequences=%d/tokens=%d", threads, s.what, s.sequences, s.rows), func(b *testing.B) {
						s.run(b, net, pool)
					})
				}
			}
		})
	}
}

// speed is a step of several sequences, each with rows tokens at position pos.
type speed struct {
	what                 string
	sequences, rows, pos int
}

func (s speed) run(b *testing.B, net *Network, pool *kernel.Pool) {
	c := net.Config
	const size = 32
	each := (s.pos+s.rows)/size + 1
	cache, err := kv.NewCache(kernel.CacheLayout{KVHeads: c.KVHeads, HeadDim: c.HeadDim, BlockTokens: size}, c.Layers, s.sequences*each)
	if err != nil {
		b.Fatal(err)
	}
	defer cache.Close()
	batch := &model.Batch{Cache: cache, Pool: pool, Logits: make([]float32, s.sequences*c.Vocab)}
	for q := range s.sequences {
		span := kv.Span{Start: len(batch.Tokens), Rows: s.rows, Pos: s.pos}
		for i := range each {
			span.Table = append(span.Table, int32(q*each+i))
		}
		for i := range s.rows {
			batch.Tokens, batch.Positions = append(batch.Tokens, int32(100+i*7%1000)), append(batch.Positions, int32(s.pos+i))
		}
		batch.Spans = append(batch.Spans, span)
		batch.Want = append(batch.Want, int32(len(batch.Tokens)-1))
	}
	net.Model.Forward(batch)
	before := cpuSeconds()
	for b.Loop() {
		net.Model.Forward(batch)
	}
	tokens := float64(b.N * s.sequences * s.rows)
	b.ReportMetric(tokens/b.Elapsed().Seconds(), "tok/s")
	b.ReportMetric(tokens/(cpuSeconds()-before), "tok/cpu-s")
	b.ReportMetric(0, "ns/op")
}

func cpuSeconds() float64 {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

//go:build unix

package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/galerne-ai/galerne/internal/dtype"
)

// BenchmarkMatMul, on one thread, reports weights read in GB/s and multiply-adds in G/s, for one activation row (which
// memory bounds) and many (which arithmetic bounds). The machine's own limit is BenchmarkBandwidth.
func BenchmarkMatMul(b *testing.B) {
	for _, kind := range []dtype.Type{dtype.Q4_0, dtype.Q4_1, dtype.Q4_K, dtype.Q8_0, dtype.Q5_0, dtype.Q6_K, dtype.F16, dtype.F32} {
		for _, n := range []int{1, 2, 4, 8, 16, 512} {
			b.Run(fmt.Sprintf("%s/rows=%d", kind, n), func(b *testing.B) {
				rng := rand.New(rand.NewPCG(1, 1))
				rows, cols := 8192, 2048
				if n > 16 {
					rows = 1024
				}
				pool := NewPool(1)
				defer pool.Close()
				m := mustPack(b, pool, kind, rows, cols, randomWeights(rng, kind, rows, cols))
				var in Input
				x, out := randomFloats(rng, n*cols), make([]float32, n*rows)
				jobs := []Job{{W: m, In: &in, Dst: out, Stride: rows}}
				b.ReportAllocs()
				before := cpuSeconds()
				for b.Loop() {
					pool.Set(&in, x, n, cols)
					pool.MatMul(jobs)
				}
				seconds := (cpuSeconds() - before) / float64(b.N) // of this process alone: others may run beside it
				b.ReportMetric(float64(m.Bytes())/seconds/1e9, "GB/s")
				b.ReportMetric(float64(rows)*float64(cols)*float64(n)/seconds/1e9, "GMAC/s")
			})
		}
	}
}

func cpuSeconds() float64 {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// BenchmarkStream is one input row against a matrix well beyond the caches, beside the machine's bandwidth.
func BenchmarkStream(b *testing.B) {
	for threads := 1; threads <= 2; threads++ {
		pool := NewPool(threads)
		b.Cleanup(pool.Close)
		for _, kind := range []dtype.Type{dtype.Q4_1, dtype.Q4_K, dtype.Q5_0, dtype.Q6_K, dtype.Q8_0} {
			b.Run(fmt.Sprintf("threads=%d/%s", threads, kind), func(b *testing.B) {
				rng := rand.New(rand.NewPCG(1, 1))
				const rows, cols = 1 << 16, 4096
				data := randomWeights(rng, kind, 1<<12, cols)
				bytes, _ := kind.RowBytes(cols)
				for len(data) < rows*bytes {
					data = append(data, data...)
				}
				m := mustPack(b, pool, kind, rows, cols, data)
				var in Input
				x, out := randomFloats(rng, cols), make([]float32, rows)
				jobs := []Job{{W: m, In: &in, Dst: out, Stride: rows}}
				before := cpuSeconds()
				for b.Loop() {
					pool.Set(&in, x, 1, cols)
					pool.MatMul(jobs)
				}
				b.ReportMetric(float64(m.Bytes())*float64(b.N)/b.Elapsed().Seconds()/1e9, "GB/s")
				b.ReportMetric(float64(m.Bytes())*float64(b.N)/(cpuSeconds()-before)/1e9, "GB/cpu-s")
			})
		}
		b.Run(fmt.Sprintf("threads=%d/bandwidth", threads), func(b *testing.B) {
			for b.Loop() {
				l, err := pool.Measure(256 << 20)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(l.Bytes/1e9, "GB/s")
			}
		})
	}
}

// BenchmarkPack is how fast a file's weights become a matrix, on one thread: new, with the pages that the system
// hands out for it, and one that was there.
func BenchmarkPack(b *testing.B) {
	for _, kind := range []dtype.Type{dtype.Q4_0, dtype.Q4_1, dtype.Q4_K, dtype.Q5_K, dtype.Q8_0, dtype.Q5_0, dtype.Q6_K, dtype.F16} {
		const rows, cols = 1024, 4096
		data := randomWeights(rand.New(rand.NewPCG(1, 1)), kind, rows, cols)
		run := func(name string, pack func() error) {
			b.Run(kind.String()+"/"+name, func(b *testing.B) {
				before := cpuSeconds()
				for b.Loop() {
					if err := pack(); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(len(data))*float64(b.N)/(cpuSeconds()-before)/1e6, "MB/cpu-s")
			})
		}
		run("new", func() error {
			m, err := Pack(nil, kind, rows, cols, data)
			if err == nil {
				m.Close()
			}
			return err
		})
		m := mustPack(b, nil, kind, rows, cols, data)
		run("again", func() error { m.PackRows(0, data); return nil })
		m.Close()
	}
}

// BenchmarkAttend is a tile of 48 queries of 64 dimensions against one block, phase by phase, in G multiply-adds (of softmax:
// numbers) a second.
func BenchmarkAttend(b *testing.B) {
	const n, dim = 48, 64
	a := &Attention{Layout: CacheLayout{KVHeads: 1, HeadDim: dim, BlockTokens: maxBlock}, Heads: 1}
	s := a.newScratch()
	rng := rand.New(rand.NewPCG(1, 1))
	for _, x := range [][]float32{s.q, s.k, s.v, s.acc} {
		copy(x, randomFloats(rng, len(x)))
	}
	for i := range s.mask {
		s.mask[i] = 1<<32 - 1
	}
	c := &s.call
	c.n, c.many, c.wide, c.k, c.v = n, maxBlock, true, unsafe.Pointer(&s.k[0]), unsafe.Pointer(&s.v[0])
	c.q, c.score, c.shrink, c.acc = unsafe.Pointer(&s.q[0]), unsafe.Pointer(&s.score[0]), unsafe.Pointer(&s.shrink[0]), unsafe.Pointer(&s.acc[0])
	for _, phase := range []struct {
		name string
		run  func(*attendCall)
		work float64
	}{{"scores", scores, n * dim * maxBlock}, {"soften", soften, n * maxBlock}, {"mix", mix, n * dim * maxBlock}} {
		b.Run(phase.name, func(b *testing.B) {
			clear(s.sum)
			scores(c)
			before := cpuSeconds()
			for b.Loop() {
				phase.run(c)
			}
			b.ReportMetric(phase.work*float64(b.N)/(cpuSeconds()-before)/1e9, "GMAC/s")
		})
	}
}

// BenchmarkAnswers is the attention of answers under way, one row each, on one thread: with keys and values in a cache, and
// with those of 30 layers in turn, which are in memory.
func BenchmarkAnswers(b *testing.B) {
	for _, c := range []struct {
		name            string
		heads, kv, dim  int
		spans, from, to int
	}{{"135M", 9, 3, 64, 16, 16, 127}, {"0.5B", 14, 2, 64, 16, 16, 127}, {"135Mserver", 9, 3, 64, 16, 220, 350}, {"0.5Bserver", 14, 2, 64, 16, 220, 284}, {"8B", 32, 8, 128, 16, 16, 127},
		{"135Mlong", 9, 3, 64, 1, 4000, 4000}, {"0.5Blong", 14, 2, 64, 1, 4000, 4000}, {"MHA", 8, 8, 64, 16, 16, 127}} {
		for _, layers := range []int{1, 30} {
			for _, kind := range []CacheType{CacheF16, CacheQ8, CacheI16} {
				b.Run(fmt.Sprintf("%s/%s/layers=%d", c.name, kind, layers), func(b *testing.B) {
					pool := NewPool(1)
					defer pool.Close()
					rng := rand.New(rand.NewPCG(1, 1))
					l := CacheLayout{KVHeads: c.kv, HeadDim: c.dim, BlockTokens: maxBlock, Type: kind}
					blocks := c.spans * (c.to/maxBlock + 1)
					a := &Attention{Layout: l, Heads: c.heads, Scale: 0.125, Q: randomFloats(rng, c.spans*c.heads*c.dim)}
					a.Out = make([]float32, len(a.Q))
					for s := range c.spans {
						span := Span{Start: s, Rows: 1, Pos: c.from + (c.to-c.from)*s/max(1, c.spans-1)}
						for i := range c.to/maxBlock + 1 {
							span.Table = append(span.Table, int32(i*c.spans+s))
						}
						a.Spans = append(a.Spans, span)
					}
					arenas := make([][]byte, layers)
					all := mustAllocate(b, layers*blocks*l.BlockBytes()+4<<20) // on large pages, as an engine's
					for i := range arenas {
						arenas[i] = all[i*blocks*l.BlockBytes():][:blocks*l.BlockBytes()]
						x := randomFloats(rng, c.kv*c.dim)
						for block := range blocks {
							for slot := range maxBlock {
								l.Store(arenas[i], int32(block), slot, x, x)
							}
						}
					}
					n := 0
					before := cpuSeconds()
					for b.Loop() {
						a.Arena = arenas[n%layers]
						n++
						pool.Attend(a)
					}
					seconds := (cpuSeconds() - before) / float64(b.N)
					b.ReportMetric(float64(a.describe().Ops)/seconds/1e9, "GOP/s")
					b.ReportMetric(float64(a.describe().Bytes)/seconds/1e9, "GB/s")
					b.ReportMetric(seconds*1e6/float64(c.spans), "µs/span")
				})
			}
		}
	}
}

func mustAllocate(b *testing.B, bytes int) []byte {
	data, free, err := Allocate(bytes)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(free)
	return data
}

// BenchmarkPrompt is the attention of a prompt of 512 tokens, on one thread.
func BenchmarkPrompt(b *testing.B) {
	for _, c := range []struct {
		name           string
		heads, kv, dim int
	}{{"135M", 9, 3, 64}, {"0.5B", 14, 2, 64}, {"8B", 32, 8, 128}} {
		b.Run(c.name, func(b *testing.B) {
			pool := NewPool(1)
			defer pool.Close()
			rng := rand.New(rand.NewPCG(1, 1))
			const rows = 512
			l := NewCacheLayout(c.kv, c.dim, maxBlock, CacheF16)
			span := Span{Rows: rows}
			arena := mustAllocate(b, rows/maxBlock*l.BlockBytes())
			for i := range rows {
				if i%maxBlock == 0 {
					span.Table = append(span.Table, int32(i/maxBlock))
				}
				l.Store(arena, int32(i/maxBlock), i%maxBlock, randomFloats(rng, c.kv*c.dim), randomFloats(rng, c.kv*c.dim))
			}
			a := &Attention{Layout: l, Heads: c.heads, Scale: 0.125, Arena: arena, Spans: []Span{span}, Q: randomFloats(rng, rows*c.heads*c.dim)}
			a.Out = make([]float32, len(a.Q))
			before := cpuSeconds()
			for b.Loop() {
				pool.Attend(a)
			}
			b.ReportMetric(float64(a.describe().Ops)*float64(b.N)/(cpuSeconds()-before)/1e9, "GOP/s")
		})
	}
}

// BenchmarkRows is the plain functions on a row of one head, of a small network's width and of its inner layer's, in G numbers a
// second.
func BenchmarkRows(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, n := range []int{64, 576, 1536} {
		x, y, z := randomFloats(rng, n), randomFloats(rng, n), randomFloats(rng, n)
		lines, halves := make([]byte, n/32*lineBytes), make([]uint16, n)
		cos, sin := make([]float32, n/2), make([]float32, n/2) // of angles, else numbers would grow or vanish
		for i := range cos {
			s, c := math.Sincos(float64(x[i]))
			cos[i], sin[i] = float32(c), float32(s)
		}
		var part [32]float32
		for _, f := range []struct {
			name string
			run  func()
		}{
			{"quantize", func() { quantizeRow(x, lines) }},
			{"squares", func() { squares(x, &part) }},
			{"add", func() { add(y, x) }},
			{"scale", func() { scale(x, -1) }},
			{"scaleBy", func() { scaleBy(y, x, z, 0.5) }},
			{"ropePairs", func() { ropePairs(y, cos, sin) }},
			{"ropeHalves", func() { ropeHalves(y[:n/2], y[n/2:], cos, sin) }},
			{"toF16", func() { toF16(halves, x) }},
			{"fromF16", func() { fromF16(y, halves) }},
			{"expSum", func() { expSum(y, x, 3) }},
			{"swiGLU", func() { copy(y, x); swiGLU(y, z) }},
		} {
			b.Run(fmt.Sprintf("%s/%d", f.name, n), func(b *testing.B) {
				clear(part[:])
				copy(y, z)
				before := cpuSeconds()
				for b.Loop() {
					f.run()
				}
				b.ReportMetric(float64(n)*float64(b.N)/(cpuSeconds()-before)/1e9, "G/s")
			})
		}
	}
}

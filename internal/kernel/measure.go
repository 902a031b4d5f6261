package kernel

import (
	"fmt"
	"slices"
	"time"
	"unsafe"
)

// Work is what a task computes, for measurements.
type Work struct {
	Name   string // product Q4_1, attention; of another package's task its type
	Bytes  int64  // of weights, or of keys and values, that are read
	Ops    int64  // multiplications and additions
	Floats bool   // they are of floats, not of integers
}

// Trace is told of every task when it has ended, on the goroutine of Run's caller.
type Trace func(w Work, took time.Duration)

// SetTrace begins to tell; nil ends it. The pool must be idle. A pool without a trace pays a branch a task.
func (p *Pool) SetTrace(t Trace) { p.trace = t }

func (p *Pool) traced(parts int, t Task) {
	var w Work
	switch t := t.(type) {
	case *product:
		w = t.describe()
	case *Attention:
		w = t.describe()
	default:
		w.Name = fmt.Sprintf("%T", t)
	}
	start := time.Now()
	p.run(parts, t)
	p.trace(w, time.Since(start))
}

// describe adds up the jobs; weights count once, since a part's stay in the cache while rows pass.
func (t *product) describe() Work {
	w := Work{Name: "product"}
	var types []string
	for i := range t.jobs {
		j := &t.jobs[i]
		if j.rows() == 0 {
			continue
		}
		if name := j.W.Type.String(); !slices.Contains(types, name) {
			types = append(types, name)
			w.Name += " " + name
		}
		w.Bytes += int64(j.W.panels()) * int64(j.W.panelBytes)
		w.Ops += 2 * int64(j.rows()) * int64(j.W.Rows) * int64(j.W.Cols)
		w.Floats = w.Floats || j.W.form.bits == 0
	}
	return w
}

// describe counts the keys and values that a span's rows see, once, and every row's sums over them.
func (a *Attention) describe() Work {
	w := Work{Name: "attention", Floats: true}
	for _, s := range a.Spans {
		first := 0 // position that the first row sees
		for r := range s.Rows {
			seen := s.Pos + r + 1
			if a.Window > 0 {
				seen = min(seen, a.Window)
			}
			if r == 0 {
				first = s.Pos + 1 - seen
			}
			w.Ops += 4 * int64(a.Heads) * int64(a.Layout.HeadDim) * int64(seen)
		}
		w.Bytes += int64(s.Pos+s.Rows-first) * int64(a.Layout.TokenBytes())
	}
	return w
}

// Limits are what this machine can do at most with a pool's threads. Operations are multiplications and additions, two a
// product that is added; 0 where no instruction of ours can be timed.
type Limits struct {
	Bytes    float64 // read from memory a second
	Integers float64 // operations a second on numbers of 8 bits, by the instructions that the products of quantized weights use
	Floats   float64 // operations a second on float32, by fused multiplications and additions
}

// limit is a bare loop without memory: n times round, of so many operations each.
type limit struct {
	loop       func(n int)
	operations int
}

// Measure finds the limits, each the best of several short runs on all threads together. Memory is read in a buffer of
// size bytes. The pool must be idle.
func (p *Pool) Measure(size int) (Limits, error) {
	bytes, err := p.bandwidth(size)
	if err != nil {
		return Limits{}, err
	}
	integers, floats := limits()
	return Limits{bytes, p.rate(integers), p.rate(floats)}, nil
}

// bandwidth is how fast this machine reads memory with the pool's threads, in bytes a second:
// the best of several passes over a buffer of size bytes, which should be well beyond the caches.
func (p *Pool) bandwidth(size int) (float64, error) {
	const chunk = 1 << 20
	parts := max(1, size/chunk)
	buffer, free, err := Allocate(parts * chunk)
	if err != nil {
		return 0, err
	}
	defer free()
	for i := 0; i < len(buffer); i += 4096 {
		buffer[i] = byte(i >> 12)
	}
	task := &readTask{buffer: buffer, chunk: chunk, sums: make([][8]float32, p.Threads())}
	var best float64
	for range 5 {
		start := time.Now()
		p.Run(parts, task)
		best = max(best, float64(len(buffer))/time.Since(start).Seconds())
	}
	return best, nil
}

type readTask struct {
	buffer []byte
	chunk  int
	sums   [][8]float32
}

// Part reads one chunk.
func (t *readTask) Part(part, worker int) {
	floats := unsafe.Slice((*float32)(unsafe.Pointer(&t.buffer[part*t.chunk])), t.chunk/4)
	t.sums[worker][0] += sumSquares(floats)
}

// rate is operations a second.
func (p *Pool) rate(l limit) float64 {
	const rounds, parts, enough = 1 << 12, 16, 30 * time.Millisecond // some 10 µs a part
	if l.loop == nil {
		return 0
	}
	var best float64
	for begin, run := time.Now(), 0; run < 2 || time.Since(begin) < enough; run++ {
		start := time.Now()
		p.Run(parts*p.threads, &limitTask{l.loop, rounds})
		best = max(best, float64(parts*p.threads*rounds*l.operations)/time.Since(start).Seconds())
	}
	return best
}

type limitTask struct {
	loop   func(n int)
	rounds int
}

// Part runs the loop.
func (t *limitTask) Part(int, int) { t.loop(t.rounds) }

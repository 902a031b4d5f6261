package kernel

import (
	"cmp"
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
	Busy   int64  // operations that the bare loop of Limits makes while the kernels make Ops and all else that they need, or Ops where nobody counted
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
		ops := 2 * int64(j.rows()) * int64(j.W.Rows) * int64(j.W.Cols)
		w.Ops, w.Busy = w.Ops+ops, w.Busy+cmp.Or(j.busy(), ops)
		w.Floats = w.Floats || j.W.form.bits == 0
	}
	return w
}

// busy is that of rows that are written, and of others.
func (j *Job) busy() int64 {
	read := 0
	for i := range j.rows() {
		if j.reads(i) {
			read++
		}
	}
	return busy(j.W, j.rows()-read) + busyReading(j.W, read)
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
	w.Busy = w.Ops
	if d := int64(a.Layout.HeadDim); a.Layout.Type == CacheI16 {
		w.Busy = w.Ops * busyInts(d) / (4 * maxBlock * d)
	}
	return w
}

// busyInts is the operations of the bare loop of floats in the time that a query of so many dimensions takes for a block by tiles at least:
// those of 14·dim/64 instructions of tiles, of 16 cycles for 16 queries, and behind them 80 of vectors and 5 for every 16 dimensions.
func busyInts(dim int64) int64 {
	const cycle, vector = 64, 32 // operations
	return 14*dim/64*cycle + (80+5*dim/16)*vector
}

// Limits are what this machine gives a pool's threads. Operations are multiplications and additions, two a product that is added; 0
// where no instruction of ours can be timed.
type Limits struct {
	Bytes    float64 // read from memory a second
	Integers float64 // operations a second on numbers of 8 bits, in a bare loop of the instructions that products of quantized weights use
	Floats   float64 // operations a second on float32, by fused multiplications and additions
}

// limit is a bare loop that waits for nothing: n times round, of so many operations each.
type limit struct {
	loop       func(n int)
	operations int
}

// Probe measures the limits in short samples, so that they can be taken in between what is compared with them: what the neighbours of a
// shared host leave changes from one second to the next.
type Probe struct {
	pool                    *Pool
	read                    *readTask
	free                    func()
	bytes, integers, floats rate
}

// rate is so much in such a time.
type rate struct {
	much float64
	took time.Duration
}

func (r *rate) add(much int, since time.Time) {
	r.much, r.took = r.much+float64(much), r.took+time.Since(since)
}

func (r *rate) perSecond() float64 { return r.much / max(r.took, 1).Seconds() }

const (
	probeChunk = 512 << 10 // bytes
	probeParts = 8         // for each thread
	probeTurns = 1 << 12   // of a bare loop: some 10 µs
)

// NewProbe reads memory in a buffer of about size bytes, which should be well beyond the caches.
func (p *Pool) NewProbe(size int) (*Probe, error) {
	least := probeParts * p.threads
	chunks := max(1, size/probeChunk/least) * least
	buffer, free, err := Allocate(chunks * probeChunk)
	if err != nil {
		return nil, err
	}
	for i := 0; i < len(buffer); i += 4096 {
		buffer[i] = byte(i >> 12)
	}
	return &Probe{pool: p, read: &readTask{buffer: buffer, sums: make([][8]float32, p.threads)}, free: free}, nil
}

// Close gives the buffer back.
func (q *Probe) Close() { q.free() }

// Sample measures for less than a millisecond. The pool must be idle; what a Trace is told has ended.
func (q *Probe) Sample() {
	parts, start := probeParts*q.pool.threads, time.Now()
	q.pool.run(parts, q.read)
	q.bytes.add(parts*probeChunk, start)
	q.read.first = (q.read.first + parts) % (len(q.read.buffer) / probeChunk)
	integers, floats := limits()
	q.turn(integers, &q.integers)
	q.turn(floats, &q.floats)
}

func (q *Probe) turn(l limit, r *rate) {
	if l.loop == nil {
		return
	}
	parts, start := probeParts*q.pool.threads, time.Now()
	q.pool.run(parts, &limitTask{l.loop})
	r.add(parts*probeTurns*l.operations, start)
}

// Limits are what all samples since the last call found together.
func (q *Probe) Limits() Limits {
	l := Limits{q.bytes.perSecond(), q.integers.perSecond(), q.floats.perSecond()}
	q.bytes, q.integers, q.floats = rate{}, rate{}, rate{}
	return l
}

// Measure finds the limits within half a second, in a buffer of about size bytes. The pool must be idle.
func (p *Pool) Measure(size int) (Limits, error) {
	q, err := p.NewProbe(size)
	if err != nil {
		return Limits{}, err
	}
	defer q.Close()
	for start := time.Now(); time.Since(start) < time.Second/2; {
		q.Sample()
	}
	return q.Limits(), nil
}

type readTask struct {
	buffer []byte
	first  int // chunk; the buffer has a multiple of a sample's
	sums   [][8]float32
}

// Part reads one chunk.
func (t *readTask) Part(part, worker int) {
	floats := unsafe.Slice((*float32)(unsafe.Pointer(&t.buffer[(t.first+part)*probeChunk])), probeChunk/4)
	t.sums[worker][0] += sumSquares(floats)
}

type limitTask struct{ loop func(n int) }

// Part runs the loop.
func (t *limitTask) Part(int, int) { t.loop(probeTurns) }

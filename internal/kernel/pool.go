package kernel

import (
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// Task is work in parts. Part is called once for every part, on any worker; worker is below
// Pool.Threads() and lets a task keep scratch memory per worker.
type Task interface {
	Part(part, worker int)
}

// Pool runs tasks on a fixed number of workers, of which the caller of Run is the first. The
// others spin for a moment after a task, since a step of a network is many short tasks, then park.
// A worker that the system keeps from running delays nobody: the others take its parts.
type Pool struct {
	threads int
	task    Task
	turn    atomic.Uint64 // the number of the task at hand
	runs    []stretch     // a worker each: its parts of the task
	left    atomic.Int32  // parts that have not ended
	parked  atomic.Int32
	mu      sync.Mutex
	wake    *sync.Cond
	closed  atomic.Bool
	fault   atomic.Pointer[any] // what a part panicked with, on any worker
	done    sync.WaitGroup
	product product // the task of MatMul, reused
	shelf   shelf   // where packed matrices stand
	trace   Trace   // nil: nobody measures
}

// stretch is parts that stand side by side, handed out from the first on. Each has a cache line of its own.
type stretch struct {
	word atomic.Uint64 // the end (32 bits), the first part that nobody has taken (32)
	_    [56]byte
}

func (s *stretch) set(from, to int) { s.word.Store(uint64(to)<<32 | uint64(from)) }

// take hands out a part. The word that counts also says where it ends, so that a worker who comes late to one task and
// finds the next takes a part of that.
func (s *stretch) take() (int, bool) {
	if w := s.word.Load(); uint32(w) >= uint32(w>>32) {
		return 0, false
	}
	w := s.word.Add(1) - 1
	return int(uint32(w)), uint32(w) < uint32(w>>32)
}

const (
	maxParts = 1<<31 - 1
	// spins is how often a worker looks for new work before it parks: 50 to 200 µs.
	spins = 4000
	// patience is how often Run looks whether the last parts have ended before it lets other
	// goroutines have the thread: about 10 µs.
	patience = 200
)

// NewPool starts a pool. Threads 0 means one per CPU.
func NewPool(threads int) *Pool {
	if threads <= 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	p := &Pool{threads: threads, runs: make([]stretch, threads)}
	p.wake = sync.NewCond(&p.mu)
	for w := 1; w < threads; w++ {
		p.done.Add(1)
		go p.serve(w)
	}
	return p
}

// Threads is the number of workers.
func (p *Pool) Threads() int { return p.threads }

// Close ends the workers and waits for them. The pool must be idle.
func (p *Pool) Close() {
	p.closed.Store(true)
	p.mu.Lock()
	p.turn.Add(1)
	p.wake.Broadcast()
	p.mu.Unlock()
	p.done.Wait()
}

// Run calls t.Part for parts 0 to parts-1 and returns when all have ended. It allocates nothing.
// One Run at a time. If a part panics, on whichever worker, Run panics with the same value once all
// parts have ended or were given up.
func (p *Pool) Run(parts int, t Task) {
	if p.trace != nil {
		p.traced(parts, t)
		return
	}
	p.run(parts, t)
}

func (p *Pool) run(parts int, t Task) {
	if p.threads == 1 || parts <= 1 {
		for i := range parts {
			t.Part(i, 0)
		}
		return
	}
	if parts > maxParts {
		panic("kernel: a task has too many parts")
	}
	p.task = t
	p.left.Store(int32(parts))
	p.deal(parts, t)
	p.turn.Add(1)
	if p.parked.Load() > 0 {
		p.mu.Lock()
		p.wake.Broadcast()
		p.mu.Unlock()
	}
	p.drain(0)
	for i := 0; p.left.Load() > 0; i++ {
		if i < patience {
			pause()
		} else {
			runtime.Gosched()
		}
	}
	p.task = nil
	if f := p.fault.Swap(nil); f != nil {
		panic(*f)
	}
}

// deal gives each worker a stretch of its own: parts side by side are rows side by side, or weights, which the same core has read before or
// reads next.
func (p *Pool) deal(parts int, t Task) {
	for w := range p.threads {
		p.runs[w].set(p.begin(parts, t, w), p.begin(parts, t, w+1))
	}
}

// begin is where a worker's stretch begins. All of attention is the first one's: whoever comes takes the next of its parts, whose longest
// come first.
func (p *Pool) begin(parts int, t Task, worker int) int {
	switch t := t.(type) {
	case *Attention:
		return min(worker, 1) * parts
	case *product:
		if t.bands > 1 {
			return t.bandBegin(worker)
		}
	}
	return parts * worker / p.threads
}

func (p *Pool) keep(fault any) { p.fault.CompareAndSwap(nil, &fault) }

// drain runs the worker's own parts, then those that others have not come to.
func (p *Pool) drain(worker int) {
	for i := range p.threads {
		for run := &p.runs[(worker+i)%p.threads]; !p.work(run, worker); {
		}
	}
}

// work runs the parts of a stretch that are left, and says whether it came to the end; if not, a part panicked, which is
// kept for the caller of Run. Parts are counted off together: workers share that word.
func (p *Pool) work(run *stretch, worker int) (end bool) {
	taken := int32(0)
	defer func() {
		if r := recover(); r != nil {
			p.keep(r)
		}
		if taken > 0 {
			p.left.Add(-taken)
		}
	}()
	for part, ok := run.take(); ok; part, ok = run.take() {
		taken++
		p.task.Part(part, worker)
	}
	return true
}

func (p *Pool) serve(worker int) {
	defer p.done.Done()
	runtime.LockOSThread()
	debug.SetPanicOnFault(true) // a mapped file may shrink while a part reads it: that is for Run's caller
	var seen uint64
	for {
		seen = p.await(seen)
		if p.closed.Load() {
			return
		}
		p.drain(worker)
	}
}

// await returns the number of the next task, spinning first and parking then.
func (p *Pool) await(seen uint64) uint64 {
	for range spins {
		if now := p.turn.Load(); now != seen {
			return now
		}
		pause()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.parked.Add(1)
	for p.turn.Load() == seen {
		p.wake.Wait()
	}
	p.parked.Add(-1)
	return p.turn.Load()
}

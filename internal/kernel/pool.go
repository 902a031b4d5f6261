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
	work    atomic.Uint64 // turn (24 bits), parts (20), first part that nobody has taken (20)
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

const (
	partBits = 20
	partMask = 1<<partBits - 1
	maxParts = partMask / 2 // workers that find no part left count on past the last
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
	p := &Pool{threads: threads}
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
	p.work.Add(1 << (2 * partBits))
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
	turn := p.work.Load()>>(2*partBits) + 1
	p.work.Store(turn<<(2*partBits) | uint64(parts)<<partBits)
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

func (p *Pool) keep(fault any) { p.fault.CompareAndSwap(nil, &fault) }

// drain runs parts until none is left. The word that hands out a part also says how many its task
// has, so that a worker who comes late to one task and finds the next takes a part of that.
func (p *Pool) drain(worker int) {
	for {
		w := p.work.Add(1) - 1
		part := int(w & partMask)
		if part >= int(w>>partBits&partMask) {
			return
		}
		p.part(part, worker)
	}
}

// part keeps a panic for the caller of Run.
func (p *Pool) part(part, worker int) {
	defer func() {
		if r := recover(); r != nil {
			p.keep(r)
		}
		p.left.Add(-1)
	}()
	p.task.Part(part, worker)
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

// turn is the number of the task at hand.
func (p *Pool) turn() uint64 { return p.work.Load() >> (2 * partBits) }

// await returns the number of the next task, spinning first and parking then.
func (p *Pool) await(seen uint64) uint64 {
	for range spins {
		if now := p.turn(); now != seen {
			return now
		}
		pause()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.parked.Add(1)
	for p.turn() == seen {
		p.wake.Wait()
	}
	p.parked.Add(-1)
	return p.turn()
}

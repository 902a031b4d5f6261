package kernel

import (
	"runtime"
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
type Pool struct {
	threads int
	task    Task
	parts   int32
	next    atomic.Int32  // first part that nobody has taken
	busy    atomic.Int32  // workers still in the current task
	turn    atomic.Uint32 // counts tasks; workers wait for it to move
	parked  atomic.Int32
	mu      sync.Mutex
	wake    *sync.Cond
	closed  atomic.Bool
	fault   atomic.Pointer[any] // what a part panicked with, on any worker
	done    sync.WaitGroup
	product product // the task of MatMul, reused
}

// spins is how often a worker looks for new work before it parks: about 50 µs.
const spins = 4000

// NewPool starts a pool. Threads 0 means one per CPU.
func NewPool(threads int) *Pool {
	if threads <= 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	p := &Pool{threads: threads}
	p.wake = sync.NewCond(&p.mu)
	for w := 1; w < threads; w++ {
		p.done.Add(1)
		go p.work(w)
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
// workers have stopped.
func (p *Pool) Run(parts int, t Task) {
	if p.threads == 1 || parts <= 1 {
		for i := range parts {
			t.Part(i, 0)
		}
		return
	}
	p.task, p.parts = t, int32(parts)
	p.next.Store(0)
	p.busy.Store(int32(p.threads - 1))
	p.turn.Add(1)
	if p.parked.Load() > 0 {
		p.mu.Lock()
		p.wake.Broadcast()
		p.mu.Unlock()
	}
	p.guarded(0)
	for i := 0; p.busy.Load() > 0; i++ {
		if i > spins/8 {
			runtime.Gosched()
		}
	}
	p.task = nil
	if f := p.fault.Swap(nil); f != nil {
		panic(*f)
	}
}

// guarded keeps a panic for the caller of Run.
func (p *Pool) guarded(worker int) {
	defer func() {
		if r := recover(); r != nil {
			p.keep(r)
		}
	}()
	p.drain(worker)
}

func (p *Pool) keep(fault any) { p.fault.CompareAndSwap(nil, &fault) }

func (p *Pool) drain(worker int) {
	for {
		i := p.next.Add(1) - 1
		if i >= p.parts {
			return
		}
		p.task.Part(int(i), worker)
	}
}

func (p *Pool) work(worker int) {
	defer p.done.Done()
	runtime.LockOSThread()
	var seen uint32
	for {
		seen = p.await(seen)
		if p.closed.Load() {
			return
		}
		p.guarded(worker)
		p.busy.Add(-1)
	}
}

// await returns the number of the next task, spinning first and parking then.
func (p *Pool) await(seen uint32) uint32 {
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

package zoo

import (
	"runtime"
	"sync/atomic"
	"time"

	"github.com/galerne-ai/galerne/internal/kernel"
	"github.com/galerne-ai/galerne/internal/model"
	"github.com/galerne-ai/galerne/internal/weights"
)

// packing is what is left of a network's loading once it can compute: its matrices stand in the file, and are packed
// one after the other.
type packing struct {
	file        *weights.File
	pool        *kernel.Pool
	report      func(done, total int64) // nil: nobody asks
	matrices    []deferred
	read, total int64 // bytes of the file

	unmap   func()        // gives the hold on the file back
	stepped chan struct{} // closed when the first step has ended
	steps   atomic.Int64  // that have begun
	stop    chan struct{} // closed when it shall end
	ended   chan struct{} // closed when it has
	err     error         // why not all is packed: set before ended is closed
}

// standBack is how long packing waits for whoever had the network opened, and wants to see a token.
const standBack = 200 * time.Millisecond

// deferred is a matrix and where its weights are in the file.
type deferred struct {
	matrix     *kernel.Matrix
	tensor     *weights.Tensor
	from, size int // bytes of the tensor
}

// progress counts bytes of the file that are not needed any more.
func (p *packing) progress(bytes int) {
	p.read += int64(bytes)
	if p.report != nil {
		p.report(p.read, p.total)
	}
}

func (p *packing) packed(x deferred) {
	x.tensor.Release(x.from, x.size)
	p.progress(x.size)
}

// whole packs all, with all threads.
func (p *packing) whole() error {
	defer close(p.ended)
	err := weights.Guard(p.file.Path, func() error {
		for _, x := range p.matrices {
			x.matrix.PackAll(p.pool)
			p.packed(x)
		}
		return nil
	})
	if err == nil {
		err = p.file.Unchanged()
	}
	p.matrices, p.err = nil, err
	return err
}

// start packs on a goroutine of its own, beside those who compute.
func (p *packing) start() {
	p.unmap = p.file.Hold()
	go func() {
		if p.err = weights.Guard(p.file.Path, p.behind); p.err == nil {
			p.err = p.file.Unchanged()
		}
		whole := p.err == nil
		close(p.ended) // before the file goes: see Forward
		if whole {
			p.matrices = nil
			p.unmap() // nobody reads it: all matrices are packed
		}
	}()
}

// behind packs until it is told to stop. It lets the first step pass, where there is one soon: the memory that packing
// wants takes a system longer to find than all that step does, and both together take longest.
func (p *packing) behind() error {
	select {
	case <-p.stop:
	case <-p.stepped:
	case <-time.After(standBack):
		if p.steps.Load() > 0 {
			select {
			case <-p.stop:
			case <-p.stepped:
			}
		}
	}
	for _, x := range p.matrices {
		for more := true; more; {
			if isClosed(p.stop) {
				return ErrClosed
			}
			more = x.matrix.PackSome()
			runtime.Gosched() // those who compute go first
		}
		p.packed(x)
	}
	return nil
}

// close ends what start began.
func (p *packing) close() {
	close(p.stop)
	<-p.ended
	p.unmap()
}

// over reports whether all is packed, or cannot be.
func (p *packing) over() bool { return isClosed(p.ended) }

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// beside is a network that computes while it is packed. What it computes holds only if the file is what it was: a step
// that is not sure of that fails.
type beside struct {
	model.Model
	packing *packing
}

// Forward implements model.Model.
func (m *beside) Forward(b *model.Batch) {
	p := m.packing
	if p.over() {
		if b.Err = p.err; b.Err == nil {
			m.Model.Forward(b)
		}
		return
	}
	if p.steps.Add(1) == 1 {
		defer close(p.stepped)
	}
	err := weights.Guard(p.file.Path, func() error {
		m.Model.Forward(b)
		return nil
	})
	if err == nil {
		err = p.file.Unchanged()
		if p.over() { // it has looked, and the file may be closed
			err = p.err
		}
	}
	if b.Err == nil {
		b.Err = err
	}
}

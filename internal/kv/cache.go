package kv

import (
	"time"

	"github.com/galerne-ai/galerne/internal/kernel"
)

// Cache is the memory of keys and values: for each layer an arena of Blocks blocks. The system hands
// out its pages as blocks are first written, or a little before: see Ready.
type Cache struct {
	Layout kernel.CacheLayout
	Blocks int
	layers [][]byte
	free   []func()
	closed bool
	used   int      // bytes of each arena up to the last block that was lent; of Ready's caller
	asked  int      // that are or will be in memory
	ready  chan int // the same, for the goroutine that sees to it
	stop   chan struct{}
	done   chan struct{}
}

const (
	// ahead is how many bytes of each arena are made ready beyond the block at hand, a large page at a time.
	ahead     = 4 << 20
	largePage = 2 << 20
	// restAhead is how many bytes of all arenas are made ready while nobody computes.
	restAhead = 256 << 20
	// breath is how long those who compute are left alone between two pages.
	breath = 5 * time.Millisecond
)

// NewCache reserves the arenas.
func NewCache(layout kernel.CacheLayout, layers, blocks int) (*Cache, error) {
	c := &Cache{Layout: layout, Blocks: blocks, ready: make(chan int, 1), stop: make(chan struct{}), done: make(chan struct{})}
	go c.populate()
	for range layers {
		arena, free, err := kernel.Allocate(blocks * layout.BlockBytes())
		if err != nil {
			c.Close()
			return nil, err
		}
		c.layers, c.free = append(c.layers, arena), append(c.free, free)
	}
	return c, nil
}

// Layer is one layer's arena.
func (c *Cache) Layer(i int) []byte { return c.layers[i] }

// Bytes is the size of all arenas.
func (c *Cache) Bytes() int64 {
	return int64(len(c.layers)) * int64(c.Blocks) * int64(c.Layout.BlockBytes())
}

// Ready is told of every block that is lent, and sees to it that the system has pages for those behind it before they
// are written: for each new page a step would stand still, where a virtual machine's host hands them out a
// millisecond each. It returns at once. One goroutine may call it and Rest.
func (c *Cache) Ready(block int32) {
	at := int(block) * c.Layout.BlockBytes()
	c.used = max(c.used, at+c.Layout.BlockBytes())
	if at+ahead/2 >= c.asked {
		c.ask(at + ahead)
	}
}

// Rest is called when nobody computes: then more pages are handed out, since each takes a processor for as long as a step.
// Where no block was lent, none are.
func (c *Cache) Rest() {
	if c.used > 0 {
		c.ask(c.used + restAhead/len(c.layers))
	}
}

// ask has so many bytes of each arena made ready.
func (c *Cache) ask(to int) {
	to = min(c.Blocks*c.Layout.BlockBytes(), to/largePage*largePage)
	if to <= c.asked {
		return
	}
	c.asked = to
	select {
	case <-c.ready: // it has not come to that: this is more
	default:
	}
	c.ready <- to
}

// populate does what Ready promises, page by page of all layers.
func (c *Cache) populate() {
	defer close(c.done)
	for done := 0; ; {
		var to int
		select {
		case <-c.stop:
			return
		case to = <-c.ready:
		}
		for ; done < to; done += largePage {
			for _, arena := range c.layers {
				kernel.Populate(arena[done:min(done+largePage, to)])
				select {
				case <-c.stop:
					return
				case <-time.After(breath):
				}
			}
		}
	}
}

// CopySlots copies the first slots of one block to another, in every layer.
func (c *Cache) CopySlots(to, from int32, slots int) {
	for _, arena := range c.layers {
		c.Layout.CopySlots(arena, to, from, slots)
	}
}

// Close gives the memory back.
func (c *Cache) Close() {
	if !c.closed {
		c.closed = true
		close(c.stop)
		<-c.done
	}
	for _, free := range c.free {
		free()
	}
	c.layers, c.free = nil, nil
}

package kv

import "github.com/galerne-ai/galerne/internal/kernel"

// Cache is the memory of keys and values: for each layer an arena of Blocks blocks. The system hands
// out its pages as blocks are first written.
type Cache struct {
	Layout kernel.CacheLayout
	Blocks int
	layers [][]byte
	free   []func()
}

// NewCache reserves the arenas.
func NewCache(layout kernel.CacheLayout, layers, blocks int) (*Cache, error) {
	c := &Cache{Layout: layout, Blocks: blocks}
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

// CopySlots copies the first slots of one block to another, in every layer.
func (c *Cache) CopySlots(to, from int32, slots int) {
	for _, arena := range c.layers {
		c.Layout.CopySlots(arena, to, from, slots)
	}
}

// Close gives the memory back.
func (c *Cache) Close() {
	for _, free := range c.free {
		free()
	}
	c.layers, c.free = nil, nil
}

package kernel

import (
	"time"
	"unsafe"
)

// Allocate gives zeroed memory of the given size outside Go's heap, 64-byte aligned, and a function
// that frees it. The system hands out the pages when they are first written.
func Allocate(bytes int) ([]byte, func(), error) {
	b, free, err := allocate(bytes)
	if err != nil {
		return nil, nil, errMemory.Because("kernel: no memory for %d bytes: %w", bytes, err)
	}
	return b, free, nil
}

// Bandwidth measures how fast this machine reads memory with the pool's threads, in bytes a second:
// the best of several passes over a buffer of size bytes, which should be well beyond the caches.
func Bandwidth(p *Pool, size int) (float64, error) {
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

package kernel

import (
	"sync"
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

// largePage is the size of the pages that hugePages asks for.
const largePage = 2 << 20

// Grow is b with n numbers, in its own memory where that is large enough. What they are means nothing.
func Grow(b []float32, n int) []float32 {
	if cap(b) >= n {
		return b[:n]
	}
	r := room(4 * n)
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(r))), cap(r)/4)[:n]
}

// room is memory of Go's heap, 64-byte aligned, and where it fills half a large page or more, on large ones: rows that pass from one
// part of a network to the next are read once each, and a small page takes longer to find than to read.
func room(bytes int) []byte {
	size, align := bytes, lineBytes
	if bytes >= largePage/2 {
		size, align = (bytes+largePage-1)&^(largePage-1), largePage
	}
	b := make([]byte, size+align)
	skip := int(-uintptr(unsafe.Pointer(&b[0])) & uintptr(align-1))
	b = b[skip : skip+size : skip+size]
	if align == largePage {
		hugePages(b)
	}
	return b[:bytes]
}

// shelf puts matrices side by side in large mappings, so that the system can give large pages: with a mapping each, of
// a few MiB, two fifths of a 0.5B model stood on small ones, and every 4 KiB read cost a search for the next. It is safe
// for concurrent use.
type shelf struct {
	mu   sync.Mutex
	last *mapping // the one with room left; nil: none
}

type mapping struct {
	data       []byte
	used, live int // bytes handed out, and pieces that are not given back
	free       func()
}

// shelfBytes is the size of a mapping; pages that nobody writes to cost nothing.
const shelfBytes = 256 << 20

// take is allocate. Pieces above shelfMost have a mapping of their own. A piece's memory is given back at once, its addresses with the last piece of the mapping.
func (s *shelf) take(bytes int) ([]byte, func(), error) {
	if bytes > shelfMost {
		return allocate(bytes)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil || s.last.used+bytes > len(s.last.data) {
		data, free, err := allocate(shelfBytes)
		if err != nil {
			return nil, nil, err
		}
		s.last = &mapping{data: data, free: free}
	}
	m := s.last
	piece := m.data[m.used:][:bytes:bytes]
	m.used += (bytes + lineBytes - 1) &^ (lineBytes - 1)
	m.live++
	return piece, func() { s.giveBack(m, piece) }, nil
}

func (s *shelf) giveBack(m *mapping, piece []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.live--; m.live > 0 {
		discard(piece)
		return
	}
	if s.last == m {
		s.last = nil
	}
	m.free()
}

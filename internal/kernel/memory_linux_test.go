package kernel

import (
	"sync"
	"testing"
	"unsafe"
)

// TestMatricesOnAShelf: pieces are zeroed, aligned and apart from each other; memory goes back piece by piece, addresses
// with the last.
func TestMatricesOnAShelf(t *testing.T) {
	var s shelf
	sizes := []int{1, 5000, 64, 3 << 20, shelfMost, 100}
	pieces, frees := make([][]byte, len(sizes)), make([]func(), len(sizes))
	var all sync.WaitGroup
	for i, n := range sizes {
		all.Go(func() {
			var err error
			if pieces[i], frees[i], err = s.take(n); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for i, b := range pieces {
		if len(b) != sizes[i] || cap(b) != len(b) || uintptr(unsafe.Pointer(&b[0]))%lineBytes != 0 {
			t.Fatalf("piece %d has %d bytes of %d at %p", i, len(b), cap(b), &b[0])
		}
		for at := range b {
			if b[at] != 0 {
				t.Fatalf("byte %d of piece %d is not zero", at, i)
			}
			b[at] = byte(i + 1)
		}
	}
	shared := s.last
	frees[3]()
	if middle := pieces[3][1<<20]; middle != 0 {
		t.Errorf("what was given back still has %d", middle)
	}
	for i, b := range pieces {
		if i != 3 && (b[0] != byte(i+1) || b[len(b)-1] != byte(i+1)) {
			t.Errorf("piece %d has %d and %d", i, b[0], b[len(b)-1])
		}
	}
	for i, free := range frees {
		if i != 3 {
			free()
		}
	}
	if shared.live != 0 || s.last != nil {
		t.Errorf("%d pieces are left, and the mapping is still in use: %v", shared.live, s.last != nil)
	}
	large, free, err := s.take(shelfMost + 1)
	if err != nil || len(large) != shelfMost+1 || s.last != nil {
		t.Fatalf("a large piece: %d bytes, %v", len(large), err)
	}
	free()
}

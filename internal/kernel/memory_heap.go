//go:build !unix

package kernel

import "unsafe"

// allocate gives zeroed memory, 64-byte aligned, from Go's heap.
func allocate(bytes int) ([]byte, func(), error) {
	b := make([]byte, bytes+64)
	skip := int(-uintptr(unsafe.Pointer(&b[0])) & 63)
	return b[skip : skip+bytes], func() {}, nil
}

// shelfMost is none: the heap would count a whole mapping.
const shelfMost = 0

func discard([]byte) {}

func hugePages([]byte) {}

// Populate does nothing: pages are handed out when they are written.
func Populate([]byte) {}

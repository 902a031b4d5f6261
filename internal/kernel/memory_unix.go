//go:build unix

package kernel

import "golang.org/x/sys/unix"

// allocate gives zeroed memory outside Go's heap, page-aligned, and how to free it.
func allocate(bytes int) ([]byte, func(), error) {
	b, err := unix.Mmap(-1, 0, bytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, nil, err
	}
	hugePages(b)
	return b, func() { _ = unix.Munmap(b) }, nil
}

const shelfMost = 16 << 20

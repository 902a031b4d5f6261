//go:build unix

package weights

import (
	"os"

	"golang.org/x/sys/unix"
)

// mapFile maps size > 0 bytes of an open file, read-only and shared with the page cache.
func mapFile(f *os.File, size int) ([]byte, error) {
	return unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ, unix.MAP_SHARED)
}

func unmapFile(b []byte) error { return unix.Munmap(b) }

// release drops the pages of b from this process; they come back from the file when touched.
// b starts at a page border. Failing costs memory only.
func release(b []byte) { _ = unix.Madvise(b, unix.MADV_DONTNEED) }

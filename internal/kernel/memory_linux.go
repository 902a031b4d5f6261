package kernel

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// hugePages asks for large pages: fewer address translations while weights stream by.
func hugePages(b []byte) { _ = unix.Madvise(b, unix.MADV_HUGEPAGE) }

// discard gives back the whole pages of b, which nobody reads again.
func discard(b []byte) {
	page := os.Getpagesize()
	skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(b))) & uintptr(page-1))
	if whole := (len(b) - skip) &^ (page - 1); whole > 0 {
		_ = unix.Madvise(b[skip:skip+whole], unix.MADV_DONTNEED)
	}
}

// Populate has the system hand out the pages of b now, as if they were written; what is there stays. It changes nothing where
// the system does not know how (Linux before 5.14).
func Populate(b []byte) { _ = unix.Madvise(b, unix.MADV_POPULATE_WRITE) }

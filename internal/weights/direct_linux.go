package weights

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// openDirect opens a file for reads past the system's cache, and for common reads where its file system has none.
func openDirect(path string) (f *os.File, direct bool, err error) {
	if f, err = os.OpenFile(path, os.O_RDONLY|unix.O_DIRECT, 0); err == nil {
		b := make([]byte, 2*sector) // some say yes to the flag and no to the read
		skip := int(-uintptr(unsafe.Pointer(&b[0])) & (sector - 1))
		if _, err = unix.Pread(int(f.Fd()), b[skip:skip+sector], 0); err == nil {
			return f, true, nil
		}
		f.Close()
	}
	f, err = os.Open(path)
	return f, false, err
}

// forget drops what a read left in the system's cache.
func forget(f *os.File, offset, n int64) {
	_ = unix.Fadvise(int(f.Fd()), offset, n, unix.FADV_DONTNEED)
}

//go:build !purego

package kernel

import "golang.org/x/sys/unix"

// permitTiles asks the kernel, for all threads of this process. Linux knows the question since 5.16, and says yes only
// where it has turned tiles on (XCR0) and every thread's signal stack has room for their state; Go's has.
func permitTiles() bool {
	const request, tileData = 0x1023, 18 // ARCH_REQ_XCOMP_PERM
	_, _, failed := unix.RawSyscall(unix.SYS_ARCH_PRCTL, request, tileData, 0)
	return failed == 0
}

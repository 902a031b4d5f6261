//go:build !purego

package kernel

import "golang.org/x/sys/unix"

// permitTiles asks the kernel, for all threads of this process; Linux knows the question since 5.16.
func permitTiles() bool {
	const request, tileData = 0x1023, 18 // ARCH_REQ_XCOMP_PERM
	_, _, failed := unix.RawSyscall(unix.SYS_ARCH_PRCTL, request, tileData, 0)
	return failed == 0
}

package main

import (
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// cpuName is what the system calls the processor, its architecture where it has no name.
func cpuName() string {
	if name, err := unix.Sysctl("machdep.cpu.brand_string"); err == nil && name != "" {
		return name
	}
	return runtime.GOARCH
}

// peakRSS is the most memory that the process had resident so far, in bytes; 0 if unknown.
func peakRSS() int64 {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return usage.Maxrss
}

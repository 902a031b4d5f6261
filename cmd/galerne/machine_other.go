//go:build !linux && !darwin && !windows

package main

import "runtime"

// cpuName is the processor's architecture.
func cpuName() string { return runtime.GOARCH }

// peakRSS is not known here.
func peakRSS() int64 { return 0 }

package main

import (
	"runtime"
	"strings"

	"golang.org/x/sys/windows/registry"
)

// cpuName is what the system calls the processor, its architecture where it has no name.
func cpuName() string {
	key, err := registry.OpenKey(registry.LOCAL_MACHINE, `HARDWARE\DESCRIPTION\System\CentralProcessor\0`, registry.QUERY_VALUE)
	if err != nil {
		return runtime.GOARCH
	}
	defer key.Close()
	name, _, err := key.GetStringValue("ProcessorNameString")
	if err != nil || strings.TrimSpace(name) == "" {
		return runtime.GOARCH
	}
	return strings.TrimSpace(name)
}

// peakRSS is not known here.
func peakRSS() int64 { return 0 }

package main

import (
	"bufio"
	"os"
	"runtime"
	"strconv"
	"strings"
)

// cpuName is what the system calls the processor, its architecture where it has no name.
func cpuName() string {
	name := procField("/proc/cpuinfo", "model name")
	if name == "" {
		return runtime.GOARCH
	}
	return name
}

// peakRSS is the most memory that the process had resident so far, in bytes; 0 if unknown.
func peakRSS() int64 {
	kilobytes, _ := strconv.ParseInt(strings.TrimSuffix(procField("/proc/self/status", "VmHWM"), " kB"), 10, 64)
	return kilobytes << 10
}

// procField is the value of the first line "name: value" of a file.
func procField(path, name string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

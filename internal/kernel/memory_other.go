//go:build unix && !linux

package kernel

func hugePages([]byte) {}

func discard([]byte) {}

// Populate does nothing: pages are handed out when they are written.
func Populate([]byte) {}

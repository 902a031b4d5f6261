//go:build !linux

package serve

// FreeMemory is how many bytes this process may take: a guess, since these systems do not say it
// without more. --memory says it better.
func FreeMemory() int64 { return 8 << 30 }

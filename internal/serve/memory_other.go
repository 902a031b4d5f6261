//go:build !linux

package serve

// freeMemory is how many bytes this process may take: a guess, since these systems do not say it
// without more. --memory says it better.
func freeMemory() int64 { return 8 << 30 }

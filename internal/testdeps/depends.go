package testdeps

import (
	"os"
	"path/filepath"
	"testing"
)

// Depends names the files, by patterns of filepath.Glob, that programs of a test open: Go keeps the test's result until a file that the
// test opened itself is another one, and knows nothing of theirs.
func Depends(t testing.TB, patterns ...string) {
	t.Helper()
	for _, pattern := range patterns {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(names), err)
		}
		for _, name := range names {
			if _, err := os.ReadFile(name); err != nil {
				t.Fatal(err)
			}
		}
	}
}

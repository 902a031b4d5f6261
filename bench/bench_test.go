// Package bench has the measurements, which are in Python. This runs the tests of what they count.
package bench

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/galerne-ai/galerne/internal/testdeps"
)

func TestWhatIsCountedAndWhatTheTableSays(t *testing.T) {
	// Go keeps the result of a test until a file that it opened itself is another one.
	for _, pattern := range []string{"*.py", "prompts/*.txt"} {
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
	if out, err := exec.Command(testdeps.Python(t), "-B", "test_bench.py").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

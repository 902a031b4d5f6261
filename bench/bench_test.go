// Package bench has the measurements, which are in Python. This runs the tests of what they count.
package bench

import (
	"os/exec"
	"testing"

	"github.com/galerne-ai/galerne/internal/testdeps"
)

func TestWhatIsCountedAndWhatTheTableSays(t *testing.T) {
	testdeps.Depends(t, "*.py", "prompts/*.txt")
	if out, err := exec.Command(testdeps.Python(t), "-B", "test_bench.py").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

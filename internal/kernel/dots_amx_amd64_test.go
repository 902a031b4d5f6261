//go:build !purego

package kernel

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestTilesMatchGenericBits: full tiles and others, runs of 8 blocks and what they leave, units for more than one call, too small ones.
func TestTilesMatchGenericBits(t *testing.T) {
	if !hasTiles() {
		t.Skip("NOT TESTED: this machine has no AMX, or its system does not permit it")
	}
	for _, cols := range []int{32, 64, 96, 256, 288, 480, 512, 1280} {
		if fault := tryForms(dotTiles, cols, 1, 7, 16, 17, 32, 47, 48, 61, tileMost); fault != "" {
			t.Errorf("AMX differs from generic Go: %s", fault)
		}
	}
	if fault := tryForms(dotTiles, 256*(tileUnits/3+1), 1, 16); fault != "" {
		t.Errorf("AMX differs from generic Go: %s", fault)
	}
}

// TestTilesCanBeTurnedOff asks in a process of its own, since the choice is made at start. Whether they are used otherwise is a
// matter of speed, which may be another one there.
func TestTilesCanBeTurnedOff(t *testing.T) {
	if !hasTiles() {
		t.Skip("NOT TESTED: this machine has no AMX, or its system does not permit it")
	}
	cmd := exec.Command(os.Args[0], "-test.v", "-test.run", "^TestWhatRunsHere$")
	cmd.Env = append(os.Environ(), "GODEBUG=cpu.amxtile=off")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "avx512]") {
		t.Errorf("%v\n%s", err, out)
	}
	t.Logf("not turned off, this machine runs %v", Implementations())
}

func TestWhatRunsHere(t *testing.T) { t.Logf("this machine runs %v", Implementations()) }

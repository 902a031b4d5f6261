//go:build !purego

package kernel

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestTilesMatchGenericBits: all numbers of rows that one call takes, runs of 8 blocks and what they leave.
func TestTilesMatchGenericBits(t *testing.T) {
	if !hasTiles() {
		t.Skip("NOT TESTED: this machine has no AMX, or its system does not permit it")
	}
	for _, cols := range []int{32, 64, 96, 256, 288, 480, 512, 1280} {
		if fault := tryForms(dotTiles, cols, 32, 48, tileMost); fault != "" {
			t.Errorf("AMX differs from generic Go: %s", fault)
		}
	}
}

// TestTilesAreUsedUnlessTurnedOff asks again in a process of its own, since the choice is made at start.
func TestTilesAreUsedUnlessTurnedOff(t *testing.T) {
	if !hasTiles() {
		t.Skip("NOT TESTED: this machine has no AMX, or its system does not permit it")
	}
	if !useTiles {
		t.Logf("tiles are slower than vectors here: %v", Implementations())
	}
	for setting, want := range map[string]bool{"": useTiles, "cpu.amxtile=off": false} {
		cmd := exec.Command(os.Args[0], "-test.v", "-test.run", "^TestWhatRunsHere$")
		cmd.Env = append(os.Environ(), "GODEBUG="+setting)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if got := strings.Contains(string(out), "avx512 amx]"); got != want {
			t.Errorf("with GODEBUG=%s: %s", setting, out)
		}
	}
}

func TestWhatRunsHere(t *testing.T) { t.Logf("this machine runs %v", Implementations()) }

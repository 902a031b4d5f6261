// Package arm64 answers: does the engine compute on arm64 what it computes here? It builds other packages' tests for
// arm64 and runs them in an emulator. That proves bits, and says nothing about speed.
package arm64

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/galerne-ai/galerne/internal/testdeps"
)

// The processors that are emulated: one with everything, and one of those without dot products.
const (
	newest   = "max"
	without  = "cortex-a53"
	allNEON  = "this machine runs [generic neon neon-dot]"
	someNEON = "this machine runs [generic neon]"
)

// emulator is qemu's path; where the machine is an arm64 itself, its own tests are the proof.
func emulator(t *testing.T) string {
	t.Helper()
	if runtime.GOARCH == "arm64" {
		t.Skip("this machine is an arm64: go test ./internal/... runs the same tests")
	}
	return testdeps.Dep(t, "bin/qemu-aarch64")
}

// build compiles a package's tests for arm64.
func build(t *testing.T, folder string) (program string) {
	t.Helper()
	program = filepath.Join(t.TempDir(), "tests")
	cmd := exec.Command("go", "test", "-c", "-o", program, "./"+folder)
	cmd.Dir = testdeps.Root(t)
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

// run gives the output of those tests in folder that match; none may fail, and one must pass.
func run(t *testing.T, folder string, command ...string) string {
	t.Helper()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = filepath.Join(testdeps.Root(t), folder)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: ") {
		t.Fatalf("%v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "NOT TESTED") || strings.HasPrefix(line, "--- ") {
			t.Log(strings.TrimSpace(line))
		}
	}
	return string(out)
}

// emulated runs those of a folder's tests that match on one kind of processor.
func emulated(t *testing.T, cpu, program, folder, match string) string {
	t.Helper()
	return run(t, folder, emulator(t), "-cpu", cpu, program, "-test.v", "-test.run", match, "-test.skip", "AsGGUFDoes") // slow, of plain Go
}

func TestKernels(t *testing.T) {
	emulator(t)
	program := build(t, "internal/kernel")
	for cpu, want := range map[string]string{newest: allNEON, without: someNEON} {
		t.Run(cpu, func(t *testing.T) {
			if out := emulated(t, cpu, program, "internal/kernel", "."); !strings.Contains(out, want) {
				t.Errorf("%q is not in\n%s", want, out)
			}
		})
	}
}

// TestNetworks: every architecture against transformers, and any cut of prompts and batches against itself.
func TestNetworks(t *testing.T) {
	emulator(t)
	emulated(t, newest, build(t, "internal/zoo"), "internal/zoo", "^Test(Networks|Encoders|Classifiers)ComputeWhatTransformersDoes$")
	engine := build(t, "internal/engine")
	for _, cpu := range []string{newest, without} {
		emulated(t, cpu, engine, "internal/engine", "^(TestSameRequestSameBits|TestAVectorIsTheSameHoweverItsTextIsCut)$")
	}
}

// TestARealModelHasTheBitsItHasHere compares a digest of all logits of an answer of 24 tokens. Quantized products have
// the same bits everywhere; attention has where both machines have vector kernels, and not that of integers, which goes with AMX.
func TestARealModelHasTheBitsItHasHere(t *testing.T) {
	emulator(t)
	testdeps.Dep(t, "models/smollm2-135m.gguf")
	const folder, test = "internal/zoo", "TestRealModelsContinueSensibly/smollm2-135m.gguf"
	here := answer(t, run(t, folder, "env", "GODEBUG=cpu.amxtile=off", "go", "test", "-count=1", "-v", "-run", test, "."))
	there := answer(t, emulated(t, newest, build(t, folder), folder, test))
	if kernels := run(t, "internal/kernel", "go", "test", "-count=1", "-v", "-run", "FilesAreWhat", "."); !strings.Contains(kernels, "avx2") {
		t.Log("NOT TESTED to the bit: this machine has no AVX2")
		here, there = text(here), text(there)
	}
	if there != here {
		t.Errorf("arm64 says %s, this machine %s", there, here)
	}
	t.Log(there)
}

// answer is what the test logs: the text, and the digest of the logits.
func answer(t *testing.T, out string) string {
	t.Helper()
	found := regexp.MustCompile(`answer ".*" logits [0-9a-f]{8}`).FindString(out)
	if found == "" {
		t.Fatalf("no answer in\n%s", out)
	}
	return found
}

// text is an answer without the digest.
func text(answer string) string { return answer[:strings.LastIndex(answer, " logits ")] }

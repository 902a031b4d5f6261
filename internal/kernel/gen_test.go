package kernel

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/galerne-ai/galerne/internal/testdeps"
)

func TestFilesAreWhatTheGeneratorWrites(t *testing.T) {
	testdeps.Depends(t, "_gen/*")
	for arch, name := range map[string]string{"amd64": "kernels_amd64.s", "amx": "kernels_amx_amd64.s", "reading": "kernels_reading_amd64.s", "arm64": "kernels_arm64.s", "efforts": "efforts_amd64.go"} {
		cmd := exec.Command("go", "run", ".", arch)
		cmd.Dir = filepath.Join(testdeps.Root(t), "internal/kernel/_gen")
		cmd.Env = append(os.Environ(), "GOARCH=", "GOOS=") // of this machine, whatever the tests are for
		got, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Errorf("%s is not what _gen writes: cd internal/kernel/_gen && go run . %s > ../%s", name, arch, name)
		}
	}
	t.Logf("this machine runs %v", Implementations())
}

// TestWordsMeanWhatTheirTextSays asks a disassembler, since _gen encodes the vector instructions of arm64 itself.
func TestWordsMeanWhatTheirTextSays(t *testing.T) {
	testdeps.Depends(t, "testdata/disassemble.py", "kernels_arm64.s")
	out, err := exec.Command(testdeps.Python(t), "testdata/disassemble.py", "kernels_arm64.s").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Log(strings.TrimSpace(string(out)))
}

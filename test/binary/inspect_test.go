package binary

import (
	"bytes"
	"strings"
	"testing"
)

// withInput runs the program with a text on standard input.
func withInput(t testing.TB, input string, args ...string) (out, errOut string, code int) {
	t.Helper()
	cmd := command(t, t.TempDir(), args...)
	var o, e bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &o, &e
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return o.String(), e.String(), cmd.ProcessState.ExitCode()
}

// Package testdeps finds what the tests need and `make deps` fetched: a Python with the oracles,
// vocabularies, templates and small real models, all below .deps in the checkout. Tests only.
package testdeps

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Root is the checkout's top folder.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("testdeps: no go.mod above the test's folder")
		}
		dir = up
	}
}

// Dep is the path of a file or folder below .deps; where it is missing the test is skipped, and
// the reason says how to get it.
func Dep(t testing.TB, path string) string {
	t.Helper()
	full := filepath.Join(Root(t), ".deps", filepath.FromSlash(path))
	if _, err := os.Stat(full); err != nil {
		t.Skipf("NOT TESTED: %s is missing: run `make deps`", filepath.Join(".deps", path))
	}
	return full
}

// Python is the interpreter that has the oracles.
func Python(t testing.TB) string {
	t.Helper()
	return Dep(t, "venv/bin/python")
}

// RunPython runs a script below the checkout with arguments and gives its standard output.
func RunPython(t testing.TB, script string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(Python(t), append([]string{filepath.Join(Root(t), filepath.FromSlash(script))}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", script, err)
	}
	return out
}

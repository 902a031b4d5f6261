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

// Node is the program node, and a folder with copies of the files that the patterns below the checkout
// name: node looks for packages in the folders above a file's real place, and here it finds the vendors'.
func Node(t testing.TB, patterns ...string) (program, folder string) {
	t.Helper()
	program, err := exec.LookPath("node")
	if err != nil {
		t.Skip("NOT TESTED: there is no node")
	}
	if folder, err = os.MkdirTemp(filepath.Dir(Dep(t, "node/node_modules")), "run"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	for _, p := range patterns {
		files, err := filepath.Glob(filepath.Join(Root(t), filepath.FromSlash(p)))
		if err != nil || len(files) == 0 {
			t.Fatalf("testdeps: no files %s (%v)", p, err)
		}
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err == nil {
				err = os.WriteFile(filepath.Join(folder, filepath.Base(f)), text, 0o644)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return program, folder
}

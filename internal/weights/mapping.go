package weights

import (
	"errors"
	"io/fs"
	"os"
	"runtime/debug"
	"time"
	"unsafe"
)

// mapping is one file in memory, with what it looked like when it was mapped. The file stays open, so that it is the
// mapped one that is looked at again, wherever its name went: a file that is removed, or replaced by another of its
// name, goes on unchanged for those who have it.
type mapping struct {
	path    string
	file    *os.File
	bytes   []byte
	changed time.Time
}

// openMapping maps a regular file.
func openMapping(path string) (*mapping, error) {
	st, err := os.Stat(path) // before Open: opening a pipe would wait for its writer
	if err != nil {
		return nil, notOpened(path, err)
	}
	if !st.Mode().IsRegular() {
		return nil, ErrFormat.Because("weights: %s is not a regular file (%s): give a .gguf file or a folder of safetensors", path, st.Mode().Type())
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, notOpened(path, err)
	}
	if st, err = f.Stat(); err != nil {
		f.Close()
		return nil, notOpened(path, err)
	}
	m := &mapping{path: path, file: f, changed: st.ModTime()}
	if size := st.Size(); size > 0 {
		if size != int64(int(size)) {
			f.Close()
			return nil, ErrLimit.Because("weights: %s has %d bytes, more than this machine can address", path, size)
		}
		if m.bytes, err = mapFile(f, int(size)); err != nil {
			f.Close()
			return nil, ErrRead.Because("weights: mapping %d bytes of %s: %w", size, path, err)
		}
	}
	return m, nil
}

func notOpened(path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNotFound.Because("weights: %s does not exist", path)
	}
	return ErrRead.Because("weights: %w", err)
}

func (m *mapping) close() error {
	b, f := m.bytes, m.file
	m.bytes, m.file = nil, nil
	var err error
	if len(b) > 0 {
		err = unmapFile(b)
	}
	if f != nil {
		err = errors.Join(err, f.Close())
	}
	return err
}

// unchanged compares the file with what it was when it was mapped.
func (m *mapping) unchanged(size int64) error {
	st, err := m.file.Stat()
	if err != nil {
		return ErrRead.Because("weights: %s: %w", m.path, err)
	}
	return m.differs(st, size)
}

// differs compares what a file looks like with what it was when it was mapped.
func (m *mapping) differs(st os.FileInfo, size int64) error {
	switch {
	case st.Size() != size:
		return ErrChanged.Because("weights: %s had %d bytes when it was opened and has %d now: restore it and load it again", m.path, size, st.Size())
	case !st.ModTime().Equal(m.changed):
		return ErrChanged.Because("weights: %s was written to after it was opened: load it again", m.path)
	}
	return nil
}

// inner is the part of b, a slice of a mapping, that whole pages cover.
func inner(b []byte) []byte {
	page := os.Getpagesize()
	skip := -int(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) & (page - 1)
	if len(b) < skip+page {
		return nil
	}
	b = b[skip:]
	return b[:len(b)&^(page-1)]
}

// Guard runs f, which may read mapped bytes on the calling goroutine. If the pages under them are
// gone (the file shrank, the disk failed) it returns ErrChanged with what was being read. Other
// goroutines that f starts need a Guard of their own. Every other panic goes on.
func Guard(what string, f func() error) (err error) {
	before := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(before)
		r := recover()
		if r == nil {
			return
		}
		// A fault on a mapped page is a runtime error with the address; a nil pointer has none.
		if _, ok := r.(interface {
			error
			Addr() uintptr
		}); !ok {
			panic(r)
		}
		err = ErrChanged.Because("weights: reading %s: the file shrank or its disk failed while it was mapped: restore it and load it again", what)
	}()
	return f()
}

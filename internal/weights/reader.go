package weights

import (
	"errors"
	"io"
	"os"
)

// Reader reads a File's parts past the mapping and, where the system can, past its cache: for a user who
// keeps some of the weights only, and would otherwise have those in memory twice. It outlives the File.
// Read may be called from any goroutine.
type Reader struct {
	parts []*source
}

// source is one open file.
type source struct {
	*mapping // without bytes: what the file looked like
	size     int64
	file     *os.File
	direct   bool // past the cache: offsets, lengths and memory are whole sectors
}

const (
	// sector is what direct reads are aligned to: a multiple of every disk's own.
	sector = 4096
	// ReadSlack is how much larger than what is read a buffer must be.
	ReadSlack = 2 * sector
)

// Reader opens the parts once more. Error: ErrRead, ErrChanged.
func (f *File) Reader() (*Reader, error) {
	r := &Reader{}
	for _, p := range f.parts {
		s := &source{mapping: &mapping{path: p.path, changed: p.changed}, size: p.size}
		var err error
		if s.file, s.direct, err = openDirect(p.path); err != nil {
			r.Close()
			return nil, notOpened(p.path, err)
		}
		r.parts = append(r.parts, s)
		if err := s.same(); err != nil {
			r.Close()
			return nil, err
		}
	}
	return r, nil
}

// Read gives n bytes of a part from offset on, as a slice of buffer, which must begin at a multiple of 4,096
// and have n + ReadSlack bytes. Errors: ErrRead, ErrChanged.
func (r *Reader) Read(buffer []byte, part int, offset int64, n int) ([]byte, error) {
	s := r.parts[part]
	skip := int(offset % sector)
	length := (skip + n + sector - 1) / sector * sector
	got, err := s.file.ReadAt(buffer[:length], offset-int64(skip))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, ErrRead.Because("weights: reading %d bytes of %s at %d: %w", n, s.path, offset, err)
	}
	if !s.direct {
		forget(s.file, offset-int64(skip), int64(length))
	}
	if err := s.same(); err != nil {
		return nil, err
	}
	if got < skip+n {
		return nil, ErrChanged.Because("weights: %s ends at byte %d, %d were wanted from %d on: restore it and load it again", s.path, offset-int64(skip)+int64(got), n, offset)
	}
	return buffer[skip : skip+n], nil
}

// same compares the open file with what it was when the File was opened.
func (s *source) same() error {
	st, err := s.file.Stat()
	if err != nil {
		return ErrRead.Because("weights: %w", err)
	}
	return s.differs(st, s.size)
}

// Close closes the parts.
func (r *Reader) Close() error {
	var errs []error
	for _, s := range r.parts {
		if s.file != nil {
			errs = append(errs, s.file.Close())
		}
	}
	return errors.Join(errs...)
}

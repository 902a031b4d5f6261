// Package jobs answers: what must go on although nobody waits, and whatever happens to this process?
// Files, batches of requests and kept answers are rows of the database; what is long lies in files
// beside it. Whoever dies in the middle is taken up by the next process, and nothing whose result was
// stored is done twice.
//
// The package knows no vendor: what a batch's requests are, and how their results look in a file,
// vendors say through [Item] and [Dialect].
package jobs

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/galerne-ai/galerne/internal/db"
	"github.com/galerne-ai/galerne/internal/fault"
)

var (
	// ErrNotFound: there is nothing of that id, or it belongs to somebody else.
	ErrNotFound = fault.New(fault.NotFound, "not_found", "jobs: there is no such thing")
	// ErrTooLarge: a file or a line is longer than the server takes.
	ErrTooLarge = fault.New(fault.Invalid, "request_too_large", "jobs: too large")
	// ErrState: it has gone too far for what is asked.
	ErrState = fault.New(fault.Invalid, "invalid_state", "jobs: not possible any more")
	// ErrDisk: the data folder cannot be written.
	ErrDisk = fault.New(fault.Unavailable, "disk_unusable", "jobs: the data folder cannot be written")
)

// Answer is what a request gave.
type Answer struct {
	Status    int
	RequestID string
	Body      []byte
	// Retry is whether the same request may succeed later, and After when, 0 if that is not known.
	Retry bool
	After time.Duration
}

// Do makes a request as a key, given by its ID. An error that is fault.Denied means that the key is
// no longer good.
type Do func(ctx context.Context, key, method, path string, body []byte) (Answer, error)

// Options of a Store. DB and Dir are needed.
type Options struct {
	DB  *db.DB
	Dir string // for what is long; made on first need

	Dialects map[string]Dialect // by the name that batches give
	Log      *slog.Logger

	FileBytes int64         // largest file. Default 512 MiB.
	LineBytes int           // longest request of a batch. Default 8 MiB.
	MaxLines  int           // most requests of a batch. Default 50,000.
	Parallel  int           // requests of batches under way at once. Default 8.
	Answers   int           // answers made in the background at once. Default 16.
	Hold      time.Duration // after how long without a sign of life another process takes over. Default 5 s.
	Now       func() time.Time
	NewID     func() string
}

func (o Options) withDefaults() Options {
	if o.FileBytes <= 0 {
		o.FileBytes = 512 << 20
	}
	if o.LineBytes <= 0 {
		o.LineBytes = 8 << 20
	}
	if o.MaxLines <= 0 {
		o.MaxLines = 50000
	}
	if o.Parallel <= 0 {
		o.Parallel = 8
	}
	if o.Answers <= 0 {
		o.Answers = 16
	}
	if o.Hold <= 0 {
		o.Hold = 5 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.NewID == nil {
		o.NewID = newID
	}
	return o
}

func newID() string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// Store is files, batches and kept answers.
type Store struct {
	o    Options
	db   *db.DB
	self string        // this process, among those that share the database
	wake chan struct{} // there may be work

	mu      sync.Mutex
	working map[string]bool // batches and answers that this process works on
}

// New gives the store of a database and a folder.
func New(o Options) *Store {
	o = o.withDefaults()
	return &Store{o: o, db: o.DB, self: newID(), wake: make(chan struct{}, 1), working: map[string]bool{}}
}

// now is the time as the database can hold it.
func (s *Store) now() time.Time { return s.o.Now().UTC().Truncate(time.Millisecond) }

func (s *Store) path(name string) string { return filepath.Join(s.o.Dir, name) }

// disk is what went wrong with a file.
func (s *Store) disk(err error) error {
	var known *fault.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	var p *fs.PathError
	if !errors.As(err, &p) {
		return err
	}
	return ErrDisk.Because("jobs: %s: %w: make room, or mend the rights of the folder", s.o.Dir, err)
}

// temporary opens a file that is nothing yet; kept gives it its name.
func (s *Store) temporary() (*os.File, error) {
	if err := os.MkdirAll(s.o.Dir, 0o700); err != nil {
		return nil, s.disk(err)
	}
	f, err := os.CreateTemp(s.o.Dir, "new-*") // mode 0600
	return f, s.disk(err)
}

// kept closes a temporary file and gives it its name, so that it is whole or not there.
func (s *Store) kept(f *os.File, name string) error {
	err := errors.Join(f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), s.path(name))
	}
	if err != nil {
		discard(f)
		return s.disk(err)
	}
	if d, err := os.Open(s.o.Dir); err == nil { // the name must last too, where folders can be synced
		_ = d.Sync()
		d.Close()
	}
	return nil
}

func discard(f *os.File) {
	f.Close()
	_ = os.Remove(f.Name()) // the sweep takes what stays
}

// Page is a part of a list.
type Page struct {
	After   string // an id; "" begins with the first
	Limit   int
	Oldest  bool   // the oldest first; else the newest
	Purpose string // of files, "" for any

	Model  string            // of answers, "" for any
	Labels map[string]string // that answers have all of
}

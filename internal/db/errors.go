package db

import (
	"context"
	"database/sql"
	"errors"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/galerne-ai/galerne/internal/fault"
)

var (
	// ErrCorrupt: the file is no database, or a damaged one.
	ErrCorrupt = fault.New(fault.Unavailable, "database_corrupt", "db: the database is damaged")
	// ErrNewer: a newer program has changed the schema.
	ErrNewer = fault.New(fault.Unavailable, "database_newer", "db: the database is newer than this program")
	// ErrFull: the disk has no room left.
	ErrFull = fault.New(fault.Unavailable, "disk_full", "db: the disk is full")
	// ErrUnusable: the file cannot be opened, read or written.
	ErrUnusable = fault.New(fault.Unavailable, "database_unusable", "db: the database cannot be used")
	// ErrBusy: another process has been writing for longer than one waits.
	ErrBusy = fault.New(fault.Busy, "database_busy", "db: the database is busy")
)

// fault puts the driver's errors into our words; all others stay what they are.
func (d *DB) fault(err error) error {
	if d.dialect == goose.DialectPostgres {
		return d.postgresFault(err)
	}
	var e *sqlite.Error
	if err == nil || errors.Is(err, sql.ErrNoRows) || errors.Is(err, context.Canceled) || !errors.As(err, &e) {
		return err
	}
	switch e.Code() & 0xff {
	case lib.SQLITE_CORRUPT, lib.SQLITE_NOTADB:
		return ErrCorrupt.Because("db: %s is damaged or no database: %w: it stays untouched; move it away and restore it from a copy", d.path, err)
	case lib.SQLITE_FULL:
		return ErrFull.Because("db: %s cannot grow: %w: make room on its disk", d.path, err)
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED:
		return ErrBusy.Because("db: %s is being written by another process: %w: try again", d.path, err)
	case lib.SQLITE_CANTOPEN, lib.SQLITE_READONLY, lib.SQLITE_IOERR, lib.SQLITE_PERM:
		return ErrUnusable.Because("db: %s cannot be used: %w: look at its disk and its rights", d.path, err)
	case lib.SQLITE_INTERRUPT:
		return context.Canceled
	}
	return err
}

// Package db answers: what must still be known after the power went? Keys, usage, files, batches and
// stored answers are rows of one SQLite database in the data folder, or of a PostgreSQL database that
// several machines share; several processes may have it open.
//
// SQL is kept to what SQLite and PostgreSQL share: $1 for parameters, TEXT and BIGINT for columns,
// times as milliseconds since 1970.
package db

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // registers the driver
)

//go:embed migrations/*.sql
var migrations embed.FS

const (
	busyTime = 10 * time.Second // longest wait for another process that writes
	readers  = 4                // connections that read, beside the one that writes
)

// DB is an open database. Of SQLite, one connection writes and others read; a reader never waits for a
// writer.
type DB struct {
	path        string // or address, without its password
	dialect     goose.Dialect
	read, write *sql.DB
}

// Open opens the database at a path, makes it if it is not there, and brings an older one up to date.
// A file that is damaged, or newer than this program, is an error and stays as it is. In place of a
// path, postgres://USER@HOST/NAME is a database of PostgreSQL, which must be there.
func Open(ctx context.Context, path string) (*DB, error) {
	if strings.HasPrefix(path, "postgres://") || strings.HasPrefix(path, "postgresql://") {
		return openPostgres(ctx, path)
	}
	if err := create(path); err != nil {
		return nil, err
	}
	d := &DB{path: path, dialect: goose.DialectSQLite3}
	var err error
	if d.write, err = connect(path, 1); err != nil {
		return nil, d.fault(err)
	}
	if d.read, err = connect(path, readers); err != nil {
		d.Close()
		return nil, d.fault(err)
	}
	if err := d.migrate(ctx); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// create makes an empty file that only its owner reads; SQLite gives its side files the same mode.
func create(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return ErrUnusable.Because("db: the data folder cannot be made: %w: choose another with --home", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return ErrUnusable.Because("db: %s cannot be opened for writing: %w: mend its rights, or choose another folder with --home", path, err)
	}
	return f.Close()
}

func connect(path string, connections int) (*sql.DB, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	// Synchronous stays full: a key that was revoked, or a line whose answer was stored, stays so when
	// the power goes.
	q := url.Values{"_txlock": {"immediate"}, "_pragma": {
		fmt.Sprintf("busy_timeout(%d)", busyTime.Milliseconds()), "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)"}}
	// The path's own ? and # must not end it.
	u := url.URL{Scheme: "file", Opaque: (&url.URL{Path: filepath.ToSlash(abs)}).EscapedPath(), RawQuery: q.Encode()}
	pool, err := sql.Open("sqlite", u.String())
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(connections)
	pool.SetMaxIdleConns(connections)
	return pool, nil
}

// migrate brings the schema up to date. Another process may do the same at the same time: whoever is
// later finds the work done.
func (d *DB) migrate(ctx context.Context) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(d.dialect, d.write, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	const tries = 20
	for try := 1; ; try++ {
		current, target, err := p.GetVersions(ctx)
		if err == nil && current > target {
			return ErrNewer.Because("db: %s has version %d, this program knows %d: use the newer program that made it, or another database", d.path, current, target)
		}
		if err == nil {
			_, err = p.Up(ctx)
		}
		if err == nil {
			return nil
		}
		if bad := d.fault(err); try == tries || errors.Is(bad, ErrCorrupt) || errors.Is(bad, ErrFull) || errors.Is(bad, ErrUnusable) || ctx.Err() != nil {
			return bad
		}
		time.Sleep(time.Duration(10+rand.IntN(40)) * time.Millisecond)
	}
}

// Close ends all connections.
func (d *DB) Close() error {
	var errs []error
	for _, pool := range []*sql.DB{d.read, d.write} {
		if pool != nil {
			errs = append(errs, pool.Close())
		}
	}
	return errors.Join(errs...)
}

// Path is where the database is, without a password.
func (d *DB) Path() string { return d.path }

// Exec writes one statement and gives how many rows it changed.
func (d *DB) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	r, err := d.write.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, d.fault(err)
	}
	n, err := r.RowsAffected()
	return n, d.fault(err)
}

// Tx writes several statements, all or none. It must not use d inside do.
func (d *DB) Tx(ctx context.Context, do func(tx *sql.Tx) error) error {
	tx, err := d.write.BeginTx(ctx, nil)
	if err != nil {
		return d.fault(err)
	}
	if err := do(tx); err != nil {
		_ = tx.Rollback() // the first error is the one to tell
		return d.fault(err)
	}
	return d.fault(tx.Commit())
}

// One reads one row into dest; without a row it is sql.ErrNoRows.
func (d *DB) One(ctx context.Context, query string, args []any, dest ...any) error {
	return d.fault(d.read.QueryRowContext(ctx, query, args...).Scan(dest...))
}

// Each reads rows and calls row for each, with the function that takes its columns.
func (d *DB) Each(ctx context.Context, query string, args []any, row func(scan func(dest ...any) error) error) error {
	rows, err := d.read.QueryContext(ctx, query, args...)
	if err != nil {
		return d.fault(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return d.fault(err)
		}
	}
	return d.fault(rows.Err())
}

// Millis is a time as columns hold it; 0 is no time.
func Millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// Time is the time that a column holds.
func Time(millis int64) time.Time {
	if millis == 0 {
		return time.Time{}
	}
	return time.UnixMilli(millis).UTC()
}

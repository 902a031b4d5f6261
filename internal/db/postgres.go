package db

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	_ "github.com/jackc/pgx/v5/stdlib" // registers the driver
	"github.com/pressly/goose/v3"
)

const (
	connections = 16 // to PostgreSQL, of one process
	idleTime    = 5 * time.Minute
)

// openPostgres opens a database of PostgreSQL. Its readers do not wait for writers either, so both
// share connections.
func openPostgres(ctx context.Context, address string) (*DB, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, ErrUnusable.Because("db: the address of the database cannot be read: write postgres://USER:PASSWORD@HOST/NAME") // the cause would tell the password
	}
	d := &DB{path: u.Redacted(), dialect: goose.DialectPostgres}
	pool, err := sql.Open("pgx", address)
	if err != nil {
		return nil, ErrUnusable.Because("db: the address %s cannot be used: write postgres://USER:PASSWORD@HOST/NAME", d.path)
	}
	pool.SetMaxOpenConns(connections)
	pool.SetMaxIdleConns(connections)
	pool.SetConnMaxIdleTime(idleTime)
	d.read, d.write = pool, pool
	if err := d.migrate(ctx); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// postgresFault puts PostgreSQL's errors into our words; all others stay what they are.
func (d *DB) postgresFault(err error) error {
	var refused *pgconn.ConnectError
	if errors.As(err, &refused) {
		return ErrUnusable.Because("db: %s cannot be reached: %w: look at its address, its user and whether it runs", d.path, err)
	}
	var e *pgconn.PgError
	if err == nil || !errors.As(err, &e) {
		return err
	}
	switch class := e.Code[:min(2, len(e.Code))]; {
	case e.Code == "53100":
		return ErrFull.Because("db: %s cannot grow: %w: make room on its disk", d.path, err)
	case class == "XX":
		return ErrCorrupt.Because("db: %s is damaged: %w: restore it from a copy", d.path, err)
	case class == "40", e.Code == "55P03", class == "53":
		return ErrBusy.Because("db: %s has too much to do: %w: try again", d.path, err)
	case slices.Contains([]string{"08", "25", "28", "3D", "57", "58"}, class), e.Code == "42501":
		return ErrUnusable.Because("db: %s cannot be used: %w: look at its rights and whether it runs", d.path, err)
	}
	return err
}

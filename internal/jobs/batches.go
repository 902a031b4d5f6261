package jobs

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/galerne-ai/galerne/internal/db"
)

// Status is how far a batch has come.
type Status string

const (
	InProgress Status = "in_progress"
	Finalizing Status = "finalizing"
	Completed  Status = "completed"
	Failed     Status = "failed" // nothing was asked, or the key ended; Errors says why
	Expired    Status = "expired"
	Cancelling Status = "cancelling"
	Cancelled  Status = "cancelled"
)

// Batch is many requests that are answered when there is time.
type Batch struct {
	ID       string
	Owner    string
	Key      string // the ID of the key as which its requests are made
	Dialect  string
	Endpoint string
	Input    string // a file's ID, "" if the requests came otherwise
	Output   string // files' IDs, "" if there is none: of answers,
	Failures string // and of requests that failed
	Status   Status
	Metadata json.RawMessage // the caller's
	Errors   []Invalid

	Total, Completed, Failed int // requests

	Created, Expires                time.Time
	Finalizing, Cancelling, EndedAt time.Time // zero if it has not happened
}

// Ended reports whether nothing will change any more.
func (b *Batch) Ended() bool { return !b.EndedAt.IsZero() }

// Invalid is what is wrong with one of a batch's requests, or, without a line, with all.
type Invalid struct {
	Line    int    `json:"line,omitempty"` // from 1
	Code    string `json:"code"`
	Message string `json:"message"`
	Param   string `json:"param,omitempty"`
}

func (e *Invalid) Error() string { return fmt.Sprintf("jobs: line %d: %s", e.Line, e.Message) }

// Item is a request of a batch. Name is the caller's own for it, one of its kind.
type Item struct {
	Name   string
	Method string
	Path   string
	Body   []byte
}

// Result is an Item's answer; Status 0 is one that was not given.
type Result struct {
	N         int // from 1
	Name      string
	Status    int
	RequestID string
	Body      []byte
}

// Dialect writes the files of a vendor's batches; a nil Line means that there are none.
type Dialect struct {
	Purpose string // of the files
	// Line is a result as one line of a file, without its newline; failed sends it to the file of
	// failures.
	Line func(b *Batch, r *Result) (line []byte, failed bool, err error)
}

const maxErrors = 50 // of a batch's requests that are told; the first ones

func input(id string) string { return "batch-" + id }

// Create takes a batch on. The caller says Owner, Key, Dialect, Endpoint, Input, Metadata and Expires.
// An *Invalid among the items makes the batch one that has failed, with the reasons; any other error
// is Create's.
func (s *Store) Create(ctx context.Context, b Batch, items iter.Seq2[Item, error]) (Batch, error) {
	b.ID, b.Created, b.Status = s.o.NewID(), s.now(), InProgress
	f, err := s.temporary()
	if err != nil {
		return Batch{}, err
	}
	lines, err := s.readItems(f, &b, items)
	if err != nil {
		discard(f)
		return Batch{}, s.disk(err)
	}
	if len(b.Errors) == 0 && len(lines) == 0 {
		b.Errors = []Invalid{{Code: "empty_file", Message: "there is no request in the batch"}}
	}
	if len(b.Errors) > 0 {
		discard(f)
		b.Status, b.EndedAt, b.Total, lines = Failed, b.Created, 0, nil
	} else if err := s.kept(f, input(b.ID)); err != nil {
		return Batch{}, err
	}
	err = s.db.Tx(ctx, func(tx *sql.Tx) error {
		if err := addBatch(ctx, tx, &b); err != nil {
			return err
		}
		return addLines(ctx, tx, b.ID, lines)
	})
	if err != nil {
		_ = os.Remove(s.path(input(b.ID)))
		return Batch{}, err
	}
	s.poke()
	return b, nil
}

// line is an Item whose body lies in the batch's file.
type line struct {
	n             int
	name          string
	method, path  string
	begins, bytes int64
}

// readItems writes the bodies into f and notes in b what is wrong.
func (s *Store) readItems(f *os.File, b *Batch, items iter.Seq2[Item, error]) ([]line, error) {
	w := bufio.NewWriterSize(f, 1<<16)
	seen := map[string]int{}
	var lines []line
	at, n := int64(0), 0
	wrong := func(e Invalid) {
		if len(b.Errors) < maxErrors {
			b.Errors = append(b.Errors, e)
		}
	}
	for item, err := range items {
		n++
		var bad *Invalid
		switch first := seen[item.Name]; {
		case errors.As(err, &bad):
			wrong(*bad)
			continue
		case err != nil:
			return nil, err
		case n > s.o.MaxLines:
			wrong(Invalid{Code: "too_many_tasks", Message: fmt.Sprintf("the batch has more than %d requests, the most that this server takes: send several batches", s.o.MaxLines)})
			return nil, nil
		case len(item.Body) > s.o.LineBytes:
			wrong(Invalid{Line: n, Code: "request_too_large", Message: fmt.Sprintf("the request has %d bytes, at most %d are taken", len(item.Body), s.o.LineBytes)})
			continue
		case strings.ContainsRune(item.Name, 0) || !utf8.ValidString(item.Name): // not every database holds it
			wrong(Invalid{Line: n, Code: "invalid_custom_id", Message: "the name must be text without a NUL character", Param: "custom_id"})
			continue
		case first > 0:
			wrong(Invalid{Line: n, Code: "duplicate_custom_id", Message: fmt.Sprintf("the name %q is line %d's already: each must be there once", printable(item.Name), first), Param: "custom_id"})
			continue
		}
		seen[item.Name] = n
		if _, err := w.Write(item.Body); err != nil {
			return nil, err
		}
		lines = append(lines, line{n, item.Name, item.Method, item.Path, at, int64(len(item.Body))})
		at += int64(len(item.Body))
	}
	b.Total = len(lines)
	return lines, w.Flush()
}

func addBatch(ctx context.Context, tx *sql.Tx, b *Batch) error {
	metadata := b.Metadata
	if len(metadata) == 0 {
		metadata = json.RawMessage("null")
	}
	problems, err := json.Marshal(b.Errors)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO batches (id, owner, key, dialect, endpoint, input, output, failures, status, metadata, errors,
			total, completed, failed, created, expires, finalizing, cancelling, ended, holder, held)
		VALUES ($1, $2, $3, $4, $5, $6, '', '', $7, $8, $9, $10, 0, 0, $11, $12, 0, 0, $13, '', 0)`,
		b.ID, b.Owner, b.Key, b.Dialect, b.Endpoint, b.Input, string(b.Status), string(metadata), string(problems),
		b.Total, db.Millis(b.Created), db.Millis(b.Expires), db.Millis(b.EndedAt))
	return err
}

func addLines(ctx context.Context, tx *sql.Tx, batch string, lines []line) error {
	if len(lines) == 0 {
		return nil
	}
	add, err := tx.PrepareContext(ctx, `INSERT INTO batch_lines (batch, n, name, method, path, begins, bytes, status, request, answer)
		VALUES ($1, $2, $3, $4, $5, $6, $7, 0, '', '')`)
	if err != nil {
		return err
	}
	defer add.Close()
	for _, l := range lines {
		if _, err := add.ExecContext(ctx, batch, l.n, l.name, l.method, l.path, l.begins, l.bytes); err != nil {
			return err
		}
	}
	return nil
}

const batchColumns = `id, owner, key, dialect, endpoint, input, output, failures, status, metadata, errors, total, completed, failed,
	created, expires, finalizing, cancelling, ended`

func scanBatch(scan func(...any) error) (b Batch, err error) {
	var status, metadata, problems string
	var created, expires, finalizing, cancelling, ended int64
	err = scan(&b.ID, &b.Owner, &b.Key, &b.Dialect, &b.Endpoint, &b.Input, &b.Output, &b.Failures, &status, &metadata, &problems,
		&b.Total, &b.Completed, &b.Failed, &created, &expires, &finalizing, &cancelling, &ended)
	if err != nil {
		return b, err
	}
	b.Status, b.Metadata = Status(status), json.RawMessage(metadata)
	b.Created, b.Expires, b.Finalizing, b.Cancelling, b.EndedAt = db.Time(created), db.Time(expires), db.Time(finalizing), db.Time(cancelling), db.Time(ended)
	return b, json.Unmarshal([]byte(problems), &b.Errors)
}

// Batch gives one batch of an owner and a dialect.
func (s *Store) Batch(ctx context.Context, owner, dialect, id string) (Batch, error) {
	var out Batch
	err := s.db.Each(ctx, `SELECT `+batchColumns+` FROM batches WHERE id = $1 AND owner = $2 AND dialect = $3`, []any{id, owner, dialect},
		func(scan func(...any) error) (err error) {
			out, err = scanBatch(scan)
			return err
		})
	if err == nil && out.ID == "" {
		err = ErrNotFound.Because("jobs: there is no batch %q", printable(id))
	}
	return out, err
}

// Batches lists an owner's batches of a dialect, and reports whether there are more after them.
func (s *Store) Batches(ctx context.Context, owner, dialect string, p Page) ([]Batch, bool, error) {
	where, args := `owner = $1 AND dialect = $2`, []any{owner, dialect}
	if p.After != "" {
		b, err := s.Batch(ctx, owner, dialect, p.After)
		if err != nil {
			return nil, false, err
		}
		where += p.after(3)
		args = append(args, db.Millis(b.Created), b.ID)
	}
	var out []Batch
	err := s.db.Each(ctx, `SELECT `+batchColumns+` FROM batches WHERE `+where+p.order(), args, func(scan func(...any) error) error {
		b, err := scanBatch(scan)
		out = append(out, b)
		return err
	})
	more := len(out) > p.Limit
	return out[:min(len(out), p.Limit)], more, err
}

// Cancel ends a batch early: what is under way stops, and what has been answered stays.
func (s *Store) Cancel(ctx context.Context, owner, dialect, id string) (Batch, error) {
	b, err := s.Batch(ctx, owner, dialect, id)
	if err != nil {
		return Batch{}, err
	}
	n, err := s.db.Exec(ctx, `UPDATE batches SET status = $1, cancelling = $2 WHERE id = $3 AND status = $4`,
		string(Cancelling), db.Millis(s.now()), id, string(InProgress))
	if err != nil {
		return Batch{}, err
	}
	s.poke()
	if b, err = s.Batch(ctx, owner, dialect, id); err == nil && n == 0 && b.Status != Cancelling && b.Status != Cancelled {
		err = ErrState.Because("jobs: the batch is %s and cannot be cancelled any more", b.Status)
	}
	return b, err
}

// DeleteBatch forgets a batch that has ended, with its results; its files stay.
func (s *Store) DeleteBatch(ctx context.Context, owner, dialect, id string) error {
	b, err := s.Batch(ctx, owner, dialect, id)
	if err != nil {
		return err
	}
	if !b.Ended() {
		return ErrState.Because("jobs: the batch is %s: cancel it before it is deleted", b.Status)
	}
	return s.db.Tx(ctx, func(tx *sql.Tx) error {
		for _, table := range []string{`batch_lines WHERE batch`, `batches WHERE id`} {
			if _, err := tx.ExecContext(ctx, `DELETE FROM `+table+` = $1`, id); err != nil {
				return err
			}
		}
		return nil
	})
}

// Results calls do for every request of a batch, in order.
func (s *Store) Results(ctx context.Context, b *Batch, do func(r *Result) error) error {
	return s.db.Each(ctx, `SELECT n, name, status, request, answer FROM batch_lines WHERE batch = $1 ORDER BY n`, []any{b.ID}, func(scan func(...any) error) error {
		var r Result
		if err := scan(&r.N, &r.Name, &r.Status, &r.RequestID, &r.Body); err != nil {
			return err
		}
		return do(&r)
	})
}

// poke wakes whoever works on batches.
func (s *Store) poke() {
	select {
	case s.wake <- struct{}{}:
	default: // it will look anyway
	}
}

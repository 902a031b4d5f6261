package jobs

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/galerne-ai/galerne/internal/db"
)

// File is what somebody stored, or a batch made.
type File struct {
	ID      string
	Owner   string
	Name    string
	Purpose string
	Bytes   int64
	Created time.Time
	Expires time.Time // zero: never
}

// Upload is a file that has come and has no name yet.
type Upload struct {
	s     *Store
	f     *os.File
	bytes int64
}

// Receive reads a file to its end. Keep or Discard must follow.
func (s *Store) Receive(r io.Reader) (*Upload, error) {
	f, err := s.temporary()
	if err != nil {
		return nil, err
	}
	n, err := io.Copy(f, io.LimitReader(r, s.o.FileBytes+1))
	if err == nil && n > s.o.FileBytes {
		err = ErrTooLarge.Because("jobs: the file is larger than %d bytes, the most that this server takes", s.o.FileBytes)
	}
	if err != nil {
		discard(f)
		return nil, s.disk(err)
	}
	return &Upload{s, f, n}, nil
}

// Bytes is how long the file is.
func (u *Upload) Bytes() int64 { return u.bytes }

// Discard forgets the file.
func (u *Upload) Discard() { discard(u.f) }

// Keep stores the file: Owner, Name, Purpose and Expires are the caller's.
func (u *Upload) Keep(ctx context.Context, file File) (File, error) {
	s := u.s
	file.ID, file.Bytes, file.Created = s.o.NewID(), u.bytes, s.now()
	if err := s.kept(u.f, blob(file.ID)); err != nil {
		return File{}, err
	}
	// The file is there before its row; a row without a file would be a promise that is not kept.
	err := s.db.Tx(ctx, func(tx *sql.Tx) error { return addFile(ctx, tx, file) })
	if err != nil {
		_ = os.Remove(s.path(blob(file.ID)))
		return File{}, err
	}
	return file, nil
}

func blob(id string) string { return "file-" + id }

func addFile(ctx context.Context, tx *sql.Tx, f File) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO files (id, owner, name, purpose, bytes, created, expires) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		f.ID, f.Owner, f.Name, f.Purpose, f.Bytes, db.Millis(f.Created), db.Millis(f.Expires))
	return err
}

const fileColumns = `id, owner, name, purpose, bytes, created, expires`

func scanFile(scan func(...any) error) (f File, err error) {
	var created, expires int64
	err = scan(&f.ID, &f.Owner, &f.Name, &f.Purpose, &f.Bytes, &created, &expires)
	f.Created, f.Expires = db.Time(created), db.Time(expires)
	return f, err
}

// File gives one file of an owner.
func (s *Store) File(ctx context.Context, owner, id string) (File, error) {
	var out File
	err := s.db.Each(ctx, `SELECT `+fileColumns+` FROM files WHERE id = $1 AND owner = $2 AND (expires = 0 OR expires > $3)`,
		[]any{id, owner, db.Millis(s.now())}, func(scan func(...any) error) (err error) {
			out, err = scanFile(scan)
			return err
		})
	if err == nil && out.ID == "" {
		err = ErrNotFound.Because("jobs: there is no file %q", printable(id))
	}
	return out, err
}

// printable is an id as an error may repeat it.
func printable(id string) string {
	if len(id) > 80 {
		id = id[:80] + "..."
	}
	return strings.ToValidUTF8(id, "?")
}

// Files lists an owner's files, and reports whether there are more after them.
func (s *Store) Files(ctx context.Context, owner string, p Page) ([]File, bool, error) {
	where, args := `owner = $1 AND (expires = 0 OR expires > $2) AND ($3 = '' OR purpose = $3)`, []any{owner, db.Millis(s.now()), p.Purpose}
	if p.After != "" {
		f, err := s.File(ctx, owner, p.After)
		if err != nil {
			return nil, false, err
		}
		where += p.after(4)
		args = append(args, db.Millis(f.Created), f.ID)
	}
	var out []File
	err := s.db.Each(ctx, `SELECT `+fileColumns+` FROM files WHERE `+where+p.order(), args, func(scan func(...any) error) error {
		f, err := scanFile(scan)
		out = append(out, f)
		return err
	})
	more := len(out) > p.Limit
	return out[:min(len(out), p.Limit)], more, err
}

// after is the condition for what comes after a time and an id, which are parameters from n on.
func (p Page) after(n int) string {
	than := "<"
	if p.Oldest {
		than = ">"
	}
	a, b := "$"+strconv.Itoa(n), "$"+strconv.Itoa(n+1)
	return ` AND (created ` + than + ` ` + a + ` OR created = ` + a + ` AND id ` + than + ` ` + b + `)`
}

// order sorts a page and takes one row more than it has.
func (p Page) order() string {
	direction := " DESC"
	if p.Oldest {
		direction = ""
	}
	return ` ORDER BY created` + direction + `, id` + direction + ` LIMIT ` + strconv.Itoa(p.Limit+1)
}

// OpenFile gives a file's content; the caller closes it.
func (s *Store) OpenFile(ctx context.Context, owner, id string) (*os.File, File, error) {
	file, err := s.File(ctx, owner, id)
	if err != nil {
		return nil, File{}, err
	}
	f, err := os.Open(s.path(blob(file.ID)))
	return f, file, s.disk(err)
}

// DeleteFile forgets a file. Batches that it was read for have what they need.
func (s *Store) DeleteFile(ctx context.Context, owner, id string) error {
	if _, err := s.File(ctx, owner, id); err != nil {
		return err
	}
	if _, err := s.db.Exec(ctx, `DELETE FROM files WHERE id = $1 AND owner = $2`, id, owner); err != nil {
		return err
	}
	if err := os.Remove(s.path(blob(id))); err != nil && !errors.Is(err, os.ErrNotExist) {
		return s.disk(err)
	}
	return nil
}

const sweepAge = 24 * time.Hour // of files that no row names; an upload takes less

// sweep removes files and answers that have expired, and what dead processes left.
func (s *Store) sweep(ctx context.Context) error {
	now := s.now()
	if err := s.dropWhere(ctx, `expires > 0 AND expires <= $1`, db.Millis(now)); err != nil {
		return err
	}
	if _, err := s.db.Exec(ctx, `DELETE FROM replies WHERE expires <= $1`, db.Millis(now)); err != nil {
		return err
	}
	var old []File
	err := s.db.Each(ctx, `SELECT `+fileColumns+` FROM files WHERE expires > 0 AND expires <= $1`, []any{db.Millis(now)}, func(scan func(...any) error) error {
		f, err := scanFile(scan)
		old = append(old, f)
		return err
	})
	if err != nil {
		return err
	}
	for _, f := range old {
		if _, err := s.db.Exec(ctx, `DELETE FROM files WHERE id = $1`, f.ID); err != nil {
			return err
		}
		_ = os.Remove(s.path(blob(f.ID)))
	}
	entries, err := os.ReadDir(s.o.Dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		st, err := e.Info()
		if err != nil || now.Sub(st.ModTime()) < sweepAge {
			continue
		}
		var n int
		if id, ok := strings.CutPrefix(e.Name(), blob("")); ok {
			err = s.db.One(ctx, `SELECT count(*) FROM files WHERE id = $1`, []any{id}, &n)
		} else if id, ok := strings.CutPrefix(e.Name(), input("")); ok {
			err = s.db.One(ctx, `SELECT count(*) FROM batches WHERE id = $1 AND ended = 0`, []any{id}, &n)
		} else if !strings.HasPrefix(e.Name(), "new-") {
			continue
		}
		if err == nil && n == 0 {
			_ = os.Remove(s.path(e.Name()))
		}
	}
	return s.disk(err)
}

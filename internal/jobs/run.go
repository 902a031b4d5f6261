package jobs

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/galerne-ai/galerne/internal/db"
	"github.com/galerne-ai/galerne/internal/fault"
)

const (
	lookEvery    = time.Second      // for work that another process made or left
	sweepEvery   = 10 * time.Minute // for files that have expired
	waitingLines = 8                // requests of a batch begun, for each that may be under way: the others wait to try again
	pageLines    = 256              // requests read from the database at once
	minWait      = time.Second      // before a request that was refused for now is made again
	maxWait      = 30 * time.Second
)

// Run works on batches and on answers in the background until ctx ends, and returns when all that it
// began is put down. What was not answered by then is asked again by the next process.
func (s *Store) Run(ctx context.Context, do Do) {
	var group sync.WaitGroup
	defer group.Wait()
	slots, answers := make(chan struct{}, s.o.Parallel), make(chan struct{}, s.o.Answers)
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for swept := (time.Time{}); ; {
		if now := s.now(); now.Sub(swept) >= sweepEvery {
			swept = now
			s.trouble("what is old cannot be removed", s.sweep(ctx))
		}
		open, err := s.open(ctx)
		s.trouble("batches cannot be read", err)
		for _, b := range open {
			s.once(&group, b.ID, func() {
				w := &worker{s: s, b: b, do: do, slots: slots}
				s.trouble("a batch cannot go on", w.run(ctx), slog.String("batch", b.ID))
			})
		}
		waiting, err := s.waitingAnswers(ctx)
		s.trouble("answers cannot be read", err)
		for _, k := range waiting {
			s.once(&group, k.ID, func() {
				select {
				case answers <- struct{}{}:
				case <-ctx.Done():
					return
				}
				defer func() { <-answers }()
				s.trouble("an answer cannot be made", (&maker{s: s, k: k, do: do}).run(ctx), slog.String("answer", k.ID))
			})
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-s.wake:
		}
	}
}

// once does something that has an ID, unless it is being done.
func (s *Store) once(group *sync.WaitGroup, id string, do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.working[id] {
		return
	}
	s.working[id] = true
	group.Go(func() {
		do()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.working, id)
	})
}

func (s *Store) trouble(what string, err error, attrs ...any) {
	if err != nil && !errors.Is(err, context.Canceled) {
		s.o.Log.Error(what, append(attrs, slog.String("error", err.Error()))...)
	}
}

// open lists the batches that nobody works on.
func (s *Store) open(ctx context.Context) ([]Batch, error) {
	var out []Batch
	err := s.db.Each(ctx, `SELECT `+batchColumns+` FROM batches WHERE ended = 0 AND (holder = $1 OR held <= $2) ORDER BY created`,
		[]any{s.self, db.Millis(s.now())}, func(scan func(...any) error) error {
			b, err := scanBatch(scan)
			out = append(out, b)
			return err
		})
	return out, err
}

// worker works on one batch.
type worker struct {
	s     *Store
	b     Batch
	do    Do
	slots chan struct{} // shared by all batches
	bad   error         // why no request of the batch can be made
	mu    sync.Mutex
}

// errLost ends the work on a batch that another process has taken over.
var errLost = errors.New("jobs: another process works on the batch")

// hold says that this process goes on, and learns whether the batch is to be cancelled.
func (w *worker) hold(ctx context.Context) (Status, error) {
	status, err := w.s.hold(ctx, "batches", w.b.ID)
	return Status(status), err
}

// hold renews this process's lease on a row of a table of work, and gives the row's status. Error:
// errLost, if another process holds it or it has ended.
func (s *Store) hold(ctx context.Context, table, id string) (status string, err error) {
	now := s.now()
	n, err := s.db.Exec(ctx, `UPDATE `+table+` SET holder = $1, held = $2 WHERE id = $3 AND ended = 0 AND (holder = $1 OR held <= $4)`,
		s.self, db.Millis(now.Add(s.o.Hold)), id, db.Millis(now))
	if err != nil {
		return "", err
	}
	if n == 0 {
		return "", errLost
	}
	err = s.db.One(ctx, `SELECT status FROM `+table+` WHERE id = $1`, []any{id}, &status)
	return status, err
}

func (w *worker) run(ctx context.Context) error {
	status, err := w.hold(ctx)
	if errors.Is(err, errLost) {
		return nil
	}
	if err != nil {
		return err
	}
	defer w.release()
	work, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var group sync.WaitGroup
	group.Go(func() { w.watch(work, stop) })
	if status != Cancelling {
		err = w.lines(work)
	}
	cause := context.Cause(work)
	if err == nil && ctx.Err() == nil && !errors.Is(cause, errLost) {
		err = w.finish(ctx)
	}
	stop(nil)
	group.Wait()
	if errors.Is(cause, errLost) {
		return nil
	}
	return err
}

// release lets another process take over at once.
func (w *worker) release() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, err := w.s.db.Exec(ctx, `UPDATE batches SET held = 0 WHERE id = $1 AND holder = $2`, w.b.ID, w.s.self)
	w.s.trouble("a batch stays with this process for a while", err, slog.String("batch", w.b.ID))
}

var (
	errCancelled = errors.New("jobs: the batch was cancelled")
	errExpired   = errors.New("jobs: the batch has expired")
)

// watch keeps the hold on the batch, and stops the work when the batch is cancelled, expires or is
// held by another process.
func (w *worker) watch(ctx context.Context, stop context.CancelCauseFunc) {
	tick := time.NewTicker(min(w.s.o.Hold/4, time.Second))
	defer tick.Stop()
	last := w.s.now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		status, err := w.hold(ctx)
		now := w.s.now()
		switch {
		case err == nil:
			last = now
		case errors.Is(err, errLost) || now.Sub(last) > w.s.o.Hold:
			stop(errLost)
			return
		}
		switch {
		case status == Cancelling:
			stop(errCancelled)
		case !w.b.Expires.IsZero() && !now.Before(w.b.Expires):
			stop(errExpired)
		}
	}
}

// lines makes all requests that have no answer yet.
func (w *worker) lines(ctx context.Context) error {
	f, err := os.Open(w.s.path(input(w.b.ID)))
	if err != nil {
		return w.s.disk(err)
	}
	defer f.Close()
	var group sync.WaitGroup
	defer group.Wait()
	waiting := make(chan struct{}, waitingLines*cap(w.slots))
	for after := 0; ; {
		page, err := w.page(ctx, after)
		if err != nil || len(page) == 0 {
			return ignoreStop(ctx, err)
		}
		for _, l := range page {
			after = l.n
			for _, gate := range []chan struct{}{waiting, w.slots} {
				select {
				case gate <- struct{}{}:
				case <-ctx.Done():
					return nil
				}
			}
			if w.broken() != nil {
				<-w.slots
				return nil
			}
			group.Go(func() {
				defer func() { <-w.slots; <-waiting }()
				w.s.trouble("a request of a batch cannot be made", ignoreStop(ctx, w.one(ctx, f, l)), slog.String("batch", w.b.ID), slog.Int("line", l.n))
			})
		}
	}
}

// ignoreStop is err, unless it comes from the end of the work.
func ignoreStop(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (w *worker) page(ctx context.Context, after int) ([]line, error) {
	var out []line
	err := w.s.db.Each(ctx, `SELECT n, name, method, path, begins, bytes FROM batch_lines WHERE batch = $1 AND status = 0 AND n > $2 ORDER BY n LIMIT $3`,
		[]any{w.b.ID, after, pageLines}, func(scan func(...any) error) error {
			var l line
			err := scan(&l.n, &l.name, &l.method, &l.path, &l.begins, &l.bytes)
			out = append(out, l)
			return err
		})
	return out, err
}

func (w *worker) broken() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.bad
}

// one makes a request until it is answered for good, and stores the answer. The caller has a slot,
// which others may use while it waits.
func (w *worker) one(ctx context.Context, f *os.File, l line) error {
	body := make([]byte, l.bytes)
	if _, err := f.ReadAt(body, l.begins); err != nil && (l.bytes > 0 || !errors.Is(err, io.EOF)) {
		return w.s.disk(err)
	}
	for wait := minWait; ; wait = min(2*wait, maxWait) {
		a, err := w.do(ctx, w.b.Key, l.method, l.path, body)
		switch {
		case ctx.Err() != nil:
			return nil // the answer was cut
		case err != nil && fault.KindOf(err) == fault.Denied:
			w.mu.Lock()
			w.bad = err
			w.mu.Unlock()
			return nil
		case err == nil && !a.Retry:
			return w.store(ctx, l, a)
		}
		<-w.slots
		select {
		case <-ctx.Done():
		case <-time.After(max(wait, a.After)):
		}
		w.slots <- struct{}{} // lines gives it back
		if ctx.Err() != nil || w.broken() != nil {
			return nil
		}
	}
}

// store keeps an answer, once: a line that has one keeps it.
func (w *worker) store(ctx context.Context, l line, a Answer) error {
	return w.s.db.Tx(ctx, func(tx *sql.Tx) error {
		r, err := tx.ExecContext(ctx, `UPDATE batch_lines SET status = $1, request = $2, answer = $3 WHERE batch = $4 AND n = $5 AND status = 0`,
			max(a.Status, 1), a.RequestID, string(a.Body), w.b.ID, l.n)
		if err != nil {
			return err
		}
		if n, err := r.RowsAffected(); err != nil || n == 0 {
			return err
		}
		count := "completed"
		if a.Status >= 400 {
			count = "failed"
		}
		_, err = tx.ExecContext(ctx, `UPDATE batches SET `+count+` = `+count+` + 1 WHERE id = $1`, w.b.ID)
		return err
	})
}

// finish ends the batch if there is nothing left to ask, or no time.
func (w *worker) finish(ctx context.Context) error {
	var left int
	var status string
	if err := w.s.db.One(ctx, `SELECT status, (SELECT count(*) FROM batch_lines WHERE batch = $1 AND status = 0) FROM batches WHERE id = $1`, []any{w.b.ID}, &status, &left); err != nil {
		return err
	}
	now := w.s.now()
	end := Completed
	switch bad := w.broken(); {
	case status == string(Cancelling):
		end = Cancelled
	case left == 0:
	case bad != nil:
		end = Failed
		w.b.Errors = append(w.b.Errors, Invalid{Code: fault.CodeOf(bad), Message: bad.Error()})
	case !w.b.Expires.IsZero() && !now.Before(w.b.Expires):
		end = Expired
	default:
		return nil // some could not be asked or stored; the next look goes on
	}
	_, err := w.s.db.Exec(ctx, `UPDATE batches SET status = $1, finalizing = $2 WHERE id = $3 AND status = $4`,
		string(Finalizing), db.Millis(now), w.b.ID, string(InProgress))
	if err != nil {
		return err
	}
	return w.conclude(ctx, end)
}

// conclude writes the files and the end in one transaction, so that a process that dies before it
// leaves nothing behind that a user sees.
func (w *worker) conclude(ctx context.Context, end Status) error {
	files, err := w.write(ctx, end)
	if err != nil {
		return err
	}
	problems, err := json.Marshal(w.b.Errors)
	if err != nil {
		return err
	}
	err = w.s.db.Tx(ctx, func(tx *sql.Tx) error {
		for _, f := range files {
			if f.ID == "" {
				continue
			}
			if err := addFile(ctx, tx, f); err != nil {
				return err
			}
		}
		r, err := tx.ExecContext(ctx, `UPDATE batches SET status = $1, ended = $2, output = $3, failures = $4, errors = $5 WHERE id = $6 AND holder = $7 AND ended = 0`,
			string(end), db.Millis(w.s.now()), files[0].ID, files[1].ID, string(problems), w.b.ID, w.s.self)
		if err != nil {
			return err
		}
		if n, err := r.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, errLost)
		}
		return nil
	})
	if err != nil {
		for _, f := range files {
			if f.ID != "" {
				_ = os.Remove(w.s.path(blob(f.ID)))
			}
		}
		return err
	}
	_ = os.Remove(w.s.path(input(w.b.ID))) // the sweep takes it otherwise
	return nil
}

// write makes the files of answers and of failures; one without a line has no ID.
func (w *worker) write(ctx context.Context, end Status) (files [2]File, err error) {
	d := w.s.o.Dialects[w.b.Dialect]
	if d.Line == nil {
		return files, nil
	}
	var outs [2]*os.File
	var bufs [2]*bufio.Writer
	for i := range outs {
		if outs[i], err = w.s.temporary(); err != nil {
			return files, err
		}
		defer discard(outs[i])
		bufs[i] = bufio.NewWriterSize(outs[i], 1<<16)
	}
	err = w.s.Results(ctx, &w.b, func(r *Result) error {
		if r.Status == 0 && end != Expired {
			return nil
		}
		text, failed, err := d.Line(&w.b, r)
		if err != nil {
			return err
		}
		i := 0
		if failed {
			i = 1
		}
		files[i].Bytes += int64(len(text)) + 1
		_, err = bufs[i].Write(append(text, '\n'))
		return err
	})
	for i, name := range []string{"_output.jsonl", "_error.jsonl"} {
		if err != nil || files[i].Bytes == 0 {
			continue
		}
		if err = bufs[i].Flush(); err == nil {
			id := w.s.o.NewID()
			err = w.s.kept(outs[i], blob(id))
			files[i] = File{ID: id, Owner: w.b.Owner, Name: "batch_" + w.b.ID + name, Purpose: d.Purpose, Bytes: files[i].Bytes, Created: w.s.now()}
		}
	}
	return files, w.s.disk(err)
}

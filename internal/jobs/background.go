package jobs

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/galerne-ai/galerne/internal/db"
	"github.com/galerne-ai/galerne/internal/fault"
)

const flushEvents = 100 * time.Millisecond // between writes of an answer's events

// waitingAnswers lists the answers that are to be made and that nobody makes.
func (s *Store) waitingAnswers(ctx context.Context) ([]Kept, error) {
	return s.selectKept(ctx, `ended = 0 AND (holder = $1 OR held <= $2) ORDER BY created LIMIT $3`, s.self, db.Millis(s.now()), pageLines)
}

// maker makes one answer.
type maker struct {
	s    *Store
	k    Kept
	do   Do
	sink *Sink
}

// hold says that this process goes on, and learns whether the answer is still wanted.
func (m *maker) hold(ctx context.Context) (State, error) {
	state, err := m.s.hold(ctx, "answers", m.k.ID)
	return State(state), err
}

// run makes the answer, from its begin: what a dead process had said of it is forgotten.
func (m *maker) run(ctx context.Context) error {
	state, err := m.hold(ctx)
	if errors.Is(err, errLost) {
		return nil
	}
	if err != nil {
		return err
	}
	defer m.release()
	if state == Stopping {
		return m.end(ctx, Stopped, nil)
	}
	err = m.s.db.Tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM answer_events WHERE answer = $1`, m.k.ID); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE answers SET status = $1 WHERE id = $2 AND status = $3`, string(Working), m.k.ID, string(Queued))
		return err
	})
	if err != nil {
		return err
	}
	work, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var group sync.WaitGroup
	defer group.Wait()
	m.sink = &Sink{s: m.s, id: m.k.ID}
	group.Go(func() { m.watch(work, stop) })
	a, err := m.ask(context.WithValue(work, sinkKey{}, m.sink))
	cause := context.Cause(work)
	stop(nil)
	group.Wait()
	switch {
	case errors.Is(cause, errCancelled):
		return m.end(ctx, Stopped, nil)
	case cause != nil:
		return nil // lost, or the process ends: another goes on
	case err != nil && fault.KindOf(err) != fault.Denied:
		return err
	case err != nil:
		return m.end(ctx, Refused, refusal(fault.CodeOf(err), err.Error()))
	case m.sink.answer != nil:
		return m.end(ctx, Done, nil)
	case a.Status >= 400 && json.Valid(a.Body):
		return m.end(ctx, Refused, a.Body)
	}
	return m.end(ctx, Refused, refusal("internal_error", "the answer was cut"))
}

// refusal is an error in the form in which most vendors have theirs.
func refusal(code, message string) json.RawMessage {
	text, _ := json.Marshal(map[string]any{"error": map[string]string{"code": code, "message": message}}) // strings: cannot fail
	return text
}

// ask makes the request until it is answered for good.
func (m *maker) ask(ctx context.Context) (Answer, error) {
	for wait := minWait; ; wait = min(2*wait, maxWait) {
		a, err := m.do(ctx, m.k.Key, "POST", m.k.Path, m.k.Request)
		if err != nil || !a.Retry || ctx.Err() != nil {
			return a, err
		}
		select {
		case <-ctx.Done():
			return a, ctx.Err()
		case <-time.After(max(wait, a.After)):
		}
	}
}

// watch writes events while they come, keeps the hold, and stops the work when nobody wants it.
func (m *maker) watch(ctx context.Context, stop context.CancelCauseFunc) {
	tick := time.NewTicker(flushEvents)
	defer tick.Stop()
	last, held := m.s.now(), m.s.now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := m.sink.flush(ctx); err != nil && ctx.Err() == nil {
			m.s.trouble("events of an answer cannot be written yet", err, slog.String("answer", m.k.ID))
		}
		now := m.s.now()
		if now.Sub(held) < min(m.s.o.Hold/4, 500*time.Millisecond) {
			continue
		}
		held = now
		state, err := m.hold(ctx)
		switch {
		case err == nil:
			last = now
		case errors.Is(err, errLost) || now.Sub(last) > m.s.o.Hold:
			stop(errLost)
		}
		if state == Stopping {
			stop(errCancelled)
		}
	}
}

// end stores how the answer ended, with its last events.
func (m *maker) end(ctx context.Context, state State, failure json.RawMessage) error {
	return m.s.db.Tx(ctx, func(tx *sql.Tx) error {
		answer := m.k.Answer
		var events []Event
		if m.sink != nil {
			events = m.sink.events
			if state == Done {
				answer = m.sink.answer
			}
		}
		r, err := tx.ExecContext(ctx, `UPDATE answers SET status = $1, answer = $2, failure = $3, ended = $4, request = '' WHERE id = $5 AND holder = $6 AND ended = 0`,
			string(state), string(answer), string(failure), db.Millis(m.s.now()), m.k.ID, m.s.self)
		if err != nil {
			return err
		}
		if n, err := r.RowsAffected(); err != nil || n == 0 {
			return err // it was dropped, or another process has it
		}
		return addEvents(ctx, tx, m.k.ID, events)
	})
}

func (m *maker) release() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, err := m.s.db.Exec(ctx, `UPDATE answers SET held = 0 WHERE id = $1 AND holder = $2`, m.k.ID, m.s.self)
	m.s.trouble("an answer stays with this process for a while", err, slog.String("answer", m.k.ID))
}

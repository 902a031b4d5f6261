package jobs

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/galerne-ai/galerne/internal/db"
)

// State is how far a kept answer has come.
type State string

const (
	Queued   State = "queued"
	Working  State = "working"
	Stopping State = "stopping" // somebody has cancelled it
	Stopped  State = "stopped"
	Refused  State = "refused" // Failure says why
	Done     State = "done"    // Answer says how it went
)

// Kept is an answer that can be read again and gone on from. What stands in it is the vendor's own.
type Kept struct {
	ID       string
	Owner    string
	Key      string // the ID of the key as which it is asked
	Dialect  string
	Previous string // the answer that it goes on from, "" if none
	Model    string // by which a list may be narrowed, as it may by labels
	Labels   map[string]string
	State    State
	Path     string // where Request is sent, "" if it has been answered
	Request  json.RawMessage
	Input    json.RawMessage
	Answer   json.RawMessage // until it is done, what is known from the begin
	Failure  json.RawMessage
	Created  time.Time
	Expires  time.Time
	EndedAt  time.Time // zero while it has not
}

// Ended reports whether nothing will change any more.
func (k *Kept) Ended() bool { return k.State == Done || k.State == Stopped || k.State == Refused }

// Event is a part of an answer that was made in the background.
type Event struct {
	N    int // from 0
	Name string
	Text []byte
}

// Keep stores an answer. One with a Path is asked by Run, whoever waits; it is to be Queued. Another
// is to be Done.
func (s *Store) Keep(ctx context.Context, k Kept) (Kept, error) {
	if k.ID == "" {
		k.ID = s.o.NewID()
	}
	k.Created = s.now()
	ended := int64(0)
	if k.Ended() {
		ended = db.Millis(k.Created)
	}
	err := s.db.Tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO answers (id, owner, key, dialect, previous, model, status, path, request, input, answer, failure, created, expires, ended, holder, held)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, '', $12, $13, $14, '', 0)`,
			k.ID, k.Owner, k.Key, k.Dialect, k.Previous, k.Model, string(k.State), k.Path, string(k.Request), string(k.Input), string(k.Answer),
			db.Millis(k.Created), db.Millis(k.Expires), ended)
		if err != nil {
			return err
		}
		return addLabels(ctx, tx, k.ID, k.Labels)
	})
	s.poke()
	return k, err
}

func addLabels(ctx context.Context, tx *sql.Tx, id string, labels map[string]string) error {
	for name, value := range labels {
		if _, err := tx.ExecContext(ctx, `INSERT INTO answer_labels (answer, name, value) VALUES ($1, $2, $3)`, id, name, value); err != nil {
			return err
		}
	}
	return nil
}

// Label gives an answer labels in the place of those that it has.
func (s *Store) Label(ctx context.Context, owner, dialect, id string, labels map[string]string) (Kept, error) {
	k, err := s.Kept(ctx, owner, dialect, id)
	if err != nil {
		return Kept{}, err
	}
	k.Labels = labels
	return k, s.db.Tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM answer_labels WHERE answer = $1`, id); err != nil {
			return err
		}
		return addLabels(ctx, tx, id, labels)
	})
}

// label reads the labels of answers, of all at once.
func (s *Store) label(ctx context.Context, all []Kept) error {
	if len(all) == 0 {
		return nil
	}
	by := map[string]*Kept{}
	var places []string
	var ids []any
	for i := range all {
		by[all[i].ID] = &all[i]
		ids = append(ids, all[i].ID)
		places = append(places, fmt.Sprintf("$%d", i+1))
	}
	return s.db.Each(ctx, `SELECT answer, name, value FROM answer_labels WHERE answer IN (`+strings.Join(places, ", ")+`)`, ids, func(scan func(...any) error) error {
		var id, name, value string
		if err := scan(&id, &name, &value); err != nil {
			return err
		}
		k := by[id]
		if k.Labels == nil {
			k.Labels = map[string]string{}
		}
		k.Labels[name] = value
		return nil
	})
}

const keptColumns = `id, owner, key, dialect, previous, model, status, path, request, input, answer, failure, created, expires, ended`

func scanKept(scan func(...any) error) (k Kept, err error) {
	var state string
	var created, expires, ended int64
	var texts [4]string
	err = scan(&k.ID, &k.Owner, &k.Key, &k.Dialect, &k.Previous, &k.Model, &state, &k.Path, &texts[0], &texts[1], &texts[2], &texts[3], &created, &expires, &ended)
	for i, to := range []*json.RawMessage{&k.Request, &k.Input, &k.Answer, &k.Failure} {
		*to = json.RawMessage(texts[i])
	}
	k.State, k.Created, k.Expires, k.EndedAt = State(state), db.Time(created), db.Time(expires), db.Time(ended)
	return k, err
}

// Kept gives one answer of an owner and a dialect, without its labels: most who ask, and all who ask again and again,
// have no use for them.
func (s *Store) Kept(ctx context.Context, owner, dialect, id string) (Kept, error) {
	out, err := s.selectKept(ctx, `id = $1 AND owner = $2 AND dialect = $3 AND (expires = 0 OR expires > $4)`, id, owner, dialect, db.Millis(s.now()))
	if err == nil && len(out) == 0 {
		err = ErrNotFound.Because("jobs: there is no answer %q", printable(id))
	}
	if err != nil {
		return Kept{}, err
	}
	return out[0], nil
}

// Labelled is Kept with labels.
func (s *Store) Labelled(ctx context.Context, owner, dialect, id string) (Kept, error) {
	k, err := s.Kept(ctx, owner, dialect, id)
	if err != nil {
		return Kept{}, err
	}
	one := []Kept{k}
	err = s.label(ctx, one)
	return one[0], err
}

func (s *Store) selectKept(ctx context.Context, where string, args ...any) ([]Kept, error) {
	var out []Kept
	err := s.db.Each(ctx, `SELECT `+keptColumns+` FROM answers WHERE `+where, args, func(scan func(...any) error) error {
		k, err := scanKept(scan)
		out = append(out, k)
		return err
	})
	return out, err
}

// Answers lists an owner's answers of a dialect, and reports whether there are more after them.
func (s *Store) Answers(ctx context.Context, owner, dialect string, p Page) ([]Kept, bool, error) {
	where, args := `owner = $1 AND dialect = $2 AND (expires = 0 OR expires > $3) AND ($4 = '' OR model = $4)`, []any{owner, dialect, db.Millis(s.now()), p.Model}
	for name, value := range p.Labels {
		where += fmt.Sprintf(` AND EXISTS (SELECT 1 FROM answer_labels WHERE answer = answers.id AND name = $%d AND value = $%d)`, len(args)+1, len(args)+2)
		args = append(args, name, value)
	}
	if p.After != "" {
		k, err := s.Kept(ctx, owner, dialect, p.After)
		if err != nil {
			return nil, false, err
		}
		where += p.after(len(args) + 1)
		args = append(args, db.Millis(k.Created), k.ID)
	}
	out, err := s.selectKept(ctx, where+p.order(), args...)
	if err != nil {
		return nil, false, err
	}
	more := len(out) > p.Limit
	out = out[:min(len(out), p.Limit)]
	return out, more, s.label(ctx, out)
}

const (
	maxChain      = 1000     // answers that one goes on from
	maxChainBytes = 64 << 20 // of their JSON
)

// Chain gives an answer and all that it goes on from, the oldest first.
func (s *Store) Chain(ctx context.Context, owner, dialect, id string) ([]Kept, error) {
	var out []Kept
	for bytes := 0; id != ""; {
		k, err := s.Kept(ctx, owner, dialect, id)
		if err != nil {
			return nil, err
		}
		bytes += len(k.Input) + len(k.Answer)
		if len(out) == maxChain || bytes > maxChainBytes {
			return nil, ErrTooLarge.Because("jobs: the answer goes on from more than %d answers or %d bytes: begin anew, with what still matters", maxChain, maxChainBytes)
		}
		out = append(out, k)
		id = k.Previous
	}
	slices.Reverse(out)
	return out, nil
}

// Drop forgets an answer; what goes on from it cannot be gone on from. Work on it stops.
func (s *Store) Drop(ctx context.Context, owner, dialect, id string) error {
	if _, err := s.Kept(ctx, owner, dialect, id); err != nil {
		return err
	}
	return s.dropWhere(ctx, `id = $1`, id)
}

func (s *Store) dropWhere(ctx context.Context, where string, arg any) error {
	return s.db.Tx(ctx, func(tx *sql.Tx) error {
		for _, table := range []string{`answer_events`, `answer_labels`} {
			if _, err := tx.ExecContext(ctx, `DELETE FROM `+table+` WHERE answer IN (SELECT id FROM answers WHERE `+where+`)`, arg); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM answers WHERE `+where, arg)
		return err
	})
}

// Stop ends the work on an answer. What has ended stays as it is.
func (s *Store) Stop(ctx context.Context, owner, dialect, id string) (Kept, error) {
	if _, err := s.Kept(ctx, owner, dialect, id); err != nil {
		return Kept{}, err
	}
	now := db.Millis(s.now())
	_, err := s.db.Exec(ctx, `UPDATE answers SET status = $1, ended = $2 WHERE id = $3 AND status = $4`, string(Stopped), now, id, string(Queued))
	if err == nil {
		_, err = s.db.Exec(ctx, `UPDATE answers SET status = $1 WHERE id = $2 AND status = $3`, string(Stopping), id, string(Working))
	}
	if err != nil {
		return Kept{}, err
	}
	s.poke()
	return s.Kept(ctx, owner, dialect, id)
}

// Events gives what an answer has said after its event n, -1 for all.
func (s *Store) Events(ctx context.Context, id string, n int) ([]Event, error) {
	var out []Event
	err := s.db.Each(ctx, `SELECT n, name, event FROM answer_events WHERE answer = $1 AND n > $2 ORDER BY n`, []any{id, n}, func(scan func(...any) error) error {
		var e Event
		err := scan(&e.N, &e.Name, &e.Text)
		out = append(out, e)
		return err
	})
	return out, err
}

// Sink takes what a request in the background says. It writes some events at a time.
type Sink struct {
	s  *Store
	id string

	mu     sync.Mutex
	events []Event
	answer json.RawMessage // once it has ended
}

type sinkKey struct{}

// SinkOf is where a request that Run makes says what it answers, nil for any other request.
func SinkOf(ctx context.Context) *Sink {
	k, _ := ctx.Value(sinkKey{}).(*Sink)
	return k
}

// ID is the kept answer's.
func (k *Sink) ID() string { return k.id }

// Add notes an event; they come in order.
func (k *Sink) Add(e Event) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.events = append(k.events, e)
}

// End notes the whole answer.
func (k *Sink) End(answer json.RawMessage) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.answer = answer
}

// flush writes the events that wait.
func (k *Sink) flush(ctx context.Context) error {
	k.mu.Lock()
	events := k.events
	k.events = nil
	k.mu.Unlock()
	if len(events) == 0 {
		return nil
	}
	err := k.s.db.Tx(ctx, func(tx *sql.Tx) error { return addEvents(ctx, tx, k.id, events) })
	if err != nil {
		k.mu.Lock()
		k.events = append(events, k.events...)
		k.mu.Unlock()
	}
	return err
}

func addEvents(ctx context.Context, tx *sql.Tx, id string, events []Event) error {
	for _, e := range events {
		if _, err := tx.ExecContext(ctx, `INSERT INTO answer_events (answer, n, name, event) VALUES ($1, $2, $3, $4)`, id, e.N, e.Name, string(e.Text)); err != nil {
			return err
		}
	}
	return nil
}

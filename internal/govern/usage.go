package govern

import (
	"context"
	"database/sql"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/galerne-ai/galerne/internal/db"
)

// Usage is what one request used.
type Usage struct {
	ID                     string
	At                     time.Time
	Key, Tenant            string
	Surface, Route, Model  string
	Status                 int
	Code                   string
	Prompt, Cached, Answer int // tokens
	Took                   time.Duration
}

const (
	flushEvery = time.Second
	flushRows  = 512    // rows of one transaction
	maxWaiting = 100000 // rows kept while the database cannot be written
)

// Meter writes usage down, many rows at a time, so that no answer waits for it. What a killed process
// had not written is lost, at most a second's worth.
type Meter struct {
	db   *db.DB
	log  *slog.Logger
	wake chan struct{}
	stop chan struct{}
	done chan struct{}
	once sync.Once

	mu   sync.Mutex
	rows []Usage
	lost int
}

// NewMeter starts a meter; Close ends it.
func NewMeter(d *db.DB, log *slog.Logger) *Meter {
	m := &Meter{db: d, log: log, wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	go m.run()
	return m
}

// Add notes a request. It never waits for the disk.
func (m *Meter) Add(u Usage) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.rows) >= maxWaiting {
		m.lost++
		return
	}
	if m.rows = append(m.rows, u); len(m.rows) >= flushRows {
		select {
		case m.wake <- struct{}{}:
		default: // it is awake already
		}
	}
}

// Close writes what is left; after it, nothing may be added.
func (m *Meter) Close() error {
	m.once.Do(func() { close(m.stop) })
	<-m.done
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return m.flush(ctx)
}

func (m *Meter) run() {
	defer close(m.done)
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for failed := false; ; {
		select {
		case <-m.stop:
			return
		case <-m.wake:
			if failed {
				continue // the next tick tries again
			}
		case <-tick.C:
		}
		err := m.flush(context.Background())
		if err != nil && !failed {
			m.log.Error("usage cannot be written; it is kept and tried again", slog.String("error", err.Error()))
		}
		failed = err != nil
	}
}

// flush writes all rows that wait; those that cannot be written go on waiting.
func (m *Meter) flush(ctx context.Context) error {
	m.mu.Lock()
	rows, lost := m.rows, m.lost
	m.rows, m.lost = nil, 0
	m.mu.Unlock()
	if lost > 0 {
		m.log.Error("usage was lost: the database could not be written for too long", slog.Int("requests", lost))
	}
	for len(rows) > 0 {
		n := min(len(rows), flushRows)
		if err := m.write(ctx, rows[:n]); err != nil {
			m.mu.Lock()
			m.rows = append(rows, m.rows...)
			m.mu.Unlock()
			return err
		}
		rows = rows[n:]
	}
	return nil
}

func (m *Meter) write(ctx context.Context, rows []Usage) error {
	return m.db.Tx(ctx, func(tx *sql.Tx) error {
		add, err := tx.PrepareContext(ctx, `INSERT INTO usage (id, at, key, tenant, surface, route, model, status, code, prompt, cached, answer, took)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT (id) DO NOTHING`)
		if err != nil {
			return err
		}
		defer add.Close()
		for _, u := range rows {
			_, err := add.ExecContext(ctx, u.ID, db.Millis(u.At), u.Key, u.Tenant, u.Surface, u.Route, text(u.Model), u.Status, u.Code,
				u.Prompt, u.Cached, u.Answer, u.Took.Milliseconds())
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// text is what a caller wrote, as every database holds it.
func text(s string) string { return strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "?") }

// By is what usage is summed by.
type By string

const (
	ByKey     By = "key"
	ByModel   By = "model"
	ByDay     By = "day"
	BySurface By = "surface"
)

// Total is the usage of one key, model, day or surface.
type Total struct {
	Of       string // the key's ID, the model, the day (2006-01-02, UTC), the surface
	Name     string // the key's, where it is still there
	Requests int
	Failed   int // of Requests, with a status of 400 or more
	Prompt   int // tokens, here and below
	Cached   int
	Answer   int
}

// Totals sums the usage of a time, until not included; zero times are no bounds. Days come in order,
// all else with the most tokens first.
func Totals(ctx context.Context, d *db.DB, by By, since, until time.Time) ([]Total, error) {
	of := map[By]string{ByKey: "usage.key", ByModel: "model", ByDay: "at / 86400000", BySurface: "surface"}[by]
	if of == "" {
		return nil, ErrInvalid.Because("govern: usage cannot be summed by %q: key, model, day and surface are possible", by)
	}
	order := "sum(prompt + answer) DESC, 1"
	if by == ByDay {
		order = "1"
	}
	end := db.Millis(until)
	if until.IsZero() {
		end = 1 << 62
	}
	out := []Total{}
	err := d.Each(ctx, `SELECT `+of+`, coalesce(max(keys.name), ''), count(*), sum(CASE WHEN status >= 400 THEN 1 ELSE 0 END), sum(prompt), sum(cached), sum(answer)
		FROM usage LEFT JOIN keys ON keys.id = usage.key WHERE at >= $1 AND at < $2 GROUP BY `+of+` ORDER BY `+order,
		[]any{db.Millis(since), end}, func(scan func(...any) error) error {
			var t Total
			var day int64
			first := any(&t.Of)
			if by == ByDay {
				first = &day
			}
			err := scan(first, &t.Name, &t.Requests, &t.Failed, &t.Prompt, &t.Cached, &t.Answer)
			if by == ByDay {
				t.Of = time.UnixMilli(day * 86400000).UTC().Format(time.DateOnly)
			}
			if by != ByKey {
				t.Name = ""
			}
			out = append(out, t)
			return err
		})
	return out, err
}

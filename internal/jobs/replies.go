package jobs

import (
	"context"
	"time"

	"github.com/galerne-ai/galerne/internal/db"
)

// Reply is an answer that is given again when the same request comes again.
type Reply struct {
	Hash   string // of the request's body
	Status int
	Type   string
	Body   []byte
}

const replyFor = 24 * time.Hour // how long a Reply is given again

// Reply gives the answer that a request of that name had, nil if there is none.
func (s *Store) Reply(ctx context.Context, name string) (*Reply, error) {
	var out *Reply
	err := s.db.Each(ctx, `SELECT hash, status, type, body FROM replies WHERE name = $1 AND expires > $2`, []any{name, db.Millis(s.now())},
		func(scan func(...any) error) error {
			out = new(Reply)
			return scan(&out.Hash, &out.Status, &out.Type, &out.Body)
		})
	return out, err
}

// KeepReply stores the answer of a request. The first that is stored stays.
func (s *Store) KeepReply(ctx context.Context, name string, r *Reply) error {
	now := s.now()
	if _, err := s.db.Exec(ctx, `DELETE FROM replies WHERE name = $1 AND expires <= $2`, name, db.Millis(now)); err != nil {
		return err
	}
	_, err := s.db.Exec(ctx, `INSERT INTO replies (name, hash, status, type, body, expires) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (name) DO NOTHING`,
		name, r.Hash, r.Status, r.Type, string(r.Body), db.Millis(now.Add(replyFor)))
	return err
}

// Package govern answers: who may use this server, for what and how much, and what have they used?
//
// A key's secret is gal_ID_RANDOM, 160 random bits, and is shown once; what is kept is its SHA-256.
// The part before the second underscore finds the row, the whole is compared in constant time. Rows
// that were looked up are believed for a second, so that a key revoked by another process is refused
// within one.
package govern

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/galerne-ai/galerne/internal/db"
	"github.com/galerne-ai/galerne/internal/fault"
)

var (
	// ErrKey: a secret is no key, or of one that is revoked or has expired.
	ErrKey = fault.New(fault.Denied, "invalid_api_key", "govern: no valid key")
	// ErrUnknown: there is no key of that name.
	ErrUnknown = fault.New(fault.NotFound, "key_not_found", "govern: no such key")
	// ErrInvalid: a key cannot be made as it was asked for.
	ErrInvalid = fault.New(fault.Invalid, "invalid_key", "govern: the key cannot be made so")
)

const (
	fresh      = time.Second      // how long a looked-up row is believed
	freshSpent = 30 * time.Second // how long the sum of a day's tokens is
	cacheKeys  = 10000            // rows remembered at most
	maxName    = 100              // bytes
)

// Key is who may call, and how much; it does not hold the secret.
type Key struct {
	ID      string
	Name    string
	Tenant  string   // whose files, batches and cached prefixes they are; "" in Add: the key's own
	Scopes  []string // empty: all
	Models  []string // names or patterns; empty: all
	From    []string // addresses and networks of callers (10.0.0.0/8); empty: all
	Limits  Limits
	Created time.Time
	Expires time.Time // zero: never
	Revoked time.Time // zero: it is not
	Spent   int       // tokens of the day that SpentOn is in, where Limits.Daily is set
	SpentOn time.Time
}

// Limits are how much a key may use; 0 is no limit.
type Limits struct {
	Requests int // a minute
	Tokens   int // a minute, read and made
	Answers  int // under way at once
	Daily    int // tokens a day (UTC)
}

// Keys are the keys of a database.
type Keys struct {
	db  *db.DB
	now func() time.Time

	mu    sync.Mutex
	any   bool
	anyAt time.Time
	cache map[string]*row
}

// row is a key as it was at a time.
type row struct {
	key  Key
	hash []byte
	at   time.Time
}

// Signer gives the secret with which a key's holder signs requests in Amazon's way: such a secret never
// comes with a request, so it cannot be looked up by its hash. It is derived from a master secret, which
// lies outside the database, and from the hash of the key: whoever has a copy of the database cannot
// sign, and a new secret of the key is a new one for signing too.
type Signer struct {
	Keys   *Keys
	Master func() ([]byte, error) // at least 32 random bytes; an error is that there are none
}

// Secret gives a key by its ID, as ByID does, and its secret for signing.
func (s *Signer) Secret(ctx context.Context, id string) (*Key, string, error) {
	r, err := s.Keys.load(ctx, id)
	if err != nil {
		return nil, "", err
	}
	if r == nil {
		return nil, "", ErrKey
	}
	key, err := r.valid(s.Keys.now())
	if err != nil {
		return nil, "", err
	}
	master, err := s.Master()
	if err != nil {
		return nil, "", err
	}
	h := hmac.New(sha256.New, master)
	h.Write([]byte("aws4\x00" + id + "\x00"))
	h.Write(r.hash)
	return key, base64.RawStdEncoding.EncodeToString(h.Sum(nil)), nil
}

// NewKeys gives the keys of a database; now is nil for the time of day.
func NewKeys(d *db.DB, now func() time.Time) *Keys {
	if now == nil {
		now = time.Now
	}
	return &Keys{db: d, now: now, cache: map[string]*row{}}
}

// random is n bits of chance in letters and digits that nobody confuses.
func random(bits int) string {
	b := make([]byte, bits/8)
	_, _ = rand.Read(b) // never fails
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b))
}

func newSecret(id string) (secret, hash string) {
	secret = "gal_" + id + "_" + random(160)
	sum := sha256.Sum256([]byte(secret))
	return secret, hex.EncodeToString(sum[:])
}

// idOf is the part of a secret that finds its row, "" if it has none.
func idOf(secret string) string {
	rest, ok := strings.CutPrefix(secret, "gal_")
	id, _, two := strings.Cut(rest, "_")
	if !ok || !two || len(secret) > 200 {
		return ""
	}
	return id
}

// Add makes a key and gives its secret, which cannot be had again.
func (k *Keys) Add(ctx context.Context, key Key) (Key, string, error) {
	key.ID = random(40)
	key.Created = k.now().UTC().Truncate(time.Millisecond)
	if key.Name == "" {
		key.Name = "key-" + key.ID
	}
	if key.Tenant == "" {
		key.Tenant = key.ID
	}
	if err := key.validate(); err != nil {
		return Key{}, "", err
	}
	secret, hash := newSecret(key.ID)
	n, err := k.db.Exec(ctx, `INSERT INTO keys (id, name, hash, tenant, scopes, models, networks, requests_minute, tokens_minute, answers, tokens_day, created, expires, revoked)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 0) ON CONFLICT (name) DO NOTHING`,
		key.ID, key.Name, hash, key.Tenant, list(key.Scopes), list(key.Models), list(key.From), key.Limits.Requests, key.Limits.Tokens, key.Limits.Answers,
		key.Limits.Daily, db.Millis(key.Created), db.Millis(key.Expires))
	if err != nil {
		return Key{}, "", err
	}
	if n == 0 {
		return Key{}, "", ErrInvalid.Because("govern: there is a key named %q already: choose another name, or take that one out of the list (galerne key revoke --forget %s)", key.Name, key.Name)
	}
	k.forgetCached()
	return key, secret, nil
}

func (key *Key) validate() error {
	for what, text := range map[string]string{"name": key.Name, "tenant": key.Tenant} {
		if len(text) > maxName || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd }) {
			return ErrInvalid.Because("govern: the %s %.40q cannot be used: at most %d bytes of text in one line are", what, text, maxName)
		}
	}
	if !key.Expires.IsZero() && !key.Expires.After(key.Created) {
		return ErrInvalid.Because("govern: the key would have expired at %s already", key.Expires.Format(time.RFC3339))
	}
	if _, err := key.Networks(); err != nil {
		return err
	}
	return key.Limits.validate()
}

// Networks are those that callers may come from; none means all.
func (key *Key) Networks() ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, text := range key.From {
		p, err := netip.ParsePrefix(text)
		if addr, bad := netip.ParseAddr(text); bad == nil {
			p, err = addr.Unmap().WithZone("").Prefix(addr.Unmap().BitLen())
		}
		if err != nil {
			return nil, ErrInvalid.Because("govern: %.60q is neither an address nor a network: write 10.1.2.3, 10.0.0.0/8 or 2001:db8::/32", text)
		}
		out = append(out, p)
	}
	return out, nil
}

func (l *Limits) validate() error {
	for what, n := range map[string]int{"requests a minute": l.Requests, "tokens a minute": l.Tokens, "answers at once": l.Answers, "tokens a day": l.Daily} {
		if n < 0 {
			return ErrInvalid.Because("govern: %d %s cannot be a limit: give a positive number, or 0 for none", n, what)
		}
	}
	return nil
}

func list(words []string) string {
	if words == nil {
		words = []string{}
	}
	text, _ := json.Marshal(words) // strings: cannot fail
	return string(text)
}

const columns = `id, name, hash, tenant, scopes, models, networks, requests_minute, tokens_minute, answers, tokens_day, created, expires, revoked`

func scanRow(scan func(...any) error) (*row, error) {
	var r row
	var hash, scopes, models, networks string
	var created, expires, revoked int64
	err := scan(&r.key.ID, &r.key.Name, &hash, &r.key.Tenant, &scopes, &models, &networks, &r.key.Limits.Requests, &r.key.Limits.Tokens,
		&r.key.Limits.Answers, &r.key.Limits.Daily, &created, &expires, &revoked)
	if err != nil {
		return nil, err
	}
	r.key.Created, r.key.Expires, r.key.Revoked = db.Time(created), db.Time(expires), db.Time(revoked)
	r.hash, err = hex.DecodeString(hash)
	return &r, errors.Join(err, json.Unmarshal([]byte(scopes), &r.key.Scopes), json.Unmarshal([]byte(models), &r.key.Models),
		json.Unmarshal([]byte(networks), &r.key.From))
}

// List gives all keys, the oldest first, revoked ones too.
func (k *Keys) List(ctx context.Context) ([]Key, error) {
	out := []Key{}
	err := k.db.Each(ctx, `SELECT `+columns+` FROM keys ORDER BY created, id`, nil, func(scan func(...any) error) error {
		r, err := scanRow(scan)
		if err == nil {
			out = append(out, r.key)
		}
		return err
	})
	return out, err
}

// find gives the row of a key by its name, its ID, or its secret.
func (k *Keys) find(ctx context.Context, name string) (*row, error) {
	var out *row
	err := k.db.Each(ctx, `SELECT `+columns+` FROM keys WHERE name = $1 OR id = $2 OR id = $3 ORDER BY id = $2`,
		[]any{name, name, idOf(name)}, func(scan func(...any) error) (err error) {
			out, err = scanRow(scan)
			return err
		})
	if err == nil && out == nil {
		err = ErrUnknown.Because("govern: there is no key %q: galerne key list shows all", name)
	}
	return out, err
}

// Find gives a key by its name or its ID.
func (k *Keys) Find(ctx context.Context, name string) (Key, error) {
	r, err := k.find(ctx, name)
	if err != nil {
		return Key{}, err
	}
	return r.key, nil
}

// Revoke ends a key for good: whoever uses it is refused, within a second also in other processes.
func (k *Keys) Revoke(ctx context.Context, name string) (Key, error) {
	return k.change(ctx, name, func(r *row) (string, []any, error) {
		if r.key.Revoked.IsZero() {
			r.key.Revoked = k.now().UTC().Truncate(time.Millisecond)
		}
		return `revoked = $2`, []any{db.Millis(r.key.Revoked)}, nil
	})
}

// Forget takes a key out as if it had never been. When none is left, this machine may call without
// one again.
func (k *Keys) Forget(ctx context.Context, name string) (Key, error) {
	r, err := k.find(ctx, name)
	if err != nil {
		return Key{}, err
	}
	defer k.forgetCached()
	_, err = k.db.Exec(ctx, `DELETE FROM keys WHERE id = $1`, r.key.ID)
	return r.key, err
}

// Rotate gives a key a new secret; the old one is refused from now on.
func (k *Keys) Rotate(ctx context.Context, name string) (Key, string, error) {
	var secret string
	key, err := k.change(ctx, name, func(r *row) (string, []any, error) {
		if !r.key.Revoked.IsZero() {
			return "", nil, ErrInvalid.Because("govern: the key %q was revoked: add another", r.key.Name)
		}
		var hash string
		secret, hash = newSecret(r.key.ID)
		return `hash = $2`, []any{hash}, nil
	})
	return key, secret, err
}

// SetLimits changes how much a key may use.
func (k *Keys) SetLimits(ctx context.Context, name string, set func(*Limits)) (Key, error) {
	return k.change(ctx, name, func(r *row) (string, []any, error) {
		l := &r.key.Limits
		set(l)
		return `requests_minute = $2, tokens_minute = $3, answers = $4, tokens_day = $5`,
			[]any{l.Requests, l.Tokens, l.Answers, l.Daily}, l.validate()
	})
}

func (k *Keys) change(ctx context.Context, name string, what func(*row) (set string, args []any, err error)) (Key, error) {
	r, err := k.find(ctx, name)
	if err != nil {
		return Key{}, err
	}
	set, args, err := what(r)
	if err != nil {
		return Key{}, err
	}
	defer k.forgetCached()
	_, err = k.db.Exec(ctx, `UPDATE keys SET `+set+` WHERE id = $1`, append([]any{r.key.ID}, args...)...)
	return r.key, err
}

// forgetCached makes this process see a change at once.
func (k *Keys) forgetCached() {
	k.mu.Lock()
	defer k.mu.Unlock()
	clear(k.cache)
	k.anyAt = time.Time{}
}

// Any reports whether there is a key, be it revoked: a door that was shut stays shut. A database
// that cannot be read counts as one that has keys.
func (k *Keys) Any() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if now := k.now(); k.anyAt.IsZero() || now.Sub(k.anyAt) >= fresh {
		var n int
		err := k.db.One(context.Background(), `SELECT count(*) FROM (SELECT id FROM keys LIMIT 1) AS one`, nil, &n)
		k.any, k.anyAt = err != nil || n > 0, now
	}
	return k.any
}

// Check gives the key of a secret.
func (k *Keys) Check(ctx context.Context, secret string) (*Key, error) {
	id := idOf(secret)
	if id == "" {
		return nil, ErrKey
	}
	r, err := k.load(ctx, id)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(secret))
	kept := make([]byte, sha256.Size)
	if r != nil {
		kept = r.hash
	}
	if subtle.ConstantTimeCompare(sum[:], kept) != 1 {
		return nil, ErrKey
	}
	return r.valid(k.now())
}

// ByID gives a key for work that it asked for before.
func (k *Keys) ByID(ctx context.Context, id string) (*Key, error) {
	r, err := k.load(ctx, id)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, ErrKey.Because("govern: the key %s is no longer there", id)
	}
	return r.valid(k.now())
}

func (r *row) valid(now time.Time) (*Key, error) {
	switch key := r.key; {
	case !key.Revoked.IsZero():
		return nil, ErrKey.Because("govern: the key %q was revoked at %s: ask for another", key.Name, key.Revoked.Format(time.RFC3339))
	case !key.Expires.IsZero() && !now.Before(key.Expires):
		return nil, ErrKey.Because("govern: the key %q expired at %s: ask for another", key.Name, key.Expires.Format(time.RFC3339))
	default:
		return &key, nil
	}
}

// load gives a key's row, at most a second old; nil if there is none.
func (k *Keys) load(ctx context.Context, id string) (*row, error) {
	now := k.now()
	k.mu.Lock()
	old := k.cache[id]
	k.mu.Unlock()
	if old != nil && now.Sub(old.at) < fresh && !now.Before(old.at) {
		return old, nil
	}
	var r *row
	err := k.db.Each(ctx, `SELECT `+columns+` FROM keys WHERE id = $1`, []any{id}, func(scan func(...any) error) (err error) {
		r, err = scanRow(scan)
		return err
	})
	if err != nil || r == nil {
		k.mu.Lock()
		delete(k.cache, id)
		k.mu.Unlock()
		return nil, err
	}
	r.at = now
	if r.key.Limits.Daily > 0 {
		if err := k.spent(ctx, r, old, now); err != nil {
			return nil, err
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.cache) >= cacheKeys {
		clear(k.cache)
	}
	k.cache[id] = r
	return r, nil
}

// spent sums today's tokens, unless that was done a moment ago.
func (k *Keys) spent(ctx context.Context, r, old *row, now time.Time) error {
	today := now.UTC().Truncate(24 * time.Hour)
	if old != nil && !old.key.SpentOn.Before(today) && now.Sub(old.key.SpentOn) < freshSpent {
		r.key.Spent, r.key.SpentOn = old.key.Spent, old.key.SpentOn
		return nil
	}
	r.key.SpentOn = now
	return k.db.One(ctx, `SELECT coalesce(sum(prompt + answer), 0) FROM usage WHERE key = $1 AND at >= $2`, []any{r.key.ID, db.Millis(today)}, &r.key.Spent)
}

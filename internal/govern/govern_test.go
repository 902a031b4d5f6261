package govern

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/galerne-ai/galerne/internal/db"
	"github.com/galerne-ai/galerne/internal/testdeps"
)

func open(t *testing.T) *db.DB {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "galerne.db"))
}

func openAt(t testing.TB, path string) *db.DB {
	t.Helper()
	d, err := db.Open(context.Background(), testdeps.Database(t, path))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// clock is a time that passes when it is told to.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.at }
func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func newClock() *clock { return &clock{at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func TestASecretProvesItsKeyAndNothingElseDoes(t *testing.T) {
	d := open(t)
	k := NewKeys(d, newClock().now)
	ctx := context.Background()
	if k.Any() {
		t.Fatal("there are keys before one was made")
	}
	want := Key{Name: "ci", Scopes: []string{"generate"}, Models: []string{"a-*"}, Limits: Limits{1, 2, 3, 4}, Tenant: "team"}
	made, secret, err := k.Add(ctx, want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := k.Check(ctx, secret)
	if err != nil || got.Name != "ci" || got.Tenant != "team" || got.Limits != want.Limits || got.Scopes[0] != "generate" || got.Models[0] != "a-*" || !got.Created.Equal(made.Created) {
		t.Fatalf("%+v %v", got, err)
	}
	if !k.Any() || len(secret) < 40 {
		t.Errorf("%v %q", k.Any(), secret)
	}
	for _, wrong := range []string{"", "gal_", "gal__", "gal_" + made.ID, "gal_" + made.ID + "_", secret[:len(secret)-1], secret + "x", secret[:len(secret)-1] + "A",
		strings.ToUpper(secret), "gal_other_" + secret[len("gal_"+made.ID+"_"):], made.ID, made.Name, strings.Repeat("gal_a_", 100000)} {
		if got, err := k.Check(ctx, wrong); !errors.Is(err, ErrKey) || got != nil {
			t.Errorf("%.60q proved %+v (%v)", wrong, got, err)
		}
	}
	err = d.Each(ctx, `SELECT id, name, hash, tenant, scopes, models FROM keys`, nil, func(scan func(...any) error) error {
		var c [6]string
		err := scan(&c[0], &c[1], &c[2], &c[3], &c[4], &c[5])
		if text := strings.Join(c[:], " "); strings.Contains(text, secret[len("gal_"+made.ID+"_"):]) {
			t.Errorf("the secret is in the database: %s", text)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestAKeyRevokedElsewhereIsRefusedWithinASecond has two processes' views of one database.
func TestAKeyRevokedElsewhereIsRefusedWithinASecond(t *testing.T) {
	path, c, ctx := filepath.Join(t.TempDir(), "galerne.db"), newClock(), context.Background()
	admin, server := NewKeys(openAt(t, path), c.now), NewKeys(openAt(t, path), c.now)
	if server.Any() {
		t.Fatal("there are keys")
	}
	_, secret, err := admin.Add(ctx, Key{Name: "a"})
	if err != nil {
		t.Fatal(err)
	}
	c.pass(time.Second)
	if !server.Any() {
		t.Error("a key made elsewhere is not seen after a second")
	}
	if _, err := server.Check(ctx, secret); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.Revoke(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.Check(ctx, secret); !errors.Is(err, ErrKey) {
		t.Errorf("where it was revoked: %v", err)
	}
	c.pass(time.Second)
	if _, err := server.Check(ctx, secret); !errors.Is(err, ErrKey) || !strings.Contains(err.Error(), "revoked") {
		t.Errorf("elsewhere, a second later: %v", err)
	}
	if !server.Any() {
		t.Error("the door opened because the only key was revoked")
	}
	if _, err := admin.Forget(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	c.pass(time.Second)
	if server.Any() {
		t.Error("a forgotten key counts")
	}
}

func TestKeysExpireRotateAndChangeLimits(t *testing.T) {
	c, ctx := newClock(), context.Background()
	k := NewKeys(open(t), c.now)
	_, secret, err := k.Add(ctx, Key{Name: "a", Expires: c.now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	c.pass(time.Hour - time.Millisecond)
	if _, err := k.Check(ctx, secret); err != nil {
		t.Error(err)
	}
	c.pass(time.Millisecond)
	if _, err := k.Check(ctx, secret); !errors.Is(err, ErrKey) || !strings.Contains(err.Error(), "expired") {
		t.Error(err)
	}
	key, old, err := k.Add(ctx, Key{Name: "b"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Check(ctx, old); err != nil {
		t.Fatal(err)
	}
	_, fresh, err := k.Rotate(ctx, "b")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Check(ctx, old); !errors.Is(err, ErrKey) {
		t.Errorf("the old secret: %v", err)
	}
	if _, err := k.SetLimits(ctx, key.ID, func(l *Limits) { l.Tokens = 7 }); err != nil {
		t.Fatal(err)
	}
	if got, err := k.Check(ctx, fresh); err != nil || got.ID != key.ID || got.Limits.Tokens != 7 {
		t.Errorf("%+v %v", got, err)
	}
	if _, err := k.SetLimits(ctx, "b", func(l *Limits) { l.Daily = -1 }); !errors.Is(err, ErrInvalid) {
		t.Error(err)
	}
}

func TestKeysThatCannotBeMadeSayWhy(t *testing.T) {
	c, ctx := newClock(), context.Background()
	k := NewKeys(open(t), c.now)
	if _, _, err := k.Add(ctx, Key{Name: "a"}); err != nil {
		t.Fatal(err)
	}
	for says, key := range map[string]Key{
		"already":  {Name: "a"},
		"100 byte": {Name: strings.Repeat("x", 101)},
		"one line": {Name: "a\nb"},
		"expired":  {Name: "b", Expires: c.now().Add(-time.Second)},
		"-1 tok":   {Name: "c", Limits: Limits{Tokens: -1}},
	} {
		if _, secret, err := k.Add(ctx, key); !errors.Is(err, ErrInvalid) || secret != "" || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
	if _, err := k.Revoke(ctx, "nobody"); !errors.Is(err, ErrUnknown) {
		t.Error(err)
	}
	if all, err := k.List(ctx); err != nil || len(all) != 1 {
		t.Errorf("%d keys, %v", len(all), err)
	}
}

func TestAKeyKnowsItsNetworks(t *testing.T) {
	k, ctx := NewKeys(openAt(t, filepath.Join(t.TempDir(), "galerne.db")), nil), context.Background()
	_, secret, err := k.Add(ctx, Key{Name: "near", From: []string{"10.1.2.3", "10.0.0.0/8", "2001:db8::/32", "::ffff:1.2.3.4"}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := k.Check(ctx, secret)
	if err != nil {
		t.Fatal(err)
	}
	networks, err := got.Networks()
	if text := fmt.Sprint(networks); err != nil || text != "[10.1.2.3/32 10.0.0.0/8 2001:db8::/32 1.2.3.4/32]" {
		t.Errorf("%s %v", text, err)
	}
	for _, bad := range []string{"", "10.0.0.0/33", "10.0.0", "example.org", "*"} {
		if _, _, err := k.Add(ctx, Key{Name: "bad", From: []string{bad}}); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestUsageIsWrittenDownWhole sums random requests by itself and compares.
func TestUsageIsWrittenDownWhole(t *testing.T) {
	d, ctx := open(t), context.Background()
	rapid.Check(t, func(rt *rapid.T) {
		if _, err := d.Exec(ctx, `DELETE FROM usage`); err != nil {
			rt.Fatal(err)
		}
		m := NewMeter(d, slog.New(slog.DiscardHandler))
		want := map[By]map[string]Total{ByKey: {}, ByModel: {}, ByDay: {}, BySurface: {}}
		start := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
		for i := range rapid.IntRange(0, 50).Draw(rt, "requests") {
			u := Usage{ID: fmt.Sprint(i), At: start.Add(time.Duration(rapid.IntRange(0, 72*3600-1).Draw(rt, "s")) * time.Second),
				Key: rapid.SampledFrom([]string{"", "a", "b"}).Draw(rt, "key"), Model: rapid.SampledFrom([]string{"m", "n"}).Draw(rt, "model"), Surface: "openai",
				Status: rapid.SampledFrom([]int{200, 400, 499}).Draw(rt, "status"), Prompt: rapid.IntRange(0, 1e6).Draw(rt, "prompt"), Answer: rapid.IntRange(0, 1e6).Draw(rt, "answer")}
			m.Add(u)
			for by, of := range map[By]string{ByKey: u.Key, ByModel: u.Model, ByDay: u.At.Format(time.DateOnly), BySurface: u.Surface} {
				w := want[by][of]
				w.Of = of
				w.Requests++
				w.Prompt += u.Prompt
				w.Answer += u.Answer
				if u.Status >= 400 {
					w.Failed++
				}
				want[by][of] = w
			}
		}
		if err := m.Close(); err != nil {
			rt.Fatal(err)
		}
		for by, all := range want {
			got, err := Totals(ctx, d, by, time.Time{}, time.Time{})
			if err != nil || len(got) != len(all) {
				rt.Fatalf("%s: %d rows, want %d: %v", by, len(got), len(all), err)
			}
			for _, g := range got {
				if g != all[g.Of] {
					rt.Errorf("%s: %+v, want %+v", by, g, all[g.Of])
				}
			}
		}
	})
}

func TestTotalsAreOfATimeAndInOrder(t *testing.T) {
	d, ctx, day := open(t), context.Background(), time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	m := NewMeter(d, slog.New(slog.DiscardHandler))
	for i, u := range []Usage{{At: day, Model: "little", Prompt: 1}, {At: day, Model: "most", Prompt: 2, Answer: 9}, {At: day.Add(24 * time.Hour), Model: "late", Answer: 5}, {At: day.Add(48*time.Hour - time.Millisecond), Model: "late"}} {
		u.ID = fmt.Sprint(i)
		m.Add(u)
		m.Add(u) // a request counts once
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	f := func(by By, since, until time.Time, want string) {
		t.Helper()
		all, err := Totals(ctx, d, by, since, until)
		got := ""
		for _, one := range all {
			got += fmt.Sprintf("%s %d, ", one.Of, one.Requests)
		}
		if err != nil || got != want {
			t.Errorf("%s: %s %v, want %s", by, got, err, want)
		}
	}
	none, second := time.Time{}, day.Add(24*time.Hour)
	f(ByModel, none, none, "most 1, late 2, little 1, ")
	f(ByModel, none, second, "most 1, little 1, ")
	f(ByModel, second, day.Add(48*time.Hour-time.Millisecond), "late 1, ")
	f(ByDay, none, none, "2026-03-01 2, 2026-03-02 2, ")
	if _, err := Totals(ctx, d, "colour", none, none); !errors.Is(err, ErrInvalid) {
		t.Error(err)
	}
}

func TestUsageThatCannotBeWrittenIsKept(t *testing.T) {
	d := open(t)
	ctx := context.Background()
	if _, err := d.Exec(ctx, `ALTER TABLE usage RENAME TO elsewhere`); err != nil {
		t.Fatal(err)
	}
	m := NewMeter(d, slog.New(slog.DiscardHandler))
	for i := range 1000 {
		m.Add(Usage{ID: fmt.Sprint(i), Model: "a\x00b\xff"}) // as a hostile caller names it
	}
	if err := m.flush(ctx); err == nil {
		t.Fatal("it was written")
	}
	if _, err := d.Exec(ctx, `ALTER TABLE elsewhere RENAME TO usage`); err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	var n int
	if err := d.One(ctx, `SELECT count(*) FROM usage`, nil, &n); err != nil || n != 1000 {
		t.Fatalf("%d rows, %v", n, err)
	}
}

func TestADaysTokensAreKnownToTheKey(t *testing.T) {
	c, ctx := newClock(), context.Background()
	d := open(t)
	k := NewKeys(d, c.now)
	key, secret, err := k.Add(ctx, Key{Limits: Limits{Daily: 100}})
	if err != nil {
		t.Fatal(err)
	}
	m := NewMeter(d, slog.New(slog.DiscardHandler))
	m.Add(Usage{ID: "1", At: c.now(), Key: key.ID, Prompt: 3, Answer: 4})
	m.Add(Usage{ID: "2", At: c.now().Add(-24 * time.Hour), Key: key.ID, Prompt: 50})
	m.Add(Usage{ID: "3", At: c.now(), Key: "other", Prompt: 50})
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := k.Check(ctx, secret); err != nil || got.Spent != 7 || !got.SpentOn.Equal(c.now()) {
		t.Errorf("%+v %v", got, err)
	}
	c.pass(24 * time.Hour)
	if got, err := k.Check(ctx, secret); err != nil || got.Spent != 0 {
		t.Errorf("the day after: %+v %v", got, err)
	}
}

func TestAllOfItHoldsOnPostgreSQL(t *testing.T) { testdeps.OnPostgres(t, ".") }

func TestASecretForSigningIsTheKeysUntilItRotatesOrEnds(t *testing.T) {
	ctx, master := context.Background(), make([]byte, 32)
	k := NewKeys(open(t), newClock().now)
	s := &Signer{Keys: k, Master: func() ([]byte, error) { return master, nil }}
	a, secret, err := k.Add(ctx, Key{Name: "a"})
	if err != nil {
		t.Fatal(err)
	}
	b, _, err := k.Add(ctx, Key{Name: "b"})
	if err != nil {
		t.Fatal(err)
	}
	of := func(id string) string {
		t.Helper()
		key, text, err := s.Secret(ctx, id)
		if err != nil || key.ID != id || len(text) < 40 {
			t.Fatalf("%+v %q %v", key, text, err)
		}
		return text
	}
	first := of(a.ID)
	if of(a.ID) != first || of(b.ID) == first || strings.Contains(first, secret) {
		t.Errorf("%q, then %q, of another %q", first, of(a.ID), of(b.ID))
	}
	if _, err := k.Check(ctx, first); !errors.Is(err, ErrKey) {
		t.Error("it is a key itself")
	}
	master = append(make([]byte, 31), 1)
	if of(a.ID) == first {
		t.Error("the master secret does not matter")
	}
	master = make([]byte, 32)
	if _, _, err := k.Rotate(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	if of(a.ID) == first {
		t.Error("the old one is good after rotation")
	}
	if _, err := k.Revoke(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{a.ID, "nobody", ""} {
		if _, text, err := s.Secret(ctx, id); !errors.Is(err, ErrKey) || text != "" {
			t.Errorf("%q: %q %v", id, text, err)
		}
	}
}

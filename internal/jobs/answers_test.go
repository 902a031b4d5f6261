package jobs

import (
	"context"
	"errors"
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestAnswersAreListedPageByPage(t *testing.T) {
	s, ctx := open(t, t.TempDir()), context.Background()
	now := time.Now()
	s.o.Now = func() time.Time { return now }
	labels := []map[string]string{nil, {"n": "odd"}, {"n": "even", "it's": "2"}, {"n": "odd"}, {"n": "even"}}
	for i := range 5 {
		for _, owner := range []string{"me", "you"} {
			if _, err := s.Keep(ctx, Kept{ID: owner + strconv.Itoa(i), Owner: owner, Dialect: "plain", State: Done, Model: []string{"a", "b"}[i%2], Labels: labels[i]}); err != nil {
				t.Fatal(err)
			}
		}
		if i != 2 { // two are of one moment
			now = now.Add(time.Millisecond)
		}
	}
	if _, err := s.Keep(ctx, Kept{ID: "other", Owner: "me", Dialect: "other", State: Done}); err != nil {
		t.Fatal(err)
	}
	ids := func(p Page) (got []string) {
		t.Helper()
		for {
			some, more, err := s.Answers(ctx, "me", "plain", p)
			if err != nil {
				t.Fatal(err)
			}
			for _, k := range some {
				if k.EndedAt.IsZero() {
					t.Errorf("%s is done and has no end", k.ID)
				}
				got = append(got, k.ID)
			}
			if !more {
				return got
			}
			p.After = got[len(got)-1]
		}
	}
	for want, p := range map[string]Page{
		"me4 me3 me2 me1 me0": {Limit: 2},
		"me0 me1 me2 me3 me4": {Limit: 3, Oldest: true},
		"me3 me1":             {Limit: 1, Model: "b"},
		"me4 me2":             {Limit: 9, Labels: map[string]string{"n": "even"}},
		"me2":                 {Limit: 9, Model: "a", Labels: map[string]string{"n": "even", "it's": "2"}},
		"":                    {Limit: 9, Labels: map[string]string{"n": "odd", "it's": "2"}},
	} {
		if got := strings.Join(ids(p), " "); got != want {
			t.Errorf("%+v: %s, want %s", p, got, want)
		}
	}
	if some, _, err := s.Answers(ctx, "me", "plain", Page{After: "you3", Limit: 9}); !errors.Is(err, ErrNotFound) {
		t.Errorf("another's answer is a place in one's own list: %v %v", some, err)
	}
}

func TestAnAnswerThatHasExpiredIsGone(t *testing.T) {
	s, ctx, now := open(t, t.TempDir()), context.Background(), time.Now()
	s.o.Now = func() time.Time { return now }
	for id, expires := range map[string]time.Time{"stays": {}, "goes": now.Add(time.Hour)} {
		if _, err := s.Keep(ctx, Kept{ID: id, Owner: "me", Dialect: "plain", State: Done, Labels: map[string]string{"a": "1"}, Expires: expires}); err != nil {
			t.Fatal(err)
		}
	}
	for after, want := range map[time.Duration]int{time.Hour - time.Millisecond: 2, time.Hour: 1} {
		now := now.Add(after)
		s.o.Now = func() time.Time { return now }
		all, _, err := s.Answers(ctx, "me", "plain", Page{Limit: 9})
		if err != nil || len(all) != want {
			t.Errorf("after %v: %v %v", after, all, err)
		}
		if _, err := s.Kept(ctx, "me", "plain", "goes"); (err == nil) != (want == 2) || err != nil && !errors.Is(err, ErrNotFound) {
			t.Errorf("after %v: %v", after, err)
		}
	}
	s.o.Now = func() time.Time { return now.Add(time.Hour) }
	if err := s.sweep(ctx); err != nil {
		t.Fatal(err)
	}
	for table, column := range map[string]string{"answers": "id", "answer_labels": "answer"} {
		n := 0
		if err := s.db.One(ctx, `SELECT count(*) FROM `+table+` WHERE `+column+` = 'goes'`, nil, &n); err != nil || n != 0 {
			t.Errorf("%d rows of %s stay (%v)", n, table, err)
		}
	}
}

// TestAReplyIsGivenAgainForADay: the first stays, and when its time is over it makes room.
func TestAReplyIsGivenAgainForADay(t *testing.T) {
	s, ctx, now := open(t, t.TempDir()), context.Background(), time.Now()
	s.o.Now = func() time.Time { return now }
	f := func(want string) {
		t.Helper()
		r, err := s.Reply(ctx, "name")
		got := ""
		if r != nil {
			got = string(r.Body)
		}
		if err != nil || got != want || r != nil && (r.Status != 201 || r.Type != "text/plain" || r.Hash != "h") {
			t.Errorf("%+v %v, want %q", r, err, want)
		}
	}
	keep := func(body string) {
		t.Helper()
		if err := s.KeepReply(ctx, "name", &Reply{Hash: "h", Status: 201, Type: "text/plain", Body: []byte(body)}); err != nil {
			t.Fatal(err)
		}
	}
	f("")
	keep("first")
	keep("second")
	now = now.Add(replyFor - time.Millisecond)
	f("first")
	now = now.Add(time.Millisecond)
	f("")
	keep("third")
	f("third")
}

func TestAnswersAreLabelledAnewAndForgottenWithTheirLabels(t *testing.T) {
	s, ctx := open(t, t.TempDir()), context.Background()
	old := map[string]string{"a": "1", "b": "2"}
	for _, id := range []string{"1", "2"} {
		if _, err := s.Keep(ctx, Kept{ID: id, Owner: "me", Dialect: "plain", State: Done, Labels: old}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Label(ctx, "you", "plain", "1", nil); !errors.Is(err, ErrNotFound) {
		t.Errorf("another's answer is labelled: %v", err)
	}
	if k, err := s.Label(ctx, "me", "plain", "1", map[string]string{"b": "3"}); err != nil || !maps.Equal(k.Labels, map[string]string{"b": "3"}) {
		t.Errorf("%v %v", k.Labels, err)
	}
	if k, err := s.Labelled(ctx, "me", "plain", "1"); err != nil || !maps.Equal(k.Labels, map[string]string{"b": "3"}) {
		t.Errorf("%v %v", k.Labels, err)
	}
	if k, err := s.Labelled(ctx, "me", "plain", "2"); err != nil || !maps.Equal(k.Labels, old) {
		t.Errorf("the other one: %v %v", k.Labels, err)
	}
	if err := s.Drop(ctx, "me", "plain", "1"); err != nil {
		t.Fatal(err)
	}
	n := 0
	if err := s.db.One(ctx, `SELECT count(*) FROM answer_labels WHERE answer = '1'`, nil, &n); err != nil || n != 0 {
		t.Errorf("%d labels of nothing (%v)", n, err)
	}
}

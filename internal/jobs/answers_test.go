package jobs

import (
	"context"
	"strconv"
	"testing"
	"time"
)

func TestAnswersAreListedFromTheNewestPageByPage(t *testing.T) {
	s, ctx := open(t, t.TempDir()), context.Background()
	now := time.Now()
	s.o.Now = func() time.Time { return now }
	for i := range 5 {
		for _, owner := range []string{"me", "you"} {
			if _, err := s.Keep(ctx, Kept{ID: owner + strconv.Itoa(i), Owner: owner, Dialect: "plain", State: Done}); err != nil {
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
	var got []string
	for before := ""; ; {
		some, err := s.List(ctx, "me", "plain", before, 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range some {
			if k.EndedAt.IsZero() {
				t.Errorf("%s is done and has no end", k.ID)
			}
			got = append(got, k.ID)
		}
		if len(some) < 2 {
			break
		}
		before = some[1].ID
	}
	want := []string{"me4", "me3", "me2", "me1", "me0"}
	if len(got) != len(want) {
		t.Fatalf("%v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%v, want %v", got, want)
		}
	}
	if some, err := s.List(ctx, "me", "plain", "you3", 9); err != nil || len(some) != 0 {
		t.Errorf("another's answer is a place in one's own list: %v %v", some, err)
	}
}

package api

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestNoKeyGetsMoreThanItsLimits lets a key ask at random times for answers of random lengths, and
// adds up by itself what was let through.
func TestNoKeyGetsMoreThanItsLimits(t *testing.T) {
	type under struct {
		h    *hold
		need int
	}
	rapid.Check(t, func(t *rapid.T) {
		begin := time.Unix(1e9, 0)
		now := begin
		l := &limiter{now: func() time.Time { return now }, keys: map[string]*allowance{}}
		k := &Key{ID: "k", Limits: Limits{Requests: rapid.IntRange(1, 50).Draw(t, "requests"), Tokens: rapid.IntRange(1, 1000).Draw(t, "tokens"),
			Answers: rapid.IntRange(1, 5).Draw(t, "answers"), Daily: rapid.IntRange(1, 20000).Draw(t, "daily")}}
		var live []under
		requests, tokens, today := 0, 0, 0
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0: // time passes
				before := now.Unix() / 86400
				now = now.Add(time.Duration(rapid.IntRange(0, 3600000).Draw(t, "ms")) * time.Millisecond)
				if now.Unix()/86400 != before {
					today = 0
				}
			case 1:
				if l.request(k) == nil {
					requests++
				}
			case 2: // an answer that takes at most what it says
				need := rapid.IntRange(1, k.Limits.Tokens).Draw(t, "need")
				h, err := l.answer(k, need)
				if errors.Is(err, ErrQuota) && today < k.Limits.Daily && len(live) == 0 {
					t.Fatalf("refused with %d of %d tokens of the day used", today, k.Limits.Daily)
				}
				if err == nil {
					if today >= k.Limits.Daily {
						t.Fatalf("let through with %d of %d tokens of the day used", today, k.Limits.Daily)
					}
					live = append(live, under{h, need})
				}
			case 3:
				if len(live) > 0 {
					used := rapid.IntRange(0, live[0].need).Draw(t, "used")
					live[0].h.settle(used)
					live[0].h.settle(used) // twice is once
					live = live[1:]
					tokens, today = tokens+used, today+used
				}
			}
			minutes := now.Sub(begin).Minutes()
			if most := float64(k.Limits.Requests) * (1 + minutes); float64(requests) > most+1e-6 {
				t.Fatalf("%d requests in %v minutes, limit %d", requests, minutes, k.Limits.Requests)
			}
			if most := float64(k.Limits.Tokens) * (1 + minutes); float64(tokens) > most+1e-6 {
				t.Fatalf("%d tokens in %v minutes, limit %d", tokens, minutes, k.Limits.Tokens)
			}
			if len(live) > k.Limits.Answers {
				t.Fatalf("%d answers at once, limit %d", len(live), k.Limits.Answers)
			}
		}
	})
}

func TestARefusedCallerMayGoOnWhenItWasToldTo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(1e9, 0)
		l := &limiter{now: func() time.Time { return now }, keys: map[string]*allowance{}}
		k := &Key{ID: "k", Limits: Limits{Tokens: rapid.IntRange(1, 1000).Draw(t, "tokens")}}
		need := rapid.IntRange(0, 5000).Draw(t, "need")
		for range 3 {
			h, err := l.answer(k, need)
			if err != nil {
				now = now.Add(FailureOf(err).RetryAfter + time.Microsecond)
				if h, err = l.answer(k, need); err != nil {
					t.Fatalf("refused again: %v", err)
				}
			}
			h.settle(need)
		}
	})
}

func TestADaysBudgetCountsWhatOthersWroteDownAndEndsAtMidnight(t *testing.T) {
	now := time.Date(2026, 3, 1, 23, 59, 59, 0, time.UTC)
	l := &limiter{now: func() time.Time { return now }, keys: map[string]*allowance{}}
	k := &Key{ID: "k", Limits: Limits{Daily: 100}, Spent: 99, SpentOn: now}
	h, err := l.answer(k, 1)
	if err != nil {
		t.Fatal(err)
	}
	h.settle(1)
	_, err = l.answer(k, 1)
	if f := FailureOf(err); !errors.Is(err, ErrQuota) || f.Status != 429 || f.Retry == nil || *f.Retry {
		t.Fatalf("%v %+v", err, f)
	}
	now = now.Add(time.Second)
	if _, err = l.answer(k, 1); err != nil {
		t.Fatal(err)
	}
}

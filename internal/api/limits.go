package api

import (
	"sync"
	"time"
)

// Limits are how much a key may ask for; 0 means as much as it likes.
type Limits struct {
	Requests int // a minute
	Tokens   int // a minute, read and made
	Answers  int // under way at once
	Daily    int // tokens a day (UTC), read and made
}

// Quota is what is left of a limit.
type Quota struct {
	Limit     int
	Remaining int
	Reset     time.Duration // until it is whole again
}

// limiter keeps the allowances of keys in memory, so they begin anew with the server.
type limiter struct {
	now  func() time.Time
	mu   sync.Mutex
	keys map[string]*allowance // by key's ID
}

// allowance is what a key has left. Requests and tokens fill continuously.
type allowance struct {
	at       time.Time
	requests float64
	tokens   float64 // less what answers under way may take; negative where one took more
	answers  int
	day      int64 // since 1970
	spent    int   // tokens of that day, with what answers under way may take
}

// of gives a key's allowance as it is now; the lock is held.
func (l *limiter) of(k *Key) *allowance {
	now := l.now()
	a := l.keys[k.ID]
	if a == nil {
		a = &allowance{at: now, requests: float64(k.Limits.Requests), tokens: float64(k.Limits.Tokens)}
		l.keys[k.ID] = a
	}
	minutes := now.Sub(a.at).Minutes()
	a.at = now
	a.requests = min(float64(k.Limits.Requests), a.requests+minutes*float64(k.Limits.Requests))
	a.tokens = min(float64(k.Limits.Tokens), a.tokens+minutes*float64(k.Limits.Tokens))
	if day := now.Unix() / 86400; day != a.day {
		a.day, a.spent = day, 0
	}
	if k.SpentOn.Unix()/86400 == a.day {
		a.spent = max(a.spent, k.Spent)
	}
	return a
}

// wait is how long a bucket of a limit a minute takes to gain n.
func wait(n float64, limit int) time.Duration {
	return time.Duration(max(n, 0) / float64(limit) * float64(time.Minute))
}

// request takes one request off the key's allowance.
func (l *limiter) request(k *Key) error {
	if k == nil || k.Limits.Requests == 0 {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.of(k)
	if a.requests < 1 {
		after := wait(1-a.requests, k.Limits.Requests)
		return ErrRate.Because("api: this key's requests a minute (%d) are used up: try again in %s", k.Limits.Requests, round(after)).After(after)
	}
	a.requests--
	return nil
}

// hold is a place among the answers under way, with the tokens that this one may take.
type hold struct {
	l    *limiter
	k    *Key
	need int
	day  int64
	once sync.Once
}

// answer begins an answer that may take need tokens, unless the key has too few left or too many
// answers under way. What is longer than the whole allowance of a minute may begin when that is full.
func (l *limiter) answer(k *Key, need int) (*hold, error) {
	if k == nil || k.Limits.Tokens == 0 && k.Limits.Answers == 0 && k.Limits.Daily == 0 {
		return nil, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.of(k)
	if k.Limits.Daily > 0 && a.spent >= k.Limits.Daily {
		return nil, ErrQuota.Because("api: this key may use %d tokens a day, and they are used up: it may go on at midnight UTC", k.Limits.Daily)
	}
	if enough := float64(max(1, min(need, k.Limits.Tokens))); k.Limits.Tokens > 0 && a.tokens < enough {
		after := wait(enough-a.tokens, k.Limits.Tokens)
		return nil, ErrRate.Because("api: this key may use %d tokens a minute and has %d left, which is too few for this request: try again in %s",
			k.Limits.Tokens, int(max(a.tokens, 0)), round(after)).After(after)
	}
	if k.Limits.Answers > 0 && a.answers >= k.Limits.Answers {
		return nil, ErrRate.Because("api: this key's answers at once (%d) are under way: wait for one to end", k.Limits.Answers).After(time.Second)
	}
	a.answers++
	a.tokens -= float64(need)
	a.spent += need
	return &hold{l: l, k: k, need: need, day: a.day}, nil
}

// settle ends an answer that began, and took so many tokens.
func (h *hold) settle(tokens int) {
	if h == nil {
		return
	}
	h.once.Do(func() {
		h.l.mu.Lock()
		defer h.l.mu.Unlock()
		a := h.l.of(h.k)
		a.answers--
		a.tokens = min(float64(h.k.Limits.Tokens), a.tokens+float64(h.need-tokens))
		if a.day == h.day {
			a.spent = max(0, a.spent-h.need)
		}
		a.spent += tokens
	})
}

func round(d time.Duration) time.Duration { return d.Round(100 * time.Millisecond) }

// Quotas are what the caller has left of requests and of tokens, nil where there is no limit.
func (c *Call) Quotas() (requests, tokens *Quota) {
	k, l := c.Key, c.server.limiter
	if k == nil || k.Limits.Requests == 0 && k.Limits.Tokens == 0 {
		return nil, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.of(k)
	quota := func(limit int, left float64) *Quota {
		if limit == 0 {
			return nil
		}
		return &Quota{limit, int(max(left, 0)), wait(float64(limit)-left, limit)}
	}
	return quota(k.Limits.Requests, a.requests), quota(k.Limits.Tokens, a.tokens)
}

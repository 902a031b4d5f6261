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
	tokens   float64 // may be negative: an answer's length is known only when it has ended
	answers  int
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
		return ErrRate.Because("api: this key may send %d requests a minute, and they are used up: try again in %s", k.Limits.Requests, round(after)).After(after)
	}
	a.requests--
	return nil
}

// answer begins an answer, unless the key has no tokens left or too many answers under way.
func (l *limiter) answer(k *Key) error {
	if k == nil || k.Limits.Tokens == 0 && k.Limits.Answers == 0 {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.of(k)
	if k.Limits.Tokens > 0 && a.tokens < 1 {
		after := wait(1-a.tokens, k.Limits.Tokens)
		return ErrRate.Because("api: this key may use %d tokens a minute, and they are used up: try again in %s", k.Limits.Tokens, round(after)).After(after)
	}
	if k.Limits.Answers > 0 && a.answers >= k.Limits.Answers {
		return ErrRate.Because("api: this key may have %d answers under way at once, and has: wait for one to end", k.Limits.Answers).After(time.Second)
	}
	a.answers++
	return nil
}

// ended is the end of an answer that began.
func (l *limiter) ended(k *Key) {
	if k == nil || k.Limits.Tokens == 0 && k.Limits.Answers == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.of(k).answers--
}

// used takes tokens off the key's allowance.
func (l *limiter) used(k *Key, tokens int) {
	if k == nil || k.Limits.Tokens == 0 || tokens == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.of(k).tokens -= float64(tokens)
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

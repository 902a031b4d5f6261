package engine

import (
	"sync/atomic"
	"time"
)

// Step is what one step did, for metrics.
type Step struct {
	Took    time.Duration
	Tokens  int // computed
	Answers int // that got a token
	Running int
}

// Stats is a snapshot of an engine.
type Stats struct {
	Waiting, Running int
	KVTokens, KVUsed int // that can be kept, and that running or known sequences take
	Steps            uint64
	CachedTokens     uint64 // prompt tokens that were known already
	Preemptions      uint64
	Drafted          uint64        // tokens that were guessed
	Accepted         uint64        // of these, guessed right
	Stuck            time.Duration // how long the step under way has lasted; 0 while idle
}

type stats struct {
	steps, cached, preempted atomic.Uint64
	drafted, accepted        atomic.Uint64
	running, used            atomic.Int64
	began                    atomic.Int64 // unix nanoseconds; 0 while idle
	mean                     atomic.Int64 // of recent requests' time in a slot, nanoseconds
}

func (s *stats) begin(now time.Time) { s.began.Store(now.UnixNano()) }
func (s *stats) idle()               { s.began.Store(0); s.running.Store(0) }

// patience guesses when a full queue has room: a step a waiting request, a second at least.
func (s *stats) patience(queue int) time.Duration {
	return max(time.Second, min(time.Duration(s.mean.Load())*time.Duration(queue), time.Minute)).Round(time.Second)
}

// observe takes in a step; alone says that answers had it to themselves.
func (e *Engine) observe(start time.Time, tokens, answers int, alone bool) {
	took := time.Since(start)
	e.pace.learn(took, tokens)
	if alone {
		e.price.learn(took, tokens)
	}
	e.stats.steps.Add(1)
	e.stats.running.Store(int64(len(e.running)))
	e.stats.used.Store(int64((e.blocks.Blocks() - e.blocks.Available()) * BlockTokens))
	e.stats.mean.Store((7*e.stats.mean.Load() + int64(took)) / 8)
	if e.o.Observe != nil {
		e.o.Observe(Step{Took: took, Tokens: tokens, Answers: answers, Running: len(e.running)})
	}
}

// Stats may be called at any time.
func (e *Engine) Stats() Stats {
	s := Stats{Waiting: int(e.queued.Load()), Running: int(e.stats.running.Load()), KVTokens: e.blocks.Blocks() * BlockTokens,
		KVUsed: int(e.stats.used.Load()), Steps: e.stats.steps.Load(), CachedTokens: e.stats.cached.Load(),
		Preemptions: e.stats.preempted.Load(), Drafted: e.stats.drafted.Load(), Accepted: e.stats.accepted.Load()}
	if began := e.stats.began.Load(); began > 0 {
		s.Stuck = time.Since(time.Unix(0, began))
	}
	return s
}

// pace is how long a token of a step has taken of late, in seconds, from which follows how many a step may compute if
// readers of answers are not to wait too long for their next token.
type pace float64

const (
	// paceTokens is the fewest tokens of a step that says something: smaller ones read all weights for hardly any work.
	paceTokens = 16
	// wholeRows is how many rows kernels like to take at a time: those left over cost nearly twice as much each.
	wholeRows = 4
	// leastPrompt is how many prompt tokens every step may compute beside its answers, however slow the machine.
	leastPrompt = 16
)

// learn takes in a step, the last ones weighing most.
func (p *pace) learn(took time.Duration, tokens int) {
	if tokens < paceTokens {
		return
	}
	now := pace(took.Seconds() / float64(tokens))
	if *p == 0 {
		*p = now
	}
	*p += (now - *p) / 3
}

// tokens is how many a step may compute that takes as long as pause: enough for its answers and some of a prompt, most at most.
func (p pace) tokens(pause time.Duration, answers, most int) int {
	if p == 0 {
		return most
	}
	n := int(pause.Seconds()/float64(p)) / wholeRows * wholeRows
	return min(max(n, answers+leastPrompt), most)
}

// Package engine answers: how do many requests share one network? It runs the step loop: plan which
// tokens are computed, run the network over all of them at once, choose the next tokens, hand them out.
//
// The same request gives the same bits whatever runs beside it: a row's logits depend on its own
// sequence alone (package kernel), and draws on the request's seed (package sample).
package engine

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/galerne-ai/galerne/internal/kernel"
	"github.com/galerne-ai/galerne/internal/kv"
	"github.com/galerne-ai/galerne/internal/model"
)

// Options of an engine; the zero value is usable.
type Options struct {
	Context   int              // longest sequence, in tokens. Default: the network's own.
	CacheType kernel.CacheType // Default F16.
	Tokens    int              // tokens whose keys and values are kept, over all sequences. Default 4 × Context.
	Slots     int              // sequences that run at once. Default 64.
	Queue     int              // requests that may wait. Default 256.
	Budget    int              // most tokens computed a step while answers are read. Default 256.
	Pause     time.Duration    // how long a step may take then: it computes fewer tokens on a slow machine. Default 160 ms.
	Prompt    int              // tokens computed a step while none is. Default 512.
	Draft     int              // guessed tokens computed a step, over all answers; negative: none. Default 15.
	// Deterministic has one arithmetic for prompt and answer, where a faster one for prompts is there (see kernel.Input.Read): then bits depend on
	// nothing but the request. Without it an answer that is in the cache, as part of a later prompt, was computed in the other way.
	Deterministic bool
	Observe       func(Step) // called after every step, on the engine's goroutine; may be nil
}

// BlockTokens is the number of tokens a block of the cache holds: 32 keeps the waste of half a block
// per sequence small, and a block of one head (32 × 64 × 2 bytes) within a first-level cache.
const BlockTokens = 32

func (o Options) withDefaults(c model.Config) Options {
	set := func(v *int, otherwise int) {
		if *v <= 0 {
			*v = otherwise
		}
	}
	set(&o.Context, c.Context)
	o.Context = min(o.Context, c.Context)
	set(&o.Tokens, 4*o.Context)
	set(&o.Slots, 64)
	set(&o.Queue, 256)
	set(&o.Budget, 256)
	set(&o.Prompt, 512)
	if o.Pause <= 0 {
		o.Pause = 160 * time.Millisecond
	}
	if o.Draft == 0 {
		o.Draft = draftMost
	}
	return o
}

// Engine runs one network. Its methods may be called from any goroutine.
type Engine struct {
	o      Options
	config model.Config
	model  model.Model
	pool   *kernel.Pool
	cache  *kv.Cache
	blocks *kv.Pool

	mu       sync.Mutex
	incoming []*Stream
	closed   bool
	wake     chan struct{}
	done     chan struct{}
	queued   atomic.Int64 // requests that have no sequence running yet

	waiting, running []*sequence // the loop's own from here on
	state            State
	plan             Plan
	batch            model.Batch
	rows             []sampled
	parts            []part
	embedded         []*sequence // whose hidden states are wanted, one a row of Batch.States
	sampler          sampleTask
	pace             pace
	price            price
	stats            stats
}

// New starts an engine. The pool must not be used by others while it runs.
func New(m model.Model, c model.Config, pool *kernel.Pool, o Options) (*Engine, error) {
	o = o.withDefaults(c)
	layout := kernel.NewCacheLayout(c.KVHeads, c.HeadDim, BlockTokens, o.CacheType)
	count := (o.Tokens + BlockTokens - 1) / BlockTokens
	cache, err := kv.NewCache(layout, c.Layers, count)
	if err != nil {
		return nil, err
	}
	e := &Engine{o: o, config: c, model: m, pool: pool, cache: cache, blocks: kv.NewPool(count, BlockTokens),
		wake: make(chan struct{}, 1), done: make(chan struct{})}
	e.sampler.e = e
	go e.loop()
	return e, nil
}

// Context is the longest sequence, prompt and answer together, in tokens.
func (e *Engine) Context() int { return min(e.o.Context, e.blocks.Blocks()*BlockTokens) }

// Close fails what is under way with ErrClosed, waits for the loop and gives the memory back.
func (e *Engine) Close() {
	e.mu.Lock()
	closed := e.closed
	e.closed = true
	e.mu.Unlock()
	if !closed {
		e.poke()
	}
	<-e.done
}

func (e *Engine) poke() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// Submit queues a request; its events come from the Stream. The answer ends when ctx does.
//
// Errors: ErrTooLong, ErrEmpty, ErrToken, ErrBusy, ErrClosed, sample.ErrOption.
func (e *Engine) Submit(ctx context.Context, r *Request) (*Stream, error) {
	if err := e.check(r); err != nil {
		return nil, err
	}
	st := newStream(ctx, e, r)
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.closed:
		return nil, ErrClosed.Because("engine: it is shutting down")
	case e.queued.Load() >= int64(e.o.Queue):
		return nil, ErrBusy.Because("engine: %d requests are waiting already: try again later", e.o.Queue).After(e.stats.patience(e.o.Queue))
	}
	e.queued.Add(1)
	e.incoming = append(e.incoming, st)
	e.poke()
	return st, nil
}

func (e *Engine) check(r *Request) error {
	longest := e.Context()
	switch n := len(r.Prompt); {
	case n == 0:
		return ErrEmpty.Because("engine: the prompt has no tokens")
	case n >= longest:
		return ErrTooLong.Because("engine: the prompt has %d tokens and the model accepts %d, prompt and answer together: shorten it or serve the model with a longer context", n, longest)
	case r.MaxTokens > 0 && n+r.MaxTokens > longest:
		return ErrTooLong.Because("engine: the prompt has %d tokens and the answer may have %d, the model accepts %d together: shorten one of them", n, r.MaxTokens, longest)
	}
	for _, id := range r.Prompt {
		if id < 0 || int(id) >= e.config.Vocab {
			return ErrToken.Because("engine: token %d is outside the vocabulary of %d", id, e.config.Vocab)
		}
	}
	if r.N < 0 || r.N > 128 {
		return ErrToken.Because("engine: %d answers are asked for, 1 to 128 are possible", r.N).At("n")
	}
	return r.Sampling.Validate(e.config.Vocab)
}

// loop owns the network and the cache.
func (e *Engine) loop() {
	runtime.LockOSThread()
	defer close(e.done)
	for {
		closed := e.receive()
		if closed {
			e.failAll(ErrClosed.Because("engine: it was shut down"))
			e.cache.Close()
			return
		}
		e.sweep()
		if len(e.running)+len(e.waiting) == 0 {
			e.stats.idle()
			e.cache.Rest()
			<-e.wake
			continue
		}
		e.step()
	}
}

// receive takes what Submit queued.
func (e *Engine) receive() (closed bool) {
	e.mu.Lock()
	incoming := e.incoming
	e.incoming = nil
	closed = e.closed
	e.mu.Unlock()
	for _, st := range incoming {
		e.waiting = append(e.waiting, e.newSequence(st, 0))
	}
	return closed
}

// sweep ends sequences whose reader has gone.
func (e *Engine) sweep() {
	for _, list := range []*[]*sequence{&e.running, &e.waiting} {
		kept := (*list)[:0]
		for _, q := range *list {
			switch {
			case q.stream.closed.Load() || q.stream.ctx.Err() != nil:
				e.end(q, Cancelled, nil)
			case q.stream.stopped[q.choice].Load():
				e.end(q, Stopped, nil)
			default:
				kept = append(kept, q)
			}
		}
		clear((*list)[len(kept):])
		*list = kept
	}
}

func (e *Engine) failAll(err error) {
	for _, q := range append(e.running, e.waiting...) {
		e.end(q, Failed, err)
	}
	e.running, e.waiting = nil, nil
}

// step plans, runs, samples and delivers once.
func (e *Engine) step() {
	start := time.Now()
	e.stats.begin(start)
	e.makePlan(prepared)
	if len(e.plan.Preempt) > 0 || len(e.plan.Run) == 0 { // rather forget what is known than hold anybody up
		e.letGo()
		e.makePlan(0)
	}
	e.carryOut()
	if len(e.batch.Tokens) == 0 {
		return
	}
	if err := e.forward(); err != nil {
		e.failStep(err)
		return
	}
	e.choose()
	tokens := len(e.batch.Tokens)
	answers := e.deliver()
	alone := tokens == len(e.rows) && answers == len(e.parts) // no prompt was read, nor its probabilities told
	e.observe(start, tokens, answers, alone)
}

// makePlan plans a step. The first few of the queue look for known beginnings.
func (e *Engine) makePlan(lookers int) {
	s := &e.state
	s.BlockTokens, s.Slots = BlockTokens, e.o.Slots
	s.Running, s.Waiting = s.Running[:0], s.Waiting[:0]
	answers := 0
	for _, q := range e.running {
		if q.answers() {
			answers++
		}
	}
	drafts, offer := e.o.Draft, e.price.offer(answers)
	if answers < len(e.running) {
		drafts = 0 // a guess would take the place of a prompt's token
	}
	for _, q := range e.running {
		q.guess(drafts, &offer)
		drafts -= len(q.draft)
		s.Running = append(s.Running, q.view())
	}
	budget := e.o.Prompt
	if answers > 0 {
		budget = e.pace.tokens(e.o.Pause, answers, e.o.Budget)
	}
	for i, q := range e.waiting[:min(len(e.waiting), e.o.Slots)] {
		if i < lookers {
			e.prepare(q)
		}
		s.Waiting = append(s.Waiting, q.view())
	}
	s.Free = e.blocks.Available()
	if s.Free < len(e.running) { // somebody may have to give up
		for i, q := range e.running {
			s.Running[i].Alone = e.blocks.Alone(q.table)
		}
	}
	Schedule(s, budget, &e.plan)
}

// prepared is how many of the queue look for a known beginning before they are admitted: enough for
// those that one step can admit in practice.
const prepared = 8

// prepare looks for a known beginning of a waiting sequence's tokens, and holds it for this step.
func (e *Engine) prepare(q *sequence) {
	if q.scores() && q.scored < q.prompt-1 || q.stream.request.Embed == Mean {
		return // what these prompt tokens give is wanted: nothing can be taken as known
	}
	q.known = e.blocks.Match(q.chain.Salt, q.tokens)
	q.chain.Resume(q.known)
	q.table, q.computed = append(q.table[:0], q.known.Blocks...), q.known.Tokens+q.known.PartlyTokens
}

// own copies the part of a block that a sequence found to the block that it was lent.
func (e *Engine) own(q *sequence) {
	if q.known.PartlyTokens > 0 {
		e.cache.CopySlots(q.table[len(q.known.Blocks)], q.known.Partly, q.known.PartlyTokens)
		e.blocks.Return([]int32{q.known.Partly})
	}
	q.known = kv.Prefix{}
}

// release gives a sequence's blocks back; what it computed stays known as long as there is room.
func (e *Engine) release(q *sequence) {
	e.blocks.Return(q.table)
	if q.known.PartlyTokens > 0 {
		e.blocks.Return([]int32{q.known.Partly})
	}
	q.table, q.computed, q.known = q.table[:0], 0, kv.Prefix{}
	clear(q.vector)
	q.chain = kv.Chain{Salt: q.chain.Salt}
}

// letGo gives back what waiting sequences hold of known beginnings: held blocks would keep others from
// moving.
func (e *Engine) letGo() {
	for _, q := range e.waiting {
		if q.computed > 0 {
			e.release(q)
		}
	}
}

// carryOut applies the plan to the sequences and fills the batch.
func (e *Engine) carryOut() {
	b := &e.batch
	b.Tokens, b.Positions, b.Spans, b.Want, b.States = b.Tokens[:0], b.Positions[:0], b.Spans[:0], b.Want[:0], b.States[:0]
	e.rows, e.parts, e.embedded = e.rows[:0], e.parts[:0], e.embedded[:0]
	running := len(e.state.Running)
	for _, i := range e.plan.Preempt { // the plan lends their blocks again
		e.release(e.running[i])
	}
	for _, s := range e.plan.Run {
		q := e.at(s.Index, running)
		for len(q.table)*BlockTokens < s.To {
			block, ok := e.blocks.Take()
			if !ok {
				panic("engine: the plan lent a block that is not there")
			}
			e.cache.Ready(block)
			q.table = append(q.table, block)
		}
		e.own(q)
		if s.Index >= running {
			q.cached = s.From
		}
		b.Spans = append(b.Spans, kv.Span{Start: len(b.Tokens), Rows: s.To - s.From, Pos: s.From, Table: q.table, Read: s.From < q.prompt && !e.o.Deterministic})
		first := len(e.rows)
		for pos := s.From; pos < s.To; pos++ {
			if q.embeds() {
				e.wantState(q, pos)
			} else if next := pos >= len(q.tokens)-1; next || q.scoresPrompt(pos) {
				e.rows = append(e.rows, sampled{q: q, pos: pos, next: next})
				b.Want = append(b.Want, int32(len(b.Tokens)))
			}
			b.Tokens, b.Positions = append(b.Tokens, q.token(pos)), append(b.Positions, int32(pos))
		}
		if len(e.rows) > first {
			e.parts = append(e.parts, part{first, len(e.rows)})
		}
		q.upTo = s.To
	}
	e.preempt()
	e.admit()
	e.letGo()
}

func (e *Engine) at(index, running int) *sequence {
	if index < running {
		return e.running[index]
	}
	return e.waiting[index-running]
}

// preempt sends sequences back to the queue's head. Their tokens stay.
func (e *Engine) preempt() {
	for _, i := range e.plan.Preempt { // youngest first, so that the oldest ends up first
		q := e.running[i]
		e.running = append(e.running[:i], e.running[i+1:]...)
		e.waiting = append(e.waiting, nil)
		copy(e.waiting[1:], e.waiting)
		e.waiting[0] = q
		e.stats.preempted.Add(1)
	}
}

func (e *Engine) admit() {
	for _, q := range e.waiting[:e.plan.Admit] {
		if !q.started {
			q.started = true
			if q.choice == 0 {
				e.queued.Add(-1)
			}
			q.stream.push(Event{Choice: q.choice, Kind: Started, Cached: q.cached})
			e.stats.cached.Add(uint64(q.cached))
		}
		e.running = append(e.running, q)
	}
	e.waiting = append(e.waiting[:0], e.waiting[e.plan.Admit:]...)
}

// forward runs the network; a panic in it becomes an error.
func (e *Engine) forward() (err error) {
	defer recoverTo(&err, "the network")
	b := &e.batch
	b.Logits = kernel.Grow(b.Logits, len(b.Want)*e.config.Vocab)
	b.Hidden = kernel.Grow(b.Hidden, len(b.States)*e.config.Dim)
	b.Cache, b.Pool, b.Err = e.cache, e.pool, nil
	e.model.Forward(b)
	return b.Err
}

// failStep ends the sequences of a step that broke. What it may have written to the cache is forgotten.
func (e *Engine) failStep(err error) {
	kept := e.running[:0]
	for _, q := range e.running {
		if q.upTo > 0 {
			e.end(q, Failed, err)
		} else {
			kept = append(kept, q)
		}
	}
	clear(e.running[len(kept):])
	e.running = kept
}

package engine

import (
	"runtime/debug"

	"github.com/galerne-ai/galerne/internal/kv"
	"github.com/galerne-ai/galerne/internal/sample"
)

// Request is one prompt and what is wanted of its answers.
type Request struct {
	Prompt   []int32
	Salt     string // requests share what is cached within one salt only: the tenant
	N        int    // answers; 0 means 1
	Sampling sample.Options
	// NewMask makes the mask of one answer, which has at most so many tokens: constrained decoding. May be nil.
	NewMask   func(most int) sample.Mask
	MaxTokens int     // of an answer; 0: up to the context
	MinTokens int     // no end before
	End       []int32 // tokens that end an answer
	IgnoreEnd bool    // go on to MaxTokens
	Logprobs  int     // log-probabilities with so many alternatives; -1: none
	// Embed asks for a vector of the prompt instead of an answer: an Embedded event.
	Embed Pooling
	// PromptLogprobs also asks for those of the prompt's own tokens, each given those before it.
	PromptLogprobs bool
}

// sequence is one answer under way.
type sequence struct {
	stream   *Stream
	choice   int
	tokens   []int32 // prompt and answer
	prompt   int     // how many of them are the prompt
	computed int     // tokens whose keys and values are in the cache
	upTo     int     // computed after the step under way; 0: not in it
	cached   int
	scored   int // prompt tokens whose probability was handed out
	table    []int32
	chain    kv.Chain
	sampler  *sample.Sampler
	limit    int // length at which the answer ends
	drafter  drafter
	draft    []int32   // guessed to follow tokens
	known    kv.Prefix // what a waiting sequence found and holds
	started  bool
	forked   bool
	vector   []float32 // sum of the hidden states so far, of Request.Embed
	err      error
}

func (e *Engine) newSequence(st *Stream, choice int) *sequence {
	r := st.request
	q := &sequence{stream: st, choice: choice, prompt: len(r.Prompt), limit: e.Context()}
	q.tokens = append(make([]int32, 0, len(r.Prompt)+64), r.Prompt...)
	q.chain.Salt = r.Salt
	if r.MaxTokens > 0 {
		q.limit = min(q.limit, len(r.Prompt)+r.MaxTokens)
	}
	var mask sample.Mask
	if r.NewMask != nil {
		mask = r.NewMask(q.limit - len(r.Prompt))
	}
	q.sampler = sample.New(r.Sampling, choice, r.Prompt, mask)
	return q
}

// view is the sequence as Schedule sees it. Of one that was preempted the prompt is computed first, since no step has tokens of both kinds.
func (q *sequence) view() Seq {
	want := len(q.tokens)
	if q.computed < q.prompt {
		want = q.prompt
	}
	return Seq{Want: want, Computed: q.computed, Blocks: len(q.table), Draft: len(q.draft)}
}

// guess looks for at most n tokens that may follow an answer and pay in the step.
func (q *sequence) guess(n int, o *offer) {
	q.draft = q.draft[:0]
	n = min(n, q.limit-len(q.tokens)-1)
	if n > 0 && q.answers() && len(q.tokens)-q.computed == 1 {
		q.draft = append(q.draft, q.drafter.guess(q.tokens, n, o)...)
	}
}

// answers reports whether the answer has begun.
func (q *sequence) answers() bool { return len(q.tokens) > q.prompt }

// token is the sequence's token at pos, guesses behind the others.
func (q *sequence) token(pos int) int32 {
	if n := len(q.tokens); pos >= n {
		return q.draft[pos-n]
	}
	return q.tokens[pos]
}

// scoresPrompt reports whether the token behind pos is one of the prompt whose probability is wanted.
func (q *sequence) scoresPrompt(pos int) bool {
	return q.scores() && pos >= q.scored && pos < q.prompt-1
}

func (q *sequence) scores() bool { return q.stream.request.PromptLogprobs && q.choice == 0 }

// sampled is one row of logits: what follows token pos of a sequence.
type sampled struct {
	q       *sequence
	pos     int
	next    bool // the next token is to be chosen; else pos+1 is the prompt's and only scored
	chosen  bool
	id      int32
	logprob float32
	top     []sample.Candidate
	err     error
}

// part is the rows [from, to) of one sequence.
type part struct{ from, to int }

// sampleTask chooses tokens for all rows, a part a sequence.
type sampleTask struct{ e *Engine }

// Part chooses for the rows of one sequence: for those behind guesses only while the guesses prove
// right. A panic in a sampler or mask ends that request alone.
func (t *sampleTask) Part(i, _ int) {
	e := t.e
	vocab := e.config.Vocab
	for at := e.parts[i].from; at < e.parts[i].to; at++ {
		r := &e.rows[at]
		r.choose(e.batch.Logits[at*vocab : (at+1)*vocab])
		if r.err != nil || r.next && at+1 < e.parts[i].to && r.id != r.q.token(r.pos+1) {
			return
		}
	}
}

func (r *sampled) choose(logits []float32) {
	defer recoverTo(&r.err, "sampling")
	request := r.q.stream.request
	r.chosen, r.id = true, -1
	if r.next {
		if r.pos+1-r.q.prompt < request.MinTokens {
			for _, id := range request.End {
				logits[id] = lowest
			}
		}
		r.id, r.err = r.q.sampler.Next(logits)
	} else {
		r.id = r.q.tokens[r.pos+1]
	}
	if r.err == nil && (request.Logprobs >= 0 || !r.next) {
		r.logprob, r.top = sample.Logprobs(logits, r.id, max(request.Logprobs, 0), nil)
	}
}

// lowest is a logit that no draw takes.
const lowest = -3.0e38

// recoverTo turns a panic into an error of this package.
func recoverTo(err *error, where string) {
	if r := recover(); r != nil {
		*err = ErrPanic.Because("engine: %s panicked: %v\n%s", where, r, debug.Stack())
	}
}

// choose picks the next tokens.
func (e *Engine) choose() { e.pool.Run(len(e.parts), &e.sampler) }

// deliver hands out the chosen tokens and ends what is complete; it gives how many answers got one.
func (e *Engine) deliver() (answers int) {
	for _, q := range e.running {
		if q.upTo > 0 {
			q.computed, q.upTo = min(q.upTo, len(q.tokens)), 0
			e.blocks.Publish(&q.chain, q.tokens[:q.computed], q.table, false)
		}
	}
	e.addStates()
	for _, p := range e.parts {
		q := e.rows[p.from].q
		guessed := len(q.draft)
		taken := 0
		for i := p.from; i < p.to && e.rows[i].chosen && q.err == nil && !q.stream.finished[q.choice]; i++ {
			taken += e.accept(q, &e.rows[i], taken)
		}
		if taken > 0 {
			answers++
			q.drafter.learn(guessed, taken-1)
			e.stats.drafted.Add(uint64(guessed))
			e.stats.accepted.Add(uint64(taken - 1))
		}
	}
	kept := e.running[:0]
	for _, q := range e.running {
		switch {
		case q.err != nil:
			e.end(q, Failed, q.err)
		case q.stream.finished[q.choice]:
			e.release(q)
		default:
			kept = append(kept, q)
		}
	}
	clear(e.running[len(kept):])
	e.running = kept
	return answers
}

// accept takes one row's outcome; it gives how many tokens the answer grew, of which taken came before
// in the same step: the guess that this row stands behind was right.
func (e *Engine) accept(q *sequence, r *sampled, taken int) int {
	if r.err != nil {
		q.err = r.err
		return 0
	}
	if !r.next {
		q.scored = r.pos + 1
		q.stream.push(Event{Kind: PromptToken, ID: r.id, Logprob: r.logprob, Top: r.top})
		return 0
	}
	if taken > 0 {
		q.computed++
	}
	e.fork(q)
	e.take(q, r)
	return 1
}

// fork starts the other answers of a request once its prompt is computed: they find it in the tree.
func (e *Engine) fork(q *sequence) {
	if q.forked || q.choice > 0 {
		return
	}
	q.forked = true
	n := max(q.stream.request.N, 1)
	if n == 1 {
		return
	}
	e.blocks.Publish(&q.chain, q.tokens[:q.computed], q.table, true)
	others := make([]*sequence, 0, n-1+len(e.waiting))
	for choice := 1; choice < n; choice++ {
		others = append(others, e.newSequence(q.stream, choice))
	}
	e.waiting = append(others, e.waiting...)
}

// take appends a chosen token to its answer, or ends the answer with it.
func (e *Engine) take(q *sequence, r *sampled) {
	request := q.stream.request
	ends := false
	if !request.IgnoreEnd {
		for _, id := range request.End {
			ends = ends || id == r.id
		}
	}
	q.stream.push(Event{Choice: q.choice, Kind: Token, ID: r.id, Logprob: r.logprob, Top: r.top, End: ends})
	q.tokens = append(q.tokens, r.id)
	switch {
	case ends && !q.sampler.Cut():
		e.finish(q, End, nil)
	case ends:
		e.finish(q, Length, nil) // its mask ended it, so that it is complete within its limit
	case len(q.tokens) >= q.limit:
		e.finish(q, Length, nil)
	}
}

// finish tells the reader that an answer is complete; its blocks are given back by who calls.
func (e *Engine) finish(q *sequence, why Finish, err error) {
	if q.stream.finished[q.choice] {
		return
	}
	q.stream.finished[q.choice] = true
	e.blocks.Publish(&q.chain, q.tokens[:q.computed], q.table, why != Failed)
	q.stream.push(Event{Choice: q.choice, Kind: Finished, Finish: why, Err: err})
	q.stream.left--
	if q.stream.left == 0 {
		q.stream.end()
	}
}

// end finishes a sequence that is in no list any more.
func (e *Engine) end(q *sequence, why Finish, err error) {
	if !q.started && q.choice == 0 {
		e.queued.Add(-1)
	}
	if why == Failed {
		q.computed = min(q.computed, q.chainLength())
	}
	if q.choice == 0 && !q.forked { // the other answers will not begin
		for choice := max(q.stream.request.N, 1) - 1; choice > 0; choice-- {
			q.stream.finished[choice] = true
			q.stream.left--
			q.stream.push(Event{Choice: choice, Kind: Finished, Finish: why, Err: err})
		}
	}
	e.finish(q, why, err)
	e.release(q)
}

// chainLength is how many tokens are in full blocks of the tree already.
func (q *sequence) chainLength() int { return q.computed / BlockTokens * BlockTokens }

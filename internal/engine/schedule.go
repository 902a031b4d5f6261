package engine

// State is what Schedule knows of the sequences. It has no tensor, clock or goroutine in it.
type State struct {
	BlockTokens int
	Free        int   // blocks that can be lent now
	Slots       int   // sequences that may run at once
	Running     []Seq // oldest first
	Waiting     []Seq // in the order of the queue
}

// Seq is one sequence: it wants Want tokens computed and has Computed of them, in Blocks blocks. Draft
// more tokens are guessed to follow and are computed with an answer's token where that costs no block.
type Seq struct {
	Want, Computed int
	Blocks         int
	Alone          int // of Blocks, those that nobody else holds: what preempting it gives back
	Draft          int
}

// Plan is one step. Indices are into State's lists.
type Plan struct {
	Run     []Slice // which tokens are computed
	Preempt []int   // running sequences that give up their blocks and wait at the queue's head, youngest first
	Admit   int     // how many of the waiting, from the head, begin to run; their slices are in Run
}

// Slice is tokens [From, To) of a sequence: of Running if Index < len(Running), else of Waiting. Those
// from Want on are guesses.
type Slice struct{ Index, From, To int }

// Schedule plans one step. There is no prefill or decode mode: every sequence has tokens it has
// (Computed) and tokens it wants (Want), and the step hands out at most budget tokens so that Computed
// catches up. Answers being read, which want one token, come first, so that a long prompt cannot
// stall them; then older prompts before younger ones; then the queue, in order. Who needs a block when
// none is free takes the youngest running sequence's, rather than fail.
func Schedule(s *State, budget int, plan *Plan) {
	p := planner{State: s, plan: plan, budget: budget, free: s.Free, last: len(s.Running)}
	plan.Run, plan.Preempt, plan.Admit = plan.Run[:0], plan.Preempt[:0], 0
	for i := range s.Running {
		if s.Running[i].Want-s.Running[i].Computed == 1 {
			p.answer(i)
		}
	}
	for i := range s.Running {
		if s.Running[i].Want-s.Running[i].Computed > 1 {
			p.prompt(i)
		}
	}
	if len(plan.Run) == 0 && p.last > 0 { // no prompt could move: the oldest takes blocks from the youngest
		p.push()
	}
	if len(plan.Preempt) == 0 {
		p.admit()
	}
}

type planner struct {
	*State
	plan   *Plan
	budget int
	free   int
	last   int // running sequences from here on are preempted
}

func (p *planner) blocks(tokens int) int { return (tokens + p.BlockTokens - 1) / p.BlockTokens }

// needs is how many more blocks a sequence must have for its first tokens.
func (p *planner) needs(q Seq, tokens int) int { return max(0, p.blocks(tokens)-q.Blocks) }

func (p *planner) run(index, from, to, blocks int) {
	p.plan.Run = append(p.plan.Run, Slice{index, from, to})
	p.budget -= to - from
	p.free -= blocks
}

// answer gives sequence i its one token.
func (p *planner) answer(i int) {
	if p.budget < 1 || i >= p.last {
		return
	}
	q := p.Running[i]
	need := p.needs(q, q.Want)
	for need > p.free {
		if !p.preempt(i) {
			return
		}
	}
	guessed := min(q.Draft, p.budget-1, max(q.Blocks, p.blocks(q.Want))*p.BlockTokens-q.Want)
	p.run(i, q.Computed, q.Want+max(guessed, 0), need)
}

// preempt takes the blocks of the youngest sequence; ok is false if that is sequence i itself.
func (p *planner) preempt(i int) (ok bool) {
	p.last--
	p.plan.Preempt = append(p.plan.Preempt, p.last)
	p.free += p.Running[p.last].Alone
	for k, s := range p.plan.Run { // it may have been given its token already
		if s.Index == p.last {
			p.budget += s.To - s.From
			p.free += p.needs(p.Running[p.last], s.To)
			p.plan.Run = append(p.plan.Run[:k], p.plan.Run[k+1:]...)
			break
		}
	}
	return p.last != i
}

// prompt gives sequence i as much as budget and blocks allow.
func (p *planner) prompt(i int) {
	if i >= p.last {
		return
	}
	q := p.Running[i]
	room := (q.Blocks+p.free)*p.BlockTokens - q.Computed
	if n := min(q.Want-q.Computed, p.budget, room); n > 0 {
		p.run(i, q.Computed, q.Computed+n, p.needs(q, q.Computed+n))
	}
}

// push lets the oldest sequence go on when nobody could.
func (p *planner) push() {
	for p.last > 1 && len(p.plan.Run) == 0 {
		p.preempt(0)
		if p.Running[0].Want-p.Running[0].Computed == 1 {
			p.answer(0)
		} else {
			p.prompt(0)
		}
	}
}

// admit starts waiting sequences while there are slots and budget, and blocks for their whole prompt and
// one more each for those that run: who is admitted should not be preempted at once.
func (p *planner) admit() {
	for i, q := range p.Waiting {
		running := p.last + p.plan.Admit
		if running >= p.Slots || p.budget < 1 {
			return
		}
		if need := p.needs(q, q.Want); need+running > p.free && (running > 0 || need > p.free) {
			return
		}
		n := min(q.Want-q.Computed, p.budget)
		index := len(p.Running) + i
		whole := p.needs(q, q.Want)
		p.run(index, q.Computed, q.Computed+n, 0)
		p.free -= whole // reserved, though this step may take fewer
		p.plan.Admit++
	}
}

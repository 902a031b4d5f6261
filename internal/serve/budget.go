package serve

import (
	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/prompt"
	"github.com/galerne-ai/galerne/internal/sample"
)

// budget ends a model's reasoning after a number of tokens: the mark that ends it is then the only token
// that may come. It stands before another mask, or alone.
type budget struct {
	sample.Mask       // nil: everything is allowed
	begin, end  int32 // the marks' tokens
	left        int   // tokens of reasoning
	inside      bool
	only        []uint64 // the end's bit
}

// Allowed implements sample.Mask.
func (b *budget) Allowed() []uint64 {
	switch {
	case b.inside && b.left <= 0:
		return b.only
	case b.Mask != nil:
		return b.Mask.Allowed()
	}
	return nil
}

// Advance implements sample.Mask.
func (b *budget) Advance(id int32) error {
	switch {
	case b.inside && id == b.end:
		b.inside = false
	case b.inside:
		b.left--
	case id == b.begin:
		b.inside = true
	}
	if b.Mask != nil {
		return b.Mask.Advance(id)
	}
	return nil
}

// Wide is the other mask's.
func (b *budget) Wide() []uint64 {
	if b.inside && b.left <= 0 {
		return nil
	}
	return sample.Wide(b.Mask)
}

// Err is the other mask's.
func (b *budget) Err() error { return sample.Why(b.Mask) }

// withBudget keeps a request's reasoning within its budget, where the model marks reasoning with tokens
// of their own. Other models do not reason, or mark it in words; there a budget changes nothing.
func (m *loaded) withBudget(r *chat.Request, p *prompt.Prompt, mask func(int) sample.Mask) func(int) sample.Mask {
	mark, open := m.format.ReasoningEnd(p)
	begin, ok1 := m.tokens.Lookup(m.format.ReasoningBegin())
	end, ok2 := m.tokens.Lookup(mark)
	if r.Reasoning.Budget == nil || r.Raw != nil || !ok1 || !ok2 {
		return mask
	}
	only := make([]uint64, (m.network.Config.Vocab+63)/64)
	only[end>>6] |= 1 << (end & 63)
	return func(most int) sample.Mask {
		b := &budget{begin: begin, end: end, left: *r.Reasoning.Budget, inside: open, only: only}
		if mask != nil {
			b.Mask = mask(most)
		}
		return b
	}
}

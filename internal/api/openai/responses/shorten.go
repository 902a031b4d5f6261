package responses

import (
	"slices"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/openai"
	"github.com/galerne-ai/galerne/internal/chat"
)

// What is left of a context for an answer is an eighth where nobody says how long it may be, and a half at most.
const (
	usualShare   = 8
	longestShare = 2
)

// checkTruncation reads truncation.
func (b *body) checkTruncation() error {
	if t := b.Truncation; t != nil && *t != "auto" && *t != "disabled" {
		return openai.Invalid("truncation", "truncation is %.60q: auto and disabled are possible", *t)
	}
	return nil
}

// shorten leaves out the beginning of a conversation that is too long for the model, where the caller says
// truncation: auto. Turns go as a whole, the oldest first, so that no result is without its call; instructions
// and the last turn stay.
func (b *body) shorten(c *api.Call, r *chat.Request) error {
	if b.Truncation == nil || *b.Truncation != "auto" {
		return nil
	}
	ctx := c.R.Context()
	n, err := c.Backend.Count(ctx, r)
	if err != nil {
		return err
	}
	m, err := c.Backend.Model(ctx, r.Model) // it is in memory now, so that its context is the one in force
	if err != nil {
		return err
	}
	if m.Context <= 0 {
		return openai.Unsupported("truncation", "truncation is auto, and how much the model reads is not known: send less")
	}
	room := m.Context - m.Context/usualShare
	if r.MaxTokens != nil {
		room = m.Context - min(*r.MaxTokens, m.Context/longestShare)
	}
	if n <= room {
		return nil
	}
	all := r.Messages
	var turns []int // where they begin
	for i := range all {
		if all[i].Role == chat.User {
			turns = append(turns, i)
		}
	}
	least, most := 1, len(turns)-1 // turns to leave out; most is taken where even that is too little
	for least < most {
		middle := (least + most) / 2
		r.Messages = without(all, turns[middle])
		if n, err = c.Backend.Count(ctx, r); err != nil {
			return err
		}
		if n <= room {
			most = middle
		} else {
			least = middle + 1
		}
	}
	r.Messages = all
	if most > 0 {
		r.Messages = without(all, turns[most])
	}
	return nil
}

// without is a conversation without what was said before a turn, but with instructions.
func without(all []chat.Message, turn int) []chat.Message {
	said := slices.DeleteFunc(slices.Clone(all[:turn]), func(m chat.Message) bool { return m.Role != chat.System && m.Role != chat.Developer })
	return append(said, all[turn:]...)
}

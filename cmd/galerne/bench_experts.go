package main

import (
	"fmt"

	"github.com/galerne-ai/galerne/internal/engine"
	"github.com/galerne-ai/galerne/internal/expert"
	"github.com/galerne-ai/galerne/internal/serve"
)

// expertUse is what a mixture whose experts are not all in memory did for them, warm-ups included.
type expertUse struct {
	engine.Experts
	Prompt   *expertStats `json:"prompt"`
	Generate *expertStats `json:"generate"` // of one answer at a time
	Batch    *expertStats `json:"batch"`    // of several
}

type expertStats struct {
	expert.Stats
	HitRate       float64 `json:"hit_rate"` // share of the experts wanted that were in memory
	Tokens        int     `json:"tokens"`
	BytesPerToken float64 `json:"bytes_read_per_token"` // of the model's files
	WaitPerToken  float64 `json:"wait_per_token_s"`
}

// limit is the memory that the model may take.
func (b *bench) limit() int64 {
	if b.Memory > 0 {
		return int64(b.Memory)
	}
	return serve.FreeMemory() / 10 * 9
}

// watchExperts notes what f, which computes so many tokens a run, does to a store; nil where it wants no expert.
func (b *bench) watchExperts(tokens int, f func() error) (*expertStats, error) {
	if b.experts == nil {
		return nil, f()
	}
	before := b.experts.Stats()
	err := f()
	b.settle()
	s := b.experts.Stats().Since(before)
	if s.Used == 0 {
		return nil, err
	}
	tokens *= b.Runs + 1 // and the warm-up
	return &expertStats{Stats: s, HitRate: s.HitRate(), Tokens: tokens,
		BytesPerToken: float64(s.BytesRead) / float64(tokens), WaitPerToken: s.Waited.Seconds() / float64(tokens)}, err
}

// print adds the table's rows.
func (u *expertUse) print(row func(...string)) {
	row("experts in memory", fmt.Sprintf("%d of %d", u.Kept, u.Count), fmt.Sprintf("%s of %s", size(u.Room), size(u.Bytes)))
	for _, x := range []struct {
		what string
		*expertStats
	}{{"reading", u.Prompt}, {"writing", u.Generate}, {"writing several", u.Batch}} {
		if x.expertStats != nil {
			row("experts found, "+x.what, fmt.Sprintf("%.1f %%", 100*x.HitRate),
				fmt.Sprintf("%s read and %.3f s waited a token", size(int64(x.BytesPerToken)), x.WaitPerToken))
		}
	}
}

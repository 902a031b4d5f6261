package engine

import (
	"time"

	"github.com/galerne-ai/galerne/internal/expert"
	"github.com/galerne-ai/galerne/internal/kernel"
	"github.com/galerne-ai/galerne/internal/model"
)

// Memory is what serving a network takes, in bytes.
type Memory struct {
	Weights int64    `json:"weights_bytes"`
	KV      int64    `json:"kv_bytes"`
	Scratch int64    `json:"scratch_bytes"`
	Total   int64    `json:"total_bytes"`
	Tokens  int      `json:"kv_tokens"`
	Experts *Experts `json:"experts,omitempty"` // nil: all weights are in memory
}

// Experts is how many of a mixture's experts are in memory, where not all are. The others are read from
// the model's files when they are needed.
type Experts struct {
	Kept  int   `json:"kept"` // on average: the busiest
	Count int   `json:"count"`
	Room  int64 `json:"room_bytes"`  // of Memory.Weights
	Bytes int64 `json:"total_bytes"` // of all of them
}

// ExpertRoom is the memory of experts where not all are in it; 0 where they are.
func (m *Memory) ExpertRoom() int64 {
	if m.Experts == nil {
		return 0
	}
	return m.Experts.Room
}

// ReadTime is how long a step may take to read all experts that are not in memory, on a slow disk of 100 MB/s.
func (m *Memory) ReadTime() time.Duration {
	if m.Experts == nil {
		return 0
	}
	return time.Duration(m.Experts.Bytes/100e6) * time.Second
}

const (
	// shortest is the context below which a model is not worth serving when memory is short.
	shortest = 2048
	// process is what a process takes beside what is planned: program, tokenizer, requests, and the buffers
	// of reads.
	process = 96 << 20
)

// Fit plans the memory of a network within limit bytes (0: no limit), and sets what of o the caller left open.
// A context that was left open is halved until it fits. If even a short one does not fit, a mixture keeps only
// some of its experts in memory. Error: ErrMemory, with the numbers.
func Fit(c model.Config, w expert.Weights, limit int64, o *Options) (Memory, error) {
	asked := *o
	m, err := plan(c, w.Total(), limit, o)
	for err != nil && asked.Context <= 0 && o.Context/2 >= shortest {
		context := o.Context / 2
		*o = asked
		o.Context = context
		m, err = plan(c, w.Total(), limit, o)
	}
	if err != nil && len(w.Experts) > 0 {
		*o = asked
		return planPaged(c, w, limit, o)
	}
	return m, err
}

// Megabytes is as many as hold so many bytes; 10^6, as --memory has them.
func Megabytes(bytes int64) int64 { return (bytes + 1e6 - 1) / 1e6 }

// tokenBytes is what one token's keys and values take.
func tokenBytes(c model.Config, o *Options) int64 {
	layout := kernel.NewCacheLayout(c.KVHeads, c.HeadDim, BlockTokens, o.CacheType)
	return int64(layout.TokenBytes()) * int64(c.Layers)
}

// scratch is rows of float32: the residual stream and branch (3 × Dim), queries, keys, values, two inner
// layers, their 8-bit copies; and logits for every sequence.
func scratch(c model.Config, o *Options, inner int) int64 {
	rows := int64(max(o.Prompt, o.Budget))
	return rows*4*(3*int64(c.Dim)+3*int64(c.Heads*c.HeadDim)+3*int64(max(inner, c.Dim))) + int64(o.Slots)*int64(c.Vocab)*4
}

// plan fits the cache beside all weights by keeping fewer tokens, but no fewer than one sequence of the
// context.
func plan(c model.Config, weights, limit int64, o *Options) (Memory, error) {
	*o = o.withDefaults(c)
	token := tokenBytes(c, o)
	m := Memory{Weights: weights, Scratch: scratch(c, o, c.FFN*max(c.ExpertsUsed, 1))}
	if limit > 0 {
		room := (limit - weights - m.Scratch) / token / BlockTokens * BlockTokens
		if least := int64(o.Context + BlockTokens); room < least {
			kv := (least + BlockTokens - 1) / BlockTokens * BlockTokens * token
			return m, ErrMemory.Because("engine: weights take %d MB, %d tokens of context %d MB and working memory %d MB, but %d MB are allowed, %d MB would do: use a smaller model, a shorter context (--context), --cache q8, or more --memory",
				Megabytes(weights), o.Context, Megabytes(kv), Megabytes(m.Scratch), limit/1e6, Megabytes(weights+kv+m.Scratch))
		}
		o.Tokens = int(min(int64(o.Tokens), room))
	}
	m.complete(token, o)
	return m, nil
}

func (m *Memory) complete(token int64, o *Options) {
	o.Tokens = (o.Tokens + BlockTokens - 1) / BlockTokens * BlockTokens
	m.Tokens, m.KV = o.Tokens, int64(o.Tokens)*token
	m.Total = m.Weights + m.KV + m.Scratch
}

// planPaged leaves experts as much memory as it can. Keys and values get a sixteenth of it, if that holds one
// sequence of a context that the caller wants or of a short one. Prompts are read in large steps as far as a
// thirty-second holds what they take, since each step reads most experts of every layer.
func planPaged(c model.Config, w expert.Weights, limit int64, o *Options) (Memory, error) {
	asked := *o
	*o = o.withDefaults(c)
	token := tokenBytes(c, o)
	if asked.Context <= 0 {
		for o.Context/2 >= shortest && int64(o.Context+BlockTokens)*token > limit/16 {
			o.Context /= 2
		}
	}
	if asked.Tokens <= 0 {
		o.Tokens = min(4*o.Context, max(o.Context+BlockTokens, int(limit/16/token)))
	}
	paged := func() int64 {
		rows := int64(max(o.Prompt, o.Budget))
		return process + scratch(c, o, c.FFN) + rows*8*int64(c.ExpertsUsed*c.Dim)
	}
	if asked.Prompt <= 0 {
		for o.Prompt *= 2; o.Prompt <= 2048 && paged() <= limit/32; o.Prompt *= 2 {
		}
		o.Prompt /= 2
	}
	if asked.Budget <= 0 {
		o.Budget = o.Prompt
	}
	m := Memory{Scratch: paged()}
	m.complete(token, o)
	kept := w.Keep(limit - w.Dense - m.Total)
	m.Weights = w.Dense + kept.Bytes
	m.complete(token, o)
	m.Experts = &Experts{Kept: kept.Count, Count: w.Count(), Room: kept.Bytes, Bytes: w.Total() - w.Dense}
	if m.Total > limit {
		return m, ErrMemory.Because("engine: %d MB are allowed, too few even for part of the experts: %d MB would do (dense weights %d MB, %d of %d experts %d MB, %d tokens of context %d MB, working memory %d MB): use a smaller model, a shorter context (--context), --cache q8, or more --memory",
			limit/1e6, Megabytes(m.Total), Megabytes(w.Dense), kept.Count, m.Experts.Count, Megabytes(kept.Bytes), o.Context, Megabytes(m.KV), Megabytes(m.Scratch))
	}
	return m, nil
}

package serve

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/engine"
	"github.com/galerne-ai/galerne/internal/kernel"
	"github.com/galerne-ai/galerne/internal/model"
	"github.com/galerne-ai/galerne/internal/prompt"
	"github.com/galerne-ai/galerne/internal/tokenizer"
	"github.com/galerne-ai/galerne/internal/weights"
	"github.com/galerne-ai/galerne/internal/zoo"
)

// loaded is a model in memory: an engine for a decoder, an encoder or a classifier.
type loaded struct {
	server   *Server
	slot     *slot
	pool     *kernel.Pool
	network  *zoo.Network
	tokens   *tokenizer.Tokenizer
	format   *prompt.Format
	memory   engine.Memory
	context  int
	facts    *facts
	sampling Defaults
	took     time.Duration

	constraints *constraints

	engine     *engine.Engine // of a decoder
	encode     sync.Mutex     // an encoder or a classifier runs one batch at a time
	closed     bool           // and none any more, under encode
	encodes    atomic.Int64   // since when, in unix nanoseconds; 0: none does
	encoder    model.Encoder
	classifier model.Classifier
}

// open loads a slot's model, after making room for it.
func (s *Server) open(sl *slot) (m *loaded, err error) {
	f, err := weights.Open(sl.entry.Path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	plan, err := zoo.Inspect(f)
	if err != nil {
		return nil, err
	}
	m = &loaded{server: s, slot: sl}
	o := engine.Options{Context: s.o.Context, CacheType: s.o.CacheType, Slots: s.o.Slots, Queue: s.o.Queue, Deterministic: s.o.Deterministic,
		Observe: s.metrics.observer(sl.entry.Name)}
	if s.o.NoGuess {
		o.Draft = -1
	}
	if m.memory, err = fit(plan, s.o.Memory, &o); err != nil {
		return nil, err
	}
	if err := s.reserve(sl, m.memory.Total); err != nil {
		return nil, err
	}
	if m.tokens, err = prompt.Tokenizer(f); err != nil {
		return nil, err
	}
	if m.format, err = prompt.New(m.tokens); err != nil {
		return nil, err
	}
	m.facts = factsOf(f, plan, m.tokens, m.format)
	m.sampling = DefaultsOf(f, sl.entry.Sampling)
	m.constraints = newConstraints(m)
	m.pool = kernel.NewPool(s.o.Threads)
	if m.network, err = zoo.Open(f, zoo.Options{Pool: m.pool, ExpertRoom: m.memory.ExpertRoom(), Early: true}); err != nil {
		m.pool.Close()
		return nil, err
	}
	m.context, m.encoder, m.classifier = o.Context, m.network.Encoder, m.network.Classifier
	if m.network.Model != nil {
		if m.engine, err = engine.New(m.network.Model, m.network.Config, m.pool, o); err != nil {
			m.close()
			return nil, err
		}
		m.context = m.engine.Context()
	}
	return m, nil
}

// Check tells why a model cannot be served, before somebody asks for it: its files cannot be read, its
// network or tokenizer is not known, or it does not fit even into empty memory. Nothing is loaded.
func (s *Server) Check(name string) error {
	e, err := s.find(name)
	if err != nil {
		return err
	}
	f, err := weights.Open(e.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	plan, err := zoo.Inspect(f)
	if err != nil {
		return err
	}
	memory, err := fit(plan, s.o.Memory, &engine.Options{Context: s.o.Context, CacheType: s.o.CacheType, Slots: s.o.Slots, Queue: s.o.Queue})
	if err != nil {
		return err
	}
	if memory.Total > s.o.Memory {
		return ErrMemory.Because("serve: %s takes %d MB and %d MB are allowed: give more memory (--memory) or serve a smaller model", e.Name, engine.Megabytes(memory.Total), s.o.Memory/1e6)
	}
	t, err := prompt.Tokenizer(f)
	if err != nil {
		return err
	}
	_, err = prompt.New(t)
	return err
}

// fit plans the memory of a model.
func fit(plan *zoo.Plan, limit int64, o *engine.Options) (engine.Memory, error) {
	if plan.Encoder {
		o.Context = plan.Config.Context
		return engine.Memory{Weights: plan.Weights.Total(), Total: plan.Weights.Total()}, nil
	}
	return engine.Fit(plan.Config, plan.Weights, limit, o)
}

// close gives the memory back, after the step or batch under way.
func (m *loaded) close() {
	m.encode.Lock()
	m.closed = true
	m.encode.Unlock()
	if m.engine != nil {
		m.engine.Close()
	}
	if m.network != nil {
		m.network.Close()
	}
	m.pool.Close()
}

// stuck is how long the step or batch under way has lasted; 0 while idle.
func (m *loaded) stuck() time.Duration {
	if m.engine != nil {
		return m.engine.Stats().Stuck
	}
	if began := m.encodes.Load(); began > 0 {
		return time.Since(time.Unix(0, began))
	}
	return 0
}

func (m *loaded) release(keep *chat.KeepAlive) { m.server.leave(m.slot, keep) }

// prompt is what the model reads for a request.
func (m *loaded) prompt(r *chat.Request) (*prompt.Prompt, error) {
	switch {
	case m.classifier != nil:
		return nil, ErrKind.Because("serve: %s classifies texts and does not write: choose another model for answers", m.slot.entry.Name).At("model")
	case m.engine == nil:
		return nil, ErrKind.Because("serve: %s gives embeddings and does not write: choose another model for answers", m.slot.entry.Name).At("model")
	}
	return m.format.Render(r)
}

// respond begins an answer.
func (m *loaded) respond(ctx context.Context, r *chat.Request, begin time.Time) (chat.Stream, error) {
	p, err := m.prompt(r)
	if err != nil {
		return nil, err
	}
	er := m.request(r, p.IDs)
	if er.NewMask, err = m.mask(r, p); err != nil {
		return nil, err
	}
	er.NewMask = m.withBudget(r, p, er.NewMask)
	loaded := time.Now()
	st, err := m.engine.Submit(ctx, er)
	if err != nil {
		return nil, err
	}
	return newAnswer(m, r, p, st, begin, loaded), nil
}

// request translates to the engine's terms.
func (m *loaded) request(r *chat.Request, ids []int32) *engine.Request {
	er := &engine.Request{Prompt: ids, Salt: r.Tenant, N: r.N, MinTokens: r.MinTokens, IgnoreEnd: r.IgnoreEnd,
		Logprobs: -1, PromptLogprobs: r.PromptLogprobs != nil, Sampling: m.sampling.options(r.Sampling)}
	er.End = append(append(er.End, m.tokens.EndIDs()...), r.StopIDs...)
	if r.MaxTokens != nil {
		er.MaxTokens = max(1, *r.MaxTokens) // of an answer of none only the prompt is wanted
	}
	if r.Logprobs != nil {
		er.Logprobs = *r.Logprobs
	}
	if r.PromptLogprobs != nil {
		er.Logprobs = max(er.Logprobs, *r.PromptLogprobs)
	}
	return er
}

func (m *loaded) tokenize(text string, special bool) []chat.Token {
	ids := m.tokens.Encode(nil, text, tokenizer.EncodeOptions{AddSpecial: special})
	out := make([]chat.Token, len(ids))
	for i, id := range ids {
		out[i] = m.token(id)
	}
	return out
}

func (m *loaded) token(id int32) chat.Token {
	return chat.Token{ID: id, Bytes: m.tokens.Piece(id), Special: m.tokens.Special(id)}
}

// describe adds what is known of a loaded model.
func (m *loaded) describe(to *chat.Model) {
	m.facts.describe(to)
	to.Loaded, to.Context, to.MemoryBytes, to.WeightBytes = true, m.context, m.memory.Total, m.memory.Weights
}

// Package serve answers: which model does a request go to, is it in memory, and how do its tokens
// become an answer? Its Server is the chat.Backend behind every vendor's API.
package serve

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/fault"
	"github.com/galerne-ai/galerne/internal/kernel"
)

// Entry is a model that can be served.
type Entry struct {
	Name       string
	Aliases    []string
	Path       string // a .gguf file or a folder of safetensors
	Licence    string
	Digest     string // SHA-256, "" if unknown
	Parameters int64  // of the weights; 0 if unknown
	Created    time.Time
	Sampling   chat.Sampling // what the catalogue says of it: goes before what its files say
}

// Options of a Server.
type Options struct {
	// Find gives the entry of a name or alias; a name that nobody knows is an error of kind NotFound.
	Find func(name string) (Entry, error)
	// List gives all entries that may be served, the default one first.
	List func() ([]Entry, error)

	Memory    int64            // bytes that all loaded models may take together. Default: what the machine has free, less a tenth.
	Context   int              // longest sequence, in tokens. Default: the model's own, or what fits into memory.
	CacheType kernel.CacheType // Default F16.
	Threads   int              // Default: one a CPU.
	Queue     int              // requests that may wait for one model. Default 256.
	Slots     int              // sequences that run at once in one model. Default 64.
	NoGuess   bool             // no tokens are guessed from an answer's own text: the same answers, quotes of the prompt slower
	KeepAlive time.Duration    // how long an idle model stays loaded. Default: always, until memory is needed.
	Stall     time.Duration    // how long one step may take before Ready says so, beside reading experts. Default 9 s.

	Deterministic bool // bits do not depend on what is cached either: see engine.Options

	Log      *slog.Logger          // Default slog.Default().
	Registry prometheus.Registerer // where the metrics go; may be nil
}

func (o Options) withDefaults() Options {
	if o.Memory <= 0 {
		o.Memory = FreeMemory() / 10 * 9
	}
	if o.KeepAlive == 0 {
		o.KeepAlive = -1
	}
	if o.Stall <= 0 {
		o.Stall = 9 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return o
}

// Server serves many models from one machine's memory.
type Server struct {
	o       Options
	metrics *metrics

	files reading

	mu      sync.Mutex
	slots   map[string]*slot // by the entry's name
	closing map[*slot]bool   // dropped ones whose memory is not given back yet
	closed  bool
	timer   *time.Timer // unloads what has been idle for long
}

var _ chat.Backend = (*Server)(nil)

// New makes a server; nothing is loaded yet.
func New(o Options) *Server {
	s := &Server{o: o.withDefaults(), slots: map[string]*slot{}, closing: map[*slot]bool{}}
	s.metrics = newMetrics(s)
	s.timer = time.AfterFunc(time.Hour, s.unloadIdle)
	return s
}

// Close ends all answers and gives the memory back.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	s.timer.Stop()
	all := slices.Collect(maps.Values(s.slots))
	dropped := slices.Collect(maps.Keys(s.closing))
	clear(s.slots) // nobody else drops them
	s.mu.Unlock()
	for _, sl := range all {
		<-sl.ready
		if sl.model != nil {
			sl.model.close()
		}
	}
	for _, sl := range dropped {
		<-sl.gone
	}
}

// Ready tells why the server cannot answer now: a step, or an encoder's batch, that does not end.
func (s *Server) Ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for sl := range s.held() {
		if !sl.loaded() {
			continue
		}
		if took := sl.model.stuck(); took > s.o.Stall+sl.model.memory.ReadTime() {
			return ErrStalled.Because("serve: %s has been in one step for %s", sl.entry.Name, took.Round(time.Second))
		}
	}
	return nil
}

// find resolves a request's model name; "" and "default" are the first of the list.
func (s *Server) find(name string) (Entry, error) {
	if name != "" && !strings.EqualFold(name, "default") {
		e, err := s.o.Find(name)
		if fault.KindOf(err) == fault.NotFound {
			s.unloadRemoved()
		}
		return e, err
	}
	all, err := s.o.List()
	if err != nil {
		return Entry{}, err
	}
	if len(all) == 0 {
		return Entry{}, chat.ErrModel.Because("serve: no model is on this machine: galerne pull smollm2-135m gets a small one")
	}
	return all[0], nil
}

// Respond implements chat.Responder.
func (s *Server) Respond(ctx context.Context, r *chat.Request) (chat.Stream, error) {
	begin := time.Now()
	m, err := s.use(ctx, r.Model)
	if err != nil {
		return nil, err
	}
	st, err := m.respond(ctx, r, begin)
	if err != nil {
		m.release(r.KeepAlive)
		return nil, err
	}
	return st, nil
}

// Tokenize implements chat.Vocabulary.
func (s *Server) Tokenize(ctx context.Context, model, text string, special bool) ([]chat.Token, error) {
	m, err := s.use(ctx, model)
	if err != nil {
		return nil, err
	}
	defer m.release(nil)
	return m.tokenize(text, special), nil
}

// Detokenize implements chat.Vocabulary.
func (s *Server) Detokenize(ctx context.Context, model string, ids []int32) (string, error) {
	m, err := s.use(ctx, model)
	if err != nil {
		return "", err
	}
	defer m.release(nil)
	for i, id := range ids {
		if id < 0 || int(id) >= m.tokens.Size() {
			return "", chat.ErrRequest.Because("serve: token %d is %d, the vocabulary has 0 to %d", i, id, m.tokens.Size()-1).At("tokens")
		}
	}
	return m.tokens.Decode(ids, false), nil
}

// Count implements chat.Vocabulary.
func (s *Server) Count(ctx context.Context, r *chat.Request) (int, error) {
	m, err := s.use(ctx, r.Model)
	if err != nil {
		return 0, err
	}
	defer m.release(nil)
	p, err := m.prompt(r)
	if err != nil {
		return 0, err
	}
	return len(p.IDs), nil
}

// Models implements chat.Library.
func (s *Server) Models(ctx context.Context) ([]chat.Model, error) {
	all, err := s.o.List()
	if err != nil {
		return nil, err
	}
	out := make([]chat.Model, 0, len(all))
	for _, e := range all {
		out = append(out, s.describe(e, false))
	}
	return out, nil
}

// Model implements chat.Library.
func (s *Server) Model(ctx context.Context, name string) (*chat.Model, error) {
	e, err := s.find(name)
	if err != nil {
		return nil, err
	}
	m := s.describe(e, true)
	return &m, nil
}

// Load implements chat.Library.
func (s *Server) Load(ctx context.Context, name string, keep *chat.KeepAlive) error {
	if keep != nil && *keep == 0 {
		return s.unload(ctx, name)
	}
	m, err := s.use(ctx, name)
	if err != nil {
		return err
	}
	m.release(keep)
	return nil
}

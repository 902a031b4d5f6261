package serve

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/engine"
	"github.com/galerne-ai/galerne/internal/kernel"
	"github.com/galerne-ai/galerne/internal/zoo"
)

// slot is one model's place: being loaded, or loaded.
type slot struct {
	entry Entry
	ready chan struct{} // closed once model or err is set
	model *loaded
	err   error
	gone  chan struct{} // closed once its memory is given back

	// Under Server.mu:
	users  int // answers under way, and callers that wait for the load
	bytes  int64
	keep   time.Duration // after the last answer; negative: until memory is needed
	pinned bool          // somebody asked for it to stay
	idle   time.Time     // since when nobody uses it
}

// loaded reports whether the load has ended well; Server.mu is held.
func (sl *slot) loaded() bool { return sl.model != nil }

// use gives a loaded model and counts its user; release it. A model that is not in memory is loaded,
// and idle ones are unloaded for it, the longest idle first.
func (s *Server) use(ctx context.Context, name string) (*loaded, error) {
	e, err := s.find(name)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, ErrClosed
	}
	sl := s.slots[e.Name]
	if sl != nil && sl.users == 0 && sl.loaded() && sl.model.network.Err() != nil {
		s.drop(sl) // its file changed while it was packed: load it anew
		sl = nil
	}
	if sl == nil {
		sl = &slot{entry: e, ready: make(chan struct{}), gone: make(chan struct{}), keep: s.o.KeepAlive}
		s.slots[e.Name] = sl
		go s.load(sl)
	}
	sl.users++
	s.mu.Unlock()
	select {
	case <-sl.ready:
	case <-ctx.Done():
		s.leave(sl, nil)
		return nil, ctx.Err()
	}
	if sl.err != nil {
		s.leave(sl, nil)
		return nil, sl.err
	}
	return sl.model, nil
}

// load fills a slot; a slot whose load failed is taken out, so that a later request tries again.
func (s *Server) load(sl *slot) {
	defer close(sl.ready)
	begin := time.Now()
	m, err := s.open(sl)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.o.Log.Error("a model could not be loaded", "model", sl.entry.Name, "error", err)
		sl.err = err
		delete(s.slots, sl.entry.Name)
		return
	}
	m.took = time.Since(begin)
	sl.model, sl.idle = m, time.Now()
	facts := []any{"model", sl.entry.Name, "seconds", m.took.Round(time.Millisecond).Seconds(), "memory_bytes", m.memory.Total,
		"weights_bytes", m.memory.Weights, "kv_bytes", m.memory.KV, "kv_tokens", m.memory.Tokens, "context", m.context,
		"threads", m.pool.Threads(), "kernels", strings.Join(kernel.Implementations(), " ")}
	if x := m.memory.Experts; x != nil {
		facts = append(facts, "experts_kept", x.Kept, "experts", x.Count, "experts_bytes", x.Bytes)
	}
	s.o.Log.Info("loaded", facts...)
	go s.tellPacked(sl.entry.Name, m, begin)
}

// tellPacked logs when a model that answers already is as fast as it will be: for whom it concerns, since it comes behind
// all that a person is told at start.
func (s *Server) tellPacked(name string, m *loaded, begin time.Time) {
	switch err := m.network.Wait(); {
	case errors.Is(err, zoo.ErrClosed): // it was unloaded before
	case err != nil:
		s.o.Log.Error("a model could not be loaded to its end", "model", name, "error", err)
	default:
		s.o.Log.Debug("all weights are packed: answers are as fast as they will be", "model", name, "seconds", time.Since(begin).Round(time.Millisecond).Seconds())
	}
}

// reserve makes room for bytes by unloading idle models, and waits until their memory is given back.
func (s *Server) reserve(sl *slot, bytes int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.take(sl, bytes); err != nil {
		return err
	}
	for total(s.held()) > s.o.Memory { // more than what is loaded may take: some of it is being closed
		for other := range s.closing {
			s.mu.Unlock()
			<-other.gone
			s.mu.Lock()
			break
		}
	}
	return nil
}

// take counts bytes as a slot's, after dropping what must make room for them; Server.mu is held.
func (s *Server) take(sl *slot, bytes int64) error {
	for {
		used := total(maps.Values(s.slots))
		switch oldest := s.longestIdle(); {
		case s.closed:
			return ErrClosed
		case used+bytes <= s.o.Memory:
			sl.bytes = bytes
			return nil
		case oldest == nil:
			return ErrMemory.Because("serve: %s takes %d MB, %d of %d MB are taken by models in use or pinned: try again when they are idle, or give more memory (--memory)",
				sl.entry.Name, engine.Megabytes(bytes), used/1e6, s.o.Memory/1e6).After(5 * time.Second)
		default:
			s.drop(oldest)
		}
	}
}

// longestIdle is the first that may be dropped, nil if none may; Server.mu is held.
func (s *Server) longestIdle() (oldest *slot) {
	for _, sl := range s.slots {
		if sl.users == 0 && sl.loaded() && !sl.pinned && (oldest == nil || sl.idle.Before(oldest.idle)) {
			oldest = sl
		}
	}
	return oldest
}

// held are all slots whose memory is not given back; Server.mu is held.
func (s *Server) held() iter.Seq[*slot] {
	return func(yield func(*slot) bool) {
		for _, sl := range s.slots {
			if !yield(sl) {
				return
			}
		}
		for sl := range s.closing {
			if !yield(sl) {
				return
			}
		}
	}
}

func total(slots iter.Seq[*slot]) (bytes int64) {
	for sl := range slots {
		bytes += sl.bytes
	}
	return bytes
}

// drop takes an idle slot out, so that nobody finds its model any more, and has it closed; Server.mu is held. A model
// closes when its step under way has ended: who needs its memory waits for gone, without the lock.
func (s *Server) drop(sl *slot) {
	delete(s.slots, sl.entry.Name)
	s.closing[sl] = true
	go func() {
		sl.model.close()
		s.o.Log.Info("unloaded", "model", sl.entry.Name)
		s.mu.Lock()
		delete(s.closing, sl)
		s.mu.Unlock()
		close(sl.gone)
	}()
}

// leave counts a user off; keep, if not nil, is how long the model stays from now on.
func (s *Server) leave(sl *slot, keep *chat.KeepAlive) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sl.users--
	if keep != nil {
		sl.keep, sl.pinned = *keep, *keep < 0
	}
	if sl.users == 0 && sl.loaded() {
		sl.idle = time.Now()
		s.schedule()
	}
}

// lookEvery is how often models that are no longer offered are looked for.
const lookEvery = time.Minute

// schedule sets the timer to the next model whose time is over; Server.mu is held.
func (s *Server) schedule() {
	next := time.Duration(-1)
	if len(s.slots) > 0 {
		next = lookEvery
	}
	for _, sl := range s.slots {
		if sl.users == 0 && sl.loaded() && sl.keep >= 0 {
			if left := max(0, time.Until(sl.idle.Add(sl.keep))); next < 0 || left < next {
				next = left
			}
		}
	}
	if next >= 0 {
		s.timer.Reset(next)
	}
}

// unloadRemoved gives back the memory of models that are no longer offered, since somebody has removed them:
// at once where nobody uses them, else when the last answer ends.
func (s *Server) unloadRemoved() {
	all, err := s.o.List()
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, sl := range s.slots {
		if slices.ContainsFunc(all, func(e Entry) bool { return e.Name == name }) || !sl.loaded() {
			continue
		}
		if sl.keep, sl.pinned = 0, false; sl.users == 0 {
			s.drop(sl)
		}
	}
}

func (s *Server) unloadIdle() {
	s.unloadRemoved()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	for _, sl := range s.slots {
		if sl.users == 0 && sl.loaded() && sl.keep >= 0 && time.Since(sl.idle) >= sl.keep {
			s.drop(sl)
		}
	}
	s.schedule()
}

// unload drops a model and waits until its memory is given back, if it is idle; else it is dropped once it is idle.
func (s *Server) unload(ctx context.Context, name string) error {
	e, err := s.find(name)
	if err != nil {
		return err
	}
	sl := s.dropNamed(e.Name)
	if sl == nil {
		return nil
	}
	select {
	case <-sl.gone:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// dropNamed gives the slot that it has dropped, or nil.
func (s *Server) dropNamed(name string) *slot {
	s.mu.Lock()
	defer s.mu.Unlock()
	sl := s.slots[name]
	switch {
	case sl == nil:
	case sl.users == 0 && sl.loaded():
		s.drop(sl)
		return sl
	default:
		sl.keep = 0
	}
	return nil
}

// stats are the engines' snapshots by model.
func (s *Server) stats() map[string]use {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]use{}
	for name, sl := range s.slots {
		if sl.loaded() && sl.model.engine != nil {
			u := use{Stats: sl.model.engine.Stats(), packed: sl.model.network.Packed()}
			if store := sl.model.network.Experts; store != nil {
				x := store.Stats()
				u.experts = &x
			}
			out[name] = u
		}
	}
	return out
}

// describe tells callers what a model is. Of one that is not in memory the file is asked, for what the
// model can do (deep) down to its tokenizer.
func (s *Server) describe(e Entry, deep bool) chat.Model {
	m := chat.Model{Name: e.Name, Aliases: slices.Clone(e.Aliases), Licence: e.Licence, Digest: e.Digest, Created: e.Created, Parameters: e.Parameters}
	if !s.describeLoaded(&m) {
		if f := s.files.of(e.Path, deep); f != nil {
			f.describe(&m)
			if s.o.Context > 0 {
				m.Context = min(m.Context, s.o.Context)
			}
		}
	}
	return m
}

// describeLoaded adds what is known of a model in memory, and reports whether it is there.
func (s *Server) describeLoaded(m *chat.Model) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	sl := s.slots[m.Name]
	if sl == nil || !sl.loaded() {
		return false
	}
	sl.model.describe(m)
	m.Pinned = sl.pinned
	if sl.users == 0 && sl.keep >= 0 {
		m.Expires = sl.idle.Add(sl.keep)
	}
	return true
}

package serve

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/engine"
	"github.com/galerne-ai/galerne/internal/sample"
)

// wall is a mask that keeps its answer's step from ending until it is opened.
type wall struct {
	reached chan struct{} // closed when the step stands still
	once    *sync.Once
	opened  <-chan struct{}
}

func (w wall) Allowed() []uint64 {
	w.once.Do(func() { close(w.reached) })
	<-w.opened
	return nil
}

func (w wall) Advance(int32) error { return nil }

// standStill loads a model and leaves it idle with a step under way, which ends when open is called: until then it
// cannot be closed.
func standStill(t *testing.T, s *Server, name string) (open func()) {
	t.Helper()
	opened := make(chan struct{})
	open = sync.OnceFunc(func() { close(opened) })
	t.Cleanup(open) // before the server is closed
	m, err := s.use(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	defer m.release(nil)
	w := wall{make(chan struct{}), new(sync.Once), opened}
	st, err := m.engine.Submit(context.Background(), &engine.Request{Prompt: []int32{1, 2}, Logprobs: -1, NewMask: func(int) sample.Mask { return w }})
	if err != nil {
		t.Fatal(err)
	}
	<-w.reached
	st.Close()
	return open
}

// within fails a test where something takes too long.
func within(t *testing.T, what string, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); do() }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal(what, "waits")
	}
}

// still reports that something goes on.
func still(done <-chan error) bool {
	select {
	case <-done:
		return false
	case <-time.After(200 * time.Millisecond):
		return true
	}
}

func embed(s *Server) error {
	_, err := s.Embed(context.Background(), &chat.EmbedRequest{Model: "all-minilm-l6-v2", Texts: []string{"wind"}})
	return err
}

func TestAModelThatIsBeingClosedKeepsNobodyWaiting(t *testing.T) {
	s := real(t, Options{Context: 256, Stall: time.Millisecond})
	open := standStill(t, s, "small")
	unloaded := make(chan error, 1)
	go func() { unloaded <- s.Load(context.Background(), "small", ptr(time.Duration(0))) }()
	for range 1000 { // until it is being closed
		var m *chat.Model
		within(t, "a question for a model", func() { m, _ = s.Model(context.Background(), "small") })
		if !m.Loaded {
			break
		}
		time.Sleep(time.Millisecond)
	}
	within(t, "another model's request", func() {
		if err := embed(s); err != nil {
			t.Error(err)
		}
	})
	within(t, "a question for readiness", func() {
		if err := s.Ready(); !errors.Is(err, ErrStalled) {
			t.Errorf("a step does not end, and ready says %v", err)
		}
	})
	within(t, "a scrape", func() {
		if all := s.stats(); len(all) != 0 {
			t.Errorf("an encoder is in memory: %v", all)
		}
	})
	within(t, "a request for the same model", func() { whole(t, s, complete("x", 1)) })
	if m, _ := s.Model(context.Background(), "small"); !m.Loaded {
		t.Error("it is not loaded anew")
	}
	if !still(unloaded) {
		t.Error("it is said to be unloaded, and it is not")
	}
	open()
	if err := <-unloaded; err != nil {
		t.Error(err)
	}
	if m, _ := s.Model(context.Background(), "small"); !m.Loaded {
		t.Error("what was loaded anew was unloaded")
	}
}

func TestMemoryOfAModelThatIsBeingClosedIsNotGivenTwice(t *testing.T) {
	s := real(t, Options{Memory: 600 << 20, Context: 512, Slots: 4})
	open := standStill(t, s, "small")
	answered := make(chan error, 1)
	r := complete("x", 1)
	r.Model = "qwen2.5-coder-0.5b"
	go func() {
		st, err := s.Respond(context.Background(), r)
		if err == nil {
			_, err = chat.Collect(context.Background(), st)
		}
		answered <- err
	}()
	if !still(answered) {
		t.Error("it was loaded beside a model with which it does not fit")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	within(t, "who has left", func() {
		if _, err := s.Respond(ctx, r); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
	open()
	if err := <-answered; err != nil {
		t.Error(err)
	}
}

func TestCloseWaitsForModelsThatAreBeingClosed(t *testing.T) {
	s := real(t, Options{Context: 256})
	open := standStill(t, s, "small")
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	within(t, "who has left", func() {
		if err := s.Load(ctx, "small", ptr(time.Duration(0))); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("unloading ended with %v", err)
		}
	})
	closed := make(chan error, 1)
	go func() { s.Close(); closed <- nil }()
	if !still(closed) {
		t.Error("the server is closed and a step is under way")
	}
	open()
	<-closed
}

// TestCloseEndsEncodersToo: who comes while a server is closed is told so, and what is under way has its weights.
func TestCloseEndsEncodersToo(t *testing.T) {
	s := real(t, Options{})
	if err := embed(s); err != nil {
		t.Fatal(err)
	}
	m, err := s.use(context.Background(), "all-minilm-l6-v2")
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	_, err = m.embed(context.Background(), &chat.EmbedRequest{Texts: []string{"wind"}})
	m.release(nil)
	if !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}

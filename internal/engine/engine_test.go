package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/galerne-ai/galerne/internal/expert"
	"github.com/galerne-ai/galerne/internal/kernel"
	"github.com/galerne-ai/galerne/internal/model"
	"github.com/galerne-ai/galerne/internal/sample"
)

// meanModel is a network whose every logit depends on every earlier token through the cache: it stores a
// vector for each token and position, attends to all of them evenly, and scores by the mean. A wrong
// block, slot or copy shows in the bits of its logits. Tokens that are read have other vectors than those that are written.
type meanModel struct {
	config  model.Config
	vectors []float32 // [vocab][dim]
	attend  kernel.Attention
	broken  int32         // a token that makes Forward panic; -1: none
	slow    time.Duration // a step
	each    time.Duration // and each of its tokens
}

func newMeanModel() *meanModel {
	rng := rand.New(rand.NewPCG(1, 2))
	m := &meanModel{config: model.Config{Vocab: 64, Dim: 16, Layers: 1, Heads: 1, KVHeads: 1, HeadDim: 16, FFN: 16, Context: 512}, broken: -1}
	for range m.config.Vocab * m.config.Dim {
		m.vectors = append(m.vectors, float32(rng.NormFloat64()))
	}
	return m
}

func (m *meanModel) Forward(b *model.Batch) {
	dim := m.config.Dim
	time.Sleep(m.slow + time.Duration(len(b.Tokens))*m.each)
	q := make([]float32, len(b.Tokens)*dim)
	row := 0
	for _, s := range b.Spans {
		for i := range s.Rows {
			tok, pos := b.Tokens[row], s.Pos+i
			if tok == m.broken {
				panic("a broken token")
			}
			if int(b.Positions[row]) != pos {
				panic("positions and spans differ")
			}
			v := make([]float32, dim)
			for d := range v {
				v[d] = m.vectors[int(tok)*dim+d] * float32(1+math.Sin(float64(pos*(d+1))))
				if s.Read {
					v[d] *= 1.0625
				}
			}
			b.Cache.Layout.Store(b.Cache.Layer(0), s.Table[pos/BlockTokens], pos%BlockTokens, v, v)
			row++
		}
	}
	m.attend.Layout, m.attend.Arena, m.attend.Spans = b.Cache.Layout, b.Cache.Layer(0), b.Spans
	m.attend.Q, m.attend.Out, m.attend.Heads, m.attend.Scale = q, q, 1, 1
	b.Pool.Attend(&m.attend)
	for i, r := range b.States {
		copy(b.Hidden[i*dim:(i+1)*dim], q[int(r)*dim:])
	}
	for i, r := range b.Want {
		mean := q[int(r)*dim : int(r+1)*dim]
		for v := range m.config.Vocab {
			var sum float32
			for d, x := range mean {
				sum += x * m.vectors[v*dim+d] * 10
			}
			b.Logits[i*m.config.Vocab+v] = sum
		}
	}
}

func start(t testing.TB, m *meanModel, threads int, o Options) *Engine {
	t.Helper()
	pool := kernel.NewPool(threads)
	e, err := New(m, m.config, pool, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		e.Close()
		if err := e.blocks.Check(); err != nil {
			t.Error(err)
		}
		e.blocks.Forget()
		if e.blocks.Available() != e.blocks.Blocks() {
			t.Errorf("%d of %d blocks came back", e.blocks.Available(), e.blocks.Blocks())
		}
		pool.Close()
	})
	return e
}

// answer is what one request gave: per choice its tokens and log-probabilities, and why it ended.
type answer struct {
	tokens   map[int][]int32
	logprobs map[int][]float32
	finish   map[int]Finish
	prompt   []float32
	cached   int
	err      error
}

func (a answer) String() string {
	return fmt.Sprint(a.tokens, a.logprobs, a.finish, a.prompt, a.err)
}

func collect(t testing.TB, e *Engine, r *Request) answer {
	t.Helper()
	s, err := e.Submit(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	return drain(s)
}

func drain(s *Stream) answer {
	a := answer{tokens: map[int][]int32{}, logprobs: map[int][]float32{}, finish: map[int]Finish{}}
	for {
		ev, err := s.Next(context.Background())
		if err == io.EOF {
			return a
		}
		switch ev.Kind {
		case Started:
			if ev.Choice == 0 {
				a.cached = ev.Cached
			}
		case PromptToken:
			a.prompt = append(a.prompt, ev.Logprob)
		case Token:
			a.tokens[ev.Choice] = append(a.tokens[ev.Choice], ev.ID)
			a.logprobs[ev.Choice] = append(a.logprobs[ev.Choice], ev.Logprob)
		case Finished:
			a.finish[ev.Choice] = ev.Finish
			if ev.Err != nil {
				a.err = ev.Err
			}
		}
	}
}

func prompt(seed uint64, n int) []int32 {
	rng := rand.New(rand.NewPCG(seed, 9))
	out := make([]int32, n)
	for i := range out {
		out[i] = rng.Int32N(60)
	}
	return out
}

// TestSameRequestSameBits: alone, among others, with any chunking, on one thread and two, with little
// memory (so that it is preempted), with a warm cache, from several readers.
func TestSameRequestSameBits(t *testing.T) {
	requests := make([]*Request, 9)
	for i := range requests {
		requests[i] = &Request{Prompt: prompt(uint64(i/2), 5+23*i), MaxTokens: 90, Logprobs: 2, Sampling: sample.Options{Temperature: 1, Seed: uint64(i)}}
	}
	requests[4].N, requests[2].PromptLogprobs = 3, true
	requests[1].Sampling, requests[7].Sampling, requests[7].MaxTokens = sample.Options{}, sample.Options{Repetition: 1.1}, 150
	want := make([]string, len(requests))
	for i, r := range requests {
		e := start(t, newMeanModel(), 1, Options{Budget: 1000, Prompt: 1000, Draft: -1})
		want[i] = collect(t, e, r).String()
	}
	preempted := uint64(0)
	defer func() {
		if preempted == 0 {
			t.Error("nothing was preempted: the test tests less than it says")
		}
	}()
	for _, threads := range []int{1, 2} {
		for _, o := range []Options{{}, {Budget: 1, Prompt: 1}, {Budget: 7, Prompt: 3}, {Slots: 2}, {Tokens: 512, Budget: 64, Prompt: 50}, {Tokens: 352, Budget: 20, Prompt: 20}} {
			e := start(t, newMeanModel(), threads, o)
			for round := range 2 {
				got := make([]string, len(requests))
				var wg sync.WaitGroup
				for i, r := range requests {
					wg.Add(1)
					go func() {
						defer wg.Done()
						got[i] = collect(t, e, r).String()
					}()
				}
				wg.Wait()
				for i := range want {
					if got[i] != want[i] {
						t.Errorf("threads %d, %+v, round %d, request %d:\n got %.300s\nwant %.300s", threads, o, round, i, got[i], want[i])
					}
				}
			}
			if st := e.Stats(); o.Tokens == 0 && o.Budget != 1 && st.Accepted == 0 {
				t.Errorf("%+v: no guess was right: the test tests less than it says", o)
			}
			preempted += e.Stats().Preemptions
		}
	}
}

// TestDeterministic: what follows an answer that is in the cache has the bits that it has where nothing is known, if prompt and answer
// have one arithmetic.
func TestDeterministic(t *testing.T) {
	first := &Request{Prompt: prompt(1, 50), MaxTokens: 60, Logprobs: -1}
	for _, deterministic := range []bool{true, false} {
		o := Options{Deterministic: deterministic}
		e := start(t, newMeanModel(), 2, o)
		text := append(append(append([]int32(nil), first.Prompt...), collect(t, e, first).tokens[0]...), 1, 2, 3)
		before := e.Stats().CachedTokens
		warm, cold := vectorOf(t, e, Last, text), vectorOf(t, start(t, newMeanModel(), 2, o), Last, text)
		if cached := e.Stats().CachedTokens - before; cached < 100 {
			t.Errorf("%d tokens were known, of 110", cached)
		}
		if same := warm == cold; same != deterministic {
			t.Errorf("deterministic %v: %.200s\nwhere nothing is known %.200s", deterministic, warm, cold)
		}
	}
}

func TestAKnownBeginningIsNotComputedAgain(t *testing.T) {
	e := start(t, newMeanModel(), 1, Options{})
	first := prompt(1, 100)
	collect(t, e, &Request{Prompt: first, MaxTokens: 1, Logprobs: -1})
	if a := collect(t, e, &Request{Prompt: append(append([]int32(nil), first[:77]...), 61, 62), MaxTokens: 1, Logprobs: -1}); a.cached != 77 {
		t.Errorf("%d tokens were known, 77 are shared", a.cached)
	}
	if a := collect(t, e, &Request{Prompt: first, MaxTokens: 1, Logprobs: -1}); a.cached != 99 {
		t.Errorf("%d tokens were known, 99 could be", a.cached)
	}
	if a := collect(t, e, &Request{Prompt: first, Salt: "other", MaxTokens: 1, Logprobs: -1}); a.cached != 0 {
		t.Errorf("another tenant saw %d tokens", a.cached)
	}
}

func TestAnswersEndAtTheEndTokenAndAtTheLimit(t *testing.T) {
	e := start(t, newMeanModel(), 1, Options{})
	r := &Request{Prompt: prompt(3, 10), MaxTokens: 30, Logprobs: -1}
	all := collect(t, e, r).tokens[0]
	if len(all) != 30 {
		t.Fatal(len(all))
	}
	r.End = []int32{all[7]}
	first := 0
	for all[first] != all[7] {
		first++
	}
	a := collect(t, e, r)
	if a.finish[0] != End || len(a.tokens[0]) != first+1 {
		t.Errorf("%v, want the end after %d tokens", a, first+1)
	}
	r.IgnoreEnd = true
	if a := collect(t, e, r); a.finish[0] != Length || len(a.tokens[0]) != 30 {
		t.Error(a)
	}
	r.IgnoreEnd, r.MinTokens = false, 30
	if a := collect(t, e, r); len(a.tokens[0]) != 30 {
		t.Error(a)
	}
	if a := collect(t, e, &Request{Prompt: prompt(3, 500), Logprobs: -1}); a.finish[0] != Length || len(a.tokens[0]) != 12 {
		t.Errorf("%d tokens up to the context", len(a.tokens[0]))
	}
}

func TestImpossibleRequestsAreRefusedWithNumbers(t *testing.T) {
	e := start(t, newMeanModel(), 1, Options{})
	for _, c := range []struct {
		r    *Request
		want error
	}{
		{&Request{}, ErrEmpty}, {&Request{Prompt: prompt(1, 512)}, ErrTooLong}, {&Request{Prompt: prompt(1, 500), MaxTokens: 13}, ErrTooLong},
		{&Request{Prompt: []int32{64}}, ErrToken}, {&Request{Prompt: []int32{-1}}, ErrToken}, {&Request{Prompt: []int32{1}, N: 1000}, ErrToken},
		{&Request{Prompt: []int32{1}, Sampling: sample.Options{TopP: 2}}, sample.ErrOption},
	} {
		if _, err := e.Submit(context.Background(), c.r); !errors.Is(err, c.want) {
			t.Errorf("%v, want %v", err, c.want)
		}
	}
}

func TestAReaderThatLeavesFreesItsSlotWithinAStep(t *testing.T) {
	m := newMeanModel()
	m.slow = time.Millisecond
	e := start(t, m, 1, Options{Slots: 1})
	ctx, cancel := context.WithCancel(context.Background())
	first, err := e.Submit(ctx, &Request{Prompt: prompt(1, 10), Logprobs: -1})
	if err != nil {
		t.Fatal(err)
	}
	queued, _ := e.Submit(context.Background(), &Request{Prompt: prompt(2, 10), Logprobs: -1})
	last, _ := e.Submit(context.Background(), &Request{Prompt: prompt(3, 10), MaxTokens: 3, Logprobs: -1})
	first.Next(context.Background())
	queued.Close() // while it waits
	cancel()
	if a := drain(last); a.finish[0] != Length {
		t.Fatal(a)
	}
	if a := drain(first); a.finish[0] != Cancelled {
		t.Fatal(a)
	}
	if a := drain(queued); a.finish[0] != Cancelled || len(a.tokens) > 0 {
		t.Fatal(a)
	}
}

func TestStopEndsOneChoice(t *testing.T) {
	m := newMeanModel()
	m.slow = time.Millisecond
	e := start(t, m, 1, Options{})
	s, _ := e.Submit(context.Background(), &Request{Prompt: prompt(1, 40), N: 2, MaxTokens: 50, Logprobs: -1, Sampling: sample.Options{Temperature: 1}})
	for {
		ev, err := s.Next(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if ev.Kind == Token && ev.Choice == 1 {
			s.Stop(1)
			break
		}
	}
	a := drain(s)
	if a.finish[1] != Stopped || a.finish[0] != Length || len(a.tokens[1]) > 5 {
		t.Fatal(a)
	}
}

func TestAFullQueueRefuses(t *testing.T) {
	m := newMeanModel()
	m.slow = 5 * time.Millisecond
	e := start(t, m, 1, Options{Slots: 1, Queue: 3})
	var streams []*Stream
	var refused error
	for range 10 {
		s, err := e.Submit(context.Background(), &Request{Prompt: prompt(1, 10), MaxTokens: 20, Logprobs: -1})
		if err != nil {
			refused = err
			break
		}
		streams = append(streams, s)
	}
	if !errors.Is(refused, ErrBusy) || len(streams) > 5 {
		t.Fatal(refused, len(streams))
	}
	for _, s := range streams {
		drain(s)
	}
}

type bombMask struct{ after int }

func (b *bombMask) Allowed() []uint64 { return nil }
func (b *bombMask) Advance(int32) error {
	if b.after--; b.after < 0 {
		panic("mask")
	}
	return nil
}

func TestOnePanicEndsOneRequest(t *testing.T) {
	e := start(t, newMeanModel(), 2, Options{})
	good, _ := e.Submit(context.Background(), &Request{Prompt: prompt(1, 10), MaxTokens: 50, Logprobs: -1})
	bad, _ := e.Submit(context.Background(), &Request{Prompt: prompt(2, 10), MaxTokens: 50, Logprobs: -1, NewMask: func(int) sample.Mask { return &bombMask{after: 3} }})
	if a := drain(bad); !errors.Is(a.err, ErrPanic) || a.finish[0] != Failed || len(a.tokens[0]) != 3 {
		t.Fatal(a)
	}
	if a := drain(good); a.finish[0] != Length || len(a.tokens[0]) != 50 {
		t.Fatal(a)
	}
}

func TestAPanicInTheNetworkFailsItsStepAndTheEngineGoesOn(t *testing.T) {
	m := newMeanModel()
	m.broken = 63
	e := start(t, m, 2, Options{})
	if a := collect(t, e, &Request{Prompt: []int32{1, 2, 63}, MaxTokens: 5, Logprobs: -1}); !errors.Is(a.err, ErrPanic) {
		t.Fatal(a)
	}
	if a := collect(t, e, &Request{Prompt: []int32{1, 2, 3}, MaxTokens: 5, Logprobs: -1}); a.finish[0] != Length {
		t.Fatal(a)
	}
}

func TestCloseFailsWhatIsUnderWay(t *testing.T) {
	m := newMeanModel()
	m.slow = time.Millisecond
	pool := kernel.NewPool(1)
	defer pool.Close()
	e, err := New(m, m.config, pool, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, _ := e.Submit(context.Background(), &Request{Prompt: prompt(1, 10), Logprobs: -1})
	e.Close()
	if a := drain(s); !errors.Is(a.err, ErrClosed) {
		t.Fatal(a)
	}
	if _, err := e.Submit(context.Background(), &Request{Prompt: prompt(1, 10)}); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
}

func TestTheMemoryPlanAddsUpAndRefuses(t *testing.T) {
	c := model.Config{Vocab: 1000, Dim: 64, Layers: 2, Heads: 4, KVHeads: 2, HeadDim: 16, FFN: 128, Context: 1024}
	o := Options{}
	m, err := Fit(c, expert.Weights{Dense: 1 << 20}, 0, &o)
	if err != nil || m.KV != int64(4*1024*2*2*2*16*2) || m.Total != m.Weights+m.KV+m.Scratch {
		t.Fatal(m, err)
	}
	o = Options{}
	if _, err := Fit(c, expert.Weights{Dense: 1 << 20}, 1<<20, &o); !errors.Is(err, ErrMemory) {
		t.Fatal(err)
	}
	o = Options{}
	limit := m.Total - 300_000
	if m, err = Fit(c, expert.Weights{Dense: 1 << 20}, limit, &o); err != nil || m.Total > limit {
		t.Fatal(m, err)
	}
}

func vectorOf(t *testing.T, e *Engine, p Pooling, text []int32) string {
	s, err := e.Submit(context.Background(), &Request{Prompt: text, Embed: p, Logprobs: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	out := ""
	for {
		ev, err := s.Next(context.Background())
		if err == io.EOF {
			return out
		}
		if ev.Kind == Embedded {
			out += fmt.Sprint(ev.Vector)
		}
	}
}

func TestAVectorIsTheSameHoweverItsTextIsCut(t *testing.T) {
	for _, p := range []Pooling{Mean, Last} {
		want := vectorOf(t, start(t, newMeanModel(), 1, Options{}), p, prompt(5, 90))
		if len(want) < 50 {
			t.Fatalf("%q", want)
		}
		e := start(t, newMeanModel(), 2, Options{Prompt: 7, Budget: 7, Tokens: 352})
		var wg sync.WaitGroup
		for i := range 6 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				if i%2 == 0 {
					collect(t, e, &Request{Prompt: prompt(uint64(i), 60), MaxTokens: 60, Logprobs: -1})
				} else if got := vectorOf(t, e, p, prompt(5, 90)); got != want {
					t.Errorf("%v: %s, want %s", p, got, want)
				}
			}()
		}
		wg.Wait()
	}
}

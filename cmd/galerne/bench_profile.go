package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/galerne-ai/galerne/internal/engine"
	"github.com/galerne-ai/galerne/internal/kernel"
)

// profiles tell where the time of one reading and of one writing went.
type profiles struct {
	Prompt   *profile `json:"prompt"`
	Generate *profile `json:"generate"`
	Batch    *profile `json:"batch,omitempty"` // as many answers at once as the largest batch has
}

// profile is the steps of one request, by kinds of work, the longest first.
type profile struct {
	Seconds float64    `json:"seconds"` // of the engine's steps
	Steps   int        `json:"steps"`
	Work    []workTime `json:"work"`
	Limits  limits     `json:"limits"`
	what    string     // was done
}

// limits are what the machine gave meanwhile.
type limits struct {
	Bytes    float64 `json:"bytes_per_s"`
	Integers float64 `json:"integer_ops_per_s"`
	Floats   float64 `json:"float_ops_per_s"`
}

type workTime struct {
	Name           string  `json:"name"`
	Calls          int     `json:"calls"`
	Seconds        float64 `json:"seconds"`
	Share          float64 `json:"share"` // of the steps' time
	Bytes          int64   `json:"bytes"`
	Ops            int64   `json:"ops"`
	BytesPerSecond float64 `json:"bytes_per_s"`
	OpsPerSecond   float64 `json:"ops_per_s"`
	BandwidthShare float64 `json:"bandwidth_share"` // of the memory's, as measured; beyond 1 the caches help
	UnitShare      float64 `json:"unit_share"`      // of what the units for integers, or floats, do at most
	busy           int64
	floats         bool
}

// stepTimes gathers what the engine's goroutine tells, between two looks.
type stepTimes struct {
	mu      sync.Mutex
	steps   int
	took    time.Duration
	work    []workTime
	probe   *kernel.Probe // nil: limits are not wanted
	sampled time.Time     // the end of its last sample
}

// betweenSamples is how long a profile goes on until it looks again at what the machine gives.
const betweenSamples = 10 * time.Millisecond

func (s *stepTimes) observe(step engine.Step) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.steps, s.took = s.steps+1, s.took+step.Took
}

func (s *stepTimes) trace(w kernel.Work, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.work, func(t workTime) bool { return t.Name == w.Name })
	if i < 0 {
		i, s.work = len(s.work), append(s.work, workTime{Name: w.Name})
	}
	t := &s.work[i]
	t.Calls, t.Seconds, t.floats = t.Calls+1, t.Seconds+took.Seconds(), w.Floats
	t.Bytes, t.Ops, t.busy = t.Bytes+w.Bytes, t.Ops+w.Ops, t.busy+w.Busy
	if start := time.Now(); s.probe != nil && start.Sub(s.sampled) > betweenSamples {
		s.probe.Sample()
		s.sampled = time.Now()
		s.took -= s.sampled.Sub(start)
	}
}

// take gives what was gathered and begins anew.
func (s *stepTimes) take(what string) *profile {
	s.mu.Lock()
	defer s.mu.Unlock()
	limits := limits(s.probe.Limits())
	p := &profile{Seconds: s.took.Seconds(), Steps: s.steps, Work: s.work, Limits: limits, what: what}
	rest := p.Seconds
	for _, t := range p.Work {
		rest -= t.Seconds
	}
	p.Work = append(p.Work, workTime{Name: "between tasks", Seconds: max(0, rest)})
	for i := range p.Work {
		t := &p.Work[i]
		t.Name = cmp.Or(map[string]string{"*nn.rowTask": "norms, positions, activations", "*kernel.Input": "rounding rows to 8 bits",
			"*engine.sampleTask": "choosing tokens"}[t.Name], t.Name)
		if t.Seconds > 0 {
			t.Share, t.BytesPerSecond, t.OpsPerSecond = t.Seconds/p.Seconds, float64(t.Bytes)/t.Seconds, float64(t.Ops)/t.Seconds
			t.BandwidthShare = t.BytesPerSecond / limits.Bytes
			if unit := map[bool]float64{false: limits.Integers, true: limits.Floats}[t.floats]; unit > 0 {
				t.UnitShare = float64(t.busy) / t.Seconds / unit
			}
		}
	}
	slices.SortFunc(p.Work, func(x, y workTime) int { return cmp.Compare(y.Seconds, x.Seconds) })
	s.steps, s.took, s.work = 0, 0, nil
	return p
}

// profile runs once more with every task traced, which costs a little time itself.
func (b *bench) profile() (*profiles, error) {
	b.progress("looking where the time goes")
	probe, err := b.pool.NewProbe(bandwidthBytes)
	if err != nil {
		return nil, err
	}
	defer probe.Close()
	b.steps = &stepTimes{probe: probe}
	_, _, closeModel, err := b.open()
	if err != nil {
		return nil, err
	}
	defer closeModel()
	if _, err := b.readOnce(); err != nil { // a warm-up
		return nil, err
	}
	write := func(n int) func() (float64, error) { return func() (float64, error) { return b.writeOnce(n) } }
	p := &profiles{}
	if p.Prompt, err = b.traced(fmt.Sprintf("Reading %d tokens", b.Prompt), b.readOnce); err != nil {
		return nil, err
	}
	if p.Generate, err = b.traced(fmt.Sprintf("Writing %d tokens", b.Generate), write(1)); err != nil {
		return nil, err
	}
	if n := b.most(); n > 1 {
		p.Batch, err = b.traced(fmt.Sprintf("Writing %d tokens, %d times at once", b.Generate, n), write(n))
	}
	return p, err
}

// traced profiles a run.
func (b *bench) traced(what string, once func() (float64, error)) (*profile, error) {
	b.settle()
	b.steps.take("")
	b.pool.SetTrace(b.steps.trace)
	_, err := once()
	b.settle()
	b.pool.SetTrace(nil)
	return b.steps.take(what), err
}

// settle waits for the engine to be idle: a request's last token comes before its step is over.
func (b *bench) settle() {
	for b.engine.Stats().Stuck > 0 {
		time.Sleep(time.Millisecond)
	}
}

func (p *profile) print(a *app) error {
	fmt.Fprintf(a.out, "\n%s: %d steps in %.3f s\n", p.what, p.Steps, p.Seconds)
	return table(a.out, "WORK\tCALLS\tSHARE\tGB/S\tOF THE MEMORY'S\tGOP/S\tOF THE UNIT'S", func(row func(...string)) {
		for _, t := range p.Work {
			cells := []string{t.Name, strconv.Itoa(t.Calls), fmt.Sprintf("%.1f %%", 100*t.Share), "", "", "", ""}
			if t.Bytes > 0 {
				cells[3], cells[4] = fmt.Sprintf("%.1f", t.BytesPerSecond/1e9), fmt.Sprintf("%.0f %%", 100*t.BandwidthShare)
			}
			if t.Ops > 0 {
				cells[5] = fmt.Sprintf("%.1f", t.OpsPerSecond/1e9)
			}
			if t.UnitShare > 0 {
				cells[6] = fmt.Sprintf("%.0f %%", 100*t.UnitShare)
			}
			row(cells...)
		}
	})
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/galerne-ai/galerne/internal/engine"
	"github.com/galerne-ai/galerne/internal/expert"
	"github.com/galerne-ai/galerne/internal/kernel"
	"github.com/galerne-ai/galerne/internal/prompt"
	"github.com/galerne-ai/galerne/internal/weights"
	"github.com/galerne-ai/galerne/internal/zoo"
)

type benchCmd struct {
	Model    string   `arg:"" help:"A catalogue name, a .gguf file or a folder of safetensors."`
	Prompt   int      `help:"Tokens of the prompt whose reading is timed." default:"512" placeholder:"TOKENS"`
	Generate int      `help:"Tokens of the answers whose writing is timed." default:"128" placeholder:"TOKENS"`
	Batch    []int    `help:"How many answers are written at once, one measurement each." default:"1,4,16" placeholder:"N,..."`
	Threads  int      `help:"Threads for computing. Default: one a CPU." placeholder:"N"`
	Memory   byteSize `help:"Memory that the model may take (16GiB); a mixture of experts that is larger keeps the busiest and reads the others when it needs them. Default: nine tenths of what is free." placeholder:"SIZE"`
	Runs     int      `help:"Runs of each measurement, of which the median is printed." default:"5" placeholder:"N"`
	Cache    string   `help:"How keys and values are kept: f16 or q8." enum:"f16,q8" default:"f16"`
	Guess    bool     `help:"Let the engine guess tokens from the answer's own text, as serving does: the random prompts here make answers that repeat themselves, so that it flatters."`
	Profile  bool     `help:"Show where the time of reading and writing goes: a line for each kind of work, with what it reads and computes, and how near to the machine's limits."`
	JSON     bool     `name:"json" help:"Print JSON."`
}

// benchResult is what bench prints: medians.
type benchResult struct {
	Model           string       `json:"model"`
	Quantization    string       `json:"quantization"`
	CPU             string       `json:"cpu"`
	Threads         int          `json:"threads"`
	Implementations []string     `json:"implementations"` // of the kernels, the fastest last
	Bandwidth       float64      `json:"bandwidth_bytes_per_s"`
	Load            float64      `json:"load_s"`   // until it can answer
	Packed          float64      `json:"packed_s"` // until all its weights are packed, so that it answers as fast as it will
	Prompt          float64      `json:"prompt_tokens_per_s"`
	Generate        float64      `json:"generate_tokens_per_s"`
	BytesPerToken   float64      `json:"bytes_per_token"` // weights, keys and values read to write one token of one answer
	Batch           []batchSpeed `json:"batch"`
	PeakRSS         int64        `json:"peak_rss_bytes"` // of the whole process; 0 where the system does not tell
	PromptTokens    int          `json:"prompt_tokens"`
	GenerateTokens  int          `json:"generate_tokens"`
	Guess           bool         `json:"guess"`
	Runs            int          `json:"runs"`
	Experts         *expertUse   `json:"experts,omitempty"` // nil: all weights are in memory
	Profile         *profiles    `json:"profile,omitempty"`
}

type batchSpeed struct {
	N        int     `json:"n"`
	Generate float64 `json:"generate_tokens_per_s"` // of all answers together
}

const (
	bandwidthBytes = 256 << 20 // beyond the caches of one socket
	loadLimit      = time.Minute
)

// bench is one measurement under way.
type bench struct {
	*benchCmd
	a       *app
	path    string
	pool    *kernel.Pool
	engine  *engine.Engine
	memory  engine.Memory
	experts *expert.Store // nil: all weights are in memory
	vocab   int
	types   string // the quantization
	random  *rand.Rand
	steps   *stepTimes // of a profile; nil: none is made
}

func (c *benchCmd) Run(a *app) error {
	if err := c.check(); err != nil {
		return err
	}
	h, err := a.hub()
	if err != nil {
		return err
	}
	resolved, err := h.Resolve(c.Model)
	if err != nil {
		return err
	}
	pool := kernel.NewPool(c.Threads)
	defer pool.Close()
	b := &bench{benchCmd: c, a: a, path: resolved.Path, pool: pool, random: rand.New(rand.NewPCG(4747, 1))}
	r, err := b.measure()
	if err != nil {
		return err
	}
	if c.JSON {
		return a.printJSON(r)
	}
	return r.print(a)
}

func (c *benchCmd) check() error {
	for _, n := range []struct {
		name        string
		value       int
		least, most int
	}{{"prompt", c.Prompt, 1, 1 << 20}, {"generate", c.Generate, 2, 1 << 20}, {"runs", c.Runs, 1, 1000}, {"threads", c.Threads, 0, 1024}} {
		if n.value < n.least || n.value > n.most {
			return errInput.Because("--%s is %d: %d to %d are possible", n.name, n.value, n.least, n.most)
		}
	}
	if len(c.Batch) > 32 {
		return errInput.Because("--batch has %d numbers: at most 32 are measured", len(c.Batch))
	}
	for _, n := range c.Batch {
		if n < 1 || n > 1024 {
			return errInput.Because("--batch has %d: 1 to 1024 answers at once are possible", n)
		}
	}
	return nil
}

// most is how many answers are written at once at most.
func (c *benchCmd) most() int { return slices.Max(append([]int{1}, c.Batch...)) }

// measure runs everything. The peak of memory is read before what serving does not need: further loads,
// and the buffer that bandwidth is measured with.
func (b *bench) measure() (*benchResult, error) {
	r := &benchResult{Model: b.Model, CPU: cpuName(), Threads: b.pool.Threads(),
		Implementations: kernel.Implementations(), PromptTokens: b.Prompt, GenerateTokens: b.Generate, Guess: b.Guess, Runs: b.Runs, Batch: []batchSpeed{}}
	b.progress("loading the model")
	load, packed, closeModel, err := b.open()
	if err != nil {
		return nil, err
	}
	r.Quantization = b.types
	if err := b.speeds(r); err != nil {
		closeModel()
		return nil, err
	}
	r.PeakRSS = peakRSS()
	closeModel()
	b.progress("measuring the machine's limits")
	limits, err := b.pool.Measure(bandwidthBytes)
	if err != nil {
		return nil, err
	}
	r.Bandwidth = limits.Bytes
	loads, packs, spent := []float64{load}, []float64{packed}, packed
	for len(loads) < b.Runs && spent+packed < loadLimit.Seconds() {
		b.progress("loading again, %d of %d", len(loads)+1, b.Runs)
		debug.FreeOSMemory()
		again, packed, closeAgain, err := b.open()
		if err != nil {
			return nil, err
		}
		closeAgain()
		loads, packs, spent = append(loads, again), append(packs, packed), spent+packed
		if err := b.a.ctx.Err(); err != nil {
			return nil, err
		}
	}
	r.Load, r.Packed = median(loads), median(packs)
	if b.Profile {
		r.Profile, err = b.profile()
	}
	return r, err
}

// open loads the model as serving does, and starts an engine that has room for the largest batch: after load seconds it
// could answer, after packed its speed is what it stays.
func (b *bench) open() (load, packed float64, closeModel func(), err error) {
	start := time.Now()
	f, err := weights.Open(b.path)
	if err != nil {
		return 0, 0, nil, err
	}
	defer f.Close()
	plan, err := zoo.Inspect(f)
	if err != nil {
		return 0, 0, nil, err
	}
	if plan.Encoder {
		return 0, 0, nil, errInput.Because("%s gives embeddings and writes nothing: bench measures models that write", b.Model)
	}
	longest := max(b.Prompt+2, b.Generate+4)
	if longest > plan.Config.Context {
		return 0, 0, nil, errInput.Because("%s reads %d tokens: give a shorter --prompt (%d) or --generate (%d)", b.Model, plan.Config.Context, b.Prompt, b.Generate)
	}
	most := b.most()
	room := (b.Generate + 2*engine.BlockTokens) * most
	o := engine.Options{Context: longest, Tokens: max(room, 4*longest), Slots: max(most, 4), Queue: most + 1}
	if !b.Guess {
		o.Draft = -1
	}
	if b.steps != nil {
		o.Observe = b.steps.observe
	}
	if b.Cache == "q8" {
		o.CacheType = kernel.CacheQ8
	}
	if _, err := prompt.Tokenizer(f); err != nil {
		return 0, 0, nil, err
	}
	if b.memory, err = engine.Fit(plan.Config, plan.Weights, b.limit(), &o); err != nil {
		return 0, 0, nil, err
	}
	network, err := zoo.Open(f, zoo.Options{Pool: b.pool, ExpertRoom: b.memory.ExpertRoom(), Early: true})
	if err != nil {
		return 0, 0, nil, err
	}
	b.experts = network.Experts
	b.vocab, b.types = network.Config.Vocab, f.MainType().String()
	if b.engine, err = engine.New(network.Model, network.Config, b.pool, o); err != nil {
		network.Close()
		return 0, 0, nil, err
	}
	load = time.Since(start).Seconds()
	closeModel = func() { b.engine.Close(); network.Close() }
	if err := network.Wait(); err != nil {
		closeModel()
		return 0, 0, nil, err
	}
	return load, time.Since(start).Seconds(), closeModel, nil
}

// speeds measures reading, writing several at once, and writing, each after a run that is not counted. Writing is the last, so that the
// memory it is bound by is measured in the moment behind it: neighbours of a shared host come and go.
func (b *bench) speeds(r *benchResult) (err error) {
	use := &expertUse{}
	if b.memory.Experts != nil {
		use.Experts, r.Experts = *b.memory.Experts, use
	}
	use.Prompt, err = b.watchExperts(b.Prompt, func() (err error) {
		r.Prompt, err = b.repeat("reading "+strconv.Itoa(b.Prompt)+" tokens", b.readOnce)
		return err
	})
	if err != nil {
		return err
	}
	several := 0
	for _, n := range b.Batch {
		r.Batch = append(r.Batch, batchSpeed{N: n})
		if n > 1 {
			several += n * b.Generate
		}
	}
	if use.Batch, err = b.watchExperts(several, func() error { return b.batches(r.Batch) }); err != nil {
		return err
	}
	if r.BytesPerToken, err = b.bytesPerToken(); err != nil {
		return err
	}
	use.Generate, err = b.watchExperts(b.Generate, func() (err error) {
		r.Generate, err = b.repeat("writing "+strconv.Itoa(b.Generate)+" tokens", func() (float64, error) { return b.writeOnce(1) })
		return err
	})
	for i := range r.Batch {
		if r.Batch[i].N == 1 {
			r.Batch[i].Generate = r.Generate
		}
	}
	return err
}

// batches measures answers that are written at once.
func (b *bench) batches(speeds []batchSpeed) (err error) {
	for i := range speeds {
		n := speeds[i].N
		if n == 1 {
			continue
		}
		what := fmt.Sprintf("writing %d times %d tokens at once", n, b.Generate)
		if speeds[i].Generate, err = b.repeat(what, func() (float64, error) { return b.writeOnce(n) }); err != nil {
			return err
		}
	}
	return nil
}

// bytesPerToken counts in a run of its own what writing one answer reads: tracing takes time.
func (b *bench) bytesPerToken() (float64, error) {
	b.progress("counting what a token reads")
	counted := &stepTimes{}
	b.settle()
	b.pool.SetTrace(counted.trace)
	_, err := b.writeOnce(1)
	b.settle()
	b.pool.SetTrace(nil)
	var bytes int64
	for _, w := range counted.work {
		bytes += w.Bytes
	}
	return float64(bytes) / float64(b.Generate), err
}

func (b *bench) repeat(what string, once func() (float64, error)) (float64, error) {
	var values []float64
	for run := range b.Runs + 1 {
		if run == 0 {
			b.progress("%s: warming up", what)
		} else {
			b.progress("%s: %d of %d", what, run, b.Runs)
		}
		v, err := once()
		if err != nil {
			return 0, err
		}
		if run > 0 {
			values = append(values, v)
		}
	}
	return median(values), nil
}

// readOnce is the speed of one prompt, from its submission to the first token behind it.
func (b *bench) readOnce() (float64, error) {
	start := time.Now()
	l, err := b.submit(b.Prompt, 1)
	if err != nil {
		return 0, err
	}
	if err := l.read(b.a.ctx); err != nil {
		return 0, err
	}
	return float64(b.Prompt) / l.first.Sub(start).Seconds(), nil
}

// writeOnce is the speed of n answers at once, from the first token of any to the last of all. The
// prompt is one token, so that writing alone is measured, from an empty context.
func (b *bench) writeOnce(n int) (float64, error) {
	laps := make([]*lap, n)
	for i := range laps {
		l, err := b.submit(1, b.Generate)
		if err != nil {
			return 0, err
		}
		defer l.stream.Close()
		laps[i] = l
	}
	failed := make(chan error, n)
	for _, l := range laps {
		go func() { failed <- l.read(b.a.ctx) }()
	}
	var errs []error
	for range laps {
		errs = append(errs, <-failed)
	}
	if err := errors.Join(errs...); err != nil {
		return 0, err
	}
	first, last := laps[0].first, laps[0].last
	for _, l := range laps {
		if l.first.Before(first) {
			first = l.first
		}
		if l.last.After(last) {
			last = l.last
		}
	}
	return float64(n*(b.Generate-1)) / last.Sub(first).Seconds(), nil
}

// lap is one request and when its tokens came.
type lap struct {
	stream      *engine.Stream
	want        int
	first, last time.Time
}

// submit asks for exactly answer tokens behind a random prompt, so that nothing of it is known already.
func (b *bench) submit(prompt, answer int) (*lap, error) {
	ids := make([]int32, prompt)
	for i := range ids {
		ids[i] = int32(b.random.IntN(b.vocab))
	}
	// A salt of its own keeps one token's prompt from being the same as another's.
	r := &engine.Request{Prompt: ids, Salt: strconv.FormatUint(b.random.Uint64(), 36), MaxTokens: answer, IgnoreEnd: true, Logprobs: -1}
	st, err := b.engine.Submit(b.a.ctx, r)
	return &lap{stream: st, want: answer}, err
}

func (l *lap) read(ctx context.Context) error {
	defer l.stream.Close()
	got := 0
	for {
		ev, err := l.stream.Next(ctx)
		switch {
		case errors.Is(err, io.EOF) && got != l.want:
			return fmt.Errorf("the engine gave %d tokens of %d", got, l.want)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case ev.Err != nil:
			return ev.Err
		case ev.Kind == engine.Token:
			l.last = time.Now()
			if got == 0 {
				l.first = l.last
			}
			got++
		}
	}
}

// median of values; they are sorted.
func median(values []float64) float64 {
	slices.Sort(values)
	n := len(values)
	if n%2 == 1 {
		return values[n/2]
	}
	return (values[n/2-1] + values[n/2]) / 2
}

// progress tells people what is being measured: always for a table, and with --json where somebody watches.
func (b *bench) progress(format string, args ...any) {
	if !b.JSON || isTerminal(b.a.err) {
		b.a.say("bench: "+format, args...)
	}
}

func (r *benchResult) print(a *app) error {
	fmt.Fprintf(a.out, "%s (%s) on %s, %d thread(s), kernels %s, medians of %d runs\n\n", printable(r.Model), r.Quantization, r.CPU, r.Threads,
		strings.Join(r.Implementations, " "), r.Runs)
	err := table(a.out, "WHAT\tMEDIAN\tUNIT", func(row func(...string)) {
		row("memory bandwidth", fmt.Sprintf("%.1f", r.Bandwidth/1e9), "GB/s")
		row("load", fmt.Sprintf("%.2f", r.Load), "s")
		row("all packed", fmt.Sprintf("%.2f", r.Packed), "s")
		row(fmt.Sprintf("read a prompt of %d", r.PromptTokens), fmt.Sprintf("%.1f", r.Prompt), "tokens/s")
		row(fmt.Sprintf("write %d", r.GenerateTokens), fmt.Sprintf("%.1f", r.Generate), "tokens/s")
		for _, s := range r.Batch {
			row(fmt.Sprintf("write %d, %d at once", r.GenerateTokens, s.N), fmt.Sprintf("%.1f", s.Generate), "tokens/s together")
		}
		if r.BytesPerToken > 0 {
			row("read to write a token", size(int64(r.BytesPerToken)), fmt.Sprintf("%.0f %% of the bandwidth", 100*r.BytesPerToken*r.Generate/r.Bandwidth))
		}
		if r.Experts != nil {
			r.Experts.print(row)
		}
		if r.PeakRSS > 0 {
			row("peak memory", size(r.PeakRSS), "of the whole process")
		}
	})
	if err != nil || r.Profile == nil {
		return err
	}
	for _, p := range []*profile{r.Profile.Prompt, r.Profile.Generate, r.Profile.Batch} {
		if p != nil {
			if err := p.print(a); err != nil {
				return err
			}
		}
	}
	return nil
}

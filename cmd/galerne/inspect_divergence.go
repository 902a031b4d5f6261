package main

import (
	"fmt"
	"math"
	"slices"

	"github.com/galerne-ai/galerne/internal/kernel"
	"github.com/galerne-ai/galerne/internal/tokenizer"
)

// inspectDivergenceCmd measures as llama-perplexity --kl-divergence does: the text in chunks of --context
// tokens, the first of each replaced by the model's begin token if it has one, and what is expected
// behind each token of a chunk's second half compared.
type inspectDivergenceCmd struct {
	Model   string `arg:"" help:"A catalogue name, a .gguf file or a folder of safetensors."`
	Exact   string `required:"" help:"The same model with weights that were not rounded, as far as there are any: F32, F16, BF16." placeholder:"MODEL"`
	Context int    `help:"Tokens of a chunk of the text, of which the second half is compared." default:"512" placeholder:"TOKENS"`
	Chunks  int    `help:"Chunks that are compared. Default: all." placeholder:"N"`
	Threads int    `help:"Threads for computing. Default: one a CPU." placeholder:"N"`

	Deterministic bool `help:"Read the text with the arithmetic that answers are written with, as serve --deterministic does."`
}

// divergences is how far one model's expectations are from another's, over many positions.
type divergences struct {
	Tokens     int     `json:"tokens"`          // read
	Compared   int     `json:"compared"`        // positions
	Mean       float64 `json:"mean_divergence"` // Kullback-Leibler, of MODEL from the exact one, in nats
	Error      float64 `json:"mean_error"`      // the mean's standard error
	Worst      float64 `json:"worst_divergence"`
	SameFirst  float64 `json:"same_first"` // share of positions whose most likely token is the same
	Perplexity float64 `json:"perplexity"`
	Exact      float64 `json:"exact_perplexity"`
}

func (c *inspectDivergenceCmd) Run(a *app) error {
	if err := checkThreads(c.Threads); err != nil {
		return err
	}
	if c.Context < 4 || c.Chunks < 0 {
		return errInput.Because("--context is %d and --chunks %d: a chunk has 4 tokens or more, --chunks 0 takes all", c.Context, c.Chunks)
	}
	for _, name := range []string{c.Model, c.Exact} {
		if _, err := a.inspectWriter(name, c.Context); err != nil {
			return err
		}
	}
	chunks, err := c.chunks(a)
	if err != nil {
		return err
	}
	pool := kernel.NewPool(c.Threads)
	defer pool.Close()
	n, err := a.openNetwork(c.Model, pool, c.Context, c.Deterministic)
	if err != nil {
		return err
	}
	defer n.close()
	exact, err := a.openNetwork(c.Exact, pool, c.Context, c.Deterministic)
	if err != nil {
		return err
	}
	defer exact.close()
	if n.Config.Vocab != exact.Config.Vocab {
		return errInput.Because("%s has %d tokens and %s has %d: they are not the same model", c.Model, n.Config.Vocab, c.Exact, exact.Config.Vocab)
	}
	d := &divergences{}
	for i, chunk := range chunks {
		a.say("inspect: chunk %d of %d", i+1, len(chunks))
		if err := d.add(a, n, exact, chunk); err != nil {
			return err
		}
	}
	d.finish()
	return a.printLine(d)
}

// chunks reads the text and gives its tokens: a chunk, and the token behind its last only where the next
// chunk begins, which is not compared.
func (c *inspectDivergenceCmd) chunks(a *app) ([][]int32, error) {
	v, err := a.openVocabulary(c.Model)
	if err != nil {
		return nil, err
	}
	text, err := a.readInput("the text")
	if err != nil {
		return nil, err
	}
	ids := v.Encode(nil, string(text), tokenizer.EncodeOptions{AddSpecial: true})
	begin := v.Encode(nil, "", tokenizer.EncodeOptions{AddSpecial: true})
	if len(ids) < c.Context {
		return nil, errInput.Because("the text has %d tokens and a chunk %d: give a longer text or a smaller --context", len(ids), c.Context)
	}
	var out [][]int32
	for at := 0; at+c.Context <= len(ids) && (c.Chunks == 0 || len(out) < c.Chunks); at += c.Context {
		chunk := slices.Clone(ids[at : at+c.Context])
		if len(begin) > 0 {
			chunk[0] = begin[0]
		}
		out = append(out, chunk)
	}
	return out, nil
}

// add compares the second half of a chunk, each position with the token that follows it in the chunk.
func (d *divergences) add(a *app, n, exact *openNetwork, chunk []int32) error {
	vocab := n.Config.Vocab
	p := make([]float32, vocab)
	for at := 0; at < len(chunk); at += logitRows {
		if err := a.ctx.Err(); err != nil {
			return err
		}
		rows := min(logitRows, len(chunk)-at)
		first := min(rows, max(0, len(chunk)/2-at))
		got, err := n.forward(chunk[at:at+rows], at, first)
		if err != nil {
			return err
		}
		want, err := exact.forward(chunk[at:at+rows], at, first)
		if err != nil {
			return err
		}
		for i := first; i < rows && at+i+1 < len(chunk); i++ {
			row := (i - first) * vocab
			d.compare(got[row:row+vocab], want[row:row+vocab], p, chunk[at+i+1])
		}
	}
	d.Tokens += len(chunk)
	if math.IsNaN(d.Mean) || math.IsInf(d.Mean, 0) {
		return fmt.Errorf("a network gave what is no number: a file is damaged, or the model overflows")
	}
	return nil
}

// compare adds Σ p·ln(p/q) of softmaxes p of want and q of got, and what both thought of the next token.
// scratch is as long as they are.
func (d *divergences) compare(got, want, scratch []float32, next int32) {
	q, p := logSum(got), logSum(want)
	copy(scratch, want)
	kernel.Softmax(scratch)
	var sum float64
	for i, v := range scratch {
		sum += float64(v) * (float64(want[i]) - p - (float64(got[i]) - q))
	}
	d.Compared++
	d.Mean, d.Error = d.Mean+sum, d.Error+sum*sum
	d.Worst = max(d.Worst, sum)
	d.Perplexity += q - float64(got[next])
	d.Exact += p - float64(want[next])
	if slices.Index(got, slices.Max(got)) == slices.Index(want, slices.Max(want)) {
		d.SameFirst++
	}
}

// finish makes means of the sums; that of Error is of squares.
func (d *divergences) finish() {
	n := float64(d.Compared)
	d.Mean, d.SameFirst = d.Mean/n, d.SameFirst/n
	d.Error = math.Sqrt(max(0, d.Error/n-d.Mean*d.Mean) / max(1, n-1))
	d.Perplexity, d.Exact = math.Exp(d.Perplexity/n), math.Exp(d.Exact/n)
}

// logSum is ln Σ exp(x).
func logSum(x []float32) float64 {
	most := float64(slices.Max(x))
	var sum float64
	for _, v := range x {
		sum += math.Exp(float64(v) - most)
	}
	return most + math.Log(sum)
}

package main

import (
	"bufio"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/galerne-ai/galerne/internal/engine"
	"github.com/galerne-ai/galerne/internal/kernel"
	"github.com/galerne-ai/galerne/internal/kv"
	"github.com/galerne-ai/galerne/internal/model"
	"github.com/galerne-ai/galerne/internal/serve"
	"github.com/galerne-ai/galerne/internal/zoo"
)

type inspectLogitsCmd struct {
	Model   string `arg:"" help:"A catalogue name, a .gguf file or a folder of safetensors."`
	Tokens  string `required:"" help:"The tokens that the model reads: 1,2,3; or - to read them from standard input." placeholder:"IDS"`
	All     bool   `help:"The logits behind every token; else behind the last one only."`
	Threads int    `help:"Threads for computing. Default: one a CPU." placeholder:"N"`

	Deterministic bool `help:"Read the tokens with the arithmetic that answers are written with, as serve --deterministic does."`
}

// logitRows is how many tokens run in one step: the logits of so many are in memory at once.
const logitRows = 64

func (c *inspectLogitsCmd) Run(a *app) error {
	if err := checkThreads(c.Threads); err != nil {
		return err
	}
	ids, err := c.ids(a)
	if err != nil {
		return err
	}
	plan, err := a.inspectWriter(c.Model, len(ids))
	if err != nil {
		return err
	}
	for i, id := range ids {
		if int(id) >= plan.Config.Vocab {
			return errInput.Because("token %d of --tokens is %d, the vocabulary has 0 to %d", i+1, id, plan.Config.Vocab-1)
		}
	}
	pool := kernel.NewPool(c.Threads)
	defer pool.Close()
	n, err := a.openNetwork(c.Model, pool, len(ids), c.Deterministic)
	if err != nil {
		return err
	}
	defer n.close()
	return c.write(a, n, ids)
}

func checkThreads(n int) error {
	if n < 0 {
		return errInput.Because("--threads is %d: 0 is one a CPU, or give a number of threads", n)
	}
	return nil
}

// ids reads --tokens.
func (c *inspectLogitsCmd) ids(a *app) ([]int32, error) {
	text := c.Tokens
	if text == "-" {
		input, err := a.readInput("token ids")
		if err != nil {
			return nil, err
		}
		text = string(input)
	}
	var ids []int32
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(", \t\r\n[]", r) }) {
		id, err := strconv.ParseInt(word, 10, 32)
		if err != nil || id < 0 {
			return nil, errInput.Because("token %d of --tokens is %.40q: it must be a number from 0 on, as in --tokens 1,2,3", len(ids)+1, word)
		}
		ids = append(ids, int32(id))
	}
	if len(ids) == 0 {
		return nil, errInput.Because("--tokens names no token: give at least one, as in --tokens 1,2,3")
	}
	return ids, nil
}

// write runs the network and writes {"logits":[[...]]} as the rows come.
func (c *inspectLogitsCmd) write(a *app, n *openNetwork, ids []int32) error {
	out := bufio.NewWriterSize(a.out, 1<<16)
	out.WriteString(`{"logits":[`)
	for at := 0; at < len(ids); at += logitRows {
		if err := a.ctx.Err(); err != nil {
			return err
		}
		rows, first := min(logitRows, len(ids)-at), 0
		if !c.All {
			first = max(0, len(ids)-1-at)
		}
		logits, err := n.forward(ids[at:at+rows], at, first)
		if err != nil {
			return err
		}
		if err := writeRows(out, logits, n.Config.Vocab, at > 0 && c.All); err != nil {
			return err
		}
	}
	out.WriteString("]}\n")
	return out.Flush()
}

// writeRows writes rows of numbers, each as the shortest decimal that is that float32 and no other.
func writeRows(out *bufio.Writer, logits []float32, width int, more bool) error {
	var buffer []byte
	for at := 0; at < len(logits); at += width {
		buffer = buffer[:0]
		if more || at > 0 {
			buffer = append(buffer, ',')
		}
		buffer = append(buffer, '[')
		for i, v := range logits[at : at+width] {
			if v-v != 0 {
				return fmt.Errorf("the network gave %v for token %d, which is no number: the file is damaged, or the model overflows", v, i)
			}
			if i > 0 {
				buffer = append(buffer, ',')
			}
			buffer = strconv.AppendFloat(buffer, float64(v), 'g', -1, 32)
		}
		if _, err := out.Write(append(buffer, ']')); err != nil {
			return err
		}
	}
	return nil
}

// inspectWriter tells what is in a model's files, which must be one that writes and reads so many tokens.
func (a *app) inspectWriter(name string, tokens int) (*zoo.Plan, error) {
	f, err := a.openWeights(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	plan, err := zoo.Inspect(f)
	switch {
	case err != nil:
		return nil, err
	case plan.Encoder:
		return nil, errInput.Because("%s gives embeddings and has no logits: choose a model that writes", name)
	case tokens > plan.Config.Context:
		return nil, errInput.Because("%d tokens are more than the %d that %s reads: give fewer", tokens, plan.Config.Context, name)
	}
	return plan, nil
}

// openNetwork is a network with keys and values of one sequence.
type openNetwork struct {
	*zoo.Network
	cache *kv.Cache
	batch model.Batch
	table []int32
	read  bool // as prompts are
}

// openNetwork loads a model that inspectWriter has seen.
func (a *app) openNetwork(name string, pool *kernel.Pool, tokens int, deterministic bool) (*openNetwork, error) {
	f, err := a.openWeights(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	plan, err := zoo.Inspect(f)
	if err != nil {
		return nil, err
	}
	o := engine.Options{Context: tokens, Tokens: tokens, Prompt: logitRows, Budget: logitRows, Slots: logitRows}
	memory, err := engine.Fit(plan.Config, plan.Weights, serve.FreeMemory()/10*9, &o)
	if err != nil {
		return nil, err
	}
	network, err := zoo.Open(f, zoo.Options{Pool: pool, ExpertRoom: memory.ExpertRoom()})
	if err != nil {
		return nil, err
	}
	const blockTokens = 32
	c := network.Config
	n := &openNetwork{Network: network, read: !deterministic, table: make([]int32, (tokens+blockTokens-1)/blockTokens)}
	for i := range n.table {
		n.table[i] = int32(i)
	}
	layout := kernel.NewCacheLayout(c.KVHeads, c.HeadDim, blockTokens, kernel.CacheF16)
	if n.cache, err = kv.NewCache(layout, c.Layers, len(n.table)); err != nil {
		network.Close()
		return nil, err
	}
	n.batch = model.Batch{Cache: n.cache, Pool: pool}
	return n, nil
}

func (n *openNetwork) close() {
	n.cache.Close()
	n.Network.Close()
}

// forward reads ids at positions from at on, after those before them, and gives the logits
// [len(ids)-first][vocabulary] of the rows from first on. They are valid until the next call.
func (n *openNetwork) forward(ids []int32, at, first int) ([]float32, error) {
	b := &n.batch
	b.Tokens, b.Positions, b.Want = ids, b.Positions[:0], b.Want[:0]
	b.Spans = append(b.Spans[:0], kv.Span{Rows: len(ids), Pos: at, Table: n.table, Read: n.read})
	for i := range ids {
		b.Positions = append(b.Positions, int32(at+i))
		if i >= first {
			b.Want = append(b.Want, int32(i))
		}
	}
	size := len(b.Want) * n.Config.Vocab
	b.Logits = slices.Grow(b.Logits[:0], size)[:size]
	n.Model.Forward(b)
	return b.Logits, b.Err
}

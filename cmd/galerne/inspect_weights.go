package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/galerne-ai/galerne/internal/kernel"
	"github.com/galerne-ai/galerne/internal/kv"
	"github.com/galerne-ai/galerne/internal/model"
	"github.com/galerne-ai/galerne/internal/weights"
	"github.com/galerne-ai/galerne/internal/zoo"
)

// openWeights opens a model's files.
func (a *app) openWeights(name string) (*weights.File, error) {
	h, err := a.hub()
	if err != nil {
		return nil, err
	}
	r, err := h.Resolve(name)
	if err != nil {
		return nil, err
	}
	return weights.Open(r.Path)
}

type inspectLogitsCmd struct {
	Model   string `arg:"" help:"A catalogue name, a .gguf file or a folder of safetensors."`
	Tokens  string `required:"" help:"The tokens that the model reads: 1,2,3; or - to read them from standard input." placeholder:"IDS"`
	All     bool   `help:"The logits behind every token; else behind the last one only."`
	Threads int    `help:"Threads for computing. Default: one a CPU." placeholder:"N"`
}

// logitRows is how many tokens run in one step: with --all, the logits of so many are in memory at once.
const logitRows = 64

func (c *inspectLogitsCmd) Run(a *app) error {
	if c.Threads < 0 {
		return errInput.Because("--threads is %d: 0 is one a CPU, or give a number of threads", c.Threads)
	}
	ids, err := c.ids(a)
	if err != nil {
		return err
	}
	f, err := a.openWeights(c.Model)
	if err != nil {
		return err
	}
	defer f.Close()
	plan, err := zoo.Inspect(f)
	if err != nil {
		return err
	}
	n := plan.Config
	switch {
	case plan.Encoder:
		return errInput.Because("%s gives embeddings and has no logits: choose a model that writes", c.Model)
	case len(ids) > n.Context:
		return errInput.Because("%d tokens are more than the %d that %s reads: give fewer", len(ids), n.Context, c.Model)
	}
	for i, id := range ids {
		if int(id) >= n.Vocab {
			return errInput.Because("token %d of --tokens is %d, the vocabulary has 0 to %d", i+1, id, n.Vocab-1)
		}
	}
	pool := kernel.NewPool(c.Threads)
	defer pool.Close()
	network, err := zoo.Open(f, zoo.Options{Pool: pool})
	if err != nil {
		return err
	}
	defer network.Close()
	return c.write(a, network, pool, ids)
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
func (c *inspectLogitsCmd) write(a *app, network *zoo.Network, pool *kernel.Pool, ids []int32) error {
	n := network.Config
	const blockTokens = 32
	layout := kernel.CacheLayout{KVHeads: n.KVHeads, HeadDim: n.HeadDim, BlockTokens: blockTokens}
	table := make([]int32, (len(ids)+blockTokens-1)/blockTokens)
	for i := range table {
		table[i] = int32(i)
	}
	cache, err := kv.NewCache(layout, n.Layers, len(table))
	if err != nil {
		return err
	}
	defer cache.Close()
	out := bufio.NewWriterSize(a.out, 1<<16)
	out.WriteString(`{"logits":[`)
	batch := &model.Batch{Cache: cache, Pool: pool}
	for at := 0; at < len(ids); at += logitRows {
		if err := a.ctx.Err(); err != nil {
			return err
		}
		rows := min(logitRows, len(ids)-at)
		batch.Tokens, batch.Positions, batch.Want = ids[at:at+rows], batch.Positions[:0], batch.Want[:0]
		batch.Spans = append(batch.Spans[:0], kv.Span{Rows: rows, Pos: at, Table: table})
		for i := range rows {
			batch.Positions = append(batch.Positions, int32(at+i))
			if c.All || at+i == len(ids)-1 {
				batch.Want = append(batch.Want, int32(i))
			}
		}
		batch.Logits = make([]float32, len(batch.Want)*n.Vocab)
		network.Model.Forward(batch)
		if err := writeRows(out, batch.Logits, n.Vocab, at > 0 && c.All); err != nil {
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

type inspectWeightsCmd struct {
	Model string `arg:"" help:"A catalogue name, a .gguf file or a folder of safetensors."`
	JSON  bool   `name:"json" xor:"form" help:"Print JSON. Default where standard output is no terminal."`
	Table bool   `xor:"form" help:"Print a table. Default on a terminal."`
}

// weightsFacts is what inspect weights prints.
type weightsFacts struct {
	Path         string          `json:"path"`
	Format       string          `json:"format"`
	Files        []string        `json:"files"`
	FileBytes    int64           `json:"file_bytes"`
	TensorBytes  int64           `json:"tensor_bytes"`
	Parameters   int64           `json:"parameters"`
	Quantization string          `json:"quantization"`
	Metadata     ordered         `json:"metadata"`
	Config       json.RawMessage `json:"config,omitempty"` // config.json beside safetensors
	Tensors      []tensorFacts   `json:"tensors"`
	Skipped      []skippedFacts  `json:"skipped,omitempty"` // what no network computes with
}

type tensorFacts struct {
	Name       string `json:"name"`
	Type       string `json:"type"`
	Shape      []int  `json:"shape"`
	Bytes      int    `json:"bytes"`
	Parameters int    `json:"parameters"`
	File       int    `json:"file"` // index into files
	Offset     int64  `json:"offset"`
}

type skippedFacts struct {
	Name  string `json:"name"`
	Type  string `json:"type"`
	Shape []int  `json:"shape"`
}

func (c *inspectWeightsCmd) Run(a *app) error {
	f, err := a.openWeights(c.Model)
	if err != nil {
		return err
	}
	defer f.Close()
	facts := &weightsFacts{Path: f.Path, Format: f.Format, FileBytes: f.FileBytes(), TensorBytes: f.TensorBytes(), Parameters: f.Parameters(),
		Quantization: f.MainType().String(), Metadata: metadataOf(f.Meta), Tensors: []tensorFacts{}}
	if json.Valid(f.Config) {
		facts.Config = f.Config
	}
	for _, path := range f.Parts() {
		facts.Files = append(facts.Files, filepath.Base(path))
	}
	for _, t := range f.Tensors() {
		facts.Tensors = append(facts.Tensors, tensorFacts{t.Name, t.Type.String(), append([]int{}, t.Shape...), t.Bytes(), t.Elems(), t.Part, t.Offset})
	}
	for _, t := range f.Skipped() {
		facts.Skipped = append(facts.Skipped, skippedFacts{t.Name, t.Type, append([]int{}, t.Shape...)})
	}
	if c.JSON || !c.Table && !isTerminal(a.out) {
		return a.printJSON(facts)
	}
	return facts.print(a)
}

func (w *weightsFacts) print(a *app) error {
	fmt.Fprintf(a.out, "%s: %s, %s in %d file(s), %s parameters, mostly %s\n\n", printable(w.Path), w.Format, size(w.FileBytes), len(w.Files), count(w.Parameters), w.Quantization)
	if len(w.Metadata) > 0 {
		err := table(a.out, "METADATA\tVALUE", func(row func(...string)) {
			for _, m := range w.Metadata {
				row(m.name, shortened(m.value))
			}
		})
		if err != nil {
			return err
		}
		fmt.Fprintln(a.out)
	}
	err := table(a.out, "TENSOR\tTYPE\tSHAPE\tBYTES\tPARAMETERS", func(row func(...string)) {
		for _, t := range w.Tensors {
			row(t.Name, t.Type, shapeText(t.Shape), strconv.Itoa(t.Bytes), strconv.Itoa(t.Parameters))
		}
	})
	if err != nil || len(w.Skipped) == 0 {
		return err
	}
	fmt.Fprintln(a.out, "\nNot numbers to compute with:")
	return table(a.out, "TENSOR\tTYPE\tSHAPE", func(row func(...string)) {
		for _, t := range w.Skipped {
			row(t.Name, t.Type, shapeText(t.Shape))
		}
	})
}

func shapeText(shape []int) string {
	words := make([]string, len(shape))
	for i, n := range shape {
		words[i] = strconv.Itoa(n)
	}
	return strings.Join(words, " x ")
}

// shortened is a value for a table; what is left out is counted.
func shortened(v any) string {
	if l, ok := v.(*longArray); ok {
		return fmt.Sprintf("%s of %d: %s …", l.Type, l.Length, shortened(l.First))
	}
	var text bytes.Buffer
	if err := appendJSON(&text, v); err != nil {
		return err.Error()
	}
	const most = 80
	if runes := []rune(text.String()); len(runes) > most {
		return fmt.Sprintf("%s … (%d bytes)", string(runes[:most]), text.Len())
	}
	return text.String()
}

// ordered is a JSON object that keeps its order.
type ordered []member

type member struct {
	name  string
	value any
}

// MarshalJSON implements json.Marshaler.
func (o ordered) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := appendJSON(&b, m.name); err != nil {
			return nil, err
		}
		b.WriteByte(':')
		if err := appendJSON(&b, m.value); err != nil {
			return nil, err
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// appendJSON writes a value in one line and leaves <, > and & as they are.
func appendJSON(to *bytes.Buffer, v any) error {
	e := json.NewEncoder(to)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	to.Truncate(len(bytes.TrimRight(to.Bytes(), "\n")))
	return err
}

// longArray stands for an array of metadata of more than shortArray elements.
type longArray struct {
	Type   string `json:"type"`
	Length int    `json:"length"`
	First  []any  `json:"first"`
}

const (
	shortArray = 32 // elements that are shown whole
	firstShown = 8  // elements that are shown of a longer one
)

func metadataOf(meta weights.Meta) ordered {
	out := ordered{}
	for _, key := range meta.Keys() {
		var v any
		switch list := meta.Value(key).(type) {
		case []string:
			v = arrayJSON(meta.Type(key), list)
		case []bool:
			v = arrayJSON(meta.Type(key), list)
		case []int64:
			v = arrayJSON(meta.Type(key), list)
		case []uint64:
			v = arrayJSON(meta.Type(key), list)
		case []float32:
			v = arrayJSON(meta.Type(key), list)
		case []float64:
			v = arrayJSON(meta.Type(key), list)
		default:
			v = scalarJSON(list)
		}
		out = append(out, member{key, v})
	}
	return out
}

func arrayJSON[T any](kind string, list []T) any {
	values := make([]any, min(len(list), shortArray))
	for i := range values {
		values[i] = scalarJSON(list[i])
	}
	if len(list) <= shortArray {
		return values
	}
	return &longArray{kind, len(list), slices.Clip(values[:firstShown])}
}

// scalarJSON is a value that JSON can hold: a number that is none becomes text, and text that is not
// UTF-8 an object with its bytes.
func scalarJSON(v any) any {
	switch v := v.(type) {
	case string:
		if !utf8.ValidString(v) {
			return map[string]string{"base64": base64.StdEncoding.EncodeToString([]byte(v))}
		}
	case float32:
		if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
			return fmt.Sprint(f)
		}
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Sprint(v)
		}
	}
	return v
}

package main

import (
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

	"github.com/galerne-ai/galerne/internal/weights"
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

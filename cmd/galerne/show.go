package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/engine"
	"github.com/galerne-ai/galerne/internal/expert"
	"github.com/galerne-ai/galerne/internal/hub"
	"github.com/galerne-ai/galerne/internal/kernel"
	"github.com/galerne-ai/galerne/internal/model"
	"github.com/galerne-ai/galerne/internal/prompt"
	"github.com/galerne-ai/galerne/internal/serve"
	"github.com/galerne-ai/galerne/internal/weights"
	"github.com/galerne-ai/galerne/internal/zoo"
)

type showCmd struct {
	Model   string   `arg:"" help:"A catalogue name, a .gguf file, a folder of safetensors, or a source that was pulled."`
	Context int      `help:"Plan the memory for this context, in tokens; 0: the model's own." placeholder:"TOKENS"`
	Cache   string   `help:"Plan the memory for this type of KV cache: f16 or q8." enum:"f16,q8" default:"f16"`
	Memory  byteSize `help:"Plan for so much memory (16GiB). Default: without a limit." placeholder:"SIZE"`
	JSON    bool     `name:"json" help:"Print JSON."`
}

// modelFacts is what show prints. What is not known is left out.
type modelFacts struct {
	Name         string          `json:"name"`
	Summary      string          `json:"summary,omitempty"`
	Here         bool            `json:"here"`
	Path         string          `json:"path,omitempty"`
	Architecture string          `json:"architecture,omitempty"`
	Parameters   int64           `json:"parameters,omitempty"`
	Bytes        int64           `json:"bytes,omitempty"`
	Roughly      bool            `json:"bytes_roughly,omitempty"` // nobody has counted them yet
	Quantization string          `json:"quantization,omitempty"`
	Types        []typeFacts     `json:"tensor_types,omitempty"`
	Shape        *shapeFacts     `json:"shape,omitempty"`
	Context      int             `json:"context,omitempty"`
	Tokenizer    *tokenizerFacts `json:"tokenizer,omitempty"`
	Licence      *hub.Licence    `json:"licence,omitempty"`
	Sampling     *samplingFacts  `json:"sampling,omitempty"`
	Files        []hub.File      `json:"files,omitempty"`
	Sources      []hub.Parts     `json:"sources,omitempty"` // the one that gave it, or those of the catalogue
	Revision     string          `json:"revision,omitempty"`
	Checked      string          `json:"checked,omitempty"`
	Pulled       string          `json:"pulled,omitempty"`
	Memory       *engine.Memory  `json:"memory,omitempty"`
	Estimated    bool            `json:"memory_estimated,omitempty"` // from the catalogue's numbers
	Template     *string         `json:"chat_template,omitempty"`
	Problems     []string        `json:"problems,omitempty"` // why the model cannot be served
}

type typeFacts struct {
	Type    string `json:"type"`
	Tensors int    `json:"tensors"`
	Bytes   int64  `json:"bytes"`
}

// samplingFacts are how tokens are drawn where a request does not say; from says who says so.
type samplingFacts struct {
	hub.Sampling
	From string `json:"from"`
}

type shapeFacts struct {
	Layers      int `json:"layers"`
	Dim         int `json:"width"`
	Heads       int `json:"heads"`
	KVHeads     int `json:"key_heads"`
	HeadDim     int `json:"head_width"`
	FFN         int `json:"feed_forward"`
	Vocab       int `json:"vocabulary"`
	Experts     int `json:"experts,omitempty"`
	ExpertsUsed int `json:"experts_used,omitempty"`
	Window      int `json:"window,omitempty"`
}

type tokenizerFacts struct {
	Kind   string `json:"kind"`
	Tokens int    `json:"tokens"`
}

func (c *showCmd) Run(a *app) error {
	if c.Context < 0 {
		return fmt.Errorf("--context is %d: give a number of tokens", c.Context)
	}
	h, err := a.hub()
	if err != nil {
		return err
	}
	facts, err := c.facts(h)
	if err != nil {
		return err
	}
	if c.JSON {
		return a.printJSON(facts)
	}
	facts.print(a)
	return nil
}

func (c *showCmd) facts(h *hub.Hub) (*modelFacts, error) {
	r, err := h.Resolve(c.Model)
	entry := h.Catalogue().Find(c.Model)
	if errors.Is(err, hub.ErrNotPulled) && entry != nil {
		return c.ofCatalogue(entry), nil
	}
	if err != nil {
		return nil, err
	}
	facts := &modelFacts{Name: r.Name, Here: true, Path: r.Path}
	if m := r.Manifest; m != nil {
		facts.Licence, facts.Files, facts.Sources, facts.Revision = &m.Licence, m.Files, []hub.Parts{m.Source}, m.Revision
		facts.Checked, facts.Pulled, facts.Quantization = m.Checked, m.Pulled.Format("2006-01-02T15:04:05Z"), m.Quantization
		if e := h.Catalogue().Find(m.Name); e != nil {
			facts.Summary = e.Summary
		}
	}
	word := h.Catalogue().Sampling(r.Name)
	f, err := weights.Open(r.Path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	// A fault of the disk while it is read is an error, not a crash.
	return facts, weights.Guard(r.Path, func() error { c.ofFile(facts, f, word); return nil })
}

func (c *showCmd) ofCatalogue(e *hub.Entry) *modelFacts {
	bytes, exact := e.Bytes()
	facts := &modelFacts{Name: e.Name, Summary: e.Summary, Architecture: e.Architecture, Parameters: e.Parameters, Bytes: bytes, Roughly: !exact,
		Quantization: e.Quantization, Licence: &e.Licence, Files: e.Files, Sources: e.Sources}
	if e.Sampling != nil {
		facts.Sampling = &samplingFacts{*e.Sampling, "catalogue"}
	}
	if s := e.Shape; s != nil {
		facts.Context = s.Context
		facts.Shape = &shapeFacts{s.Layers, s.Width, s.Heads, s.KeyHeads, s.HeadWidth, s.FeedForward, s.Vocabulary, s.Experts, s.ExpertsUsed, s.Window}
	}
	if bytes > 0 {
		facts.Estimated = true
		c.estimate(facts, e)
	}
	return facts
}

// estimate plans the memory of a model that is not here: weights take about what its files do, a mixture's experts their share.
func (c *showCmd) estimate(facts *modelFacts, e *hub.Entry) {
	s := facts.Shape
	if s == nil || e.Use == "embeddings" {
		facts.Memory = &engine.Memory{Weights: facts.Bytes, Total: facts.Bytes}
		return
	}
	w := expert.Weights{Dense: facts.Bytes, Used: s.ExpertsUsed}
	count := s.Layers * s.Experts
	one := float64(facts.Bytes) / float64(max(e.Parameters, 1)) * float64(3*s.Dim*s.FFN)
	if all := int64(float64(count) * one); count > 0 && all < facts.Bytes {
		w.Dense, w.Experts = facts.Bytes-all, []expert.Class{{Count: count, Bytes: int64(one)}}
	}
	c.plan(facts, model.Config{Arch: e.Architecture, Vocab: s.Vocab, Dim: s.Dim, Layers: s.Layers, Heads: s.Heads, KVHeads: s.KVHeads, HeadDim: s.HeadDim, FFN: s.FFN,
		Context: facts.Context, Experts: s.Experts, ExpertsUsed: s.ExpertsUsed, Window: s.Window}, w)
}

// ofFile fills in what the files themselves say. What keeps the model from being served becomes a problem.
func (c *showCmd) ofFile(facts *modelFacts, f *weights.File, word chat.Sampling) {
	facts.Parameters, facts.Bytes, facts.Types = f.Parameters(), f.FileBytes(), typesOf(f)
	facts.Architecture, _ = f.Meta.String("general.architecture")
	facts.Quantization = cmp.Or(facts.Quantization, f.MainType().String())
	if facts.Licence == nil || facts.Licence.SPDX == "" {
		if spdx, ok := f.Meta.String("general.license"); ok {
			link, _ := f.Meta.String("general.license.link")
			facts.Licence = &hub.Licence{SPDX: spdx, Reference: link}
		}
	}
	tokens, err := prompt.Tokenizer(f)
	if err != nil {
		facts.Problems = append(facts.Problems, err.Error())
	} else {
		facts.Tokenizer = &tokenizerFacts{tokens.Kind(), tokens.Size()}
		if text, ok := tokens.ChatTemplate(""); ok {
			facts.Template = &text
			d := serve.DefaultsOf(f, word)
			facts.Sampling = &samplingFacts{hub.Sampling{Temperature: d.Temperature, TopP: d.TopP, TopK: d.TopK, MinP: d.MinP, TypicalP: d.TypicalP, Repetition: d.Repetition}, d.From}
		}
	}
	plan, err := zoo.Inspect(f)
	if err != nil {
		facts.Problems = append(facts.Problems, err.Error())
		return
	}
	n := plan.Config
	facts.Architecture, facts.Context = n.Arch, n.Context
	facts.Shape = &shapeFacts{n.Layers, n.Dim, n.Heads, n.KVHeads, n.HeadDim, n.FFN, n.Vocab, n.Experts, n.ExpertsUsed, n.Window}
	if plan.Encoder {
		facts.Memory = &engine.Memory{Weights: plan.Weights.Total(), Total: plan.Weights.Total()}
		return
	}
	c.plan(facts, n, plan.Weights)
}

// plan says what serving takes, as the flags have it.
func (c *showCmd) plan(facts *modelFacts, n model.Config, w expert.Weights) {
	o := engine.Options{Context: c.Context, CacheType: kernel.CacheF16}
	if c.Cache == "q8" {
		o.CacheType = kernel.CacheQ8
	}
	memory, err := engine.Fit(n, w, int64(c.Memory), &o)
	if err != nil {
		facts.Problems = append(facts.Problems, err.Error())
		return
	}
	facts.Memory = &memory
}

// typesOf counts tensors and bytes a type, the largest first.
func typesOf(f *weights.File) []typeFacts {
	var list []typeFacts
	for _, t := range f.Tensors() {
		name := t.Type.String()
		i := slices.IndexFunc(list, func(x typeFacts) bool { return x.Type == name })
		if i < 0 {
			i = len(list)
			list = append(list, typeFacts{Type: name})
		}
		list[i].Tensors++
		list[i].Bytes += int64(t.Bytes())
	}
	slices.SortStableFunc(list, func(x, y typeFacts) int { return cmp.Compare(y.Bytes, x.Bytes) })
	return list
}

func (m *modelFacts) print(a *app) {
	row := func(name, format string, args ...any) {
		text := printable(fmt.Sprintf(format, args...))
		fmt.Fprintf(a.out, "%-14s %s\n", name, strings.ReplaceAll(text, "\n", "\n               "))
	}
	row("name", "%s", m.Name)
	if m.Summary != "" {
		row("what", "%s", m.Summary)
	}
	m.printPlace(row)
	if s := m.Shape; s != nil {
		text := fmt.Sprintf("%s: %d layers of width %d, %d heads and %d key heads of %d, feed-forward %d", m.Architecture, s.Layers, s.Dim, s.Heads, s.KVHeads, s.HeadDim, s.FFN)
		if s.Experts > 0 {
			text += fmt.Sprintf(", %d experts, %d a token", s.Experts, s.ExpertsUsed)
		}
		if s.Window > 0 {
			text += fmt.Sprintf(", window %d", s.Window)
		}
		row("architecture", "%s", text)
	} else if m.Architecture != "" {
		row("architecture", "%s", m.Architecture)
	}
	row("parameters", "%s (%d)", count(m.Parameters), m.Parameters)
	var types []string
	for _, t := range m.Types {
		types = append(types, fmt.Sprintf("%s %s in %s", t.Type, size(t.Bytes), plural(t.Tensors, "tensor")))
	}
	row("quantization", "%s", strings.TrimSuffix(m.Quantization+": "+strings.Join(types, ", "), ": "))
	if m.Context > 0 {
		row("context", "%d tokens", m.Context)
	}
	if t := m.Tokenizer; t != nil {
		row("tokenizer", "%s, %d tokens", t.Kind, t.Tokens)
	}
	if m.Sampling != nil {
		row("sampling", "%s", m.Sampling)
	}
	m.printLicence(row)
	m.printMemory(row)
	for _, problem := range m.Problems {
		row("problem", "%s", problem)
	}
	if m.Template != nil {
		fmt.Fprintf(a.out, "chat template, %d bytes:\n%s\n", len(*m.Template), printable(strings.TrimRight(*m.Template, "\n")))
	} else if m.Tokenizer != nil {
		row("chat template", "none")
	}
}

func (s *samplingFacts) String() string {
	var words []string
	number := func(name string, v *float64) {
		if v != nil {
			words = append(words, fmt.Sprintf("%s %v", name, *v))
		}
	}
	number("temperature", s.Temperature)
	number("top_p", s.TopP)
	if s.TopK != nil {
		words = append(words, fmt.Sprintf("top_k %d", *s.TopK))
	}
	number("min_p", s.MinP)
	number("typical_p", s.TypicalP)
	number("repetition penalty", s.Repetition)
	return fmt.Sprintf("%s where a request does not set the temperature (%s)", strings.Join(words, ", "), s.From)
}

func (m *modelFacts) printPlace(row func(name, format string, args ...any)) {
	if !m.Here {
		row("here", "no: galerne pull %s", m.Name)
	} else {
		row("path", "%s", m.Path)
	}
	for i, parts := range m.Sources {
		label := "source"
		if i > 0 {
			label = ""
		}
		row(label, "%s", strings.Join(parts, "\n + "))
	}
	if m.Revision != "" {
		row("revision", "%s", m.Revision)
	}
	if m.Pulled != "" {
		row("pulled", "%s, digests checked: %s", m.Pulled, m.Checked)
	}
	about := map[bool]string{true: "about "}[m.Roughly]
	row("size", "%s%s", about, size(m.Bytes))
	for _, f := range m.Files {
		row("  file", "%s  SHA-256 %s", f.Path, f.SHA256)
	}
}

func (m *modelFacts) printLicence(row func(name, format string, args ...any)) {
	if m.Licence == nil || m.Licence.SPDX == "" {
		row("licence", "the files do not say: see where they come from")
		return
	}
	row("licence", "%s", strings.TrimSpace(m.Licence.SPDX+"  "+m.Licence.Reference))
}

func (m *modelFacts) printMemory(row func(name, format string, args ...any)) {
	about, end := "", ""
	if m.Estimated {
		about, end = "about ", " (an estimate from the catalogue)"
	}
	switch mem := m.Memory; {
	case mem == nil:
	case mem.Tokens == 0 && m.Estimated && m.Shape == nil:
		row("memory", "about %s for the weights; how much the cache takes beside them is known after the pull", size(mem.Weights))
	case mem.Tokens == 0:
		row("memory", "%s%s for the weights%s", about, size(mem.Weights), end)
	default:
		row("memory", "%s%s and a cache: weights %s, working memory %s, %s a token; serve plans %d tokens (%s), or as many as there is room for%s",
			about, size(mem.Weights+mem.Scratch), size(mem.Weights), size(mem.Scratch), size(mem.KV/int64(mem.Tokens)), mem.Tokens, size(mem.KV), end)
		if x := mem.Experts; x != nil {
			row("experts", "%s%d of %d stay in memory (%s of %s), the busiest; the others are read from the file when they are needed", about, x.Kept, x.Count, size(x.Room), size(x.Bytes))
		}
	}
}

package serve

import (
	"os"
	"sync"
	"time"

	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/prompt"
	"github.com/galerne-ai/galerne/internal/tokenizer"
	"github.com/galerne-ai/galerne/internal/weights"
	"github.com/galerne-ai/galerne/internal/zoo"
)

// facts are what a model's file tells of it without its weights.
type facts struct {
	arch, quantization, tokenizer, template string
	parameters, bytes                       int64
	context                                 int
	chats, embeds, fills, calls, thinks     bool
	labels                                  []string // of a classifier
	deep                                    bool     // the tokenizer was read too, which says what the model can do
}

// factsOf gathers them. Without a tokenizer and a format, what the model can do is not known.
func factsOf(f *weights.File, plan *zoo.Plan, t *tokenizer.Tokenizer, format *prompt.Format) *facts {
	out := &facts{arch: plan.Config.Arch, quantization: f.MainType().String(), bytes: f.FileBytes(), context: plan.Config.Context,
		embeds: len(plan.Config.Labels) == 0, labels: plan.Config.Labels}
	for _, tensor := range f.Tensors() {
		out.parameters += int64(tensor.Elems())
	}
	if t == nil {
		return out
	}
	out.deep, out.tokenizer = true, t.Kind()
	out.template, out.chats = t.ChatTemplate("")
	out.chats = out.chats && !plan.Encoder
	out.calls, out.thinks, out.fills = out.chats && format.CallsTools(), format.Thinks(), format.FillsMiddle()
	return out
}

// describe tells callers.
func (f *facts) describe(to *chat.Model) {
	to.Arch, to.Quantization, to.Bytes, to.Context, to.Tokenizer, to.Template = f.arch, f.quantization, f.bytes, f.context, f.tokenizer, f.template
	to.Chats, to.Embeds, to.FillsMiddle, to.CallsTools, to.Thinks = f.chats, f.embeds, f.fills, f.calls, f.thinks
	to.Labels = f.labels
	if to.Parameters == 0 {
		to.Parameters = f.parameters
	}
}

// reading remembers the facts of files that are not in memory.
type reading struct {
	mu    sync.Mutex
	files map[string]readFacts // by path
}

type readFacts struct {
	*facts
	modified time.Time
	size     int64
}

// of gives a file's facts, read once as long as the file does not change; nil if it cannot be read,
// which whoever loads it will be told.
func (r *reading) of(path string, deep bool) *facts {
	st, err := os.Stat(path)
	if err != nil {
		return nil
	}
	r.mu.Lock()
	known, ok := r.files[path]
	r.mu.Unlock()
	if ok && known.modified.Equal(st.ModTime()) && known.size == st.Size() && (known.facts == nil || known.deep || !deep) {
		return known.facts
	}
	known = readFacts{readFile(path, deep), st.ModTime(), st.Size()}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.files == nil {
		r.files = map[string]readFacts{}
	}
	r.files[path] = known
	return known.facts
}

func readFile(path string, deep bool) *facts {
	f, err := weights.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	plan, err := zoo.Inspect(f)
	if err != nil {
		return nil
	}
	if !deep {
		return factsOf(f, plan, nil, nil)
	}
	t, err := prompt.Tokenizer(f)
	if err != nil {
		return nil
	}
	format, err := prompt.New(t)
	if err != nil {
		return nil
	}
	return factsOf(f, plan, t, format)
}

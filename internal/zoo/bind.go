package zoo

import (
	"fmt"
	"strings"

	"github.com/galerne-ai/galerne/internal/expert"
	"github.com/galerne-ai/galerne/internal/kernel"
	"github.com/galerne-ai/galerne/internal/nn"
	"github.com/galerne-ai/galerne/internal/weights"
)

// binder takes tensors out of a file by explicit calls and keeps a list of all that is wrong, so that
// one error tells everything.
type binder struct {
	file     *weights.File
	spec     *spec
	names    map[string]string
	options  Options
	problems []string
	more     int   // problems that are only counted
	packed   int64 // memory of the weights
	packing  *packing
	free     []func()
	store    *expert.Store // of experts that are not all in memory; nil: they are
	mixed    *nn.MoE       // the last one that was made
}

func newBinder(f *weights.File, s *spec, o Options) *binder {
	p := &packing{file: f, pool: o.Pool, report: o.Progress, total: f.TensorBytes(),
		stepped: make(chan struct{}), stop: make(chan struct{}), ended: make(chan struct{})}
	return &binder{file: f, spec: s, names: huggingFace(s.Arch), options: o, packing: p}
}

func (b *binder) err() error {
	if len(b.problems) == 0 {
		return nil
	}
	list := b.problems
	if b.more > 0 {
		list = append(list, fmt.Sprintf("and %d more", b.more))
	}
	return ErrTensors.Because("zoo: %s: %d tensors are missing or do not fit:\n  %s", b.file.Path, len(b.problems)+b.more, strings.Join(list, "\n  "))
}

// maxProblems is how many problems an error spells out.
const maxProblems = 20

func (b *binder) wrong(format string, args ...any) {
	if len(b.problems) >= maxProblems {
		b.more++
		return
	}
	b.problems = append(b.problems, fmt.Sprintf(format, args...))
}

// find gives a tensor of exactly that shape, nil (and a problem) if there is none.
func (b *binder) find(name string, shape ...int) *weights.Tensor {
	t := b.tensor(name)
	if t == nil {
		b.wrong("%s %v is missing", name, shape)
		return nil
	}
	if fmt.Sprint(t.Shape) != fmt.Sprint(shape) {
		b.wrong("%s is %v, wanted is %v", name, t.Shape, shape)
		return nil
	}
	return t
}

// tensor looks a name up; some safetensors have a prefix before "model." or lack it.
func (b *binder) tensor(name string) *weights.Tensor {
	if t := b.file.Tensor(name); t != nil || b.spec.gguf {
		return t
	}
	for _, prefix := range []string{"bert.", "roberta.", "language_model.", "model.language_model."} {
		if t := b.file.Tensor(prefix + strings.TrimPrefix(name, "model.")); t != nil {
			return t
		}
		if t := b.file.Tensor(prefix + name); t != nil {
			return t
		}
	}
	return b.file.Tensor(strings.TrimPrefix(name, "model."))
}

// take makes a matrix of some bytes of a tensor, to be packed later.
func (b *binder) take(t *weights.Tensor, rows, cols, from, size int) *kernel.Matrix {
	m, err := kernel.Defer(b.options.Pool, t.Type, rows, cols, t.Data()[from:from+size])
	if err != nil {
		b.wrong("%s: %v", t.Name, err)
		return nil
	}
	b.free = append(b.free, m.Close)
	b.packed += m.Bytes()
	b.packing.matrices = append(b.packing.matrices, deferred{m, t, from, size})
	return m
}

// matrix takes a weight matrix [rows][cols].
func (b *binder) matrix(rows, cols int, pattern string, numbers ...any) *kernel.Matrix {
	t := b.find(b.nameOf(pattern, ".weight", numbers...), rows, cols)
	if t == nil {
		return nil
	}
	return b.take(t, rows, cols, 0, t.Bytes())
}

// linear takes a matrix and its bias, if the file has one.
func (b *binder) linear(rows, cols int, pattern string, numbers ...any) nn.Linear {
	l := nn.Linear{W: b.matrix(rows, cols, pattern, numbers...)}
	if name := b.nameOf(pattern, ".bias", numbers...); b.tensor(name) != nil {
		l.Bias = b.floats(name, rows)
	}
	return l
}

// floats takes a vector.
func (b *binder) floats(name string, n int) []float32 {
	t := b.find(name, n)
	if t == nil {
		return nil
	}
	out := make([]float32, n)
	if t.Type.Elems() != 1 {
		b.wrong("%s is %s, a vector of floats is wanted", name, t.Type)
		return nil
	}
	kernel.Dequantize(t.Type, out, t.Data())
	b.packed += int64(4 * n)
	b.packing.progress(t.Bytes())
	return out
}

// vector takes a vector of n numbers.
func (b *binder) vector(n int, pattern string, numbers ...any) []float32 {
	return b.floats(b.nameOf(pattern, ".weight", numbers...), n)
}

// rmsNorm takes a norm's weights.
func (b *binder) rmsNorm(n int, pattern string, numbers ...any) *nn.RMSNorm {
	return nn.NewRMSNorm(b.vector(n, pattern, numbers...), b.spec.eps)
}

// layerNorm takes a norm's weights and biases.
func (b *binder) layerNorm(n int, pattern string, numbers ...any) *nn.LayerNorm {
	return &nn.LayerNorm{W: b.vector(n, pattern, numbers...), B: b.floats(b.nameOf(pattern, ".bias", numbers...), n), Eps: b.spec.eps}
}

// output takes the matrix of the logits: its own, or the embedding's where they are tied.
func (b *binder) output(embedding *kernel.Matrix) *kernel.Matrix {
	if !b.spec.untied && b.tensor(b.nameOf("output.weight", "")) == nil {
		return embedding
	}
	return b.matrix(b.spec.Vocab, b.spec.Dim, "output")
}

// embedding takes the tokens' vectors.
func (b *binder) embedding() *kernel.Matrix { return b.matrix(b.spec.Vocab, b.spec.Dim, "token_embd") }

// rope makes the turn of all layers, with the divisors that GGUF files of Llama 3 carry.
func (b *binder) rope(base float64, scaling nn.RopeScaling) *nn.Rope {
	s := b.spec
	if s.gguf && b.file.Tensor("rope_freqs.weight") != nil {
		scaling.Divisors = b.floats("rope_freqs.weight", s.ropeDims/2)
	}
	return nn.NewRope(s.ropeDims, base, s.interleaved, scaling)
}

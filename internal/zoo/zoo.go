// Package zoo answers: which network is in this file? One file an architecture, and one table.
//
// Tensors go by GGUF's names everywhere here; names.go alone knows what Hugging Face calls them, and
// spec.go alone where each format keeps its numbers.
package zoo

import (
	"slices"

	"github.com/galerne-ai/galerne/internal/expert"
	"github.com/galerne-ai/galerne/internal/kernel"
	"github.com/galerne-ai/galerne/internal/model"
	"github.com/galerne-ai/galerne/internal/weights"
)

// Network is an opened network: one of Model, Encoder and Classifier is set.
type Network struct {
	Config      model.Config
	Model       model.Model
	Encoder     model.Encoder
	Classifier  model.Classifier
	WeightBytes int64         // memory that the packed weights take
	Experts     *expert.Store // of a mixture whose experts are not all in memory; nil else
	packing     *packing
	free        []func()
}

// Wait returns when all weights are packed. Errors: weights.ErrChanged, which every step gives from then on; ErrClosed.
func (n *Network) Wait() error {
	<-n.packing.ended
	return n.packing.err
}

// Err is Wait's error of a network that will not be packed any more; nil while that is not known.
func (n *Network) Err() error {
	if n.packing.over() {
		return n.packing.err
	}
	return nil
}

// Packed reports whether all weights are packed: it computes as fast as it will.
func (n *Network) Packed() bool { return n.packing.over() && n.packing.err == nil }

// Close gives the weights' memory back. Nobody may compute any more; packing ends where it is.
func (n *Network) Close() {
	for _, f := range n.free {
		f()
	}
	n.free = nil
}

// Options of Open.
type Options struct {
	Pool     *kernel.Pool            // does the packing; nil: one thread
	Progress func(done, total int64) // bytes of the file that are packed, told by one goroutine; may be nil

	// ExpertRoom is the memory, in bytes, that a mixture's experts may take. They are read while it computes.
	// 0: all are read when it is opened.
	ExpertRoom int64

	// Early lets Open return once a Model can compute with the weights as they stand in the file; they are packed
	// behind that. Steps give the same bits meanwhile, and take longer. Networks of other kinds are packed at once.
	Early bool
}

// build makes a network of one architecture.
type build func(b *binder, s *spec) Network

// architectures is the one table: GGUF's general.architecture and Hugging Face's model_type.
func architectures() map[string]build {
	return map[string]build{
		"llama":       buildLlama,
		"mistral":     buildLlama,
		"mixtral":     buildMixtral,
		"qwen2":       buildLlama,
		"qwen3":       buildQwen3,
		"qwen3moe":    buildQwen3MoE,
		"qwen3_moe":   buildQwen3MoE,
		"gemma3":      buildGemma3,
		"gemma3_text": buildGemma3,
		"bert":        buildBERT,
		"roberta":     buildBERT,
		"xlm-roberta": buildBERT,
	}
}

// Supported lists the architectures' names.
func Supported() []string {
	var names []string
	for name := range architectures() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Open wires a file's network and packs its weights. All missing or misshapen tensors come in one
// error. The file may be closed afterwards.
func Open(f *weights.File, o Options) (*Network, error) {
	n, err := wire(f, o)
	switch {
	case err != nil:
	case o.Early && n.Model != nil:
		n.packing.start()
		n.Model, n.free = &beside{n.Model, n.packing}, append([]func(){n.packing.close}, n.free...)
	default:
		err = n.packing.whole()
	}
	if err != nil {
		n.Close()
		return nil, err
	}
	return n, nil
}

// wire makes a network whose weights stand in the file. Close it in case of an error too.
func wire(f *weights.File, o Options) (*Network, error) {
	s, err := readSpec(f)
	if err != nil {
		return &Network{}, err
	}
	b := newBinder(f, s, o)
	var n Network
	err = weights.Guard(f.Path, func() error {
		if o.ExpertRoom > 0 && s.Experts > 0 {
			if err := b.openStore(); err != nil {
				return err
			}
		}
		n = architectures()[s.Arch](b, s)
		return b.err()
	})
	n.Config, n.WeightBytes, n.Experts, n.packing, n.free = s.Config, b.packed, b.store, b.packing, b.free
	return &n, err
}

// Plan is what serving a file needs, without opening its network.
type Plan struct {
	Config  model.Config
	Encoder bool // it gives embeddings, or a number a label where Config has Labels, and writes nothing
	Weights expert.Weights
}

// Inspect reads a file's shape and computes what its weights take when packed.
func Inspect(f *weights.File) (*Plan, error) {
	s, err := readSpec(f)
	if err != nil {
		return nil, err
	}
	return &Plan{Config: s.Config, Encoder: s.encodes(), Weights: weightsOf(f, s)}, nil
}

// packedBytes is the memory that a tensor takes: a vector of floats, a packed matrix, or one an expert.
func packedBytes(t *weights.Tensor) int64 {
	n := len(t.Shape)
	if n < 2 || t.Elems() == 0 {
		return int64(4 * t.Elems())
	}
	experts, rows, cols := 1, t.Shape[n-2], t.Shape[n-1]
	for _, d := range t.Shape[:n-2] {
		experts *= d
	}
	return int64(experts) * kernel.PackedBytes(t.Type, rows, cols)
}

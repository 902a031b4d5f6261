package zoo

import (
	"fmt"

	"github.com/galerne-ai/galerne/internal/expert"
	"github.com/galerne-ai/galerne/internal/kernel"
	"github.com/galerne-ai/galerne/internal/weights"
)

// slice is one expert's matrix: rows of a tensor of its own, or of one that all experts of a layer share.
type slice struct {
	expert, kind int // kind: gate, up, down
	tensor       *weights.Tensor
	from, size   int // bytes of the tensor
	rows, cols   int
}

// eachExpert calls f for every matrix of a layer's experts, kind after kind. What is missing becomes a problem.
func (b *binder) eachExpert(layer int, f func(slice)) {
	s := b.spec
	for kind, name := range []string{"gate", "up", "down"} {
		rows, cols := s.FFN, s.Dim
		if name == "down" {
			rows, cols = cols, rows
		}
		if t := b.file.Tensor(fmt.Sprintf("blk.%d.ffn_%s_exps.weight", layer, name)); t != nil {
			if b.find(t.Name, s.Experts, rows, cols) == nil {
				continue
			}
			size := t.Bytes() / s.Experts
			for e := range s.Experts {
				f(slice{e, kind, t, e * size, size, rows, cols})
			}
			continue
		}
		for e := range s.Experts {
			t := b.find(b.nameOf("blk.%d.ffn_"+name+".%d", ".weight", layer, e), rows, cols)
			if t == nil {
				break // a hostile file may speak of millions
			}
			f(slice{e, kind, t, 0, t.Bytes(), rows, cols})
		}
	}
}

// experts gives a layer's experts: all of them, or the store's view.
func (b *binder) experts(layer int) expert.Layer {
	if b.store != nil {
		return b.store.Layer(layer)
	}
	all := make([]expert.Expert, b.spec.Experts)
	b.eachExpert(layer, func(x slice) {
		m := b.take(x.tensor, x.rows, x.cols, x.from, x.size)
		*[3]**kernel.Matrix{&all[x.expert].Gate, &all[x.expert].Up, &all[x.expert].Down}[x.kind] = m
	})
	return &expert.All{Experts: all}
}

// places says where the experts of all layers are.
func (b *binder) places() [][]expert.Places {
	layers := make([][]expert.Places, b.spec.Layers)
	for i := range layers {
		layers[i] = make([]expert.Places, b.spec.Experts)
		b.eachExpert(i, func(x slice) {
			layers[i][x.expert][x.kind] = expert.Place{Type: x.tensor.Type, Rows: x.rows, Cols: x.cols, Part: x.tensor.Part, Offset: x.tensor.Offset + int64(x.from)}
			b.packing.total -= int64(x.size) // Open does not read it
		})
		if len(b.problems) > 0 {
			break
		}
	}
	return layers
}

// openStore makes the store of a network whose experts are not all in memory.
func (b *binder) openStore() error {
	layers := b.places()
	if err := b.err(); err != nil {
		return err
	}
	reader, err := b.file.Reader()
	if err != nil {
		return err
	}
	b.store, err = expert.New(expert.Options{Layers: layers, Used: b.spec.ExpertsUsed, Room: b.options.ExpertRoom, Reader: reader})
	if err != nil {
		return err
	}
	b.packed = b.store.Share().Bytes
	b.free = append(b.free, b.store.Close)
	return nil
}

// weightsOf is the memory that a file's weights take when packed.
func weightsOf(f *weights.File, s *spec) expert.Weights {
	w := expert.Weights{Used: s.ExpertsUsed}
	for _, t := range f.Tensors() {
		w.Dense += packedBytes(t)
	}
	if s.Experts == 0 {
		return w
	}
	b := newBinder(f, s, Options{})
	layers := b.places()
	if b.err() != nil { // Open tells
		return w
	}
	for _, layer := range layers {
		for e := range layer {
			w.Dense -= w.Add(&layer[e])
		}
	}
	return w
}

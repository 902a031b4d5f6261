package testdeps

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// Mixture is the shape of a file of a Mixtral's kind with random weights: Q4_K, and Q6_K for the second matrix of
// every other layer's experts, so that experts come in two sizes. Widths are multiples of 256.
type Mixture struct {
	Dim, Layers, FFN, Experts, Used int
}

const mixtureVocab = 512

// Write makes a GGUF file, with a tokenizer of bytes and made-up words.
func (m Mixture) Write(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "mixture.gguf")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := &ggufWriter{Writer: bufio.NewWriterSize(f, 1<<20), random: rand.NewPCG(47, 47)}
	m.write(w)
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

type ggufWriter struct {
	*bufio.Writer
	random *rand.PCG
	at     int
}

func (w *ggufWriter) Write(b []byte) (int, error) { w.at += len(b); return w.Writer.Write(b) }
func (w *ggufWriter) u32(v uint32)                { w.Write(binary.LittleEndian.AppendUint32(nil, v)) }
func (w *ggufWriter) u64(v uint64)                { w.Write(binary.LittleEndian.AppendUint64(nil, v)) }
func (w *ggufWriter) text(s string)               { w.u64(uint64(len(s))); w.Write([]byte(s)) }
func (w *ggufWriter) align()                      { w.Write(make([]byte, (32-w.at%32)%32)) }

// GGML's numbers of types, their blocks of 256 weights in bytes.
const (
	ggmlF32, ggmlQ4K, ggmlQ6K = 0, 12, 14
	blockQ4K, blockQ6K        = 144, 210
)

type ggufTensor struct {
	name  string
	kind  uint32
	shape []int // outermost first
}

func (x *ggufTensor) elems() int {
	n := 1
	for _, d := range x.shape {
		n *= d
	}
	return n
}

func (x *ggufTensor) bytes() int {
	switch x.kind {
	case ggmlQ4K:
		return x.elems() / 256 * blockQ4K
	case ggmlQ6K:
		return x.elems() / 256 * blockQ6K
	}
	return 4 * x.elems()
}

func (m Mixture) tensors() []ggufTensor {
	d, kv := m.Dim, m.Dim/2
	list := []ggufTensor{{"token_embd.weight", ggmlQ4K, []int{mixtureVocab, d}}, {"output_norm.weight", ggmlF32, []int{d}}, {"output.weight", ggmlQ6K, []int{mixtureVocab, d}}}
	for i := range m.Layers {
		down := uint32(ggmlQ4K)
		if i%2 == 0 {
			down = ggmlQ6K
		}
		for _, x := range []ggufTensor{{"attn_norm", ggmlF32, []int{d}}, {"ffn_norm", ggmlF32, []int{d}},
			{"attn_q", ggmlQ4K, []int{d, d}}, {"attn_k", ggmlQ4K, []int{kv, d}}, {"attn_v", ggmlQ6K, []int{kv, d}}, {"attn_output", ggmlQ4K, []int{d, d}},
			{"ffn_gate_inp", ggmlF32, []int{m.Experts, d}}, {"ffn_gate_exps", ggmlQ4K, []int{m.Experts, m.FFN, d}},
			{"ffn_up_exps", ggmlQ4K, []int{m.Experts, m.FFN, d}}, {"ffn_down_exps", down, []int{m.Experts, d, m.FFN}}} {
			list = append(list, ggufTensor{fmt.Sprintf("blk.%d.%s.weight", i, x.name), x.kind, x.shape})
		}
	}
	return list
}

func (m Mixture) write(w *ggufWriter) {
	keys := []struct {
		name  string
		value int
	}{{"context_length", 1024}, {"embedding_length", m.Dim}, {"block_count", m.Layers}, {"feed_forward_length", m.FFN}, {"attention.head_count", m.Dim / 32},
		{"attention.head_count_kv", m.Dim / 64}, {"rope.dimension_count", 32}, {"expert_count", m.Experts}, {"expert_used_count", m.Used}}
	list := m.tensors()
	w.Write([]byte("GGUF"))
	w.u32(3)
	w.u64(uint64(len(list)))
	w.u64(uint64(len(keys) + 2 + 4))
	w.text("general.architecture")
	w.u32(8) // a text
	w.text("llama")
	w.text("llama.attention.layer_norm_rms_epsilon")
	w.u32(6) // a float32
	w.u32(math.Float32bits(1e-5))
	for _, k := range keys {
		w.text("llama." + k.name)
		w.u32(4) // a uint32
		w.u32(uint32(k.value))
	}
	w.tokenizer()
	offset := 0
	for _, x := range list {
		w.text(x.name)
		w.u32(uint32(len(x.shape)))
		for i := range x.shape {
			w.u64(uint64(x.shape[len(x.shape)-1-i]))
		}
		w.u32(x.kind)
		w.u64(uint64(offset))
		offset += (x.bytes() + 31) / 32 * 32
	}
	w.align()
	for _, x := range list {
		w.data(&x)
		w.align()
	}
}

// tokenizer writes one of SentencePiece's kind, in four keys.
func (w *ggufWriter) tokenizer() {
	const text, list, float, int32s = 8, 9, 6, 5
	w.text("tokenizer.ggml.model")
	w.u32(text)
	w.text("llama")
	array := func(key string, kind uint32, each func(i int)) {
		w.text("tokenizer.ggml." + key)
		w.u32(list)
		w.u32(kind)
		w.u64(mixtureVocab)
		for i := range mixtureVocab {
			each(i)
		}
	}
	array("tokens", text, func(i int) {
		switch {
		case i < 3:
			w.text([]string{"<unk>", "<s>", "</s>"}[i])
		case i < 259:
			w.text(fmt.Sprintf("<0x%02X>", i-3))
		default:
			w.text(fmt.Sprintf("\u2581w%d", i))
		}
	})
	array("scores", float, func(i int) { w.u32(math.Float32bits(float32(-i))) })
	array("token_type", int32s, func(i int) { // unknown, control, bytes, common
		switch {
		case i == 0:
			w.u32(2)
		case i < 3:
			w.u32(3)
		case i < 259:
			w.u32(6)
		default:
			w.u32(1)
		}
	})
}

// data writes random weights of a mean near 0 and a deviation near 0.03, and ones for norms.
func (w *ggufWriter) data(x *ggufTensor) {
	if x.kind == ggmlF32 {
		for range x.elems() {
			v := float32(1)
			if len(x.shape) > 1 {
				v = float32(int64(w.random.Uint64()))/(1<<63) - float32(int64(w.random.Uint64()))/(1<<63)
			}
			w.u32(math.Float32bits(v))
		}
		return
	}
	block := make([]byte, blockQ6K)
	for range x.elems() / 256 {
		for i := 0; i+8 <= len(block); i += 8 {
			binary.LittleEndian.PutUint64(block[i:], w.random.Uint64())
		}
		if x.kind == ggmlQ4K { // scales and minima are equal, so that 7.5 times the scale is about the minimum
			copy(block, []byte{0x8c, 0x08, 0x2e, 0x14, 32, 33, 34, 35, 32, 33, 34, 35, 0x11, 0x22, 0x33, 0x44})
			w.Write(block[:blockQ4K])
			continue
		}
		for i := 192; i < 208; i++ {
			block[i] = byte(16 + i%16)
		}
		copy(block[208:], []byte{0x40, 0x06}) // about 0.0001
		w.Write(block)
	}
}

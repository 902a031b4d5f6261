package zoo

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/galerne-ai/galerne/internal/kernel"
	"github.com/galerne-ai/galerne/internal/kv"
	"github.com/galerne-ai/galerne/internal/model"
	"github.com/galerne-ai/galerne/internal/testdeps"
	"github.com/galerne-ai/galerne/internal/weights"
)

// maxNMSE is how far from Hugging Face's float32 logits a position may be: keys and values are cached
// as halves, whose rounding gives about 1e-7.
const maxNMSE = 1e-6

// tiny is one committed checkpoint's reference (testdata/make_tiny.py).
type tiny struct {
	name   string
	tokens [][]int32
	want   [][]float32 // logits [n][vocab] of each sequence; for an encoder its embedding
	first  [][]float32 // an encoder's row of the first token
}

// encoders are the checkpoints that give an embedding; classifiers have texts.json.
var encoders = []string{"bert", "xlm-roberta"}

// tinies reads all references: generative networks, or encoders.
func tinies(t *testing.T, encode bool) []tiny {
	t.Helper()
	folders, err := os.ReadDir("testdata/tiny")
	if err != nil {
		t.Fatal(err)
	}
	var out []tiny
	for _, d := range folders {
		if !d.IsDir() || strings.HasSuffix(d.Name(), "-classifier") || strings.HasSuffix(d.Name(), "-ranker") || slices.Contains(encoders, d.Name()) != encode {
			continue
		}
		out = append(out, readTiny(t, d.Name()))
	}
	if len(out) == 0 {
		t.Fatal("no checkpoint in testdata/tiny")
	}
	return out
}

func readTiny(t *testing.T, name string) tiny {
	t.Helper()
	f, err := weights.Open(filepath.Join("testdata/tiny", name, "reference.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := tiny{name: name}
	for i := range 3 {
		var ids []int32
		for _, v := range floatsOf(f.Tensor(fmt.Sprintf("tokens.%d", i))) {
			ids = append(ids, int32(v))
		}
		want := f.Tensor(fmt.Sprintf("logits.%d", i))
		if want == nil {
			want = f.Tensor(fmt.Sprintf("embeddings.%d", i))
			r.first = append(r.first, floatsOf(f.Tensor(fmt.Sprintf("first.%d", i))))
		}
		r.tokens, r.want = append(r.tokens, ids), append(r.want, floatsOf(want))
	}
	return r
}

func floatsOf(t *weights.Tensor) []float32 {
	x := make([]float32, t.Elems())
	kernel.Dequantize(t.Type, x, t.Data())
	return x
}

// folder is a checkpoint's.
func (r tiny) folder() string { return filepath.Join("testdata/tiny", r.name) }

// piece is some rows of one sequence in a step.
type piece struct{ sequence, rows int }

// together runs all sequences side by side: uneven pieces, in another order each step.
func (r tiny) together() [][]piece {
	var steps [][]piece
	done := make([]int, len(r.tokens))
	for step := 0; ; step++ {
		var pieces []piece
		for i := range r.tokens {
			s := (i + step) % len(r.tokens)
			n := min((step*5+s*3)%8, len(r.tokens[s])-done[s])
			if n > 0 {
				pieces = append(pieces, piece{s, n})
				done[s] += n
			}
		}
		if len(pieces) > 0 {
			steps = append(steps, pieces)
		} else if done[0] == len(r.tokens[0]) && done[1] == len(r.tokens[1]) && done[2] == len(r.tokens[2]) {
			return steps
		}
	}
}

// chunks runs one sequence after the other, size rows a step.
func (r tiny) chunks(size int) [][]piece {
	var steps [][]piece
	for s, ids := range r.tokens {
		for at := 0; at < len(ids); at += size {
			steps = append(steps, []piece{{s, min(size, len(ids)-at)}})
		}
	}
	return steps
}

// run gives the logits of all positions that want names, zeros elsewhere.
func (r tiny) run(t *testing.T, net *Network, pool *kernel.Pool, steps [][]piece, want func(pos int) bool) [][]float32 {
	t.Helper()
	const blockTokens, blocks = 8, 32
	c := net.Config
	cache, err := kv.NewCache(kernel.CacheLayout{KVHeads: c.KVHeads, HeadDim: c.HeadDim, BlockTokens: blockTokens}, c.Layers, blocks)
	if err != nil {
		t.Fatal(err)
	}
	defer cache.Close()
	tables, out, done, taken := make([][]int32, len(r.tokens)), make([][]float32, len(r.tokens)), make([]int, len(r.tokens)), 0
	for s, ids := range r.tokens {
		out[s] = make([]float32, len(ids)*c.Vocab)
		for range (len(ids) + blockTokens - 1) / blockTokens {
			tables[s] = append(tables[s], int32((taken*7+3)%blocks)) // any order
			taken++
		}
	}
	for _, pieces := range steps {
		b := &model.Batch{Cache: cache, Pool: pool}
		var to [][]float32
		for _, p := range pieces {
			s, from := p.sequence, done[p.sequence]
			b.Spans = append(b.Spans, kv.Span{Start: len(b.Tokens), Rows: p.rows, Pos: from, Table: tables[s]})
			for pos := from; pos < from+p.rows; pos++ {
				if want(pos) {
					b.Want = append(b.Want, int32(len(b.Tokens)))
					to = append(to, out[s][pos*c.Vocab:][:c.Vocab])
				}
				b.Tokens, b.Positions = append(b.Tokens, r.tokens[s][pos]), append(b.Positions, int32(pos))
			}
			done[s] += p.rows
		}
		b.Logits = make([]float32, len(b.Want)*c.Vocab)
		net.Model.Forward(b)
		for i, row := range to {
			copy(row, b.Logits[i*c.Vocab:])
		}
	}
	return out
}

func every(int) bool { return true }

// worst is the largest normalised mean squared error of any position.
func (r tiny) worst(got [][]float32) float64 {
	errors := r.errors(got)
	return errors[len(errors)-1]
}

// median is the error that half of the positions are below: a router that sends a token elsewhere
// after rounding does not count.
func (r tiny) median(got [][]float32) float64 {
	errors := r.errors(got)
	return errors[len(errors)/2]
}

// errors are the normalised mean squared errors of all positions, the smallest first; NaN is the largest.
func (r tiny) errors(got [][]float32) []float64 {
	var all []float64
	for s, ids := range r.tokens {
		n := len(r.want[s]) / len(ids)
		for pos := range ids {
			e := nmseOf(got[s][pos*n:(pos+1)*n], r.want[s][pos*n:(pos+1)*n])
			if math.IsNaN(e) {
				e = math.Inf(1)
			}
			all = append(all, e)
		}
	}
	slices.Sort(all)
	return all
}

func nmseOf(got, want []float32) float64 {
	var diff, size float64
	for i, w := range want {
		d := float64(got[i]) - float64(w)
		diff, size = diff+d*d, size+float64(w)*float64(w)
	}
	return diff / size
}

func openTiny(t *testing.T, path string, pool *kernel.Pool) *Network {
	t.Helper()
	f, err := weights.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	net, err := Open(f, Options{Pool: pool})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(net.Close)
	return net
}

func pools(t *testing.T) (one, two *kernel.Pool) {
	one, two = kernel.NewPool(1), kernel.NewPool(2)
	t.Cleanup(one.Close)
	t.Cleanup(two.Close)
	return one, two
}

func TestNetworksComputeWhatTransformersDoes(t *testing.T) {
	one, two := pools(t)
	for _, r := range tinies(t, false) {
		t.Run(r.name, func(t *testing.T) { r.check(t, openTiny(t, r.folder(), two), one, two) })
	}
}

// check compares with the reference, then the bits of every other way to run the same tokens.
func (r tiny) check(t *testing.T, net *Network, one, two *kernel.Pool) {
	t.Helper()
	whole := r.run(t, net, two, r.chunks(1<<10), every)
	if e := r.worst(whole); !(e <= maxNMSE) {
		t.Fatalf("in one chunk: NMSE %g, at most %g", e, maxNMSE)
	} else {
		t.Logf("NMSE %.2g", e)
	}
	for _, c := range []struct {
		how   string
		pool  *kernel.Pool
		steps [][]piece
	}{
		{"one chunk, one thread", one, r.chunks(1 << 10)},
		{"chunks of 1", two, r.chunks(1)}, {"chunks of 3", two, r.chunks(3)}, {"chunks of 17", two, r.chunks(17)},
		{"chunks of 17, one thread", one, r.chunks(17)},
		{"batched", two, r.together()}, {"batched, one thread", one, r.together()},
	} {
		sameBits(t, c.how, r.run(t, net, c.pool, c.steps, every), whole)
	}
	some := func(pos int) bool { return pos%3 == 1 }
	for s := range whole {
		for i := range whole[s] {
			if !some(i / net.Config.Vocab) {
				whole[s][i] = 0
			}
		}
	}
	for _, steps := range [][][]piece{r.together(), r.chunks(1), r.chunks(5), r.chunks(1 << 10)} {
		sameBits(t, "some rows wanted", r.run(t, net, two, steps, some), whole)
	}
}

// TestStatesAndLogitsAreOfTheRowsThatWantThem: rows whose logits, whose states, both or neither are wanted, side by side.
func TestStatesAndLogitsAreOfTheRowsThatWantThem(t *testing.T) {
	_, two := pools(t)
	for _, r := range tinies(t, false) {
		net := openTiny(t, r.folder(), two)
		c := net.Config
		cache, err := kv.NewCache(kernel.CacheLayout{KVHeads: c.KVHeads, HeadDim: c.HeadDim, BlockTokens: 8}, c.Layers, 3)
		if err != nil {
			t.Fatal(err)
		}
		defer cache.Close()
		run := func(want, states []int32) *model.Batch {
			b := &model.Batch{Tokens: r.tokens[0][:9], Positions: []int32{0, 1, 2, 3, 4, 0, 1, 2, 3}, Cache: cache, Pool: two,
				Want: want, Logits: make([]float32, len(want)*c.Vocab), States: states, Hidden: make([]float32, len(states)*c.Dim),
				Spans: []kv.Span{{Rows: 5, Table: []int32{1}}, {Start: 5, Rows: 4, Table: []int32{0}}}}
			net.Model.Forward(b)
			return b
		}
		all := []int32{0, 1, 2, 3, 4, 5, 6, 7, 8}
		whole := run(all, all)
		for _, rows := range [][2][]int32{{{4, 8}, nil}, {nil, {4, 8}}, {{2, 3, 6}, {0, 3, 4, 8}}, {{8}, all}, {{5}, {1}}, {nil, nil}} {
			b := run(rows[0], rows[1])
			for i, row := range rows[0] {
				sameBits(t, r.name, [][]float32{b.Logits[i*c.Vocab:][:c.Vocab]}, [][]float32{whole.Logits[int(row)*c.Vocab:][:c.Vocab]})
			}
			for i, row := range rows[1] {
				sameBits(t, r.name, [][]float32{b.Hidden[i*c.Dim:][:c.Dim]}, [][]float32{whole.Hidden[int(row)*c.Dim:][:c.Dim]})
			}
		}
	}
}

func sameBits(t *testing.T, how string, got, want [][]float32) {
	t.Helper()
	for s := range want {
		for i := range want[s] {
			if math.Float32bits(got[s][i]) != math.Float32bits(want[s][i]) {
				t.Errorf("%s: logit %d of sequence %d is %v, alone in one chunk %v", how, i, s, got[s][i], want[s][i])
				return
			}
		}
	}
}

func TestAStepAllocatesNothingOnceItIsWarm(t *testing.T) {
	_, two := pools(t)
	for _, r := range tinies(t, false) {
		net := openTiny(t, r.folder(), two)
		c := net.Config
		cache, err := kv.NewCache(kernel.CacheLayout{KVHeads: c.KVHeads, HeadDim: c.HeadDim, BlockTokens: 8}, c.Layers, 2)
		if err != nil {
			t.Fatal(err)
		}
		defer cache.Close()
		b := &model.Batch{Tokens: r.tokens[0][:6], Positions: []int32{0, 1, 2, 3, 4, 0}, Cache: cache, Pool: two, Want: []int32{4, 5},
			Logits: make([]float32, 2*c.Vocab), Spans: []kv.Span{{Rows: 5, Table: []int32{1}}, {Start: 5, Rows: 1, Table: []int32{0}}}}
		if n := testing.AllocsPerRun(20, func() { net.Model.Forward(b) }); n != 0 {
			t.Errorf("%s: %v allocations a step", r.name, n)
		}
	}
}

func TestEncodersComputeWhatTransformersDoes(t *testing.T) {
	one, two := pools(t)
	for _, r := range tinies(t, true) {
		t.Run(r.name, func(t *testing.T) { r.checkEncoder(t, openTiny(t, r.folder(), two), one, two) })
	}
}

func (r tiny) checkEncoder(t *testing.T, net *Network, one, two *kernel.Pool) {
	t.Helper()
	dim := net.Config.Dim
	got := make([]float32, len(r.tokens)*dim)
	net.Encoder.Encode(two, r.tokens, got)
	for i, want := range r.want {
		if e := nmseOf(got[i*dim:(i+1)*dim], want); !(e <= maxNMSE) {
			t.Errorf("text %d: NMSE %g, at most %g", i, e, maxNMSE)
		}
	}
	for i, ids := range r.tokens {
		rows := make([]float32, len(ids)*dim)
		net.Encoder.Rows(one, ids, rows)
		if e := nmseOf(rows[:dim], r.first[i]); !(e <= maxNMSE) {
			t.Errorf("text %d: NMSE of the first row %g, at most %g", i, e, maxNMSE)
		}
		alone := make([]float32, dim)
		net.Encoder.Encode(one, [][]int32{ids}, alone)
		sameBits(t, "alone, one thread", [][]float32{alone}, [][]float32{got[i*dim : (i+1)*dim]})
	}
}

func TestAnEncoderThatPoolsByItsFirstTokenDoesSo(t *testing.T) {
	_, two := pools(t)
	r := readTiny(t, "bert")
	dir := r.edited(t, func(map[string]any) {})
	if err := os.Mkdir(filepath.Join(dir, "1_Pooling"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "1_Pooling/config.json"), []byte(`{"pooling_mode_cls_token":true}`), 0o600); err != nil {
		t.Fatal(err)
	}
	r.want = r.first
	r.checkEncoder(t, openTiny(t, dir, two), two, two)
}

// TestNetworksComputeTheSameFromGGUF converts the checkpoints as llama.cpp does.
func TestNetworksComputeTheSameFromGGUF(t *testing.T) {
	one, two := pools(t)
	all := append(tinies(t, false), tinies(t, true)...)
	// GGUF has no key for Gemma's query scalar, nor for which of Qwen 2's layers have a window.
	all = slices.DeleteFunc(all, func(r tiny) bool { return r.name == "gemma3-scalar" || r.name == "qwen2-window" })
	dir := t.TempDir()
	args := []string{dir}
	for _, r := range all {
		args = append(args, r.name)
	}
	testdeps.RunPython(t, "internal/zoo/testdata/to_gguf.py", args...)
	for _, r := range all {
		t.Run(r.name, func(t *testing.T) {
			net := openTiny(t, filepath.Join(dir, r.name+".gguf"), two)
			if net.Encoder != nil {
				r.checkEncoder(t, net, one, two)
				return
			}
			r.check(t, net, one, two)
			if r.name == "mixtral" {
				r.checkQuantized(t, openTiny(t, filepath.Join(dir, "mixtral-quantized.gguf"), two), openTiny(t, filepath.Join(dir, "mixtral-exact.gguf"), two), one, two)
				// the older form: one tensor an expert
				old := openTiny(t, filepath.Join(dir, "mixtral-old.gguf"), two)
				sameBits(t, "one tensor an expert", r.run(t, old, two, r.chunks(64), every), r.run(t, net, two, r.chunks(64), every))
			}
		})
	}
}

// checkQuantized compares a network in blocks with the same numbers in float32, and its own bits however
// the tokens are run. 8-bit activations give errors of about 1e-4 a product.
func (r tiny) checkQuantized(t *testing.T, quantized, exact *Network, one, two *kernel.Pool) {
	t.Helper()
	got := r.run(t, quantized, two, r.chunks(64), every)
	r.want = r.run(t, exact, two, r.chunks(64), every)
	if e := r.median(got); !(e <= 1e-3) {
		t.Errorf("quantized: median NMSE %g", e)
	} else {
		t.Logf("quantized: median NMSE %.2g", e)
	}
	for size, pool := range map[int]*kernel.Pool{1: two, 3: one, 17: two} {
		sameBits(t, fmt.Sprint("quantized, chunks of ", size), r.run(t, quantized, pool, r.chunks(size), every), got)
	}
	sameBits(t, "quantized, batched", r.run(t, quantized, two, r.together(), every), got)
}

// edited is a checkpoint's folder with another config.json.
func (r tiny) edited(t *testing.T, edit func(c map[string]any)) string {
	t.Helper()
	dir := t.TempDir()
	raw, err := os.ReadFile(filepath.Join(r.folder(), "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	var c map[string]any
	if err := json.Unmarshal(raw, &c); err != nil {
		t.Fatal(err)
	}
	edit(c)
	raw, _ = json.Marshal(c)
	data, err := os.ReadFile(filepath.Join(r.folder(), "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"config.json": raw, "model.safetensors": data} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// rope is the part of a config that turns: of all layers, or of one kind of them.
func ropeOf(c map[string]any, kind ...string) map[string]any {
	r, _ := c["rope_parameters"].(map[string]any)
	for _, k := range kind {
		r, _ = r[k].(map[string]any)
	}
	return r
}

// TestTheReferencesNoticeMistakes changes one number of a config at a time: if the logits stayed
// close, the checkpoint would not exercise what it is there for.
func TestTheReferencesNoticeMistakes(t *testing.T) {
	_, two := pools(t)
	for _, c := range []struct {
		name, mistake string
		edit          func(c map[string]any)
	}{
		{"llama", "another base", func(c map[string]any) { ropeOf(c)["rope_theta"] = 9000 }},
		{"llama", "another epsilon", func(c map[string]any) { c["rms_norm_eps"] = 0.01 }},
		{"llama3", "no scaling", func(c map[string]any) { ropeOf(c)["rope_type"] = "default" }},
		{"llama3", "another slow factor", func(c map[string]any) { ropeOf(c)["low_freq_factor"] = 0.5 }},
		{"mistral", "no window", func(c map[string]any) { c["sliding_window"] = nil }},
		{"mistral", "a window one too wide", func(c map[string]any) { c["sliding_window"] = 9 }},
		{"mixtral", "one expert", func(c map[string]any) { c["num_experts_per_tok"] = 1 }},
		{"qwen2-yarn", "no scaling", func(c map[string]any) { ropeOf(c)["rope_type"] = "default" }},
		{"qwen2-window", "no window", func(c map[string]any) { c["use_sliding_window"] = false }},
		{"qwen3moe", "weights that do not add up to 1", func(c map[string]any) { c["norm_topk_prob"] = false }},
		{"gemma3", "another window", func(c map[string]any) { c["sliding_window"] = 9 }},
		{"gemma3", "another local base", func(c map[string]any) { ropeOf(c, "sliding_attention")["rope_theta"] = 2000 }},
		{"gemma3", "another global base", func(c map[string]any) { ropeOf(c, "full_attention")["rope_theta"] = 20000 }},
		{"gemma3", "no scaling", func(c map[string]any) { ropeOf(c, "full_attention")["rope_type"] = "default" }},
		{"gemma3-scalar", "another scalar", func(c map[string]any) { c["query_pre_attn_scalar"] = 16 }},
	} {
		r := readTiny(t, c.name)
		net := openTiny(t, r.edited(t, c.edit), two)
		if e := r.worst(r.run(t, net, two, r.chunks(64), every)); e < 100*maxNMSE {
			t.Errorf("%s: %s: NMSE %g: nobody would notice", c.name, c.mistake, e)
		}
	}
}

// TestOlderConfigsMeanTheSame: the numbers of rope_parameters and layer_types where files of before
// transformers 5 have them.
func TestOlderConfigsMeanTheSame(t *testing.T) {
	_, two := pools(t)
	for name, edit := range map[string]func(c map[string]any){
		"llama": func(c map[string]any) { c["rope_theta"] = ropeOf(c)["rope_theta"]; delete(c, "rope_parameters") },
		"llama3": func(c map[string]any) {
			r := ropeOf(c)
			c["rope_theta"], c["rope_scaling"] = r["rope_theta"], r
			delete(r, "rope_theta")
			delete(c, "rope_parameters")
		},
		"qwen2-yarn": func(c map[string]any) {
			r := ropeOf(c)
			c["rope_theta"], c["rope_scaling"] = r["rope_theta"], map[string]any{"type": "yarn", "factor": r["factor"],
				"original_max_position_embeddings": r["original_max_position_embeddings"]}
			delete(c, "rope_parameters")
		},
		"qwen2-window": func(c map[string]any) { delete(c, "layer_types") },
		"gemma3": func(c map[string]any) {
			c["rope_theta"], c["rope_local_base_freq"] = ropeOf(c, "full_attention")["rope_theta"], ropeOf(c, "sliding_attention")["rope_theta"]
			c["rope_scaling"] = map[string]any{"rope_type": "linear", "factor": 8.0}
			c["sliding_window_pattern"] = 3
			delete(c, "rope_parameters")
			delete(c, "layer_types")
		},
	} {
		r := readTiny(t, name)
		net := openTiny(t, r.edited(t, edit), two)
		if e := r.worst(r.run(t, net, two, r.chunks(64), every)); !(e <= maxNMSE) {
			t.Errorf("%s: NMSE %g, at most %g", name, e, maxNMSE)
		}
	}
}

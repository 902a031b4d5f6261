package zoo

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/galerne-ai/galerne/internal/kernel"
	"github.com/galerne-ai/galerne/internal/kv"
	"github.com/galerne-ai/galerne/internal/model"
	"github.com/galerne-ai/galerne/internal/testdeps"
	"github.com/galerne-ai/galerne/internal/tokenizer"
)

// llamaCpp is what llama.cpp computes from one real model (test/reference/llama_cpp.py).
type llamaCpp struct {
	Context      int
	Perplexity   float64 // of the declaration
	Constitution float64 // perplexity of the constitution, which is seven times as long
	Greedy       []greedyAnswer
	Exact        struct { // of the same weights in float32
		Perplexity float64 // of the declaration
		Divergence float64 // of llama.cpp's quantized run from this one
		Greedy     []greedyAnswer
	}
}

type greedyAnswer struct {
	Prompt               string
	IDs, Tokens, Seconds []int32   // Seconds were second to Tokens
	Gaps                 []float64 // by how much, in logits
	Again                []float64 // and by how much where attention is computed in another way
}

func readLlamaCpp(t *testing.T) map[string]llamaCpp {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(testdeps.Root(t), "test/reference/llama_cpp.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]llamaCpp
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	if len(all) != 2 {
		t.Fatalf("%d models in the reference", len(all))
	}
	return all
}

// forward runs a sequence from its beginning and gives the logits of the wanted rows.
func (r *runner) forward(ids []int32, want []int32) []float32 {
	b := &model.Batch{Tokens: ids, Cache: r.cache, Pool: r.pool, Want: want, Logits: make([]float32, len(want)*r.net.Config.Vocab),
		Spans: []kv.Span{{Rows: len(ids), Table: r.table}}}
	for i := range ids {
		b.Positions = append(b.Positions, int32(i))
	}
	r.net.Model.Forward(b)
	return b.Logits
}

// scored calls each, for each chunk of context tokens, with the logits of every position that llama-perplexity scores,
// those of its second half, and the tokens that follow them. The logits may be kept.
func (r *runner) scored(tok *tokenizer.Tokenizer, text string, context int, each func(logits [][]float32, next []int32)) {
	ids := tok.Encode(nil, text, tokenizer.EncodeOptions{AddSpecial: true})
	begin := tok.Encode(nil, "", tokenizer.EncodeOptions{AddSpecial: true})
	var want []int32
	for i := context / 2; i < context-1; i++ {
		want = append(want, int32(i))
	}
	vocab := r.net.Config.Vocab
	for at := 0; at+context <= len(ids); at += context {
		chunk := slices.Clone(ids[at : at+context])
		if len(begin) > 0 {
			chunk[0] = begin[0]
		}
		each(slices.Collect(slices.Chunk(r.forward(chunk, want), vocab)), ids[at+context/2+1:at+context])
	}
}

// total is the sum of each(0) to each(n-1), which all CPUs compute.
func total(n int, each func(i int) float64) (sum float64) {
	terms := make([]float64, n)
	var taken atomic.Int64
	var wait sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			for i := taken.Add(1) - 1; i < int64(n); i = taken.Add(1) - 1 {
				terms[i] = each(int(i))
			}
		})
	}
	wait.Wait()
	for _, v := range terms {
		sum += v
	}
	return sum
}

func logProb(logits []float32, id int32) float64 {
	return float64(logits[id]) - normalizer(logits, slices.Clone(logits))
}

// normalizer is ln Σ exp(logits), and makes probabilities of a copy of them.
func normalizer(logits, copied []float32) float64 {
	kernel.Softmax(copied)
	most := argmax(logits)
	return float64(logits[most]) - math.Log(float64(copied[most]))
}

// openText opens a model with its tokenizer and the text that is scored.
func openText(t *testing.T, path string) (*runner, *tokenizer.Tokenizer, string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(testdeps.Root(t), "test/testdata/declaration.txt"))
	if err != nil {
		t.Fatal(err)
	}
	r, f := open(t, path, 2)
	tok, err := tokenizer.FromGGUF(f.Meta)
	if err != nil {
		t.Fatal(err)
	}
	return r, tok, string(text)
}

// TestQuantizedModelsAreAsGoodAsLlamaCpps: numbers that are rounded to 8 bits turn the least difference, of one
// addition in another order, into a step of 1/127, and that into many, so that every way to compute the same model
// rounds on its own. Perplexities differ by chance, the less the longer the text: llama-perplexity puts the standard
// error of its own, against that of the exact weights, at 0.47 % for the declaration, which makes 0.18 % for the
// constitution. Answers move by as much as llama.cpp's own move where its attention is computed in another way: the
// leads of its tokens by own, root mean square. A lead four times as large is beyond chance.
func TestQuantizedModelsAreAsGoodAsLlamaCpps(t *testing.T) {
	t.Parallel()
	all := readLlamaCpp(t)
	text, err := os.ReadFile(filepath.Join(testdeps.Root(t), "test/testdata/constitution.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"smollm2-135m.gguf", "qwen2.5-coder-0.5b.gguf"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, tok, _ := openText(t, testdeps.Dep(t, "models/"+name))
			var loss float64
			count := 0
			r.scored(tok, string(text), all[name].Context, func(logits [][]float32, next []int32) {
				loss -= total(len(next), func(i int) float64 { return logProb(logits[i], next[i]) })
				count += len(next)
			})
			comparePerplexity(t, math.Exp(loss/float64(count)), all[name].Constitution, 0.005)

			var moved, theirs float64
			for _, a := range all[name].Greedy {
				for i, gap := range a.Gaps {
					theirs += (gap - a.Again[i]) * (gap - a.Again[i])
					moved++
				}
			}
			own := math.Sqrt(theirs / moved)
			ours := compareGreedy(t, r, tok, all[name].Greedy, 4*own)
			t.Logf("leads differ by %.3f from llama.cpp's, which differ by %.3f from its own", ours, own)
			if !(ours < 1.3*own) {
				t.Errorf("leads differ by %.3f from llama.cpp's, which differ by %.3f from its own", ours, own)
			}
		})
	}
}

// TestExactWeightsGiveLlamaCppsNumbers runs the models with their weights in float32, where neither program rounds, so
// that every answer must be the same, and then holds what rounding costs here against what it costs there: the same for
// types of 32 weights, less for K types (kernel's TestRoundingIsNoCoarserThanGGMLs).
func TestExactWeightsGiveLlamaCppsNumbers(t *testing.T) {
	t.Parallel()
	for name, cost := range map[string]float64{"smollm2-135m.gguf": 1.2, "qwen2.5-coder-0.5b.gguf": 0.8} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, all := testdeps.Dep(t, "models/"+name), readLlamaCpp(t)[name]
			want := all.Exact
			exact := filepath.Join(t.TempDir(), "exact.gguf")
			testdeps.RunPython(t, "internal/zoo/testdata/dequantize.py", path, exact)

			r, tok, text := openText(t, exact)
			var rows [][]float32
			var loss float64
			r.scored(tok, text, all.Context, func(logits [][]float32, next []int32) {
				loss -= total(len(next), func(i int) float64 { return logProb(logits[i], next[i]) })
				rows = append(rows, logits...)
			})
			comparePerplexity(t, math.Exp(loss/float64(len(rows))), want.Perplexity, 0.0005)
			if e := compareGreedy(t, r, tok, want.Greedy, 0.05); !(e < 0.01) {
				t.Errorf("leads differ by %.4f from llama.cpp's", e)
			}

			q, _, _ := openText(t, path)
			var sum float64
			left := rows
			q.scored(tok, text, all.Context, func(logits [][]float32, next []int32) {
				sum += total(len(next), func(i int) float64 { return divergence(left[i], logits[i]) })
				left = left[len(next):]
			})
			mean := sum / float64(len(rows))
			if len(left) > 0 {
				t.Errorf("%d positions are left of %d", len(left), len(rows))
			}
			t.Logf("mean KL divergence of 8-bit activations %.5f, llama.cpp %.5f", mean, want.Divergence)
			if !(mean < cost*want.Divergence) {
				t.Errorf("mean KL divergence %.5f, llama.cpp's is %.5f", mean, want.Divergence)
			}
		})
	}
}

func comparePerplexity(t *testing.T, got, want, within float64) {
	t.Helper()
	t.Logf("perplexity %.4f, llama.cpp %.4f (%+.3f %%)", got, want, 100*(got/want-1))
	if !(math.Abs(got/want-1) <= within) {
		t.Errorf("perplexity %.4f, llama.cpp's is %.4f", got, want)
	}
}

// compareGreedy wants every token of llama.cpp's answers that leads by tie or more, not only those up to the first that
// does not: an answer is read in one go, as far as llama.cpp wrote it, which has the bits of writing it. It gives the
// root mean square of what all leads differ by.
func compareGreedy(t *testing.T, r *runner, tok *tokenizer.Tokenizer, want []greedyAnswer, tie float64) float64 {
	t.Helper()
	compared, vocab := 0, r.net.Config.Vocab
	var sum, count float64
	for _, a := range want {
		if ids := tok.Encode(nil, a.Prompt, tokenizer.EncodeOptions{AddSpecial: true, ParseSpecial: true}); !slices.Equal(ids, a.IDs) {
			t.Errorf("%q is %v, llama.cpp says %v", a.Prompt, ids, a.IDs)
			continue
		}
		wanted := make([]int32, len(a.Tokens))
		for i := range wanted {
			wanted[i] = int32(len(a.IDs) - 1 + i)
		}
		logits := r.forward(slices.Concat(a.IDs, a.Tokens), wanted)
		for i, token := range a.Tokens {
			now := logits[i*vocab : (i+1)*vocab]
			e := float64(now[token]) - float64(now[a.Seconds[i]]) - a.Gaps[i]
			sum, count = sum+e*e, count+1
			if a.Gaps[i] < tie {
				continue
			}
			if next := argmax(now); next != token {
				t.Errorf("%q: token %d is %d, llama.cpp's is %d with a lead of %g", a.Prompt, i, next, token, a.Gaps[i])
			}
			compared++
		}
	}
	t.Logf("%d of %.0f greedy tokens lead by %.3f or more and are the same", compared, count, tie)
	if compared < 100 {
		t.Errorf("only %d tokens could be compared", compared)
	}
	return math.Sqrt(sum / count)
}

// divergence is Σ p·ln(p/q) of the two rows' softmaxes.
func divergence(p, q []float32) (sum float64) {
	// ln(p/q) of number i is p[i]-q[i] less the difference of the two normalizers, the same for all i.
	probabilities := slices.Clone(p)
	normal := normalizer(p, probabilities) - normalizer(q, slices.Clone(q))
	for i, v := range probabilities {
		sum += float64(v) * (float64(p[i]) - float64(q[i]) - normal)
	}
	return sum
}

// TestRealEmbeddingsAreSentenceTransformers compares vectors of length 1 (test/reference/minilm.py).
func TestRealEmbeddingsAreSentenceTransformers(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(testdeps.Root(t), "test/reference/minilm.json"))
	if err != nil {
		t.Fatal(err)
	}
	var want []struct {
		IDs       []int32
		Embedding []float32
	}
	if err := json.Unmarshal(raw, &want); err != nil {
		t.Fatal(err)
	}
	_, two := pools(t)
	net := openTiny(t, testdeps.Dep(t, "models/all-minilm-l6-v2"), two)
	for i, w := range want {
		got := make([]float32, net.Config.Dim)
		net.Encoder.Encode(two, [][]int32{w.IDs}, got)
		var sum float64
		for _, v := range got {
			sum += float64(v) * float64(v)
		}
		kernel.Scale(got, float32(1/math.Sqrt(sum)))
		if e := nmseOf(got, w.Embedding); !(e <= maxNMSE) {
			t.Errorf("text %d: NMSE %g", i, e)
		} else {
			t.Logf("text %d: NMSE %.2g", i, e)
		}
	}
}

// TestARealModelsBitsAreItsOwn runs three texts alone, cut anywhere, side by side, on one thread and two.
func TestARealModelsBitsAreItsOwn(t *testing.T) {
	one, two := pools(t)
	net := openTiny(t, testdeps.Dep(t, "models/smollm2-135m.gguf"), two)
	r := tiny{}
	for i, n := range []int{40, 23, 9} {
		ids := make([]int32, n)
		for p := range ids {
			ids[p] = int32((p*p*37 + i*1001 + 504) % 40000)
		}
		r.tokens = append(r.tokens, ids)
	}
	whole := r.run(t, net, two, r.chunks(64), every)
	sameBits(t, "one thread", r.run(t, net, one, r.chunks(64), every), whole)
	sameBits(t, "chunks of 1", r.run(t, net, two, r.chunks(1), every), whole)
	sameBits(t, "chunks of 17", r.run(t, net, one, r.chunks(17), every), whole)
	sameBits(t, "batched", r.run(t, net, two, r.together(), every), whole)
}

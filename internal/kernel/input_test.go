package kernel

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/galerne-ai/galerne/internal/dtype"
)

// TestQuantizeIsTheRule states it again, number by number.
func TestQuantizeIsTheRule(t *testing.T) {
	rng := rand.New(rand.NewPCG(21, 22))
	for range 50 {
		x := randomFloats(rng, 96)
		lines := make([]byte, 2*len(x))
		quantizeRow(x, lines)
		for at := 0; at < len(x); at += 32 {
			line, blk := lines[2*at:][:64], x[at:at+32]
			var most float32
			for _, v := range blk {
				most = max(most, float32(math.Abs(float64(v))))
			}
			var sum [2]int32
			for i, v := range blk {
				q := int8(line[i])
				if want := math.RoundToEven(float64(v * (127 / most))); float64(q) != want {
					t.Fatalf("%v of at most %v is %d, want %v", v, most, q, want)
				}
				sum[i/16] += int32(q)
			}
			checkSums(t, line, most/127, sum)
		}
	}
}

func checkSums(t *testing.T, line []byte, d float32, sum [2]int32) {
	t.Helper()
	all := sum[0] + sum[1]
	if f32(line[32:]) != d || f32(line[36:]) != d*float32(all) {
		t.Fatalf("scale %v and sum %v, want %v and %v", f32(line[32:]), f32(line[36:]), d, d*float32(all))
	}
	if int32(u32(line[44:])) != -128*all {
		t.Fatalf("-128 times %d is %d", all, int32(u32(line[44:])))
	}
	var twos [2]int16
	for h, v := range sum {
		if int32(u32(line[56+4*h:])) != -128*v {
			t.Fatalf("half %d, of %d, has %d", h, v, int32(u32(line[56+4*h:])))
		}
		for i := range 2 {
			var two int16
			for k := 2*i + 16*h; k < 16*h+16; k += 4 {
				two += int16(int8(line[k])) + int16(int8(line[k+1]))
			}
			if got := int16(u16(line[48+4*h+2*i:])); got != -32*two {
				t.Fatalf("-32 times %d is %d", two, got)
			}
			twos[i] += two
		}
	}
	for i, two := range twos {
		if got := int16(u16(line[40+2*i:])); got != -16*two {
			t.Fatalf("-16 times %d is %d", two, got)
		}
	}
}

func TestQuantizeMatchesGenericAndShowsFaults(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 14))
	for blocks := range 14 {
		x := randomFloats(rng, 32*blocks)
		if blocks > 4 {
			clear(x[32:64])
			clear(x[64:96])
			x[64] = 1e-42
			x[97] = -math.MaxFloat32
			x[130] = math.MaxFloat32
		}
		got, want := make([]byte, 64*blocks+1), make([]byte, 64*blocks+1)
		quantizeRow(x, got[:64*blocks])
		quantizeRowGeneric(x, want[:64*blocks])
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("byte %d of line %d is %d, generic %d", i%64, i/64, got[i], want[i])
			}
		}
	}
	for _, bad := range []float32{nan32(), float32(math.Copysign(math.NaN(), -1)), float32(math.Inf(1)), float32(math.Inf(-1))} {
		for _, blocks := range []int{2, 4, 9} {
			for at := range blocks {
				x, lines := randomFloats(rng, 32*blocks), make([]byte, 64*blocks)
				x[32*at+8] = bad
				quantizeRow(x, lines)
				for i := range blocks {
					if d := f32(lines[64*i+32:]); (d != d) != (i == at) {
						t.Fatalf("%v in block %d: scale %d is %v", bad, at, i, d)
					}
				}
			}
		}
	}
}

// TestRoundingIsNoCoarserThanGGMLs holds lines and products against ggml's own (testdata/ggml.py). For types whose
// scales are of 32 weights its integers are ours, and its scales and sums are ours in half precision. Beside K types it
// has one scale for 256 numbers, so that our products come nearer to those of the numbers themselves.
func TestRoundingIsNoCoarserThanGGMLs(t *testing.T) {
	raw, err := os.ReadFile("testdata/ggml.json")
	if err != nil {
		t.Fatal(err)
	}
	var ggml struct {
		X     []float32
		Types map[string]struct {
			Weights, Rounded []byte
			Input            string
			Products         []float32
		}
	}
	if err := json.Unmarshal(raw, &ggml); err != nil {
		t.Fatal(err)
	}
	pool := NewPool(1)
	defer pool.Close()
	cols := len(ggml.X)
	var in Input
	pool.Set(&in, ggml.X, 1, cols)
	quantized := 0
	for _, kind := range dtype.All() {
		if kind.Elems() == 1 {
			continue
		}
		quantized++
		g, ok := ggml.Types[kind.String()]
		if !ok {
			t.Errorf("%s is not in the file", kind)
			continue
		}
		rows := len(g.Products)
		m := mustPack(t, pool, kind, rows, cols, g.Weights)
		got, w := make([]float32, rows), make([]float32, rows*cols)
		pool.MatMul([]Job{{W: m, In: &in, Dst: got, Stride: rows}})
		Dequantize(kind, w, g.Weights)
		var ours, theirs, size float64
		for r := range rows {
			var want float64
			for k, v := range ggml.X {
				want += float64(v) * float64(w[r*cols+k])
			}
			ours += (float64(got[r]) - want) * (float64(got[r]) - want)
			theirs += (float64(g.Products[r]) - want) * (float64(g.Products[r]) - want)
			size += want * want
		}
		t.Logf("%s: NMSE %.2g, ggml's %.2g", kind, ours/size, theirs/size)
		limit := 1.01 * theirs
		if g.Input == "Q8_K" {
			limit = 0.8 * theirs
		} else {
			compareLines(t, g.Input, in.row(0), g.Rounded)
		}
		if !(ours <= limit) {
			t.Errorf("%s: squared error %g, ggml's %g", kind, ours, theirs)
		}
	}
	if quantized != len(ggml.Types) {
		t.Errorf("%d quantized types, %d in the file", quantized, len(ggml.Types))
	}
}

// compareLines compares a row with its blocks of Q8_0 or Q8_1.
func compareLines(t *testing.T, kind string, lines, blocks []byte) {
	t.Helper()
	header := map[string]int{"Q8_0": 2, "Q8_1": 4}[kind]
	for i := range len(lines) / 64 {
		line, blk := lines[64*i:][:64], blocks[i*(header+32):][:header+32]
		if d := ToF16(f32(line[32:])); d != u16(blk) {
			t.Errorf("%s: scale %d is %#x, ggml's %#x", kind, i, d, u16(blk))
		}
		if !bytes.Equal(line[:32], blk[header:]) {
			t.Errorf("%s: codes %d are %v, ggml's %v", kind, i, line[:32], blk[header:])
		}
		if s := ToF16(f32(line[36:])); kind == "Q8_1" && s != u16(blk[2:]) {
			t.Errorf("%s: sum %d is %#x, ggml's %#x", kind, i, s, u16(blk[2:]))
		}
	}
}

// fillTask writes rows of an expected batch, on any worker.
type fillTask struct {
	in       *Input
	to, from []float32
}

func (f *fillTask) Part(row, _ int) {
	n := f.in.Cols
	copy(f.to[row*n:(row+1)*n], f.from[row*n:])
	f.in.Filled(row)
}

// TestAnExpectedBatchIsAsOneThatWasThere fills batches of changing sizes row by row, before and behind one that was given whole, and
// gathers from them.
func TestAnExpectedBatchIsAsOneThatWasThere(t *testing.T) {
	rng := rand.New(rand.NewPCG(31, 32))
	pool := NewPool(2)
	defer pool.Close()
	const cols, outs = 96, 48
	m := mustPack(t, pool, dtype.Q4_0, outs, cols, randomWeights(rng, dtype.Q4_0, outs, cols))
	var in, whole, gathered Input
	product := func(in *Input) []float32 {
		out := make([]float32, in.Rows*outs)
		pool.MatMul([]Job{{W: m, In: in, Dst: out, Stride: outs}})
		return out
	}
	for i, rows := range []int{3, 5, 2, 40, 1} {
		from := randomFloats(rng, rows*cols)
		to := make([]float32, len(from))
		read := []bool{0: false, 1: true, 4: true, 39: true}[:rows]
		pool.Set(&whole, from, rows, cols)
		whole.Read(read)
		want := product(&whole)
		if i == 2 {
			pool.Set(&in, from, rows, cols)
			in.Read(read)
		} else {
			pool.Expect(&in, to, rows, cols)
			in.Read(read)
			pool.Run(rows, &fillTask{&in, to, from})
		}
		if got := product(&in); !slices.Equal(got, want) {
			t.Fatalf("batch %d of %d rows: %v, want %v", i, rows, got, want)
		}
		if i > 0 && i != 2 && !in.expected {
			t.Fatalf("batch %d was quantized behind, not row by row", i)
		}
		pool.Gather(&gathered, &in, []int32{int32(rows - 1), 0})
		if got := product(&gathered); !slices.Equal(got[:outs], want[(rows-1)*outs:]) || !slices.Equal(got[outs:], want[:outs]) {
			t.Fatalf("batch %d: rows gathered from it give %v", i, got)
		}
	}
}

// TestAttentionLeavesABatch: what attention fills is rounded where it is filled, head by head, or behind it where heads are not whole blocks.
func TestAttentionLeavesABatch(t *testing.T) {
	rng := rand.New(rand.NewPCG(33, 34))
	pool := NewPool(2)
	defer pool.Close()
	for _, dim := range []int{32, 64, 48} {
		const rows, heads, kv, outs = 19, 6, 2, 32
		l := CacheLayout{KVHeads: kv, HeadDim: dim, BlockTokens: maxBlock}
		arena := make([]byte, l.BlockBytes())
		for i := range rows {
			l.Store(arena, 0, i, randomFloats(rng, kv*dim), randomFloats(rng, kv*dim))
		}
		m := mustPack(t, pool, dtype.Q8_0, outs, heads*dim, randomWeights(rng, dtype.Q8_0, outs, heads*dim))
		var in, whole Input
		a := Attention{Layout: l, Arena: arena, Heads: heads, Scale: 0.2, Batch: &in, Out: make([]float32, rows*heads*dim)}
		for i, spans := range [][]Span{{{Rows: rows, Table: []int32{0}}}, {{Rows: 7, Table: []int32{0}}, {Start: 7, Rows: 12, Pos: 7, Table: []int32{0}}}} {
			a.Spans, a.Q, a.Read = spans, randomFloats(rng, len(a.Out)), make([]bool, rows)
			for r := i * 7; r < rows; r++ {
				a.Read[r] = true
			}
			pool.Attend(&a)
			pool.Set(&whole, a.Out, rows, heads*dim)
			whole.Read(a.Read)
			got, want := make([]float32, rows*outs), make([]float32, rows*outs)
			pool.MatMul([]Job{{W: m, In: &in, Dst: got, Stride: outs}})
			pool.MatMul([]Job{{W: m, In: &whole, Dst: want, Stride: outs}})
			same(t, dtype.Q8_0, fmt.Sprintf("heads of %d, batch %d", dim, i), got, want)
			if in.expected != (i > 0 && dim%32 == 0) {
				t.Errorf("heads of %d, batch %d: rounded by attention: %v", dim, i, in.expected)
			}
		}
		m.Close()
	}
}

package kernel

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/galerne-ai/galerne/internal/dtype"
)

// rounding is one of the two ways that numbers become lines.
type rounding struct {
	block, filled    int // filled: bytes of a line
	quantize, inGo   func(x []float32, lines []byte)
	scale, sum       func(most float32, sum int32) float32
	largest, tooMuch float32 // the largest number whose scale rounds, and one whose does not
}

func roundings() []rounding {
	return []rounding{
		{32, 48, quantize32, quantize32Generic,
			func(most float32, _ int32) float32 { return FromF16(ToF16(most / 127)) },
			func(most float32, sum int32) float32 { return FromF16(ToF16(most / 127 * float32(sum))) }, 8.3e6, 8.4e6},
		{256, 64, quantize256, quantize256Generic,
			func(most float32, _ int32) float32 { return 1 / (127 / most) },
			func(most float32, sum int32) float32 { return 1 / (127 / most) * float32(sum) }, 8.3e6, 8.4e6},
	}
}

// TestQuantizeIsTheRule states it again, number by number, in float64 where it can be exact.
func TestQuantizeIsTheRule(t *testing.T) {
	rng := rand.New(rand.NewPCG(21, 22))
	for _, r := range roundings() {
		for range 50 {
			x := randomFloats(rng, 2*r.block)
			lines := make([]byte, 2*len(x))
			r.quantize(x, lines)
			for i, v := range x {
				line, blk := lines[i/32*64:][:64], x[i/r.block*r.block:][:r.block]
				var most float32
				for _, v := range blk {
					most = max(most, float32(math.Abs(float64(v))))
				}
				if q, want := int8(line[i%32]), math.RoundToEven(float64(v*(127/most))); float64(q) != want {
					t.Fatalf("by %d: %v of at most %v is %d, want %v", r.block, v, most, q, want)
				}
				if i%32 == 0 {
					checkSums(t, r, line, most)
				}
			}
		}
	}
}

func checkSums(t *testing.T, r rounding, line []byte, most float32) {
	t.Helper()
	var sum [2]int32
	for i, q := range line[:32] {
		sum[i/16] += int32(int8(q))
	}
	all := sum[0] + sum[1]
	if d, want := f32(line[32:]), r.scale(most, 0); d != want {
		t.Fatalf("by %d: the scale of %v is %v, want %v", r.block, most, d, want)
	}
	if s, want := f32(line[36:]), r.sum(most, all); s != want {
		t.Fatalf("by %d: the sum of %d times %v is %v, want %v", r.block, all, most, s, want)
	}
	if int32(u32(line[40:])) != -8*all || int32(u32(line[44:])) != -128*all {
		t.Fatalf("by %d: multiples of %d are %d and %d", r.block, all, int32(u32(line[40:])), int32(u32(line[44:])))
	}
	for h := range 2 {
		if r.filled == 64 && (f32(line[48+4*h:]) != r.sum(most, sum[h]) || int32(u32(line[56+4*h:])) != -128*sum[h]) {
			t.Fatalf("by %d: half %d, of %d, has %v and %d", r.block, h, sum[h], f32(line[48+4*h:]), int32(u32(line[56+4*h:])))
		}
	}
}

func TestQuantizeMatchesGenericAndShowsFaults(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 14))
	for _, r := range roundings() {
		for blocks := range 9 {
			x := randomFloats(rng, r.block*blocks)
			if blocks > 6 {
				clear(x[r.block : 2*r.block])
				clear(x[2*r.block : 3*r.block])
				x[2*r.block] = 1e-42
				x[3*r.block+1] = -r.largest
				x[4*r.block+2] = r.tooMuch
				for i := range r.block {
					x[5*r.block+i] = 5000 // whose sum is beyond half precision, but not its scale
					x[6*r.block+i] *= 1e-6
				}
			}
			checkGeneric(t, r, x)
		}
		for _, bad := range []float32{nan32(), float32(math.Inf(1)), float32(math.Inf(-1))} {
			x := randomFloats(rng, 2*r.block)
			x[r.block+8] = bad
			lines := make([]byte, 2*len(x))
			r.quantize(x, lines)
			if d := f32(lines[32:]); d != d {
				t.Fatalf("by %d: %v: the first scale is %v", r.block, bad, d)
			}
			for at := 2 * r.block; at < len(lines); at += 64 {
				if d := f32(lines[at+32:]); d == d {
					t.Fatalf("by %d: %v: the second scale is %v, want a NaN", r.block, bad, d)
				}
			}
		}
	}
}

// checkGeneric compares lines with generic Go's, where no fault may show.
func checkGeneric(t *testing.T, r rounding, x []float32) {
	t.Helper()
	got, want := make([]byte, 2*len(x)+1), make([]byte, 2*len(x)+1)
	r.quantize(x, got[:2*len(x)])
	r.inGo(x, want[:2*len(x)])
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("by %d: byte %d of line %d of %d is %d, generic %d", r.block, i%64, i/64, len(x)/32, got[i], want[i])
		}
	}
	for at := 0; at+64 < len(got); at += 64 {
		if d, s := f32(got[at+32:]), f32(got[at+36:]); d-d != 0 || s-s != 0 {
			t.Fatalf("by %d: line %d has scale %v, sum %v", r.block, at/64, d, s)
		}
	}
}

// TestOneInputServesBothRoundings: matrices of both kinds share an input, in either order, gathered and not.
func TestOneInputServesBothRoundings(t *testing.T) {
	rng := rand.New(rand.NewPCG(23, 24))
	pool := NewPool(2)
	defer pool.Close()
	const rows, cols, n = 16, 512, 3
	kinds := []dtype.Type{dtype.Q4_1, dtype.Q6_K, dtype.F32}
	x := randomFloats(rng, n*cols)
	var both, some Input
	pool.Set(&both, x, n, cols)
	pool.Gather(&some, &both, []int32{2, 0})
	var matrices []*Matrix
	var jobs []Job
	for _, kind := range kinds {
		m := mustPack(t, pool, kind, rows, cols, randomWeights(rng, kind, rows, cols))
		matrices = append(matrices, m)
		jobs = append(jobs, Job{W: m, In: &some, Dst: make([]float32, 2*rows), Stride: rows}, Job{W: m, In: &both, Dst: make([]float32, n*rows), Stride: rows})
	}
	pool.MatMul(jobs)
	for i, m := range matrices {
		for j, want := range [][]int{{2, 0}, {0, 1, 2}} {
			for at, r := range want {
				var alone Input
				dst := make([]float32, rows)
				pool.Set(&alone, x[r*cols:(r+1)*cols], 1, cols)
				pool.MatMul([]Job{{W: m, In: &alone, Dst: dst, Stride: rows}})
				same(t, kinds[i], "together", jobs[2*i+j].Dst[at*rows:(at+1)*rows], dst)
			}
		}
	}
}

// TestRoundingIsGGMLs holds lines and products against ggml's own (testdata/ggml.py). Its products are of the
// same integers and scales, so that nothing but the order of some float32 additions is between them and ours.
func TestRoundingIsGGMLs(t *testing.T) {
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
		rows, cols := len(g.Products), len(ggml.X)
		m := mustPack(t, pool, kind, rows, cols, g.Weights)
		var in Input
		pool.Set(&in, ggml.X, 1, cols)
		got := make([]float32, rows)
		pool.MatMul([]Job{{W: m, In: &in, Dst: got, Stride: rows}})
		compareLines(t, g.Input, in.lines(m.form.inputBlock()).row(0), g.Rounded)
		for r, want := range g.Products {
			// Terms are of size 1, so that a sum of 512 passes through some 30.
			if e := math.Abs(float64(got[r]) - float64(want)); !(e < 3e-5) {
				t.Errorf("%s: product %d is %v, ggml's %v", kind, r, got[r], want)
			}
		}
	}
	if quantized != len(ggml.Types) {
		t.Errorf("%d quantized types, %d in the file", quantized, len(ggml.Types))
	}
}

// compareLines compares a row with its blocks of ggml.
func compareLines(t *testing.T, kind string, lines, blocks []byte) {
	t.Helper()
	header, size := map[string]int{"Q8_0": 2, "Q8_1": 4, "Q8_K": 4}[kind], map[string]int{"Q8_0": 34, "Q8_1": 36, "Q8_K": 4 + 256 + 32}[kind]
	perBlock := (size - header) / 32
	if kind == "Q8_K" {
		perBlock = 8
	}
	for i := range len(lines) / 64 {
		line, blk := lines[64*i:][:64], blocks[i/perBlock*size:][:size]
		scale := f16(blk)
		if kind == "Q8_K" {
			scale = f32(blk)
		}
		d, sign := f32(line[32:]), int8(1)
		if scale < 0 {
			sign = -1
		}
		if d != scale*float32(sign) {
			t.Errorf("%s: scale %d is %v, ggml's %v", kind, i, d, scale)
		}
		for j, q := range blk[header+i%perBlock*32:][:32] {
			if int8(line[j]) != sign*int8(q) {
				t.Errorf("%s: code %d of %d is %d, ggml's %d", kind, j, i, int8(line[j]), sign*int8(q))
			}
		}
		if s := f32(line[36:]); kind == "Q8_1" && s != f16(blk[2:]) {
			t.Errorf("%s: sum %d is %v, ggml's %v", kind, i, s, f16(blk[2:]))
		}
		for h := range 2 {
			sums := blk[len(blk)-32:][2*(i%8*2+h):]
			if want := scale * float32(int16(u16(sums))); kind == "Q8_K" && f32(line[48+4*h:]) != want {
				t.Errorf("%s: sum %d of %d is %v, ggml's %v", kind, h, i, f32(line[48+4*h:]), want)
			}
		}
	}
}

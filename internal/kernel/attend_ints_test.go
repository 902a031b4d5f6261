package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"github.com/galerne-ai/galerne/internal/dtype"
)

// intState is a block and some queries, for kernels of integers.
type intState struct {
	ints               intScratch
	score, acc, shrink []float32
	mask               []uint32
	k, v               []byte
	call               attendCall
}

func newIntState(rng *rand.Rand, n, dim int) *intState {
	l := CacheLayout{KVHeads: 1, HeadDim: dim, BlockTokens: maxBlock, Type: CacheI16}
	arena := make([]byte, l.BlockBytes())
	for slot := range maxBlock {
		l.Store(arena, 0, slot, spread(rng, dim), spread(rng, dim))
	}
	s := &intState{ints: newIntScratch(n, dim), score: make([]float32, n*maxBlock), acc: spread(rng, n*dim), shrink: spread(rng, n), mask: make([]uint32, n),
		k: arena[:len(arena)/2], v: arena[len(arena)/2:]}
	s.ints.take(0, spread(rng, n*dim), dim, 1)
	for i := range s.mask {
		s.mask[i] = maskOf(rng.IntN(20), rng.IntN(33)) // some are empty
	}
	s.call = attendCall{n: uintptr(n), dim: uintptr(dim), many: maxBlock, block: maxBlock, k: unsafe.Pointer(&s.k[0]), v: unsafe.Pointer(&s.v[0]),
		score: unsafe.Pointer(&s.score[0]), acc: unsafe.Pointer(&s.acc[0]), shrink: unsafe.Pointer(&s.shrink[0]), mask: unsafe.Pointer(&s.mask[0])}
	s.ints.point(&s.call, 0, dim)
	return s
}

// spread is numbers of many sizes, with zeros and some below the normal ones.
func spread(rng *rand.Rand, n int) []float32 {
	x := randomFloats(rng, n)
	for i := range x {
		switch rng.IntN(12) {
		case 0:
			x[i] = float32(math.Ldexp(float64(x[i]), rng.IntN(40)-35))
		case 1:
			x[i] = float32(math.Ldexp(float64(x[i]), rng.IntN(100)-150))
		case 2:
			x[i] = 0
		}
	}
	return x
}

// TestIntKernelsMatchGenericBits: what runs here, by vectors and by tiles, for any number of queries.
func TestIntKernelsMatchGenericBits(t *testing.T) {
	rng := rand.New(rand.NewPCG(45, 46))
	for _, dim := range []int{64, 128, 256} {
		for _, n := range []int{1, 2, 3, 4, 5, 7, 8, 12, 15, 16, 17, 31, 33, 48, 81} {
			what := fmt.Sprintf("dim %d queries %d: ", dim, n)
			s := newIntState(rng, n, dim)
			scoresIntsGeneric(&s.call)
			want := slices.Clone(s.score)
			clear(s.score)
			scoresInts(&s.call)
			same(t, dtype.F32, what+"scores", s.score, want)

			weights := make([]float32, n*maxBlock)
			for i := range weights {
				weights[i] = exp32(-40 * rng.Float32())
			}
			copy(s.score, weights)
			weighGeneric(&s.call)
			bytes, top := slices.Clone(s.ints.weights[:2*n*maxBlock]), slices.Clone(s.ints.top[:n])
			clear(s.ints.weights)
			copy(s.score, weights)
			weigh(&s.call)
			same(t, dtype.F32, what+"tops", s.ints.top[:n], top)
			if !slices.Equal(s.ints.weights[:len(bytes)], bytes) {
				t.Fatal(what + "weights differ")
			}

			start := slices.Clone(s.acc)
			mixIntsGeneric(&s.call)
			want = slices.Clone(s.acc)
			copy(s.acc, start)
			mixInts(&s.call)
			same(t, dtype.F32, what+"values", s.acc, want)
		}
	}
}

// TestIntsAreTheNumbersOfScale: rounded to within half a step, or a NaN where they cannot be.
func TestIntsAreTheNumbersOfScale(t *testing.T) {
	rng := rand.New(rand.NewPCG(47, 48))
	for i := range 200 {
		x := spread(rng, 64)
		switch i {
		case 0:
			clear(x)
		case 1:
			x[7] = nan32()
		case 2:
			x[63] = float32(math.Inf(-1))
		case 3:
			for j := range x {
				x[j] *= 1e-40
			}
		case 4:
			x[0], x[1] = math.MaxFloat32, -math.MaxFloat32
		}
		var high, low, wantHigh, wantLow [64]int8
		got, want := split16Row(high[:], low[:], x), split16Generic(wantHigh[:], wantLow[:], x)
		same(t, dtype.F32, fmt.Sprint("scale ", i), []float32{got.scale}, []float32{want.scale})
		if high != wantHigh || low != wantLow || got.high != want.high || got.low != want.low {
			t.Fatalf("row %d: %v %v, want %v %v", i, high, low, wantHigh, wantLow)
		}
		for j, v := range x {
			n := float64(int(high[j])<<8 + int(low[j]))
			if e := math.Abs(n*float64(got.scale) - float64(v)); e > 0.501*float64(got.scale) && got.scale == got.scale && got.scale > 1e-30 {
				t.Fatalf("row %d: %g became %g steps of %g", i, v, n, got.scale)
			}
		}
	}
}

// TestABrokenValueShows: a NaN among values is one of the answer, of a slot that is read; of others it is nothing.
func TestABrokenValueShows(t *testing.T) {
	l := CacheLayout{KVHeads: 1, HeadDim: 64, BlockTokens: maxBlock, Type: CacheI16}
	rng := rand.New(rand.NewPCG(49, 50))
	pool := NewPool(1)
	defer pool.Close()
	for _, rows := range []int{1, 9} {
		for broken := range 12 {
			arena := make([]byte, l.BlockBytes())
			for i := range arena {
				arena[i] = 0xff // NaN is what others left
			}
			for slot := range 10 {
				v := randomFloats(rng, 64)
				if slot == broken {
					v[5] = nan32()
				}
				l.Store(arena, 0, slot, randomFloats(rng, 64), v)
			}
			out := make([]float32, rows*64)
			pool.Attend(&Attention{Layout: l, Arena: arena, Q: randomFloats(rng, rows*64), Out: out, Heads: 1, Scale: 1,
				Spans: []Span{{Rows: rows, Pos: 10 - rows, Table: []int32{0}}}})
			if last := out[len(out)-1]; (last != last) != (broken < 10) {
				t.Errorf("%d rows, slot %d broken: %v", rows, broken, last)
			}
		}
	}
}

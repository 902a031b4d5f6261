//go:build (amd64 || arm64) && !purego

package kernel

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"github.com/galerne-ai/galerne/internal/dtype"
)

// attentionKernel is one machine's; attentionKernels lists them.
type attentionKernel struct {
	name        string
	on          bool
	lanes       int
	scores, mix [2]func(*attendCall) // of f16, of float32
	soften      func(*attendCall)
}

// TestAttentionKernelsMatchGeneric: the softmax has generic Go's bits; scores and values, which fuse,
// come within rounding, with the same bits from every width of vectors and any number of queries.
func TestAttentionKernelsMatchGeneric(t *testing.T) {
	rng := rand.New(rand.NewPCG(19, 20))
	for _, dim := range []int{8, 16, 24, 64, 80, 112, 128, 256} {
		for _, n := range []int{1, 2, 3, 5, 7, 12, 23, 48} {
			for wide := range 2 {
				start := newAttendState(rng, n, dim, wide == 1)
				want := start.clone()
				scoresGeneric(&want.call)
				softenGeneric(&want.call)
				mixGeneric(&want.call)
				var first *attendState
				for _, im := range attentionKernels() {
					if !im.on || dim%im.lanes != 0 {
						continue
					}
					got := start.clone()
					im.scores[wide](&got.call)
					exact := got.clone()
					im.soften(&got.call)
					softenGeneric(&exact.call)
					what := fmt.Sprintf("%s dim %d queries %d wide %d: ", im.name, dim, n, wide)
					same(t, dtype.F32, what+"weights", got.score, exact.score)
					same(t, dtype.F32, what+"sums", got.sum, exact.sum)
					same(t, dtype.F32, what+"most", got.most, exact.most)
					same(t, dtype.F32, what+"shrink", got.shrink[:n], exact.shrink[:n])
					im.mix[wide](&got.call)
					if e := nmse(got.acc, want.acc); !(e < 1e-9) {
						t.Fatalf("%sNMSE %g", what, e)
					}
					if first == nil {
						first = got
					}
					same(t, dtype.F32, what+"acc", got.acc, first.acc)
					if n == 5 {
						alone := start.only(4)
						im.scores[wide](&alone.call)
						im.soften(&alone.call)
						im.mix[wide](&alone.call)
						same(t, dtype.F32, what+"alone", alone.acc, got.acc[4*dim:])
					}
				}
			}
		}
	}
}

func nmse(got, want []float32) float64 {
	var diff, size float64
	for i, w := range want {
		e := float64(w) - float64(got[i])
		diff, size = diff+e*e, size+float64(w)*float64(w)
	}
	return diff / size
}

// attendState is a tile's state with slots of its own.
type attendState struct {
	attendScratch
	keys, values []uint16
}

func newAttendState(rng *rand.Rand, n, dim int, wide bool) *attendState {
	s := &attendState{keys: make([]uint16, dim*maxBlock), values: make([]uint16, dim*maxBlock)}
	s.q, s.acc, s.sum = randomFloats(rng, n*dim), randomFloats(rng, n*dim), randomFloats(rng, 16*n)
	s.score, s.most, s.shrink = make([]float32, n*maxBlock), randomFloats(rng, n), make([]float32, (n+15)/16*16)
	s.k, s.v, s.mask = randomFloats(rng, dim*maxBlock), randomFloats(rng, dim*maxBlock), make([]uint32, n)
	toF16Generic(s.keys, s.k)
	toF16Generic(s.values, s.v)
	for i := range s.mask {
		s.mask[i] = maskOf(rng.IntN(20), rng.IntN(33)) // some are empty
	}
	s.most[0] = lowest
	s.call = attendCall{n: uintptr(n), dim: uintptr(dim), first: 3, many: 27, block: maxBlock, wide: wide}
	s.point()
	return s
}

func (s *attendState) point() {
	c := &s.call
	c.q, c.acc, c.sum, c.score = unsafe.Pointer(&s.q[0]), unsafe.Pointer(&s.acc[0]), unsafe.Pointer(&s.sum[0]), unsafe.Pointer(&s.score[0])
	c.most, c.shrink, c.mask = unsafe.Pointer(&s.most[0]), unsafe.Pointer(&s.shrink[0]), unsafe.Pointer(&s.mask[0])
	c.k, c.v = unsafe.Pointer(&s.keys[0]), unsafe.Pointer(&s.values[0])
	if c.wide {
		c.k, c.v = unsafe.Pointer(&s.k[0]), unsafe.Pointer(&s.v[0])
	}
}

func (s *attendState) clone() *attendState {
	c := *s
	c.q, c.acc, c.sum = slices.Clone(s.q), slices.Clone(s.acc), slices.Clone(s.sum)
	c.score, c.most, c.shrink, c.mask = slices.Clone(s.score), slices.Clone(s.most), slices.Clone(s.shrink), slices.Clone(s.mask)
	c.point()
	return &c
}

// only is the state of one query.
func (s *attendState) only(i int) *attendState {
	c := s.clone()
	n, dim := 1, int(s.call.dim)
	c.q, c.acc, c.sum = c.q[i*dim:(i+n)*dim], c.acc[i*dim:(i+n)*dim], c.sum[16*i:16*i+16]
	c.score, c.most, c.mask, c.shrink = c.score[:maxBlock], c.most[i:i+1], c.mask[i:i+1], c.shrink[:16]
	c.call.n = 1
	c.point()
	return c
}

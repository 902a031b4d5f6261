package kernel

import (
	"math"
	"unsafe"
)

// Attention over CacheI16 multiplies integers, whose sums are exact: in any order, by tiles or by vectors, their bits are the same. What is of
// 16 bits stands as two bytes, 256·high + low. Of a product the three greater parts are added,
//
//	256·(Σ high·high) + (Σ high·low + Σ low·high)  ≈  Σ x·y / 256
//
// which fits 32 bits, for dimensions up to 256. Low bytes of queries, keys and values are signed, so that what is left out has no
// bias; those of the softmax's weights are not, since one of two bytes that an instruction multiplies may have no sign.
//
//	queries  [n][2: high, low][HeadDim] int8, with a scale each, and -128 times the sums that a key raised by 128 adds to
//	keys     [32] float32 scales, [2: high, low][HeadDim/4][32 slots][4] int8
//	weights  [n][2: high, low][32] uint8, with a scale each
//	values   [32] float32 scales, [2: low, high][8][HeadDim][4 slots] int8

// most16 is the greatest of the integers: its upper byte is 127.
const most16 = 127 << 8

// intsDims is what dimensions must be a multiple of, for the rows of a tile, and maxIntsDim how many there may be.
const intsDims, maxIntsDim = 64, 256

// split16 is what numbers become: their scale and the sums of their upper and lower bytes.
type split16 struct {
	scale     float32
	high, low int32
}

// split16Generic fills high and low with x/scale, rounded half to even, where scale is max|x|/most16; with an infinity or a NaN it is NaN.
func split16Generic(high, low []int8, x []float32) split16 {
	var most float32
	for _, v := range x {
		most = max(most, abs32(v)) // max keeps a NaN
	}
	inverse := most16 / most
	if !(inverse <= math.MaxFloat32) { // zeros, or too small to tell apart
		inverse = 0
	}
	s := split16{scale: most * (1.0 / most16)}
	if !(most <= math.MaxFloat32) {
		s.scale, inverse = nan32(), 0
	}
	for i, v := range x {
		var n int32
		if inverse != 0 {
			n = int32(roundEven(float32(v * inverse)))
		}
		up := (n + 128) >> 8
		high[i], low[i] = int8(up), int8(n-up<<8)
		s.high, s.low = s.high+up, s.low+n-up<<8
	}
	return s
}

// scoresIntsGeneric is scoresGeneric of integers: score[i][s] = float32(Σ) · scale[s] · 256 scales of query i.
func scoresIntsGeneric(c *attendCall) {
	q, k := unsafe.Slice((*int8)(c.q), c.n*2*c.dim), planesAt(c.k, int(c.dim))
	score, scale := numbers(c.score, c.n*maxBlock), numbers(c.scale, c.n)
	for i := range c.n {
		high, low := q[2*i*c.dim:][:c.dim], q[(2*i+1)*c.dim:][:c.dim]
		for s := range uintptr(maxBlock) {
			var great, small int32
			for d := range c.dim {
				at := d/4*4*maxBlock + 4*s + d%4
				great += int32(high[d]) * int32(k.first[at])
				small += int32(high[d])*int32(k.second[at]) + int32(low[d])*int32(k.first[at])
			}
			score[i*maxBlock+s] = float32(float32(great<<8+small)*k.scales[s]) * scale[i]
		}
	}
}

// weighGeneric makes integers of score, the softmax's weights, times the scales of values: for each query
//
//	x[s] = score[s]·scale[s] for slots s of its mask, else 0;  weights[s] = round half to even (x[s]·(most16/max x))
//	top = max x · 256/most16
func weighGeneric(c *attendCall) {
	score, top := numbers(c.score, c.n*maxBlock), numbers(c.top, c.n)
	mask, weights := unsafe.Slice((*uint32)(c.mask), c.n), unsafe.Slice((*[2][maxBlock]uint8)(c.weights), c.n)
	scales := (*[maxBlock]float32)(c.v)
	for i := range c.n {
		var x [maxBlock]float32
		var most uint32 // as bits, of which those of a NaN are the greatest
		for s := range x {
			if mask[i]>>s&1 == 1 {
				x[s] = score[i*maxBlock+uintptr(s)] * scales[s]
			}
			most = max(most, math.Float32bits(x[s]))
		}
		greatest := math.Float32frombits(most)
		inverse := most16 / greatest
		if !(inverse <= math.MaxFloat32) {
			inverse = 0
		}
		top[i] = greatest * (256.0 / most16)
		for s, v := range x {
			var n int32
			if inverse != 0 {
				n = int32(roundEven(float32(v * inverse)))
			}
			weights[i][0][s], weights[i][1][s] = uint8(n>>8), uint8(n)
		}
	}
}

// mixIntsGeneric is mixGeneric of integers: acc[i][d] = fma(float32(Σ), top[i], acc[i][d]·shrink[i]).
func mixIntsGeneric(c *attendCall) {
	w, v := unsafe.Slice((*[2][maxBlock]uint8)(c.weights), c.n), planesAt(c.v, int(c.dim))
	acc, shrink, top := numbers(c.acc, c.n*c.dim), numbers(c.shrink, c.n), numbers(c.top, c.n)
	for i := range c.n {
		for d := range c.dim {
			var great, small int32
			for s := range uintptr(maxBlock) {
				at := s/4*4*c.dim + 4*d + s%4
				great += int32(w[i][0][s]) * int32(v.second[at])
				small += int32(w[i][0][s])*int32(v.first[at]) + int32(w[i][1][s])*int32(v.second[at])
			}
			sum := &acc[i*c.dim+d]
			*sum = fma32(float32(great<<8+small), top[i], float32(*sum*shrink[i]))
		}
	}
}

// intScratch is a tile's queries, and weights of a block, as integers.
type intScratch struct {
	q            []int8
	scale        []float32
	bias         [][2]int32
	weights      []uint8
	top, inverse []float32
	products     []byte
}

func newIntScratch(n, dim int) intScratch {
	n = (n + 31) &^ 15 // kernels take 16 rows at a time, whatever stands behind the last
	return intScratch{q: make([]int8, 2*n*dim), scale: make([]float32, n), bias: make([][2]int32, n), weights: make([]uint8, 2*n*maxBlock),
		top: make([]float32, n), inverse: make([]float32, n), products: make([]byte, 4096)}
}

// take makes integers of queries, from the first on, whose scores are scaled.
func (t *intScratch) take(first int, q []float32, dim int, scale float32) {
	for i := range len(q) / dim {
		row := t.q[2*(first+i)*dim:][:2*dim]
		s := split16Row(row[:dim], row[dim:], q[i*dim:][:dim])
		t.scale[first+i], t.bias[first+i] = 256*scale*s.scale, [2]int32{-128 * s.high, -128 * (s.high + s.low)}
	}
}

// point gives a call queries from the first on.
func (t *intScratch) point(c *attendCall, first, dim int) {
	c.q, c.scale, c.bias = unsafe.Pointer(&t.q[2*first*dim]), unsafe.Pointer(&t.scale[first]), unsafe.Pointer(&t.bias[first])
	c.weights, c.top, c.inverse = unsafe.Pointer(&t.weights[0]), unsafe.Pointer(&t.top[0]), unsafe.Pointer(&t.inverse[0])
	c.products = unsafe.Pointer(&t.products[0])
}

// blockInts is block, of integers.
func (a *Attention) blockInts(p, next *piece, t *attendScratch, block, after int32) {
	c, n, dim := &t.call, p.queries(), a.Layout.HeadDim
	c.n = uintptr(n)
	for h := range p.kvHeads {
		c.k, c.next = a.open(p, next, block, after, h)
		t.ints.point(c, h*n, dim)
		c.score = unsafe.Pointer(&t.score[h*n*maxBlock])
		scoresInts(c)
	}
	a.soften(p, t)
	for h := range p.kvHeads {
		c.v, c.next = a.open(p, next, block, after, p.kvHeads+h)
		c.score, c.shrink, c.acc = unsafe.Pointer(&t.score[h*n*maxBlock]), unsafe.Pointer(&t.shrink[h*n]), unsafe.Pointer(&t.acc[h*n*dim])
		c.mask = unsafe.Pointer(&t.mask[h*n])
		weigh(c)
		mixInts(c)
	}
	c.mask = unsafe.Pointer(&t.mask[0])
}

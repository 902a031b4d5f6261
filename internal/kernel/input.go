package kernel

import (
	"math"
	"unsafe"
)

// Input is a batch of activation rows [Rows][Cols], as given and, where a matrix needs it, as
// integers. It keeps its buffers from batch to batch.
type Input struct {
	Rows, Cols  int
	x           []float32 // [Rows][Cols], the caller's
	by32, by256 lines
	from        *Input    // of a gathered batch
	rows        []int32   // [Rows] of from
	own         []float32 // x of a gathered batch
}

// lines are a batch as integers, one line of 64 bytes for every 32 numbers of a row, so that a kernel finds
// all it needs of a row and block in one cache line:
//
//	q [32]int8          x ≈ d·q
//	d float32
//	sum float32         d·Σq
//	n8, n128 int32      -8·Σq, -128·Σq: what unsigned codes add to a product
//	sum16 [2]float32    d·Σq of either half
//	n16 [2]int32        -128·Σq of either half
//
// Numbers are rounded as llama.cpp rounds them for the same weights, so that a model gives its answers: the
// weights were chosen, and their losses published, with those roundings. There are two.
//
//   - by 32, for types whose own scales are of 32 weights (ggml's Q8_0 and Q8_1): q = round(x·127/max|x|),
//     d = f16(max|x|/127), sum = f16(max|x|/127 · Σq). sum16 and n16 are left out.
//   - by 256, for types whose scales are integers under one factor of 256 weights (Q8_K): max|x| is that of eight
//     lines, q likewise, d = 1/(127/max|x|), in float32. (ggml turns the sign of both q and d where the largest is
//     positive; products are the same.)
type lines struct {
	in     *Input
	block  int    // 32 or 256
	data   []byte // [Rows][stride], 64-byte aligned
	stride int
	ready  bool
}

const lineBytes = 64

// Set makes x [rows][cols] the batch. x must stay unchanged while the Input is used.
func (p *Pool) Set(in *Input, x []float32, rows, cols int) {
	in.Rows, in.Cols, in.x, in.from = rows, cols, x[:rows*cols], nil
	in.by32.ready, in.by256.ready = false, false
}

// Gather makes rows of from, in any order and number, the batch. They are quantized once, in from; rows
// and from must stay unchanged while in is used.
func (p *Pool) Gather(in, from *Input, rows []int32) {
	in.Rows, in.Cols, in.x, in.from, in.rows = len(rows), from.Cols, nil, from, rows
	in.by32.ready, in.by256.ready = false, false
}

// floats prepares x of a gathered batch; MatMul calls it where a job needs it.
func (p *Pool) floats(in *Input) {
	if in.from == nil || in.x != nil {
		return
	}
	p.floats(in.from)
	if n := in.Rows * in.Cols; cap(in.own) < n {
		in.own = make([]float32, n)
	}
	in.x = in.own[:in.Rows*in.Cols]
	for i, r := range in.rows {
		copy(in.x[i*in.Cols:(i+1)*in.Cols], in.from.x[int(r)*in.Cols:])
	}
}

// lines are those that a block of weights is multiplied with; only quantize makes them ready.
func (in *Input) lines(block int) *lines {
	if block == 256 {
		return &in.by256
	}
	return &in.by32
}

// quantize prepares lines; MatMul calls it where a job needs them, and it is done once a batch.
func (p *Pool) quantize(in *Input, block int) {
	l := in.lines(block)
	if l.ready {
		return
	}
	if in.from != nil {
		p.quantize(in.from, block)
	}
	l.in, l.block, l.ready = in, block, true
	l.reserve()
	if in.Rows*in.Cols < 1<<14 {
		for r := range in.Rows {
			l.Part(r, 0)
		}
		return
	}
	p.Run(in.Rows, l)
}

// reserve makes room. Rows stand one line apart, so that the same block of many rows does not fall in the
// same set of a cache.
func (l *lines) reserve() {
	l.stride = (l.in.Cols/32 + 1) * lineBytes
	if n := l.in.Rows * l.stride; cap(l.data) < n {
		b := make([]byte, n+lineBytes)
		skip := int(-uintptr(unsafe.Pointer(&b[0])) & (lineBytes - 1))
		l.data = b[skip : skip+n]
	} else {
		l.data = l.data[:n]
	}
}

func (l *lines) row(r int) []byte { return l.data[r*l.stride:][:l.in.Cols/32*lineBytes] }

// Part quantizes one row, or copies it.
func (l *lines) Part(row, _ int) {
	in := l.in
	if in.from != nil {
		copy(l.row(row), in.from.lines(l.block).row(int(in.rows[row])))
		return
	}
	x := in.x[row*in.Cols : (row+1)*in.Cols]
	if l.block == 256 {
		quantize256(x, l.row(row))
	} else {
		quantize32(x, l.row(row))
	}
}

// quantize32Generic fills lines from x, of a multiple of 32. A block with an infinity or a NaN gets d = NaN, so
// that the fault shows in every output; a scale or sum beyond half precision stays as it is.
func quantize32Generic(x []float32, lines []byte) {
	for b := range len(x) / 32 {
		blk, line := x[32*b:32*b+32], lines[b*lineBytes:][:lineBytes]
		most, inverse := stepOf(blk)
		scale := most / 127
		sum := putCodes(line, blk, inverse)
		all := sum[0] + sum[1]
		putFloat(line[32:], half(scale))
		putFloat(line[36:], half(scale*float32(all)))
		putBiases(line, all)
	}
}

// quantize256Generic does the same by blocks of 256.
func quantize256Generic(x []float32, lines []byte) {
	for b := range len(x) / 256 {
		blk := x[256*b:][:256]
		most, inverse := stepOf(blk)
		scale := 1 / inverse
		switch {
		case most != most:
			scale = most
		case inverse == 0:
			scale = 0
		}
		for i := range 8 {
			line := lines[(8*b+i)*lineBytes:][:lineBytes]
			sum := putCodes(line, blk[32*i:][:32], inverse)
			all := sum[0] + sum[1]
			putFloat(line[32:], scale)
			putFloat(line[36:], scale*float32(all))
			putBiases(line, all)
			for h, v := range sum {
				putFloat(line[48+4*h:], scale*float32(v))
				putWord(line[56+4*h:], uint32(-128*v))
			}
		}
	}
}

// stepOf is max|x|, a NaN where a number is not finite, and 127/max|x|, 0 where that is not finite: for zeros,
// or numbers too small to tell apart.
func stepOf(x []float32) (most, inverse float32) {
	for _, v := range x {
		most = max(most, abs32(v)) // max keeps a NaN
	}
	if !(most <= math.MaxFloat32) {
		return nan32(), 0
	}
	if inverse = 127 / most; !(inverse <= 3.4e38) {
		inverse = 0
	}
	return most, inverse
}

// putCodes writes a line's codes, round half to even (x·inverse), and gives the sum of either half.
func putCodes(line []byte, x []float32, inverse float32) (sum [2]int32) {
	for i, v := range x {
		var q int8
		if inverse != 0 {
			q = int8(roundEven(float32(v * inverse)))
		}
		line[i] = byte(q)
		sum[i/16] += int32(q)
	}
	return sum
}

// putBiases writes n8 and n128.
func putBiases(line []byte, sum int32) {
	putWord(line[40:], uint32(-8*sum))
	putWord(line[44:], uint32(-128*sum))
}

func putFloat(b []byte, v float32) { putWord(b, math.Float32bits(v)) }

// half rounds v to half precision, where that reaches so far.
func half(v float32) float32 {
	if h := FromF16(ToF16(v)); abs32(h) <= math.MaxFloat32 {
		return h
	}
	return v
}

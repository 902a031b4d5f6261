package kernel

// Input is a batch of activation rows [Rows][Cols], as given and, where a matrix needs it, as
// integers: blocks of 32 with a float32 scale each. It keeps its buffers from batch to batch.
type Input struct {
	Rows, Cols int
	x          []float32 // [Rows][Cols], the caller's
	q          []int8    // [Rows][Cols]
	d          []float32 // [Rows][Cols/32] scales
	z32, z16   []int32   // [Rows][Cols/32], [Rows][Cols/16] sums of q
	s32, s16   []float32 // the same sums times the scale
	quantized  bool
}

// Set makes x [rows][cols] the batch. x must stay unchanged while the Input is used.
func (p *Pool) Set(in *Input, x []float32, rows, cols int) {
	in.Rows, in.Cols, in.x, in.quantized = rows, cols, x[:rows*cols], false
}

// quantize prepares the integers; MatMul calls it where a job needs it, and it is done once a batch.
func (p *Pool) quantize(in *Input) {
	if in.quantized {
		return
	}
	in.quantized = true
	n, blocks := in.Rows*in.Cols, in.Rows*in.Cols/32
	if cap(in.q) < n {
		in.q = make([]int8, n)
		in.d, in.z32, in.s32 = make([]float32, blocks), make([]int32, blocks), make([]float32, blocks)
		in.z16, in.s16 = make([]int32, 2*blocks), make([]float32, 2*blocks)
	}
	in.q, in.d, in.z32, in.s32 = in.q[:n], in.d[:blocks], in.z32[:blocks], in.s32[:blocks]
	in.z16, in.s16 = in.z16[:2*blocks], in.s16[:2*blocks]
	if in.Rows*in.Cols < 1<<14 {
		for r := range in.Rows {
			in.Part(r, 0)
		}
		return
	}
	p.Run(in.Rows, in)
}

// Part quantizes one row: per block of 32, q = round(x/d) with d = max|x|/127.
func (in *Input) Part(row, _ int) {
	k := in.Cols
	nb := k / 32
	quantizeRow(in.x[row*k:(row+1)*k], in.q[row*k:(row+1)*k], in.d[row*nb:(row+1)*nb])
	z16, z32, s16, s32, d := in.z16[row*2*nb:], in.z32[row*nb:], in.s16[row*2*nb:], in.s32[row*nb:], in.d[row*nb:]
	sums16(in.q[row*k:(row+1)*k], z16[:2*nb])
	for b := range nb {
		lo, hi, scale := z16[2*b], z16[2*b+1], d[b]
		z32[b] = lo + hi
		s16[2*b], s16[2*b+1], s32[b] = scale*float32(lo), scale*float32(hi), scale*float32(lo+hi)
	}
}

// sums16Generic is z[i] = Σ q[16i : 16i+16].
func sums16Generic(q []int8, z []int32) {
	for i := range z {
		z[i] = 0
		for _, v := range q[16*i : 16*i+16] {
			z[i] += int32(v)
		}
	}
}

// quantizeRowGeneric is
//
//	d[b] = max|x|/127;  q[i] = int8(round half to even (x[i] * (127/max|x|)))
//
// A block with an infinity or a NaN gets d = NaN, so that the fault shows in every output.
func quantizeRowGeneric(x []float32, q []int8, d []float32) {
	for b := range d {
		blk := x[32*b : 32*b+32]
		out := q[32*b : 32*b+32]
		var most float32
		for _, v := range blk {
			most = max(most, abs32(v)) // max keeps a NaN
		}
		if !(most <= 3.4e38) {
			d[b] = most - most + nan32()
			clear(out)
			continue
		}
		inverse := 127 / most
		if !(inverse <= 3.4e38) { // zeros, or too small to tell apart
			inverse = 0
		}
		d[b] = most / 127
		for i, v := range blk {
			out[i] = int8(roundEven(float32(v * inverse)))
		}
	}
}

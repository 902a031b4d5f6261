package kernel

import "math"

// Input is a batch of activation rows [Rows][Cols], as given and, where a matrix needs it, as
// integers in blocks of 32. It keeps its buffers from batch to batch.
//
// A quantized row is a run of lines of 64 bytes, one a block, so that a kernel finds all it needs of a
// row and block in one cache line:
//
//	q [32]int8          with d = max|x|/127, q = round(x/d)
//	d float32
//	sum float32         d·Σq
//	m16 [2]int16        -16·Σq of the first two of each four, of the last two
//	n128 int32          -128·Σq
//	m32 [2][2]int16     -32·Σq of the same, of either half
//	n16 [2]int32        -128·Σq of either half
//
// The last four are what a zero among unsigned codes adds to their products with q: of instructions that sum those of
// four in 32 bits, and of those that sum two's in 16, which may wrap around meanwhile.
//
// A row that is read (see Read) has 32 bf16 in each line.
//
// llama.cpp rounds the same for types whose scales are of 32 weights, but for d and sum in half precision; beside K
// types it has one scale for 256 numbers. That costs accuracy and buys no likeness: see bench/NOTES.md.
type Input struct {
	Rows, Cols int
	x          []float32 // [Rows][Cols], the caller's
	lines      []byte    // [Rows][stride], 64-byte aligned
	stride     int
	quantized  bool      // lines are whole
	wanted     bool      // they were, of a batch before
	expected   bool      // Filled makes them
	from       *Input    // of a gathered batch
	rows       []int32   // [Rows] of from
	read       []bool    // [Rows]; nil: none
	gathered   []bool    // read, of a gathered batch
	own        []float32 // x of a gathered batch
}

const lineBytes = 64

// Set makes x [rows][cols] the batch. x must stay unchanged while the Input is used.
func (p *Pool) Set(in *Input, x []float32, rows, cols int) {
	in.Rows, in.Cols, in.x, in.quantized, in.expected, in.from, in.read = rows, cols, x[:rows*cols], false, false, nil, nil
}

// Expect is Set before x has its numbers: Filled must be told of every row before the Input is used. It is then that rows are quantized,
// on the worker in whose cache they are, where batches before wanted it.
func (p *Pool) Expect(in *Input, x []float32, rows, cols int) {
	p.Set(in, x, rows, cols)
	if in.wanted {
		in.expected = true
		in.reserve()
	}
}

// Read says which rows [Rows] are read: tokens of a prompt, where the others are written, one by one. Where a machine has tiles of bf16 these
// rows are multiplied by them, which is faster for many and rounds less, with other bits; elsewhere all rows are alike. It is called
// behind Set or Expect, before anything else; rows must stay unchanged while the Input is used.
func (in *Input) Read(rows []bool) {
	if useReading {
		in.read = rows
	}
}

// ReadAs is Read of the same rows as another's.
func (in *Input) ReadAs(other *Input) { in.read = other.read }

// reads reports whether a row is one.
func (in *Input) reads(row int) bool { return in.read != nil && in.read[row] }

// Filled says that a row of an expected batch has its numbers, once a row. Workers may call it for different rows at the same time.
func (in *Input) Filled(row int) { in.filled(row, 0, in.Cols) }

// filled is Filled of columns [from, to), multiples of 32.
func (in *Input) filled(row, from, to int) {
	if in.expected {
		in.fill(row, from, to)
	}
}

// Gather makes rows of from, in any order and number, the batch. They are quantized once, in from; rows
// and from must stay unchanged while in is used.
func (p *Pool) Gather(in, from *Input, rows []int32) {
	in.Rows, in.Cols, in.x, in.quantized, in.expected, in.from, in.rows, in.read = len(rows), from.Cols, nil, false, false, from, rows, nil
	if from.read == nil {
		return
	}
	in.gathered = in.gathered[:0]
	for _, r := range rows {
		in.gathered = append(in.gathered, from.read[r])
	}
	in.read = in.gathered
}

// floats prepares x of a gathered batch; MatMul calls it where a job needs it.
func (p *Pool) floats(in *Input) {
	if in.from == nil || in.x != nil {
		return
	}
	p.floats(in.from)
	in.own = Grow(in.own, in.Rows*in.Cols)
	in.x = in.own
	for i, r := range in.rows {
		copy(in.x[i*in.Cols:(i+1)*in.Cols], in.from.x[int(r)*in.Cols:])
	}
}

// quantize prepares the integers; MatMul calls it where a job needs it, and it is done once a batch.
func (p *Pool) quantize(in *Input) {
	if in.quantized {
		return
	}
	if in.from != nil {
		p.quantize(in.from)
	}
	in.quantized, in.wanted = true, true
	if in.expected {
		return
	}
	in.reserve()
	if in.Rows*in.Cols < 1<<14 {
		for r := range in.Rows {
			in.Part(r, 0)
		}
		return
	}
	p.Run(in.Rows, in)
}

// reserve makes room for the lines, and for 15 rows more, which kernels that take rows in pairs or in tiles of 16 read behind the
// last. Rows stand one line apart, so that the same block of many rows does not fall in the same set of a cache.
func (in *Input) reserve() {
	in.stride = (in.Cols/32 + 1) * lineBytes
	if n := (in.Rows + 15) * in.stride; cap(in.lines) < n {
		in.lines = room(n)
	} else {
		in.lines = in.lines[:n]
	}
}

func (in *Input) row(r int) []byte { return in.lines[r*in.stride:][:in.Cols/32*lineBytes] }

// Part quantizes one row, or copies it.
func (in *Input) Part(row, _ int) {
	if in.from != nil {
		copy(in.row(row), in.from.row(int(in.rows[row])))
		return
	}
	in.fill(row, 0, in.Cols)
}

// fill makes lines of columns [from, to) of a row.
func (in *Input) fill(row, from, to int) {
	x, lines := in.x[row*in.Cols+from:row*in.Cols+to], in.row(row)[from/32*lineBytes:to/32*lineBytes]
	if in.reads(row) {
		roundRow(x, lines)
		return
	}
	quantizeRow(x, lines)
}

// quantizeRowGeneric fills lines from x, of a multiple of 32: for each block
//
//	d = max|x|/127;  q[i] = int8(round half to even (x[i] * (127/max|x|)))
//
// A block with an infinity or a NaN gets d = NaN, so that the fault shows in every output.
func quantizeRowGeneric(x []float32, lines []byte) {
	for b := range len(x) / 32 {
		blk, line := x[32*b:32*b+32], lines[b*lineBytes:][:lineBytes]
		var most float32
		for _, v := range blk {
			most = max(most, abs32(v)) // max keeps a NaN
		}
		inverse := 127 / most
		if !(inverse <= 3.4e38) { // zeros, or too small to tell apart
			inverse = 0
		}
		scale := most / 127
		if !(most <= math.MaxFloat32) {
			scale, inverse = nan32(), 0
		}
		for i, v := range blk {
			var q int8
			if inverse != 0 {
				q = int8(roundEven(float32(v * inverse)))
			}
			line[i] = byte(q)
		}
		fillLine(line, scale)
	}
}

// fillLine writes what stands behind the codes.
func fillLine(line []byte, scale float32) {
	var twos [2][2]int16
	for i, q := range line[:32] {
		twos[i/16][i%4/2] += int16(int8(q))
	}
	var all int32
	for half, two := range twos {
		sum := int32(two[0]) + int32(two[1])
		putHalf(line[48+4*half:], uint16(-32*two[0]))
		putHalf(line[50+4*half:], uint16(-32*two[1]))
		putWord(line[56+4*half:], uint32(-128*sum))
		all += sum
	}
	putFloat(line[32:], scale)
	putFloat(line[36:], scale*float32(all))
	for i := range 2 {
		putHalf(line[40+2*i:], uint16(-16*(twos[0][i]+twos[1][i])))
	}
	putWord(line[44:], uint32(-128*all))
}

func putFloat(b []byte, v float32) { putWord(b, math.Float32bits(v)) }

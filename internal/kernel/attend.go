package kernel

import "unsafe"

// Span is one sequence's part of a step: Rows rows of the batch, from row Start on, whose first
// token stands at position Pos of the sequence. Table maps the sequence's blocks, in order of
// position, to blocks of the cache; it reaches to position Pos+Rows-1 at least.
type Span struct {
	Start, Rows, Pos int
	Table            []int32
	Read             bool // its rows are read: see Input.Read
}

// Attention is causal attention of a step's rows over the cached keys and values of their own
// sequences, which must hold the step's rows already. For row r at position t and head h
//
//	Out[r][h] = Σ_s softmax_s(Scale · Q[r][h]·K[s]) V[s],  s in (t-Window, t]
//
// by an online softmax over the cache's blocks, in order of position. Heads/KVHeads query heads
// share a key head. (Dao et al. 2022, https://arxiv.org/abs/2205.14135; Ainslie et al. 2023,
// https://arxiv.org/abs/2305.13245.)
type Attention struct {
	Layout  CacheLayout
	Arena   []byte    // one layer's
	Spans   []Span    // the step's
	Q, Out  []float32 // [rows][Heads][HeadDim]; Out may be Q
	Batch   *Input    // becomes Out as a batch; nil: nobody wants it
	Read    []bool    // [rows] of Batch: see Input.Read
	Heads   int
	Scale   float32
	SoftCap float32 // 0: none; else scores are SoftCap·tanh(score/SoftCap)
	Window  int     // 0: all earlier positions
	scratch []attendScratch
	pieces  []piece // one a part
}

// piece is rows [from, to) of a span with neighbouring key heads, or with some of the query heads that share one.
type piece struct {
	span            *Span
	from, to        int
	kvHead, kvHeads int
	first, many     int // query heads: the first, and how many of each key head
}

// queries is how many a key head has.
func (p *piece) queries() int { return (p.to - p.from) * p.many }

// maxBlock is the most tokens a block may have: a kernel's row of scores.
const maxBlock = 32

// tileFloats bounds the queries of a tile, heads of all its rows taken together: with dimensions of 64
// these are 48, and the tile with a block's keys and values just fills a first-level cache of 48 KiB.
const tileFloats = 3072

// tileFloatsInts is that of integers, of which more fit.
const tileFloatsInts = 6144

// widenFrom is how many queries make it worth to turn a block to float32 once, before all passes.
const widenFrom = 12

// attendScratch is the running state of a tile: n queries are rows times the heads of a group.
type attendScratch struct {
	q, acc       []float32  // [n][HeadDim]; q is scaled
	ints         intScratch // in place of q, k and v, of integers
	sum          []float32  // [n][16], in interleaved parts
	score        []float32  // [n][maxBlock]
	most, shrink []float32  // [n]; shrink goes on to a multiple of 16
	mask         []uint32   // [n] slots of the block that the query reads
	whole        bool       // all of them, for all queries
	k            []float32  // [HeadDim][BlockTokens] and
	v            []float32  // [BlockTokens][HeadDim] of the block at hand, where they are widened for all queries
	call         attendCall
}

// attendCall is what a kernel is given: the state above, and one head's keys and values in one block.
type attendCall struct {
	q           unsafe.Pointer
	k           unsafe.Pointer // [dim][block] f16, or float32
	v           unsafe.Pointer // [block][dim] likewise
	score       unsafe.Pointer
	acc         unsafe.Pointer
	sum         unsafe.Pointer
	most        unsafe.Pointer
	shrink      unsafe.Pointer
	mask        unsafe.Pointer
	n           uintptr
	dim         uintptr
	first, many uintptr // slots of the block that some query reads
	block       uintptr // BlockTokens
	next        uintptr // how far behind k or v stands what kernels of f16 ask for meanwhile
	wide        bool    // k and v are float32

	// Of integers: see attend_ints.go.
	scale    unsafe.Pointer // [n] float32, of queries, times 256
	bias     unsafe.Pointer // [n][2]int32: -128 times the sum of upper bytes, and of both
	weights  unsafe.Pointer
	top      unsafe.Pointer // [n] float32: scale of weights, times 256
	inverse  unsafe.Pointer // [n] float32 for the moment
	shapes   unsafe.Pointer // of tiles
	products unsafe.Pointer // [4096] bytes for the moment
}

// Attend runs a as one phase.
func (p *Pool) Attend(a *Attention) {
	if a.Layout.BlockTokens > maxBlock {
		panic("kernel: a block has at most 32 tokens")
	}
	for len(a.scratch) < p.threads {
		a.scratch = append(a.scratch, a.newScratch())
	}
	if a.Batch != nil {
		p.expect(a)
	}
	a.cut()
	p.Run(len(a.pieces), a)
}

// expect makes Out the batch. Pieces fill it by heads, so that these must be whole blocks of the batch's integers.
func (p *Pool) expect(a *Attention) {
	rows, width := 0, a.Heads*a.Layout.HeadDim
	for _, s := range a.Spans {
		rows = max(rows, s.Start+s.Rows)
	}
	if a.Layout.HeadDim%32 == 0 {
		p.Expect(a.Batch, a.Out, rows, width)
	} else {
		p.Set(a.Batch, a.Out, rows, width)
	}
	a.Batch.Read(a.Read)
}

func (a *Attention) newScratch() attendScratch {
	l := a.Layout
	n := max(a.group(), a.tileFloats()/l.HeadDim) // the most queries of a piece
	wide := l.BlockTokens * l.HeadDim
	t := attendScratch{
		acc: make([]float32, n*l.HeadDim), sum: make([]float32, n*16),
		score: make([]float32, n*maxBlock), most: make([]float32, n), shrink: make([]float32, (n+15)/16*16),
		mask: make([]uint32, n),
	}
	if l.Type == CacheI16 {
		t.ints = newIntScratch(n, l.HeadDim)
	} else {
		t.q, t.k, t.v = make([]float32, n*l.HeadDim), make([]float32, wide), make([]float32, wide)
	}
	t.call = attendCall{sum: unsafe.Pointer(&t.sum[0]), most: unsafe.Pointer(&t.most[0]), mask: unsafe.Pointer(&t.mask[0]),
		dim: uintptr(l.HeadDim), block: uintptr(l.BlockTokens)}
	return t
}

// group is how many query heads share a key head.
func (a *Attention) group() int { return a.Heads / a.Layout.KVHeads }

// tileRows is how many rows of a span are worked on together.
func (a *Attention) tileRows() int { return max(1, a.tileFloats()/(a.Layout.HeadDim*a.group())) }

func (a *Attention) tileFloats() int {
	if a.Layout.Type == CacheI16 {
		return tileFloatsInts
	}
	return tileFloats
}

// cut makes the pieces: a tile of rows and a key head each, the longest work of a span first. Of few queries, whose time is that of
// their keys and values, a piece has neighbouring key heads, so that it reads a block from end to end; not of the last spans, since
// workers wait for each other's pieces. Those that would be left over when every worker has had as many as the others are cut once
// more, by their query heads.
func (a *Attention) cut() {
	a.pieces = a.pieces[:0]
	group, rows, workers := a.group(), a.tileRows(), len(a.scratch)
	for i := range a.Spans {
		s := &a.Spans[i]
		for from := (s.Rows - 1) / rows * rows; from >= 0; from -= rows {
			p := piece{s, from, min(from+rows, s.Rows), 0, 1, 0, group}
			if i < len(a.Spans)-workers && p.queries() < widenFrom {
				p.kvHeads = max(1, a.tileFloats()/(a.Layout.HeadDim*p.queries()))
			}
			for p.kvHead < a.Layout.KVHeads {
				p.kvHeads = min(p.kvHeads, a.Layout.KVHeads-p.kvHead)
				a.pieces = append(a.pieces, p)
				p.kvHead += p.kvHeads
				p.first = p.kvHead * group
			}
		}
	}
	whole := len(a.pieces)
	over := whole % workers
	for i := whole - over; i < whole; i++ {
		p, shares := a.pieces[i], min(workers/over, group)
		for k := range shares {
			share := p
			share.first, share.many = p.first+k*group/shares, (k+1)*group/shares-k*group/shares
			if k == 0 {
				a.pieces[i] = share
			} else {
				a.pieces = append(a.pieces, share)
			}
		}
	}
}

// Part is one piece.
func (a *Attention) Part(part, worker int) {
	next := min(part+len(a.scratch), len(a.pieces)-1) // all workers take turns, more or less
	a.attend(&a.pieces[part], &a.pieces[next], &a.scratch[worker])
}

func (a *Attention) attend(p, next *piece, t *attendScratch) {
	s, dim, size := p.span, a.Layout.HeadDim, a.Layout.BlockTokens
	a.begin(p, t)
	end := s.Pos + p.to
	for b := a.firstBlock(p); b*size < end; b++ {
		t.call.first = uintptr(max(0, a.oldest(s.Pos+p.from)-b*size))
		t.call.many = uintptr(min(size, end-b*size)) - t.call.first
		a.masks(p, t, b)
		if (b+1)*size < end {
			a.block(p, p, t, s.Table[b], s.Table[b+1])
		} else {
			a.block(p, next, t, s.Table[b], next.span.Table[a.firstBlock(next)])
		}
	}
	for r := range p.to - p.from {
		row := s.Start + p.from + r
		out := a.Out[(row*a.Heads+p.first)*dim:]
		for h := range p.kvHeads {
			for g := range p.many {
				i := h*p.queries() + r*p.many + g
				copy(out[:dim], t.acc[i*dim:])
				Scale(out[:dim], 1/sumLanes(t.sum[16*i:]))
				out = out[dim:]
			}
		}
		if a.Batch != nil {
			a.Batch.filled(row, p.first*dim, (p.first+p.kvHeads*p.many)*dim)
		}
	}
}

// masks says what the queries read of block b.
func (a *Attention) masks(p *piece, t *attendScratch, b int) {
	s, size := p.span, a.Layout.BlockTokens
	first, last := s.Pos+p.from, s.Pos+p.to-1
	whole := a.oldest(last) <= b*size && first >= (b+1)*size-1
	if whole && t.whole {
		return
	}
	t.whole = whole
	for r := range p.to - p.from {
		m := maskOf(max(0, a.oldest(first+r)-b*size), min(size, first+r+1-b*size))
		for h := range p.kvHeads {
			for g := range p.many {
				t.mask[h*p.queries()+r*p.many+g] = m
			}
		}
	}
}

func (a *Attention) firstBlock(p *piece) int {
	return a.oldest(p.span.Pos+p.from) / a.Layout.BlockTokens
}

// begin takes the piece's queries and clears its sums.
func (a *Attention) begin(p *piece, t *attendScratch) {
	dim := a.Layout.HeadDim
	width, n := p.many*dim, p.kvHeads*p.queries()
	for r := range p.to - p.from {
		q := a.Q[((p.span.Start+p.from+r)*a.Heads+p.first)*dim:]
		for h := range p.kvHeads {
			if from := q[h*width:][:width]; a.Layout.Type == CacheI16 {
				t.ints.take(h*p.queries()+r*p.many, from, dim, a.Scale)
			} else {
				copy(t.q[h*p.queries()*dim+r*width:][:width], from)
				Scale(t.q[h*p.queries()*dim+r*width:][:width], a.Scale)
			}
		}
	}
	t.whole = false
	clear(t.acc[:n*dim])
	clear(t.sum[:n*16])
	for i := range n {
		t.most[i] = lowest
	}
}

// lowest is where the greatest score starts. It is finite, so that a query that reads nothing of its
// first block keeps its sums.
const lowest = -1e30

// maskOf has the bits of slots [lo, hi).
func maskOf(lo, hi int) uint32 {
	if lo >= hi {
		return 0
	}
	return uint32(uint64(1)<<hi - uint64(1)<<lo)
}

// sumLanes adds sixteen parts.
func sumLanes(lanes []float32) float32 {
	var part [8]float32
	for i := range part {
		part[i] = lanes[i] + lanes[i+8]
	}
	return sumParts(&part)
}

// oldest is the first position that a token at pos attends to.
func (a *Attention) oldest(pos int) int {
	if a.Window <= 0 {
		return 0
	}
	return max(0, pos-a.Window+1)
}

// block adds the call's slots of one block to the piece's running softmax: the keys of all its heads, then the values, as they lie
// there. Next comes another block, after, of piece next.
func (a *Attention) block(p, next *piece, t *attendScratch, block, after int32) {
	if a.Layout.Type == CacheI16 {
		a.blockInts(p, next, t, block, after)
		return
	}
	c, n, dim := &t.call, p.queries(), a.Layout.HeadDim
	c.wide = a.Layout.Type == CacheQ8 || n >= widenFrom
	c.n = uintptr(n)
	for h := range p.kvHeads {
		c.k, c.next = a.open(p, next, block, after, h)
		c.q, c.score = unsafe.Pointer(&t.q[h*n*dim]), unsafe.Pointer(&t.score[h*n*maxBlock])
		if c.wide {
			a.widenKeys(t, block, p.kvHead+h)
		}
		scores(c)
	}
	a.soften(p, t)
	for h := range p.kvHeads {
		c.v, c.next = a.open(p, next, block, after, p.kvHeads+h)
		c.score, c.shrink, c.acc = unsafe.Pointer(&t.score[h*n*maxBlock]), unsafe.Pointer(&t.shrink[h*n]), unsafe.Pointer(&t.acc[h*n*dim])
		if c.wide {
			a.widenValues(t, block, p.kvHead+h)
		}
		mix(c)
	}
}

// soften does the softmax of all heads' scores.
func (a *Attention) soften(p *piece, t *attendScratch) {
	c, n := &t.call, p.queries()
	c.n, c.score, c.shrink = uintptr(p.kvHeads*n), unsafe.Pointer(&t.score[0]), unsafe.Pointer(&t.shrink[0])
	if a.SoftCap > 0 {
		SoftCap(t.score[:c.n*maxBlock], a.SoftCap)
	}
	soften(c)
	c.n = uintptr(n)
}

// open is where unit u of a piece's block stands, and how far behind it the unit that is read next.
func (a *Attention) open(p, next *piece, block, after int32, u int) (at unsafe.Pointer, ahead uintptr) {
	here, then := a.unit(p, block, u), a.unit(next, after, 0)
	if u+1 < 2*p.kvHeads {
		then = a.unit(p, block, u+1)
	}
	return unsafe.Pointer(&a.Arena[here]), uintptr(then - here)
}

// unit is where a piece's unit u begins: keys of its heads, then values, one head's in each.
func (a *Attention) unit(p *piece, block int32, u int) int {
	return a.Layout.at(block, u >= p.kvHeads, p.kvHead+u%p.kvHeads)
}

// widenKeys turns the block's keys of a head to float32, for all queries.
func (a *Attention) widenKeys(t *attendScratch, block int32, head int) {
	if a.Layout.Type == CacheQ8 {
		a.Layout.widenKeys(t.k, a.Arena, block, head)
	} else {
		fromF16(t.k, a.Layout.keys(a.Arena, block, head))
	}
	t.call.k = unsafe.Pointer(&t.k[0])
}

// widenValues does that with values, of the slots that some query reads.
func (a *Attention) widenValues(t *attendScratch, block int32, head int) {
	c := &t.call
	if first, last := int(c.first), int(c.first+c.many); a.Layout.Type == CacheQ8 {
		a.Layout.widenValues(t.v, a.Arena, block, head, first, last)
	} else {
		from, to := first*a.Layout.HeadDim, last*a.Layout.HeadDim
		fromF16(t.v[from:to], unsafe.Slice((*uint16)(c.v), len(t.v))[from:])
	}
	c.v = unsafe.Pointer(&t.v[0])
}

// numbers are n of float32 at p.
func numbers(p unsafe.Pointer, n uintptr) []float32 { return unsafe.Slice((*float32)(p), n) }

// number is entry i of k or v.
func (c *attendCall) number(p unsafe.Pointer, i uintptr) float32 {
	if c.wide {
		return *(*float32)(unsafe.Add(p, 4*i))
	}
	return FromF16(*(*uint16)(unsafe.Add(p, 2*i)))
}

// scoresGeneric is score[i][s] = Σ_d q[i][d]·k[d][s], d ascending, over a whole block: what stands in
// slots that a query does not read means nothing.
func scoresGeneric(c *attendCall) {
	score := numbers(c.score, c.n*maxBlock)
	q := numbers(c.q, c.n*c.dim)
	var row [maxBlock]float32
	for i := range c.n {
		out := score[i*maxBlock:][:c.block]
		clear(out)
		for d := range c.dim {
			for s := range out {
				row[s] = c.number(c.k, d*c.block+uintptr(s))
			}
			for s := range out {
				out[s] += float32(q[i*c.dim+d] * row[s])
			}
		}
	}
}

// softenGeneric is a step of the online softmax: for each query i and the slots s of its mask
//
//	most' = max(most, score[s]);  shrink = exp(most - most')
//	score[s] = exp(score[s] - most'), 0 in other slots
//	sum[j] = sum[j]·shrink + (score[j] + score[j+16])
func softenGeneric(c *attendCall) {
	score := numbers(c.score, c.n*maxBlock)
	sum := numbers(c.sum, c.n*16)
	most, shrink := numbers(c.most, c.n), numbers(c.shrink, c.n)
	mask := unsafe.Slice((*uint32)(c.mask), c.n)
	for i := range c.n {
		row := score[i*maxBlock : (i+1)*maxBlock]
		now := most[i]
		for s, v := range row {
			if mask[i]>>s&1 == 1 && v > now {
				now = v
			}
		}
		shrink[i], most[i] = exp32(most[i]-now), now
		for s, v := range row {
			row[s] = 0
			if mask[i]>>s&1 == 1 {
				row[s] = exp32(v - now)
			}
		}
		for j := range uintptr(16) {
			sum[16*i+j] = float32(sum[16*i+j]*shrink[i]) + (row[j] + row[j+16])
		}
	}
}

// mixGeneric is acc[i][d] = acc[i][d]·shrink[i] + Σ_s score[i][s]·v[s][d], s ascending from first on.
func mixGeneric(c *attendCall) {
	score, all := numbers(c.score, c.n*maxBlock), numbers(c.acc, c.n*c.dim)
	shrink := numbers(c.shrink, c.n)
	for i := range c.n {
		acc := all[i*c.dim : (i+1)*c.dim]
		Scale(acc, shrink[i])
		for s := c.first; s < c.first+c.many; s++ {
			w := score[i*maxBlock+s]
			for d := range acc {
				acc[d] += float32(w * c.number(c.v, s*c.dim+uintptr(d)))
			}
		}
	}
}

// AttendAll is attention without a mask and without a cache, for encoders: every row of a text
// reads all its rows. q, k, v, out are [rows][heads][dim]; out may be q. scratch holds rows numbers.
func AttendAll(out, q, k, v []float32, rows, heads, dim int, scale float32, head int, scratch, acc []float32) {
	width := heads * dim
	for r := range rows {
		qr := q[r*width+head*dim:][:dim]
		for s := range rows {
			kr := k[s*width+head*dim:][:dim]
			var sum float32
			for d, x := range qr {
				sum += float32(x * kr[d])
			}
			scratch[s] = sum * scale
		}
		Softmax(scratch[:rows])
		clear(acc[:dim])
		for s := range rows {
			AddScaled(acc[:dim], v[s*width+head*dim:][:dim], scratch[s])
		}
		copy(out[r*width+head*dim:][:dim], acc[:dim])
	}
}

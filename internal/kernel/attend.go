package kernel

import (
	"math"
	"unsafe"
)

// Span is one sequence's part of a step: Rows rows of the batch, from row Start on, whose first
// token stands at position Pos of the sequence. Table maps the sequence's blocks, in order of
// position, to blocks of the cache; it reaches to position Pos+Rows-1 at least.
type Span struct {
	Start, Rows, Pos int
	Table            []int32
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
	Heads   int
	Scale   float32
	SoftCap float32 // 0: none; else scores are SoftCap·tanh(score/SoftCap)
	Window  int     // 0: all earlier positions
	scratch []attendScratch
}

// attendRows is how many rows of a span are worked on together: they read each block of keys and
// values while it is in the first-level cache (32 tokens × 64 dims × 2 bytes × 2 = 8 KiB).
const attendRows = 8

type attendScratch struct {
	acc       []float32 // [attendRows][heads of a group][HeadDim]
	most, sum []float32 // [attendRows][heads of a group]
	score     []float32 // [BlockTokens]
	k, v      []float32 // [BlockTokens][HeadDim], for Q8
}

// Attend runs a as one phase.
func (p *Pool) Attend(a *Attention) {
	for len(a.scratch) < p.threads {
		n := attendRows * a.Heads / a.Layout.KVHeads
		wide := 0
		if a.Layout.Type == CacheQ8 {
			wide = a.Layout.BlockTokens * a.Layout.HeadDim
		}
		a.scratch = append(a.scratch, attendScratch{
			acc: make([]float32, n*a.Layout.HeadDim), most: make([]float32, n), sum: make([]float32, n),
			score: make([]float32, a.Layout.BlockTokens), k: make([]float32, wide), v: make([]float32, wide),
		})
	}
	parts := 0
	for i := range a.Spans {
		parts += tilesOf(a.Spans[i].Rows) * a.Layout.KVHeads
	}
	p.Run(parts, a)
}

func tilesOf(rows int) int { return (rows + attendRows - 1) / attendRows }

// Part is one tile of rows of one span with one key head. The longest work of a span comes first.
func (a *Attention) Part(part, worker int) {
	for i := range a.Spans {
		s := &a.Spans[i]
		n := tilesOf(s.Rows) * a.Layout.KVHeads
		if part < n {
			tile := tilesOf(s.Rows) - 1 - part/a.Layout.KVHeads
			a.tile(s, tile*attendRows, min((tile+1)*attendRows, s.Rows), part%a.Layout.KVHeads, &a.scratch[worker])
			return
		}
		part -= n
	}
}

func (a *Attention) tile(s *Span, from, to, kvHead int, t *attendScratch) {
	group, dim, size := a.Heads/a.Layout.KVHeads, a.Layout.HeadDim, a.Layout.BlockTokens
	n := (to - from) * group
	clear(t.acc[:n*dim])
	clear(t.sum[:n])
	for i := range n {
		t.most[i] = float32(math.Inf(-1))
	}
	firstBlock := a.oldest(s.Pos+from) / size
	for b := firstBlock; b*size <= s.Pos+to-1; b++ {
		if a.Layout.Type == CacheQ8 {
			hi := min(size, s.Pos+to-b*size)
			a.Layout.widen(t.k, a.Arena, s.Table[b], false, kvHead, 0, hi)
			a.Layout.widen(t.v, a.Arena, s.Table[b], true, kvHead, 0, hi)
		}
		for r := from; r < to; r++ {
			pos := s.Pos + r
			lo, hi := max(0, a.oldest(pos)-b*size), min(size, pos+1-b*size)
			if lo >= hi {
				continue
			}
			for g := range group {
				q := a.Q[((s.Start+r)*a.Heads+kvHead*group+g)*dim:][:dim]
				a.step(q, s.Table[b], kvHead, lo, hi, (r-from)*group+g, t)
			}
		}
	}
	for r := from; r < to; r++ {
		for g := range group {
			i := (r-from)*group + g
			out := a.Out[((s.Start+r)*a.Heads+kvHead*group+g)*dim:][:dim]
			inverse := 1 / t.sum[i]
			for d, v := range t.acc[i*dim : (i+1)*dim] {
				out[d] = v * inverse
			}
		}
	}
}

// oldest is the first position that a token at pos attends to.
func (a *Attention) oldest(pos int) int {
	if a.Window <= 0 {
		return 0
	}
	return max(0, pos-a.Window+1)
}

// step adds slots [lo, hi) of one block to the running softmax of one row and head.
func (a *Attention) step(q []float32, block int32, kvHead, lo, hi, i int, t *attendScratch) {
	dim := a.Layout.HeadDim
	score := t.score[lo:hi]
	if a.Layout.Type == CacheQ8 {
		scores32(score, q, t.k[lo*dim:hi*dim])
	} else {
		scores16(score, q, a.halves(block, false, kvHead, lo, hi))
	}
	for j := range score {
		score[j] *= a.Scale
	}
	if a.SoftCap > 0 {
		SoftCap(score, a.SoftCap)
	}
	most := t.most[i]
	for _, v := range score {
		most = max(most, v)
	}
	acc := t.acc[i*dim : (i+1)*dim]
	if most != t.most[i] {
		shrink := exp32(t.most[i] - most)
		t.sum[i] *= shrink
		Scale(acc, shrink)
		t.most[i] = most
	}
	t.sum[i] += expSum(score, score, most)
	if a.Layout.Type == CacheQ8 {
		mix32(acc, score, t.v[lo*dim:hi*dim])
	} else {
		mix16(acc, score, a.halves(block, true, kvHead, lo, hi))
	}
}

func (a *Attention) halves(block int32, value bool, head, lo, hi int) []uint16 {
	row := a.Layout.row(a.Arena, block, value, head, lo)
	return unsafe.Slice((*uint16)(unsafe.Pointer(&row[0])), (hi-lo)*a.Layout.HeadDim)
}

// scores16Generic is score[s] = Σ_d q[d]·k[s][d], in eight interleaved parts.
func scores16Generic(score, q []float32, k []uint16) {
	for s := range score {
		var part [8]float32
		for d, v := range k[s*len(q) : (s+1)*len(q)] {
			part[d%8] += float32(q[d] * FromF16(v))
		}
		score[s] = sumParts(&part)
	}
}

func scores32(score, q, k []float32) {
	for s := range score {
		var part [8]float32
		for d, v := range k[s*len(q) : (s+1)*len(q)] {
			part[d%8] += float32(q[d] * v)
		}
		score[s] = sumParts(&part)
	}
}

// mix16Generic is acc[d] += Σ_s p[s]·v[s][d], s ascending.
func mix16Generic(acc, p []float32, v []uint16) {
	for s, w := range p {
		for d, x := range v[s*len(acc) : (s+1)*len(acc)] {
			acc[d] += float32(w * FromF16(x))
		}
	}
}

func mix32(acc, p, v []float32) {
	for s, w := range p {
		AddScaled(acc, v[s*len(acc):(s+1)*len(acc)], w)
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

package kernel

import (
	"encoding/binary"
	"math"
	"unsafe"
)

// CacheType is how keys and values are kept.
type CacheType uint8

const (
	CacheF16 CacheType = iota // half precision
	CacheQ8                   // 8-bit integers, one float32 scale a token and head
	CacheI16                  // 16-bit integers likewise; see attend_ints.go
)

func (t CacheType) String() string { return [...]string{"f16", "q8", "i16"}[t] }

// CacheLayout is how one layer's keys and values lie in its arena. Block b takes bytes
// [b·BlockBytes, (b+1)·BlockBytes): keys [KVHeads], then values [KVHeads]. Of one head they are
//
//	F16  keys [HeadDim][BlockTokens], so that a query meets many keys at once; values [BlockTokens][HeadDim]
//	Q8   keys [BlockTokens] float32 scales and [HeadDim][BlockTokens] integers; values [BlockTokens] of a
//	     float32 scale and HeadDim integers
//	I16  both [BlockTokens] float32 scales and two planes of bytes: keys [HeadDim/4][BlockTokens][4] upper, then lower ones; values
//	     [BlockTokens/4][HeadDim][4] lower, then upper ones
type CacheLayout struct {
	KVHeads, HeadDim int
	BlockTokens      int // at most 32
	Type             CacheType
}

// NewCacheLayout is that of the type, or, in place of half precision, of integers of 16 bits, where attention is faster for them.
func NewCacheLayout(kvHeads, headDim, blockTokens int, t CacheType) CacheLayout {
	if t == CacheF16 && attendsInts() && headDim%intsDims == 0 && headDim <= maxIntsDim && blockTokens == maxBlock {
		t = CacheI16
	}
	return CacheLayout{KVHeads: kvHeads, HeadDim: headDim, BlockTokens: blockTokens, Type: t}
}

func (l CacheLayout) rowBytes() int {
	switch l.Type {
	case CacheQ8:
		return 4 + (l.HeadDim+3)/4*4
	case CacheI16:
		return 4 + 2*l.HeadDim
	}
	return 2 * l.HeadDim
}

// BlockBytes is the size of a block of one layer.
func (l CacheLayout) BlockBytes() int { return 2 * l.KVHeads * l.BlockTokens * l.rowBytes() }

// TokenBytes is what one token takes in one layer.
func (l CacheLayout) TokenBytes() int { return 2 * l.KVHeads * l.rowBytes() }

// at is where the keys or values of a head in a block begin.
func (l CacheLayout) at(block int32, value bool, head int) int {
	if value {
		head += l.KVHeads
	}
	return int(block)*l.BlockBytes() + head*l.BlockTokens*l.rowBytes()
}

// value is one token's.
func (l CacheLayout) value(arena []byte, block int32, head, slot int) []byte {
	n := l.rowBytes()
	return arena[l.at(block, true, head)+slot*n:][:n:n]
}

// keys are a head's, of F16.
func (l CacheLayout) keys(arena []byte, block int32, head int) []uint16 {
	return halves(arena[l.at(block, false, head):][:l.HeadDim*l.BlockTokens*2])
}

func halves(b []byte) []uint16 { return unsafe.Slice((*uint16)(unsafe.Pointer(&b[0])), len(b)/2) }

// Store writes one token's keys and values, each [KVHeads][HeadDim], to a slot of a block.
func (l CacheLayout) Store(arena []byte, block int32, slot int, k, v []float32) {
	for h := range l.KVHeads {
		key, value := k[h*l.HeadDim:][:l.HeadDim], v[h*l.HeadDim:][:l.HeadDim]
		if l.Type == CacheI16 {
			storeKeyInts(l.ints(arena, block, false, h), slot, key)
			storeValueInts(l.ints(arena, block, true, h), slot, value)
			continue
		}
		if l.Type == CacheQ8 {
			row := l.value(arena, block, h, slot)
			quantizeQ8(row, row[4:], 1, value)
			keys := arena[l.at(block, false, h):]
			quantizeQ8(keys[4*slot:], keys[4*l.BlockTokens+slot:], l.BlockTokens, key)
			continue
		}
		toF16(halves(l.value(arena, block, h, slot)), value)
		keys := l.keys(arena, block, h)
		var some [64]uint16
		for d := 0; d < len(key); d += len(some) {
			n := min(len(some), len(key)-d)
			toF16(some[:n], key[d:d+n])
			for i, bits := range some[:n] {
				keys[(d+i)*l.BlockTokens+slot] = bits
			}
		}
	}
}

// quantizeQ8 writes x as a scale and integers that stand stride apart.
func quantizeQ8(scale, codes []byte, stride int, x []float32) {
	var most float32
	for _, v := range x {
		most = max(most, abs32(v))
	}
	var inverse float32
	if most > 1e-30 {
		inverse = 127 / most
	}
	binary.LittleEndian.PutUint32(scale, math.Float32bits(most/127))
	for i, v := range x {
		codes[i*stride] = byte(int8(roundEven(v * inverse)))
	}
}

// CopySlots copies the first slots of block from to block to, in one layer's arena.
func (l CacheLayout) CopySlots(arena []byte, to, from int32, slots int) {
	for h := range l.KVHeads {
		if l.Type == CacheI16 {
			copyKeyInts(l.ints(arena, to, false, h), l.ints(arena, from, false, h), slots)
			copyValueInts(l.ints(arena, to, true, h), l.ints(arena, from, true, h), slots)
			continue
		}
		n := slots * l.rowBytes()
		copy(arena[l.at(to, true, h):][:n], arena[l.at(from, true, h):])
		size, rows := 2, l.HeadDim // of a key's number, and how many there are of each token
		a, b := arena[l.at(to, false, h):], arena[l.at(from, false, h):]
		if l.Type == CacheQ8 {
			size = 1
			copy(a[:4*slots], b)
			a, b = a[4*l.BlockTokens:], b[4*l.BlockTokens:]
		}
		for r := range rows {
			at := r * l.BlockTokens * size
			copy(a[at:at+slots*size], b[at:])
		}
	}
}

// widenKeys fills wide [HeadDim][BlockTokens] from Q8.
func (l CacheLayout) widenKeys(wide []float32, arena []byte, block int32, head int) {
	keys := arena[l.at(block, false, head):]
	widenColumns(wide[:l.HeadDim*l.BlockTokens], keys[:4*l.BlockTokens], keys[4*l.BlockTokens:])
}

// widenColumnsGeneric is wide[d][s] = scales[s]·codes[d][s], float32 scales.
func widenColumnsGeneric(wide []float32, scales, codes []byte) {
	n := len(scales) / 4
	for i := range wide {
		wide[i] = f32(scales[i%n*4:]) * float32(int8(codes[i]))
	}
}

// widenValues fills slots [lo, hi) of wide [BlockTokens][HeadDim] from Q8.
func (l CacheLayout) widenValues(wide []float32, arena []byte, block int32, head, lo, hi int) {
	for s := lo; s < hi; s++ {
		row := l.value(arena, block, head, s)
		widenRow(wide[s*l.HeadDim:(s+1)*l.HeadDim], row[4:], f32(row))
	}
}

// widenRowGeneric is wide[i] = scale·codes[i].
func widenRowGeneric(wide []float32, codes []byte, scale float32) {
	for i := range wide {
		wide[i] = scale * float32(int8(codes[i]))
	}
}

func toF16Generic(dst []uint16, x []float32) {
	for i, v := range x {
		dst[i] = ToF16(v)
	}
}

// fromF16Generic fills dst from as many of x.
func fromF16Generic(dst []float32, x []uint16) {
	for i := range dst {
		dst[i] = FromF16(x[i])
	}
}

// planes are a block's keys of one head, or its values: see attend_ints.go.
type planes struct {
	scales *[maxBlock]float32
	first  []int8 // upper bytes of keys, lower ones of values
	second []int8
}

// planesAt are those at p.
func planesAt(p unsafe.Pointer, dim int) planes {
	n := maxBlock * dim
	codes := unsafe.Slice((*int8)(unsafe.Add(p, 4*maxBlock)), 2*n)
	return planes{(*[maxBlock]float32)(p), codes[:n:n], codes[n:]}
}

func (l CacheLayout) ints(arena []byte, block int32, value bool, head int) planes {
	part := arena[l.at(block, value, head):][:maxBlock*l.rowBytes()]
	return planesAt(unsafe.Pointer(&part[0]), l.HeadDim)
}

func storeKeyInts(to planes, slot int, key []float32) {
	var high, low [maxIntsDim]int8
	n := len(key)
	to.scales[slot] = split16Row(high[:n], low[:n], key).scale
	for d := 0; d < n; d += 4 {
		at := d*maxBlock + 4*slot
		copy(to.first[at:at+4], high[d:])
		copy(to.second[at:at+4], low[d:])
	}
}

func storeValueInts(to planes, slot int, value []float32) {
	var high, low [maxIntsDim]int8
	n := len(value)
	to.scales[slot] = split16Row(high[:n], low[:n], value).scale
	at := slot / 4 * 4 * n
	placeBytes(to.first[at:at+4*n], low[:n], slot%4)
	placeBytes(to.second[at:at+4*n], high[:n], slot%4)
}

// placeBytesGeneric puts codes in to, [len(codes)][4], as the one of a slot.
func placeBytesGeneric(to, codes []int8, slot int) {
	for i, v := range codes {
		to[4*i+slot] = v
	}
}

func copyKeyInts(to, from planes, slots int) {
	copy(to.scales[:slots], from.scales[:])
	for at := 0; at < len(from.first); at += 4 * maxBlock {
		copy(to.first[at:at+4*slots], from.first[at:])
		copy(to.second[at:at+4*slots], from.second[at:])
	}
}

// copyValueInts copies fours of slots: what stands behind the last one is nobody's yet.
func copyValueInts(to, from planes, slots int) {
	copy(to.scales[:slots], from.scales[:])
	n := (slots + 3) / 4 * len(from.first) / (maxBlock / 4)
	copy(to.first[:n], from.first)
	copy(to.second[:n], from.second)
}

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
)

func (t CacheType) String() string {
	if t == CacheQ8 {
		return "q8"
	}
	return "f16"
}

// CacheLayout is how one layer's keys and values lie in its arena. Block b takes bytes
// [b·BlockBytes, (b+1)·BlockBytes): keys [KVHeads][BlockTokens][HeadDim], then values likewise.
type CacheLayout struct {
	KVHeads, HeadDim int
	BlockTokens      int
	Type             CacheType
}

func (l CacheLayout) rowBytes() int {
	if l.Type == CacheQ8 {
		return 4 + (l.HeadDim+3)/4*4
	}
	return 2 * l.HeadDim
}

// BlockBytes is the size of a block of one layer.
func (l CacheLayout) BlockBytes() int { return 2 * l.KVHeads * l.BlockTokens * l.rowBytes() }

// TokenBytes is what one token takes in one layer.
func (l CacheLayout) TokenBytes() int { return 2 * l.KVHeads * l.rowBytes() }

func (l CacheLayout) row(arena []byte, block int32, value bool, head, slot int) []byte {
	at := head*l.BlockTokens + slot
	if value {
		at += l.KVHeads * l.BlockTokens
	}
	n := l.rowBytes()
	return arena[int(block)*l.BlockBytes()+at*n:][:n:n]
}

// Store writes one token's keys and values, each [KVHeads][HeadDim], to a slot of a block.
func (l CacheLayout) Store(arena []byte, block int32, slot int, k, v []float32) {
	for h := range l.KVHeads {
		l.put(l.row(arena, block, false, h, slot), k[h*l.HeadDim:][:l.HeadDim])
		l.put(l.row(arena, block, true, h, slot), v[h*l.HeadDim:][:l.HeadDim])
	}
}

func (l CacheLayout) put(row []byte, x []float32) {
	if l.Type == CacheF16 {
		toF16(unsafe.Slice((*uint16)(unsafe.Pointer(&row[0])), len(x)), x)
		return
	}
	var most float32
	for _, v := range x {
		most = max(most, abs32(v))
	}
	var inverse float32
	if most > 1e-30 {
		inverse = 127 / most
	}
	binary.LittleEndian.PutUint32(row, math.Float32bits(most/127))
	for i, v := range x {
		row[4+i] = byte(int8(roundEven(v * inverse)))
	}
}

// CopySlots copies the first slots of block from to block to, in one layer's arena.
func (l CacheLayout) CopySlots(arena []byte, to, from int32, slots int) {
	n := slots * l.rowBytes()
	for h := range l.KVHeads {
		for _, value := range [...]bool{false, true} {
			at := l.row(arena, from, value, h, 0)
			start := int(uintptr(unsafe.Pointer(&at[0])) - uintptr(unsafe.Pointer(&arena[0])))
			dst := l.row(arena, to, value, h, 0)
			copy(unsafe.Slice(&dst[0], n), arena[start:start+n])
		}
	}
}

// slab is the rows of a head in a block as half floats; Q8 is not half floats and is widened to
// float32 in wide first.
func (l CacheLayout) widen(wide []float32, arena []byte, block int32, value bool, head, lo, hi int) {
	for s := lo; s < hi; s++ {
		row := l.row(arena, block, value, head, s)
		scale := math.Float32frombits(binary.LittleEndian.Uint32(row))
		out := wide[s*l.HeadDim : (s+1)*l.HeadDim]
		for i := range out {
			out[i] = scale * float32(int8(row[4+i]))
		}
	}
}

func toF16Generic(dst []uint16, x []float32) {
	for i, v := range x {
		dst[i] = ToF16(v)
	}
}

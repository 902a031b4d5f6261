package kernel

import (
	"encoding/binary"
	"sync/atomic"
	"unsafe"

	"github.com/galerne-ai/galerne/internal/dtype"
)

// panelRows is the number of weight rows that stand side by side in a panel: 16 rows × 4 bytes
// fill one 64-byte vector, or two of 32.
const panelRows = 16

// kind numbers the forms; kernels come in tables by it.
type kind int

const (
	kind4z kind = iota // bits; z: a zero, m: offsets, k: offsets of K types, s: groups of 16 with a zero, t: with offsets
	kind4m
	kind4k
	kind5z
	kind5m
	kind5k
	kind6s
	kind4s
	kind4t
	kind8
	kind8w // scales of 4 bytes
	kind8x // scales of K types
	kindF32
	kindF16
	kindBF16
)

// form is how a type's weights are packed. A panel is a run of groups along k; a group is
//
//	scales  [16] of scaleBytes
//	offsets [16] of scaleBytes, if offset
//	codes   bits 8: [group/4][16 rows][4] integers
//	        else low nibbles: [group/8][16 rows][4], of k, then in the high half of k+group/2
//	        bits 5: and [16 rows][4]: bit v is the fifth of k = 4v+i
//	        bits 6: and [16 rows][4]: bits 2v, 2v+1 are the upper two of k = 4v+i
//
// With scaleBytes 1, 256/group groups have a header in front: half-precision factors [16], and of the
// offsets [16], which the groups' integers multiply. Float types have no groups: their panel is
// [cols][16] numbers of the type itself.
type form struct {
	kind       kind
	bits       int // of a code: 4, 5 or 6 (unsigned) or 8 (signed); 0 for floats
	group      int // weights that share a scale
	scaleBytes int // 1: integers, 2: f16, 4: f32
	offset     bool
	zero       int8 // subtracted from codes of fewer than 8 bits
}

func (f form) groupBytes() int {
	n := panelRows * (f.scaleBytes + f.group*f.bits/8)
	if f.offset {
		n += panelRows * f.scaleBytes
	}
	return n
}

// headerGroups is how many groups have a header together; 1, of no bytes, where there is none.
func (f form) headerGroups() int {
	if f.scaleBytes == 1 {
		return 256 / f.group
	}
	return 1
}

func (f form) headerBytes() int {
	switch {
	case f.scaleBytes != 1:
		return 0
	case f.offset:
		return 4 * panelRows
	}
	return 2 * panelRows
}

// place is where the header of group g and the group itself begin in a panel.
func (f form) place(g int) (header, group int) {
	n := f.headerGroups()
	header = g / n * (f.headerBytes() + n*f.groupBytes())
	return header, header + f.headerBytes() + g%n*f.groupBytes()
}

func formOf(t dtype.Type) form {
	switch t {
	case dtype.Q4_0:
		return form{kind4z, 4, 32, 2, false, 8}
	case dtype.Q4_1:
		return form{kind4m, 4, 32, 2, true, 0}
	case dtype.Q4_K:
		return form{kind4k, 4, 32, 1, true, 0}
	case dtype.Q5_0:
		return form{kind5z, 5, 32, 2, false, 16}
	case dtype.Q5_1:
		return form{kind5m, 5, 32, 2, true, 0}
	case dtype.Q5_K:
		return form{kind5k, 5, 32, 1, true, 0}
	case dtype.Q6_K:
		return form{kind6s, 6, 16, 1, false, 32}
	case dtype.Q3_K:
		return form{kind4s, 4, 16, 1, false, 4}
	case dtype.Q2_K:
		return form{kind4t, 4, 16, 1, true, 0}
	case dtype.Q8_0, dtype.IQ4NL:
		return form{kind8, 8, 32, 2, false, 0}
	case dtype.MXFP4:
		return form{kind8w, 8, 32, 4, false, 0}
	case dtype.IQ4XS:
		return form{kind8x, 8, 32, 1, false, 0}
	case dtype.F16:
		return form{kind: kindF16}
	case dtype.BF16:
		return form{kind: kindBF16}
	}
	return form{kind: kindF32}
}

// Matrix is a weight matrix [Rows][Cols], packed for matrix products. It is read-only. One that Defer made may be
// used before it is packed: every use packs what it needs for itself, which takes longer and gives the same bits.
type Matrix struct {
	Rows, Cols int
	Type       dtype.Type
	form       form
	panelBytes int
	data       []byte // [panels][panelBytes], 64-byte aligned
	free       func()

	deferred atomic.Bool  // data is not whole: the weights are in rows
	readers  atomic.Int32 // of rows
	rows     []byte       // [Rows][rowBytes], the caller's
	next     int          // panel that PackSome begins with
}

// PackedBytes is the memory that a packed matrix of this type and shape takes.
func PackedBytes(t dtype.Type, rows, cols int) int64 {
	f := formOf(t)
	panels := int64(rows+panelRows-1) / panelRows
	return panels * int64(panelSize(t, f, cols))
}

func panelSize(t dtype.Type, f form, cols int) int {
	if f.bits == 0 {
		return cols * panelRows * t.Bytes()
	}
	_, end := f.place(cols / f.group)
	return end - f.headerBytes()
}

// Close gives the memory back; the matrix must not be used afterwards.
func (m *Matrix) Close() {
	if m.free != nil {
		m.free()
	}
	m.data, m.free = nil, nil
}

// Bytes is the memory that the packed weights take.
func (m *Matrix) Bytes() int64 { return int64(len(m.data)) }

func (f form) codesAt() int {
	if f.offset {
		return 2 * panelRows * f.scaleBytes
	}
	return panelRows * f.scaleBytes
}

// get decodes group g of one lane of a panel.
func (f form) get(panel []byte, g, lane int, b *block) {
	header, at := f.place(g)
	in := panel[at:][:f.groupBytes()]
	b.offset = 0
	switch f.scaleBytes {
	case 1:
		b.scale = f16(panel[header+2*lane:]) * float32(int8(in[lane]))
		if f.offset {
			b.offset = f16(panel[header+2*panelRows+2*lane:]) * float32(int8(in[panelRows+lane]))
		}
	case 2:
		b.scale = f16(in[2*lane:])
		if f.offset {
			b.offset = f16(in[2*panelRows+2*lane:])
		}
	default:
		b.scale = f32(in[4*lane:])
	}
	codes := in[f.codesAt()+4*lane:]
	if f.bits == 8 {
		for v := range f.group / 4 {
			copy(b.code[4*v:4*v+4], codes[64*v:])
		}
		return
	}
	half := f.group / 8
	for v := range 2 * half {
		w := binary.LittleEndian.Uint32(codes[64*(v%half):]) >> (v / half * 4) & 0x0f0f0f0f
		switch f.bits {
		case 5:
			w |= binary.LittleEndian.Uint32(codes[64*half:]) >> v & 0x01010101 << 4
		case 6:
			w |= binary.LittleEndian.Uint32(codes[64*half:]) >> (2 * v) & 0x03030303 << 4
		}
		binary.LittleEndian.PutUint32(b.code[4*v:], w)
	}
}

// Row decodes row i to dst [Cols].
func (m *Matrix) Row(i int, dst []float32) {
	if m.deferred.Load() && m.rowAsItCame(i, dst) {
		return
	}
	panel, lane := m.data[i/panelRows*m.panelBytes:][:m.panelBytes], i%panelRows
	if m.form.bits == 0 {
		n := m.Type.Bytes()
		for k := range m.Cols {
			Dequantize(m.Type, dst[k:k+1], panel[(k*panelRows+lane)*n:])
		}
		return
	}
	var b block
	for g := range m.Cols / m.form.group {
		m.form.get(panel, g, lane, &b)
		b.decode(dst[g*m.form.group:][:m.form.group], m.form.zero)
	}
}

// panels is where packed panels are, from the first on.
type panels struct {
	first int
	at    unsafe.Pointer
}

// from is the same without those before panel i.
func (p panels) from(i int, m *Matrix) panels {
	return panels{i, unsafe.Add(p.at, (i-p.first)*m.panelBytes)}
}

// open gives panels [from, to): in place, or of a deferred matrix in c, until c is used again.
func (m *Matrix) open(from, to int, c *panelCopy) panels {
	if m.deferred.Load() {
		if at := m.panelsInto(c, from, to); at != nil {
			return panels{from, at}
		}
	}
	return panels{from, unsafe.Pointer(&m.data[from*m.panelBytes])}
}

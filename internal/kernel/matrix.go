package kernel

import (
	"encoding/binary"
	"math"
	"unsafe"

	"github.com/galerne-ai/galerne/internal/dtype"
)

// panelRows is the number of weight rows that stand side by side in a panel: 16 rows × 4 bytes
// fill one 64-byte vector, or two of 32.
const panelRows = 16

// kind numbers the forms; kernels come in tables by it.
type kind int

const (
	kind4z kind = iota // 4 bits, zero at 8
	kind4m             // 4 bits, offsets
	kind4k             // the same, scales of 4 bytes
	kind8
	kind8m
	kind8k
	kind8w
	kind8s // groups of 16
	kind8t
	kindF32
	kindF16
	kindBF16
)

// form is how a type's weights are packed. A panel is a run of groups along k; a group is
//
//	scales  [16] of scaleBytes
//	offsets [16] of scaleBytes, if offset
//	codes   bits 8: [group/4][16 rows][4]; bits 4: [group/8][16 rows][4], low nibbles k, high ones k+group/2
//
// Float types have no groups: their panel is [cols][16] numbers of the type itself.
type form struct {
	kind       kind
	bits       int // of a code: 4 (unsigned) or 8 (signed); 0 for floats
	group      int // weights that share a scale
	scaleBytes int // 2: f16, 4: f32
	offset     bool
	zero       int // subtracted from 4-bit codes
}

func (f form) groupBytes() int {
	n := panelRows * (f.scaleBytes + f.group*f.bits/8)
	if f.offset {
		n += panelRows * f.scaleBytes
	}
	return n
}

func formOf(t dtype.Type) form {
	switch t {
	case dtype.Q4_0:
		return form{kind4z, 4, 32, 2, false, 8}
	case dtype.Q4_1:
		return form{kind4m, 4, 32, 2, true, 0}
	case dtype.Q4_K:
		return form{kind4k, 4, 32, 4, true, 0}
	case dtype.Q8_0, dtype.Q5_0, dtype.IQ4NL:
		return form{kind8, 8, 32, 2, false, 0}
	case dtype.Q5_1:
		return form{kind8m, 8, 32, 2, true, 0}
	case dtype.Q5_K:
		return form{kind8k, 8, 32, 4, true, 0}
	case dtype.IQ4XS, dtype.MXFP4:
		return form{kind8w, 8, 32, 4, false, 0}
	case dtype.Q3_K, dtype.Q6_K:
		return form{kind8s, 8, 16, 4, false, 0}
	case dtype.Q2_K:
		return form{kind8t, 8, 16, 4, true, 0}
	case dtype.F16:
		return form{kind: kindF16}
	case dtype.BF16:
		return form{kind: kindBF16}
	}
	return form{kind: kindF32}
}

// Matrix is a weight matrix [Rows][Cols], packed for matrix products. It is read-only.
type Matrix struct {
	Rows, Cols int
	Type       dtype.Type
	form       form
	panelBytes int
	data       []byte // [panels][panelBytes], 64-byte aligned
	free       func()
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
	return cols / f.group * f.groupBytes()
}

// Pack copies rows of type t into a new matrix; data holds rows × t.RowBytes(cols) bytes and is not
// kept. The pool, which may be nil, shares the work.
func Pack(p *Pool, t dtype.Type, rows, cols int, data []byte) (*Matrix, error) {
	rowBytes, ok := t.RowBytes(cols)
	if !ok || rows <= 0 || cols <= 0 {
		return nil, errShape.Because("kernel: a %s matrix cannot have %d rows of %d weights: whole blocks of %d are needed", t, rows, cols, t.Elems())
	}
	if len(data) != rows*rowBytes {
		return nil, errShape.Because("kernel: a %s matrix of %d×%d takes %d bytes, got %d", t, rows, cols, rows*rowBytes, len(data))
	}
	m := &Matrix{Rows: rows, Cols: cols, Type: t, form: formOf(t)}
	m.panelBytes = panelSize(t, m.form, cols)
	panels := (rows + panelRows - 1) / panelRows
	var err error
	if m.data, m.free, err = allocate(panels * m.panelBytes); err != nil {
		return nil, errMemory.Because("kernel: no memory for a matrix of %d bytes: %w", panels*m.panelBytes, err)
	}
	task := &packTask{m: m, data: data, rowBytes: rowBytes}
	if p == nil {
		for i := range panels {
			task.Part(i, 0)
		}
	} else {
		p.Run(panels, task)
	}
	return m, nil
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

type packTask struct {
	m        *Matrix
	data     []byte
	rowBytes int
}

// Part packs one panel.
func (t *packTask) Part(panel, _ int) {
	m := t.m
	out := m.data[panel*m.panelBytes : (panel+1)*m.panelBytes]
	for lane := range min(panelRows, m.Rows-panel*panelRows) {
		row := panel*panelRows + lane
		m.packRow(out, lane, t.data[row*t.rowBytes:(row+1)*t.rowBytes])
	}
}

func (m *Matrix) packRow(out []byte, lane int, row []byte) {
	if m.form.bits == 0 {
		n := m.Type.Bytes()
		for k := range m.Cols {
			copy(out[(k*panelRows+lane)*n:][:n], row[k*n:])
		}
		return
	}
	f, elems, bytes := m.form, m.Type.Elems(), m.Type.Bytes()
	var b block
	for g := range m.Cols / f.group {
		perBlock := elems / f.group
		split(m.Type, row[g/perBlock*bytes:][:bytes], g%perBlock, &b)
		f.put(out[g*f.groupBytes():][:f.groupBytes()], lane, &b)
	}
}

func (f form) put(out []byte, lane int, b *block) {
	at := f.putScale(out, 0, lane, b.scale)
	if f.offset {
		at = f.putScale(out, at, lane, b.offset)
	}
	codes := out[at:]
	if f.bits == 8 {
		for k := range f.group {
			codes[k/4*64+lane*4+k%4] = byte(b.code[k])
		}
		return
	}
	for k := range f.group / 2 {
		lo, hi := b.code[k]+int8(f.zero), b.code[k+f.group/2]+int8(f.zero)
		codes[k/4*64+lane*4+k%4] = byte(lo) | byte(hi)<<4
	}
}

func (f form) putScale(out []byte, at, lane int, v float32) int {
	if f.scaleBytes == 2 {
		binary.LittleEndian.PutUint16(out[at+2*lane:], ToF16(v)) // exact: it came from f16
	} else {
		binary.LittleEndian.PutUint32(out[at+4*lane:], math.Float32bits(v))
	}
	return at + panelRows*f.scaleBytes
}

func (f form) scale(in []byte, lane int) float32 {
	if f.scaleBytes == 2 {
		return f16(in[2*lane:])
	}
	return math.Float32frombits(binary.LittleEndian.Uint32(in[4*lane:]))
}

// get decodes the group of one lane.
func (f form) get(in []byte, lane int, b *block) {
	at := panelRows * f.scaleBytes
	b.scale, b.offset = f.scale(in, lane), 0
	if f.offset {
		b.offset = f.scale(in[at:], lane)
		at *= 2
	}
	codes := in[at:]
	if f.bits == 8 {
		for k := range f.group {
			b.code[k] = int8(codes[k/4*64+lane*4+k%4])
		}
		return
	}
	for k := range f.group / 2 {
		v := codes[k/4*64+lane*4+k%4]
		b.code[k], b.code[k+f.group/2] = int8(v&15)-int8(f.zero), int8(v>>4)-int8(f.zero)
	}
}

// Row decodes row i to dst [Cols].
func (m *Matrix) Row(i int, dst []float32) {
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
		m.form.get(panel[g*m.form.groupBytes():], lane, &b)
		for k := range m.form.group {
			dst[g*m.form.group+k] = float32(b.scale*float32(b.code[k])) + b.offset
		}
	}
}

func (m *Matrix) panel(i int) unsafe.Pointer { return unsafe.Pointer(&m.data[i*m.panelBytes]) }

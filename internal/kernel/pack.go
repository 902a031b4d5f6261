package kernel

import (
	"encoding/binary"
	"math"
	"runtime"
	"unsafe"

	"github.com/galerne-ai/galerne/internal/dtype"
	"github.com/galerne-ai/galerne/internal/fault"
)

var (
	errShape  = fault.New(fault.Invalid, "bad_matrix_shape", "kernel: impossible matrix shape")
	errMemory = fault.New(fault.Unavailable, "out_of_memory", "kernel: out of memory")
)

// PanelRows is how many rows of a matrix are packed together.
const PanelRows = panelRows

// NewMatrix reserves the memory of a matrix; PackRows fills it. The system hands out the pages when they are
// first written.
func NewMatrix(t dtype.Type, rows, cols int) (*Matrix, error) {
	return newMatrix(t, rows, cols, allocate)
}

func newMatrix(t dtype.Type, rows, cols int, allocate func(bytes int) ([]byte, func(), error)) (*Matrix, error) {
	if _, ok := t.RowBytes(cols); !ok || rows <= 0 || cols <= 0 {
		return nil, errShape.Because("kernel: a %s matrix cannot have %d rows of %d weights: whole blocks of %d are needed", t, rows, cols, t.Elems())
	}
	m := &Matrix{Rows: rows, Cols: cols, Type: t, form: formOf(t)}
	m.panelBytes = panelSize(t, m.form, cols)
	var err error
	if m.data, m.free, err = allocate(m.panels() * m.panelBytes); err != nil {
		return nil, errMemory.Because("kernel: no memory for a matrix of %d bytes: %w", m.panels()*m.panelBytes, err)
	}
	return m, nil
}

// Pack copies rows of type t into a new matrix; data holds rows × t.RowBytes(cols) bytes and is not
// kept. The pool, which may be nil, shares the work.
func Pack(p *Pool, t dtype.Type, rows, cols int, data []byte) (*Matrix, error) {
	m, err := Defer(p, t, rows, cols, data)
	if err != nil {
		return nil, err
	}
	m.PackAll(p)
	return m, nil
}

// Defer is Pack without the work: until PackAll or PackSome has done it, the matrix is computed with from data, which
// must stay. It fails now rather than later where memory is missing. Matrices of one pool stand side by side.
func Defer(p *Pool, t dtype.Type, rows, cols int, data []byte) (*Matrix, error) {
	room := allocate
	if p != nil {
		room = p.shelf.take
	}
	m, err := newMatrix(t, rows, cols, room)
	if err != nil {
		return nil, err
	}
	if want := rows * m.rowBytes(); len(data) != want {
		m.Close()
		return nil, errShape.Because("kernel: a %s matrix of %d×%d takes %d bytes, got %d", t, rows, cols, want, len(data))
	}
	m.rows = data
	m.deferred.Store(true)
	return m, nil
}

// PackAll packs a deferred matrix that nobody computes with meanwhile. The pool, which may be nil, shares the work.
func (m *Matrix) PackAll(p *Pool) {
	if p == nil {
		m.PackRows(0, m.rows)
	} else {
		p.Run(m.panels(), &packTask{m})
	}
	m.deferred.Store(false)
}

// packTask is a whole deferred matrix, a part a panel.
type packTask struct{ m *Matrix }

// Part packs one panel.
func (t *packTask) Part(panel, _ int) { t.m.PackRows(panel*panelRows, t.m.rowsOf(panel, panel+1)) }

// rowsOf is the caller's rows of panels [from, to).
func (m *Matrix) rowsOf(from, to int) []byte {
	size := panelRows * m.rowBytes()
	return m.rows[from*size : min(to*size, len(m.rows))]
}

// PackSome packs some more of a deferred matrix, on the calling goroutine, whatever others compute with it, and
// reports whether more is left. When nothing is, nobody reads Defer's data any more.
func (m *Matrix) PackSome() (more bool) {
	to := min(m.next+max(1, partBytes/m.panelBytes), m.panels())
	m.PackRows(m.next*panelRows, m.rowsOf(m.next, to))
	if m.next = to; to < m.panels() {
		return true
	}
	m.deferred.Store(false)
	for m.readers.Load() > 0 { // a reader counts itself and looks again, so that later ones find the packed weights
		runtime.Gosched()
	}
	return false
}

// panelsInto packs panels [from, to) of a deferred matrix for one worker; nil: it is packed by now.
func (m *Matrix) panelsInto(c *panelCopy, from, to int) unsafe.Pointer {
	m.readers.Add(1)
	defer m.readers.Add(-1) // a read may fault
	if !m.deferred.Load() {
		return nil
	}
	if c.of != m || c.from != from || c.to != to {
		c.of = nil
		n := (to - from) * m.panelBytes
		if len(c.panels) < n {
			b := make([]byte, n+lineBytes)
			skip := int(-uintptr(unsafe.Pointer(&b[0])) & (lineBytes - 1))
			c.panels = b[skip : skip+n]
		}
		m.packTo(c.panels, m.rowsOf(from, to)) // nobody reads the sums of lanes without a row
		c.of, c.from, c.to = m, from, to
	}
	return unsafe.Pointer(&c.panels[0])
}

// panelCopy is a worker's own copy of some panels of a deferred matrix.
type panelCopy struct {
	of       *Matrix // nil: none
	from, to int
	panels   []byte // 64-byte aligned
}

// rowAsItCame is Row from the caller's rows; false: the matrix is packed by now.
func (m *Matrix) rowAsItCame(i int, dst []float32) bool {
	m.readers.Add(1)
	defer m.readers.Add(-1)
	if !m.deferred.Load() {
		return false
	}
	Dequantize(m.Type, dst[:m.Cols], m.rows[i*m.rowBytes():])
	return true
}

func (m *Matrix) rowBytes() int {
	n, _ := m.Type.RowBytes(m.Cols)
	return n
}

// PackRows packs rows of the matrix's type from row on, a multiple of PanelRows; so is their number, unless they
// reach to the last row.
func (m *Matrix) PackRows(row int, data []byte) { m.packTo(m.data[row/panelRows*m.panelBytes:], data) }

// packTo packs rows to panels that begin at out, in which lanes without a row keep what they have.
func (m *Matrix) packTo(out, data []byte) {
	stride := m.rowBytes()
	for len(data) > 0 {
		rows := data[:min(len(data), panelRows*stride)]
		if len(rows) < panelRows*stride || !m.packWhole(out[:m.panelBytes], rows, stride) {
			m.packLanes(out[:m.panelBytes], rows, stride)
		}
		data, out = data[len(rows):], out[m.panelBytes:]
	}
}

// packLanes packs one panel lane by lane: any type, any number of rows.
func (m *Matrix) packLanes(out, rows []byte, stride int) {
	lanes := len(rows) / stride
	if m.form.bits == 0 {
		n := m.Type.Bytes()
		for lane := range lanes {
			for k := range m.Cols {
				copy(out[(k*panelRows+lane)*n:][:n], rows[lane*stride+k*n:])
			}
		}
		return
	}
	f, bytes := m.form, m.Type.Bytes()
	perBlock, size := m.Type.Elems()/f.group, f.groupBytes()
	var b block
	for g := range m.Cols / f.group {
		header, at := f.place(g)
		from := g / perBlock * bytes
		for lane := range lanes {
			d := rows[lane*stride+from:][:bytes]
			b.scales(m.Type, d, g%perBlock)
			f.putScales(out[header:], out[at:at+size], lane, &b)
			b.codes(m.Type, d, g%perBlock)
			f.putCodes(out[at+f.codesAt()+4*lane:at+size], &b)
		}
	}
}

func putHalf(b []byte, v uint16) { binary.LittleEndian.PutUint16(b, v) }
func putWord(b []byte, v uint32) { binary.LittleEndian.PutUint32(b, v) }

// putScales packs what a group of one lane has beside its codes.
func (f *form) putScales(header, out []byte, lane int, b *block) {
	switch f.scaleBytes {
	case 1:
		putHalf(header[2*lane:], b.factor)
		out[lane] = byte(b.times)
		if f.offset {
			putHalf(header[2*panelRows+2*lane:], b.factorLow)
			out[panelRows+lane] = byte(b.timesLow)
		}
	case 2:
		putHalf(out[2*lane:], b.factor)
		if f.offset {
			putHalf(out[2*panelRows+2*lane:], b.factorLow)
		}
	default:
		putWord(out[4*lane:], math.Float32bits(b.scale))
	}
}

// putCodes packs the codes of a group of one lane; codes starts at its first word.
func (f *form) putCodes(codes []byte, b *block) {
	half := f.group / 8
	if f.bits == 8 {
		for v := range 2 * half {
			putWord(codes[64*v:], b.word(v))
		}
		return
	}
	for v := range half {
		putWord(codes[64*v:], b.word(v)&0x0f0f0f0f|b.word(v+half)&0x0f0f0f0f<<4)
	}
	switch f.bits {
	case 5:
		var high uint32
		for v := range 8 {
			high |= b.word(v) >> 4 & 0x01010101 << v
		}
		putWord(codes[64*half:], high)
	case 6:
		var high uint32
		for v := range 4 {
			high |= b.word(v) >> 4 & 0x03030303 << (2 * v)
		}
		putWord(codes[64*half:], high)
	}
}

// word is codes 4v to 4v+3.
func (b *block) word(v int) uint32 { return binary.LittleEndian.Uint32(b.code[4*v&31:]) }

// transposeGeneric turns runs of 16 bytes of panelRows rows into lines of 64: word v of run i of row r becomes word r
// of line 4i+v.
func transposeGeneric(lines, rows []byte, stride, runs int) {
	for w := range 4 * runs {
		for r := range panelRows {
			copy(lines[(w*panelRows+r)*4:][:4], rows[r*stride+4*w:])
		}
	}
}

// packWhole packs one panel of all its rows, many at a time, where the type has a way: on one core of an EPYC with
// AVX2 4 to 17 times as fast as packLanes.
func (m *Matrix) packWhole(out, rows []byte, stride int) bool {
	switch m.Type {
	case dtype.F32:
		if m.Cols%4 != 0 {
			return false
		}
		transpose(out, rows, stride, m.Cols/4)
	case dtype.F16, dtype.BF16:
		if m.Cols%8 != 0 {
			return false
		}
		m.packHalves(out, rows, stride)
	case dtype.Q4_0, dtype.Q4_1, dtype.Q8_0, dtype.Q5_0, dtype.Q5_1:
		m.packBlocks(out, rows, stride)
	case dtype.Q4_K, dtype.Q5_K, dtype.Q6_K:
		m.packSuperblocks(out, rows, stride)
	default:
		return false
	}
	return true
}

// packHalves packs numbers of 2 bytes, 8 columns a run.
func (m *Matrix) packHalves(out, rows []byte, stride int) {
	const low = 0x0000ffff0000ffff
	var lines [4 * 64]byte
	for run := range m.Cols / 8 {
		transpose(lines[:], rows[16*run:], stride, 1)
		for v := range 4 {
			words, to := lines[64*v:][:64], out[64*(4*run+v):][:64]
			for j := 0; j < 64; j += 8 {
				x := binary.LittleEndian.Uint64(words[j:])
				even, odd := x&low, x>>16&low
				putWord(to[j/2:], uint32(even|even>>16))
				putWord(to[32+j/2:], uint32(odd|odd>>16))
			}
		}
	}
}

// packBlocks packs types of 32 weights a block, whose bytes already pair what a panel pairs: numbers of 2 bytes, for
// 5 bits a word of fifth bits, then codes.
func (m *Matrix) packBlocks(out, rows []byte, stride int) {
	f, bytes := &m.form, m.Type.Bytes()
	size, runs := f.groupBytes(), 1
	if f.bits == 8 {
		runs = 2
	}
	for g := range m.Cols / 32 {
		to, from := out[g*size:][:size], rows[g*bytes:]
		for lane := range panelRows {
			d := from[lane*stride:][:bytes]
			putHalf(to[2*lane:], u16(d))
			if f.offset {
				putHalf(to[2*panelRows+2*lane:], u16(d[2:]))
			}
			if f.bits == 5 {
				var high uint32
				for v, bits := 0, u32(d[bytes-20:]); v < 8; v, bits = v+1, bits>>4 {
					high |= bits & 15 * 0x204081 & 0x01010101 << v // four bits, one a byte
				}
				putWord(to[f.codesAt()+4*64+4*lane:], high)
			}
		}
		transpose(to[f.codesAt():], from[bytes-16*runs:], stride, runs)
	}
}

// packSuperblocks packs K types of 256 weights a block.
func (m *Matrix) packSuperblocks(out, rows []byte, stride int) {
	f, bytes := &m.form, m.Type.Bytes()
	n, size := f.headerGroups(), f.groupBytes()
	var lines [13 * 4 * 64]byte
	for b := range m.Cols / 256 {
		transpose(lines[:], rows[b*bytes:], stride, bytes/16)
		header := out[:f.headerBytes()]
		groups := out[len(header):][:n*size]
		out = out[len(header)+len(groups):]
		switch m.Type {
		case dtype.Q4_K:
			putScales4(header, groups, size, lines[:])
			for c := range 4 {
				pairNibbles(groups[2*c*size+32:], groups[(2*c+1)*size+32:], lines[(4+8*c)*64:], 4)
			}
		case dtype.Q5_K:
			putScales4(header, groups, size, lines[:])
			for c := range 4 {
				pairNibbles(groups[2*c*size+32:], groups[(2*c+1)*size+32:], lines[(12+8*c)*64:], 4)
			}
			for g := range 8 {
				gatherBits(groups[g*size+32+4*64:], lines[4*64:], 8, g, 1)
			}
		case dtype.Q6_K:
			for lane := range panelRows {
				copy(header[2*lane:2*lane+2], rows[lane*stride+b*bytes+208:])
			}
			for w := range 4 { // words of four scales
				scatter(groups[4*w*size:], size, lines[(48+w)*64:])
			}
			for r := range 8 {
				g := r/4*8 + r%4
				pairNibbles(groups[g*size+16:], groups[(g+4)*size+16:], lines[4*r*64:], 2)
			}
			for g := range 16 {
				gatherBits(groups[g*size+16+2*64:], lines[(32+g/8*8+g%2*4)*64:], 4, g%8/2*2, 2)
			}
		}
	}
}

// pairNibblesGeneric packs the codes of two groups: of n lines and n more, the low nibbles of the first and second are the
// even group's, the high ones the odd's.
func pairNibblesGeneric(even, odd, lines []byte, n int) {
	const low = 15 * eachByte
	even, odd = even[:64*n], odd[:64*n]
	first, second := lines[:64*n], lines[64*n:128*n]
	for i := 0; i+8 <= len(first); i += 8 {
		x, y := binary.LittleEndian.Uint64(first[i:]), binary.LittleEndian.Uint64(second[i:])
		binary.LittleEndian.PutUint64(even[i:], x&low|y&low<<4)
		binary.LittleEndian.PutUint64(odd[i:], x>>4&low|y&^low)
	}
}

// gatherBitsGeneric packs the upper bits of a group's codes, width of them from bit shift on in each byte of n lines.
func gatherBitsGeneric(to, lines []byte, n, shift, width int) {
	mask := uint64(1<<width-1) * eachByte
	for i := 0; i < 64; i += 8 {
		var high uint64
		for v := range n {
			high |= binary.LittleEndian.Uint64(lines[64*v+i:]) >> shift & mask << (width * v)
		}
		binary.LittleEndian.PutUint64(to[i:], high)
	}
}

// putScales4 packs what Q4_K and Q5_K have beside codes: lines are d and dmin, then scale4's 12 bytes.
func putScales4(header, groups []byte, size int, lines []byte) {
	const six, four, top = 63 * eachByte, 15 * eachByte, 0x30 * eachByte
	var scales [4 * 64]byte // of groups 0 to 3, their offsets, of groups 4 to 7, their offsets
	for i := 0; i < 64; i += 8 {
		word := func(w int) uint64 { return binary.LittleEndian.Uint64(lines[64*w+i:]) }
		d, a, b, c := word(0), word(1), word(2), word(3)
		putWord(header[i/2:], uint32(d&0xffff|d>>16&0xffff0000))
		putWord(header[32+i/2:], uint32(d>>16&0xffff|d>>32&0xffff0000)^0x80008000)
		binary.LittleEndian.PutUint64(scales[i:], a&six)
		binary.LittleEndian.PutUint64(scales[64+i:], b&six)
		binary.LittleEndian.PutUint64(scales[128+i:], c&four|a>>2&top)
		binary.LittleEndian.PutUint64(scales[192+i:], c>>4&four|b>>2&top)
	}
	for i := range 4 {
		scatter(groups[i/2*4*size+i%2*panelRows:], size, scales[64*i:])
	}
}

// scatterGeneric gives each of four groups its byte of every row: byte g of word r of the line.
func scatterGeneric(to []byte, size int, line []byte) {
	for i, v := range line[:64] {
		to[i%4*size+i/4] = v
	}
}

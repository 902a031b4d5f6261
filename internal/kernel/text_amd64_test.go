//go:build !purego

package kernel

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/galerne-ai/galerne/internal/dtype"
)

// formNames are the forms' names in kernels.
var formNames = [...]string{kind4z: "4z", kind4m: "4m", kind4k: "4k", kind5z: "5z", kind5m: "5m", kind5k: "5k",
	kind6s: "6s", kind4s: "4s", kind4t: "4t", kind8: "8", kind8w: "8w", kind8x: "8x"}

// TestTextOfTilesMatchesGenericBits carries the kernels for AMX out instruction by instruction, since few machines have it:
// what their text says, and for instructions of tiles what their bytes say. TestTilesMatchGenericBits runs the real ones.
func TestTextOfTilesMatchesGenericBits(t *testing.T) {
	text := readText(t, regexp.MustCompile("AMX$"))
	run := func(f *form, c *dotCall, n int) {
		product := "product" + strconv.Itoa(f.group)
		if f.offset {
			product += "m"
		}
		text.callee = "unpack" + formNames[f.kind] + "AMX"
		if !tileProduct(f, c, n, 0, func(c *tileCall) { call(t, text, product+"AMX", c) }) {
			dotGeneric(f, c, n)
		}
	}
	for _, cols := range []int{32, 64, 96, 256, 288, 512} {
		if fault := tryForms(run, cols, 1, 16, 39, 64); fault != "" {
			t.Errorf("the text for AMX differs from generic Go: %s", fault)
		}
	}
}

// TestTextOfAVX512MatchesGenericBits does the same for the products of AVX-512.
func TestTextOfAVX512MatchesGenericBits(t *testing.T) {
	text := readText(t, regexp.MustCompile("^(dot|pairs|one).*AVX512$"))
	near := false
	run := func(f *form, c *dotCall, n int) {
		one := *c
		if n != 2 && n != 4 && !(near && n == 1) {
			pairs, name := *c, "pairs"
			if pairs.panels = c.panels &^ 1; n == 1 {
				name = "one"
			}
			call(t, text, name+formNames[f.kind]+"AVX512", &pairs)
			one.w, one.dst, one.panels = unsafe.Add(c.w, pairs.panels*c.size), unsafe.Add(c.dst, 4*panelRows*pairs.panels), 1
		}
		for rows := 16; rows > 0; rows /= 2 {
			if n&rows > 0 {
				name := fmt.Sprintf("dot%sR%d", formNames[f.kind], rows)
				if rows == 1 || near && rows <= 4 {
					name += "Near"
				}
				call(t, text, name+"AVX512", &one)
				one.x, one.dst = unsafe.Add(one.x, uintptr(rows)*one.xStride), unsafe.Add(one.dst, uintptr(rows)*one.dstStride)
			}
		}
	}
	for _, cols := range []int{32, 96, 256, 512} {
		for _, near = range []bool{false, true} {
			if fault := tryForms(run, cols, 1, 2, 3, 4, 7, 8, 13, 16); fault != "" {
				t.Errorf("the text for AVX-512 differs from generic Go: %s", fault)
			}
		}
	}
}

// TestTextOfReadingMatchesGenericBits does it for rows that are read, but for their rounding, which is one instruction.
func TestTextOfReadingMatchesGenericBits(t *testing.T) {
	text := readText(t, regexp.MustCompile("^(few|read|unpack.*BF16$)"))
	defer func(was [len(readers)]readKernels) { readers = was }(readers)
	for k, form := range formNames {
		readers[k] = readKernels{
			unpack: func(c *unpackCall) { call(t, text, "unpack"+form+"BF16", c) },
			few:    func(c *fewCall) { call(t, text, "few"+form, c) },
			read:   func(c *readCall) { call(t, text, "read"+form, c) },
		}
	}
	round := func(x []float32, lines []byte) {
		for i, v := range x {
			putHalf(lines[2*i:], roundBF16(v))
		}
	}
	for _, cols := range []int{32, 96, 256} {
		if fault := tryReading(round, cols, dtype.All()...); fault != "" {
			t.Errorf("the text for tiles of bf16 differs from generic Go: %s", fault)
		}
	}
}

// call carries a kernel out.
func call[T dotCall | tileCall | unpackCall | fewCall | readCall](t *testing.T, p *program, name string, c *T) {
	t.Helper()
	m := machine{program: p, frame: new([128]byte), args: new([8]byte)}
	binary.LittleEndian.PutUint64(m.args[:], uint64(uintptr(unsafe.Pointer(c))))
	if fault := m.run(name); fault != "" {
		t.Fatalf("%s of %+v: %s", name, *c, fault)
	}
}

// program is assembly as it stands in its file.
type program struct {
	lines  []instruction
	labels map[string]int // of functions too: the line behind
	data   map[string][]byte
	callee string // function that CALL runs
}

type instruction struct {
	text  string
	op    string
	args  []operand
	bytes []byte // of one that Go's assembler does not know
}

// operand is a register, an immediate number or a place in memory.
type operand struct {
	register    string
	immediate   int64
	memory      bool
	base, index string // registers, or frame, args, or a name of data
	scale, off  int64
}

var (
	dataLine = regexp.MustCompile(`^DATA ·(\w+)\+(\d+)\(SB\)/4, \$(0x\w+)`)
	textLine = regexp.MustCompile(`^TEXT ·(\w+)(?:<>)?\(SB\)`)
	byteWord = regexp.MustCompile(`BYTE \$0x(\w\w)`)
	atMemory = regexp.MustCompile(`^(?:·(\w+)|(-?\d+)?)\((\w+)\)(?:\((\w+)\*(\d)\))?$`)
	atFrame  = regexp.MustCompile(`^\w+([+-]\d+)\((SP|FP)\)$`)
)

// readText reads the functions that match, and all data.
func readText(t *testing.T, functions *regexp.Regexp) *program {
	t.Helper()
	p, wanted := &program{labels: map[string]int{}, data: map[string][]byte{}}, false
	for _, file := range []string{"kernels_amd64.s", "kernels_amx_amd64.s", "kernels_reading_amd64.s"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			line = strings.TrimRight(line, "\n")
			if m := dataLine.FindStringSubmatch(line); m != nil {
				v, err := strconv.ParseUint(m[3], 0, 32)
				if err != nil {
					t.Fatal(line)
				}
				p.data[m[1]] = binary.LittleEndian.AppendUint32(p.data[m[1]], uint32(v))
			} else if m := textLine.FindStringSubmatch(line); m != nil {
				wanted, p.labels[m[1]] = functions.MatchString(m[1]), len(p.lines)
			} else if name, ok := strings.CutSuffix(line, ":"); ok {
				p.labels[name] = len(p.lines)
			} else if wanted && strings.HasPrefix(line, "\t") {
				p.lines = append(p.lines, parseLine(t, line[1:]))
			}
		}
	}
	return p
}

func parseLine(t *testing.T, line string) instruction {
	t.Helper()
	in := instruction{text: line}
	for _, m := range byteWord.FindAllStringSubmatch(line, -1) {
		b, _ := strconv.ParseUint(m[1], 16, 8)
		in.bytes = append(in.bytes, byte(b))
	}
	if in.bytes != nil {
		return in
	}
	op, rest, _ := strings.Cut(line, " ")
	in.op = op
	for _, arg := range strings.Split(rest, ", ") {
		var o operand
		if n, ok := strings.CutPrefix(arg, "$"); ok {
			v, err := strconv.ParseInt(n, 0, 64)
			if err != nil {
				t.Fatal(line)
			}
			o.immediate = v
		} else if m := atFrame.FindStringSubmatch(arg); m != nil {
			o.memory, o.base = true, map[string]string{"SP": "frame", "FP": "args"}[m[2]]
			o.off, _ = strconv.ParseInt(m[1], 10, 64)
		} else if m := atMemory.FindStringSubmatch(arg); m != nil {
			o.memory, o.base, o.index = true, m[3], m[4]
			if m[1] != "" {
				o.base = "·" + m[1]
			}
			o.off, _ = strconv.ParseInt(m[2], 10, 64)
			o.scale, _ = strconv.ParseInt(m[5], 10, 64)
		} else {
			o.register = arg
		}
		in.args = append(in.args, o)
	}
	return in
}

// vector is a register of 512 bits.
type vector [64]byte

func (v *vector) word(i int) uint32         { return binary.LittleEndian.Uint32(v[4*i:]) }
func (v *vector) set(i int, w uint32)       { binary.LittleEndian.PutUint32(v[4*i:], w) }
func (v *vector) float(i int) float32       { return math.Float32frombits(v.word(i)) }
func (v *vector) setFloat(i int, f float32) { v.set(i, math.Float32bits(f)) }

// machine is what a kernel can change, beside memory: that of this process.
type machine struct {
	*program
	registers  map[string]uint64
	vectors    [32]vector
	tiles      [8][16]vector
	shapes     [8]struct{ rows, bytes int }
	configured bool
	last       int64 // what flags are of
	frame      *[128]byte
	args       *[8]byte
}

// run gives "" if the function returned.
func (m *machine) run(name string) (fault string) {
	m.registers = map[string]uint64{}
	at, ok := m.labels[name]
	if !ok {
		return "no function " + name
	}
	back := 0 // where a function that was called returns to
	for range 10_000_000 {
		in := &m.lines[at]
		at++
		switch {
		case in.op == "RET" && back > 0:
			at, back = back, 0
		case in.op == "RET":
			if m.configured {
				return "tiles are not released"
			}
			return ""
		case in.op == "CALL":
			at, back = m.labels[m.callee], at
		case len(in.bytes) == 5 && in.bytes[0]&0xfe == 0x40 && in.bytes[1] == 0x0f && in.bytes[2] == 0x0d: // PREFETCHW
		case in.bytes != nil:
			fault = m.tileStep(in.bytes)
		case in.op[0] == 'J':
			if m.jumps(in.op) {
				at, ok = m.labels[in.args[0].register]
				if !ok {
					return "no label: " + in.text
				}
			}
		case in.op[0] == 'V':
			fault = m.vectorStep(in)
		default:
			fault = m.step(in)
		}
		if fault != "" {
			return in.text + ": " + fault
		}
	}
	return "it does not end"
}

// jumps reports whether a condition holds.
func (m *machine) jumps(op string) bool {
	switch op {
	case "JMP":
		return true
	case "JNZ", "JNE":
		return m.last != 0
	case "JLT":
		return m.last < 0
	case "JG", "JGT":
		return m.last > 0
	case "JZ", "JEQ":
		return m.last == 0
	}
	panic("unknown jump " + op)
}

// memory is what stands at an address.
func memory[T any](address uint64) *T { return (*T)(unsafe.Add(unsafe.Pointer(nil), uintptr(address))) }

func (m *machine) address(o operand) uint64 {
	var base uint64
	switch {
	case o.base == "frame":
		base = uint64(uintptr(unsafe.Pointer(m.frame))) + uint64(len(m.frame))
	case o.base == "args":
		base = uint64(uintptr(unsafe.Pointer(m.args)))
	case strings.HasPrefix(o.base, "·"):
		base = uint64(uintptr(unsafe.Pointer(&m.data[strings.TrimPrefix(o.base, "·")][0])))
	default:
		base = m.registers[o.base]
	}
	return base + uint64(o.off) + m.registers[o.index]*uint64(o.scale)
}

func (m *machine) value(o operand) uint64 {
	switch {
	case o.memory:
		return *memory[uint64](m.address(o))
	case o.register != "":
		return m.registers[o.register]
	}
	return uint64(o.immediate)
}

// step is one of integers.
func (m *machine) step(in *instruction) (fault string) {
	to := in.args[len(in.args)-1]
	put := func(v uint64) {
		m.last = int64(v)
		if to.memory {
			*memory[uint64](m.address(to)) = v
		} else {
			m.registers[to.register] = v
		}
	}
	switch flags := m.last; in.op {
	case "MOVQ", "MOVL", "KMOVD":
		put(m.value(in.args[0]))
		m.last = flags
	case "LEAQ":
		put(m.address(in.args[0]))
		m.last = flags
	case "ADDQ":
		put(m.value(to) + m.value(in.args[0]))
	case "SUBQ":
		put(m.value(to) - m.value(in.args[0]))
	case "DECQ":
		put(m.value(to) - 1)
	case "IMUL3Q":
		put(m.value(in.args[0]) * m.value(in.args[1]))
	case "SHLQ":
		put(m.value(to) << m.value(in.args[0]))
	case "CMPQ":
		m.last = int64(m.value(in.args[0]) - m.value(to))
	case "TESTQ":
		m.last = int64(m.value(in.args[0]) & m.value(to))
	case "PREFETCHT0", "PREFETCHT1":
	default:
		return "unknown"
	}
	return ""
}

// vectorStep is one of vectors, whose last operand is what it changes.
func (m *machine) vectorStep(in *instruction) (fault string) {
	if in.op == "VZEROUPPER" {
		return ""
	}
	op, spread := strings.CutSuffix(in.op, ".BCST")
	if op == "VPBROADCASTD" || op == "VBROADCASTSS" {
		spread = true
	}
	var read [4]vector
	for i, o := range in.args {
		switch n, ok := strings.CutPrefix(o.register, "Z"); {
		case strings.HasPrefix(o.register, "K"): // as ones where its bits are
			for j := range len(read[i]) {
				read[i][j] = -byte(m.registers[o.register] >> (j / 2) & 1)
			}
		case ok:
			number, _ := strconv.Atoi(n)
			read[i] = m.vectors[number]
		case o.memory && spread:
			for j := range 16 {
				read[i].set(j, *memory[uint32](m.address(o)))
			}
		case o.memory:
			copy(read[i][:], unsafe.Slice(memory[byte](m.address(o)), widthOf(op)))
		}
	}
	out, ok := compute(op, in.args[0].immediate, read)
	if !ok {
		return "unknown"
	}
	if to := in.args[len(in.args)-1]; to.memory {
		*memory[vector](m.address(to)) = out
	} else {
		number, _ := strconv.Atoi(to.register[1:])
		m.vectors[number] = out
	}
	return ""
}

// widthOf is how many bytes of memory an instruction reads.
func widthOf(op string) int {
	switch op {
	case "VPMOVSXBD":
		return 16
	case "VCVTPH2PS":
		return 32
	}
	return 64
}

// compute gives the result, of operands in Go's order; one with an immediate has it first.
func compute(op string, immediate int64, a [4]vector) (out vector, ok bool) {
	for i := range 16 {
		x, y, z := a[0].word(i), a[1].word(i), a[2].word(i)
		switch op {
		case "VMOVUPS", "VMOVDQU32", "VPBROADCASTD", "VBROADCASTSS":
			out.set(i, x)
		case "VPXORD":
			out.set(i, x^y)
		case "VPANDD":
			out.set(i, x&y)
		case "VMOVDQU16":
			out.set(i, x&y|z&^y)
		case "VPSRLD":
			out.set(i, y>>immediate)
		case "VPSLLD":
			out.set(i, y<<immediate)
		case "VPSRLW":
			out.set(i, y>>16>>immediate<<16|y&0xffff>>immediate)
		case "VPSLLW":
			out.set(i, y>>16<<immediate<<16|y<<immediate&0xffff)
		case "VPSRAD":
			out.set(i, uint32(int32(y)>>immediate))
		case "VPTERNLOGD":
			switch immediate {
			case 0xf8:
				out.set(i, a[3].word(i)|z&y)
			case 0xea:
				out.set(i, a[3].word(i)&z|y)
			default:
				return out, false
			}
		case "VPSUBB":
			for j := range 4 {
				out[4*i+j] = a[1][4*i+j] - a[0][4*i+j]
			}
		case "VPADDD":
			out.set(i, x+y)
		case "VADDPS":
			out.setFloat(i, a[0].float(i)+a[1].float(i))
		case "VPADDB":
			for j := range 4 {
				out[4*i+j] = a[1][4*i+j] + a[0][4*i+j]
			}
		case "VPDPBUSD":
			for j := range 4 {
				z += uint32(int32(int8(a[0][4*i+j])) * int32(a[1][4*i+j]))
			}
			out.set(i, z)
		case "VFMADD213PS":
			out.setFloat(i, fma32(a[1].float(i), math.Float32frombits(z), a[0].float(i)))
		case "VPMOVSXBD":
			out.set(i, uint32(int32(int8(a[0][i]))))
		case "VCVTDQ2PS":
			out.setFloat(i, float32(int32(x)))
		case "VCVTPH2PS":
			out.setFloat(i, FromF16(binary.LittleEndian.Uint16(a[0][2*i:])))
		case "VMULPS":
			out.setFloat(i, a[0].float(i)*a[1].float(i))
		case "VFMADD231PS":
			out.setFloat(i, fma32(a[0].float(i), a[1].float(i), math.Float32frombits(z)))
		case "VFNMADD231PS":
			out.setFloat(i, fma32(-a[0].float(i), a[1].float(i), math.Float32frombits(z)))
		default:
			return out, false
		}
	}
	return out, true
}

// tileStep decodes a VEX prefix of three bytes and what is behind.
func (m *machine) tileStep(b []byte) (fault string) {
	if len(b) < 5 || b[0] != 0xc4 || b[1]&0x9f != 0x82 || b[2]&0x84 != 0 {
		return "not an instruction of tiles"
	}
	prefix, op, third := b[2]&3, b[3], int(^b[2]>>3&15)
	tile, rows := int(b[4]>>3&7), int(b[4]&7)
	if op != 0x49 && !m.configured {
		return "tiles without shapes"
	}
	switch form := b[4] >> 6; {
	case op == 0x49 && prefix == 0 && b[4] == 0x01 && len(b) == 5:
		return m.configure(memory[[64]byte](m.registers["CX"]))
	case op == 0x49 && prefix == 0 && b[4] == 0xc0 && len(b) == 5:
		m.configured, m.tiles = false, [8][16]vector{}
	case op == 0x49 && prefix == 3 && form == 3 && rows == 0 && m.configured && len(b) == 5:
		m.tiles[tile] = [16]vector{}
	case op == 0x4b && (prefix == 2 || prefix == 3) && form == 2 && rows == 4 && len(b) == 10 && b[5]>>6 == 0:
		m.move(prefix == 2, tile, b)
	case op == 0x5e && prefix == 3 && form == 3 && len(b) == 5:
		return m.multiply(tile, rows, third, signedProducts)
	case op == 0x5c && prefix == 2 && form == 3 && len(b) == 5:
		return m.multiply(tile, rows, third, bf16Products)
	default:
		return "unknown"
	}
	return ""
}

func (m *machine) configure(shapes *[64]byte) (fault string) {
	if shapes[0] != 1 || slices.ContainsFunc(shapes[1:16], func(b byte) bool { return b != 0 }) {
		return "not palette 1"
	}
	for i := range m.shapes {
		s := &m.shapes[i]
		s.bytes, s.rows = int(binary.LittleEndian.Uint16(shapes[16+2*i:])), int(shapes[48+i])
		if s.bytes > 64 || s.rows > 16 || (s.rows == 0) != (s.bytes == 0) {
			return "impossible shape"
		}
	}
	m.configured, m.tiles = true, [8][16]vector{}
	return ""
}

// move loads or stores a tile, of an operand with a displacement of 4 bytes.
func (m *machine) move(store bool, tile int, b []byte) {
	names := [...]string{"AX", "CX", "DX", "BX", "SP", "BP", "SI", "DI", "R8", "R9", "R10", "R11", "R12", "R13", "R14", "R15"}
	base := names[b[5]&7|^b[1]>>5&1<<3]
	stride := m.registers[names[b[5]>>3&7|^b[1]>>6&1<<3]]
	from := m.registers[base] + uint64(int64(int32(binary.LittleEndian.Uint32(b[6:]))))
	if !store {
		m.tiles[tile] = [16]vector{}
	}
	for r := range m.shapes[tile].rows {
		row := unsafe.Slice(memory[byte](from+uint64(r)*stride), m.shapes[tile].bytes)
		if store {
			copy(row, m.tiles[tile][r][:])
		} else {
			copy(m.tiles[tile][r][:], row)
		}
	}
}

// multiply adds products of row r of a and column c of b, of what a word has.
func (m *machine) multiply(to, a, b int, add func(sum uint32, row, column []uint32) uint32) (fault string) {
	shape := m.shapes
	if to == a || a == b || to == b || shape[a].bytes/4 != shape[b].rows || shape[to].rows != shape[a].rows || shape[to].bytes != shape[b].bytes {
		return "tiles that do not fit"
	}
	row, column := make([]uint32, shape[b].rows), make([]uint32, shape[b].rows)
	for r := range shape[to].rows {
		for c := range shape[to].bytes / 4 {
			for k := range row {
				row[k], column[k] = m.tiles[a][r].word(k), m.tiles[b][k].word(c)
			}
			m.tiles[to][r].set(c, add(m.tiles[to][r].word(c), row, column))
		}
	}
	return ""
}

func signedProducts(sum uint32, row, column []uint32) uint32 {
	for k := range row {
		for shift := 0; shift < 32; shift += 8 {
			sum += uint32(int32(int8(row[k]>>shift)) * int32(int8(column[k]>>shift)))
		}
	}
	return sum
}

// bf16Products adds the sums of lower and of upper halves' products.
func bf16Products(sum uint32, row, column []uint32) uint32 {
	var parts [2]float32
	for k := range row {
		for i := range parts {
			x, w := FromBF16(uint16(row[k]>>(16*i))), FromBF16(uint16(column[k]>>(16*i)))
			parts[i] = normal(fma32(normal(x), normal(w), parts[i]))
		}
	}
	return math.Float32bits(normal(math.Float32frombits(sum) + normal(parts[0]+parts[1])))
}

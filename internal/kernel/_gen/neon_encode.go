package main

import "fmt"

// Go's assembler knows few of the vector instructions of arm64, so all of them are written as words, each with
// its text in Arm's own notation behind it (destination first); a disassembler reads the words back in a test.

// vector has the words of instructions on registers alone, without the registers: d is bits 0-4, n 5-9, m 16-20.
var vector = map[string]struct {
	word uint32
	text string // with a %d a register
}{
	"fadd":   {0x4e20d400, "fadd v%d.4s, v%d.4s, v%d.4s"},
	"fsub":   {0x4ea0d400, "fsub v%d.4s, v%d.4s, v%d.4s"},
	"fmul":   {0x6e20dc00, "fmul v%d.4s, v%d.4s, v%d.4s"},
	"fdiv":   {0x6e20fc00, "fdiv v%d.4s, v%d.4s, v%d.4s"},
	"fmla":   {0x4e20cc00, "fmla v%d.4s, v%d.4s, v%d.4s"},
	"fmin":   {0x4ea0f400, "fmin v%d.4s, v%d.4s, v%d.4s"},
	"fmaxnm": {0x4e20c400, "fmaxnm v%d.4s, v%d.4s, v%d.4s"},
	"fcmgt":  {0x6ea0e400, "fcmgt v%d.4s, v%d.4s, v%d.4s"},
	"fcmge":  {0x6e20e400, "fcmge v%d.4s, v%d.4s, v%d.4s"},
	"umax":   {0x6ea06400, "umax v%d.4s, v%d.4s, v%d.4s"},
	"zip1":   {0x4e803800, "zip1 v%d.4s, v%d.4s, v%d.4s"},
	"zip2":   {0x4e807800, "zip2 v%d.4s, v%d.4s, v%d.4s"},
	"zip1d":  {0x4ec03800, "zip1 v%d.2d, v%d.2d, v%d.2d"},
	"zip2d":  {0x4ec07800, "zip2 v%d.2d, v%d.2d, v%d.2d"},
	"cmtst":  {0x4ea08c00, "cmtst v%d.4s, v%d.4s, v%d.4s"},
	"add":    {0x4ea08400, "add v%d.4s, v%d.4s, v%d.4s"},
	"add8h":  {0x4e608400, "add v%d.8h, v%d.8h, v%d.8h"},
	"and":    {0x4e201c00, "and v%d.16b, v%d.16b, v%d.16b"},
	"orr":    {0x4ea01c00, "orr v%d.16b, v%d.16b, v%d.16b"},
	"bic":    {0x4e601c00, "bic v%d.16b, v%d.16b, v%d.16b"},
	"bsl":    {0x6e601c00, "bsl v%d.16b, v%d.16b, v%d.16b"},

	"fneg":    {0x6ea0f800, "fneg v%d.4s, v%d.4s"},
	"frintn":  {0x4e218800, "frintn v%d.4s, v%d.4s"},
	"fcvtns":  {0x4e21a800, "fcvtns v%d.4s, v%d.4s"},
	"scvtf":   {0x4e21d800, "scvtf v%d.4s, v%d.4s"},
	"fcvtl":   {0x0e217800, "fcvtl v%d.4s, v%d.4h"},
	"fcvtl2":  {0x4e217800, "fcvtl2 v%d.4s, v%d.8h"},
	"fcvtn":   {0x0e216800, "fcvtn v%d.4h, v%d.4s"},
	"shll":    {0x2e613800, "shll v%d.4s, v%d.4h, #16"},
	"shll2":   {0x6e613800, "shll2 v%d.4s, v%d.8h, #16"},
	"sxtl8h":  {0x0f08a400, "sshll v%d.8h, v%d.8b, #0"},
	"sxtl4s":  {0x0f10a400, "sshll v%d.4s, v%d.4h, #0"},
	"sxtl4s2": {0x4f10a400, "sshll2 v%d.4s, v%d.8h, #0"},
	"fmaxnmv": {0x6e30c800, "fmaxnmv s%d, v%d.4s"},
	"umaxv":   {0x6eb0a800, "umaxv s%d, v%d.4s"},
	"fabs":    {0x4ea0f800, "fabs v%d.4s, v%d.4s"},
	"neg":     {0x6ea0b800, "neg v%d.4s, v%d.4s"},
	"sqxtn4h": {0x0e614800, "sqxtn v%d.4h, v%d.4s"},
	"sqxtn8h": {0x4e614800, "sqxtn2 v%d.8h, v%d.4s"},
	"sqxtn8b": {0x0e214800, "sqxtn v%d.8b, v%d.8h"},
	"sqxtnb":  {0x4e214800, "sqxtn2 v%d.16b, v%d.8h"},
	"saddlp":  {0x4e202800, "saddlp v%d.8h, v%d.16b"},
	"rev64":   {0x4ea00800, "rev64 v%d.4s, v%d.4s"},
	"neg8h":   {0x6e60b800, "neg v%d.8h, v%d.8h"},
	"saddlv":  {0x4e303800, "saddlv h%d, v%d.16b"},
}

// v is an instruction on registers alone, the destination first.
func v(name string, registers ...int) {
	op, ok := vector[name]
	if !ok {
		panic("no instruction " + name)
	}
	word, named := op.word, []any{}
	for i, r := range registers {
		word |= uint32(r) << [...]int{0, 5, 16}[i]
		named = append(named, r)
	}
	emit(word, op.text, named...)
}

// emit is an instruction as a word, with its text.
func emit(word uint32, format string, args ...any) {
	p("WORD $0x%08x // %s", word, fmt.Sprintf(format, args...))
}

func move(d, n int) {
	emit(0x4ea01c00|uint32(n)<<16|uint32(n)<<5|uint32(d), "mov v%d.16b, v%d.16b", d, n)
}

// byElement is d op= n · m[i], or for fmul d = n · m[i]; of sdot an element is four bytes.
func byElement(name string, d, n, m, i int) {
	op := map[string]struct {
		word uint32
		text string
	}{
		"fmul": {0x4f809000, "fmul v%d.4s, v%d.4s, v%d.s[%d]"},
		"fmla": {0x4f801000, "fmla v%d.4s, v%d.4s, v%d.s[%d]"},
		"fmls": {0x4f805000, "fmls v%d.4s, v%d.4s, v%d.s[%d]"},
		"sdot": {0x4f80e000, "sdot v%d.4s, v%d.16b, v%d.4b[%d]"},
	}[name]
	emit(op.word|uint32(i&1)<<21|uint32(m)<<16|uint32(i>>1)<<11|uint32(n)<<5|uint32(d), op.text, d, n, m, i)
}

// spread fills d with element i of n.
func spread(d, n, i int) {
	emit(0x4e000400|uint32(i<<3|4)<<16|uint32(n)<<5|uint32(d), "dup v%d.4s, v%d.s[%d]", d, n, i)
}

// bytesOf fills d with a byte.
func bytesOf(d, value int) {
	emit(0x4f00e400|uint32(value>>5)<<16|uint32(value&31)<<5|uint32(d), "movi v%d.16b, #%s", d, number(value))
}

func clearVector(d int) { bytesOf(d, 0) }

// shift moves the lanes of n, bytes or words, by some bits into d.
func shift(name string, d, n, bits int) {
	op := map[string]struct {
		word uint32
		size int
		left bool
		text string
	}{
		"shl16b":  {0x4f005400, 8, true, "shl v%d.16b, v%d.16b, #%s"},
		"ushr16b": {0x6f000400, 8, false, "ushr v%d.16b, v%d.16b, #%s"},
		"shl8h":   {0x4f005400, 16, true, "shl v%d.8h, v%d.8h, #%s"},
		"shl4s":   {0x4f005400, 32, true, "shl v%d.4s, v%d.4s, #%s"},
		"sshr4s":  {0x4f000400, 32, false, "sshr v%d.4s, v%d.4s, #%s"},
	}[name]
	field := 2*op.size - bits
	if op.left {
		field = op.size + bits
	}
	emit(op.word|uint32(field)<<16|uint32(n)<<5|uint32(d), op.text, d, n, number(bits))
}

// access is a load or store of 16, 8 or 4 bytes at off behind the general register x<base>.
type access struct {
	word   uint32 // with an unsigned offset, in units of the size
	post   uint32 // with base moved on afterwards
	letter string
}

var (
	reads  = map[int]access{16: {0x3dc00000, 0x3cc00400, "q"}, 8: {0xfd400000, 0xfc400400, "d"}, 4: {0xbd400000, 0xbc400400, "s"}, 2: {0x7d400000, 0x7c400400, "h"}, 1: {0x3d400000, 0x3c400400, "b"}}
	writes = map[int]access{16: {0x3d800000, 0x3c800400, "q"}, 8: {0xfd000000, 0xfc000400, "d"}, 4: {0xbd000000, 0xbc000400, "s"}, 2: {0x7d000000, 0x7c000400, "h"}}
)

func read(size, t, base, off int)  { at("ldr", reads[size], size, t, base, off) }
func write(size, t, base, off int) { at("str", writes[size], size, t, base, off) }

func at(name string, a access, size, t, base, off int) {
	if off < 0 || off%size != 0 || off/size > 4095 {
		panic(fmt.Sprintf("no offset of %d for %d bytes", off, size))
	}
	place := fmt.Sprintf("[x%d]", base)
	if off > 0 {
		place = fmt.Sprintf("[x%d, #%s]", base, number(off))
	}
	emit(a.word|uint32(off/size)<<10|uint32(base)<<5|uint32(t), "%s %s%d, %s", name, a.letter, t, place)
}

// number is n as disassemblers write it.
func number(n int) string {
	if n > 9 {
		return fmt.Sprintf("0x%x", n)
	}
	return fmt.Sprint(n)
}

// readOn and writeOn move the base on by what they took.
func readOn(size, t, base int)  { on("ldr", reads[size], size, t, base) }
func writeOn(size, t, base int) { on("str", writes[size], size, t, base) }

func on(name string, a access, size, t, base int) {
	emit(a.post|uint32(size)<<12|uint32(base)<<5|uint32(t), "%s %s%d, [x%d], #%s", name, a.letter, t, base, number(size))
}

// everywhere fills t with the number at the base, and moves that on by 4.
func everywhere(t, base int) {
	emit(0x4ddfc800|uint32(base)<<5|uint32(t), "ld1r {v%d.4s}, [x%d], #4", t, base)
}

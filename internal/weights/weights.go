package weights

import (
	"errors"
	"math/bits"
	"os"
	"strings"
	"sync"

	"github.com/galerne-ai/galerne/internal/dtype"
)

// The formats of File.Format.
const (
	GGUF        = "gguf"
	Safetensors = "safetensors"
)

// File is a model's weights and facts: one GGUF file, a set of GGUF parts, or a folder of
// safetensors. All methods but Close may be called from any goroutine.
type File struct {
	Path   string // as given to Open
	Format string // GGUF or Safetensors
	Meta   Meta   // GGUF's key-values; empty for safetensors

	// The files beside safetensors, nil where there is none.
	Config           []byte // config.json
	Tokenizer        []byte // tokenizer.json
	TokenizerConfig  []byte // tokenizer_config.json
	GenerationConfig []byte // generation_config.json
	ChatTemplate     []byte // chat_template.jinja
	Pooling          []byte // 1_Pooling/config.json, of sentence-transformers
	Sentences        []byte // sentence_bert_config.json, of the same

	folder  string // of safetensors, "" for GGUF
	tensors []*Tensor
	byName  map[string]*Tensor
	skipped []Skipped
	parts   []*part
	users   *users
}

// part is one file of the set.
type part struct {
	*mapping
	size int64 // when it was opened, in bytes
}

// Tensor is one named block of numbers inside a mapped file.
type Tensor struct {
	Name   string
	Type   dtype.Type
	Shape  []int // outermost first: [rows cols] or [experts rows cols]; empty for a single number
	Part   int   // index into File.Parts
	Offset int64 // of the first byte, from the start of that part

	data []byte
}

// Skipped is a tensor that no network computes with: indices and masks that some programs store.
type Skipped struct {
	Name, Type string
	Shape      []int
}

// Open opens a .gguf file (of a split set any part), a folder of safetensors, or one .safetensors
// file in such a folder. GGUF is known by its first bytes, whatever the file's name is. All problems
// with tensors come in one error. The file stays mapped until Close.
//
// Errors: ErrNotFound, ErrRead, ErrFormat, ErrType, ErrCorrupt, ErrLimit, ErrChanged.
func Open(path string) (*File, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, notOpened(path, err)
	}
	f := &File{Path: path, users: &users{}}
	if st.IsDir() {
		err = f.openFolder(path)
	} else {
		err = f.openFile(path)
	}
	if err == nil {
		err = f.index()
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (f *File) openFile(path string) error {
	m, err := openMapping(path)
	if err != nil {
		return err
	}
	f.parts = append(f.parts, &part{m, int64(len(m.bytes))})
	var magic string
	if err := Guard(path, func() error { magic = string(m.bytes[:min(16, len(m.bytes))]); return nil }); err != nil {
		return err
	}
	switch {
	case magic == "":
		return ErrFormat.Because("weights: %s is empty: fetch it again", path)
	case strings.HasPrefix(magic, ggufMagic):
		return f.openGGUF(m.file)
	case strings.HasSuffix(path, ".safetensors") || len(magic) > 8 && magic[8] == '{':
		return f.openSafetensors(path)
	}
	return ErrFormat.Because("weights: %s starts with %q: neither GGUF nor safetensors; give a .gguf file or a folder of safetensors", path, magic[:min(4, len(magic))])
}

// index makes the names' table and refuses a name that occurs twice.
func (f *File) index() error {
	var p problems
	f.byName = make(map[string]*Tensor, len(f.tensors))
	for _, t := range f.tensors {
		if first := f.byName[t.Name]; first != nil {
			p.add(ErrCorrupt.Because("weights: tensor %q occurs twice, in %s at byte %d and in %s at byte %d",
				t.Name, f.parts[first.Part].path, first.Offset, f.parts[t.Part].path, t.Offset))
			continue
		}
		f.byName[t.Name] = t
	}
	return p.err(f.Path)
}

// Tensors lists every tensor in the files' own order. The slice is the caller's to read only.
func (f *File) Tensors() []*Tensor { return f.tensors }

// Tensor is the tensor of that name, nil if there is none.
func (f *File) Tensor(name string) *Tensor { return f.byName[name] }

// Skipped lists what the files hold beside numbers to compute with.
func (f *File) Skipped() []Skipped { return f.skipped }

// Parts lists the paths of the files that were opened, in order.
func (f *File) Parts() []string {
	out := make([]string, len(f.parts))
	for i, p := range f.parts {
		out[i] = p.path
	}
	return out
}

// Parameters counts the weights of all tensors.
func (f *File) Parameters() int64 {
	var n int64
	for _, t := range f.tensors {
		n += int64(t.Elems())
	}
	return n
}

// MainType is the type that most of the tensors' bytes have: the file's quantization in a word.
func (f *File) MainType() dtype.Type {
	var bytes [256]int
	best := dtype.F32
	for _, t := range f.tensors {
		bytes[t.Type] += t.Bytes()
		if bytes[t.Type] > bytes[best] {
			best = t.Type
		}
	}
	return best
}

// TensorBytes is what all tensors take in the files.
func (f *File) TensorBytes() int64 {
	var n int64
	for _, t := range f.tensors {
		n += int64(t.Bytes())
	}
	return n
}

// FileBytes is the size of all parts together.
func (f *File) FileBytes() int64 {
	var n int64
	for _, p := range f.parts {
		n += p.size
	}
	return n
}

// Unchanged compares the files with what they were when they were opened: their sizes and times. A
// loader calls it after its last read, since a file cut inside a page, or written over, gives no
// fault. Error: ErrChanged.
func (f *File) Unchanged() error {
	f.users.mu.Lock()
	defer f.users.mu.Unlock()
	for _, p := range f.parts {
		if err := p.unchanged(p.size); err != nil {
			return err
		}
	}
	return nil
}

// Hold keeps the files mapped past Close, until release is called. It is called before Close.
func (f *File) Hold() (release func()) {
	f.users.mu.Lock()
	defer f.users.mu.Unlock()
	f.users.holds++
	return sync.OnceFunc(func() {
		f.users.mu.Lock()
		defer f.users.mu.Unlock()
		if f.users.holds--; f.users.holds == 0 && f.users.closed {
			_ = f.unmap() // nobody is left to be told
		}
	})
}

// Close unmaps the files, or leaves that to the last who holds them. No tensor's Data may be touched afterwards by
// anybody else. Closing twice is harmless.
func (f *File) Close() error {
	f.users.mu.Lock()
	defer f.users.mu.Unlock()
	f.users.closed = true
	if f.users.holds > 0 {
		return nil
	}
	return f.unmap()
}

// users says when the files may be unmapped.
type users struct {
	mu     sync.Mutex
	closed bool
	holds  int
}

func (f *File) unmap() error {
	var errs []error
	for _, p := range f.parts {
		errs = append(errs, p.close())
	}
	return errors.Join(errs...)
}

// Data is the tensor's bytes, rows after each other without gaps, little endian: mapped, read-only (a
// write is fatal), and not aligned to anything for safetensors. Touch them only inside Guard.
func (t *Tensor) Data() []byte { return t.data }

// Elems is the number of weights: the product of Shape.
func (t *Tensor) Elems() int {
	n := 1
	for _, d := range t.Shape {
		n *= d // Open has proved that it cannot overflow
	}
	return n
}

// Bytes is the length of Data.
func (t *Tensor) Bytes() int { return len(t.data) }

// Release gives the memory of mapped pages back, those that lie within size bytes of Data from one on. They return
// from the file if Data is read again. A loader that copies weights calls it behind itself.
func (t *Tensor) Release(from, size int) {
	if b := inner(t.data[from : from+size]); len(b) > 0 {
		release(b)
	}
}

// tensorBytes is the size of a tensor of known type; ok is false where the shape overflows or its
// last dimension is not a whole number of blocks.
func tensorBytes(t dtype.Type, shape []int) (size int, ok bool) {
	cols, rows := 1, shape
	if n := len(shape); n > 0 {
		cols, rows = shape[n-1], shape[:n-1]
	}
	size, ok = t.RowBytes(cols)
	// RowBytes divides before it multiplies, so an absurd row can wrap: bound it first.
	if !ok || cols > maxInt/8 {
		return 0, false
	}
	elems := cols
	for _, d := range rows {
		if elems, ok = product(elems, d); !ok {
			return 0, false
		}
		if size, ok = product(size, d); !ok {
			return 0, false
		}
	}
	return size, true
}

const maxInt = int(^uint(0) >> 1)

// product multiplies two sizes that are not negative; ok is false where an int cannot hold it.
func product(a, b int) (int, bool) {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	return int(lo), hi == 0 && lo <= uint64(maxInt)
}

package weights

import (
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"unsafe"

	"github.com/galerne-ai/galerne/internal/dtype"
)

const (
	ggufMagic     = "GGUF"
	ggufAlignment = 32 // where general.alignment is absent
)

// Limits of a GGUF header. They bound the memory that a small file can ask for: the largest models
// of 2026 have 1 000 keys, 150 000 tensors and 600 000 array elements.
const (
	maxKeys     = 1 << 16
	maxKeyBytes = 1<<16 - 1 // by the format
	maxTensors  = 3 << 16   // each takes some 300 bytes here: below the 64 MiB that a file may take beyond its size
	maxName     = 1 << 10
	maxDims     = 4 // by the format
	maxElements = 1 << 21
	maxHeader   = 1 << 29 // bytes of key-values and tensors' descriptions
)

// header is one GGUF file's parsed front.
type header struct {
	meta    Meta
	tensors []*Tensor
}

// openGGUF reads the file that is mapped as f.parts[0], then the rest of its set.
func (f *File) openGGUF(file *os.File) error {
	f.Format = GGUF
	first, err := readGGUF(f.parts[0], 0, file)
	if err != nil {
		return err
	}
	n, known := first.meta.Int("split.count")
	if !known || n <= 1 {
		f.Meta, f.tensors = first.meta, first.tensors
		return nil
	}
	return f.openSplit(first, int(n))
}

// readGGUF parses one file. Its header is copied, so that nothing but Data touches the mapping later.
func readGGUF(p *part, index int, file *os.File) (*header, error) {
	var end int
	err := Guard("the header of "+p.path, func() (err error) {
		view := unsafe.String(unsafe.SliceData(p.bytes), len(p.bytes))
		end, err = headerEnd(&cursor{path: strings.Clone(p.path), s: view})
		return err
	})
	if err != nil {
		return nil, err
	}
	release(p.bytes) // so that the copy is not held twice
	var b strings.Builder
	b.Grow(end)
	if n, err := io.Copy(&b, io.NewSectionReader(file, 0, int64(end))); err != nil || n != int64(end) {
		return nil, ErrRead.Because("weights: reading the header of %s: got %d of %d bytes (%v)", p.path, n, end, err)
	}
	return parseGGUF(p, index, b.String())
}

// headerEnd walks over the front of a file and gives the byte after its last tensor's description.
func headerEnd(c *cursor) (int, error) {
	tensors, keys, err := c.counts()
	if err != nil {
		return 0, err
	}
	for range keys {
		key, err := c.name("a key", maxKeyBytes)
		if err != nil {
			return 0, err
		}
		if _, err := c.value(key); err != nil {
			return 0, err
		}
		if c.at > maxHeader {
			return 0, ErrLimit.Because("weights: %s: the key-values take more than %d bytes", c.path, maxHeader)
		}
	}
	for range tensors {
		if _, err := c.tensor(); err != nil {
			return 0, err
		}
	}
	return c.at, nil
}

// counts reads the magic, the version and the numbers of tensors and key-values.
func (c *cursor) counts() (tensors, keys int, err error) {
	if err := c.need(24, "the GGUF header"); err != nil {
		return 0, 0, err
	}
	if c.s[:4] != ggufMagic {
		return 0, 0, ErrFormat.Because("weights: %s starts with %q, not %q: it is no GGUF file", c.path, c.s[:4], ggufMagic)
	}
	c.at = 4
	version, _ := c.u32("version") // need has seen 24 bytes
	switch {
	case version == 2 || version == 3:
	case version == 1:
		return 0, 0, ErrFormat.Because("weights: %s is GGUF version 1, 2 and 3 are read: convert it again", c.path)
	case version&0xffff == 0:
		return 0, 0, ErrFormat.Because("weights: %s is a big-endian GGUF file, little-endian ones are read: convert it", c.path)
	default:
		return 0, 0, ErrFormat.Because("weights: %s is GGUF version %d, 2 and 3 are read: use a newer Galerne", c.path, version)
	}
	// The least tensor: 8 for an empty name's length, 4 dimensions' number, 4 type, 8 offset.
	if tensors, err = c.count("the number of tensors", 24, maxTensors); err != nil {
		return 0, 0, err
	}
	// The least key-value: 8 for an empty key's length, 4 type, 1 value.
	keys, err = c.count("the number of key-values", 13, maxKeys)
	return tensors, keys, err
}

// value walks over one value and says what it is.
func (c *cursor) value(key string) (field, error) {
	k, err := c.kind(key)
	if err != nil {
		return field{}, err
	}
	f := field{kind: k, count: 1, at: c.at}
	if k == kindArray {
		if f.kind, err = c.kind(key); err != nil {
			return field{}, err
		}
		if f.kind == kindArray {
			return field{}, ErrCorrupt.Because("weights: %s: key %q is an array of arrays, which no model has", c.path, short(key))
		}
		least := max(f.kind.size(), 1)
		if f.kind == kindString {
			least = 8 // its length
		}
		if f.count, err = c.count("the length of key "+short(key), least, maxElements); err != nil {
			return field{}, err
		}
		f.array, f.at = true, c.at
	}
	err = c.skip(key, f)
	f.end = c.at
	return f, err
}

// skip walks over the values of f.
func (c *cursor) skip(key string, f field) error {
	if f.kind == kindString {
		for range f.count {
			if _, err := c.str(key); err != nil {
				return err
			}
		}
		return nil
	}
	n := uint64(f.count) * uint64(f.kind.size())
	if err := c.need(n, key); err != nil {
		return err
	}
	if f.kind == kindBool {
		for i := c.at; i < c.at+f.count; i++ {
			if c.s[i] > 1 {
				return ErrCorrupt.Because("weights: %s: key %q at byte %d is a boolean of %d, 0 and 1 are allowed", c.path, short(key), i, c.s[i])
			}
		}
	}
	c.at += int(n)
	return nil
}

func (c *cursor) kind(key string) (kind, error) {
	at := c.at
	n, err := c.u32("the type of key " + short(key))
	if err == nil && kind(n) >= kinds {
		err = ErrCorrupt.Because("weights: %s: key %q at byte %d has value type %d, 0 to %d are known", c.path, short(key), at, n, kinds-1)
	}
	return kind(n), err
}

// described is a tensor's description, unchecked.
type described struct {
	name   string
	dims   [maxDims]uint64 // innermost first
	n      int
	typ    dtype.Type
	offset uint64 // from the start of the data
}

// tensor reads a tensor's description.
func (c *cursor) tensor() (d described, err error) {
	if d.name, err = c.name("a tensor's name", maxName); err != nil {
		return d, err
	}
	n, err := c.u32("a tensor's number of dimensions")
	if err != nil {
		return d, err
	}
	if n > maxDims {
		return d, ErrCorrupt.Because("weights: %s: tensor %q has %d dimensions, %d at most are allowed", c.path, short(d.name), n, maxDims)
	}
	if err := c.need(uint64(n)*8+12, "a tensor's description"); err != nil {
		return d, err
	}
	d.n = int(n)
	for i := range d.n {
		d.dims[i], _ = c.u64("") // need has seen all of them
	}
	typ, _ := c.u32("")
	d.offset, _ = c.u64("")
	d.typ = dtype.Type(typ)
	return d, nil
}

// parseGGUF reads a header that headerEnd has walked over.
func parseGGUF(p *part, index int, text string) (*header, error) {
	c := &cursor{path: p.path, s: text}
	tensors, keys, err := c.counts()
	if err != nil {
		return nil, err
	}
	h := &header{meta: Meta{header: text, keys: make([]string, 0, keys), fields: make(map[string]field, keys)}}
	for range keys {
		key, err := c.name("a key", maxKeyBytes)
		if err != nil {
			return nil, err
		}
		f, err := c.value(key)
		if err != nil {
			return nil, err
		}
		if _, twice := h.meta.fields[key]; twice {
			return nil, ErrCorrupt.Because("weights: %s: key %q occurs twice", p.path, short(key))
		}
		h.meta.fields[key] = f
		h.meta.keys = append(h.meta.keys, key)
	}
	list := make([]described, tensors)
	for i := range list {
		if list[i], err = c.tensor(); err != nil {
			return nil, err
		}
	}
	h.tensors, err = place(p, index, h.meta, list, c.at)
	return h, err
}

// place finds every tensor's bytes. The data starts at the first multiple of the alignment after the
// header; offsets are multiples of it too, and no two tensors share a byte.
func place(p *part, index int, m Meta, list []described, end int) ([]*Tensor, error) {
	align := int64(ggufAlignment)
	if _, there := m.fields["general.alignment"]; there {
		n, ok := m.Int("general.alignment")
		if !ok || n < 1 || n > math.MaxInt32 || n&(n-1) != 0 {
			return nil, ErrCorrupt.Because("weights: %s: general.alignment is %v, a power of two is needed", p.path, m.Value("general.alignment"))
		}
		align = n
	}
	start := (int64(end) + align - 1) &^ (align - 1)
	slab := make([]Tensor, len(list))
	out := make([]*Tensor, 0, len(list))
	var bad problems
	cut := false
	for i := range list {
		if bad.full() {
			bad.more += len(list) - i
			break
		}
		t := &slab[i]
		size, err := t.set(p, list[i], align)
		if err != nil {
			bad.add(err)
			continue
		}
		if err := t.take(p, list[i].offset, size, start); err != nil {
			if !cut { // one is enough: all behind it are missing too
				bad.add(err)
			}
			cut = true
			continue
		}
		t.Part = index
		out = append(out, t)
	}
	if !bad.full() {
		overlaps(p, out, &bad)
	}
	return out, bad.err(p.path)
}

// set checks a description, and gives how many bytes the tensor has.
func (t *Tensor) set(p *part, d described, align int64) (int64, error) {
	t.Name, t.Type = d.name, d.typ
	if !d.typ.Known() {
		return 0, ErrType.Because("weights: %s: tensor %q has %s: supported are %s", p.path, short(d.name), typeName(d.typ), supported())
	}
	t.Shape = make([]int, d.n)
	for i := range d.n {
		if d.dims[i] == 0 || d.dims[i] > uint64(maxInt) {
			return 0, ErrCorrupt.Because("weights: %s: dimension %d of tensor %q is %d", p.path, i, short(d.name), d.dims[i])
		}
		t.Shape[d.n-1-i] = int(d.dims[i])
	}
	size, ok := tensorBytes(d.typ, t.Shape)
	if !ok {
		if cols := d.dims[0]; d.n == 0 || cols%uint64(d.typ.Elems()) != 0 {
			return 0, ErrCorrupt.Because("weights: %s: tensor %q has rows of %d numbers, %s needs a multiple of %d", p.path, short(d.name), cols, d.typ, d.typ.Elems())
		}
		return 0, ErrCorrupt.Because("weights: %s: the dimensions %v of tensor %q multiply beyond 64 bits", p.path, t.Shape, short(d.name))
	}
	if d.offset%uint64(align) != 0 {
		return 0, ErrCorrupt.Because("weights: %s: the offset %d of tensor %q is not a multiple of the alignment %d", p.path, d.offset, short(d.name), align)
	}
	return int64(size), nil
}

// take finds the tensor's bytes in the file, whose data begins at start.
func (t *Tensor) take(p *part, offset uint64, size, start int64) error {
	room := uint64(max(int64(len(p.bytes))-start, 0))
	if offset > room || uint64(size) > room-offset {
		return ErrCorrupt.Because("weights: %s: tensor %q takes %d bytes at offset %d, and the file has %d bytes of data: it is cut short or corrupt, fetch it again",
			p.path, short(t.Name), size, offset, room)
	}
	t.Offset = start + int64(offset)
	t.data = p.bytes[t.Offset : t.Offset+int64(size) : t.Offset+int64(size)]
	return nil
}

// overlaps reports tensors that share bytes; an empty one shares none.
func overlaps(p *part, tensors []*Tensor, bad *problems) {
	sorted := slices.DeleteFunc(slices.Clone(tensors), func(t *Tensor) bool { return len(t.data) == 0 })
	slices.SortStableFunc(sorted, func(a, b *Tensor) int { return int(a.Offset - b.Offset) })
	for i := 1; i < len(sorted); i++ {
		a, b := sorted[i-1], sorted[i]
		if b.Offset < a.Offset+int64(len(a.data)) {
			bad.add(ErrCorrupt.Because("weights: %s: tensor %q (bytes %d to %d) overlaps tensor %q (from byte %d)",
				p.path, short(a.Name), a.Offset, a.Offset+int64(len(a.data)), short(b.Name), b.Offset))
		}
	}
}

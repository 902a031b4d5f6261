package weights

import (
	"math"
)

// kind is a GGUF value type number (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md).
type kind uint32

const (
	kindU8 kind = iota
	kindI8
	kindU16
	kindI16
	kindU32
	kindI32
	kindF32
	kindBool
	kindString
	kindArray
	kindU64
	kindI64
	kindF64
	kinds // how many there are
)

func (k kind) String() string {
	return [kinds]string{"u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "str", "arr", "u64", "i64", "f64"}[k]
}

// size is the bytes of a value of fixed size, 0 for strings and arrays.
func (k kind) size() int {
	return [kinds]int{1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8}[k]
}

// Meta is a GGUF file's key-values. The zero Meta is empty. Values are kept as the file wrote them
// and converted when asked for: arrays are made anew by every call, so ask once. Strings share the
// file's header, which stays in memory as long as one of them does; they need not be valid UTF-8.
type Meta struct {
	keys   []string
	fields map[string]field
	header string
}

// field is one value: count values of a kind, at header[at:end].
type field struct {
	kind    kind // of the value, or of the array's elements
	array   bool
	count   int // 1 for a scalar
	at, end int
}

// Keys lists the keys in the file's order. The slice is the caller's to read only.
func (m Meta) Keys() []string { return m.keys }

// Type is the value's GGUF type: "u32", "str", "arr[str]"; "" without that key.
func (m Meta) Type(key string) string {
	f, ok := m.fields[key]
	switch {
	case !ok:
		return ""
	case f.array:
		return "arr[" + f.kind.String() + "]"
	}
	return f.kind.String()
}

// Len is the number of an array's elements, 1 for a scalar, 0 without that key.
func (m Meta) Len(key string) int { return m.fields[key].count }

func (m Meta) scalar(key string) (field, bool) {
	f, ok := m.fields[key]
	return f, ok && !f.array
}

// String gives a string value.
func (m Meta) String(key string) (string, bool) {
	f, ok := m.scalar(key)
	if !ok || f.kind != kindString {
		return "", false
	}
	return m.header[f.at+8 : f.end], true
}

// Int gives a value of any integer type that an int64 holds.
func (m Meta) Int(key string) (int64, bool) {
	f, ok := m.scalar(key)
	if !ok || f.kind == kindBool {
		return 0, false
	}
	return m.int(f.kind, f.at)
}

// Float gives a value of any number type.
func (m Meta) Float(key string) (float64, bool) {
	f, ok := m.scalar(key)
	if !ok || f.kind == kindBool {
		return 0, false
	}
	return m.float(f.kind, f.at)
}

// Bool gives a boolean value.
func (m Meta) Bool(key string) (bool, bool) {
	f, ok := m.scalar(key)
	if !ok || f.kind != kindBool {
		return false, false
	}
	return m.header[f.at] != 0, true
}

// Strings gives an array of strings.
func (m Meta) Strings(key string) ([]string, bool) {
	f, ok := m.fields[key]
	if !ok || !f.array || f.kind != kindString {
		return nil, false
	}
	out := make([]string, f.count)
	at := f.at
	for i := range out {
		n := int(m.u64(at)) // parsing has checked every length
		out[i] = m.header[at+8 : at+8+n]
		at += 8 + n
	}
	return out, true
}

// Ints gives an array of integers or booleans (1 is true), or one integer as an array of one:
// some keys are written once for all layers or once a layer.
func (m Meta) Ints(key string) ([]int64, bool) {
	f, ok := m.fields[key]
	if !ok || f.kind == kindString || !f.array && f.kind == kindBool {
		return nil, false
	}
	out := make([]int64, f.count)
	for i := range out {
		if out[i], ok = m.int(f.kind, f.at+i*f.kind.size()); !ok {
			return nil, false
		}
	}
	return out, true
}

// Floats gives an array of numbers, or one number as an array of one.
func (m Meta) Floats(key string) ([]float64, bool) {
	f, ok := m.fields[key]
	if !ok || f.kind == kindString || f.kind == kindBool {
		return nil, false
	}
	out := make([]float64, f.count)
	for i := range out {
		if out[i], ok = m.float(f.kind, f.at+i*f.kind.size()); !ok {
			return nil, false
		}
	}
	return out, true
}

// Value gives a value as string, bool, int64, uint64 (only beyond int64), float32, float64,
// []string, []bool, []int64, []uint64 (only where one is beyond int64), []float32 or []float64;
// nil without that key.
func (m Meta) Value(key string) any {
	f, ok := m.fields[key]
	switch {
	case !ok:
		return nil
	case f.array:
		return m.list(key, f)
	case f.kind == kindString:
		return m.header[f.at+8 : f.end]
	case f.kind == kindBool:
		return m.header[f.at] != 0
	case f.kind == kindF32:
		return math.Float32frombits(m.u32(f.at))
	case f.kind == kindF64:
		return math.Float64frombits(m.u64(f.at))
	}
	if n, ok := m.int(f.kind, f.at); ok {
		return n
	}
	return m.u64(f.at)
}

func (m Meta) list(key string, f field) any {
	switch f.kind {
	case kindString:
		out, _ := m.Strings(key)
		return out
	case kindBool:
		out := make([]bool, f.count)
		for i := range out {
			out[i] = m.header[f.at+i] != 0
		}
		return out
	case kindF32:
		out := make([]float32, f.count)
		for i := range out {
			out[i] = math.Float32frombits(m.u32(f.at + 4*i))
		}
		return out
	case kindF64:
		out, _ := m.Floats(key)
		return out
	}
	if out, ok := m.Ints(key); ok {
		return out
	}
	out := make([]uint64, f.count)
	for i := range out {
		out[i] = m.u64(f.at + 8*i)
	}
	return out
}

// int reads an integer (or boolean) at a place in the header.
func (m Meta) int(k kind, at int) (int64, bool) {
	switch k {
	case kindU8, kindBool:
		return int64(m.header[at]), true
	case kindI8:
		return int64(int8(m.header[at])), true
	case kindU16:
		return int64(m.u16(at)), true
	case kindI16:
		return int64(int16(m.u16(at))), true
	case kindU32:
		return int64(m.u32(at)), true
	case kindI32:
		return int64(int32(m.u32(at))), true
	case kindI64:
		return int64(m.u64(at)), true
	case kindU64:
		n := m.u64(at)
		return int64(n), n <= math.MaxInt64
	}
	return 0, false
}

// float reads any number at a place in the header.
func (m Meta) float(k kind, at int) (float64, bool) {
	switch k {
	case kindF32:
		return float64(math.Float32frombits(m.u32(at))), true
	case kindF64:
		return math.Float64frombits(m.u64(at)), true
	case kindU64:
		return float64(m.u64(at)), true
	}
	n, ok := m.int(k, at)
	return float64(n), ok
}

func (m Meta) u16(at int) uint16 { return uint16(m.header[at]) | uint16(m.header[at+1])<<8 }
func (m Meta) u32(at int) uint32 { return leU32(m.header[at : at+4]) }
func (m Meta) u64(at int) uint64 { return leU64(m.header[at : at+8]) }

func leU32(s string) uint32 {
	_ = s[3]
	return uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24
}

func leU64(s string) uint64 { return uint64(leU32(s[:4])) | uint64(leU32(s[4:]))<<32 }

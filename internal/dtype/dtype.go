// Package dtype names the kinds of number that a tensor may hold and how many bytes they take.
//
// Numbers come in blocks: a block of Elems weights takes Bytes bytes. Plain floats are blocks
// of one. The values are GGML's own type numbers, since GGUF files store them
// (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md).
package dtype

import "fmt"

// Type is a GGML tensor type number.
type Type uint32

const (
	F32   Type = 0
	F16   Type = 1
	Q4_0  Type = 2
	Q4_1  Type = 3
	Q5_0  Type = 6
	Q5_1  Type = 7
	Q8_0  Type = 8
	Q2_K  Type = 10
	Q3_K  Type = 11
	Q4_K  Type = 12
	Q5_K  Type = 13
	Q6_K  Type = 14
	IQ4NL Type = 20
	IQ4XS Type = 23
	BF16  Type = 30
	MXFP4 Type = 39
)

type shape struct {
	name         string
	elems, bytes int
}

// All lists every supported type, in numeric order.
func All() []Type {
	return []Type{F32, F16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, IQ4NL, IQ4XS, BF16, MXFP4}
}

func (t Type) shape() shape {
	switch t {
	case F32:
		return shape{"F32", 1, 4}
	case F16:
		return shape{"F16", 1, 2}
	case BF16:
		return shape{"BF16", 1, 2}
	case Q4_0:
		return shape{"Q4_0", 32, 18}
	case Q4_1:
		return shape{"Q4_1", 32, 20}
	case Q5_0:
		return shape{"Q5_0", 32, 22}
	case Q5_1:
		return shape{"Q5_1", 32, 24}
	case Q8_0:
		return shape{"Q8_0", 32, 34}
	case Q2_K:
		return shape{"Q2_K", 256, 84}
	case Q3_K:
		return shape{"Q3_K", 256, 110}
	case Q4_K:
		return shape{"Q4_K", 256, 144}
	case Q5_K:
		return shape{"Q5_K", 256, 176}
	case Q6_K:
		return shape{"Q6_K", 256, 210}
	case IQ4NL:
		return shape{"IQ4_NL", 32, 18}
	case IQ4XS:
		return shape{"IQ4_XS", 256, 136}
	case MXFP4:
		return shape{"MXFP4", 32, 17}
	}
	return shape{fmt.Sprintf("type(%d)", uint32(t)), 0, 0}
}

// Known reports whether this program can read the type.
func (t Type) Known() bool { return t.shape().elems > 0 }

// String is GGML's name of the type: "Q4_K".
func (t Type) String() string { return t.shape().name }

// Elems is the number of weights in a block, 0 for an unknown type.
func (t Type) Elems() int { return t.shape().elems }

// Bytes is the number of bytes a block takes, 0 for an unknown type.
func (t Type) Bytes() int { return t.shape().bytes }

// RowBytes is the number of bytes a row of cols weights takes; ok is false where the type is
// unknown or cols is not a whole number of blocks.
func (t Type) RowBytes(cols int) (bytes int, ok bool) {
	s := t.shape()
	if s.elems == 0 || cols < 0 || cols%s.elems != 0 {
		return 0, false
	}
	return cols / s.elems * s.bytes, true
}

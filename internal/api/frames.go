package api

import (
	"encoding/binary"
	"hash/crc32"
	"strings"
)

// Frames gathers what is sent next. Its methods are the framings that vendors' streams have; a
// stream uses one of them.
type Frames struct {
	b     []byte
	items int // of an array
}

// Reset forgets what has been sent; its memory is used again.
func (f *Frames) Reset() { f.b = f.b[:0] }

// Bytes is what has been gathered, until the next Reset.
func (f *Frames) Bytes() []byte { return f.b }

// Raw adds bytes as they are.
func (f *Frames) Raw(text string) { f.b = append(f.b, text...) }

// SSE adds a server-sent event with a JSON value: an event line if name is not empty, an id line if
// id is not, one data line.
func (f *Frames) SSE(name, id string, v any) error {
	data, err := Encode(v)
	if err != nil {
		return err
	}
	f.head(name, id)
	f.b = append(f.b, "data: "...)
	f.b = append(f.b, data...)
	f.b = append(f.b, "\n\n"...)
	return nil
}

// SSEText adds a server-sent event whose data is text, which may have several lines.
func (f *Frames) SSEText(name, id, text string) {
	f.head(name, id)
	for line := range strings.SplitSeq(newlines.Replace(text), "\n") {
		f.b = append(f.b, "data: "...)
		f.b = append(f.b, line...)
		f.b = append(f.b, '\n')
	}
	f.b = append(f.b, '\n')
}

// newlines makes one kind of them: a lone carriage return ends a line of an event stream too.
var newlines = strings.NewReplacer("\r\n", "\n", "\r", "\n")

func (f *Frames) head(name, id string) {
	if name != "" {
		f.b = append(f.b, "event: "+name+"\n"...)
	}
	if id != "" {
		f.b = append(f.b, "id: "+id+"\n"...)
	}
}

// Line adds a JSON value as a line of its own (NDJSON).
func (f *Frames) Line(v any) error {
	data, err := Encode(v)
	if err != nil {
		return err
	}
	f.b = append(append(f.b, data...), '\n')
	return nil
}

// Item adds an element of one JSON array, which CloseArray ends.
func (f *Frames) Item(v any) error {
	data, err := Encode(v)
	if err != nil {
		return err
	}
	lead := ",\r\n"
	if f.items == 0 {
		lead = "["
	}
	f.items++
	f.b = append(append(f.b, lead...), data...)
	return nil
}

// CloseArray ends the array, which may be empty.
func (f *Frames) CloseArray() {
	if f.items == 0 {
		f.b = append(f.b, '[')
	}
	f.b = append(f.b, ']')
}

// AWS adds an event of Amazon's binary event stream (application/vnd.amazon.eventstream). All its
// headers are strings; they are written in the order given, as name, value, name, value. The layout,
// big-endian:
//
//	u32 whole length | u32 length of headers | u32 CRC-32 of these 8 bytes
//	headers: u8 length, name, u8 7 (a string), u16 length, value
//	payload | u32 CRC-32 of all before
func (f *Frames) AWS(payload []byte, headers ...string) {
	size := 0
	for i := 0; i+1 < len(headers); i += 2 {
		size += 1 + len(headers[i]) + 1 + 2 + len(headers[i+1])
	}
	begin := len(f.b)
	f.b = binary.BigEndian.AppendUint32(f.b, uint32(12+size+len(payload)+4))
	f.b = binary.BigEndian.AppendUint32(f.b, uint32(size))
	f.b = binary.BigEndian.AppendUint32(f.b, crc32.ChecksumIEEE(f.b[begin:]))
	for i := 0; i+1 < len(headers); i += 2 {
		f.b = append(f.b, byte(len(headers[i])))
		f.b = append(f.b, headers[i]...)
		f.b = append(f.b, 7)
		f.b = binary.BigEndian.AppendUint16(f.b, uint16(len(headers[i+1])))
		f.b = append(f.b, headers[i+1]...)
	}
	f.b = append(f.b, payload...)
	f.b = binary.BigEndian.AppendUint32(f.b, crc32.ChecksumIEEE(f.b[begin:]))
}

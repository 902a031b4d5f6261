package apitest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
)

// AWSEvent is an event of Amazon's binary event stream.
type AWSEvent struct {
	Headers [][2]string
	Payload []byte
}

// ReadAWS takes a binary event stream apart and checks its lengths and sums.
func ReadAWS(data []byte) (out []AWSEvent, err error) {
	for len(data) > 0 {
		if len(data) < 16 {
			return out, errors.New("the stream ends inside an event")
		}
		whole, headers := int(binary.BigEndian.Uint32(data)), int(binary.BigEndian.Uint32(data[4:]))
		switch {
		case whole > len(data) || whole < 16+headers:
			return out, fmt.Errorf("an event of %d bytes with %d of headers, and %d are there", whole, headers, len(data))
		case crc32.ChecksumIEEE(data[:8]) != binary.BigEndian.Uint32(data[8:]):
			return out, errors.New("the sum of the lengths is wrong")
		case crc32.ChecksumIEEE(data[:whole-4]) != binary.BigEndian.Uint32(data[whole-4:]):
			return out, errors.New("the sum of an event is wrong")
		}
		one := AWSEvent{Payload: data[12+headers : whole-4]}
		for h := data[12 : 12+headers]; len(h) > 0; {
			name := h[1 : 1+h[0]]
			if h = h[1+len(name):]; h[0] != 7 {
				return out, fmt.Errorf("the header %s is no string", name)
			}
			size := binary.BigEndian.Uint16(h[1:])
			one.Headers = append(one.Headers, [2]string{string(name), string(h[3 : 3+size])})
			h = h[3+size:]
		}
		out, data = append(out, one), data[whole:]
	}
	return out, nil
}

// tellAWS is a binary event stream as lines, for golden files: headers that are the same everywhere are
// left out, all others and the payload are exact.
func tellAWS(data []byte) string {
	var b strings.Builder
	all, err := ReadAWS(data)
	for _, e := range all {
		for _, h := range e.Headers {
			if h != [2]string{":content-type", "application/json"} && h != [2]string{":message-type", "event"} {
				b.WriteString(h[0] + " " + h[1] + " ")
			}
		}
		fmt.Fprintf(&b, "%s\n", e.Payload)
	}
	if err != nil {
		fmt.Fprintf(&b, "(%v)\n", err)
	}
	return b.String()
}

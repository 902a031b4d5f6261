package weights

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// eachEntry walks over a JSON object and gives each value as a view, so that a key that occurs twice
// is seen twice and a value of any size costs no memory.
func eachEntry(object []byte, f func(key string, value []byte) error) error {
	rest := trimmed(object)
	if len(rest) == 0 || rest[0] != '{' {
		return errors.New("not a JSON object")
	}
	rest = trimmed(rest[1:])
	for first := true; ; first = false {
		if first && len(rest) > 0 && rest[0] == '}' {
			break
		}
		raw, after, err := valueOf(rest)
		if err != nil {
			return err
		}
		var key string
		if len(raw) > maxKeyBytes {
			return fmt.Errorf("a key of %d bytes", len(raw))
		}
		if err := json.Unmarshal(raw, &key); err != nil {
			return fmt.Errorf("a key: %w", err)
		}
		if len(after) == 0 || after[0] != ':' {
			return fmt.Errorf("no colon after key %q", short(key))
		}
		if raw, rest, err = valueOf(trimmed(after[1:])); err != nil {
			return fmt.Errorf("the value of %q: %w", short(key), err)
		}
		if err := f(key, raw); err != nil {
			return err
		}
		if len(rest) == 0 || rest[0] != ',' && rest[0] != '}' {
			return fmt.Errorf("neither a comma nor the end after %q", short(key))
		}
		if rest[0] == '}' {
			break
		}
		rest = trimmed(rest[1:])
	}
	if len(trimmed(rest[1:])) > 0 {
		return errors.New("more than one JSON value")
	}
	return nil
}

// valueOf splits off the JSON value at the front, and the white space behind it.
func valueOf(b []byte) (value, rest []byte, err error) {
	depth, at := 0, 0
scan:
	for at < len(b) {
		switch c := b[at]; {
		case c == '"':
			if at = stringEnd(b, at); at < 0 {
				return nil, nil, errors.New("a string without an end")
			}
			if depth == 0 {
				break scan
			}
			continue
		case c == '{' || c == '[':
			depth++
		case (c == '}' || c == ']') && depth > 0:
			if depth--; depth == 0 {
				at++
				break scan
			}
		case depth == 0 && (c == ',' || c == ':' || c == '}' || c == ']' || isSpace(c)):
			break scan
		}
		at++
	}
	if !json.Valid(b[:at]) {
		return nil, nil, errors.New("not JSON")
	}
	return b[:at], trimmed(b[at:]), nil
}

// stringEnd is the place behind the string that starts at b[at], -1 without an end.
func stringEnd(b []byte, at int) int {
	for at++; at < len(b); at++ {
		switch b[at] {
		case '\\':
			at++
		case '"':
			return at + 1
		}
	}
	return -1
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }

func trimmed(b []byte) []byte { return bytes.TrimLeft(b, " \n\r\t") }

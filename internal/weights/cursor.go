package weights

import (
	"fmt"
	"unicode/utf8"
)

// cursor reads little-endian values one after the other. Every reading names its field, for the error.
type cursor struct {
	path string
	s    string // the whole file, or its header
	at   int
}

// need fails unless n more bytes are there.
func (c *cursor) need(n uint64, what string) error {
	if left := len(c.s) - c.at; n > uint64(left) {
		return ErrCorrupt.Because("weights: %s: %s at byte %d needs %d bytes and the file has %d more: it is cut short or corrupt, fetch it again",
			c.path, what, c.at, n, left)
	}
	return nil
}

func (c *cursor) u32(what string) (uint32, error) {
	if err := c.need(4, what); err != nil {
		return 0, err
	}
	c.at += 4
	return leU32(c.s[c.at-4:]), nil
}

func (c *cursor) u64(what string) (uint64, error) {
	if err := c.need(8, what); err != nil {
		return 0, err
	}
	c.at += 8
	return leU64(c.s[c.at-8:]), nil
}

// str reads a length and that many bytes. The string is a view.
func (c *cursor) str(what string) (string, error) {
	n, err := c.u64(what)
	if err != nil {
		return "", err
	}
	if err := c.need(n, what); err != nil {
		return "", err
	}
	c.at += int(n)
	return c.s[c.at-int(n) : c.at], nil
}

// name reads a key's or a tensor's name: UTF-8 of 1 to most bytes.
func (c *cursor) name(what string, most int) (string, error) {
	at := c.at
	s, err := c.str(what)
	switch {
	case err != nil:
		return "", err
	case len(s) == 0 || len(s) > most:
		return "", ErrCorrupt.Because("weights: %s: %s at byte %d is %d bytes long, 1 to %d are allowed", c.path, what, at, len(s), most)
	case !utf8.ValidString(s):
		return "", ErrCorrupt.Because("weights: %s: %s at byte %d is not UTF-8: %q", c.path, what, at, short(s))
	}
	return s, nil
}

// count reads a number of things of which each takes at least size bytes.
func (c *cursor) count(what string, size, most int) (int, error) {
	at := c.at
	n, err := c.u64(what)
	if err != nil {
		return 0, err
	}
	left := len(c.s) - c.at
	if n > uint64(left/size) {
		return 0, ErrCorrupt.Because("weights: %s: %s at byte %d is %d, and the %d bytes after it hold %d at most: the file is cut short or corrupt, fetch it again", c.path, what, at, n, left, left/size)
	}
	if n > uint64(most) {
		return 0, ErrLimit.Because("weights: %s: %s at byte %d is %d, this program reads up to %d", c.path, what, at, n, most)
	}
	return int(n), nil
}

// short cuts a string from a hostile file to what an error message bears.
func short(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return s[:most] + fmt.Sprintf("… (%d bytes)", len(s))
}

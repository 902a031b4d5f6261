package custom

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// Unwrapper takes arguments, {"input": "..."}, as they come, and gives the input's text. The zero value is ready.
//
// Every piece that it gives is whole characters, and pieces joined are Input of the arguments joined, however they
// are cut. As in encoding/json, half a surrogate pair and bytes that are not UTF-8 are U+FFFD. Arguments of
// another form, which a model that is not held to its tools may write, are given as they are.
type Unwrapper struct {
	held []byte // what came and is not decided
	at   place
}

type place uint8

const (
	atOpening place = iota // before the text
	inText
	behind // the text has ended
	asIs   // these are other arguments
)

// Input is the text in whole arguments. Of those that were cut off, it is what can be read.
func Input(arguments string) string { return new(Unwrapper).Next(arguments) }

// Next takes more of the arguments, and gives the text that is certain by now.
func (u *Unwrapper) Next(arguments string) string {
	u.held = append(u.held, arguments...)
	if u.at == atOpening {
		u.open()
	}
	var out []byte
	for u.at == inText || u.at == asIs {
		r, n := u.character()
		if n == 0 {
			return string(out)
		}
		if u.held = u.held[n:]; r == end {
			u.at = behind
			break
		}
		out = utf8.AppendRune(out, r)
	}
	if u.at == behind {
		u.held = nil
	}
	return string(out)
}

// open passes over what stands before the text, once it is all there.
func (u *Unwrapper) open() {
	i := 0
	for _, token := range []string{"{", `"` + key + `"`, ":", `"`} {
		for i < len(u.held) && (u.held[i] == ' ' || u.held[i] == '\n' || u.held[i] == '\t' || u.held[i] == '\r') {
			i++
		}
		n := min(len(token), len(u.held)-i)
		if string(u.held[i:i+n]) != token[:n] {
			u.at = asIs
			return
		}
		if n < len(token) {
			return
		}
		i += n
	}
	u.at, u.held = inText, u.held[i:]
}

const end rune = -1 // the quote behind the text

// character reads one character, of n bytes; 0 if more must come first.
func (u *Unwrapper) character() (r rune, n int) {
	switch b := u.held; {
	case !utf8.FullRune(b):
		return 0, 0
	case u.at == inText && b[0] == '"':
		return end, 1
	case u.at == inText && b[0] == '\\':
		return escaped(b)
	default:
		return utf8.DecodeRune(b)
	}
}

// short are the escapes of one letter.
func short(letter byte) (r rune, known bool) {
	switch letter {
	case '"', '\\', '/':
		return rune(letter), true
	case 'b':
		return '\b', true
	case 'f':
		return '\f', true
	case 'n':
		return '\n', true
	case 'r':
		return '\r', true
	case 't':
		return '\t', true
	}
	return 0, false
}

// escaped reads an escape; a backslash that begins none is itself.
func escaped(b []byte) (rune, int) {
	if len(b) < 2 {
		return 0, 0
	}
	if r, ok := short(b[1]); ok {
		return r, 2
	}
	r, n := unit(b)
	if n != unitBytes || !utf16.IsSurrogate(r) {
		return r, n
	}
	if r >= 0xDC00 { // a second half without its first
		return utf8.RuneError, unitBytes
	}
	rest := b[unitBytes:]
	if len(rest) == 0 || len(rest) == 1 && rest[0] == '\\' {
		return 0, 0
	}
	if rest[0] != '\\' || rest[1] != 'u' {
		return utf8.RuneError, unitBytes
	}
	low, n := unit(rest)
	if n == 0 {
		return 0, 0
	}
	if pair := utf16.DecodeRune(r, low); n == unitBytes && pair != utf8.RuneError {
		return pair, 2 * unitBytes
	}
	return utf8.RuneError, unitBytes
}

const unitBytes = len(`\u0000`)

// unit reads \uXXXX, or the backslash alone where that does not follow.
func unit(b []byte) (rune, int) {
	if b[1] != 'u' {
		return '\\', 1
	}
	if len(b) < unitBytes {
		return 0, 0
	}
	v, err := strconv.ParseUint(string(b[2:unitBytes]), 16, 16)
	if err != nil {
		return '\\', 1
	}
	return rune(v), unitBytes
}

package api

import (
	"encoding/json"
	"fmt"
	"strings"
)

// ObjectText makes a JSON object of the arguments of a tool call, for vendors whose clients take
// nothing else. What Add and Close give, joined, is one whole object whatever the model wrote:
//
//   - an object passes through as it comes;
//   - one that was cut off is closed, at the shortest way that is valid JSON;
//   - text after the object, or from where it stops being JSON, is left out; line ends inside strings
//     are escaped;
//   - an object that was written as a string is taken out of it;
//   - anything else becomes {"arguments": the text}.
//
// The zero value is ready for one call.
type ObjectText struct {
	other   strings.Builder // what does not begin like an object
	begun   bool
	broken  bool   // nothing more is taken
	stack   []byte // closing brackets of what is open
	state   jsonState
	escape  int    // 5 after a backslash, 4 to 1: so many digits of \u are missing
	literal string // what is missing of true, false or null
	number  []byte // so far
	held    []byte // taken, and given with what comes next: a comma, after which nothing may come
}

// jsonState is what may come next.
type jsonState uint8

const (
	wantKey   jsonState = iota // after {: a key or }
	nextKey                    // after a comma in an object
	inKey                      //
	wantColon                  //
	wantValue                  // after a colon, or a comma in an array
	wantItem                   // after [: a value or ]
	inString                   //
	inLiteral                  //
	inNumber                   //
	afterItem                  // after a value: a comma, or the container's end
	complete                   //
)

// Object is the object of a text that is known whole.
func Object(text string) json.RawMessage {
	var o ObjectText
	begin := o.Add(text)
	return json.RawMessage(begin + o.Close())
}

// Add takes more of the text and gives what of the object is certain.
func (o *ObjectText) Add(text string) string {
	if !o.begun {
		if o.other.Len() == 0 {
			text = strings.TrimLeft(text, " \t\r\n")
		}
		if text == "" {
			return ""
		}
		if o.other.Len() > 0 || text[0] != '{' {
			o.other.WriteString(text)
			return ""
		}
		o.begun = true
		o.stack, text = append(o.stack, '}'), text[1:]
		o.held = append(o.held, '{')
	}
	var out []byte
	for i := 0; i < len(text) && o.state != complete; i++ {
		c := text[i]
		if c < ' ' && o.escape == 0 && (o.state == inString || o.state == inKey) {
			out = fmt.Appendf(out, `\u%04x`, c) // as models write line ends
			continue
		}
		if o.broken = o.broken || !o.step(c); o.broken {
			break
		}
		o.held = append(o.held, c)
		if o.state != nextKey && (o.state != wantValue || o.stack[len(o.stack)-1] == '}') {
			out, o.held = append(out, o.held...), o.held[:0]
		}
	}
	return string(out)
}

// Close gives the object's end.
func (o *ObjectText) Close() string {
	if !o.begun {
		return o.fromOther()
	}
	var out strings.Builder
	switch o.state {
	case wantKey:
		out.Write(o.held) // the first bracket, if nothing came after it
	case wantValue:
		if o.stack[len(o.stack)-1] == '}' { // of a key; a comma of an array is not given
			out.WriteString("null")
		}
	case inNumber:
		if c := o.number[len(o.number)-1]; c < '0' || c > '9' {
			out.WriteByte('0')
		}
	case inLiteral:
		out.WriteString(o.literal)
	case inString:
		out.WriteString(o.endString())
	case inKey:
		out.WriteString(o.endString() + ":null")
	case wantColon:
		out.WriteString(":null")
	}
	for i := len(o.stack) - 1; i >= 0; i-- {
		out.WriteByte(o.stack[i])
	}
	return out.String()
}

// endString completes an escape and closes the string.
func (o *ObjectText) endString() string {
	switch {
	case o.escape == 5:
		return `""`
	case o.escape > 0:
		return strings.Repeat("0", o.escape) + `"`
	}
	return `"`
}

// fromOther makes an object of what is none.
func (o *ObjectText) fromOther() string {
	text := strings.TrimSpace(o.other.String())
	if text == "" || text == "null" {
		return "{}"
	}
	var inner string
	if text[0] == '"' && json.Unmarshal([]byte(text), &inner) == nil {
		if inner = strings.TrimSpace(inner); strings.HasPrefix(inner, "{") && json.Valid([]byte(inner)) {
			return inner
		}
	}
	out, err := Encode(map[string]string{"arguments": text})
	if err != nil {
		return "{}" // a string always can be written
	}
	return string(out)
}

// step takes one byte, or reports that it cannot come here.
func (o *ObjectText) step(c byte) bool {
	space := c == ' ' || c == '\t' || c == '\n' || c == '\r'
	switch o.state {
	case inKey, inString:
		return o.inString(c)
	case inLiteral:
		return o.inLiteral(c)
	case inNumber:
		if numberGoesOn(o.number, c) {
			o.number = append(o.number, c)
			return true
		}
		if last := o.number[len(o.number)-1]; last < '0' || last > '9' {
			return false
		}
		o.state = afterItem
		return o.step(c)
	}
	switch {
	case space:
		return true
	case o.state == wantKey && c == '}', o.state == wantItem && c == ']':
		return o.end(c)
	case (o.state == wantKey || o.state == nextKey) && c == '"':
		o.state = inKey
		return true
	case o.state == wantColon && c == ':':
		o.state = wantValue
		return true
	case o.state == wantValue || o.state == wantItem:
		return o.value(c)
	case o.state == afterItem && c == ',':
		o.state = wantValue
		if o.stack[len(o.stack)-1] == '}' {
			o.state = nextKey
		}
		return true
	case o.state == afterItem:
		return o.end(c)
	}
	return false
}

// end closes a container.
func (o *ObjectText) end(c byte) bool {
	last := len(o.stack) - 1
	if c != o.stack[last] {
		return false
	}
	o.stack = o.stack[:last]
	if o.state = afterItem; last == 0 {
		o.state = complete
	}
	return true
}

// value begins a value.
func (o *ObjectText) value(c byte) bool {
	switch {
	case (c == '{' || c == '[') && len(o.stack) < maxDepth:
		o.state = wantKey
		if c == '[' {
			o.state = wantItem
		}
		o.stack = append(o.stack, c+2) // } and ] stand two after { and [
	case c == '"':
		o.state = inString
	case c == 't' || c == 'f' || c == 'n':
		o.state, o.literal = inLiteral, map[byte]string{'t': "rue", 'f': "alse", 'n': "ull"}[c]
	case c == '-' || c >= '0' && c <= '9':
		o.state, o.number = inNumber, append(o.number[:0], c)
	default:
		return false
	}
	return true
}

func (o *ObjectText) inLiteral(c byte) bool {
	if c != o.literal[0] {
		return false
	}
	if o.literal = o.literal[1:]; o.literal == "" {
		o.state = afterItem
	}
	return true
}

func (o *ObjectText) inString(c byte) bool {
	switch {
	case o.escape == 5: // after a backslash
		if strings.IndexByte(`"\/bfnrtu`, c) < 0 {
			return false
		}
		if o.escape = 0; c == 'u' {
			o.escape = 4
		}
	case o.escape > 0:
		if strings.IndexByte("0123456789abcdefABCDEF", c) < 0 {
			return false
		}
		o.escape--
	case c == '\\':
		o.escape = 5
	case c == '"' && o.state == inKey:
		o.state = wantColon
	case c == '"':
		o.state = afterItem
	}
	return true
}

// numberGoesOn reports whether a character continues a number as JSON writes them.
func numberGoesOn(number []byte, c byte) bool {
	last := number[len(number)-1]
	digit := last >= '0' && last <= '9'
	exponent := strings.ContainsAny(string(number), "eE")
	switch {
	case c >= '0' && c <= '9':
		text := string(number)
		return text != "0" && text != "-0"
	case c == '.':
		return digit && !exponent && !strings.Contains(string(number), ".")
	case c == 'e' || c == 'E':
		return digit && !exponent
	case c == '+' || c == '-':
		return last == 'e' || last == 'E'
	}
	return false
}

package prompt

import (
	"encoding/json"
	"strings"
)

// Calls whose arguments are values between tags: the reader writes them as JSON, with each value's
// type taken from the tool's schema.

// tags are the marks of such a form.
type tags struct {
	key, keyEnd, value, valueEnd, end string
	lines                             bool // a newline on each side of a value belongs to the form
}

func (s syntax) tags() tags {
	if s == glm {
		return tags{"<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>", "</tool_call>", false}
	}
	return tags{"<parameter=", ">", "", "</parameter>", "</function>", s == coder}
}

// valuesHead reads the name of the tool.
func (s syntax) valuesHead(text string) (v verdict, name string, at int) {
	rest := strings.TrimLeft(text, blank)
	at = len(text) - len(rest)
	if s == glm {
		n := strings.IndexAny(rest, "<\n")
		if n < 0 {
			return more, "", 0
		}
		if name = strings.TrimSpace(rest[:n]); !isName(name) {
			return no, "", 0
		}
		return yes, name, at + n
	}
	const open = "<function="
	if !strings.HasPrefix(rest, open) {
		if strings.HasPrefix(open, rest) {
			return more, "", 0
		}
		return no, "", 0
	}
	n := strings.IndexByte(rest, '>')
	if n < 0 {
		return more, "", 0
	}
	if name = rest[len(open):n]; !isName(name) {
		return no, "", 0
	}
	return yes, name, at + n + 1
}

// values gives out one argument at a time: when it is complete, or as it comes if it is a text.
func (r *Reader) values() bool {
	t := r.f.family.syntax.tags()
	rest := strings.TrimLeft(r.held, blank)
	switch {
	case strings.HasPrefix(rest, t.key):
		return r.value(t, rest)
	case strings.HasPrefix(rest, t.end):
		r.closeValues()
		r.held = rest[len(t.end):]
		if t.end != r.f.family.syntax.endMark() { // that is still to come
			r.state = inTail
		}
		return true
	case r.short && strings.HasPrefix(t.key, rest): // another argument may have been to come
		r.held = ""
		r.to(inText)
		return false
	case r.short && strings.HasPrefix(t.end, rest):
		r.closeValues()
		r.held = ""
		return false
	case !r.over && (rest == "" || strings.HasPrefix(t.key, rest) || strings.HasPrefix(t.end, rest)):
		return false
	}
	r.closeValues() // something else: it is text behind the call
	r.held = rest
	return true
}

func (r *Reader) closeValues() {
	if r.call.pairs == 0 {
		r.giveArguments("{")
	}
	r.giveArguments("}")
	r.to(inText)
	r.skip = true
}

// value reads <parameter=key>value</parameter> or the other form of it.
func (r *Reader) value(t tags, rest string) bool {
	body := rest[len(t.key):]
	n := strings.Index(body, t.keyEnd)
	if n < 0 && r.short {
		key := quoted(body[:len(body)-partial(body, t.keyEnd)])
		r.giveArguments(r.comma() + key[:len(key)-1])
		r.held = ""
		r.to(inText)
		return false
	}
	if n < 0 {
		return r.cut(body, "")
	}
	key := strings.TrimSpace(body[:n])
	body = body[n+len(t.keyEnd):]
	if t.value != "" {
		body = strings.TrimLeft(body, blank)
		if r.short && strings.HasPrefix(t.value, body) {
			body = t.value
		}
		if !strings.HasPrefix(body, t.value) {
			return r.cut(key, body)
		}
		body = body[len(t.value):]
	}
	if r.call.texts[key] {
		r.pair(key, `"`)
		r.held, r.state, r.call.first = body, inPlain, t.lines
		return true
	}
	end := strings.Index(body, t.valueEnd)
	if end < 0 {
		return r.cut(key, body)
	}
	value := body[:end]
	if t.lines {
		value = strings.TrimSuffix(strings.TrimPrefix(value, "\n"), "\n")
	}
	r.pair(key, typed(value))
	r.held = body[end+len(t.valueEnd):]
	return true
}

// plain gives out an argument that is a text, as it comes. A newline on each side may belong to the form.
func (r *Reader) plain() bool {
	t := r.f.family.syntax.tags()
	if r.call.first {
		if r.held == "" && !r.over {
			return false
		}
		r.held, r.call.first = strings.TrimPrefix(r.held, "\n"), false
	}
	end := strings.Index(r.held, t.valueEnd)
	if end < 0 && r.over {
		if r.short {
			r.held = r.held[:len(r.held)-partial(r.held, t.valueEnd)]
			if t.lines {
				r.held = strings.TrimSuffix(r.held, "\n")
			}
		}
		r.giveText(r.held)
		r.held = ""
		r.to(inText)
		return false
	}
	if end < 0 {
		size := len(r.held) - partial(r.held, t.valueEnd)
		if t.lines {
			size = len(strings.TrimSuffix(r.held[:size], "\n"))
		}
		r.giveText(r.held[:size])
		r.held = r.held[size:]
		return false
	}
	text := r.held[:end]
	if t.lines {
		text = strings.TrimSuffix(text, "\n")
	}
	r.giveText(text)
	r.giveArguments(`"`)
	r.held, r.state = r.held[end+len(t.valueEnd):], inValues
	return true
}

// giveText gives out a part of a JSON string.
func (r *Reader) giveText(text string) {
	q := quoted(text)
	r.giveArguments(q[1 : len(q)-1])
}

// cut waits for the rest of an argument; if nothing more comes, what is there is given out as an
// argument that is not complete. One that a grammar forced is JSON, and begins as that.
func (r *Reader) cut(key, value string) bool {
	if !r.over {
		return false
	}
	text := quoted(strings.TrimPrefix(value, "\n"))
	text = text[:len(text)-1]
	if r.form != nil {
		text = strings.Trim(value[:len(value)-partial(value, r.f.family.syntax.tags().valueEnd)], blank)
	}
	r.pair(key, text)
	r.held = ""
	r.to(inText)
	return false
}

func (r *Reader) pair(key, value string) {
	r.giveArguments(r.comma() + quoted(key) + ": " + value)
}

// comma is what stands before the next argument.
func (r *Reader) comma() string {
	if r.call.pairs++; r.call.pairs == 1 {
		return "{"
	}
	return ", "
}

// typed is a value, of which the schema does not say that it is a text, as JSON: as it is where it is JSON.
func typed(value string) string {
	if json.Valid([]byte(value)) {
		return strings.TrimSpace(value)
	}
	return quoted(value)
}

package prompt

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode"

	"github.com/galerne-ai/galerne/internal/grammar"
	"github.com/galerne-ai/galerne/internal/jinja"
)

// callState is how far a call under way has been read.
type callState struct {
	array  bool            // one of several in a list
	depth  int             // of brackets
	quoted bool            // inside a string
	escape bool            // behind a backslash
	pairs  int             // arguments written, of a form that is no JSON
	texts  map[string]bool // arguments that are texts, of such a form
	first  bool            // nothing of such a text has been read yet
}

// verdict is what a beginning of a text says about a form.
type verdict uint8

const (
	more verdict = iota // it may still become one
	yes
	no
)

// head reads from a call's mark to its arguments.
func (r *Reader) head() bool {
	var name, id string
	var at int
	v := more
	switch r.f.family.syntax {
	case hermes, llama, mistral:
		v, name, at = r.jsonHead()
	case mistralArgs:
		if t := strings.TrimLeft(r.held, blank); r.call.array || t != "" && (t[0] == '[' || t[0] == '{') {
			v, name, at = r.jsonHead()
		} else {
			v, name, id, at = argsHead(r.held)
		}
	case functionary:
		if at = strings.Index(r.held, ">"); at >= 0 {
			name, at, v = r.held[:at], at+1, yes
			if rest := strings.TrimLeft(r.held[at:], blank); rest == "" && !r.over {
				v = more
			} else if !strings.HasPrefix(rest, "{") || !isName(name) {
				v = no
			}
		}
	case coder, glm, seed:
		v, name, at = r.f.family.syntax.valuesHead(r.held)
	}
	if v == more && r.over || v == yes && r.bare && r.unheld && r.strict(name) {
		v = no // the whole call is looked at
	}
	switch v {
	case more:
		return false
	case no:
		call := yes
		if r.bare {
			call = mayBeCall(r.held)
		}
		switch {
		case call == more && !r.over:
			return false
		case call == no:
			r.malformed("")
		default:
			r.state = inWhole
		}
		return true
	}
	r.giveCall(name, id)
	r.held = r.held[at:]
	r.state = inArguments
	if r.f.family.syntax.tagged() {
		r.state = inValues
		r.call.texts = grammar.TextProperties(r.schema(name))
	} else {
		r.held = strings.TrimLeft(r.held, blank)
	}
	return true
}

const blank = " \n\t\r"

// mayBeCall says whether an object's first key is one of a call's, so that JSON that is the answer
// itself is not held.
func mayBeCall(s string) verdict {
	var key string
	sc := scanner{text: s}
	if !sc.literal("{") || !sc.str(&key) {
		if sc.failed {
			return no
		}
		return more
	}
	if slices.Contains([]string{"name", "arguments", "parameters", "type", "function", "id"}, key) {
		return yes
	}
	return no
}

// isName reports whether a tool could have this name.
func isName(s string) bool {
	other := func(c rune) bool {
		return !unicode.IsLetter(c) && !unicode.IsDigit(c) && !strings.ContainsRune("_-.:/", c)
	}
	return s != "" && len(s) <= 256 && strings.IndexFunc(s, other) < 0
}

// argsHead reads name[ARGS] or name[CALL_ID]id[ARGS] in front of an object.
func argsHead(s string) (v verdict, name, id string, at int) {
	end := strings.IndexAny(s, "[{")
	if end < 0 {
		if name = strings.TrimSpace(s); name != "" && !isName(name) {
			return no, "", "", 0
		}
		return more, "", "", 0
	}
	if name = strings.TrimSpace(s[:end]); !isName(name) {
		return no, "", "", 0
	}
	at = end
	for _, mark := range []string{"[CALL_ID]", "[ARGS]"} {
		rest := s[at:]
		if !strings.HasPrefix(rest, mark) {
			if len(rest) < len(mark) && strings.HasPrefix(mark, rest) {
				return more, "", "", 0
			}
			continue
		}
		at += len(mark)
		if mark == "[CALL_ID]" {
			n := strings.IndexByte(s[at:], '[')
			if n < 0 {
				return more, "", "", 0
			}
			id = strings.TrimSpace(s[at : at+n])
			at += n
		}
	}
	rest := strings.TrimLeft(s[at:], blank)
	switch {
	case rest == "":
		return more, "", "", 0
	case rest[0] != '{':
		return no, "", "", 0
	}
	return yes, name, id, at
}

// jsonHead reads {"name": "x", "arguments": in front of an object. Anything else may still be a call
// when it is whole.
func (r *Reader) jsonHead() (v verdict, name string, at int) {
	s := scanner{text: r.held}
	if !r.call.array && r.f.family.syntax != hermes && r.f.family.syntax != llama {
		s.blank()
		if s.more() {
			return more, "", 0
		}
		if s.text[s.at] == '[' {
			r.call.array = true
			r.opener += r.held[:s.at+1]
			r.held = r.held[s.at+1:]
			s = scanner{text: r.held}
		}
	}
	if s.literal("{") && s.literal(`"name"`) && s.literal(":") && s.str(&name) {
		plain := strings.HasSuffix(s.text[:s.at], `"`+name+`"`)
		if s.literal(",") && s.either(`"arguments"`, `"parameters"`) && s.literal(":") {
			if s.blank(); !s.more() {
				if s.text[s.at] != '{' || !isName(name) || r.bare && !(plain && r.offers(name)) {
					return no, "", 0
				}
				return yes, name, s.at
			}
		}
	}
	if s.failed {
		return no, "", 0
	}
	return more, "", 0
}

func (r *Reader) offers(name string) bool { return r.tools[name] != nil }

// schema is that of a tool; nil: anything, or the tool is none that was offered.
func (r *Reader) schema(name string) json.RawMessage {
	if !r.offers(name) {
		return nil
	}
	return r.tools[name].Schema
}

// strict reports whether the arguments of a tool must fit its schema.
func (r *Reader) strict(name string) bool { return r.offers(name) && r.tools[name].Strict }

// scanner walks over a beginning of a JSON text. Where the text ends too early it stops without failing.
type scanner struct {
	text   string
	at     int
	failed bool
}

func (s *scanner) more() bool { return s.at >= len(s.text) }

func (s *scanner) blank() {
	for s.at < len(s.text) && strings.IndexByte(blank, s.text[s.at]) >= 0 {
		s.at++
	}
}

func (s *scanner) literal(want string) bool { return s.either(want, want) }

func (s *scanner) either(a, b string) bool {
	s.blank()
	rest := s.text[s.at:]
	for _, want := range []string{a, b} {
		if strings.HasPrefix(rest, want) {
			s.at += len(want)
			return true
		}
	}
	s.failed = !strings.HasPrefix(a, rest) && !strings.HasPrefix(b, rest)
	return false
}

// str reads a string.
func (s *scanner) str(into *string) bool {
	s.blank()
	if s.more() {
		return false
	}
	if s.text[s.at] != '"' {
		s.failed = true
		return false
	}
	for i := s.at + 1; i < len(s.text); i++ {
		switch s.text[i] {
		case '\\':
			i++
		case '"':
			s.failed = json.Unmarshal([]byte(s.text[s.at:i+1]), into) != nil
			s.at = i + 1
			return !s.failed
		}
	}
	return false
}

// brackets follows a JSON text to the end of the value at its beginning; n is the number of bytes up
// to there, or all of them.
func (c *callState) brackets(s string) (n int, ended, broken bool) {
	for i := range len(s) {
		b := s[i]
		switch {
		case c.escape:
			c.escape = false
		case c.quoted:
			c.escape = b == '\\'
			c.quoted = b != '"'
		case b == '"':
			c.quoted = true
		case b == '{' || b == '[':
			c.depth++
		case b == '}' || b == ']':
			if c.depth--; c.depth == 0 {
				return i + 1, true, false
			}
		case b == '<': // no JSON: the mark of an end that came too early
			return i, false, true
		}
	}
	return len(s), false, false
}

// arguments gives out a JSON object as it comes.
func (r *Reader) arguments() bool {
	n, ended, broken := r.call.brackets(r.held)
	r.giveArguments(r.held[:n])
	r.held = r.held[n:]
	if ended || broken {
		r.state = inTail
		r.call = callState{array: r.call.array}
		return true
	}
	return false
}

// endMark is what stands behind a call, "" if nothing does.
func (r *Reader) endMark() string {
	switch {
	case r.inFence():
		return "```"
	case r.bare:
		return ""
	}
	return r.f.family.syntax.endMark()
}

func (s syntax) endMark() string {
	switch s {
	case hermes, coder, glm:
		return "</tool_call>"
	case seed:
		return "</seed:tool_call>"
	case functionary:
		return "</function>"
	}
	return ""
}

// tail reads what closes a call: the rest of its object, its end mark, the step to the next.
func (r *Reader) tail() bool {
	s := r.f.family.syntax
	rest := strings.TrimLeft(r.held, blank)
	end := r.endMark()
	object := s == hermes || s == llama || s == mistral || r.call.array
	if object && r.call.pairs == 0 { // the object around the arguments is open
		at := objectEnd(rest)
		if at < 0 && !r.over {
			if end == "" || !strings.Contains(rest, end) {
				return false
			}
		}
		if at >= 0 {
			rest = strings.TrimLeft(rest[at:], blank)
		}
		r.call.pairs = 1
		r.held = rest
	}
	if end != "" {
		if strings.HasPrefix(rest, end) {
			rest = rest[len(end):]
		} else if r.short && strings.HasPrefix(end, rest) {
			rest = ""
		} else if len(rest) < len(end) && strings.HasPrefix(end, rest) && !r.over {
			return false
		} else if r.bare { // another object in the same block of code
			return r.next(rest, object)
		}
		r.held = rest
		r.to(inText)
		r.skip = true
		return true
	}
	return r.next(rest, object)
}

// next goes on to another call of a list, or of a sequence without marks.
func (r *Reader) next(rest string, object bool) bool {
	if rest == "" && !r.over {
		return false
	}
	if object && rest != "" && !r.single && (rest[0] == ',' || rest[0] == ';' || r.bare && rest[0] == '{') {
		after := strings.TrimLeft(strings.TrimLeft(rest, ",;"), blank)
		if after == "" && !r.over {
			return false
		}
		if strings.HasPrefix(after, "{") {
			array, opener := r.call.array, r.opener
			r.held = after
			r.begin()
			r.call.array, r.opener = array, opener
			return true
		}
	}
	if r.call.array && strings.HasPrefix(rest, "]") {
		rest = rest[1:]
	}
	r.held = rest
	r.to(inText)
	r.skip = true
	return true
}

// objectEnd is the number of bytes up to the end of an object that is open where s begins, -1 if it is
// not there.
func objectEnd(s string) int {
	c := callState{depth: 1}
	n, ended, _ := c.brackets(s)
	if !ended {
		return -1
	}
	return n
}

// whole reads a call whose parts come in another order, once it is all there; what is none is text.
func (r *Reader) whole() bool {
	end := r.endMark()
	if r.bare { // the object's own end counts
		end = ""
	}
	size, next := -1, -1
	if end != "" {
		if size = strings.Index(r.held, end); size >= 0 {
			next = size + len(end)
		}
	} else {
		start := len(r.held) - len(strings.TrimLeft(r.held, blank))
		if start < len(r.held) && r.held[start] != '{' {
			size, next = 0, 0
		} else {
			var c callState
			if n, ended, _ := c.brackets(r.held[start:]); ended {
				size, next = start+n, start+n
			}
		}
	}
	if size < 0 {
		if !r.over {
			return false
		}
		size, next = len(r.held), len(r.held)
	}
	name, arguments, ok := wholeCall(r.held[:size])
	if !ok || r.bare && !r.offers(name) || !r.fits(name, arguments) {
		text := r.held[:next]
		r.held = r.held[next:]
		r.malformed(text)
		return r.held != ""
	}
	r.held = r.held[next:]
	r.giveCall(name, "")
	r.giveArguments(arguments)
	r.unheld = true // if there is a grammar, it took this for free text
	r.call.pairs = 1
	r.state = inTail
	if end != "" {
		r.to(inText)
		r.skip = true
	}
	return true
}

// fits reports whether the arguments of a call, which no grammar held, are what a strict tool takes.
func (r *Reader) fits(name, arguments string) bool {
	if !r.strict(name) {
		return true
	}
	value, err := jinja.FromJSON([]byte(arguments))
	if err != nil {
		return false
	}
	text, err := jinja.JSON(value) // in the layout that grammars have
	if err != nil {
		return false
	}
	g, err := grammar.CompileSchema(r.tools[name].Parameters(), grammar.Options{})
	return err == nil && g.Match([]byte(text))
}

// wholeCall reads an object with a name and arguments, in any order; arguments may be JSON in a string.
func wholeCall(text string) (name, arguments string, ok bool) {
	var c struct {
		Name       string          `json:"name"`
		Arguments  json.RawMessage `json:"arguments"`
		Parameters json.RawMessage `json:"parameters"`
	}
	if json.Unmarshal([]byte(text), &c) != nil || !isName(c.Name) {
		return "", "", false
	}
	raw := c.Arguments
	if raw == nil {
		raw = c.Parameters
	}
	var inner string
	if json.Unmarshal(raw, &inner) == nil {
		raw = json.RawMessage(inner)
	}
	arguments = strings.TrimSpace(string(raw))
	if arguments == "" || arguments == "null" {
		arguments = "{}"
	}
	if !json.Valid([]byte(arguments)) || arguments[0] != '{' {
		return "", "", false
	}
	return c.Name, arguments, true
}

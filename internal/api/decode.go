package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/galerne-ai/galerne/internal/chat"
)

const (
	maxDepth = 128              // of arrays and objects in a body
	bodyTime = 10 * time.Minute // that a body may take to arrive
)

// Field is a field of a request that needs no code of the surface: a hint, or one that this server
// knows and cannot honour.
type Field struct {
	Name   string
	Hint   bool     // any value is fine: it cannot change the answer
	Accept []string // compact JSON values that ask for what happens anyway; null always is
	Why    string   // what to do instead
}

// Body reads the whole body once; a later call gives the same bytes.
func (c *Call) Body() ([]byte, error) {
	if c.body != nil {
		return c.body, nil
	}
	if e := c.R.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return nil, ErrMediaType.Because("api: the body is encoded as %q: send it as it is", e)
	}
	limit := c.server.o.BodyBytes
	data, err := io.ReadAll(c.Reader(limit))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, ErrTooLarge.Because("api: the body is larger than %d bytes, the most that this server takes", limit)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, ErrSlow.Because("api: nothing of the body came for %s: send it without pauses", c.server.o.BodyTimeout)
	}
	if err != nil {
		return nil, ErrBody.Because("api: the body ended early: %w", err)
	}
	c.body = data
	return data, nil
}

// Reader is the body as it comes, for routes that do not want it whole: at most limit bytes, then an
// *http.MaxBytesError. Read it to its end, or to an error.
func (c *Call) Reader(limit int64) io.Reader {
	return &arriving{r: http.MaxBytesReader(c.W, c.R.Body, limit), c: c, until: time.Now().Add(bodyTime)}
}

// arriving is a body that must keep coming: one that trickles must not hold its connection for ever.
type arriving struct {
	r     io.Reader
	c     *Call
	until time.Time
}

func (a *arriving) Read(p []byte) (int, error) {
	deadline := time.Now().Add(a.c.server.o.BodyTimeout)
	if deadline.After(a.until) {
		deadline = a.until
	}
	_ = a.c.control.SetReadDeadline(deadline) // not every reader has deadlines
	n, err := a.r.Read(p)
	if errors.Is(err, io.EOF) {
		a.c.arrived()
	}
	return n, err
}

// drainTime is how long the rest of a body that nobody wants may take: net/http reads it before the
// answer is sent, so that the connection can be used again.
const drainTime = time.Second

// expectBody bounds the wait for a body that no route reads.
func (c *Call) expectBody(most time.Duration) {
	if c.R.ContentLength != 0 {
		_ = c.control.SetReadDeadline(time.Now().Add(most))
	}
}

// arrived lifts the deadline: it would end the wait for the caller's departure too.
func (c *Call) arrived() { _ = c.control.SetReadDeadline(time.Time{}) }

// Decode reads the body as one JSON object into v. It refuses invalid UTF-8, duplicate keys,
// trailing bytes and deep nesting, then the fields that cannot be honoured; a strict server also
// refuses fields that neither v nor fields know.
func (c *Call) Decode(v any, fields []Field) error {
	data, err := c.Body()
	if err != nil {
		return err
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return ErrBody.Because("api: the body is empty: send a JSON object")
	}
	if err := scan(data, ""); err != nil {
		return err
	}
	if bytes.TrimSpace(data)[0] != '{' {
		return ErrBody.Because("api: the body must be a JSON object")
	}
	if len(fields) > 0 {
		if data, err = Check("", data, fields); err != nil {
			return err
		}
	}
	return Decode("", data, v, c.server.o.Strict)
}

// Check refuses the fields of an object of a body (at path; "" is the body) that cannot be honoured,
// and gives the object without those that were checked.
func Check(path string, data []byte, fields []Field) ([]byte, error) {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, ErrBody.Because("api: %s cannot be read: %w", orBody(path), err).At(path)
	}
	found := false
	for _, f := range fields {
		raw, ok := all[f.Name]
		if !ok {
			continue
		}
		found = true
		delete(all, f.Name)
		var value bytes.Buffer
		if err := json.Compact(&value, raw); err != nil {
			return nil, ErrBody.Because("api: %s cannot be read: %w", orBody(path), err).At(path)
		}
		if !f.accepts(value.String()) {
			at := join(path, f.Name)
			return nil, ErrRefused.Because("api: %s is not supported here: %s", at, f.Why).At(at)
		}
	}
	if !found {
		return data, nil
	}
	return json.Marshal(all)
}

func (f *Field) accepts(value string) bool {
	if f.Hint || value == "null" {
		return true
	}
	for _, a := range f.Accept {
		if a == value {
			return true
		}
	}
	return false
}

// Decode reads JSON that has been checked already (a part of a body) into v; errors name the field
// below path. With strict, a field that v does not know is an error.
func Decode(path string, data []byte, v any, strict bool) error {
	d := json.NewDecoder(bytes.NewReader(data))
	if strict {
		d.DisallowUnknownFields()
	}
	err := d.Decode(v)
	if err == nil {
		return nil
	}
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		at := pathAt(data, path, int(wrong.Offset))
		return ErrBody.Because("api: %s must be %s, not %s", at, typeWords(wrong.Type.Kind().String()), valueWords(wrong.Value)).At(at)
	}
	if name, ok := strings.CutPrefix(err.Error(), `json: unknown field `); ok {
		name = strings.Trim(name, `"`)
		return ErrUnknownField.Because("api: unknown field %q: this server is strict about fields that it does not know", name).At(join(path, name))
	}
	return ErrBody.Because("api: %s cannot be read: %w", orBody(path), err).At(path)
}

func typeWords(kind string) string {
	switch {
	case strings.HasPrefix(kind, "int"):
		return "an integer"
	case strings.HasPrefix(kind, "uint"):
		return "a non-negative integer"
	case strings.HasPrefix(kind, "float"):
		return "a number"
	case kind == "slice", kind == "array":
		return "an array"
	case kind == "struct", kind == "map":
		return "an object"
	case kind == "bool":
		return "true or false"
	}
	return "a " + kind
}

func valueWords(value string) string {
	if n, ok := strings.CutPrefix(value, "number "); ok {
		return n
	}
	if value == "bool" {
		return "true or false"
	}
	return map[bool]string{true: "an ", false: "a "}[value == "array" || value == "object"] + value
}

func orBody(path string) string {
	if path == "" {
		return "the body"
	}
	return path
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// scanner walks JSON and knows where it is.
type scanner struct {
	data  []byte
	pos   int
	root  string
	stack []frame
	until int // stop at the first value that starts here or later; -1: never
}

type frame struct {
	object bool
	index  int
	key    string
	seen   map[string]struct{}
}

// scan checks what encoding/json lets pass. The syntax is checked first, so that the walk may
// trust it.
func scan(data []byte, root string) error {
	if !utf8.Valid(data) {
		return ErrBody.Because("api: the body is not valid UTF-8")
	}
	if !json.Valid(data) {
		var v any
		err := json.Unmarshal(data, &v)
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return ErrBody.Because("api: the body is not valid JSON: %v, at byte %d", syntax, syntax.Offset)
		}
		return ErrBody.Because("api: the body is not valid JSON: %v", err)
	}
	s := scanner{data: data, root: root, until: -1}
	return s.walk()
}

// pathAt names the last value that starts before offset.
func pathAt(data []byte, root string, offset int) string {
	s := scanner{data: data, root: root, until: offset}
	_ = s.walk() // the data was checked before; only the place is wanted
	return orBody(s.path())
}

func (s *scanner) path() string {
	var b strings.Builder
	b.WriteString(s.root)
	for _, f := range s.stack {
		switch {
		case !f.object:
			b.WriteString("[" + strconv.Itoa(f.index) + "]")
		case b.Len() > 0:
			b.WriteString("." + f.key)
		default:
			b.WriteString(f.key)
		}
	}
	return b.String()
}

func (s *scanner) walk() error {
	wantKey := false
	for ; s.pos < len(s.data); s.pos++ {
		switch ch := s.data[s.pos]; ch {
		case '{', '[':
			// The container that is about to open is the place; what is in it is not reached yet.
			if s.until >= 0 && s.pos+1 >= s.until {
				return nil
			}
			if len(s.stack) == maxDepth {
				return ErrBody.Because("api: the body is nested deeper than %d levels", maxDepth)
			}
			s.stack = append(s.stack, frame{object: ch == '{'})
			wantKey = ch == '{'
		case '}', ']':
			s.stack = s.stack[:len(s.stack)-1]
		case ',':
			top := &s.stack[len(s.stack)-1]
			top.index++
			wantKey = top.object
		case ':':
			wantKey = false
		case '"':
			if err := s.text(wantKey); err != nil {
				return err
			}
		}
		if s.until >= 0 && !wantKey && s.pos+1 >= s.until {
			return nil
		}
	}
	return nil
}

// text passes a string; pos is left at its closing quote.
func (s *scanner) text(key bool) error {
	start := s.pos
	for s.pos++; s.data[s.pos] != '"'; s.pos++ {
		if s.data[s.pos] != '\\' {
			continue
		}
		s.pos++
		if s.data[s.pos] == 'u' && !s.surrogates() {
			return ErrBody.Because("api: %s has half of a surrogate pair, which is not a character", orBody(s.path())).At(s.path())
		}
	}
	if !key || s.until >= 0 && s.pos >= s.until {
		return nil
	}
	var name string
	if err := json.Unmarshal(s.data[start:s.pos+1], &name); err != nil {
		return ErrBody.Because("api: a key cannot be read: %w", err)
	}
	top := &s.stack[len(s.stack)-1]
	top.key = name
	if s.until >= 0 {
		return nil
	}
	if top.seen == nil {
		top.seen = map[string]struct{}{}
	}
	if _, twice := top.seen[name]; twice {
		return ErrBody.Because("api: %s appears twice", s.path()).At(s.path())
	}
	top.seen[name] = struct{}{}
	return nil
}

// surrogates passes a \u escape, or two that make one character; pos is at the u, and is left at
// the last digit. It reports whether they make a character.
func (s *scanner) surrogates() bool {
	v, _ := strconv.ParseUint(string(s.data[s.pos+1:s.pos+5]), 16, 32)
	s.pos += 4
	if v < 0xD800 || v > 0xDFFF {
		return true
	}
	rest := s.data[s.pos+1:]
	if v > 0xDBFF || len(rest) < 6 || rest[0] != '\\' || rest[1] != 'u' {
		return false
	}
	low, err := strconv.ParseUint(string(rest[2:6]), 16, 32)
	if err != nil || low < 0xDC00 || low > 0xDFFF {
		return false
	}
	s.pos += 6
	return true
}

// Content reads what a message says: a string, an array of parts that read turns into chat's, or null, which
// is nothing. at is the field's name, as in Decode.
func Content[T any](at string, raw json.RawMessage, read func(at string, part *T) (chat.Part, error)) ([]chat.Part, error) {
	switch {
	case len(raw) == 0 || string(raw) == "null":
		return nil, nil
	case raw[0] == '"':
		var text string
		err := Decode(at, raw, &text, false)
		return []chat.Part{{Kind: chat.TextPart, Text: text}}, err
	case raw[0] != '[':
		return nil, chat.ErrRequest.Because("api: %s must be a string or an array of parts", at).At(at)
	}
	var all []T
	if err := Decode(at, raw, &all, false); err != nil {
		return nil, err
	}
	out := make([]chat.Part, len(all))
	for i := range all {
		var err error
		if out[i], err = read(fmt.Sprintf("%s[%d]", at, i), &all[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

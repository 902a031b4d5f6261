// Package jinja answers: what text does a chat template make of a conversation? It renders the
// part of Jinja that Hugging Face's chat templates are written in, byte for byte as transformers
// does: trim_blocks and lstrip_blocks, loop controls, generation blocks, and Python's own ideas of
// truth, text and numbers.
//
// Templates come with model files and are not trusted. They see data only (there is no attribute
// behind a value, no import, no way to change a list or a map that was given), and they run with
// limits on steps, depth and size; each limit has an error that says its number.
package jinja

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/galerne-ai/galerne/internal/fault"
)

// The causes of this package's errors. All are about the template or its data: the remedy is the
// caller's.
var (
	ErrSyntax = fault.New(fault.Invalid, "template_syntax", "jinja: the template cannot be read")
	ErrRender = fault.New(fault.Invalid, "template_failed", "jinja: the template failed on this data")
	ErrRaised = fault.New(fault.Invalid, "template_raised", "jinja: the template refused this conversation")
	ErrLimit  = fault.New(fault.Invalid, "template_limit", "jinja: the template passed a limit")
)

// Options are the limits of one template and its clock. The zero value is usable.
type Options struct {
	SourceBytes int              // longest template. Default 1 MiB.
	OutputBytes int              // longest text, of the whole output or of any value on the way. Default 64 MiB.
	Steps       int              // work of one Render: a node visited, an element or 32 bytes made. Default 32 million.
	Depth       int              // nesting of the source, and of macro calls, loops and data. Default 256.
	Now         func() time.Time // clock of strftime_now. Default time.Now.
}

func (o Options) withDefaults() Options {
	def := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&o.SourceBytes, 1<<20)
	def(&o.OutputBytes, 64<<20)
	def(&o.Steps, 32_000_000)
	def(&o.Depth, 256)
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Template is a parsed template. It is read-only: many goroutines may render it.
type Template struct {
	body    []stmt
	options Options
}

// Parse reads a template. The error says the line.
func Parse(source string, o Options) (t *Template, err error) {
	o = o.withDefaults()
	if len(source) > o.SourceBytes {
		return nil, ErrLimit.Because("jinja: template has %d bytes, at most %d are read", len(source), o.SourceBytes)
	}
	defer rescue(&err)
	p := &parser{tokens: lex(source), depthLimit: o.Depth}
	return &Template{body: p.template(), options: o}, nil
}

// Render gives the template's text for these variables, which it does not change.
func (t *Template) Render(vars *Map) (text string, err error) {
	r := &run{options: t.options, fuel: t.options.Steps, line: 1, vars: vars}
	defer rescue(&err)
	out := &strings.Builder{}
	r.out = out
	r.scope = &scope{}
	r.block(t.body)
	return out.String(), nil
}

// failure carries an error up the walkers' stacks as a panic, as text/template does: every operation
// of a template can fail, and only Parse and Render can do anything about it.
type failure struct{ err error }

// rescue turns a failure into the error that it carries; any other panic is a fault of ours and goes on.
func rescue(err *error) {
	switch p := recover().(type) {
	case nil:
	case failure:
		*err = p.err
	default:
		panic(p)
	}
}

// run is one rendering under way.
type run struct {
	options Options
	fuel    int // steps left
	depth   int // frames of macros, loops and nested data
	frames  int // nodes of the syntax tree being evaluated
	line    int
	vars    *Map
	scope   *scope
	out     *strings.Builder
}

// maxFrames bounds the walker's own stack: 20000 nodes of well under 1 KiB each.
const maxFrames = 20_000

// fail stops the rendering with an error of Python's kind: TypeError and its like.
func (r *run) fail(format string, args ...any) {
	panic(failure{ErrRender.Because("jinja: line %d: %s", r.line, fmt.Sprintf(format, args...))})
}

// raised stops the rendering with the template's own message.
func (r *run) raised(message string) {
	panic(failure{ErrRaised.Because("jinja: the chat template refused this conversation (line %d): %s", r.line, message)})
}

// spend takes steps from the fuel.
func (r *run) spend(steps int) {
	r.fuel -= steps
	if r.fuel < 0 {
		panic(failure{ErrLimit.Because("jinja: line %d: the template used more than %d steps: it loops too long, or the conversation is too large for it",
			r.line, r.options.Steps)})
	}
}

// made accounts for a text of n bytes.
func (r *run) made(n int) {
	if n > r.options.OutputBytes {
		r.tooLong(n)
	}
	r.spend(n >> 5)
}

// madeTimes accounts for count copies of unit bytes, before they are made.
func (r *run) madeTimes(count, unit int) {
	if unit > 0 && count > r.options.OutputBytes/unit {
		r.tooLong(r.options.OutputBytes + 1)
	}
	r.made(count * unit)
}

func (r *run) tooLong(n int) {
	panic(failure{ErrLimit.Because("jinja: line %d: the template makes a text of %d bytes or more, at most %d are allowed", r.line, n, r.options.OutputBytes)})
}

// text is a made string as a value.
func (r *run) text(s string) Value {
	r.made(len(s))
	return String(s)
}

// deeper enters a nested frame; the result leaves it.
func (r *run) deeper() func() {
	r.depth++
	if r.depth > r.options.Depth {
		panic(failure{ErrLimit.Because("jinja: line %d: macros, loops or data nest more than %d deep", r.line, r.options.Depth)})
	}
	return r.leave
}

func (r *run) leave() { r.depth-- }

func (r *run) emit(s string) {
	if r.out.Len()+len(s) > r.options.OutputBytes {
		r.tooLong(r.out.Len() + len(s))
	}
	r.spend(1 + len(s)>>5)
	r.out.WriteString(s)
}

// capture runs body and gives what it wrote.
func (r *run) capture(body func()) string {
	outer := r.out
	r.out = &strings.Builder{}
	body()
	text := r.out.String()
	r.out = outer
	return text
}

// scope is one level of names. Names are few: a scan beats a map.
type scope struct {
	parent *scope
	names  []string
	values []Value
}

func (s *scope) get(name string) (Value, bool) {
	for ; s != nil; s = s.parent {
		for i, n := range s.names {
			if n == name {
				return s.values[i], true
			}
		}
	}
	return nil, false
}

func (s *scope) set(name string, v Value) {
	for i, n := range s.names {
		if n == name {
			s.values[i] = v
			return
		}
	}
	s.names, s.values = append(s.names, name), append(s.values, v)
}

// within runs body with s as the innermost scope.
func (r *run) within(s *scope, body func()) {
	outer := r.scope
	r.scope = s
	body()
	r.scope = outer
}

// IsRaised gives the message of a template that refused the conversation by raise_exception.
func IsRaised(err error) bool { return errors.Is(err, ErrRaised) }

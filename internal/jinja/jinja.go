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
	"fmt"
	"slices"
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
	Steps       int              // work of one Render: a node visited, an element or 32 bytes made. Default 16 million.
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
	def(&o.Steps, 16_000_000)
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

// stmt is a statement.
type stmt interface{ exec(r *run) signal }

// signal is how a statement ended.
type signal uint8

const (
	goesOn signal = iota
	breaks
	continues
)

func (r *run) block(body []stmt) signal {
	r.frame()
	defer r.unframe()
	for _, s := range body {
		if sig := s.exec(r); sig != goesOn {
			return sig
		}
	}
	return goesOn
}

// frame counts a level of the walker's own stack.
func (r *run) frame() {
	r.spend(1)
	r.frames++
	if r.frames > maxFrames {
		panic(failure{ErrLimit.Because("jinja: line %d: the template nests more than %d evaluations", r.line, maxFrames)})
	}
}

func (r *run) unframe() { r.frames-- }

type textStmt struct{ text string }

func (s *textStmt) exec(r *run) signal {
	r.emit(s.text)
	return goesOn
}

type printStmt struct {
	line int
	e    expr
}

func (s *printStmt) exec(r *run) signal {
	r.line = s.line
	r.emit(r.str(r.eval(s.e)))
	return goesOn
}

type printList []*printStmt

func (s printList) exec(r *run) signal {
	for _, p := range s {
		p.exec(r)
	}
	return goesOn
}

type jump signal

func (s jump) exec(*run) signal { return signal(s) }

type arm struct {
	line int
	test expr
	body []stmt
}

type ifStmt struct {
	arms      []arm
	otherwise []stmt
}

func (s *ifStmt) exec(r *run) signal {
	for i := range s.arms {
		a := &s.arms[i]
		r.line = a.line
		if truth(r.eval(a.test)) {
			return r.block(a.body)
		}
	}
	return r.block(s.otherwise)
}

type setStmt struct {
	line int
	to   target
	e    expr
}

func (s *setStmt) exec(r *run) signal {
	r.line = s.line
	s.to.assign(r, r.eval(s.e))
	return goesOn
}

// setBlock is {% set x | filter %}body{% endset %}.
type setBlock struct {
	line   int
	to     target
	filter expr // nil for none
	body   []stmt
}

func (s *setBlock) exec(r *run) signal {
	s.to.assign(r, r.filtered(s.filter, s.body, s.line))
	return goesOn
}

// filtered renders a body in a scope of its own and puts it through a chain of filters.
func (r *run) filtered(chain expr, body []stmt, line int) Value {
	text := r.capture(func() {
		r.within(&scope{parent: r.scope}, func() { r.block(body) })
	})
	r.line = line
	if chain == nil {
		return String(text)
	}
	return r.eval(withInput(chain, String(text)))
}

// withInput is a filter chain with v where its innermost operand is missing.
func withInput(chain expr, v Value) expr {
	f := *chain.(*filterExpr)
	if f.of == nil {
		f.of = constExpr{v}
	} else {
		f.of = withInput(f.of, v)
	}
	return &f
}

type filterStmt struct {
	line   int
	filter expr
	body   []stmt
}

func (s *filterStmt) exec(r *run) signal {
	r.emit(r.str(r.filtered(s.filter, s.body, s.line)))
	return goesOn
}

// scopeStmt is a with block, or a generation block, which marks the assistant's words for training
// and has no effect on the text.
type scopeStmt struct {
	targets []target
	values  []expr
	body    []stmt
}

func (s *scopeStmt) exec(r *run) (sig signal) {
	values := make([]Value, len(s.values))
	for i, e := range s.values {
		values[i] = r.eval(e)
	}
	r.within(&scope{parent: r.scope}, func() {
		for i, t := range s.targets {
			t.assign(r, values[i])
		}
		sig = r.block(s.body)
	})
	return sig
}

type macroStmt struct{ def *macroDef }

func (s *macroStmt) exec(r *run) signal {
	r.scope.set(s.def.name, &macro{s.def, r.scope})
	return goesOn
}

// callStmt is {% call f() %}body{% endcall %}: f can write the body with caller().
type callStmt struct {
	line int
	def  *macroDef
	call *callExpr
}

func (s *callStmt) exec(r *run) signal {
	r.line = s.line
	fn := r.eval(s.call.fn)
	a := r.arguments(s.call.args)
	a.names = append(slices.Clone(a.names), "caller")
	a.named = append(slices.Clone(a.named), &macro{s.def, r.scope})
	r.emit(r.str(r.call(fn, a)))
	return goesOn
}

type forStmt struct {
	line            int
	target          target
	over, test      expr
	recursive       bool
	body, otherwise []stmt
}

func (s *forStmt) exec(r *run) signal {
	r.line = s.line
	return s.run(r, r.eval(s.over), r.scope, 0)
}

// run walks over a value; outer is the scope that the loop stands in.
func (s *forStmt) run(r *run, over Value, outer *scope, depth int) signal {
	defer r.deeper()()
	l := &loop{stmt: s, outer: outer, depth0: depth, index0: -1, current: None{}}
	l.source, l.size = r.iterate(over)
	if s.test != nil {
		l.source, l.size = l.filtered(r, l.source), -1
	}
	sig, finished := goesOn, false
	for sig != breaks && l.advance(r) {
		r.within(&scope{parent: outer}, func() {
			s.target.assign(r, l.current)
			r.scope.set("loop", l)
			sig = r.block(s.body)
		})
		finished = finished || sig == goesOn
	}
	if !finished { // in Jinja too, a loop that is left in its first round counts as one with no round
		r.within(&scope{parent: outer}, func() { sig = r.block(s.otherwise) })
		return sig
	}
	return goesOn
}

// target is what can stand left of an assignment.
type target interface{ assign(r *run, v Value) }

type nameTarget string

func (t nameTarget) assign(r *run, v Value) { r.scope.set(string(t), v) }

type attrTarget struct {
	line       int
	name, attr string
}

func (t *attrTarget) assign(r *run, v Value) {
	ns, ok := r.lookup(t.name).(*namespace)
	if !ok {
		r.fail("cannot assign attribute on non-namespace object")
	}
	ns.set(r, t.attr, v)
}

type tupleTarget struct {
	line    int
	targets []target
}

func (t *tupleTarget) assign(r *run, v Value) {
	values := r.list(v)
	if len(values) > len(t.targets) {
		r.fail("too many values to unpack (expected %d)", len(t.targets))
	}
	if len(values) < len(t.targets) {
		r.fail("not enough values to unpack (expected %d, got %d)", len(t.targets), len(values))
	}
	for i, to := range t.targets {
		to.assign(r, values[i])
	}
}

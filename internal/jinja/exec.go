package jinja

import "slices"

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
	sig := goesOn
	for sig != breaks && l.advance(r) {
		r.within(&scope{parent: outer}, func() {
			s.target.assign(r, l.current)
			r.scope.set("loop", l)
			sig = r.block(s.body)
		})
	}
	if l.index0 < 0 {
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

package jinja

import (
	"slices"
	"strings"
)

// expr is an expression.
type expr interface{ eval(r *run) Value }

// eval visits a node.
func (r *run) eval(e expr) Value {
	r.frame()
	v := e.eval(r)
	r.frames--
	return v
}

type constExpr struct{ v Value }

func (e constExpr) eval(*run) Value { return e.v }

type nameExpr struct {
	line int
	name string
}

func (e *nameExpr) eval(r *run) Value { return r.lookup(e.name) }

// lookup finds a name: in the template's scopes, in Render's variables, among the globals.
func (r *run) lookup(name string) Value {
	if v, ok := r.scope.get(name); ok {
		return v
	}
	if r.vars != nil {
		if v, ok := r.vars.Get(name); ok {
			return v
		}
	}
	if f := globalNamed(name); f != nil {
		return f
	}
	return &undefined{hint: "'" + name + "' is undefined"}
}

type condExpr struct {
	line                  int
	test, then, otherwise expr
}

func (e *condExpr) eval(r *run) Value {
	if truth(r.eval(e.test)) {
		return r.eval(e.then)
	}
	if e.otherwise == nil {
		return &undefined{hint: "the inline if-expression evaluated to false and no else section was defined"}
	}
	return r.eval(e.otherwise)
}

type orExpr struct{ a, b expr }

func (e *orExpr) eval(r *run) Value {
	if v := r.eval(e.a); truth(v) {
		return v
	}
	return r.eval(e.b)
}

type andExpr struct{ a, b expr }

func (e *andExpr) eval(r *run) Value {
	if v := r.eval(e.a); !truth(v) {
		return v
	}
	return r.eval(e.b)
}

type notExpr struct{ e expr }

func (e *notExpr) eval(r *run) Value { return Bool(!truth(r.eval(e.e))) }

// compareExpr is a chain: a < b <= c compares b once with each side.
type compareExpr struct {
	line  int
	first expr
	ops   []string
	rest  []expr
}

func (e *compareExpr) eval(r *run) Value {
	left := r.eval(e.first)
	for i, op := range e.ops {
		right := r.eval(e.rest[i])
		if !r.compare(op, left, right) {
			return Bool(false)
		}
		left = right
	}
	return Bool(true)
}

func (r *run) compare(op string, a, b Value) bool {
	switch op {
	case "==":
		return r.equal(a, b)
	case "!=":
		return !r.equal(a, b)
	case "<":
		return r.less(a, b, op)
	case ">":
		return r.less(b, a, op)
	case "<=":
		return !r.unordered(a, b) && (r.equalOrdered(a, b, op) || r.less(a, b, op))
	case ">=":
		return !r.unordered(a, b) && (r.equalOrdered(a, b, op) || r.less(b, a, op))
	case "in":
		return r.contains(b, a)
	}
	return !r.contains(b, a)
}

// unordered reports a comparison with NaN, which is false in every direction.
func (r *run) unordered(a, b Value) bool {
	_, ok := compareNumbers(a, b)
	return isNumber(a) && isNumber(b) && !ok
}

// equalOrdered is == for values that have an order; others are an error.
func (r *run) equalOrdered(a, b Value, op string) bool {
	switch a.(type) {
	case String, markup, Bool, Int, bigInt, Float, List, tuple:
		return r.equal(a, b)
	}
	return r.less(a, b, op)
}

// contains is Python's item in box.
func (r *run) contains(box, item Value) bool {
	switch b := box.(type) {
	case String, markup:
		s, _ := stringOf(b)
		sub, ok := stringOf(item)
		if !ok {
			r.undefinedIn(item)
			r.fail("'in <string>' requires string as left operand, not %s", item.typeName())
		}
		r.spend(len(s) >> 5)
		return strings.Contains(s, sub)
	case *Map:
		r.reads(item)
		k, ok := keyOf(item)
		if !ok {
			r.fail("unhashable type: '%s'", item.typeName())
		}
		_, found := b.get(k)
		return found
	}
	next, _ := r.iterate(box)
	for {
		v, ok := next(r)
		if !ok {
			return false
		}
		if r.equal(v, item) {
			return true
		}
	}
}

func (r *run) undefinedIn(item Value) {
	if _, ok := item.(*undefined); ok {
		r.fail("'in <string>' requires string as left operand, not Undefined")
	}
}

type concatExpr []expr

func (e concatExpr) eval(r *run) Value {
	var b strings.Builder
	for _, part := range e {
		b.WriteString(r.str(r.eval(part)))
		if b.Len() > r.options.OutputBytes {
			r.tooLong(b.Len())
		}
	}
	return r.text(b.String())
}

type binaryExpr struct {
	line int
	op   string
	a, b expr
}

func (e *binaryExpr) eval(r *run) Value {
	a, b := r.eval(e.a), r.eval(e.b)
	r.line = e.line
	return r.binary(e.op, a, b)
}

func (r *run) binary(op string, a, b Value) Value {
	if isNumber(a) && isNumber(b) {
		return r.arithmetic(op, a, b)
	}
	r.undefinedFails(a)
	if op == "%" {
		if s, ok := stringOf(a); ok {
			_, safe := a.(markup)
			return r.marked(safe, r.percent(s, b, safe))
		}
	}
	r.undefinedFails(b)
	switch op {
	case "+":
		if v := r.join(a, b); v != nil {
			return v
		}
	case "*":
		if v := r.repeat(a, b); v != nil {
			return v
		}
		if v := r.repeat(b, a); v != nil {
			return v
		}
	}
	r.fail("unsupported operand type(s) for %s: '%s' and '%s'", op, a.typeName(), b.typeName())
	return nil
}

// marked is a text, marked safe if asked.
func (r *run) marked(safe bool, s string) Value {
	r.made(len(s))
	if safe {
		return markup(s)
	}
	return String(s)
}

// escape is what a safe text takes from another: HTML's special characters become entities.
func escape(v Value) string {
	s, _ := stringOf(v)
	if _, safe := v.(markup); safe {
		return s
	}
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;", "'", "&#39;").Replace(s)
}

// join is + of two sequences of one type, nil for others.
func (r *run) join(a, b Value) Value {
	if s, ok := stringOf(a); ok {
		t, ok := stringOf(b)
		if !ok {
			return nil
		}
		_, safeA := a.(markup)
		_, safeB := b.(markup)
		if safeA || safeB {
			s, t = escape(a), escape(b)
		}
		r.made(len(s) + len(t))
		return r.marked(safeA || safeB, s+t)
	}
	switch x := a.(type) {
	case List:
		if y, ok := b.(List); ok {
			r.spend(len(x) + len(y))
			return slices.Concat(x, y)
		}
	case tuple:
		if y, ok := b.(tuple); ok {
			r.spend(len(x) + len(y))
			return slices.Concat(x, y)
		}
	}
	return nil
}

// repeat is a sequence times an integer, nil for other values.
func (r *run) repeat(seq, times Value) Value {
	n, ok := small(times)
	if b, big := times.(bigInt); big {
		n, ok = int64(r.options.OutputBytes)*2, true
		if b.Sign() < 0 {
			n = 0
		}
	}
	if !ok {
		return nil
	}
	n = min(max(n, 0), 1<<40)
	if s, ok := stringOf(seq); ok {
		r.madeTimes(int(n), len(s))
		if s == "" {
			n = 0
		}
		_, safe := seq.(markup)
		return r.marked(safe, strings.Repeat(s, int(n)))
	}
	switch x := seq.(type) {
	case List:
		return List(r.repeatSlice(x, int(n)))
	case tuple:
		return tuple(r.repeatSlice(x, int(n)))
	}
	return nil
}

func (r *run) repeatSlice(x []Value, n int) []Value {
	if len(x) == 0 {
		return nil
	}
	r.madeTimes(n, len(x)*32)
	return slices.Repeat(x, n)
}

type signExpr struct {
	line int
	op   string
	e    expr
}

func (e *signExpr) eval(r *run) Value {
	v := r.eval(e.e)
	r.line = e.line
	r.undefinedFails(v)
	if f, ok := v.(Float); ok {
		if e.op == "-" {
			return -f
		}
		return f
	}
	if !isNumber(v) {
		r.fail("bad operand type for unary %s: '%s'", e.op, v.typeName())
	}
	if e.op == "-" {
		return r.arithmetic("-", Int(0), v)
	}
	return r.arithmetic("+", Int(0), v)
}

type tupleExpr []expr

func (e tupleExpr) eval(r *run) Value { return tuple(r.evalAll(e)) }

type listExpr []expr

func (e listExpr) eval(r *run) Value { return List(r.evalAll(e)) }

func (r *run) evalAll(list []expr) []Value {
	out := make([]Value, len(list))
	for i, e := range list {
		out[i] = r.eval(e)
	}
	return out
}

type dictExpr struct {
	line         int
	keys, values []expr
}

func (e *dictExpr) eval(r *run) Value {
	m := NewMap()
	for i := range e.keys {
		key := r.eval(e.keys[i])
		v := r.eval(e.values[i])
		r.put(m, key, v)
	}
	return m
}

func (r *run) put(m *Map, key, v Value) {
	k, ok := keyOf(key)
	if !ok {
		r.fail("unhashable type: '%s'", key.typeName())
	}
	m.put(k, key, v)
}

type attrExpr struct {
	line int
	of   expr
	name string
}

func (e *attrExpr) eval(r *run) Value {
	v := r.eval(e.of)
	r.line = e.line
	return r.attr(v, e.name)
}

type itemExpr struct {
	line int
	of   expr
	key  expr
}

func (e *itemExpr) eval(r *run) Value {
	v, key := r.eval(e.of), r.eval(e.key)
	r.line = e.line
	return r.item(v, key)
}

type sliceExpr struct {
	line   int
	of     expr
	bounds [3]expr // start, stop, step; nil where it is not given
}

func (e *sliceExpr) eval(r *run) Value {
	v := r.eval(e.of)
	var b [3]Value
	for i, bound := range e.bounds {
		b[i] = None{}
		if bound != nil {
			b[i] = r.eval(bound)
		}
	}
	r.line = e.line
	return r.slice(v, b)
}

// argList is the arguments of a call as they are written; args is what they are when it is made.
type argList struct {
	plain          []expr
	names          []string
	named          []expr
	star, starStar expr
}

type args struct {
	plain []Value
	names []string
	named []Value
}

func (r *run) arguments(l *argList) args {
	a := args{r.evalAll(l.plain), l.names, r.evalAll(l.named)}
	if l.star != nil {
		a.plain = append(a.plain, r.list(r.eval(l.star))...)
	}
	if l.starStar == nil {
		return a
	}
	m, ok := r.eval(l.starStar).(*Map)
	if !ok {
		r.fail("argument after ** must be a mapping")
	}
	a.names = slices.Clone(a.names)
	for i, key := range m.keys {
		name, ok := stringOf(key)
		if !ok {
			r.fail("keywords must be strings")
		}
		if slices.Contains(a.names, name) {
			r.fail("got multiple values for keyword argument '%s'", name)
		}
		a.names, a.named = append(a.names, name), append(a.named, m.values[i])
	}
	return a
}

// bind puts arguments in the order of a function's parameters; what is not given is nil.
func (a args) bind(r *run, fn string, params ...string) []Value {
	if len(a.plain) > len(params) {
		r.fail("%s() takes at most %d arguments, %d were given", fn, len(params), len(a.plain))
	}
	out := make([]Value, len(params))
	copy(out, a.plain)
	for i, name := range a.names {
		at := slices.Index(params, name)
		if at < 0 {
			r.fail("%s() got an unexpected keyword argument '%s'", fn, name)
		}
		if out[at] != nil {
			r.fail("%s() got multiple values for argument '%s'", fn, name)
		}
		out[at] = a.named[i]
	}
	return out
}

// or is v, or what stands for it where it was not given.
func or(v, otherwise Value) Value {
	if v == nil {
		return otherwise
	}
	return v
}

// yes reports whether a switch was given and is true.
func yes(v Value) bool { return v != nil && truth(v) }

type callExpr struct {
	line int
	fn   expr
	args *argList
}

func (e *callExpr) eval(r *run) Value {
	fn := r.eval(e.fn)
	a := r.arguments(e.args)
	r.line = e.line
	return r.call(fn, a)
}

type filterExpr struct {
	line int
	of   expr
	name string
	fn   filter // nil: there is none of that name
	args *argList
}

func (e *filterExpr) eval(r *run) Value {
	v := r.eval(e.of)
	a := r.arguments(e.args)
	r.line = e.line
	if e.fn == nil {
		r.fail("no filter named '%s'", e.name)
	}
	return e.fn(r, v, a)
}

type testExpr struct {
	line int
	of   expr
	name string
	fn   test
	args *argList
}

func (e *testExpr) eval(r *run) Value {
	v := r.eval(e.of)
	a := r.arguments(e.args)
	r.line = e.line
	if e.fn == nil {
		r.fail("no test named '%s'", e.name)
	}
	return Bool(e.fn(r, v, a))
}

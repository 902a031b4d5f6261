package jinja

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// macroDef is a macro as it is written, or the body of a call block (which has no name).
type macroDef struct {
	name     string
	line     int
	params   []string
	defaults []expr // of the last parameters
	body     []stmt

	caller, varargs, kwargs bool // the body names them, so calls may give them
}

// macro is a macro where it was met: it sees the names around its definition, as they are when it
// is called.
type macro struct {
	def   *macroDef
	scope *scope
}

func (*macro) typeName() string { return "Macro" }

// function is a global function.
type function struct {
	name string
	call func(r *run, a args) Value
}

func (*function) typeName() string { return "function" }

// bound is a method of a value.
type bound struct {
	of   Value
	name string
	fn   method
}

func (*bound) typeName() string { return "builtin_function_or_method" }

// namespace is the one kind of value that a template can change.
type namespace struct{ attrs *Map }

func (*namespace) typeName() string { return "Namespace" }

func (n *namespace) set(r *run, name string, v Value) {
	if strings.HasPrefix(name, "_") {
		r.fail("chat templates cannot store underscore-prefixed attributes on a namespace, but got '%s'", name)
	}
	n.attrs.Set(name, v)
}

func (r *run) call(fn Value, a args) Value {
	r.spend(1)
	switch fn := fn.(type) {
	case *macro:
		return fn.call(r, a)
	case *function:
		return fn.call(r, a)
	case *bound:
		return fn.fn(r, fn.of, a)
	case *loop:
		return fn.recurse(r, a)
	}
	r.undefinedFails(fn)
	r.fail("'%s' object is not callable", fn.typeName())
	return nil
}

func (m *macro) call(r *run, a args) Value {
	defer r.deeper()()
	d := m.def
	s := &scope{parent: m.scope}
	used := make([]bool, len(a.names))
	take := func(name string) Value {
		if i := slices.Index(a.names, name); i >= 0 && !used[i] {
			used[i] = true
			return a.named[i]
		}
		return nil
	}
	values := make([]Value, len(d.params))
	copy(values, a.plain)
	for i := len(a.plain); i < len(values); i++ {
		values[i] = take(d.params[i])
	}
	if d.caller && !slices.Contains(d.params, "caller") {
		s.set("caller", or(take("caller"), &undefined{hint: "No caller defined"}))
	}
	m.rest(r, s, a, used)
	var text string
	line := r.line
	r.within(s, func() {
		for i, name := range d.params {
			if values[i] == nil {
				if at := i - (len(d.params) - len(d.defaults)); at >= 0 {
					values[i] = r.eval(d.defaults[at])
				} else {
					values[i] = &undefined{hint: "parameter '" + name + "' was not provided"}
				}
			}
			s.set(name, values[i])
		}
		text = r.capture(func() { r.block(d.body) })
	})
	r.line = line
	return String(text)
}

// rest handles the arguments that no parameter took.
func (m *macro) rest(r *run, s *scope, a args, used []bool) {
	d := m.def
	kwargs := NewMap()
	for i, name := range a.names {
		if used[i] {
			continue
		}
		if !d.kwargs {
			r.fail("macro '%s' takes no keyword argument '%s'", d.name, name)
		}
		kwargs.Set(name, a.named[i])
	}
	if d.kwargs {
		s.set("kwargs", kwargs)
	}
	extra := a.plain[min(len(a.plain), len(d.params)):]
	if d.varargs {
		s.set("varargs", tuple(extra))
	} else if len(extra) > 0 {
		r.fail("macro '%s' takes not more than %d argument(s)", d.name, len(d.params))
	}
}

// loop is the variable of that name: a walk under way. It reads ahead only when it is asked for what
// comes, as Jinja does.
type loop struct {
	stmt           *forStmt
	outer          *scope
	source         source
	size           int // -1: not known yet
	depth0, index0 int
	before         Value
	current        Value
	ahead          []Value // read and not yet walked over
	changedFrom    Value
}

func (*loop) typeName() string { return "LoopContext" }

func (l *loop) advance(r *run) bool {
	v, ok := l.peek(r)
	if !ok {
		return false
	}
	l.ahead = l.ahead[1:]
	l.index0++
	l.before, l.current = l.current, v
	return true
}

func (l *loop) peek(r *run) (Value, bool) {
	if len(l.ahead) == 0 {
		v, ok := l.source(r)
		if !ok {
			return nil, false
		}
		l.ahead = append(l.ahead, v)
	}
	return l.ahead[0], true
}

func (l *loop) length(r *run) int {
	if l.size < 0 {
		for {
			v, ok := l.source(r)
			if !ok {
				break
			}
			l.ahead = append(l.ahead, v)
		}
		l.size = l.index0 + 1 + len(l.ahead)
	}
	return l.size
}

// filtered is the source with the loop's own condition, tested when the walk gets there.
func (l *loop) filtered(_ *run, from source) source {
	return func(r *run) (Value, bool) {
		for {
			v, ok := from(r)
			if !ok {
				return nil, false
			}
			keep := false
			r.within(&scope{parent: l.outer}, func() {
				l.stmt.target.assign(r, v)
				keep = truth(r.eval(l.stmt.test))
			})
			if keep {
				return v, true
			}
		}
	}
}

func (l *loop) recurse(r *run, a args) Value {
	over := a.bind(r, "loop", "iterable")[0]
	if !l.stmt.recursive || over == nil {
		r.fail("the loop must have the 'recursive' marker to be called recursively, with one iterable")
	}
	return String(r.capture(func() { l.stmt.run(r, over, l.outer, l.depth0+1) }))
}

func (l *loop) attr(r *run, name string) Value {
	switch name {
	case "index":
		return Int(l.index0 + 1)
	case "index0":
		return Int(l.index0)
	case "revindex":
		return Int(l.length(r) - l.index0)
	case "revindex0":
		return Int(l.length(r) - l.index0 - 1)
	case "first":
		return Bool(l.index0 == 0)
	case "last":
		_, more := l.peek(r)
		return Bool(!more)
	case "length":
		return Int(l.length(r))
	case "depth":
		return Int(l.depth0 + 1)
	case "depth0":
		return Int(l.depth0)
	case "previtem":
		if l.index0 == 0 {
			return &undefined{hint: "there is no previous item"}
		}
		return l.before
	case "nextitem":
		if v, more := l.peek(r); more {
			return v
		}
		return &undefined{hint: "there is no next item"}
	case "cycle":
		return &function{name, l.cycle}
	case "changed":
		return &function{name, l.changed}
	}
	return nil
}

func (l *loop) cycle(r *run, a args) Value {
	if len(a.plain) == 0 {
		r.fail("no items for cycling given")
	}
	return a.plain[l.index0%len(a.plain)]
}

func (l *loop) changed(r *run, a args) Value {
	now := tuple(a.plain)
	if l.changedFrom != nil && r.equal(l.changedFrom, now) {
		return Bool(false)
	}
	l.changedFrom = now
	return Bool(true)
}

// globalNamed finds a global function, nil if there is none of that name.
func globalNamed(name string) Value {
	var f func(r *run, a args) Value
	switch name {
	case "range":
		f = rangeOf
	case "dict":
		f = dictOf
	case "namespace":
		f = namespaceOf
	case "raise_exception":
		f = func(r *run, a args) Value {
			r.raised(r.str(or(a.bind(r, name, "message")[0], None{})))
			return nil
		}
	case "strftime_now":
		f = func(r *run, a args) Value {
			format, ok := stringOf(or(a.bind(r, name, "format")[0], None{}))
			if !ok {
				r.fail("strftime_now() takes a text")
			}
			return r.text(r.strftime(format))
		}
	case "joiner":
		f = joinerOf
	case "cycler":
		f = func(r *run, _ args) Value {
			r.fail("cycler is not supported: use loop.cycle")
			return nil
		}
	default:
		return nil
	}
	return &function{name, f}
}

// maxRange is the longest range that Jinja's sandbox makes.
const maxRange = 100_000

func rangeOf(r *run, a args) Value {
	if len(a.plain) == 0 || len(a.plain) > 3 || len(a.names) > 0 {
		r.fail("range expected 1 to 3 arguments, got %d", len(a.plain))
	}
	s := span{step: 1}
	n := make([]int64, len(a.plain))
	for i, v := range a.plain {
		n[i] = int64(r.int(v, "an argument of range"))
		if n[i] > 1<<40 || n[i] < -1<<40 {
			r.fail("range too big. The sandbox blocks ranges larger than %d", maxRange)
		}
	}
	switch len(n) {
	case 1:
		s.stop = n[0]
	case 2:
		s.start, s.stop = n[0], n[1]
	case 3:
		s = span{n[0], n[1], n[2]}
	}
	if s.step == 0 {
		r.fail("range() arg 3 must not be zero")
	}
	if s.len() > maxRange {
		r.fail("range too big. The sandbox blocks ranges larger than %d", maxRange)
	}
	return s
}

// dictOf is Python's dict(mapping or pairs, **names).
func dictOf(r *run, a args) Value {
	if len(a.plain) > 1 {
		r.fail("dict expected at most 1 argument, got %d", len(a.plain))
	}
	out := NewMap()
	if len(a.plain) == 1 {
		if m, ok := a.plain[0].(*Map); ok {
			r.spend(len(m.keys))
			for i, key := range m.keys {
				r.put(out, key, m.values[i])
			}
		} else {
			for _, pair := range r.list(a.plain[0]) {
				kv := r.list(pair)
				if len(kv) != 2 {
					r.fail("dictionary update sequence element has length %d; 2 is required", len(kv))
				}
				r.put(out, kv[0], kv[1])
			}
		}
	}
	for i, name := range a.names {
		out.Set(name, a.named[i])
	}
	return out
}

func namespaceOf(r *run, a args) Value {
	n := &namespace{NewMap()}
	m := dictOf(r, a).(*Map)
	for i, key := range m.keys {
		if name, ok := stringOf(key); ok {
			n.set(r, name, m.values[i])
		}
	}
	return n
}

func joinerOf(r *run, a args) Value {
	sep := or(a.bind(r, "joiner", "sep")[0], String(", "))
	used := false
	return &function{"joiner", func(*run, args) Value {
		if used {
			return sep
		}
		used = true
		return String("")
	}}
}

// method is a method of a value.
type method func(r *run, self Value, a args) Value

// builtin is what Python has behind v's dot, nil if there is nothing of that name. What would change
// v can be named, and fails when it is called.
func (r *run) builtin(v Value, name string) Value {
	var table map[string]method
	switch v := v.(type) {
	case String, markup:
		if name == "format" { // not in the table: it looks attributes up itself
			return &bound{v, name, formatMethod}
		}
		table = strMethods
	case *Map:
		table = mapMethods
	case List:
		table = listMethods
	case tuple, span:
		table = tupleMethods
	case *namespace:
		if a, ok := v.attrs.Get(name); ok {
			return a
		}
		return nil
	case *loop:
		return v.attr(r, name)
	case *macro:
		switch name {
		case "name":
			return String(v.def.name)
		case "caller":
			return Bool(v.def.caller)
		}
		return nil
	case Int, Bool, bigInt, Float:
		return numberAttr(v, name)
	}
	if fn := table[name]; fn != nil {
		return &bound{v, name, fn}
	}
	if changes := table["!"]; changes != nil && isMutator(v, name) {
		return &undefined{hint: "access to attribute '" + name + "' of '" + v.typeName() + "' object is unsafe."}
	}
	return nil
}

func isMutator(v Value, name string) bool {
	if isA[*Map](v) {
		return slices.Contains([]string{"clear", "pop", "popitem", "setdefault", "update"}, name)
	}
	return slices.Contains([]string{"append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove"}, name)
}

func numberAttr(v Value, name string) Value {
	switch name {
	case "real":
		return v
	case "imag":
		if isA[Float](v) {
			return Float(0)
		}
		return Int(0)
	case "is_integer":
		if f, ok := v.(Float); ok {
			return &bound{v, name, func(*run, Value, args) Value { return Bool(floatIsInteger(float64(f))) }}
		}
	case "bit_length":
		if n := integer(v); n != nil {
			return &bound{v, name, func(*run, Value, args) Value { return Int(n.BitLen()) }}
		}
	}
	return nil
}

// mutates marks a table whose type has methods that change it.
func mutates(r *run, _ Value, _ args) Value { return None{} }

var mapMethods = map[string]method{
	"!": mutates,
	"get": func(r *run, self Value, a args) Value {
		r.noNames("get", a)
		got := a.bind(r, "get", "key", "default")
		r.reads(got[0])
		k, ok := keyOf(or(got[0], None{}))
		if !ok {
			r.fail("unhashable type: '%s'", got[0].typeName())
		}
		if got[0] == nil {
			r.fail("get expected at least 1 argument, got 0")
		}
		if v, ok := self.(*Map).get(k); ok {
			return v
		}
		return or(got[1], None{})
	},
	"items":  func(r *run, self Value, a args) Value { a.bind(r, "items"); return &view{self.(*Map), "items"} },
	"keys":   func(r *run, self Value, a args) Value { a.bind(r, "keys"); return &view{self.(*Map), "keys"} },
	"values": func(r *run, self Value, a args) Value { a.bind(r, "values"); return &view{self.(*Map), "values"} },
	"copy": func(r *run, self Value, a args) Value {
		a.bind(r, "copy")
		return dictOf(r, args{plain: []Value{self}})
	},
}

var listMethods = map[string]method{
	"!": mutates, "index": indexOf, "count": countOf,
	"copy": func(r *run, self Value, a args) Value {
		a.bind(r, "copy")
		return List(slices.Clone(r.list(self)))
	},
}

var tupleMethods = map[string]method{"index": indexOf, "count": countOf}

func indexOf(r *run, self Value, a args) Value {
	r.noNames("index", a)
	got := a.bind(r, "index", "value", "start", "stop")
	all := r.list(self)
	start, stop, _, _ := r.indices(len(all), [3]Value{or(got[1], None{}), or(got[2], None{}), None{}})
	for i := start; i < stop; i++ {
		if r.equal(all[i], or(got[0], None{})) {
			return Int(i)
		}
	}
	r.fail("%s is not in list", r.reprText(or(got[0], None{})))
	return nil
}

func countOf(r *run, self Value, a args) Value {
	r.noNames("count", a)
	want := or(a.bind(r, "count", "value")[0], None{})
	n := 0
	for _, v := range r.list(self) {
		if r.equal(v, want) {
			n++
		}
	}
	return Int(n)
}

// noNames refuses keyword arguments, as Python's built-in methods do.
func (r *run) noNames(fn string, a args) {
	if len(a.names) > 0 {
		r.fail("%s() takes no keyword arguments", fn)
	}
}

// strftime writes the clock's time in C's conversions, in the C locale.
func (r *run) strftime(format string) string {
	t := r.options.Now()
	_, isoWeek := t.ISOWeek()
	isoYear, _ := t.ISOWeek()
	sundays := (t.YearDay() + 6 - int(t.Weekday())) / 7
	mondays := (t.YearDay() + 6 - (int(t.Weekday())+6)%7) / 7
	layouts := map[byte]string{
		'a': "Mon", 'A': "Monday", 'b': "Jan", 'h': "Jan", 'B': "January", 'c': "Mon Jan _2 15:04:05 2006", 'd': "02",
		'D': "01/02/06", 'e': "_2", 'F': "2006-01-02", 'H': "15", 'I': "03", 'j': "002", 'm': "01", 'M': "04", 'p': "PM",
		'r': "03:04:05 PM", 'R': "15:04", 'S': "05", 'T': "15:04:05", 'x': "01/02/06", 'X': "15:04:05", 'y': "06", 'Y': "2006",
	}
	numbers := map[byte]string{
		'C': fmt.Sprintf("%02d", t.Year()/100), 'f': fmt.Sprintf("%06d", t.Nanosecond()/1000), 'G': strconv.Itoa(isoYear),
		'k': fmt.Sprintf("%2d", t.Hour()), 'l': fmt.Sprintf("%2d", (t.Hour()+11)%12+1), 'n': "\n", 't': "\t", '%': "%",
		's': strconv.FormatInt(t.Unix(), 10), 'u': strconv.Itoa((int(t.Weekday())+6)%7 + 1), 'w': strconv.Itoa(int(t.Weekday())),
		'U': fmt.Sprintf("%02d", sundays), 'W': fmt.Sprintf("%02d", mondays), 'V': fmt.Sprintf("%02d", isoWeek),
		'z': "", 'Z': "", // as for Python's times without a zone
	}
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		c := format[i]
		if c != '%' || i+1 == len(format) {
			b.WriteByte(c)
			continue
		}
		i++
		bare := format[i] == '-' && i+1 < len(format) // %-d: without the leading zero
		if bare {
			i++
		}
		text, ok := numbers[format[i]]
		if layout, found := layouts[format[i]]; found {
			text, ok = t.Format(layout), true
		}
		if !ok {
			r.fail("strftime_now: the conversion %%%c is not supported", format[i])
		}
		if bare {
			text = strings.TrimLeft(text[:len(text)-1], "0 ") + text[len(text)-1:]
		}
		b.WriteString(text)
	}
	return b.String()
}

package jinja

import (
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Filters over sequences, and the tests behind the word is.

func ignoreCase(v Value) Value {
	if s, ok := stringOf(v); ok {
		return String(lower(s))
	}
	return v
}

// getter gives a function that follows an attribute like "a.b.0"; nil or none gives the item itself.
func (r *run) getter(attribute, otherwise Value, fold bool) func(*run, Value) Value {
	var path []Value
	switch a := or(attribute, None{}).(type) {
	case None:
	case String:
		for _, part := range strings.Split(string(a), ".") {
			if n, err := strconv.Atoi(part); err == nil && strings.Trim(part, "0123456789") == "" {
				path = append(path, Int(n))
			} else {
				path = append(path, String(part))
			}
		}
	default:
		path = []Value{a}
	}
	return func(r *run, v Value) Value {
		for _, part := range path {
			v = r.item(v, part)
			if _, missing := v.(*undefined); missing && otherwise != nil && otherwise != (None{}) {
				v = otherwise
			}
		}
		if fold {
			v = ignoreCase(v)
		}
		return v
	}
}

func first(r *run, v Value, a args) Value {
	a.bind(r, "first")
	next, _ := r.iterate(v)
	if e, ok := next(r); ok {
		return e
	}
	return &undefined{hint: "No first item, sequence was empty."}
}

func last(r *run, v Value, a args) Value {
	a.bind(r, "last")
	switch v.(type) {
	case *iterator:
		r.fail("'generator' object is not reversible")
	case String, markup:
		if e := r.character(v, -1); e != nil {
			return e
		}
	default:
		if all := r.list(v); len(all) > 0 {
			return all[len(all)-1]
		}
	}
	return &undefined{hint: "No last item, sequence was empty."}
}

func reverse(r *run, v Value, a args) Value {
	a.bind(r, "reverse")
	if s, ok := stringOf(v); ok {
		r.spend(len(s) >> 3)
		c := []rune(s)
		slices.Reverse(c)
		_, safe := v.(markup)
		return r.marked(safe, string(c))
	}
	all := slices.Clone(r.list(v))
	r.spend(len(all))
	slices.Reverse(all)
	if _, once := v.(*iterator); once {
		return List(all)
	}
	return walked("list_reverseiterator", all)
}

// walked is an iterator over values that are there already.
func walked(name string, all []Value) *iterator {
	return &iterator{name: name, next: func(r *run) (Value, bool) {
		if len(all) == 0 {
			return nil, false
		}
		r.spend(1)
		v := all[0]
		all = all[1:]
		return v, true
	}}
}

func items(r *run, v Value, a args) Value {
	a.bind(r, "items")
	switch v := v.(type) {
	case *undefined:
		return walked("generator", nil)
	case *Map:
		next, _ := r.iterate(&view{v, "items"})
		return &iterator{name: "generator", next: next}
	}
	return failing("Can only get item pairs from a mapping.")
}

// failing is an iterator whose first step is an error, as in Python's generators.
func failing(message string) *iterator {
	return &iterator{name: "generator", next: func(r *run) (Value, bool) {
		r.fail("%s", message)
		return nil, false
	}}
}

func joinFilter(r *run, v Value, a args) Value {
	got := a.bind(r, "join", "d", "attribute")
	sep := r.str(or(got[0], String("")))
	get := r.getter(got[1], nil, false)
	next, _ := r.iterate(v)
	var b strings.Builder
	for n := 0; ; n++ {
		e, ok := next(r)
		if !ok {
			return r.text(b.String())
		}
		if n > 0 {
			b.WriteString(sep)
		}
		b.WriteString(r.str(get(r, e)))
		if b.Len() > r.options.OutputBytes {
			r.tooLong(b.Len())
		}
	}
}

func dictsort(r *run, v Value, a args) Value {
	got := a.bind(r, "dictsort", "case_sensitive", "by", "reverse")
	by, _ := stringOf(or(got[1], String("key")))
	if by != "key" && by != "value" {
		r.fail(`You can only sort by either "key" or "value"`)
	}
	m, ok := v.(*Map)
	if !ok {
		r.undefinedFails(v)
		r.fail("'%s' object has no attribute 'items'", v.typeName())
	}
	at := 0
	if by == "value" {
		at = 1
	}
	return List(r.sorted((&view{m, "items"}).list(), yes(got[2]), func(r *run, v Value) Value {
		if key := v.(tuple)[at]; yes(got[0]) {
			return key
		} else {
			return ignoreCase(key)
		}
	}))
}

func sortFilter(r *run, v Value, a args) Value {
	got := a.bind(r, "sort", "reverse", "case_sensitive", "attribute")
	fold := !yes(got[1])
	gets := []func(*run, Value) Value{r.getter(got[2], nil, fold)}
	if s, ok := stringOf(or(got[2], None{})); ok {
		gets = gets[:0]
		for _, part := range strings.Split(s, ",") {
			gets = append(gets, r.getter(String(part), nil, fold))
		}
	}
	return List(r.sorted(r.list(v), yes(got[0]), func(r *run, v Value) Value {
		keys := make(List, len(gets))
		for i, get := range gets {
			keys[i] = get(r, v)
		}
		return keys
	}))
}

// sorted is Python's stable sort by a key; reverse keeps the order of equals too.
func (r *run) sorted(values []Value, reverse bool, key func(*run, Value) Value) []Value {
	type keyed struct{ key, v Value }
	r.spend(len(values))
	all := make([]keyed, len(values))
	for i, v := range values {
		all[i] = keyed{key(r, v), v}
	}
	slices.SortStableFunc(all, func(a, b keyed) int {
		if reverse {
			return r.order(b.key, a.key)
		}
		return r.order(a.key, b.key)
	})
	out := make([]Value, len(all))
	for i := range all {
		out[i] = all[i].v
	}
	return out
}

func unique(r *run, v Value, a args) Value {
	got := a.bind(r, "unique", "case_sensitive", "attribute")
	get := r.getter(got[1], nil, !yes(got[0]))
	seen := NewMap()
	next, _ := r.iterate(v)
	return &iterator{name: "generator", next: func(r *run) (Value, bool) {
		for {
			e, ok := next(r)
			if !ok {
				return nil, false
			}
			before := len(seen.keys)
			r.put(seen, get(r, e), None{})
			if len(seen.keys) > before {
				return e, true
			}
		}
	}}
}

func extreme(name string) filter {
	return func(r *run, v Value, a args) Value {
		got := a.bind(r, name, "case_sensitive", "attribute")
		get := r.getter(got[1], nil, !yes(got[0]))
		var best, bestKey Value
		next, _ := r.iterate(v)
		for {
			e, ok := next(r)
			if !ok {
				break
			}
			key := get(r, e)
			if best == nil || name == "max" && r.less(bestKey, key, ">") || name == "min" && r.less(key, bestKey, "<") {
				best, bestKey = e, key
			}
		}
		return or(best, &undefined{hint: "No aggregated item, sequence was empty."})
	}
}

func sum(r *run, v Value, a args) Value {
	got := a.bind(r, "sum", "attribute", "start")
	total := or(got[1], Int(0))
	if _, ok := stringOf(total); ok {
		r.fail("sum() can't sum strings [use ''.join(seq) instead]")
	}
	get := r.getter(got[0], nil, false)
	next, _ := r.iterate(v)
	for {
		e, ok := next(r)
		if !ok {
			return total
		}
		total = r.binary("+", total, get(r, e))
	}
}

func mapFilter(r *run, v Value, a args) Value {
	if !truth(v) {
		return walked("generator", nil)
	}
	var f func(*run, Value) Value
	if len(a.plain) == 0 {
		got := a.bind(r, "map", "attribute", "default")
		if got[0] == nil {
			return failing("map requires a filter argument")
		}
		f = r.getter(got[0], got[1], false)
	} else {
		name, _ := stringOf(a.plain[0])
		fn := filterNamed(name)
		if fn == nil {
			return failing("no filter named '" + name + "'")
		}
		rest := args{a.plain[1:], a.names, a.named}
		f = func(r *run, v Value) Value { return fn(r, v, rest) }
	}
	next, _ := r.iterate(v)
	return &iterator{name: "generator", next: func(r *run) (Value, bool) {
		e, ok := next(r)
		if !ok {
			return nil, false
		}
		return f(r, e), true
	}}
}

// selection is select, reject and their attr forms.
func selection(keep, attribute bool) filter {
	return func(r *run, v Value, a args) Value {
		if !truth(v) {
			return walked("generator", nil)
		}
		get := func(_ *run, v Value) Value { return v }
		if attribute {
			if len(a.plain) == 0 {
				return failing("Missing parameter for attribute name")
			}
			get = r.getter(a.plain[0], nil, false)
			a.plain = a.plain[1:]
		}
		check := func(_ *run, v Value, _ args) bool { return truth(v) }
		if len(a.plain) > 0 {
			name, _ := stringOf(a.plain[0])
			if check = testNamed(name); check == nil {
				return failing("no test named '" + name + "'")
			}
			a.plain = a.plain[1:]
		}
		next, _ := r.iterate(v)
		return &iterator{name: "generator", next: func(r *run) (Value, bool) {
			for {
				e, ok := next(r)
				if !ok || check(r, get(r, e), a) == keep {
					return e, ok
				}
			}
		}}
	}
}

func batch(r *run, v Value, a args) Value {
	got := a.bind(r, "batch", "linecount", "fill_with")
	n := r.int(or(got[0], None{}), "linecount")
	if n < 1 || n > maxRange {
		r.fail("batch: a count of %d is not supported, 1 to %d are", n, maxRange)
	}
	var out []Value
	for part := range slices.Chunk(r.list(v), n) {
		part = slices.Clone(part)
		if _, none := or(got[1], None{}).(None); !none {
			r.spend(n - len(part))
			for len(part) < n {
				part = append(part, got[1])
			}
		}
		out = append(out, List(part))
	}
	return walked("generator", out)
}

// test is what stands behind the word is.
type test func(r *run, v Value, a args) bool

// testNamed finds a test, nil if there is none of that name.
func testNamed(name string) test {
	if t := typeTest(name); t != nil {
		return func(r *run, v Value, a args) bool { a.bind(r, name); return t(v) }
	}
	if op, ok := comparisonTests[name]; ok {
		return func(r *run, v Value, a args) bool { return r.compare(op, v, other(r, name, a)) }
	}
	switch name {
	case "odd", "even":
		return func(r *run, v Value, a args) bool {
			a.bind(r, name)
			return r.equal(r.binary("%", v, Int(2)), Bool(name == "odd"))
		}
	case "divisibleby":
		return func(r *run, v Value, a args) bool { return r.equal(r.binary("%", v, other(r, name, a)), Int(0)) }
	case "sameas":
		return func(r *run, v Value, a args) bool { return same(r, v, other(r, name, a)) }
	case "lower", "upper":
		return func(r *run, v Value, a args) bool {
			a.bind(r, name)
			r.reads(v)
			return cased(r.str(v), name == "upper")
		}
	case "filter", "test":
		return func(r *run, v Value, a args) bool {
			a.bind(r, name)
			s, _ := stringOf(v)
			return name == "filter" && filterNamed(s) != nil || name == "test" && testNamed(s) != nil
		}
	}
	return nil
}

var comparisonTests = map[string]string{
	"==": "==", "eq": "==", "equalto": "==", "!=": "!=", "ne": "!=", "<": "<", "lt": "<", "lessthan": "<",
	"<=": "<=", "le": "<=", ">": ">", "gt": ">", "greaterthan": ">", ">=": ">=", "ge": ">=", "in": "in",
}

func other(r *run, name string, a args) Value {
	v := a.bind(r, name, "other")[0]
	if v == nil {
		r.fail("the test '%s' needs a value to compare with", name)
	}
	return v
}

// same is Python's is, for the values where it is certain.
func same(r *run, a, b Value) bool {
	if a.typeName() != b.typeName() {
		return false
	}
	switch a := a.(type) {
	case List:
		b := b.(List)
		return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
	case *Map:
		return a == b.(*Map)
	}
	return r.equal(a, b)
}

// typeTest finds the tests that look at a value alone.
func typeTest(name string) func(Value) bool {
	switch name {
	case "defined":
		return func(v Value) bool { return !isA[*undefined](v) }
	case "undefined":
		return isA[*undefined]
	case "none":
		return isA[None]
	case "boolean":
		return isA[Bool]
	case "true":
		return func(v Value) bool { return v == Value(Bool(true)) }
	case "false":
		return func(v Value) bool { return v == Value(Bool(false)) }
	case "integer":
		return func(v Value) bool { return isA[Int](v) || isA[bigInt](v) }
	case "float":
		return isA[Float]
	case "number":
		return isNumber
	case "string":
		return func(v Value) bool { _, ok := stringOf(v); return ok }
	case "mapping":
		return isA[*Map]
	case "sequence":
		return func(v Value) bool {
			_, ok := length(v)
			return ok && !isA[*view](v)
		}
	case "iterable":
		return func(v Value) bool {
			_, ok := length(v)
			return ok || isA[*iterator](v) || isA[*loop](v)
		}
	case "callable":
		return func(v Value) bool {
			return isA[*macro](v) || isA[*function](v) || isA[*bound](v) || isA[*loop](v) || isA[*undefined](v)
		}
	case "escaped":
		return isA[markup]
	}
	return nil
}

func isA[T Value](v Value) bool { _, ok := v.(T); return ok }

// cased is Python's isupper or islower: some letter has a case, and all that do have this one.
func cased(s string, wantUpper bool) bool {
	some := false
	for _, c := range s {
		switch {
		case unicode.IsTitle(c), unicode.IsUpper(c) && !wantUpper, unicode.IsLower(c) && wantUpper:
			return false
		case unicode.IsUpper(c), unicode.IsLower(c), unicode.Is(unicode.Other_Lowercase, c), unicode.Is(unicode.Other_Uppercase, c):
			some = true
		}
	}
	return some
}

// roundTo is Python's round(v, digits): to the nearest, halves to the even neighbour.
func (r *run) roundTo(v Value, digits int) Value {
	if f, ok := v.(Float); ok {
		return Float(roundFloat(float64(f), digits))
	}
	n, unit := integer(v), new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(-digits)), nil)
	q, m := new(big.Int).DivMod(n, unit, new(big.Int))
	twice := new(big.Int).Lsh(m, 1).Cmp(unit)
	if twice > 0 || twice == 0 && q.Bit(0) == 1 {
		q.Add(q, big.NewInt(1))
	}
	return shrink(q.Mul(q, unit))
}

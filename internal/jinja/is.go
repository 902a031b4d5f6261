package jinja

import (
	"math/big"
	"unicode"
)

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

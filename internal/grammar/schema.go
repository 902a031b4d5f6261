package grammar

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/galerne-ai/galerne/internal/fault"
	"github.com/galerne-ai/galerne/internal/grammar/regex"
)

// typeSet is a set of JSON types. Integers and other numbers are apart, so that every schema's types,
// and their complement, are a set.
type typeSet uint8

const (
	typeNull typeSet = 1 << iota
	typeBool
	typeInteger
	typeFraction
	typeString
	typeArray
	typeObject

	typeNumber = typeInteger | typeFraction
	typeAny    = 1<<7 - 1
)

var typeNames = map[string]typeSet{
	"null": typeNull, "boolean": typeBool, "integer": typeInteger, "number": typeNumber,
	"string": typeString, "array": typeArray, "object": typeObject,
}

// schema is one JSON Schema object, its keywords read. Those that apply other schemas to the same
// value stay apart (all, groups, nots), so that merging schemas is putting them in one list.
type schema struct {
	id    int    // tells schemas apart
	at    string // JSON pointer
	never bool   // the schema false
	made  bool   // by us, not by the user: a negation

	types     typeSet
	enum      []value
	hasEnum   bool
	excluded  []value
	low, high *bound
	divisors  []keyed[decimal]
	odd       []keyed[decimal] // numbers that must not divide

	minLen, maxLen int32
	texts          []textRule

	prefix             []*schema
	items              *schema
	minItems, maxItems int32
	contains           []contained
	unique             bool
	uniqueAt           string

	props              []property
	lists              bool // there is a properties keyword
	patterns           []patternProperty
	additional         *schema
	required           []string
	names              []*schema
	minProps, maxProps int32
	some               []someProperty

	all         []*schema
	groups      []group
	nots        []keyed[*schema]
	unevaluated [2]*schema // properties, items
}

// keyed is a keyword's value with its place.
type keyed[T any] struct {
	at string
	v  T
}

type contained struct {
	at       string
	s        *schema
	min, max int32
}

type property struct {
	name string
	s    *schema
}

// someProperty asks for a property whose name satisfies the rules and whose value the schema, if any.
// No keyword says so; the negation of some does.
type someProperty struct {
	at    string
	names []textRule
	s     *schema
}

type patternProperty struct {
	at string
	p  *regex.Pattern
	s  *schema
}

// group is a choice: one of alts holds, and with exclusive only one.
type group struct {
	at        string
	alts      []*schema
	exclusive bool
}

// reader reads the keywords of one schema.
type reader struct {
	d  *document
	s  *schema
	v  *value
	at string
}

func (r *reader) keyword(key string) error {
	v, _ := r.v.get(key)
	at := pointer(r.at, key)
	switch key {
	case "type", "enum", "const":
		return r.values(key, v, at)
	case "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf":
		return r.numbers(key, v, at)
	case "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "minContains", "maxContains":
		return r.count(key, v, at)
	case "pattern", "format":
		return r.text(key, v, at)
	case "prefixItems", "items", "additionalItems", "contains", "uniqueItems", "unevaluatedItems":
		return r.array(key, v, at)
	case "properties", "patternProperties", "additionalProperties", "propertyNames", "required", "unevaluatedProperties":
		return r.object(key, v, at)
	case "dependentRequired", "dependentSchemas", "dependencies":
		return r.dependents(key, v, at)
	case "allOf", "anyOf", "oneOf", "not", "if", "$ref", "$dynamicRef", "$recursiveRef":
		return r.applied(key, v, at)
	}
	return nil // an annotation, or one that another keyword reads
}

func (r *reader) sub(v *value, at string) (*schema, error) { return r.d.read(v, at) }

func (r *reader) subs(v *value, at string) ([]*schema, error) {
	if v.kind != '[' || len(v.list) == 0 {
		return nil, wrongSchema(at, "it must be a list of schemas that is not empty")
	}
	out := make([]*schema, len(v.list))
	for i := range out {
		var err error
		if out[i], err = r.sub(&v.list[i], pointer(at, strconv.Itoa(i))); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (r *reader) values(key string, v *value, at string) error {
	switch {
	case key == "type":
		list := []value{*v}
		if v.kind == '[' {
			list = v.list
		}
		r.s.types = 0
		for _, t := range list {
			bits, ok := typeNames[t.text]
			if t.kind != '"' || !ok {
				return wrongSchema(at, "a type is null, boolean, integer, number, string, array or object, or a list of these")
			}
			r.s.types |= bits
		}
		return nil
	case key == "enum" && v.kind != '[':
		return wrongSchema(at, "it must be a list")
	}
	list := v.list
	if key == "const" {
		list = []value{*v}
	}
	if !r.s.hasEnum {
		r.s.enum, r.s.hasEnum = list, true
		return nil
	}
	r.s.enum = slices.DeleteFunc(slices.Clone(r.s.enum), func(v value) bool {
		return !slices.ContainsFunc(list, func(w value) bool { return v.equal(&w) })
	})
	return nil
}

func (r *reader) numbers(key string, v *value, at string) error {
	if v.kind == 't' || v.kind == 'f' { // draft 4: a flag on minimum or maximum
		if !strings.HasPrefix(key, "exclusive") {
			return wrongSchema(at, "it must be a number")
		}
		return nil
	}
	if v.kind != '0' {
		return wrongSchema(at, "it must be a number")
	}
	flag := func(key string) bool {
		f, ok := r.v.get(key)
		return ok && f.kind == 't'
	}
	switch key {
	case "minimum":
		r.s.low = tighter(r.s.low, &bound{v.num, flag("exclusiveMinimum")}, false)
	case "maximum":
		r.s.high = tighter(r.s.high, &bound{v.num, flag("exclusiveMaximum")}, true)
	case "exclusiveMinimum":
		r.s.low = tighter(r.s.low, &bound{v.num, true}, false)
	case "exclusiveMaximum":
		r.s.high = tighter(r.s.high, &bound{v.num, true}, true)
	case "multipleOf":
		if v.num.neg || v.num.isZero() {
			return wrongSchema(at, "it must be above 0")
		}
		r.s.divisors = append(r.s.divisors, keyed[decimal]{at, v.num})
	}
	return nil
}

func (r *reader) count(key string, v *value, at string) error {
	if v.kind != '0' || v.num.neg || !v.num.isInteger() {
		return wrongSchema(at, "it must be an integer, 0 or more")
	}
	n, err := strconv.Atoi(v.num.whole0())
	if err != nil || n > maxRepeat {
		if strings.HasPrefix(key, "max") {
			return nil // no answer is that long
		}
		return ErrLimit.Because("grammar: %s at %s is %s, at most %d", key, at, v.text, maxRepeat).At(at)
	}
	place := map[string]*int32{
		"minLength": &r.s.minLen, "maxLength": &r.s.maxLen, "minItems": &r.s.minItems, "maxItems": &r.s.maxItems,
		"minProperties": &r.s.minProps, "maxProperties": &r.s.maxProps,
	}[key]
	if place != nil {
		*place = int32(n)
	}
	return nil
}

func (r *reader) text(key string, v *value, at string) error {
	if v.kind != '"' {
		return wrongSchema(at, "it must be a string")
	}
	expr, whole := v.text, false
	if key == "format" {
		var known bool
		if expr, known = formats[v.text]; !known {
			return nil // a name that is not JSON Schema's: an annotation
		}
		expr, whole = expandFormat(expr), true
	}
	p, err := regex.Parse(expr)
	if err != nil {
		return atPlace(err, at)
	}
	r.s.texts = append(r.s.texts, textRule{at: at, p: p, whole: whole})
	return nil
}

func (r *reader) array(key string, v *value, at string) (err error) {
	s := r.s
	switch key {
	case "prefixItems":
		s.prefix, err = r.subs(v, at)
	case "items":
		if v.kind == '[' { // before 2020
			if len(v.list) > 0 {
				s.prefix, err = r.subs(v, at)
			}
			break
		}
		s.items, err = r.sub(v, at)
	case "additionalItems":
		if list, ok := r.v.get("items"); ok && list.kind == '[' {
			s.items, err = r.sub(v, at)
		}
	case "contains":
		c := contained{at: at, min: 1, max: noLimit}
		for k, place := range map[string]*int32{"minContains": &c.min, "maxContains": &c.max} {
			if n, ok := r.v.get(k); ok && n.num.isInteger() && !n.num.neg {
				if i, err := strconv.Atoi(n.num.whole0()); err == nil && i <= maxRepeat {
					*place = int32(i)
				}
			}
		}
		c.s, err = r.sub(v, at)
		s.contains = append(s.contains, c)
	case "uniqueItems":
		if v.kind != 't' && v.kind != 'f' {
			return wrongSchema(at, "it must be true or false")
		}
		s.unique, s.uniqueAt = v.kind == 't', at
	case "unevaluatedItems":
		s.unevaluated[1], err = r.sub(v, at)
	}
	return err
}

func (r *reader) object(key string, v *value, at string) (err error) {
	s := r.s
	if (key == "properties" || key == "patternProperties") && v.kind != '{' {
		return wrongSchema(at, "it must be an object of schemas")
	}
	switch key {
	case "properties":
		s.lists = true
		for i, name := range v.keys {
			sub, err := r.sub(&v.list[i], pointer(at, name))
			if err != nil {
				return err
			}
			s.props = append(s.props, property{name, sub})
		}
	case "patternProperties":
		for i, expr := range v.keys {
			place := pointer(at, expr)
			p, err := regex.Parse(expr)
			if err != nil {
				return atPlace(err, place)
			}
			sub, err := r.sub(&v.list[i], place)
			if err != nil {
				return err
			}
			s.patterns = append(s.patterns, patternProperty{place, p, sub})
		}
	case "additionalProperties":
		s.additional, err = r.sub(v, at)
	case "propertyNames":
		var sub *schema
		sub, err = r.sub(v, at)
		s.names = append(s.names, sub)
	case "unevaluatedProperties":
		s.unevaluated[0], err = r.sub(v, at)
	case "required":
		s.required, err = nameList(v, at)
	}
	return err
}

func nameList(v *value, at string) ([]string, error) {
	if v.kind != '[' {
		return nil, wrongSchema(at, "it must be a list of names")
	}
	var out []string
	for _, x := range v.list {
		if x.kind != '"' {
			return nil, wrongSchema(at, "it must be a list of names")
		}
		if !slices.Contains(out, x.text) {
			out = append(out, x.text)
		}
	}
	return out, nil
}

// dependents become choices: the property is not there, or what depends on it holds.
func (r *reader) dependents(key string, v *value, at string) error {
	if v.kind != '{' {
		return wrongSchema(at, "it must be an object")
	}
	for i, name := range v.keys {
		place := pointer(at, name)
		absent := r.d.fresh(place)
		absent.made = true
		never := r.d.fresh(place)
		never.never = true
		absent.props = []property{{name, never}}
		then := r.d.fresh(place)
		then.required = []string{name}
		var err error
		switch list := &v.list[i]; {
		case key != "dependentSchemas" && list.kind == '[':
			var more []string
			more, err = nameList(list, place)
			then.required = append(then.required, more...)
		case key != "dependentRequired":
			var sub *schema
			sub, err = r.sub(list, place)
			then.all = []*schema{sub}
		default:
			err = wrongSchema(place, "it must be a list of names")
		}
		if err != nil {
			return err
		}
		r.s.groups = append(r.s.groups, group{at: place, alts: []*schema{absent, then}})
	}
	return nil
}

func (r *reader) applied(key string, v *value, at string) (err error) {
	s := r.s
	switch key {
	case "allOf":
		var list []*schema
		list, err = r.subs(v, at)
		s.all = append(s.all, list...)
	case "anyOf", "oneOf":
		var list []*schema
		list, err = r.subs(v, at)
		s.groups = append(s.groups, group{at, list, key == "oneOf"})
	case "not":
		var sub *schema
		sub, err = r.sub(v, at)
		s.nots = append(s.nots, keyed[*schema]{at, sub})
	case "if":
		err = r.conditional(v, at)
	case "$dynamicRef", "$recursiveRef":
		_, anchor, _ := strings.Cut(v.text, "#")
		if key == "$dynamicRef" && r.d.dynamic[anchor] > 1 || key == "$recursiveRef" && len(r.d.base) > 1 {
			return ErrUnenforceable.Because("grammar: %s at %s may lead to several places: use $ref", key, at).At(at)
		}
		fallthrough
	case "$ref":
		var sub *schema
		sub, err = r.d.follow(v, at)
		s.all = append(s.all, sub)
	}
	return err
}

// conditional makes if, then and else a choice of two.
func (r *reader) conditional(v *value, at string) error {
	test, err := r.sub(v, at)
	if err != nil {
		return err
	}
	yes, no := r.d.fresh(at), r.d.fresh(at)
	yes.all = []*schema{test}
	no.nots = []keyed[*schema]{{at, test}}
	used := r.d.rests
	for key, s := range map[string]*schema{"then": yes, "else": no} {
		if v, ok := r.v.get(key); ok {
			used = true
			sub, err := r.sub(v, pointer(r.at, key))
			if err != nil {
				return err
			}
			s.all = append(s.all, sub)
		}
	}
	if used {
		r.s.groups = append(r.s.groups, group{at: at, alts: []*schema{yes, no}})
	}
	return nil
}

// atPlace names the place in a schema where another error arose; its cause stays.
func atPlace(err error, at string) error {
	cause := ErrSchema
	var e *fault.Error
	if errors.As(err, &e) && e.Cause != ErrRegex {
		cause = e.Cause
	}
	return cause.Because("grammar: schema at %s: %s", pointerName(at), strings.TrimPrefix(err.Error(), "grammar: ")).At(at)
}

// unenforceable is the error for a keyword that is understood and cannot be enforced.
func unenforceable(at, format string, args ...any) error {
	keyword := at[strings.LastIndexByte(at, '/')+1:]
	return ErrUnenforceable.Because("grammar: %s at %s cannot be enforced: %s", keyword, pointerName(at), fmt.Sprintf(format, args...)).At(at)
}

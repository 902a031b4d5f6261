package grammar

import (
	"slices"

	"github.com/galerne-ai/galerne/internal/grammar/regex"
)

// Whitespace is how JSON is laid out. All of it is bounded, so that no answer is lost in blanks.
type Whitespace uint8

const (
	Spaced   Whitespace = iota // at most one space behind a colon and a comma, none elsewhere
	Compact                    // none
	Indented                   // as Spaced, or line ends with up to Options.Indent blanks
)

// Options are how a JSON Schema becomes a language. The zero value is usable.
type Options struct {
	Whitespace Whitespace
	// Indent is the most blanks behind a line end with Indented. Default 40.
	Indent int
	// Open accepts properties that a schema does not list, where it has properties and does not say
	// additionalProperties. JSON Schema allows them; models that are allowed them invent them.
	Open bool
	// Pairs, if set, writes the outermost object's properties between tags, as some models call tools.
	Pairs Pairs
}

const (
	maxPatternProps = 5       // patterns of one object: each subset of them is a kind of name
	maxMembers      = 1 << 16 // places in an object or array that count something
	maxDistinct     = 10      // values of an array whose items must differ
)

// CompileSchema makes a grammar of the JSON texts that satisfy a JSON Schema (drafts 4 to 2020-12).
//
// Properties are written in the order in which the schema writes them, names that are only required
// behind those, and names that the schema does not list at the end. Numbers have no useless zeros, and
// no exponent where they are bounded. Strings with a pattern or format, and names, are written without
// needless escapes. Format is enforced. Of the texts of that form, those that satisfy the schema are
// the language, except that a format's rare spellings are left out, as are names that the schema does
// not list if Options.Open is not set.
//
// Annotations and unknown keywords mean nothing, as the specification says. What cannot be enforced
// is an error that names the keyword and its place.
func CompileSchema(text []byte, o Options) (*Grammar, error) {
	c, root, err := newCompiler(text, o)
	if err != nil {
		return nil, err
	}
	var t term
	if o.Pairs == (Pairs{}) {
		t, err = c.value([]*schema{root})
	} else {
		t, err = c.paired(root)
	}
	if err != nil {
		return nil, err
	}
	return sealed(c.store, t)
}

// compiler turns sets of schemas that hold for the same value into terms.
type compiler struct {
	*store
	*document
	o         Options
	gap       term // white space behind a comma
	colon     term // behind a colon
	edge      term // inside brackets
	values    map[string]term
	negated   map[int][]*schema
	opposites map[int]*schema
	bares     map[int]*schema
	voids     map[string]bool
	matchers  map[*regex.Pattern]*Grammar
	work      int
}

func newCompiler(text []byte, o Options) (*compiler, *schema, error) {
	d, root, err := readDocument(text)
	if err != nil {
		return nil, nil, err
	}
	if o.Indent == 0 {
		o.Indent = 40
	}
	if o.Whitespace > Indented || o.Indent < 0 || o.Indent > maxRepeat {
		return nil, nil, ErrSchema.Because("grammar: white space of kind %d with %d blanks: kinds are 0 to %d, blanks 0 to %d", o.Whitespace, o.Indent, Indented, maxRepeat)
	}
	c := &compiler{store: newStore(), document: d, o: o, values: map[string]term{}, negated: map[int][]*schema{}, matchers: map[*regex.Pattern]*Grammar{}, opposites: map[int]*schema{}, bares: map[int]*schema{}, voids: map[string]bool{}}
	c.layOut()
	return c, root, nil
}

// JSON is any JSON value.
func JSON(o Options) (*Grammar, error) { return CompileSchema([]byte("true"), o) }

// JSONObject is any JSON object.
func JSONObject(o Options) (*Grammar, error) { return CompileSchema([]byte(`{"type":"object"}`), o) }

func (c *compiler) layOut() {
	c.gap, c.colon, c.edge = empty, empty, empty
	if c.o.Whitespace != Compact {
		c.gap = c.opt(c.lit(" "))
		c.colon = c.gap
	}
	if c.o.Whitespace == Indented {
		line := c.cat(c.lit("\n"), c.rep(c.lit(" "), 0, int32(c.o.Indent)))
		c.edge = c.opt(line)
		c.gap = c.alt(c.gap, line)
	}
}

// value is the texts that satisfy all the schemas, none where that is seen at once. A set of schemas is one rule, so that schemas may
// contain themselves.
func (c *compiler) value(schemas []*schema) (term, error) {
	k := key(schemas)
	if r, ok := c.values[k]; ok {
		return r, nil
	}
	at := ""
	if len(schemas) > 0 {
		at = schemas[0].at
	}
	rule := c.rule(pointerName(at))
	c.values[k] = rule
	cases, err := c.cases(schemas)
	if err != nil {
		return none, err
	}
	body := none
	for _, flat := range cases {
		m, err := c.merge(flat)
		if err != nil {
			return none, err
		}
		t, err := c.emit(m)
		if err != nil {
			return none, err
		}
		body = c.alt(body, t)
	}
	if c.full {
		return none, errTooLarge()
	}
	c.define(rule, body)
	if body == none {
		rule = none
		c.values[k] = none
	}
	return rule, nil
}

func (c *compiler) emit(m *merged) (term, error) {
	if m.hasEnum {
		list := make([]term, len(m.enum))
		for i := range m.enum {
			list[i] = c.constant(&m.enum[i])
		}
		return c.alt(list...), nil
	}
	for i := range m.excluded {
		if t := typeOf(&m.excluded[i]) & m.types; t == typeArray || t == typeObject {
			return none, unenforceable(m.flat[0].at, "it excludes a certain array or object")
		}
	}
	var list []term
	if m.types&typeNull != 0 {
		list = append(list, c.lit("null"))
	}
	if m.types&typeBool != 0 {
		for kind, text := range map[byte]string{'t': "true", 'f': "false"} {
			if !slices.ContainsFunc(m.excluded, func(v value) bool { return v.kind == kind }) {
				list = append(list, c.lit(text))
			}
		}
	}
	for _, kind := range []struct {
		types typeSet
		emit  func(*merged) (term, error)
	}{{typeNumber, c.number}, {typeString, c.text}, {typeArray, c.array}, {typeObject, c.object}} {
		if m.types&kind.types == 0 {
			continue
		}
		t, err := kind.emit(m)
		if err != nil {
			return none, err
		}
		list = append(list, t)
	}
	return c.alt(list...), nil
}

// constant is one value, its white space free as everywhere.
func (c *compiler) constant(v *value) term {
	switch v.kind {
	case 'n':
		return c.lit("null")
	case 't':
		return c.lit("true")
	case 'f':
		return c.lit("false")
	case '0':
		if plain := v.num.String(); len(plain) <= maxDigits {
			return c.alt(c.lit(v.text), c.lit(plain))
		}
		return c.lit(v.text)
	case '"':
		return c.lit(c.quote(v.text))
	}
	items := make([]term, len(v.list))
	for i := range v.list {
		items[i] = c.constant(&v.list[i])
		if v.kind == '{' {
			items[i] = c.cat(c.lit(c.quote(v.keys[i])+":"), c.colon, items[i])
		}
	}
	body := empty
	for i := len(items) - 1; i >= 0; i-- {
		if body != empty {
			body = c.cat(c.lit(","), c.gap, body)
		}
		body = c.cat(items[i], body)
	}
	return c.bracket(v.kind, body)
}

// bracket puts an array or object around what is in it; nothing may be in it where body may be empty.
func (c *compiler) bracket(kind byte, body term) term {
	open, shut := "[", "]"
	if kind == '{' {
		open, shut = "{", "}"
	}
	return c.cat(c.lit(open), c.edge, body, c.edge, c.lit(shut))
}

func (c *compiler) number(m *merged) (term, error) {
	types := m.types & typeNumber
	conditions := len(m.divisors)+len(m.odd) > 0 || types == typeFraction
	for _, x := range m.excluded {
		conditions = conditions || x.kind == '0'
	}
	if !conditions {
		if types == typeInteger {
			return c.integers(m.low, m.high), nil
		}
		return c.numbers(m.low, m.high), nil
	}
	s := newStore()
	var all []term
	switch {
	case types == typeInteger:
		all = append(all, s.integers(m.low, m.high))
	case m.low == nil && m.high == nil:
		all = append(all, s.plainNumbers())
	default:
		all = append(all, s.numbers(m.low, m.high))
	}
	if types == typeFraction {
		all = append(all, s.cat(s.opt(s.lit("-")), s.rep(s.digit(), 1, noLimit), s.lit("."), s.rep(s.digit(), 0, noLimit), s.bytes('1', '9')),
			s.rep(s.bytes('-', '9'), 0, fractionChars))
	}
	divided, err := s.divided(m)
	if err != nil {
		return none, err
	}
	all = append(all, divided...)
	for i := range m.excluded {
		if m.excluded[i].kind == '0' {
			all = append(all, s.not(s.same(m.excluded[i].num)))
		}
	}
	auto, ok := s.explore(s.and(all...), sumStates)
	if !ok || s.full {
		at := pointer(m.flat[0].at, "type")
		if len(m.divisors) > 0 {
			at = m.divisors[0].at
		}
		return none, unenforceable(at, "with the number's other conditions it needs more than %d states", sumStates)
	}
	if auto == nil {
		return none, nil
	}
	classes := make([]byteSet, len(s.classRep))
	for b, class := range s.classOf {
		classes[class].add(byte(b), byte(b))
	}
	written := make([]term, len(classes))
	for i, set := range classes {
		written[i] = c.set(set)
	}
	return c.auto(c.addAuto(auto, written), 0, noLimit), nil
}

// fractionChars is the length of a number that must be no integer: a sign, a point and 15 digits, which whoever
// reads it as a float64 still finds to be none.
const fractionChars = 17

// divided are the conditions on a number's divisors.
func (s *store) divided(m *merged) (all []term, err error) {
	for i, d := range append(slices.Clip(m.divisors), m.odd...) {
		t, ok := s.multiples(d.v)
		if !ok {
			return nil, unenforceable(d.at, "its digits make a number above %d", maxModulus)
		}
		if i >= len(m.divisors) { // with useless zeros too: they are numbers all the same
			zeros := s.rep(s.lit("0"), 0, noLimit)
			t = s.not(s.alt(s.cat(t, zeros), s.cat(t, s.lit("."), zeros)))
		}
		all = append(all, t)
	}
	return all, nil
}

func (c *compiler) text(m *merged) (term, error) {
	if len(m.texts) == 0 && m.minLen == 0 && m.maxLen == noLimit {
		k := "string"
		if r, ok := c.values[k]; ok {
			return r, nil
		}
		c.values[k] = c.named(k, c.cat(c.lit(`"`), c.rep(c.freeRune(), 0, noLimit), c.lit(`"`)))
		return c.values[k], nil
	}
	t, err := c.texts(m.texts, m.minLen, m.maxLen, c.jsonRune, c.freeRune())
	if err != nil {
		at := m.flat[0].at
		for _, r := range m.texts {
			if r.at != "" {
				at = r.at
			}
		}
		return none, atPlace(err, at)
	}
	return c.named("string", c.cat(c.lit(`"`), t, c.lit(`"`))), nil
}

func (c *compiler) array(m *merged) (term, error) {
	var contains []contained
	unique := ""
	for _, s := range m.flat {
		contains = append(contains, s.contains...)
		if s.unique {
			unique = s.uniqueAt
		}
	}
	places := m.prefixLength()
	items := make([]term, places+1)
	end := m.maxItems
	for i := range items {
		schemas, err := c.item(m, i)
		if err != nil {
			return none, err
		}
		if items[i], err = c.value(schemas); err != nil {
			return none, err
		}
		if items[i] == none {
			end = minLimit(end, int32(i)) // nothing may stand here, so nothing stands behind it either
			items = items[:i+1]
			break
		}
	}
	if end != noLimit && m.minItems > end {
		return none, nil
	}
	if unique != "" && (end == noLimit || end > 1) {
		return c.distinct(m, unique, end, len(contains) > 0)
	}
	if len(contains) > 0 {
		return c.containing(m, contains, end)
	}
	return c.bracket('[', c.itemList(items, m.minItems, end)), nil
}

// itemList is items, the last of which may repeat, from min to max together.
func (c *compiler) itemList(items []term, min, max int32) term {
	last := int32(len(items) - 1)
	separator := c.cat(c.lit(","), c.gap)
	if last == 0 {
		return c.separated(items[0], separator, min, max)
	}
	more := noLimit
	if max != noLimit {
		more = maxOf(max-last, 0)
	}
	rest := c.rep(c.cat(separator, items[last]), maxOf(min-last, 0), more)
	for i := last - 1; i >= 0; i-- {
		if max != noLimit && i >= max {
			rest = empty
			continue
		}
		here := c.cat(items[i], rest)
		if i > 0 {
			here = c.cat(separator, here)
		}
		if i >= min {
			here = c.opt(here)
		}
		rest = here
	}
	return rest
}

// containing is an array in which some items must satisfy another schema: each place counts how many
// did so far.
func (c *compiler) containing(m *merged, contains []contained, end int32) (term, error) {
	if len(contains) > 1 {
		return none, unenforceable(contains[1].at, "another contains applies to the same array")
	}
	x := contains[0]
	if x.max != noLimit && x.max < x.min {
		return none, nil
	}
	places := maxOf(int32(m.prefixLength()), m.minItems)
	if end != noLimit {
		places = end
	}
	most := x.min // how far to count
	if x.max != noLimit {
		most = x.max
	}
	if int64(places+1)*int64(most+1) > maxMembers {
		return none, unenforceable(x.at, "counting %d items up to %d needs more than %d places", places, most, maxMembers)
	}
	if places == 0 {
		places = 1 // the first item has no comma before it
	}
	w := &counting{c, m, x, end, places, most, map[[2]int32]term{}}
	t, err := w.from(0, 0)
	return c.bracket('[', t), err
}

// counting writes an array place by place, from the i-th item on when found items were counted.
type counting struct {
	*compiler
	m            *merged
	x            contained
	end          int32 // of the array, or noLimit
	places, most int32 // behind these, a place and a count are as the last
	memo         map[[2]int32]term
}

func (w *counting) from(i, found int32) (term, error) {
	state := [2]int32{i, found}
	if r, ok := w.memo[state]; ok {
		return r, nil
	}
	r := w.rule("items")
	w.memo[state] = r
	body := none
	if i >= w.m.minItems && found >= w.x.min {
		body = empty
	}
	if w.end == noLimit || i < w.end {
		schemas, err := w.item(w.m, int(i))
		if err != nil {
			return none, err
		}
		other := schemas
		if w.x.max != noLimit {
			other = append(slices.Clip(schemas), w.opposite(w.x.s, w.x.at))
		}
		yes, err := w.one(i, found+1, append(slices.Clip(schemas), w.x.s))
		if err != nil {
			return none, err
		}
		no, err := w.one(i, found, other)
		if err != nil {
			return none, err
		}
		body = w.alt(body, yes, no)
	}
	w.define(r, body)
	return r, nil
}

// one is an item at place i that satisfies the schemas, and what may follow when found were counted.
func (w *counting) one(i, found int32, schemas []*schema) (term, error) {
	if found > w.most {
		if w.x.max != noLimit {
			return none, nil
		}
		found = w.most
	}
	item, err := w.value(schemas)
	if err != nil {
		return none, err
	}
	next := i + 1
	if w.end == noLimit {
		next = min(next, w.places)
	}
	rest, err := w.from(next, found)
	if i == 0 {
		return w.cat(item, rest), err
	}
	return w.cat(w.lit(","), w.gap, item, rest), err
}

// distinct is an array whose items are different values of a small set: a rule for each set of
// values that are used up.
func (c *compiler) distinct(m *merged, at string, end int32, contains bool) (term, error) {
	schemas, err := c.item(m, 0)
	if err != nil {
		return none, err
	}
	values, ok, err := c.finite(schemas)
	if err != nil {
		return none, err
	}
	if m.prefixLength() > 0 || contains || !ok || len(values) > maxDistinct {
		return none, unenforceable(at, "items can be kept different only where they are one enum of at most %d values: leave it out or use maxItems 1", maxDistinct)
	}
	memo := make([]term, 1<<len(values))
	var from func(used, n int) term
	from = func(used, n int) term {
		if memo[used] != none {
			return memo[used]
		}
		r := c.rule("items")
		memo[used] = r
		body := none
		if n >= int(m.minItems) {
			body = empty
		}
		for i := range values {
			if used>>i&1 != 0 || end != noLimit && n >= int(end) {
				continue
			}
			here := c.cat(c.constant(&values[i]), from(used|1<<i, n+1))
			if n > 0 {
				here = c.cat(c.lit(","), c.gap, here)
			}
			body = c.alt(body, here)
		}
		c.define(r, body)
		return r
	}
	return c.bracket('[', from(0, 0)), nil
}

// finite lists the values that satisfy the schemas, where an enum, const, boolean or null says which.
func (c *compiler) finite(schemas []*schema) (values []value, ok bool, err error) {
	cases, err := c.cases(schemas)
	if err != nil {
		return nil, false, err
	}
	for _, flat := range cases {
		m, err := c.merge(flat)
		if err != nil {
			return nil, false, err
		}
		list := m.enum
		if !m.hasEnum {
			if m.types&^(typeNull|typeBool) != 0 {
				return nil, false, nil
			}
			for kind, t := range map[byte]typeSet{'n': typeNull, 't': typeBool, 'f': typeBool} {
				if v := (value{kind: kind}); m.types&t != 0 && !slices.ContainsFunc(m.excluded, func(x value) bool { return x.kind == kind }) {
					list = append(list, v)
				}
			}
		}
		for i := range list {
			if !slices.ContainsFunc(values, func(v value) bool { return v.equal(&list[i]) }) {
				values = append(values, list[i])
			}
		}
	}
	return values, true, nil
}

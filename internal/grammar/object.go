package grammar

import (
	"slices"
)

// member is a listed property of an object.
type member struct {
	text     term // name, colon and value
	some     term // the same, where it is the property that someProperty asks for; none if it is not
	required bool
}

// members writes an object place by place. Where the number of properties matters, places are told
// apart by how many were written.
type members struct {
	*compiler
	m        *merged
	list     []member
	free     term  // name, colon and value of a property that is not listed, none if there is none
	some     term  // the same, where it is the property that someProperty asks for
	wanted   bool  // there is a someProperty
	counted  bool  // minProps or maxProps say more than required and the list do
	min, max int32 // properties
	memo     map[[3]int32]term
}

func (c *compiler) object(m *merged) (term, error) {
	w := &members{compiler: c, m: m, min: m.minProps, max: m.maxProps, memo: map[[3]int32]term{}}
	names, open := c.listed(m)
	for _, name := range names {
		required := slices.Contains(m.required, name)
		text, some, err := c.member(m, name)
		if err != nil {
			return none, err
		}
		if text != none {
			w.list = append(w.list, member{text, some, required})
		} else if required {
			return none, nil
		}
	}
	var err error
	if w.free, err = c.free(m, names, open, nil); err != nil {
		return none, err
	}
	if w.wanted = len(m.some) > 0; w.wanted {
		if w.some, err = c.free(m, names, open, &m.some[0]); err != nil {
			return none, err
		}
	}
	required := int32(len(m.required))
	w.counted = w.min > required || w.max != noLimit && (w.free != none || w.max < int32(len(w.list)))
	if w.free != none && w.min > required+1 {
		return none, unenforceable(pointer(m.flat[0].at, "minProperties"),
			"names that are not listed may repeat, and %d properties may need them: list them in properties", w.min)
	}
	if w.counted && (int64(len(w.list)+1)*int64(minLimit(w.max, int32(len(w.list)))+1) > maxMembers) {
		return none, unenforceable(pointer(m.flat[0].at, "maxProperties"), "counting %d properties needs more than %d places", len(w.list), maxMembers)
	}
	if len(m.some) > 1 || w.wanted && w.counted {
		return none, unenforceable(m.some[0].at, "what it excludes asks for several properties of one object")
	}
	body := w.from(0, 0, !w.wanted)
	if c.full {
		return none, errTooLarge()
	}
	return c.bracket('{', body), nil
}

// listed are the names that the case lists, in order, and whether others may follow.
func (c *compiler) listed(m *merged) (names []string, open bool) {
	open = true
	closed := false
	seen := map[string]bool{}
	add := func(name string) {
		if !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	for _, s := range m.flat {
		for _, p := range s.props {
			add(p.name)
		}
		closed = closed || s.lists
	}
	for _, name := range m.required {
		add(name)
	}
	if closed && !c.o.Open && int(m.minProps) <= len(names) {
		open = slices.ContainsFunc(m.flat, func(s *schema) bool {
			return s.additional != nil && !s.additional.never || s.unevaluated[0] != nil && !s.unevaluated[0].never
		})
	}
	return names, open
}

// member is a listed property's text, none if it cannot be there, and the same where it is the
// property that the case's someProperty asks for.
func (c *compiler) member(m *merged, name string) (text, some term, err error) {
	for _, s := range m.flat {
		for _, rule := range s.names {
			if ok, err := c.holds(rule, &value{kind: '"', text: name}, 0); !ok || err != nil {
				return none, none, err
			}
		}
	}
	schemas, err := c.property(m, name)
	if err != nil {
		return none, none, err
	}
	head := c.cat(c.lit(quoteJSON(name)+":"), c.colon)
	v, err := c.value(schemas)
	if err != nil || len(m.some) == 0 {
		return c.cat2(head, v), none, err
	}
	if ok, err := c.isSome(m.some[0], name); !ok || err != nil {
		return c.cat2(head, v), none, err
	}
	found, err := c.value(append(slices.Clip(schemas), m.some[0].s))
	return c.cat2(head, v), c.cat2(head, found), err
}

// isSome reports whether a name satisfies the rules.
func (c *compiler) isSome(p someProperty, name string) (bool, error) {
	for _, r := range p.names {
		if ok, err := c.matches(r, name); !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}

// from is the object from its i-th listed property on, when n were written; found tells whether the
// property that is asked for was among them.
func (w *members) from(i int, n int32, found bool) term {
	if !w.counted {
		n = min(n, 1) // only whether a comma comes next
	}
	if w.counted && w.max == noLimit {
		n = min(n, w.min)
	}
	state := [3]int32{int32(i), n, 0}
	if found {
		state[2] = 1
	}
	if t, ok := w.memo[state]; ok {
		return t
	}
	t := w.place(i, n, found)
	if i%16 == 0 && t != none && t != empty {
		t = w.named("properties", t) // so that lists of optional properties do not grow into each other
	}
	w.memo[state] = t
	return t
}

func (w *members) place(i int, n int32, found bool) term {
	separator := empty
	if n > 0 {
		separator = w.cat(w.lit(","), w.gap)
	}
	if i == len(w.list) {
		if !found {
			return w.last(n)
		}
		return w.rest(n, separator)
	}
	p := w.list[i]
	var list []term
	if w.max == noLimit || n < w.max {
		list = append(list, w.cat(separator, p.text, w.from(i+1, n+1, found)))
		if !found && p.some != none {
			list = append(list, w.cat(separator, p.some, w.from(i+1, n+1, true)))
		}
	}
	if !p.required {
		list = append(list, w.from(i+1, n, found))
	}
	return w.alt(list...)
}

// last ends with the property that is asked for: behind it, the same name might come again.
func (w *members) last(n int32) term {
	again := w.cat(w.lit(","), w.gap)
	if n > 0 {
		return w.cat(w.rep(w.cat(again, w.free), 0, noLimit), again, w.some)
	}
	return w.alt(w.some, w.cat(w.free, w.rep(w.cat(again, w.free), 0, noLimit), again, w.some))
}

// rest is what follows the listed properties.
func (w *members) rest(n int32, separator term) term {
	least, most := maxOf(w.min-n, 0), noLimit
	if w.max != noLimit && w.counted {
		most = maxOf(w.max-n, 0)
	}
	if !w.counted {
		least = 0
	}
	if w.free == none {
		if least > 0 {
			return none
		}
		return empty
	}
	again := w.cat(w.lit(","), w.gap)
	if n > 0 {
		return w.rep(w.cat(separator, w.free), least, most)
	}
	return w.separated(w.free, again, least, most)
}

// free is a property that is not listed. What it must satisfy depends on the patterns that its name
// matches, so that each set of patterns is a choice of its own. With some, it is the property that is
// asked for.
func (c *compiler) free(m *merged, names []string, open bool, some *someProperty) (term, error) {
	var patterns []patternProperty
	for _, s := range m.flat {
		for _, p := range s.patterns {
			if !slices.ContainsFunc(patterns, func(q patternProperty) bool { return q.p == p.p }) {
				patterns = append(patterns, p)
			}
		}
	}
	if len(patterns) > maxPatternProps {
		return none, unenforceable(patterns[maxPatternProps].at, "an object has more than %d patterns of names", maxPatternProps)
	}
	not := c.listedTexts(names)
	if some != nil {
		not = append(not, some.names...)
	}
	out := none
	for set := range 1 << len(patterns) {
		if set == 0 && !open {
			continue
		}
		rules := slices.Clone(not)
		in := map[*pattern]bool{}
		for i, p := range patterns {
			in[p.p] = set>>i&1 != 0
			rules = append(rules, textRule{p: p.p, not: !in[p.p]})
		}
		schemas := c.unlisted(m, in)
		if some != nil {
			schemas = append(schemas, some.s)
		}
		name, err := c.name(m, rules)
		if err != nil {
			return none, err
		}
		if name == none || slices.ContainsFunc(schemas, func(s *schema) bool { return s.never }) {
			continue
		}
		v, err := c.value(schemas)
		if err != nil {
			return none, err
		}
		out = c.alt(out, c.cat(name, c.lit(":"), c.colon, v))
	}
	return out, nil
}

// listedTexts excludes the listed names.
func (c *compiler) listedTexts(names []string) []textRule {
	if len(names) == 0 {
		return nil
	}
	p := &pattern{op: opAlt}
	for _, name := range names {
		p.subs = append(p.subs, literalPattern(name))
	}
	return []textRule{{p: p, whole: true, not: true}}
}

// unlisted is what a property must satisfy whose name matches exactly these patterns.
func (c *compiler) unlisted(m *merged, in map[*pattern]bool) []*schema {
	var out []*schema
	for _, s := range m.flat {
		known := false
		for _, p := range s.patterns {
			if in[p.p] {
				out, known = append(out, p.s), true
			}
		}
		if !known && s.additional != nil {
			out = append(out, s.additional)
		}
		rest := s.unevaluated[0]
		for _, w := range c.within(m, s) {
			if w.additional != nil || w != s && w.unevaluated[0] != nil ||
				slices.ContainsFunc(w.patterns, func(p patternProperty) bool { return in[p.p] }) {
				rest = nil
			}
		}
		if rest != nil {
			out = append(out, rest)
		}
	}
	return out
}

// name is a property's name in quotes that satisfies the rules and propertyNames.
func (c *compiler) name(m *merged, rules []textRule) (term, error) {
	var names []*schema
	for _, s := range m.flat {
		names = append(names, s.names...)
	}
	if len(names) == 0 {
		return c.nameOf(&merged{maxLen: noLimit}, rules)
	}
	cases, err := c.cases(names)
	if err != nil {
		return none, err
	}
	out := none
	for _, flat := range cases {
		n, err := c.merge(flat)
		if err != nil {
			return none, err
		}
		t, err := c.nameOf(n, rules)
		if err != nil {
			return none, err
		}
		if n.types&typeString != 0 {
			out = c.alt(out, t)
		}
	}
	return out, nil
}

func (c *compiler) nameOf(n *merged, rules []textRule) (term, error) {
	if n.hasEnum {
		out := none
		for i := range n.enum {
			ok := n.enum[i].kind == '"'
			for _, r := range rules {
				if !ok {
					break
				}
				var err error
				if ok, err = c.matches(r, n.enum[i].text); err != nil {
					return none, err
				}
			}
			if ok {
				out = c.alt(out, c.lit(quoteJSON(n.enum[i].text)))
			}
		}
		return out, nil
	}
	any := c.freeRune()
	rules = append(slices.Clip(rules), n.texts...)
	t, err := c.texts(rules, n.minLen, n.maxLen, c.jsonRune, any)
	if err != nil {
		return none, err
	}
	return c.named("name", c.cat(c.lit(`"`), t, c.lit(`"`))), nil
}

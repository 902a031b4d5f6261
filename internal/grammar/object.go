package grammar

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/galerne-ai/galerne/internal/grammar/regex"
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
	pairs    Pairs           // between which it is written, if any
	texts    map[string]bool // the properties whose values are texts as they are, of pairs
	comma    term
	list     []member
	free     term  // name, colon and value of a property that is not listed, none if there is none
	some     term  // the same, where it is the property that someProperty asks for
	wanted   bool  // there is a someProperty
	counted  bool  // minProps or maxProps say more than required and the list do
	min, max int32 // properties
	memo     map[[3]int32]term
}

func (c *compiler) object(m *merged) (term, error) {
	w := &members{compiler: c, m: m, comma: c.cat(c.lit(","), c.gap)}
	body, err := w.write()
	return c.bracket('{', body), err
}

// write is the object's properties, in order.
func (w *members) write() (term, error) {
	c, m := w.compiler, w.m
	w.min, w.max, w.memo = m.minProps, m.maxProps, map[[3]int32]term{}
	names, open := c.listed(m)
	for _, name := range names {
		required := slices.Contains(m.required, name)
		text, some, err := w.member(name)
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
	if w.free, err = w.unlisted(names, open, nil); err != nil {
		return none, err
	}
	if w.wanted = len(m.some) > 0; w.wanted {
		if w.some, err = w.unlisted(names, open, &m.some[0]); err != nil {
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
	return body, nil
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
func (w *members) member(name string) (text, some term, err error) {
	c, m := w.compiler, w.m
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
	if text, err = w.pair(name, schemas); err != nil || len(m.some) == 0 {
		return text, none, err
	}
	if ok, err := c.isSome(m.some[0], name); !ok || err != nil {
		return text, none, err
	}
	some, err = w.pair(name, append(slices.Clip(schemas), m.some[0].s))
	return text, some, err
}

// pair is a listed property with a value that satisfies the schemas.
func (w *members) pair(name string, schemas []*schema) (term, error) {
	if w.pairs != (Pairs{}) {
		return w.between(name, schemas)
	}
	v, err := w.value(schemas)
	return w.cat(w.lit(w.quote(name)+":"), w.colon, v), err
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
		separator = w.comma
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
	again := w.comma
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
	if n > 0 {
		return w.rep(w.cat(separator, w.free), least, most)
	}
	return w.separated(w.free, w.comma, least, most)
}

// unlisted is a property that is not listed. What it must satisfy depends on the patterns that its name
// matches, so that each set of patterns is a choice of its own. With some, it is the property that is
// asked for.
func (w *members) unlisted(names []string, open bool, some *someProperty) (term, error) {
	c, m := w.compiler, w.m
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
	for name := range w.texts {
		if !slices.Contains(names, name) { // another case lists it
			names = append(slices.Clip(names), name)
		}
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
		in := map[*regex.Pattern]bool{}
		for i, p := range patterns {
			in[p.p] = set>>i&1 != 0
			rules = append(rules, textRule{p: p.p, not: !in[p.p]})
		}
		schemas := c.matching(m, in)
		if some != nil {
			schemas = append(schemas, some.s)
		}
		name, err := w.name(rules)
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
		if w.pairs != (Pairs{}) {
			out = c.alt(out, c.cat(c.lit(w.pairs.Begin), name, c.lit(w.pairs.Middle), v, c.lit(w.pairs.End)))
		} else {
			out = c.alt(out, c.cat(name, c.lit(":"), c.colon, v))
		}
	}
	return out, nil
}

// listedTexts excludes the listed names.
func (c *compiler) listedTexts(names []string) []textRule {
	if len(names) == 0 {
		return nil
	}
	p := &regex.Pattern{Op: regex.Alt}
	for _, name := range names {
		p.Subs = append(p.Subs, regex.Literal(name))
	}
	return []textRule{{p: p, whole: true, not: true}}
}

// matching is what a property must satisfy whose name matches exactly these patterns.
func (c *compiler) matching(m *merged, in map[*regex.Pattern]bool) []*schema {
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
func (w *members) name(rules []textRule) (term, error) {
	c := w.compiler
	var names []*schema
	for _, s := range w.m.flat {
		names = append(names, s.names...)
	}
	if w.pairs != (Pairs{}) {
		rules = append(slices.Clip(rules), textRule{p: tagName, whole: true})
	}
	if len(names) == 0 {
		return w.nameOf(&merged{maxLen: noLimit}, rules)
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
		t, err := w.nameOf(n, rules)
		if err != nil {
			return none, err
		}
		if n.types&typeString != 0 {
			out = c.alt(out, t)
		}
	}
	return out, nil
}

func (w *members) nameOf(n *merged, rules []textRule) (term, error) {
	c := w.compiler
	quote, char, any := c.quote, c.jsonRune, c.freeRune()
	mark := c.lit(`"`)
	if w.pairs != (Pairs{}) {
		quote, char, any, mark = func(text string) string { return text }, c.utf8, c.utf8(regex.AllRunes()), empty
	}
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
				out = c.alt(out, c.lit(quote(n.enum[i].text)))
			}
		}
		return out, nil
	}
	rules = append(slices.Clip(rules), n.texts...)
	t, err := c.texts(rules, n.minLen, n.maxLen, char, any)
	if err != nil {
		return none, err
	}
	return c.named("name", c.cat(mark, t, mark)), nil
}

// Pairs are what stands around the names and values of an object that is written without JSON's braces:
// Begin, a name, Middle, a value, End. A value that is always a text stands there as it is, any other as JSON.
type Pairs struct{ Begin, Middle, End string }

// stop is the tag in End, which no value may have.
func (p Pairs) stop() string { return strings.TrimSpace(p.End) }

// tagName is a name that may stand in a tag.
var tagName = &regex.Pattern{Op: regex.Rep, Min: 1, Max: noLimit, Subs: []*regex.Pattern{regex.One(regex.NewRunes(regex.Range{Lo: '!', Hi: ';'}, regex.Range{Lo: '=', Hi: '='}, regex.Range{Lo: '?', Hi: '~'}, regex.Range{Lo: 0xA1, Hi: 0x10FFFF}))}}

// paired is the objects that satisfy a schema, as pairs.
func (c *compiler) paired(root *schema) (term, error) {
	c.tagged = true
	cases, err := c.cases([]*schema{root})
	if err != nil {
		return none, err
	}
	texts, err := c.textNames(cases)
	if err != nil {
		return none, err
	}
	out := none
	for _, flat := range cases {
		m, err := c.merge(flat)
		if err != nil {
			return none, err
		}
		if m.hasEnum {
			return none, unenforceable(pointer(m.flat[0].at, "enum"), "this model writes a call's arguments one by one: list them in properties")
		}
		if m.types&typeObject == 0 {
			continue
		}
		t, err := (&members{compiler: c, m: m, pairs: c.o.Pairs, texts: texts, comma: empty}).write()
		if err != nil {
			return none, err
		}
		out = c.alt(out, t)
	}
	return out, nil
}

// textNames are the properties whose values are texts in every case that lists them.
func (c *compiler) textNames(cases [][]*schema) (map[string]bool, error) {
	out := map[string]bool{}
	for _, flat := range cases {
		m, err := c.merge(flat)
		if err != nil {
			return nil, err
		}
		names, _ := c.listed(m)
		for _, name := range names {
			schemas, err := c.property(m, name)
			if err != nil {
				return nil, err
			}
			values, err := c.cases(schemas)
			if err != nil {
				return nil, err
			}
			all := len(values) > 0
			for _, flat := range values {
				v, err := c.merge(flat)
				if err != nil {
					return nil, err
				}
				other := slices.ContainsFunc(v.enum, func(x value) bool { return x.kind != '"' })
				all = all && (v.types == typeString || v.hasEnum) && !other
			}
			if known, ok := out[name]; !ok || known {
				out[name] = all
			}
		}
	}
	return out, nil
}

// TextProperties tells which of an object's properties are always texts, so that Pairs has them as they are.
func TextProperties(text []byte) map[string]bool {
	c, root, err := newCompiler(text, Options{})
	if err == nil {
		var cases [][]*schema
		if cases, err = c.cases([]*schema{root}); err == nil {
			var texts map[string]bool
			if texts, err = c.textNames(cases); err == nil {
				return texts
			}
		}
	}
	var literal struct { // what cannot be enforced may still say so
		Properties map[string]struct{ Type any }
	}
	texts := map[string]bool{}
	if json.Unmarshal(text, &literal) == nil {
		for name, p := range literal.Properties {
			texts[name] = p.Type == "string"
		}
	}
	return texts
}

// between is a listed property between tags.
func (w *members) between(name string, schemas []*schema) (term, error) {
	head := w.lit(w.pairs.Begin + name + w.pairs.Middle)
	if name == "" || strings.TrimSpace(name) != name || strings.ContainsAny(name, "<>\n") {
		return none, unenforceable(pointer(w.m.flat[0].at, "properties"), "this model cannot write the name %q in its form of calls: choose another", name)
	}
	if !w.texts[name] {
		v, err := w.value(schemas)
		return w.cat(head, v, w.lit(w.pairs.End)), err
	}
	cases, err := w.cases(schemas)
	if err != nil {
		return none, err
	}
	out := none
	for _, flat := range cases {
		m, err := w.merge(flat)
		if err != nil {
			return none, err
		}
		t, err := w.plain(m)
		if err != nil {
			return none, err
		}
		out = w.alt(out, t)
	}
	return w.cat(head, out, w.lit(w.pairs.End)), nil
}

// plain is a text as it is.
func (w *members) plain(m *merged) (term, error) {
	if m.hasEnum {
		out := none
		for i := range m.enum {
			if !strings.Contains(m.enum[i].text, w.pairs.stop()) {
				out = w.alt(out, w.lit(m.enum[i].text))
			}
		}
		return out, nil
	}
	rules := append(slices.Clip(m.texts), textRule{p: regex.Literal(w.pairs.stop()), not: true})
	t, err := w.compiler.texts(rules, m.minLen, m.maxLen, w.utf8, w.utf8(regex.AllRunes()))
	if err != nil {
		return none, atPlace(err, m.flat[0].at)
	}
	return w.named("text", t), nil
}

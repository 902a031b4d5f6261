package grammar

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/galerne-ai/galerne/internal/grammar/regex"
)

const (
	maxCases     = 4096   // ways through the choices of one schema
	maxVoidDepth = 5      // of objects and arrays in which a contradiction is looked for
	maxMerges    = 50_000 // schemas and sets of schemas looked at for one document
)

// spend counts work and fails when there was too much of it.
func (c *compiler) spend(at string) error {
	if c.work++; c.work > maxMerges {
		return ErrLimit.Because("grammar: the schema's choices multiply beyond %d cases at %s: use fewer anyOf, oneOf and if in each other", maxMerges, pointerName(at)).At(at)
	}
	return nil
}

func key(schemas []*schema) string {
	ids := make([]int, len(schemas))
	for i, s := range schemas {
		ids[i] = s.id
	}
	slices.Sort(ids)
	var b []byte
	for _, id := range slices.Compact(ids) {
		b = append(strconv.AppendInt(b, int64(id), 36), ' ')
	}
	return string(b)
}

// cases gives every way to satisfy the schemas: each is a list of schemas that have nothing left to
// choose. Where a choice is exclusive, its other alternatives are excluded, or shown to be.
func (c *compiler) cases(schemas []*schema) ([][]*schema, error) {
	var out [][]*schema
	seen := map[string]bool{}
	var expand func(flat, todo []*schema, groups []group) error
	expand = func(flat, todo []*schema, groups []group) error {
		flat, groups = slices.Clone(flat), slices.Clone(groups)
		types := typeSet(typeAny)
		for len(todo) > 0 {
			s := todo[0]
			todo = todo[1:]
			if slices.Contains(flat, s) {
				continue
			}
			if s.never {
				return nil
			}
			if err := c.spend(s.at); err != nil {
				return err
			}
			flat = append(flat, s)
			todo = append(slices.Clone(s.all), todo...)
			groups = append(groups, s.groups...)
			for _, n := range s.nots {
				alts, err := c.negate(n.v, n.at)
				if err != nil {
					return err
				}
				groups = append(groups, group{at: n.at, alts: alts})
			}
		}
		for _, s := range flat {
			types &= s.types
		}
		if types == 0 {
			return nil
		}
		if len(groups) == 0 {
			if k := key(flat); !seen[k] {
				seen[k] = true
				out = append(out, flat)
			}
			if len(out) > maxCases {
				return ErrLimit.Because("grammar: %s has more than %d ways to satisfy its choices", pointerName(schemas[0].at), maxCases).At(schemas[0].at)
			}
			return nil
		}
		alts, err := c.alternatives(flat, groups[0])
		if err != nil {
			return err
		}
		for _, a := range alts {
			if err := expand(flat, a, groups[1:]); err != nil {
				return err
			}
		}
		return nil
	}
	return out, expand(nil, schemas, nil)
}

// alternatives of a group, each as the schemas that hold then.
func (c *compiler) alternatives(flat []*schema, g group) ([][]*schema, error) {
	if c.rests && !g.exclusive && len(g.alts) <= maxSubsets {
		return subsets(g.alts), nil
	}
	out := make([][]*schema, len(g.alts))
	for i, s := range g.alts {
		out[i] = []*schema{s}
		if !g.exclusive {
			continue
		}
		for j, other := range g.alts {
			if i == j || c.void(append(c.bare(flat), s, other), 0) {
				continue
			}
			alts, err := c.negate(other, g.at)
			if err != nil {
				if errors.Is(err, ErrLimit) {
					return nil, err
				}
				return nil, unenforceable(g.at, "alternatives %d and %d may both hold, and keeping to one is not possible (%s): use anyOf, or give each a required property with a constant of its own", min(i, j), max(i, j), strings.TrimPrefix(err.Error(), "grammar: "))
			}
			not := c.fresh(g.at)
			not.made = true
			not.groups = []group{{at: g.at, alts: alts}}
			out[i] = append(out[i], not)
		}
	}
	return out, nil
}

// bare are the schemas without what they apply to the same value: in a case that is in the list itself.
func (c *compiler) bare(flat []*schema) []*schema {
	out := make([]*schema, len(flat))
	for i, s := range flat {
		b, ok := c.bares[s.id]
		if !ok {
			copied := *s
			b = &copied
			c.count++
			b.id, b.made, b.all, b.groups, b.nots = c.count, true, nil, nil, nil
			b.unevaluated = [2]*schema{}
			c.bares[s.id] = b
		}
		out[i] = b
	}
	return out
}

// maxSubsets is the longest anyOf of which several alternatives are told from one, for unevaluated
// keywords. Of a longer one, texts that need several alternatives are left out.
const maxSubsets = 5

// subsets are the ways in which at least one of the schemas holds.
func subsets(alts []*schema) [][]*schema {
	var out [][]*schema
	for set := 1; set < 1<<len(alts); set++ {
		var list []*schema
		for i, s := range alts {
			if set>>i&1 != 0 {
				list = append(list, s)
			}
		}
		out = append(out, list)
	}
	return out
}

// merged is what a case asks of a value: its schemas together.
type merged struct {
	flat      []*schema
	types     typeSet
	enum      []value // with hasEnum: the only values
	hasEnum   bool
	excluded  []value
	low, high *bound
	divisors  []keyed[decimal]
	odd       []keyed[decimal]

	minLen, maxLen     int32
	texts              []textRule
	minItems, maxItems int32
	minProps, maxProps int32
	required           []string
	some               []someProperty
}

func (c *compiler) merge(flat []*schema) (*merged, error) {
	m := &merged{flat: flat, types: typeAny, maxLen: noLimit, maxItems: noLimit, maxProps: noLimit}
	for _, s := range flat {
		m.types &= s.types
		m.low, m.high = tighter(m.low, s.low, false), tighter(m.high, s.high, true)
		m.divisors, m.odd = append(m.divisors, s.divisors...), append(m.odd, s.odd...)
		m.excluded = append(m.excluded, s.excluded...)
		m.texts = append(m.texts, s.texts...)
		m.some = append(m.some, s.some...)
		m.minLen, m.maxLen = max(m.minLen, s.minLen), minLimit(m.maxLen, s.maxLen)
		m.minItems, m.maxItems = max(m.minItems, s.minItems), minLimit(m.maxItems, s.maxItems)
		m.minProps, m.maxProps = max(m.minProps, s.minProps), minLimit(m.maxProps, s.maxProps)
		for _, name := range s.required {
			if !slices.Contains(m.required, name) {
				m.required = append(m.required, name)
			}
		}
		if s.hasEnum && !m.hasEnum {
			m.enum, m.hasEnum = s.enum, true
		}
	}
	if m.hasEnum {
		var kept []value
		for i := range m.enum {
			ok, err := c.holdsAll(flat, &m.enum[i], 0)
			if err != nil {
				return nil, err
			}
			if ok {
				kept = append(kept, m.enum[i])
			}
		}
		m.enum = kept
	}
	for i := range m.excluded {
		switch m.excluded[i].kind {
		case 'n':
			m.types &^= typeNull
		case '"':
			m.texts = append(m.texts, textRule{p: regex.Literal(m.excluded[i].text), whole: true, not: true})
		}
	}
	return m, nil
}

// property is what a value must satisfy under a name: the schemas of every schema of the case.
func (c *compiler) property(m *merged, name string) ([]*schema, error) {
	var out []*schema
	for _, s := range m.flat {
		known := false
		for _, p := range s.props {
			if p.name == name {
				out, known = append(out, p.s), true
			}
		}
		for _, p := range s.patterns {
			ok, err := c.matches(textRule{p: p.p}, name)
			if err != nil {
				return nil, atPlace(err, p.at)
			}
			if ok {
				out, known = append(out, p.s), true
			}
		}
		if !known && s.additional != nil {
			out = append(out, s.additional)
		}
	}
	for i := range m.flat {
		rest, err := c.unevaluatedFor(m, i, name)
		if err != nil {
			return nil, err
		}
		out = append(out, rest...)
	}
	return out, nil
}

// unevaluatedFor applies unevaluatedProperties of the case's schema i to a name that none of the
// schemas it applies to the same value has named.
func (c *compiler) unevaluatedFor(m *merged, i int, name string) ([]*schema, error) {
	rest := m.flat[i].unevaluated[0]
	if rest == nil {
		return nil, nil
	}
	for _, s := range c.within(m, m.flat[i]) {
		if s.additional != nil || s != m.flat[i] && s.unevaluated[0] != nil {
			return nil, nil
		}
		for _, p := range s.props {
			if p.name == name {
				return nil, nil
			}
		}
		for _, p := range s.patterns {
			if ok, err := c.matches(textRule{p: p.p}, name); ok || err != nil {
				return nil, err
			}
		}
	}
	return []*schema{rest}, nil
}

// within gives a schema of the case and those that it applies to the same value there, negations
// left out.
func (c *compiler) within(m *merged, s *schema) []*schema {
	out := []*schema{s}
	for i := 0; i < len(out); i++ {
		next := slices.Clone(out[i].all)
		for _, g := range out[i].groups {
			next = append(next, g.alts...)
		}
		for _, n := range next {
			if !n.made && slices.Contains(m.flat, n) && !slices.Contains(out, n) {
				out = append(out, n)
			}
		}
	}
	return out
}

// item is what the value at an index must satisfy.
func (c *compiler) item(m *merged, index int) ([]*schema, error) {
	var out []*schema
	for _, s := range m.flat {
		if index < len(s.prefix) {
			out = append(out, s.prefix[index])
		} else if s.items != nil {
			out = append(out, s.items)
		}
		rest := s.unevaluated[1]
		if rest == nil {
			continue
		}
		evaluated := false
		for _, w := range c.within(m, s) {
			if len(w.contains) > 0 {
				return nil, unenforceable(pointer(s.at, "unevaluatedItems"), "contains decides what it applies to")
			}
			evaluated = evaluated || index < len(w.prefix) || w.items != nil || w != s && w.unevaluated[1] != nil
		}
		if !evaluated {
			out = append(out, rest)
		}
	}
	return out, nil
}

func (m *merged) prefixLength() int {
	n := 0
	for _, s := range m.flat {
		n = max(n, len(s.prefix))
	}
	return n
}

// void reports that no value can satisfy the schemas; false where that is not seen at once.
func (c *compiler) void(schemas []*schema, depth int) bool {
	if depth > maxVoidDepth {
		return false
	}
	k := key(schemas)
	if v, ok := c.voids[k]; ok {
		return v
	}
	c.voids[k] = false // while it is looked at
	cases, err := c.cases(schemas)
	if err != nil {
		return false
	}
	for _, flat := range cases {
		m, err := c.merge(flat)
		if err != nil || !c.voidCase(m, depth) {
			return false
		}
	}
	c.voids[k] = true
	return true
}

func (c *compiler) voidCase(m *merged, depth int) bool {
	if m.hasEnum {
		return len(m.enum) == 0
	}
	types := m.types
	if types&typeNumber != 0 && m.low != nil && m.high != nil {
		if d := m.low.cmp(m.high.decimal); d > 0 || d == 0 && (m.low.strict || m.high.strict) {
			types &^= typeNumber
		}
	}
	if types&typeNumber == typeInteger && m.low != nil && m.high != nil && m.low.integer(false).Cmp(m.high.integer(true)) > 0 {
		types &^= typeInteger
	}
	if types&typeString != 0 {
		p, err := intersect(m.texts, m.minLen, m.maxLen, tryStates)
		if m.maxLen != noLimit && m.minLen > m.maxLen || err == nil && p.ok && p.auto == nil {
			types &^= typeString
		}
	}
	if types&typeArray != 0 && m.maxItems != noLimit && m.minItems > m.maxItems {
		types &^= typeArray
	}
	for i := 0; types&typeArray != 0 && i < int(min(m.minItems, 16)); i++ {
		if item, err := c.item(m, i); err == nil && len(item) > 0 && c.void(item, depth+1) {
			types &^= typeArray
		}
	}
	if types&typeObject != 0 && m.maxProps != noLimit && max(m.minProps, int32(len(m.required))) > m.maxProps {
		types &^= typeObject
	}
	for _, name := range m.required {
		if types&typeObject == 0 {
			break
		}
		if value, err := c.property(m, name); err == nil && len(value) > 0 && c.void(value, depth+1) {
			types &^= typeObject
		}
	}
	return types == 0
}

// negate gives schemas of which at least one holds exactly where s does not.
func (c *compiler) negate(s *schema, at string) ([]*schema, error) {
	if alts, ok := c.negated[s.id]; ok {
		if alts == nil {
			return nil, unenforceable(at, "the schema at %s contains itself", pointerName(s.at))
		}
		return alts, nil
	}
	c.negated[s.id] = nil // being made
	alts := []*schema{}
	add := func(types typeSet, fill func(*schema)) {
		n := c.fresh(s.at)
		n.made, n.types = true, types
		fill(n)
		alts = append(alts, n)
	}
	if s.never {
		add(typeAny, func(*schema) {})
	}
	if s.types != typeAny {
		add(typeAny&^s.types, func(*schema) {})
	}
	if s.hasEnum {
		add(typeAny, func(n *schema) { n.excluded = s.enum })
	}
	for _, x := range s.excluded {
		add(typeAny, func(n *schema) { n.enum, n.hasEnum = []value{x}, true })
	}
	c.negateScalars(s, add)
	err := c.negateArrays(s, at, add)
	if err == nil {
		err = c.negateObjects(s, at, add)
	}
	if err == nil {
		err = c.negateApplied(s, at, &alts)
	}
	if err != nil {
		delete(c.negated, s.id)
		return nil, err
	}
	c.negated[s.id] = alts
	return alts, nil
}

func (c *compiler) negateScalars(s *schema, add func(typeSet, func(*schema))) {
	if s.low != nil {
		add(typeNumber, func(n *schema) { n.high = &bound{s.low.decimal, !s.low.strict} })
	}
	if s.high != nil {
		add(typeNumber, func(n *schema) { n.low = &bound{s.high.decimal, !s.high.strict} })
	}
	for _, d := range s.divisors {
		add(typeNumber, func(n *schema) { n.odd = []keyed[decimal]{d} })
	}
	for _, d := range s.odd {
		add(typeNumber, func(n *schema) { n.divisors = []keyed[decimal]{d} })
	}
	if s.minLen > 0 {
		add(typeString, func(n *schema) { n.maxLen = s.minLen - 1 })
	}
	if s.maxLen != noLimit {
		add(typeString, func(n *schema) { n.minLen = s.maxLen + 1 })
	}
	for _, r := range s.texts {
		add(typeString, func(n *schema) { n.texts = []textRule{{p: r.p, whole: r.whole, not: !r.not}} })
	}
}

func (c *compiler) negateArrays(s *schema, at string, add func(typeSet, func(*schema))) error {
	if s.minItems > 0 {
		add(typeArray, func(n *schema) { n.maxItems = s.minItems - 1 })
	}
	if s.maxItems != noLimit {
		add(typeArray, func(n *schema) { n.minItems = s.maxItems + 1 })
	}
	for i, p := range s.prefix {
		add(typeArray, func(n *schema) {
			n.prefix = append(n.prefix, s.prefix[:i]...)
			n.prefix = append(n.prefix, c.opposite(p, at))
			n.minItems = int32(i + 1)
		})
	}
	if s.items != nil && len(s.prefix) > 0 {
		return unenforceable(at, "items behind prefixItems cannot be turned round")
	}
	if s.items != nil {
		add(typeArray, func(n *schema) { n.contains = []contained{{at, c.opposite(s.items, at), 1, noLimit}} })
	}
	for _, x := range s.contains {
		if x.min > 0 && (x.max == noLimit || x.max >= x.min) {
			add(typeArray, func(n *schema) { n.contains = []contained{{at, x.s, 0, x.min - 1}} })
		}
		if x.max != noLimit {
			add(typeArray, func(n *schema) { n.contains = []contained{{at, x.s, x.max + 1, noLimit}} })
		}
	}
	if s.unique || s.unevaluated != [2]*schema{} {
		return unenforceable(at, "uniqueItems and unevaluated keywords cannot be turned round")
	}
	return nil
}

// opposite is a schema that holds where s does not; what makes that impossible is found when it is used.
func (c *compiler) opposite(s *schema, at string) *schema {
	if n, ok := c.opposites[s.id]; ok {
		return n
	}
	n := c.fresh(s.at)
	n.made = true
	n.nots = []keyed[*schema]{{at, s}}
	c.opposites[s.id] = n
	return n
}

func (c *compiler) negateObjects(s *schema, at string, add func(typeSet, func(*schema))) error {
	if s.minProps > 0 {
		add(typeObject, func(n *schema) { n.maxProps = s.minProps - 1 })
	}
	if s.maxProps != noLimit {
		add(typeObject, func(n *schema) { n.minProps = s.maxProps + 1 })
	}
	for _, name := range s.required {
		never := c.fresh(s.at)
		never.never = true
		add(typeObject, func(n *schema) { n.props = []property{{name, never}} })
	}
	for _, p := range s.props {
		add(typeObject, func(n *schema) {
			n.required = []string{p.name}
			n.props = []property{{p.name, c.opposite(p.s, at)}}
		})
	}
	var names []string
	for _, p := range s.props {
		names = append(names, p.name)
	}
	others := c.listedTexts(names)
	for _, p := range s.patterns {
		others = append(others, textRule{p: p.p, not: true})
		add(typeObject, func(n *schema) { n.some = []someProperty{{at, []textRule{{p: p.p}}, c.opposite(p.s, at)}} })
	}
	if s.additional != nil {
		add(typeObject, func(n *schema) { n.some = []someProperty{{at, others, c.opposite(s.additional, at)}} })
	}
	if len(s.names) > 0 || len(s.some) > 0 {
		return unenforceable(at, "propertyNames cannot be turned round")
	}
	return nil
}

func (c *compiler) negateApplied(s *schema, at string, alts *[]*schema) error {
	for _, sub := range s.all {
		more, err := c.negate(sub, at)
		if err != nil {
			return err
		}
		*alts = append(*alts, more...)
	}
	for _, n := range s.nots {
		*alts = append(*alts, n.v)
	}
	for _, g := range s.groups {
		all := c.fresh(s.at)
		all.made = true
		for i, sub := range g.alts {
			for _, other := range g.alts[i+1:] {
				if g.exclusive && !c.void([]*schema{sub, other}, 0) {
					return unenforceable(at, "a oneOf whose alternatives may both hold cannot be turned round")
				}
			}
			all.all = append(all.all, c.opposite(sub, at))
		}
		*alts = append(*alts, all)
	}
	return nil
}

package grammar

import (
	"strings"
)

// copier brings terms of one store into another.
type copier struct {
	from, to *store
	memo     map[term]term
	rules    map[term]term
	autos    map[term]term
	base     term   // terms below are the same in both stores, and so are rules and automata
	keep     []bool // terms of from that have a text; the others become none. nil: all
}

func newCopier(from, to *store) *copier {
	return &copier{from: from, to: to, memo: map[term]term{}, rules: map[term]term{}, autos: map[term]term{}}
}

func (c *copier) copy(t term) term {
	if t <= empty || t < c.base {
		return t
	}
	if c.keep != nil && !c.keep[t] {
		return none
	}
	if x, ok := c.memo[t]; ok {
		return x
	}
	n := c.from.nodes[t]
	var x term
	switch n.kind {
	case isSet:
		x = c.to.set(byteSet([]byte(n.text)))
	case isLit:
		x = c.to.lit(n.text)
	case isCat:
		x = c.to.cat2(c.copy(n.a), c.copy(n.b))
	case isFrame:
		x = c.to.frame(c.copy(n.a), c.copy(n.b))
	case isAlt:
		list := make([]term, len(n.list))
		for i, a := range n.list {
			list[i] = c.copy(a)
		}
		x = c.to.alt(list...)
	case isRep:
		x = c.to.rep(c.copy(n.a), n.min, n.max)
	case isRule:
		x = c.copyRule(n.a)
	case isAuto:
		a := n.a
		if c.base == none {
			a = c.copyAuto(a)
		}
		x = c.to.auto(a, int32(n.b))
	default:
		panic("grammar: a term of a regular language is in a grammar")
	}
	c.memo[t] = x
	return x
}

func (c *copier) copyRule(id term) term {
	if x, ok := c.rules[id]; ok {
		return x
	}
	x := c.to.rule(c.from.names[id])
	c.rules[id] = x
	if !c.to.full {
		c.to.define(x, c.copy(c.from.rules[id]))
	}
	return x
}

func (c *copier) copyAuto(id term) term {
	if x, ok := c.autos[id]; ok {
		return x
	}
	a := c.from.autos[id]
	class := make([]term, len(a.class))
	for i, t := range a.class {
		class[i] = c.copy(t)
	}
	x := c.to.addAuto(a.automaton, class)
	c.autos[id] = x
	return x
}

// seal makes a store that holds the root's language only, ready for step. Rules that have no finite
// text are taken away; a grammar that has none at all, or that recurs on its left side, is an error.
func (s *store) seal(root term) (*store, term, error) {
	if s.full {
		return nil, none, errTooLarge()
	}
	c := newCopier(s, newStore())
	c.keep = s.productive()
	root = c.copy(root)
	to := c.to
	if s.free != none {
		to.free = c.copy(s.free)
	}
	if to.full {
		return nil, none, errTooLarge()
	}
	if root == none {
		return nil, none, ErrEmpty
	}
	to.prepare()
	if err := to.checkLeft(); err != nil {
		return nil, none, err
	}
	return to, root, nil
}

func errTooLarge() error {
	return ErrLimit.Because("grammar: more than %d parts, or %d alternatives at one place: simplify it", maxTerms, maxWidth)
}

// productive tells for each term whether it has a finite text.
func (s *store) productive() []bool {
	ok := make([]bool, len(s.nodes))
	for changed := true; changed; {
		changed = false
		for t := range s.nodes {
			if !ok[t] && s.computeProductive(&s.nodes[t], ok) {
				ok[t], changed = true, true
			}
		}
	}
	return ok
}

func (s *store) computeProductive(n *node, ok []bool) bool {
	switch n.kind {
	case isNone:
		return false
	case isCat, isFrame:
		return ok[n.a] && ok[n.b]
	case isAlt:
		for _, t := range n.list {
			if ok[t] {
				return true
			}
		}
		return false
	case isRep:
		return n.min == 0 || ok[n.a]
	case isRule:
		return ok[s.rules[n.a]]
	}
	return true
}

// checkLeft refuses rules that begin with themselves: step would not end.
func (s *store) checkLeft() error {
	const (
		open = 1
		done = 2
	)
	state := make([]uint8, len(s.nodes))
	var path []string
	var visit func(t term) error
	visit = func(t term) error {
		n := &s.nodes[t]
		if n.kind == isRule {
			path = append(path, s.names[n.a])
			defer func() { path = path[:len(path)-1] }()
		}
		switch state[t] {
		case done:
			return nil
		case open:
			return ErrGBNF.Because("grammar: rule %s begins with itself (%s): write the repetition with * or + instead",
				path[len(path)-1], strings.Join(path, " → "))
		}
		state[t] = open
		for _, x := range s.leftParts(n) {
			if err := visit(x); err != nil {
				return err
			}
		}
		state[t] = done
		return nil
	}
	for t := range s.nodes {
		if s.nodes[t].kind == isRule {
			if err := visit(term(t)); err != nil {
				return err
			}
		}
	}
	return nil
}

// leftParts are the terms that a text of n may begin with.
func (s *store) leftParts(n *node) []term {
	switch n.kind {
	case isCat, isFrame:
		if s.nullable(n.a) {
			return []term{n.a, n.b}
		}
		return []term{n.a}
	case isAlt:
		return n.list
	case isRep:
		return []term{n.a}
	case isRule:
		return []term{s.rules[n.a]}
	}
	return nil
}

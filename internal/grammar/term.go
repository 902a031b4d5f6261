package grammar

import (
	"encoding/binary"
	"slices"

	"github.com/galerne-ai/galerne/internal/grammar/automaton"
	"github.com/galerne-ai/galerne/internal/grammar/regex"
)

// term is a language: the number of a node in a store. Equal nodes have equal numbers, so a term is
// also a state of the automaton that reads its language, and a map key.
type term int32

const (
	none  term = 0 // no text at all
	empty term = 1 // the empty text
)

type kind uint8

const (
	isNone  kind = iota
	isEmpty      // ""
	isSet        // one byte of a set
	isLit        // these bytes
	isCat        // a then b
	isFrame      // a then b, where a is what is left of a rule that was entered: b is its return address
	isAlt        // any of list
	isRep        // a, min to max times
	isRule       // the body of rule a
	isAuto       // what automaton a reads from state b, in at most max symbols
	isAnd        // all of list; never in a grammar, only in regular languages before they are made automata
	isNot        // anything but a; like isAnd
)

const (
	noLimit   = regex.NoLimit   // of isRep
	maxRepeat = regex.MaxRepeat // of one counted repetition
	litChunk  = 64              // longer literals are split, so that hashing what is left of them stays cheap

	maxTerms  = 1 << 19 // nodes of one store while a grammar is compiled
	maxWeight = 1 << 24 // lists and rows of one store, in terms: 64 MiB
	maxWidth  = 1 << 13 // alternatives of one state
)

type node struct {
	kind     kind
	nullable bool
	a, b     term
	min, max int32  // isRep, isAuto
	text     string // isLit: its bytes; isSet: a bitmap of 32 bytes
	list     []term
}

type nodeKey struct {
	kind     kind
	a, b     term
	min, max int32
	text     string
}

// alphabet is an automaton in a store: what each of its classes is written as.
type alphabet struct {
	*automaton.Table
	class []term
}

// store holds terms. It is used by one goroutine at a time.
type store struct {
	nodes    []node
	index    map[nodeKey]term
	below    map[nodeKey]term // what is not in index, shared with others: of the grammar in which this store walks
	rules    []term           // bodies
	names    []string
	autos    []alphabet
	free     term            // one character of a JSON string, none if there is none: masks know it
	limit    int             // nodes
	full     bool            // a limit was passed: terms made since are worthless
	weight   int             // of lists and rows
	explored int             // states of automata made for it
	chars    map[string]term // what sets of code points are written as
	tagged   bool            // JSON stands between tags

	classOf  [256]uint8 // bytes that no term tells apart share a class
	classRep []byte
	next     [][]term // [term][class] → derivative plus one, 0 where it is not known yet
}

func newStore() *store { return newStoreFor(0) }

// newStoreFor has room for so many nodes already.
func newStoreFor(nodes int) *store {
	s := &store{nodes: make([]node, 0, nodes+2), index: make(map[nodeKey]term, nodes), limit: maxTerms, chars: map[string]term{}}
	s.nodes = append(s.nodes, node{kind: isNone}, node{kind: isEmpty, nullable: true})
	return s
}

func (s *store) intern(n node, key string) term {
	k := nodeKey{n.kind, n.a, n.b, n.min, n.max, key}
	if t, ok := s.index[k]; ok {
		return t
	}
	if t, ok := s.below[k]; ok {
		return t
	}
	if len(s.nodes) >= s.limit {
		s.full = true
		return none
	}
	if s.weight += len(n.list); s.weight > maxWeight {
		s.full = true
	}
	t := term(len(s.nodes))
	s.nodes = append(s.nodes, n)
	s.nodes[t].nullable = s.computeNullable(t)
	s.index[k] = t
	return t
}

func (s *store) nullable(t term) bool { return s.nodes[t].nullable }

func (s *store) computeNullable(t term) bool {
	n := &s.nodes[t]
	switch n.kind {
	case isEmpty:
		return true
	case isCat, isFrame:
		return s.nullable(n.a) && s.nullable(n.b)
	case isAlt:
		return slices.ContainsFunc(n.list, s.nullable)
	case isAnd:
		return !slices.ContainsFunc(n.list, func(t term) bool { return !s.nullable(t) })
	case isNot:
		return !s.nullable(n.a)
	case isRep:
		return n.min == 0 || s.nullable(n.a)
	case isRule:
		body := s.rules[n.a]
		return s.nullable(body)
	case isAuto:
		return s.autos[n.a].Accept[n.b]
	}
	return false
}

func (s *store) lit(text string) term {
	if text == "" {
		return empty
	}
	if len(text) > litChunk {
		return s.cat(s.lit(text[:litChunk]), s.lit(text[litChunk:]))
	}
	return s.intern(node{kind: isLit, text: text}, text)
}

// byteSet is a bitmap of bytes.
type byteSet [32]byte

func (b *byteSet) add(lo, hi byte) {
	for c := int(lo); c <= int(hi); c++ {
		b[c>>3] |= 1 << (c & 7)
	}
}

func (b *byteSet) join(other *byteSet) {
	for i := range b {
		b[i] |= other[i]
	}
}

func (b *byteSet) has(c byte) bool { return b[c>>3]>>(c&7)&1 != 0 }

func (s *store) set(b byteSet) term {
	count, last := 0, 0
	for c := range 256 {
		if b.has(byte(c)) {
			count, last = count+1, c
		}
	}
	switch count {
	case 0:
		return none
	case 1:
		return s.lit(string([]byte{byte(last)}))
	}
	text := string(b[:])
	return s.intern(node{kind: isSet, text: text}, text)
}

// bytes is one byte from lo to hi.
func (s *store) bytes(lo, hi byte) term {
	var b byteSet
	b.add(lo, hi)
	return s.set(b)
}

func (s *store) cat(parts ...term) term {
	out := empty
	for i := len(parts) - 1; i >= 0; i-- {
		out = s.cat2(parts[i], out)
	}
	return out
}

// cat2 leans to the right: its first part is never a cat or a frame.
func (s *store) cat2(a, b term) term {
	switch {
	case a == none || b == none:
		return none
	case a == empty:
		return b
	case b == empty:
		return a
	}
	switch n := s.nodes[a]; n.kind {
	case isCat:
		return s.cat2(n.a, s.cat2(n.b, b))
	case isFrame:
		return s.frame(n.a, s.cat2(n.b, b))
	case isAlt:
		if slices.ContainsFunc(n.list, s.isFrame) {
			list := make([]term, 0, len(n.list))
			for _, x := range n.list {
				list = append(list, s.cat2(x, b))
			}
			return s.alt(list...)
		}
	case isLit:
		if m := s.nodes[b]; m.kind == isLit && len(n.text)+len(m.text) <= litChunk {
			return s.lit(n.text + m.text)
		} else if m.kind == isCat {
			if f := s.nodes[m.a]; f.kind == isLit && len(n.text)+len(f.text) <= litChunk {
				return s.cat2(s.lit(n.text+f.text), m.b)
			}
		}
	}
	return s.intern(node{kind: isCat, a: a, b: b}, "")
}

func (s *store) isFrame(t term) bool { return s.nodes[t].kind == isFrame }

// frame leans to the right too: a is never a frame, and never a choice that has frames.
func (s *store) frame(a, b term) term {
	switch {
	case a == none || b == none:
		return none
	case a == empty:
		return b
	}
	switch n := s.nodes[a]; n.kind {
	case isFrame:
		return s.frame(n.a, s.frame(n.b, b))
	case isAlt:
		if slices.ContainsFunc(n.list, s.isFrame) {
			list := make([]term, 0, len(n.list))
			for _, x := range n.list {
				list = append(list, s.frame(x, b))
			}
			return s.alt(list...)
		}
	}
	return s.intern(node{kind: isFrame, a: a, b: b}, "")
}

func (s *store) alt(list ...term) term {
	flat := make([]term, 0, len(list))
	for _, t := range list {
		if n := &s.nodes[t]; n.kind == isAlt {
			flat = append(flat, n.list...)
		} else if t != none {
			flat = append(flat, t)
		}
	}
	return s.many(isAlt, flat, none)
}

func (s *store) and(list ...term) term {
	flat := make([]term, 0, len(list))
	for _, t := range list {
		if t == none {
			return none
		}
		if n := &s.nodes[t]; n.kind == isAnd {
			flat = append(flat, n.list...)
		} else {
			flat = append(flat, t)
		}
	}
	return s.many(isAnd, flat, none)
}

func (s *store) many(k kind, flat []term, ifEmpty term) term {
	slices.Sort(flat)
	flat = slices.Compact(flat)
	switch {
	case len(flat) == 0:
		return ifEmpty
	case len(flat) == 1:
		return flat[0]
	case len(flat) > maxWidth:
		s.full = true
		return none
	}
	key := make([]byte, 0, 4*len(flat))
	for _, t := range flat {
		key = binary.LittleEndian.AppendUint32(key, uint32(t))
	}
	return s.intern(node{kind: k, list: flat}, string(key))
}

func (s *store) not(a term) term {
	if n := &s.nodes[a]; n.kind == isNot {
		return n.a
	}
	return s.intern(node{kind: isNot, a: a}, "")
}

// opt is a or nothing.
func (s *store) opt(a term) term { return s.alt(empty, a) }

// rep is a, from min to max times; max may be noLimit.
func (s *store) rep(a term, min, max int32) term {
	switch {
	case max == 0 || a == empty:
		return empty
	case a == none && min > 0:
		return none
	case a == none:
		return empty
	case min == 1 && max == 1:
		return a
	}
	return s.intern(node{kind: isRep, a: a, min: min, max: max}, "")
}

// rule makes a rule without a body, which define gives it later: that is how languages recur.
func (s *store) rule(name string) term {
	id := term(len(s.rules))
	s.rules = append(s.rules, none)
	s.names = append(s.names, name)
	return s.intern(node{kind: isRule, a: id}, "")
}

func (s *store) define(rule, body term) { s.rules[s.nodes[rule].a] = body }

// named is a rule with a body: masks are cached for what is left of a rule, whatever follows it.
func (s *store) named(name string, body term) term {
	if body == none || body == empty {
		return body
	}
	r := s.rule(name)
	s.define(r, body)
	return r
}

func (s *store) addAuto(a *automaton.Table, class []term) term {
	s.autos = append(s.autos, alphabet{a, class})
	return term(len(s.autos) - 1)
}

// auto is what automaton a reads from a state on, in at most max symbols; max may be noLimit.
func (s *store) auto(a term, state, max int32) term {
	if max != noLimit && s.autos[a].Dist[state] > max {
		return none
	}
	return s.intern(node{kind: isAuto, a: a, b: term(state), max: max}, "")
}

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
		x = c.to.auto(a, int32(n.b), n.max)
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
	x := c.to.addAuto(a.Table, class)
	c.autos[id] = x
	return x
}

// seal makes a store that holds the root's language only, ready for step. Rules that have no finite
// text are taken away; a grammar that has none at all, or that recurs on its left side, is an error.
func (s *store) seal(root term) (*store, term, error) {
	if s.full {
		return nil, none, errTooLarge()
	}
	c := newCopier(s, newStoreFor(len(s.nodes)))
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
	s.spread(func(t term) bool {
		ok[t] = ok[t] || s.computeProductive(&s.nodes[t], ok)
		return ok[t]
	})
	return ok
}

// spread evaluates a property of every term that depends on its parts and that only ever becomes true:
// each term is looked at again when a part became true.
func (s *store) spread(holds func(term) bool) {
	users := make([][]term, len(s.nodes))
	for t := range s.nodes {
		for _, part := range s.parts(&s.nodes[t]) {
			users[part] = append(users[part], term(t))
		}
	}
	known := make([]bool, len(s.nodes))
	todo := make([]term, len(s.nodes))
	for t := range todo {
		todo[t] = term(len(todo) - 1 - t)
	}
	for len(todo) > 0 {
		t := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if !known[t] && holds(t) {
			known[t] = true
			todo = append(todo, users[t]...)
		}
	}
}

// parts are the terms that a node is made of.
func (s *store) parts(n *node) []term {
	switch n.kind {
	case isCat, isFrame:
		return []term{n.a, n.b}
	case isAlt, isAnd:
		return n.list
	case isRep, isNot:
		return []term{n.a}
	case isRule:
		return []term{s.rules[n.a]}
	}
	return nil
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

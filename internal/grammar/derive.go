package grammar

import (
	"container/heap"
	"slices"
	"strings"

	"github.com/galerne-ai/galerne/internal/grammar/automaton"
)

// step is what may follow once a byte of class c was read: the derivative of t. It is none where no
// text of t goes on that way. Results are remembered, so that terms become the states of an automaton
// which is built as far as it is used.
func (s *store) step(t term, c uint8) term {
	if int(t) < len(s.next) {
		if row := s.next[t]; row != nil && row[c] != 0 {
			return row[c] - 1
		}
	}
	x := s.derive(t, c)
	if s.full {
		return none
	}
	for len(s.next) < len(s.nodes) {
		s.next = append(s.next, nil)
	}
	if s.next[t] == nil {
		s.next[t] = make([]term, len(s.classRep))
		s.weight += len(s.classRep)
	}
	s.next[t][c] = x + 1
	return x
}

func (s *store) derive(t term, c uint8) term {
	n := s.nodes[t]
	switch n.kind {
	case isSet:
		if b := s.classRep[c]; n.text[b>>3]>>(b&7)&1 != 0 {
			return empty
		}
	case isLit:
		if n.text[0] == s.classRep[c] {
			return s.lit(n.text[1:])
		}
	case isCat:
		x := s.cat2(s.step(n.a, c), n.b)
		if s.nullable(n.a) {
			return s.alt(x, s.step(n.b, c))
		}
		return x
	case isFrame:
		x := s.frame(s.step(n.a, c), n.b)
		if s.nullable(n.a) {
			return s.alt(x, s.step(n.b, c))
		}
		return x
	case isAlt, isAnd:
		list := make([]term, 0, len(n.list))
		for _, a := range n.list {
			list = append(list, s.step(a, c))
		}
		if n.kind == isAnd {
			return s.and(list...)
		}
		return s.alt(list...)
	case isNot:
		return s.not(s.step(n.a, c))
	case isRep:
		min, max := n.min-1, n.max
		if min < 0 || s.nullable(n.a) {
			min = 0
		}
		if max != noLimit {
			max--
		}
		return s.cat2(s.step(n.a, c), s.rep(n.a, min, max))
	case isRule:
		return s.frame(s.step(s.rules[n.a], c), empty)
	case isAuto:
		return s.deriveAuto(n.a, int32(n.b), n.max, c)
	}
	return none
}

// deriveAuto goes on with each symbol that may come next; a symbol is never empty.
func (s *store) deriveAuto(a term, state, max int32, c uint8) term {
	if max == 0 {
		return none
	}
	if max != noLimit {
		max--
	}
	auto := s.autos[a]
	var list []term
	for symbol, to := range auto.Next[state] {
		if to < 0 {
			continue
		}
		if x := s.step(auto.class[symbol], c); x != none {
			list = append(list, s.cat2(x, s.auto(a, to, max)))
		}
	}
	return s.alt(list...)
}

// prepare must be called when all terms of a grammar were made and before the first step: it finds
// which rules may be empty, and sorts the bytes into classes.
func (s *store) prepare() {
	if len(s.rules) > 0 {
		s.spread(func(t term) bool {
			s.nodes[t].nullable = s.computeNullable(t)
			return s.nodes[t].nullable
		})
	}
	s.classify()
}

func (s *store) classify() {
	sets := map[string]bool{}
	var single byteSet
	for i := range s.nodes {
		switch n := &s.nodes[i]; n.kind {
		case isSet:
			sets[n.text] = true
		case isLit:
			for _, c := range []byte(n.text) {
				single.add(c, c)
			}
		}
	}
	classes := classesOf(&single)
	for text := range sets {
		classes.split(2, func(b byte) int { return int(text[b>>3] >> (b & 7) & 1) })
	}
	s.classOf, s.classRep = classes.of, classes.firsts()
	s.next = nil
}

// byteClasses are classes of bytes, numbered as they appear.
type byteClasses struct {
	of    [256]uint8
	count int
}

// classesOf has a class for each of the single bytes, and one for the others.
func classesOf(single *byteSet) *byteClasses {
	c := &byteClasses{count: 1}
	c.split(257, func(b byte) int {
		if single.has(b) {
			return 1 + int(b)
		}
		return 0
	})
	return c
}

// split tells bytes of a class apart that are of different kinds, of which there are so many.
func (c *byteClasses) split(kinds int, kind func(b byte) int) {
	number := make([]int, c.count*kinds) // plus one, of a class and a kind
	c.count = 0
	for b, old := range c.of {
		n := &number[int(old)*kinds+kind(byte(b))]
		if *n == 0 {
			c.count++
			*n = c.count
		}
		c.of[b] = uint8(*n - 1)
	}
}

// firsts is the first byte of each class.
func (c *byteClasses) firsts() []byte {
	out := make([]byte, 0, c.count)
	for b, n := range c.of {
		if int(n) == len(out) {
			out = append(out, byte(b))
		}
	}
	return out
}

// explore makes a regular term an automaton over the store's classes, keeping only states that lead to
// acceptance; nil if the language is empty. ok is false when there are more than limit states.
func (s *store) explore(root term, limit int) (auto *automaton.Table, ok bool) {
	s.prepare()
	number := map[term]int32{root: 0}
	states := []term{root}
	var next [][]int32
	for i := 0; i < len(states); i++ {
		row := make([]int32, len(s.classRep))
		for c := range row {
			to := s.step(states[i], uint8(c))
			if s.full {
				return nil, false
			}
			if to == none {
				row[c] = -1
				continue
			}
			n, seen := number[to]
			if !seen {
				if len(states) >= limit {
					return nil, false
				}
				n = int32(len(states))
				number[to] = n
				states = append(states, to)
			}
			row[c] = n
		}
		next = append(next, row)
		s.explored++
	}
	accept := make([]bool, len(states))
	for i, t := range states {
		accept[i] = s.nullable(t)
	}
	return automaton.Trim(next, accept), true
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

// costs are how many tokens of a vocabulary end a term's text: enough for its shortest way, counted part by
// part, so that whoever takes the first of them is one nearer to the end. The real tokens, which may
// reach over parts, are often fewer.
type costs struct {
	s     *store
	v     *Vocabulary
	of    []int32 // [term] → cost plus one, 0 where it is not known yet
	autos map[term][]int32
}

const never = int32(1 << 29) // tokens: there is no way

// newCosts settles the terms below base, which are all that recur. A term is settled when it is the
// cheapest of those left, its parts being so (Knuth 1977, https://doi.org/10.1016/0020-0190(77)90002-3).
func newCosts(s *store, base int, v *Vocabulary) *costs {
	c := &costs{s: s, v: v, of: make([]int32, base), autos: map[term][]int32{}}
	users := make([][]term, base)
	done := make([]bool, base) // some costs are known before their users have heard of them
	var todo offers
	for t := range term(base) {
		n := &s.nodes[t]
		parts := s.parts(n)
		if len(parts) == 0 || n.kind == isRep && n.min == 0 {
			heap.Push(&todo, offer{t, c.find(t)})
			continue
		}
		for _, part := range parts {
			users[part] = append(users[part], t)
		}
	}
	for len(todo) > 0 {
		o := heap.Pop(&todo).(offer)
		if done[o.t] {
			continue
		}
		done[o.t], c.of[o.t] = true, o.cost+1
		for _, t := range users[o.t] {
			if cost := c.sum(&s.nodes[t], c.settled); !done[t] && cost < never {
				heap.Push(&todo, offer{t, cost})
			}
		}
	}
	for t := range c.of {
		if c.of[t] == 0 {
			c.of[t] = never + 1
		}
	}
	return c
}

type offer struct {
	t    term
	cost int32
}

// offers is a heap, the cheapest first.
type offers []offer

func (o offers) Len() int           { return len(o) }
func (o offers) Less(i, j int) bool { return o[i].cost < o[j].cost }
func (o offers) Swap(i, j int)      { o[i], o[j] = o[j], o[i] }
func (o *offers) Push(x any)        { *o = append(*o, x.(offer)) }
func (o *offers) Pop() any {
	last := (*o)[len(*o)-1]
	*o = (*o)[:len(*o)-1]
	return last
}

// settled is a part's cost while terms are being settled.
func (c *costs) settled(t term) int32 {
	if c.of[t] == 0 {
		return never
	}
	return c.of[t] - 1
}

// least is a term's cost, never if there is no way.
func (c *costs) least(t term) int32 {
	for len(c.of) <= int(t) {
		c.of = append(c.of, make([]int32, len(c.s.nodes)-len(c.of))...)
	}
	if c.of[t] == 0 {
		cost := c.find(t)
		c.of[t] = cost + 1
	}
	return c.of[t] - 1
}

func (c *costs) find(t term) int32 {
	n := &c.s.nodes[t]
	switch n.kind {
	case isEmpty:
		return 0
	case isSet:
		for b := range 256 {
			if at := c.v.tokens.root[b]; n.text[b>>3]>>(b&7)&1 != 0 && at >= 0 && len(c.v.tokens.at(at)) > 0 {
				return 1
			}
		}
		return never
	case isLit:
		return c.v.fewest(n.text)
	case isAuto:
		return c.auto(n.a)[n.b]
	}
	return c.sum(n, c.least)
}

// sum is the cost of a term of parts.
func (c *costs) sum(n *node, of func(term) int32) int32 {
	switch n.kind {
	case isCat, isFrame:
		return min(of(n.a)+of(n.b), never)
	case isRule:
		return of(c.s.rules[n.a])
	case isRep:
		if n.min == 0 {
			return 0
		}
		return int32(min(int64(n.min)*int64(of(n.a)), int64(never)))
	case isAlt:
		least := never
		for _, t := range n.list {
			least = min(least, of(t))
		}
		return least
	}
	return never
}

// auto is the cost of each state of an automaton, by the way of the fewest symbols, which every limit allows.
func (c *costs) auto(id term) []int32 {
	if known := c.autos[id]; known != nil {
		return known
	}
	a := c.s.autos[id]
	out := make([]int32, len(a.Next))
	order := make([]int32, len(a.Next))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(x, y int32) int { return int(a.Dist[x]) - int(a.Dist[y]) })
	class := make([]int32, len(a.class))
	for i, t := range a.class {
		class[i] = c.least(t)
	}
	for _, i := range order {
		if a.Accept[i] {
			continue
		}
		out[i] = never
		for k, to := range a.Next[i] {
			if to >= 0 && a.Dist[to] < a.Dist[i] {
				out[i] = min(out[i], class[k]+out[to])
			}
		}
	}
	c.autos[id] = out
	return out
}

package grammar

import (
	"bytes"
	"math/bits"
	"slices"
)

const (
	maskBytes  = 24 << 20 // masks kept for one grammar and vocabulary
	softStates = 1 << 16  // states made since compilation, after which answers move to a fresh store
	softWeight = 1 << 23  // as softStates, for the memory of their lists and rows
	hardStates = 1 << 18  // states that one step may make
)

// generation is a store that answers walk in, and the masks found in it.
type generation struct {
	*store
	base  int // terms below are the grammar's own
	masks map[*Vocabulary]*masks
}

type masks struct {
	of     map[term]allowance // whole states
	heads  map[term]*head     // what is left of a rule, whatever follows it
	ranked map[term]*ranking
	bytes  int
	stack  []term
	costs  *costs
}

// allowance is the tokens that a state allows, and the most that ending costs behind one of them.
type allowance struct {
	mask []uint64
	far  int32
}

// ranking is the tokens that a state allows by what ending costs behind them.
type ranking struct {
	least  int32    // what it costs in the state itself
	nearer []uint64 // tokens behind which it costs less
	same   []uint64 // not more
	dear   []priced // more, the cheapest first
}

type priced struct{ id, cost int32 }

// head is what a rule's rest allows by itself, and where it may end in the middle of a token.
type head struct {
	mask  []uint64
	exits []int32 // nodes of the vocabulary
	far   int32   // the most that ending the rule costs behind one of its tokens

	counts *counts // of the heads that share this one but for their limit
}

// counts are a head's tokens and exits by how many symbols its automaton must be allowed for them.
type counts struct{ tokens, exits [][]int32 }

// current is the store to walk in. Called with g.mu held.
func (g *Grammar) current() *generation {
	if g.gen == nil || g.gen.full || len(g.gen.nodes) > g.gen.base+softStates || g.gen.weight > softWeight {
		s := &store{
			nodes: slices.Clip(g.base.nodes), below: g.base.index, index: map[nodeKey]term{},
			rules: g.base.rules, names: g.base.names, autos: g.base.autos, free: g.base.free,
			limit: len(g.base.nodes) + hardStates, classOf: g.base.classOf, classRep: g.base.classRep,
		}
		g.gen = &generation{store: s, base: len(s.nodes), masks: map[*Vocabulary]*masks{}}
	}
	return g.gen
}

func (g *generation) addEnds(mask []uint64, v *Vocabulary, state term) {
	if !g.nullable(state) {
		return
	}
	for _, id := range v.ends {
		if id >= 0 && int(id) < len(v.pieces) {
			mask[id>>6] |= 1 << (id & 63)
		}
	}
}

// of gives what is known of a vocabulary.
func (g *generation) of(v *Vocabulary) *masks {
	m := g.masks[v]
	if m == nil {
		m = &masks{stack: make([]term, v.longest+1), costs: newCosts(g.store, g.base, v)}
		g.masks[v] = m
	}
	if m.of == nil || m.bytes > maskBytes {
		m.of, m.heads, m.ranked, m.bytes = map[term]allowance{}, map[term]*head{}, map[term]*ranking{}, 0
	}
	return m
}

func (g *generation) maskOf(v *Vocabulary, state term) allowance {
	m := g.of(v)
	if a, ok := m.of[state]; ok {
		return a
	}
	mask := make([]uint64, v.words)
	a := allowance{mask, g.collect(m, v, mask, state)}
	g.addEnds(mask, v, state)
	m.of[state] = a
	m.bytes += 8 * len(mask)
	return a
}

// within puts into mask the tokens behind which ending costs at most limit, which is the state's own cost
// less one, or more; false where that is not known.
func (g *generation) within(mask []uint64, v *Vocabulary, state term, limit int32) bool {
	m := g.of(v)
	if n := g.nodes[state]; n.kind == isFrame {
		state = g.frame(g.loosen(n.a, int32(v.longest)), n.b)
	}
	r := m.ranked[state]
	if r == nil {
		if r = g.rank(m, v, state); r == nil {
			return false
		}
		m.ranked[state] = r
		m.bytes += 16*v.words + 8*len(r.dear)
	}
	if limit < r.least {
		copy(mask, r.nearer)
	} else {
		copy(mask, r.same)
		for _, p := range r.dear {
			if p.cost > limit {
				break
			}
			mask[p.id>>6] |= 1 << (p.id & 63)
		}
	}
	g.addEnds(mask, v, state)
	return true
}

// rank reads all tokens that a state allows; nil if that takes too many states.
func (g *generation) rank(m *masks, v *Vocabulary, state term) *ranking {
	r := &ranking{least: m.costs.least(state), nearer: make([]uint64, v.words), same: make([]uint64, v.words)}
	tr, s := &v.tokens, g.store
	m.stack[0] = state
	for i := int32(0); i < tr.size(); {
		n := &tr.nodes[i]
		x := s.step(m.stack[n.depth], s.classOf[n.b])
		if s.full {
			return nil
		}
		if x == none {
			i = n.end
			continue
		}
		m.stack[n.depth+1] = x
		for _, id := range tr.at(i) {
			cost := m.costs.least(x)
			if cost > r.least {
				r.dear = append(r.dear, priced{id, cost})
				continue
			}
			r.same[id>>6] |= 1 << (id & 63)
			if cost < r.least {
				r.nearer[id>>6] |= 1 << (id & 63)
			}
		}
		i++
	}
	slices.SortFunc(r.dear, func(a, b priced) int { return int(a.cost) - int(b.cost) })
	return r
}

// collect adds the tokens that state allows, and gives the most that ending costs behind one of them. A
// frame's own part is looked up, and only the tokens that go past its end are read together with what follows.
func (g *generation) collect(m *masks, v *Vocabulary, mask []uint64, state term) (far int32) {
	if g.full {
		return never
	}
	n := g.nodes[state]
	switch {
	case n.kind == isFrame:
		if least, most, ok := g.stringRest(n.a); ok {
			return g.collectString(m, v, mask, least, most, n.b)
		}
		h := g.headOf(m, v, g.loosen(n.a, int32(v.longest)))
		for i, w := range h.mask {
			mask[i] |= w
		}
		far = h.far + m.costs.least(n.b)
		for _, at := range h.exits {
			far = max(far, g.goOn(m, v, mask, at, n.b))
		}
		if g.nullable(n.a) {
			far = max(far, g.collect(m, v, mask, n.b))
		}
		return far
	case n.kind == isAlt && g.hasFrame(n.list):
		for _, t := range n.list {
			far = max(far, g.collect(m, v, mask, t))
		}
		return far
	}
	h := g.headOf(m, v, g.loosen(state, int32(v.longest)))
	for i, w := range h.mask {
		mask[i] |= w
	}
	return h.far
}

func (g *generation) hasFrame(list []term) bool {
	for _, t := range list {
		if g.isFrame(t) {
			return true
		}
	}
	return false
}

// loosen drops a limit that no token reaches: heads that count then share their masks.
func (g *generation) loosen(t term, longest int32) term {
	n := g.nodes[t]
	if n.kind == isCat {
		return g.cat2(g.loosen(n.a, longest), n.b)
	}
	switch {
	case n.kind == isRep && n.max > longest:
		return g.rep(n.a, n.min, noLimit)
	case n.kind == isAuto && n.max != noLimit && n.max-g.autos[n.a].Far > longest:
		return g.auto(n.a, int32(n.b), noLimit)
	}
	return t
}

func (g *generation) headOf(m *masks, v *Vocabulary, t term) *head {
	if h := m.heads[t]; h != nil {
		return h
	}
	if u, most, ok := g.unlimited(t); ok {
		base := m.heads[u]
		if base == nil || base.counts == nil {
			base = g.count(m, v, u)
			m.heads[u] = base
			m.bytes += 8*len(base.mask) + 4*Count(base.mask) + 8*len(base.exits)
		}
		if len(base.counts.tokens) > 0 {
			m.heads[t] = base.upTo(most)
			m.bytes += 8*len(base.mask) + 4*len(m.heads[t].exits)
			return m.heads[t]
		}
	}
	h := &head{mask: make([]uint64, v.words)}
	m.stack[0] = t
	h.far = g.walk(m, &v.tokens, 0, v.tokens.size(), h.mask, &h.exits)
	m.heads[t] = h
	m.bytes += 8*len(h.mask) + 4*len(h.exits)
	return h
}

// unlimited is a term that begins with an automaton that has a limit, without that.
func (g *generation) unlimited(t term) (u term, most int32, ok bool) {
	front, tail := t, empty
	if n := &g.nodes[t]; n.kind == isCat {
		front, tail = n.a, n.b
	}
	n := g.nodes[front]
	if k := g.nodes[tail].kind; n.kind != isAuto || n.max == noLimit || k != isEmpty && k != isLit {
		return none, 0, false
	}
	return g.cat2(g.auto(n.a, int32(n.b), noLimit), tail), n.max, true
}

// upTo is the head of the same automaton with a limit of symbols.
func (h *head) upTo(most int32) *head {
	out := &head{mask: slices.Clone(h.mask), far: h.far}
	for _, ids := range h.counts.tokens[min(int(most)+1, len(h.counts.tokens)):] {
		for _, id := range ids {
			out.mask[id>>6] &^= 1 << (id & 63)
		}
	}
	for _, nodes := range h.counts.exits[:min(int(most)+1, len(h.counts.exits))] {
		out.exits = append(out.exits, nodes...)
	}
	return out
}

// goOn adds the tokens below a node of the vocabulary at which a rule ends and next comes.
func (g *generation) goOn(m *masks, v *Vocabulary, mask []uint64, at int32, next term) (far int32) {
	node := &v.tokens.nodes[at]
	m.stack[node.depth+1] = next
	return g.walk(m, &v.tokens, at+1, node.end, mask, nil)
}

// stringRest tells whether t is the rest of a free JSON string up to its closing quote, and how many
// characters it still takes. The vocabulary knows what such strings allow.
func (g *generation) stringRest(t term) (least, most int32, ok bool) {
	n := &g.nodes[t]
	if n.kind != isCat || g.free == none {
		return 0, 0, false
	}
	r, quote := &g.nodes[n.a], &g.nodes[n.b]
	return r.min, r.max, r.kind == isRep && r.a == g.free && quote.kind == isLit && quote.text == `"`
}

// collectString adds the tokens that go on with a free string of least to most characters, and those
// that end it and go on with next.
func (g *generation) collectString(m *masks, v *Vocabulary, mask []uint64, least, most int32, next term) (far int32) {
	far = least + 1 + runeRest + m.costs.least(next)
	limit := most
	if most == noLimit || most > insideLimit {
		limit = insideLimit
	}
	for i, w := range v.inside[limit] {
		mask[i] |= w
	}
	for _, t := range v.long {
		if most == noLimit || t.chars <= most {
			mask[t.at>>6] |= 1 << (t.at & 63)
		}
	}
	for _, q := range v.quotes {
		if q.chars < least || most != noLimit && q.chars > most {
			continue
		}
		for _, id := range v.tokens.at(q.at) {
			mask[id>>6] |= 1 << (id & 63)
		}
		far = max(far, g.goOn(m, v, mask, q.at, next))
	}
	return far
}

// runeRest is the most bytes that a character of a string still needs behind a token: \ud83d\u and four more.
const runeRest = 12

// walk reads the trie's nodes [from, to) and adds the tokens that are allowed. m.stack holds the state
// before each depth. Nodes at which the state may end go to exits. It gives the most that ending costs behind
// one of the tokens.
func (g *generation) walk(m *masks, tr *trie, from, to int32, mask []uint64, exits *[]int32) (far int32) {
	nodes, stack, s := tr.nodes, m.stack, g.store
	for i := from; i < to; {
		n := &nodes[i]
		t, c := stack[n.depth], s.classOf[n.b]
		var x term
		if row := s.rowOf(t); row != nil && row[c] != 0 {
			x = row[c] - 1
		} else {
			x = s.step(t, c)
			if s.full {
				return never
			}
		}
		if x == none {
			i = n.end
			continue
		}
		stack[n.depth+1] = x
		i++
		if ids := tr.tokens[n.first:nodes[i].first]; len(ids) > 0 {
			far = max(far, m.costs.least(x))
			for _, id := range ids {
				mask[id>>6] |= 1 << (id & 63)
			}
		}
		if exits != nil && s.nullable(x) {
			*exits = append(*exits, i-1)
		}
	}
	return far
}

func (s *store) rowOf(t term) []term {
	if int(t) < len(s.next) {
		return s.next[t]
	}
	return nil
}

// Count is the number of tokens that a mask allows.
func Count(mask []uint64) int {
	n := 0
	for _, w := range mask {
		n += bits.OnesCount64(w)
	}
	return n
}

// Vocabulary is a model's tokens as bytes, arranged for masks: made once a model, read-only, shared.
type Vocabulary struct {
	pieces  [][]byte
	ends    []int32
	words   int // of a mask: one bit a token
	tokens  trie
	longest int // bytes

	// What free JSON strings allow, which is most of the vocabulary:
	inside [][]uint64 // [n]: tokens that stay inside a string and begin at most n characters
	long   []counted  // tokens that stay inside and begin more than insideLimit
	quotes []counted  // nodes behind a closing quote, with the characters before it
}

// counted is a token or node that needs a number of characters.
type counted struct {
	at    int32
	chars int32
}

// insideLimit is the most characters of a token that Vocabulary.inside has masks for.
const insideLimit = 64

// NewVocabulary takes the bytes of each token and the tokens that end an answer. A token without
// bytes is never allowed: callers give none for tokens that are no text (roles, padding and the like).
func NewVocabulary(pieces [][]byte, ends []int32) *Vocabulary {
	v := &Vocabulary{pieces: pieces, ends: slices.Clone(ends), words: (len(pieces) + 63) / 64}
	slices.Sort(v.ends)
	var ids []int32
	for id, p := range pieces {
		if len(p) == 0 || len(p) > maxToken || v.isEnd(int32(id)) {
			continue
		}
		v.longest = max(v.longest, len(p))
		ids = append(ids, int32(id))
	}
	v.tokens = newTrie(pieces, ids)
	v.readStrings()
	return v
}

// readStrings reads every token as the beginning of a free string's rest.
func (v *Vocabulary) readStrings() {
	s := newStore()
	boundary := s.cat(s.rep(s.freeRune(), 0, noLimit), s.lit(`"`))
	s.prepare()
	for range insideLimit + 1 {
		v.inside = append(v.inside, make([]uint64, v.words))
	}
	type place struct {
		t     term
		chars int32 // complete ones
	}
	stack := make([]place, v.longest+1)
	stack[0].t = boundary
	for i := int32(0); i < v.tokens.size(); {
		n := &v.tokens.nodes[i]
		p := stack[n.depth]
		p.t = s.step(p.t, s.classOf[n.b])
		begun := p.chars + 1
		switch p.t {
		case empty:
			v.quotes = append(v.quotes, counted{i, p.chars})
			fallthrough
		case none:
			i = n.end
			continue
		case boundary:
			p.chars++
		}
		stack[n.depth+1] = p
		for _, id := range v.tokens.at(i) {
			if begun > insideLimit {
				v.long = append(v.long, counted{id, begun})
				continue
			}
			v.inside[begun][id>>6] |= 1 << (id & 63)
		}
		i++
	}
	for n := 1; n <= insideLimit; n++ {
		for i, w := range v.inside[n-1] {
			v.inside[n][i] |= w
		}
	}
}

// Size is the number of tokens.
func (v *Vocabulary) Size() int { return len(v.pieces) }

func (v *Vocabulary) isEnd(id int32) bool {
	_, ok := slices.BinarySearch(v.ends, id)
	return ok
}

// trie holds tokens by their bytes: its nodes in preorder, so that a walk reads memory forwards and
// skips what is refused.
type trie struct {
	nodes  []trieNode
	tokens []int32
	root   [256]int32 // nodes of first bytes, -1 where there is none
}

type trieNode struct {
	end   int32 // the node behind this one's subtree
	first int32 // its tokens are tokens[first:next node's first]
	depth uint16
	b     byte
}

func newTrie(pieces [][]byte, ids []int32) trie {
	slices.SortFunc(ids, func(a, b int32) int {
		if c := bytes.Compare(pieces[a], pieces[b]); c != 0 {
			return c
		}
		return int(a) - int(b)
	})
	var t trie
	var path []int32 // nodes from the top to the last token
	var last []byte
	for _, id := range ids {
		p := pieces[id]
		same := 0
		for same < len(p) && same < len(last) && p[same] == last[same] {
			same++
		}
		for _, n := range path[same:] {
			t.nodes[n].end = int32(len(t.nodes))
		}
		path = path[:same]
		for i := same; i < len(p); i++ {
			path = append(path, int32(len(t.nodes)))
			t.nodes = append(t.nodes, trieNode{b: p[i], depth: uint16(i), first: int32(len(t.tokens))})
		}
		t.tokens = append(t.tokens, id)
		last = p
	}
	for _, n := range path {
		t.nodes[n].end = int32(len(t.nodes))
	}
	t.nodes = append(t.nodes, trieNode{first: int32(len(t.tokens))})
	for b := range t.root {
		t.root[b] = -1
	}
	for i := int32(0); i < t.size(); i = t.nodes[i].end {
		t.root[t.nodes[i].b] = i
	}
	return t
}

// child is the node of a byte below another, -1 if there is none.
func (t *trie) child(node int32, b byte) int32 {
	for i := node + 1; i < t.nodes[node].end; i = t.nodes[i].end {
		if t.nodes[i].b == b {
			return i
		}
	}
	return -1
}

// fewest is the number of tokens that write a text, never if there are none that do.
func (v *Vocabulary) fewest(text string) int32 {
	best := make([]int32, len(text)+1)
	for i := len(text) - 1; i >= 0; i-- {
		best[i] = never
		for j, at := i+1, v.tokens.root[text[i]]; at >= 0; j++ {
			if len(v.tokens.at(at)) > 0 {
				best[i] = min(best[i], best[j]+1)
			}
			if j == len(text) {
				break
			}
			at = v.tokens.child(at, text[j])
		}
	}
	return best[0]
}

// maxToken is the longest token that constrained answers use, in bytes.
const maxToken = 1 << 12

// at is the tokens that end at a node.
func (t *trie) at(node int32) []int32 {
	return t.tokens[t.nodes[node].first:t.nodes[node+1].first]
}

// size is the number of nodes.
func (t *trie) size() int32 { return int32(len(t.nodes) - 1) }

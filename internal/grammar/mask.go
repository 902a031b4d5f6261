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
	of    map[term][]uint64 // whole states
	heads map[term]*head    // what is left of a rule, whatever follows it
	bytes int
	stack []term
}

// head is what a rule's rest allows by itself, and where it may end in the middle of a token.
type head struct {
	mask  []uint64
	exits []int32 // nodes of the vocabulary
}

// current is the store to walk in. Called with g.mu held.
func (g *Grammar) current() *generation {
	if g.gen == nil || g.gen.full || len(g.gen.nodes) > g.gen.base+softStates || g.gen.weight > softWeight {
		s := &store{
			nodes: append([]node(nil), g.base.nodes...), index: make(map[nodeKey]term, 2*len(g.base.nodes)),
			rules: g.base.rules, names: g.base.names, autos: g.base.autos, free: g.base.free,
			limit: len(g.base.nodes) + hardStates, classOf: g.base.classOf, classRep: g.base.classRep,
		}
		for k, t := range g.base.index {
			s.index[k] = t
		}
		g.gen = &generation{store: s, base: len(s.nodes), masks: map[*Vocabulary]*masks{}}
	}
	return g.gen
}

// Matcher follows one answer through a grammar. It is a sample.Mask, used by one goroutine at a time;
// matchers of one grammar may be used at the same time.
type Matcher struct {
	g     *Grammar
	v     *Vocabulary
	gen   *generation
	state term
	ended bool
	err   error
}

// Mask begins an answer.
func (g *Grammar) Mask(v *Vocabulary) *Matcher {
	return &Matcher{g: g, v: v, state: g.root}
}

// Fork is a second matcher at the same place: speculation tries it and throws it away.
func (m *Matcher) Fork() *Matcher {
	c := *m
	return &c
}

// Done reports whether the answer may end here.
func (m *Matcher) Done() bool {
	m.g.mu.Lock()
	defer m.g.mu.Unlock()
	m.enter()
	return m.ended || m.gen.nullable(m.state)
}

// Err is why Allowed allows nothing, nil as long as it allows something.
func (m *Matcher) Err() error { return m.err }

// enter moves to the grammar's current store. Called with g.mu held.
func (m *Matcher) enter() {
	gen := m.g.current()
	if m.gen == gen {
		return
	}
	if m.gen != nil && int(m.state) >= m.gen.base {
		c := newCopier(m.gen.store, gen.store)
		c.base = term(gen.base)
		m.state = c.copy(m.state)
	}
	m.gen = gen
}

// Allowed gives a bit for each token that may come next: those whose bytes go on, and the ends where
// the answer may end. The slice is shared: it must not be changed. It is empty of bits only after an
// error, which Err tells.
func (m *Matcher) Allowed() []uint64 {
	m.g.mu.Lock()
	defer m.g.mu.Unlock()
	m.enter()
	if m.ended || m.err != nil {
		mask := make([]uint64, m.v.words)
		if m.ended {
			m.gen.addEnds(mask, m.v, empty)
		}
		return mask
	}
	mask := m.gen.maskOf(m.v, m.state)
	if m.gen.full {
		m.err = errTooManyStates()
		return make([]uint64, m.v.words)
	}
	if !slices.ContainsFunc(mask, func(w uint64) bool { return w != 0 }) {
		m.err = ErrVocabulary.Because("grammar: the model's %d tokens have none for what must come next (%q): its language may lack these characters",
			len(m.v.pieces), m.gen.begins(m.state))
	}
	return mask
}

// begins is the bytes that t may begin with, for errors.
func (s *store) begins(t term) string {
	var out []byte
	for b := range 256 {
		if s.step(t, s.classOf[b]) != none && len(out) < 16 {
			out = append(out, byte(b))
		}
	}
	return string(out)
}

func errTooManyStates() error {
	return ErrLimit.Because("grammar: one token leads to more than %d states: make the grammar less ambiguous", hardStates)
}

// Advance takes a token that Allowed allowed. Nothing may follow an end token.
func (m *Matcher) Advance(id int32) error {
	if id < 0 || int(id) >= len(m.v.pieces) {
		return ErrRefused.Because("grammar: token %d is outside the vocabulary of %d", id, len(m.v.pieces))
	}
	m.g.mu.Lock()
	defer m.g.mu.Unlock()
	m.enter()
	switch {
	case m.err != nil:
		return m.err
	case m.v.isEnd(id):
		if !m.ended && !m.gen.nullable(m.state) {
			return ErrRefused.Because("grammar: token %d ends the answer, which is not complete", id)
		}
		m.ended = true
		return nil
	case m.ended:
		return ErrRefused.Because("grammar: token %d follows the answer's end", id)
	case len(m.v.pieces[id]) == 0:
		return ErrRefused.Because("grammar: token %d is no text", id)
	}
	t := m.state
	for i, b := range m.v.pieces[id] {
		if t = m.gen.step(t, m.gen.classOf[b]); t == none {
			if m.gen.full {
				m.err = errTooManyStates()
				return m.err
			}
			return ErrRefused.Because("grammar: token %d (%q) is not allowed here, from its byte %d on", id, m.v.pieces[id], i)
		}
	}
	m.state = t
	return nil
}

// Forced gives the bytes that must come next, because the grammar leaves no choice: at most limit.
func (m *Matcher) Forced(limit int) []byte {
	m.g.mu.Lock()
	defer m.g.mu.Unlock()
	m.enter()
	var out []byte
	if m.ended || m.err != nil {
		return nil
	}
	for t := m.state; len(out) < limit && !m.gen.nullable(t); {
		b, to, ok := m.gen.only(t)
		if !ok {
			break
		}
		out = append(out, b)
		t = to
	}
	return out
}

// only is the one byte that may come next, if there is one.
func (s *store) only(t term) (b byte, to term, ok bool) {
	for c := range s.classRep {
		x := s.step(t, uint8(c))
		if x == none {
			continue
		}
		if ok {
			return 0, none, false
		}
		b, to, ok = s.classRep[c], x, true
	}
	if !ok {
		return 0, none, false
	}
	for i := range s.classOf {
		if byte(i) != b && s.classOf[i] == s.classOf[b] {
			return 0, none, false
		}
	}
	return b, to, true
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

func (g *generation) maskOf(v *Vocabulary, state term) []uint64 {
	m := g.masks[v]
	if m == nil {
		m = &masks{stack: make([]term, v.longest+1)}
		g.masks[v] = m
	}
	if mask := m.of[state]; mask != nil {
		return mask
	}
	if m.of == nil || m.bytes > maskBytes {
		m.of, m.heads, m.bytes = map[term][]uint64{}, map[term]*head{}, 0
	}
	mask := make([]uint64, v.words)
	g.collect(m, v, mask, state)
	g.addEnds(mask, v, state)
	m.of[state] = mask
	m.bytes += 8 * len(mask)
	return mask
}

// collect adds the tokens that state allows. A frame's own part is looked up, and only the tokens that
// go past its end are read together with what follows.
func (g *generation) collect(m *masks, v *Vocabulary, mask []uint64, state term) {
	if g.full {
		return
	}
	n := g.nodes[state]
	switch {
	case n.kind == isFrame:
		if least, most, ok := g.stringRest(n.a); ok {
			g.collectString(m, v, mask, least, most, n.b)
			return
		}
		h := g.headOf(m, v, g.loosen(n.a, int32(v.longest)))
		for i, w := range h.mask {
			mask[i] |= w
		}
		for _, at := range h.exits {
			g.goOn(m, v, mask, at, n.b)
		}
		if g.nullable(n.a) {
			g.collect(m, v, mask, n.b)
		}
	case n.kind == isAlt && g.hasFrame(n.list):
		for _, t := range n.list {
			g.collect(m, v, mask, t)
		}
	default:
		for i, w := range g.headOf(m, v, g.loosen(state, int32(v.longest))).mask {
			mask[i] |= w
		}
	}
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
	case n.kind == isAuto && n.max != noLimit && n.max-g.autos[n.a].far > longest:
		return g.auto(n.a, int32(n.b), noLimit)
	}
	return t
}

func (g *generation) headOf(m *masks, v *Vocabulary, t term) *head {
	if h := m.heads[t]; h != nil {
		return h
	}
	h := &head{mask: make([]uint64, v.words)}
	m.stack[0] = t
	g.walk(m, &v.tokens, 0, v.tokens.size(), h.mask, &h.exits)
	m.heads[t] = h
	m.bytes += 8*len(h.mask) + 4*len(h.exits)
	return h
}

// goOn adds the tokens below a node of the vocabulary at which a rule ends and next comes.
func (g *generation) goOn(m *masks, v *Vocabulary, mask []uint64, at int32, next term) {
	node := &v.tokens.nodes[at]
	m.stack[node.depth+1] = next
	g.walk(m, &v.tokens, at+1, node.end, mask, nil)
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
func (g *generation) collectString(m *masks, v *Vocabulary, mask []uint64, least, most int32, next term) {
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
		g.goOn(m, v, mask, q.at, next)
	}
}

// walk reads the trie's nodes [from, to) and adds the tokens that are allowed. m.stack holds the state
// before each depth. Nodes at which the state may end go to exits.
func (g *generation) walk(m *masks, tr *trie, from, to int32, mask []uint64, exits *[]int32) {
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
				return
			}
		}
		if x == none {
			i = n.end
			continue
		}
		stack[n.depth+1] = x
		i++
		for _, id := range tr.tokens[n.first:nodes[i].first] {
			mask[id>>6] |= 1 << (id & 63)
		}
		if exits != nil && s.nullable(x) {
			*exits = append(*exits, i-1)
		}
	}
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
	return t
}

// maxToken is the longest token that constrained answers use, in bytes.
const maxToken = 1 << 12

// at is the tokens that end at a node.
func (t *trie) at(node int32) []int32 {
	return t.tokens[t.nodes[node].first:t.nodes[node+1].first]
}

// size is the number of nodes.
func (t *trie) size() int32 { return int32(len(t.nodes) - 1) }

package grammar

import (
	"errors"
	"slices"

	"github.com/galerne-ai/galerne/internal/grammar/automaton"
	"github.com/galerne-ai/galerne/internal/grammar/regex"
)

const (
	maxStates   = 1 << 14 // of an automaton made from a text's conditions
	tryStates   = 1 << 10 // of one made only because it is faster than the pattern itself
	maxExplored = 1 << 18 // of all automata of one grammar
	maxClasses  = 255     // of characters that one text's conditions tell apart
)

// textRule is one condition on a text: a pattern found anywhere in it (whole: that is all of it), or
// with not, one that is not.
type textRule struct {
	at    string // JSON pointer of the keyword
	p     *regex.Pattern
	whole bool
	not   bool
}

// variants are the matches of a pattern, told apart by whether they must begin at the text's start
// and whether they must end at its end: [begin][end].
type variants [2][2]term

// builder turns patterns into terms; char gives one code point of a set.
type builder struct {
	*store
	char func(regex.Runes) term
}

func (b *builder) variants(p *regex.Pattern) (v variants, err error) {
	switch p.Op {
	case regex.Empty:
		v[0][0] = empty
	case regex.Set:
		v[0][0] = b.char(p.Set)
	case regex.Begin:
		v[1][0] = empty
	case regex.End:
		v[0][1] = empty
	case regex.Look:
		err = ErrRegex.Because("grammar: lookahead inside a group or repetition cannot be enforced: move it to the pattern's beginning")
	case regex.Cat:
		// From the right, as terms lean that way.
		v[0][0] = empty
		for i := len(p.Subs) - 1; i >= 0 && err == nil; i-- {
			var left variants
			left, err = b.variants(p.Subs[i])
			v = b.join(left, v)
		}
	case regex.Alt:
		for _, sub := range p.Subs {
			w, e := b.variants(sub)
			if e != nil {
				return v, e
			}
			for i := range 4 {
				v[i>>1][i&1] = b.alt(v[i>>1][i&1], w[i>>1][i&1])
			}
		}
	case regex.Rep:
		v, err = b.variants(p.Subs[0])
		if err != nil || v[0][1] == none && v[1][0] == none && v[1][1] == none {
			v[0][0] = b.rep(v[0][0], p.Min, p.Max)
			return v, err
		}
		if p.Max != 1 {
			return v, ErrRegex.Because("grammar: ^ or $ inside a repetition cannot be enforced: move it out of the group")
		}
		if p.Min == 0 {
			v[0][0] = b.opt(v[0][0])
		}
	}
	return v, err
}

// join is left then right. What must end the text goes on with the empty text only, and what must
// begin it comes behind the empty text only.
func (b *builder) join(left, right variants) (out variants) {
	add := func(begin, end int, t term) { out[begin][end] = b.alt(out[begin][end], t) }
	for i := range 4 {
		for j := range 4 {
			l, r := left[i>>1][i&1], right[j>>1][j&1]
			if l == none || r == none {
				continue
			}
			lBegin, lEnd, rBegin, rEnd := i>>1, i&1, j>>1, j&1
			switch {
			case lEnd == 0 && rBegin == 0:
				add(lBegin, rEnd, b.cat2(l, r))
			case lEnd == 1 && rBegin == 0 && b.nullable(r):
				add(lBegin, 1, l)
			case lEnd == 0 && rBegin == 1 && b.nullable(l):
				add(1, rEnd, r)
			case lEnd == 1 && rBegin == 1 && b.nullable(l) && b.nullable(r):
				add(1, 1, empty)
			}
		}
	}
	return out
}

// whole is the texts that are a match from their first to their last character.
func (b *builder) whole(p *regex.Pattern) (term, error) {
	if alts, ok := lookAlternatives(p); ok {
		return b.looking(alts, empty, empty)
	}
	v, err := b.variants(p)
	return b.alt(v[0][0], v[0][1], v[1][0], v[1][1]), err
}

// search is the texts in which there is a match.
func (b *builder) search(p *regex.Pattern) (term, error) {
	any := b.rep(b.char(regex.AllRunes()), 0, noLimit)
	if alts, ok := lookAlternatives(p); ok {
		return b.looking(alts, any, any)
	}
	v, err := b.variants(p)
	return b.around(v, any, any), err
}

func (b *builder) around(v variants, before, behind term) term {
	return b.alt(b.cat(before, v[0][0], behind), b.cat(v[1][0], behind), b.cat(before, v[0][1]), v[1][1])
}

// lookAlternatives gives the alternatives of a pattern that has lookaheads at its top.
func lookAlternatives(p *regex.Pattern) (alts []*regex.Pattern, ok bool) {
	for p.Op == regex.Cat && len(p.Subs) == 1 {
		p = p.Subs[0]
	}
	alts = []*regex.Pattern{p}
	if p.Op == regex.Alt {
		alts = p.Subs
	}
	for _, a := range alts {
		if a.Op == regex.Look || a.Op == regex.Cat && slices.ContainsFunc(a.Subs, func(s *regex.Pattern) bool { return s.Op == regex.Look }) {
			ok = true
		}
	}
	return alts, ok
}

func (b *builder) looking(alts []*regex.Pattern, before, behind term) (term, error) {
	out := none
	for _, a := range alts {
		items := []*regex.Pattern{a}
		if a.Op == regex.Cat {
			items = a.Subs
		}
		t, err := b.lookSequence(items, before, behind)
		if err != nil {
			return none, err
		}
		out = b.alt(out, t)
	}
	return out, nil
}

// lookSequence cuts a sequence at its first lookahead: what follows the cut must satisfy both.
func (b *builder) lookSequence(items []*regex.Pattern, before, behind term) (term, error) {
	cut := slices.IndexFunc(items, func(p *regex.Pattern) bool { return p.Op == regex.Look })
	if cut < 0 {
		v, err := b.variants(&regex.Pattern{Op: regex.Cat, Subs: items})
		return b.around(v, before, behind), err
	}
	left, err := b.variants(&regex.Pattern{Op: regex.Cat, Subs: items[:cut]})
	if err != nil {
		return none, err
	}
	right, err := b.lookSequence(items[cut+1:], empty, behind)
	if err != nil {
		return none, err
	}
	seen, err := b.variants(items[cut].Subs[0])
	if err != nil {
		return none, err
	}
	ahead := b.around(seen, empty, b.rep(b.char(regex.AllRunes()), 0, noLimit))
	if items[cut].Not {
		ahead = b.not(ahead)
	}
	right = b.and(ahead, right)
	return b.alt(b.cat(before, left[0][0], right), b.cat(left[1][0], right)), nil
}

// looks reports whether a pattern has a lookahead anywhere.
func looks(p *regex.Pattern) bool { return p.Op == regex.Look || slices.ContainsFunc(p.Subs, looks) }

func (b *builder) rule(r textRule) (term, error) {
	if r.whole {
		return b.whole(r.p)
	}
	return b.search(r.p)
}

// texts are the texts, of min to max characters, that satisfy every rule. char writes one character,
// any is one character in any form.
func (s *store) texts(rules []textRule, min, max int32, char func(regex.Runes) term, any term) (term, error) {
	if max != noLimit && min > max {
		return none, nil
	}
	if len(rules) == 0 {
		return s.rep(any, min, max), nil
	}
	if len(rules) == 1 && !rules[0].not {
		if set, lo, hi, ok := plainRepetition(rules[0]); ok {
			lo, hi = maxOf(lo, min), minLimit(hi, max)
			if hi != noLimit && lo > hi {
				return none, nil
			}
			return s.rep(char(set), lo, hi), nil
		}
	}
	alone := len(rules) == 1 && !rules[0].not && min == 0 && max == noLimit && !looks(rules[0].p)
	limit := maxStates
	if alone {
		limit = tryStates
	}
	t, ok, err := s.product(rules, min, max, char, limit)
	if err != nil || ok {
		return t, err
	}
	if alone {
		b := &builder{s, char}
		return b.rule(rules[0])
	}
	return none, ErrLimit.Because("grammar: the patterns and lengths of one string need more than %d states together or tell more than %d kinds of characters apart: loosen one of them",
		maxStates, maxClasses)
}

func minLimit(a, b int32) int32 {
	if a == noLimit || b != noLimit && b < a {
		return b
	}
	return a
}

// plainRepetition recognises ^[set]{lo,hi}$, whose lengths need no automaton.
func plainRepetition(r textRule) (set regex.Runes, lo, hi int32, ok bool) {
	var items []*regex.Pattern
	var flatten func(p *regex.Pattern)
	flatten = func(p *regex.Pattern) {
		if p.Op != regex.Cat {
			items = append(items, p)
			return
		}
		for _, sub := range p.Subs {
			flatten(sub)
		}
	}
	flatten(r.p)
	if !r.whole {
		if len(items) != 3 || items[0].Op != regex.Begin || items[2].Op != regex.End {
			return nil, 0, 0, false
		}
		items = items[1:2]
	}
	if len(items) != 1 || items[0].Op != regex.Rep {
		return nil, 0, 0, false
	}
	body := items[0].Subs[0]
	for body.Op == regex.Cat && len(body.Subs) == 1 {
		body = body.Subs[0]
	}
	return body.Set, items[0].Min, items[0].Max, body.Op == regex.Set
}

// product makes one automaton of all rules, over classes of characters; ok is false when it would
// pass the limit. The most characters are counted beside it, which needs no states.
func (s *store) product(rules []textRule, min, max int32, char func(regex.Runes) term, limit int) (t term, ok bool, err error) {
	p, err := intersect(rules, min, noLimit, limit)
	s.explored += p.states
	if err != nil || !p.ok || s.explored > maxExplored || p.auto == nil {
		return none, p.ok && s.explored <= maxExplored, err
	}
	written := make([]term, len(p.classes))
	for i, set := range p.classes {
		written[i] = char(set)
	}
	return s.auto(s.addAuto(p.auto, written), 0, max), true, nil
}

// joint is what intersect finds.
type joint struct {
	auto    *automaton.Table // nil: no text satisfies the rules
	classes []regex.Runes    // what its classes stand for
	states  int              // that were looked at
	ok      bool             // it stayed below the limit
}

// intersect gives the automaton of the texts that satisfy every rule.
func intersect(rules []textRule, min, max int32, limit int) (joint, error) {
	var sets []regex.Runes
	seen := map[string]bool{}
	var gather func(p *regex.Pattern)
	gather = func(p *regex.Pattern) {
		if k := p.Set.Key(); p.Op == regex.Set && !seen[k] {
			seen[k] = true
			sets = append(sets, p.Set)
		}
		for _, sub := range p.Subs {
			gather(sub)
		}
	}
	for _, r := range rules {
		gather(r.p)
	}
	classes, ok := regex.Partition(sets, maxClasses)
	if !ok {
		return joint{}, nil
	}
	scratch := newStore()
	b := &builder{scratch, func(set regex.Runes) term {
		return scratch.written("", set, func(set regex.Runes) term {
			var bits byteSet
			for i, c := range classes {
				if set.Has(c[0].Lo) {
					bits.add(byte(i), byte(i))
				}
			}
			return scratch.set(bits)
		})
	}}
	any := b.char(regex.AllRunes())
	all := []term{b.rep(any, min, max)}
	for _, r := range rules {
		t, err := b.rule(r)
		if err != nil {
			return joint{}, err
		}
		if r.not {
			t = b.not(t)
		}
		all = append(all, t)
	}
	root := scratch.and(all...)
	if scratch.full {
		return joint{states: limit}, nil
	}
	auto, ok := scratch.explore(root, limit)
	return joint{auto, scratch.classSets(classes), scratch.explored, ok}, nil
}

// classSets gives, for each class of the store's bytes, the characters that the bytes stand for.
func (s *store) classSets(of []regex.Runes) []regex.Runes {
	out := make([]regex.Runes, len(s.classRep))
	for i, set := range of {
		c := s.classOf[i]
		out[c] = out[c].Union(set)
	}
	return out
}

// matches reports whether a text satisfies a rule.
func (c *compiler) matches(r textRule, text string) (bool, error) {
	g, ok := c.matchers[r.p]
	if !ok {
		s := newStore()
		t, err := s.texts([]textRule{{p: r.p, whole: r.whole}}, 0, noLimit, s.utf8, s.utf8(regex.AllRunes()))
		if err != nil {
			return false, err
		}
		g, err = sealed(s, t)
		if err != nil && !errors.Is(err, ErrEmpty) {
			return false, err
		}
		c.matchers[r.p] = g
	}
	return (g != nil && g.Match([]byte(text))) != r.not, nil
}

// CompileRegex makes a grammar of the texts that the regular expression matches from beginning to end.
// The dialect is ECMA-262's with the u flag, and RE2's flags, \A, \z and names; no back references,
// no lookbehind, no word borders.
func CompileRegex(expr string) (*Grammar, error) {
	p, err := regex.Parse(expr)
	if err != nil {
		return nil, err
	}
	s := newStore()
	t, err := s.texts([]textRule{{p: p, whole: true}}, 0, noLimit, s.utf8, s.utf8(regex.AllRunes()))
	if err != nil {
		return nil, err
	}
	return sealed(s, s.named("text", t))
}

// count makes the head of an automaton with a fixed text behind it, and counts the symbols of all tokens that it
// allows: one is whole where the automaton stands at the front of what is left. There are no counts where
// the text behind can begin within a symbol.
func (g *generation) count(m *masks, v *Vocabulary, u term) *head {
	h := &head{mask: make([]uint64, v.words), counts: &counts{}}
	tr := &v.tokens
	whole := make([]int32, len(m.stack)) // symbols, before each depth
	m.stack[0] = u
	for i := int32(0); i < tr.size(); i++ {
		n := &tr.nodes[i]
		x := g.step(m.stack[n.depth], g.classOf[n.b])
		if x == none && !g.full {
			i = n.end - 1
			continue
		}
		need, more := whole[n.depth], int32(0)
		p, dist := g.place(x)
		switch p {
		case atFront:
			need, more = need+1, dist
		case inSymbol:
			more = 1 + dist
		}
		if p == inBoth || g.full {
			h := &head{mask: make([]uint64, v.words), counts: &counts{}}
			m.stack[0] = u
			h.far = g.walk(m, tr, 0, tr.size(), h.mask, &h.exits)
			return h
		}
		m.stack[n.depth+1], whole[n.depth+1] = x, need
		h.add(tr, i, need+more, g.nullable(x))
		if len(tr.at(i)) > 0 {
			h.far = max(h.far, m.costs.least(x))
		}
	}
	return h
}

// add takes a node's tokens, which need so many symbols.
func (h *head) add(tr *trie, node, need int32, ends bool) {
	for len(h.counts.tokens) <= int(need) {
		h.counts.tokens, h.counts.exits = append(h.counts.tokens, nil), append(h.counts.exits, nil)
	}
	ids := tr.at(node)
	h.counts.tokens[need] = append(h.counts.tokens[need], ids...)
	for _, id := range ids {
		h.mask[id>>6] |= 1 << (id & 63)
	}
	if ends {
		h.exits = append(h.exits, node)
		h.counts.exits[need] = append(h.counts.exits[need], node)
	}
}

// place is where what is left of an automaton and the text behind it stands.
type place uint8

const (
	behind  place = iota // the automaton
	atFront              // of it: a symbol is whole
	inSymbol
	inBoth // the text behind may have begun
)

// place gives with it how many symbols the automaton needs to its end.
func (g *generation) place(x term) (place, int32) {
	n := &g.nodes[x]
	switch n.kind {
	case isAuto:
		return atFront, g.autos[n.a].Dist[n.b]
	case isCat:
		if p, dist := g.place(n.a); p != behind {
			return p, dist
		}
		if p, dist := g.place(n.b); p != behind {
			return inSymbol, dist
		}
	case isAlt:
		p, dist := g.place(n.list[0])
		for _, t := range n.list[1:] {
			q, d := g.place(t)
			if q != p || p == atFront {
				return inBoth, 0
			}
			dist = min(dist, d)
		}
		return p, dist
	}
	return behind, 0
}

// Package grammar answers: which tokens may come next, so that the whole answer has the form that was
// asked for? A JSON Schema, a regular expression or a GBNF grammar becomes a language of bytes, and a
// language and a vocabulary become a mask for each step.
//
// One idea carries it: a language is a term, and reading a byte rewrites the term into the language of
// what may follow (its derivative). Equal terms are one node, so terms are the states of an automaton
// that is built as far as answers go; recursion and counting need nothing else. Every term that is
// reached has a text, so an answer never runs into a wall: what a schema forbids is found out before
// the first token, and a schema that cannot be enforced is refused with the keyword's name.
package grammar

import (
	"slices"
	"sync"

	"github.com/galerne-ai/galerne/internal/fault"
	"github.com/galerne-ai/galerne/internal/grammar/regex"
)

var (
	// ErrSchema: the text is no JSON Schema. Param is the JSON pointer of the part that is wrong.
	ErrSchema = fault.New(fault.Invalid, "invalid_schema", "grammar: not a JSON Schema")
	// ErrUnenforceable: a keyword is understood and cannot be enforced. Param is its JSON pointer.
	ErrUnenforceable = fault.New(fault.Invalid, "unsupported_schema", "grammar: the schema cannot be enforced")
	// ErrEmpty: nothing satisfies the grammar or schema.
	ErrEmpty = fault.New(fault.Invalid, "unsatisfiable_grammar", "grammar: no finite text satisfies it: its rules contradict each other or never end")
	// ErrRegex: the regular expression is malformed or uses what this package does not have.
	ErrRegex = regex.ErrSyntax
	// ErrGBNF: the grammar's text is wrong.
	ErrGBNF = fault.New(fault.Invalid, "invalid_grammar", "grammar: bad GBNF grammar")
	// ErrLimit: the grammar is larger than this package allows.
	ErrLimit = regex.ErrLimit
	// ErrVocabulary: the model has no token for what must come next.
	ErrVocabulary = fault.New(fault.Invalid, "vocabulary_too_small", "grammar: the model has no token for what must come next")
	// ErrRefused: Advance was given a token that the mask does not allow.
	ErrRefused = fault.New(fault.Internal, "token_refused", "grammar: the token is not allowed here")
)

// Grammar is a compiled language. It is read-only to its users, and shared: masks that one answer
// caused are there for the next.
type Grammar struct {
	base *store
	root term

	mu  sync.Mutex
	gen *generation // the states reached so far; replaced when there are too many
}

func sealed(s *store, root term) (*Grammar, error) {
	base, root, err := s.seal(root)
	if err != nil {
		return nil, err
	}
	g := &Grammar{base: base, root: root}
	gen := g.current()
	for c := range gen.classRep {
		gen.step(root, uint8(c)) // so that a grammar too ambiguous to begin with is refused now
	}
	if gen.full {
		return nil, errTooLarge()
	}
	return g, nil
}

// Match reports whether the whole text is in the language.
func (g *Grammar) Match(text []byte) bool {
	m := &Matcher{g: g, state: g.root}
	g.mu.Lock()
	defer g.mu.Unlock()
	return m.read(text) == len(text) && m.gen.nullable(m.state)
}

// Viable gives the length of the longest prefix of text that some text of the language begins with.
func (g *Grammar) Viable(text []byte) int {
	m := &Matcher{g: g, state: g.root}
	g.mu.Lock()
	defer g.mu.Unlock()
	return m.read(text)
}

// read goes on by bytes and stops before the first that is refused. Called with g.mu held.
func (m *Matcher) read(text []byte) int {
	m.enter()
	for i, b := range text {
		if i%readBytes == readBytes-1 {
			m.enter()
		}
		t := m.gen.step(m.state, m.gen.classOf[b])
		if t == none {
			return i
		}
		m.state = t
	}
	return len(text)
}

// readBytes is how much text is read in one store, so that a long text does not fill it.
const readBytes = 1 << 10

// Matcher follows one answer through a grammar. It is a sample.Mask, used by one goroutine at a time;
// matchers of one grammar may be used at the same time.
type Matcher struct {
	g     *Grammar
	v     *Vocabulary
	gen   *generation
	state term
	ended bool
	err   error

	left   int32    // tokens that may still come, with the end's; -1: any number
	narrow []uint64 // the mask that left makes of the form's
	wide   []uint64 // the form's, while narrow is what is allowed
}

// Mask begins an answer.
func (g *Grammar) Mask(v *Vocabulary) *Matcher {
	return &Matcher{g: g, v: v, state: g.root, left: -1}
}

// Within bounds an answer that has not begun to so many tokens: towards their end, Allowed leaves out those
// behind which the answer could not be completed any more, so that it is complete when the tokens are
// used up. Where even the shortest answer may need more, nothing is bounded and Within gives false.
func (m *Matcher) Within(tokens int) bool {
	m.g.mu.Lock()
	defer m.g.mu.Unlock()
	m.enter()
	if m.gen.of(m.v).costs.least(m.state) > int32(min(tokens, int(never-1))) {
		return false
	}
	m.left = int32(min(tokens, int(never-1)))
	return true
}

// Wide is what the form allows, while Within leaves less of it; otherwise nil.
func (m *Matcher) Wide() []uint64 { return m.wide }

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
	m.wide = nil
	a := m.gen.maskOf(m.v, m.state)
	mask := a.mask
	if m.gen.full {
		m.err = errTooManyStates()
		return make([]uint64, m.v.words)
	}
	if !slices.ContainsFunc(mask, func(w uint64) bool { return w != 0 }) {
		m.err = ErrVocabulary.Because("grammar: the model's %d tokens have none for what must come next (%q): its language may lack these characters",
			len(m.v.pieces), m.gen.begins(m.state))
		return mask
	}
	if m.left >= 0 && a.far >= m.left {
		return m.narrowed(mask)
	}
	return mask
}

// narrowed is what may come next of wide with the tokens that are left.
func (m *Matcher) narrowed(wide []uint64) []uint64 {
	if m.narrow == nil {
		m.narrow = make([]uint64, m.v.words)
	}
	if !m.gen.within(m.narrow, m.v, m.state, m.left-1) || slices.Equal(m.narrow, wide) {
		return wide
	}
	m.wide = wide
	return m.narrow
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
	if m.left > 0 {
		m.left--
	}
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

// Literal is one text.
func Literal(text string) (*Grammar, error) {
	return combine(func(s *store, _ []term) term { return s.lit(text) })
}

// Choice is one of the texts.
func Choice(texts []string) (*Grammar, error) {
	return combine(func(s *store, _ []term) term {
		list := make([]term, len(texts))
		for i, text := range texts {
			list[i] = s.lit(text)
		}
		return s.alt(list...)
	})
}

// Seq is the grammars one after the other.
func Seq(parts ...*Grammar) (*Grammar, error) {
	return combine(func(s *store, t []term) term { return s.cat(t...) }, parts...)
}

// Alt is any of the grammars.
func Alt(parts ...*Grammar) (*Grammar, error) {
	return combine(func(s *store, t []term) term { return s.alt(t...) }, parts...)
}

// Repeat is the grammar from min to max times with separator between; a max below zero is no limit.
func Repeat(g, separator *Grammar, min, max int) (*Grammar, error) {
	if min < 0 || min > maxRepeat || max > maxRepeat || max >= 0 && max < min {
		return nil, ErrLimit.Because("grammar: repetition from %d to %d times: at most %d, and no maximum below the minimum", min, max, maxRepeat)
	}
	if max < 0 {
		max = int(noLimit)
	}
	return combine(func(s *store, t []term) term {
		return s.separated(t[0], t[1], int32(min), int32(max))
	}, g, separator)
}

// separated is item from min to max times with separator between.
func (s *store) separated(item, separator term, min, max int32) term {
	if max == 0 {
		return empty
	}
	more := max
	if max != noLimit {
		more = max - 1
	}
	some := s.cat(item, s.rep(s.cat(separator, item), maxOf(min-1, 0), more))
	if min == 0 {
		return s.opt(some)
	}
	return some
}

func maxOf(a, b int32) int32 { return max(a, b) }

// combine makes a grammar from the terms of others.
func combine(join func(*store, []term) term, parts ...*Grammar) (*Grammar, error) {
	nodes := 0
	for _, g := range parts {
		nodes += len(g.base.nodes)
	}
	s := newStoreFor(min(nodes, maxTerms))
	terms := make([]term, len(parts))
	for i, g := range parts {
		if at := slices.Index(parts[:i], g); at >= 0 {
			terms[i] = terms[at]
			continue
		}
		c := newCopier(g.base, s)
		terms[i] = s.named("part", c.copy(g.root))
		if g.base.free != none {
			s.free = c.copy(g.base.free)
		}
	}
	return sealed(s, join(s, terms))
}

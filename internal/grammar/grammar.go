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
	"container/list"
	"slices"
	"sync"

	"github.com/galerne-ai/galerne/internal/fault"
)

var (
	// ErrSchema: the text is no JSON Schema. Param is the JSON pointer of the part that is wrong.
	ErrSchema = fault.New(fault.Invalid, "invalid_schema", "grammar: not a JSON Schema")
	// ErrUnenforceable: a keyword is understood and cannot be enforced. Param is its JSON pointer.
	ErrUnenforceable = fault.New(fault.Invalid, "unsupported_schema", "grammar: the schema cannot be enforced")
	// ErrEmpty: nothing satisfies the grammar or schema.
	ErrEmpty = fault.New(fault.Invalid, "unsatisfiable_grammar", "grammar: no finite text satisfies it: its rules contradict each other or never end")
	// ErrRegex: the regular expression is malformed or uses what this package does not have.
	ErrRegex = fault.New(fault.Invalid, "invalid_regex", "grammar: bad regular expression")
	// ErrGBNF: the grammar's text is wrong.
	ErrGBNF = fault.New(fault.Invalid, "invalid_grammar", "grammar: bad GBNF grammar")
	// ErrLimit: the grammar is larger than this package allows.
	ErrLimit = fault.New(fault.Invalid, "grammar_too_large", "grammar: too large")
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
	s := newStore()
	terms := make([]term, len(parts))
	for i, g := range parts {
		c := newCopier(g.base, s)
		terms[i] = s.named("part", c.copy(g.root))
		if g.base.free != none {
			s.free = c.copy(g.base.free)
		}
	}
	return sealed(s, join(s, terms))
}

// Trigger is a text that free text must not contain without what follows it.
type Trigger struct {
	Text string
	Then *Grammar
}

// FreeText is any text, up to a trigger; behind a trigger comes its grammar. With again, free text may
// go on behind that; with must, the answer has at least one trigger.
func FreeText(triggers []Trigger, again, must bool) (*Grammar, error) {
	total := 0
	parts := make([]*Grammar, len(triggers))
	texts := make([]string, len(triggers))
	for i, t := range triggers {
		if t.Text == "" {
			return nil, ErrGBNF.Because("grammar: trigger %d is empty: give it a text", i)
		}
		parts[i], texts[i] = t.Then, t.Text
		total += len(t.Text)
	}
	if total > maxTriggers {
		return nil, ErrLimit.Because("grammar: the triggers have %d bytes together, at most %d", total, maxTriggers)
	}
	return combine(func(s *store, then []term) term {
		after := empty
		if again {
			after = s.rule("text")
			s.define(after, s.until(texts, then, after, true))
		}
		return s.until(texts, then, after, !must)
	}, parts...)
}

// maxTriggers is the length of all triggers of one free text, in bytes.
const maxTriggers = 4096

// until reads bytes that contain none of the texts; behind text i comes then[i] and after. Its rules
// are the states of Aho and Corasick's automaton. end tells whether the text may end without any.
func (s *store) until(texts []string, then []term, after term, end bool) term {
	states := []string{""} // each is a prefix of a text: the longest that what was read ends with
	number := map[string]int{"": 0}
	for _, text := range texts {
		for i := 1; i < len(text); i++ {
			if _, ok := number[text[:i]]; !ok {
				number[text[:i]] = len(states)
				states = append(states, text[:i])
			}
		}
	}
	rules := make([]term, len(states))
	for i := range states {
		rules[i] = s.rule("text")
	}
	for i, state := range states {
		var list []term
		var to = map[int]*byteSet{}
		for b := range 256 {
			read := state + string([]byte{byte(b)})
			if hit := slices.IndexFunc(texts, func(t string) bool { return endsWith(read, t) }); hit >= 0 {
				list = append(list, s.cat(s.bytes(byte(b), byte(b)), then[hit], after))
				continue
			}
			for _, ok := number[read]; !ok; _, ok = number[read] {
				read = read[1:]
			}
			n := number[read]
			if to[n] == nil {
				to[n] = new(byteSet)
			}
			to[n].add(byte(b), byte(b))
		}
		for n, set := range to {
			list = append(list, s.cat(s.set(*set), rules[n]))
		}
		if end {
			list = append(list, empty)
		}
		s.define(rules[i], s.alt(list...))
	}
	return rules[0]
}

func endsWith(text, suffix string) bool {
	return len(text) >= len(suffix) && text[len(text)-len(suffix):] == suffix
}

// Cache keeps compiled grammars, and with them the masks that answers have found, by what they were
// compiled from. Many goroutines may use it.
type Cache struct {
	limit int
	mu    sync.Mutex
	kept  map[cacheKey]*list.Element // of order, holding cached
	order *list.List                 // the latest used first
}

type cacheKey struct {
	kind, text string
	o          Options
}

type cached struct {
	key cacheKey
	g   *Grammar
}

// NewCache keeps at most limit grammars: those used last.
func NewCache(limit int) *Cache {
	return &Cache{limit: max(limit, 1), kept: map[cacheKey]*list.Element{}, order: list.New()}
}

// Schema is CompileSchema.
func (c *Cache) Schema(text []byte, o Options) (*Grammar, error) {
	return c.get(cacheKey{"schema", string(text), o}, func() (*Grammar, error) { return CompileSchema(text, o) })
}

// Regex is CompileRegex.
func (c *Cache) Regex(expr string) (*Grammar, error) {
	return c.get(cacheKey{"regex", expr, Options{}}, func() (*Grammar, error) { return CompileRegex(expr) })
}

// GBNF is CompileGBNF.
func (c *Cache) GBNF(text string) (*Grammar, error) {
	return c.get(cacheKey{"gbnf", text, Options{}}, func() (*Grammar, error) { return CompileGBNF(text) })
}

// Made is any grammar that a caller puts together, under a name that says everything it depends on.
func (c *Cache) Made(name string, compile func() (*Grammar, error)) (*Grammar, error) {
	return c.get(cacheKey{"made", name, Options{}}, compile)
}

// get compiles outside the lock: a slow schema stops nobody. Errors are not kept.
func (c *Cache) get(k cacheKey, compile func() (*Grammar, error)) (*Grammar, error) {
	c.mu.Lock()
	if e, ok := c.kept[k]; ok {
		c.order.MoveToFront(e)
		c.mu.Unlock()
		return e.Value.(cached).g, nil
	}
	c.mu.Unlock()
	g, err := compile()
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.kept[k]; ok { // another was quicker: its masks are warm
		return e.Value.(cached).g, nil
	}
	c.kept[k] = c.order.PushFront(cached{k, g})
	if c.order.Len() > c.limit {
		last := c.order.Back()
		delete(c.kept, last.Value.(cached).key)
		c.order.Remove(last)
	}
	return g, nil
}

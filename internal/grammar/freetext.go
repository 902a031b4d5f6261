// Free text, and what may stand in it: triggers are looked for by an automaton of its own, whose points become rules.

package grammar

import (
	"encoding/binary"
	"slices"
	"strings"
)

// Trigger is a text that free text must not contain without what follows it: Text, wherever it stands, or any of
// Lead where the free text begins with it. What follows are the grammars of Then, one after the other, and behind them
// the free text begins anew with Again, else it is over.
type Trigger struct {
	Text  string
	Lead  *Grammar
	Then  []*Grammar
	Again bool
}

// FreeText is any text, up to a trigger; behind a trigger comes its grammar. With must, the answer has at
// least one trigger.
func FreeText(triggers []Trigger, must bool) (*Grammar, error) {
	total, again := 0, false
	var parts []*Grammar
	for i, t := range triggers {
		if t.Text == "" && t.Lead == nil {
			return nil, ErrGBNF.Because("grammar: trigger %d is empty: give it a text", i)
		}
		parts, again = append(parts, t.Then...), again || t.Again
		total += len(t.Text)
	}
	if total > maxTriggers {
		return nil, ErrLimit.Because("grammar: the triggers have %d bytes together, at most %d", total, maxTriggers)
	}
	return combine(func(s *store, terms []term) term {
		then := make([]term, len(triggers))
		for i, t := range triggers {
			then[i], terms = s.cat(terms[:len(t.Then)]...), terms[len(t.Then):]
		}
		after := empty
		if again {
			after = s.rule("text")
			s.define(after, s.until(triggers, then, after, true))
		}
		return s.until(triggers, then, after, !must)
	}, parts...)
}

// maxTriggers is the length of all triggers of one free text, in bytes.
const maxTriggers = 4096

// until reads bytes up to a trigger; behind trigger i comes then[i], and after if the text goes on. end tells
// whether the text may end without any.
func (s *store) until(triggers []Trigger, then []term, after term, end bool) term {
	behind := slices.Clone(then)
	for i, t := range triggers {
		if t.Again {
			behind[i] = s.cat(then[i], after)
		}
	}
	r := newReading(triggers)
	rules := []term{s.rule("text")} // of points
	for i := 0; i < len(r.points) && !s.full; i++ {
		var list []term
		to := map[int]*byteSet{}
		for c := range r.sets {
			n, hit := r.next(i, c)
			s.full = s.full || r.full
			if hit >= 0 {
				list = append(list, s.cat(s.set(r.sets[c]), behind[hit]))
				continue
			}
			if to[n] == nil {
				to[n] = new(byteSet)
			}
			to[n].join(&r.sets[c])
		}
		for len(rules) < len(r.points) {
			rules = append(rules, s.rule("text"))
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

// reading is the automaton that finds triggers: of their texts as Aho and Corasick do it, and beside it, of the
// leads that what was read may still become.
type reading struct {
	triggers []Trigger
	leads    []*generation // of triggers that have one
	prefixes map[string]bool
	jumps    map[string][]jump // by class
	points   []point
	number   map[string]int
	sets     []byteSet // the classes of bytes that no trigger tells apart
	firsts   []byte    // the first of each
	full     bool      // a lead has too many states
}

// point is what was read: the longest end that begins a text, and what is left of leads.
type point struct {
	read  string
	leads []lead
}

type lead struct {
	trigger int
	left    term
}

// jump is where a byte leads to among the texts' beginnings, or the trigger that it completes, else -1.
type jump struct {
	read string
	hit  int
}

func newReading(triggers []Trigger) *reading {
	r := &reading{triggers: triggers, leads: make([]*generation, len(triggers)), prefixes: map[string]bool{"": true}, jumps: map[string][]jump{}, number: map[string]int{}}
	var start point
	for i, t := range triggers {
		if t.Lead != nil {
			alone := &Grammar{base: t.Lead.base, root: t.Lead.root} // so that nobody else walks in its store
			r.leads[i] = alone.current()
			start.leads = append(start.leads, lead{i, alone.root})
		}
		for n := 1; n < len(t.Text); n++ {
			r.prefixes[t.Text[:n]] = true
		}
	}
	r.at(start)
	r.classify()
	return r
}

func (r *reading) classify() {
	var single byteSet
	for _, t := range r.triggers {
		for _, b := range []byte(t.Text) {
			single.add(b, b)
		}
	}
	classes := classesOf(&single)
	for _, g := range r.leads {
		if g != nil {
			classes.split(len(g.classRep), func(b byte) int { return int(g.classOf[b]) })
		}
	}
	r.firsts, r.sets = classes.firsts(), make([]byteSet, classes.count)
	for b, c := range classes.of {
		r.sets[c].add(byte(b), byte(b))
	}
}

// at numbers points.
func (r *reading) at(p point) int {
	key := append([]byte(p.read), 0)
	for _, l := range p.leads {
		key = binary.LittleEndian.AppendUint64(key, uint64(l.trigger)<<32|uint64(l.left))
	}
	n, ok := r.number[string(key)]
	if !ok {
		n = len(r.points)
		r.number[string(key)] = n
		r.points = append(r.points, p)
	}
	return n
}

// next is the point behind a byte of class c, or the trigger that it completes; hit is -1 where it completes none.
func (r *reading) next(from, c int) (to, hit int) {
	read := r.points[from]
	var p point
	for _, l := range read.leads {
		g := r.leads[l.trigger]
		x := g.step(l.left, g.classOf[r.firsts[c]])
		r.full = r.full || g.full
		switch {
		case x == none:
		case g.nullable(x):
			return 0, l.trigger
		default:
			p.leads = append(p.leads, lead{l.trigger, x})
		}
	}
	j := r.jump(read.read)[c]
	if j.hit >= 0 {
		return 0, j.hit
	}
	p.read = j.read
	return r.at(p), -1
}

func (r *reading) jump(from string) []jump {
	if known := r.jumps[from]; known != nil {
		return known
	}
	all := make([]jump, len(r.firsts))
	for c, b := range r.firsts {
		read := from + string([]byte{b})
		hit := slices.IndexFunc(r.triggers, func(t Trigger) bool { return t.Text != "" && strings.HasSuffix(read, t.Text) })
		for !r.prefixes[read] {
			read = read[1:]
		}
		all[c] = jump{read, hit}
	}
	r.jumps[from] = all
	return all
}

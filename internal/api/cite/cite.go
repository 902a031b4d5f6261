// Package cite answers: which stretches of an answer stand in the documents that it was given?
//
// Models that mark their sources are few. For all others, words are compared: a stretch of an answer is
// cited when the same words, in the same order, stand in a document, and tell something. Words are runs
// of letters and digits, compared without regard to case; of scripts without spaces, every character is
// one. A word tells something if it is a number of two figures or more, or has at least four letters; a
// stretch begins and ends with such words, and is cited when
//
//   - it has two of them, or
//   - one that is such a number or, inside a sentence, has a capital letter: a name, or
//   - four characters of a script without spaces.
//
// So a citation proves that the words are there, not that the answer is right; what is said in other
// words is not cited. Stretches do not overlap; the longest at each place is taken, with every document
// that has it.
package cite

import (
	"context"
	"slices"
	"strings"
	"unicode"

	"github.com/galerne-ai/galerne/internal/chat"
)

// Responder adds citations to the text blocks of the answers of another, at the end of each block. A
// block that the other cites itself is left alone.
func Responder(inner chat.Responder, documents []chat.Document) chat.Responder {
	return &responder{inner, newIndex(documents)}
}

type responder struct {
	inner chat.Responder
	index *index
}

// Respond implements chat.Responder.
func (r *responder) Respond(ctx context.Context, q *chat.Request) (chat.Stream, error) {
	s, err := r.inner.Respond(ctx, q)
	if err != nil {
		return nil, err
	}
	return &stream{Stream: s, index: r.index, blocks: map[int]*block{}}, nil
}

// stream is an answer with citations.
type stream struct {
	chat.Stream
	index  *index
	blocks map[int]*block // open text blocks, by choice
	ready  []chat.Event   // come next
}

type block struct {
	text  strings.Builder
	cited bool
}

func (s *stream) Next(ctx context.Context) (chat.Event, error) {
	if len(s.ready) > 0 {
		ev := s.ready[0]
		s.ready = s.ready[1:]
		return ev, nil
	}
	ev, err := s.Stream.Next(ctx)
	if err != nil {
		return ev, err
	}
	b := s.blocks[ev.Choice]
	switch {
	case ev.Kind == chat.BlockStart && ev.BlockKind == chat.TextBlock:
		s.blocks[ev.Choice] = &block{}
	case b == nil:
	case ev.Kind == chat.Delta:
		b.text.WriteString(ev.Text)
	case ev.Kind == chat.Cited:
		b.cited = true
	case ev.Kind == chat.BlockStop:
		delete(s.blocks, ev.Choice)
		if b.cited {
			break
		}
		for _, c := range s.index.find(b.text.String()) {
			s.ready = append(s.ready, chat.Event{Kind: chat.Cited, Choice: ev.Choice, Block: ev.Block, BlockKind: ev.BlockKind, Citation: &c})
		}
		s.ready = append(s.ready, ev)
		return s.Next(ctx)
	}
	return ev, nil
}

// word is a word of a text; Start and end count characters.
type word struct {
	text       string // in lower case
	start, end int
	letters    int
	digit      bool
	name       bool // has a capital, and is not the first of its sentence
	whole      bool // a character of a script without spaces
}

// number reports a word with digits that is no single figure: those stand everywhere.
func (w *word) number() bool { return w.digit && w.end-w.start > 1 }

func (w *word) tells() bool { return w.number() || w.letters >= 4 }

// wordless are scripts that write no spaces between words.
func wordless(r rune) bool {
	return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar)
}

func words(text string) (out []word) {
	var lower strings.Builder
	var now word
	first, at := true, 0 // first of a sentence
	end := func() {
		if lower.Len() > 0 {
			now.text, now.end = lower.String(), at
			now.name = now.name && !first && now.letters >= 2
			out, first = append(out, now), false
			lower.Reset()
		}
		now = word{}
	}
	for _, r := range text {
		switch {
		case wordless(r):
			end()
			out, first = append(out, word{text: string(r), start: at, end: at + 1, whole: true}), false
		case unicode.IsLetter(r), unicode.IsDigit(r), unicode.IsMark(r) && lower.Len() > 0:
			if lower.Len() == 0 {
				now.start, now.name = at, unicode.IsUpper(r)
			}
			if unicode.IsDigit(r) {
				now.digit = true
			} else {
				now.letters++
			}
			lower.WriteRune(unicode.ToLower(r))
		default:
			end()
			if strings.ContainsRune(".!?:\n", r) {
				first = true
			}
		}
		at++
	}
	end()
	return out
}

// index is the words of documents and where each stands.
type index struct {
	documents []chat.Document
	words     [][]string
	places    map[string][]place
}

type place struct{ document, word int }

// maxPlaces bounds how many places of one word in one document are looked at.
const maxPlaces = 256

func newIndex(documents []chat.Document) *index {
	x := &index{documents: documents, words: make([][]string, len(documents)), places: map[string][]place{}}
	for d := range documents {
		seen := map[string]int{}
		for i, w := range words(documents[d].Title + "\n" + documents[d].Text) {
			x.words[d] = append(x.words[d], w.text)
			if seen[w.text]++; seen[w.text] <= maxPlaces {
				x.places[w.text] = append(x.places[w.text], place{d, i})
			}
		}
	}
	return x
}

// find gives the citations of a text, in order.
func (x *index) find(text string) (out []chat.Citation) {
	if len(x.documents) == 0 {
		return nil
	}
	runes := []rune(text)
	all := words(text)
	for i := 0; i < len(all); {
		n, sources := x.longest(all[i:])
		if n == 0 {
			i++
			continue
		}
		c := chat.Citation{Start: all[i].start, End: all[i+n-1].end}
		c.Text = string(runes[c.Start:c.End])
		for _, d := range sources {
			c.Sources = append(c.Sources, x.documents[d])
		}
		out = append(out, c)
		i += n
	}
	return out
}

// longest gives the length in words of the longest stretch from here that is worth citing, and the
// documents that have it.
func (x *index) longest(rest []word) (best int, sources []int) {
	if !rest[0].tells() && !rest[0].whole {
		return 0, nil
	}
	for _, p := range x.places[rest[0].text] {
		n := 1
		in := x.words[p.document][p.word:]
		for n < len(rest) && n < len(in) && rest[n].text == in[n] {
			n++
		}
		switch n = worth(rest[:n]); {
		case n == 0:
		case n > best:
			best, sources = n, []int{p.document}
		case n == best && !slices.Contains(sources, p.document):
			sources = append(sources, p.document)
		}
	}
	return best, sources
}

// worth cuts what tells nothing from a stretch's end, and gives how many words are left, or none.
func worth(run []word) int {
	for n := len(run); n > 0; n-- {
		if last := &run[n-1]; !last.tells() && !last.whole {
			continue
		}
		telling, characters := 0, 0
		for i := range run[:n] {
			w := &run[i]
			switch {
			case w.whole:
				characters++
			case w.number() || w.tells() && w.name:
				return n
			case w.tells():
				telling++
			}
		}
		if telling >= 2 || characters >= 4 {
			return n
		}
		return 0
	}
	return 0
}

package prompt

import (
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/galerne-ai/galerne/internal/jinja"
	"github.com/galerne-ai/galerne/internal/tokenizer"
)

// The guard keeps people's words from being read as control tokens, exactly and without changing what
// the model reads of them.
//
// The template is rendered twice: with the messages as they are (the text that the model reads), and
// with a stand-in for every character of people's strings with which a control token's name can begin
// or end. Stand-ins are private-use characters, one for one, so a template that only places,
// trims, measures or quotes text treats both alike: putting the characters back must give the first
// text. Then the stand-ins' places are exactly the people's characters, and the tokenizer finds no
// control token that has one of them, whether it was written whole or comes together from two messages.
//
// A template that looks into text (for </think> in a former answer) may treat the two differently.
// Then only the characters of names, whole or at a string's edge, get a stand-in; if that differs too,
// the request is refused with the name that caused it. Strings without any of the characters cost
// nothing: there is one rendering.
type guard struct {
	names []string // of control tokens
	edges string   // the characters that names begin and end with
}

func newGuard(t *tokenizer.Tokenizer) guard {
	var g guard
	for id := range int32(t.Size()) {
		name := t.Token(id)
		if !t.Special(id) || name == "" {
			continue
		}
		g.names = append(g.names, name)
		first, _ := utf8.DecodeRuneInString(name)
		last, _ := utf8.DecodeLastRuneInString(name)
		for _, c := range []rune{first, last} {
			if !strings.ContainsRune(g.edges, c) {
				g.edges += string(c)
			}
		}
	}
	sort.Slice(g.names, func(i, j int) bool { return len(g.names[i]) > len(g.names[j]) })
	return g
}

// variables are a template's variables, made again with another treatment of people's strings.
type variables func(words func(string) string) *jinja.Map

// guarded renders, and gives the stretches of the text that are people's.
func (f *Format) guarded(vars variables) (text string, plain [][2]int, err error) {
	risky, taken := false, map[rune]bool{}
	m := vars(func(s string) string {
		risky = risky || strings.ContainsAny(s, f.guard.edges)
		for _, c := range s {
			if c >= firstStandIn {
				taken[c] = true
			}
		}
		return s
	})
	text, err = f.template.Render(m)
	if err != nil || !risky {
		return text, nil, err
	}
	stand := newStandIns(f.guard.edges, taken)
	for _, replace := range []func(string) string{stand.all, func(s string) string { return f.guard.parts(s, stand) }} {
		other, err := f.template.Render(vars(replace))
		if err != nil {
			continue
		}
		if plain, ok := stand.places(text, other); ok {
			return text, plain, nil
		}
	}
	named := ""
	vars(func(s string) string {
		if named == "" {
			named = f.guard.nameIn(s)
		}
		return s
	})
	if named == "" { // only pieces of names, which the template could bring together
		named = "(in pieces)"
	}
	return "", nil, ErrControl.Because("prompt: a message contains the control token %s, and this model's template looks into the text, so that it cannot be told from the template's own: remove it from the message", named).At("messages")
}

// nameIn finds a control token's name in a text.
func (g *guard) nameIn(s string) string {
	if !strings.ContainsAny(s, g.edges) {
		return ""
	}
	for _, name := range g.names {
		if strings.Contains(s, name) {
			return name
		}
	}
	return ""
}

// parts puts stand-ins into names only: whole ones, and what may be one's end or beginning at the
// edges of the text.
func (g *guard) parts(s string, stand standIns) string {
	for _, name := range g.names {
		for n := min(len(name)-1, len(s)); n > 0; n-- {
			if utf8.RuneStart(name[len(name)-n]) && strings.HasPrefix(s, name[len(name)-n:]) {
				s = stand.all(s[:n]) + s[n:]
				break
			}
		}
		for n := min(len(name)-1, len(s)); n > 0; n-- {
			if strings.HasSuffix(s, name[:n]) {
				s = s[:len(s)-n] + stand.all(s[len(s)-n:])
				break
			}
		}
		s = strings.ReplaceAll(s, name, stand.all(name))
	}
	return s
}

// standIns maps characters to private-use ones that no message has.
type standIns struct {
	to   map[rune]rune
	back map[rune]rune
}

const firstStandIn = 0xF0000

func newStandIns(chars string, taken map[rune]bool) standIns {
	s := standIns{map[rune]rune{}, map[rune]rune{}}
	next := rune(firstStandIn)
	for _, c := range chars {
		for taken[next] {
			next++
		}
		s.to[c], s.back[next] = next, c
		next++
	}
	return s
}

func (s standIns) all(text string) string {
	return strings.Map(func(c rune) rune {
		if to, ok := s.to[c]; ok {
			return to
		}
		return c
	}, text)
}

// places walks both renderings and gives the people's stretches of the first; false where they differ
// in more than stand-ins. A stand-in may have been escaped as JSON does it.
func (s standIns) places(text, other string) (plain [][2]int, ok bool) {
	at := 0
	for other != "" {
		c, n := utf8.DecodeRuneInString(other)
		if c == '\\' {
			if escaped, m := jsonRune(other); m > 0 && s.back[escaped] != 0 {
				c, n = escaped, m
			}
		}
		want, people := c, false
		if original, stands := s.back[c]; stands {
			want, people = original, true
		}
		got, m := utf8.DecodeRuneInString(text[at:])
		if m == 0 || got != want {
			return nil, false
		}
		if people {
			if last := len(plain) - 1; last >= 0 && plain[last][1] == at {
				plain[last][1] = at + m
			} else {
				plain = append(plain, [2]int{at, at + m})
			}
		}
		at += m
		other = other[n:]
	}
	return plain, at == len(text)
}

// jsonRune reads \ud83d\ude00 as one character; n is 0 where there is no such pair.
func jsonRune(s string) (c rune, n int) {
	if len(s) < 12 || s[:2] != `\u` || s[6:8] != `\u` {
		return 0, 0
	}
	high, err := strconv.ParseUint(s[2:6], 16, 16)
	low, err2 := strconv.ParseUint(s[8:12], 16, 16)
	if err != nil || err2 != nil || high>>10 != 0xd800>>10 || low>>10 != 0xdc00>>10 {
		return 0, 0
	}
	return 0x10000 + rune(high&0x3ff)<<10 + rune(low&0x3ff), 12
}

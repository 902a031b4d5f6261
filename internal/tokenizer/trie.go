package tokenizer

import (
	"cmp"
	"math"
	"slices"
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"
)

// trie finds which of a set of byte strings begin at a place in a text: one step a byte.
type trie struct {
	nodes  []trieNode
	labels []byte  // of the edges, sorted within a node
	to     []int32 // the edges' nodes
}

type trieNode struct {
	first, count int32 // edges
	value        int32 // of the string that ends here, -1: none
}

// named is a string and what it stands for.
type named struct {
	name  string
	value int32
}

// newTrie builds level by level; of equal strings the one with the least value stays.
func newTrie(list []named) *trie {
	slices.SortFunc(list, func(a, b named) int {
		return cmp.Or(strings.Compare(a.name, b.name), cmp.Compare(a.value, b.value))
	})
	t := &trie{nodes: []trieNode{{value: -1}}}
	type span struct{ lo, hi, depth int }
	spans := []span{{0, len(list), 0}}
	for i := 0; i < len(spans); i++ {
		s := spans[i]
		for s.lo < s.hi && len(list[s.lo].name) == s.depth {
			if t.nodes[i].value < 0 {
				t.nodes[i].value = list[s.lo].value
			}
			s.lo++
		}
		t.nodes[i].first = int32(len(t.labels))
		for s.lo < s.hi {
			c, end := list[s.lo].name[s.depth], s.lo+1
			for end < s.hi && list[end].name[s.depth] == c {
				end++
			}
			t.labels = append(t.labels, c)
			t.to = append(t.to, int32(len(t.nodes)))
			t.nodes = append(t.nodes, trieNode{value: -1})
			spans = append(spans, span{s.lo, end, s.depth + 1})
			s.lo = end
		}
		t.nodes[i].count = int32(len(t.labels)) - t.nodes[i].first
	}
	return t
}

// child is the node behind one more byte, -1 if there is none.
func (t *trie) child(node int32, c byte) int32 {
	n := t.nodes[node]
	lo, hi := n.first, n.first+n.count
	for hi-lo > 8 {
		if mid := (lo + hi) / 2; t.labels[mid] <= c {
			lo = mid
		} else {
			hi = mid
		}
	}
	for ; lo < hi; lo++ {
		if t.labels[lo] == c {
			return t.to[lo]
		}
	}
	return -1
}

// added is a token that is found in text before the model reads it.
type added struct {
	id             int32
	special        bool // found only where the caller parses special tokens
	single         bool // only as a whole word
	lstrip, rstrip bool // takes the white space before, behind
	name           string
}

// matcher finds added tokens: the leftmost, then the longest.
type matcher struct {
	trie   *trie // values are indices of tokens
	tokens []added
	first  [256]bool // bytes that begin a name
}

func newMatcher(tokens []added) *matcher {
	if len(tokens) == 0 {
		return nil
	}
	m := &matcher{tokens: tokens}
	list := make([]named, len(tokens))
	for i, a := range tokens {
		list[i] = named{a.name, int32(i)}
		m.first[a.name[0]] = true
	}
	m.trie = newTrie(list)
	return m
}

// next gives the first token at or behind from, and the bytes that it takes; nil where there is none.
func (m *matcher) next(text string, from int, special bool) (a *added, start, end int) {
	return m.nextOutside(nil, text, from, special)
}

// nextOutside is next where no control token may have a byte of the plain stretches.
func (m *matcher) nextOutside(plain [][2]int, text string, from int, special bool) (a *added, start, end int) {
	if m == nil {
		return nil, len(text), len(text)
	}
	for i := from; i < len(text); i++ {
		if !m.first[text[i]] {
			continue
		}
		limit := len(text)
		switch {
		case !special:
			limit = 0
		case len(plain) > 0:
			limit = plainFrom(plain, i)
		}
		a, end := m.longest(text, i, limit)
		if a == nil {
			continue
		}
		if a.single && (endsInWord(text[:i]) || beginsWithWord(text[end:])) {
			i = end - 1
			continue
		}
		start := i
		if a.lstrip {
			start = from + len(strings.TrimRightFunc(text[from:start], unicode.IsSpace))
		}
		if a.rstrip {
			end = len(text) - len(strings.TrimLeftFunc(text[end:], unicode.IsSpace))
		}
		return a, start, end
	}
	return nil, len(text), len(text)
}

// longest is the longest token that begins at at; a control token must end at limit or before.
func (m *matcher) longest(text string, at, limit int) (a *added, end int) {
	node := int32(0)
	for i := at; i < len(text); i++ {
		if node = m.trie.child(node, text[i]); node < 0 {
			break
		}
		if v := m.trie.nodes[node].value; v >= 0 && (i < limit || !m.tokens[v].special) {
			a, end = &m.tokens[v], i+1
		}
	}
	return a, end
}

// plainFrom is where the first plain stretch begins that ends behind at: at or before it if at is in one.
func plainFrom(plain [][2]int, at int) int {
	i := sort.Search(len(plain), func(i int) bool { return plain[i][1] > at })
	if i == len(plain) {
		return math.MaxInt
	}
	return plain[i][0]
}

func endsInWord(text string) bool {
	r, n := utf8.DecodeLastRuneInString(text)
	return n > 0 && unicode.Is(wordChars, r)
}

func beginsWithWord(text string) bool {
	r, n := utf8.DecodeRuneInString(text)
	return n > 0 && unicode.Is(wordChars, r)
}

package grammar

import (
	"bytes"
	"slices"
	"unicode/utf8"
)

// Vocabulary is a model's tokens as bytes, arranged for masks: made once a model, read-only, shared.
type Vocabulary struct {
	pieces [][]byte
	ends   []int32
	words  int // of a mask: one bit a token

	all, rest trie       // every token; those that are not plain
	plain     [][]uint64 // [n]: plain tokens of at most n characters
	longest   int        // bytes
}

// plainLimit is the most characters of a plain token: longer ones are read like any other token.
const plainLimit = 32

// NewVocabulary takes the bytes of each token and the tokens that end an answer. A token without
// bytes is never allowed: callers give none for tokens that are no text (roles, padding and the like).
func NewVocabulary(pieces [][]byte, ends []int32) *Vocabulary {
	v := &Vocabulary{pieces: pieces, ends: slices.Clone(ends), words: (len(pieces) + 63) / 64}
	slices.Sort(v.ends)
	var all, rest []int32
	for range plainLimit + 1 {
		v.plain = append(v.plain, make([]uint64, v.words))
	}
	for id, p := range pieces {
		if len(p) == 0 || v.isEnd(int32(id)) {
			continue
		}
		v.longest = max(v.longest, len(p))
		all = append(all, int32(id))
		n := plainLength(p)
		if n < 0 {
			rest = append(rest, int32(id))
			continue
		}
		for ; n <= plainLimit; n++ {
			v.plain[n][id>>6] |= 1 << (id & 63)
		}
	}
	v.all, v.rest = newTrie(pieces, all), newTrie(pieces, rest)
	return v
}

// Size is the number of tokens.
func (v *Vocabulary) Size() int { return len(v.pieces) }

func (v *Vocabulary) isEnd(id int32) bool {
	_, ok := slices.BinarySearch(v.ends, id)
	return ok
}

// plainLength is the number of characters of a token that a JSON string may hold as they are, -1 for
// other tokens.
func plainLength(p []byte) int {
	n := 0
	for len(p) > 0 {
		r, size := utf8.DecodeRune(p)
		if r == utf8.RuneError && size == 1 || r < 0x20 || r == '"' || r == '\\' {
			return -1
		}
		p = p[size:]
		n++
	}
	if n > plainLimit {
		return -1
	}
	return n
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
		if len(p) > maxToken {
			continue
		}
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

// size is the number of nodes.
func (t *trie) size() int32 { return int32(len(t.nodes) - 1) }

package tokenizer

import (
	"container/heap"
	"unicode/utf8"
)

// bpe is byte-pair encoding by ranked merges (Sennrich et al. 2016, https://arxiv.org/abs/1508.07909),
// over bytes (GPT-2) or over characters with a fallback to bytes.
type bpe struct {
	split        splitter
	words        map[string]int32 // raw bytes of a token → id, normal tokens only
	merges       map[uint64]merge
	bytes        [256]int32 // token of a byte, -1 if none
	unknown      int32      // for characters without a token, -1: none
	characters   bool       // symbols start as characters, not bytes
	ignoreMerges bool       // a whole word that is a token is that token
}

type merge struct{ rank, id int32 }

func pair(a, b int32) uint64 { return uint64(uint32(a))<<32 | uint64(uint32(b)) }

func (m *bpe) encode(dst []int32, text string) []int32 {
	if m.split == nil {
		return m.word(dst, text)
	}
	for at := 0; at < len(text); {
		n := m.split(text, at)
		dst = m.word(dst, text[at:at+n])
		at += n
	}
	return dst
}

// word appends the tokens of one word.
func (m *bpe) word(dst []int32, w string) []int32 {
	if m.ignoreMerges {
		if id, ok := m.words[w]; ok {
			return append(dst, id)
		}
	}
	begin := len(dst)
	dst = m.symbols(dst, w)
	if n := len(dst) - begin; n > longWord {
		return append(dst[:begin], m.mergeLong(dst[begin:])...)
	} else if n < 2 {
		return dst
	}
	return dst[:begin+m.mergeShort(dst[begin:])]
}

// symbols appends what merging starts from.
func (m *bpe) symbols(dst []int32, w string) []int32 {
	if !m.characters {
		for i := range len(w) {
			if id := m.bytes[w[i]]; id >= 0 {
				dst = append(dst, id)
			} else if m.unknown >= 0 {
				dst = append(dst, m.unknown)
			}
		}
		return dst
	}
	for i := 0; i < len(w); {
		_, n := utf8.DecodeRuneInString(w[i:])
		if id, ok := m.words[w[i:i+n]]; ok {
			dst = append(dst, id)
		} else {
			dst = m.fallback(dst, w[i:i+n])
		}
		i += n
	}
	return dst
}

func (m *bpe) fallback(dst []int32, char string) []int32 {
	for i := range len(char) {
		if m.bytes[char[i]] < 0 {
			if m.unknown >= 0 {
				dst = append(dst, m.unknown)
			}
			return dst
		}
	}
	for i := range len(char) {
		dst = append(dst, m.bytes[char[i]])
	}
	return dst
}

// longWord is where looking at all pairs again after each merge costs more than a heap.
const longWord = 48

// mergeShort merges in place, the lowest rank first and of equals the leftmost, and gives the new length.
func (m *bpe) mergeShort(s []int32) int {
	var ranks [longWord]merge
	n := len(s)
	for i := range n - 1 {
		ranks[i] = m.rank(s[i], s[i+1])
	}
	for {
		best := -1
		for i := range n - 1 {
			if ranks[i].rank >= 0 && (best < 0 || ranks[i].rank < ranks[best].rank) {
				best = i
			}
		}
		if best < 0 {
			return n
		}
		s[best] = ranks[best].id
		copy(s[best+1:n], s[best+2:n])
		copy(ranks[best:], ranks[best+1:max(n-1, best+1)])
		n--
		if best > 0 {
			ranks[best-1] = m.rank(s[best-1], s[best])
		}
		if best < n-1 {
			ranks[best] = m.rank(s[best], s[best+1])
		}
	}
}

func (m *bpe) rank(a, b int32) merge {
	if r, ok := m.merges[pair(a, b)]; ok {
		return r
	}
	return merge{-1, -1}
}

// mergeLong is mergeShort with a heap and links: n log n for a word of any length.
func (m *bpe) mergeLong(s []int32) []int32 {
	prev, next := make([]int32, len(s)), make([]int32, len(s))
	for i := range s {
		prev[i], next[i] = int32(i)-1, int32(i)+1
	}
	var h mergeHeap
	push := func(i int32) {
		if i < 0 || int(next[i]) >= len(s) {
			return
		}
		if r := m.rank(s[i], s[next[i]]); r.rank >= 0 {
			heap.Push(&h, candidate{key: float64(r.rank), at: i, left: s[i], right: s[next[i]], id: r.id})
		}
	}
	for i := range s {
		push(int32(i))
	}
	joinAll(&h, s, prev, next, push)
	return compact(s)
}

// candidate is a possible merge of the symbols at and behind position at; smaller keys go first, then
// smaller positions.
type candidate struct {
	key         float64
	at          int32
	left, right int32
	id          int32
}

type mergeHeap []candidate

func (h mergeHeap) Len() int { return len(h) }
func (h mergeHeap) Less(i, j int) bool {
	return h[i].key < h[j].key || h[i].key == h[j].key && h[i].at < h[j].at
}
func (h mergeHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *mergeHeap) Push(x any)   { *h = append(*h, x.(candidate)) }
func (h *mergeHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

const gone = int32(-1 << 30) // a symbol that was merged into the one before it

// joinAll carries out merges until none is left; a candidate whose symbols have changed is dropped.
func joinAll(h *mergeHeap, s, prev, next []int32, push func(int32)) {
	for h.Len() > 0 {
		c := heap.Pop(h).(candidate)
		right := next[c.at]
		if s[c.at] != c.left || int(right) >= len(s) || s[right] != c.right {
			continue
		}
		s[c.at], s[right] = c.id, gone
		next[c.at] = next[right]
		if int(next[right]) < len(s) {
			prev[next[right]] = c.at
		}
		push(prev[c.at])
		push(c.at)
	}
}

func compact(s []int32) []int32 {
	out := s[:0]
	for _, id := range s {
		if id != gone {
			out = append(out, id)
		}
	}
	return out
}

// byteLetters is GPT-2's alphabet: the character that stands for each byte in a vocabulary.
func byteLetters() (letters [256]rune) {
	next := rune(256)
	for b := range 256 {
		if b >= '!' && b <= '~' || b >= 0xA1 && b <= 0xAC || b >= 0xAE {
			letters[b] = rune(b)
		} else {
			letters[b] = next
			next++
		}
	}
	return letters
}

// fromLetters gives the bytes that a vocabulary text in GPT-2's alphabet stands for; ok is false where
// it has another character.
func fromLetters(text string, of map[rune]byte) (raw string, ok bool) {
	buf := make([]byte, 0, len(text))
	for _, r := range text {
		b, ok := of[r]
		if !ok {
			return text, false
		}
		buf = append(buf, b)
	}
	return string(buf), true
}

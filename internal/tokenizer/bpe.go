package tokenizer

import (
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"
)

// bpe is byte-pair encoding by ranked merges (Sennrich et al. 2016, https://arxiv.org/abs/1508.07909),
// over bytes (GPT-2) or over characters with a fallback to bytes.
type bpe struct {
	words        map[string]int32 // raw bytes of a token → id, normal tokens only
	merges       map[uint64]merge
	bytes        [256]int32 // token of a byte, -1 if none
	unknown      int32      // for characters without a token, -1: none
	fuse         bool       // a run of unknown characters is one unknown token
	characters   bool       // symbols start as characters, not bytes
	ignoreMerges bool       // a whole word that is a token is that token
	prefix       string     // of characters that do not begin a word
	suffix       string     // of characters that end one
	borders      *borders   // nil: the text is one word
	cache        *wordCache
	joiners      joiners
}

type merge struct{ rank, id int32 }

func pair(a, b int32) uint64 { return uint64(uint32(a))<<32 | uint64(uint32(b)) }

func (m *bpe) encode(dst []int32, text string) []int32 {
	for at := 0; at < len(text); {
		n := m.borders.next(text, at)
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
	slot, ids := m.cache.get(w)
	if ids != nil {
		return append(dst, ids...)
	}
	begin := len(dst)
	dst = m.symbols(dst, w)
	if n := len(dst) - begin; n > longWord {
		dst = append(dst[:begin], m.mergeLong(dst[begin:])...)
	} else if n > 1 {
		dst = dst[:begin+m.mergeShort(dst[begin:])]
	}
	slot.put(w, dst[begin:])
	return dst
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
	fused := false
	for i := 0; i < len(w); {
		_, n := utf8.DecodeRuneInString(w[i:])
		char := w[i : i+n]
		if m.prefix != "" && i > 0 {
			char = m.prefix + char
		}
		if m.suffix != "" && i+n == len(w) {
			char += m.suffix
		}
		i += n
		if id, ok := m.words[char]; ok {
			dst, fused = append(dst, id), false
			continue
		}
		before := len(dst)
		dst = m.fallback(dst, char)
		switch {
		case len(dst) != before+1 || dst[before] != m.unknown:
			fused = false
		case fused:
			dst = dst[:before]
		default:
			fused = m.fuse
		}
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
	j := m.joiners.get(len(s))
	defer m.joiners.put(j)
	j.run(func(at, right int32) int32 { return m.rank(s[at], s[right]).rank },
		func(at, right int32) { s[at], s[right] = m.rank(s[at], s[right]).id, gone })
	out := s[:0]
	for _, id := range s {
		if id != gone {
			out = append(out, id)
		}
	}
	return out
}

const gone = int32(-1 << 30) // a symbol that was merged into the one before it

// joiner merges neighbours in a list of symbols until no pair has a rank. It is scratch memory, used
// again for the next word.
type joiner struct {
	prev, next []int32
	heap       joinHeap
}

// joiners is a store of them that many goroutines may use.
type joiners struct{ pool sync.Pool }

func (p *joiners) get(n int) *joiner {
	j, _ := p.pool.Get().(*joiner)
	if j == nil {
		j = &joiner{}
	}
	j.prev, j.next, j.heap = slices.Grow(j.prev[:0], n)[:n], slices.Grow(j.next[:0], n)[:n], j.heap[:0]
	for i := range n {
		j.prev[i], j.next[i] = int32(i)-1, int32(i)+1
	}
	return j
}

// mostKept bounds the memory that a joiner keeps for later, in symbols.
const mostKept = 1 << 16

func (p *joiners) put(j *joiner) {
	if cap(j.next) <= mostKept && cap(j.heap) <= mostKept {
		p.pool.Put(j)
	}
}

// run joins the pair with the lowest rank first, of equals the leftmost. rank is of the symbols at two
// places, negative where they do not merge; join makes them one, at the first place.
func (j *joiner) run(rank func(at, right int32) int32, join func(at, right int32)) {
	n := int32(len(j.next))
	push := func(at int32) {
		if at >= 0 && j.next[at] < n {
			if r := rank(at, j.next[at]); r >= 0 {
				j.heap.push(uint64(r)<<32 | uint64(at))
			}
		}
	}
	for at := range n {
		push(at)
	}
	for len(j.heap) > 0 {
		top := j.heap.pop()
		at := int32(uint32(top))
		right := j.next[at]
		if right >= n || right < 0 || rank(at, right) != int32(top>>32) {
			continue // a symbol has changed since
		}
		join(at, right)
		j.next[at] = j.next[right]
		j.next[right] = gone
		if j.next[at] < n {
			j.prev[j.next[at]] = at
		}
		push(j.prev[at])
		push(at)
	}
}

// joinHeap is a binary heap of rank<<32 | place, the least on top; container/heap would allocate for each.
type joinHeap []uint64

func (h *joinHeap) push(c uint64) {
	s := append(*h, c)
	*h = s
	i := len(s) - 1
	for i > 0 {
		up := (i - 1) / 2
		if c >= s[up] {
			break
		}
		s[i] = s[up]
		i = up
	}
	s[i] = c
}

func (h *joinHeap) pop() uint64 {
	s := *h
	top, last := s[0], s[len(s)-1]
	s = s[:len(s)-1]
	*h = s
	if len(s) == 0 {
		return top
	}
	i := 0
	for {
		down := 2*i + 1
		if down >= len(s) {
			break
		}
		if down+1 < len(s) && s[down+1] < s[down] {
			down++
		}
		if s[down] >= last {
			break
		}
		s[i] = s[down]
		i = down
	}
	s[i] = last
	return top
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

// lettersOf is the alphabet the other way round.
func lettersOf(letters [256]rune) map[rune]byte {
	of := make(map[rune]byte, len(letters))
	for i, r := range letters {
		of[r] = byte(i)
	}
	return of
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

// setRanked makes the merges and byte tokens of a vocabulary that has no list of them: every pair whose
// union is a token merges, the token with the least id first.
func (m *bpe) setRanked() {
	for i := range m.bytes {
		m.bytes[i] = -1
		if id, ok := m.words[string([]byte{byte(i)})]; ok {
			m.bytes[i] = id
		}
	}
	m.merges = make(map[uint64]merge, 2*len(m.words))
	for whole, id := range m.words {
		for cut := 1; cut < len(whole); cut++ {
			l, ok1 := m.words[whole[:cut]]
			r, ok2 := m.words[whole[cut:]]
			if ok1 && ok2 {
				m.merges[pair(l, r)] = merge{id, id} // ids are ranks
			}
		}
	}
}

// wordCache remembers the tokens of words. It is bounded, and needs no lock: a slot is replaced whole.
// Most of a text is words that came before, and merging one costs 20 times a look here.
type wordCache struct {
	seed  maphash.Seed
	slots [cacheSlots]wordSlot
}

const (
	cacheSlots  = 1 << 15
	longestWord = 64 // bytes; longer words are rare, and would let a text fill the memory
)

type wordSlot struct{ at atomic.Pointer[cachedWord] }

type cachedWord struct {
	word string
	ids  []int32
}

func newWordCache() *wordCache { return &wordCache{seed: maphash.MakeSeed()} }

// get gives the tokens of a word, nil where it has none yet, and the slot to put them in.
func (c *wordCache) get(word string) (*wordSlot, []int32) {
	if len(word) > longestWord {
		return nil, nil
	}
	slot := &c.slots[maphash.String(c.seed, word)%cacheSlots]
	if e := slot.at.Load(); e != nil && e.word == word {
		return slot, e.ids
	}
	return slot, nil
}

func (s *wordSlot) put(word string, ids []int32) {
	if s != nil && len(ids) > 0 {
		s.at.Store(&cachedWord{strings.Clone(word), append([]int32(nil), ids...)})
	}
}

// borders are places that no token spans, between two characters that stand beside each other in no
// token: merges on both sides are independent, so that a text can be cut there without changing its
// tokens. Looked at are pairs of ASCII, and "▁" behind anything.
type borders struct {
	ascii  [128][128]bool // pairs that some token has
	before map[rune]bool  // characters that stand before a "▁" in some token
}

// bordersOf looks through everything that merges can make; nil where a token of bytes is part of another.
func bordersOf(tokens []string) *borders {
	b := &borders{before: map[rune]bool{'▁': true}}
	var known [128]bool
	for _, text := range tokens {
		if len(text) > len("<0x00>") && strings.Contains(text, "<0x") {
			return nil
		}
		last := rune(-1)
		for _, r := range text {
			if r < 128 && last >= 0 && last < 128 {
				b.ascii[last][r] = true
			}
			if r == '▁' && last >= 0 {
				b.before[last] = true
			}
			last = r
		}
		if len(text) == 1 && text[0] < 128 {
			known[text[0]] = true
		}
	}
	for i := range known { // unknown characters may be joined to one unknown token
		for j := range known {
			if !known[i] && !known[j] {
				b.ascii[i][j] = true
			}
		}
	}
	return b
}

// next is the length of the part of text that begins at at.
func (b *borders) next(text string, at int) int {
	const mark = "▁"
	if b == nil {
		return len(text) - at
	}
	for i := at + 1; i < len(text); i++ {
		c, last := text[i], text[i-1]
		switch {
		case c < 128 && last < 128:
			if !b.ascii[last][c] {
				return i - at
			}
		case c == mark[0] && strings.HasPrefix(text[i:], mark):
			if r, _ := utf8.DecodeLastRuneInString(text[at:i]); !b.before[r] {
				return i - at
			}
		}
	}
	return len(text) - at
}

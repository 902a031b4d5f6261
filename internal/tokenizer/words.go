package tokenizer

import (
	"cmp"
	"slices"
	"unicode/utf8"
)

// spm is SentencePiece's BPE: neighbours are joined, the pair whose union has the highest score first
// and of equals the leftmost (Kudo and Richardson 2018, https://arxiv.org/abs/1808.06226).
type spm struct {
	words   map[string]int32
	ranks   []int32 // of the tokens, by their scores
	bytes   [256]int32
	unknown int32
	borders *borders
	cache   *wordCache
	joiners joiners
}

func (m *spm) encode(dst []int32, text string) []int32 {
	for at := 0; at < len(text); {
		n := m.borders.next(text, at)
		word := text[at : at+n]
		at += n
		slot, ids := m.cache.get(word)
		if ids != nil {
			dst = append(dst, ids...)
			continue
		}
		begin := len(dst)
		dst = m.merge(dst, word)
		slot.put(word, dst[begin:])
	}
	return dst
}

// merge appends the tokens of a text that has no borders inside.
func (m *spm) merge(dst []int32, text string) []int32 {
	var few [2 * longestWord]int32
	ends := few[:0] // of the symbols, in bytes; stale where a symbol was joined to the one before it
	starts := few[longestWord:longestWord]
	if len(text) > longestWord {
		ends, starts = make([]int32, 0, len(text)), make([]int32, 0, len(text))
	}
	for i, r := range text {
		n := utf8.RuneLen(r)
		if r == utf8.RuneError {
			_, n = utf8.DecodeRuneInString(text[i:])
		}
		starts, ends = append(starts, int32(i)), append(ends, int32(i+n))
	}
	j := m.joiners.get(len(ends))
	defer m.joiners.put(j)
	j.run(func(at, right int32) int32 {
		if id, ok := m.words[text[starts[at]:ends[right]]]; ok {
			return m.ranks[id]
		}
		return -1
	}, func(at, right int32) { ends[at] = ends[right] })
	for i := 0; i < len(ends); i = int(j.next[i]) {
		dst = m.symbol(dst, text[starts[i]:ends[i]])
	}
	return dst
}

// setRanks numbers the scores from the highest on; equal ones have the same number.
func (m *spm) setRanks(scores []float64) {
	order := make([]int32, len(scores))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int { return cmp.Compare(scores[b], scores[a]) })
	m.ranks = make([]int32, len(scores))
	for i, id := range order {
		m.ranks[id] = int32(i)
		if i > 0 && scores[order[i-1]] == scores[id] {
			m.ranks[id] = m.ranks[order[i-1]]
		}
	}
}

func (m *spm) symbol(dst []int32, s string) []int32 {
	if id, ok := m.words[s]; ok {
		return append(dst, id)
	}
	for i := range len(s) {
		if m.bytes[s[i]] < 0 {
			for range utf8.RuneCountInString(s) {
				dst = append(dst, m.unknown)
			}
			return dst
		}
	}
	for i := range len(s) {
		dst = append(dst, m.bytes[s[i]])
	}
	return dst
}

// wordpiece cuts each word greedily into the longest pieces of the vocabulary (Schuster and Nakajima
// 2012; Devlin et al. 2018, https://arxiv.org/abs/1810.04805).
type wordpiece struct {
	first, rest map[string]int32 // pieces that begin a word, and those behind them
	longest     int              // bytes of the longest piece
	unknown     int32
	mostRunes   int // a longer word is unknown
	cache       *wordCache
}

func (m *wordpiece) encode(dst []int32, word string) []int32 {
	if word == "" {
		return dst
	}
	slot, ids := m.cache.get(word)
	if ids != nil {
		return append(dst, ids...)
	}
	begin := len(dst)
	dst = m.word(dst, word)
	slot.put(word, dst[begin:])
	return dst
}

func (m *wordpiece) word(dst []int32, word string) []int32 {
	if utf8.RuneCountInString(word) > m.mostRunes {
		return append(dst, m.unknown)
	}
	begin := len(dst)
	table := m.first
	for word != "" {
		n := min(len(word), m.longest)
		id, ok := int32(0), false
		for ; n > 0; n-- {
			if id, ok = table[word[:n]]; ok {
				break
			}
		}
		if !ok {
			return append(dst[:begin], m.unknown)
		}
		dst = append(dst, id)
		word, table = word[n:], m.rest
	}
	return dst
}

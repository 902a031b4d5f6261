package tokenizer

import "unicode/utf8"

// spm is SentencePiece's BPE: neighbours are joined, the pair whose union has the highest score first
// and of equals the leftmost (Kudo and Richardson 2018, https://arxiv.org/abs/1808.06226).
type spm struct {
	words   map[string]int32
	scores  []float32
	bytes   [256]int32
	unknown int32
	borders *borders
	cache   *wordCache
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
	// Symbols are byte ranges of the text; ends double as ids while merging.
	starts := make([]int32, 0, len(text)+1)
	for i := range text {
		starts = append(starts, int32(i))
	}
	n := len(starts)
	starts = append(starts, int32(len(text)))
	links := make([]int32, 3*n)
	end, prev, next := links[:n], links[n:2*n], links[2*n:]
	for i := range n {
		end[i], prev[i], next[i] = starts[i+1], int32(i)-1, int32(i)+1
	}
	var h mergeHeap
	push := func(i int32) {
		if i < 0 || int(next[i]) >= n {
			return
		}
		right := next[i]
		if id, ok := m.words[text[starts[i]:end[right]]]; ok {
			h.push(candidate{key: -float64(m.scores[id]), at: i, left: end[i], right: end[right], id: end[right]})
		}
	}
	for i := range n {
		push(int32(i))
	}
	joinAll(&h, end, prev, next, push)
	for i := 0; i < n; i = int(next[i]) {
		dst = m.symbol(dst, text[starts[i]:end[i]])
	}
	return dst
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

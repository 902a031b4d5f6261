package tokenizer

import "unicode/utf8"

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

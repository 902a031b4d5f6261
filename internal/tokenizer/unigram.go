package tokenizer

import (
	"math"
	"strings"
	"unicode/utf8"
)

// unigram chooses the segmentation with the highest sum of log-probabilities, by Viterbi's algorithm
// (Kudo 2018, https://arxiv.org/abs/1804.10959).
type unigram struct {
	words   *trie
	scores  []float64
	unknown int32
	penalty float64     // score of an unknown character: the least score less unknownPenalty
	narrow  bool        // sums are of 32 bits, as SentencePiece's; this decides between equals
	bytes   *[256]int32 // nil: an unknown character is the unknown token
}

const unknownPenalty = 10

func (u *unigram) setWords(vocab map[string]int32) {
	list := make([]named, 0, len(vocab))
	for text, id := range vocab {
		if text != "" {
			list = append(list, named{text, id})
		}
	}
	u.words = newTrie(list)
}

func newUnigram(t *Tokenizer, scores []float64, unknown int32) *unigram {
	u := &unigram{scores: scores, unknown: unknown, narrow: true, penalty: math.Inf(1)}
	vocab := make(map[string]int32, len(t.tokens))
	for i, text := range t.tokens {
		if t.class[i] == normal || t.class[i] == user {
			vocab[text] = int32(i)
			u.penalty = min(u.penalty, scores[i]-unknownPenalty)
		}
	}
	u.setWords(vocab)
	return u
}

func (u *unigram) encode(dst []int32, text string) []int32 {
	n := len(text)
	best := make([]float64, n+1)
	from := make([]int32, n+1)
	ids := make([]int32, n+1)
	for i := 1; i <= n; i++ {
		from[i] = -1
	}
	for i := 0; i < n; {
		_, size := utf8.DecodeRuneInString(text[i:])
		single := false
		node := int32(0)
		for at := i; at < n; {
			if node = u.words.child(node, text[at]); node < 0 {
				break
			}
			at++
			id := u.words.nodes[node].value
			if id < 0 {
				continue
			}
			single = single || at == i+size
			if s := u.sum(best[i], u.scores[id]); from[at] < 0 || s > best[at] {
				best[at], from[at], ids[at] = s, int32(i), id
			}
		}
		if s := u.sum(best[i], u.penalty); !single && (from[i+size] < 0 || s > best[i+size]) {
			best[i+size], from[i+size], ids[i+size] = s, int32(i), u.unknown
		}
		i += size
	}
	begin := len(dst)
	for i := n; i > 0; i = int(from[i]) {
		if ids[i] == u.unknown {
			dst = u.appendUnknown(dst, begin, text[from[i]:i])
		} else {
			dst = append(dst, ids[i])
		}
	}
	for i, j := begin, len(dst)-1; i < j; i, j = i+1, j-1 {
		dst[i], dst[j] = dst[j], dst[i]
	}
	return dst
}

func (u *unigram) sum(a, b float64) float64 {
	if u.narrow {
		return float64(float32(a + b))
	}
	return a + b
}

// appendUnknown appends, from the end, an unknown character: as bytes where the vocabulary has them,
// else as one unknown token for a run of such characters.
func (u *unigram) appendUnknown(dst []int32, begin int, char string) []int32 {
	if u.bytes != nil {
		for i := len(char) - 1; i >= 0; i-- {
			dst = append(dst, u.bytes[char[i]])
		}
		return dst
	}
	if len(dst) > begin && dst[len(dst)-1] == u.unknown {
		return dst
	}
	return append(dst, u.unknown)
}

func (t *Tokenizer) ggufUnigram(m Meta) error {
	t.kind = "unigram"
	scores, _ := m.Floats("tokenizer.ggml.scores")
	if len(scores) != len(t.tokens) {
		return ErrVocabulary.Because("tokenizer: %d tokens and %d scores", len(t.tokens), len(scores))
	}
	unknown, err := t.unknownID(m)
	if err != nil {
		return err
	}
	chars, err := ggufCharsmap(m)
	if err != nil {
		return err
	}
	for i, text := range t.tokens {
		if t.class[i] == normal {
			t.pieces[i] = strings.ReplaceAll(text, "▁", " ")
		}
	}
	prefix, squeeze := true, false
	if add, ok := m.Bool("tokenizer.ggml.add_space_prefix"); ok {
		prefix = add
	}
	if remove, ok := m.Bool("tokenizer.ggml.remove_extra_whitespaces"); ok {
		squeeze = remove
	}
	if prefix {
		t.dropSpaces = 1
	}
	t.front = func(text string) string {
		if chars != nil {
			text = chars.byPrefixes(text)
		}
		if squeeze {
			text = oneSpace(text)
		}
		if prefix && text != "" {
			text = " " + text
		}
		return spaceMarked(text)
	}
	t.model = newUnigram(t, scores, unknown)
	return nil
}

// ggufCharsmap is the bytes of a precompiled character map, nil if there is none.
func ggufCharsmap(m Meta) (*charsmap, error) {
	list, _ := m.Ints("tokenizer.ggml.precompiled_charsmap")
	raw := make([]byte, len(list))
	for i, v := range list {
		raw[i] = byte(v)
	}
	return newCharsmap(raw)
}

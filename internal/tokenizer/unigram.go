package tokenizer

import (
	"math"
	"strings"
	"unicode/utf8"
)

// unigram chooses the segmentation with the highest sum of log-probabilities, by Viterbi's algorithm
// (Kudo 2018, https://arxiv.org/abs/1804.10959).
type unigram struct {
	words   map[string]int32
	scores  []float64
	longest int // bytes of the longest token
	unknown int32
	penalty float64 // score of an unknown character: the least score less 10
	bytes   *[256]int32
}

func newUnigram(t *Tokenizer, scores []float64, unknown int32) *unigram {
	u := &unigram{words: make(map[string]int32, len(t.tokens)), scores: scores, unknown: unknown, penalty: math.Inf(1)}
	for i, text := range t.tokens {
		if t.class[i] == normal || t.class[i] == user {
			u.words[text] = int32(i)
			u.longest = max(u.longest, len(text))
			u.penalty = min(u.penalty, scores[i])
		}
	}
	u.penalty -= 10
	return u
}

func (u *unigram) encode(dst []int32, text string) []int32 {
	n := len(text)
	best := make([]float64, n+1)
	from := make([]int32, n+1)
	ids := make([]int32, n+1)
	for i := 1; i <= n; i++ {
		best[i] = math.Inf(-1)
	}
	for i := 0; i < n; {
		_, size := utf8.DecodeRuneInString(text[i:])
		single := false
		for l := 1; l <= u.longest && i+l <= n; l++ {
			id, ok := u.words[text[i:i+l]]
			if !ok {
				continue
			}
			single = single || l == size
			if s := best[i] + u.scores[id]; s > best[i+l] {
				best[i+l], from[i+l], ids[i+l] = s, int32(i), id
			}
		}
		if s := best[i] + u.penalty; !single && s > best[i+size] {
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
	unknown := int32(0)
	if id, ok := m.Int("tokenizer.ggml.unknown_token_id"); ok && id >= 0 && id < int64(len(t.tokens)) {
		unknown = int32(id)
	}
	if charsmap, ok := m.Ints("tokenizer.ggml.precompiled_charsmap"); ok && len(charsmap) > 0 {
		return ErrUnsupported.Because("tokenizer: this Unigram vocabulary has a precompiled character map, which is not supported in GGUF files yet: use the model's tokenizer.json")
	}
	for i, text := range t.tokens {
		if t.class[i] == normal {
			t.pieces[i] = strings.ReplaceAll(text, "▁", " ")
		}
	}
	t.prefixSpace = true
	t.front = func(text string, start bool) string {
		if start {
			text = " " + text
		}
		return strings.ReplaceAll(text, " ", "▁")
	}
	t.model = newUnigram(t, scores, unknown)
	return nil
}

package tokenizer

import (
	"strconv"
	"strings"
)

// Meta is what FromGGUF reads of a file's key-values; weights.Meta has it.
type Meta interface {
	String(key string) (string, bool)
	Int(key string) (int64, bool)
	Bool(key string) (bool, bool)
	Strings(key string) ([]string, bool)
	Ints(key string) ([]int64, bool)
	Floats(key string) ([]float64, bool)
}

// maxTokens bounds a vocabulary: the largest of 2026 have 262,144.
const maxTokens = 1 << 21

// FromGGUF builds the tokenizer that a GGUF file describes under tokenizer.ggml
// (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md).
func FromGGUF(m Meta) (*Tokenizer, error) {
	const key = "tokenizer.ggml."
	kind, ok := m.String(key + "model")
	if !ok {
		return nil, ErrVocabulary.Because("tokenizer: the file has no %smodel: it carries no vocabulary", key)
	}
	t := &Tokenizer{bos: -1, eos: -1, sep: -1, unk: -1}
	if err := t.readTokens(m); err != nil {
		return nil, err
	}
	pre, _ := m.String(key + "pre")
	var err error
	switch kind {
	case "gpt2":
		err = t.ggufBPE(m, pre)
	case "gemma4":
		err = t.ggufCharacterBPE(m)
	case "llama":
		err = t.ggufSPM(m)
	case "bert":
		t.ggufWordPiece()
	case "t5":
		err = t.ggufUnigram(m)
	default:
		err = ErrUnsupported.Because("tokenizer: %smodel is %q: gpt2, gemma4, llama, bert and t5 are supported", key, kind)
	}
	if err != nil {
		return nil, err
	}
	return t, t.ggufSpecials(m, kind, pre)
}

func (t *Tokenizer) readTokens(m Meta) error {
	const key = "tokenizer.ggml."
	t.tokens, _ = m.Strings(key + "tokens")
	if n := len(t.tokens); n == 0 || n > maxTokens {
		return ErrVocabulary.Because("tokenizer: %stokens has %d entries, 1 to %d are allowed", key, n, maxTokens)
	}
	types, ok := m.Ints(key + "token_type")
	if ok && len(types) != len(t.tokens) {
		return ErrVocabulary.Because("tokenizer: %d tokens and %d token types", len(t.tokens), len(types))
	}
	t.class = make([]class, len(t.tokens))
	t.pieces = make([]string, len(t.tokens))
	t.ids = make(map[string]int32, len(t.tokens))
	for i, text := range t.tokens {
		t.class[i] = normal
		if ok {
			if types[i] < 1 || types[i] > 6 {
				return ErrVocabulary.Because("tokenizer: token %d (%q) has type %d, 1 to 6 are known", i, text, types[i])
			}
			t.class[i] = class(types[i])
		}
		t.pieces[i] = text
		if first, twice := t.ids[text]; !twice || t.class[first] == unused {
			t.ids[text] = int32(i)
		}
	}
	return nil
}

func (t *Tokenizer) ggufBPE(m Meta, pre string) error {
	t.kind = "bpe"
	if pre == "" {
		pre = "default"
	}
	split, err := splitterOf(pre)
	if err != nil {
		return err
	}
	b := &bpe{split: split, unknown: -1}
	switch pre {
	case "llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "tekken", "glm4", "glm5":
		b.ignoreMerges = true
	}
	t.setByteLevel(b)
	merges, ok := m.Strings("tokenizer.ggml.merges")
	if !ok {
		return ErrVocabulary.Because("tokenizer: the file has no tokenizer.ggml.merges")
	}
	t.model = b
	return t.setMerges(b, merges)
}

// setByteLevel decodes GPT-2's alphabet in every token that is plain text.
func (t *Tokenizer) setByteLevel(b *bpe) {
	letters := byteLetters()
	of := make(map[rune]byte, 256)
	for i, r := range letters {
		of[r] = byte(i)
	}
	b.words = make(map[string]int32, len(t.tokens))
	for i, text := range t.tokens {
		if t.class[i] != normal && t.class[i] != unused {
			continue
		}
		raw, ok := fromLetters(text, of)
		t.pieces[i] = raw
		if _, twice := b.words[raw]; ok && !twice {
			b.words[raw] = int32(i)
		}
	}
	for i := range b.bytes {
		b.bytes[i] = -1
		if id, ok := t.ids[string(letters[i])]; ok {
			b.bytes[i] = id
		}
	}
}

// setMerges reads "left right" lines in the order of their ranks.
func (t *Tokenizer) setMerges(b *bpe, merges []string) error {
	b.merges = make(map[uint64]merge, len(merges))
	for rank, line := range merges {
		cut := strings.IndexByte(line[min(1, len(line)):], ' ') + 1
		if cut < 1 {
			return ErrVocabulary.Because("tokenizer: merge %d is %q, two tokens with a space between are needed", rank, line)
		}
		if err := t.addMerge(b, rank, line[:cut], line[cut+1:]); err != nil {
			return err
		}
	}
	return nil
}

func (t *Tokenizer) addMerge(b *bpe, rank int, left, right string) error {
	l, ok1 := t.ids[left]
	r, ok2 := t.ids[right]
	whole, ok3 := t.ids[left+right]
	if !ok1 || !ok2 || !ok3 {
		return ErrVocabulary.Because("tokenizer: merge %d joins %q and %q, which are not all in the vocabulary", rank, left, right)
	}
	if _, twice := b.merges[pair(l, r)]; !twice {
		b.merges[pair(l, r)] = merge{int32(rank), whole}
	}
	return nil
}

// ggufCharacterBPE is Gemma 4's: merges over characters, spaces written as U+2581, bytes as <0xNN>.
func (t *Tokenizer) ggufCharacterBPE(m Meta) error {
	t.kind = "bpe"
	b := &bpe{unknown: -1, characters: true, words: map[string]int32{}, split: lineSplitter}
	for i, text := range t.tokens {
		if t.class[i] == normal || t.class[i] == user {
			b.words[text] = int32(i)
		}
		if t.class[i] == normal {
			t.pieces[i] = strings.ReplaceAll(text, "▁", " ")
		}
	}
	t.setByteTokens(&b.bytes)
	t.front = func(text string, _ bool) string { return strings.ReplaceAll(text, " ", "▁") }
	t.model = b
	merges, ok := m.Strings("tokenizer.ggml.merges")
	if !ok {
		return ErrVocabulary.Because("tokenizer: the file has no tokenizer.ggml.merges")
	}
	return t.setMerges(b, merges)
}

// lineSplitter is [^\n]+|\n+ .
func lineSplitter(text string, at int) int {
	newline := text[at] == '\n'
	for i := at; i < len(text); i++ {
		if (text[i] == '\n') != newline {
			return i - at
		}
	}
	return len(text) - at
}

// setByteTokens finds the tokens <0x00> to <0xFF>, and lets them decode to their bytes.
func (t *Tokenizer) setByteTokens(bytes *[256]int32) {
	for i := range bytes {
		bytes[i] = -1
	}
	for i, text := range t.tokens {
		if len(text) != 6 || !strings.HasPrefix(text, "<0x") || text[5] != '>' {
			continue
		}
		if v, err := strconv.ParseUint(text[3:5], 16, 8); err == nil && (t.class[i] == rawByte || t.class[i] == normal) {
			bytes[v] = int32(i)
			t.pieces[i] = string([]byte{byte(v)})
		}
	}
}

func (t *Tokenizer) ggufSPM(m Meta) error {
	t.kind = "spm"
	scores, _ := m.Floats("tokenizer.ggml.scores")
	if len(scores) != len(t.tokens) {
		return ErrVocabulary.Because("tokenizer: %d tokens and %d scores", len(t.tokens), len(scores))
	}
	s := &spm{words: make(map[string]int32, len(t.tokens)), scores: make([]float32, len(scores))}
	for i, v := range scores {
		s.scores[i] = float32(v)
	}
	t.setSPM(s)
	t.prefixSpace = true
	if add, ok := m.Bool("tokenizer.ggml.add_space_prefix"); ok {
		t.prefixSpace = add
	}
	t.front = func(text string, start bool) string {
		if start && t.prefixSpace {
			text = " " + text
		}
		return strings.ReplaceAll(text, " ", "▁")
	}
	if id, ok := m.Int("tokenizer.ggml.unknown_token_id"); ok {
		s.unknown = int32(id)
	}
	t.model = s
	return nil
}

func (t *Tokenizer) setSPM(s *spm) {
	for i, text := range t.tokens {
		if t.class[i] == normal || t.class[i] == user || t.class[i] == unused {
			s.words[text] = t.ids[text]
		}
		if t.class[i] == normal || t.class[i] == unused {
			t.pieces[i] = strings.ReplaceAll(text, "▁", " ")
		}
	}
	t.setByteTokens(&s.bytes)
}

// ggufWordPiece is BERT's, where U+2581 begins a word and "##" is left away.
func (t *Tokenizer) ggufWordPiece() {
	t.kind = "wordpiece"
	w := &wordpiece{first: map[string]int32{}, rest: map[string]int32{}, lower: true, strip: true, chinese: true, mostRunes: 100}
	for i, text := range t.tokens {
		if t.class[i] != normal {
			continue
		}
		piece, begins := strings.CutPrefix(text, "▁")
		if begins {
			w.first[piece] = int32(i)
			t.pieces[i] = " " + piece
		} else {
			w.rest[piece] = int32(i)
		}
		w.longest = max(w.longest, len(piece))
	}
	t.prefixSpace = true
	t.model = w
}

// ggufSpecials reads which tokens begin, end and separate, and whether Encode adds them.
func (t *Tokenizer) ggufSpecials(m Meta, kind, pre string) error {
	id := func(names ...string) int32 {
		for _, name := range names {
			if v, ok := m.Int("tokenizer.ggml." + name + "_token_id"); ok {
				return int32(v)
			}
		}
		return -1
	}
	t.bos, t.eos, t.unk, t.sep = id("bos"), id("eos"), id("unknown"), id("seperator", "separator")
	for _, v := range []int32{t.bos, t.eos, t.unk, t.sep} {
		if int(v) >= len(t.tokens) || v < -1 {
			return ErrVocabulary.Because("tokenizer: special token %d is outside the vocabulary of %d", v, len(t.tokens))
		}
	}
	switch kind {
	case "llama", "gemma4":
		t.addBOS = true
	case "gpt2":
		switch pre {
		case "llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "tekken", "chameleon":
			t.addBOS = true
		}
	case "bert":
		t.bos, t.addBOS, t.addSep = id("cls", "bos"), true, true
		t.setUnknown()
	case "t5":
		t.addEOS = true
	}
	if add, ok := m.Bool("tokenizer.ggml.add_bos_token"); ok {
		t.addBOS = add
	}
	if add, ok := m.Bool("tokenizer.ggml.add_eos_token"); ok {
		t.addEOS = add
	}
	for _, v := range []int32{t.bos, t.eos} { // some converters leave them as plain text
		if v >= 0 && t.class[v] == normal && kind != "t5" {
			t.class[v] = control
		}
	}
	t.setEnds(id("eot"), id("eom"))
	t.setMatchers()
	return nil
}

func (t *Tokenizer) setUnknown() {
	if w, ok := t.model.(*wordpiece); ok {
		w.unknown = t.unk
	}
}

package tokenizer

import (
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
	t := &Tokenizer{bos: -1, eos: -1, unk: -1}
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
		err = t.ggufWordPiece(m)
	case "t5":
		err = t.ggufUnigram(m)
	default:
		err = ErrUnsupported.Because("tokenizer: %smodel is %q: gpt2, gemma4, llama, bert and t5 are supported", key, kind)
	}
	if err != nil {
		return nil, err
	}
	if template, ok := m.String("tokenizer.chat_template"); ok {
		t.templates = map[string]string{"": template}
		for _, name := range []string{"tool_use", "rag"} {
			if template, ok := m.String("tokenizer.chat_template." + name); ok {
				t.templates[name] = template
			}
		}
	}
	if err := t.ggufSpecials(m, kind, pre); err != nil {
		return nil, err
	}
	return t, nil
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
	var err error
	if t.steps, err = stepsOf(pre); err != nil {
		return err
	}
	b := &bpe{unknown: -1, ignoreMerges: ignoresMerges(pre), cache: newWordCache()}
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
	of := lettersOf(letters)
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
	b := &bpe{unknown: -1, characters: true, words: map[string]int32{}, cache: newWordCache()}
	t.steps = []step{{next: lineSplitter}}
	for i, text := range t.tokens {
		if t.class[i] == normal || t.class[i] == user {
			b.words[text] = int32(i)
		}
		if t.class[i] == normal {
			t.pieces[i] = strings.ReplaceAll(text, "▁", " ")
		}
	}
	t.setByteTokens(&b.bytes)
	t.front = spaceMarked
	t.model = b
	merges, ok := m.Strings("tokenizer.ggml.merges")
	if !ok {
		return ErrVocabulary.Because("tokenizer: the file has no tokenizer.ggml.merges")
	}
	if err := t.setMerges(b, merges); err != nil {
		return err
	}
	b.borders = bordersOf(t.tokens)
	return nil
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
		if v, ok := byteToken(text); ok && (t.class[i] == rawByte || t.class[i] == normal) {
			bytes[v] = int32(i)
			t.pieces[i] = string([]byte{v})
		}
	}
}

func (t *Tokenizer) ggufSPM(m Meta) error {
	t.kind = "spm"
	scores, _ := m.Floats("tokenizer.ggml.scores")
	if len(scores) != len(t.tokens) {
		return ErrVocabulary.Because("tokenizer: %d tokens and %d scores", len(t.tokens), len(scores))
	}
	s := &spm{words: make(map[string]int32, len(t.tokens))}
	s.setRanks(scores)
	t.setSPM(s)
	t.dropSpaces, t.front = 1, spacePrefixed
	if add, ok := m.Bool("tokenizer.ggml.add_space_prefix"); ok && !add {
		t.dropSpaces, t.front = 0, spaceMarked
	}
	var err error
	s.unknown, err = t.unknownID(m)
	t.model = s
	return err
}

// spaceMarked writes spaces as SentencePiece does; spacePrefixed puts one before the text first.
func spaceMarked(text string) string   { return strings.ReplaceAll(text, " ", "▁") }
func spacePrefixed(text string) string { return spaceMarked(" " + text) }

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
	s.borders = bordersOf(t.tokens)
	s.cache = newWordCache()
}

// ggufWordPiece is BERT's, where U+2581 begins a word and "##" is left away.
func (t *Tokenizer) ggufWordPiece(m Meta) error {
	t.kind = "wordpiece"
	w := &wordpiece{first: map[string]int32{}, rest: map[string]int32{}, mostRunes: 100, cache: newWordCache()}
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
	t.dropSpaces = 1
	t.front = bertNormalizer{clean: true, chinese: true, strip: true, lower: true}.normalize
	t.steps = []step{{all: bertWords}}
	t.model = w
	var err error
	w.unknown, err = t.unknownID(m)
	return err
}

// ggufSpecials reads which tokens begin, end and separate, and whether Encode adds them.
func (t *Tokenizer) ggufSpecials(m Meta, kind, pre string) error {
	var err error
	id := func(names ...string) int32 {
		for _, name := range names {
			if v, ok := m.Int("tokenizer.ggml." + name + "_token_id"); ok && v != -1 {
				if v < 0 || v >= int64(len(t.tokens)) {
					err = ErrVocabulary.Because("tokenizer: %s_token_id is %d, outside the vocabulary of %d", name, v, len(t.tokens))
					return -1
				}
				return int32(v)
			}
		}
		return -1
	}
	t.bos, t.eos, t.unk = id("bos"), id("eos"), id("unknown")
	begin, end := false, kind == "t5"
	var sep int32 = -1
	switch kind {
	case "llama", "gemma4":
		begin = true
	case "gpt2":
		begin = ignoresMerges(pre) && pre != "glm4" && pre != "glm5" || pre == "chameleon"
	case "bert":
		t.bos, sep, begin = id("cls", "bos"), id("seperator", "separator"), true
	}
	if add, ok := m.Bool("tokenizer.ggml.add_bos_token"); ok {
		begin = add
	}
	if add, ok := m.Bool("tokenizer.ggml.add_eos_token"); ok {
		end = add
	}
	for _, v := range []int32{t.bos, t.eos} { // some converters leave them as plain text
		if v >= 0 && t.class[v] == normal && kind != "t5" {
			t.class[v] = control
		}
	}
	t.setEnds(id("eot"), id("eom"))
	if err != nil {
		return err
	}
	if begin && t.bos >= 0 {
		t.before = append(t.before, t.bos)
	}
	if sep >= 0 {
		t.after = append(t.after, sep)
	}
	if end && t.eos >= 0 {
		t.after = append(t.after, t.eos)
	}
	switch { // as their tokenizer.json would say
	case kind == "bert" && len(t.before) == 1 && sep >= 0:
		t.setFrame(t.before, t.after, t.after, true)
	case kind == "t5" && len(t.before) == 1 && len(t.after) == 1:
		t.setFrame(t.before, []int32{t.eos, t.eos}, t.after, false)
	}
	return t.setMatcher()
}

// ignoresMerges lists the rules of BPE where a whole word that is a token is that token.
func ignoresMerges(pre string) bool {
	switch pre {
	case "llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "tekken", "glm4", "glm5":
		return true
	}
	return false
}

// unknownID is the token for what the vocabulary does not have.
func (t *Tokenizer) unknownID(m Meta) (int32, error) {
	id, ok := m.Int("tokenizer.ggml.unknown_token_id")
	if !ok {
		id = 0
	}
	if id < 0 || id >= int64(len(t.tokens)) {
		return 0, ErrVocabulary.Because("tokenizer: unknown_token_id is %d, outside the vocabulary of %d", id, len(t.tokens))
	}
	return int32(id), nil
}

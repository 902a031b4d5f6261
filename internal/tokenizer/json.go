package tokenizer

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// jsonFile is a tokenizer.json; truncation and padding are the caller's business and are not read.
type jsonFile struct {
	Added        []jsonAdded     `json:"added_tokens"`
	Normalizer   json.RawMessage `json:"normalizer"`
	PreTokenizer json.RawMessage `json:"pre_tokenizer"`
	Processor    json.RawMessage `json:"post_processor"`
	Decoder      json.RawMessage `json:"decoder"`
	Model        jsonModel       `json:"model"`
}

type jsonAdded struct {
	ID         int64  `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"`
	Special    bool   `json:"special"`
}

type jsonModel struct {
	Type         string          `json:"type"`
	Vocab        json.RawMessage `json:"vocab"`
	Merges       []jsonMerge     `json:"merges"`
	Dropout      *float64        `json:"dropout"`
	Unknown      *string         `json:"unk_token"`
	UnknownID    *int64          `json:"unk_id"`
	Prefix       *string         `json:"continuing_subword_prefix"`
	Suffix       *string         `json:"end_of_word_suffix"`
	FuseUnknown  bool            `json:"fuse_unk"`
	ByteFallback bool            `json:"byte_fallback"`
	IgnoreMerges bool            `json:"ignore_merges"`
	MostRunes    *int            `json:"max_input_chars_per_word"`

	special map[string]bool // names of special tokens
}

// words is the part of a vocabulary that plain text can become: never a special token, though the
// reference's models let its name pass. (A special token of one character stays: some files
// call "!" one.)
func (m *jsonModel) words(vocab map[string]int32) map[string]int32 {
	words := maps.Clone(vocab)
	for name := range m.special {
		delete(words, name)
	}
	return words
}

// jsonMerge is "left right" or ["left", "right"].
type jsonMerge struct{ left, right string }

func (m *jsonMerge) UnmarshalJSON(raw []byte) error {
	if len(raw) > 0 && raw[0] == '[' {
		var both []string
		if err := json.Unmarshal(raw, &both); err != nil {
			return err
		}
		if len(both) != 2 {
			return ErrVocabulary.Because("tokenizer: a merge has %d tokens, two are needed", len(both))
		}
		m.left, m.right = both[0], both[1]
		return nil
	}
	var line string
	if err := json.Unmarshal(raw, &line); err != nil {
		return err
	}
	var ok bool
	if m.left, m.right, ok = strings.Cut(line, " "); !ok || strings.Contains(m.right, " ") {
		return ErrVocabulary.Because("tokenizer: the merge %q is not two tokens with a space between", line)
	}
	return nil
}

// jsonPiece is [text, score].
type jsonPiece struct {
	text  string
	score float64
}

func (p *jsonPiece) UnmarshalJSON(raw []byte) error {
	var both []json.RawMessage
	if err := json.Unmarshal(raw, &both); err != nil {
		return err
	}
	if len(both) != 2 {
		return ErrVocabulary.Because("tokenizer: a Unigram token has %d parts, a text and a score are needed", len(both))
	}
	if err := json.Unmarshal(both[0], &p.text); err != nil {
		return err
	}
	var number json.Number
	err := json.Unmarshal(both[1], &number)
	if err == nil {
		p.score, err = shortFloat(number.String())
	}
	return err
}

// shortFloat reads a number as Rust's serde_json does, which rounds twice where there are many digits:
// scores that are equal but for that decide between segmentations.
func shortFloat(text string) (float64, error) {
	exact, err := strconv.ParseFloat(text, 64)
	mantissa, power, _ := strings.Cut(strings.ToLower(strings.TrimPrefix(text, "-")), "e")
	exponent, _ := strconv.Atoi(power)
	var digits uint64
	for i, point := 0, false; i < len(mantissa); i++ {
		if mantissa[i] == '.' {
			point = true
			continue
		}
		d := uint64(mantissa[i] - '0')
		if digits > (math.MaxUint64-d)/10 { // the rest is left away
			if !point {
				return exact, err
			}
			break
		}
		digits = 10*digits + d
		if point {
			exponent--
		}
	}
	if exponent < -300 || exponent > 300 {
		return exact, err
	}
	value := float64(digits)
	if exponent < 0 {
		value /= math.Pow10(-exponent)
	} else {
		value *= math.Pow10(exponent)
	}
	return math.Copysign(value, exact), err
}

// largestJSON bounds a tokenizer.json in bytes: the largest of 2026 have 33 MB.
const largestJSON = 256 << 20

// FromJSON builds the tokenizer that Hugging Face's tokenizer.json describes. config is the
// tokenizer_config.json beside it, nil if there is none: it names the tokens that begin and end a text,
// and carries chat templates.
//
// Errors: ErrVocabulary for a file that contradicts itself, ErrUnsupported for a part that this package
// does not have; the text names the part.
func FromJSON(tokenizerJSON, config []byte) (*Tokenizer, error) {
	if len(tokenizerJSON) > largestJSON {
		return nil, ErrVocabulary.Because("tokenizer: tokenizer.json has %d bytes, at most %d are allowed", len(tokenizerJSON), largestJSON)
	}
	var f jsonFile
	if err := json.Unmarshal(tokenizerJSON, &f); err != nil {
		return nil, ErrVocabulary.Because("tokenizer: tokenizer.json: %w", err)
	}
	t := &Tokenizer{bos: -1, eos: -1, unk: -1}
	if err := t.readFront(&f); err != nil {
		return nil, err
	}
	f.Model.special = map[string]bool{}
	for _, a := range f.Added {
		if a.Special && utf8.RuneCountInString(a.Content) > 1 {
			f.Model.special[a.Content] = true
		}
	}
	vocab, err := t.readModel(&f.Model)
	if err != nil {
		return nil, err
	}
	if err := t.readTokensJSON(&f, vocab); err != nil {
		return nil, err
	}
	if err := t.setDecoding(f.Decoder); err != nil {
		return nil, err
	}
	if err := t.readProcessor(f.Processor, 0); err != nil {
		return nil, err
	}
	return t, t.readConfig(config)
}

// readFront reads what happens to a text before the model sees it.
func (t *Tokenizer) readFront(f *jsonFile) error {
	growth := 1
	list, err := readNormalizer(f.Normalizer, nil, &growth, 0)
	if err != nil {
		return err
	}
	if len(list) > maxParts {
		return ErrVocabulary.Because("tokenizer: %d normalizers, at most %d are allowed", len(list), maxParts)
	}
	if len(list) > 0 {
		t.front = func(text string) string {
			for _, n := range list {
				text = n(text)
			}
			return text
		}
	}
	t.steps, err = readSteps(f.PreTokenizer, nil, 0)
	return err
}

// readModel builds the model, and gives its vocabulary.
func (t *Tokenizer) readModel(m *jsonModel) (map[string]int32, error) {
	kind := m.Type
	switch { // files of before 2021 have no type
	case kind != "":
	case m.Merges != nil:
		kind = "BPE"
	case m.MostRunes != nil:
		kind = "WordPiece"
	case m.UnknownID != nil:
		kind = "Unigram"
	}
	if kind == "Unigram" {
		return t.readUnigram(m)
	}
	if kind != "BPE" && kind != "WordPiece" {
		return nil, ErrUnsupported.Because("tokenizer: the model %q is not supported: BPE, Unigram and WordPiece are", m.Type)
	}
	var wide map[string]int64
	if err := json.Unmarshal(m.Vocab, &wide); err != nil {
		return nil, ErrVocabulary.Because("tokenizer: the vocabulary of tokenizer.json: %w", err)
	}
	vocab := make(map[string]int32, len(wide))
	for text, id := range wide {
		if id < 0 || id >= maxTokens {
			return nil, ErrVocabulary.Because("tokenizer: token %q has id %d, 0 to %d are allowed", text, id, maxTokens-1)
		}
		vocab[text] = int32(id)
	}
	if m.Unknown != nil {
		id, ok := vocab[*m.Unknown]
		if ok {
			t.unk = id
		} else if kind == "WordPiece" {
			return nil, ErrVocabulary.Because("tokenizer: unk_token %q is not in the vocabulary", *m.Unknown)
		}
	}
	if kind == "WordPiece" {
		return vocab, t.jsonWordPiece(m, vocab)
	}
	return vocab, t.jsonBPE(m, vocab)
}

func (t *Tokenizer) jsonWordPiece(m *jsonModel, vocab map[string]int32) error {
	if t.unk < 0 {
		return ErrVocabulary.Because("tokenizer: a WordPiece vocabulary needs an unk_token")
	}
	t.kind = "wordpiece"
	w := &wordpiece{first: m.words(vocab), rest: map[string]int32{}, mostRunes: 100, unknown: t.unk, cache: newWordCache()}
	if m.MostRunes != nil {
		w.mostRunes = *m.MostRunes
	}
	prefix := "##"
	if m.Prefix != nil {
		prefix = *m.Prefix
	}
	for text, id := range w.first {
		w.longest = max(w.longest, len(text))
		if rest, ok := strings.CutPrefix(text, prefix); ok && rest != "" {
			w.rest[rest] = id
		}
	}
	t.model = w
	t.lettersAsSteps()
	return nil
}

// lettersAsSteps makes every step that writes bytes as letters do so itself.
func (t *Tokenizer) lettersAsSteps() {
	write := toLetters(byteLetters())
	for i := range t.steps {
		if t.steps[i].letters {
			t.steps[i].rewrite = func(text string, _ bool) string { return write(text) }
		}
	}
}

func (t *Tokenizer) jsonBPE(m *jsonModel, vocab map[string]int32) error {
	t.kind = "bpe"
	if m.Dropout != nil && *m.Dropout != 0 {
		return ErrUnsupported.Because("tokenizer: BPE with dropout %g gives other tokens each time and is not supported: set it to null", *m.Dropout)
	}
	b := &bpe{unknown: t.unk, fuse: m.FuseUnknown, characters: true, ignoreMerges: m.IgnoreMerges, words: m.words(vocab), cache: newWordCache()}
	if m.Prefix != nil {
		b.prefix = *m.Prefix
	}
	if m.Suffix != nil {
		b.suffix = *m.Suffix
	}
	for i := range b.bytes {
		b.bytes[i] = -1
	}
	if m.ByteFallback {
		for text, id := range vocab {
			if v, ok := byteToken(text); ok && strings.ToUpper(text[3:5]) == text[3:5] {
				b.bytes[v] = id
			}
		}
	}
	b.merges = make(map[uint64]merge, len(m.Merges))
	for rank, line := range m.Merges {
		l, ok1 := vocab[line.left]
		r, ok2 := vocab[line.right]
		whole, ok3 := int32(0), false
		if len(line.right) >= len(b.prefix) {
			whole, ok3 = vocab[line.left+line.right[len(b.prefix):]]
		}
		if !ok1 || !ok2 || !ok3 {
			return ErrVocabulary.Because("tokenizer: merge %d joins %q and %q, which are not all in the vocabulary", rank, line.left, line.right)
		}
		if !m.special[line.left+line.right[len(b.prefix):]] {
			b.merges[pair(l, r)] = merge{int32(rank), whole}
		}
	}
	if !t.overBytes(b, m, vocab) {
		t.lettersAsSteps()
		if _, ok := vocab["▁"]; ok && b.prefix == "" && b.suffix == "" && !b.ignoreMerges {
			tokens := make([]string, 0, len(vocab))
			for text := range vocab {
				tokens = append(tokens, text)
			}
			b.borders = bordersOf(tokens)
		}
	}
	t.model = b
	return nil
}

// overBytes turns a model over GPT-2's letters into one over bytes, which needs no rewriting: the same
// tokens, faster. It reports whether that is possible.
func (t *Tokenizer) overBytes(b *bpe, m *jsonModel, vocab map[string]int32) bool {
	n := len(t.steps)
	if n == 0 || !t.steps[n-1].letters || slices.ContainsFunc(t.steps[:n-1], func(s step) bool { return s.letters }) ||
		b.prefix != "" || b.suffix != "" || m.ByteFallback {
		return false
	}
	letters := byteLetters()
	for i, r := range letters {
		id, ok := vocab[string(r)]
		if !ok && b.unknown >= 0 {
			return false
		} else if !ok {
			id = -1
		}
		b.bytes[i] = id
	}
	of := lettersOf(letters)
	words := b.words
	b.words = make(map[string]int32, len(words))
	for text, id := range words {
		if raw, ok := fromLetters(text, of); ok {
			b.words[raw] = id
		}
	}
	b.characters = false
	t.steps = t.steps[:n-1]
	return true
}

func (t *Tokenizer) readUnigram(m *jsonModel) (map[string]int32, error) {
	t.kind = "unigram"
	var list []jsonPiece
	if err := json.Unmarshal(m.Vocab, &list); err != nil {
		return nil, ErrVocabulary.Because("tokenizer: the vocabulary of tokenizer.json: %w", err)
	}
	if len(list) == 0 || len(list) > maxTokens {
		return nil, ErrVocabulary.Because("tokenizer: the vocabulary has %d tokens, 1 to %d are allowed", len(list), maxTokens)
	}
	vocab := make(map[string]int32, len(list))
	u := &unigram{scores: make([]float64, len(list)), unknown: -1, penalty: math.Inf(1)}
	for i, p := range list {
		vocab[p.text] = int32(i)
		u.scores[i] = p.score
		u.penalty = min(u.penalty, p.score-unknownPenalty)
	}
	if m.UnknownID != nil {
		if *m.UnknownID < 0 || *m.UnknownID >= int64(len(list)) {
			return nil, ErrVocabulary.Because("tokenizer: unk_id is %d, outside the vocabulary of %d", *m.UnknownID, len(list))
		}
		u.unknown = int32(*m.UnknownID)
		t.unk = u.unknown
	}
	if m.ByteFallback {
		u.bytes = byteTable(vocab)
	}
	if u.unknown < 0 && u.bytes == nil {
		return nil, ErrVocabulary.Because("tokenizer: a Unigram vocabulary needs an unk_id, or a token for each byte")
	}
	u.setWords(m.words(vocab))
	t.model = u
	t.lettersAsSteps()
	return vocab, nil
}

// byteTable is the tokens <0x00> to <0xFF>, nil unless all are there.
func byteTable(vocab map[string]int32) *[256]int32 {
	const digits = "0123456789ABCDEF"
	var table [256]int32
	for i := range table {
		id, ok := vocab["<0x"+digits[i>>4:i>>4+1]+digits[i&15:i&15+1]+">"]
		if !ok {
			return nil
		}
		table[i] = id
	}
	return &table
}

// readTokensJSON lists all tokens, those that were added among them.
func (t *Tokenizer) readTokensJSON(f *jsonFile, vocab map[string]int32) error {
	size := int64(0)
	for _, id := range vocab {
		size = max(size, int64(id)+1)
	}
	for i, a := range f.Added {
		if a.ID < 0 || a.ID >= maxTokens {
			return ErrVocabulary.Because("tokenizer: added token %q has id %d, 0 to %d are allowed", a.Content, a.ID, maxTokens-1)
		}
		if id, ok := vocab[a.Content]; ok {
			f.Added[i].ID = int64(id) // as the reference does
		}
		size = max(size, f.Added[i].ID+1)
	}
	t.tokens, t.class, t.ids = make([]string, size), make([]class, size), vocab
	if f.Model.Type != "Unigram" {
		t.ids = make(map[string]int32, len(vocab)+len(f.Added))
		for text, id := range vocab {
			t.ids[text] = id
		}
	}
	for i := range t.class {
		t.class[i] = unused
	}
	for text, id := range vocab {
		if t.class[id] != unused {
			return ErrVocabulary.Because("tokenizer: tokens %q and %q have the same id %d", t.tokens[id], text, id)
		}
		t.tokens[id], t.class[id] = text, normal
		if _, ok := byteToken(text); ok && f.Model.ByteFallback {
			t.class[id] = rawByte
		}
	}
	return t.readAdded(f.Added)
}

func (t *Tokenizer) readAdded(list []jsonAdded) error {
	var raw, clean []added
	for _, a := range list {
		if a.Content == "" {
			continue
		}
		if t.class[a.ID] != unused && t.tokens[a.ID] != a.Content {
			return ErrVocabulary.Because("tokenizer: added token %q has the id %d of %q", a.Content, a.ID, t.tokens[a.ID])
		}
		id := int32(a.ID)
		t.tokens[id], t.ids[a.Content], t.class[id] = a.Content, id, user
		if a.Special {
			t.class[id] = control
		}
		one := added{id: id, special: a.Special, single: a.SingleWord, lstrip: a.LStrip, rstrip: a.RStrip, name: a.Content}
		if !a.Normalized {
			raw = append(raw, one)
			continue
		}
		if t.front != nil {
			one.name = t.front(one.name)
		}
		if one.name != "" {
			clean = append(clean, one)
		}
	}
	if err := checkNames(append(raw[:len(raw):len(raw)], clean...)); err != nil {
		return err
	}
	t.raw, t.clean = newMatcher(raw), newMatcher(clean)
	return nil
}

package tokenizer

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Source is what a model's files say about its vocabulary; a weights.File has all of it. JSON is used
// where it is there, else Meta.
type Source struct {
	Meta         Meta   // of a GGUF file
	JSON         []byte // tokenizer.json
	Config       []byte // tokenizer_config.json
	ChatTemplate []byte // chat_template.jinja, which goes before the one in Config
	Generation   []byte // generation_config.json, which may name more tokens that end an answer
}

// Open builds the tokenizer of a model whose files are open.
func Open(s Source) (*Tokenizer, error) {
	if len(s.JSON) == 0 {
		if s.Meta == nil {
			return nil, errNone("the model")
		}
		if _, ok := s.Meta.String("tokenizer.ggml.model"); !ok {
			return nil, errNone("the model")
		}
		return FromGGUF(s.Meta)
	}
	t, err := FromJSON(s.JSON, s.Config)
	if err != nil {
		return nil, err
	}
	if len(s.ChatTemplate) > 0 {
		t.templates[""] = string(s.ChatTemplate)
	}
	return t, t.readGeneration(s.Generation)
}

// readGeneration adds the tokens of eos_token_id, one or a list, to the ends.
func (t *Tokenizer) readGeneration(raw []byte) error {
	if len(raw) == 0 {
		return nil
	}
	var c struct {
		EOS json.RawMessage `json:"eos_token_id"`
	}
	err := json.Unmarshal(raw, &c)
	if err != nil || absent(c.EOS) {
		return wrapped("generation_config.json", err)
	}
	ids := make([]int64, 1)
	if c.EOS[0] == '[' {
		err = json.Unmarshal(c.EOS, &ids)
	} else {
		err = json.Unmarshal(c.EOS, &ids[0])
	}
	if err != nil {
		return wrapped("generation_config.json", err)
	}
	for _, id := range ids {
		if id < 0 || id >= int64(len(t.tokens)) {
			return ErrVocabulary.Because("tokenizer: generation_config.json ends answers with token %d, the vocabulary has %d", id, len(t.tokens))
		}
		t.setEnds(int32(id))
	}
	return nil
}

func wrapped(file string, err error) error {
	if err == nil {
		return nil
	}
	return ErrVocabulary.Because("tokenizer: %s: %w", file, err)
}

func errNone(what string) error {
	return ErrVocabulary.Because("tokenizer: %s has no tokenizer.json and no GGUF vocabulary: add the tokenizer.json that the model was published with", what)
}

// OpenFolder builds the tokenizer of a folder: from its tokenizer.json, else its tekken.json, else its
// tokenizer.model (also Mistral's tokenizer.model.v3 and the like).
func OpenFolder(dir string) (*Tokenizer, error) {
	read := func(name string) ([]byte, error) {
		path := filepath.Join(dir, name)
		if st, err := os.Stat(path); err == nil && st.Size() > largestJSON {
			return nil, ErrVocabulary.Because("tokenizer: %s has %d bytes, at most %d are allowed", name, st.Size(), largestJSON)
		}
		raw, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return raw, err
	}
	var s Source
	for name, into := range map[string]*[]byte{"tokenizer.json": &s.JSON, "tokenizer_config.json": &s.Config, "chat_template.jinja": &s.ChatTemplate,
		"generation_config.json": &s.Generation} {
		raw, err := read(name)
		if err != nil {
			return nil, err
		}
		*into = raw
	}
	if s.JSON != nil {
		return Open(s)
	}
	if raw, err := read("tekken.json"); err != nil || raw != nil {
		if err != nil {
			return nil, err
		}
		return fromTekken(raw)
	}
	models, _ := filepath.Glob(filepath.Join(dir, "tokenizer.model*"))
	slices.Sort(models)
	for i := len(models) - 1; i >= 0; i-- {
		if raw, err := read(filepath.Base(models[i])); err != nil || raw != nil {
			if err != nil {
				return nil, err
			}
			return fromSentencePiece(raw)
		}
	}
	return nil, errNone("the folder " + dir)
}

// fromSentencePiece builds the tokenizer of a SentencePiece model file, as GGUF's converters read it
// (https://github.com/google/sentencepiece, sentencepiece_model.proto).
func fromSentencePiece(model []byte) (*Tokenizer, error) {
	m := &pieceModel{unknown: 0, bos: 1, eos: 2, kind: 1, prefix: true, squeeze: true}
	if err := m.read(model); err != nil {
		return nil, err
	}
	t, err := FromGGUF(m)
	if err != nil {
		return nil, err
	}
	// Control tokens are never found in normalized text, and user-defined ones only there.
	var raw, clean []added
	for id, c := range t.class {
		one := added{id: int32(id), name: t.tokens[id], special: c != user}
		switch {
		case one.name == "":
		case c == user:
			clean = append(clean, one)
		case c == control || c == unknown:
			raw = append(raw, one)
		}
	}
	t.raw, t.clean = newMatcher(raw), newMatcher(clean)
	return t, nil
}

// pieceModel is a SentencePiece model; as a Meta it looks like the GGUF file made of it.
type pieceModel struct {
	tokens            []string
	types             []int64
	scores            []float64
	kind              uint64 // 1 Unigram, 2 BPE
	unknown, bos, eos int32
	prefix, squeeze   bool
	charsmap          []byte
}

func (m *pieceModel) read(model []byte) error {
	return eachField(model, func(number int, value uint64, bytes []byte) error {
		switch number {
		case 1:
			return m.readPiece(bytes)
		case 2: // trainer_spec
			return eachField(bytes, func(number int, value uint64, _ []byte) error {
				switch number {
				case 3:
					m.kind = value
				case 40:
					m.unknown = int32(value)
				case 41:
					m.bos = int32(value)
				case 42:
					m.eos = int32(value)
				}
				return nil
			})
		case 3: // normalizer_spec
			return eachField(bytes, func(number int, value uint64, bytes []byte) error {
				switch number {
				case 2:
					m.charsmap = bytes
				case 3:
					m.prefix = value != 0
				case 4:
					m.squeeze = value != 0
				}
				return nil
			})
		}
		return nil
	})
}

func (m *pieceModel) readPiece(raw []byte) error {
	text, score, class := "", 0.0, int64(normal)
	err := eachField(raw, func(number int, value uint64, bytes []byte) error {
		switch number {
		case 1:
			text = string(bytes)
		case 2:
			score = float64(math.Float32frombits(uint32(value)))
		case 3:
			class = int64(value)
		}
		return nil
	})
	if len(m.tokens) >= maxTokens {
		return ErrVocabulary.Because("tokenizer: the SentencePiece model has more than %d tokens", maxTokens)
	}
	m.tokens, m.scores, m.types = append(m.tokens, text), append(m.scores, score), append(m.types, class)
	return err
}

// eachField walks the fields of a protobuf message.
func eachField(raw []byte, f func(number int, value uint64, bytes []byte) error) error {
	broken := ErrVocabulary.Because("tokenizer: the SentencePiece model is no whole protobuf message: fetch it again")
	for len(raw) > 0 {
		tag, n := binary.Uvarint(raw)
		if n <= 0 || tag>>3 == 0 || tag>>3 > 1<<29 {
			return broken
		}
		raw = raw[n:]
		var value uint64
		var bytes []byte
		switch tag & 7 {
		case 0:
			if value, n = binary.Uvarint(raw); n <= 0 {
				return broken
			}
		case 1:
			if n = 8; len(raw) < n {
				return broken
			}
			value = binary.LittleEndian.Uint64(raw)
		case 2:
			size, m := binary.Uvarint(raw)
			if m <= 0 || size > uint64(len(raw)-m) {
				return broken
			}
			n = m + int(size)
			bytes = raw[m:n]
		case 5:
			if n = 4; len(raw) < n {
				return broken
			}
			value = uint64(binary.LittleEndian.Uint32(raw))
		default:
			return broken
		}
		raw = raw[n:]
		if err := f(int(tag>>3), value, bytes); err != nil {
			return err
		}
	}
	return nil
}

func (m *pieceModel) String(key string) (string, bool) {
	if key == "tokenizer.ggml.model" {
		switch m.kind {
		case 1:
			return "t5", true
		case 2:
			return "llama", true
		}
		return "a SentencePiece model of another kind than BPE and Unigram", true
	}
	return "", false
}

func (m *pieceModel) Int(key string) (int64, bool) {
	switch key {
	case "tokenizer.ggml.unknown_token_id":
		return int64(m.unknown), true
	case "tokenizer.ggml.bos_token_id":
		return int64(m.bos), true
	case "tokenizer.ggml.eos_token_id":
		return int64(m.eos), true
	}
	return 0, false
}

func (m *pieceModel) Bool(key string) (value, ok bool) {
	switch key {
	case "tokenizer.ggml.add_space_prefix":
		return m.prefix, true
	case "tokenizer.ggml.remove_extra_whitespaces":
		return m.squeeze, true
	}
	return false, false
}

func (m *pieceModel) Strings(key string) ([]string, bool) {
	return m.tokens, key == "tokenizer.ggml.tokens"
}

func (m *pieceModel) Ints(key string) ([]int64, bool) {
	switch key {
	case "tokenizer.ggml.token_type":
		return m.types, true
	case "tokenizer.ggml.precompiled_charsmap":
		out := make([]int64, len(m.charsmap))
		for i, b := range m.charsmap {
			out[i] = int64(b)
		}
		return out, true
	}
	return nil, false
}

func (m *pieceModel) Floats(key string) ([]float64, bool) {
	return m.scores, key == "tokenizer.ggml.scores"
}

// jsonName is a special token in tokenizer_config.json: a text, or an object that has it.
type jsonName string

func (n *jsonName) UnmarshalJSON(raw []byte) error {
	if len(raw) > 0 && raw[0] == '{' {
		var o struct{ Content string }
		err := json.Unmarshal(raw, &o)
		*n = jsonName(o.Content)
		return err
	}
	var s *string
	err := json.Unmarshal(raw, &s)
	if s != nil {
		*n = jsonName(*s)
	}
	return err
}

// readConfig reads tokenizer_config.json.
func (t *Tokenizer) readConfig(raw []byte) error {
	var c struct {
		Class    string          `json:"tokenizer_class"`
		BOS      jsonName        `json:"bos_token"`
		EOS      jsonName        `json:"eos_token"`
		CLS      jsonName        `json:"cls_token"`
		AddBOS   *bool           `json:"add_bos_token"`
		AddEOS   *bool           `json:"add_eos_token"`
		Template json.RawMessage `json:"chat_template"`
	}
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &c); err != nil {
			return wrapped("tokenizer_config.json", err)
		}
	}
	find := func(id *int32, list []int32, at int, names ...jsonName) {
		for _, name := range names {
			if v, ok := t.ids[string(name)]; ok && *id < 0 && name != "" {
				*id = v
			}
		}
		if *id < 0 && len(list) > 0 {
			*id = list[at]
		}
	}
	find(&t.bos, t.before, 0, c.BOS, c.CLS)
	find(&t.eos, t.after, len(t.after)-1, c.EOS)
	if c.AddBOS != nil && t.bos >= 0 && *c.AddBOS != t.AddsBOS() {
		if *c.AddBOS {
			t.before = append([]int32{t.bos}, t.before...)
		} else if strings.HasPrefix(c.Class, "Llama") {
			t.before = t.before[1:]
		}
	}
	if c.AddEOS != nil && *c.AddEOS && t.eos >= 0 && !slices.Contains(t.after, t.eos) {
		t.after = append(t.after, t.eos)
	}
	t.setEnds()
	return t.readTemplates(c.Template)
}

// readTemplates reads one chat template, or a list of them with names.
func (t *Tokenizer) readTemplates(raw json.RawMessage) error {
	t.templates = map[string]string{}
	if absent(raw) {
		return nil
	}
	if raw[0] == '"' {
		var one string
		err := json.Unmarshal(raw, &one)
		t.templates[""] = one
		return wrapped("tokenizer_config.json", err)
	}
	var list []struct{ Name, Template string }
	if err := json.Unmarshal(raw, &list); err != nil {
		return ErrVocabulary.Because("tokenizer: chat_template of tokenizer_config.json: %w", err)
	}
	for _, one := range list {
		if one.Name == "default" {
			one.Name = ""
		}
		t.templates[one.Name] = one.Template
	}
	return nil
}

// longestRanked bounds a token of tekken.json in bytes, since all its parts are looked at.
const longestRanked = 1024

// fromTekken builds the tokenizer of Mistral's tekken.json: byte-level BPE whose merges are all pairs
// that make a token, in the order of the tokens' ranks, behind a block of special tokens.
func fromTekken(raw []byte) (*Tokenizer, error) {
	var f tekkenFile
	if err := json.Unmarshal(raw, &f); err != nil {
		return nil, wrapped("tekken.json", err)
	}
	c := f.Config
	if c.Size < 1 || c.Size > maxTokens || c.Specials < 0 || c.Specials > c.Size || c.Size-c.Specials > len(f.Vocab) {
		return nil, ErrVocabulary.Because("tokenizer: tekken.json announces %d tokens, %d of them special, and has %d others", c.Size, c.Specials, len(f.Vocab))
	}
	t := &Tokenizer{kind: "bpe", bos: -1, eos: -1, unk: -1}
	t.tokens, t.class, t.ids = make([]string, c.Size), make([]class, c.Size), make(map[string]int32, c.Size)
	if err := f.setSpecials(t); err != nil {
		return nil, err
	}
	b := &bpe{unknown: -1, ignoreMerges: true, words: make(map[string]int32, c.Size), cache: newWordCache()}
	for i, v := range f.Vocab[:c.Size-c.Specials] {
		id := int32(i + c.Specials)
		if v.Rank != i || len(v.Bytes) == 0 || len(v.Bytes) > longestRanked {
			return nil, ErrVocabulary.Because("tokenizer: tekken.json's token %d has rank %d and %d bytes, 1 to %d are allowed", i, v.Rank, len(v.Bytes), longestRanked)
		}
		raw := string(v.Bytes)
		if first, twice := b.words[raw]; twice {
			return nil, ErrVocabulary.Because("tokenizer: tekken.json's tokens %d and %d are both %q", int(first)-c.Specials, i, raw)
		}
		b.words[raw], t.tokens[id], t.class[id] = id, raw, normal
		if _, taken := t.ids[raw]; !taken {
			t.ids[raw] = id
		}
	}
	t.pieces, t.model = t.tokens, b
	b.setRanked()
	cut := step{next: lexerOf(c.Pattern)}
	if cut.next == nil {
		find, err := pattern{Regex: c.Pattern}.finder("tekken.json")
		if err != nil {
			return nil, err
		}
		cut = splitStep(find, isolated, false)
	}
	t.steps = []step{cut}
	t.setEnds()
	return t, t.setMatcher()
}

type tekkenFile struct {
	Config struct {
		Pattern  string `json:"pattern"`
		Size     int    `json:"default_vocab_size"`
		Specials int    `json:"default_num_special_tokens"`
	} `json:"config"`
	Vocab []struct {
		Rank  int    `json:"rank"`
		Bytes []byte `json:"token_bytes"`
	} `json:"vocab"`
	Specials []struct {
		Rank    int    `json:"rank"`
		Name    string `json:"token_str"`
		Control *bool  `json:"is_control"`
	} `json:"special_tokens"`
}

// setSpecials names the first tokens: as the file does, else as the files without names mean it.
func (f *tekkenFile) setSpecials(t *Tokenizer) error {
	for i := range f.Config.Specials {
		t.tokens[i], t.class[i] = "<SPECIAL_"+strconv.Itoa(i)+">", control
	}
	if len(f.Specials) == 0 {
		copy(t.tokens[:f.Config.Specials], []string{"<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]",
			"[TOOL_CALLS]", "[IMG]", "<pad>", "[IMG_BREAK]", "[IMG_END]", "[PREFIX]", "[MIDDLE]", "[SUFFIX]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[TOOL_CONTENT]"})
	}
	for _, s := range f.Specials {
		if s.Rank < 0 || s.Rank >= f.Config.Specials {
			return ErrVocabulary.Because("tokenizer: tekken.json's special token %q has rank %d of %d", s.Name, s.Rank, f.Config.Specials)
		}
		t.tokens[s.Rank] = s.Name
	}
	for i, name := range t.tokens[:f.Config.Specials] {
		t.ids[name] = int32(i)
	}
	for name, id := range map[string]*int32{"<unk>": &t.unk, "<s>": &t.bos, "</s>": &t.eos} {
		if v, ok := t.ids[name]; ok {
			*id = v
		}
	}
	if t.bos >= 0 {
		t.before = []int32{t.bos}
	}
	return nil
}

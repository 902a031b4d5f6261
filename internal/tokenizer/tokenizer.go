// Package tokenizer answers: which tokens is a text, and which text are tokens? It reads the
// vocabularies of GGUF files and of Hugging Face's tokenizer.json, and encodes exactly as the
// reference implementations do.
package tokenizer

import (
	"slices"
	"strings"
)

// Tokenizer is one model's vocabulary and its rules. It is read-only: many goroutines may use it.
type Tokenizer struct {
	kind   string
	tokens []string // vocabulary text, as the file writes it
	pieces []string // the bytes that a token decodes to
	class  []class
	ids    map[string]int32
	model  model
	front  normalizer // text to what the model reads

	special, always matcher // tokens that are found in text: all of them, and those found even in plain text

	bos, eos, sep, unk int32 // -1 where there is none
	addBOS, addEOS     bool
	addSep             bool
	prefixSpace        bool // a space is put before the text, and taken away when decoding
	ends               []int32
}

// class is what a token is for, in GGUF's numbers.
type class uint8

const (
	normal  class = 1
	unknown class = 2
	control class = 3
	user    class = 4 // found in text always, and shown
	unused  class = 5
	rawByte class = 6
)

// model turns a run of plain text, already normalized, into tokens.
type model interface {
	encode(dst []int32, text string) []int32
}

// normalizer prepares a run of plain text; start is true for a run at the text's beginning or behind
// a special token.
type normalizer func(text string, start bool) string

// EncodeOptions are what a caller decides about special tokens.
type EncodeOptions struct {
	AddSpecial   bool // put the model's own tokens around the text (begin, end, separator)
	ParseSpecial bool // find the names of control tokens in the text; false for anybody's text
}

// Encode appends the tokens of text to dst.
func (t *Tokenizer) Encode(dst []int32, text string, o EncodeOptions) []int32 {
	if o.AddSpecial && t.addBOS && t.bos >= 0 {
		dst = append(dst, t.bos)
	}
	find := &t.always
	if o.ParseSpecial {
		find = &t.special
	}
	start := true
	for text != "" {
		at, length, id := find.next(text)
		if at > 0 {
			dst = t.encodePlain(dst, text[:at], start)
			start = false
		}
		if length == 0 {
			break
		}
		dst = append(dst, id)
		start = true
		text = text[at+length:]
	}
	if o.AddSpecial && t.addSep && t.sep >= 0 {
		dst = append(dst, t.sep)
	}
	if o.AddSpecial && t.addEOS && t.eos >= 0 {
		dst = append(dst, t.eos)
	}
	return dst
}

func (t *Tokenizer) encodePlain(dst []int32, text string, start bool) []int32 {
	if t.front != nil {
		text = t.front(text, start)
	}
	return t.model.encode(dst, text)
}

// Kind is the family of the vocabulary: bpe, spm, unigram or wordpiece.
func (t *Tokenizer) Kind() string { return t.kind }

// Size is the number of tokens.
func (t *Tokenizer) Size() int { return len(t.tokens) }

// Token is a token's text in the vocabulary, "" for an id outside it.
func (t *Tokenizer) Token(id int32) string {
	if id < 0 || int(id) >= len(t.tokens) {
		return ""
	}
	return t.tokens[id]
}

// Piece is the bytes that a token decodes to; a special token gives its name.
func (t *Tokenizer) Piece(id int32) []byte {
	if id < 0 || int(id) >= len(t.pieces) {
		return nil
	}
	return []byte(t.pieces[id])
}

// Lookup finds a token by its text in the vocabulary.
func (t *Tokenizer) Lookup(token string) (int32, bool) {
	id, ok := t.ids[token]
	return id, ok
}

// Special reports whether a token is no text: begin, end, roles and the like.
func (t *Tokenizer) Special(id int32) bool {
	return id >= 0 && int(id) < len(t.class) && (t.class[id] == control || t.class[id] == unknown)
}

// BOS is the token that begins a text.
func (t *Tokenizer) BOS() (int32, bool) { return t.bos, t.bos >= 0 }

// EOS is the token that ends a text.
func (t *Tokenizer) EOS() (int32, bool) { return t.eos, t.eos >= 0 }

// AddsBOS reports whether Encode with AddSpecial begins with BOS.
func (t *Tokenizer) AddsBOS() bool { return t.addBOS && t.bos >= 0 }

// EndIDs lists every token that ends an answer: the end of the text, of a turn, of a message.
func (t *Tokenizer) EndIDs() []int32 { return t.ends }

// endNames are the tokens that end an answer in the families' templates.
var endNames = []string{
	"<|endoftext|>", "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end|>", "<end_of_turn>", "<turn|>", "</s>", "<|end_of_text|>",
	"<|endofanswer|>", "<|EOT|>", "<|END_OF_TURN_TOKEN|>", "<|end_of_turn|>", "<｜end▁of▁sentence｜>", "<EOT>", "_<EOT>", "[EOT]",
	"<|return|>", "<|call|>", "<|user|>", "<eos>",
}

// setEnds collects the ends: the named ones that are control tokens, and those that the file names.
func (t *Tokenizer) setEnds(named ...int32) {
	for _, name := range endNames {
		if id, ok := t.ids[name]; ok && t.class[id] != normal && name != "<|user|>" {
			named = append(named, id)
		}
	}
	if t.eos >= 0 {
		named = append(named, t.eos)
	}
	for _, id := range named {
		if id >= 0 && int(id) < len(t.tokens) && !slices.Contains(t.ends, id) {
			t.ends = append(t.ends, id)
		}
	}
	slices.Sort(t.ends)
}

// setMatchers makes the tables that find special tokens in text.
func (t *Tokenizer) setMatchers() {
	for id, c := range t.class {
		name := t.tokens[id]
		if name == "" {
			continue
		}
		switch c {
		case user:
			t.always.add(name, int32(id))
			t.special.add(name, int32(id))
		case control, unknown:
			t.special.add(name, int32(id))
		}
	}
	t.always.sort()
	t.special.sort()
}

// matcher finds the leftmost, then longest, of a set of names.
type matcher struct {
	byFirst [256][]named
}

type named struct {
	name string
	id   int32
}

func (m *matcher) add(name string, id int32) {
	m.byFirst[name[0]] = append(m.byFirst[name[0]], named{name, id})
}

func (m *matcher) sort() {
	for _, list := range m.byFirst {
		slices.SortFunc(list, func(a, b named) int { return len(b.name) - len(a.name) })
	}
}

// next gives where the first name is, its length and id; a length of 0 means that there is none, and
// at is then the text's length.
func (m *matcher) next(text string) (at, length int, id int32) {
	for i := range len(text) {
		for _, n := range m.byFirst[text[i]] {
			if strings.HasPrefix(text[i:], n.name) {
				return i, len(n.name), n.id
			}
		}
	}
	return len(text), 0, 0
}

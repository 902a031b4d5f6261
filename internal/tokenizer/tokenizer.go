// Package tokenizer answers: which tokens is a text, and which text are tokens? It reads the
// vocabularies of GGUF files and of Hugging Face's tokenizer.json, and encodes exactly as the
// reference implementations do.
package tokenizer

import "slices"

// Tokenizer is one model's vocabulary and its rules. It is read-only: many goroutines may use it.
//
// A text goes through it in this order: added tokens are found, the runs between them are normalized,
// further added tokens are found, steps cut what is left into words, the model makes them tokens.
type Tokenizer struct {
	kind    string
	tokens  []string // vocabulary text, as the file writes it
	pieces  []string // the bytes that a token decodes to
	opening []string // the same where the token begins a text, nil: no difference
	class   []class
	ids     map[string]int32

	raw, clean *matcher   // added tokens, found before and after normalizing
	front      normalizer // nil: the text as it is
	steps      []step
	model      model

	before, after []int32     // what AddSpecial puts around a text
	frame         []framePart // what Pair puts around two texts, nil: not known
	bos, eos, unk int32       // -1 where there is none
	ends          []int32
	dropSpaces    int // so many spaces are taken away where a decoded text begins
	templates     map[string]string
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

// normalizer prepares a run of text between added tokens.
type normalizer func(text string) string

// EncodeOptions are what a caller decides about special tokens.
type EncodeOptions struct {
	AddSpecial   bool // put the model's own tokens around the text (begin, end, separator)
	ParseSpecial bool // find the names of control tokens in the text; false for anybody's text

	// Plain are the stretches of the text, [from, to) in bytes and in order, that are somebody's words: with
	// ParseSpecial, no control token is found that has a byte of one.
	Plain [][2]int
}

// Encode appends the tokens of text to dst.
func (t *Tokenizer) Encode(dst []int32, text string, o EncodeOptions) []int32 {
	if o.AddSpecial {
		dst = append(dst, t.before...)
	}
	for at := 0; at < len(text); {
		a, start, end := t.raw.nextOutside(o.Plain, text, at, o.ParseSpecial)
		if start > at {
			// Normalizing moves bytes: a run with somebody's words has no control tokens of the second kind.
			dst = t.encodeRun(dst, text[at:start], at == 0, o.ParseSpecial && plainFrom(o.Plain, at) >= start)
		}
		if a != nil {
			dst = append(dst, a.id)
		}
		at = end
	}
	if o.AddSpecial {
		dst = append(dst, t.after...)
	}
	return dst
}

// encodeRun is for text without raw added tokens; first tells that it begins the text.
func (t *Tokenizer) encodeRun(dst []int32, text string, first, special bool) []int32 {
	if t.front != nil {
		text = t.front(text)
	}
	for at := 0; at < len(text); {
		a, start, end := t.clean.next(text, at, special)
		if start > at {
			dst = t.encodeSteps(dst, t.steps, text[at:start], first && at == 0)
		}
		if a != nil {
			dst = append(dst, a.id)
		}
		at = end
	}
	return dst
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
func (t *Tokenizer) AddsBOS() bool { return t.bos >= 0 && len(t.before) > 0 && t.before[0] == t.bos }

// EndIDs lists every token that ends an answer: the end of the text, of a turn, of a message.
func (t *Tokenizer) EndIDs() []int32 { return t.ends }

// ChatTemplate is the template that the vocabulary's file carries under a name: "" is the usual one,
// "tool_use" and "rag" are other common names.
func (t *Tokenizer) ChatTemplate(name string) (template string, ok bool) {
	template, ok = t.templates[name]
	return template, ok
}

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

// setMatcher makes the table that finds special tokens in text, from their classes.
func (t *Tokenizer) setMatcher() error {
	var list []added
	for id, c := range t.class {
		if name := t.tokens[id]; name != "" && (c == user || c == control || c == unknown) {
			list = append(list, added{id: int32(id), name: name, special: c != user})
		}
	}
	t.raw = newMatcher(list)
	return checkNames(list)
}

// longestName bounds the names of added tokens in bytes: they are searched for at every place of a text.
const longestName = 512

func checkNames(list []added) error {
	for _, a := range list {
		if len(a.name) > longestName {
			return ErrVocabulary.Because("tokenizer: special token %d has a name of %d bytes, at most %d are allowed", a.id, len(a.name), longestName)
		}
	}
	return nil
}

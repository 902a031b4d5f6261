package tokenizer

import (
	"encoding/json"
	"slices"
)

// framePart is a piece of what two texts stand in: one of the texts, or a token around them.
type framePart struct {
	text int // 0 or 1: the first or the second text; aToken: id
	id   int32
	kind int32 // segment of the piece: what BERT tells the two texts apart by
}

const aToken = -1

// Pairs reports whether the vocabulary's file says how two texts are put together.
func (t *Tokenizer) Pairs() bool { return len(t.frame) > 0 }

// Pair puts the tokens of two texts, encoded without AddSpecial, into one sequence as the model was
// trained to read them: ids, and for each its segment. most bounds the sequence in tokens, 0 does not;
// the longer text is cut first, at its end, as the reference's longest_first does, and cut tells so. Where
// most leaves no place for a text, ids may be longer than it. Without Pairs it gives nothing.
func (t *Tokenizer) Pair(a, b []int32, most int) (ids, kinds []int32, cut bool) {
	texts := [2][]int32{a, b}
	if room := max(most-(len(t.frame)-2), 0); most > 0 && len(a)+len(b) > room {
		first, second := longestFirst(len(a), len(b), room)
		texts, cut = [2][]int32{a[:first], b[:second]}, true
	}
	for _, p := range t.frame {
		if p.text == aToken {
			ids = append(ids, p.id)
		} else {
			ids = append(ids, texts[p.text]...)
		}
		for len(kinds) < len(ids) {
			kinds = append(kinds, p.kind)
		}
	}
	return ids, kinds, cut
}

// longestFirst shares room between two lengths that are too much for it together: the shorter stays whole
// if it leaves as much to the longer, else both get half, and the longer what is odd.
func longestFirst(a, b, room int) (int, int) {
	if a > b {
		b, a = longestFirst(b, a, room)
		return a, b
	}
	if b = max(a, room-a); a > room {
		b = a
	}
	if a+b > room {
		a = room / 2
		b = a + room%2
	}
	return a, b
}

// setFrame is for vocabularies that name their tokens and no template: before A between B after, where the
// second text and what follows it are of the second kind if kinds says so.
func (t *Tokenizer) setFrame(before, between, after []int32, kinds bool) {
	var second int32
	if kinds {
		second = 1
	}
	t.frame = nil
	add := func(list []int32, kind int32) {
		for _, id := range list {
			t.frame = append(t.frame, framePart{aToken, id, kind})
		}
	}
	add(before, 0)
	t.frame = append(t.frame, framePart{text: 0})
	add(between, 0)
	t.frame = append(t.frame, framePart{text: 1, kind: second})
	add(after, second)
}

// processorSpec is a post-processor of a tokenizer.json.
type processorSpec struct {
	Type       string                           `json:"type"`
	Processors []json.RawMessage                `json:"processors"`
	Single     []templatePiece                  `json:"single"`
	Pair       []templatePiece                  `json:"pair"`
	Specials   map[string]struct{ IDs []int64 } `json:"special_tokens"`
	Sep        jsonPair                         `json:"sep"`
	Cls        jsonPair                         `json:"cls"`
}

type templatePiece struct {
	Special  *templatePart `json:"SpecialToken"`
	Sequence *templatePart `json:"Sequence"`
}

type templatePart struct {
	ID   string `json:"id"`
	Kind int32  `json:"type_id"`
}

// jsonPair is [name, id].
type jsonPair struct{ id int64 }

func (p *jsonPair) UnmarshalJSON(raw []byte) error {
	var both []json.RawMessage
	if err := json.Unmarshal(raw, &both); err != nil {
		return err
	}
	if len(both) != 2 {
		return ErrVocabulary.Because("tokenizer: a special token has %d parts, a name and an id are needed", len(both))
	}
	return json.Unmarshal(both[1], &p.id)
}

// readProcessor reads what is put around a text; a later processor goes around an earlier one.
func (t *Tokenizer) readProcessor(raw json.RawMessage, depth int) error {
	if absent(raw) {
		return nil
	}
	var s processorSpec
	if err := readPart("post-processor", raw, &s, depth); err != nil {
		return err
	}
	switch s.Type {
	case "Sequence":
		for _, part := range s.Processors {
			if err := t.readProcessor(part, depth+1); err != nil {
				return err
			}
		}
		return nil
	case "ByteLevel":
		return nil
	case "BertProcessing", "RobertaProcessing":
		if err := t.surround([]int64{s.Cls.id}, []int64{s.Sep.id}); err != nil {
			return err
		}
		cls, sep := int32(s.Cls.id), int32(s.Sep.id)
		between := []int32{sep}
		if s.Type == "RobertaProcessing" {
			between = []int32{sep, sep}
		}
		t.setFrame([]int32{cls}, between, []int32{sep}, s.Type == "BertProcessing")
		return nil
	case "TemplateProcessing":
		return t.readTemplate(&s)
	}
	return ErrUnsupported.Because("tokenizer: the post-processor %q is not supported", s.Type)
}

func (t *Tokenizer) readTemplate(s *processorSpec) error {
	var before, after []int64
	seen := 0
	for _, part := range s.Single {
		switch {
		case part.Sequence != nil:
			seen++
		case part.Special != nil:
			special, ok := s.Specials[part.Special.ID]
			if !ok {
				return ErrVocabulary.Because("tokenizer: the template's special token %q is not defined", part.Special.ID)
			}
			if seen == 0 {
				before = append(before, special.IDs...)
			} else {
				after = append(after, special.IDs...)
			}
		}
	}
	if seen != 1 {
		return ErrUnsupported.Because("tokenizer: a template that has the text %d times is not supported", seen)
	}
	first := len(t.before)+len(t.after) == 0
	if err := t.surround(before, after); err != nil {
		return err
	}
	t.frame = nil
	if first { // templates around templates are for single texts
		return t.readPair(s)
	}
	return nil
}

// readPair reads the template of two texts. One that does not have each once, or puts nothing between them,
// leaves the vocabulary without.
func (t *Tokenizer) readPair(s *processorSpec) error {
	var frame []framePart
	var seen []string
	for _, part := range s.Pair {
		switch {
		case part.Sequence != nil && part.Sequence.ID == "A":
			seen, frame = append(seen, "A"), append(frame, framePart{text: 0, kind: part.Sequence.Kind})
		case part.Sequence != nil:
			seen, frame = append(seen, "B"), append(frame, framePart{text: 1, kind: part.Sequence.Kind})
		case part.Special != nil:
			special, ok := s.Specials[part.Special.ID]
			if !ok {
				return ErrVocabulary.Because("tokenizer: the template's special token %q is not defined", part.Special.ID)
			}
			ids, err := t.known(special.IDs)
			if err != nil {
				return err
			}
			for _, id := range ids {
				frame = append(frame, framePart{aToken, id, part.Special.Kind})
			}
		}
	}
	if len(frame) > mostAround+2 {
		return ErrVocabulary.Because("tokenizer: the post-processor adds more than %d tokens", mostAround)
	}
	for _, p := range frame {
		if p.kind < 0 {
			return ErrVocabulary.Because("tokenizer: the template of two texts has a type_id of %d", p.kind)
		}
	}
	if slices.Equal(seen, []string{"A", "B"}) && len(frame) > 2 {
		t.frame = frame
	}
	return nil
}

// mostAround bounds what a template puts around a text, in tokens.
const mostAround = 64

func (t *Tokenizer) surround(before, after []int64) error {
	if len(before)+len(after)+len(t.before)+len(t.after) > mostAround {
		return ErrVocabulary.Because("tokenizer: the post-processor adds more than %d tokens", mostAround)
	}
	first, err := t.known(before)
	if err != nil {
		return err
	}
	last, err := t.known(after)
	if err != nil {
		return err
	}
	t.before, t.after = append(first, t.before...), append(t.after, last...)
	return nil
}

// known gives the tokens that a post-processor adds, which the vocabulary must have.
func (t *Tokenizer) known(list []int64) ([]int32, error) {
	var out []int32
	for _, id := range list {
		if id < 0 || id >= int64(len(t.tokens)) {
			return nil, ErrVocabulary.Because("tokenizer: the post-processor adds token %d, the vocabulary has %d", id, len(t.tokens))
		}
		out = append(out, int32(id))
	}
	return out, nil
}

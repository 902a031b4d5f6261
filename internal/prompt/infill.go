package prompt

import (
	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/tokenizer"
)

// infill is how one family is asked to fill in the middle: the tokens before the text's beginning and its
// end, and before the middle that the model writes.
type infill struct {
	before, after, middle string
	endFirst              bool // the text's end stands before its beginning
}

// infills is the one table: the first row whose tokens are all in the vocabulary.
func infills() []infill {
	return []infill{
		{"<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", false}, // Qwen
		{"<fim_prefix>", "<fim_suffix>", "<fim_middle>", false},       // StarCoder, Granite
		{"<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>", false},       // DeepSeek
		{"▁<PRE>", "▁<SUF>", "▁<MID>", false},                         // Code Llama
		{"[PREFIX]", "[SUFFIX]", "", true},                            // Codestral: [SUFFIX]end[PREFIX]beginning
		{"<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>", false},
	}
}

// infillOf finds the family's tokens; nil if it has none.
func infillOf(t *tokenizer.Tokenizer) *infill {
	for _, row := range infills() {
		all := true
		for _, name := range []string{row.before, row.after, row.middle} {
			_, ok := t.Lookup(name)
			all = all && (ok || name == "")
		}
		if all {
			return &row
		}
	}
	return nil
}

// FillsMiddle reports whether the model has tokens for filling in the middle.
func (f *Format) FillsMiddle() bool { return f.infill != nil }

// fill makes the prompt for the middle between a text and its suffix.
func (f *Format) fill(r *chat.RawPrompt) (*Prompt, error) {
	if f.infill == nil {
		return nil, chat.ErrUnsupported.Because("prompt: this model has no tokens for filling in the middle: leave suffix away, or choose a model made for it, such as qwen2.5-coder-0.5b").At("suffix")
	}
	p := &Prompt{}
	if bos, ok := f.tokens.BOS(); ok && f.tokens.AddsBOS() && !r.NoBOS {
		p.IDs = append(p.IDs, bos)
	}
	add := func(mark, text string) {
		if id, ok := f.tokens.Lookup(mark); ok {
			p.IDs = append(p.IDs, id)
			p.Text += mark
		}
		p.IDs = f.tokens.Encode(p.IDs, text, tokenizer.EncodeOptions{ParseSpecial: r.ParseSpecial})
		p.Text += text
	}
	if f.infill.endFirst {
		add(f.infill.after, *r.Suffix)
		add(f.infill.before, r.Text)
	} else {
		add(f.infill.before, r.Text)
		add(f.infill.after, *r.Suffix)
	}
	add(f.infill.middle, "")
	return p, nil
}

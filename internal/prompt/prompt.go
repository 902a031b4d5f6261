// Package prompt answers: which exact tokens does a model read for a chat, and what do its answer's
// tokens say? One Format a model family knows both directions: a request goes through the model's own
// chat template to tokens, and an answer's tokens become text, reasoning and tool calls.
//
// What people write is never read as the model's control tokens, though the template's own words are;
// see guard.go for how.
package prompt

import (
	"strings"

	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/fault"
	"github.com/galerne-ai/galerne/internal/jinja"
	"github.com/galerne-ai/galerne/internal/tokenizer"
)

var (
	// ErrNoTemplate: the model has no chat template; raw prompts still work.
	ErrNoTemplate = fault.New(fault.Invalid, "no_chat_template", "prompt: the model has no chat template")
	// ErrControl: a message has a control token's name where the template reads it.
	ErrControl = fault.New(fault.Invalid, "control_token_in_message", "prompt: a message contains a control token")
)

// Prompt is what the model reads.
type Prompt struct {
	Text string
	IDs  []int32

	thinking bool // the text ends inside a block of reasoning that the template opened
}

// Format is how one model is talked to. It is read-only: many goroutines may use it.
type Format struct {
	tokens   *tokenizer.Tokenizer
	template *jinja.Template // nil: none
	source   string
	guard    guard
	family   *family
	able     abilities
	infill   *infill // nil: none
}

// New reads a model's chat template and finds out what it can do. A model without one can be given
// raw prompts. A template that cannot be read is an error.
func New(t *tokenizer.Tokenizer) (*Format, error) {
	source, _ := t.ChatTemplate("")
	return newFormat(t, source)
}

func newFormat(t *tokenizer.Tokenizer, source string) (*Format, error) {
	f := &Format{tokens: t, source: source, guard: newGuard(t), infill: infillOf(t)}
	if source == "" {
		f.family = &family{}
		return f, nil
	}
	var err error
	if f.template, err = jinja.Parse(source, jinja.Options{}); err != nil {
		return nil, err
	}
	var p *probing
	p, f.able = f.probe()
	written := ""
	if f.able.tools {
		written = p.writes(f.able)
	}
	f.family = familyOf(source, t, written)
	if s := f.family.syntax; s.tagged() {
		f.family.pairForm = p.pairForm(s)
	}
	f.able.tools = f.family.native
	return f, nil
}

// Chats reports whether the model has a chat template.
func (f *Format) Chats() bool { return f.template != nil }

// CallsTools reports whether the model's template has a form for tools of its own that is understood.
// Without one, tools are explained in words (see words.go).
func (f *Format) CallsTools() bool { return f.family.native }

// Thinks reports whether the model marks its reasoning.
func (f *Format) Thinks() bool { return f.family.think.open != "" }

// Template is the chat template's source.
func (f *Format) Template() string { return f.source }

// Render makes the prompt of a request: of its Messages through the template, or of its Raw prompt.
func (f *Format) Render(r *chat.Request) (*Prompt, error) {
	switch {
	case r.Raw != nil && r.Raw.Tokens != nil:
		return &Prompt{IDs: r.Raw.Tokens}, nil
	case r.Raw != nil && r.Raw.Suffix != nil:
		return f.fill(r.Raw)
	case r.Raw != nil:
		p := &Prompt{Text: r.Raw.Text}
		p.IDs = f.tokens.Encode(nil, p.Text, tokenizer.EncodeOptions{AddSpecial: !r.Raw.NoBOS, ParseSpecial: r.Raw.ParseSpecial})
		return p, nil
	case f.template == nil:
		return nil, ErrNoTemplate.Because("prompt: this model has no chat template: give it a raw prompt (a completion), or choose a model made for chat").At("messages")
	}
	if err := f.check(r); err != nil {
		return nil, err
	}
	vars, err := f.variables(r)
	if err != nil {
		return nil, err
	}
	text, plain, err := f.guarded(vars)
	if err != nil {
		return nil, err
	}
	if continues(r) {
		if text, err = f.cutAtTag(text); err != nil {
			return nil, err
		}
	}
	p := &Prompt{Text: text, thinking: f.thinkingAtEnd(text, r)}
	for n := len(plain); n > 0 && plain[n-1][1] > len(text); n-- {
		plain = plain[:n-1]
	}
	// The template writes the beginning token itself where the model wants one: it is not added again.
	p.IDs = f.tokens.Encode(nil, text, tokenizer.EncodeOptions{ParseSpecial: true, Plain: plain})
	if len(p.IDs) == 0 {
		return nil, chat.ErrRequest.Because("prompt: the conversation makes an empty prompt: add a message").At("messages")
	}
	return p, nil
}

// continues reports whether the answer goes on with the last message.
func continues(r *chat.Request) bool {
	n := len(r.Messages)
	return n > 0 && r.Messages[n-1].Role == chat.Assistant && r.Messages[n-1].Prefix
}

// tag marks the end of a message that the answer continues. The space tells whether the template
// trimmed the message, as transformers does it.
const tag = "\U0010F8FEcontinue\U0010F8FE "

func (f *Format) cutAtTag(text string) (string, error) {
	at := strings.LastIndex(text, strings.TrimSpace(tag))
	if at < 0 {
		return "", chat.ErrUnsupported.Because("prompt: this model's template cannot continue the last message: send it without prefix").At("messages")
	}
	if strings.HasPrefix(text[at:], tag) {
		return text[:at], nil
	}
	return strings.TrimRight(text[:at], " \n\r\t"), nil
}

// thinkingAtEnd reports whether the answer begins inside a block of reasoning.
func (f *Format) thinkingAtEnd(text string, r *chat.Request) bool {
	think := f.family.think
	if think.open == "" {
		return false
	}
	if continues(r) { // by the message's own words: others' do not count
		for _, p := range r.Messages[len(r.Messages)-1].Parts {
			if p.Kind == chat.TextPart && strings.Contains(p.Text, think.open) {
				return strings.LastIndex(p.Text, think.open) > strings.LastIndex(p.Text, think.end)
			}
		}
		return false
	}
	return strings.HasSuffix(strings.TrimSpace(text), strings.TrimSpace(think.open))
}

// check refuses what no template can honour.
func (f *Format) check(r *chat.Request) error {
	if len(r.Messages) == 0 {
		return chat.ErrRequest.Because("prompt: there are no messages: add at least one").At("messages")
	}
	return nil
}

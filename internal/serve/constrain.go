package serve

import (
	"encoding/json"
	"sync"

	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/grammar"
	"github.com/galerne-ai/galerne/internal/prompt"
	"github.com/galerne-ai/galerne/internal/sample"
)

// constraints compiles what requests ask their answers to be, once for equal ones.
type constraints struct {
	words func() *grammar.Vocabulary // the model's, without control tokens
	marks func() *grammar.Vocabulary // with the marks of calls and reasoning

	mu       sync.Mutex
	compiled map[string]*grammar.Grammar
}

// constraintsKept is how many compiled grammars a model keeps; when there are more all are dropped, since
// compiling one takes milliseconds, or a second where it has a hundred strict tools.
const constraintsKept = 128

func newConstraints(m *loaded) *constraints {
	vocabulary := func(with func(id int32) bool) func() *grammar.Vocabulary {
		return sync.OnceValue(func() *grammar.Vocabulary {
			pieces := make([][]byte, m.tokens.Size())
			for id := range pieces {
				if !m.tokens.Special(int32(id)) || with(int32(id)) {
					pieces[id] = m.tokens.Piece(int32(id))
				}
			}
			return grammar.NewVocabulary(pieces, m.tokens.EndIDs())
		})
	}
	return &constraints{compiled: map[string]*grammar.Grammar{},
		words: vocabulary(func(int32) bool { return false }), marks: vocabulary(m.format.IsMark)}
}

// mask is what keeps an answer to the form that the request asks for; nil where it asks for none.
func (m *loaded) mask(r *chat.Request, p *prompt.Prompt) (func(most int) sample.Mask, error) {
	calls := m.forcesCalls(r)
	if r.Format.Kind == chat.AnyText && !calls {
		return nil, nil
	}
	key, err := constraintKey(r, p, m.format, calls)
	if err != nil {
		return nil, err
	}
	c := m.constraints
	c.mu.Lock()
	g := c.compiled[key]
	c.mu.Unlock()
	if g == nil {
		if g, err = m.compile(r, p, calls); err != nil {
			return nil, err
		}
		c.mu.Lock()
		if len(c.compiled) >= constraintsKept {
			clear(c.compiled)
		}
		c.compiled[key] = g
		c.mu.Unlock()
	}
	v := c.words
	if calls || m.format.ReasoningBegin() != "" {
		v = c.marks
	}
	return func(most int) sample.Mask {
		m := g.Mask(v())
		m.Within(most)
		return m
	}, nil
}

func constraintKey(r *chat.Request, p *prompt.Prompt, f *prompt.Format, calls bool) (string, error) {
	_, open := f.ReasoningEnd(p)
	key := struct {
		Format   chat.Format
		Tools    []chat.Tool
		Choice   chat.ToolChoice
		Parallel *bool
		Open     bool
	}{Format: r.Format, Open: open}
	if calls {
		key.Tools, key.Choice, key.Parallel = r.Tools, r.ToolChoice, r.ParallelTools
	}
	text, err := json.Marshal(key)
	if err != nil {
		return "", chat.ErrRequest.Because("serve: a schema is no JSON: %w", err)
	}
	return string(text), nil
}

// forcesCalls reports whether a grammar has to do with tool calls: one must be made, or one at most, or arguments
// must fit, or calls must be possible beside another form.
func (m *loaded) forcesCalls(r *chat.Request) bool {
	if len(r.Tools) == 0 || r.ToolChoice.Mode == chat.ToolsNone || r.Raw != nil {
		return false
	}
	return r.ToolChoice.Must() || r.OneCall() || strict(r.Tools) || r.Format.Kind != chat.AnyText
}

func (m *loaded) compile(r *chat.Request, p *prompt.Prompt, calls bool) (*grammar.Grammar, error) {
	var g *grammar.Grammar
	var err error
	if r.Format.Kind != chat.AnyText {
		if g, err = compileFormat(&r.Format); err != nil {
			return nil, err
		}
	}
	if calls {
		if g, err = m.compileCalls(r, p, g); err != nil {
			return nil, err
		}
	}
	if _, open := m.format.ReasoningEnd(p); !open && calls && r.Format.Kind == chat.AnyText && !r.ToolChoice.Must() {
		return g, nil // free text, which knows of reasoning
	}
	return m.afterReasoning(g, p)
}

func compileFormat(f *chat.Format) (*grammar.Grammar, error) {
	switch f.Kind {
	case chat.JSONValue:
		return grammar.JSONObject(grammar.Options{})
	case chat.JSONSchema:
		return grammar.CompileSchema(f.Schema, grammar.Options{})
	case chat.Regex:
		return grammar.CompileRegex(f.Pattern)
	case chat.Grammar:
		return grammar.CompileGBNF(f.Pattern)
	case chat.OneOf:
		return grammar.Choice(f.Choices)
	}
	return nil, chat.ErrUnsupported.Because("serve: the answer's form %d is not known", f.Kind).At("response_format")
}

// afterReasoning lets a model that marks its reasoning think first.
func (m *loaded) afterReasoning(g *grammar.Grammar, p *prompt.Prompt) (*grammar.Grammar, error) {
	end, open := m.format.ReasoningEnd(p)
	if end == "" {
		return g, nil
	}
	gap, err := grammar.CompileRegex(`\n{0,2}`)
	if err != nil {
		return nil, err
	}
	then, err := grammar.Seq(gap, g)
	if err != nil {
		return nil, err
	}
	thought, err := grammar.FreeText([]grammar.Trigger{{Text: end, Then: []*grammar.Grammar{then}}}, true)
	if err != nil || open {
		return thought, err
	}
	begin, err := grammar.Literal(m.format.ReasoningBegin())
	if err != nil {
		return nil, err
	}
	if thought, err = grammar.Seq(begin, thought); err != nil {
		return nil, err
	}
	return grammar.Alt(thought, g)
}

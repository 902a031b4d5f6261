package serve

import (
	"encoding/json"
	"fmt"
	"strings"
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
// compiling one takes milliseconds.
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

// forcesCalls reports whether a grammar has to do with tool calls: one must be made, or arguments must fit.
func (m *loaded) forcesCalls(r *chat.Request) bool {
	if len(r.Tools) == 0 || r.ToolChoice.Mode == chat.ToolsNone || r.Raw != nil {
		return false
	}
	if r.ToolChoice.Mode == chat.ToolsRequired || r.ToolChoice.Mode == chat.ToolsNamed {
		return true
	}
	for i := range r.Tools {
		if r.Tools[i].Strict {
			return true
		}
	}
	return false
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
		must := r.ToolChoice.Mode == chat.ToolsRequired || r.ToolChoice.Mode == chat.ToolsNamed
		if g, err = m.compileCalls(r, must, g); err != nil {
			return nil, err
		}
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
	thought, err := grammar.FreeText([]grammar.Trigger{{Text: end, Then: then}}, false, true)
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

// callsMost bounds the calls of one answer that must call.
const callsMost = 16

// compileCalls makes the grammar of an answer that must call (must), or may: then other text, or the
// form that the answer's text must have, is possible too.
func (m *loaded) compileCalls(r *chat.Request, must bool, text *grammar.Grammar) (*grammar.Grammar, error) {
	form, ok := m.format.CallForm()
	if !ok {
		return nil, ErrKind.Because("serve: %s writes tool calls in a form that cannot be forced: use tool_choice auto without strict", m.slot.entry.Name).At("tool_choice")
	}
	most := callsMost
	if r.ParallelTools != nil && !*r.ParallelTools {
		most = 1
	}
	tools, err := chosen(r)
	if err != nil {
		return nil, err
	}
	all, err := calls(&form, tools, most, "")
	switch {
	case err != nil || must:
		return all, err
	case text != nil:
		return grammar.Alt(text, all)
	case form.Trigger == "":
		return nil, chat.ErrUnsupported.Because("serve: %s begins tool calls without a mark, so strict arguments need tool_choice required", m.slot.entry.Name).At("tools")
	}
	rest, err := calls(&form, tools, most, form.Trigger)
	if err != nil {
		return nil, err
	}
	return grammar.FreeText([]grammar.Trigger{{Text: form.Trigger, Then: rest}}, false, false)
}

// chosen are the tools that may be called.
func chosen(r *chat.Request) ([]chat.Tool, error) {
	if len(r.ToolChoice.Names) == 0 {
		return r.Tools, nil
	}
	var out []chat.Tool
	for _, name := range r.ToolChoice.Names {
		found := false
		for i := range r.Tools {
			if r.Tools[i].Name == name {
				out, found = append(out, r.Tools[i]), true
			}
		}
		if !found {
			return nil, chat.ErrRequest.Because("serve: tool_choice names %q, which is not among the tools", name).At("tool_choice")
		}
	}
	return out, nil
}

// calls is one to most calls; read is their beginning that has been written already.
func calls(form *prompt.CallForm, tools []chat.Tool, most int, read string) (*grammar.Grammar, error) {
	first, err := oneCall(form, tools, strings.TrimPrefix(form.Open+form.Begin, read))
	if err != nil {
		return nil, err
	}
	parts := []*grammar.Grammar{first}
	if most > 1 {
		next, err := oneCall(form, tools, form.Between+form.Begin)
		if err != nil {
			return nil, err
		}
		none, err := grammar.Literal("")
		if err != nil {
			return nil, err
		}
		more, err := grammar.Repeat(next, none, 0, most-1)
		if err != nil {
			return nil, err
		}
		parts = append(parts, more)
	}
	end, err := grammar.Literal(form.Close)
	if err != nil {
		return nil, err
	}
	return grammar.Seq(append(parts, end)...)
}

// oneCall is a call of any of the tools behind a text.
func oneCall(form *prompt.CallForm, tools []chat.Tool, before string) (*grammar.Grammar, error) {
	var any []*grammar.Grammar
	for i := range tools {
		t := &tools[i]
		arguments, err := argumentsOf(t, form.Pairs)
		if err != nil {
			return nil, err
		}
		name := t.Name
		if form.Pairs == (grammar.Pairs{}) {
			text, _ := json.Marshal(name) // a string always can
			name = string(text[1 : len(text)-1])
		}
		head, err := grammar.Literal(before + name + form.Middle)
		if err != nil {
			return nil, err
		}
		end, err := grammar.Literal(form.End)
		if err != nil {
			return nil, err
		}
		call, err := grammar.Seq(head, arguments, end)
		if err != nil {
			return nil, err
		}
		any = append(any, call)
	}
	return grammar.Alt(any...)
}

// argumentsOf is the form of a tool's arguments. A schema that cannot be enforced is an error only where
// the tool is strict; else what is known of them is which are texts.
func argumentsOf(t *chat.Tool, pairs grammar.Pairs) (*grammar.Grammar, error) {
	schema := []byte(t.Schema)
	if len(schema) == 0 {
		schema = []byte(`{"type":"object"}`)
	}
	g, err := grammar.CompileSchema(schema, grammar.Options{Pairs: pairs})
	if err == nil || t.Strict {
		if err != nil {
			err = fmt.Errorf("serve: the parameters of tool %q: %w", t.Name, err)
		}
		return g, err
	}
	type object map[string]any
	texts := object{}
	for name, is := range grammar.TextProperties(schema) {
		if is && pairs != (grammar.Pairs{}) {
			texts[name] = object{"type": "string"}
		}
	}
	loose, err := json.Marshal(object{"type": "object", "properties": texts, "additionalProperties": true})
	if err != nil {
		return nil, err
	}
	return grammar.CompileSchema(loose, grammar.Options{Pairs: pairs})
}

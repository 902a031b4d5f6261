package serve

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/grammar"
	"github.com/galerne-ai/galerne/internal/prompt"
)

// callsMost bounds the calls of one answer that a grammar holds.
const callsMost = 16

// compileCalls makes the grammar of an answer that must call, or may: then other text, or the form that the
// answer's text must have, is possible too.
func (m *loaded) compileCalls(r *chat.Request, p *prompt.Prompt, text *grammar.Grammar) (*grammar.Grammar, error) {
	form, ok := m.format.CallForm()
	if !ok {
		return nil, ErrKind.Because("serve: %s writes tool calls in a form that cannot be forced: use tool_choice auto without strict", m.slot.entry.Name).At("tool_choice")
	}
	most := callsMost
	if r.OneCall() {
		most = 1
	}
	tools, err := chosen(r)
	if err != nil {
		return nil, err
	}
	b := builder{form: &form, tools: tools, most: most}
	var g *grammar.Grammar
	switch end, _ := m.format.ReasoningEnd(p); {
	case r.ToolChoice.Must():
		g = b.calls("")
	case text != nil && strict(tools) && text.Viable([]byte(form.Trigger)) == len(form.Trigger):
		return nil, chat.ErrRequest.Because("serve: the form that the answer must have allows %q, with which %s begins calls, so that the two could not be told apart: narrow the form, or use tool_choice none or required", form.Trigger, m.slot.entry.Name).At("response_format")
	case text != nil:
		g = b.alt(text, b.calls(""))
	default:
		g = b.free(m.format.ReasoningBegin(), end)
	}
	return g, b.err
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

func strict(tools []chat.Tool) bool {
	return slices.ContainsFunc(tools, func(t chat.Tool) bool { return t.Strict })
}

// builder makes the grammars of calls of some tools. After an error it makes nothing.
type builder struct {
	form  *prompt.CallForm
	tools []chat.Tool
	most  int // calls
	err   error
}

func (b *builder) made(g *grammar.Grammar, err error) *grammar.Grammar {
	if b.err == nil {
		b.err = err
	}
	return g
}

func (b *builder) literal(text string) *grammar.Grammar { return b.made(grammar.Literal(text)) }
func (b *builder) regex(expr string) *grammar.Grammar   { return b.made(grammar.CompileRegex(expr)) }

func (b *builder) seq(parts ...*grammar.Grammar) *grammar.Grammar {
	if b.err != nil {
		return nil
	}
	return b.made(grammar.Seq(parts...))
}

func (b *builder) alt(parts ...*grammar.Grammar) *grammar.Grammar {
	if b.err != nil {
		return nil
	}
	return b.made(grammar.Alt(parts...))
}

// further is one more call, as often as calls may follow a first.
func (b *builder) further(next *grammar.Grammar) *grammar.Grammar {
	if b.err != nil {
		return nil
	}
	return b.made(grammar.Repeat(next, b.literal(""), 0, b.most-1))
}

// free is an answer that may call: any text, and from a call's mark on, or from its beginning where that has none,
// only calls whose arguments fit. Think and end are the marks of reasoning, in front of which and in which nothing
// is a beginning.
func (b *builder) free(think, end string) *grammar.Grammar {
	triggers := append([]grammar.Trigger{{Text: b.form.Trigger, Then: []*grammar.Grammar{b.calls(b.form.Trigger)}}}, b.bare()...)
	if think != "" && b.err == nil {
		thought := b.made(grammar.FreeText([]grammar.Trigger{{Text: end}}, true))
		triggers = append(triggers, grammar.Trigger{Lead: b.regex(`[ \n\t\r]*` + regexp.QuoteMeta(think)), Then: []*grammar.Grammar{thought}, Again: true})
	}
	if b.err != nil {
		return nil
	}
	return b.made(grammar.FreeText(triggers, false))
}

// calls is one to most calls; read is their beginning that has been written already.
func (b *builder) calls(read string) *grammar.Grammar {
	arguments := b.arguments(grammar.Options{Pairs: b.form.Pairs})
	call := func(before, read string) *grammar.Grammar {
		var any []*grammar.Grammar
		for i := range b.tools {
			head := strings.TrimPrefix(before+b.form.Head(b.tools[i].Name), read)
			any = append(any, b.seq(b.literal(head), arguments[i], b.literal(b.form.End)))
		}
		return b.alt(any...)
	}
	return b.seq(call(b.form.Open, read), b.further(call(b.form.Between, "")), b.literal(b.form.Close))
}

// bare are the beginnings of answers that are calls without a mark.
func (b *builder) bare() []grammar.Trigger {
	if len(b.form.Bare) == 0 || b.err != nil {
		return nil
	}
	arguments := b.arguments(grammar.Options{Whitespace: grammar.Indented})
	var out []grammar.Trigger
	for _, bare := range b.form.Bare {
		space, end := b.regex(" ?"), b.regex(bare.End)
		before, behind := b.around(bare.Next())
		behind = b.seq(behind, space)
		var any []*grammar.Grammar
		for i := range b.tools {
			any = append(any, b.seq(b.literal(b.tools[i].Name), behind, arguments[i]))
		}
		rest := b.seq(end, b.further(b.seq(before, b.alt(any...), end)), b.regex(bare.Close)) // once for all tools
		before, behind = b.around(bare.Lead())
		for i := range b.tools {
			out = append(out, grammar.Trigger{Lead: b.seq(before, b.literal(b.tools[i].Name), behind), Then: []*grammar.Grammar{space, arguments[i], rest}})
		}
	}
	return out
}

// around is what stands before a tool's name and behind it.
func (b *builder) around(before, behind string) (*grammar.Grammar, *grammar.Grammar) {
	return b.regex(before), b.regex(behind)
}

// arguments are the forms of the tools' arguments.
func (b *builder) arguments(o grammar.Options) []*grammar.Grammar {
	out := make([]*grammar.Grammar, len(b.tools))
	for i := range b.tools {
		if b.err == nil {
			out[i] = b.made(argumentsOf(&b.tools[i], o))
		}
	}
	return out
}

// argumentsOf is the form of a tool's arguments. A schema that cannot be enforced is an error only where
// the tool is strict; else what is known of them is which are texts.
func argumentsOf(t *chat.Tool, o grammar.Options) (*grammar.Grammar, error) {
	schema := t.Parameters()
	g, err := grammar.CompileSchema(schema, o)
	if err == nil || t.Strict {
		if err != nil {
			err = fmt.Errorf("serve: the parameters of tool %q: %w", t.Name, err)
		}
		return g, err
	}
	type object map[string]any
	texts := object{}
	for name, is := range grammar.TextProperties(schema) {
		if is && o.Pairs != (grammar.Pairs{}) {
			texts[name] = object{"type": "string"}
		}
	}
	loose, err := json.Marshal(object{"type": "object", "properties": texts, "additionalProperties": true})
	if err != nil {
		return nil, err
	}
	return grammar.CompileSchema(loose, o)
}

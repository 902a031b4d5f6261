package prompt

import (
	"strings"

	"github.com/galerne-ai/galerne/internal/grammar"
	"github.com/galerne-ai/galerne/internal/tokenizer"
)

// syntax is how a family writes a tool call.
type syntax uint8

const (
	none        syntax = iota
	hermes             // <tool_call>{"name": …, "arguments": {…}}</tool_call>
	coder              // <tool_call><function=name><parameter=key>value</parameter></function></tool_call>
	glm                // <tool_call>name<arg_key>key</arg_key><arg_value>value</arg_value></tool_call>
	llama              // {"name": …, "parameters": {…}}, perhaps behind <|python_tag|>
	mistral            // [TOOL_CALLS][{"name": …, "arguments": {…}}]
	mistralArgs        // [TOOL_CALLS]name[ARGS]{…}
	functionary        // <function=name>{…}</function>
	seed               // <seed:tool_call><function=name><parameter=key>value</parameter></function></seed:tool_call>
)

// pair are the marks around reasoning.
type pair struct{ open, end string }

// family is how one kind of model marks what it says. It is decided once, from the template and the
// vocabulary.
type family struct {
	syntax   syntax
	native   bool // the syntax is the template's own
	think    pair
	shortIDs bool           // ids of calls are nine letters and digits
	marks    map[int32]bool // control tokens that are marks: their names are part of what is read
	pairForm CallForm       // of calls between tags: as the template writes them
}

// families is the one table of call syntaxes, the most particular first. A template's is the first whose
// mark it has and which understands a call that the template wrote itself.
var families = []struct {
	syntax syntax
	mark   string
}{
	{mistralArgs, "[ARGS]"},
	{mistral, "[TOOL_CALLS]"},
	{coder, "<parameter="},
	{seed, "<seed:tool_call>"},
	{glm, "<arg_key>"},
	{hermes, "<tool_call>"},
	{functionary, "<function="},
	{llama, `"parameters": `},
}

// reasonings is the one table of reasoning's marks: the first row whose end is in the template, or
// whose marks are both tokens.
var reasonings = []pair{
	{"<think>", "</think>"},
	{"[THINK]", "[/THINK]"},
	{"<seed:think>", "</seed:think>"},
	{"<|START_THINKING|>", "<|END_THINKING|>"},
	{"<|inner_prefix|>", "<|inner_suffix|>"},
	{"<thinking>", "</thinking>"},
}

// familyOf decides; written is a call as the template writes it, "" if it has no tools.
func familyOf(source string, t *tokenizer.Tokenizer, written string) *family {
	f := &family{syntax: hermes, marks: map[int32]bool{}} // in words, where the template has no tools
	for _, row := range families {
		if written != "" && strings.Contains(source, row.mark) && row.syntax.reads(written) {
			f.syntax, f.native = row.syntax, true
			break
		}
	}
	f.shortIDs = f.syntax == mistral || f.syntax == mistralArgs
	for _, p := range reasonings {
		_, open := t.Lookup(p.open)
		_, end := t.Lookup(p.end)
		if strings.Contains(source, p.end) || open && end {
			f.think = p
			break
		}
	}
	for _, mark := range append(f.syntax.marks(), f.think.open, f.think.end) {
		if id, ok := t.Lookup(mark); ok && t.Special(id) {
			f.marks[id] = true
		}
	}
	return f
}

// trigger is the text that begins calls; llama's may begin without one.
func (s syntax) trigger() string {
	switch s {
	case hermes, coder, glm:
		return "<tool_call>"
	case seed:
		return "<seed:tool_call>"
	case mistral, mistralArgs:
		return "[TOOL_CALLS]"
	case functionary:
		return "<function="
	case llama:
		return "<|python_tag|>"
	}
	return ""
}

// tagged reports whether arguments are values between tags.
func (s syntax) tagged() bool { return s == coder || s == glm || s == seed }

func (s syntax) marks() []string {
	switch s {
	case hermes, coder, glm:
		return []string{"<tool_call>", "</tool_call>", "<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>"}
	case seed:
		return []string{"<seed:tool_call>", "</seed:tool_call>"}
	case mistral, mistralArgs:
		return []string{"[TOOL_CALLS]", "[ARGS]", "[CALL_ID]"}
	case llama:
		return []string{"<|python_tag|>"}
	}
	return nil
}

// CallForm is the text around a tool call, for a grammar that forces one: Open, then calls with Between
// between them, then Close. A call is Begin, the tool's name, Middle, the arguments as a JSON
// object, or as Pairs if they are set, End.
type CallForm struct {
	Trigger string // begins a call in free text
	Open    string
	Begin   string
	Middle  string
	End     string
	Between string
	Close   string
	Pairs   grammar.Pairs
	Bare    []Bare
}

// Head is a call of a tool up to its arguments.
func (f *CallForm) Head(tool string) string {
	if f.Pairs == (grammar.Pairs{}) {
		tool = quoted(tool)
		tool = tool[1 : len(tool)-1]
	}
	return f.Begin + tool + f.Middle
}

// Bare is a form, in regular expressions, in which an answer may begin with a call that has no mark of the family.
type Bare struct {
	open    string
	End     string // behind the arguments
	Between string // in front of a further call
	Close   string
}

// Lead is how such an answer begins, before a tool's name and behind it up to its arguments: nothing else that begins
// so is read as that call while it is written.
func (b *Bare) Lead() (before, behind string) { return bareHead(b.open, "["+blank+"]*") }

// Next is a further call.
func (b *Bare) Next() (before, behind string) { return bareHead(b.Between, " ?") }

// bareHead is the beginning of a call's object with that between its parts, as jsonHead reads it.
func bareHead(open, between string) (before, behind string) {
	return open + strings.Join([]string{`\{`, `"name"`, ":", `"`}, between), strings.Join([]string{`"`, ",", `"(arguments|parameters)"`, ":"}, between)
}

// bares are the bare forms that the reader understands (see bareMay): objects, or blocks of code of them.
func bares() []Bare {
	const lead, end = "[" + blank + "]*", `[\n ]{0,8}\}`
	return []Bare{
		{open: lead, End: end, Between: `[,;]?[\n ]{0,2}`},
		{open: lead + "```(json)?" + lead, End: end, Between: "([,;]?|\n?```[\n ]{0,3}```(json)?)[\n ]{0,2}", Close: "\n?```"},
	}
}

// CallForm is the family's; false where it has none.
func (f *Format) CallForm() (CallForm, bool) {
	switch f.family.syntax {
	case hermes:
		return CallForm{Trigger: "<tool_call>", Begin: "<tool_call>\n{\"name\": \"", Middle: `", "arguments": `, End: "}\n</tool_call>", Between: "\n", Bare: bares()}, true
	case llama:
		return CallForm{Trigger: "<|python_tag|>", Begin: `{"name": "`, Middle: `", "parameters": `, End: "}", Between: "; ", Bare: bares()}, true
	case mistral:
		return CallForm{Trigger: "[TOOL_CALLS]", Open: "[TOOL_CALLS][", Begin: `{"name": "`, Middle: `", "arguments": `, End: "}", Between: ", ", Close: "]"}, true
	case mistralArgs:
		return CallForm{Trigger: "[TOOL_CALLS]", Begin: "[TOOL_CALLS]", Middle: "[ARGS]"}, true
	case coder, glm, seed:
		return f.family.pairForm, true
	case functionary:
		return CallForm{Trigger: "<function=", Begin: "<function=", Middle: ">", End: "</function>"}, true
	}
	return CallForm{}, false
}

// ReasoningEnd is the mark that ends a block of reasoning, "" for a model that has none; open reports
// whether the answer to a prompt begins inside such a block.
func (f *Format) ReasoningEnd(p *Prompt) (mark string, open bool) {
	return f.family.think.end, p.thinking
}

// ReasoningBegin is the mark that begins a block of reasoning, "" for a model that has none.
func (f *Format) ReasoningBegin() string { return f.family.think.open }

// IsMark reports whether a control token is a mark of the family: text to a grammar that forces calls.
func (f *Format) IsMark(id int32) bool { return f.family.marks[id] }

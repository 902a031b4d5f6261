package prompt

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/grammar"
	"github.com/galerne-ai/galerne/internal/jinja"
)

// abilities are what a template can do, found out by rendering small conversations with it.
type abilities struct {
	text         bool // a message's content may be one text
	parts        bool // it may be a list of parts
	system       bool // the system's turn is shown
	tools        bool // tools are shown
	noTools      bool // without tools the template wants an empty list
	argumentText bool // a call's arguments must be JSON text; otherwise they are an object
}

// probing renders small conversations.
type probing struct {
	f        *Format
	template *jinja.Template // with narrower limits: loading a model must not take long
	tools    jinja.List      // one tool, needle_tool
	user     *jinja.Map
}

func message(role string, content jinja.Value) *jinja.Map {
	return jinja.NewMap().Set("role", jinja.String(role)).Set("content", content)
}

func inParts(text string) jinja.List {
	return jinja.List{jinja.NewMap().Set("type", jinja.String("text")).Set("text", jinja.String(text))}
}

// render is "" where the template refuses.
func (p *probing) render(tools jinja.Value, begin bool, messages ...jinja.Value) string {
	vars := jinja.NewMap().Set("messages", jinja.List(messages)).Set("tools", tools).Set("documents", jinja.None{}).Set("add_generation_prompt", jinja.Bool(begin))
	p.f.tokenNames(vars)
	out, err := p.template.Render(vars)
	if err != nil {
		return ""
	}
	return out
}

// call is an assistant's turn that calls the tool, once with each of the arguments.
func (p *probing) call(arguments ...jinja.Value) *jinja.Map {
	var calls jinja.List
	for i, a := range arguments {
		fn := jinja.NewMap().Set("name", jinja.String("needle_tool")).Set("arguments", a)
		calls = append(calls, jinja.NewMap().Set("type", jinja.String("function")).Set("id", jinja.String("call0000"+strconv.Itoa(i))).Set("function", fn))
	}
	return message("assistant", jinja.String("")).Set("tool_calls", calls)
}

const needleArguments = `{"needle_key": "needle-v"}`

// probe renders what the abilities are about. A conversation that the template refuses is an ability
// that it does not have.
func (f *Format) probe() (*probing, abilities) {
	var a abilities
	template, _ := jinja.Parse(f.source, jinja.Options{Steps: 500_000, OutputBytes: 1 << 20}) // it was read before
	tools, _ := toolValues([]chat.Tool{{Name: "needle_tool", Description: "needle"}})
	p := &probing{f: f, template: template, tools: tools, user: message("user", jinja.String("needle-a"))}
	var no jinja.Value = jinja.None{}
	if p.render(no, false, p.user) == "" && p.render(jinja.List{}, false, p.user) != "" {
		no, a.noTools = jinja.List{}, true
	}
	a.text = strings.Contains(p.render(no, false, p.user), "needle-a")
	listed := p.render(no, false, message("user", inParts("needle-b")))
	a.parts = strings.Contains(listed, "needle-b") && !strings.Contains(listed, "'type'") && !strings.Contains(listed, `"type"`)
	if !a.text && a.parts {
		p.user = message("user", inParts("needle-a"))
	}
	a.text = a.text || !a.parts
	a.system = strings.Contains(p.render(no, false, message("system", jinja.String("needle-c")), p.user), "needle-c") ||
		a.parts && strings.Contains(p.render(no, false, message("system", inParts("needle-c")), p.user), "needle-c")
	a.tools = strings.Contains(p.render(p.tools, false, p.user), "needle_tool")
	result := message("tool", jinja.String("needle-d")).Set("tool_call_id", jinja.String("call00000")).Set("name", jinja.String("needle_tool"))
	object := p.render(p.tools, false, p.user, p.call(jinja.NewMap().Set("needle_key", jinja.String("needle-v"))), result)
	if a.tools && (!strings.Contains(object, "needle-v") || strings.Contains(object, "{'needle_key'")) {
		a.argumentText = strings.Contains(p.render(p.tools, false, p.user, p.call(jinja.String(needleArguments)), result), `{"needle_key"`)
	}
	return p, a
}

// writes is a call as the template writes it, with what may stand around it.
func (p *probing) writes(a abilities) string {
	if a.argumentText {
		return p.written(jinja.String(needleArguments))
	}
	return p.written(jinja.NewMap().Set("needle_key", jinja.String("needle-v")))
}

// written is calls as the template writes them, with what may stand around them.
func (p *probing) written(arguments ...jinja.Value) string {
	before, all := p.render(p.tools, true, p.user), p.render(p.tools, false, p.user, p.call(arguments...))
	n := 0
	for n < len(before) && n < len(all) && before[n] == all[n] {
		n++
	}
	if mark := strings.LastIndexAny(all[:n], "<["); mark >= 0 && !strings.ContainsAny(all[mark:n], ">]") {
		n = mark // the two differ within a mark
	}
	return all[n:]
}

// pairForm is the usual form of calls whose arguments stand between tags.
func (s syntax) pairForm() CallForm {
	t := s.tags()
	form := CallForm{Trigger: s.trigger(), Begin: s.trigger() + "\n<function=", Middle: ">\n", End: "</function>\n" + s.endMark(), Between: "\n",
		Pairs: grammar.Pairs{Begin: t.key, Middle: ">\n", End: "\n</parameter>\n"}}
	if s == glm {
		form.Begin, form.Middle, form.End = "<tool_call>", "\n", "</tool_call>"
		form.Pairs = grammar.Pairs{Begin: t.key, Middle: "</arg_key>\n<arg_value>", End: "</arg_value>\n"}
	}
	return form
}

// pairForm is how the template writes such calls: two are rendered, and what stands between the parts that are
// known is its form. Blanks differ from template to template.
func (p *probing) pairForm(s syntax) CallForm {
	form, t := s.pairForm(), s.tags()
	two := jinja.NewMap().Set("needle_key", jinja.String("needle-v")).Set("needle_more", jinja.String("needle-w"))
	rest := p.written(two, jinja.NewMap())
	if at := strings.Index(rest, form.Trigger); at > 0 {
		rest = rest[at:]
	}
	var parts []string
	for _, mark := range []string{"needle_tool", "needle_key", "needle-v", "needle_more", "needle-w", s.endMark(), form.Trigger} {
		part, behind, ok := strings.Cut(rest, mark)
		if !ok {
			return form
		}
		parts, rest = append(parts, part), behind
	}
	middle, ok1 := strings.CutSuffix(parts[1], t.key)
	pairEnd, ok2 := strings.CutSuffix(parts[3], t.key)
	end, ok3 := strings.CutPrefix(parts[5], pairEnd)
	if !ok1 || !ok2 || !ok3 || parts[2] != parts[4] || !strings.Contains(pairEnd, t.valueEnd) {
		return form
	}
	form.Begin, form.Middle, form.End, form.Between = parts[0], middle, end+s.endMark(), parts[6]
	form.Pairs.Middle, form.Pairs.End = parts[2], pairEnd
	return form
}

// reads reports whether a syntax understands that.
func (s syntax) reads(written string) bool {
	r := &Reader{f: &Format{family: &family{syntax: s}}, tools: map[string]*chat.Tool{"needle_tool": {}}, newID: func() string { return "" }}
	r.over = true
	r.feed(written)
	name, arguments := "", ""
	for _, p := range r.out {
		if p.Kind == chat.CallBlock {
			arguments += p.Text
			if p.Call != nil {
				name += p.Call.Name
			}
		}
	}
	var got struct {
		Value string `json:"needle_key"`
	}
	return name == "needle_tool" && json.Unmarshal([]byte(arguments), &got) == nil && got.Value == "needle-v"
}

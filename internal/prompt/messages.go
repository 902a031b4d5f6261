package prompt

import (
	"hash/fnv"
	"strconv"
	"strings"

	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/jinja"
)

// dict is one message as templates expect it, with the people's strings still apart.
type dict struct {
	role     string
	text     []string
	thinking string
	calls    []chat.Part
	id, name string // of a tool's result
	tagged   bool   // the answer continues it
}

// variables makes the template's variables of a request.
func (f *Format) variables(r *chat.Request) (variables, error) {
	dicts, err := f.dicts(r)
	if err != nil {
		return nil, err
	}
	tools, err := toolValues(offered(r))
	if err != nil {
		return nil, err
	}
	documents, err := documentValues(r.Documents)
	if err != nil {
		return nil, err
	}
	extra, err := f.extra(r)
	if err != nil {
		return nil, err
	}
	if !f.able.tools && (len(tools) > 0 || usesTools(dicts)) {
		dicts = explained(dicts, tools)
		tools = nil
	}
	if len(documents) > 0 && !strings.Contains(f.source, "documents") {
		dicts, documents = withDocuments(dicts, documents), nil
	}
	if !f.able.system {
		dicts = withoutSystem(dicts)
	}
	return func(words func(string) string) *jinja.Map {
		messages := make(jinja.List, len(dicts))
		for i := range dicts {
			messages[i] = f.message(&dicts[i], words)
		}
		vars := jinja.NewMap().Set("messages", messages)
		vars.Set("tools", f.orNone(mapStrings(jinja.List(tools), words).(jinja.List)))
		if len(documents) > 0 {
			vars.Set("documents", mapStrings(jinja.List(documents), words))
		} else {
			vars.Set("documents", jinja.None{})
		}
		vars.Set("add_generation_prompt", jinja.Bool(!continues(r)))
		f.tokenNames(vars)
		for _, e := range extra {
			vars.Set(e.name, mapStrings(e.value, words))
		}
		return vars
	}, nil
}

// orNone is what stands for tools: none of them is None for most templates.
func (f *Format) orNone(l jinja.List) jinja.Value {
	if len(l) == 0 && !f.able.noTools {
		return jinja.None{}
	}
	return l
}

func (f *Format) tokenNames(vars *jinja.Map) {
	if id, ok := f.tokens.BOS(); ok {
		vars.Set("bos_token", jinja.String(f.tokens.Token(id)))
	}
	if id, ok := f.tokens.EOS(); ok {
		vars.Set("eos_token", jinja.String(f.tokens.Token(id)))
	}
}

// offered are the tools that the model may call.
func offered(r *chat.Request) []chat.Tool {
	if r.ToolChoice.Mode == chat.ToolsNone {
		return nil
	}
	if len(r.ToolChoice.Names) == 0 {
		return r.Tools
	}
	var out []chat.Tool
	for _, t := range r.Tools {
		for _, name := range r.ToolChoice.Names {
			if t.Name == name {
				out = append(out, t)
				break
			}
		}
	}
	return out
}

func toolValues(tools []chat.Tool) ([]jinja.Value, error) {
	var out []jinja.Value
	for i, t := range tools {
		schema := jinja.Value(jinja.NewMap().Set("type", jinja.String("object")).Set("properties", jinja.NewMap()))
		if len(t.Schema) > 0 {
			var err error
			if schema, err = jinja.FromJSON(t.Schema); err != nil {
				return nil, chat.ErrRequest.Because("prompt: the schema of the tool %q is no JSON: %w", t.Name, err).At("tools[" + strconv.Itoa(i) + "]")
			}
		}
		fn := jinja.NewMap().Set("name", jinja.String(t.Name)).Set("description", jinja.String(t.Description)).Set("parameters", schema)
		out = append(out, jinja.NewMap().Set("type", jinja.String("function")).Set("function", fn))
	}
	return out, nil
}

func documentValues(documents []chat.Document) ([]jinja.Value, error) {
	var out []jinja.Value
	for i, d := range documents {
		m := jinja.NewMap()
		if len(d.Data) > 0 {
			v, err := jinja.FromJSON(d.Data)
			if err != nil {
				return nil, chat.ErrRequest.Because("prompt: document %d is no JSON: %w", i, err).At("documents[" + strconv.Itoa(i) + "]")
			}
			if given, ok := v.(*jinja.Map); ok {
				m = given
			}
		}
		for _, field := range [][2]string{{"id", d.ID}, {"title", d.Title}, {"text", d.Text}} {
			if _, given := m.Get(field[0]); !given && (field[1] != "" || field[0] != "id") {
				m.Set(field[0], jinja.String(field[1]))
			}
		}
		out = append(out, m)
	}
	return out, nil
}

// dicts makes the messages of a request. What a user's turn holds of tools' results becomes turns of the
// tools, as templates know them.
func (f *Format) dicts(r *chat.Request) ([]dict, error) {
	var out []dict
	for i := range r.Messages {
		m := &r.Messages[i]
		d := dict{role: string(m.Role), name: m.Name}
		if m.Role == chat.Developer && !strings.Contains(f.source, "developer") {
			d.role = string(chat.System)
		}
		some := len(m.Parts) == 0
		for j := range m.Parts {
			p := &m.Parts[j]
			switch p.Kind {
			case chat.TextPart, chat.RefusalPart:
				d.text, some = append(d.text, p.Text), true
			case chat.ThinkingPart:
				d.thinking += p.Text
				some = true
			case chat.CallPart:
				d.calls, some = append(d.calls, *p), true
			case chat.ResultPart:
				out = append(out, dict{role: string(chat.ToolRole), text: []string{p.Text}, id: p.CallID, name: p.Name})
			default:
				kind := "media"
				if p.Media != nil && p.Media.Type != "" {
					kind = p.Media.Type
				}
				return nil, chat.ErrUnsupported.Because("prompt: message %d has a part of type %s: this model reads text only", i, kind).
					At("messages[" + strconv.Itoa(i) + "]")
			}
		}
		if some && (m.Role != chat.ToolRole || len(d.text) > 0) {
			out = append(out, d)
		}
	}
	nameResults(out)
	if continues(r) && len(out) > 0 {
		out[len(out)-1].tagged = true
	}
	return out, nil
}

// nameResults gives results the name of the tool that their call named, which some templates print.
func nameResults(dicts []dict) {
	names := map[string]string{}
	for i := range dicts {
		for _, c := range dicts[i].calls {
			names[c.ID] = c.Name
		}
		if d := &dicts[i]; d.role == string(chat.ToolRole) && d.name == "" {
			d.name = names[d.id]
		}
	}
}

func (f *Format) message(d *dict, words func(string) string) *jinja.Map {
	m := jinja.NewMap().Set("role", jinja.String(d.role)).Set("content", f.content(d, words))
	if d.thinking != "" { // under the names that templates read
		m.Set("reasoning_content", jinja.String(words(d.thinking))).Set("thinking", jinja.String(words(d.thinking)))
	}
	if len(d.calls) > 0 {
		calls := make(jinja.List, len(d.calls))
		for i, c := range d.calls {
			fn := jinja.NewMap().Set("name", jinja.String(words(c.Name))).Set("arguments", f.arguments(c.Arguments, words))
			calls[i] = jinja.NewMap().Set("type", jinja.String("function")).Set("id", jinja.String(words(f.callID(c.ID)))).Set("function", fn)
		}
		m.Set("tool_calls", calls)
	}
	if d.role == string(chat.ToolRole) {
		m.Set("tool_call_id", jinja.String(words(f.callID(d.id))))
	}
	if d.name != "" {
		m.Set("name", jinja.String(words(d.name)))
	}
	return m
}

// content is the message's text: parts for a template that takes parts, one text for others.
func (f *Format) content(d *dict, words func(string) string) jinja.Value {
	text := d.text
	end := ""
	if d.tagged {
		end = tag
	}
	if f.able.text && (len(text) < 2 || !f.able.parts) {
		return jinja.String(words(strings.Join(text, "\n")) + end)
	}
	parts := jinja.List{}
	for i, t := range text {
		value := words(t)
		if i == len(text)-1 {
			value += end
		}
		parts = append(parts, jinja.NewMap().Set("type", jinja.String("text")).Set("text", jinja.String(value)))
	}
	return parts
}

// arguments are an object where the template wants one and the text is one.
func (f *Format) arguments(text string, words func(string) string) jinja.Value {
	if strings.TrimSpace(text) == "" {
		text = "{}"
	}
	if f.able.argumentText {
		return jinja.String(words(text))
	}
	v, err := jinja.FromJSON([]byte(text))
	if _, object := v.(*jinja.Map); err != nil || !object {
		return jinja.String(words(text))
	}
	return mapStrings(v, words)
}

// callID is an id that the family's template accepts: Mistral's take nine letters and digits only, so
// another vendor's id becomes nine that are always the same for it.
func (f *Format) callID(id string) string {
	if !f.family.shortIDs || len(id) == 9 && strings.Trim(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == "" {
		return id
	}
	h := fnv.New64a()
	h.Write([]byte(id))
	return (strconv.FormatUint(h.Sum64(), 36) + "000000000")[:9]
}

// mapStrings is a copy of a value with every string of it, keys included, put through words.
func mapStrings(v jinja.Value, words func(string) string) jinja.Value {
	switch v := v.(type) {
	case jinja.String:
		return jinja.String(words(string(v)))
	case jinja.List:
		out := make(jinja.List, len(v))
		for i := range v {
			out[i] = mapStrings(v[i], words)
		}
		return out
	case *jinja.Map:
		out := jinja.NewMap()
		for key, e := range v.All() {
			out.Set(words(key), mapStrings(e, words))
		}
		return out
	}
	return v
}

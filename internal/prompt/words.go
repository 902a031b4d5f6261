package prompt

import (
	"slices"
	"strings"

	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/jinja"
)

// Tools for a model whose template has no place for them: the system's turn explains them in words, in
// the form that most open models were trained on, and calls and results are written into the turns.

const howToCall = `You can call the functions below, each described by a line of JSON.
<tools>
%TOOLS%
</tools>
To call one, write its name and arguments as a JSON object inside <tool_call> tags, once for each call, and then end your turn:
<tool_call>
{"name": "function_name", "arguments": {"argument": "value"}}
</tool_call>
The results come in the next turn inside <tool_response> tags. If no function helps, answer in plain words.`

// howToRead is said before documents, for a model whose template has no place for them.
const howToRead = "Answer from these documents where they say something to the question."

// usesTools reports whether a conversation has calls or results.
func usesTools(dicts []dict) bool {
	return slices.ContainsFunc(dicts, func(d dict) bool { return len(d.calls) > 0 || d.role == string(chat.ToolRole) })
}

// explained puts the tools, if there are any to offer, and what was done with them into words.
func explained(dicts []dict, tools []jinja.Value) []dict {
	var out []dict
	if len(tools) > 0 {
		var system []string
		if len(dicts) > 0 && dicts[0].role == string(chat.System) {
			system, dicts = dicts[0].text, dicts[1:]
		}
		lines := make([]string, len(tools))
		for i, t := range tools {
			lines[i], _ = jinja.JSON(t) // it came from JSON
		}
		how := strings.Replace(howToCall, "%TOOLS%", strings.Join(lines, "\n"), 1)
		out = append(out, dict{role: string(chat.System), text: []string{strings.Join(append(slices.Clone(system), how), "\n\n")}})
	}
	for _, d := range dicts {
		var last *dict
		if len(out) > 0 {
			last = &out[len(out)-1]
		}
		switch {
		case len(d.calls) > 0:
			for _, c := range d.calls {
				d.text = append(d.text, `<tool_call>`+"\n"+`{"name": `+quoted(c.Name)+`, "arguments": `+orEmpty(c.Arguments)+"}\n</tool_call>")
			}
			d.calls = nil
			out = append(out, d)
		case d.role == string(chat.ToolRole):
			result := "<tool_response>\n" + strings.Join(d.text, "\n") + "\n</tool_response>"
			if last != nil && last.id != "" && last.role == string(chat.User) {
				last.text = append(last.text, result)
			} else {
				out = append(out, dict{role: string(chat.User), text: []string{result}, id: d.id})
			}
		default:
			out = append(out, d)
		}
	}
	return out
}

func quoted(s string) string {
	text, _ := jinja.JSON(jinja.String(s))
	return text
}

func orEmpty(arguments string) string {
	if strings.TrimSpace(arguments) == "" {
		return "{}"
	}
	return arguments
}

// withoutSystem puts the system's words in front of the user's, for a template that has no system's turn.
func withoutSystem(dicts []dict) []dict {
	var out []dict
	var system []string
	for _, d := range dicts {
		if d.role == string(chat.System) {
			system = append(system, d.text...)
			continue
		}
		if d.role == string(chat.User) && len(system) > 0 {
			d.text = []string{strings.Join(append(system, d.text...), "\n\n")}
			system = nil
		}
		out = append(out, d)
	}
	if len(system) > 0 {
		out = append(out, dict{role: string(chat.User), text: []string{strings.Join(system, "\n\n")}})
	}
	return out
}

// withDocuments shows documents to a model whose template has no place for them: in the system message,
// in plain words, since small models copy what looks like data.
func withDocuments(dicts []dict, documents []jinja.Value) []dict {
	texts := []string{howToRead}
	for _, d := range documents {
		texts = append(texts, inWords(d))
	}
	system := dict{role: string(chat.System)}
	if len(dicts) > 0 && dicts[0].role == system.role {
		system, dicts = dicts[0], dicts[1:]
	}
	system.text = []string{strings.Join(append(slices.Clone(system.text), texts...), "\n\n")}
	return append([]dict{system}, dicts...)
}

// inWords is a document as a reader would write it down: its name, what else is known of it, its text.
func inWords(document jinja.Value) string {
	m, ok := document.(*jinja.Map)
	if !ok {
		text, _ := jinja.JSON(document) // it came from JSON
		return text
	}
	head, text, lines := "Document", "", []string{}
	for name, value := range m.All() {
		word, ok := value.(jinja.String)
		if !ok {
			data, _ := jinja.JSON(value) // it came from JSON
			word = jinja.String(data)
		}
		switch {
		case word == "":
		case name == "id":
			head += " " + string(word)
		case name == "text":
			text = string(word)
		default:
			lines = append(lines, name+": "+string(word))
		}
	}
	lines = append([]string{head + ":"}, lines...)
	if text != "" {
		lines = append(lines, text)
	}
	return strings.Join(lines, "\n")
}

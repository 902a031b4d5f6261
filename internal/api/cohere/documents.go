package cohere

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

const maxDocuments = 4096

// readDocuments reads the sources of an answer: strings, or objects with an id and data.
func (b *chatBody) readDocuments(r *chat.Request) error {
	if len(b.Documents) > maxDocuments {
		return invalid("documents", "there are %d documents: at most %d are possible", len(b.Documents), maxDocuments)
	}
	for i, raw := range b.Documents {
		d, err := readDocument(fmt.Sprintf("documents[%d]", i), raw, fmt.Sprintf("doc:%d", i))
		if err != nil {
			return err
		}
		if slices.ContainsFunc(r.Documents, func(o chat.Document) bool { return o.ID == d.ID }) {
			return invalid(fmt.Sprintf("documents[%d].id", i), "documents[%d].id is %q, which an earlier document has: ids must be unique", i, d.ID)
		}
		r.Documents = append(r.Documents, d)
	}
	return nil
}

// readDocument reads one source, whose id is otherwise, unless it has one.
func readDocument(at string, raw json.RawMessage, otherwise string) (chat.Document, error) {
	out := chat.Document{ID: otherwise}
	if isNull(raw) {
		return out, missing(at)
	}
	if raw[0] == '"' {
		if err := api.Decode(at, raw, &out.Text, false); err != nil {
			return out, err
		}
		data, err := api.Encode(map[string]string{"text": out.Text})
		out.Data = data
		return out, err
	}
	var v struct {
		ID   string          `json:"id"`
		Data json.RawMessage `json:"data"`
	}
	if raw[0] != '{' {
		return out, invalid(at, "%s must be a string, or an object with data", at)
	}
	if err := api.Decode(at, raw, &v, false); err != nil {
		return out, err
	}
	switch {
	case isNull(v.Data):
		return out, missing(at + ".data")
	case v.Data[0] == '"': // as older clients sent it
		one, err := readDocument(at+".data", v.Data, otherwise)
		if v.ID != "" {
			one.ID = v.ID
		}
		return one, err
	case v.Data[0] != '{':
		return out, invalid(at+".data", "%s.data must be an object of strings", at)
	}
	if v.ID != "" {
		out.ID = v.ID
	}
	var fields map[string]any
	if err := api.Decode(at+".data", v.Data, &fields, false); err != nil {
		return out, err
	}
	out.Data = v.Data
	out.Title, _ = fields["title"].(string)
	text, has := fields["text"].(string)
	if !has {
		text = lines(fields)
	}
	out.Text = text
	return out, nil
}

// lines is a document without a text: what its fields say, in the order of their names.
func lines(fields map[string]any) string {
	var names []string
	for name := range fields {
		if name != "title" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var out strings.Builder
	for _, name := range names {
		text, ok := fields[name].(string)
		if !ok {
			data, err := api.Encode(fields[name])
			if err != nil {
				continue // it came from JSON
			}
			text = string(data)
		}
		out.WriteString(name + ": " + text + "\n")
	}
	return out.String()
}

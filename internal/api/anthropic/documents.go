package anthropic

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

// source is where an image or a document comes from.
type source struct {
	Type      string          `json:"type"`
	MediaType string          `json:"media_type"`
	Data      string          `json:"data"`
	URL       string          `json:"url"`
	FileID    string          `json:"file_id"`
	Content   json.RawMessage `json:"content"`
}

// media reads what is not text.
func media(at, kind string, raw json.RawMessage) (chat.Part, error) {
	if isNull(raw) {
		return chat.Part{}, missing(at)
	}
	var s source
	if err := api.Decode(at, raw, &s, false); err != nil {
		return chat.Part{}, err
	}
	m := &chat.Media{Type: kind, URL: s.URL}
	if s.MediaType != "" {
		m.Type = s.MediaType
	}
	switch s.Type {
	case "base64":
		data, err := base64.StdEncoding.DecodeString(s.Data)
		if err != nil {
			return chat.Part{}, invalid(at+".data", "%s.data is not base64", at)
		}
		m.Data = data
	case "url":
	case "file":
		m.URL = "file:" + s.FileID
	default:
		return chat.Part{}, invalid(at+".type", "%s.type is %q: it must be base64, url or file", at, s.Type)
	}
	return chat.Part{Kind: chat.MediaPart, Media: m}, nil
}

// document reads a document of text. One that shall be cited goes beside the messages, as package chat
// has it; any other is part of its message.
func (v *conversation) document(at string, b *block) ([]chat.Part, error) {
	if isNull(b.Source) {
		return nil, missing(at + ".source")
	}
	var s source
	if b.Source[0] != '{' {
		return nil, invalid(at+".source", "%s.source must be an object", at)
	}
	if err := api.Decode(at+".source", b.Source, &s, false); err != nil {
		return nil, err
	}
	text := s.Data
	switch s.Type {
	case "text":
	case "content":
		parts, err := v.content(at+".source.content", s.Content, "user")
		if err != nil {
			return nil, err
		}
		if text, err = joined(at+".source.content", parts); err != nil {
			return nil, err
		}
	default:
		p, err := media(at+".source", "file", b.Source)
		return []chat.Part{p}, err
	}
	return v.cited(at, b, chat.Document{Title: b.Title, Text: text}, b.Context)
}

// searchResult reads a passage that a search has found.
func (v *conversation) searchResult(at string, b *block) ([]chat.Part, error) {
	if isNull(b.Source) || isNull(b.Content) {
		return nil, invalid(at, "%s must have a source, a title and content", at)
	}
	var from string
	if err := api.Decode(at+".source", b.Source, &from, false); err != nil {
		return nil, err
	}
	parts, err := v.content(at+".content", b.Content, "user")
	if err != nil {
		return nil, err
	}
	text, err := joined(at+".content", parts)
	if err != nil {
		return nil, err
	}
	return v.cited(at, b, chat.Document{Title: b.Title, Text: text, ID: from}, from)
}

func joined(at string, parts []chat.Part) (string, error) {
	texts := make([]string, len(parts))
	for i, p := range parts {
		if p.Kind != chat.TextPart {
			return "", unsupported(at, "%s has a block that is not text: the models here read text only", at)
		}
		texts[i] = p.Text
	}
	return strings.Join(texts, "\n"), nil
}

// cited puts a document where it belongs; about is what else the model should know of it.
func (v *conversation) cited(at string, b *block, d chat.Document, about string) ([]chat.Part, error) {
	var c struct {
		Enabled bool `json:"enabled"`
	}
	if !isNull(b.Citations) {
		if err := api.Decode(at+".citations", b.Citations, &c, false); err != nil {
			return nil, err
		}
	}
	if c.Enabled {
		if d.ID == "" {
			d.ID = ordinal(len(v.request.Documents))
		}
		v.request.Documents, v.request.Citations = append(v.request.Documents, d), "accurate"
		return nil, nil
	}
	text := d.Text
	for _, line := range []string{about, d.Title} {
		if line != "" {
			text = line + "\n" + text
		}
	}
	return []chat.Part{{Kind: chat.TextPart, Text: text}}, nil
}

// ordinal names a document that has no name: by its place, which tells it from a search result, whose
// name is its source.
func ordinal(i int) string { return "document-" + strconv.Itoa(i) }

package bedrock

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/galerne-ai/galerne/internal/chat"
)

type message struct {
	Role    string  `json:"role"`
	Content []block `json:"content"`
}

// block is any block of content. Which of its fields is there says what it is.
type block struct {
	Text       *string         `json:"text"`
	Image      *media          `json:"image"`
	Video      *media          `json:"video"`
	Audio      *media          `json:"audio"`
	Document   *document       `json:"document"`
	ToolUse    *toolUse        `json:"toolUse"`
	ToolResult *toolResult     `json:"toolResult"`
	Guard      *guard          `json:"guardContent"`
	CachePoint json.RawMessage `json:"cachePoint"` // every prefix is kept as long as there is room
	Reasoning  *reasoning      `json:"reasoningContent"`
	Citations  *struct {
		Content []struct {
			Text string `json:"text"`
		} `json:"content"`
		Citations json.RawMessage `json:"citations"` // what an answer of before rested on
	} `json:"citationsContent"`
	Search       *searchResult   `json:"searchResult"`
	ToolAddition json.RawMessage `json:"toolAddition"`
	ToolRemoval  json.RawMessage `json:"toolRemoval"`
	JSON         json.RawMessage `json:"json"` // in the content of a tool result
}

type media struct {
	Format string `json:"format"`
	Source source `json:"source"`
}

type source struct {
	Bytes string `json:"bytes"` // base64
	Text  string `json:"text"`
	S3    *struct {
		URI string `json:"uri"`
	} `json:"s3Location"`
	Content []struct {
		Text string `json:"text"`
	} `json:"content"`
}

type document struct {
	Format    string       `json:"format"`
	Name      string       `json:"name"`
	Source    source       `json:"source"`
	Context   string       `json:"context"`
	Citations citationFlag `json:"citations"`
}

type citationFlag struct {
	Enabled bool `json:"enabled"`
}

type searchResult struct {
	Source  string `json:"source"`
	Title   string `json:"title"`
	Content []struct {
		Text string `json:"text"`
	} `json:"content"`
	Citations citationFlag `json:"citations"`
}

type toolUse struct {
	ID    string          `json:"toolUseId"`
	Name  string          `json:"name"`
	Input json.RawMessage `json:"input"`
	Type  string          `json:"type"`
}

type toolResult struct {
	ID      string  `json:"toolUseId"`
	Content []block `json:"content"`
	Status  string  `json:"status"`
	Type    string  `json:"type"`
}

// guard is text that a guardrail would look at; there is none here.
type guard struct {
	Text *struct {
		Text       string   `json:"text"`
		Qualifiers []string `json:"qualifiers"`
	} `json:"text"`
	Image *media `json:"image"`
}

type reasoning struct {
	Text *struct {
		Text      string `json:"text"`
		Signature string `json:"signature"`
	} `json:"reasoningText"`
	Redacted string `json:"redactedContent"`
}

// conversation gathers the turns of a request.
type conversation struct {
	request *chat.Request
	calls   map[string]string // names of the tools that were called, by id
	open    map[string]bool   // calls that no result has answered
}

func (b *body) readMessages(r *chat.Request) error {
	v := conversation{r, map[string]string{}, map[string]bool{}}
	if len(b.System) > 0 {
		if err := v.add("system", b.System, chat.System); err != nil {
			return err
		}
	}
	if len(b.Messages) == 0 {
		return missing("messages")
	}
	for i, m := range b.Messages {
		at := fmt.Sprintf("messages[%d]", i)
		switch m.Role {
		case "user", "assistant", "system":
		default:
			return invalid(at+".role", "%s.role is %q: it must be user, assistant or system", at, m.Role)
		}
		if len(m.Content) == 0 {
			return invalid(at+".content", "%s.content is empty: a message needs at least one block", at)
		}
		if err := v.add(at+".content", m.Content, chat.Role(m.Role)); err != nil {
			return err
		}
	}
	if len(r.Messages) == 0 {
		return invalid("messages", "messages have nothing that a model can read")
	}
	if last := &r.Messages[len(r.Messages)-1]; last.Role == chat.Assistant {
		if len(v.open) > 0 {
			return invalid("messages", "the last message calls tools, and no toolResult follows: send one for each toolUse")
		}
		last.Prefix = true
	}
	return nil
}

// add reads the blocks of a turn. Turns of one speaker in a row are one.
func (v *conversation) add(at string, blocks []block, role chat.Role) error {
	var parts []chat.Part
	for i := range blocks {
		more, err := v.block(fmt.Sprintf("%s[%d]", at, i), &blocks[i], role)
		if err != nil {
			return err
		}
		parts = append(parts, more...)
	}
	all := v.request.Messages
	if n := len(all); n > 0 && all[n-1].Role == role {
		all[n-1].Parts = append(all[n-1].Parts, parts...)
		return nil
	}
	v.request.Messages = append(all, chat.Message{Role: role, Parts: parts})
	return nil
}

func text(s string) []chat.Part { return []chat.Part{{Kind: chat.TextPart, Text: s}} }

func (v *conversation) block(at string, b *block, role chat.Role) ([]chat.Part, error) {
	if err := b.belongs(at, role); err != nil {
		return nil, err
	}
	switch {
	case b.Text != nil:
		return text(*b.Text), nil
	case b.Guard != nil && b.Guard.Text != nil:
		return text(b.Guard.Text.Text), nil
	case b.Document != nil:
		return v.document(at+".document", b.Document)
	case b.Search != nil:
		s := b.Search
		return v.source(chat.Document{ID: s.Source, Title: s.Title, Text: joined(s.Content)}, s.Source, s.Citations.Enabled), nil
	case b.ToolUse != nil:
		return v.call(at+".toolUse", b.ToolUse)
	case b.ToolResult != nil:
		return v.result(at+".toolResult", b.ToolResult)
	case b.Reasoning != nil && b.Reasoning.Text != nil:
		return []chat.Part{{Kind: chat.ThinkingPart, Text: b.Reasoning.Text.Text, Signature: b.Reasoning.Text.Signature}}, nil
	case b.Reasoning != nil:
		return nil, unsupported(at+".reasoningContent", "%s.reasoningContent is reasoning that another server has encrypted: leave it out", at)
	case b.Citations != nil:
		return text(joined(b.Citations.Content)), nil
	case !isNull(b.CachePoint):
		return nil, nil
	case !isNull(b.ToolAddition), !isNull(b.ToolRemoval):
		return nil, unsupported(at, "%s changes the tools: send those that there are in toolConfig", at)
	}
	for kind, m := range map[string]*media{"image": b.Image, "video": b.Video, "audio": b.Audio} {
		if m != nil {
			return m.Source.media(kind + "/" + m.Format), nil
		}
	}
	return nil, invalid(at, "%s has none of text, document, toolUse, toolResult, reasoningContent and searchResult", at)
}

// belongs checks that a block may stand in a turn of a speaker.
func (b *block) belongs(at string, role chat.Role) error {
	for _, p := range []struct {
		name string
		is   bool
		role chat.Role
	}{{"toolUse", b.ToolUse != nil, chat.Assistant}, {"reasoningContent", b.Reasoning != nil, chat.Assistant}, {"toolResult", b.ToolResult != nil, chat.User},
		{"document", b.Document != nil, chat.User}, {"image", b.Image != nil, chat.User}} {
		if p.is && p.role != role {
			return invalid(at+"."+p.name, "%s.%s belongs into a message of the role %s", at, p.name, p.role)
		}
	}
	return nil
}

func (s *source) media(kind string) []chat.Part {
	m := &chat.Media{Type: strings.TrimSuffix(kind, "/")}
	if s.S3 != nil {
		m.URL = s.S3.URI
	}
	return []chat.Part{{Kind: chat.MediaPart, Media: m}}
}

func joined(content []struct {
	Text string `json:"text"`
}) string {
	texts := make([]string, len(content))
	for i, c := range content {
		texts[i] = c.Text
	}
	return strings.Join(texts, "\n")
}

// document reads a document of text.
func (v *conversation) document(at string, d *document) ([]chat.Part, error) {
	if d.Name == "" {
		return nil, missing(at + ".name")
	}
	all := d.Source.Text
	switch {
	case d.Source.S3 != nil:
		return d.Source.media("file"), nil
	case all != "":
	case len(d.Source.Content) > 0:
		all = joined(d.Source.Content)
	default:
		switch d.Format {
		case "txt", "md", "csv", "html", "":
			data, err := base64.StdEncoding.DecodeString(d.Source.Bytes)
			if err != nil {
				return nil, invalid(at+".source.bytes", "%s.source.bytes is not base64: %v", at, err)
			}
			all = strings.ToValidUTF8(string(data), "\uFFFD")
		default:
			return d.Source.media("application/" + d.Format), nil
		}
	}
	return v.source(chat.Document{Title: d.Name, Text: all}, d.Context, d.Citations.Enabled), nil
}

// source puts a document where it belongs: beside the messages if it shall be cited, else into its message.
func (v *conversation) source(d chat.Document, about string, cited bool) []chat.Part {
	if cited {
		if d.ID == "" {
			d.ID = "document-" + strconv.Itoa(len(v.request.Documents))
		}
		v.request.Documents, v.request.Citations = append(v.request.Documents, d), "accurate"
		return nil
	}
	lines := []string{}
	for _, line := range []string{d.Title, about, d.Text} {
		if line != "" {
			lines = append(lines, line)
		}
	}
	return text(strings.Join(lines, "\n"))
}

func (v *conversation) call(at string, t *toolUse) ([]chat.Part, error) {
	switch {
	case t.Type == "server_tool_use":
		return nil, unsupported(at+".type", "%s comes from a tool of another server: give what it says as text", at)
	case t.ID == "":
		return nil, missing(at + ".toolUseId")
	case t.Name == "":
		return nil, missing(at + ".name")
	case isNull(t.Input):
		t.Input = json.RawMessage("{}")
	case t.Input[0] != '{':
		return nil, invalid(at+".input", "%s.input must be an object", at)
	}
	if _, twice := v.calls[t.ID]; twice {
		return nil, invalid(at+".toolUseId", "%s.toolUseId is %q, which an earlier toolUse has: ids must be unique", at, t.ID)
	}
	v.calls[t.ID], v.open[t.ID] = t.Name, true
	return []chat.Part{{Kind: chat.CallPart, ID: t.ID, Name: t.Name, Arguments: string(t.Input)}}, nil
}

func (v *conversation) result(at string, t *toolResult) ([]chat.Part, error) {
	name, known := v.calls[t.ID]
	switch {
	case t.ID == "":
		return nil, missing(at + ".toolUseId")
	case !known:
		return nil, invalid(at+".toolUseId", "%s.toolUseId is %q, and no toolUse before it has that id", at, t.ID)
	case t.Status != "" && t.Status != "success" && t.Status != "error":
		return nil, invalid(at+".status", "%s.status is %q: it must be success or error", at, t.Status)
	}
	delete(v.open, t.ID)
	out := chat.Part{Kind: chat.ResultPart, CallID: t.ID, Name: name, Failed: t.Status == "error"}
	var texts []string
	for i := range t.Content {
		here, b := fmt.Sprintf("%s.content[%d]", at, i), &t.Content[i]
		if !isNull(b.JSON) {
			texts = append(texts, string(b.JSON))
			continue
		}
		if b.ToolUse != nil || b.ToolResult != nil {
			return nil, invalid(here, "%s must be json, text, document or searchResult", here)
		}
		parts, err := v.block(here, b, chat.User)
		if err != nil {
			return nil, err
		}
		for _, p := range parts {
			if p.Kind != chat.TextPart {
				return nil, unsupported(here, "%s is not text: the models here read text only", here)
			}
			texts = append(texts, p.Text)
		}
	}
	out.Text = strings.Join(texts, "\n")
	return []chat.Part{out}, nil
}

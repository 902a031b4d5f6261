package anthropic

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

// view is how an answer is shown.
type view struct {
	request  *chat.Request
	omit     bool // reasoning comes as its signature only
	diagnose bool
}

// answer is a whole message, or the beginning of a streamed one.
type answer struct {
	ID           string       `json:"id"`
	Type         string       `json:"type"`
	Role         string       `json:"role"`
	Model        string       `json:"model"`
	Content      []any        `json:"content"`
	StopReason   *string      `json:"stop_reason"`
	StopSequence *string      `json:"stop_sequence"`
	Diagnostics  *diagnosis   `json:"diagnostics,omitempty"`
	Usage        messageUsage `json:"usage"`
}

// diagnosis says why a prompt was not in the cache: no message is kept that it could be compared with.
type diagnosis struct {
	Reason struct {
		Type string `json:"type"`
	} `json:"cache_miss_reason"`
}

type messageUsage struct {
	Input         int            `json:"input_tokens"`
	CacheCreation int            `json:"cache_creation_input_tokens"`
	CacheRead     int            `json:"cache_read_input_tokens"`
	Creation      *cacheCreation `json:"cache_creation,omitempty"`
	Output        int            `json:"output_tokens"`
	Details       *outputDetails `json:"output_tokens_details,omitempty"`
	ServiceTier   string         `json:"service_tier,omitempty"`
}

type cacheCreation struct {
	FiveMinutes int `json:"ephemeral_5m_input_tokens"`
	Hour        int `json:"ephemeral_1h_input_tokens"`
}

type outputDetails struct {
	Thinking int `json:"thinking_tokens"`
}

// usageOf counts as Anthropic does: input tokens are those that were not in the cache.
func usageOf(u *chat.Usage) messageUsage {
	out := messageUsage{Output: u.Answer}
	out.Input, out.CacheRead = u.Prompt-u.Cached, u.Cached
	if u.Reasoning > 0 {
		out.Details = &outputDetails{u.Reasoning}
	}
	return out
}

// wholeUsage is usage with what a message says and a message_delta does not.
func wholeUsage(u *chat.Usage) messageUsage {
	out := usageOf(u)
	out.Creation, out.ServiceTier = &cacheCreation{}, "standard"
	return out
}

// The blocks of an answer. Blocks that begin in a stream are the same, empty.
type textBlock struct {
	Type      string `json:"type"`
	Text      string `json:"text"`
	Citations []any  `json:"citations,omitempty"`
}

type thinkingBlock struct {
	Type      string `json:"type"`
	Thinking  string `json:"thinking"`
	Signature string `json:"signature"`
}

type toolUseBlock struct {
	Type  string          `json:"type"`
	ID    string          `json:"id"`
	Name  string          `json:"name"`
	Input json.RawMessage `json:"input"`
}

func (v *view) start(id, model string, usage messageUsage) *answer {
	out := &answer{ID: named("msg_", id), Type: "message", Role: "assistant", Model: modelName(v.request.Model, model), Content: []any{}, Usage: usage}
	if v.diagnose {
		out.Diagnostics = &diagnosis{}
		out.Diagnostics.Reason.Type = "previous_message_not_found"
	}
	return out
}

// message is a whole answer.
func (v *view) message(a *chat.Response) *answer {
	out := v.start(a.ID, a.Model, wholeUsage(&a.Usage))
	if len(a.Choices) == 0 {
		return out
	}
	c := &a.Choices[0]
	for i := range c.Blocks {
		b := &c.Blocks[i]
		switch b.Kind {
		case chat.TextBlock, chat.RefusalBlock:
			t := textBlock{Type: "text", Text: b.Text}
			for j := range b.Citations {
				t.Citations = append(t.Citations, v.citations(&b.Citations[j])...)
			}
			out.Content = append(out.Content, t)
		case chat.ThinkingBlock:
			out.Content = append(out.Content, v.thought(b.Text))
		case chat.CallBlock:
			out.Content = append(out.Content, toolUseBlock{"tool_use", named("toolu_", b.Call.ID), b.Call.Name, api.Object(b.Text)})
		}
	}
	out.StopReason, out.StopSequence = stopReason(c.Finish, c.StopText)
	return out
}

// stopReason is Anthropic's word, and the stop sequence that was met.
func stopReason(f chat.Finish, met string) (reason, sequence *string) {
	word := "end_turn"
	switch f {
	case chat.StopString:
		word, sequence = "stop_sequence", &met
	case chat.Length:
		word = "max_tokens"
	case chat.Full:
		word = "model_context_window_exceeded"
	case chat.ToolCall:
		word = "tool_use"
	case chat.Filtered, chat.Refused:
		word = "refusal"
	}
	return &word, sequence
}

// Signatures of reasoning: a digest of what is shown, or all of what is not, so that a conversation
// goes on with it. Those of other servers are taken as they are.
const (
	digestSignature  = "gd1."
	omittedSignature = "go1."
)

func (v *view) thought(text string) thinkingBlock {
	if v.omit {
		return thinkingBlock{Type: "thinking", Signature: omittedSignature + base64.StdEncoding.EncodeToString([]byte(text))}
	}
	sum := sha256.Sum256([]byte(text))
	return thinkingBlock{"thinking", text, digestSignature + base64.StdEncoding.EncodeToString(sum[:])}
}

// thoughtOf is the reasoning that a block stands for which comes back.
func thoughtOf(text, signature string) string {
	if rest, ok := strings.CutPrefix(signature, omittedSignature); ok && text == "" {
		if data, err := base64.StdEncoding.DecodeString(rest); err == nil {
			return strings.ToValidUTF8(string(data), "\uFFFD")
		}
	}
	return text
}

// charLocation is a citation of a document, searchLocation one of a search result or of a source that
// this server has added. Which part of the source the claim rests on is not known, so it is all of it.
type charLocation struct {
	Type          string `json:"type"`
	CitedText     string `json:"cited_text"`
	DocumentIndex int    `json:"document_index"`
	DocumentTitle string `json:"document_title"`
	Start         int    `json:"start_char_index"`
	End           int    `json:"end_char_index"`
}

type searchLocation struct {
	Type      string `json:"type"`
	CitedText string `json:"cited_text"`
	Source    string `json:"source"`
	Title     string `json:"title"`
	Index     int    `json:"search_result_index"`
	Start     int    `json:"start_block_index"`
	End       int    `json:"end_block_index"`
}

func (v *view) citations(c *chat.Citation) (out []any) {
	for _, s := range c.Sources {
		out = append(out, v.citation(&s))
	}
	return out
}

func (v *view) citation(s *chat.Document) any {
	documents, searches := 0, 0
	for i := range v.request.Documents {
		d := &v.request.Documents[i]
		isDocument := d.ID == ordinal(i)
		switch {
		case d.ID != s.ID && isDocument:
			documents++
		case d.ID != s.ID:
			searches++
		case isDocument:
			return charLocation{"char_location", d.Text, documents, d.Title, 0, len([]rune(d.Text))}
		default:
			return searchLocation{"search_result_location", d.Text, d.ID, d.Title, searches, 0, 1}
		}
	}
	return searchLocation{"search_result_location", s.Text, s.ID, s.Title, searches, 0, 1}
}

package bedrock

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

// answer is a whole answer of converse.
type answer struct {
	Output struct {
		Message answerMessage `json:"message"`
	} `json:"output"`
	StopReason string          `json:"stopReason"`
	Usage      usage           `json:"usage"`
	Metrics    metrics         `json:"metrics"`
	Additional json.RawMessage `json:"additionalModelResponseFields,omitempty"`
}

type answerMessage struct {
	Role    string        `json:"role"`
	Content []answerBlock `json:"content"`
}

// answerBlock has one of its fields.
type answerBlock struct {
	Text      string          `json:"text,omitempty"`
	Reasoning *answerThought  `json:"reasoningContent,omitempty"`
	ToolUse   *answerToolUse  `json:"toolUse,omitempty"`
	Cited     *answerCitation `json:"citationsContent,omitempty"`
}

type answerThought struct {
	Text struct {
		Text      string `json:"text"`
		Signature string `json:"signature"`
	} `json:"reasoningText"`
}

type answerToolUse struct {
	ID    string          `json:"toolUseId"`
	Name  string          `json:"name"`
	Input json.RawMessage `json:"input"`
}

// answerCitation is a text with what it rests on.
type answerCitation struct {
	Content   []textOnly `json:"content"`
	Citations []citation `json:"citations"`
}

type textOnly struct {
	Text string `json:"text"`
}

type citation struct {
	Title    string            `json:"title,omitempty"`
	Source   string            `json:"source,omitempty"`
	Content  []textOnly        `json:"sourceContent"`
	Location *citationLocation `json:"location,omitempty"`
}

// citationLocation is where a source is among those of the request. Which part of it the text rests on is
// not known, so it is all of it.
type citationLocation struct {
	Document *documentChar         `json:"documentChar,omitempty"`
	Search   *searchResultLocation `json:"searchResultLocation,omitempty"`
}

type documentChar struct {
	Index int `json:"documentIndex"`
	Start int `json:"start"`
	End   int `json:"end"`
}

type searchResultLocation struct {
	Index int `json:"searchResultIndex"`
	Start int `json:"start"`
	End   int `json:"end"`
}

type usage struct {
	Input      int `json:"inputTokens"`
	Output     int `json:"outputTokens"`
	Total      int `json:"totalTokens"`
	CacheRead  int `json:"cacheReadInputTokens"`
	CacheWrite int `json:"cacheWriteInputTokens"`
}

type metrics struct {
	Latency int64 `json:"latencyMs"`
}

// usageOf counts as Amazon does: input tokens are those that were not in the cache.
func usageOf(u *chat.Usage) usage {
	if u == nil {
		u = &chat.Usage{}
	}
	return usage{Input: u.Prompt - u.Cached, Output: u.Answer, Total: u.Prompt + u.Answer, CacheRead: u.Cached}
}

func metricsOf(t *chat.Timing) metrics {
	if t == nil {
		t = &chat.Timing{}
	}
	return metrics{(t.Queue + t.Load + t.Prompt + t.Answer).Milliseconds()}
}

// stopReason is Amazon's word.
func stopReason(f chat.Finish, malformed bool) string {
	switch f {
	case chat.StopString:
		return "stop_sequence"
	case chat.Length:
		return "max_tokens"
	case chat.Full:
		return "model_context_window_exceeded"
	case chat.ToolCall:
		if malformed {
			return "malformed_tool_use"
		}
		return "tool_use"
	case chat.Filtered, chat.Refused:
		return "content_filtered"
	}
	return "end_turn"
}

// malformed reports whether the arguments of a call are not the object that a tool needs. They are told as
// an object all the same, closed or put into one.
func malformed(arguments string) bool {
	arguments = strings.TrimSpace(arguments)
	return arguments != "" && (arguments[0] != '{' || !json.Valid([]byte(arguments)))
}

func (v *view) answer(a *chat.Response) *answer {
	out := &answer{Usage: usageOf(&a.Usage), Metrics: metricsOf(&a.Timing)}
	out.Output.Message = answerMessage{"assistant", []answerBlock{}}
	if len(a.Choices) == 0 {
		out.StopReason = "end_turn"
		return out
	}
	c, broken := &a.Choices[0], false
	for i := range c.Blocks {
		b := &c.Blocks[i]
		one := answerBlock{}
		switch {
		case b.Kind == chat.CallBlock:
			broken = broken || malformed(b.Text)
			one.ToolUse = &answerToolUse{callID(b.Call.ID), b.Call.Name, api.Object(b.Text)}
		case b.Text == "":
			continue
		case b.Kind == chat.ThinkingBlock:
			one.Reasoning = &answerThought{}
			one.Reasoning.Text.Text, one.Reasoning.Text.Signature = b.Text, signature(b.Text)
		case len(b.Citations) > 0:
			one.Cited = &answerCitation{Content: []textOnly{{b.Text}}, Citations: v.citations(b.Citations)}
		default:
			one.Text = b.Text
		}
		out.Output.Message.Content = append(out.Output.Message.Content, one)
	}
	out.StopReason = stopReason(c.Finish, broken)
	out.Additional = v.additional(c.Finish, c.StopText)
	return out
}

// additional is the field of the model's own that was asked for.
func (v *view) additional(f chat.Finish, met string) json.RawMessage {
	if !v.matched {
		return nil
	}
	if f != chat.StopString {
		return json.RawMessage(`{"stop_sequence":null}`)
	}
	data, _ := api.Encode(map[string]string{"stop_sequence": met}) // strings only: cannot fail
	return data
}

// signature is a digest of reasoning, as its clients send it back.
func signature(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// callID is an id as Amazon writes it.
func callID(id string) string { return "tooluse_" + strings.TrimPrefix(id, "call_") }

func (v *view) citations(all []chat.Citation) (out []citation) {
	for i := range all {
		for j := range all[i].Sources {
			out = append(out, v.citation(&all[i].Sources[j]))
		}
	}
	return out
}

func (v *view) citation(d *chat.Document) citation {
	out := citation{Title: d.Title, Content: []textOnly{{d.Text}}}
	documents, searches := 0, 0
	for i := range v.request.Documents {
		own := &v.request.Documents[i]
		search := !strings.HasPrefix(own.ID, "document-")
		switch {
		case own.ID == d.ID && search:
			out.Source, out.Location = d.ID, &citationLocation{Search: &searchResultLocation{searches, 0, 1}}
			return out
		case own.ID == d.ID:
			out.Location = &citationLocation{Document: &documentChar{documents, 0, len([]rune(d.Text))}}
			return out
		case search:
			searches++
		default:
			documents++
		}
	}
	out.Source = d.ID // this server has added it
	return out
}

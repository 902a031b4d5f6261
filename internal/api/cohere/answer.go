package cohere

import (
	"encoding/json"
	"strings"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

// answer is a whole answer.
type answer struct {
	ID           string        `json:"id"`
	FinishReason string        `json:"finish_reason"`
	Message      answerMessage `json:"message"`
	Usage        *usage        `json:"usage"`
	Logprobs     []logprob     `json:"logprobs,omitempty"`
}

type answerMessage struct {
	Role      string     `json:"role"`
	Content   []part     `json:"content,omitempty"`
	ToolCalls []toolCall `json:"tool_calls,omitempty"`
	Citations []citation `json:"citations,omitempty"`
}

// citation is a stretch of a part of the content. Start and end count characters of that part.
type citation struct {
	Start        int      `json:"start"`
	End          int      `json:"end"`
	Text         string   `json:"text"`
	Sources      []source `json:"sources"`
	ContentIndex int      `json:"content_index"`
	Type         string   `json:"type"`
}

type source struct {
	Type     string          `json:"type"` // document or tool
	ID       string          `json:"id"`
	Document json.RawMessage `json:"document,omitempty"`
	Output   json.RawMessage `json:"tool_output,omitempty"`
}

type usage struct {
	Billed billed `json:"billed_units"`
	Tokens billed `json:"tokens"`
	Cached int    `json:"cached_tokens"`
}

// logprob is one token of the answer's text.
type logprob struct {
	Text     string    `json:"text"`
	IDs      []int32   `json:"token_ids"`
	Logprobs []float64 `json:"logprobs"`
}

// finishReason is Cohere's word.
func finishReason(f chat.Finish) string {
	switch f {
	case chat.StopString:
		return "STOP_SEQUENCE"
	case chat.Length, chat.Full:
		return "MAX_TOKENS"
	case chat.ToolCall:
		return "TOOL_CALL"
	case chat.Filtered:
		return "ERROR"
	}
	return "COMPLETE"
}

func usageOf(u *chat.Usage) *usage {
	if u == nil {
		u = &chat.Usage{}
	}
	both := billed{Input: &u.Prompt, Output: &u.Answer}
	return &usage{both, both, u.Cached}
}

// answer tells a whole answer.
func (v *view) answer(a *chat.Response) *answer {
	out := &answer{ID: answerID(a.ID), FinishReason: "COMPLETE", Usage: usageOf(&a.Usage), Message: answerMessage{Role: "assistant"}}
	if len(a.Choices) == 0 {
		return out
	}
	c, m := &a.Choices[0], &out.Message
	out.FinishReason = finishReason(c.Finish)
	for i := range c.Blocks {
		b := &c.Blocks[i]
		if b.Kind == chat.CallBlock {
			m.ToolCalls = append(m.ToolCalls, toolCall{b.Call.ID, "function", functionCall{b.Call.Name, b.Text}})
			continue
		}
		for j := range b.Citations {
			m.Citations = append(m.Citations, v.citation(&b.Citations[j], len(m.Content)))
		}
		m.Content = append(m.Content, contentOf(b.Kind, b.Text))
		if b.Kind == chat.TextBlock {
			out.Logprobs = append(out.Logprobs, v.logprobs(b.Tokens)...)
		}
	}
	return out
}

func contentOf(kind chat.BlockKind, text string) part {
	if kind == chat.ThinkingBlock {
		return part{Type: "thinking", Thinking: &text}
	}
	return part{Type: "text", Text: &text}
}

func (v *view) citation(c *chat.Citation, content int) citation {
	out := citation{Start: c.Start, End: c.End, Text: c.Text, Sources: []source{}, ContentIndex: content, Type: "TEXT_CONTENT"}
	for _, d := range c.Sources {
		if v.results[d.ID] {
			out.Sources = append(out.Sources, source{Type: "tool", ID: d.ID, Output: d.Data})
			continue
		}
		out.Sources = append(out.Sources, source{Type: "document", ID: d.ID, Document: withID(&d)})
	}
	return out
}

// withID is a document's data with its id among them, as Cohere tells it.
func withID(d *chat.Document) json.RawMessage {
	fields := map[string]any{}
	if json.Unmarshal(d.Data, &fields) != nil {
		fields = map[string]any{"title": d.Title, "text": d.Text}
	}
	fields["id"] = d.ID
	out, err := api.Encode(fields)
	if err != nil {
		return d.Data // it came from JSON
	}
	return out
}

// unlikely stands for what has no finite log-probability.
const unlikely = -9999

func (v *view) logprobs(tokens []chat.Token) (out []logprob) {
	if v.request.Logprobs == nil {
		return nil
	}
	for i := range tokens {
		t := &tokens[i]
		p := float64(unlikely)
		if t.Logprob > unlikely { // also not what is no number
			p = float64(t.Logprob)
		}
		out = append(out, logprob{strings.ToValidUTF8(string(t.Bytes), "\uFFFD"), []int32{t.ID}, []float64{p}})
	}
	return out
}

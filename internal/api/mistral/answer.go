package mistral

import (
	"encoding/json"
	"strings"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

// completion is a whole answer, or with deltas for messages a piece of one.
type completion struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	Model   string `json:"model"`
	Usage   *usage `json:"usage,omitempty"`
	Choices []any  `json:"choices"` // of choice, or of chunkChoice
}

type usage struct {
	Prompt  int     `json:"prompt_tokens"`
	Answer  int     `json:"completion_tokens"`
	Total   int     `json:"total_tokens"`
	Details details `json:"prompt_tokens_details"`
}

type details struct {
	Cached int `json:"cached_tokens"`
}

func usageOf(u *chat.Usage) *usage {
	if u == nil {
		u = &chat.Usage{}
	}
	return &usage{u.Prompt, u.Answer, u.Prompt + u.Answer, details{u.Cached}}
}

type choice struct {
	Index          int           `json:"index"`
	Message        answerMessage `json:"message"`
	FinishReason   string        `json:"finish_reason"`
	Logprobs       *logprobs     `json:"logprobs,omitempty"`
	PromptLogprobs *logprobs     `json:"prompt_logprobs,omitempty"`
}

type answerMessage struct {
	Role      string     `json:"role"`
	Content   any        `json:"content"` // a string, or chunks where there is reasoning
	ToolCalls []toolCall `json:"tool_calls"`
	Prefix    bool       `json:"prefix"`
}

// finishReason is Mistral's word.
func finishReason(f chat.Finish) string {
	switch f {
	case chat.Length:
		return "length"
	case chat.Full:
		return "model_length"
	case chat.ToolCall:
		return "tool_calls"
	case chat.Filtered:
		return "error"
	}
	return "stop"
}

func textChunk(text string) contentChunk { return contentChunk{Type: "text", Text: &text} }

func thinkChunk(text string, closed *bool) (contentChunk, error) {
	inner, err := api.Encode([]contentChunk{textChunk(text)})
	return contentChunk{Type: "thinking", Thinking: inner, Closed: closed}, err
}

// arguments are a string that holds what the model wrote.
func arguments(text string) json.RawMessage {
	out, err := api.Encode(text)
	if err != nil {
		return json.RawMessage(`""`) // a string always can be written
	}
	return out
}

func completionOf(r *chat.Request, a *chat.Response) *completion {
	out := &completion{ID: answerID(a.ID), Object: "chat.completion", Created: a.Created.Unix(), Model: modelName(r.Model, a.Model),
		Usage: usageOf(&a.Usage), Choices: []any{}}
	for i := range a.Choices {
		c := choiceOf(r, i, &a.Choices[i])
		if r.PromptLogprobs != nil {
			c.PromptLogprobs = (*logprobs)(nil).add(a.Prompt[min(1, len(a.Prompt)):]) // the first has none
		}
		out.Choices = append(out.Choices, c)
	}
	return out
}

func choiceOf(r *chat.Request, i int, c *chat.Choice) choice {
	out := choice{Index: i, FinishReason: finishReason(c.Finish)}
	out.Message.Role = "assistant"
	var text strings.Builder
	var chunks []contentChunk
	closed := true
	for j := range c.Blocks {
		switch b := &c.Blocks[j]; b.Kind {
		case chat.TextBlock, chat.RefusalBlock:
			text.WriteString(b.Text)
			chunks = append(chunks, textChunk(b.Text))
		case chat.ThinkingBlock:
			if one, err := thinkChunk(b.Text, &closed); err == nil {
				chunks = append(chunks, one)
			}
		case chat.CallBlock:
			out.Message.ToolCalls = append(out.Message.ToolCalls, toolCall{ID: callID(b.Call.ID), Type: "function",
				Function: functionCall{b.Call.Name, arguments(b.Text)}, Index: len(out.Message.ToolCalls)})
		}
		if r.Logprobs != nil && c.Blocks[j].Kind == chat.TextBlock {
			out.Logprobs = out.Logprobs.add(c.Blocks[j].Tokens)
		}
	}
	out.Message.Content = text.String()
	if c.Text(chat.ThinkingBlock) != "" {
		out.Message.Content = chunks
	}
	return out
}

// logprobs is how likely the tokens of a text were.
type logprobs struct {
	Content []tokenLogprob `json:"content"`
}

type tokenLogprob struct {
	Token   string         `json:"token"`
	Logprob float64        `json:"logprob"`
	Bytes   []int          `json:"bytes"`
	ID      int32          `json:"token_id"`
	Top     []tokenLogprob `json:"top_logprobs,omitempty"`
}

func (l *logprobs) add(tokens []chat.Token) *logprobs {
	for i := range tokens {
		if l == nil {
			l = &logprobs{}
		}
		one := logprobOf(&tokens[i])
		for j := range tokens[i].Top {
			one.Top = append(one.Top, logprobOf(&tokens[i].Top[j]))
		}
		l.Content = append(l.Content, one)
	}
	return l
}

// unlikely stands for what has no finite log-probability.
const unlikely = -9999

func logprobOf(t *chat.Token) tokenLogprob {
	out := tokenLogprob{Token: strings.ToValidUTF8(string(t.Bytes), "\uFFFD"), Logprob: unlikely, Bytes: make([]int, len(t.Bytes)), ID: t.ID}
	if t.Logprob > unlikely { // also not what is no number
		out.Logprob = float64(t.Logprob)
	}
	for i, b := range t.Bytes {
		out.Bytes[i] = int(b)
	}
	return out
}

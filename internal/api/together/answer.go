package together

import (
	"strings"

	"github.com/galerne-ai/galerne/internal/api/openai"
	"github.com/galerne-ai/galerne/internal/chat"
)

// view is what of a request shapes its answer.
type view struct {
	request  *chat.Request
	chatting bool
	echo     bool
}

// answer is a whole answer to a chat or a text.
type answer struct {
	ID      string   `json:"id"`
	Object  string   `json:"object"`
	Created int64    `json:"created"`
	Model   string   `json:"model"`
	Prompt  []prompt `json:"prompt"`
	Choices []choice `json:"choices"`
	Usage   usage    `json:"usage"`
}

// prompt is what was asked, where echo asks for it.
type prompt struct {
	Text     string    `json:"text"`
	Logprobs *logprobs `json:"logprobs"`
}

type choice struct {
	Index        int       `json:"index"`
	Text         *string   `json:"text,omitempty"`
	Message      *message  `json:"message,omitempty"`
	Logprobs     *logprobs `json:"logprobs"`
	FinishReason string    `json:"finish_reason"`
	Seed         *uint64   `json:"seed"`
}

type message struct {
	Role      string     `json:"role"`
	Content   *string    `json:"content"`
	Reasoning *string    `json:"reasoning,omitempty"`
	ToolCalls []toolCall `json:"tool_calls"`
}

type toolCall struct {
	Index    int          `json:"index"`
	ID       string       `json:"id,omitempty"`
	Type     string       `json:"type,omitempty"`
	Function functionCall `json:"function"`
}

type functionCall struct {
	Name      string `json:"name,omitempty"`
	Arguments string `json:"arguments"`
}

type usage struct {
	Prompt int `json:"prompt_tokens"`
	Answer int `json:"completion_tokens"`
	Total  int `json:"total_tokens"`
	Cached int `json:"cached_tokens"`
}

func usageOf(u *chat.Usage) usage { return usage{u.Prompt, u.Answer, u.Prompt + u.Answer, u.Cached} }

// logprobs are lists of one length.
type logprobs struct {
	Tokens        []string             `json:"tokens"`
	TokenLogprobs []*float64           `json:"token_logprobs"`
	IDs           []int32              `json:"token_ids"`
	Top           []map[string]float64 `json:"top_logprobs"`
}

// unlikely stands for what has no finite log-probability.
const unlikely = -9999

func finite(p float32) float64 {
	if !(p > unlikely) { // also what is not a number
		return unlikely
	}
	return float64(p)
}

func textOf(t *chat.Token) string { return strings.ToValidUTF8(string(t.Bytes), "\uFFFD") }

// add appends tokens; so many of them have no probability, since nothing came before.
func (l *logprobs) add(tokens []chat.Token, bare int) *logprobs {
	for i := range tokens {
		if l == nil {
			l = &logprobs{}
		}
		t := &tokens[i]
		var p *float64
		top := map[string]float64{}
		if i >= bare {
			own := finite(t.Logprob)
			p = &own
			for j := range t.Top {
				top[textOf(&t.Top[j])] = finite(t.Top[j].Logprob)
			}
		}
		l.Tokens, l.TokenLogprobs = append(l.Tokens, textOf(t)), append(l.TokenLogprobs, p)
		l.IDs, l.Top = append(l.IDs, t.ID), append(l.Top, top)
	}
	return l
}

// prompts is what was asked, as the answer tells it.
func (v *view) prompts(read []chat.Token) []prompt {
	if !v.echo {
		return []prompt{}
	}
	one := prompt{Text: v.request.Raw.Text}
	if v.request.PromptLogprobs != nil {
		one.Logprobs = one.Logprobs.add(read, 1)
	}
	return []prompt{one}
}

func (v *view) object(whole bool) string {
	switch {
	case v.chatting && whole:
		return "chat.completion"
	case v.chatting:
		return "chat.completion.chunk"
	case whole:
		return "text.completion"
	}
	return "completion.chunk"
}

func (v *view) answer(a *chat.Response) *answer {
	out := &answer{ID: answerID(a.ID), Object: v.object(true), Created: a.Created.Unix(), Model: openai.ModelName(v.request.Model, a.Model),
		Prompt: v.prompts(a.Prompt), Choices: []choice{}, Usage: usageOf(&a.Usage)}
	for i := range a.Choices {
		out.Choices = append(out.Choices, v.choice(i, &a.Choices[i]))
	}
	return out
}

func (v *view) choice(i int, c *chat.Choice) choice {
	out := choice{Index: i, FinishReason: finishReason(c.Finish), Seed: v.request.Sampling.Seed}
	text := c.Text(chat.TextBlock) + c.Text(chat.RefusalBlock)
	for j := range c.Blocks {
		if b := &c.Blocks[j]; v.request.Logprobs != nil && b.Kind != chat.CallBlock && b.Kind != chat.ThinkingBlock {
			out.Logprobs = out.Logprobs.add(b.Tokens, 0)
		}
	}
	if !v.chatting {
		out.Text = &text
		return out
	}
	m := &message{Role: "assistant", ToolCalls: []toolCall{}}
	if thought := c.Text(chat.ThinkingBlock); thought != "" {
		m.Reasoning = &thought
	}
	for j, b := range c.Calls() {
		m.ToolCalls = append(m.ToolCalls, toolCall{j, b.Call.ID, "function", functionCall{b.Call.Name, b.Text}})
	}
	if text != "" || len(m.ToolCalls) == 0 {
		m.Content = &text
	}
	out.Message = m
	return out
}

package ollama

import (
	"strings"
	"time"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

// view is how an answer is shown: as chat's message, or as generate's response.
type view struct {
	request  *chat.Request
	name     string // of the model, as the caller wrote it
	chat     bool
	remember bool // the end has a context
}

// line is a whole answer, or a part of a streamed one.
type line struct {
	Model     string         `json:"model"`
	CreatedAt string         `json:"created_at"`
	Message   *answerMessage `json:"message,omitempty"`
	Response  *string        `json:"response,omitempty"`
	Thinking  string         `json:"thinking,omitempty"`
	ToolCalls []toolCall     `json:"tool_calls,omitempty"`
	Logprobs  []logprob      `json:"logprobs,omitempty"`

	Done       bool    `json:"done"`
	DoneReason string  `json:"done_reason,omitempty"`
	Context    []int32 `json:"context,omitempty"`
	*counts
}

type answerMessage struct {
	Role      string     `json:"role"`
	Content   string     `json:"content"`
	Thinking  string     `json:"thinking,omitempty"`
	ToolCalls []toolCall `json:"tool_calls,omitempty"`
}

// counts are of tokens and nanoseconds.
type counts struct {
	Total      time.Duration `json:"total_duration"`
	Load       time.Duration `json:"load_duration"`
	Prompt     int           `json:"prompt_eval_count"`
	PromptTook time.Duration `json:"prompt_eval_duration"`
	Answer     int           `json:"eval_count"`
	AnswerTook time.Duration `json:"eval_duration"`
}

type logprob struct {
	tokenLogprob
	Top []tokenLogprob `json:"top_logprobs,omitempty"`
}

type tokenLogprob struct {
	Token   string  `json:"token"`
	Logprob float32 `json:"logprob"`
	Bytes   []int   `json:"bytes"`
}

func timestamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

func countsOf(u *chat.Usage, t *chat.Timing) *counts {
	if u == nil {
		u = &chat.Usage{}
	}
	if t == nil {
		t = &chat.Timing{}
	}
	return &counts{Total: t.Load + t.Queue + t.Prompt + t.Answer, Load: t.Load, Prompt: u.Prompt, PromptTook: t.Prompt, Answer: u.Answer, AnswerTook: t.Answer}
}

// doneReason is Ollama's word, which has two.
func doneReason(f chat.Finish) string {
	if f == chat.Length || f == chat.Full {
		return "length"
	}
	return "stop"
}

func logprobsOf(tokens []chat.Token) (out []logprob) {
	one := func(t *chat.Token) tokenLogprob {
		v := tokenLogprob{Token: strings.ToValidUTF8(string(t.Bytes), "\uFFFD"), Logprob: t.Logprob, Bytes: []int{}}
		for _, b := range t.Bytes {
			v.Bytes = append(v.Bytes, int(b))
		}
		return v
	}
	for i := range tokens {
		l := logprob{tokenLogprob: one(&tokens[i])}
		for j := range tokens[i].Top {
			l.Top = append(l.Top, one(&tokens[i].Top[j]))
		}
		out = append(out, l)
	}
	return out
}

// say puts text where the route has it.
func (v *view) say(l *line, text string) {
	if v.chat {
		l.Message = &answerMessage{Role: "assistant", Content: text}
		return
	}
	l.Response = &text
}

// think does the same for reasoning.
func (v *view) think(l *line, text string) {
	v.say(l, "")
	if v.chat {
		l.Message.Thinking = text
		return
	}
	l.Thinking = text
}

func (v *view) call(l *line, calls []toolCall) {
	if v.chat {
		l.Message.ToolCalls = calls
		return
	}
	l.ToolCalls = calls
}

func callOf(index int, c *chat.Call, arguments string) toolCall {
	return toolCall{ID: c.ID, Function: functionCall{Index: &index, Name: c.Name, Arguments: api.Object(arguments)}}
}

// whole is an answer in one.
func (v *view) whole(a *chat.Response) *line {
	l := &line{Model: v.name, CreatedAt: timestamp(a.Created), Done: true, DoneReason: "stop", counts: countsOf(&a.Usage, &a.Timing)}
	text, thought := "", ""
	var calls []toolCall
	if len(a.Choices) > 0 {
		c := &a.Choices[0]
		l.DoneReason = doneReason(c.Finish)
		for i := range c.Blocks {
			b := &c.Blocks[i]
			switch b.Kind {
			case chat.TextBlock, chat.RefusalBlock:
				text += b.Text
			case chat.ThinkingBlock:
				thought += b.Text
			case chat.CallBlock:
				calls = append(calls, callOf(len(calls), b.Call, b.Text))
			}
			if v.request.Logprobs != nil {
				l.Logprobs = append(l.Logprobs, logprobsOf(b.Tokens)...)
			}
		}
	}
	v.think(l, thought)
	if v.chat {
		l.Message.Content = text
	} else {
		l.Response = &text
	}
	v.call(l, calls)
	if v.remember {
		l.Context = toContext(v.request.Messages, text)
	}
	return l
}

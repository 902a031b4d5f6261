package openai

import (
	"encoding/json"
	"strings"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/openai/custom"
	"github.com/galerne-ai/galerne/internal/chat"
)

// completion is a whole answer.
type completion struct {
	ID                string             `json:"id"`
	Object            string             `json:"object"`
	Created           int64              `json:"created"`
	Model             string             `json:"model"`
	Choices           []completionChoice `json:"choices"`
	Usage             *usage             `json:"usage"`
	SystemFingerprint *string            `json:"system_fingerprint"`
	ServiceTier       string             `json:"service_tier"`
	PromptTokenIDs    []int32            `json:"prompt_token_ids,omitempty"`
}

type completionChoice struct {
	Index        int           `json:"index"`
	Message      answerMessage `json:"message"`
	Logprobs     *logprobs     `json:"logprobs"`
	FinishReason string        `json:"finish_reason"`
	TokenIDs     []int32       `json:"token_ids,omitempty"`
}

type answerMessage struct {
	Role        string       `json:"role"`
	Content     *string      `json:"content"`
	Refusal     *string      `json:"refusal"`
	Reasoning   *string      `json:"reasoning_content,omitempty"`
	ToolCalls   []toolCall   `json:"tool_calls,omitempty"`
	Annotations []annotation `json:"annotations"`
}

// annotation is a citation of a source that was given with the request. OpenAI's own clients know
// url_citation only and pass over others.
type annotation struct {
	Type     string       `json:"type"`
	Citation documentCite `json:"document_citation"`
}

type documentCite struct {
	Start   int           `json:"start_index"`
	End     int           `json:"end_index"`
	Text    string        `json:"text"`
	Sources []citedSource `json:"sources"`
}

type citedSource struct {
	ID    string `json:"id"`
	Title string `json:"title"`
}

func annotationOf(c *chat.Citation) annotation {
	a := annotation{"document_citation", documentCite{Start: c.Start, End: c.End, Text: c.Text, Sources: []citedSource{}}}
	for _, d := range c.Sources {
		a.Citation.Sources = append(a.Citation.Sources, citedSource{d.ID, d.Title})
	}
	return a
}

type usage struct {
	Prompt        int           `json:"prompt_tokens"`
	Answer        int           `json:"completion_tokens"`
	Total         int           `json:"total_tokens"`
	PromptDetails promptDetails `json:"prompt_tokens_details"`
	AnswerDetails answerDetails `json:"completion_tokens_details"`
}

type promptDetails struct {
	Cached     int `json:"cached_tokens"`
	CacheWrite int `json:"cache_write_tokens"` // writing costs nothing, so none are told apart
	Audio      int `json:"audio_tokens"`
}

type answerDetails struct {
	Reasoning int `json:"reasoning_tokens"`
	Audio     int `json:"audio_tokens"`
	Accepted  int `json:"accepted_prediction_tokens"`
	Rejected  int `json:"rejected_prediction_tokens"`
}

func usageOf(u *chat.Usage) *usage {
	return &usage{Prompt: u.Prompt, Answer: u.Answer, Total: u.Prompt + u.Answer,
		PromptDetails: promptDetails{Cached: u.Cached}, AnswerDetails: answerDetails{Reasoning: u.Reasoning}}
}

// finishReason is OpenAI's word; a call that was demanded by name ends with stop, as theirs does.
func finishReason(r *chat.Request, f chat.Finish) string {
	switch f {
	case chat.Length, chat.Full:
		return "length"
	case chat.Filtered:
		return "content_filter"
	case chat.ToolCall:
		if r.ToolChoice.Mode != chat.ToolsNamed {
			return "tool_calls"
		}
	}
	return "stop"
}

func completionOf(r *chat.Request, texts custom.Names, a *chat.Response) *completion {
	out := &completion{ID: Named("chatcmpl-", a.ID), Object: "chat.completion", Created: a.Created.Unix(),
		Model: ModelName(r.Model, a.Model), Choices: []completionChoice{}, Usage: usageOf(&a.Usage), ServiceTier: "default"}
	if r.TokenIDs {
		out.PromptTokenIDs = tokenIDs(a.Prompt)
	}
	for i := range a.Choices {
		out.Choices = append(out.Choices, choiceOf(r, texts, i, &a.Choices[i]))
	}
	return out
}

func choiceOf(r *chat.Request, texts custom.Names, i int, c *chat.Choice) completionChoice {
	out := completionChoice{Index: i, FinishReason: finishReason(r, c.Finish)}
	m := &out.Message
	m.Role, m.Annotations = "assistant", []annotation{}
	for j := range c.Blocks {
		b := &c.Blocks[j]
		switch b.Kind {
		case chat.TextBlock:
			m.Content = joinText(m.Content, b.Text)
		case chat.RefusalBlock:
			m.Refusal = joinText(m.Refusal, b.Text)
		case chat.ThinkingBlock:
			m.Reasoning = joinText(m.Reasoning, b.Text)
		case chat.CallBlock:
			m.ToolCalls = append(m.ToolCalls, callOf(texts, b))
		}
		for k := range b.Citations {
			m.Annotations = append(m.Annotations, annotationOf(&b.Citations[k]))
		}
		if r.Logprobs != nil {
			out.Logprobs = out.Logprobs.add(b.Kind, b.Tokens)
		}
		if r.TokenIDs {
			out.TokenIDs = append(out.TokenIDs, tokenIDs(b.Tokens)...)
		}
	}
	if m.Content == nil && m.Refusal == nil && len(m.ToolCalls) == 0 {
		m.Content = joinText(nil, "")
	}
	return out
}

func callOf(texts custom.Names, b *chat.Block) toolCall {
	if texts[b.Call.Name] {
		return toolCall{ID: b.Call.ID, Type: "custom", Custom: &customCall{b.Call.Name, custom.Input(b.Text)}}
	}
	return toolCall{ID: b.Call.ID, Type: "function", Function: &functionCall{b.Call.Name, b.Text}}
}

func joinText(old *string, more string) *string {
	if old != nil {
		more = *old + more
	}
	return &more
}

func tokenIDs(tokens []chat.Token) []int32 {
	out := make([]int32, len(tokens))
	for i, t := range tokens {
		out[i] = t.ID
	}
	return out
}

// chunkChoice is what a piece of a streamed answer says of one choice.
type chunkChoice struct {
	Index        int       `json:"index"`
	Delta        delta     `json:"delta"`
	Logprobs     *logprobs `json:"logprobs"`
	FinishReason *string   `json:"finish_reason"`
	TokenIDs     []int32   `json:"token_ids,omitempty"`
}

// delta has one of its fields, or none. Content is raw, since it is null in the first delta of an
// answer that does not begin with text.
type delta struct {
	Role        string          `json:"role,omitempty"`
	Content     json.RawMessage `json:"content,omitempty"`
	Refusal     *string         `json:"refusal,omitempty"`
	Reasoning   *string         `json:"reasoning_content,omitempty"`
	ToolCalls   []toolCall      `json:"tool_calls,omitempty"`
	Annotations []annotation    `json:"annotations,omitempty"`
}

// chunks encodes a streamed chat.
type chunks struct {
	sender[chunkChoice]
	r       *chat.Request
	texts   custom.Names
	choices []chunksChoice
}

type chunksChoice struct {
	begun bool
	calls int               // begun so far
	input *custom.Unwrapper // of the latest call, if its tool is custom
}

func newChunks(r *chat.Request, texts custom.Names, how manner) *chunks {
	return &chunks{sender: sender[chunkChoice]{manner: how}, r: r, texts: texts, choices: make([]chunksChoice, max(r.N, 1))}
}

// framedChunks encodes a streamed chat in another vendor's framing, whose end is the connection's.
type framedChunks struct{ *chunks }

func (s *framedChunks) Type() string                         { return s.framing.Type() }
func (s *framedChunks) Ping(out *api.Frames)                 { s.framing.Ping(out) }
func (s *framedChunks) Fail(out *api.Frames, f *api.Failure) { s.framing.Fail(out, f) }
func (s *framedChunks) End(*api.Frames)                      {}

// keptChunks encodes a streamed chat that is kept. Who leaves before its end has it kept by nobody.
type keptChunks struct {
	*chunks
	fold chat.Fold
	as   string // its ID
	keep func(*completion) error
}

func (s *keptChunks) Event(out *api.Frames, ev *chat.Event) error {
	if ev.Kind == chat.Started {
		ev.ID = s.as
	}
	s.fold.Add(*ev)
	if ev.Kind == chat.Ended {
		if err := s.keep(completionOf(s.r, s.texts, s.fold.Response())); err != nil {
			return err
		}
	}
	return s.chunks.Event(out, ev)
}

func (s *chunks) Event(out *api.Frames, ev *chat.Event) error {
	if ev.Kind == chat.Started {
		s.start(ev)
		return nil
	}
	if ev.Kind == chat.Ended {
		return s.end(out, ev)
	}
	c := &s.choices[ev.Choice]
	if !c.begun {
		c.begun = true
		first := delta{Role: "assistant", Content: json.RawMessage("null")}
		if ev.BlockKind == chat.TextBlock {
			first.Content = json.RawMessage(`""`)
		}
		if err := s.send(out, chunkChoice{Index: ev.Choice, Delta: first}); err != nil {
			return err
		}
		s.base.PromptTokenIDs = nil // said once
	}
	switch ev.Kind {
	case chat.BlockStart:
		if ev.BlockKind != chat.CallBlock {
			return nil
		}
		at := c.calls
		c.calls, c.input = c.calls+1, nil
		if s.texts[ev.Call.Name] {
			c.input = new(custom.Unwrapper)
		}
		call := callOf(s.texts, &chat.Block{Call: ev.Call})
		call.Index = &at
		return s.send(out, chunkChoice{Index: ev.Choice, Delta: delta{ToolCalls: []toolCall{call}}})
	case chat.Delta:
		return s.delta(out, ev, c)
	case chat.Cited:
		return s.send(out, chunkChoice{Index: ev.Choice, Delta: delta{Annotations: []annotation{annotationOf(ev.Citation)}}})
	case chat.Finished:
		why := finishReason(s.r, ev.Finish)
		return s.send(out, chunkChoice{Index: ev.Choice, FinishReason: &why})
	}
	return nil
}

func (s *chunks) start(ev *chat.Event) {
	s.begin(answered[chunkChoice]{ID: Named("chatcmpl-", ev.ID), Object: "chat.completion.chunk", Created: ev.Created.Unix(),
		Model: ModelName(s.r.Model, ev.Model), ServiceTier: "default"})
	if s.r.TokenIDs {
		s.base.PromptTokenIDs = tokenIDs(ev.Prompt)
	}
}

func (s *chunks) delta(out *api.Frames, ev *chat.Event, c *chunksChoice) error {
	one, text := chunkChoice{Index: ev.Choice}, ev.Text
	switch ev.BlockKind {
	case chat.TextBlock:
		content, err := api.Encode(ev.Text)
		if err != nil {
			return err
		}
		one.Delta.Content = content
	case chat.ThinkingBlock:
		one.Delta.Reasoning = &ev.Text
	case chat.RefusalBlock:
		one.Delta.Refusal = &ev.Text
	case chat.CallBlock:
		at := c.calls - 1
		call := toolCall{Index: &at}
		if c.input != nil {
			text = c.input.Next(text)
			call.Custom = &customCall{Input: text}
		} else {
			call.Function = &functionCall{Arguments: text}
		}
		one.Delta.ToolCalls = []toolCall{call}
	}
	if s.r.Logprobs != nil {
		one.Logprobs = one.Logprobs.add(ev.BlockKind, ev.Tokens)
	}
	if s.r.TokenIDs {
		one.TokenIDs = tokenIDs(ev.Tokens)
	}
	if text == "" && one.Logprobs == nil && len(one.TokenIDs) == 0 {
		return nil
	}
	return s.send(out, one)
}

// logprobs is how likely the tokens of an answer were.
type logprobs struct {
	Content []TokenLogprob `json:"content"`
	Refusal []TokenLogprob `json:"refusal"`
}

// TokenLogprob is one token of an answer.
type TokenLogprob struct {
	Token   string       `json:"token"`
	Logprob float64      `json:"logprob"`
	Bytes   Bytes        `json:"bytes"`
	Top     []TopLogprob `json:"top_logprobs"`
}

// TopLogprob is a token that could have stood there.
type TopLogprob struct {
	Token   string  `json:"token"`
	Logprob float64 `json:"logprob"`
	Bytes   Bytes   `json:"bytes"`
}

// Bytes are a list of numbers in JSON, where Go would write base64.
type Bytes []uint16

func bytesOf(b []byte) Bytes {
	out := make(Bytes, len(b))
	for i, v := range b {
		out[i] = uint16(v)
	}
	return out
}

// unlikely stands for what has no finite log-probability.
const unlikely = -9999

func finite(logprob float32) float64 {
	if !(logprob > unlikely) { // also what is not a number
		return unlikely
	}
	return float64(logprob)
}

// textOf is a token as text; half a character is shown by its replacement.
func textOf(t *chat.Token) string { return strings.ToValidUTF8(string(t.Bytes), "\uFFFD") }

// add appends tokens of what is content or refusal; those of reasoning and of calls are neither.
func (l *logprobs) add(kind chat.BlockKind, tokens []chat.Token) *logprobs {
	if len(tokens) == 0 || kind != chat.TextBlock && kind != chat.RefusalBlock {
		return l
	}
	if l == nil {
		l = &logprobs{}
	}
	list := &l.Content
	if kind == chat.RefusalBlock {
		list = &l.Refusal
	}
	*list = append(*list, TokenLogprobs(tokens)...)
	return l
}

// TokenLogprobs is how likely each token was, with its alternatives.
func TokenLogprobs(tokens []chat.Token) []TokenLogprob {
	out := make([]TokenLogprob, 0, len(tokens))
	for i := range tokens {
		t := &tokens[i]
		one := TokenLogprob{textOf(t), finite(t.Logprob), bytesOf(t.Bytes), []TopLogprob{}}
		for j := range t.Top {
			one.Top = append(one.Top, TopLogprob{textOf(&t.Top[j]), finite(t.Top[j].Logprob), bytesOf(t.Top[j].Bytes)})
		}
		out = append(out, one)
	}
	return out
}

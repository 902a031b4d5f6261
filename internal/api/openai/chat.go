package openai

import (
	"encoding/json"
	"net/http"
	"unicode/utf8"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/openai/custom"
	"github.com/galerne-ai/galerne/internal/chat"
)

// chatBody is the request of /v1/chat/completions, without what chatFields lists.
type chatBody struct {
	Sampling
	Ending
	format
	Model           string          `json:"model"`
	Messages        []message       `json:"messages"`
	MaxTokens       *int            `json:"max_tokens"`
	MaxCompletion   *int            `json:"max_completion_tokens"`
	N               *int            `json:"n"`
	Logprobs        *bool           `json:"logprobs"`
	TopLogprobs     *int            `json:"top_logprobs"`
	Tools           []tool          `json:"tools"`
	ToolChoice      json.RawMessage `json:"tool_choice"`
	ParallelCalls   *bool           `json:"parallel_tool_calls"`
	Stream          bool            `json:"stream"`
	StreamOptions   *streamOptions  `json:"stream_options"`
	ReasoningEffort *string         `json:"reasoning_effort"`
	TemplateKwargs  map[string]any  `json:"chat_template_kwargs"`
	AddPrompt       *bool           `json:"add_generation_prompt"`
	ContinueFinal   bool            `json:"continue_final_message"`
	Documents       []document      `json:"documents"`
	ThinkingBudget  *int            `json:"thinking_budget"`

	texts custom.Names // the tools that are custom
}

type streamOptions struct {
	IncludeUsage       bool  `json:"include_usage"`
	IncludeObfuscation *bool `json:"include_obfuscation"`
}

// manner is what was asked of a stream's pieces.
type manner struct {
	usage bool // a last piece tells it, and null before
	even  bool // pieces are filled up, so that their lengths do not tell the words to who sees them pass encrypted
}

func (o *streamOptions) check(stream bool) (manner, error) {
	switch {
	case o == nil:
		return manner{}, nil
	case !stream:
		return manner{}, Invalid("stream_options", "stream_options is only for stream: true")
	}
	return manner{usage: o.IncludeUsage, even: o.IncludeObfuscation != nil && *o.IncludeObfuscation}, nil
}

// checkForeign is check for streams of a form that has no room for what fills pieces up.
func (o *streamOptions) checkForeign(stream bool) error {
	how, err := o.check(stream)
	if how.even {
		return Unsupported("stream_options.include_obfuscation", "include_obfuscation is not supported by this API: leave it out")
	}
	return err
}

// document is a source that the answer should rest on, as other servers take them with a chat.
type document struct {
	ID    string          `json:"id"`
	Title string          `json:"title"`
	Text  string          `json:"text"`
	Data  json.RawMessage `json:"data"`
}

// Chat answers POST /v1/chat/completions where nothing is kept.
func Chat(c *api.Call) error {
	var b chatBody
	if err := c.Decode(&b, chatFields()); err != nil {
		return err
	}
	return b.answer(c, nil)
}

// ChatIn streams the answer to a chat whose path names the model, as "deployment", in another vendor's framing.
func ChatIn(c *api.Call, f api.Framing) error {
	var b chatBody
	if err := c.Decode(&b, chatFields()); err != nil {
		return err
	}
	b.Stream = true
	r, out, err := b.begin(c)
	if err != nil {
		return err
	}
	out.framing = f
	return c.Stream(&framedChunks{out}, r)
}

// keptBody is the request where answers can be kept.
type keptBody struct {
	chatBody
	Store    bool              `json:"store"`
	Metadata map[string]string `json:"metadata"`
}

// Kept is a whole answer that is to be stored.
type Kept struct {
	ID       string // without a prefix
	Model    string
	Metadata map[string]string
	Answer   any // as the caller gets it
}

// KeptChat is the route of chats where keep stores the answers to those that say store: true. What cannot be
// stored is an error: the caller has asked for it.
func KeptChat(keep func(c *api.Call, k *Kept) error) api.Route {
	return api.Route{Method: "POST", Pattern: "/v1/chat/completions", Scope: api.Generate, Body: keptBody{}, Fields: keptFields(), Handle: func(c *api.Call) error {
		var b keptBody
		if err := c.Decode(&b, keptFields()); err != nil {
			return err
		}
		if !b.Store {
			return b.answer(c, nil)
		}
		if err := CheckMetadata(b.Metadata); err != nil {
			return err
		}
		return b.answer(c, func(whole *completion) error {
			return keep(c, &Kept{ID: Named("", c.ID), Model: whole.Model, Metadata: b.Metadata, Answer: whole})
		})
	}}
}

// CheckMetadata checks what a caller notes beside what is kept.
func CheckMetadata(m map[string]string) error {
	if len(m) > 16 {
		return Invalid("metadata", "metadata has %d pairs, at most 16 are taken", len(m))
	}
	for k, v := range m {
		if utf8.RuneCountInString(k) > 64 || utf8.RuneCountInString(v) > 512 {
			return Invalid("metadata", "metadata.%.64s is too long: keys have at most 64 characters, values 512", k)
		}
	}
	return nil
}

// answer answers; keep stores the whole answer, nil if that is not wanted.
func (b *chatBody) answer(c *api.Call, keep func(*completion) error) error {
	r, out, err := b.begin(c)
	if err != nil {
		return err
	}
	if b.Stream && keep != nil {
		return c.Stream(&keptChunks{chunks: out, as: c.ID, keep: keep}, r)
	}
	if b.Stream {
		return c.Stream(out, r)
	}
	answer, err := c.Answer(r)
	if err != nil {
		return err
	}
	if keep == nil {
		return c.JSON(http.StatusOK, completionOf(r, b.texts, answer))
	}
	answer.ID = c.ID
	whole := completionOf(r, b.texts, answer)
	if err := keep(whole); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, whole)
}

// begin is what is asked, and who tells the answer if it is streamed.
func (b *chatBody) begin(c *api.Call) (*chat.Request, *chunks, error) {
	if id := c.R.PathValue("deployment"); id != "" {
		b.Model = id // the path names the model
	}
	how, err := b.StreamOptions.check(b.Stream)
	if err != nil {
		return nil, nil, err
	}
	r, err := b.request()
	if err != nil {
		return nil, nil, err
	}
	return r, newChunks(r, b.texts, how), nil
}

// request is what is asked, in package chat's words.
func (b *chatBody) request() (*chat.Request, error) {
	r := &chat.Request{Model: b.Model, ParallelTools: b.ParallelCalls, Template: b.TemplateKwargs}
	var err error
	if r.Messages, err = readMessages(b.Messages); err != nil {
		return nil, err
	}
	if r.Tools, b.texts, err = readTools(b.Tools); err != nil {
		return nil, err
	}
	if r.ToolChoice, err = ReadChoice(b.ToolChoice, r.Tools); err != nil {
		return nil, err
	}
	if r.Sampling, err = b.Sampling.Read(); err != nil {
		return nil, err
	}
	if err = b.Ending.Read(r); err != nil {
		return nil, err
	}
	if r.Format, err = b.format.read(); err != nil {
		return nil, err
	}
	for _, d := range b.Documents {
		r.Documents = append(r.Documents, chat.Document(d))
	}
	if err = b.last(r); err != nil {
		return nil, err
	}
	return r, b.counts(r)
}

// last reads whether the answer continues the last message.
func (b *chatBody) last(r *chat.Request) error {
	last := &r.Messages[len(r.Messages)-1]
	for i := range r.Messages {
		if m := &r.Messages[i]; m.Prefix && (m != last || m.Role != chat.Assistant) {
			return Invalid("messages", "messages[%d].prefix is for the last message, where it is the assistant's", i)
		}
	}
	if b.ContinueFinal {
		if last.Role != chat.Assistant {
			return Invalid("continue_final_message", "continue_final_message is true and the last message is not the assistant's")
		}
		last.Prefix = true
	}
	if b.AddPrompt != nil && *b.AddPrompt == last.Prefix {
		return Invalid("add_generation_prompt", "add_generation_prompt is %t: it must be the opposite of continue_final_message", *b.AddPrompt)
	}
	return nil
}

const (
	maxAnswers = 128
	maxTop     = 20
)

// counts reads how much is asked for.
func (b *chatBody) counts(r *chat.Request) error {
	r.MaxTokens = b.MaxTokens
	if b.MaxCompletion != nil {
		if b.MaxTokens != nil && *b.MaxTokens != *b.MaxCompletion {
			return Invalid("max_tokens", "max_tokens and max_completion_tokens are two names of one thing and differ: send one")
		}
		r.MaxTokens = b.MaxCompletion
	}
	if r.MaxTokens != nil && *r.MaxTokens < 1 {
		return Invalid("max_tokens", "max_tokens is %d: it must be at least 1", *r.MaxTokens)
	}
	if err := answers(b.N, r); err != nil {
		return err
	}
	if b.TopLogprobs != nil && (b.Logprobs == nil || !*b.Logprobs) {
		return Invalid("top_logprobs", "top_logprobs needs logprobs: true")
	}
	if b.Logprobs != nil && *b.Logprobs {
		n := 0
		if b.TopLogprobs != nil {
			n = *b.TopLogprobs
		}
		if n < 0 || n > maxTop {
			return Invalid("top_logprobs", "top_logprobs is %d: it must be from 0 to %d", n, maxTop)
		}
		r.Logprobs = &n
	}
	return b.reasoning(r)
}

// answers reads n.
func answers(n *int, r *chat.Request) error {
	if n == nil {
		return nil
	}
	if *n < 1 || *n > maxAnswers {
		return Invalid("n", "n is %d: it must be from 1 to %d", *n, maxAnswers)
	}
	r.N = *n
	return nil
}

func (b *chatBody) reasoning(r *chat.Request) error {
	if b.ThinkingBudget != nil && *b.ThinkingBudget < 0 {
		return Invalid("thinking_budget", "thinking_budget is %d: it must be at least 0", *b.ThinkingBudget)
	}
	r.Reasoning.Budget = b.ThinkingBudget
	if b.ReasoningEffort == nil {
		return nil
	}
	return ReadEffort("reasoning_effort", *b.ReasoningEffort, &r.Reasoning)
}

// ReadEffort reads how much to think; none turns it off.
func ReadEffort(at, effort string, out *chat.Reasoning) error {
	on := effort != "none"
	switch effort {
	case "none":
	case "minimal", "low", "medium", "high":
		out.Effort = effort
	case "xhigh", "max":
		out.Effort = "high" // the most there is
	default:
		return Invalid(at, "%s is %q: it must be none, minimal, low, medium, high or xhigh", at, effort)
	}
	out.Enabled = &on
	return nil
}

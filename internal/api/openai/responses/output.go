package responses

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/galerne-ai/galerne/internal/api/openai"
	"github.com/galerne-ai/galerne/internal/api/openai/custom"
	"github.com/galerne-ai/galerne/internal/chat"
)

// response is the object that an answer is, whole or under way. It repeats what was asked.
type response struct {
	ID              string            `json:"id"`
	Object          string            `json:"object"`
	CreatedAt       int64             `json:"created_at"`
	CompletedAt     *int64            `json:"completed_at"`
	Status          string            `json:"status"`
	Background      bool              `json:"background"`
	Error           *responseError    `json:"error"`
	Incomplete      *incomplete       `json:"incomplete_details"`
	Instructions    *string           `json:"instructions"`
	MaxOutputTokens *int              `json:"max_output_tokens"`
	Model           string            `json:"model"`
	Output          []any             `json:"output"`
	ParallelCalls   bool              `json:"parallel_tool_calls"`
	PreviousID      *string           `json:"previous_response_id"`
	Reasoning       reasoning         `json:"reasoning"`
	ServiceTier     string            `json:"service_tier"`
	Store           bool              `json:"store"`
	Temperature     *float64          `json:"temperature"`
	Text            textConfig        `json:"text"`
	ToolChoice      json.RawMessage   `json:"tool_choice"`
	Tools           []json.RawMessage `json:"tools"`
	TopLogprobs     *int              `json:"top_logprobs,omitempty"`
	TopP            *float64          `json:"top_p"`
	Truncation      string            `json:"truncation"`
	Usage           *usage            `json:"usage"`
	Metadata        map[string]string `json:"metadata"`
}

type responseError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

type incomplete struct {
	Reason string `json:"reason"`
}

type usage struct {
	Input        int `json:"input_tokens"`
	InputDetails struct {
		Cached     int `json:"cached_tokens"`
		CacheWrite int `json:"cache_write_tokens"`
	} `json:"input_tokens_details"`
	Output        int `json:"output_tokens"`
	OutputDetails struct {
		Reasoning int `json:"reasoning_tokens"`
	} `json:"output_tokens_details"`
	Total int `json:"total_tokens"`
}

func usageOf(u *chat.Usage) *usage {
	out := &usage{Input: u.Prompt, Output: u.Answer, Total: u.Prompt + u.Answer}
	out.InputDetails.Cached, out.OutputDetails.Reasoning = u.Cached, u.Reasoning
	return out
}

type messageItem struct {
	ID      string `json:"id"`
	Type    string `json:"type"`
	Status  string `json:"status"`
	Role    string `json:"role"`
	Content []any  `json:"content"`
}

type reasoningItem struct {
	ID        string `json:"id"`
	Type      string `json:"type"`
	Status    string `json:"status"`
	Summary   []any  `json:"summary"`
	Content   []any  `json:"content"`
	Encrypted string `json:"encrypted_content,omitempty"`
}

type callItem struct {
	ID        string `json:"id"`
	Type      string `json:"type"`
	Status    string `json:"status"`
	CallID    string `json:"call_id"`
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

type customItem struct {
	ID     string `json:"id"`
	Type   string `json:"type"`
	Status string `json:"status"`
	CallID string `json:"call_id"`
	Name   string `json:"name"`
	Input  string `json:"input"`
}

type textPart struct {
	Type        string                `json:"type"`
	Text        string                `json:"text"`
	Annotations []annotation          `json:"annotations"`
	Logprobs    []openai.TokenLogprob `json:"logprobs"`
}

type refusalPart struct {
	Type    string `json:"type"`
	Refusal string `json:"refusal"`
}

type reasoningPart struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

// annotation says that the text up to Index rests on a document of the request.
type annotation struct {
	Type     string `json:"type"`
	Index    int    `json:"index"`
	FileID   string `json:"file_id"`
	Filename string `json:"filename"`
}

func annotationsOf(list []chat.Citation) []annotation {
	out := []annotation{}
	for _, c := range list {
		for _, d := range c.Sources {
			out = append(out, annotation{"file_citation", c.End, d.ID, d.Title})
		}
	}
	return out
}

// begin is an answer of which nothing is known but that it begins.
func begin(b *body, r *chat.Request, id, model string, created time.Time) *response {
	out := &response{ID: openai.Named("resp_", id), Object: "response", CreatedAt: created.Unix(), Status: "in_progress",
		Instructions: b.Instructions, MaxOutputTokens: b.MaxOutputTokens, Model: openai.ModelName(r.Model, model), Output: []any{},
		ParallelCalls: b.ParallelCalls == nil || *b.ParallelCalls, ServiceTier: "default", Temperature: b.Temperature,
		Text: textConfig{Format: json.RawMessage(`{"type":"text"}`)}, ToolChoice: json.RawMessage(`"auto"`), Tools: b.Tools,
		TopLogprobs: b.TopLogprobs, TopP: b.TopP, Truncation: "disabled", Metadata: b.Metadata,
		Store: b.keep, Background: b.background(), PreviousID: b.PreviousID}
	if b.Reasoning != nil {
		out.Reasoning = *b.Reasoning
	}
	if b.Text != nil && !openai.IsNull(b.Text.Format) {
		out.Text = *b.Text
	}
	if !openai.IsNull(b.ToolChoice) {
		out.ToolChoice = b.ToolChoice
	}
	if b.Truncation != nil {
		out.Truncation = *b.Truncation
	}
	if out.Metadata == nil {
		out.Metadata = map[string]string{}
	}
	if out.Tools == nil {
		out.Tools = []json.RawMessage{}
	}
	return out
}

// statusOf is the state of an answer, and of its last item, that ended so.
func statusOf(f chat.Finish) string {
	switch f {
	case chat.Length, chat.Full, chat.Filtered:
		return "incomplete"
	}
	return "completed"
}

// finish is how an answer ended.
func (s *response) finish(f chat.Finish, got *chat.Response) {
	s.Status, s.Usage = statusOf(f), usageOf(&got.Usage)
	switch {
	case s.Status == "completed":
		t := got.Timing
		end := got.Created.Add(t.Prompt + t.Answer).Unix()
		s.CompletedAt = &end
	case f == chat.Filtered:
		s.Incomplete = &incomplete{"content_filter"}
	default:
		s.Incomplete = &incomplete{"max_output_tokens"}
	}
}

func responseOf(b *body, r *chat.Request, got *chat.Response) *response {
	out := begin(b, r, got.ID, got.Model, got.Created)
	if len(got.Choices) == 0 {
		out.finish(chat.Stop, got)
		return out
	}
	c := &got.Choices[0]
	out.finish(c.Finish, got)
	for i := range c.Blocks {
		status := "completed"
		if i == len(c.Blocks)-1 {
			status = out.Status
		}
		out.Output = append(out.Output, itemOf(b, r, itemID(b, out.ID, &c.Blocks[i], i), status, &c.Blocks[i]))
	}
	return out
}

// itemID names an item after its answer, its kind and its place.
func itemID(asked *body, response string, b *chat.Block, place int) string {
	prefix := map[chat.BlockKind]string{chat.TextBlock: "msg_", chat.RefusalBlock: "msg_", chat.ThinkingBlock: "rs_", chat.CallBlock: "fc_"}[b.Kind]
	if asked.takesText(b) {
		prefix = "ctc_"
	}
	return fmt.Sprintf("%s%s_%d", prefix, response[len("resp_"):], place)
}

// takesText reports whether a block is a call of a custom tool.
func (b *body) takesText(of *chat.Block) bool {
	return of.Kind == chat.CallBlock && b.texts[of.Call.Name]
}

// itemOf is a block as an item of the output.
func itemOf(asked *body, r *chat.Request, id, status string, b *chat.Block) any {
	switch b.Kind {
	case chat.ThinkingBlock:
		return reasoningItem{ID: id, Type: "reasoning", Status: status, Summary: []any{}, Content: contentOf(r, b),
			Encrypted: base64.StdEncoding.EncodeToString([]byte(b.Text))}
	case chat.CallBlock:
		return callOf(asked, id, status, b)
	}
	return messageItem{ID: id, Type: "message", Status: status, Role: "assistant", Content: contentOf(r, b)}
}

// emptyItem is an item whose block begins.
func emptyItem(asked *body, id string, b *chat.Block) any {
	switch b.Kind {
	case chat.ThinkingBlock:
		return reasoningItem{ID: id, Type: "reasoning", Status: "in_progress", Summary: []any{}, Content: []any{}}
	case chat.CallBlock:
		return callOf(asked, id, "in_progress", b)
	}
	return messageItem{ID: id, Type: "message", Status: "in_progress", Role: "assistant", Content: []any{}}
}

func callOf(asked *body, id, status string, b *chat.Block) any {
	if asked.takesText(b) {
		return customItem{id, "custom_tool_call", status, b.Call.ID, b.Call.Name, custom.Input(b.Text)}
	}
	return callItem{id, "function_call", status, b.Call.ID, b.Call.Name, b.Text}
}

func contentOf(r *chat.Request, b *chat.Block) []any { return []any{partOf(r, b)} }

// partOf is what a block that is no call says.
func partOf(r *chat.Request, b *chat.Block) any {
	switch b.Kind {
	case chat.ThinkingBlock:
		return reasoningPart{"reasoning_text", b.Text}
	case chat.RefusalBlock:
		return refusalPart{"refusal", b.Text}
	}
	return textPart{"output_text", b.Text, annotationsOf(b.Citations), logprobsOf(r, b.Tokens)}
}

func logprobsOf(r *chat.Request, tokens []chat.Token) []openai.TokenLogprob {
	if r.Logprobs == nil {
		return []openai.TokenLogprob{}
	}
	return openai.TokenLogprobs(tokens)
}

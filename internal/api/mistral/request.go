package mistral

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

// chatBody is the request of /v1/chat/completions, without what chatFields lists.
type chatBody struct {
	Model string `json:"model"`
	common
}

// agentBody is the request of /v1/agents/completions: an agent here is a served model, by name or alias.
type agentBody struct {
	AgentID string `json:"agent_id"`
	common
}

// common is what the two have in common.
type common struct {
	drawing
	Messages        []message       `json:"messages"`
	N               *int            `json:"n"`
	ResponseFormat  *responseFormat `json:"response_format"`
	Tools           []tool          `json:"tools"`
	ToolChoice      json.RawMessage `json:"tool_choice"`
	ParallelCalls   *bool           `json:"parallel_tool_calls"`
	PresencePenalty *float64        `json:"presence_penalty"`
	FrequencyPen    *float64        `json:"frequency_penalty"`
	RepetitionPen   *float64        `json:"repetition_penalty"`
	TopK            *int            `json:"top_k"`
	Logprobs        *bool           `json:"logprobs"`
	TopLogprobs     *int            `json:"top_logprobs"`
	PromptLogprobs  *bool           `json:"prompt_logprobs"`
	TopPrompt       *int            `json:"top_prompt_logprobs"`
	ReasoningEffort *string         `json:"reasoning_effort"`
	PromptMode      *string         `json:"prompt_mode"`
	SafePrompt      bool            `json:"safe_prompt"`
}

// safely is what safe_prompt puts in front of a conversation.
const safely = "Help with care, respect and truth. Be as useful as is safe. Say nothing that is harmful, unethical, prejudiced or hateful, and be fair to everybody."

// drawing is how any answer is drawn and where it ends.
type drawing struct {
	Temperature *float64        `json:"temperature"`
	TopP        *float64        `json:"top_p"`
	MaxTokens   *int            `json:"max_tokens"`
	MinTokens   *int            `json:"min_tokens"`
	Stop        json.RawMessage `json:"stop"`
	RandomSeed  *int64          `json:"random_seed"`
	Stream      bool            `json:"stream"`
}

type responseFormat struct {
	Type   string `json:"type"`
	Schema *struct {
		Name        string          `json:"name"`
		Description string          `json:"description"`
		Schema      json.RawMessage `json:"schema"`
		Strict      bool            `json:"strict"`
	} `json:"json_schema"`
}

type tool struct {
	Type     string `json:"type"`
	Function *struct {
		Name        string          `json:"name"`
		Description string          `json:"description"`
		Parameters  json.RawMessage `json:"parameters"`
		Strict      bool            `json:"strict"`
	} `json:"function"`
}

// completions answers POST /v1/chat/completions.
func completions(c *api.Call) error {
	var b chatBody
	if err := c.Decode(&b, chatFields()); err != nil {
		return err
	}
	if b.Model == "" {
		return missing("model")
	}
	return b.answer(c, b.Model)
}

// agents answers POST /v1/agents/completions.
func agents(c *api.Call) error {
	var b agentBody
	if err := c.Decode(&b, chatFields()); err != nil {
		return err
	}
	if b.AgentID == "" {
		return missing("agent_id")
	}
	return b.answer(c, b.AgentID)
}

func (b *common) answer(c *api.Call, model string) error {
	r := &chat.Request{Model: model, ParallelTools: b.ParallelCalls}
	var err error
	if r.Messages, err = readMessages(b.Messages); err != nil {
		return err
	}
	if b.SafePrompt {
		r.Messages = inFront(safely, r.Messages)
	}
	for _, read := range []func(*chat.Request) error{b.readTools, b.readChoice, b.drawing.read, b.readSampling, b.readFormat, b.readLogprobs, b.readReasoning} {
		if err := read(r); err != nil {
			return err
		}
	}
	return respond(c, r, b.Stream)
}

// inFront puts a text before all that a system message says: templates know one such message only.
func inFront(text string, all []chat.Message) []chat.Message {
	if len(all) > 0 && all[0].Role == chat.System {
		all[0].Parts = append([]chat.Part{{Text: text + "\n\n"}}, all[0].Parts...)
		return all
	}
	return append([]chat.Message{{Role: chat.System, Parts: []chat.Part{{Text: text}}}}, all...)
}

// respond answers in one piece or in many.
func respond(c *api.Call, r *chat.Request, stream bool) error {
	if stream {
		return c.Stream(&chunks{r: r, choices: make([]state, max(r.N, 1))}, r)
	}
	answer, err := c.Answer(r)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, completionOf(r, answer))
}

// maxStops bounds what every token is compared with.
const maxStops = 64

func (d *drawing) read(r *chat.Request) error {
	r.Sampling.Temperature, r.Sampling.TopP, r.MaxTokens = d.Temperature, d.TopP, d.MaxTokens
	if err := within("temperature", d.Temperature, 0, 1.5); err != nil {
		return err
	}
	if err := within("top_p", d.TopP, 0, 1); err != nil {
		return err
	}
	if d.MaxTokens != nil && *d.MaxTokens < 1 {
		return invalid("max_tokens", "max_tokens is %d: it must be at least 1", *d.MaxTokens)
	}
	if d.MinTokens != nil {
		if r.MinTokens = *d.MinTokens; r.MinTokens < 0 {
			return invalid("min_tokens", "min_tokens is %d: it must be at least 0", r.MinTokens)
		}
	}
	if d.RandomSeed != nil {
		seed := uint64(*d.RandomSeed)
		r.Sampling.Seed = &seed
	}
	switch {
	case isNull(d.Stop):
		return nil
	case d.Stop[0] == '"':
		r.Stop = make([]string, 1)
		if err := api.Decode("stop", d.Stop, &r.Stop[0], false); err != nil {
			return err
		}
	default:
		if err := api.Decode("stop", d.Stop, &r.Stop, false); err != nil {
			return err
		}
	}
	if len(r.Stop) > maxStops {
		return invalid("stop", "stop has %d strings: at most %d are possible", len(r.Stop), maxStops)
	}
	for i, s := range r.Stop {
		if s == "" {
			return invalid(fmt.Sprintf("stop[%d]", i), "stop has an empty string, which would end every answer at once")
		}
	}
	return nil
}

func within(name string, v *float64, low, high float64) error {
	if v != nil && (*v < low || *v > high) {
		return invalid(name, "%s is %v: it must be from %v to %v", name, *v, low, high)
	}
	return nil
}

const (
	maxAnswers = 128
	maxTop     = 20
)

func (b *common) readSampling(r *chat.Request) error {
	s := &r.Sampling
	s.Presence, s.Frequency, s.Repetition, s.TopK = b.PresencePenalty, b.FrequencyPen, b.RepetitionPen, b.TopK
	if err := within("presence_penalty", b.PresencePenalty, -2, 2); err != nil {
		return err
	}
	if err := within("frequency_penalty", b.FrequencyPen, -2, 2); err != nil {
		return err
	}
	if s.Repetition != nil && *s.Repetition <= 0 {
		return invalid("repetition_penalty", "repetition_penalty is %v: it must be greater than 0; 1 means none", *s.Repetition)
	}
	if s.TopK != nil && *s.TopK < 0 {
		return invalid("top_k", "top_k is %d: it must be at least 0; 0 means all", *s.TopK)
	}
	if b.N == nil {
		return nil
	}
	if r.N = *b.N; r.N < 1 || r.N > maxAnswers {
		return invalid("n", "n is %d: it must be from 1 to %d", r.N, maxAnswers)
	}
	return nil
}

func (b *common) readLogprobs(r *chat.Request) (err error) {
	if r.Logprobs, err = alternatives("logprobs", b.Logprobs, "top_logprobs", b.TopLogprobs); err != nil {
		return err
	}
	r.PromptLogprobs, err = alternatives("prompt_logprobs", b.PromptLogprobs, "top_prompt_logprobs", b.TopPrompt)
	return err
}

// alternatives reads whether probabilities are wanted, and of how many other tokens.
func alternatives(name string, on *bool, topName string, top *int) (*int, error) {
	if on == nil || !*on {
		if top != nil && *top > 0 {
			return nil, invalid(topName, "%s needs %s: true", topName, name)
		}
		return nil, nil
	}
	n := 0
	if top != nil {
		n = *top
	}
	if n < 0 || n > maxTop {
		return nil, invalid(topName, "%s is %d: it must be from 0 to %d", topName, n, maxTop)
	}
	return &n, nil
}

func (b *common) readReasoning(r *chat.Request) error {
	on := true
	if b.PromptMode != nil {
		if *b.PromptMode != "reasoning" {
			return invalid("prompt_mode", "prompt_mode is %q: it must be reasoning, or left out", *b.PromptMode)
		}
		r.Reasoning.Enabled = &on
	}
	if b.ReasoningEffort == nil {
		return nil
	}
	switch effort := *b.ReasoningEffort; effort {
	case "none":
		on = false
	case "minimal", "low", "medium", "high":
		r.Reasoning.Effort = effort
	case "xhigh", "max":
		r.Reasoning.Effort = "high" // the most there is
	default:
		return invalid("reasoning_effort", "reasoning_effort is %q: it must be none, minimal, low, medium, high, xhigh or max", effort)
	}
	r.Reasoning.Enabled = &on
	return nil
}

func (b *common) readFormat(r *chat.Request) error {
	f := b.ResponseFormat
	if f == nil {
		return nil
	}
	const at = "response_format"
	switch f.Type {
	case "", "text":
	case "json_object":
		r.Format.Kind = chat.JSONValue
	case "json_schema":
		if f.Schema == nil {
			return missing(at + ".json_schema")
		}
		s := f.Schema
		if isNull(s.Schema) || s.Schema[0] != '{' {
			return invalid(at+".json_schema.schema", "%s.json_schema.schema must be a JSON Schema, an object", at)
		}
		r.Format = chat.Format{Kind: chat.JSONSchema, Name: s.Name, Schema: s.Schema, Strict: s.Strict}
	default:
		return invalid(at+".type", "%s.type is %q: it must be text, json_object or json_schema", at, f.Type)
	}
	return nil
}

const maxTools = 512

// toolName is what Mistral allows as the name of a function.
var toolName = regexp.MustCompile(`^[a-zA-Z0-9_.-]{1,64}$`)

func (b *common) readTools(r *chat.Request) error {
	if len(b.Tools) > maxTools {
		return invalid("tools", "there are %d tools: at most %d are possible", len(b.Tools), maxTools)
	}
	for i, t := range b.Tools {
		at := fmt.Sprintf("tools[%d]", i)
		if t.Type != "" && t.Type != "function" {
			return unsupported(at+".type", "%s.type is %q: only function is possible here; the other tools are Mistral's own services", at, t.Type)
		}
		f := t.Function
		switch {
		case f == nil:
			return missing(at + ".function")
		case !toolName.MatchString(f.Name):
			return invalid(at+".function.name", "%s.function.name is %q: it must have 1 to 64 letters, digits, underscores, dots and dashes", at, f.Name)
		case !isNull(f.Parameters) && f.Parameters[0] != '{':
			return invalid(at+".function.parameters", "%s.function.parameters must be a JSON Schema, an object", at)
		case hasTool(r.Tools, f.Name):
			return invalid(at+".function.name", "%s.function.name is %q, which an earlier tool has: names must be unique", at, f.Name)
		}
		one := chat.Tool{Name: f.Name, Description: f.Description, Schema: f.Parameters, Strict: f.Strict}
		if isNull(one.Schema) {
			one.Schema = nil
		}
		r.Tools = append(r.Tools, one)
	}
	return nil
}

func hasTool(tools []chat.Tool, name string) bool {
	for i := range tools {
		if tools[i].Name == name {
			return true
		}
	}
	return false
}

// readChoice reads tool_choice: a word, or the name of a function.
func (b *common) readChoice(r *chat.Request) error {
	const at = "tool_choice"
	if isNull(b.ToolChoice) {
		return nil
	}
	if b.ToolChoice[0] != '"' {
		var named struct {
			Type     string `json:"type"`
			Function struct {
				Name string `json:"name"`
			} `json:"function"`
		}
		if err := api.Decode(at, b.ToolChoice, &named, false); err != nil {
			return err
		}
		if !hasTool(r.Tools, named.Function.Name) {
			return invalid(at+".function.name", "tool_choice.function.name is %q, which is not among the tools", named.Function.Name)
		}
		r.ToolChoice = chat.ToolChoice{Mode: chat.ToolsNamed, Names: []string{named.Function.Name}}
		return nil
	}
	var word string
	if err := api.Decode(at, b.ToolChoice, &word, false); err != nil {
		return err
	}
	switch word {
	case "auto":
	case "none":
		r.ToolChoice.Mode = chat.ToolsNone
	case "any", "required":
		if len(r.Tools) == 0 {
			return invalid(at, "tool_choice is %q and there are no tools: send tools", word)
		}
		r.ToolChoice.Mode = chat.ToolsRequired
	default:
		return invalid(at, "tool_choice is %q: it must be auto, none, any or required, or name a function", word)
	}
	return nil
}

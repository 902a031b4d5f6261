package gemini

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

// body is the request of generateContent, without what bodyFields lists.
type body struct {
	Model             string            `json:"model"`
	Contents          []content         `json:"contents"`
	SystemInstruction *content          `json:"systemInstruction"`
	Tools             []json.RawMessage `json:"tools"`
	ToolConfig        *toolConfig       `json:"toolConfig"`
	GenerationConfig  json.RawMessage   `json:"generationConfig"`
	SafetySettings    []safetySetting   `json:"safetySettings"`
}

type safetySetting struct {
	Category  string `json:"category"`
	Method    string `json:"method"`
	Threshold string `json:"threshold"`
}

// config is a generationConfig, without what configFields lists.
type config struct {
	Temperature      *float64        `json:"temperature"`
	TopP             *float64        `json:"topP"`
	TopK             *float64        `json:"topK"` // Vertex's is a number
	CandidateCount   *int            `json:"candidateCount"`
	MaxOutputTokens  *int            `json:"maxOutputTokens"`
	StopSequences    []string        `json:"stopSequences"`
	Seed             *int64          `json:"seed"`
	PresencePenalty  *float64        `json:"presencePenalty"`
	FrequencyPenalty *float64        `json:"frequencyPenalty"`
	ResponseLogprobs bool            `json:"responseLogprobs"`
	Logprobs         *int            `json:"logprobs"`
	MIMEType         string          `json:"responseMimeType"`
	Schema           json.RawMessage `json:"responseSchema"`
	JSONSchema       json.RawMessage `json:"responseJsonSchema"`
	JSONSchemaOld    json.RawMessage `json:"_responseJsonSchema"`
	Thinking         *thinking       `json:"thinkingConfig"`
}

type thinking struct {
	Include bool   `json:"includeThoughts"`
	Budget  *int   `json:"thinkingBudget"`
	Level   string `json:"thinkingLevel"`
}

const (
	maxCandidates = 8
	maxStops      = 64 // what every token is compared with
	maxLogprobs   = 20
)

// generate answers models/{model}:generateContent.
func generate(c *api.Call) error {
	v, err := readRequest(c)
	if err != nil {
		return err
	}
	a, err := c.Answer(v.request)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, v.answer(a))
}

// streamGenerate answers models/{model}:streamGenerateContent.
func streamGenerate(c *api.Call) error {
	v, err := readRequest(c)
	if err != nil {
		return err
	}
	switch alt := c.R.URL.Query().Get("alt"); alt {
	case "sse":
		return c.Stream(&chunks{view: *v, send: func(out *api.Frames, a *answer) error { return out.SSE("", "", a) }}, v.request)
	case "", "json":
		return c.Stream(&array{chunks{view: *v, send: func(out *api.Frames, a *answer) error { return out.Item(a) }}}, v.request)
	default:
		return invalid("alt", "alt is %q: it must be sse or json", alt)
	}
}

// readRequest is what is asked, and how the answer is shown.
func readRequest(c *api.Call) (*view, error) {
	var b body
	if err := decode(c, &b, bodyFields()); err != nil {
		return nil, err
	}
	return b.view(modelOf(c))
}

func (b *body) view(model string) (*view, error) {
	r := &chat.Request{Model: model}
	if model == "" {
		return nil, missing("model")
	}
	var err error
	if r.Messages, err = readContents(b.SystemInstruction, b.Contents); err != nil {
		return nil, err
	}
	if err := b.readTools(r); err != nil {
		return nil, err
	}
	for i, s := range b.SafetySettings {
		switch s.Threshold {
		case "", "BLOCK_NONE", "OFF", "HARM_BLOCK_THRESHOLD_UNSPECIFIED":
		default:
			at := fmt.Sprintf("safetySettings[%d].threshold", i)
			return nil, unsupported(at, "%s %s is not supported: nothing is filtered here, which is BLOCK_NONE; check answers yourself", at, s.Threshold)
		}
	}
	v := &view{request: r}
	if isNull(b.GenerationConfig) {
		return v, nil
	}
	if b.GenerationConfig[0] != '{' {
		return nil, invalid("generationConfig", "generationConfig must be an object")
	}
	raw, err := api.Check("generationConfig", b.GenerationConfig, configFields())
	if err != nil {
		return nil, err
	}
	var g config
	if err := api.Decode("generationConfig", raw, &g, false); err != nil {
		return nil, err
	}
	for _, read := range []func(*chat.Request) error{g.readSampling, g.readLimits, g.readFormat, g.readThinking} {
		if err := read(r); err != nil {
			return nil, err
		}
	}
	v.thoughts = g.Thinking != nil && g.Thinking.Include
	return v, nil
}

// field is a field of the generationConfig.
func field(name string) string { return "generationConfig." + name }

func (g *config) readSampling(r *chat.Request) error {
	for _, v := range []struct {
		name      string
		value     *float64
		low, high float64
	}{{"temperature", g.Temperature, 0, 2}, {"topP", g.TopP, 0, 1}, {"presencePenalty", g.PresencePenalty, -2, 2}, {"frequencyPenalty", g.FrequencyPenalty, -2, 2}} {
		if v.value != nil && (*v.value < v.low || *v.value > v.high) {
			return invalid(field(v.name), "%s is %v: it must be from %v to %v", field(v.name), *v.value, v.low, v.high)
		}
	}
	r.Sampling = chat.Sampling{Temperature: g.Temperature, TopP: g.TopP, Presence: g.PresencePenalty, Frequency: g.FrequencyPenalty}
	if g.TopK != nil {
		if *g.TopK < 0 || *g.TopK > math.MaxInt32 {
			return invalid(field("topK"), "%s is %v: it must be at least 0, which is all tokens", field("topK"), *g.TopK)
		}
		k := int(math.Round(*g.TopK))
		r.Sampling.TopK = &k
	}
	if g.Seed != nil {
		seed := uint64(*g.Seed)
		r.Sampling.Seed = &seed
	}
	return nil
}

func (g *config) readLimits(r *chat.Request) error {
	if g.MaxOutputTokens != nil {
		if *g.MaxOutputTokens < 1 {
			return invalid(field("maxOutputTokens"), "%s is %d: it must be at least 1", field("maxOutputTokens"), *g.MaxOutputTokens)
		}
		r.MaxTokens = g.MaxOutputTokens
	}
	if g.CandidateCount != nil {
		if r.N = *g.CandidateCount; r.N < 1 || r.N > maxCandidates {
			return invalid(field("candidateCount"), "%s is %d: it must be from 1 to %d", field("candidateCount"), r.N, maxCandidates)
		}
	}
	if len(g.StopSequences) > maxStops {
		return invalid(field("stopSequences"), "%s has %d strings: at most %d are possible", field("stopSequences"), len(g.StopSequences), maxStops)
	}
	if slices.Contains(g.StopSequences, "") {
		return invalid(field("stopSequences"), "%s has an empty string, which would end every answer at once", field("stopSequences"))
	}
	r.Stop = g.StopSequences
	switch {
	case g.Logprobs != nil && !g.ResponseLogprobs:
		return invalid(field("logprobs"), "%s is set and responseLogprobs is not: set it to true", field("logprobs"))
	case g.Logprobs != nil && (*g.Logprobs < 0 || *g.Logprobs > maxLogprobs):
		return invalid(field("logprobs"), "%s is %d: it must be from 0 to %d", field("logprobs"), *g.Logprobs, maxLogprobs)
	case g.ResponseLogprobs:
		n := 0
		if g.Logprobs != nil {
			n = *g.Logprobs
		}
		r.Logprobs = &n
	}
	return nil
}

func (g *config) readFormat(r *chat.Request) error {
	schema, name := json.RawMessage(nil), ""
	for _, s := range []struct {
		name string
		raw  json.RawMessage
	}{{"responseSchema", g.Schema}, {"responseJsonSchema", g.JSONSchema}, {"_responseJsonSchema", g.JSONSchemaOld}} {
		switch {
		case isNull(s.raw):
			continue
		case schema != nil:
			return invalid(field(s.name), "%s and %s are both given: send one", field(name), field(s.name))
		case s.raw[0] != '{':
			return invalid(field(s.name), "%s must be a schema, an object", field(s.name))
		}
		schema, name = s.raw, s.name
	}
	var err error
	if name == "responseSchema" {
		if schema, err = openAPI(field(name), schema); err != nil {
			return err
		}
	}
	switch g.MIMEType {
	case "", "text/plain":
		if schema != nil {
			return invalid(field("responseMimeType"), "%s must be application/json where there is a schema", field("responseMimeType"))
		}
	case "application/json":
		r.Format = chat.Format{Kind: chat.JSONValue}
		if schema != nil {
			r.Format = chat.Format{Kind: chat.JSONSchema, Schema: schema, Strict: true}
		}
	case "text/x.enum":
		var s struct {
			Enum []string `json:"enum"`
		}
		if schema != nil {
			if err := api.Decode(field(name), schema, &s, false); err != nil {
				return err
			}
		}
		if len(s.Enum) == 0 {
			return invalid(field("responseSchema"), "%s must have an enum where responseMimeType is text/x.enum", field("responseSchema"))
		}
		r.Format = chat.Format{Kind: chat.OneOf, Choices: s.Enum}
	default:
		return invalid(field("responseMimeType"), "%s is %q: it must be text/plain, application/json or text/x.enum", field("responseMimeType"), g.MIMEType)
	}
	return nil
}

func (g *config) readThinking(r *chat.Request) error {
	t := g.Thinking
	if t == nil {
		return nil
	}
	yes, no := true, false
	if t.Budget != nil {
		switch n := *t.Budget; {
		case n < -1:
			return invalid(field("thinkingConfig.thinkingBudget"), "%s is %d: it must be 0 for none, -1 for as much as the model likes, or a number of tokens", field("thinkingConfig.thinkingBudget"), n)
		case n == 0:
			r.Reasoning.Enabled = &no
		case n > 0:
			r.Reasoning.Enabled, r.Reasoning.Budget = &yes, &n
		}
	}
	switch level := strings.ToLower(t.Level); level {
	case "", "thinking_level_unspecified":
	case "minimal", "low", "medium", "high":
		r.Reasoning.Effort = level
	default:
		return invalid(field("thinkingConfig.thinkingLevel"), "%s is %q: it must be MINIMAL, LOW, MEDIUM or HIGH", field("thinkingConfig.thinkingLevel"), t.Level)
	}
	return nil
}

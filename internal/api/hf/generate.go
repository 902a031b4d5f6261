package hf

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

// generateBody is a text to be continued.
type generateBody struct {
	Inputs     *string    `json:"inputs"`
	Parameters parameters `json:"parameters"`
	Stream     bool       `json:"stream"`
	Model      string     `json:"model"`
}

type parameters struct {
	AdapterID           *string  `json:"adapter_id"`
	BestOf              *int     `json:"best_of"`
	DecoderInputDetails bool     `json:"decoder_input_details"`
	Details             bool     `json:"details"`
	DoSample            bool     `json:"do_sample"`
	Frequency           *float64 `json:"frequency_penalty"`
	Grammar             *grammar `json:"grammar"`
	MaxNewTokens        *int     `json:"max_new_tokens"`
	Repetition          *float64 `json:"repetition_penalty"`
	ReturnFullText      *bool    `json:"return_full_text"`
	Seed                *int64   `json:"seed"`
	Stop                []string `json:"stop"`
	StopSequences       []string `json:"stop_sequences"` // the name it had first
	Temperature         *float64 `json:"temperature"`
	TopK                *int     `json:"top_k"`
	TopNTokens          *int     `json:"top_n_tokens"`
	TopP                *float64 `json:"top_p"`
	Truncate            *int     `json:"truncate"`
	TypicalP            *float64 `json:"typical_p"`
	Watermark           bool     `json:"watermark"`
}

type grammar struct {
	Type  string          `json:"type"`
	Value json.RawMessage `json:"value"`
}

// generation is what of a request shapes its answer.
type generation struct {
	request *chat.Request
	inputs  string // comes first in the text, if the full text is wanted
	details bool
	prefill bool
	top     int
	seed    *int64
}

// generate answers POST /generate.
func generate(c *api.Call) error { return answer(c, false, false) }

// generateStream answers POST /generate_stream.
func generateStream(c *api.Call) error { return answer(c, true, false) }

// compatible answers at the address itself, where a whole answer is a list of one.
func compatible(c *api.Call) error { return answer(c, false, true) }

func answer(c *api.Call, stream, list bool) error {
	var b generateBody
	if err := c.Decode(&b, generateFields()); err != nil {
		return err
	}
	g, err := b.read(c)
	if err != nil {
		return err
	}
	if stream || b.Stream {
		if g.prefill {
			return invalid("parameters.decoder_input_details", "decoder_input_details is not possible with a stream")
		}
		return c.Stream(&tokens{g: g}, g.request)
	}
	a, err := c.Answer(g.request)
	if err != nil {
		return err
	}
	out := g.output(a)
	if list {
		return c.JSON(http.StatusOK, []output{out})
	}
	return c.JSON(http.StatusOK, &out)
}

// maxStops bounds what every token is compared with, defaultTokens is TGI's, and so is maxTop.
const (
	maxStops      = 64
	defaultTokens = 100
	maxTop        = 5
)

func (b *generateBody) read(c *api.Call) (*generation, error) {
	p := &b.Parameters
	if b.Inputs == nil {
		return nil, missing("inputs")
	}
	if err := p.refuse(); err != nil {
		return nil, err
	}
	limit := defaultTokens
	if p.MaxNewTokens != nil {
		if limit = *p.MaxNewTokens; limit < 1 {
			return nil, invalid("parameters.max_new_tokens", "max_new_tokens is %d: it must be at least 1", limit)
		}
	}
	r := &chat.Request{Model: named(c, b.Model), MaxTokens: &limit, KeepStop: true, TokenIDs: true, Stop: append(p.Stop, p.StopSequences...)}
	r.Raw = &chat.RawPrompt{Text: *b.Inputs, ParseSpecial: true}
	g := &generation{request: r, details: p.Details || p.DecoderInputDetails, prefill: p.DecoderInputDetails, seed: p.Seed}
	if p.ReturnFullText != nil && *p.ReturnFullText {
		g.inputs = *b.Inputs
	}
	if p.TopNTokens != nil {
		if g.top = *p.TopNTokens; g.top < 0 || g.top > maxTop {
			return nil, invalid("parameters.top_n_tokens", "top_n_tokens is %d: it must be from 0 to %d", g.top, maxTop)
		}
	}
	r.Logprobs = &g.top
	if g.prefill {
		none := 0
		r.PromptLogprobs = &none
	}
	if err := p.sampling(r); err != nil {
		return nil, err
	}
	if err := p.format(r); err != nil {
		return nil, err
	}
	return g, p.truncate(c, r)
}

// refuse names what cannot be honoured.
func (p *parameters) refuse() error {
	switch {
	case p.AdapterID != nil && *p.AdapterID != "":
		return unsupported("parameters.adapter_id", "adapter_id is not supported: adapters are not loaded per request")
	case p.BestOf != nil && *p.BestOf != 1:
		return unsupported("parameters.best_of", "best_of is %d: only 1 is possible; ask several times with details and choose", *p.BestOf)
	case p.Watermark:
		return unsupported("parameters.watermark", "watermark is not supported: leave it out")
	case len(p.Stop)+len(p.StopSequences) > maxStops:
		return invalid("parameters.stop", "stop has %d strings: at most %d are possible", len(p.Stop)+len(p.StopSequences), maxStops)
	}
	for i, s := range append(p.Stop, p.StopSequences...) {
		if s == "" {
			return invalid(fmt.Sprintf("parameters.stop[%d]", i), "stop has an empty string, which would end every answer at once")
		}
	}
	return nil
}

// sampling reads how tokens are drawn. As with TGI the likeliest is taken unless something asks for
// drawing, and what is not said is not taken from the model's own settings.
func (p *parameters) sampling(r *chat.Request) error {
	for _, v := range []struct {
		name  string
		value *float64
		high  float64
	}{{"temperature", p.Temperature, 100}, {"top_p", p.TopP, 1}, {"typical_p", p.TypicalP, 1}, {"repetition_penalty", p.Repetition, 100}} {
		if v.value != nil && (*v.value <= 0 || *v.value > v.high) {
			return invalid("parameters."+v.name, "%s is %v: it must be greater than 0 and at most %v", v.name, *v.value, v.high)
		}
	}
	if f := p.Frequency; f != nil && (*f < -2 || *f > 2) {
		return invalid("parameters.frequency_penalty", "frequency_penalty is %v: it must be from -2 to 2", *f)
	}
	if p.TopK != nil && *p.TopK < 1 {
		return invalid("parameters.top_k", "top_k is %d: it must be at least 1", *p.TopK)
	}
	zero, one, all := 0.0, 1.0, 0
	s := &r.Sampling
	s.Temperature, s.TopK, s.TopP, s.TypicalP, s.Repetition, s.Frequency = &zero, p.TopK, p.TopP, p.TypicalP, p.Repetition, p.Frequency
	if p.DoSample || p.Temperature != nil && *p.Temperature != 1 || p.TopK != nil || p.TopP != nil && *p.TopP < 1 || p.TypicalP != nil && *p.TypicalP < 1 {
		s.Temperature = &one
		if p.Temperature != nil {
			s.Temperature = p.Temperature
		}
	}
	if s.TopK == nil {
		s.TopK = &all
	}
	if s.TopP == nil {
		s.TopP = &one
	}
	if s.Repetition == nil {
		s.Repetition = &one
	}
	if p.Seed != nil {
		seed := uint64(*p.Seed)
		s.Seed = &seed
	}
	return nil
}

func (p *parameters) format(r *chat.Request) error {
	g := p.Grammar
	if g == nil {
		return nil
	}
	const at = "parameters.grammar"
	schema := g.Value
	switch g.Type {
	case "regex":
		r.Format.Kind = chat.Regex
		if isNull(g.Value) || g.Value[0] != '"' {
			return invalid(at+".value", "%s.value must be a regular expression, a string", at)
		}
		return api.Decode(at+".value", g.Value, &r.Format.Pattern, false)
	case "json":
	case "json_schema":
		var named struct {
			Name   string          `json:"name"`
			Schema json.RawMessage `json:"schema"`
		}
		if isNull(g.Value) || g.Value[0] != '{' {
			return invalid(at+".value", "%s.value must be an object with a schema", at)
		}
		if err := api.Decode(at+".value", g.Value, &named, false); err != nil {
			return err
		}
		schema = named.Schema
	default:
		return invalid(at+".type", "%s.type is %q: it must be json, json_schema or regex", at, g.Type)
	}
	if isNull(schema) || schema[0] != '{' {
		return invalid(at+".value", "%s.value must be a JSON Schema, an object", at)
	}
	r.Format = chat.Format{Kind: chat.JSONSchema, Schema: schema, Strict: true}
	return nil
}

// truncate keeps the last tokens of the prompt, so many as are wanted.
func (p *parameters) truncate(c *api.Call, r *chat.Request) error {
	if p.Truncate == nil {
		return nil
	}
	n := *p.Truncate
	if n < 1 {
		return invalid("parameters.truncate", "truncate is %d: it must be at least 1", n)
	}
	all, err := c.Backend.Tokenize(c.R.Context(), r.Model, r.Raw.Text, true)
	if err != nil || len(all) <= n {
		return err
	}
	r.Raw = &chat.RawPrompt{Tokens: make([]int32, n), NoBOS: true}
	for i := range n {
		r.Raw.Tokens[i] = all[len(all)-n+i].ID
	}
	return nil
}

// output is a whole answer.
type output struct {
	GeneratedText string   `json:"generated_text"`
	Details       *details `json:"details,omitempty"`
}

type details struct {
	FinishReason    string    `json:"finish_reason"`
	GeneratedTokens int       `json:"generated_tokens"`
	Seed            *int64    `json:"seed"`
	Prefill         []token   `json:"prefill"`
	Tokens          []token   `json:"tokens"`
	TopTokens       [][]token `json:"top_tokens,omitempty"`
}

type token struct {
	ID      int32    `json:"id"`
	Text    string   `json:"text"`
	Logprob *float64 `json:"logprob"`
	Special bool     `json:"special"`
}

// finishReason is TGI's word.
func finishReason(f chat.Finish) string {
	switch f {
	case chat.Length, chat.Full:
		return "length"
	case chat.StopString:
		return "stop_sequence"
	}
	return "eos_token"
}

func (g *generation) output(a *chat.Response) output {
	out := output{GeneratedText: g.inputs}
	if len(a.Choices) == 0 {
		return out
	}
	c := &a.Choices[0]
	d := &details{FinishReason: finishReason(c.Finish), GeneratedTokens: a.Usage.Answer, Seed: g.seed, Prefill: []token{}, Tokens: []token{}}
	for i := range c.Blocks {
		b := &c.Blocks[i]
		out.GeneratedText += b.Text
		for j := range b.Tokens {
			d.Tokens = append(d.Tokens, tokenOf(&b.Tokens[j]))
			if g.top > 0 {
				d.TopTokens = append(d.TopTokens, topOf(&b.Tokens[j]))
			}
		}
	}
	if g.prefill {
		for i := range a.Prompt {
			one := tokenOf(&a.Prompt[i])
			if i == 0 {
				one.Logprob = nil // nothing came before it
			}
			d.Prefill = append(d.Prefill, one)
		}
	}
	if g.details {
		out.Details = d
	}
	return out
}

// unlikely stands for what has no finite log-probability.
const unlikely = -9999

func tokenOf(t *chat.Token) token {
	p := float64(unlikely)
	if t.Logprob > unlikely { // also not what is no number
		p = float64(t.Logprob)
	}
	return token{t.ID, strings.ToValidUTF8(string(t.Bytes), "\uFFFD"), &p, t.Special}
}

func topOf(t *chat.Token) []token {
	out := make([]token, len(t.Top))
	for i := range t.Top {
		out[i] = tokenOf(&t.Top[i])
	}
	return out
}

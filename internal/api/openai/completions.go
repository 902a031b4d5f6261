package openai

import (
	"encoding/json"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

// textBody is the request of /v1/completions, without what completionFields lists.
type textBody struct {
	Sampling
	Ending
	format
	Model         string          `json:"model"`
	Prompt        json.RawMessage `json:"prompt"`
	Suffix        *string         `json:"suffix"`
	Echo          bool            `json:"echo"`
	Logprobs      *int            `json:"logprobs"`
	MaxTokens     *int            `json:"max_tokens"`
	N             *int            `json:"n"`
	BestOf        *int            `json:"best_of"`
	Stream        bool            `json:"stream"`
	StreamOptions *streamOptions  `json:"stream_options"`
	AddSpecial    *bool           `json:"add_special_tokens"`
}

const (
	maxPrompts    = 256
	defaultTokens = 16 // as OpenAI's reference says
)

// completions answers POST /v1/completions.
func completions(c *api.Call) error {
	var b textBody
	if err := c.Decode(&b, completionFields()); err != nil {
		return err
	}
	if id := c.R.PathValue("deployment"); id != "" {
		b.Model = id // the path names the model
	}
	how, err := b.StreamOptions.check(b.Stream)
	if err != nil {
		return err
	}
	rs, err := b.requests()
	if err != nil {
		return err
	}
	if b.Stream {
		return c.Stream(&texts{sender: sender[textChoice]{manner: how}, r: rs[0], rs: rs, choices: make([]textState, len(rs)*max(rs[0].N, 1))}, rs...)
	}
	answers, err := c.Answers(rs)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, textCompletionOf(rs, answers))
}

// requests is one request a prompt, alike but for the prompt.
func (b *textBody) requests() ([]*chat.Request, error) {
	var texts []string
	var tokens [][]int32
	var err error
	if IsNull(b.Prompt) { // the beginning of a text
		texts = []string{""}
	} else if texts, tokens, err = readInputs("prompt", b.Prompt, maxPrompts); err != nil {
		return nil, err
	}
	first := &chat.Request{Model: b.Model, Echo: b.Echo}
	if first.Sampling, err = b.Sampling.Read(); err != nil {
		return nil, err
	}
	if err = b.Ending.Read(first); err != nil {
		return nil, err
	}
	if first.Format, err = b.format.read(); err != nil {
		return nil, err
	}
	if err = b.counts(first); err != nil {
		return nil, err
	}
	if b.Suffix != nil && *b.Suffix == "" {
		b.Suffix = nil // some clients send it always
	}
	if b.Suffix != nil && tokens != nil {
		return nil, Invalid("suffix", "suffix needs a prompt that is text, not tokens")
	}
	if b.Suffix != nil && b.Echo {
		return nil, Invalid("echo", "echo and suffix cannot go together: the answer stands between prompt and suffix")
	}
	var out []*chat.Request
	for i := range max(len(texts), len(tokens)) {
		r := *first
		if tokens != nil {
			r.Raw = &chat.RawPrompt{Tokens: tokens[i], NoBOS: true}
		} else {
			r.Raw = &chat.RawPrompt{Text: texts[i], Suffix: b.Suffix, ParseSpecial: true, NoBOS: b.AddSpecial != nil && !*b.AddSpecial}
		}
		out = append(out, &r)
	}
	return out, nil
}

func (b *textBody) counts(r *chat.Request) error {
	limit := defaultTokens
	if b.MaxTokens != nil {
		limit = *b.MaxTokens
	}
	if limit < 0 {
		return Invalid("max_tokens", "max_tokens is %d: it must be at least 0", limit)
	}
	r.MaxTokens = &limit
	if err := answers(b.N, r); err != nil {
		return err
	}
	if b.BestOf != nil && *b.BestOf != max(r.N, 1) {
		return Unsupported("best_of", "best_of is %d and n is %d: choosing among more answers than are given is not supported; ask for n answers with logprobs and choose", *b.BestOf, max(r.N, 1))
	}
	if b.Logprobs == nil {
		return nil
	}
	if *b.Logprobs < 0 || *b.Logprobs > maxTop {
		return Invalid("logprobs", "logprobs is %d: it must be from 0 to %d", *b.Logprobs, maxTop)
	}
	r.Logprobs = b.Logprobs
	if b.Echo {
		r.PromptLogprobs = b.Logprobs
	}
	return nil
}

type textChoice struct {
	Index          int           `json:"index"`
	Text           string        `json:"text"`
	Logprobs       *textLogprobs `json:"logprobs"`
	FinishReason   *string       `json:"finish_reason"`
	TokenIDs       []int32       `json:"token_ids,omitempty"`
	PromptTokenIDs []int32       `json:"prompt_token_ids,omitempty"`
}

// textLogprobs are lists of one length. Offsets count the characters of the choice's text; the first
// token of a prompt has no probability.
type textLogprobs struct {
	TextOffset    []int                `json:"text_offset"`
	TokenLogprobs []*float64           `json:"token_logprobs"`
	Tokens        []string             `json:"tokens"`
	TopLogprobs   []map[string]float64 `json:"top_logprobs"`
}

// place is how far a choice's text has come, in characters.
type place struct{ characters int }

// of is where a token's text begins; half a character begins where its first half did.
func (p *place) of(t *chat.Token) int {
	at := p.characters
	if t.Special { // no part of the text
		return at
	}
	if len(t.Bytes) > 0 && !utf8.RuneStart(t.Bytes[0]) && at > 0 {
		at--
	}
	for _, b := range t.Bytes {
		if utf8.RuneStart(b) {
			p.characters++
		}
	}
	return at
}

// add appends tokens; bare ones, of a prompt's beginning, have no probability.
func (l *textLogprobs) add(p *place, tokens []chat.Token, bare int) *textLogprobs {
	if len(tokens) == 0 {
		return l
	}
	if l == nil {
		l = &textLogprobs{}
	}
	for i := range tokens {
		t := &tokens[i]
		l.TextOffset = append(l.TextOffset, p.of(t))
		l.Tokens = append(l.Tokens, textOf(t))
		if i < bare {
			l.TokenLogprobs, l.TopLogprobs = append(l.TokenLogprobs, nil), append(l.TopLogprobs, nil)
			continue
		}
		own := finite(t.Logprob)
		l.TokenLogprobs = append(l.TokenLogprobs, &own)
		top := map[string]float64{}
		for j := range t.Top {
			if text := textOf(&t.Top[j]); top[text] == 0 { // the likelier of two that look alike
				top[text] = finite(t.Top[j].Logprob)
			}
		}
		if _, ok := top[textOf(t)]; !ok {
			top[textOf(t)] = own
		}
		l.TopLogprobs = append(l.TopLogprobs, top)
	}
	return l
}

// promptText is what echo gives back: the prompt as it was sent, or what its tokens say.
func promptText(r *chat.Request, prompt []chat.Token) string {
	if r.Raw.Tokens == nil {
		return r.Raw.Text
	}
	var b strings.Builder
	for i := range prompt {
		if !prompt[i].Special {
			b.Write(prompt[i].Bytes)
		}
	}
	return strings.ToValidUTF8(b.String(), "\uFFFD")
}

func textCompletionOf(rs []*chat.Request, answers []*chat.Response) *answered[textChoice] {
	out := &answered[textChoice]{ID: Named("cmpl-", answers[0].ID), Object: "text_completion", Created: answers[0].Created.Unix(),
		Model: ModelName(rs[0].Model, answers[0].Model), Choices: []textChoice{}}
	var sum chat.Usage
	for i, a := range answers {
		for j := range a.Choices {
			out.Choices = append(out.Choices, textChoiceOf(rs[i], a, i*max(rs[i].N, 1)+j, &a.Choices[j]))
		}
		sum.Prompt, sum.Cached, sum.Answer, sum.Reasoning = sum.Prompt+a.Usage.Prompt, sum.Cached+a.Usage.Cached, sum.Answer+a.Usage.Answer, sum.Reasoning+a.Usage.Reasoning
	}
	out.Usage, _ = api.Encode(usageOf(&sum)) // numbers only: cannot fail
	return out
}

func textChoiceOf(r *chat.Request, a *chat.Response, index int, c *chat.Choice) textChoice {
	why := textFinish(c.Finish)
	out := textChoice{Index: index, FinishReason: &why}
	var p place
	out.echo(r, a.Prompt, &p)
	for i := range c.Blocks {
		out.Text += c.Blocks[i].Text
		out.tokens(r, &p, c.Blocks[i].Tokens)
	}
	return out
}

// echo begins a choice with its prompt, where that was asked for.
func (c *textChoice) echo(r *chat.Request, prompt []chat.Token, p *place) {
	if r.TokenIDs {
		c.PromptTokenIDs = tokenIDs(prompt)
	}
	if !r.Echo {
		return
	}
	c.Text = promptText(r, prompt)
	if r.Logprobs != nil {
		c.Logprobs = c.Logprobs.add(p, prompt, 1)
	}
	p.characters = utf8.RuneCountInString(c.Text)
}

func (c *textChoice) tokens(r *chat.Request, p *place, tokens []chat.Token) {
	if r.Logprobs != nil {
		c.Logprobs = c.Logprobs.add(p, tokens, 0)
	}
	if r.TokenIDs {
		c.TokenIDs = append(c.TokenIDs, tokenIDs(tokens)...)
	}
}

func textFinish(f chat.Finish) string {
	switch f {
	case chat.Length, chat.Full:
		return "length"
	case chat.Filtered:
		return "content_filter"
	}
	return "stop"
}

// texts encodes a streamed completion of one or more prompts.
type texts struct {
	sender[textChoice]
	r       *chat.Request // any of rs: they differ in their prompts only
	rs      []*chat.Request
	choices []textState
}

type textState struct {
	begun  bool
	place  place
	prompt []chat.Token
}

func (s *texts) Event(out *api.Frames, ev *chat.Event) error {
	n := max(s.r.N, 1)
	switch ev.Kind {
	case chat.Started:
		if s.base.ID == "" {
			s.begin(answered[textChoice]{ID: Named("cmpl-", ev.ID), Object: "text_completion", Created: ev.Created.Unix(), Model: ModelName(s.r.Model, ev.Model)})
		}
		for i := range n {
			s.choices[ev.Choice+i].prompt = ev.Prompt
		}
		return nil
	case chat.Ended:
		return s.end(out, ev)
	}
	c := &s.choices[ev.Choice]
	if !c.begun {
		c.begun = true
		one := textChoice{Index: ev.Choice}
		one.echo(s.rs[ev.Choice/n], c.prompt, &c.place)
		if s.r.Echo || s.r.TokenIDs {
			if err := s.send(out, one); err != nil {
				return err
			}
		}
	}
	switch ev.Kind {
	case chat.Delta:
		one := textChoice{Index: ev.Choice, Text: ev.Text}
		one.tokens(s.r, &c.place, ev.Tokens)
		return s.send(out, one)
	case chat.Finished:
		why := textFinish(ev.Finish)
		return s.send(out, textChoice{Index: ev.Choice, FinishReason: &why})
	}
	return nil
}

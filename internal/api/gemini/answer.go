package gemini

import (
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

// view is how an answer is shown.
type view struct {
	request  *chat.Request
	thoughts bool // reasoning is shown
}

// answer is a whole answer, or a piece of a streamed one.
type answer struct {
	Candidates []candidate `json:"candidates"`
	Usage      *usage      `json:"usageMetadata,omitempty"`
	Model      string      `json:"modelVersion"`
	ID         string      `json:"responseId"`
}

type candidate struct {
	Content       answerContent  `json:"content"`
	FinishReason  string         `json:"finishReason,omitempty"`
	FinishMessage string         `json:"finishMessage,omitempty"`
	Index         int            `json:"index"`
	Grounding     *grounding     `json:"groundingMetadata,omitempty"`
	AvgLogprobs   *float64       `json:"avgLogprobs,omitempty"`
	Logprobs      *logprobResult `json:"logprobsResult,omitempty"`
}

type answerContent struct {
	Parts []answerPart `json:"parts"`
	Role  string       `json:"role"`
}

type answerPart struct {
	Text    *string     `json:"text,omitempty"`
	Thought bool        `json:"thought,omitempty"`
	Call    *answerCall `json:"functionCall,omitempty"`
}

type answerCall struct {
	ID   string          `json:"id"`
	Name string          `json:"name"`
	Args json.RawMessage `json:"args"`
}

func textPart(text string, thought bool) answerPart { return answerPart{Text: &text, Thought: thought} }

type usage struct {
	Prompt        int        `json:"promptTokenCount"`
	Candidates    int        `json:"candidatesTokenCount,omitempty"`
	Total         int        `json:"totalTokenCount"`
	Cached        int        `json:"cachedContentTokenCount,omitempty"`
	Thoughts      int        `json:"thoughtsTokenCount,omitempty"`
	PromptDetails []modality `json:"promptTokensDetails,omitempty"`
}

type modality struct {
	Modality string `json:"modality"`
	Tokens   int    `json:"tokenCount"`
}

// usageOf counts as Google does: thoughts beside candidates, not among them.
func usageOf(u *chat.Usage) *usage {
	if u == nil {
		u = &chat.Usage{}
	}
	return &usage{Prompt: u.Prompt, Candidates: u.Answer - u.Reasoning, Total: u.Prompt + u.Answer, Cached: u.Cached, Thoughts: u.Reasoning,
		PromptDetails: []modality{{"TEXT", u.Prompt}}}
}

// finishReason is Google's word, and a sentence where the word does not say it.
func finishReason(f chat.Finish) (reason, message string) {
	switch f {
	case chat.Length:
		return "MAX_TOKENS", ""
	case chat.Full:
		return "MAX_TOKENS", "The model's context is full."
	case chat.Filtered, chat.Refused:
		return "SAFETY", ""
	}
	return "STOP", ""
}

// answer is a whole answer.
func (v *view) answer(a *chat.Response) *answer {
	out := v.piece(a.ID, a.Model)
	out.Usage = usageOf(&a.Usage)
	for i := range a.Choices {
		out.Candidates = append(out.Candidates, v.candidate(i, &a.Choices[i]))
	}
	return out
}

func (v *view) piece(id, model string) *answer {
	return &answer{Candidates: []candidate{}, Model: firstOf(v.request.Model, model), ID: strings.TrimPrefix(id, "req_")}
}

func (v *view) candidate(index int, c *chat.Choice) candidate {
	s := state{index: index, view: v}
	out := candidate{Content: answerContent{Role: "model"}, Index: index}
	for i := range c.Blocks {
		b := &c.Blocks[i]
		out.Content.Parts = append(out.Content.Parts, s.begin(b.Kind, b.Call)...)
		out.Content.Parts = append(out.Content.Parts, s.delta(b.Text, b.Tokens)...)
		for j := range b.Citations {
			s.cite(&b.Citations[j])
		}
		out.Content.Parts = append(out.Content.Parts, s.end()...)
	}
	last := s.finish(c.Finish)
	if len(out.Content.Parts) == 0 || last.Content.Parts[0].Call != nil { // their clients take a turn without parts for a broken one
		out.Content.Parts = append(out.Content.Parts, last.Content.Parts...)
	}
	last.Content = out.Content
	return last
}

// state is a candidate under way. The same code makes whole and streamed answers: a block begins, has
// deltas and citations, and ends; each gives the parts to tell then.
type state struct {
	index int
	view  *view

	kind      chat.BlockKind
	call      *chat.Call
	text      strings.Builder // of the open block
	parts     int             // ended so far, of those that are shown
	malformed string          // arguments that are no object
	bare      *answerCall     // a call without any: the answer was cut in front of them, or there are none
	grounding *grounding
	logprobs  *logprobResult
	sum       float64 // of the tokens' log-probabilities
}

// begin gives what was left to tell of the block before.
func (s *state) begin(kind chat.BlockKind, call *chat.Call) []answerPart {
	s.kind, s.call = kind, call
	s.text.Reset()
	return s.rest()
}

// rest gives a call without arguments, once it is known that none were to come.
func (s *state) rest() []answerPart {
	if s.bare == nil {
		return nil
	}
	call := s.bare
	s.bare = nil
	s.parts++
	return []answerPart{{Call: call}}
}

func (s *state) hidden() bool { return s.kind == chat.ThinkingBlock && !s.view.thoughts }

func (s *state) delta(text string, tokens []chat.Token) []answerPart {
	s.text.WriteString(text)
	if s.view.request.Logprobs != nil && s.kind == chat.TextBlock {
		s.likely(tokens)
	}
	if text == "" || s.kind == chat.CallBlock || s.hidden() {
		return nil
	}
	return []answerPart{textPart(text, s.kind == chat.ThinkingBlock)}
}

// end gives a call, which is told whole. Arguments that are no object end the answer as a malformed call,
// which their clients know: they must never be taken for a call that was meant.
func (s *state) end() []answerPart {
	if s.kind != chat.CallBlock {
		if s.text.Len() > 0 && !s.hidden() {
			s.parts++
		}
		return nil
	}
	args := strings.TrimSpace(s.text.String())
	if args == "" {
		s.bare = &answerCall{s.call.ID, s.call.Name, []byte("{}")}
		return nil
	}
	if args[0] != '{' || !json.Valid([]byte(args)) {
		s.malformed = args
		return nil
	}
	s.parts++
	return []answerPart{{Call: &answerCall{s.call.ID, s.call.Name, json.RawMessage(args)}}}
}

// finish is the last piece of a candidate.
func (s *state) finish(f chat.Finish) candidate {
	out := candidate{Content: answerContent{[]answerPart{textPart("", false)}, "model"}, Index: s.index, Grounding: s.grounding, Logprobs: s.logprobs}
	out.FinishReason, out.FinishMessage = finishReason(f)
	short := f == chat.Length || f == chat.Full
	if parts := s.rest(); len(parts) > 0 && !short {
		out.Content.Parts = parts
	}
	if s.malformed != "" && !short {
		out.FinishReason, out.FinishMessage = "MALFORMED_FUNCTION_CALL", "Malformed function call: "+s.malformed
	}
	if s.logprobs != nil {
		mean := s.sum / float64(len(s.logprobs.Chosen))
		out.AvgLogprobs = &mean
	}
	return out
}

// logprobResult is how likely the tokens of an answer were.
type logprobResult struct {
	Top    []topCandidates    `json:"topCandidates"`
	Chosen []logprobCandidate `json:"chosenCandidates"`
}

type topCandidates struct {
	Candidates []logprobCandidate `json:"candidates"`
}

type logprobCandidate struct {
	Token   string  `json:"token"`
	ID      int32   `json:"tokenId"`
	Logprob float64 `json:"logProbability"`
}

// unlikely stands for what has no finite log-probability.
const unlikely = -9999

func logprobOf(t *chat.Token) logprobCandidate {
	out := logprobCandidate{strings.ToValidUTF8(string(t.Bytes), "\uFFFD"), t.ID, unlikely}
	if t.Logprob > unlikely { // also not what is no number
		out.Logprob = float64(t.Logprob)
	}
	return out
}

func (s *state) likely(tokens []chat.Token) {
	for i := range tokens {
		if s.logprobs == nil {
			s.logprobs = &logprobResult{Top: []topCandidates{}}
		}
		one := logprobOf(&tokens[i])
		s.logprobs.Chosen = append(s.logprobs.Chosen, one)
		s.sum += one.Logprob
		top := topCandidates{[]logprobCandidate{}}
		for j := range tokens[i].Top {
			top.Candidates = append(top.Candidates, logprobOf(&tokens[i].Top[j]))
		}
		s.logprobs.Top = append(s.logprobs.Top, top)
	}
}

// grounding says which parts of an answer rest on which sources.
type grounding struct {
	Chunks   []groundingChunk   `json:"groundingChunks"`
	Supports []groundingSupport `json:"groundingSupports"`
}

type groundingChunk struct {
	Context retrievedContext `json:"retrievedContext"`
}

type retrievedContext struct {
	URI   string `json:"uri"`
	Title string `json:"title"`
	Text  string `json:"text"`
}

type groundingSupport struct {
	Segment segment `json:"segment"`
	Chunks  []int   `json:"groundingChunkIndices"`
}

// segment is a stretch of a part's text, in bytes.
type segment struct {
	Part  int    `json:"partIndex"`
	Start int    `json:"startIndex"`
	End   int    `json:"endIndex"`
	Text  string `json:"text"`
}

func (s *state) cite(c *chat.Citation) {
	if s.grounding == nil {
		s.grounding = &grounding{Chunks: []groundingChunk{}, Supports: []groundingSupport{}}
	}
	text := s.text.String()
	one := groundingSupport{Segment: segment{s.parts, byteAt(text, c.Start), byteAt(text, c.End), c.Text}, Chunks: []int{}}
	for i := range c.Sources {
		one.Chunks = append(one.Chunks, s.grounding.chunk(&c.Sources[i]))
	}
	s.grounding.Supports = append(s.grounding.Supports, one)
}

// chunk is a source's place, which it gets with its first use.
func (g *grounding) chunk(d *chat.Document) int {
	own := groundingChunk{retrievedContext{d.ID, d.Title, d.Text}}
	for i, c := range g.Chunks {
		if c == own {
			return i
		}
	}
	g.Chunks = append(g.Chunks, own)
	return len(g.Chunks) - 1
}

// byteAt is where in a text the n-th character begins.
func byteAt(text string, n int) int {
	at := 0
	for ; n > 0 && at < len(text); n-- {
		_, size := utf8.DecodeRuneInString(text[at:])
		at += size
	}
	return at
}

var _ api.Encoder = (*chunks)(nil)

package bedrock

import (
	"net/http"
	"slices"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/vector"
	"github.com/galerne-ai/galerne/internal/chat"
)

// completion is the body of models that go on from a prompt: Meta's (max_gen_len), Mistral's (max_tokens) and
// Amazon's Titan (inputText).
type completion struct {
	Prompt      string   `json:"prompt"`
	MaxGen      *int     `json:"max_gen_len"`
	MaxTokens   *int     `json:"max_tokens"`
	Temperature *float64 `json:"temperature"`
	TopP        *float64 `json:"top_p"`
	TopK        *int     `json:"top_k"`
	Stop        []string `json:"stop"`

	Input string `json:"inputText"`
	Text  struct {
		Temperature *float64 `json:"temperature"`
		TopP        *float64 `json:"topP"`
		MaxTokens   *int     `json:"maxTokenCount"`
		Stop        []string `json:"stopSequences"`
	} `json:"textGenerationConfig"`
}

// told is what a piece of a completion says; the last piece has an end.
type told struct {
	text   string
	end    string // "" while it goes on
	prompt int    // tokens, with the end
	answer int    // tokens so far
}

// family is how models of one maker take and give completions.
type family struct {
	whole, piece func(told) any
	length, stop string // words for the two ends
}

func meta() *family {
	type generation struct {
		Text   string  `json:"generation"`
		Prompt *int    `json:"prompt_token_count"`
		Answer int     `json:"generation_token_count"`
		Stop   *string `json:"stop_reason"`
	}
	tell := func(t told) any {
		out := generation{Text: t.text, Answer: t.answer}
		if t.end != "" {
			out.Prompt, out.Stop = &t.prompt, &t.end
		}
		return out
	}
	return &family{whole: tell, piece: tell, length: "length", stop: "stop"}
}

func mistral() *family {
	type output struct {
		Text string  `json:"text"`
		Stop *string `json:"stop_reason"`
	}
	tell := func(t told) any {
		out := output{Text: t.text}
		if t.end != "" {
			out.Stop = &t.end
		}
		return map[string]any{"outputs": []output{out}}
	}
	return &family{whole: tell, piece: tell, length: "length", stop: "stop"}
}

func titan() *family {
	whole := func(t told) any {
		return map[string]any{"inputTextTokenCount": t.prompt, "results": []any{map[string]any{"tokenCount": t.answer, "outputText": t.text, "completionReason": t.end}}}
	}
	piece := func(t told) any {
		out := map[string]any{"outputText": t.text, "index": 0, "totalOutputTextTokenCount": nil, "completionReason": nil}
		if t.end != "" {
			out["totalOutputTextTokenCount"], out["completionReason"], out["inputTextTokenCount"] = t.answer, t.end, t.prompt
		}
		return out
	}
	return &family{whole: whole, piece: piece, length: "LENGTH", stop: "FINISH"}
}

func (f *family) end(reason chat.Finish) string {
	switch reason {
	case chat.Length, chat.Full:
		return f.length
	}
	return f.stop
}

// familyOf is whose models take such a body; nil if it is none of these.
func familyOf(s *shape) *family {
	switch {
	case !isNull(s.Prompt) && !isNull(s.MaxGen):
		return meta()
	case !isNull(s.Prompt):
		return mistral()
	case !isNull(s.Input):
		return titan()
	}
	return nil
}

// readCompletion is what is asked. A prompt comes as the model's template would have written it; Titan's is
// what a user says.
func readCompletion(c *api.Call) (*chat.Request, error) {
	var b completion
	if err := c.Decode(&b, textOnlyFields()); err != nil {
		return nil, err
	}
	r := &chat.Request{Model: modelOf(c), MaxTokens: b.MaxTokens, Stop: b.Stop, Sampling: chat.Sampling{Temperature: b.Temperature, TopP: b.TopP, TopK: b.TopK}}
	r.Raw = &chat.RawPrompt{Text: b.Prompt, ParseSpecial: true}
	if b.MaxGen != nil {
		r.MaxTokens = b.MaxGen
	}
	if b.Input != "" {
		r.Raw, r.Messages = nil, []chat.Message{{Role: chat.User, Parts: text(b.Input)}}
		r.MaxTokens, r.Stop = b.Text.MaxTokens, b.Text.Stop
		r.Sampling.Temperature, r.Sampling.TopP = b.Text.Temperature, b.Text.TopP
	}
	for _, v := range []struct {
		name  string
		value *float64
	}{{"temperature", r.Sampling.Temperature}, {"top_p", r.Sampling.TopP}} {
		if v.value != nil && (*v.value < 0 || *v.value > 1) {
			return nil, invalid(v.name, "%s is %v: it must be from 0 to 1", v.name, *v.value)
		}
	}
	if r.MaxTokens != nil && *r.MaxTokens < 1 {
		return nil, invalid("max_tokens", "the most tokens are %d: it must be at least 1", *r.MaxTokens)
	}
	if len(r.Stop) > maxStops || slices.Contains(r.Stop, "") {
		return nil, invalid("stop", "the stop sequences must be at most %d, none of them empty", maxStops)
	}
	return r, nil
}

// complete answers with a whole completion.
func (f *family) complete(c *api.Call) error {
	r, err := readCompletion(c)
	if err != nil {
		return err
	}
	a, err := c.Answer(r)
	if err != nil {
		return err
	}
	t := told{end: f.stop, prompt: a.Usage.Prompt, answer: a.Usage.Answer}
	if len(a.Choices) > 0 {
		t.text, t.end = a.Choices[0].Text(chat.TextBlock), f.end(a.Choices[0].Finish)
	}
	return c.JSON(http.StatusOK, f.whole(t))
}

// completionEvents encodes a streamed completion.
type completionEvents struct {
	chunks
	family *family
	last   told
}

// Event implements api.Encoder.
func (s *completionEvents) Event(out *api.Frames, ev *chat.Event) error {
	switch {
	case ev.Kind == chat.Delta && ev.BlockKind == chat.TextBlock && ev.Text != "":
		s.last.answer++
		return s.chunks.Event(out, s.family.piece(told{text: ev.Text, answer: s.last.answer}))
	case ev.Kind == chat.Finished:
		s.last.end = s.family.end(ev.Finish)
	case ev.Kind == chat.Ended:
		if ev.Usage != nil {
			s.last.prompt, s.last.answer = ev.Usage.Prompt, ev.Usage.Answer
		}
		return s.chunks.Event(out, s.family.piece(s.last))
	}
	return nil
}

// End implements api.Encoder.
func (s *completionEvents) End(*api.Frames) {}

func (f *family) stream(c *api.Call) error {
	r, err := readCompletion(c)
	if err != nil {
		return err
	}
	return c.Stream(&completionEvents{family: f}, r)
}

// titanEmbedding is the body of Amazon's Titan models for vectors.
type titanEmbedding struct {
	Text       string        `json:"inputText"`
	Dimensions int           `json:"dimensions"`
	Normalize  *bool         `json:"normalize"`
	Types      []vector.Type `json:"embeddingTypes"`
}

// embedTitan answers with the vector of one text.
func embedTitan(c *api.Call) error {
	var b titanEmbedding
	if err := c.Decode(&b, textOnlyFields()); err != nil {
		return err
	}
	if b.Dimensions < 0 {
		return invalid("dimensions", "dimensions is %d: it must be at least 1", b.Dimensions)
	}
	got, err := c.Backend.Embed(c.R.Context(), &chat.EmbedRequest{Model: modelOf(c), Texts: []string{b.Text}, Dimensions: b.Dimensions, Raw: b.Normalize != nil && !*b.Normalize})
	if err != nil {
		return err
	}
	out := map[string]any{"inputTextTokenCount": got.Tokens}
	if len(b.Types) == 0 {
		b.Types = []vector.Type{vector.Floats}
	}
	byType := map[string]any{}
	for _, kind := range b.Types {
		switch kind {
		case vector.Floats:
			out["embedding"] = got.Vectors[0]
			byType["float"] = got.Vectors[0]
		case vector.Binary:
			byType["binary"] = bits(got.Vectors[0])
		default:
			return invalid("embeddingTypes", "embeddingTypes has %q: it must be float or binary", kind)
		}
	}
	out["embeddingsByType"] = byType
	return c.JSON(http.StatusOK, out)
}

// bits is 1 for every number above 0, and 0 for the others: Titan does not pack them.
func bits(v []float32) []int {
	out := make([]int, len(v))
	for i, x := range v {
		if x > 0 {
			out[i] = 1
		}
	}
	return out
}

// cohereEmbedding is the body of Cohere's models for vectors.
type cohereEmbedding struct {
	Texts    []string      `json:"texts"`
	Type     string        `json:"input_type"` // one kind of vector serves all
	Truncate string        `json:"truncate"`
	Types    []vector.Type `json:"embedding_types"`
}

const maxTexts = 2048

// embedCohere answers with the vectors of texts.
func embedCohere(c *api.Call) error {
	var b cohereEmbedding
	if err := c.Decode(&b, textOnlyFields()); err != nil {
		return err
	}
	r := &chat.EmbedRequest{Model: modelOf(c), Texts: b.Texts}
	switch {
	case len(b.Texts) == 0 || len(b.Texts) > maxTexts:
		return invalid("texts", "texts has %d elements: it must have from 1 to %d", len(b.Texts), maxTexts)
	case b.Truncate == "END":
		r.Truncate = true
	case b.Truncate != "" && b.Truncate != "NONE":
		return unsupported("truncate", "truncate %.20s is not supported: it must be NONE or END", b.Truncate)
	}
	for _, kind := range b.Types {
		if !kind.Known() {
			return invalid("embedding_types", "embedding_types has %q: it must be float, int8, uint8, binary or ubinary", kind)
		}
	}
	got, err := c.Backend.Embed(c.R.Context(), r)
	if err != nil {
		return err
	}
	out := map[string]any{"id": c.ID, "texts": b.Texts, "response_type": "embeddings_floats", "embeddings": got.Vectors}
	if len(b.Types) > 0 {
		byType := map[vector.Type][]any{}
		for _, kind := range b.Types {
			for _, v := range got.Vectors {
				byType[kind] = append(byType[kind], kind.Numbers(v))
			}
		}
		out["response_type"], out["embeddings"] = "embeddings_by_type", byType
	}
	return c.JSON(http.StatusOK, out)
}

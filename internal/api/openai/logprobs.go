package openai

import (
	"strings"

	"github.com/galerne-ai/galerne/internal/chat"
)

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

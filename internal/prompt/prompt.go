// Package prompt answers: which exact tokens does a model read for a chat, and what do its answer's
// tokens say? One Format a model family knows both directions.
package prompt

import (
	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/tokenizer"
)

// Prompt is what the model reads.
type Prompt struct {
	Text string
	IDs  []int32
}

// Format is how one model is talked to. It is read-only: many goroutines may use it.
type Format struct {
	tokens *tokenizer.Tokenizer
}

// Piece is a stretch of an answer. Pieces of one block follow each other; Begins marks the first of a
// block, which may have no text yet.
type Piece struct {
	Kind   chat.BlockKind
	Begins bool
	Call   *chat.Call // of the first piece of a CallBlock
	Text   string
}

// Reader turns one answer's tokens into pieces: text, reasoning and tool calls. It never gives out half
// a character, and what is malformed stays text.
type Reader struct {
	decoder *tokenizer.Decoder
	begun   bool
	out     []Piece
}

// New reads a model's chat template.
func New(t *tokenizer.Tokenizer) (*Format, error) { return &Format{tokens: t}, nil }

// Render makes the prompt of a request: of its Messages through the template, or of its Raw prompt.
func (f *Format) Render(r *chat.Request) (*Prompt, error) {
	var p Prompt
	if r.Raw != nil && r.Raw.Tokens != nil {
		p.IDs = r.Raw.Tokens
		return &p, nil
	}
	if r.Raw == nil {
		return nil, chat.ErrUnsupported.Because("prompt: chat templates are not built yet").At("messages")
	}
	p.Text = r.Raw.Text
	p.IDs = f.tokens.Encode(nil, p.Text, tokenizer.EncodeOptions{AddSpecial: !r.Raw.NoBOS, ParseSpecial: r.Raw.ParseSpecial})
	return &p, nil
}

// NewReader begins an answer to a request that Render rendered.
func (f *Format) NewReader(r *chat.Request) *Reader {
	return &Reader{decoder: f.tokens.NewDecoder(true)}
}

// Add takes the next token. The pieces are valid until the next call.
func (r *Reader) Add(id int32) []Piece { return r.text(string(r.decoder.Append(id))) }

// Flush ends the answer.
func (r *Reader) Flush() []Piece { return r.text(string(r.decoder.Flush())) }

func (r *Reader) text(text string) []Piece {
	r.out = r.out[:0]
	if text != "" {
		r.out = append(r.out, Piece{Kind: chat.TextBlock, Begins: !r.begun, Text: text})
		r.begun = true
	}
	return r.out
}

package chat

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"
)

// Response is a whole answer: the fold of a stream's events.
type Response struct {
	ID      string
	Model   string
	Created time.Time
	Prompt  []Token
	Choices []Choice
	Usage   Usage
	Timing  Timing
}

// Choice is one of the answers.
type Choice struct {
	Blocks   []Block
	Finish   Finish
	StopText string
}

// Block is a stretch of an answer of one kind.
type Block struct {
	Kind      BlockKind
	Call      *Call
	Text      string
	Tokens    []Token
	Citations []Citation
}

// Text is what the blocks of one kind say, joined.
func (c *Choice) Text(kind BlockKind) string {
	var all strings.Builder
	for i := range c.Blocks {
		if c.Blocks[i].Kind == kind {
			all.WriteString(c.Blocks[i].Text)
		}
	}
	return all.String()
}

// Calls lists the tool calls.
func (c *Choice) Calls() []*Block {
	var out []*Block
	for i := range c.Blocks {
		if c.Blocks[i].Kind == CallBlock {
			out = append(out, &c.Blocks[i])
		}
	}
	return out
}

// Collect folds a stream into a whole answer and closes it.
func Collect(ctx context.Context, s Stream) (*Response, error) {
	defer s.Close()
	var f Fold
	for {
		ev, err := s.Next(ctx)
		if errors.Is(err, io.EOF) {
			return f.Response(), nil
		}
		if err != nil {
			return nil, err
		}
		f.Add(ev)
	}
}

// Fold gathers events.
type Fold struct {
	r    Response
	text [][]byte // of the open block of each choice
}

// Add takes the next event.
func (f *Fold) Add(ev Event) {
	for len(f.r.Choices) <= ev.Choice && ev.Kind != Started && ev.Kind != Ended {
		f.r.Choices, f.text = append(f.r.Choices, Choice{}), append(f.text, nil)
	}
	switch ev.Kind {
	case Started:
		f.r.ID, f.r.Model, f.r.Created, f.r.Prompt = ev.ID, ev.Model, ev.Created, ev.Prompt
	case BlockStart:
		c := &f.r.Choices[ev.Choice]
		c.Blocks = append(c.Blocks, Block{Kind: ev.BlockKind, Call: ev.Call})
	case Delta:
		b := f.open(ev.Choice)
		f.text[ev.Choice] = append(f.text[ev.Choice], ev.Text...)
		b.Tokens = append(b.Tokens, ev.Tokens...)
	case BlockStop:
		f.open(ev.Choice).Text = string(f.text[ev.Choice])
		f.text[ev.Choice] = f.text[ev.Choice][:0]
	case Cited:
		b := f.open(ev.Choice)
		b.Citations = append(b.Citations, *ev.Citation)
	case Finished:
		f.r.Choices[ev.Choice].Finish, f.r.Choices[ev.Choice].StopText = ev.Finish, ev.StopText
	}
	if ev.Usage != nil {
		f.r.Usage = *ev.Usage
	}
	if ev.Timing != nil {
		f.r.Timing = *ev.Timing
	}
}

// open is the block under way of a choice.
func (f *Fold) open(choice int) *Block {
	blocks := f.r.Choices[choice].Blocks
	return &blocks[len(blocks)-1]
}

// Response is what was gathered.
func (f *Fold) Response() *Response { return &f.r }

package chat

import "time"

// EventKind tells what an Event is.
type EventKind uint8

const (
	Started    EventKind = iota // first, once: ID, Model, Created, Usage (the prompt's part), Prompt
	BlockStart                  // a block of an answer begins: Block, BlockKind, and Call for a tool call
	Delta                       // more of a block: Text, Tokens
	BlockStop                   // a block is complete
	Cited                       // Citation, of a text block
	Finished                    // an answer is complete: Finish, StopText
	Ended                       // last, once: Usage, Timing
)

// BlockKind tells what the text of a block is.
type BlockKind uint8

const (
	TextBlock BlockKind = iota
	ThinkingBlock
	CallBlock // the arguments of a tool call, JSON text as the model writes it
	RefusalBlock
)

// Event is one thing that happened to an answer. The blocks of a choice are numbered from 0 and do
// not overlap.
type Event struct {
	Kind   EventKind
	Choice int

	Block     int
	BlockKind BlockKind
	Call      *Call
	Text      string
	Tokens    []Token // that made Text, where Logprobs or TokenIDs asked for them
	Citation  *Citation

	Finish   Finish
	StopText string // the stop string that was met

	ID      string
	Model   string // the name that answered
	Created time.Time
	Prompt  []Token // the prompt's tokens, where PromptLogprobs, Echo or TokenIDs asked for them
	Usage   *Usage
	Timing  *Timing
}

// Call is a tool call of the model.
type Call struct {
	ID   string
	Name string
}

// Token is a token with its probability, where that was asked for.
type Token struct {
	ID      int32
	Bytes   []byte // what it decodes to; may be part of a character
	Logprob float32
	Top     []Token // alternatives, the likeliest first
	Special bool
}

// Citation tells which sources a stretch of a text block rests on.
type Citation struct {
	Start, End int // in characters (code points) of the block's text
	Text       string
	Sources    []Document
}

// Finish is why an answer ended.
type Finish uint8

const (
	Stop       Finish = iota // the model ended it
	StopString               // Event.StopText
	Length                   // MaxTokens; of an answer of a form, also if it was ended so as to be complete within them
	Full                     // the model's context
	ToolCall                 // the model calls tools
	Filtered
	Refused
)

func (f Finish) String() string {
	return [...]string{"stop", "stop_string", "length", "full", "tool_call", "filtered", "refused"}[f]
}

// Usage counts tokens.
type Usage struct {
	Prompt    int
	Cached    int // of Prompt, known from before
	Answer    int // of all choices
	Reasoning int // of Answer, in thinking blocks
}

// Timing is where the time went.
type Timing struct {
	Load, Queue, Prompt, Answer time.Duration
}

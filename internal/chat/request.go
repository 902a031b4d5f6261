package chat

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"
)

// Request is one question to a model. A pointer that is nil, and an empty slice, mean that the caller
// did not say: unset is not zero.
type Request struct {
	ID     string // of the HTTP request, for logs
	Model  string // a name, an alias, or "" for the default
	Tenant string // whose cached prefixes may be used; "" is everybody who has no key
	User   string // the caller's own name for its user, for logs

	Messages []Message
	Raw      *RawPrompt     // in place of Messages: text or tokens that no template touches
	Template map[string]any // further variables of the model's chat template (enable_thinking, ...)

	Tools         []Tool
	ToolChoice    ToolChoice
	ParallelTools *bool
	Documents     []Document
	Citations     string // "", off, fast, accurate
	Format        Format
	Reasoning     Reasoning
	Sampling      Sampling

	N         int // answers; 0 means 1
	MaxTokens *int
	MinTokens int
	Stop      []string
	KeepStop  bool    // the stop string stays at the answer's end
	StopIDs   []int32 // tokens that end the answer too
	IgnoreEnd bool    // go on to MaxTokens

	Logprobs       *int // log-probabilities with so many alternatives; nil: none
	PromptLogprobs *int // the same for the prompt's own tokens (from the second on)
	Echo           bool // the prompt's text comes first in the answer
	TokenIDs       bool // events carry the tokens even without log-probabilities

	KeepAlive *KeepAlive
}

// KeepAlive is how long a model stays in memory after its last answer; negative: always.
type KeepAlive = time.Duration

// RawPrompt is a prompt as it is.
type RawPrompt struct {
	Text   string
	Tokens []int32 // in place of Text, if not nil
	Suffix *string // fill in the middle: what follows the answer
	// ParseSpecial finds the names of special tokens in Text. The model's own begin is added anyway,
	// unless NoBOS says not to.
	ParseSpecial bool
	NoBOS        bool
}

// Role is who speaks.
type Role string

const (
	System    Role = "system"
	Developer Role = "developer"
	User      Role = "user"
	Assistant Role = "assistant"
	ToolRole  Role = "tool"
)

// Message is one turn. An assistant message that is the last and has Prefix is continued by the answer.
type Message struct {
	Role   Role
	Name   string
	Parts  []Part
	Prefix bool
}

// PartKind tells what a Part is.
type PartKind uint8

const (
	TextPart     PartKind = iota
	ThinkingPart          // Text is the reasoning; Signature is what the vendor's client sends back
	CallPart              // a call that the assistant made: ID, Name, Arguments
	ResultPart            // what a tool gave: CallID, Name, Text, Failed
	RefusalPart           // Text
	MediaPart             // Media: image, audio, video or file; networks here read text only
)

// Part is a piece of a message.
type Part struct {
	Kind      PartKind
	Text      string
	ID        string // of a call
	CallID    string // of the call that a result answers
	Name      string // of the tool
	Arguments string // of a call: JSON text as the model wrote it
	Failed    bool   // the tool failed, and Text says how
	Signature string
	Media     *Media
}

// Media is something that is not text.
type Media struct {
	Type string // MIME, or image, audio, video, file
	URL  string
	Data []byte
}

// Tool is a function that the model may call.
type Tool struct {
	Name        string
	Description string
	Schema      json.RawMessage // JSON Schema of the arguments; nil: an object of anything
	Strict      bool            // the arguments are forced to fit the schema
}

// Parameters is the schema, spelt out where there is none.
func (t *Tool) Parameters() json.RawMessage {
	if len(t.Schema) == 0 {
		return json.RawMessage(`{"type":"object"}`)
	}
	return t.Schema
}

// ToolMode says whether the model may, must or must not call.
type ToolMode uint8

const (
	ToolsAuto ToolMode = iota
	ToolsNone
	ToolsRequired
	ToolsNamed // ToolChoice.Names: one of those must be called
)

// ToolChoice is the caller's choice of tools.
type ToolChoice struct {
	Mode  ToolMode
	Names []string // of ToolsNamed; with another mode: only these may be called
}

// OneCall reports whether an answer may have one tool call at most.
func (r *Request) OneCall() bool { return r.ParallelTools != nil && !*r.ParallelTools }

// Must reports whether a tool must be called.
func (c ToolChoice) Must() bool { return c.Mode == ToolsRequired || c.Mode == ToolsNamed }

// Document is a source that the answer should rest on.
type Document struct {
	ID    string
	Title string
	Text  string
	Data  json.RawMessage // as the caller gave it
}

// FormatKind tells what an answer must look like.
type FormatKind uint8

const (
	AnyText    FormatKind = iota
	JSONValue             // any JSON object
	JSONSchema            // Format.Schema
	Regex                 // Format.Pattern
	Grammar               // Format.Pattern in GBNF
	OneOf                 // Format.Choices
)

// Format restricts an answer. It is enforced while tokens are chosen.
type Format struct {
	Kind    FormatKind
	Name    string
	Schema  json.RawMessage
	Strict  bool
	Pattern string
	Choices []string
}

// Reasoning is how much a model that can should think before it answers.
type Reasoning struct {
	Enabled *bool
	Effort  string // "", minimal, low, medium, high
	Budget  *int   // tokens
}

// Sampling is how tokens are chosen; ranges as in package sample.
type Sampling struct {
	Temperature *float64
	TopK        *int
	TopP        *float64
	MinP        *float64
	TypicalP    *float64
	Repetition  *float64
	LastN       *int
	Frequency   *float64
	Presence    *float64
	Bias        map[int32]float64
	Seed        *uint64
}

// EmbedRequest asks for vectors.
type EmbedRequest struct {
	Model      string
	Texts      []string
	Tokens     [][]int32 // in place of Texts
	Dimensions int       // 0: the model's own; fewer keeps the first and normalizes
	Truncate   bool      // cut what is too long, and say so in Embeddings.Truncated; else it is an error
	Raw        bool      // do not normalize
	EachToken  bool      // a vector for every token that is read, as it is
}

// Embeddings are vectors in the order of the texts.
type Embeddings struct {
	Model     string
	Vectors   [][]float32
	Rows      [][][]float32 // in place of Vectors, of each text one a token, if EachToken
	Tokens    int           // that were read
	Truncated []int         // texts that were cut
}

// RankRequest asks for an order of documents.
type RankRequest struct {
	Model     string
	Query     string
	Documents []string
	Top       int  // 0: all
	Whole     bool // refuse what is too long for the model; else it is cut
}

// Ranking is documents, the best first.
type Ranking struct {
	Model  string
	By     string // CrossEncoder or Embedding
	Tokens int
	Scores []Score
}

// Order puts the best documents first, those of equal scores as they were, and keeps most of them; 0: all.
func (r *Ranking) Order(most int) {
	slices.SortStableFunc(r.Scores, func(a, b Score) int { return cmp.Compare(b.Raw, a.Raw) })
	if most > 0 && most < len(r.Scores) {
		r.Scores = r.Scores[:most]
	}
}

// How a Ranking came about: a model read the query with each document, or vectors of both were compared.
const (
	CrossEncoder = "cross-encoder"
	Embedding    = "embedding"
)

// Score is one document's place.
type Score struct {
	Index int // in RankRequest.Documents
	Score float64
	Raw   float64 // before it was brought into 0 to 1
}

// ClassifyRequest asks a classifier what texts are.
type ClassifyRequest struct {
	Model    string
	Texts    []Classified
	Truncate bool // cut what is too long; else it is an error
}

// Classified is a text, or two that are read together: a premise and what may follow from it, a query and
// a document.
type Classified struct {
	Text string
	Pair *string // nil: one text
}

// Classes are what texts are, in their order.
type Classes struct {
	Model  string
	Labels []string
	// Logits [texts][len(Labels)] are what the model says; Scores [texts][len(Labels)] the same from 0 to 1: of
	// one label, or of several that may be right at once, each for itself; else they add up to 1.
	Logits, Scores [][]float64
	Tokens         int // that were read
}

// Model describes a model to callers.
type Model struct {
	Name         string
	Aliases      []string
	Loaded       bool
	Pinned       bool
	Arch         string
	Parameters   int64
	Quantization string
	Licence      string
	Digest       string // SHA-256 of the weights, hexadecimal; "" if unknown
	Bytes        int64  // of the file
	MemoryBytes  int64  // when loaded, at most: what is kept of conversations takes its part of it as it comes
	WeightBytes  int64  // of MemoryBytes, what is taken from the start
	Context      int    // tokens
	Created      time.Time
	Expires      time.Time // when it will be unloaded; zero: not known or never
	Template     string
	Tokenizer    string // bpe, spm, unigram, wordpiece

	Chats, Embeds, FillsMiddle, CallsTools, Thinks bool

	Labels []string // of a classifier; one that has one label ranks documents
}

// Ranks reports whether it is a cross-encoder.
func (m *Model) Ranks() bool { return len(m.Labels) == 1 }

// Package model answers: what does the engine need of a network? A Config, one step's Batch,
// and one method.
package model

import (
	"github.com/galerne-ai/galerne/internal/kernel"
	"github.com/galerne-ai/galerne/internal/kv"
)

// Config is a network's shape, in the field's own terms.
type Config struct {
	Arch    string // llama, mixtral, qwen2, qwen3, qwen3moe, gemma3, bert, roberta, xlm-roberta
	Name    string // the file's own name for the model, "" if it gives none
	Vocab   int    // rows of the output matrix
	Dim     int    // width of the hidden state
	Layers  int
	Heads   int // query heads
	KVHeads int // key and value heads (GQA); Heads is a multiple of it
	HeadDim int
	FFN     int // inner width of the feed-forward, of one expert where there are experts
	Context int // longest sequence that the network was trained for, in tokens

	Experts     int // 0 for a dense network
	ExpertsUsed int // experts a token is sent to
	Window      int // sliding window of the windowed layers, in tokens; 0 where no layer has one

	Labels     []string // what a Classifier's numbers stand for; one: how well a pair of texts fits
	MultiLabel bool     // several labels may be right at once
}

// Batch is one step's work: rows of tokens, sequence after sequence.
type Batch struct {
	Tokens    []int32   // [rows]
	Positions []int32   // [rows] position of each token in its sequence
	Spans     []kv.Span // the sequences, in the order of their rows
	Cache     *kv.Cache // keys and values of all sequences; the step's own rows are written to it first
	Pool      *kernel.Pool

	Want   []int32   // the rows whose logits are wanted, ascending
	Logits []float32 // [len(Want)][Vocab], filled by Forward

	States []int32   // the rows whose hidden state behind the last norm is wanted, ascending
	Hidden []float32 // [len(States)][Dim], filled by Forward

	Err error // why Forward could not read its weights: nothing else of what it fills holds; nil else
}

// Model is a network in memory. Forward is called from one goroutine at a time; a row's logits depend
// on that row's sequence alone, bit for bit, whatever else is in the batch and on any number of threads.
type Model interface {
	Forward(b *Batch)
}

// Encoder is a network that reads a text at once and gives one vector: BERT and its kin.
type Encoder interface {
	// Encode fills out [len(texts)][Dim] with the pooled, unnormalised embeddings of token sequences.
	Encode(pool *kernel.Pool, texts [][]int32, out []float32)
	// Rows fills out [len(text)][Dim] with what Encode pools: a vector a token.
	Rows(pool *kernel.Pool, text []int32, out []float32)
}

// Text is one text for a Classifier, or two as one sequence.
type Text struct {
	Tokens []int32
	Kinds  []int32 // [len(Tokens)] segment of each: 0 the first text, 1 the second; nil: one text
}

// Classifier is a network that reads a text, or a pair, and gives a number for each of its labels.
type Classifier interface {
	// Classify fills out [len(texts)][len(Config.Labels)] with logits; every text has a token at least.
	Classify(pool *kernel.Pool, texts []Text, out []float32)
}

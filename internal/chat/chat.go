// Package chat answers: what is asked of a model, and what comes back, in no vendor's words?
//
// A [Request] goes to a [Responder] and comes back as a [Stream] of events. A whole answer is the
// fold of the same events ([Collect]), so that streamed and unstreamed answers cannot differ. What a
// company adds (retrieval, depth, grounding, governance) is a Responder around a Responder; vendors'
// APIs only translate.
package chat

import "context"

// Responder answers requests.
type Responder interface {
	// Respond begins an answer. Errors that can be known before the first token come from here; the
	// answer ends when ctx does. The caller closes the Stream.
	Respond(ctx context.Context, r *Request) (Stream, error)
}

// Stream is the events of one answer, pulled by one reader.
type Stream interface {
	// Next waits for the next event; io.EOF after the last. Any other error ends the answer. When
	// ctx ends first the answer goes on: a later Next continues, Close ends it.
	Next(ctx context.Context) (Event, error)
	// Close ends the answer within a step. It may be called more than once, and after the end.
	Close()
}

// Embedder turns texts into vectors.
type Embedder interface {
	Embed(ctx context.Context, r *EmbedRequest) (*Embeddings, error)
}

// Ranker orders documents by what they have to do with a query.
type Ranker interface {
	Rank(ctx context.Context, r *RankRequest) (*Ranking, error)
}

// Classifier tells what texts are.
type Classifier interface {
	Classify(ctx context.Context, r *ClassifyRequest) (*Classes, error)
}

// Vocabulary is a model's tokens, for callers.
type Vocabulary interface {
	// Tokenize gives the tokens of a text; with special, the model's own begin and end are added.
	Tokenize(ctx context.Context, model, text string, special bool) ([]Token, error)
	Detokenize(ctx context.Context, model string, ids []int32) (string, error)
	// Count is the number of tokens that the request's prompt takes, without answering it.
	Count(ctx context.Context, r *Request) (int, error)
}

// Library lists and manages models.
type Library interface {
	Models(ctx context.Context) ([]Model, error)
	// Model describes one model by name or alias; an unknown name is a fault of kind NotFound.
	Model(ctx context.Context, name string) (*Model, error)
	// Load brings a model into memory if it is not there, and sets how long it stays: nil leaves
	// the default, 0 unloads it once idle, a negative duration pins it.
	Load(ctx context.Context, name string, keep *KeepAlive) error
}

// Backend is all that a vendor's API translates to.
type Backend interface {
	Responder
	Embedder
	Ranker
	Classifier
	Vocabulary
	Library
}

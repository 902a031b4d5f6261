package chat

import (
	"context"
	"errors"
)

// Several is one Backend of several: each model is served by the first that has it. The default model
// is the first's.
type Several []Backend

var _ Backend = Several(nil)

// of finds the backend of a model.
func (s Several) of(ctx context.Context, model string) (Backend, error) {
	var missing error = ErrModel
	for _, b := range s {
		_, err := b.Model(ctx, model)
		if err == nil {
			return b, nil
		}
		if !errors.Is(err, ErrModel) {
			return nil, err
		}
		if missing == error(ErrModel) {
			missing = err
		}
	}
	return nil, missing
}

// Respond implements Responder.
func (s Several) Respond(ctx context.Context, r *Request) (Stream, error) {
	b, err := s.of(ctx, r.Model)
	if err != nil {
		return nil, err
	}
	return b.Respond(ctx, r)
}

// Embed implements Embedder.
func (s Several) Embed(ctx context.Context, r *EmbedRequest) (*Embeddings, error) {
	b, err := s.of(ctx, r.Model)
	if err != nil {
		return nil, err
	}
	return b.Embed(ctx, r)
}

// Rank implements Ranker.
func (s Several) Rank(ctx context.Context, r *RankRequest) (*Ranking, error) {
	b, err := s.of(ctx, r.Model)
	if err != nil {
		return nil, err
	}
	return b.Rank(ctx, r)
}

// Classify implements Classifier.
func (s Several) Classify(ctx context.Context, r *ClassifyRequest) (*Classes, error) {
	b, err := s.of(ctx, r.Model)
	if err != nil {
		return nil, err
	}
	return b.Classify(ctx, r)
}

// Tokenize implements Vocabulary.
func (s Several) Tokenize(ctx context.Context, model, text string, special bool) ([]Token, error) {
	b, err := s.of(ctx, model)
	if err != nil {
		return nil, err
	}
	return b.Tokenize(ctx, model, text, special)
}

// Detokenize implements Vocabulary.
func (s Several) Detokenize(ctx context.Context, model string, ids []int32) (string, error) {
	b, err := s.of(ctx, model)
	if err != nil {
		return "", err
	}
	return b.Detokenize(ctx, model, ids)
}

// Count implements Vocabulary.
func (s Several) Count(ctx context.Context, r *Request) (int, error) {
	b, err := s.of(ctx, r.Model)
	if err != nil {
		return 0, err
	}
	return b.Count(ctx, r)
}

// Models implements Library.
func (s Several) Models(ctx context.Context) ([]Model, error) {
	var out []Model
	for _, b := range s {
		some, err := b.Models(ctx)
		if err != nil {
			return nil, err
		}
		out = append(out, some...)
	}
	return out, nil
}

// Model implements Library.
func (s Several) Model(ctx context.Context, name string) (*Model, error) {
	b, err := s.of(ctx, name)
	if err != nil {
		return nil, err
	}
	return b.Model(ctx, name)
}

// Load implements Library.
func (s Several) Load(ctx context.Context, name string, keep *KeepAlive) error {
	b, err := s.of(ctx, name)
	if err != nil {
		return err
	}
	return b.Load(ctx, name, keep)
}

package serve

import (
	"context"
	"math"
	"slices"

	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/model"
	"github.com/galerne-ai/galerne/internal/tokenizer"
)

// Classify implements chat.Classifier.
func (s *Server) Classify(ctx context.Context, r *chat.ClassifyRequest) (*chat.Classes, error) {
	m, err := s.use(ctx, r.Model)
	if err != nil {
		return nil, err
	}
	defer m.release(nil)
	if m.classifier == nil {
		return nil, ErrKind.Because("serve: %s is no classifier: choose a model that was trained to classify", m.slot.entry.Name).At("model")
	}
	return m.classify(ctx, r.Texts, r.Truncate, "inputs")
}

// classify reads texts and pairs, a few at a time; param is what the caller calls them.
func (m *loaded) classify(ctx context.Context, list []chat.Classified, truncate bool, param string) (*chat.Classes, error) {
	config := &m.network.Config
	out := &chat.Classes{Model: m.slot.entry.Name, Labels: config.Labels}
	for at := 0; at < len(list); at += embedBatch {
		part := list[at:min(at+embedBatch, len(list))]
		texts := make([]model.Text, len(part))
		for i, one := range part {
			var err error
			if texts[i], err = m.text(one, at+i, truncate, param); err != nil {
				return nil, err
			}
			out.Tokens += len(texts[i].Tokens)
		}
		labels := len(config.Labels)
		logits := make([]float32, len(part)*labels)
		if err := m.guard(ctx, "classifier", func() { m.classifier.Classify(m.pool, texts, logits) }); err != nil {
			return nil, err
		}
		for row := range slices.Chunk(logits, labels) {
			wide := make([]float64, labels)
			for i, v := range row {
				wide[i] = float64(v)
			}
			out.Logits, out.Scores = append(out.Logits, wide), append(out.Scores, scores(wide, config.MultiLabel))
		}
	}
	return out, nil
}

// text is what the network reads of a text or a pair, number i of the request.
func (m *loaded) text(c chat.Classified, i int, truncate bool, param string) (model.Text, error) {
	var out model.Text
	length, cut := 0, false
	if c.Pair == nil {
		out.Tokens = m.tokens.Encode(nil, c.Text, tokenizer.EncodeOptions{AddSpecial: true})
		length = len(out.Tokens)
		if cut = length > m.context; cut {
			out.Tokens = shortened(out.Tokens, m.context)
		}
	} else {
		if !m.tokens.Pairs() {
			return out, ErrKind.Because("serve: the tokenizer of %s does not say how two texts are read together: send one text, or choose a cross-encoder", m.slot.entry.Name).At(param)
		}
		a, b := m.tokens.Encode(nil, c.Text, tokenizer.EncodeOptions{}), m.tokens.Encode(nil, *c.Pair, tokenizer.EncodeOptions{})
		length = len(a) + len(b)
		out.Tokens, out.Kinds, cut = m.tokens.Pair(a, b, m.context)
	}
	if err := m.known(i, out.Tokens, param); err != nil {
		return out, err
	}
	switch n := len(out.Tokens); {
	case cut && !truncate:
		return out, errTooLong.Because("serve: text %d has %d tokens, %s reads %d: shorten it, or allow truncation", i, length, m.slot.entry.Name, m.context).At(param)
	case n == 0 || n > m.context:
		return out, chat.ErrRequest.Because("serve: text %d becomes %d tokens, %s reads 1 to %d", i, n, m.slot.entry.Name, m.context).At(param)
	}
	return out, nil
}

// scores brings logits into 0 to 1, each for itself or as shares of 1.
func scores(logits []float64, each bool) []float64 {
	out := make([]float64, len(logits))
	if each || len(logits) == 1 {
		for i, v := range logits {
			out[i] = 1 / (1 + math.Exp(-v))
		}
		return out
	}
	most, sum := slices.Max(logits), 0.0
	for i, v := range logits {
		out[i] = math.Exp(v - most)
		sum += out[i]
	}
	for i := range out {
		out[i] /= sum
	}
	return out
}

// Rank implements chat.Ranker: by a cross-encoder if the model is one, else by the cosine of embeddings.
func (s *Server) Rank(ctx context.Context, r *chat.RankRequest) (*chat.Ranking, error) {
	m, err := s.use(ctx, r.Model)
	if err != nil {
		return nil, err
	}
	defer m.release(nil)
	rank := m.rankByEmbeddings
	if m.classifier != nil {
		rank = m.rankByPairs
	}
	out, err := rank(ctx, r)
	if err != nil {
		return nil, err
	}
	out.Order(r.Top)
	return out, nil
}

// rankByPairs reads the query with each document.
func (m *loaded) rankByPairs(ctx context.Context, r *chat.RankRequest) (*chat.Ranking, error) {
	if n := len(m.network.Config.Labels); n != 1 {
		return nil, ErrKind.Because("serve: %s tells %d classes of text apart and does not rank: choose a cross-encoder of one label, or a model for embeddings", m.slot.entry.Name, n).At("model")
	}
	pairs := make([]chat.Classified, len(r.Documents))
	for i := range r.Documents {
		pairs[i] = chat.Classified{Text: r.Query, Pair: &r.Documents[i]}
	}
	got, err := m.classify(ctx, pairs, !r.Whole, "texts")
	if err != nil {
		return nil, err
	}
	out := &chat.Ranking{Model: got.Model, By: chat.CrossEncoder, Tokens: got.Tokens}
	for i := range pairs {
		out.Scores = append(out.Scores, chat.Score{Index: i, Raw: got.Logits[i][0], Score: got.Scores[i][0]})
	}
	return out, nil
}

func (m *loaded) rankByEmbeddings(ctx context.Context, r *chat.RankRequest) (*chat.Ranking, error) {
	n := len(r.Documents) // the query comes last, so that errors name a document by its number
	e, err := m.embed(ctx, &chat.EmbedRequest{Texts: append(r.Documents[:n:n], r.Query), Truncate: !r.Whole})
	if err != nil {
		return nil, err
	}
	out := &chat.Ranking{Model: e.Model, By: chat.Embedding, Tokens: e.Tokens}
	for i, v := range e.Vectors[:n] {
		var cosine float64
		for d, x := range v {
			cosine += float64(x) * float64(e.Vectors[n][d])
		}
		out.Scores = append(out.Scores, chat.Score{Index: i, Raw: cosine, Score: min(1, max(0, (1+cosine)/2))})
	}
	return out, nil
}

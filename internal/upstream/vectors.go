package upstream

import (
	"context"

	"github.com/galerne-ai/galerne/internal/chat"
)

// Embed implements chat.Embedder.
func (s *Server) Embed(ctx context.Context, r *chat.EmbedRequest) (*chat.Embeddings, error) {
	m, err := s.find(r.Model)
	if err != nil {
		return nil, err
	}
	if r.EachToken {
		return nil, chat.ErrUnsupported.Because("upstream: %s is another server's model, which gives one vector a text: serve it here", m.Name).At("model")
	}
	o := object{"model": m.Remote, "encoding_format": "float"}
	if r.Tokens != nil {
		o["input"] = r.Tokens
	} else {
		o["input"] = r.Texts
	}
	o.set("dimensions", r.Dimensions, r.Dimensions > 0)
	var answer struct {
		Data []struct {
			Index     int       `json:"index"`
			Embedding []float32 `json:"embedding"`
		} `json:"data"`
		Usage struct {
			Prompt int `json:"prompt_tokens"`
		} `json:"usage"`
	}
	if err := m.call(ctx, "/embeddings", o, &answer); err != nil {
		return nil, err
	}
	n := len(r.Texts) + len(r.Tokens)
	out := &chat.Embeddings{Model: m.Name, Vectors: make([][]float32, n), Tokens: answer.Usage.Prompt}
	for _, d := range answer.Data {
		if d.Index >= 0 && d.Index < n {
			out.Vectors[d.Index] = d.Embedding
		}
	}
	for i, v := range out.Vectors {
		if len(v) == 0 {
			return nil, ErrAnswer.Because("upstream: %s gave no vector for text %d", m.Name, i)
		}
	}
	return out, nil
}

// Rank implements chat.Ranker, through the /rerank endpoint that such servers have in Cohere's form.
func (s *Server) Rank(ctx context.Context, r *chat.RankRequest) (*chat.Ranking, error) {
	m, err := s.find(r.Model)
	if err != nil {
		return nil, err
	}
	var answer struct {
		By      string `json:"by"` // our own say it
		Results []struct {
			Index int     `json:"index"`
			Score float64 `json:"relevance_score"`
		} `json:"results"`
	}
	o := object{"model": m.Remote, "query": r.Query, "documents": r.Documents}
	o.set("top_n", r.Top, r.Top > 0)
	if err := m.call(ctx, "/rerank", o, &answer); err != nil {
		return nil, err
	}
	out := &chat.Ranking{Model: m.Name, By: chat.CrossEncoder}
	if answer.By != "" {
		out.By = answer.By
	}
	for _, x := range answer.Results {
		if x.Index < 0 || x.Index >= len(r.Documents) {
			return nil, ErrAnswer.Because("upstream: %s ranks document %d of %d", m.Name, x.Index, len(r.Documents))
		}
		out.Scores = append(out.Scores, chat.Score{Index: x.Index, Score: x.Score, Raw: x.Score})
	}
	return out, nil
}

// Classify implements chat.Classifier: OpenAI-compatible servers have no endpoint for it.
func (s *Server) Classify(_ context.Context, r *chat.ClassifyRequest) (*chat.Classes, error) {
	m, err := s.find(r.Model)
	if err != nil {
		return nil, err
	}
	return nil, chat.ErrUnsupported.Because("upstream: %s is another server's model, and no endpoint that such servers have in common classifies: serve the classifier here", m.Name).At("model")
}

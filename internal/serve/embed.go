package serve

import (
	"context"
	"errors"
	"io"
	"math"
	"slices"
	"time"

	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/engine"
	"github.com/galerne-ai/galerne/internal/kernel"
	"github.com/galerne-ai/galerne/internal/tokenizer"
)

// Embed implements chat.Embedder.
func (s *Server) Embed(ctx context.Context, r *chat.EmbedRequest) (*chat.Embeddings, error) {
	m, err := s.use(ctx, r.Model)
	if err != nil {
		return nil, err
	}
	defer m.release(nil)
	return m.embed(ctx, r)
}

// embedBatch is how many texts run between two looks at whether the caller is still there.
const embedBatch = 8

func (m *loaded) embed(ctx context.Context, r *chat.EmbedRequest) (*chat.Embeddings, error) {
	if m.classifier != nil {
		return nil, ErrKind.Because("serve: %s classifies texts and has no embeddings: choose another model for them", m.slot.entry.Name).At("model")
	}
	dim := m.network.Config.Dim
	if r.Dimensions < 0 || r.Dimensions > dim {
		return nil, chat.ErrRequest.Because("serve: %d dimensions are asked for, %s has %d", r.Dimensions, m.slot.entry.Name, dim).At("dimensions")
	}
	out := &chat.Embeddings{Model: m.slot.entry.Name}
	texts, err := m.textsOf(r, out)
	if err != nil {
		return nil, err
	}
	switch {
	case r.EachToken && m.encoder == nil:
		return nil, ErrKind.Because("serve: %s is no encoder, and only encoders give a vector for every token", m.slot.entry.Name).At("model")
	case r.EachToken:
		return out, m.rows(ctx, texts, out)
	case m.encoder == nil:
		return out, m.decode(ctx, r, texts, out)
	}
	for len(texts) > 0 {
		n := min(embedBatch, len(texts))
		vectors := make([]float32, n*dim)
		if err := m.guard(ctx, "encoder", func() { m.encoder.Encode(m.pool, texts[:n], vectors) }); err != nil {
			return nil, err
		}
		for i := range n {
			out.Vectors = append(out.Vectors, shape(vectors[i*dim:(i+1)*dim], r))
		}
		texts = texts[n:]
	}
	return out, nil
}

// rows gives an encoder's vectors of single tokens.
func (m *loaded) rows(ctx context.Context, texts [][]int32, out *chat.Embeddings) error {
	dim := m.network.Config.Dim
	for _, ids := range texts {
		flat := make([]float32, len(ids)*dim)
		if err := m.guard(ctx, "encoder", func() { m.encoder.Rows(m.pool, ids, flat) }); err != nil {
			return err
		}
		out.Rows = append(out.Rows, slices.Collect(slices.Chunk(flat, dim)))
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// decode gives a decoder's vectors: the mean of its last hidden states, all texts side by side.
func (m *loaded) decode(ctx context.Context, r *chat.EmbedRequest, texts [][]int32, out *chat.Embeddings) error {
	streams := make([]*engine.Stream, 0, len(texts))
	defer func() {
		for _, st := range streams {
			st.Close()
		}
	}()
	for len(texts) > len(out.Vectors) {
		for n := len(streams); n < len(texts) && n < len(out.Vectors)+embedBatch; n++ {
			st, err := m.engine.Submit(ctx, &engine.Request{Prompt: texts[n], Embed: engine.Mean, Logprobs: -1})
			if err != nil {
				return err
			}
			streams = append(streams, st)
		}
		v, err := vectorOf(ctx, streams[len(out.Vectors)])
		if err != nil {
			return err
		}
		out.Vectors = append(out.Vectors, shape(v, r))
	}
	return nil
}

func vectorOf(ctx context.Context, st *engine.Stream) (v []float32, err error) {
	for {
		ev, err := st.Next(ctx)
		switch {
		case errors.Is(err, io.EOF):
			return nil, ErrClosed
		case err != nil:
			return nil, err
		case ev.Kind == engine.Embedded:
			return ev.Vector, nil
		case ev.Kind == engine.Finished && ev.Err != nil:
			return nil, ev.Err
		case ev.Kind == engine.Finished:
			return nil, context.Cause(ctx)
		}
	}
}

// guard runs a network that is no decoder, unless who asked has left before it is his turn; one request's
// panic is its own.
func (m *loaded) guard(ctx context.Context, what string, run func()) (err error) {
	m.encode.Lock()
	defer m.encode.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if m.closed {
		return ErrClosed
	}
	m.encodes.Store(time.Now().UnixNano())
	defer m.encodes.Store(0)
	defer func() {
		if r := recover(); r != nil {
			err = errPanic.Because("serve: the %s of %s panicked: %v", what, m.slot.entry.Name, r)
		}
	}()
	run()
	return nil
}

// textsOf gives the tokens of the texts, each at most the model's context.
func (m *loaded) textsOf(r *chat.EmbedRequest, out *chat.Embeddings) ([][]int32, error) {
	texts := r.Tokens
	if texts == nil {
		texts = make([][]int32, len(r.Texts))
		for i, text := range r.Texts {
			texts[i] = m.tokens.Encode(nil, text, tokenizer.EncodeOptions{AddSpecial: true})
		}
	}
	longest := m.context
	if m.engine != nil {
		longest-- // as for answers, one place stays free
	}
	for i, ids := range texts {
		if err := m.known(i, ids, "input"); err != nil {
			return nil, err
		}
		switch {
		case len(ids) == 0:
			return nil, chat.ErrRequest.Because("serve: text %d has no tokens", i).At("input")
		case len(ids) > longest && !r.Truncate:
			return nil, errTooLong.Because("serve: text %d has %d tokens, %s reads %d: shorten it, or allow truncation", i, len(ids), m.slot.entry.Name, longest).At("input")
		case len(ids) > longest:
			texts[i] = shortened(ids, longest)
			out.Truncated = append(out.Truncated, i)
		}
		out.Tokens += len(texts[i])
	}
	return texts, nil
}

// known refuses tokens that the network does not have; they are of text number i.
func (m *loaded) known(i int, ids []int32, param string) error {
	for _, id := range ids {
		if id < 0 || int(id) >= m.network.Config.Vocab {
			return chat.ErrRequest.Because("serve: text %d has token %d, the vocabulary has 0 to %d", i, id, m.network.Config.Vocab-1).At(param)
		}
	}
	return nil
}

// shortened keeps the last token, which ends the text.
func shortened(ids []int32, most int) []int32 {
	return append(append([]int32(nil), ids[:most-1]...), ids[len(ids)-1])
}

// shape cuts a vector to the dimensions asked for and makes its length 1.
func shape(v []float32, r *chat.EmbedRequest) []float32 {
	if r.Dimensions > 0 {
		v = v[:r.Dimensions:r.Dimensions]
	}
	if r.Raw {
		return v
	}
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	if sum > 0 {
		kernel.Scale(v, float32(1/math.Sqrt(sum)))
	}
	return v
}

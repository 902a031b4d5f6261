package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/galerne-ai/galerne/internal/chat"
)

// guarded is the backend as one call may use it: the key's models only, with the call's names on
// every request, measured.
type guarded struct {
	inner chat.Backend
	c     *Call
}

// allow notes the model that a call asks for, and refuses it to a key that is not for it. Who names none asks for the default,
// by its name from then on. own is the name to go on by: the asked one, or the model's own where that let the key in, so that it
// is the model which was allowed; answers still say the asked one.
func (g *guarded) allow(ctx context.Context, model *string) (own string, err error) {
	if *model == "" {
		if m, err := g.inner.Model(ctx, ""); err == nil {
			*model = m.Name
		}
	}
	g.c.used.mu.Lock()
	g.c.model = *model
	g.c.used.mu.Unlock()
	if k := g.c.Key; k == nil || k.MayUse(*model) {
		return *model, nil
	}
	m, err := g.inner.Model(ctx, *model)
	switch {
	case err != nil && !errors.Is(err, chat.ErrModel):
		return "", err
	case err != nil || !g.mine(ctx)(m):
		return "", ErrScope.Because("api: this key is not for model %q", *model).At("model")
	}
	return m.Name, nil
}

// mine tells the models that the key is for under any of their names: some name that the key is for means the model now. A
// pattern is a name that fits itself; a name that is listed may be another model's too, and mean that.
func (g *guarded) mine(ctx context.Context) func(m *chat.Model) bool {
	k := g.c.Key
	meaning := func(name string) string {
		if m, err := g.inner.Model(ctx, name); err == nil {
			return m.Name
		}
		return ""
	}
	var meant []string
	for _, name := range k.Models {
		meant = append(meant, meaning(name))
	}
	return func(m *chat.Model) bool {
		return k.MayUse(m.Name) || slices.Contains(meant, m.Name) ||
			slices.ContainsFunc(m.Aliases, func(name string) bool { return k.MayUse(name) && meaning(name) == m.Name })
	}
}

func (g *guarded) tenant() string {
	if g.c.Key == nil {
		return ""
	}
	return g.c.Key.Tenant
}

func (g *guarded) Respond(ctx context.Context, r *chat.Request) (chat.Stream, error) {
	own, err := g.allow(ctx, &r.Model)
	if err != nil {
		return nil, err
	}
	if err := textOnly(r); err != nil {
		return nil, err
	}
	r.ID, r.Tenant = g.c.ID, g.tenant()
	narrow(&r.Sampling)
	h, err := g.c.server.limiter.answer(g.c.Key, need(r))
	if err != nil {
		return nil, err
	}
	to := *r
	to.Model = own
	s, err := g.inner.Respond(ctx, &to)
	if err != nil {
		h.settle(0)
		return nil, err
	}
	return &measured{Stream: s, c: g.c, hold: h, m: g.c.server.metrics, surface: g.c.surface.Name, last: g.c.began}, nil
}

// bytesPerToken is how long tokens of text are, about; the true number is settled at the end.
const bytesPerToken = 4

// need is how many tokens a request may take, about: its text, and as many as it lets each answer have.
func need(r *chat.Request) int {
	bytes, tokens := 0, 0
	for _, m := range r.Messages {
		for _, p := range m.Parts {
			bytes += len(p.Text) + len(p.Arguments)
		}
	}
	for _, d := range r.Documents {
		bytes += len(d.Text)
	}
	if r.Raw != nil {
		bytes, tokens = bytes+len(r.Raw.Text), len(r.Raw.Tokens)
	}
	if r.MaxTokens != nil {
		tokens += min(*r.MaxTokens, 1<<24) * max(1, r.N)
	}
	return tokens + bytes/bytesPerToken
}

// narrow reads top_p 0 as every vendor does: the likeliest token alone. Package sample's 0 is all.
func narrow(s *chat.Sampling) {
	if s.TopP != nil && *s.TopP == 0 {
		least := float64(math.SmallestNonzeroFloat32)
		s.TopP = &least
	}
}

// textOnly refuses what no network here can read, rather than answering without it.
func textOnly(r *chat.Request) error {
	for i, m := range r.Messages {
		for j, p := range m.Parts {
			if p.Kind == chat.MediaPart {
				at := fmt.Sprintf("messages[%d].content[%d]", i, j)
				return ErrRefused.Because("api: %s is not text, and the models here read text only: leave it out or describe it", at).At(at)
			}
		}
	}
	return nil
}

func (g *guarded) Embed(ctx context.Context, r *chat.EmbedRequest) (*chat.Embeddings, error) {
	own, err := g.allow(ctx, &r.Model)
	if err != nil {
		return nil, err
	}
	bytes, tokens := 0, 0
	for _, text := range r.Texts {
		bytes += len(text)
	}
	for _, ids := range r.Tokens {
		tokens += len(ids)
	}
	h, err := g.c.server.limiter.answer(g.c.Key, tokens+bytes/bytesPerToken)
	if err != nil {
		return nil, err
	}
	to := *r
	to.Model = own
	out, err := g.inner.Embed(ctx, &to)
	if err != nil {
		h.settle(0)
		return nil, err
	}
	g.read(h, out.Tokens)
	return out, nil
}

// read notes the tokens of what has no answer.
func (g *guarded) read(h *hold, tokens int) {
	h.settle(tokens)
	g.c.server.metrics.tokens.WithLabelValues(g.c.surface.Name, "prompt").Add(float64(tokens))
	g.c.used.add(chat.Usage{Prompt: tokens})
}

func (g *guarded) Rank(ctx context.Context, r *chat.RankRequest) (*chat.Ranking, error) {
	own, err := g.allow(ctx, &r.Model)
	if err != nil {
		return nil, err
	}
	bytes := len(r.Query) * len(r.Documents)
	for _, text := range r.Documents {
		bytes += len(text)
	}
	h, err := g.c.server.limiter.answer(g.c.Key, bytes/bytesPerToken)
	if err != nil {
		return nil, err
	}
	to := *r
	to.Model = own
	out, err := g.inner.Rank(ctx, &to)
	if err != nil {
		h.settle(0)
		return nil, err
	}
	g.read(h, out.Tokens)
	return out, nil
}

func (g *guarded) Classify(ctx context.Context, r *chat.ClassifyRequest) (*chat.Classes, error) {
	own, err := g.allow(ctx, &r.Model)
	if err != nil {
		return nil, err
	}
	bytes := 0
	for _, t := range r.Texts {
		if bytes += len(t.Text); t.Pair != nil {
			bytes += len(*t.Pair)
		}
	}
	h, err := g.c.server.limiter.answer(g.c.Key, bytes/bytesPerToken)
	if err != nil {
		return nil, err
	}
	to := *r
	to.Model = own
	out, err := g.inner.Classify(ctx, &to)
	if err != nil {
		h.settle(0)
		return nil, err
	}
	g.read(h, out.Tokens)
	return out, nil
}

func (g *guarded) Tokenize(ctx context.Context, model, text string, special bool) ([]chat.Token, error) {
	own, err := g.allow(ctx, &model)
	if err != nil {
		return nil, err
	}
	return g.inner.Tokenize(ctx, own, text, special)
}

func (g *guarded) Detokenize(ctx context.Context, model string, ids []int32) (string, error) {
	own, err := g.allow(ctx, &model)
	if err != nil {
		return "", err
	}
	return g.inner.Detokenize(ctx, own, ids)
}

func (g *guarded) Count(ctx context.Context, r *chat.Request) (int, error) {
	own, err := g.allow(ctx, &r.Model)
	if err != nil {
		return 0, err
	}
	r.ID, r.Tenant = g.c.ID, g.tenant()
	to := *r
	to.Model = own
	return g.inner.Count(ctx, &to)
}

// Models lists those that the key may use.
func (g *guarded) Models(ctx context.Context) ([]chat.Model, error) {
	all, err := g.inner.Models(ctx)
	if err != nil || g.c.Key == nil {
		return all, err
	}
	mine := g.mine(ctx)
	return slices.DeleteFunc(all, func(m chat.Model) bool { return !mine(&m) }), nil
}

func (g *guarded) Model(ctx context.Context, name string) (*chat.Model, error) {
	own, err := g.allow(ctx, &name)
	if err != nil {
		return nil, err
	}
	return g.inner.Model(ctx, own)
}

func (g *guarded) Load(ctx context.Context, name string, keep *chat.KeepAlive) error {
	own, err := g.allow(ctx, &name)
	if err != nil {
		return err
	}
	return g.inner.Load(ctx, own, keep)
}

// measured notes when the parts of an answer come, and counts its tokens as they do: who leaves
// early has used what was made until then.
type measured struct {
	chat.Stream
	c       *Call
	m       *metrics
	hold    *hold
	surface string
	last    time.Time  // of the part before, at first of the request
	first   bool       // whether a part has come
	used    chat.Usage // so far; parts count as a token each until the answer says how many there were
	closed  sync.Once
}

func (s *measured) Close() {
	s.Stream.Close()
	s.closed.Do(func() {
		s.c.used.add(s.used)
		s.hold.settle(s.used.Prompt + s.used.Answer)
		s.m.tokens.WithLabelValues(s.surface, "prompt").Add(float64(s.used.Prompt))
		s.m.tokens.WithLabelValues(s.surface, "answer").Add(float64(s.used.Answer))
	})
}

func (s *measured) Next(ctx context.Context) (chat.Event, error) {
	ev, err := s.Stream.Next(ctx)
	if err != nil {
		if !errors.Is(err, io.EOF) && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
			s.m.failed.WithLabelValues(s.surface, FailureOf(err).Code).Inc()
		}
		return ev, err
	}
	switch ev.Kind {
	case chat.Delta:
		s.used.Answer++
		now := time.Now()
		if took := now.Sub(s.last).Seconds(); s.first {
			s.m.between.WithLabelValues(s.surface).Observe(took)
		} else {
			s.m.first.WithLabelValues(s.surface).Observe(took)
		}
		s.first, s.last = true, now
	case chat.Started:
		if ev.Usage != nil {
			s.used.Prompt = ev.Usage.Prompt
		}
	case chat.Ended:
		if ev.Usage != nil {
			s.used = *ev.Usage
		}
	}
	return ev, nil
}

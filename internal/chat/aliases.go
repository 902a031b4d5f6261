package chat

import (
	"context"
	"path"
	"slices"
	"strings"
)

// Alias lets a model be asked for by other names.
type Alias struct {
	Pattern string // a name, or a pattern: gpt-*
	Model   string
}

// Aliases is a Backend that knows models by further names. Names that the backend has itself go first.
type Aliases struct {
	Backend
	Names []Alias
}

// IsPattern reports whether a text is a pattern that Matches can read.
func IsPattern(text string) bool {
	_, err := match(text, "")
	return err == nil
}

// Matches reports whether a name fits a pattern of path.Match's kind, in which * stands for any text: a slash is a letter. Models'
// names do not tell capitals from small letters, and neither do patterns.
func Matches(pattern, name string) bool {
	ok, err := match(pattern, name)
	return err == nil && ok
}

func match(pattern, name string) (bool, error) {
	plain := func(text string) string { return strings.ReplaceAll(strings.ToLower(text), "/", "\x00") }
	return path.Match(plain(pattern), plain(name))
}

// real is the name behind an alias, and the name itself where it is none.
func (a Aliases) real(ctx context.Context, name string) string {
	if name == "" {
		return name
	}
	for _, n := range a.Names {
		if Matches(n.Pattern, name) {
			if _, err := a.Backend.Model(ctx, name); err != nil {
				return n.Model
			}
			return name
		}
	}
	return name
}

// Respond implements Responder.
func (a Aliases) Respond(ctx context.Context, r *Request) (Stream, error) {
	return a.Backend.Respond(ctx, a.renamed(ctx, r))
}

func (a Aliases) renamed(ctx context.Context, r *Request) *Request {
	name := a.real(ctx, r.Model)
	if name == r.Model {
		return r
	}
	other := *r
	other.Model = name
	return &other
}

// Embed implements Embedder.
func (a Aliases) Embed(ctx context.Context, r *EmbedRequest) (*Embeddings, error) {
	other := *r
	other.Model = a.real(ctx, r.Model)
	return a.Backend.Embed(ctx, &other)
}

// Rank implements Ranker.
func (a Aliases) Rank(ctx context.Context, r *RankRequest) (*Ranking, error) {
	other := *r
	other.Model = a.real(ctx, r.Model)
	return a.Backend.Rank(ctx, &other)
}

// Classify implements Classifier.
func (a Aliases) Classify(ctx context.Context, r *ClassifyRequest) (*Classes, error) {
	other := *r
	other.Model = a.real(ctx, r.Model)
	return a.Backend.Classify(ctx, &other)
}

// Tokenize implements Vocabulary.
func (a Aliases) Tokenize(ctx context.Context, model, text string, special bool) ([]Token, error) {
	return a.Backend.Tokenize(ctx, a.real(ctx, model), text, special)
}

// Detokenize implements Vocabulary.
func (a Aliases) Detokenize(ctx context.Context, model string, ids []int32) (string, error) {
	return a.Backend.Detokenize(ctx, a.real(ctx, model), ids)
}

// Count implements Vocabulary.
func (a Aliases) Count(ctx context.Context, r *Request) (int, error) {
	return a.Backend.Count(ctx, a.renamed(ctx, r))
}

// Models implements Library: names that are no patterns are shown as aliases of what they mean.
func (a Aliases) Models(ctx context.Context) ([]Model, error) {
	all, err := a.Backend.Models(ctx)
	further := a.further(ctx)
	for i := range all {
		all[i].Aliases = slices.Concat(all[i].Aliases, further[all[i].Name])
	}
	return all, err
}

// Model implements Library.
func (a Aliases) Model(ctx context.Context, name string) (*Model, error) {
	m, err := a.Backend.Model(ctx, a.real(ctx, name))
	if err == nil {
		m.Aliases = slices.Concat(m.Aliases, a.further(ctx)[m.Name])
	}
	return m, err
}

// further are the names of models that they have here alone.
func (a Aliases) further(ctx context.Context) map[string][]string {
	names := map[string][]string{}
	for _, n := range a.Names {
		if strings.ContainsAny(n.Pattern, `*?[\`) || a.real(ctx, n.Pattern) != n.Model {
			continue
		}
		if m, err := a.Backend.Model(ctx, n.Model); err == nil {
			names[m.Name] = append(names[m.Name], n.Pattern)
		}
	}
	return names
}

// Load implements Library.
func (a Aliases) Load(ctx context.Context, name string, keep *KeepAlive) error {
	return a.Backend.Load(ctx, a.real(ctx, name), keep)
}

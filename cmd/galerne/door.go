package main

import (
	"context"
	"errors"
	"net/http"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/govern"
)

// door is who may call: the keys of the database, and the one that the server was started with.
type door struct {
	keys *govern.Keys
	one  api.Keys // nil: none
}

func (d *door) Any() bool { return d.one != nil || d.keys.Any() }

// Lookup implements api.Keys. The secret of a signed request never comes, so it proves no key here.
func (d *door) Lookup(ctx context.Context, c api.Credential) (*api.Key, error) {
	if d.one != nil {
		if key, err := d.one.Lookup(ctx, c); err == nil {
			return key, nil
		}
	}
	if c.Form == api.Signature4 {
		return nil, api.ErrKey
	}
	return doorKey(d.keys.Check(ctx, c.Secret))
}

// doorKey is a key of the database in the words of package api.
func doorKey(k *govern.Key, err error) (*api.Key, error) {
	switch {
	case err == govern.ErrKey: //nolint:errorlint // bare: there is nothing more to say
		return nil, api.ErrKey
	case errors.Is(err, govern.ErrKey):
		return nil, api.ErrKey.Because("%w", err)
	case err != nil:
		return nil, err
	}
	out := &api.Key{ID: k.ID, Tenant: k.Tenant, Models: k.Models, Spent: k.Spent, SpentOn: k.SpentOn,
		Limits: api.Limits{Requests: k.Limits.Requests, Tokens: k.Limits.Tokens, Answers: k.Limits.Answers, Daily: k.Limits.Daily}}
	for _, s := range k.Scopes {
		out.Scopes = append(out.Scopes, api.Scope(s))
	}
	return out, nil
}

// noteUsage tells a meter of every request that somebody was let in for.
func noteUsage(m *govern.Meter) func(api.Record) {
	return func(r api.Record) {
		stranger := r.Key == "" && (r.Status == http.StatusUnauthorized || r.Status == http.StatusForbidden || r.Status == http.StatusNotFound)
		if r.Surface == "galerne" || stranger {
			return
		}
		m.Add(govern.Usage{ID: r.ID, At: r.Began, Key: r.Key, Tenant: r.Tenant, Surface: r.Surface, Route: r.Route, Model: r.Model, Status: r.Status, Code: r.Code,
			Prompt: r.Usage.Prompt, Cached: r.Usage.Cached, Answer: r.Usage.Answer, Took: r.Took})
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/outbound"
	"github.com/galerne-ai/galerne/internal/upstream"
)

// upstreamSilence is how long another server may take for the first bytes of an answer, or between two:
// long prompts on busy servers take minutes.
const upstreamSilence = 10 * time.Minute

// everyModel is our own models, those of other servers behind them, and the aliases of all; close ends the
// health checks.
func (f *serveFlags) everyModel(a *app, l *library, own chat.Backend, log *slog.Logger) (all chat.Backend, close func(), err error) {
	all, close, err = f.withUpstreams(a, own, log)
	if err != nil || len(f.Aliases) == 0 {
		return all, close, err
	}
	named := chat.Aliases{Backend: all}
	for _, text := range f.Aliases {
		name, model, ok := strings.Cut(text, "=")
		if !ok || name == "" || model == "" || !chat.IsPattern(name) {
			close()
			return nil, nil, fmt.Errorf("--alias %s: write NAME=MODEL, as in gpt-*=qwen3-8b", text)
		}
		if err := l.target(a.ctx, all, name, model); err != nil {
			close()
			return nil, nil, fmt.Errorf("--alias %s: %w", text, err)
		}
		named.Names = append(named.Names, chat.Alias{Pattern: name, Model: model})
	}
	return named, close, nil
}

// target checks that the model is served which an alias is for.
func (l *library) target(ctx context.Context, all chat.Backend, alias, model string) error {
	_, err := all.Model(ctx, model)
	if !errors.Is(err, chat.ErrModel) {
		return err
	}
	served, err := all.Models(ctx)
	if err != nil {
		return err
	}
	var names []string
	for _, m := range served {
		names = append(names, m.Name)
	}
	remedy := ""
	if len(names) > 0 {
		remedy = fmt.Sprintf("write --alias '%s=%s'", alias, names[0])
	}
	return l.lacking(model, names, remedy)
}

func (f *serveFlags) withUpstreams(a *app, own chat.Backend, log *slog.Logger) (all chat.Backend, close func(), err error) {
	if len(f.Upstreams) == 0 {
		return own, func() {}, nil
	}
	o := upstream.Options{Log: log}
	for _, text := range f.Upstreams {
		t, err := parseUpstream(text)
		if err != nil {
			return nil, nil, err
		}
		if _, err := own.Model(a.ctx, t.Name); err == nil {
			return nil, nil, fmt.Errorf("--upstream %s: a model of this machine is called %s too: choose another name, as in other=URL#%s", text, t.Name, firstOf(t.Remote, t.Name))
		}
		t.Key = a.env.upstreamKey
		o.Targets = append(o.Targets, t)
	}
	o.Client, err = outbound.New(outbound.Options{Proxy: a.env.proxy, HTTPProxy: a.env.http, NoProxy: a.env.noProxy, UserAgent: "galerne/" + version,
		Header: upstreamSilence, Stall: upstreamSilence})
	if err != nil {
		return nil, nil, err
	}
	s, err := upstream.New(o)
	if err != nil {
		return nil, nil, err
	}
	return chat.Several{own, s}, s.Close, nil
}

// parseUpstream reads NAME=URL[,URL…][#REMOTE].
func parseUpstream(text string) (upstream.Target, error) {
	name, rest, ok := strings.Cut(text, "=")
	urls, remote, _ := strings.Cut(rest, "#")
	if !ok || name == "" || urls == "" {
		return upstream.Target{}, fmt.Errorf("--upstream %s: write NAME=URL, as in mixtral=http://gpu1:8000/v1,http://gpu2:8000/v1#mistralai/Mixtral-8x7B-Instruct-v0.1", text)
	}
	return upstream.Target{Name: name, Remote: remote, Replicas: strings.Split(urls, ",")}, nil
}

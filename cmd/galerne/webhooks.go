package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/galerne-ai/galerne/internal/api/replicate"
	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/jobs"
	"github.com/galerne-ai/galerne/internal/outbound"
)

// predictions is what Replicate's API needs: where its predictions are kept, and whom it may tell of them.
func (f *serveFlags) predictions(a *app, kept *jobs.Store) (replicate.Options, error) {
	o := replicate.Options{Store: kept, Telling: new(sync.WaitGroup), Ending: a.ctx.Done()}
	var err error
	if o.Secret, err = signingSecret(filepath.Join(a.home, "webhook.secret")); err != nil || len(f.Webhooks) == 0 {
		return o, err
	}
	client, err := outbound.New(outbound.Options{Proxy: a.env.proxy, HTTPProxy: a.env.http, NoProxy: a.env.noProxy, UserAgent: "galerne/" + version})
	if err != nil {
		return o, err
	}
	o.May = func(address *url.URL) error { return mayTell(f.Webhooks, address) }
	o.Send = func(ctx context.Context, address string, header http.Header, body []byte) (int, error) {
		return tell(ctx, client, address, header, body)
	}
	return o, nil
}

// mayTell refuses hosts that the server was not told about: callers could make it knock at any door of its
// network.
func mayTell(hosts []string, u *url.URL) error {
	if slices.Contains(hosts, u.Host) || slices.Contains(hosts, u.Hostname()) || slices.Contains(hosts, "*") {
		return nil
	}
	return chat.ErrUnsupported.Because("replicate: the webhook's host %s may not be told: start the server with --webhook %s", u.Host, u.Hostname()).At("webhook")
}

// tell sends something. Redirects are not followed: they would lead elsewhere.
func tell(ctx context.Context, client *outbound.Client, address string, header http.Header, body []byte) (int, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	r.Header = header
	answer, err := client.DoHere(r)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(answer.Body, 64<<10))
	return answer.StatusCode, err
}

const secretBytes = 32

// signingSecret reads the secret of a file, or makes it. Of several processes that make it, one wins.
func signingSecret(path string) ([]byte, error) {
	secret, err := os.ReadFile(path)
	if err == nil && len(secret) == secretBytes {
		return secret, nil
	}
	if err == nil {
		return nil, fmt.Errorf("%s has %d bytes, not %d: remove it, and a new secret is made", path, len(secret), secretBytes)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	own, err := os.CreateTemp(filepath.Dir(path), "secret*") // for its owner's eyes only
	if err != nil {
		return nil, err
	}
	defer os.Remove(own.Name())
	secret = make([]byte, secretBytes)
	_, _ = rand.Read(secret) // never fails
	_, err = own.Write(secret)
	if err = errors.Join(err, own.Close()); err != nil {
		return nil, err
	}
	if err := os.Link(own.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return os.ReadFile(path)
}

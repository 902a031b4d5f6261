package main

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/govern"
)

// door is who may call: the keys of the database, and the one that the server was started with.
type door struct {
	keys *govern.Keys
	one  api.Keys // nil: none
	home string
}

func (d *door) Any() bool { return d.one != nil || d.keys.Any() }

// signer gives the secrets of those who sign.
func (d *door) signer() *govern.Signer {
	return &govern.Signer{Keys: d.keys, Master: func() ([]byte, error) { return os.ReadFile(masterPath(d.home)) }}
}

// masterPath is the file from which secrets for signing are derived.
func masterPath(home string) string { return filepath.Join(home, "signing.key") }

// makeMaster makes that file unless it is there.
func makeMaster(home string) error {
	if err := os.MkdirAll(home, 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(masterPath(home), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	if _, err = f.Write(secret); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(f.Name()) // half a secret is none
	}
	return err
}

// exposed lists the files of secrets in the data folder that others on this machine can read. They are made for their owner
// alone; copies and backups often are not.
func exposed(home string) (paths []string) {
	const others = 0o077
	st, err := os.Stat(home)
	if err != nil || st.Mode()&others == 0 || runtime.GOOS == "windows" { // whose mode bits say nothing
		return nil
	}
	for _, name := range []string{"galerne.db", "signing.key", "webhook.secret", "files"} {
		path := filepath.Join(home, name)
		if st, err := os.Stat(path); err == nil && st.Mode()&others != 0 {
			paths = append(paths, path)
		}
	}
	return paths
}

// Lookup implements api.Keys. Of a signed request only the key's ID comes.
func (d *door) Lookup(ctx context.Context, c api.Credential) (*api.Key, error) {
	if d.one != nil {
		key, err := d.one.Lookup(ctx, c)
		if err == nil || c.Form == api.Signature4 && c.Secret == api.OneKeyID { // its error says what is wrong
			return key, err
		}
	}
	if c.Form == api.Signature4 {
		k, secret, err := d.signer().Secret(ctx, c.Secret)
		if errors.Is(err, os.ErrNotExist) {
			return nil, api.ErrKey.Because("galerne: no key here has a secret for signing yet: galerne key aws NAME gives one")
		}
		if key, err := doorKey(k, err); err != nil {
			return key, err
		}
		if err := c.Signed(secret, time.Now()); err != nil {
			return nil, err
		}
		return doorKey(k, nil)
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
	if out.From, err = k.Networks(); err != nil { // never everywhere, where somebody has said from where
		return nil, err
	}
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

// closeMeter writes the usage that is left.
func closeMeter(m *govern.Meter, log *slog.Logger) {
	if err := m.Close(); err != nil {
		log.Error("usage was lost", "error", err)
	}
}

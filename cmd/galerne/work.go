package main

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"path/filepath"
	"strconv"
	"time"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/anthropic"
	"github.com/galerne-ai/galerne/internal/api/openai/batches"
	"github.com/galerne-ai/galerne/internal/db"
	"github.com/galerne-ai/galerne/internal/jobs"
)

// newJobs is the files, batches and kept answers of the data folder.
func newJobs(home string, d *db.DB, log *slog.Logger) *jobs.Store {
	dialects := map[string]jobs.Dialect{}
	maps.Copy(dialects, batches.Dialects())
	maps.Copy(dialects, anthropic.Dialects())
	return jobs.New(jobs.Options{DB: d, Dir: filepath.Join(home, "files"), Dialects: dialects, Log: log})
}

// goOn works on what nobody waits for, until ctx ends; stop waits until it is put down.
func goOn(ctx context.Context, s *jobs.Store, do jobs.Do) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Run(ctx, do)
	}()
	return func() { cancel(); <-done }
}

// serverKey is the ID of the key that the server was started with, as api.OneKey has it.
const serverKey = "server"

// do makes requests of batches, each as the key that made its batch, if that is still good.
func (d *door) do(server *api.Server) jobs.Do {
	header := http.Header{"Content-Type": {"application/json"}}
	return func(ctx context.Context, id, method, path string, body []byte) (jobs.Answer, error) {
		var key *api.Key
		switch {
		case id == serverKey && d.one != nil:
			key = &api.Key{ID: serverKey}
		case id != "":
			var err error
			if key, err = doorKey(d.keys.ByID(ctx, id)); err != nil {
				return jobs.Answer{}, err
			}
		}
		status, got, text, err := server.Do(ctx, key, method, path, header, body)
		if err != nil {
			return jobs.Answer{}, err
		}
		a := jobs.Answer{Status: status, RequestID: got.Get("X-Request-Id"), Body: text}
		a.Retry = (status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable) && got.Get("X-Should-Retry") != "false"
		if ms, err := strconv.Atoi(got.Get("Retry-After-Ms")); err == nil {
			a.After = time.Duration(ms) * time.Millisecond
		}
		return a, nil
	}
}

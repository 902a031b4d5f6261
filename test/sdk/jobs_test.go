package sdk

import (
	"bytes"
	"context"
	"maps"
	"net/http"
	"path/filepath"
	"sync"
	"testing"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/anthropic"
	"github.com/galerne-ai/galerne/internal/api/openai/batches"
	"github.com/galerne-ai/galerne/internal/db"
	"github.com/galerne-ai/galerne/internal/jobs"
)

// keep is a store of files, batches and kept answers; work begins to work on it.
func keep(t *testing.T) (kept *jobs.Store, work func(*api.Server)) {
	t.Helper()
	home := t.TempDir()
	d, err := db.Open(context.Background(), filepath.Join(home, "galerne.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	dialects := batches.Dialects()
	maps.Copy(dialects, anthropic.Dialects())
	kept = jobs.New(jobs.Options{DB: d, Dir: filepath.Join(home, "files"), Dialects: dialects})
	return kept, func(inside *api.Server) {
		ctx, cancel := context.WithCancel(context.Background())
		var group sync.WaitGroup
		group.Go(func() {
			kept.Run(ctx, func(ctx context.Context, key, method, path string, body []byte) (jobs.Answer, error) {
				status, h, text, err := inside.Do(ctx, &api.Key{ID: key}, method, path, http.Header{}, body)
				return jobs.Answer{Status: status, RequestID: h.Get("X-Request-Id"), Body: text}, err
			})
		})
		t.Cleanup(func() { cancel(); group.Wait() })
	}
}

// post tells a webhook, wherever it is.
func post(ctx context.Context, url string, header http.Header, body []byte) (int, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	r.Header = header
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err
	}
	return answer.StatusCode, answer.Body.Close()
}

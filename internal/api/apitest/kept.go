package apitest

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/db"
	"github.com/galerne-ai/galerne/internal/jobs"
)

// Store keeps batches, files and answers in a folder until the test ends. o.DB and o.Dir are set here.
func Store(t testing.TB, home string, o jobs.Options) *jobs.Store {
	t.Helper()
	d, err := db.Open(context.Background(), filepath.Join(home, "galerne.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	o.DB, o.Dir = d, filepath.Join(home, "files")
	return jobs.New(o)
}

// Counted gives names 1, 2, 3 and so on.
func Counted() func() string {
	var mu sync.Mutex
	n := 0
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		n++
		return fmt.Sprint(n)
	}
}

// keyOf is what the names of Tenants' keys begin with.
const keyOf = "key-of-"

// Tenants are keys whose secret is the tenant's name; the key's own is key-of- and that.
type Tenants struct{}

// Any implements api.Keys.
func (Tenants) Any() bool { return true }

// Lookup implements api.Keys.
func (Tenants) Lookup(_ context.Context, c api.Credential) (*api.Key, error) {
	return &api.Key{ID: keyOf + c.Secret, Tenant: c.Secret}, nil
}

// Work has somebody work on what a store keeps, by asking a server from inside, until stop is called or the
// test ends.
func Work(t testing.TB, s *jobs.Store, inside *api.Server) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() {
		s.Run(ctx, func(ctx context.Context, key, method, path string, body []byte) (jobs.Answer, error) {
			tenant, ok := strings.CutPrefix(key, keyOf)
			if !ok {
				t.Errorf("work is asked for as %q, which is no key", key)
			}
			status, h, text, err := inside.Do(ctx, &api.Key{ID: key, Tenant: tenant}, method, path, nil, body)
			return jobs.Answer{Status: status, RequestID: h.Get("X-Request-Id"), Body: text, Retry: status == http.StatusServiceUnavailable}, err
		})
	})
	stop = func() { cancel(); group.Wait() }
	t.Cleanup(stop)
	return stop
}

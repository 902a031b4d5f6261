package api_test

import (
	"context"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/apitest"
	"github.com/galerne-ai/galerne/internal/db"
	"github.com/galerne-ai/galerne/internal/jobs"
)

// byName takes any secret for the key of that name.
type byName struct{}

func (byName) Any() bool { return true }
func (byName) Lookup(_ context.Context, c api.Credential) (*api.Key, error) {
	return &api.Key{ID: c.Secret}, nil
}

func TestARequestThatComesTwiceIsAnsweredOnce(t *testing.T) {
	home := t.TempDir()
	d, err := db.Open(context.Background(), filepath.Join(home, "galerne.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	var mu sync.Mutex
	now := time.Now()
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	b := &apitest.Backend{Scripts: map[string]string{"": "start\ntext \"a\"\nfinish stop\nend", "bad": "fail invalid no 0s \"no\"", "hangs": "start\nhang"}}
	o := api.Options{Backend: b, Surfaces: []*api.Surface{plain("x")}, Keys: byName{}, Replies: jobs.New(jobs.Options{DB: d, Dir: home, Now: clock})}
	url := apitest.Serve(t, o).URL + "/v1/say"
	say := func(key, name, body string, want, asked int) string {
		t.Helper()
		code, text := post(t, url, body, "X-Api-Key", key, "Idempotency-Key", name, "Content-Type", "application/json")
		if code != want || len(b.Asked()) != asked {
			t.Errorf("%s %s %s: %d %s, %d asked, want %d and %d", key, name, body, code, text, len(b.Asked()), want, asked)
		}
		return text
	}
	const body = `{"model":"m"}`
	first := say("k", "1", body, 200, 1)
	if again := say("k", "1", body, 200, 1); again != first {
		t.Errorf("%q, then %q", first, again)
	}
	if text := say("k", "1", `{"model":"n"}`, 422, 1); !strings.Contains(text, "idempotency_key_reused") {
		t.Error(text)
	}
	say("other", "1", body, 200, 2)
	say("k", "2", body, 200, 3)
	say("k", strings.Repeat("x", 256), body, 400, 3)
	say("k", "3", `{"model":"bad"}`, 400, 4) // errors are tried again
	say("k", "3", `{"model":"bad"}`, 400, 5)
	say("k", "4", `{"model":"m","stream":true}`, 200, 6) // and streams
	say("k", "4", `{"model":"m","stream":true}`, 200, 7)
	mu.Lock()
	now = now.Add(24 * time.Hour)
	mu.Unlock()
	say("k", "1", body, 200, 8)
	say("k", "1", body, 200, 8)

	ctx, cancel := context.WithCancel(context.Background())
	r, _ := http.NewRequestWithContext(ctx, "POST", url, strings.NewReader(`{"model":"hangs"}`))
	r.Header = http.Header{"X-Api-Key": {"k"}, "Idempotency-Key": {"5"}, "Content-Type": {"application/json"}}
	var group sync.WaitGroup
	group.Go(func() {
		if w, err := http.DefaultTransport.RoundTrip(r); err == nil {
			w.Body.Close()
		}
	})
	until(t, b, 1)
	if text := say("k", "5", `{"model":"hangs"}`, 409, 9); !strings.Contains(text, "under way") {
		t.Error(text)
	}
	cancel()
	group.Wait()
	until(t, b, 0)
	mu.Lock()
	b.Scripts["hangs"] = b.Scripts[""]
	mu.Unlock()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) { // who left has no answer: it is asked anew
		code, text := post(t, url, `{"model":"hangs"}`, "X-Api-Key", "k", "Idempotency-Key", "5", "Content-Type", "application/json")
		if code == 200 {
			return
		}
		if code != 409 || time.Now().After(deadline) {
			t.Fatal(code, text)
		}
	}
}

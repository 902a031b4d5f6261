// Who may ask, for what, and how much: keys, their models and their limits.

package api_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/apitest"
	"github.com/galerne-ai/galerne/internal/chat"
)

func TestKeylessServerAnswersThisMachineOnly(t *testing.T) {
	f := func(remote, host, origin string, o api.Options, want int) {
		t.Helper()
		o.Backend, o.Surfaces = &apitest.Backend{}, []*api.Surface{plain("x")}
		s, err := api.New(o)
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("GET", "/v1/name/x", nil)
		r.RemoteAddr, r.Host = remote, host
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%s to %s from %q: status %d, want %d", remote, host, origin, w.Code, want)
		}
	}
	f("127.0.0.1:5", "localhost:4747", "", api.Options{}, 200)
	f("[::1]:5", "[::1]:4747", "", api.Options{}, 200)
	f("127.0.0.1:5", "127.0.0.1", "http://localhost:3000", api.Options{}, 200)
	f("10.0.0.7:5", "localhost", "", api.Options{}, 401)
	f("10.0.0.7:5", "gpu.example.org", "", api.Options{NoAuth: true}, 200)
	// A page that has its own name resolve to 127.0.0.1, and a page that posts across origins.
	f("127.0.0.1:5", "evil.example.org:4747", "", api.Options{}, 403)
	f("127.0.0.1:5", "localhost:4747", "https://evil.example.org", api.Options{}, 403)
	f("127.0.0.1:5", "localhost:4747", "null", api.Options{}, 403)
	f("127.0.0.1:5", "localhost:4747", "https://app.example.org", api.Options{Origins: []string{"https://app.example.org"}}, 200)
	f("127.0.0.1:5", "localhost:4747", "", api.Options{Keys: api.OneKey("k")}, 401)
}

func TestKeysAreForTheirModelsOnly(t *testing.T) {
	b := &apitest.Backend{Scripts: map[string]string{"": "start\ntext \"a\"\nfinish stop\nend"}, List: []chat.Model{{Name: "a-1"}, {Name: "b"}}}
	h := apitest.Serve(t, api.Options{Backend: b, Surfaces: []*api.Surface{plain("x")}, Keys: onlyA{}})
	for model, want := range map[string]int{"a-1": 200, "b": 403} {
		if code, text := post(t, h.URL+"/v1/say", `{"model":"`+model+`"}`, "Api-Key", "any"); code != want {
			t.Errorf("%s: %d %s", model, code, text)
		}
	}
	if r := b.Asked(); len(r) != 1 || r[0].Tenant != "t" || r[0].ID != "req_1" {
		t.Errorf("the backend was asked %+v", r)
	}
}

type onlyA struct{}

func (onlyA) Any() bool { return true }
func (onlyA) Lookup(context.Context, api.Credential) (*api.Key, error) {
	return &api.Key{ID: "k", Tenant: "t", Models: []string{"a-*"}}, nil
}

// limited is a key with limits, and another without.
type limited struct{ api.Limits }

func (limited) Any() bool { return true }
func (l limited) Lookup(_ context.Context, c api.Credential) (*api.Key, error) {
	if c.Secret == "free" {
		return &api.Key{ID: "free"}, nil
	}
	return &api.Key{ID: "limited", Limits: l.Limits}, nil
}

func TestLimitsHoldAndFillAgain(t *testing.T) {
	var mu sync.Mutex
	now := time.Unix(1e9, 0)
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	pass := func(d time.Duration) { mu.Lock(); defer mu.Unlock(); now = now.Add(d) }
	serve := func(l api.Limits, script string) (string, *apitest.Backend) {
		b := &apitest.Backend{Scripts: map[string]string{"": script}}
		return apitest.Serve(t, api.Options{Backend: b, Surfaces: []*api.Surface{plain("x")}, Keys: limited{l}, Now: clock}).URL + "/v1/say", b
	}
	say := func(url, key string, want int) string {
		t.Helper()
		code, text := post(t, url, `{"model":"m"}`, "X-Api-Key", key)
		if code != want {
			t.Errorf("status %d, want %d: %s", code, want, text)
		}
		return text
	}
	const short = "start prompt=5\ntext \"a\"\nfinish stop\nend prompt=5 answer=2"

	url, _ := serve(api.Limits{Requests: 2}, short)
	say(url, "k", 200)
	say(url, "k", 200)
	if text := say(url, "k", 429); !strings.Contains(text, "requests a minute (2)") || !strings.Contains(text, "30s") {
		t.Error(text)
	}
	say(url, "free", 200)
	pass(29 * time.Second)
	say(url, "k", 429)
	pass(time.Second)
	say(url, "k", 200)
	say(url, "k", 429)

	url, _ = serve(api.Limits{Tokens: 6}, short)
	say(url, "k", 200) // 7 tokens: more than there were, which is known only now
	say(url, "k", 429)
	pass(20 * time.Second) // 2 of 6 a minute: 1 is left
	say(url, "k", 200)

	url, b := serve(api.Limits{Answers: 1}, "start\nhang")
	ctx, cancel := context.WithCancel(context.Background())
	r, _ := http.NewRequestWithContext(ctx, "POST", url, strings.NewReader(`{"model":"m"}`))
	r.Header.Set("X-Api-Key", "k")
	var group sync.WaitGroup
	group.Go(func() {
		if w, err := http.DefaultTransport.RoundTrip(r); err == nil {
			w.Body.Close()
		}
	})
	until(t, b, 1)
	say(url, "k", 429)
	cancel()
	group.Wait()
	until(t, b, 0)
	b.Scripts[""] = short
	for range 100 { // the place is given back just after the answer is closed
		if code, _ := post(t, url, `{"model":"m"}`, "X-Api-Key", "k"); code == 200 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("the place of an answer that ended is not given back")
}

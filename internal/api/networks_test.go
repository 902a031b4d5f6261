package api_test

import (
	"context"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/apitest"
	"github.com/galerne-ai/galerne/internal/chat"
)

// fromNear is a key for callers in two networks.
type fromNear struct{}

func (fromNear) Any() bool { return true }
func (fromNear) Lookup(context.Context, api.Credential) (*api.Key, error) {
	return &api.Key{ID: "k", From: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00::/8")}}, nil
}

func TestKeysAreForCallersOfTheirNetworksOnly(t *testing.T) {
	s, err := api.New(api.Options{Backend: &apitest.Backend{}, Keys: fromNear{}, Surfaces: []*api.Surface{plain("plain")}})
	if err != nil {
		t.Fatal(err)
	}
	for remote, want := range map[string]int{"10.1.2.3:5": 200, "[::ffff:10.1.2.3]:5": 200, "[fd00::1]:5": 200, "[fd00::1%eth0]:5": 200,
		"10.2.0.1:5": 403, "[fe80::1]:5": 403, "127.0.0.1:5": 403, "@": 403, "": 403} {
		r := httptest.NewRequest("GET", "/plain/v1/name/m", nil)
		r.Header.Set("Authorization", "Bearer x")
		r.Header.Set("X-Forwarded-For", "10.1.2.3") // anybody can say so
		r.RemoteAddr = remote
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != want || want == 403 && (!strings.Contains(w.Body.String(), "your address") || strings.Contains(w.Body.String(), "10.1")) {
			t.Errorf("from %q: %d %s, want %d", remote, w.Code, w.Body, want)
		}
	}
	// What a key's holder has left to be done is done from inside.
	if status, _, text, err := s.Do(context.Background(), &api.Key{From: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, "GET", "/plain/v1/name/m", nil, nil); status != 200 || err != nil {
		t.Errorf("from inside: %d %s %v", status, text, err)
	}
}

// TestWhoNamesNoModelMeansTheDefault: a key for that model may ask so, and the record says which it was.
func TestWhoNamesNoModelMeansTheDefault(t *testing.T) {
	b := &apitest.Backend{Scripts: map[string]string{"": "start\ntext \"a\"\nfinish stop\nend"}, List: []chat.Model{{Name: "a"}, {Name: "b"}}}
	s, records := recorded(t, b)
	for model, want := range map[string]int{"a": 200, "b": 403} {
		key := &api.Key{ID: "k", Models: []string{model}, Scopes: []api.Scope{api.Generate}}
		if status, _, text, err := s.Do(context.Background(), key, "POST", "/v1/say", nil, []byte(`{}`)); err != nil || status != want {
			t.Errorf("a key for %s: %d %s %v, want %d", model, status, text, err, want)
		}
	}
	done := records()
	if len(done) != 2 {
		t.Errorf("%d requests are on record, want 2: %+v", len(done), done)
	}
	for _, r := range done {
		if r.Model != "a" {
			t.Errorf("on record is model %q", r.Model)
		}
	}
}

func TestAKeysPatternsAreForNamesWithSlashesToo(t *testing.T) {
	key := &api.Key{Models: []string{"qwen*", "[ab]-?"}}
	for name, want := range map[string]bool{"qwen3-8b": true, "qwen/qwen3": true, "a-1": true, "c-1": false, "x/qwen": false, "": false} {
		if key.MayUse(name) != want {
			t.Errorf("%q: want %v", name, want)
		}
	}
}

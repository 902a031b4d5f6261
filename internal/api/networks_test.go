package api_test

import (
	"context"
	"net/http/httptest"
	"net/netip"
	"slices"
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

// TestAKeyIsForAModelUnderAllItsNames: names that mean one model are one, and a name of two that means another is no way to it.
func TestAKeyIsForAModelUnderAllItsNames(t *testing.T) {
	own := &apitest.Backend{Scripts: map[string]string{"": "start\ntext \"a\"\nfinish stop\nend"}, List: []chat.Model{{Name: "small", Aliases: []string{"tiny", "Small-Q4"}}, {Name: "big", Aliases: []string{"tiny"}}}}
	b := chat.Aliases{Backend: own, Names: []chat.Alias{{Pattern: "gpt-mini", Model: "tiny"}, {Pattern: "gpt-*", Model: "big"}, {Pattern: "small", Model: "big"}}}
	s, err := api.New(api.Options{Backend: b, Surfaces: []*api.Surface{plain("x"), {Name: "list", Error: plain("x").Error, Routes: []api.Route{{Method: "GET", Pattern: "/v1/list", Scope: api.Models, Handle: list}, {Method: "GET", Pattern: "/v1/asked", Scope: api.Generate, Handle: asked}}}}, Keys: onlyA{}})
	if err != nil {
		t.Fatal(err)
	}
	small, big := []string{"small", "tiny", "Small-Q4", "gpt-mini", "GPT-Mini"}, []string{"big", "gpt-5", "gpt-4o"}
	for key, want := range map[string][]string{
		"small": small, "tiny": small, "SMALL": small, "gpt-mini": small, "*q4": small,
		"big": big, "gpt-5": big, "gpt-4*": big, "b*": big, "none": nil, "gpt-*": slices.Concat(small, big), "gpt-min?": slices.Concat(small, big), // gpt-minx means big
	} {
		k := &api.Key{ID: "k", Models: []string{key}}
		for _, name := range slices.Concat([]string{"none of these"}, small, big) {
			status, _, text, err := s.Do(context.Background(), k, "POST", "/v1/say", nil, []byte(`{"model":"`+name+`"}`))
			if may := slices.Contains(want, name); err != nil || (status == 200) != may || !may && status != 403 {
				t.Errorf("a key for %s asks for %s: %d %s %v", key, name, status, text, err)
			}
		}
		for _, model := range []string{"small", "big"} {
			if _, _, text, _ := s.Do(context.Background(), k, "GET", "/v1/list", nil, nil); strings.Contains(string(text), model) != slices.Contains(want, model) {
				t.Errorf("a key for %s sees %s", key, text)
			}
		}
	}
	// The model is asked for by a name of its own, the answer has the asked one.
	k := &api.Key{ID: "k", Models: []string{"small"}}
	if status, _, text, err := s.Do(context.Background(), k, "GET", "/v1/asked", nil, nil); err != nil || status != 200 || string(text) != `"GPT-Mini"` {
		t.Errorf("%d %s %v", status, text, err)
	}
	if all := own.Asked(); all[len(all)-1].Model != "small" {
		t.Errorf("asked for %q behind the door", all[len(all)-1].Model)
	}
	for _, r := range own.Asked() {
		if r.Model != "small" && r.Model != "big" && r.Model != "tiny" && r.Model != "Small-Q4" {
			t.Errorf("asked for %q behind the aliases", r.Model)
		}
	}
}

// asked answers with the model's name in a request that was answered.
func asked(c *api.Call) error {
	r := &chat.Request{Model: "GPT-Mini"}
	if _, err := c.Answer(r); err != nil {
		return err
	}
	return c.JSON(200, r.Model)
}

// list answers with the models' names.
func list(c *api.Call) error {
	all, err := c.Backend.Models(c.R.Context())
	var names []string
	for _, m := range all {
		names = append(names, m.Name)
	}
	if err != nil {
		return err
	}
	return c.JSON(200, names)
}

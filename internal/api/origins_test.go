package api_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/apitest"
)

// TestAPageThatMayNotCallIsToldByName: a browser hides the answer from the page, and shows it, as the log does, to who looks for the cause.
func TestAPageThatMayNotCallIsToldByName(t *testing.T) {
	for name, o := range map[string]api.Options{"without a key": {}, "with one": {Keys: api.OneKey("k")}, "with none needed": {NoAuth: true}} {
		var log bytes.Buffer
		o.Backend, o.Surfaces, o.Log = &apitest.Backend{}, []*api.Surface{plain("x")}, slog.New(slog.NewTextHandler(&log, nil))
		s, err := api.New(o)
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("OPTIONS", "/v1/say", nil)
		r.RemoteAddr, r.Host = "127.0.0.1:5", "localhost:4747"
		r.Header.Set("Origin", "https://b.example")
		r.Header.Set("Access-Control-Request-Method", "POST")
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "--origin https://b.example") || w.Header().Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %d %v %s", name, w.Code, w.Header(), w.Body)
		}
		if !strings.Contains(log.String(), "code=origin_denied") || !strings.Contains(log.String(), "origin=https://b.example") {
			t.Errorf("%s: the log does not say which page: %s", name, log.String())
		}
	}
}

// TestAKeyOpensNoOrigin: what is advised must help, and browsers ask for the origin's sake whatever key a page has.
func TestAKeyOpensNoOrigin(t *testing.T) {
	s, err := api.New(api.Options{Backend: &apitest.Backend{}, Surfaces: []*api.Surface{plain("x")}})
	if err != nil {
		t.Fatal(err)
	}
	for origin, want := range map[string]string{"https://b.example": "--origin https://b.example", "null": "opened from a file"} {
		r := httptest.NewRequest("GET", "/v1/name/x", nil)
		r.RemoteAddr, r.Host = "127.0.0.1:5", "localhost:4747"
		r.Header.Set("Origin", origin)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if text := w.Body.String(); w.Code != http.StatusForbidden || !strings.Contains(text, want) || strings.Contains(text, "use a key") {
			t.Errorf("%s: %d %s", origin, w.Code, text)
		}
	}
}

func TestABaseURLIsNamedAsOne(t *testing.T) {
	sf := plain("x")
	sf.Routes = append(sf.Routes, api.Route{Method: "GET", Pattern: "/v1/models", Scope: api.Models, Handle: func(c *api.Call) error { return c.JSON(200, "") }})
	h := apitest.Serve(t, api.Options{Backend: &apitest.Backend{}, Surfaces: []*api.Surface{sf}})
	for path, want := range map[string]string{
		"/v1": "/v1 is a base URL: /v1/models, for one, is below it", "/v1/": "/v1 is a base URL", "/x/v1": "/x/v1 is a base URL: /x/v1/models", "/v2": `GET /v2"`,
	} {
		w, err := http.Get(h.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		var text bytes.Buffer
		_, _ = text.ReadFrom(w.Body)
		w.Body.Close()
		if w.StatusCode != http.StatusNotFound || !strings.Contains(text.String(), want) {
			t.Errorf("%s: %d %s", path, w.StatusCode, text.String())
		}
	}
}

func TestOriginsAreReadAsBrowsersSendThem(t *testing.T) {
	for text, want := range map[string]string{
		"https://chat.example.org": "https://chat.example.org", "https://chat.example.org/": "https://chat.example.org",
		"https://Chat.Example.org:443": "https://chat.example.org", "http://chat.example.org:80/": "http://chat.example.org",
		"http://chat.example.org:443": "http://chat.example.org:443", "http://[2001:db8::1]:80": "http://[2001:db8::1]",
		"tauri://localhost": "tauri://localhost", "chrome-extension://abc": "chrome-extension://abc", "*": "*", "null": "null",
	} {
		if got, err := api.Origin(text); err != nil || got != want {
			t.Errorf("%s is %q, %v: want %q", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"chat.example.org": "https://chat.example.org", "localhost:3000": "http://localhost:3000", "https://chat.example.org/app": "write https://chat.example.org",
		"https://*.example.org": "each host", "https://bücher.example": "xn--", "https://a.example?x": "write https://a.example",
		"https://u@a.example": "write https://a.example", "https://a.example:x": "https://chat.example.org", "https://": "https://chat.example.org", "": "https://chat.example.org",
	} {
		if got, err := api.Origin(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is %q, %v: want an error with %q", text, got, err, want)
		}
	}
}

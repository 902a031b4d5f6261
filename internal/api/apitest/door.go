package apitest

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/galerne-ai/galerne/internal/api"
)

// Door tries every route of a surface with every form of credential and every scope, and compares
// the routes and their scopes with a golden file: a route without a row there fails.
func Door(t *testing.T, sf *api.Surface, golden string) {
	t.Helper()
	var rows strings.Builder
	for _, rt := range sf.Routes {
		fmt.Fprintf(&rows, "%-6s %-48s %s\n", rt.Method, rt.Pattern+rt.Verb, rt.Scope)
	}
	if *update {
		if err := os.WriteFile(golden, []byte(rows.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if rows.String() != string(want) {
		t.Errorf("the routes have changed; %s has\n%s\nthere are\n%s", golden, want, rows.String())
	}
	for _, rt := range sf.Routes {
		if rt.Scope == api.Open {
			t.Errorf("%s %s is open to all: only the server's own health is", rt.Method, rt.Pattern)
		}
		t.Run(rt.Method+" "+rt.Pattern+rt.Verb, func(t *testing.T) { door(t, sf, rt) })
	}
}

// scoped are keys of which each is good for one scope: its secret is "for " and the scope.
type scoped struct{}

func (scoped) Any() bool { return true }

func (scoped) Lookup(_ context.Context, c api.Credential) (*api.Key, error) {
	name, ok := strings.CutPrefix(c.Secret, "for ")
	if !ok {
		return nil, api.ErrKey
	}
	return &api.Key{ID: c.Secret, Scopes: []api.Scope{api.Scope(name)}}, nil
}

// forms is how each form of credential is sent.
func forms() map[api.Form]func(r *http.Request, secret string) {
	header := func(name, prefix string) func(*http.Request, string) {
		return func(r *http.Request, secret string) { r.Header.Set(name, prefix+secret) }
	}
	return map[api.Form]func(*http.Request, string){
		api.Bearer:    header("Authorization", "Bearer "),
		api.Token:     header("Authorization", "token "),
		api.KeyHeader: header("X-Api-Key", ""),
		api.APIKey:    header("Api-Key", ""),
		api.GoogKey:   header("X-Goog-Api-Key", ""),
		api.Basic: func(r *http.Request, secret string) {
			r.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("me:"+secret)))
		},
		api.KeyQuery: func(r *http.Request, secret string) {
			q := r.URL.Query()
			q.Set("key", secret)
			r.URL.RawQuery = q.Encode()
		},
		api.Signature4: func(r *http.Request, secret string) {
			r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+secret+"/20260101/x/bedrock/aws4_request, SignedHeaders=host, Signature=00")
		},
	}
}

var wildcard = regexp.MustCompile(`\{[^}]*\}`)

// pathOf is a path that a route takes, below the surface's prefix.
func pathOf(sf *api.Surface, rt *api.Route) string {
	return "/" + sf.Name + wildcard.ReplaceAllString(strings.TrimSuffix(rt.Pattern, "{$}"), "m") + rt.Verb
}

// unread is a body that must not be read.
type unread struct{ read bool }

func (u *unread) Read([]byte) (int, error) {
	u.read = true
	return 0, errors.New("the test's body ends here")
}

func door(t *testing.T, sf *api.Surface, rt api.Route) {
	s, err := api.New(api.Options{Backend: &Backend{Scripts: map[string]string{"": "start\nfinish stop\nend"}}, Surfaces: []*api.Surface{sf}, Keys: scoped{}})
	if err != nil {
		t.Fatal(err)
	}
	path := pathOf(sf, &rt)
	call := func(put func(*http.Request, string), secret string) (*httptest.ResponseRecorder, bool) {
		body := &unread{}
		r := httptest.NewRequest(rt.Method, path, io.NopCloser(body))
		if put != nil {
			put(r, secret)
		}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		return w, body.read
	}
	refused := func(what string, want int, put func(*http.Request, string), secret string) {
		t.Helper()
		w, read := call(put, secret)
		if w.Code != want && !(want == http.StatusUnauthorized && w.Code == http.StatusForbidden) { // as Amazon says it
			t.Errorf("%s: status %d, want %d", what, w.Code, want)
		}
		if read {
			t.Errorf("%s: the body was read before the caller was known", what)
		}
		if strings.Contains(w.Body.String(), secret) && secret != "" {
			t.Errorf("%s: the answer tells the secret", what)
		}
	}
	refused("no credential", http.StatusUnauthorized, nil, "")
	for form, put := range forms() {
		refused(string(form)+" with a wrong secret", http.StatusUnauthorized, put, "wrong secret")
		for _, scope := range api.Scopes() {
			what := fmt.Sprintf("%s for %s", form, scope)
			if scope != rt.Scope {
				refused(what, http.StatusForbidden, put, "for "+string(scope))
				continue
			}
			if w, _ := call(put, "for "+string(scope)); w.Code == http.StatusUnauthorized || w.Code == http.StatusForbidden {
				t.Errorf("%s: status %d, and the key is good", what, w.Code)
			}
		}
	}
}

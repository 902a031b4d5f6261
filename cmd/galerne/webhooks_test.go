package main

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/outbound"
)

func TestWebhooksGoToHostsThatWereNamedOnly(t *testing.T) {
	for _, test := range []struct {
		hosts   []string
		address string
		may     bool
	}{
		{[]string{"example.org"}, "https://example.org/x", true},
		{[]string{"example.org"}, "http://example.org:8080/", true},
		{[]string{"example.org:8080"}, "http://example.org:8080/", true},
		{[]string{"example.org:8080"}, "http://example.org/", false},
		{[]string{"example.org"}, "http://evil.example.org/", false},
		{[]string{"example.org"}, "http://example.org@127.0.0.1/", false},
		{[]string{"example.org"}, "http://169.254.169.254/", false},
		{[]string{"*"}, "http://127.0.0.1/", true},
	} {
		u, err := url.Parse(test.address)
		if err != nil {
			t.Fatal(err)
		}
		if err := mayTell(test.hosts, u); (err == nil) != test.may || err != nil && !errors.Is(err, chat.ErrUnsupported) {
			t.Errorf("%v may tell %s: %v", test.hosts, test.address, err)
		}
	}
}

func TestAWebhookIsToldAndRedirectsAreNotFollowed(t *testing.T) {
	var mu sync.Mutex
	var paths []string
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		paths = append(paths, r.URL.Path+" "+r.Header.Get("Webhook-Id"))
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	}))
	defer h.Close()
	client, err := outbound.New(outbound.Options{})
	if err != nil {
		t.Fatal(err)
	}
	status, err := tell(context.Background(), client, h.URL+"/hook", http.Header{"Webhook-Id": {"1"}}, []byte("{}"))
	mu.Lock()
	defer mu.Unlock()
	if err != nil || status != http.StatusTemporaryRedirect || len(paths) != 1 || paths[0] != "/hook 1" {
		t.Errorf("%d %v %v", status, err, paths)
	}
}

func TestTheSecretOfWebhooksStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "home", "webhook.secret")
	var all [8][]byte
	var group sync.WaitGroup
	for i := range all {
		group.Go(func() {
			var err error
			if all[i], err = signingSecret(path); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	for _, s := range all {
		if len(s) != secretBytes || !bytes.Equal(s, all[0]) {
			t.Errorf("%x, and another got %x", s, all[0])
		}
	}
	if st, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && st.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", st, err)
	}
	if err := os.WriteFile(path, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := signingSecret(path); err == nil {
		t.Error("half a secret is taken")
	}
}

package outbound

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func newClient(t *testing.T, o Options) *Client {
	t.Helper()
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func TestARedirectToAnotherHostDoesNotGetTheKey(t *testing.T) {
	var away, back, home http.Header
	var first *httptest.Server
	second := serve(t, func(w http.ResponseWriter, r *http.Request) {
		away = r.Header.Clone()
		http.Redirect(w, r, first.URL+"/back", http.StatusFound)
	})
	first = serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/":
			http.Redirect(w, r, "/same", http.StatusFound)
		case "/same":
			home = r.Header.Clone()
			http.Redirect(w, r, second.URL, http.StatusTemporaryRedirect)
		case "/back":
			back = r.Header.Clone()
		}
	})
	resp, err := newClient(t, Options{UserAgent: "galerne/test"}).Get(context.Background(), first.URL, "Authorization", "Bearer secret", "X-Api-Key", "secret", "Range", "bytes=3-")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if home.Get("Authorization") != "Bearer secret" {
		t.Error("a redirect on the same origin lost the key")
	}
	// 127.0.0.1 on another port is another origin: net/http alone would send the key.
	for name, h := range map[string]http.Header{"away": away, "back": back} {
		if h.Get("Authorization") != "" || h.Get("X-Api-Key") != "" || h.Get("Referer") != "" {
			t.Errorf("%s got %v", name, h)
		}
		if h.Get("Range") != "bytes=3-" || h.Get("User-Agent") != "galerne/test" {
			t.Errorf("%s lost what every host may see: %v", name, h)
		}
	}
}

func TestRedirectsAreBoundedAndNeverDowngrade(t *testing.T) {
	loop := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/again", http.StatusFound) })
	if _, err := newClient(t, Options{Redirects: 3}).Get(context.Background(), loop.URL); !errors.Is(err, ErrRedirect) || !strings.Contains(err.Error(), "3 times") {
		t.Errorf("loop: %v", err)
	}
	plain := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the plain server was asked") })
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, plain.URL, http.StatusFound)
	}))
	defer secure.Close()
	c := newClient(t, Options{})
	c.client.Transport.(*http.Transport).TLSClientConfig = secure.Client().Transport.(*http.Transport).TLSClientConfig
	if _, err := c.Get(context.Background(), secure.URL); !errors.Is(err, ErrRedirect) {
		t.Errorf("downgrade: %v", err)
	}
	files := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "file:///etc/passwd")
		w.WriteHeader(http.StatusFound)
	})
	if _, err := c.Get(context.Background(), files.URL); !errors.Is(err, ErrRedirect) {
		t.Errorf("file: %v", err)
	}
}

func TestDoHereReturnsTheRedirectItself(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Linked-Size", "7")
		http.Redirect(w, r, "https://elsewhere.invalid/", http.StatusFound)
	})
	r, _ := http.NewRequest(http.MethodHead, s.URL, nil)
	resp, err := newClient(t, Options{}).DoHere(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusFound || resp.Header.Get("X-Linked-Size") != "7" {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
}

func TestASilentBodyEndsAndASlowOneDoesNot(t *testing.T) {
	release := make(chan struct{})
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		for range 8 {
			io.WriteString(w, "x")
			w.(http.Flusher).Flush()
			time.Sleep(20 * time.Millisecond)
		}
		if r.URL.Path == "/silent" {
			<-release
		}
	})
	defer close(release)
	c := newClient(t, Options{Stall: 150 * time.Millisecond})
	resp, err := c.Get(context.Background(), s.URL+"/slow")
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(resp.Body); err != nil || len(body) != 8 {
		t.Errorf("slow: %q %v", body, err)
	}
	resp.Body.Close()
	if resp, err = c.Get(context.Background(), s.URL+"/silent"); err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(resp.Body); !errors.Is(err, ErrStalled) || len(body) != 8 {
		t.Errorf("silent: %q %v", body, err)
	}
	resp.Body.Close()
}

func TestCancellingEndsABody(t *testing.T) {
	release := make(chan struct{})
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "x")
		w.(http.Flusher).Flush()
		<-release
	})
	defer close(release)
	ctx, cancel := context.WithCancel(context.Background())
	resp, err := newClient(t, Options{}).Get(ctx, s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	time.AfterFunc(30*time.Millisecond, cancel)
	if _, err := io.ReadAll(resp.Body); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestUnreachableSaysWhichHost(t *testing.T) {
	s := serve(t, func(http.ResponseWriter, *http.Request) {})
	s.Close()
	_, err := newClient(t, Options{}).Get(context.Background(), s.URL+"/path?signature=secret")
	if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), strings.TrimPrefix(s.URL, "http://")) || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v", err)
	}
}

// TestNoConnectionIsToldFromOneThatBroke: only the latter is likely to be mended by another try.
func TestNoConnectionIsToldFromOneThatBroke(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/half" {
			w.Header().Set("Content-Length", "9")
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
		}
		panic(http.ErrAbortHandler)
	}))
	defer s.Close()
	closed := httptest.NewServer(nil)
	closed.Close()
	for _, c := range []struct {
		proxy, address string
		want           bool
	}{
		{"", closed.URL, true}, {"", "http://nowhere.invalid/", true}, {closed.URL, "http://nowhere.invalid/", true}, {closed.URL, "https://nowhere.invalid/", true},
		{"", s.URL, false}, {"", s.URL + "/half", false}, {s.URL, "http://nowhere.invalid/", false}, {s.URL, "https://nowhere.invalid/", false},
	} {
		client, err := New(Options{Proxy: c.proxy, HTTPProxy: c.proxy})
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Get(context.Background(), c.address)
		if err == nil {
			_, err = io.ReadAll(resp.Body)
			resp.Body.Close()
		}
		if !errors.Is(err, ErrUnreachable) || NoConnection(err) != c.want {
			t.Errorf("%s by %q: %v, want %v", c.address, c.proxy, err, c.want)
		}
	}
}

func TestTheProxyIsUsedAndItsExceptionsAre(t *testing.T) {
	asked := make(chan string, 4)
	proxy := serve(t, func(w http.ResponseWriter, r *http.Request) { asked <- r.URL.Host })
	c := newClient(t, Options{HTTPProxy: proxy.URL, NoProxy: "direct.invalid"})
	resp, err := c.Get(context.Background(), "http://far.invalid/x")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if host := <-asked; host != "far.invalid" {
		t.Errorf("the proxy was asked for %q", host)
	}
	if _, err := c.Get(context.Background(), "http://direct.invalid/x"); !errors.Is(err, ErrUnreachable) {
		t.Errorf("direct: %v", err)
	}
	for _, bad := range []string{"ftp://x:1", "http://", "::"} {
		if _, err := New(Options{Proxy: bad}); !errors.Is(err, ErrOptions) {
			t.Errorf("proxy %q: %v", bad, err)
		}
	}
}

func TestReadAllHasALimit(t *testing.T) {
	if data, err := ReadAll(strings.NewReader("1234"), 4); err != nil || string(data) != "1234" {
		t.Errorf("%q %v", data, err)
	}
	if _, err := ReadAll(strings.NewReader("12345"), 4); !errors.Is(err, ErrTooLarge) {
		t.Errorf("%v", err)
	}
}

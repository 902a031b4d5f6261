// Package outbound answers: how does this program reach another machine? It is the only door out:
// every request that leaves goes through a [Client], so proxies, timeouts and what a redirect may
// see are decided once.
//
//   - An Authorization header and cookies are for the host, port and scheme that the caller named.
//     A redirect elsewhere does not get them, and not back again either.
//   - A redirect from https to http is refused.
//   - A body that falls silent ends with ErrStalled; a slow one may take as long as it likes.
package outbound

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpproxy"
)

// Options of a Client; the zero value is usable.
type Options struct {
	Proxy     string        // URL of the proxy for https, "" for none; http://, https:// or socks5://
	HTTPProxy string        // the same for plain http
	NoProxy   string        // hosts that are reached directly, as NO_PROXY lists them
	UserAgent string        // Default "galerne".
	Connect   time.Duration // for a connection, TLS included. Default 30 s.
	Header    time.Duration // from the request to the answer's first byte. Default 60 s.
	Stall     time.Duration // longest silence within a body. Default 60 s.
	Redirects int           // how many in a row are followed. Default 8.
}

func (o Options) withDefaults() Options {
	if o.UserAgent == "" {
		o.UserAgent = "galerne"
	}
	for _, d := range []struct {
		value     *time.Duration
		otherwise time.Duration
	}{{&o.Connect, 30 * time.Second}, {&o.Header, time.Minute}, {&o.Stall, time.Minute}} {
		if *d.value <= 0 {
			*d.value = d.otherwise
		}
	}
	if o.Redirects <= 0 {
		o.Redirects = 8
	}
	return o
}

func (o Options) validate() error {
	for _, proxy := range []string{o.Proxy, o.HTTPProxy} {
		if proxy == "" {
			continue
		}
		// A proxy without a scheme is taken as http, as curl and Python do.
		if !strings.Contains(proxy, "://") {
			proxy = "http://" + proxy
		}
		u, err := url.Parse(proxy)
		if err != nil || u.Host == "" {
			return ErrOptions.Because("outbound: the proxy's address cannot be read: write it as http://host:port")
		}
		switch u.Scheme {
		case "http", "https", "socks5", "socks5h":
		default:
			return ErrOptions.Because("outbound: the proxy's address starts with %q: http, https and socks5 are possible", u.Scheme)
		}
	}
	return nil
}

// Client sends requests. It may be used from any goroutine.
type Client struct {
	o      Options
	client *http.Client
}

// New makes a client. Error: ErrOptions.
func New(o Options) (*Client, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	proxies := (&httpproxy.Config{HTTPSProxy: o.Proxy, HTTPProxy: o.HTTPProxy, NoProxy: o.NoProxy}).ProxyFunc()
	c := &Client{o: o}
	c.client = &http.Client{
		Transport: &http.Transport{
			Proxy:                 func(r *http.Request) (*url.URL, error) { return proxies(r.URL) },
			DialContext:           (&net.Dialer{Timeout: o.Connect, KeepAlive: 30 * time.Second}).DialContext,
			TLSHandshakeTimeout:   o.Connect,
			ResponseHeaderTimeout: o.Header,
			IdleConnTimeout:       90 * time.Second,
			MaxIdleConnsPerHost:   8,
			ForceAttemptHTTP2:     true,
			// A body's length and its digest are of the bytes as they travel.
			DisableCompression:     true,
			MaxResponseHeaderBytes: 1 << 20,
		},
		CheckRedirect: c.redirect,
	}
	return c, nil
}

// stay marks a request whose redirects are the caller's own affair.
type stay struct{}

// Do sends a request and follows redirects. The body, if any, must be closed by the caller, and ends
// with ErrStalled when it falls silent. Status codes are the caller's to judge.
//
// Errors: ErrUnreachable, ErrRedirect, the context's own.
func (c *Client) Do(r *http.Request) (*http.Response, error) { return c.send(r) }

// DoHere is Do without following redirects: a 3xx answer is returned as it is.
func (c *Client) DoHere(r *http.Request) (*http.Response, error) {
	return c.send(r.WithContext(context.WithValue(r.Context(), stay{}, true)))
}

func (c *Client) send(r *http.Request) (*http.Response, error) {
	outer := r.Context()
	ctx, cancel := context.WithCancelCause(outer)
	r = r.Clone(ctx)
	if r.Header.Get("User-Agent") == "" {
		r.Header.Set("User-Agent", c.o.UserAgent)
	}
	resp, err := c.client.Do(r)
	if err != nil {
		cancel(nil)
		return nil, explain(outer, r, err)
	}
	resp.Body = newWatched(outer, resp.Body, r.URL.Host, c.o.Stall, cancel)
	return resp, nil
}

func (c *Client) redirect(r *http.Request, via []*http.Request) error {
	if r.Context().Value(stay{}) != nil {
		return http.ErrUseLastResponse
	}
	if len(via) > c.o.Redirects {
		return ErrRedirect.Because("outbound: %s redirects more than %d times", via[0].URL.Host, c.o.Redirects)
	}
	last := via[len(via)-1]
	if r.URL.Scheme != "https" && (r.URL.Scheme != "http" || last.URL.Scheme == "https") {
		return ErrRedirect.Because("outbound: %s redirects from %s to %s: refused", last.URL.Host, last.URL.Scheme, r.URL.Scheme)
	}
	r.Header.Del("Referer") // addresses may carry signatures
	if strayed(r, via) {
		for _, name := range []string{"Authorization", "Cookie", "Cookie2", "Proxy-Authorization", "X-Api-Key", "Api-Key"} {
			r.Header.Del(name)
		}
	}
	return nil
}

// strayed reports whether a redirect, or one before it, left the origin that the caller named. net/http
// compares host names only: another port, or a subdomain, would still get the header.
func strayed(r *http.Request, via []*http.Request) bool {
	home := origin(via[0].URL)
	for _, q := range via {
		if origin(q.URL) != home {
			return true
		}
	}
	return origin(r.URL) != home
}

func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
}

// explain turns net/http's error into ours. Addresses are left out but for the host: they may carry secrets.
func explain(ctx context.Context, r *http.Request, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, ErrRedirect) {
		var own *url.Error
		if errors.As(err, &own) {
			return own.Err
		}
		return err
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return ErrUnreachable.Because("outbound: %s does not answer: %w: check the address, the network and the proxy (HTTPS_PROXY)", r.URL.Host, err)
}

// NoConnection reports whether an error is that no connection came about: a name that is not found, a refusal, no network.
func NoConnection(err error) bool {
	for op := (*net.OpError)(nil); errors.As(err, &op); err = op.Err { // a proxy's stands around that of the way to it
		if op.Op == "dial" {
			return true
		}
	}
	return false
}

// watched is a body that ends with an error when no byte comes for too long.
type watched struct {
	ctx     context.Context
	body    io.ReadCloser
	host    string
	stall   time.Duration
	cancel  context.CancelCauseFunc
	timer   *time.Timer
	stalled atomic.Bool
}

func newWatched(ctx context.Context, body io.ReadCloser, host string, stall time.Duration, cancel context.CancelCauseFunc) *watched {
	w := &watched{ctx: ctx, body: body, host: host, stall: stall, cancel: cancel}
	w.timer = time.AfterFunc(stall, func() {
		w.stalled.Store(true)
		cancel(nil)
	})
	w.timer.Stop()
	return w
}

// Read arms the timer for its own time only: a reader may take long between two reads.
func (w *watched) Read(p []byte) (int, error) {
	w.timer.Reset(w.stall)
	n, err := w.body.Read(p)
	w.timer.Stop()
	switch {
	case err == nil || err == io.EOF:
		return n, err
	case w.ctx.Err() != nil:
		return n, w.ctx.Err()
	case w.stalled.Load():
		return n, ErrStalled.Because("outbound: %s sent nothing for %v", w.host, w.stall)
	}
	return n, ErrUnreachable.Because("outbound: the connection to %s broke: %w", w.host, err)
}

func (w *watched) Close() error {
	w.timer.Stop()
	err := w.body.Close()
	w.cancel(nil)
	return err
}

// ReadAll reads a body of at most limit bytes. Errors: ErrTooLarge and the body's own.
func ReadAll(body io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, ErrTooLarge.Because("outbound: the answer is longer than %d bytes", limit)
	}
	return data, nil
}

// Get sends a GET request with the given headers (name, value, name, value…).
func (c *Client) Get(ctx context.Context, address string, headers ...string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("outbound: %w", err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return c.Do(r)
}

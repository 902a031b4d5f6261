package api

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/galerne-ai/galerne/internal/chat"
)

// Call is one HTTP request under way.
type Call struct {
	W       http.ResponseWriter
	R       *http.Request
	ID      string
	Key     *Key // nil where nobody had to say who they are
	Backend chat.Backend

	server  *Server
	surface *Surface
	route   *Route
	out     *recorder
	control *http.ResponseController
	body    []byte
	began   time.Time
	err     error
	model   string // that was asked for, for the log
	used    used
}

// Record is what happened to a request, without anything of what was asked or answered.
type Record struct {
	ID      string
	Key     string // the key's ID, "" where there was none
	Tenant  string
	Surface string
	Route   string // the pattern
	Model   string // that was asked for
	Status  int    // 499: the caller left first
	Code    string // of the error, if there was one
	Usage   chat.Usage
	Began   time.Time
	Took    time.Duration
}

// used sums what a call's answers took; they may end in any goroutine.
type used struct {
	mu  sync.Mutex
	sum chat.Usage
}

func (u *used) add(more chat.Usage) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.sum.Prompt += more.Prompt
	u.sum.Cached += more.Cached
	u.sum.Answer += more.Answer
	u.sum.Reasoning += more.Reasoning
}

// Began is when the request arrived.
func (c *Call) Began() time.Time { return c.began }

// Strict reports whether unknown fields are errors.
func (c *Call) Strict() bool { return c.server.o.Strict }

// JSON answers with one JSON value.
func (c *Call) JSON(status int, v any) error {
	data, err := Encode(v)
	if err != nil {
		return err
	}
	c.W.Header().Set("Content-Type", "application/json")
	c.W.WriteHeader(status)
	c.write(data)
	return nil
}

// piece is how much must be taken within a write timeout.
const piece = 64 << 10

// write sends an answer; who takes nothing of it for the write timeout is dropped. A caller who left
// needs no answer, so there is no error.
func (c *Call) write(data []byte) {
	for len(data) > 0 {
		n := min(len(data), piece)
		_ = c.control.SetWriteDeadline(time.Now().Add(c.server.o.WriteTimeout)) // not every writer has deadlines
		if _, err := c.W.Write(data[:n]); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				c.server.metrics.slow.WithLabelValues(c.surface.Name).Inc()
			}
			return
		}
		data = data[n:]
	}
}

// Encode is JSON as every surface writes it: compact, without a newline, no character escaped that
// need not be.
func Encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// NewID makes a name that no other request has.
func NewID() string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// run takes a request through the door to its route, and says in the log how it went.
func (s *Server) run(w http.ResponseWriter, r *http.Request, sf *Surface, rt *Route) {
	c := &Call{R: r, ID: "req_" + s.o.NewID(), server: s, surface: sf, route: rt, began: time.Now()}
	c.out = &recorder{w: w, c: c}
	c.W = c.out
	c.control = http.NewResponseController(c.out)
	c.Backend = &guarded{inner: s.o.Backend, c: c}
	w.Header().Set("X-Request-Id", c.ID)
	w.Header().Set("Request-Id", c.ID)
	if own := r.Header.Get("X-Client-Request-Id"); own != "" && len(own) <= 512 {
		w.Header().Set("X-Client-Request-Id", own)
	}
	s.metrics.active.Inc()
	defer s.metrics.active.Dec()
	defer c.close()
	c.expectBody(s.o.BodyTimeout)
	if s.draining.Load() && rt.Scope != Open {
		c.W.Header().Set("Connection", "close")
		c.Fail(ErrDraining.Because("api: the server is shutting down: call again in a moment").After(time.Second))
		return
	}
	key, err := s.caller(c, rt.Scope)
	if err != nil {
		c.Fail(err)
		return
	}
	c.Key = key
	if err := s.limiter.request(key); err != nil {
		c.Fail(err)
		return
	}
	if err := rt.Handle(c); err != nil {
		c.Fail(err)
	}
}

// caller is who calls: of a request that Do made, who it was made for.
func (s *Server) caller(c *Call, scope Scope) (*Key, error) {
	inside, ok := c.R.Context().Value(insideKey{}).(*inside)
	if !ok {
		return s.authorise(c, scope)
	}
	if scope != Open && inside.key != nil && !inside.key.may(scope) {
		return nil, ErrScope.Because("api: this key is not for %q: use a key with that scope", scope)
	}
	return inside.key, nil
}

// insideKey marks the context of a request that Do made; nothing outside this package can.
type insideKey struct{}

type inside struct{ key *Key }

// Do answers a request that does not come from a connection, as the key that it is made for; nil is
// who needs no key. It passes the same door: scopes, models, limits, log. Path may have a query.
func (s *Server) Do(ctx context.Context, key *Key, method, path string, header http.Header, body []byte) (int, http.Header, []byte, error) {
	r, err := http.NewRequestWithContext(context.WithValue(ctx, insideKey{}, &inside{key}), method, path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, nil, ErrBody.Because("api: %s %s is no request: %w", method, path, err)
	}
	if header != nil {
		r.Header = header.Clone()
	}
	r.RemoteAddr, r.Host = "inside", "localhost"
	w := &memory{header: http.Header{}}
	func() {
		defer func() {
			if cause := recover(); cause != nil { // the answer was cut, and the log says why
				w.status = http.StatusInternalServerError
			}
		}()
		s.ServeHTTP(w, r)
	}()
	return w.status, w.header, w.body.Bytes(), ctx.Err()
}

// memory is a response that is kept.
type memory struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (m *memory) Header() http.Header { return m.header }
func (m *memory) WriteHeader(status int) {
	if m.status == 0 {
		m.status = status
	}
}
func (m *memory) Write(p []byte) (int, error) {
	m.WriteHeader(http.StatusOK)
	return m.body.Write(p)
}

// Flush is for streams, which are kept like all else.
func (m *memory) Flush() {}

// close contains a panic of the route, and logs.
func (c *Call) close() {
	cause := recover()
	if cause != nil && cause != http.ErrAbortHandler {
		c.server.o.Log.Error("request panicked", slog.String("id", c.ID), slog.Any("panic", cause), slog.String("stack", string(debug.Stack())))
		if c.out.status == 0 {
			c.Fail(errPanic)
			cause = nil
		} else {
			cause = http.ErrAbortHandler
		}
	}
	c.log()
	if cause != nil {
		panic(cause) // cuts the connection, so that no client takes a part for the whole
	}
}

var errPanic = errors.New("api: a request panicked")

// log says what happened, with no key, no query and nothing of what was asked or answered.
func (c *Call) log() {
	status := c.out.status
	if status == 0 {
		status = http.StatusOK
	}
	took := time.Since(c.began)
	c.server.metrics.request(c.surface.Name, c.route.name(), status, took)
	attrs := []slog.Attr{
		slog.String("id", c.ID), slog.String("method", c.R.Method), slog.String("surface", c.surface.Name),
		slog.String("route", c.route.name()), slog.Int("status", status), slog.Int64("bytes", c.out.bytes), slog.Duration("took", took),
	}
	if c.Key != nil {
		attrs = append(attrs, slog.String("key", c.Key.ID))
	}
	if c.model != "" {
		attrs = append(attrs, slog.String("model", c.model))
	}
	if c.err != nil {
		attrs = append(attrs, slog.String("code", FailureOf(c.err).Code))
	}
	c.record(status, took)
	level := slog.LevelInfo
	if c.surface == c.server.own.Surface && status < 400 { // probes ask every few seconds
		level = slog.LevelDebug
	}
	c.server.o.Log.LogAttrs(c.R.Context(), level, "request", attrs...)
}

func (c *Call) record(status int, took time.Duration) {
	if c.server.o.Done == nil {
		return
	}
	c.used.mu.Lock()
	defer c.used.mu.Unlock()
	r := Record{ID: c.ID, Surface: c.surface.Name, Route: c.route.name(), Model: c.model, Status: status, Usage: c.used.sum, Began: c.began, Took: took}
	if c.Key != nil {
		r.Key, r.Tenant = c.Key.ID, c.Key.Tenant
	}
	if c.err != nil {
		r.Code = FailureOf(c.err).Code
	}
	c.server.o.Done(r)
}

// recorder remembers what was answered.
type recorder struct {
	w      http.ResponseWriter
	c      *Call
	status int
	bytes  int64
}

func (r *recorder) Header() http.Header { return r.w.Header() }

// Unwrap lets an http.ResponseController through.
func (r *recorder) Unwrap() http.ResponseWriter { return r.w }

func (r *recorder) WriteHeader(status int) {
	if r.status != 0 {
		return
	}
	r.status = status
	if r.c.surface.Head != nil {
		r.c.surface.Head(r.c, r.w.Header())
	}
	r.w.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	n, err := r.w.Write(p)
	r.bytes += int64(n)
	return n, err
}

// May refuses what the key is not for: a route whose body asks for what has a scope of its own.
func (c *Call) May(scope Scope) error {
	if c.Key != nil && !c.Key.may(scope) {
		return ErrScope.Because("api: this key is not for %q: use a key with that scope", scope)
	}
	return nil
}

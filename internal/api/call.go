package api

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/jobs"
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

// Owner is whose what is kept for the caller is: its tenant's.
func (c *Call) Owner() string {
	if c.Key == nil {
		return ""
	}
	return c.Key.Tenant
}

// KeyID is the caller's key, "" where nobody had to say who they are.
func (c *Call) KeyID() string {
	if c.Key == nil {
		return ""
	}
	return c.Key.ID
}

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

// First is the model for a request: the one that it names, else the first that is of the first kind of which
// there is one, else "", the default model.
func (c *Call) First(named string, kinds ...func(*chat.Model) bool) (string, error) {
	if named != "" {
		return named, nil
	}
	all, err := c.Backend.Models(c.R.Context())
	if err != nil {
		return "", err
	}
	for _, is := range kinds {
		for i := range all {
			if is(&all[i]) {
				return all[i].Name, nil
			}
		}
	}
	return "", nil
}

// rankedBy is the header that says how an order came about: cross-encoder, or embedding.
const rankedBy = "X-Ranked-By"

// Rank orders documents, and tells in a header how.
func (c *Call) Rank(r *chat.RankRequest) (*chat.Ranking, error) {
	got, err := c.Backend.Rank(c.R.Context(), r)
	if err == nil {
		c.W.Header().Set(rankedBy, got.By)
	}
	return got, err
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
	if err := c.handle(); err != nil {
		c.Fail(err)
	}
}

// Replies remembers answers by a name and gives them again.
type Replies interface {
	// Reply gives the answer of a name, nil if there is none.
	Reply(ctx context.Context, name string) (*jobs.Reply, error)
	KeepReply(ctx context.Context, name string, r *jobs.Reply) error
}

const (
	maxIdempotency = 255     // bytes of an Idempotency-Key
	maxReply       = 8 << 20 // bytes of an answer that is remembered
)

// handle answers, once for all requests of one caller to one path that have the same
// Idempotency-Key: later ones get the first one's answer. Answers that are errors or streams are not
// remembered, since asking again is what helps.
func (c *Call) handle() error {
	own, s := c.R.Header.Get("Idempotency-Key"), c.server
	kind, _, _ := mime.ParseMediaType(c.R.Header.Get("Content-Type"))
	if own == "" || s.o.Replies == nil || c.R.Method != http.MethodPost || kind != "application/json" {
		return c.route.Handle(c)
	}
	if len(own) > maxIdempotency {
		return ErrBody.Because("api: the Idempotency-Key has %d bytes, at most %d are taken", len(own), maxIdempotency)
	}
	body, err := c.Body()
	if err != nil {
		return err
	}
	key := ""
	if c.Key != nil {
		key = c.Key.ID
	}
	name := digest([]byte(key), []byte(c.surface.Name), []byte(c.R.URL.RequestURI()), []byte(own))
	if _, under := s.underWay.LoadOrStore(name, true); under {
		return ErrAgain.Because("api: a request with this Idempotency-Key is under way: wait for its answer").After(time.Second)
	}
	defer s.underWay.Delete(name)
	old, err := s.o.Replies.Reply(c.R.Context(), name)
	if err != nil {
		return err
	}
	hash := digest(body)
	if old != nil && old.Hash != hash {
		return ErrReused.Because("api: this Idempotency-Key came with another body before: use a new one for a new request")
	}
	if old != nil {
		c.W.Header().Set("Content-Type", old.Type)
		c.W.Header().Set("Idempotent-Replayed", "true")
		c.W.WriteHeader(old.Status)
		_, _ = c.W.Write(old.Body) // a caller who left needs no answer
		return nil
	}
	c.out.copy = new(bytes.Buffer)
	if err := c.route.Handle(c); err != nil {
		return err
	}
	c.remember(name, hash)
	return nil
}

// remember keeps the answer that has been given. The caller has it already, so a database that
// cannot be written is for the log.
func (c *Call) remember(name, hash string) {
	kind := c.W.Header().Get("Content-Type")
	if c.out.status >= 300 || c.out.copy == nil || !strings.HasPrefix(kind, "application/json") {
		return
	}
	r := &jobs.Reply{Hash: hash, Status: c.out.status, Type: kind, Body: c.out.copy.Bytes()}
	if err := c.server.o.Replies.KeepReply(context.WithoutCancel(c.R.Context()), name, r); err != nil {
		c.server.o.Log.Error("an answer cannot be remembered for its Idempotency-Key", slog.String("id", c.ID), slog.String("error", err.Error()))
	}
}

// digest names several texts in one, without telling them.
func digest(parts ...[]byte) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:", len(p))
		h.Write(p)
	}
	return hex.EncodeToString(h.Sum(nil))
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
	if errors.Is(c.err, ErrOrigin) { // the caller is a page that cannot read why
		attrs = append(attrs, slog.String("origin", fmt.Sprintf("%.200s", c.R.Header.Get("Origin"))), slog.String("host", fmt.Sprintf("%.200s", c.R.Host)))
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
	copy   *bytes.Buffer // of what was answered, where it is wanted and not too long
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
	if r.copy != nil {
		if r.copy.Write(p); r.copy.Len() > maxReply {
			r.copy = nil
		}
	}
	return n, err
}

// May refuses what the key is not for: a route whose body asks for what has a scope of its own.
func (c *Call) May(scope Scope) error {
	if c.Key != nil && !c.Key.may(scope) {
		return ErrScope.Because("api: this key is not for %q: use a key with that scope", scope)
	}
	return nil
}

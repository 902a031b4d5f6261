package api

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/metric"
)

// Options of a Server. Backend and at least one surface are needed.
type Options struct {
	Backend  chat.Backend
	Surfaces []*Surface // in order of preference at paths that several serve and nothing tells apart
	Keys     Keys       // nil: no key exists
	NoAuth   bool       // callers from other machines need no key either
	Origins  []string   // of web pages that may call beside those of this machine; "*" for all
	Strict   bool       // fields that are not known are errors

	Replies Replies // for Idempotency-Key, nil: it is passed over

	// Done is told of every request that has ended, nil if nobody needs to know. It must not block.
	Done func(Record)

	Ready    func() error // why requests cannot be answered now; nil: they always can
	Registry *prometheus.Registry
	Log      *slog.Logger

	BodyBytes    int64         // largest body. Default 32 MiB.
	BodyTimeout  time.Duration // longest pause of a body that arrives. Default 30 s.
	KeepAlive    time.Duration // longest silence of a stream. Default 10 s.
	WriteTimeout time.Duration // how long a reader may take nothing. Default 30 s.
	Drain        time.Duration // how long answers under way may take at shutdown. Default 30 s.
	NewID        func() string // for requests. Default 24 random hexadecimal digits.
	Now          func() time.Time
}

func (o Options) withDefaults() Options {
	if o.BodyBytes <= 0 {
		o.BodyBytes = 32 << 20
	}
	for _, d := range []struct {
		value     *time.Duration
		otherwise time.Duration
	}{{&o.BodyTimeout, 30 * time.Second}, {&o.KeepAlive, 10 * time.Second}, {&o.WriteTimeout, 30 * time.Second}, {&o.Drain, 30 * time.Second}} {
		if *d.value <= 0 {
			*d.value = d.otherwise
		}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.NewID == nil {
		o.NewID = NewID
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Ready == nil {
		o.Ready = func() error { return nil }
	}
	return o
}

// Server serves surfaces. It is an http.Handler.
type Server struct {
	o        Options
	own      *mounted
	surfaces []*mounted
	metrics  *metrics
	limiter  *limiter
	draining atomic.Bool
	underWay sync.Map // names of requests with an Idempotency-Key
}

// New makes a server.
func New(o Options) (*Server, error) {
	if o.Backend == nil || len(o.Surfaces) == 0 {
		return nil, errors.New("api: a server needs a backend and a surface")
	}
	s := &Server{o: o.withDefaults(), metrics: newMetrics(o.Registry)}
	s.limiter = &limiter{now: s.o.Now, keys: map[string]*allowance{}}
	for _, sf := range o.Surfaces {
		s.surfaces = append(s.surfaces, s.mount(sf))
	}
	s.own = s.mount(s.ownSurface())
	return s, nil
}

// ownSurface is what the server says of itself.
func (s *Server) ownSurface() *Surface {
	sf := &Surface{Name: "galerne", Error: func(c *Call, f *Failure) {
		_ = c.JSON(f.Status, map[string]any{"error": map[string]string{"code": f.Code, "message": f.Message, "request_id": f.RequestID}})
	}}
	sf.Routes = []Route{
		{Method: "GET", Pattern: "/healthz", Scope: Open, Handle: func(c *Call) error {
			return c.JSON(http.StatusOK, map[string]string{"status": "ok"})
		}},
		{Method: "GET", Pattern: "/readyz", Scope: Open, Handle: func(c *Call) error {
			if s.draining.Load() {
				return c.JSON(http.StatusServiceUnavailable, map[string]string{"status": "shutting down"})
			}
			if err := s.o.Ready(); err != nil {
				return c.JSON(http.StatusServiceUnavailable, map[string]string{"status": "not ready", "cause": FailureOf(err).Message})
			}
			return c.JSON(http.StatusOK, map[string]string{"status": "ready"})
		}},
	}
	if s.o.Registry != nil {
		h := metric.Handler(s.o.Registry)
		sf.Routes = append(sf.Routes, Route{Method: "GET", Pattern: "/metrics", Scope: Metrics, Handle: func(c *Call) error {
			h.ServeHTTP(c.W, c.R)
			return nil
		}})
	}
	return sf
}

// Serve answers on a listener until ctx ends. Then it takes no more requests, lets answers under way
// end for the drain time, and cuts what is left.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	h := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(s.o.Log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- h.Serve(attentive{l}) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	s.draining.Store(true)
	s.o.Log.Info("shutting down", slog.Duration("drain", s.o.Drain))
	wait, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.o.Drain)
	defer cancel()
	if err := h.Shutdown(wait); err != nil {
		s.o.Log.Warn("answers were cut at shutdown", slog.Duration("after", s.o.Drain))
		_ = h.Close() // connections only: nothing to lose
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// attentive is a listener whose connections notice that the caller has left even where more bytes than the
// request have come: the next request, or a newline too many.
type attentive struct{ net.Listener }

func (l attentive) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &attentiveConn{Conn: conn}, nil
}

// attentiveConn reads ahead while a request is answered. For that long net/http waits in a read of one
// byte, whose error ends the request's context and whose success ends the wait: who leaves then is not
// noticed, and an answer that is not streamed is made to its end. Here that read goes on to the caller's
// departure, or to the deadline by which net/http ends it.
type attentiveConn struct {
	net.Conn
	ahead []byte
}

// maxAhead is how many bytes are taken ahead; a caller who sends more is not listened to until the answer.
const maxAhead = 64 << 10

func (c *attentiveConn) Read(p []byte) (int, error) {
	if len(p) != 1 {
		if len(c.ahead) == 0 {
			return c.Conn.Read(p)
		}
		return c.take(p), nil
	}
	var piece [4 << 10]byte
	for len(c.ahead) < maxAhead {
		n, err := c.Conn.Read(piece[:])
		c.ahead = append(c.ahead, piece[:n]...)
		if errors.Is(err, os.ErrDeadlineExceeded) && len(c.ahead) > 0 {
			break
		}
		if err != nil {
			return 0, err
		}
	}
	return c.take(p), nil
}

// take gives the bytes that were read ahead.
func (c *attentiveConn) take(p []byte) int {
	n := copy(p, c.ahead)
	if c.ahead = c.ahead[n:]; len(c.ahead) == 0 {
		c.ahead = nil
	}
	return n
}

// CloseWrite is for net/http, which so ends a connection whose caller is still sending.
func (c *attentiveConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Package upstream answers: how is another engine served as if it were ours? It speaks to any server
// with OpenAI's API (vLLM, SGLang, llama-server, another Galerne), chooses among replicas, and turns
// what comes back into package chat's events.
package upstream

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/fault"
	"github.com/galerne-ai/galerne/internal/outbound"
)

var (
	// ErrDown: no replica answers.
	ErrDown = fault.New(fault.Unavailable, "upstream_down", "upstream: no replica answers")
	// ErrAnswer: the server's answer breaks OpenAI's form.
	ErrAnswer = fault.New(fault.Unavailable, "upstream_answer", "upstream: the answer cannot be read")
	// ErrBusy: every replica refuses more work.
	ErrBusy = fault.New(fault.Busy, "upstream_busy", "upstream: the server is busy")
	// ErrRefused: the server says that the request is wrong.
	ErrRefused = fault.New(fault.Invalid, "upstream_refused", "upstream: the server refuses the request")
	// ErrTooLong is ErrRefused for a prompt beyond the model's context.
	ErrTooLong = fault.New(fault.Invalid, "context_length_exceeded", "upstream: the prompt is too long")
	// ErrOption: an upstream is described wrongly.
	ErrOption = fault.New(fault.Invalid, "bad_upstream", "upstream: bad description")
)

// Target is one model of other servers.
type Target struct {
	Name     string   // what callers here call it
	Remote   string   // what the servers call it; Default Name
	Replicas []string // base URLs, as a client would set them: http://host:8000/v1
	Key      string   // sent as a bearer token; "" for none
}

// Options of a Server.
type Options struct {
	Targets []Target
	Client  *outbound.Client
	Every   time.Duration // between two health checks of a replica. Default 5 s.
	Log     *slog.Logger  // Default slog.Default().
}

// Server is the models of other servers. It is a chat.Backend.
type Server struct {
	o      Options
	models []*model
	stop   context.CancelFunc
	done   sync.WaitGroup
}

var _ chat.Backend = (*Server)(nil)

// model is a target with its replicas.
type model struct {
	Target
	replicas []*replica
	client   *outbound.Client
	born     time.Time
}

// New makes a server and begins to check its replicas. Error: ErrOption.
func New(o Options) (*Server, error) {
	if o.Every <= 0 {
		o.Every = 5 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	s := &Server{o: o}
	for _, t := range o.Targets {
		if t.Remote == "" {
			t.Remote = t.Name
		}
		m := &model{Target: t, client: o.Client, born: time.Now()}
		for _, base := range t.Replicas {
			base = strings.TrimRight(base, "/")
			if !strings.HasPrefix(base, "http://") && !strings.HasPrefix(base, "https://") {
				return nil, ErrOption.Because("upstream: %q of %s is no http address: write http://HOST:PORT/v1", base, t.Name)
			}
			m.replicas = append(m.replicas, &replica{base: base, healthy: true})
		}
		if t.Name == "" || len(m.replicas) == 0 {
			return nil, ErrOption.Because("upstream: a name and at least one address are needed: NAME=http://HOST:PORT/v1")
		}
		s.models = append(s.models, m)
	}
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	for _, m := range s.models {
		for _, r := range m.replicas {
			s.done.Add(1)
			go s.watch(ctx, m, r)
		}
	}
	return s, nil
}

// Close ends the health checks.
func (s *Server) Close() {
	s.stop()
	s.done.Wait()
}

// watch checks one replica's health until ctx ends.
func (s *Server) watch(ctx context.Context, m *model, r *replica) {
	defer s.done.Done()
	tick := time.NewTicker(s.o.Every)
	defer tick.Stop()
	for {
		check, cancel := context.WithTimeout(ctx, s.o.Every)
		err := m.check(check, r)
		cancel()
		if ctx.Err() != nil {
			return
		}
		if was := r.set(err == nil); was != (err == nil) {
			s.o.Log.Warn("an upstream's health changed", "model", m.Name, "address", r.base, "healthy", err == nil, "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// check asks for the list of models, which every such server has.
func (m *model) check(ctx context.Context, r *replica) error {
	resp, err := m.send(ctx, r, http.MethodGet, "/models", nil)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

func (s *Server) find(name string) (*model, error) {
	for _, m := range s.models {
		if strings.EqualFold(m.Name, name) || name == "" || strings.EqualFold(name, "default") {
			return m, nil
		}
	}
	return nil, chat.ErrModel.Because("upstream: the model %q is not served", name).At("model")
}

// Respond implements chat.Responder.
func (s *Server) Respond(ctx context.Context, r *chat.Request) (chat.Stream, error) {
	m, err := s.find(r.Model)
	if err != nil {
		return nil, err
	}
	path, body, err := encode(r, m.Remote)
	if err != nil {
		return nil, err
	}
	return m.stream(ctx, r, path, body)
}

// Models implements chat.Library.
func (s *Server) Models(context.Context) ([]chat.Model, error) {
	out := make([]chat.Model, len(s.models))
	for i, m := range s.models {
		out[i] = m.describe()
	}
	return out, nil
}

// Model implements chat.Library.
func (s *Server) Model(_ context.Context, name string) (*chat.Model, error) {
	m, err := s.find(name)
	if err != nil {
		return nil, err
	}
	out := m.describe()
	return &out, nil
}

func (m *model) describe() chat.Model {
	up := false
	for _, r := range m.replicas {
		up = up || r.up()
	}
	return chat.Model{Name: m.Name, Loaded: up, Pinned: true, Created: m.born, Chats: true, Embeds: true}
}

// Load implements chat.Library: the other server decides what it keeps in memory.
func (s *Server) Load(_ context.Context, name string, _ *chat.KeepAlive) error {
	_, err := s.find(name)
	return err
}

func unsupported(what string) error {
	return chat.ErrUnsupported.Because("upstream: the model is on another server, which has no %s in OpenAI's API", what).At("model")
}

// Tokenize implements chat.Vocabulary.
func (s *Server) Tokenize(_ context.Context, model, _ string, _ bool) ([]chat.Token, error) {
	if _, err := s.find(model); err != nil {
		return nil, err
	}
	return nil, unsupported("tokenizer")
}

// Detokenize implements chat.Vocabulary.
func (s *Server) Detokenize(_ context.Context, model string, _ []int32) (string, error) {
	if _, err := s.find(model); err != nil {
		return "", err
	}
	return "", unsupported("tokenizer")
}

// Count implements chat.Vocabulary.
func (s *Server) Count(_ context.Context, r *chat.Request) (int, error) {
	if _, err := s.find(r.Model); err != nil {
		return 0, err
	}
	return 0, unsupported("count of tokens")
}

package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/fault"
	"github.com/galerne-ai/galerne/internal/outbound"
)

// peer is another server: answer gets each POST.
type peer struct {
	*httptest.Server
	mu    sync.Mutex
	asked []string // bodies
}

func (p *peer) count() int { p.mu.Lock(); defer p.mu.Unlock(); return len(p.asked) }

func newPeer(t *testing.T, answer http.HandlerFunc) *peer {
	p := &peer{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "GET" {
			fmt.Fprint(w, `{"data":[]}`)
			return
		}
		body, _ := io.ReadAll(r.Body)
		p.mu.Lock()
		p.asked = append(p.asked, string(body))
		p.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

// says streams events, one a write.
func says(events ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for _, e := range events {
			fmt.Fprint(w, e)
			w.(http.Flusher).Flush()
		}
	}
}

func status(code int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(code)
		fmt.Fprint(w, body)
	}
}

// text and last are events of a good answer.
func text(s string) string {
	return fmt.Sprintf("data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":%q}}]}\n\n", s)
}

const last = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n" +
	"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2,\"prompt_tokens_details\":{\"cached_tokens\":3}}}\n\ndata: [DONE]\n\n"

// behind is a server of the model m at other servers, whose health is checked once, at the start.
func behind(t *testing.T, bases ...string) *Server {
	t.Helper()
	client, err := outbound.New(outbound.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Options{Targets: []Target{{Name: "m", Remote: "there", Replicas: bases, Key: "secret"}}, Client: client, Every: time.Hour, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func hello(content string) *chat.Request {
	return &chat.Request{Model: "m", Messages: []chat.Message{{Role: chat.User, Parts: []chat.Part{{Text: content}}}}}
}

// heard is what a stream gave, a line an event.
func heard(t *testing.T, s *Server, r *chat.Request) (events []chat.Event, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	st, err := s.Respond(ctx, r)
	if err != nil {
		return nil, err
	}
	defer st.Close()
	for {
		ev, err := st.Next(ctx)
		if err == io.EOF {
			return events, nil
		}
		if err != nil {
			return events, err
		}
		events = append(events, ev)
	}
}

func told(events []chat.Event) string {
	var b strings.Builder
	for _, ev := range events {
		b.WriteString(ev.Text)
	}
	return b.String()
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s does not happen", what)
		}
	}
}

func idle(s *Server) bool {
	for _, r := range s.models[0].replicas {
		if n, _ := r.load(); n != 0 {
			return false
		}
	}
	return true
}

func TestAReplicaThatRefusesOrIsNotThereIsReplacedByAnother(t *testing.T) {
	good := newPeer(t, says(text("yes"), last))
	gone := newPeer(t, nil)
	gone.Close()
	mute := newPeer(t, says()) // says 200, and nothing more
	for name, first := range map[string]string{
		"busy": newPeer(t, status(503, `{"error":{"message":"full"}}`)).URL, "broken": newPeer(t, status(500, "x")).URL,
		"without the model": newPeer(t, status(404, `{"detail":"no"}`)).URL, "not there": gone.URL, "mute": mute.URL,
	} {
		s := behind(t, first, good.URL)
		for i := range 8 { // of several prefixes, some belong to the first
			events, err := heard(t, s, hello(fmt.Sprint(name, i)))
			if err != nil || told(events) != "yes" {
				t.Errorf("%s: %q %v", name, told(events), err)
			}
		}
		until(t, "rest", func() bool { return idle(s) })
	}
	if mute.count() == 0 {
		t.Error("no request was for the one that says nothing")
	}
}

func TestNothingIsAskedAgainAfterTheFirstToken(t *testing.T) {
	breaks := newPeer(t, says(text("Hel")))
	other := newPeer(t, says(text("never"), last))
	s := behind(t, breaks.URL, other.URL)
	second := s.models[0].replicas[1]
	for range 2 * slack { // so busy that it is the second choice, whatever the first check of its health finds meanwhile
		second.begin()
	}
	events, err := heard(t, s, hello("hi"))
	for range 2 * slack {
		second.end()
	}
	if told(events) != "Hel" || !errors.Is(err, ErrAnswer) || other.count() != 0 {
		t.Errorf("%q %v, the other was asked %d times", told(events), err, other.count())
	}
	until(t, "rest", func() bool { return idle(s) })
}

func TestARequestThatIsWrongIsNotAskedTwice(t *testing.T) {
	for name, c := range map[string]struct {
		code int
		body string
		want error
		kind fault.Kind
	}{
		"wrong":     {400, `{"error":{"message":"bad top_k","param":"top_k"}}`, ErrRefused, fault.Invalid},
		"too long":  {400, `{"error":{"message":"9000 tokens","code":"context_length_exceeded"}}`, ErrTooLong, fault.Invalid},
		"of vLLM":   {422, `{"object":"error","message":"bad","code":422}`, ErrRefused, fault.Invalid},
		"of others": {400, `{"error":"bad"}`, ErrRefused, fault.Invalid},
	} {
		a, b := newPeer(t, status(c.code, c.body)), newPeer(t, status(c.code, c.body))
		_, err := heard(t, behind(t, a.URL, b.URL), hello("hi"))
		if !errors.Is(err, c.want) || fault.KindOf(err) != c.kind || a.count()+b.count() != 1 {
			t.Errorf("%s: %v after %d requests", name, err, a.count()+b.count())
		}
	}
}

func TestWhatNoReplicaTakesSaysWhy(t *testing.T) {
	busy := newPeer(t, status(429, `{"error":{"message":"slow down"}}`))
	_, err := heard(t, behind(t, busy.URL, busy.URL), hello("hi"))
	var e *fault.Error
	if !errors.Is(err, ErrBusy) || !errors.As(err, &e) || e.RetryAfter != 7*time.Second || busy.count() != 2 {
		t.Errorf("busy: %v after %d requests", err, busy.count())
	}
	locked := newPeer(t, status(401, `{"error":{"message":"who are you"}}`))
	if _, err := heard(t, behind(t, locked.URL), hello("hi")); !errors.Is(err, ErrDown) || !strings.Contains(err.Error(), "key") || strings.Contains(err.Error(), "secret") {
		t.Errorf("our key is not theirs: %v", err)
	}
	busy.Close()
	s := behind(t, busy.URL, busy.URL)
	if _, err := heard(t, s, hello("hi")); !errors.Is(err, ErrDown) {
		t.Errorf("gone: %v", err)
	}
	if m, _ := s.Model(context.Background(), "m"); m.Loaded {
		t.Error("a model whose servers are gone passes for loaded")
	}
}

// TestTheKeyAndThePlaceAreAsConfigured is about what a server behind us sees.
func TestTheKeyAndThePlaceAreAsConfigured(t *testing.T) {
	var seen *http.Request
	p := newPeer(t, func(w http.ResponseWriter, r *http.Request) { seen = r; says(text("a"), last)(w, r) })
	if _, err := heard(t, behind(t, p.URL+"/v1/"), hello("hi")); err != nil {
		t.Fatal(err)
	}
	var body struct {
		Model  string
		Stream bool
	}
	if err := json.Unmarshal([]byte(p.asked[0]), &body); err != nil || body.Model != "there" || !body.Stream {
		t.Errorf("%s (%v)", p.asked[0], err)
	}
	if seen.URL.Path != "/v1/chat/completions" || seen.Header.Get("Authorization") != "Bearer secret" {
		t.Errorf("%s %v", seen.URL, seen.Header)
	}
}

func TestWhoLeavesEndsTheRequestBehindUs(t *testing.T) {
	ended := make(chan struct{}, 2)
	p := newPeer(t, func(w http.ResponseWriter, r *http.Request) {
		says(text("a"))(w, r)
		<-r.Context().Done()
		ended <- struct{}{}
	})
	s := behind(t, p.URL)
	for name, leave := range map[string]func(chat.Stream, context.CancelFunc){
		"closes":  func(st chat.Stream, _ context.CancelFunc) { st.Close(); st.Close() },
		"cancels": func(_ chat.Stream, cancel context.CancelFunc) { cancel() },
	} {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		st, err := s.Respond(ctx, hello("hi"))
		if err != nil {
			t.Fatal(err)
		}
		for range 3 { // started, block, text
			if _, err := st.Next(ctx); err != nil {
				t.Fatal(err)
			}
		}
		// A wait that is given up, as for a keep-alive, loses nothing.
		short, stop := context.WithTimeout(ctx, time.Millisecond)
		if _, err := st.Next(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		stop()
		leave(st, cancel)
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			t.Fatalf("%s: the server behind us works on", name)
		}
		until(t, "rest", func() bool { return idle(s) })
		if _, err := st.Next(context.Background()); err == nil {
			t.Errorf("%s: the stream goes on", name)
		}
		st.Close()
	}
}

func TestVectorsAndOrdersComeFromAnyReplica(t *testing.T) {
	p := newPeer(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/rerank") {
			fmt.Fprint(w, `{"results":[{"index":1,"relevance_score":0.9},{"index":0,"relevance_score":0.1}]}`)
			return
		}
		fmt.Fprint(w, `{"data":[{"index":1,"embedding":[2]},{"index":0,"embedding":[1]}],"usage":{"prompt_tokens":4}}`)
	})
	gone := newPeer(t, nil)
	gone.Close()
	s := behind(t, gone.URL, p.URL)
	ctx := context.Background()
	v, err := s.Embed(ctx, &chat.EmbedRequest{Model: "m", Texts: []string{"a", "b"}, Dimensions: 3})
	if err != nil || v.Vectors[0][0] != 1 || v.Vectors[1][0] != 2 || v.Tokens != 4 || !strings.Contains(p.asked[0], `"dimensions":3`) {
		t.Errorf("%+v %v %s", v, err, p.asked)
	}
	if _, err := s.Embed(ctx, &chat.EmbedRequest{Model: "m", Texts: []string{"a", "b", "c"}}); !errors.Is(err, ErrAnswer) {
		t.Errorf("a vector is missing: %v", err)
	}
	o, err := s.Rank(ctx, &chat.RankRequest{Model: "m", Query: "q", Documents: []string{"a", "b"}})
	if err != nil || !slices.Equal([]int{o.Scores[0].Index, o.Scores[1].Index}, []int{1, 0}) || o.Scores[0].Score != 0.9 {
		t.Errorf("%+v %v", o, err)
	}
	if _, err := s.Rank(ctx, &chat.RankRequest{Model: "m", Query: "q", Documents: []string{"a"}}); !errors.Is(err, ErrAnswer) {
		t.Errorf("a document that was not sent is ranked: %v", err)
	}
	p.Close()
	if _, err := s.Embed(ctx, &chat.EmbedRequest{Model: "m", Texts: []string{"a"}}); !errors.Is(err, ErrDown) {
		t.Errorf("all are gone: %v", err)
	}
	if !idle(s) {
		t.Error("an answer is under way")
	}
}

func TestADescriptionThatMakesNoSenseIsRefused(t *testing.T) {
	for _, target := range []Target{{Name: "m"}, {Replicas: []string{"http://a/v1"}}, {Name: "m", Replicas: []string{"a:8000"}}} {
		if _, err := New(Options{Targets: []Target{target}}); !errors.Is(err, ErrOption) {
			t.Errorf("%+v: %v", target, err)
		}
	}
}

func TestAReplicaThatComesBackIsChosenAgain(t *testing.T) {
	var down sync.Map
	p := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, is := down.Load("now"); is {
			w.WriteHeader(500)
			return
		}
		fmt.Fprint(w, "{}")
	}))
	defer p.Close()
	client, err := outbound.New(outbound.Options{})
	if err != nil {
		t.Fatal(err)
	}
	down.Store("now", true)
	s, err := New(Options{Targets: []Target{{Name: "m", Replicas: []string{p.URL}}}, Client: client, Every: 5 * time.Millisecond, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	until(t, "the check's failure", func() bool { return !s.models[0].replicas[0].up() })
	down.Delete("now")
	until(t, "its return", func() bool { return s.models[0].replicas[0].up() })
}

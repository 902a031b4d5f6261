package api_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/apitest"
	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/metric"
)

// plain is a surface with a vendor's worth of everything, in no vendor's words.
func plain(name string, marks ...api.Mark) *api.Surface {
	return &api.Surface{
		Name: name, Marks: marks,
		Error: func(c *api.Call, f *api.Failure) {
			_ = c.JSON(f.Status, map[string]string{"surface": name, "code": f.Code, "message": f.Message})
		},
		Routes: []api.Route{
			{Method: "POST", Pattern: "/v1/say", Scope: api.Generate, Handle: say},
			{Method: "GET", Pattern: "/v1/name/{id...}", Scope: api.Models, Handle: func(c *api.Call) error {
				return c.JSON(200, name+" "+c.R.PathValue("id"))
			}},
		},
	}
}

type sayBody struct {
	Model  string `json:"model"`
	Stream bool   `json:"stream"`
}

func say(c *api.Call) error {
	var b sayBody
	if err := c.Decode(&b, nil); err != nil {
		return err
	}
	r := &chat.Request{Model: b.Model}
	if b.Stream {
		return c.Stream(words{}, r)
	}
	got, err := c.Answer(r)
	if err != nil {
		return err
	}
	return c.JSON(200, got.Choices[0].Text(chat.TextBlock))
}

// words streams the text of deltas as lines.
type words struct{}

func (words) Type() string { return "text/plain" }
func (words) Event(out *api.Frames, ev *chat.Event) error {
	if ev.Kind == chat.Delta {
		return out.Line(ev.Text)
	}
	return nil
}
func (words) Ping(out *api.Frames)                 { out.Raw("ping\n") }
func (words) Fail(out *api.Frames, f *api.Failure) { out.Raw("failed: " + f.Code + "\n") }
func (words) End(out *api.Frames)                  { out.Raw("end\n") }

func post(t *testing.T, url, body string, header ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequest("POST", url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return do(t, r)
}

func do(t *testing.T, r *http.Request) (int, string) {
	t.Helper()
	w, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Body.Close()
	text, _ := io.ReadAll(w.Body)
	return w.StatusCode, string(text)
}

func TestSurfaceIsFoundByPrefixThenMarksThenOrder(t *testing.T) {
	s, err := api.New(api.Options{Backend: &apitest.Backend{}, Surfaces: []*api.Surface{
		plain("first"), plain("agent", api.Mark{Header: "User-Agent", Prefix: "agent-client/"}), plain("header", api.Mark{Header: "X-Special"}),
	}})
	if err != nil {
		t.Fatal(err)
	}
	f := func(path, want string, header ...string) {
		t.Helper()
		r := httptest.NewRequest("GET", path, nil)
		r.Host, r.RemoteAddr = "localhost", "127.0.0.1:1"
		for i := 0; i+1 < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if got := strings.TrimSpace(w.Body.String()); !strings.Contains(got, want) {
			t.Errorf("%s %v: got %s, want %s", path, header, got, want)
		}
	}
	f("/v1/name/x", `"first x"`)
	f("/header/v1/name/x", `"header x"`)
	f("/header/v1/name/x", `"header x"`, "User-Agent", "agent-client/1")
	f("/v1/name/x", `"agent x"`, "User-Agent", "Agent-Client/1")
	f("/v1/name/x", `"header x"`, "User-Agent", "agent-client/1", "X-Special", "1")
	f("/v1/v1/name/x", `"first x"`)
	f("/agent/v1/v1/name/x", `"agent x"`)
	f("/v1//name/./x/", `"first x"`)
	f("/v1/name/a%2Fb:c%3F", `"first a/b:c?"`)
	f("/v1/name/a%2F%2Fb", `"first a//b"`)
	f("/agentless/v1/name/x", `"unknown_url"`)
	f("/agent/v1/nothing", `"surface":"agent"`)
	f("/v1/nothing", `"surface":"header"`, "X-Special", "")
	f("/name/x", `"nothing is served at GET /name/x: did you mean /v1/name/x?"`)
	f("/nothing", `"nothing is served at GET /nothing"`)
	f("/v1/say", `"method_not_allowed"`)
}

func TestSurfaceIsFoundByAFieldOfTheBody(t *testing.T) {
	b := &apitest.Backend{Scripts: map[string]string{"": "start\ntext \"a\"\nfinish stop\nend"}}
	h := apitest.Serve(t, api.Options{Backend: b, Strict: true, Surfaces: []*api.Surface{
		plain("first"), plain("field", api.Mark{Field: "special"}, api.Mark{Field: "other"}), plain("header", api.Mark{Header: "X-Special"})}})
	f := func(path, body, want string, header ...string) {
		t.Helper()
		if _, got := post(t, h.URL+path, body, header...); !strings.Contains(got, want) {
			t.Errorf("%s %.60s %v: got %s, want %s", path, body, header, got, want)
		}
	}
	long := `"model":"` + strings.Repeat("m", 100_000) + `"`
	f("/v1/say", `{"model":"m","unknown":1}`, `"surface":"first"`) // strict: the unknown field is an error, in the words of whose it is
	f("/v1/say", `{"model":"m","special":1}`, `"surface":"field"`)
	f("/v1/say", `{"model":"m","other":null}`, `"surface":"field"`, "Content-Type", "application/x-www-form-urlencoded")
	f("/v1/say", `{"model":"m","special":1}`, `"surface":"header"`, "X-Special", "1")
	f("/first/v1/say", `{"model":"m","special":1}`, `"surface":"first"`)
	f("/v1/say", `{"unknown":{"special":1},"model":"special"}`, `"surface":"first"`)
	f("/v1/say", `{"special":1,`+long+`}`, `"surface":"field"`)
	f("/v1/say", `{`+long+`,"special":1}`, `"surface":"first"`) // too far behind
	f("/v1/say", `{"special":`, `"surface":"field"`)
	f("/v1/say", `["special"]`, `"surface":"first"`)
	f("/v1/say", `{`+long+`}`, `"code":"model_not_found"`)
	f("/v1/say", `{"model":"m"}`, `"a"`)
}

func TestBrowsersMayCallFromAllowedOrigins(t *testing.T) {
	h := apitest.Serve(t, api.Options{Backend: &apitest.Backend{}, Surfaces: []*api.Surface{plain("x")}, Keys: api.OneKey("k"), Origins: []string{"https://a.example"}})
	ask := func(origin string) http.Header {
		r, _ := http.NewRequest("OPTIONS", h.URL+"/v1/say", nil)
		r.Header.Set("Origin", origin)
		r.Header.Set("Access-Control-Request-Method", "POST")
		r.Header.Set("Access-Control-Request-Headers", "authorization, x-stainless-os")
		w, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		w.Body.Close()
		return w.Header
	}
	if got := ask("https://a.example"); got.Get("Access-Control-Allow-Origin") != "https://a.example" || got.Get("Access-Control-Allow-Headers") != "authorization, x-stainless-os" {
		t.Errorf("an allowed origin was told %v", got)
	}
	if got := ask("https://b.example"); got.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("another origin was told %v", got)
	}
}

func TestBodiesHaveLimits(t *testing.T) {
	h := apitest.Serve(t, api.Options{Backend: &apitest.Backend{}, Surfaces: []*api.Surface{plain("x")}, BodyBytes: 100})
	if code, text := post(t, h.URL+"/v1/say", `{"model":"`+strings.Repeat("m", 100)+`"}`); code != 413 || !strings.Contains(text, "100 bytes") {
		t.Errorf("a long body: %d %s", code, text)
	}
	if code, _ := post(t, h.URL+"/v1/say", `{}`, "Content-Encoding", "gzip"); code != 415 {
		t.Errorf("an encoded body: %d", code)
	}
	h = apitest.Serve(t, api.Options{Backend: &apitest.Backend{}, Surfaces: []*api.Surface{plain("x")}})
	if code, text := post(t, h.URL+"/v1/say", strings.Repeat(`{"a":`, 200)+"1"+strings.Repeat("}", 200)); code != 400 || !strings.Contains(text, "nested") {
		t.Errorf("a deep body: %d %s", code, text)
	}
}

func TestStrictServersRefuseUnknownFields(t *testing.T) {
	b := &apitest.Backend{Scripts: map[string]string{"": "start\ntext \"a\"\nfinish stop\nend"}}
	for strict, want := range map[bool]int{false: 200, true: 400} {
		h := apitest.Serve(t, api.Options{Backend: b, Surfaces: []*api.Surface{plain("x")}, Strict: strict})
		if code, text := post(t, h.URL+"/v1/say", `{"model":"m","modle":1}`); code != want || strict && !strings.Contains(text, "modle") {
			t.Errorf("strict %t: %d %s", strict, code, text)
		}
	}
}

func TestShutdownLetsAnswersEndThenCutsThem(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		drain  time.Duration
		want   string
	}{
		"an answer that ends in time": {"start\ntext \"a\"\nwait 300ms\ntext \"b\"\nfinish stop\nend", 10 * time.Second, "\"a\"\n\"b\"\nend\n"},
		"one that does not":           {"start\ntext \"a\"\nhang", 100 * time.Millisecond, "\"a\"\n"},
	} {
		b := &apitest.Backend{Scripts: map[string]string{"": c.script}}
		s, err := api.New(api.Options{Backend: b, Surfaces: []*api.Surface{plain("x")}, Drain: c.drain})
		if err != nil {
			t.Fatal(err)
		}
		address, stop, served := onSocket(t, s)
		w, err := http.Post("http://"+address+"/v1/say", "application/json", strings.NewReader(`{"model":"m","stream":true}`))
		if err != nil {
			t.Fatal(err)
		}
		stop()
		got, _ := io.ReadAll(w.Body)
		w.Body.Close()
		if string(got) != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
		if err := <-served; err != nil {
			t.Errorf("%s: %v", name, err)
		}
		until(t, b, 0)
		rec := httptest.NewRecorder()
		s.ServeHTTP(rec, httptest.NewRequest("GET", "/readyz", nil))
		if rec.Code != 503 {
			t.Errorf("%s: /readyz says %d while the server shuts down", name, rec.Code)
		}
	}
}

func TestLogAndMetricsTellNoSecrets(t *testing.T) {
	var log bytes.Buffer
	registry := metric.New()
	b := &apitest.Backend{Scripts: map[string]string{"": "start prompt=7\ntext \"confidential answer\"\nfinish stop\nend prompt=7 answer=2"}}
	h := apitest.Serve(t, api.Options{Backend: b, Surfaces: []*api.Surface{plain("x")}, Keys: api.OneKey("hunter2"), Registry: registry,
		Log: slog.New(slog.NewJSONHandler(&log, nil))})
	if code, _ := post(t, h.URL+"/v1/say?key=hunter2", `{"model":"m","stream":true,"prompt":"confidential question"}`); code != 200 {
		t.Fatal(code)
	}
	post(t, h.URL+"/v1/say", `{}`, "Authorization", "Bearer guess7")
	r, _ := http.NewRequest("GET", h.URL+"/metrics", nil)
	if code, _ := do(t, r); code != 401 {
		t.Errorf("/metrics without a key: %d", code)
	}
	r.Header.Set("X-Api-Key", "hunter2")
	_, text := do(t, r)
	h.Close()
	for _, want := range []string{`galerne_http_requests_total{route="/v1/say",status="200",surface="x"} 1`, `galerne_http_requests_total{route="/v1/say",status="401",surface="x"} 1`,
		`galerne_tokens_total{kind="prompt",surface="x"} 7`, `galerne_tokens_total{kind="answer",surface="x"} 2`, `galerne_time_to_first_token_seconds_count{surface="x"} 1`} {
		if !strings.Contains(text, want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
	for _, secret := range []string{"hunter2", "guess7", "confidential"} {
		if strings.Contains(log.String(), secret) || strings.Contains(text, secret) {
			t.Errorf("%q is in the log or the metrics:\n%s", secret, log.String())
		}
	}
	if !strings.Contains(log.String(), `"status":401`) || !strings.Contains(log.String(), `"code":"invalid_api_key"`) || !strings.Contains(log.String(), `"id":"req_1"`) {
		t.Errorf("the log lacks the refusal:\n%s", log.String())
	}
}

// recorded is a server with the surface x for keys of the model a, and what is on record of the requests that have ended.
func recorded(t *testing.T, b *apitest.Backend) (s *api.Server, records func() []api.Record) {
	t.Helper()
	var mu sync.Mutex
	var done []api.Record
	s, err := api.New(api.Options{Backend: b, Surfaces: []*api.Surface{plain("x")}, Keys: onlyA{}, Done: func(r api.Record) {
		mu.Lock()
		defer mu.Unlock()
		done = append(done, r)
	}})
	if err != nil {
		t.Fatal(err)
	}
	return s, func() []api.Record {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(done)
	}
}

func TestRequestsFromInsidePassTheSameDoor(t *testing.T) {
	b := &apitest.Backend{Scripts: map[string]string{"": "start prompt=5 cached=2\ntext \"a\"\nfinish stop\nend prompt=5 cached=2 answer=1"}, List: []chat.Model{{Name: "a"}, {Name: "b"}}}
	s, records := recorded(t, b)
	key := &api.Key{ID: "k", Tenant: "t", Models: []string{"a"}, Scopes: []api.Scope{api.Generate}}
	f := func(method, path, body string, want int) string {
		t.Helper()
		status, _, text, err := s.Do(context.Background(), key, method, path, nil, []byte(body))
		if err != nil || status != want {
			t.Errorf("%s %s: %d %s %v, want %d", method, path, status, text, err, want)
		}
		return string(text)
	}
	if got := f("POST", "/v1/say", `{"model":"a"}`, 200); got != `"a"` {
		t.Errorf("got %s", got)
	}
	if got := f("POST", "/x/v1/say?k=v", `{"model":"a","stream":true}`, 200); got != "\"a\"\nend\n" {
		t.Errorf("got %q", got)
	}
	f("POST", "/v1/say", `{"model":"b"}`, 403)
	f("GET", "/v1/name/a", "", 403)
	f("GET", "/nothing", "", 404)
	b.Scripts[""] = "start\ntext \"a\"\npanic"
	f("POST", "/v1/say", `{"model":"a","stream":true}`, 500)
	done := records()
	if len(done) != 6 {
		t.Fatalf("%d requests are on record, want 6: %+v", len(done), done)
	}
	if r := done[0]; r.Key != "k" || r.Tenant != "t" || r.Model != "a" || r.Status != 200 || r.Route != "/v1/say" || r.Usage != (chat.Usage{Prompt: 5, Cached: 2, Answer: 1}) {
		t.Errorf("on record: %+v", r)
	}
	if r := done[2]; r.Status != 403 || r.Code != "permission_denied" || r.Usage != (chat.Usage{}) {
		t.Errorf("on record: %+v", r)
	}
}

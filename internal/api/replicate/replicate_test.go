package replicate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/apitest"
	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/jobs"
)

func store(t testing.TB) *jobs.Store { return storeAt(t, t.TempDir()) }

func storeAt(t testing.TB, home string) *jobs.Store {
	return apitest.Store(t, home, jobs.Options{Hold: 400 * time.Millisecond})
}

func TestAnswersAreReplicatesToTheByte(t *testing.T) {
	apitest.Golden(t, "testdata", api.Options{Surfaces: []*api.Surface{Surface(Options{Store: store(t), Secret: []byte("secret")})}})
}

func TestEveryRouteAsksWhoCalls(t *testing.T) {
	apitest.Door(t, Surface(Options{Store: store(t)}), "testdata/routes.txt")
}

func FuzzAnyBody(f *testing.F) {
	apitest.FuzzBodies(f, Surface(Options{Store: store(f)}), "testdata")
}

// world is a server whose predictions are worked on.
type world struct {
	t       *testing.T
	url     string
	b       *apitest.Backend
	telling sync.WaitGroup
	stop    func() // ends the work in the background

	mu   sync.Mutex
	told []told
	fail int // so many tries of a webhook fail
}

type told struct {
	header http.Header
	body   []byte
}

func newWorld(t *testing.T, script string) *world { return newWorldAt(t, t.TempDir(), script) }

func newWorldAt(t *testing.T, home, script string) *world {
	t.Helper()
	s := storeAt(t, home)
	w := &world{t: t, b: &apitest.Backend{Scripts: map[string]string{"": script}}}
	o := api.Options{Backend: w.b, Keys: apitest.Tenants{}, Surfaces: []*api.Surface{Surface(Options{Store: s, Send: w.send, Secret: []byte("secret"), Telling: &w.telling})}}
	inside, err := api.New(o)
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(inside)
	t.Cleanup(h.Close)
	w.url = h.URL
	t.Cleanup(w.telling.Wait) // after the work has stopped
	w.stop = apitest.Work(t, s, inside)
	return w
}

func (w *world) send(_ context.Context, _ string, header http.Header, body []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fail > 0 {
		w.fail--
		return 0, errors.New("nobody is there")
	}
	w.told = append(w.told, told{header, body})
	return 200, nil
}

func (w *world) open(who, method, path, body string, header ...string) *http.Response {
	w.t.Helper()
	r, err := http.NewRequest(method, w.url+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+who)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { a.Body.Close() })
	return a
}

func (w *world) call(who, method, path, body string, header ...string) (int, string) {
	w.t.Helper()
	a := w.open(who, method, path, body, header...)
	text, err := io.ReadAll(a.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return a.StatusCode, string(text)
}

func (w *world) predict(body string, header ...string) (int, prediction) {
	w.t.Helper()
	status, text := w.call("me", "POST", "/v1/models/galerne/m/predictions", body, header...)
	var p prediction
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		w.t.Fatalf("%d %s", status, text)
	}
	return status, p
}

// until asks for a prediction until it has a status.
func (w *world) until(id, status string) (p prediction) {
	w.t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		_, text := w.call("me", "GET", "/v1/predictions/"+id, "")
		if json.Unmarshal([]byte(text), &p) == nil && p.Status == status {
			return p
		}
	}
	w.t.Fatalf("the prediction is %+v, and was to be %s", p, status)
	return p
}

const (
	hi    = `{"input":{"prompt":"hi","max_tokens":9}}`
	plain = "start prompt=5\ntext \"Hello\"\ntext \", wörld\\n\"\ntext \"bye\"\nfinish stop\nend prompt=5 answer=3"
)

var changing = regexp.MustCompile(`"(20\d\d-[^"]*Z)"|[0-9a-f]{24}|http://127.0.0.1:\d+|"(predict_time|total_time|time_to_first_token|tokens_per_second)":[0-9.e-]+`)

// steady is an answer without what differs from run to run.
func steady(text string) string {
	return changing.ReplaceAllStringFunc(text, func(s string) string {
		switch {
		case strings.HasPrefix(s, `"20`):
			return `"TIME"`
		case strings.HasPrefix(s, "http"):
			return "URL"
		case s[0] == '"':
			return s[:strings.IndexByte(s, ':')] + ":0"
		}
		return "ID"
	})
}

func TestAPredictionThatIsWaitedFor(t *testing.T) {
	w := newWorld(t, plain)
	status, text := w.call("me", "POST", "/v1/models/galerne/m/predictions", hi, "Prefer", "wait")
	const want = `{"id":"ID","model":"galerne/m","version":"abababababababababababababababababababababababababababababababab","input":{"prompt":"hi","max_tokens":9},"logs":"",` +
		`"output":["Hello",", wörld\n","bye"],"error":null,"status":"succeeded","created_at":"TIME","started_at":"TIME","completed_at":"TIME","data_removed":false,"source":"api",` +
		`"metrics":{"predict_time":0,"total_time":0,"time_to_first_token":0,"tokens_per_second":0,"input_token_count":5,"output_token_count":3},` +
		`"urls":{"cancel":"URL/v1/predictions/ID/cancel","get":"URL/v1/predictions/ID","stream":"URL/v1/predictions/ID/stream","web":"URL/v1/predictions/ID"}}`
	text = strings.ReplaceAll(text, strings.Repeat("ab", 32), "VERSION")
	if got := strings.ReplaceAll(steady(text), "VERSION", strings.Repeat("ab", 32)); status != 201 || got != want {
		t.Errorf("%d\n%s\nwant\n%s", status, got, want)
	}
	if r := w.b.Asked()[0]; r.Model != "m" || *r.MaxTokens != 9 || r.Messages[0].Parts[0].Text != "hi" {
		t.Errorf("%+v", r)
	}
}

func TestAPredictionIsReadAsItComesAndAgain(t *testing.T) {
	w := newWorld(t, plain)
	status, p := w.predict(hi)
	if status != 201 || p.Status != "starting" || string(p.Output) != "null" {
		t.Errorf("%d %+v", status, p)
	}
	const want = "event: output\nid: 1\ndata: Hello\n\nevent: output\nid: 2\ndata: , wörld\ndata: \n\nevent: output\nid: 3\ndata: bye\n\nevent: done\nid: 4\ndata: {}\n\n"
	if _, text := w.call("me", "GET", "/v1/predictions/"+p.ID+"/stream", ""); text != want {
		t.Errorf("%q, want %q", text, want)
	}
	if _, text := w.call("me", "GET", "/v1/predictions/"+p.ID+"/stream", "", "Last-Event-ID", "2"); text != want[strings.Index(want, "event: output\nid: 3"):] {
		t.Errorf("after 2: %q", text)
	}
	if p = w.until(p.ID, "succeeded"); string(p.Output) != `["Hello",", wörld\n","bye"]` || p.Completed == nil {
		t.Errorf("%+v", p)
	}
}

func TestAWaitThatIsOverSaysStarting(t *testing.T) {
	w := newWorld(t, "start prompt=5\ntext \"a\"\nhang")
	status, p := w.predict(hi, "Prefer", "wait=1")
	if status != 202 || p.Status != "starting" {
		t.Errorf("%d %+v", status, p)
	}
	if p = w.until(p.ID, "processing"); string(p.Output) != `["a"]` || p.Started == nil || p.Completed != nil {
		t.Errorf("%+v", p)
	}
}

func TestACancelledPredictionStopsItsAnswer(t *testing.T) {
	w := newWorld(t, "start prompt=5\ntext \"a\"\nhang")
	_, p := w.predict(hi)
	w.until(p.ID, "processing")
	if status, text := w.call("me", "POST", "/v1/predictions/"+p.ID+"/cancel", ""); status != 200 || !strings.Contains(text, `"status":"canceled"`) {
		t.Errorf("%d %s", status, text)
	}
	if _, text := w.call("me", "GET", "/v1/predictions/"+p.ID+"/stream", ""); text != "event: output\nid: 1\ndata: a\n\nevent: done\nid: 3\ndata: {\"reason\":\"canceled\"}\n\n" {
		t.Errorf("%q", text)
	}
	if p = w.until(p.ID, "canceled"); p.Completed == nil || string(p.Output) != `["a"]` {
		t.Errorf("%+v", p)
	}
	for end := time.Now().Add(5 * time.Second); w.b.Live() > 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the answer goes on")
		}
	}
}

func TestAPredictionThatBreaksFailsWithWhatMayBeKnown(t *testing.T) {
	w := newWorld(t, "start prompt=5\ntext \"a\"\nfail internal engine_panic 0s \"engine: a secret of ours\"")
	_, p := w.predict(hi, "Prefer", "wait")
	if p.Status != "failed" || p.Error == nil || strings.Contains(*p.Error, "secret") {
		t.Errorf("%+v", p)
	}
	if _, text := w.call("me", "GET", "/v1/predictions/"+p.ID+"/stream", ""); !strings.HasSuffix(text, "event: error\nid: 2\ndata: {\"detail\":\"internal error: the server's log has the cause beside this request's id\"}\n\nevent: done\nid: 3\ndata: {\"reason\":\"error\"}\n\n") {
		t.Errorf("%q", text)
	}
}

func TestABusyServerIsAskedAgain(t *testing.T) {
	w := newWorld(t, "")
	tries := 0
	w.b.Choose = func(*chat.Request) string {
		if tries++; tries < 3 {
			return "fail busy queue_full 10ms \"engine: 64 requests are waiting\""
		}
		return plain
	}
	if _, p := w.predict(hi, "Prefer", "wait"); p.Status != "succeeded" || tries != 3 {
		t.Errorf("%d tries: %+v", tries, p)
	}
}

func TestAPredictionGoesOnAfterARestart(t *testing.T) {
	home := t.TempDir()
	before := newWorldAt(t, home, "start prompt=5\ntext \"lost\"\nhang")
	_, p := before.predict(hi)
	before.until(p.ID, "processing")
	before.stop()
	after := newWorldAt(t, home, plain)
	if p = after.until(p.ID, "succeeded"); string(p.Output) != `["Hello",", wörld\n","bye"]` {
		t.Errorf("%s", p.Output)
	}
}

func TestReasoningStandsBetweenMarks(t *testing.T) {
	w := newWorld(t, "start prompt=5\nthink \"Let me\"\ntext \"42\"\nfinish stop\nend prompt=5 answer=2")
	if _, p := w.predict(hi, "Prefer", "wait"); string(p.Output) != `["<think>\n","Let me","\n</think>\n\n","42"]` {
		t.Errorf("%s", p.Output)
	}
}

func TestModelsThatMakeVectors(t *testing.T) {
	w := newWorld(t, "")
	w.b.List = []chat.Model{{Name: "m", Embeds: true}}
	_, p := w.predict(`{"input":{"text":"a","text_batch":"[\"b\"]"}}`, "Prefer", "wait")
	var got []struct{ Embedding []float32 }
	if err := json.Unmarshal(p.Output, &got); err != nil || len(got) != 2 || len(got[1].Embedding) != 8 || p.Status != "succeeded" {
		t.Errorf("%+v %v", p, err)
	}
}

func TestPredictionsAreTheirMakersOwn(t *testing.T) {
	w := newWorld(t, plain)
	_, p := w.predict(hi, "Prefer", "wait")
	for _, path := range []string{"", "/stream"} {
		if status, text := w.call("you", "GET", "/v1/predictions/"+p.ID+path, ""); status != 404 {
			t.Errorf("%d %s", status, text)
		}
	}
	if status, _ := w.call("you", "POST", "/v1/predictions/"+p.ID+"/cancel", ""); status != 404 {
		t.Errorf("cancel: %d", status)
	}
	_, mine := w.call("me", "GET", "/v1/predictions", "")
	_, yours := w.call("you", "GET", "/v1/predictions", "")
	if !strings.Contains(mine, p.ID) || yours != `{"previous":null,"next":null,"results":[]}` {
		t.Errorf("mine %s\nyours %s", mine, yours)
	}
}

func TestWebhooksAreToldAndSigned(t *testing.T) {
	w := newWorld(t, plain)
	w.fail = 2 // the start, and the first try of the end
	_, p := w.predict(`{"input":{"prompt":"hi"},"webhook":"http://example.test/hook","webhook_events_filter":["start","completed"]}`, "Prefer", "wait")
	w.telling.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.told) != 1 {
		t.Fatalf("%d were told", len(w.told))
	}
	var got prediction
	one := w.told[0]
	if err := json.Unmarshal(one.body, &got); err != nil || got.ID != p.ID || got.Status != "succeeded" || !bytes.Equal(got.Output, p.Output) {
		t.Errorf("%s %v", one.body, err)
	}
	if want := "v1," + sign([]byte("secret"), one.header.Get("Webhook-Id"), one.header.Get("Webhook-Timestamp"), one.body); one.header.Get("Webhook-Signature") != want {
		t.Errorf("%v", one.header)
	}
}

func TestWebhooksAreToldOfOutputAndOfACancelledEnd(t *testing.T) {
	w := newWorld(t, "start prompt=5\ntext \"a\"\nhang")
	_, p := w.predict(`{"input":{"prompt":"hi"},"webhook":"http://example.test/hook"}`)
	w.until(p.ID, "processing")
	w.call("me", "POST", "/v1/predictions/"+p.ID+"/cancel", "")
	w.until(p.ID, "canceled")
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		w.mu.Lock()
		var statuses []string
		for _, one := range w.told {
			var got prediction
			_ = json.Unmarshal(one.body, &got)
			statuses = append(statuses, got.Status)
		}
		w.mu.Unlock()
		if n := len(statuses); n > 1 && statuses[0] == "processing" && statuses[n-1] == "canceled" {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%v", statuses)
		}
	}
}

package anthropic

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/apitest"
	"github.com/galerne-ai/galerne/internal/jobs"
)

func store(t testing.TB) *jobs.Store {
	return apitest.Store(t, t.TempDir(), jobs.Options{Dialects: Dialects(), NewID: apitest.Counted(), MaxLines: 3,
		Now: func() time.Time { return time.Unix(1700000000, 0) }})
}

func TestEveryRouteOfBatchesAsksWhoCalls(t *testing.T) {
	apitest.Door(t, Surface(store(t)), "testdata/routes_with_batches.txt")
}

// world is a server with batches; somebody works on them once work was called.
type world struct {
	t      *testing.T
	url    string
	kept   *jobs.Store
	inside *api.Server
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, kept: store(t)}
	o := api.Options{Keys: apitest.Tenants{}, Surfaces: []*api.Surface{Surface(w.kept)}, Backend: &apitest.Backend{Scripts: map[string]string{
		"": "start id=1 model=m prompt=5\ntext \"Hi\"\nfinish stop\nend prompt=5 answer=1", "hangs": "start prompt=1\nhang"}}}
	o.NewID = func() string { return "1" }
	inside, err := api.New(o)
	if err != nil {
		t.Fatal(err)
	}
	w.inside, w.url = inside, apitest.Serve(t, o).URL
	return w
}

func (w *world) work() { apitest.Work(w.t, w.kept, w.inside) }

func (w *world) call(who, method, path, body string) (int, string) {
	w.t.Helper()
	r, err := http.NewRequest(method, w.url+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("X-Api-Key", who)
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return a.StatusCode, strings.ReplaceAll(string(text), w.url, "URL")
}

// ended waits for the end of a batch and gives it.
func (w *world) ended(who, path string) string {
	w.t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		_, text := w.call(who, "GET", path, "")
		var b batch
		if json.Unmarshal([]byte(text), &b) == nil && b.Status == "ended" {
			return text
		}
	}
	w.t.Fatal("the batch does not end")
	return ""
}

const asked = `{"requests":[{"custom_id":"a","params":{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}},{"custom_id":"b","params":{"model":"m"}}]}`

func TestABatchIsAnsweredAndItsResultsTold(t *testing.T) {
	w := newWorld(t)
	const base = "/v1/messages/batches"
	status, text := w.call("x", "POST", base, asked)
	const waiting = `{"id":"msgbatch_1","type":"message_batch","processing_status":"in_progress","request_counts":{"processing":2,"succeeded":0,"errored":0,"canceled":0,"expired":0},"created_at":"2023-11-14T22:13:20Z",`
	if status != 200 || !strings.HasPrefix(text, waiting) || !strings.HasSuffix(text, `"ended_at":null,"cancel_initiated_at":null,"archived_at":null,"results_url":null}`) {
		t.Fatalf("%d %s", status, text)
	}
	if status, text := w.call("x", "GET", base+"/msgbatch_1/results", ""); status != 400 || !strings.Contains(text, "has not ended") {
		t.Errorf("results of a batch under way: %d %s", status, text)
	}
	w.work()
	const done = `"processing_status":"ended","request_counts":{"processing":0,"succeeded":1,"errored":1,"canceled":0,"expired":0}`
	if text := w.ended("x", "/anthropic"+base+"/msgbatch_1"); !strings.Contains(text, done) || !strings.Contains(text, `"results_url":"URL/anthropic/v1/messages/batches/msgbatch_1/results"`) {
		t.Error(text)
	}
	const results = `{"custom_id":"a","result":{"type":"succeeded","message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":5,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0},"output_tokens":1,"service_tier":"standard"}}}}
{"custom_id":"b","result":{"type":"errored","error":{"type":"error","error":{"type":"invalid_request_error","message":"max_tokens is missing"},"request_id":"req_1"}}}
`
	if status, text := w.call("x", "GET", base+"/msgbatch_1/results", ""); status != 200 || text != results {
		t.Errorf("%d %s", status, text)
	}
	if status, text := w.call("y", "GET", base+"/msgbatch_1", ""); status != 404 || !strings.Contains(text, "not_found_error") {
		t.Errorf("another tenant sees it: %d %s", status, text)
	}
	if _, text := w.call("x", "POST", base+"/msgbatch_1/cancel", ""); !strings.Contains(text, done) {
		t.Errorf("a batch that has ended was cancelled: %s", text)
	}
	if status, text := w.call("x", "DELETE", base+"/msgbatch_1", ""); status != 200 || text != `{"id":"msgbatch_1","type":"message_batch_deleted"}` {
		t.Errorf("%d %s", status, text)
	}
	if status, _ := w.call("x", "GET", base+"/msgbatch_1", ""); status != 404 {
		t.Errorf("a deleted batch is there: %d", status)
	}
}

func TestACancelledBatchTellsWhatWasNotAnswered(t *testing.T) {
	w := newWorld(t)
	w.work()
	w.call("x", "POST", "/v1/messages/batches", strings.ReplaceAll(asked, `"model":"m","max`, `"model":"hangs","max`))
	if status, text := w.call("x", "DELETE", "/v1/messages/batches/msgbatch_1", ""); status != 400 || !strings.Contains(text, "cancel it") {
		t.Errorf("a batch under way was deleted: %d %s", status, text)
	}
	if status, text := w.call("x", "POST", "/v1/messages/batches/msgbatch_1/cancel", ""); status != 200 || strings.Contains(text, `"cancel_initiated_at":null`) {
		t.Errorf("%d %s", status, text)
	}
	w.ended("x", "/v1/messages/batches/msgbatch_1")
	if _, text := w.call("x", "GET", "/v1/messages/batches/msgbatch_1/results", ""); !strings.Contains(text, `{"custom_id":"a","result":{"type":"canceled"}}`) {
		t.Error(text)
	}
}

func TestBatchesAreListedInPages(t *testing.T) {
	w := newWorld(t)
	for range 3 {
		w.call("x", "POST", "/v1/messages/batches", asked)
	}
	for query, want := range map[string]string{"?limit=2": "msgbatch_3 msgbatch_2 more", "?limit=2&after_id=msgbatch_2": "msgbatch_1", "?before_id=msgbatch_1&limit=1": "msgbatch_2 more", "": "msgbatch_3 msgbatch_2 msgbatch_1"} {
		_, text := w.call("x", "GET", "/v1/messages/batches"+query, "")
		var list struct {
			Data []batch `json:"data"`
			More bool    `json:"has_more"`
		}
		if err := json.Unmarshal([]byte(text), &list); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, b := range list.Data {
			got = append(got, b.ID)
		}
		if list.More {
			got = append(got, "more")
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v, want %s", query, got, want)
		}
	}
	for _, query := range []string{"?limit=0", "?limit=x", "?after_id=a&before_id=b"} {
		if status, text := w.call("x", "GET", "/v1/messages/batches"+query, ""); status != 400 {
			t.Errorf("%s: %d %s", query, status, text)
		}
	}
}

func TestABatchThatIsWrongIsNotTaken(t *testing.T) {
	w := newWorld(t)
	one := func(id, params string) string { return `{"custom_id":"` + id + `","params":` + params + `}` }
	for requests, want := range map[string]string{
		``:                                    "requests is empty",
		one("a", "{}") + "," + one("a", "{}"): "requests[1].custom_id is \\\"a\\\", which requests[0] has",
		one("", "{}"):                         "requests[0].custom_id is",
		one("a b", "{}"):                      "requests[0].custom_id is",
		one("a", "[]"):                        "requests[0].params must be an object",
		one("a", `{"stream":true}`):           "requests[0].params.stream is true",
		one("a", "{}") + "," + one("b", "{}") + "," + one("c", "{}") + "," + one("d", "{}"): "more than 3 requests",
	} {
		if status, text := w.call("x", "POST", "/v1/messages/batches", `{"requests":[`+requests+`]}`); status != 400 || !strings.Contains(text, want) {
			t.Errorf("%s: %d %s, want %s", requests, status, text, want)
		}
	}
	if _, text := w.call("x", "GET", "/v1/messages/batches", ""); !strings.Contains(text, `"data":[]`) {
		t.Errorf("something was kept: %s", text)
	}
}

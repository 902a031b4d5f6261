package batches

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/apitest"
	"github.com/galerne-ai/galerne/internal/api/openai"
	"github.com/galerne-ai/galerne/internal/jobs"
)

const script = "start id=1 model=m prompt=5\ntext \"Hi\"\nfinish stop\nend prompt=5 answer=1"

func store(t testing.TB) *jobs.Store {
	return apitest.Store(t, t.TempDir(), jobs.Options{Dialects: Dialects(), NewID: apitest.Counted(), FileBytes: 10000,
		Now: func() time.Time { return time.Unix(1700000000, 0) }})
}

// world is a server with somebody who works on its batches.
type world struct {
	t   *testing.T
	url string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	s := store(t)
	o := api.Options{Backend: &apitest.Backend{Scripts: map[string]string{"": script}}, Keys: apitest.Tenants{}, NewID: func() string { return "1" }}
	o.Surfaces = []*api.Surface{openai.Surface(Routes(s)...)}
	inside, err := api.New(o)
	if err != nil {
		t.Fatal(err)
	}
	apitest.Work(t, s, inside)
	return &world{t, apitest.Serve(t, o).URL}
}

func (w *world) call(who, method, path, kind string, body []byte) (int, string) {
	w.t.Helper()
	r, err := http.NewRequest(method, w.url+path, bytes.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+who)
	r.Header.Set("Content-Type", kind)
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return a.StatusCode, string(text)
}

func (w *world) upload(who string, fields map[string]string, content string) (int, string) {
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	part, _ := form.CreateFormFile("file", "in.jsonl")
	_, _ = io.WriteString(part, content)
	for k, v := range fields {
		_ = form.WriteField(k, v)
	}
	form.Close()
	return w.call(who, "POST", "/v1/files", form.FormDataContentType(), b.Bytes())
}

func TestABatchGoesFromAFileToFiles(t *testing.T) {
	w := newWorld(t)
	lines := `{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"model":"m","messages":[{"role":"user","content":"x"}]}}
{"custom_id":"b","method":"POST","url":"/v1/chat/completions","body":{"model":"m"}}
`
	code, text := w.upload("a", map[string]string{"purpose": "batch"}, lines)
	if want := fmt.Sprintf(`{"id":"file-1","object":"file","bytes":%d,"created_at":1700000000,"expires_at":null,"filename":"in.jsonl","purpose":"batch","status":"processed","status_details":null}`, len(lines)); code != 200 || text != want {
		t.Fatalf("%d %s, want %s", code, text, want)
	}
	if code, text = w.call("a", "GET", "/v1/files/file-1/content", "", nil); code != 200 || text != lines {
		t.Errorf("%d %q", code, text)
	}
	code, text = w.call("a", "POST", "/v1/batches", "application/json", []byte(`{"input_file_id":"file-1","endpoint":"/v1/chat/completions","completion_window":"24h","metadata":{"k":"v"}}`))
	var b batch
	if err := json.Unmarshal([]byte(text), &b); err != nil || code != 200 || b.Status != "in_progress" || b.Counts.Total != 2 || string(b.Metadata) != `{"k":"v"}` {
		t.Fatalf("%d %s", code, text)
	}
	for deadline := time.Now().Add(20 * time.Second); b.Status != "completed"; time.Sleep(10 * time.Millisecond) {
		if _, text = w.call("a", "GET", "/v1/batches/"+b.ID, "", nil); time.Now().After(deadline) {
			t.Fatal(text)
		}
		if err := json.Unmarshal([]byte(text), &b); err != nil {
			t.Fatal(err)
		}
	}
	if b.Counts != (counts{2, 1, 1}) || b.CompletedAt == nil || b.Output == nil || b.Failures == nil {
		t.Fatal(text)
	}
	_, text = w.call("a", "GET", "/v1/files/"+*b.Output+"/content", "", nil)
	const answer = `{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hi","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],`
	if !strings.HasPrefix(text, `{"id":"batch_req_`+strings.TrimPrefix(b.ID, "batch_")+`_1","custom_id":"a","response":{"status_code":200,"request_id":"req_1","body":`+answer) || !strings.HasSuffix(text, `},"error":null}`+"\n") {
		t.Error(text)
	}
	_, text = w.call("a", "GET", "/v1/files/"+*b.Failures+"/content", "", nil)
	if !strings.Contains(text, `"custom_id":"b","response":{"status_code":400,"request_id":"req_1","body":{"error":{"message":`) || strings.Count(text, "\n") != 1 {
		t.Error(text)
	}
	// What belongs to a tenant is nobody else's.
	for _, path := range []string{"/v1/files/file-1", "/v1/files/file-1/content", "/v1/files/" + *b.Output, "/v1/batches/" + b.ID} {
		if code, text := w.call("b", "GET", path, "", nil); code != 404 {
			t.Errorf("%s: %d %s", path, code, text)
		}
	}
	if _, text := w.call("b", "GET", "/v1/files", "", nil); text != `{"object":"list","data":[],"first_id":null,"last_id":null,"has_more":false}` {
		t.Error(text)
	}
	if code, text := w.call("b", "DELETE", "/v1/files/file-1", "", nil); code != 404 {
		t.Errorf("%d %s", code, text)
	}
	if _, text := w.call("a", "DELETE", "/v1/files/file-1", "", nil); text != `{"id":"file-1","object":"file","deleted":true}` {
		t.Error(text)
	}
}

func TestABatchOfBadLinesFailsAndNamesThem(t *testing.T) {
	w := newWorld(t)
	good := `{"custom_id":"a","method":"POST","url":"/v1/embeddings","body":{"model":"m","input":"x"}}`
	for _, c := range []struct{ lines, want string }{
		{"", `[{"code":"empty_file","message":"there is no request in the batch","param":null,"line":null}]`},
		{"\n\n", `[{"code":"empty_file","message":"there is no request in the batch","param":null,"line":null}]`},
		{good + "\n\n" + strings.Replace(good, `"a"`, `"b"`, 1), `[{"code":"invalid_json_line","message":"the line is empty","param":null,"line":2}]`},
		{"\ufeff" + good + "\n" + good + "\n\n", `[{"code":"duplicate_custom_id","message":"the name \"a\" is line 1's already: each must be there once","param":"custom_id","line":2}]`},
		{strings.Replace(good, `"a"`, `""`, 1), `[{"code":"missing_required_parameter","message":"custom_id is missing","param":"custom_id","line":1}]`},
		{strings.Replace(good, "POST", "GET", 1), `[{"code":"invalid_method","message":"method must be POST","param":"method","line":1}]`},
		{strings.Replace(good, "embeddings", "files", 1), `[{"code":"mismatched_url","message":"url must be the batch's endpoint, /v1/embeddings","param":"url","line":1}]`},
		{strings.Replace(good, `"input"`, `"stream":true,"input"`, 1), `[{"code":"invalid_request","message":"answers of a batch cannot be streamed: leave stream out","param":"body.stream","line":1}]`},
		{strings.Replace(good, `{"model":"m","input":"x"}`, `[]`, 1), `[{"code":"invalid_request","message":"body must be an object","param":"body","line":1}]`},
	} {
		code, text := w.upload("a", map[string]string{"purpose": "batch"}, c.lines)
		var f file
		if err := json.Unmarshal([]byte(text), &f); err != nil || code != 200 {
			t.Fatalf("%d %s", code, text)
		}
		code, text = w.call("a", "POST", "/v1/batches", "application/json", fmt.Appendf(nil, `{"input_file_id":"%s","endpoint":"/v1/embeddings","completion_window":"24h"}`, f.ID))
		var b struct {
			Status string
			Errors struct{ Data json.RawMessage }
		}
		if err := json.Unmarshal([]byte(text), &b); err != nil || code != 200 || b.Status != "failed" || string(b.Errors.Data) != c.want {
			t.Errorf("%q: %d %s, want %s", c.lines, code, b.Errors.Data, c.want)
		}
	}
}

func TestBadUploadsAreRefused(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		fields map[string]string
		bytes  int
		code   int
		says   string
	}{
		{map[string]string{}, 1, 400, `"purpose"`},
		{map[string]string{"purpose": "fun"}, 1, 400, "fine-tune"},
		{map[string]string{"purpose": strings.Repeat("x", 2000)}, 1, 400, "1024 bytes"},
		{map[string]string{"purpose": "batch", "expires_after[anchor]": "now"}, 1, 400, "created_at"},
		{map[string]string{"purpose": "batch", "expires_after[seconds]": "1"}, 1, 400, "3600"},
		{map[string]string{"purpose": "batch"}, 10001, 413, "10000 bytes"},
	} {
		if code, text := w.upload("a", c.fields, strings.Repeat("x", c.bytes)); code != c.code || !strings.Contains(text, c.says) {
			t.Errorf("%.60q: %d %s", c.fields, code, text)
		}
	}
	for kind, body := range map[string]string{"application/json": "{}", "multipart/form-data": "x", "multipart/form-data; boundary=b": "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x\"\r\n\r\ncut"} {
		if code, text := w.call("a", "POST", "/v1/files", kind, []byte(body)); code < 400 || code >= 500 {
			t.Errorf("%s: %d %s", kind, code, text)
		}
	}
	if _, text := w.call("a", "GET", "/v1/files", "", nil); !strings.Contains(text, `"data":[]`) {
		t.Errorf("something was stored: %s", text)
	}
}

func TestExactBytes(t *testing.T) {
	apitest.Golden(t, "testdata", api.Options{Surfaces: []*api.Surface{openai.Surface(Routes(store(t))...)}})
}

func TestTheDoorHoldsForEveryRoute(t *testing.T) {
	sf := openai.Surface(Routes(store(t))...)
	sf.Routes = sf.Routes[len(openai.Surface().Routes):]
	apitest.Door(t, sf, "testdata/routes.txt")
}

func FuzzBodies(f *testing.F) {
	apitest.FuzzBodies(f, openai.Surface(Routes(store(f))...), "testdata")
}

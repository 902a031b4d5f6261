package responses

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/apitest"
	"github.com/galerne-ai/galerne/internal/api/openai"
	"github.com/galerne-ai/galerne/internal/jobs"
)

const keepFor = 30 * 24 * time.Hour

func store(t testing.TB, home string) *jobs.Store {
	return apitest.Store(t, home, jobs.Options{Hold: 400 * time.Millisecond})
}

type world struct {
	t    *testing.T
	url  string
	b    *apitest.Backend
	stop func() // ends the work in the background
}

func newWorld(t *testing.T, home, script string) *world {
	t.Helper()
	s, b := store(t, home), &apitest.Backend{Scripts: map[string]string{"": script}}
	o := api.Options{Backend: b, Keys: apitest.Tenants{}, Surfaces: []*api.Surface{openai.Surface(Stored(s, keepFor)...)}}
	inside, err := api.New(o)
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(inside)
	t.Cleanup(h.Close)
	return &world{t: t, url: h.URL + "/v1/responses", b: b, stop: apitest.Work(t, s, inside)}
}

func (w *world) open(who, method, path, body string) *http.Response {
	w.t.Helper()
	r, err := http.NewRequest(method, w.url+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+who)
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

func (w *world) call(who, method, path, body string, want int) (string, response) {
	w.t.Helper()
	a := w.open(who, method, path, body)
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil || a.StatusCode != want {
		w.t.Fatalf("%s %s: %d %s (%v)", method, path, a.StatusCode, text, err)
	}
	var v response
	_ = json.Unmarshal(text, &v) // what is no response has none of its fields
	return string(text), v
}

func (w *world) until(id, status string) response {
	w.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		text, v := w.call("a", "GET", "/"+id, "", 200)
		if v.Status == status {
			return v
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("it does not become %s: %s", status, text)
		}
	}
}

const script = "start prompt=5\ntext \"Hel\"\ntext \"lo\"\nfinish stop\nend prompt=5 answer=2"

func TestAnswersAreKeptGoneOnFromAndRemoved(t *testing.T) {
	w := newWorld(t, t.TempDir(), script)
	first, a := w.call("a", "POST", "", `{"model":"m","input":"one","instructions":"only the first hears this"}`, 200)
	if !a.Store || a.PreviousID != nil {
		t.Fatal(first)
	}
	if again, _ := w.call("a", "GET", "/"+a.ID, "", 200); again != first {
		t.Errorf("got %s, want %s", again, first)
	}
	_, b := w.call("a", "POST", "", `{"model":"m","previous_response_id":"`+a.ID+`","input":[{"role":"user","content":"two"}]}`, 200)
	stream, _ := w.call("a", "POST", "", `{"model":"m","previous_response_id":"`+b.ID+`","input":"three","stream":true}`, 200)
	_, id, _ := strings.Cut(stream, `"response":{"id":"`)
	id, _, _ = strings.Cut(id, `"`)
	if _, c := w.call("a", "GET", "/"+id, "", 200); c.Status != "completed" || *c.PreviousID != b.ID {
		t.Errorf("%+v", c)
	}
	asked := w.b.Asked()
	var said []string
	for _, m := range asked[len(asked)-1].Messages {
		for _, p := range m.Parts {
			said = append(said, string(m.Role)+" "+p.Text)
		}
	}
	if got := strings.Join(said, ", "); got != "user one, assistant Hello, user two, assistant Hello, user three" {
		t.Errorf("the model heard: %s", got)
	}
	if items, _ := w.call("a", "GET", "/"+a.ID+"/input_items", "", 200); items != `{"object":"list","data":[{"content":[{"text":"one","type":"input_text"}],"id":"msg_`+a.ID[5:]+`_in_0","role":"user","type":"message"}],"first_id":"msg_`+a.ID[5:]+`_in_0","last_id":"msg_`+a.ID[5:]+`_in_0","has_more":false}` {
		t.Error(items)
	}
	for _, path := range []string{"/" + a.ID, "/" + a.ID + "/input_items", "/resp_nobody"} {
		w.call("b", "GET", path, "", 404)
	}
	w.call("b", "DELETE", "/"+a.ID, "", 404)
	if text, _ := w.call("b", "POST", "", `{"model":"m","previous_response_id":"`+a.ID+`","input":"x"}`, 400); !strings.Contains(text, "previous_response_not_found") {
		t.Error(text)
	}
	w.call("a", "POST", "/"+a.ID+"/cancel", "", 400)
	w.call("a", "GET", "/"+a.ID+"?stream=true", "", 400)
	if text, _ := w.call("a", "DELETE", "/"+a.ID, "", 200); text != `{"id":"`+a.ID+`","object":"response","deleted":true}` {
		t.Error(text)
	}
	w.call("a", "GET", "/"+a.ID, "", 404)
	w.call("a", "POST", "", `{"model":"m","previous_response_id":"`+b.ID+`","input":"x"}`, 400)
	_, d := w.call("a", "POST", "", `{"model":"m","input":"x","store":false}`, 200)
	w.call("a", "GET", "/"+d.ID, "", 404)
	w.call("a", "POST", "", `{"model":"m","input":"x","store":false,"background":true}`, 400)
}

// TestItemsAreKnownByTheirNames has items of an output and of an input sent back by their IDs alone.
func TestItemsAreKnownByTheirNames(t *testing.T) {
	w := newWorld(t, t.TempDir(), "start\nthink \"Hm.\"\ncall \"call_1\" \"f\"\nargs \"{}\"\nfinish tool_call\nend")
	_, a := w.call("a", "POST", "", `{"model":"m","input":"one"}`, 200)
	id := strings.TrimPrefix(a.ID, "resp_")
	named := func(id string) string { return `{"type":"item_reference","id":"` + id + `"}` }
	ask := `{"model":"m","input":[` + named("msg_"+id+"_in_0") + `,` + named("rs_"+id+"_0") + `,` + named("fc_"+id+"_1") + `,{"type":"function_call_output","call_id":"call_1","output":"1"}]}`
	_, b := w.call("a", "POST", "", ask, 200)
	asked := w.b.Asked()
	var said []string
	for _, m := range asked[len(asked)-1].Messages {
		for _, p := range m.Parts {
			said = append(said, string(m.Role)+" "+p.Text+p.Name)
		}
	}
	if got := strings.Join(said, ", "); got != "user one, assistant Hm., assistant f, tool 1f" {
		t.Errorf("the model heard: %s", got)
	}
	if text, _ := w.call("b", "POST", "", ask, 404); !strings.Contains(text, `"param":"input[0].id"`) {
		t.Error(text)
	}
	for _, none := range []string{"msg_" + id + "_in_1", "fc_" + id + "_0", "fc_" + id, "x", ""} {
		w.call("a", "POST", "", `{"model":"m","input":[`+named(none)+`]}`, 404)
	}
	w.call("a", "POST", "", `{"model":"m","input":{"item_reference":1}}`, 400)
	w.call("a", "POST", "", `{"model":"m","input":["item_reference"]}`, 400)
	w.call("a", "POST", "", `{"model":"m","previous_response_id":"`+a.ID+`","input":7}`, 400)
	w.call("a", "DELETE", "/"+a.ID, "", 200)
	w.call("a", "POST", "", ask, 404)
	// What was named is in the answer that named it.
	w.call("a", "POST", "", `{"model":"m","previous_response_id":"`+b.ID+`","input":"on"}`, 200)
}

// TestACompactedConversationGoesOn compacts one that is stored, and goes on from what came of it.
func TestACompactedConversationGoesOn(t *testing.T) {
	w := newWorld(t, t.TempDir(), script)
	_, a := w.call("a", "POST", "", `{"model":"m","input":"one"}`, 200)
	text, _ := w.call("a", "POST", "/compact", `{"model":"m","previous_response_id":"`+a.ID+`","input":[{"role":"user","content":"two"}],"instructions":"Be brief."}`, 200)
	var got struct{ Output json.RawMessage }
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	w.call("a", "POST", "", `{"model":"m","input":`+string(got.Output)+`}`, 200)
	asked := w.b.Asked()
	heard := func(i int) (said []string) {
		for _, m := range asked[i].Messages {
			said = append(said, string(m.Role)+" "+m.Parts[0].Text)
		}
		return said
	}
	if got := heard(1); strings.Join(got[:4], ", ") != "system Be brief., user one, assistant Hello, user two" || len(got) != 5 || !strings.Contains(got[4], "user Summarize") {
		t.Errorf("to compact, the model heard: %q", got)
	}
	if got := strings.Join(heard(2), ", "); got != "user one, user two, assistant Summary of our conversation so far:\n\nHello" {
		t.Errorf("to go on, the model heard: %q", got)
	}
	w.call("b", "POST", "/compact", `{"model":"m","previous_response_id":"`+a.ID+`","input":"x"}`, 400)
}

// events reads a stream to its end.
func events(t *testing.T, r io.Reader) (numbers []int, types []string, text string) {
	t.Helper()
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		var e struct {
			Type   string
			Number int `json:"sequence_number"`
			Delta  string
		}
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			t.Fatal(err)
		}
		numbers, types, text = append(numbers, e.Number), append(types, e.Type), text+e.Delta
	}
	return numbers, types, text
}

func TestAnAnswerInTheBackgroundSurvivesWhoAskedForIt(t *testing.T) {
	w := newWorld(t, t.TempDir(), "start prompt=5\ntext \"Hel\"\nwait 700ms\ntext \"lo\"\nfinish stop\nend prompt=5 answer=2")
	live := w.open("a", "POST", "", `{"model":"m","input":"one","background":true,"stream":true}`)
	lines := bufio.NewScanner(live.Body)
	id := ""
	for id == "" && lines.Scan() {
		if _, rest, ok := strings.Cut(lines.Text(), `"response":{"id":"`); ok {
			id, _, _ = strings.Cut(rest, `"`)
		}
	}
	live.Body.Close() // the one who asked has left
	v := w.until(id, "completed")
	if len(v.Output) != 1 || !v.Background || !v.Store || v.ID != id || v.Usage.Total != 7 {
		t.Errorf("%+v", v)
	}
	again := w.open("a", "GET", "/"+id+"?stream=true", "")
	defer again.Body.Close()
	numbers, types, text := events(t, again.Body)
	if text != "Hello" || types[0] != "response.created" || types[len(types)-1] != "response.completed" {
		t.Errorf("%q %v", text, types)
	}
	for i, n := range numbers {
		if n != i {
			t.Fatalf("numbers are %v", numbers)
		}
	}
	rest := w.open("a", "GET", "/"+id+"?stream=true&starting_after=4", "")
	defer rest.Body.Close()
	later, _, text := events(t, rest.Body)
	if later[0] != 5 || len(later) != len(numbers)-5 || !strings.HasSuffix("Hello", text) {
		t.Errorf("%v %q", later, text)
	}
	w.call("a", "GET", "/"+id+"?stream=true&starting_after=x", "", 400)
	w.call("a", "GET", "/"+id+"?stream=true&include_obfuscation=x", "", 400)
	_, next := w.call("a", "POST", "", `{"model":"m","input":"two","previous_response_id":"`+id+`","background":true}`, 200)
	if next.Status != "queued" || *next.PreviousID != id {
		t.Errorf("%+v", next)
	}
	w.until(next.ID, "completed")
	if all := w.b.Asked(); len(all[len(all)-1].Messages) != 3 {
		t.Errorf("%+v", all[len(all)-1].Messages)
	}
}

// TestWhoReadsAStreamAgainSaysWhetherItsPiecesAreEven asks for both, of streams that were made with and without.
func TestWhoReadsAStreamAgainSaysWhetherItsPiecesAreEven(t *testing.T) {
	w := newWorld(t, t.TempDir(), "start\nthink \"Hm.\"\ntext \"a\" (97 \"a\" -0.5)\ntext \"<b>&\"\nfinish stop\nend")
	for _, made := range []string{"true", "false"} {
		_, v := w.call("a", "POST", "", `{"model":"m","input":"one","background":true,"include":["message.output_text.logprobs"],"stream_options":{"include_obfuscation":`+made+`}}`, 200)
		w.until(v.ID, "completed")
		read := func(query string) string {
			text, _ := w.call("a", "GET", "/"+v.ID+"?stream=true"+query, "", 200)
			return text
		}
		pieces, filled := 0, regexp.MustCompile(`,"obfuscation":"[A-Z2-7]+"`)
		for line := range strings.Lines(read("&include_obfuscation=true")) {
			if !strings.HasPrefix(line, "data: ") || !strings.Contains(line, `.delta"`) {
				continue
			}
			pieces++
			if n := len(line) - len("data: ") - len(`,"obfuscation":""`) - 1; n%128 != 0 || !filled.MatchString(line) {
				t.Errorf("made with %s: %d bytes: %s", made, n, line)
			}
		}
		bare := read("&include_obfuscation=false")
		if pieces != 3 || strings.Contains(bare, "obfuscation") || bare != filled.ReplaceAllString(read(""), "") {
			t.Errorf("made with %s: %d pieces; %s", made, pieces, bare)
		}
		if strings.Contains(read(""), "obfuscation") != (made == "true") {
			t.Errorf("made with %s, read as it was made: %s", made, read(""))
		}
	}
}

func TestAnAnswerInTheBackgroundIsCancelledAndStays(t *testing.T) {
	w := newWorld(t, t.TempDir(), "start\ntext \"a\"\nhang")
	_, v := w.call("a", "POST", "", `{"model":"m","input":"one","background":true}`, 200)
	w.until(v.ID, "in_progress")
	for w.b.Live() == 0 {
		time.Sleep(time.Millisecond)
	}
	if _, v = w.call("a", "POST", "/"+v.ID+"/cancel", "", 200); v.Status != "cancelled" {
		t.Errorf("%+v", v)
	}
	for deadline := time.Now().Add(10 * time.Second); w.b.Live() > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the work goes on")
		}
	}
	if _, v = w.call("a", "POST", "/"+v.ID+"/cancel", "", 200); v.Status != "cancelled" {
		t.Errorf("cancelled again: %+v", v)
	}
	w.call("a", "POST", "", `{"model":"m","input":"x","previous_response_id":"`+v.ID+`"}`, 400)
}

func TestAnAnswerInTheBackgroundThatFailsSaysWhy(t *testing.T) {
	w := newWorld(t, t.TempDir(), "fail invalid context_length_exceeded 0s \"too long\"")
	_, v := w.call("a", "POST", "", `{"model":"m","input":"one","background":true}`, 200)
	if v = w.until(v.ID, "failed"); v.Error == nil || v.Error.Code != "context_length_exceeded" || v.Error.Message != "too long" {
		t.Errorf("%+v", v)
	}
	again := w.open("a", "GET", "/"+v.ID+"?stream=true", "")
	defer again.Body.Close()
	if _, types, _ := events(t, again.Body); len(types) != 1 || types[0] != "response.failed" {
		t.Errorf("%v", types)
	}
	w = newWorld(t, t.TempDir(), "start\ntext \"a\"\nfail busy queue_full 1s \"gone\"")
	_, v = w.call("a", "POST", "", `{"model":"m","input":"one","background":true}`, 200)
	if v = w.until(v.ID, "failed"); v.Error == nil || v.Error.Code != "queue_full" {
		t.Errorf("%+v", v)
	}
}

// TestAnAnswerInTheBackgroundSurvivesItsProcess stops the work in the middle; another process, as far
// as the database knows, makes the answer anew.
func TestAnAnswerInTheBackgroundSurvivesItsProcess(t *testing.T) {
	home := t.TempDir()
	w := newWorld(t, home, "start\ntext \"never\"\nhang")
	_, v := w.call("a", "POST", "", `{"model":"m","input":"one","background":true}`, 200)
	for w.b.Live() == 0 {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(300 * time.Millisecond) // some events are written
	w.stop()
	w = newWorld(t, home, script)
	w.until(v.ID, "completed")
	again := w.open("a", "GET", "/"+v.ID+"?stream=true", "")
	defer again.Body.Close()
	if _, _, text := events(t, again.Body); text != "Hello" {
		t.Errorf("%q", text)
	}
}

func TestTheDoorHoldsForStoredRoutes(t *testing.T) {
	apitest.Door(t, openai.Surface(Stored(store(t, t.TempDir()), keepFor)...), "testdata/stored_routes.txt")
}

func FuzzAnyStoredBody(f *testing.F) {
	apitest.FuzzBodies(f, openai.Surface(Stored(store(f, f.TempDir()), keepFor)...), "testdata")
}

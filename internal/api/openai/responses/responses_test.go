package responses

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/apitest"
	"github.com/galerne-ai/galerne/internal/api/openai"
)

func TestResponsesAreOpenAIsToTheByte(t *testing.T) {
	apitest.Golden(t, "testdata", api.Options{Surfaces: []*api.Surface{openai.Surface(Routes()...)}})
}

func TestEveryRouteAsksWhoCalls(t *testing.T) {
	apitest.Door(t, openai.Surface(Routes()...), "testdata/routes.txt")
}

// TestAConversationThatIsTooLongIsShortenedWhereItMayBe has a model of 4096 tokens, one a character, and turns of
// a thousand with a call each.
func TestAConversationThatIsTooLongIsShortenedWhereItMayBe(t *testing.T) {
	b := &apitest.Backend{Scripts: map[string]string{"": "start\ntext \"a\"\nfinish stop\nend"}}
	h := apitest.Serve(t, api.Options{Backend: b, Surfaces: []*api.Surface{openai.Surface(Routes()...)}})
	turn := func(name string, n int) string {
		return `{"role":"user","content":"` + name + strings.Repeat("x", n-1) + `"},{"type":"function_call","call_id":"` + name + `","name":"f","arguments":"{}"},` +
			`{"type":"function_call_output","call_id":"` + name + `","output":"1"},{"role":"assistant","content":"b"}`
	}
	ask := func(path, truncation, more string, turns ...string) (int, string) {
		t.Helper()
		body := `{"model":"m","instructions":"Be brief.","truncation":` + truncation + more + `,"input":[` + strings.Join(turns, ",") + `,{"role":"user","content":"last"}]}`
		r, err := http.Post(h.URL+"/v1/responses"+path, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		text, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return r.StatusCode, string(text)
	}
	heard := func() string {
		asked := b.Asked()
		var out []string
		for _, m := range asked[len(asked)-1].Messages {
			out = append(out, string(m.Role)+" "+(m.Parts[0].Text + " ")[:1])
		}
		return strings.Join(out, ", ")
	}
	a, c, d, e := turn("A", 1000), turn("C", 1000), turn("D", 1000), turn("E", 1000)
	heardOf := func(names ...string) string {
		out := "system B"
		for _, n := range names {
			out += ", user " + n + ", assistant  , tool 1, assistant b"
		}
		return out + ", user l"
	}
	for _, try := range []struct {
		truncation, more string
		turns            []string
		want             string
	}{
		{`"disabled"`, "", []string{a, c, d, e}, heardOf("A", "C", "D", "E")},
		{`null`, "", []string{a, c, d, e}, heardOf("A", "C", "D", "E")},
		{`"auto"`, "", []string{a, c, d}, heardOf("A", "C", "D")},
		{`"auto"`, "", []string{a, c, d, e}, heardOf("C", "D", "E")},
		{`"auto"`, `,"max_output_tokens":1500`, []string{a, c, d, e}, heardOf("D", "E")},
		{`"auto"`, `,"max_output_tokens":100000`, []string{a, c, d, e}, heardOf("D", "E")},
		{`"auto"`, "", []string{a, turn("H", 4000)}, heardOf()},
	} {
		code, text := ask("", try.truncation, try.more, try.turns...)
		if got := heard(); got != try.want || code != 200 || strings.Contains(text, `"truncation":"auto"`) != (try.truncation == `"auto"`) {
			t.Errorf("%s%s: %d the model heard %s, want %s; %s", try.truncation, try.more, code, got, try.want, text)
		}
	}
	if code, text := ask("/input_tokens", `"auto"`, "", a, c, d, e); code != 200 || text != `{"object":"response.input_tokens","input_tokens":3019}` {
		t.Errorf("%d %s", code, text)
	}
	if code, text := ask("", `"sometimes"`, "", a); code != 400 || !strings.Contains(text, `"param":"truncation"`) {
		t.Errorf("%d %s", code, text)
	}
}

// TestLengthsOfPiecesTellNothing asks for obfuscation: pieces of text, of reasoning and of calls are then filled up
// to multiples of one length.
func TestLengthsOfPiecesTellNothing(t *testing.T) {
	script := "start\nthink \"Hm.\"\ntext \"a\"\ntext \" word of some length\"\ncall \"call_1\" \"f\"\nargs \"{\\\"input\\\":\"\nargs \"\\\"é\"\nargs \" and more\\\"}\"\nfinish tool_call\nend"
	b := &apitest.Backend{Scripts: map[string]string{"": script}}
	h := apitest.Serve(t, api.Options{Backend: b, Surfaces: []*api.Surface{openai.Surface(Routes()...)}})
	ask := func(options string) (deltas []string) {
		text := apitest.Ask(t, h.URL+"/v1/responses", `{"model":"m","input":"a","stream":true,"tools":[{"type":"custom","name":"f"}],"stream_options":`+options+`}`)
		for _, line := range strings.Split(text, "\n") {
			data, isData := strings.CutPrefix(line, "data: ")
			if isData && strings.Contains(data, `.delta"`) {
				deltas = append(deltas, data)
			} else if strings.Contains(line, "obfuscation") {
				t.Errorf("%s is filled up, and is not a piece", line)
			}
		}
		return deltas
	}
	pieces := ask(`{"include_obfuscation":true}`)
	rest := map[int]int{}
	for _, piece := range pieces {
		var one struct{ Obfuscation string }
		if err := json.Unmarshal([]byte(piece), &one); err != nil || one.Obfuscation == "" {
			t.Fatalf("%s: %v", piece, err)
		}
		rest[len(piece)%128]++
	}
	if len(rest) != 1 || len(pieces) != 5 {
		t.Errorf("lengths modulo 128: %v, of %d pieces", rest, len(pieces))
	}
	for _, options := range []string{`{}`, `{"include_obfuscation":false}`} {
		if plain := ask(options); len(plain) != len(pieces) || strings.Contains(strings.Join(plain, ""), "obfuscation") {
			t.Errorf("without: %q", plain)
		}
	}
}

func FuzzAnyBody(f *testing.F) { apitest.FuzzBodies(f, openai.Surface(Routes()...), "testdata") }

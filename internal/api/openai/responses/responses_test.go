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

// TestLengthsOfPiecesTellNothing asks for obfuscation: pieces of text, of reasoning and of calls are then filled up
// to multiples of one length.
func TestLengthsOfPiecesTellNothing(t *testing.T) {
	script := "start\nthink \"Hm.\"\ntext \"a\"\ntext \" word of some length\"\ncall \"call_1\" \"f\"\nargs \"{\\\"input\\\":\"\nargs \"\\\"é\"\nargs \" and more\\\"}\"\nfinish tool_call\nend"
	b := &apitest.Backend{Scripts: map[string]string{"": script}}
	h := apitest.Serve(t, api.Options{Backend: b, Surfaces: []*api.Surface{openai.Surface(Routes()...)}})
	ask := func(options string) (deltas []string) {
		r, err := http.Post(h.URL+"/v1/responses", "application/json",
			strings.NewReader(`{"model":"m","input":"a","stream":true,"tools":[{"type":"custom","name":"f"}],"stream_options":`+options+`}`))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		text, err := io.ReadAll(r.Body)
		if err != nil || r.StatusCode != 200 {
			t.Fatalf("%d %s %v", r.StatusCode, text, err)
		}
		for _, line := range strings.Split(string(text), "\n") {
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

package hf

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/apitest"
	"github.com/galerne-ai/galerne/internal/api/openai"
	"github.com/galerne-ai/galerne/internal/chat"
)

func surface() *api.Surface { return Surface(openai.Surface()) }

func TestAnswersAreHuggingFacesToTheByte(t *testing.T) {
	apitest.Golden(t, "testdata", api.Options{Surfaces: []*api.Surface{surface()}})
}

func TestEveryRouteAsksWhoCalls(t *testing.T) {
	apitest.Door(t, surface(), "testdata/routes.txt")
}

// texts is one key, for text alone.
type texts struct{}

func (texts) Any() bool { return true }
func (texts) Lookup(context.Context, api.Credential) (*api.Key, error) {
	return &api.Key{ID: "texts", Scopes: []api.Scope{api.Generate}}, nil
}

func TestAKeyForTextGetsNoVectorsAtAnyAddress(t *testing.T) {
	h := apitest.Serve(t, api.Options{Backend: &apitest.Backend{}, Surfaces: []*api.Surface{surface()}, Keys: texts{}})
	for _, path := range []string{"/", "/models/m", "/models/m/pipeline/feature-extraction", "/embed"} {
		for body, want := range map[string]int{`{"inputs":["a"]}`: 403, `{"inputs":{"source_sentence":"a","sentences":["b"]}}`: 403, `{"query":"a","texts":["b"]}`: 403} {
			r, err := http.NewRequest("POST", h.URL+"/hf"+path, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer any")
			w, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			w.Body.Close()
			if w.StatusCode != want {
				t.Errorf("%s %s: %d, want %d", path, body, w.StatusCode, want)
			}
		}
	}
}

func FuzzAnyBody(f *testing.F) { apitest.FuzzBodies(f, surface(), "testdata") }

func TestTokensKnowTheirPlaces(t *testing.T) {
	token := func(texts ...string) (out []chat.Token) {
		for _, s := range texts {
			out = append(out, chat.Token{Bytes: []byte(s), Special: s == "<s>"})
		}
		return out
	}
	for _, c := range []struct {
		text   string
		tokens []chat.Token
		want   string
	}{
		{"Hé you", token("<s>", "H", "é", " you"), "[null,null][0,1][1,2][2,6]"},
		{"Hello Wörlds", token("hello", "wör", "##lds"), "[0,5][6,9][9,12]"},
		{"Héx", token("H", "\xc3", "\xa9", "x"), "[0,1][null,null][null,null][2,3]"},
		{"ab", token("x", "ab", "more"), "[null,null][0,2][null,null]"},
	} {
		got := ""
		for _, p := range placed(c.text, c.tokens) {
			place, err := json.Marshal([]*int{p.Start, p.Stop})
			if err != nil {
				t.Fatal(err)
			}
			got += string(place)
		}
		if got != c.want {
			t.Errorf("%q: %s, want %s", c.text, got, c.want)
		}
	}
}

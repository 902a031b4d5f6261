package ollama

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/apitest"
	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/fault"
)

// shelf is a store whose models are names: it can pull "m" and "broken", which breaks.
type shelf struct{}

var errBroken = fault.New(fault.Unavailable, "model_fetch", "hub: the model could not be fetched")

func (shelf) Pull(_ context.Context, name string, progress func(Progress)) error {
	switch name {
	case "m":
		progress(Progress{"pulling m.gguf", 100, 40})
		progress(Progress{"pulling m.gguf", 100, 100})
		return nil
	case "broken":
		progress(Progress{Status: "pulling broken.gguf", Done: 7})
		return errBroken.Because("hub: the connection was lost")
	case "panics":
		panic("a secret of ours")
	}
	return chat.ErrModel.Because("hub: nobody knows %q", name)
}

func (shelf) Copy(_ context.Context, from, to string) error {
	if to == "taken" {
		return chat.ErrRequest.Because("hub: %q is there already", to)
	}
	return nil
}

func (shelf) Delete(context.Context, string) error { return nil }

func TestAnswersAreOllamasToTheByte(t *testing.T) {
	apitest.Golden(t, "testdata", api.Options{Surfaces: []*api.Surface{Surface(shelf{})}})
}

func TestModelsCannotBeChangedWithoutAStore(t *testing.T) {
	apitest.Golden(t, "testdata/unchanged", api.Options{Surfaces: []*api.Surface{Surface(nil)}})
}

func TestAPullThatBreaksSaysNothingOfTheInside(t *testing.T) {
	apitest.Golden(t, "testdata/broken", api.Options{Surfaces: []*api.Surface{Surface(shelf{})}})
}

// keeper notes what is loaded and for how long.
type keeper struct {
	apitest.Backend
	loads []string
}

func (k *keeper) Load(ctx context.Context, name string, keep *chat.KeepAlive) error {
	text := name
	if keep != nil {
		text += " " + keep.String()
	}
	k.loads = append(k.loads, text)
	return k.Backend.Load(ctx, name, keep)
}

func TestModelsAreLoadedAndUnloadedWithoutAQuestion(t *testing.T) {
	k := &keeper{}
	h := apitest.Serve(t, api.Options{Backend: k, Surfaces: []*api.Surface{Surface(nil)}})
	for _, c := range []struct{ path, body, want, load string }{
		{"chat", `{"model":"m","keep_alive":"1h"}`, `"message":{"role":"assistant","content":""},"done":true,"done_reason":"load"}`, "m 1h0m0s"},
		{"chat", `{"model":"m","messages":[],"keep_alive":0}`, `"message":{"role":"assistant","content":""},"done":true,"done_reason":"unload"}`, "m 0s"},
		{"generate", `{"model":"m:latest"}`, `"response":"","done":true,"done_reason":"load"}`, "m"},
		{"generate", `{"model":"m","prompt":"","keep_alive":"0"}`, `"response":"","done":true,"done_reason":"unload"}`, "m 0s"},
		{"generate", `{"model":"m","keep_alive":-1}`, `"response":"","done":true,"done_reason":"load"}`, "m -1ns"},
		{"generate", `{"model":"m","keep_alive":"-5m"}`, `"response":"","done":true,"done_reason":"load"}`, "m -5m0s"},
		{"generate", `{"model":"m","keep_alive":1.5}`, `"response":"","done":true,"done_reason":"load"}`, "m 1.5s"},
		{"generate", `{"model":"nope"}`, `{"error":"model 'nope' not found: GET /api/tags lists those that there are"}`, "nope"},
		{"embed", `{"model":"m","input":"x","keep_alive":60}`, `"prompt_eval_count":1}`, "m 1m0s"},
		{"embed", `{"model":"m","input":[]}`, `"embeddings":[],"prompt_eval_count":0}`, "m"},
		{"embeddings", `{"model":"m"}`, `{"embedding":[]}`, "m"},
	} {
		r, err := http.Post(h.URL+"/api/"+c.path, "application/json", strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil || !strings.HasSuffix(string(got), c.want) || k.loads[len(k.loads)-1] != c.load {
			t.Errorf("%s %s: %s, loaded %v, %v", c.path, c.body, got, k.loads, err)
		}
	}
}

func TestAStrictServerKnowsTheReferencesFields(t *testing.T) {
	apitest.Golden(t, "testdata/strict", api.Options{Surfaces: []*api.Surface{Surface(nil)}, Strict: true})
}

func TestEveryRouteAsksWhoCalls(t *testing.T) {
	apitest.Door(t, Surface(shelf{}), "testdata/routes.txt")
}

func FuzzAnyBody(f *testing.F) { apitest.FuzzBodies(f, Surface(shelf{}), "testdata") }

func TestAContextIsTheConversation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		messages := []chat.Message{said(chat.User, rapid.String().Draw(t, "asked"))}
		got, err := fromContext(toContext(messages, rapid.String().Draw(t, "answer")))
		if err != nil || len(got) != 2 || got[0].Parts[0].Text != messages[0].Parts[0].Text || got[1].Role != chat.Assistant {
			t.Fatalf("%v %v", got, err)
		}
		cut := rapid.SliceOf(rapid.Int32()).Draw(t, "foreign")
		if got, err := fromContext(append([]int32{contextMark}, cut...)); err == nil && len(got) > 0 {
			for _, m := range got {
				if len(m.Parts) != 1 {
					t.Fatal("a foreign context was read")
				}
			}
		}
	})
}

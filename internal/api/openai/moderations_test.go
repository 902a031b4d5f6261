package openai

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/apitest"
	"github.com/galerne-ai/galerne/internal/chat"
)

func TestModerationAsksTheModelThatIsRightAboutWhatIsKnown(t *testing.T) {
	b := &apitest.Backend{Choose: func(r *chat.Request) string {
		q := r.Messages[1].Parts[0].Text
		says := "no"
		if strings.Contains(q, "kill") && strings.Contains(q, "violence or injury?") || strings.Contains(q, "idiot") && strings.Contains(q, "insult") {
			says = "yes"
		}
		return "start\ntext \"" + says + "\" (5 \"" + says + "\" -0.125)\nfinish stop\nend"
	}}
	h := apitest.Serve(t, api.Options{Backend: b, Surfaces: []*api.Surface{Surface()}})
	ask := func() (int, moderationAnswer) {
		w, err := http.Post(h.URL+"/v1/moderations", "application/json", strings.NewReader(`{"input":["I kill for a coffee","flowers"]}`))
		if err != nil {
			t.Fatal(err)
		}
		defer w.Body.Close()
		text, _ := io.ReadAll(w.Body)
		var out moderationAnswer
		if err := json.Unmarshal(text, &out); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		return w.StatusCode, out
	}
	code, got := ask()
	if code != 200 || len(got.Results) != 2 {
		t.Fatalf("%d %+v", code, got)
	}
	if first := got.Results[0]; !first.Flagged || !first.Categories["violence"] || first.Scores["violence"] != 1 || first.Categories["hate"] || first.Categories["harassment"] {
		t.Errorf("a text that kills: %+v", first)
	}
	if got.Results[1].Flagged {
		t.Errorf("flowers: %+v", got.Results[1])
	}
	// A model that says no to everything must not make a threat pass for harmless.
	b.Choose = func(*chat.Request) string { return "start\ntext \"no\"\nfinish stop\nend" }
	if code, _ := ask(); code != 400 {
		t.Errorf("a model that sees no threat: status %d", code)
	}
}

package mistral

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/apitest"
	"github.com/galerne-ai/galerne/internal/chat"
)

func TestAChatModelModeratesTheLastMessage(t *testing.T) {
	b := &apitest.Backend{Choose: func(r *chat.Request) string {
		q := r.Messages[1].Parts[0].Text
		_, text, _ := strings.Cut(q, "The text:")
		says := "no"
		if strings.Contains(text, "kill") && strings.Contains(text, "violence") || strings.Contains(text, "idiot") && strings.Contains(text, "insult") {
			says = "yes"
		}
		return "start\ntext \"" + says + "\" (5 \"" + says + "\" -0.125)\nfinish stop\nend"
	}}
	h := apitest.Serve(t, api.Options{Backend: b, Surfaces: []*api.Surface{Surface()}})
	const flowers, threat = `[{"role":"user","content":"I kill you"},{"role":"assistant","content":"Flowers?"}]`, `[{"role":"user","content":"Flowers?"},{"role":"assistant","content":"I kill you"}]`
	w, err := http.Post(h.URL+"/v1/chat/moderations", "application/json", strings.NewReader(`{"model":"m","input":[`+flowers+`,`+threat+`]}`))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Body.Close()
	var out moderationAnswer
	if err := json.NewDecoder(w.Body).Decode(&out); err != nil || w.StatusCode != 200 || len(out.Results) != 2 {
		t.Fatal(w.StatusCode, out, err)
	}
	for i, flagged := range []bool{false, true} {
		r := out.Results[i]
		if len(r.Categories) != 9 || r.Categories["violence_and_threats"] != flagged || r.Scores["violence_and_threats"] != map[bool]float64{true: 1}[flagged] || r.Categories["pii"] {
			t.Errorf("conversation %d: %+v", i, r)
		}
	}
}

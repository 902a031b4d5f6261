package gemini

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/apitest"
)

// heard is what a client makes of an answer, whole or in pieces: texts of one kind in a row are one.
type heard struct {
	Parts [][]map[string]any // of each candidate
	Ends  []map[string]any
	Usage any
}

func (h *heard) add(t *rapid.T, piece []byte) {
	var a struct {
		Candidates []map[string]any `json:"candidates"`
		Usage      any              `json:"usageMetadata"`
	}
	if err := json.Unmarshal(piece, &a); err != nil {
		t.Fatalf("%v in %s", err, piece)
	}
	if a.Usage != nil {
		h.Usage = a.Usage
	}
	for _, c := range a.Candidates {
		i := int(c["index"].(float64))
		for len(h.Parts) <= i {
			h.Parts, h.Ends = append(h.Parts, nil), append(h.Ends, nil)
		}
		for _, p := range c["content"].(map[string]any)["parts"].([]any) {
			h.part(i, p.(map[string]any))
		}
		delete(c, "content")
		if c["finishReason"] != nil {
			h.Ends[i] = c
		}
	}
}

func (h *heard) part(i int, p map[string]any) {
	text, isText := p["text"].(string)
	if isText && text == "" {
		return
	}
	if n := len(h.Parts[i]); n > 0 && isText {
		last := h.Parts[i][n-1]
		if before, ok := last["text"].(string); ok && last["thought"] == p["thought"] {
			last["text"] = before + text
			return
		}
	}
	h.Parts[i] = append(h.Parts[i], p)
}

func TestStreamedAndWholeAnswersAreOne(t *testing.T) {
	b := &apitest.Backend{Scripts: map[string]string{}}
	s := apitest.Serve(t, api.Options{Backend: b, Surfaces: []*api.Surface{Surface()}})
	rapid.Check(t, func(t *rapid.T) {
		b.Scripts[""] = apitest.DrawScript(t)
		thoughts := rapid.SampledFrom([]string{"true", "false"}).Draw(t, "thoughts")
		ask := func(path string) []byte {
			return []byte(apitest.Ask(t, s.URL+"/v1/models/m:"+path, `{"contents":[{"parts":[{"text":"hi"}]}],"generationConfig":{"candidateCount":2,"responseLogprobs":true,"thinkingConfig":{"includeThoughts":`+thoughts+`}}}`))
		}
		var whole, events, items heard
		whole.add(t, ask("generateContent"))
		for frame := range strings.SplitSeq(strings.TrimSuffix(string(ask("streamGenerateContent?alt=sse")), "\n\n"), "\n\n") {
			data, ok := strings.CutPrefix(frame, "data: ")
			if !ok {
				t.Fatalf("%q is no event", frame)
			}
			events.add(t, []byte(data))
		}
		var all []json.RawMessage
		if err := json.Unmarshal(ask("streamGenerateContent"), &all); err != nil {
			t.Fatal(err)
		}
		for _, item := range all {
			items.add(t, item)
		}
		if !reflect.DeepEqual(whole, events) || !reflect.DeepEqual(whole, items) {
			t.Fatalf("whole  %v\nevents %v\narray  %v\nscript\n%s", whole, events, items, b.Scripts[""])
		}
	})
}

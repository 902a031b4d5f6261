package main

import (
	"strings"
	"testing"

	"github.com/galerne-ai/galerne/internal/chat"
)

func TestUpSaysHowToCallWhatTheModelIsFor(t *testing.T) {
	for path, m := range map[string]*chat.Model{
		"chat/completions": {Name: "m", Chats: true, Embeds: true},
		"embeddings":       {Name: "m", Embeds: true},
		"rerank":           {Name: "m", Labels: []string{"LABEL_0"}},
		"classifications":  {Name: "m", Labels: []string{"a", "b"}},
	} {
		if text := howToCall(m, "127.0.0.1:4747", false); !strings.Contains(text, "/v1/"+path+" ") {
			t.Errorf("%+v: %s", m, text)
		}
	}
}

package ollama

import (
	"testing"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

// BenchmarkToken is what a token costs between the engine and the socket.
func BenchmarkToken(b *testing.B) {
	s := encoder(&chat.Request{Model: "m"})
	var out api.Frames
	for _, ev := range []chat.Event{{Kind: chat.Started, ID: "req_1"}, {Kind: chat.BlockStart}} {
		if err := s.Event(&out, &ev); err != nil {
			b.Fatal(err)
		}
	}
	ev := chat.Event{Kind: chat.Delta, Text: " token"}
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Event(&out, &ev); err != nil {
			b.Fatal(err)
		}
		out.Reset()
	}
}

func encoder(r *chat.Request) api.Encoder {
	return &lines{view: &view{request: r, name: r.Model, chat: true}}
}

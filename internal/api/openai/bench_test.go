package openai

import (
	"testing"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

// BenchmarkChunk is what a token costs between the engine and the socket.
func BenchmarkChunk(b *testing.B) {
	s := newChunks(&chat.Request{Model: "m"}, nil, manner{})
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

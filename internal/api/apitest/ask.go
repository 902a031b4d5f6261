package apitest

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

// Ask posts JSON and gives the answer, which must be one.
func Ask(t rapid.TB, url, body string) string {
	t.Helper()
	r, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("%d %s %v", r.StatusCode, text, err)
	}
	return string(text)
}

// BenchmarkToken is what a token costs between the engine and the socket.
func BenchmarkToken(b *testing.B, s api.Encoder) {
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

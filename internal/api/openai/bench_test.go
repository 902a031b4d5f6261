package openai

import (
	"testing"

	"github.com/galerne-ai/galerne/internal/api/apitest"
	"github.com/galerne-ai/galerne/internal/chat"
)

func BenchmarkChunk(b *testing.B) {
	apitest.BenchmarkToken(b, newChunks(&chat.Request{Model: "m"}, nil, manner{}))
}

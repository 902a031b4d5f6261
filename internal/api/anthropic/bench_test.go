package anthropic

import (
	"testing"

	"github.com/galerne-ai/galerne/internal/api/apitest"
	"github.com/galerne-ai/galerne/internal/chat"
)

func BenchmarkToken(b *testing.B) {
	apitest.BenchmarkToken(b, &events{view: view{request: &chat.Request{Model: "m"}}})
}

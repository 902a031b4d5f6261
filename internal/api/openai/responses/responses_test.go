package responses

import (
	"testing"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/apitest"
	"github.com/galerne-ai/galerne/internal/api/openai"
)

func TestResponsesAreOpenAIsToTheByte(t *testing.T) {
	apitest.Golden(t, "testdata", api.Options{Surfaces: []*api.Surface{openai.Surface(Routes()...)}})
}

func TestEveryRouteAsksWhoCalls(t *testing.T) {
	apitest.Door(t, openai.Surface(Routes()...), "testdata/routes.txt")
}

func FuzzAnyBody(f *testing.F) { apitest.FuzzBodies(f, openai.Surface(Routes()...), "testdata") }

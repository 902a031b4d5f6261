package azure

import (
	"testing"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/apitest"
	"github.com/galerne-ai/galerne/internal/api/openai"
	"github.com/galerne-ai/galerne/internal/api/openai/responses"
)

func surface() *api.Surface { return Surface(openai.Surface(responses.Routes()...)) }

func TestAnswersAreAzuresToTheByte(t *testing.T) {
	apitest.Golden(t, "testdata", api.Options{Surfaces: []*api.Surface{openai.Surface(), surface()}})
}

func TestEveryRouteAsksWhoCalls(t *testing.T) {
	apitest.Door(t, surface(), "testdata/routes.txt")
}

func FuzzAnyBody(f *testing.F) { apitest.FuzzBodies(f, surface(), "testdata") }

package anthropic

import (
	"testing"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/apitest"
)

func TestAnswersAreAnthropicsToTheByte(t *testing.T) {
	apitest.Golden(t, "testdata", api.Options{Surfaces: []*api.Surface{Surface(nil)}})
}

func TestAStrictServerKnowsTheReferencesFields(t *testing.T) {
	apitest.Golden(t, "testdata/strict", api.Options{Surfaces: []*api.Surface{Surface(nil)}, Strict: true})
}

func TestEveryRouteAsksWhoCalls(t *testing.T) {
	apitest.Door(t, Surface(nil), "testdata/routes.txt")
}

func FuzzAnyBody(f *testing.F) { apitest.FuzzBodies(f, Surface(nil), "testdata") }

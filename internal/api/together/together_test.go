package together

import (
	"testing"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/apitest"
)

func TestAnswersAreTogethersToTheByte(t *testing.T) {
	apitest.Golden(t, "testdata", api.Options{Surfaces: []*api.Surface{Surface()}})
}

func TestEveryRouteAsksWhoCalls(t *testing.T) {
	apitest.Door(t, Surface(), "testdata/routes.txt")
}

func FuzzAnyBody(f *testing.F) { apitest.FuzzBodies(f, Surface(), "testdata") }

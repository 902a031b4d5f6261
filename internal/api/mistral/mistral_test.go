package mistral

import (
	"testing"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/apitest"
)

func TestAnswersAreMistralsToTheByte(t *testing.T) {
	apitest.Golden(t, "testdata", api.Options{Surfaces: []*api.Surface{Surface()}})
}

func TestEveryRouteAsksWhoCalls(t *testing.T) {
	apitest.Door(t, Surface(), "testdata/routes.txt")
}

func TestIDsOfCallsAreNineLettersAndDigits(t *testing.T) {
	if id := callID("aB3dE6gH9"); id != "aB3dE6gH9" {
		t.Errorf("an id that fits became %q", id)
	}
	a, b := callID("call_1"), callID("call_2")
	if len(a) != 9 || len(b) != 9 || a == b || a != callID("call_1") {
		t.Errorf("ids became %q and %q", a, b)
	}
}

func FuzzAnyBody(f *testing.F) { apitest.FuzzBodies(f, Surface(), "testdata") }

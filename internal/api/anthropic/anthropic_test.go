package anthropic

import (
	"context"
	"errors"
	"testing"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/apitest"
	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/fault"
)

func TestAnswersAreAnthropicsToTheByte(t *testing.T) {
	apitest.Golden(t, "testdata", api.Options{Surfaces: []*api.Surface{Surface(nil)}})
}

func TestAStrictServerKnowsTheReferencesFields(t *testing.T) {
	apitest.Golden(t, "testdata/strict", api.Options{Surfaces: []*api.Surface{Surface(nil)}, Strict: true})
}

func TestErrorsHaveAnthropicsStatusAndType(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		kind   string
	}{
		{chat.ErrRequest.Because("x"), 400, "invalid_request_error"},
		{api.ErrKey.Because("x"), 401, "authentication_error"},
		{api.ErrQuota.Because("x"), 402, "billing_error"},
		{api.ErrScope.Because("x"), 403, "permission_error"},
		{chat.ErrModel.Because("x"), 404, "not_found_error"},
		{api.ErrMethod.Because("x"), 405, "invalid_request_error"},
		{api.ErrTooLarge.Because("x"), 413, "request_too_large"},
		{api.ErrMediaType.Because("x"), 415, "invalid_request_error"},
		{api.ErrRate.Because("x"), 429, "rate_limit_error"},
		{errors.New("x"), 500, "api_error"},
		{fault.New(fault.Unavailable, "stalled", "x").Because("x"), 503, "api_error"},
		{context.DeadlineExceeded, 504, "timeout_error"},
		{api.ErrDraining.Because("x"), 529, "overloaded_error"},
	} {
		f := api.FailureOf(c.err)
		if got := errorOf(f); statusOf(f) != c.status || got.Error.Type != c.kind || got.Type != "error" || got.Error.Message == "" {
			t.Errorf("%v: %d %+v, want %d %s", c.err, statusOf(f), got, c.status, c.kind)
		}
	}
}

func TestEveryRouteAsksWhoCalls(t *testing.T) {
	apitest.Door(t, Surface(nil), "testdata/routes.txt")
}

func FuzzAnyBody(f *testing.F) { apitest.FuzzBodies(f, Surface(store(f)), "testdata") }

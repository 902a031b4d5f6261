package stored

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/apitest"
	"github.com/galerne-ai/galerne/internal/api/openai"
	"github.com/galerne-ai/galerne/internal/api/openai/responses"
	"github.com/galerne-ai/galerne/internal/jobs"
)

func surface(s *jobs.Store, keep time.Duration) *api.Surface {
	return openai.Surface(append(responses.Stored(s, keep), Routes(s, keep)...)...)
}

func TestChatsAreFoundAgainToTheByte(t *testing.T) {
	s := apitest.Store(t, t.TempDir(), jobs.Options{})
	apitest.Story(t, "testdata/chats.story", api.Options{Keys: apitest.Tenants{}, Surfaces: []*api.Surface{surface(s, time.Hour)}})
}

func TestTheDoorHolds(t *testing.T) {
	apitest.Door(t, surface(apitest.Store(t, t.TempDir(), jobs.Options{}), time.Hour), "testdata/routes.txt")
}

func FuzzAnyBody(f *testing.F) {
	apitest.FuzzBodies(f, surface(apitest.Store(f, f.TempDir(), jobs.Options{}), time.Hour), "../testdata")
}

// TestAChatIsForgottenWhenItsTimeIsOver keeps for a moment only.
func TestAChatIsForgottenWhenItsTimeIsOver(t *testing.T) {
	s := apitest.Store(t, t.TempDir(), jobs.Options{})
	h := apitest.Serve(t, api.Options{Backend: &apitest.Backend{Scripts: map[string]string{"": "start\ntext \"a\"\nfinish stop\nend"}}, Surfaces: []*api.Surface{surface(s, 300*time.Millisecond)}})
	call(t, "POST", h.URL+"/v1/chat/completions", `{"messages":[{"role":"user","content":"a"}],"store":true}`, 200, "chatcmpl-1")
	call(t, "GET", h.URL+"/v1/chat/completions/chatcmpl-1", "", 200, `"metadata":{}`)
	time.Sleep(350 * time.Millisecond)
	call(t, "GET", h.URL+"/v1/chat/completions/chatcmpl-1", "", 404, "store: true")
	call(t, "GET", h.URL+"/v1/chat/completions", "", 200, `"data":[]`)
}

// TestWhatCannotBeKeptIsAnError has two answers of one ID, of which the second cannot be stored: the caller who
// asked for that is told, whole and in a stream.
func TestWhatCannotBeKeptIsAnError(t *testing.T) {
	s := apitest.Store(t, t.TempDir(), jobs.Options{})
	h := apitest.Serve(t, api.Options{Backend: &apitest.Backend{Scripts: map[string]string{"": "start\ntext \"a\"\nfinish stop\nend"}}, Surfaces: []*api.Surface{surface(s, time.Hour)}})
	ask := func(more string, want int, says string) string {
		return call(t, "POST", h.URL+"/v1/chat/completions", `{"messages":[{"role":"user","content":"a"}]`+more+`}`, want, says)
	}
	ask(`,"store":true`, 200, "chatcmpl-1")
	ask(`,"store":true`, 500, "internal_error")
	ask(``, 200, "chatcmpl-")
	if text := ask(`,"store":true,"stream":true`, 200, "internal_error"); strings.Contains(text, "[DONE]") {
		t.Error(text)
	}
}

func call(t *testing.T, method, url, body string, want int, says string) string {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil || a.StatusCode != want || !strings.Contains(string(text), says) {
		t.Errorf("%s %s %s: %d %s (%v)", method, url, body, a.StatusCode, text, err)
	}
	return string(text)
}

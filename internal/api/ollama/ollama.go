// Package ollama answers: what do Ollama's clients say and expect, word for word? It reads their
// requests into package chat's, and writes chat's events as their lines of JSON.
//
// A model's name and the same with ":latest" behind it are one. Fields that are known and cannot be
// honoured are refused by name (fields.go lists them); fields that nobody knows are passed over unless
// the server is strict.
package ollama

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

// version is of Ollama's API as it is spoken here; clients ask for it to know what they may use.
const version = "0.13.0"

// Store keeps models on disk, as far as an API may change that.
type Store interface {
	// Pull gets a model, and tells how far it is from its own goroutine.
	Pull(ctx context.Context, name string, progress func(Progress)) error
	// Copy gives a model a second name.
	Copy(ctx context.Context, from, to string) error
	// Delete removes a model; what is in memory of it has been unloaded.
	Delete(ctx context.Context, name string) error
}

// Progress of a pull.
type Progress struct {
	Status      string // what is done
	Total, Done int64  // bytes, 0 if unknown
}

// Surface is Ollama's API. Without a store (nil), models can be used and not be changed.
func Surface(store Store) *api.Surface {
	s := &surface{store}
	return &api.Surface{
		Name:  "ollama",
		Marks: []api.Mark{{Header: "User-Agent", Prefix: "ollama-"}, {Header: "User-Agent", Prefix: "ollama/"}},
		Routes: []api.Route{
			{Method: "GET", Pattern: "/{$}", Scope: api.Models, Handle: running},
			{Method: "GET", Pattern: "/api/version", Scope: api.Models, Handle: tellVersion},
			{Method: "POST", Pattern: "/api/generate", Scope: api.Generate, Handle: generate, Body: generateBody{}, Fields: generateFields()},
			{Method: "POST", Pattern: "/api/chat", Scope: api.Generate, Handle: talk, Body: chatBody{}, Fields: answerFields()},
			{Method: "POST", Pattern: "/api/embed", Scope: api.Embed, Handle: embed, Body: embedBody{}},
			{Method: "POST", Pattern: "/api/embeddings", Scope: api.Embed, Handle: embedOne, Body: embeddingsBody{}},
			{Method: "GET", Pattern: "/api/tags", Scope: api.Models, Handle: listModels},
			{Method: "GET", Pattern: "/api/ps", Scope: api.Models, Handle: listLoaded},
			{Method: "POST", Pattern: "/api/show", Scope: api.Models, Handle: show, Body: showBody{}, Fields: showFields()},
			{Method: "POST", Pattern: "/api/pull", Scope: api.Manage, Handle: s.pull, Body: pullBody{}, Fields: pullFields()},
			{Method: "POST", Pattern: "/api/copy", Scope: api.Manage, Handle: s.copy, Body: copyBody{}},
			{Method: "DELETE", Pattern: "/api/delete", Scope: api.Manage, Handle: s.delete, Body: nameBody{}},
			refused("/api/create", "models are not made from others here: send the system prompt and options with each request"),
			refused("/api/push", "models are not sent anywhere from here"),
			refused("/api/blobs/{digest}", "files cannot be sent: galerne pull file:PATH takes one from the server's own disk"),
		},
		Error:  writeError,
		Absent: absent(),
	}
}

type surface struct{ store Store }

// page is what a person reads at /: a browser's own letters, colours and width, and nothing from elsewhere.
const page = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>Galerne is running</title>
<h1>Galerne is running</h1>
<p>It has no pages to chat in: programs call its APIs. The base URL of OpenAI's is this address and <code>/v1</code>.</p>
<p>To talk to a model in a terminal: <code>galerne chat</code></p>
<ul>
<li><a href="/v1/models">/v1/models</a>: which models are served
<li><a href="/readyz">/readyz</a>: whether they can answer
<li><a href="/metrics">/metrics</a>: measurements, for Prometheus
</ul>
</html>
`

// running answers GET and HEAD /, by which programs find out that an Ollama is there. Who looks with a browser is a person.
func running(c *api.Call) error {
	kind, text := "text/plain; charset=utf-8", "Ollama is running"
	if strings.Contains(c.R.Header.Get("Accept"), "text/html") {
		kind, text = "text/html; charset=utf-8", page
		c.W.Header().Add("Vary", "Accept")
		c.W.Header().Set("Content-Security-Policy", "default-src 'none'; img-src data:; frame-ancestors 'none'")
	}
	c.W.Header().Set("Content-Type", kind)
	_, _ = io.WriteString(c.W, text) // a caller who left needs no answer
	return nil
}

func tellVersion(c *api.Call) error {
	return c.JSON(http.StatusOK, map[string]string{"version": version})
}

// refused is what cannot be done. It is no "not found", which would mean a model here.
func refused(path, why string) api.Route {
	return api.Route{Method: "POST", Pattern: path, Scope: api.Manage, Why: why, Handle: func(*api.Call) error {
		return chat.ErrUnsupported.Because("ollama: %s", why)
	}}
}

type errorLine struct {
	Error string `json:"error"`
}

// writeError writes an error as Ollama does; of paths that there are not, as its router does.
func writeError(c *api.Call, f *api.Failure) {
	if f.Code == api.ErrRoute.Code || f.Code == api.ErrMethod.Code {
		text := map[int]string{http.StatusNotFound: "404 page not found", http.StatusMethodNotAllowed: "405 method not allowed"}[f.Status]
		c.W.Header().Set("Content-Type", "text/plain")
		c.W.WriteHeader(f.Status)
		_, _ = c.W.Write([]byte(text))
		return
	}
	_ = c.JSON(f.Status, errorLine{f.Message}) // strings only: cannot fail
}

// modelName is a request's model without the tag that Ollama's clients add.
func modelName(field, name string) (string, error) {
	if name == "" {
		return "", invalid(field, "%s is required", field)
	}
	return strings.TrimSuffix(name, ":latest"), nil
}

// tagged is a name as Ollama's clients write it.
func tagged(name string) string {
	if strings.Contains(name, ":") {
		return name
	}
	return name + ":latest"
}

// about puts an unknown model into the words that Ollama's users look for.
func about(name string, err error) error {
	if errors.Is(err, chat.ErrModel) {
		return chat.ErrModel.Because("ollama: model '%s' not found: GET /api/tags lists those that there are", name).At("model")
	}
	return err
}

// invalid is an error about one field.
func invalid(param, format string, args ...any) error {
	return chat.ErrRequest.Because("ollama: "+format, args...).At(param)
}

// unsupported is a field that is understood and cannot be honoured.
func unsupported(param, format string, args ...any) error {
	return chat.ErrUnsupported.Because("ollama: "+format, args...).At(param)
}

package mistral

import "github.com/galerne-ai/galerne/internal/api"

// shared are fields of any body that need no code of their own.
func shared() []api.Field {
	return []api.Field{
		{Name: "metadata", Hint: true},
		{Name: "prompt_cache_key", Hint: true}, // every prefix is kept as long as there is room
		{Name: "service_tier", Hint: true},
	}
}

func chatFields() []api.Field {
	return append(shared(),
		api.Field{Name: "prediction", Hint: true}, // may make an answer faster, never another one
		api.Field{Name: "guardrails", Accept: []string{"[]"}, Why: "check messages with /v1/chat/moderations before you send them"},
		api.Field{Name: "context", Why: "say it in a message"},
	)
}

func fimFields() []api.Field { return shared() }

func embeddingFields() []api.Field { return shared() }

// unserved are paths that only Mistral has, whose clients are told what to do instead.
func unserved() (out []api.Route) {
	add := func(pattern, why string, methods ...string) {
		for _, m := range methods {
			out = append(out, api.Route{Method: m, Pattern: pattern, Scope: api.Generate, Why: why})
		}
	}
	const talk = "conversations are not kept: send the messages to /v1/chat/completions"
	add("/v1/conversations", talk, "GET", "POST")
	add("/v1/conversations/{rest...}", talk, "GET", "POST", "DELETE")
	add("/v1/ocr", "models here read text only: send the text of the document", "POST")
	const batch = "batch jobs are not served: send each request by itself; many at once are answered side by side"
	add("/v1/batch/jobs", batch, "GET", "POST")
	add("/v1/batch/jobs/{rest...}", batch, "GET", "POST", "DELETE")
	return out
}

// absent is what else Mistral has and this server has not, or has for other vendors' clients.
func absent() []api.Absent {
	const hosted = "needs Mistral's own services"
	return []api.Absent{
		{Method: "DELETE", Pattern: "/v1/models/{id}", Why: "models are managed with galerne pull and galerne rm"},
		{Method: "all", Pattern: "/v1/audio", Why: "models here read and write text only"},
		{Method: "all", Pattern: "/v1/files", Why: "files are not kept for this API"},
		{Method: "all", Pattern: "/v1/fine_tuning", Why: "models are not trained here"},
		{Method: "all", Pattern: "/v1/agents (but completions), /v1/libraries, /v1/connectors, /v1/workflows", Why: hosted},
	}
}

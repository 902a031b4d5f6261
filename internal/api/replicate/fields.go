package replicate

import "github.com/galerne-ai/galerne/internal/api"

// bodyFields are those of a prediction's request that need no code of their own.
func bodyFields() []api.Field {
	return []api.Field{
		{Name: "stream", Hint: true}, // every prediction can be streamed
	}
}

// inputFields are inputs of language models there that need no code of their own.
func inputFields() []api.Field {
	return []api.Field{
		{Name: "log_performance_metrics", Hint: true},
		{Name: "debug", Hint: true},
		{Name: "length_penalty", Accept: []string{"1", "1.0", "0"}, Why: "it belongs to beam search"},
		{Name: "image", Why: "models here read text only"},
		{Name: "image_input", Accept: []string{"[]"}, Why: "models here read text only"},
		{Name: "mirostat_mode", Accept: []string{`"Disabled"`}, Why: "use temperature, top_k and top_p"},
	}
}

// unserved are paths that Replicate alone has, whose clients are told what to do instead.
func unserved() []api.Route {
	const trained = "models are not trained here"
	const managed = "models are managed with galerne pull and galerne rm"
	return []api.Route{
		{Method: "GET", Pattern: "/v1/trainings", Scope: api.Files, Why: trained},
		{Method: "GET", Pattern: "/v1/trainings/{id}", Scope: api.Files, Why: trained},
		{Method: "POST", Pattern: "/v1/models/{owner}/{name}/versions/{id}/trainings", Scope: api.Files, Why: trained},
		{Method: "POST", Pattern: "/v1/models", Scope: api.Manage, Why: managed},
		{Method: "DELETE", Pattern: "/v1/models/{owner}/{name}", Scope: api.Manage, Why: managed},
		{Method: "GET", Pattern: "/v1/deployments", Scope: api.Models, Why: "a deployment is a model here: ask for that"},
		{Method: "GET", Pattern: "/v1/deployments/{owner}/{name}", Scope: api.Models, Why: "a deployment is a model here: ask for that"},
	}
}

// absent is what else Replicate has and this server has not.
func absent() []api.Absent {
	return []api.Absent{
		{Method: "all", Pattern: "/v1/files", Why: "put the text into the input"},
		{Method: "GET", Pattern: "/v1/collections/{slug}, /v1/models/{owner}/{name}/examples, …/readme", Why: "needs Replicate's own services"},
		{Method: "QUERY", Pattern: "/v1/models", Why: "list them with GET"},
		{Method: "all", Pattern: "deployments but their predictions", Why: "a deployment is a model here"},
	}
}

package cohere

import "github.com/galerne-ai/galerne/internal/api"

func chatFields() []api.Field {
	return []api.Field{
		{Name: "priority", Hint: true},
		{Name: "safety_mode", Accept: []string{`"NONE"`, `"OFF"`}, Why: "say in a system message what the model must not do"},
		{Name: "raw_prompting", Accept: []string{"false"}, Why: "use /v1/completions of the OpenAI API"},
		{Name: "return_prompt", Accept: []string{"false"}, Why: "use galerne inspect prompt"},
	}
}

func embedFields() []api.Field {
	return []api.Field{
		{Name: "priority", Hint: true},
		{Name: "images", Accept: []string{"[]"}, Why: "models here read text only"},
		{Name: "max_tokens", Why: "texts are cut at the model's own limit only (truncate: END)"},
	}
}

func rerankFields() []api.Field {
	return []api.Field{
		{Name: "priority", Hint: true},
		{Name: "relevant_spans", Accept: []string{`{"mode":"disabled"}`}, Why: "documents are scored as a whole"},
		{Name: "rank_fields", Why: "send each document as one string"},
	}
}

// unserved are paths that only Cohere has, whose clients are told what to do instead.
func unserved() (out []api.Route) {
	add := func(pattern, why string, methods ...string) {
		for _, m := range methods {
			out = append(out, api.Route{Method: m, Pattern: pattern, Scope: api.Generate, Why: why})
		}
	}
	add("/v1/chat", "version 1 of chat is not served: use ClientV2, which calls /v2/chat", "POST")
	add("/v1/embed", "version 1 of embed is not served: use ClientV2, which calls /v2/embed", "POST")
	add("/v1/generate", "Cohere has withdrawn it: use /v2/chat", "POST")
	add("/v1/summarize", "Cohere has withdrawn it: use /v2/chat", "POST")
	add("/v1/classify", "no model here has been trained to classify: use /v2/chat with a response_format", "POST")
	const jobs = "embed jobs are not served: send the texts to /v2/embed"
	add("/v1/embed-jobs", jobs, "GET", "POST")
	add("/v1/embed-jobs/{rest...}", jobs, "GET", "POST")
	const data = "datasets are not kept here"
	add("/v1/datasets", data, "GET", "POST")
	add("/v1/datasets/{rest...}", data, "GET", "DELETE")
	const connect = "connectors are not served: search yourself and send what was found as documents"
	add("/v1/connectors", connect, "GET", "POST")
	add("/v1/connectors/{rest...}", connect, "GET", "POST", "PATCH", "DELETE")
	return out
}

// absent is what else Cohere has and this server has not, or has for other vendors' clients.
func absent() []api.Absent {
	return []api.Absent{
		{Method: "POST", Pattern: "/v1/rerank", Why: "version 1; use ClientV2, which calls /v2/rerank"},
		{Method: "all", Pattern: "/v1/finetuning", Why: "models are not trained here"},
		{Method: "all", Pattern: "/v2/audio, /v2/batches", Why: "models here read and write text only; many requests at once are answered side by side"},
	}
}

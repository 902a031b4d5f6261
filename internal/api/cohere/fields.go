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

func chatV1Fields() []api.Field {
	return append(chatFields(),
		api.Field{Name: "conversation_id", Why: "conversations are not kept here: send chat_history"},
		api.Field{Name: "prompt_truncation", Accept: []string{`"OFF"`}, Why: "a prompt that is too long is refused, never shortened"},
		api.Field{Name: "connectors", Accept: []string{"[]"}, Why: "search yourself and send what was found as documents"},
		api.Field{Name: "search_queries_only", Accept: []string{"false"}, Why: "ask for queries in the message"},
		api.Field{Name: "max_input_tokens", Why: "a prompt that is too long is refused, never shortened"},
		api.Field{Name: "force_single_step", Hint: true}, // every answer is one step
	)
}

func rerankV1Fields() []api.Field {
	return []api.Field{{Name: "max_chunks_per_doc", Why: "documents are scored as a whole, cut where the model reads no further"}}
}

func classifyFields() []api.Field {
	return []api.Field{
		{Name: "examples", Accept: []string{"[]"}, Why: "models are not trained here: serve a classifier, or ask /v2/chat with a response_format"},
		{Name: "preset", Why: "name a model"},
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
	add("/v1/generate", "Cohere has withdrawn it: use /v2/chat", "POST")
	add("/v1/summarize", "Cohere has withdrawn it: use /v2/chat", "POST")
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
		{Method: "all", Pattern: "/v1/finetuning", Why: "models are not trained here"},
		{Method: "all", Pattern: "/v2/audio, /v2/batches", Why: "models here read and write text only; many requests at once are answered side by side"},
	}
}

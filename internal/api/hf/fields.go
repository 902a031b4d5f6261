package hf

import "github.com/galerne-ai/galerne/internal/api"

func generateFields() []api.Field { return nil }

func embedFields() []api.Field {
	return []api.Field{{Name: "prompt_name", Why: "put the prompt before each text"}}
}

func rerankFields() []api.Field {
	return []api.Field{{Name: "truncation_direction", Accept: []string{`"Right"`, `"right"`}, Why: "texts are cut at their end only"}}
}

func predictFields() []api.Field {
	return []api.Field{{Name: "truncation_direction", Accept: []string{`"Right"`, `"right"`}, Why: "texts are cut at their end only"}}
}

func tokenizeFields() []api.Field {
	return []api.Field{{Name: "prompt_name", Why: "put the prompt before each text"}}
}

// unserved are paths whose clients are told what to do instead.
func unserved() (out []api.Route) {
	add := func(pattern, why string, scope api.Scope) {
		out = append(out, api.Route{Method: "POST", Pattern: pattern, Scope: scope, Why: why})
	}
	add("/embed_sparse", "sparse vectors need a model that makes them: use /embed", api.Embed)
	add("/chat_tokenize", "use galerne inspect prompt, or /tokenize with the text", api.Tokenize)
	return out
}

// absent is what else these servers have and this one has not, or has elsewhere.
func absent() []api.Absent {
	return []api.Absent{
		{Method: "GET", Pattern: "/metrics", Why: "it is served, by the server itself and in its own words"},
	}
}

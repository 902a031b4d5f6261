package ollama

import "github.com/galerne-ai/galerne/internal/api"

// answerFields are those of generate and chat that need no code of their own.
func answerFields() []api.Field {
	return []api.Field{
		{Name: "truncate", Accept: []string{"false"}, Why: "prompts are never cut: send a shorter one"},
		{Name: "shift", Accept: []string{"false"}, Why: "an answer ends where the context does"},
	}
}

func generateFields() []api.Field {
	const pictures = "models here write text only"
	return append(answerFields(),
		api.Field{Name: "template", Accept: []string{`""`}, Why: "the model's own template is used: send raw with the whole prompt"},
		api.Field{Name: "images", Accept: []string{"[]"}, Why: "models here read text only"},
		api.Field{Name: "width", Accept: []string{"0"}, Why: pictures},
		api.Field{Name: "height", Accept: []string{"0"}, Why: pictures},
		api.Field{Name: "steps", Accept: []string{"0"}, Why: pictures},
	)
}

func showFields() []api.Field {
	return []api.Field{
		{Name: "verbose", Hint: true},
		{Name: "system", Accept: []string{`""`}, Why: "send the system prompt with a chat"},
		{Name: "template", Accept: []string{`""`}, Why: "the model's own template is used"},
		{Name: "options", Accept: []string{"{}"}, Why: "send options with a request"},
	}
}

func pullFields() []api.Field {
	return []api.Field{
		{Name: "insecure", Accept: []string{"false"}, Why: "models are fetched over connections that prove who answers"},
		{Name: "username", Accept: []string{`""`}, Why: "the server's own credentials are used"},
		{Name: "password", Accept: []string{`""`}, Why: "the server's own credentials are used"},
	}
}

// optionFields are those of options that are no matter of one request, or not possible. What is set
// when a model is loaded is galerne serve's business.
func optionFields() []api.Field {
	var out []api.Field
	for _, name := range []string{"num_ctx", "num_batch", "num_gpu", "main_gpu", "num_thread", "num_keep", "numa", "low_vram", "f16_kv", "use_mmap", "use_mlock",
		"logits_all", "vocab_only", "embedding_only", "mirostat_tau", "mirostat_eta", "draft_num_predict"} {
		out = append(out, api.Field{Name: name, Hint: true})
	}
	const other = "use temperature, top_k, top_p, min_p or typical_p"
	return append(out,
		api.Field{Name: "mirostat", Accept: []string{"0", "0.0"}, Why: other},
		api.Field{Name: "tfs_z", Accept: []string{"1", "1.0"}, Why: other},
		api.Field{Name: "penalize_newline", Accept: []string{"true"}, Why: "penalties are for every token"},
	)
}

// absent is what Ollama has and this server has not.
func absent() []api.Absent {
	const account = "there is no account elsewhere that this server belongs to"
	return []api.Absent{
		{Method: "HEAD", Pattern: "/api/blobs/{digest}", Why: "files cannot be sent"},
		{Method: "GET, POST", Pattern: "/api/me, /api/signout, /api/status", Why: account},
		{Method: "POST", Pattern: "/api/web_search, /api/web_fetch", Why: account},
		{Method: "POST", Pattern: "/v1/systemone", Why: "questions about a state are asked with a format in /api/chat"},
		{Method: "all", Pattern: "/v1/...", Why: "served below /openai and /anthropic, and at the root"},
	}
}

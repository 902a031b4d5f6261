package anthropic

import "github.com/galerne-ai/galerne/internal/api"

// bodyFields are those of a message's request that need no code of their own.
func bodyFields() []api.Field {
	return []api.Field{
		{Name: "service_tier", Hint: true},
		{Name: "cache_control", Hint: true}, // every prefix is kept as long as there is room
		{Name: "speed", Hint: true},         // every answer is as fast as it can be
		{Name: "user_profile_id", Hint: true},
		{Name: "workspace_id", Hint: true},
		{Name: "betas", Hint: true},
		{Name: "inference_geo", Accept: []string{`"global"`}, Why: "the answer is made where this server runs"},
		{Name: "container", Why: "code is not run here"},
		{Name: "mcp_servers", Accept: []string{"[]"}, Why: "call the servers yourself and give their tools as tools"},
		{Name: "fallbacks", Accept: []string{"[]"}, Why: "the model that is asked for answers"},
		{Name: "fallback_credit_token", Why: "the model that is asked for answers"},
	}
}

// unserved are paths whose clients are told what to do instead.
func unserved(kept bool) (out []api.Route) {
	add := func(pattern, why string, methods ...string) {
		for _, m := range methods {
			out = append(out, api.Route{Method: m, Pattern: pattern, Scope: api.Files, Why: why})
		}
	}
	if !kept {
		const batches = "this server keeps no message batches: send each message to /v1/messages; many at once are answered side by side"
		add("/v1/messages/batches", batches, "GET", "POST")
		add("/v1/messages/batches/{rest...}", batches, "GET", "POST", "DELETE")
	}
	const files = "this server keeps no files for messages: put the text of a document into the message"
	add("/v1/files", files, "GET", "POST")
	add("/v1/files/{rest...}", files, "GET", "DELETE")
	out = append(out, api.Route{Method: "POST", Pattern: "/v1/complete", Scope: api.Generate, Why: "completions of plain text are OpenAI's here (/v1/completions): use /v1/messages"})
	return out
}

// absent is what else Anthropic has and this server has not.
func absent() []api.Absent {
	return []api.Absent{
		{Method: "all", Pattern: "/v1/skills, /v1/agents, /v1/sessions, /v1/environments, /v1/vaults, /v1/memory_stores, /v1/deployments", Why: "needs Anthropic's own services"},
		{Method: "all", Pattern: "/v1/organizations", Why: "keys and limits are managed with galerne"},
	}
}

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

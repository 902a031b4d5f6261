package bedrock

import "github.com/galerne-ai/galerne/internal/api"

// bodyFields are those of a converse request that need no code of their own.
func bodyFields() []api.Field {
	return []api.Field{
		{Name: "requestMetadata", Hint: true},
		{Name: "performanceConfig", Hint: true},
		{Name: "serviceTier", Hint: true},
		{Name: "promptVariables", Accept: []string{"{}"}, Why: "prompts are not kept here: send the messages"},
	}
}

// textOnlyFields are those of other makers' bodies for what no model here reads.
func textOnlyFields() (out []api.Field) {
	for _, name := range []string{"images", "inputImage", "inputs"} {
		out = append(out, api.Field{Name: name, Accept: []string{"[]"}, Why: "models here read text only"})
	}
	return out
}

// unserved are paths that Bedrock alone has, whose clients are told what to do instead.
func unserved() []api.Route {
	const guard = "no guardrails are kept here: check texts yourself, or ask a model"
	const later = "asynchronous invocations are not served: use converse; many at once are answered side by side"
	return []api.Route{
		{Method: "POST", Pattern: "/guardrail/{id}/version/{version}/apply", Scope: api.Generate, Why: guard},
		{Method: "POST", Pattern: "/guardrail-checks/invoke", Scope: api.Generate, Why: guard},
		{Method: "GET", Pattern: "/async-invoke", Scope: api.Files, Why: later},
		{Method: "POST", Pattern: "/async-invoke", Scope: api.Files, Why: later},
		{Method: "GET", Pattern: "/async-invoke/{arn}", Scope: api.Files, Why: later},
		{Method: "POST", Pattern: "/model/{model}/invoke-with-bidirectional-stream", Scope: api.Generate, Why: "models here read and write text only: use converse-stream"},
	}
}

// absent is what else Amazon has and this server has not.
func absent() []api.Absent {
	return []api.Absent{
		{Method: "all", Pattern: "bedrock (models, guardrails, custom models), bedrock-agent, bedrock-agent-runtime", Why: "other services of Amazon's"},
	}
}

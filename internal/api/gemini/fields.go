package gemini

import "github.com/galerne-ai/galerne/internal/api"

// bodyFields are those of a generateContent request that need no code of their own.
func bodyFields() []api.Field {
	return []api.Field{
		{Name: "labels", Hint: true},
		{Name: "serviceTier", Hint: true},
		{Name: "store", Accept: []string{"false"}, Why: "answers are not kept: leave it out"},
		{Name: "cachedContent", Accept: []string{`""`}, Why: "every prefix is kept as long as there is room: send the contents themselves"},
		{Name: "modelArmorConfig", Why: "it needs Google's own services"},
	}
}

// configFields are those of a generationConfig.
func configFields() []api.Field {
	return []api.Field{
		{Name: "mediaResolution", Hint: true}, // of media, which are refused where they stand
		{Name: "audioTimestamp", Hint: true},
		{Name: "responseModalities", Accept: []string{`[]`, `["TEXT"]`}, Why: "models here write text only"},
		{Name: "speechConfig", Why: "models here write text only"},
		{Name: "imageConfig", Why: "models here write text only"},
		{Name: "videoConfig", Why: "models here write text only"},
		{Name: "translationConfig", Why: "say in a message what to translate"},
		{Name: "responseFormat", Why: "use responseMimeType and responseJsonSchema"},
		{Name: "routingConfig", Why: "the model that is asked for answers"},
		{Name: "modelSelectionConfig", Why: "the model that is asked for answers"},
		{Name: "modelConfig", Why: "the model that is asked for answers"},
		{Name: "enableAffectiveDialog", Accept: []string{"false"}, Why: "models here read text only"},
		{Name: "enableEnhancedCivicAnswers", Accept: []string{"false"}, Why: "it needs Google's own services"},
	}
}

// toolFields are tools that Google runs itself.
func toolFields() (out []api.Field) {
	for _, name := range []string{"googleSearch", "googleSearchRetrieval", "enterpriseWebSearch", "googleMaps", "urlContext", "codeExecution",
		"computerUse", "retrieval", "fileSearch", "parallelAiSearch", "exaAiSearch", "mcpServers"} {
		out = append(out, api.Field{Name: name, Why: "it is run by Google: declare a function that does it, and run it yourself"})
	}
	return out
}

func embedFields() []api.Field {
	return []api.Field{
		{Name: "taskType", Hint: true}, // models here make the same vector for every task
	}
}

// unserved are paths that Google alone has, whose clients are told what to do instead.
func unserved() (out []api.Route) {
	add := func(path, why string, methods ...string) {
		for _, version := range []string{"/v1", "/v1beta", "/v1alpha"} {
			for _, m := range methods {
				out = append(out, api.Route{Method: m, Pattern: version + path, Scope: api.Files, Why: why})
			}
		}
	}
	const cache = "cachedContents are not served: every prefix is kept as long as there is room; send the contents themselves"
	add("/cachedContents", cache, "GET", "POST")
	add("/cachedContents/{rest...}", cache, "GET", "PATCH", "DELETE")
	add("/interactions", "interactions are not served: use models/{model}:generateContent", "POST")
	const batch = "batches are not served: send each request by itself; many at once are answered side by side"
	const images = "models here read and write text only"
	for _, version := range []string{"/v1", "/v1beta", "/v1alpha"} {
		for _, v := range []struct{ verb, why string }{{":batchGenerateContent", batch}, {":asyncBatchEmbedContent", batch}, {":predict", images}, {":predictLongRunning", images}} {
			out = append(out, api.Route{Method: "POST", Pattern: version + "/models/{model...}", Verb: v.verb, Scope: api.Files, Why: v.why})
		}
		out = append(out,
			api.Route{Method: "POST", Pattern: "/upload" + version + "/files", Scope: api.Files,
				Why: "files are not served: put the text into the contents, as text or as inlineData of type text/plain"})
	}
	return out
}

// absent is what else Google has and this server has not.
func absent() []api.Absent {
	return []api.Absent{
		{Method: "all", Pattern: "/v1beta/files", Why: "files are not served: put the text into the contents"},
		{Method: "all", Pattern: "/v1beta/batches, /v1beta/operations", Why: "batches are not served for this API"},
		{Method: "all", Pattern: "/v1beta/tunedModels", Why: "models are not trained here"},
		{Method: "all", Pattern: "/v1beta/fileSearchStores, /v1beta/corpora, /v1beta/agents", Why: "needs Google's own services"},
		{Method: "GET", Pattern: "/ws/google.ai.generativelanguage…BidiGenerateContent (Live API)", Why: "models here read and write text only"},
		{Method: "all", Pattern: "/v1beta/openai", Why: "use /openai"},
	}
}

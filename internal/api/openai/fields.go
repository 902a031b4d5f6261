package openai

import "github.com/galerne-ai/galerne/internal/api"

// Hints are fields of any route that cannot change an answer here.
func Hints(names ...string) []api.Field {
	var out []api.Field
	for _, n := range names {
		out = append(out, api.Field{Name: n, Hint: true})
	}
	return out
}

// Refused is a field that is honoured only where it asks for what happens anyway.
func Refused(name, why string, accept ...string) api.Field {
	return api.Field{Name: name, Accept: accept, Why: why}
}

// SamplingFields are of other servers' samplers; an answer drawn without them would be another one.
func SamplingFields() []api.Field {
	const other = "use temperature, top_k, top_p, min_p or typical_p"
	return []api.Field{
		Refused("best_of", "use n", "1"),
		Refused("use_beam_search", "answers are drawn one token at a time", "false"),
		Refused("length_penalty", "it belongs to beam search", "1", "1.0"),
		Refused("early_stopping", "it belongs to beam search", "false"),
		Refused("mirostat", other, "0"),
		Refused("mirostat_mode", other, "0"),
		Refused("dynatemp_range", other, "0", "0.0"),
		Refused("xtc_probability", other, "0", "0.0"),
		Refused("dry_multiplier", other, "0", "0.0"),
		Refused("top_n_sigma", other, "-1", "-1.0"),
		Refused("tfs_z", other, "1", "1.0"),
		Refused("top_a", other, "0", "0.0"),
		Refused("samplers", "the order of samplers is fixed: logit_bias, penalties, temperature, top_k, top_p, min_p, typical_p"),
		Refused("bad_words", "use logit_bias with the tokens' ids", "[]"),
		Refused("allowed_token_ids", "use structured_outputs or grammar"),
		Refused("logits_processors", "use structured_outputs or grammar"),
		Refused("skip_special_tokens", "special tokens are never part of the text", "true"),
		Refused("spaces_between_special_tokens", "special tokens are never part of the text", "true", "false"),
		Refused("truncate_prompt_tokens", "prompts are never cut: send a shorter one"),
		Refused("return_tokens_as_token_ids", "use return_token_ids", "false"),
		Refused("lora", "adapters are not loaded per request", "[]"),
	}
}

// chatFields are those of a chat where nothing is kept.
func chatFields() []api.Field {
	return append(keptFields(), api.Field{Name: "metadata", Hint: true}, Refused("store", "nothing is kept here: leave it out", "false"))
}

func keptFields() []api.Field {
	return append(SamplingFields(), append(Hints(
		"user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "prompt_cache_options",
		"service_tier", "prediction", "cache_prompt", "id_slot", "priority", "request_id", "timings_per_token", "return_progress"),
		Refused("audio", "models here write text only"),
		Refused("modalities", "models here write text only", `["text"]`),
		Refused("web_search_options", "this route does not search: give the pages as messages or documents"),
		Refused("moderation", "call a moderation model yourself"),
		Refused("verbosity", "say in a message how long the answer should be", `"medium"`),
		Refused("functions", "use tools", "[]"),
		Refused("function_call", "use tool_choice"),
		Refused("prompt_logprobs", "use /v1/completions with echo and logprobs"),
		Refused("chat_template", "the model's own template is used"),
		Refused("mm_processor_kwargs", "models here read text only"),
		Refused("echo", "use /v1/completions", "false"),
		Refused("include_reasoning", "leave reasoning_content unread, or turn thinking off with reasoning_effort: none", "true"),
		Refused("reasoning_format", "reasoning comes as reasoning_content", `"auto"`, `"deepseek"`),
	)...)
}

func completionFields() []api.Field {
	return append(SamplingFields()[1:], append(Hints("user", "cache_prompt", "id_slot", "priority", "request_id"),
		Refused("prompt_embeds", "send text or tokens"),
		Refused("prompt_logprobs", "use echo with logprobs"),
	)...)
}

func embeddingFields() []api.Field {
	return append(Hints("user", "priority", "request_id", "input_type"),
		Refused("truncate_prompt_tokens", "inputs are never cut: send shorter ones"),
		Refused("messages", "send the text as input"),
	)
}

// absent is what OpenAI has and this server has not.
func absent() []api.Absent {
	const (
		train   = "models are not trained here"
		hearing = "models here read and write text only"
		hosted  = "needs OpenAI's own services"
	)
	return []api.Absent{
		{Method: "DELETE", Pattern: "/v1/models/{id}", Why: "models are managed with galerne pull and galerne rm"},
		{Method: "all", Pattern: "/v1/fine_tuning", Why: train},
		{Method: "all", Pattern: "/v1/evals", Why: train},
		{Method: "all", Pattern: "/v1/audio", Why: hearing},
		{Method: "all", Pattern: "/v1/images", Why: hearing},
		{Method: "all", Pattern: "/v1/videos", Why: hearing},
		{Method: "all", Pattern: "/v1/realtime, /v1/live", Why: hearing},
		{Method: "all", Pattern: "/v1/uploads", Why: "send a file in one piece to /v1/files"},
		{Method: "all", Pattern: "/v1/assistants, /v1/threads", Why: "withdrawn by OpenAI: use responses"},
		{Method: "all", Pattern: "/v1/vector_stores, /v1/conversations, /v1/containers, /v1/skills, /v1/decisions", Why: hosted},
	}
}

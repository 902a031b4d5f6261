package openai

import "github.com/galerne-ai/galerne/internal/api"

// hints are fields of any route that cannot change an answer here.
func hints(names ...string) []api.Field {
	var out []api.Field
	for _, n := range names {
		out = append(out, api.Field{Name: n, Hint: true})
	}
	return out
}

// refused is a field that is honoured only where it asks for what happens anyway.
func refused(name, why string, accept ...string) api.Field {
	return api.Field{Name: name, Accept: accept, Why: why}
}

// samplingFields are of other servers' samplers; an answer drawn without them would be another one.
func samplingFields() []api.Field {
	const other = "use temperature, top_k, top_p, min_p or typical_p"
	return []api.Field{
		refused("best_of", "use n", "1"),
		refused("use_beam_search", "answers are drawn one token at a time", "false"),
		refused("length_penalty", "it belongs to beam search", "1", "1.0"),
		refused("early_stopping", "it belongs to beam search", "false"),
		refused("mirostat", other, "0"),
		refused("mirostat_mode", other, "0"),
		refused("dynatemp_range", other, "0", "0.0"),
		refused("xtc_probability", other, "0", "0.0"),
		refused("dry_multiplier", other, "0", "0.0"),
		refused("top_n_sigma", other, "-1", "-1.0"),
		refused("tfs_z", other, "1", "1.0"),
		refused("top_a", other, "0", "0.0"),
		refused("samplers", "the order of samplers is fixed: penalties, top_k, typical_p, top_p, min_p, temperature"),
		refused("bad_words", "use logit_bias with the tokens' ids", "[]"),
		refused("allowed_token_ids", "use structured_outputs or grammar"),
		refused("logits_processors", "use structured_outputs or grammar"),
		refused("skip_special_tokens", "special tokens are never part of the text", "true"),
		refused("spaces_between_special_tokens", "special tokens are never part of the text", "true", "false"),
		refused("truncate_prompt_tokens", "prompts are never cut: send a shorter one"),
		refused("lora", "adapters are not loaded per request", "[]"),
	}
}

func chatFields() []api.Field {
	return append(samplingFields(), append(hints(
		"user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "prompt_cache_options", "metadata",
		"service_tier", "prediction", "cache_prompt", "id_slot", "priority", "request_id", "timings_per_token", "return_progress"),
		refused("store", "this server keeps no completions: leave it out", "false"),
		refused("audio", "models here write text only"),
		refused("modalities", "models here write text only", `["text"]`),
		refused("web_search_options", "this route does not search: give the pages as messages or documents"),
		refused("moderation", "call a moderation model yourself"),
		refused("verbosity", "say in a message how long the answer should be", `"medium"`),
		refused("functions", "use tools", "[]"),
		refused("function_call", "use tool_choice"),
		refused("prompt_logprobs", "use /v1/completions with echo and logprobs"),
		refused("chat_template", "the model's own template is used"),
		refused("mm_processor_kwargs", "models here read text only"),
		refused("echo", "use /v1/completions", "false"),
		refused("reasoning_format", "reasoning comes as reasoning_content", `"auto"`, `"deepseek"`),
	)...)
}

func completionFields() []api.Field {
	return append(samplingFields()[1:], append(hints("user", "cache_prompt", "id_slot", "priority", "request_id"),
		refused("prompt_embeds", "send text or tokens"),
		refused("prompt_logprobs", "use echo with logprobs"),
	)...)
}

func embeddingFields() []api.Field {
	return append(hints("user", "priority", "request_id", "input_type"),
		refused("truncate_prompt_tokens", "inputs are never cut: send shorter ones"),
		refused("messages", "send the text as input"),
	)
}

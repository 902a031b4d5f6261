package upstream

import (
	"encoding/json"
	"fmt"
	"maps"
	"strconv"

	"github.com/galerne-ai/galerne/internal/chat"
)

// object is a JSON object of a request; nil values are left out by set.
type object map[string]any

func (o object) set(name string, value any, given bool) {
	if given {
		o[name] = value
	}
}

func setPointer[T any](o object, name string, p *T) {
	if p != nil {
		o[name] = *p
	}
}

// encode writes a request in OpenAI's terms, with the further fields that vLLM, SGLang and llama-server
// read. What those terms cannot say is refused by name.
func encode(r *chat.Request, model string) (path string, body []byte, err error) {
	o := object{"model": model, "stream": true, "stream_options": object{"include_usage": true}}
	sampling(o, r)
	path = "/chat/completions"
	if r.Raw != nil {
		path = "/completions"
		raw(o, r)
	} else if err := conversation(o, r); err != nil {
		return "", nil, err
	}
	if err := format(o, &r.Format); err != nil {
		return "", nil, err
	}
	switch {
	case r.PromptLogprobs != nil:
		return "", nil, unsupportedField("prompt_logprobs")
	case r.Echo:
		return "", nil, unsupportedField("echo whose tokens a stream tells apart")
	case r.KeepStop:
		return "", nil, unsupportedField("stop strings that stay in the answer")
	case len(r.Documents) > 0:
		return "", nil, unsupportedField("documents")
	}
	if body, err = json.Marshal(o); err != nil {
		return "", nil, chat.ErrRequest.Because("upstream: the request holds what is no JSON: %w", err)
	}
	return path, body, nil
}

func unsupportedField(what string) error {
	return chat.ErrUnsupported.Because("upstream: the model is on another server, and OpenAI's API has no %s", what).At(what)
}

func sampling(o object, r *chat.Request) {
	s := &r.Sampling
	setPointer(o, "temperature", s.Temperature)
	setPointer(o, "top_k", s.TopK)
	setPointer(o, "top_p", s.TopP)
	setPointer(o, "min_p", s.MinP)
	setPointer(o, "typical_p", s.TypicalP)
	setPointer(o, "repetition_penalty", s.Repetition)
	setPointer(o, "repeat_last_n", s.LastN) // llama-server
	setPointer(o, "frequency_penalty", s.Frequency)
	setPointer(o, "presence_penalty", s.Presence)
	setPointer(o, "seed", s.Seed)
	setPointer(o, "max_tokens", r.MaxTokens)
	o.set("min_tokens", r.MinTokens, r.MinTokens > 0)
	o.set("n", r.N, r.N > 1)
	o.set("stop", r.Stop, len(r.Stop) > 0)
	o.set("stop_token_ids", r.StopIDs, len(r.StopIDs) > 0)
	o.set("ignore_eos", true, r.IgnoreEnd)
	o.set("user", r.User, r.User != "")
	if len(s.Bias) > 0 {
		bias := object{}
		for id, v := range s.Bias {
			bias[strconv.Itoa(int(id))] = v
		}
		o["logit_bias"] = bias
	}
}

func raw(o object, r *chat.Request) {
	if r.Raw.Tokens != nil {
		o["prompt"] = r.Raw.Tokens
	} else {
		o["prompt"] = r.Raw.Text
		o.set("add_special_tokens", false, r.Raw.NoBOS) // vLLM
	}
	setPointer(o, "suffix", r.Raw.Suffix)
	setPointer(o, "logprobs", r.Logprobs)
}

func conversation(o object, r *chat.Request) error {
	messages := make([]object, 0, len(r.Messages))
	for i := range r.Messages {
		m, err := message(&r.Messages[i], i)
		if err != nil {
			return err
		}
		messages = append(messages, m...)
	}
	o["messages"] = messages
	if r.Logprobs != nil {
		o["logprobs"], o["top_logprobs"] = true, *r.Logprobs
	}
	variables := template(r)
	o.set("chat_template_kwargs", variables, len(variables) > 0)
	o.set("reasoning_effort", r.Reasoning.Effort, r.Reasoning.Effort != "")
	if n := len(r.Messages); n > 0 && r.Messages[n-1].Prefix {
		o["continue_final_message"], o["add_generation_prompt"] = true, false
	}
	if len(r.Tools) == 0 {
		return nil
	}
	var tools []object
	for i := range r.Tools {
		t := &r.Tools[i]
		f := object{"name": t.Name}
		f.set("description", t.Description, t.Description != "")
		f.set("parameters", t.Schema, len(t.Schema) > 0)
		f.set("strict", true, t.Strict)
		tools = append(tools, object{"type": "function", "function": f})
	}
	o["tools"] = tools
	setPointer(o, "parallel_tool_calls", r.ParallelTools)
	return toolChoice(o, &r.ToolChoice)
}

// template is the variables of a chat's template; those that switch reasoning have one of two names.
func template(r *chat.Request) map[string]any {
	out := map[string]any{}
	if on := r.Reasoning.Enabled; on != nil {
		out["enable_thinking"], out["thinking"] = *on, *on
	}
	maps.Copy(out, r.Template)
	return out
}

func toolChoice(o object, c *chat.ToolChoice) error {
	switch {
	case c.Mode == chat.ToolsNamed && len(c.Names) == 1:
		o["tool_choice"] = object{"type": "function", "function": object{"name": c.Names[0]}}
	case len(c.Names) > 0 || c.Mode == chat.ToolsNamed:
		return unsupportedField("choice among several named tools")
	default:
		o["tool_choice"] = [...]string{"auto", "none", "required"}[c.Mode]
	}
	return nil
}

// message is one turn; several results of tools in one turn become a message each.
func message(m *chat.Message, index int) ([]object, error) {
	o := object{"role": string(m.Role)}
	o.set("name", m.Name, m.Name != "")
	var text, thinking string
	var calls, results []object
	for i := range m.Parts {
		p := &m.Parts[i]
		switch p.Kind {
		case chat.TextPart, chat.RefusalPart:
			text += p.Text
		case chat.ThinkingPart:
			thinking += p.Text
		case chat.CallPart:
			calls = append(calls, object{"id": p.ID, "type": "function", "function": object{"name": p.Name, "arguments": p.Arguments}})
		case chat.ResultPart:
			results = append(results, object{"role": "tool", "tool_call_id": p.CallID, "content": p.Text})
		default:
			return nil, chat.ErrUnsupported.Because("upstream: message %d has media, and text only is passed on", index).At(fmt.Sprintf("messages[%d].content", index))
		}
	}
	if len(results) > 0 && text == "" {
		return results, nil
	}
	o["content"] = text
	o.set("reasoning_content", thinking, thinking != "")
	o.set("tool_calls", calls, len(calls) > 0)
	return append(results, o), nil
}

func format(o object, f *chat.Format) error {
	switch f.Kind {
	case chat.AnyText:
	case chat.JSONValue:
		o["response_format"] = object{"type": "json_object"}
	case chat.JSONSchema:
		name := f.Name
		if name == "" {
			name = "answer"
		}
		o["response_format"] = object{"type": "json_schema", "json_schema": object{"name": name, "schema": f.Schema, "strict": true}}
	case chat.Regex:
		o["structured_outputs"] = object{"regex": f.Pattern}
		o["guided_regex"] = f.Pattern // vLLM before 0.12
	case chat.Grammar:
		o["structured_outputs"] = object{"grammar": f.Pattern}
		o["grammar"] = f.Pattern // llama-server
	case chat.OneOf:
		o["structured_outputs"] = object{"choice": f.Choices}
		o["guided_choice"] = f.Choices
	default:
		return unsupportedField("form of that kind")
	}
	return nil
}

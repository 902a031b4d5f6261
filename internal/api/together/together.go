// Package together answers: what do Together's clients say and expect, word for word? They speak
// OpenAI's language with words of their own: log-probabilities are a number and come as lists, an answer
// has the prompt beside it, what the model ended itself ends with eos, and the list of models is bare.
package together

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/openai"
	"github.com/galerne-ai/galerne/internal/chat"
)

// Surface is Together's API.
func Surface() *api.Surface {
	return &api.Surface{
		Name: "together",
		Marks: []api.Mark{{Header: "User-Agent", Prefix: "Together/"}, {Header: "User-Agent", Prefix: "AsyncTogether/"},
			{Field: "safety_model"}, {Field: "context_length_exceeded_behavior"}},
		Routes: append([]api.Route{
			{Method: "POST", Pattern: "/v1/chat/completions", Scope: api.Generate, Handle: completions, Body: chatDoc{}, Fields: chatFields()},
			{Method: "POST", Pattern: "/v1/completions", Scope: api.Generate, Handle: texts, Body: openai.TextBody{}, Fields: textFields()},
			{Method: "POST", Pattern: "/v1/embeddings", Scope: api.Embed, Handle: openai.Embeddings},
			{Method: "POST", Pattern: "/v1/rerank", Scope: api.Embed, Handle: rerank, Body: rerankBody{}},
			{Method: "GET", Pattern: "/v1/models", Scope: api.Models, Handle: listModels},
		}, unserved()...),
		Error:  openai.Error,
		Absent: absent(),
	}
}

// own are the fields that Together has beside OpenAI's, or reads in its own way.
type own struct {
	Model     string
	Logprobs  json.RawMessage // how many likely tokens to tell, for each
	Reasoning *reasoning
	Echo      bool
}

type reasoning struct {
	Enabled *bool `json:"enabled"`
}

// chatDoc is all that a chat's body may have, for docs/apis.md.
type chatDoc struct {
	openai.ChatBody
	Reasoning *reasoning `json:"reasoning"`
}

// common are fields of both bodies that OpenAI has not.
func common() []api.Field {
	return []api.Field{
		{Name: "compliance", Hint: true}, // nothing leaves this machine
		openai.Refused("safety_model", "no model here has been trained to moderate: check messages before you send them"),
		openai.Refused("context_length_exceeded_behavior", "prompts are never cut: send a shorter one", `"error"`),
	}
}

func chatFields() []api.Field { return append(openai.ChatFields(), common()...) }

func textFields() []api.Field { return append(openai.CompletionFields(), common()...) }

// unserved are paths whose clients are told what to do instead.
func unserved() (out []api.Route) {
	for _, pattern := range []string{"/v2/projects/{rest...}", "/v2/supported-models", "/v2/supported-models/{rest...}", "/v2/organizations/{rest...}"} {
		out = append(out, api.Route{Method: "GET", Pattern: pattern, Scope: api.Models, Why: "projects and what they offer are Together's own: GET /v1/models lists the models here"})
	}
	return out
}

// absent is what else Together has and this server has not, or has for other vendors' clients.
func absent() []api.Absent {
	const (
		hosted = "needs Together's own services"
		text   = "models here read and write text only"
	)
	return []api.Absent{
		{Method: "all", Pattern: "/v1/images, /v1/audio, /v2/videos", Why: text},
		{Method: "all", Pattern: "/v1/fine-tunes, /v1/evaluation", Why: "models are not trained here"},
		{Method: "all", Pattern: "/v1/endpoints, /v1/clusters, /v1/hardware, /tci", Why: hosted},
		{Method: "all", Pattern: "/v1/files, /v1/batches", Why: "use those of the OpenAI API"},
	}
}

// decode reads a body as OpenAI's fields, with Together's own turned into them, and Together's own.
func decode(c *api.Call, fields []api.Field, chatting bool) ([]byte, *own, error) {
	all := map[string]json.RawMessage{}
	if err := c.Decode(&all, fields); err != nil {
		return nil, nil, err
	}
	var o own
	for name, into := range map[string]any{"model": &o.Model, "logprobs": &o.Logprobs, "reasoning": &o.Reasoning} {
		if raw := all[name]; !openai.IsNull(raw) {
			if err := api.Decode(name, raw, into, false); err != nil {
				return nil, nil, err
			}
		}
	}
	if o.Model == "" {
		return nil, nil, openai.Missing("model")
	}
	for _, name := range []string{"logprobs", "reasoning"} {
		delete(all, name)
	}
	n, err := o.likely()
	if err != nil {
		return nil, nil, err
	}
	switch {
	case n > 0 && chatting:
		all["logprobs"] = json.RawMessage("true")
		all["top_logprobs"] = o.Logprobs
	case n > 0:
		all["logprobs"] = o.Logprobs
	}
	if o.Reasoning != nil && o.Reasoning.Enabled != nil && !*o.Reasoning.Enabled {
		all["reasoning_effort"] = json.RawMessage(`"none"`)
	}
	if !chatting {
		if raw := all["echo"]; !openai.IsNull(raw) {
			if err := api.Decode("echo", raw, &o.Echo, false); err != nil {
				return nil, nil, err
			}
		}
	}
	data, err := json.Marshal(all)
	return data, &o, err
}

const maxTop = 20

// likely is how many tokens are told for each; true is one.
func (o *own) likely() (n int, err error) {
	switch string(o.Logprobs) {
	case "", "null", "false":
		return 0, nil
	case "true":
		o.Logprobs = json.RawMessage("1")
	}
	if err := api.Decode("logprobs", o.Logprobs, &n, false); err != nil {
		return 0, err
	}
	if n < 0 || n > maxTop {
		return 0, openai.Invalid("logprobs", "logprobs is %d: it must be from 0 to %d", n, maxTop)
	}
	return n, nil
}

// completions answers POST /v1/chat/completions.
func completions(c *api.Call) error {
	data, _, err := decode(c, chatFields(), true)
	if err != nil {
		return err
	}
	r, stream, err := openai.ReadChat(data, c.Strict())
	if err != nil {
		return err
	}
	v := &view{request: r, chatting: true}
	if stream {
		r.TokenIDs = true
		return c.Stream(newChunks(v), r)
	}
	return whole(c, v)
}

// texts answers POST /v1/completions.
func texts(c *api.Call) error {
	data, o, err := decode(c, textFields(), false)
	if err != nil {
		return err
	}
	rs, stream, err := openai.ReadText(data, c.Strict())
	if err != nil {
		return err
	}
	if len(rs) != 1 {
		return openai.Invalid("prompt", "prompt has %d elements: send one prompt a request", len(rs))
	}
	r := rs[0]
	v := &view{request: r}
	if o.Echo { // beside the answer, not before it
		r.Echo, v.echo = false, true
	}
	if stream {
		r.TokenIDs = true
		return c.Stream(newChunks(v), r)
	}
	return whole(c, v)
}

func whole(c *api.Call, v *view) error {
	answer, err := c.Answer(v.request)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, v.answer(answer))
}

type model struct {
	ID           string         `json:"id"`
	Object       string         `json:"object"`
	Created      int64          `json:"created"`
	Type         string         `json:"type"`
	DisplayName  string         `json:"display_name"`
	Organization string         `json:"organization"`
	Licence      string         `json:"license"`
	Context      int            `json:"context_length"`
	Pricing      map[string]int `json:"pricing"`
}

// listModels answers GET /v1/models, with a list and nothing around it.
func listModels(c *api.Call) error {
	all, err := c.Backend.Models(c.R.Context())
	if err != nil {
		return err
	}
	out := []model{}
	for i := range all {
		m := &all[i]
		kind := "language"
		switch {
		case m.Chats:
			kind = "chat"
		case m.Embeds:
			kind = "embedding"
		case m.Ranks():
			kind = "rerank"
		}
		out = append(out, model{m.Name, "model", m.Created.Unix(), kind, m.Name, "galerne", m.Licence, m.Context,
			map[string]int{"hourly": 0, "input": 0, "output": 0, "base": 0, "finetune": 0}})
	}
	return c.JSON(http.StatusOK, out)
}

// finishReason is Together's word.
func finishReason(f chat.Finish) string {
	switch f {
	case chat.Stop:
		return "eos"
	case chat.Length, chat.Full:
		return "length"
	case chat.ToolCall:
		return "tool_calls"
	}
	return "stop"
}

// answerID is an id as Together writes it, without a prefix.
func answerID(id string) string { return strings.TrimPrefix(id, "req_") }

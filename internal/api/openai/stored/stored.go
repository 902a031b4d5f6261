// Package stored answers: how do OpenAI's clients find again the chats that they have told a server to keep?
package stored

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/openai"
	"github.com/galerne-ai/galerne/internal/api/openai/page"
	"github.com/galerne-ai/galerne/internal/jobs"
)

const (
	dialect = "openai.chat" // what jobs calls our answers
	prefix  = "chatcmpl-"
)

// Routes are for openai.Surface: answers to chats with store: true are kept in a store for a time.
func Routes(s *jobs.Store, keep time.Duration) []api.Route {
	h := &handler{s, keep}
	return []api.Route{
		openai.KeptChat(h.keep),
		{Method: "GET", Pattern: "/v1/chat/completions", Scope: api.Generate, Handle: h.list},
		{Method: "GET", Pattern: "/v1/chat/completions/{id}", Scope: api.Generate, Handle: h.get},
		{Method: "POST", Pattern: "/v1/chat/completions/{id}", Scope: api.Generate, Handle: h.update, Body: change{}},
		{Method: "DELETE", Pattern: "/v1/chat/completions/{id}", Scope: api.Generate, Handle: h.remove},
		{Method: "GET", Pattern: "/v1/chat/completions/{id}/messages", Scope: api.Generate, Handle: h.messages},
	}
}

type handler struct {
	s       *jobs.Store
	keepFor time.Duration
}

// asked is what is kept of a request, as it was sent.
type asked struct {
	Messages       json.RawMessage `json:"messages"`
	Tools          json.RawMessage `json:"tools"`
	ToolChoice     json.RawMessage `json:"tool_choice"`
	ResponseFormat json.RawMessage `json:"response_format"`
	Temperature    json.RawMessage `json:"temperature"`
	TopP           json.RawMessage `json:"top_p"`
	Seed           json.RawMessage `json:"seed"`
	Presence       json.RawMessage `json:"presence_penalty"`
	Frequency      json.RawMessage `json:"frequency_penalty"`
	User           json.RawMessage `json:"user"`
}

// keep stores an answer, with what it was asked with.
func (h *handler) keep(c *api.Call, k *openai.Kept) error {
	var a asked
	body, err := c.Body()
	if err == nil {
		err = json.Unmarshal(body, &a)
	}
	if err != nil {
		return err
	}
	answer, err := api.Encode(k.Answer)
	if err != nil {
		return err
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(answer, &all); err != nil {
		return err
	}
	id, err := json.Marshal(c.ID)
	if err != nil {
		return err
	}
	for name, raw := range map[string]json.RawMessage{"request_id": id, "tools": a.Tools, "tool_choice": a.ToolChoice, "response_format": a.ResponseFormat,
		"temperature": a.Temperature, "top_p": a.TopP, "seed": a.Seed, "presence_penalty": a.Presence, "frequency_penalty": a.Frequency, "input_user": a.User} {
		all[name] = raw // null if it was not sent
	}
	if answer, err = api.Encode(all); err != nil {
		return err
	}
	_, err = h.s.Keep(context.WithoutCancel(c.R.Context()), jobs.Kept{ID: k.ID, Owner: c.Owner(), Key: c.KeyID(), Dialect: dialect, Model: k.Model, Labels: k.Metadata,
		State: jobs.Done, Input: a.Messages, Answer: answer, Expires: time.Now().Add(h.keepFor)})
	return err
}

// render is an answer with what has been noted beside it.
func render(k *jobs.Kept) (map[string]json.RawMessage, error) {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(k.Answer, &all); err != nil {
		return nil, err
	}
	notes := k.Labels
	if notes == nil {
		notes = map[string]string{}
	}
	text, err := api.Encode(notes)
	all["metadata"] = text
	return all, err
}

func (h *handler) kept(c *api.Call) (jobs.Kept, error) {
	id := c.R.PathValue("id")
	k, err := h.s.Labelled(c.R.Context(), c.Owner(), dialect, strings.TrimPrefix(id, prefix))
	return k, missing(err, id, "completion_id")
}

// missing says in our words that an answer is not there.
func missing(err error, id, at string) error {
	if errors.Is(err, jobs.ErrNotFound) {
		return jobs.ErrNotFound.Because("openai: Chat completion with id %.80q not found: it was not stored here (store: true), or is no longer", id).At(at)
	}
	return err
}

// list answers GET /v1/chat/completions, the oldest first.
func (h *handler) list(c *api.Call) error {
	p, err := page.Read(c, prefix, page.Shape{Usual: 20, Most: 100, Oldest: true})
	if err != nil {
		return err
	}
	q := c.R.URL.Query()
	p.Model = q.Get("model")
	if p.Labels, err = wanted(q); err != nil {
		return err
	}
	all, more, err := h.s.Answers(c.R.Context(), c.Owner(), dialect, p)
	if err != nil {
		return missing(err, q.Get("after"), "after")
	}
	out := make([]page.Named, len(all))
	for i := range all {
		out[i].ID = prefix + all[i].ID
		if out[i].As, err = render(&all[i]); err != nil {
			return err
		}
	}
	return c.JSON(http.StatusOK, page.Of(out, more, page.NameOf))
}

// wanted reads metadata[NAME]=VALUE.
func wanted(q map[string][]string) (map[string]string, error) {
	out := map[string]string{}
	for name, values := range q {
		rest, ok := strings.CutPrefix(name, "metadata")
		if !ok {
			continue
		}
		if !strings.HasPrefix(rest, "[") || !strings.HasSuffix(rest, "]") || len(values) != 1 {
			return nil, openai.Invalid("metadata", "%.80s is no filter: write metadata[NAME]=VALUE, each name once", name)
		}
		out[rest[1:len(rest)-1]] = values[0]
	}
	return out, openai.CheckMetadata(out)
}

func (h *handler) get(c *api.Call) error {
	k, err := h.kept(c)
	if err != nil {
		return err
	}
	return tell(c, &k)
}

func tell(c *api.Call, k *jobs.Kept) error {
	whole, err := render(k)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, whole)
}

// change is what can be changed of an answer that is kept.
type change struct {
	Metadata json.RawMessage `json:"metadata"` // null takes all away
}

// update answers POST /v1/chat/completions/{id}.
func (h *handler) update(c *api.Call) error {
	var b change
	if err := c.Decode(&b, nil); err != nil {
		return err
	}
	if len(b.Metadata) == 0 {
		return openai.Missing("metadata")
	}
	var notes map[string]string
	if err := api.Decode("metadata", b.Metadata, &notes, false); err != nil {
		return err
	}
	if err := openai.CheckMetadata(notes); err != nil {
		return err
	}
	id := c.R.PathValue("id")
	k, err := h.s.Label(c.R.Context(), c.Owner(), dialect, strings.TrimPrefix(id, prefix), notes)
	if err != nil {
		return missing(err, id, "completion_id")
	}
	return tell(c, &k)
}

func (h *handler) remove(c *api.Call) error {
	k, err := h.kept(c)
	if err != nil {
		return err
	}
	if err := h.s.Drop(c.R.Context(), k.Owner, dialect, k.ID); err != nil {
		return err
	}
	return openai.Deleted(c, prefix+k.ID, "chat.completion.deleted")
}

// messages answers GET /v1/chat/completions/{id}/messages: what was asked, the first message first.
func (h *handler) messages(c *api.Call) error {
	p, err := page.Read(c, "", page.Shape{Usual: 20, Most: 100, Oldest: true})
	if err != nil {
		return err
	}
	k, err := h.kept(c)
	if err != nil {
		return err
	}
	var all []map[string]json.RawMessage
	if err := json.Unmarshal(k.Input, &all); err != nil {
		return err
	}
	out := make([]page.Named, len(all))
	for i, m := range all {
		out[i] = page.Named{ID: fmt.Sprintf("%s%s-%d", prefix, k.ID, i), As: m}
		if err := identify(m, out[i].ID); err != nil {
			return err
		}
	}
	list, err := page.Cut(out, p, page.NameOf)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, list)
}

// identify gives a message its ID. Content that came in parts is told whole, and its parts beside it.
func identify(m map[string]json.RawMessage, id string) (err error) {
	if m["id"], err = json.Marshal(id); err != nil {
		return err
	}
	parts := m["content"]
	if len(parts) == 0 || parts[0] != '[' {
		m["content"], m["content_parts"] = parts, nil // null, unless it is a text
		return nil
	}
	var texts []struct {
		Text string `json:"text"`
	}
	if err := json.Unmarshal(parts, &texts); err != nil {
		return err
	}
	var whole strings.Builder
	for _, t := range texts {
		whole.WriteString(t.Text)
	}
	m["content_parts"] = parts
	m["content"], err = api.Encode(whole.String())
	return err
}

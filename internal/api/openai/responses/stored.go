package responses

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/openai"
	"github.com/galerne-ai/galerne/internal/api/openai/page"
	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/fault"
	"github.com/galerne-ai/galerne/internal/jobs"
)

const (
	dialect = "openai" // what jobs calls our answers
	look    = 100 * time.Millisecond
	idle    = 30 * time.Second // how long a reader of a stream may take nothing
)

// Stored are for openai.Surface: answers are kept in a store for a time unless the caller says
// otherwise.
func Stored(s *jobs.Store, keep time.Duration) []api.Route {
	h := &handler{s, keep}
	return append(h.routes(), []api.Route{
		{Method: "GET", Pattern: "/v1/responses/{id}", Scope: api.Generate, Handle: h.get},
		{Method: "DELETE", Pattern: "/v1/responses/{id}", Scope: api.Generate, Handle: h.remove},
		{Method: "POST", Pattern: "/v1/responses/{id}/cancel", Scope: api.Generate, Handle: h.cancel},
		{Method: "GET", Pattern: "/v1/responses/{id}/input_items", Scope: api.Generate, Handle: h.inputItems},
	}...)
}

var errPrevious = fault.New(fault.Invalid, "previous_response_not_found", "responses: no such previous response")

func (b *body) background() bool { return b.Background != nil && *b.Background }

// remember reads what only a server with a store can do: items that are named become what they are, and
// what was said before comes in front of what is asked.
func (h *handler) remember(c *api.Call, b *body) error {
	b.keep = b.Store == nil || *b.Store
	if b.background() && !b.keep {
		return openai.Invalid("store", "an answer in the background is stored: leave store out, or background")
	}
	if err := h.recall(c, b); err != nil || b.PreviousID == nil {
		return err
	}
	before, err := h.before(c, *b.PreviousID)
	if err != nil {
		return err
	}
	own, err := itemsOf(b.Input)
	if err != nil {
		return err
	}
	b.heard, err = json.Marshal(append(before, own...))
	return err
}

// recall puts items of answers that are kept where the input names them.
func (h *handler) recall(c *api.Call, b *body) error {
	if !bytes.Contains(b.Input, []byte(reference)) { // what others do need not be read twice
		return nil
	}
	all, err := itemsOf(b.Input)
	if err != nil {
		return err
	}
	for i, raw := range all {
		var it struct{ Type, ID string }
		at := fmt.Sprintf("input[%d]", i)
		if err := api.Decode(at, raw, &it, false); err != nil {
			return err
		}
		if it.Type != reference {
			continue
		}
		if all[i], err = h.named(c, at, it.ID); err != nil {
			return err
		}
	}
	b.Input, err = json.Marshal(all)
	b.heard = b.Input
	return err
}

// named is an item of an output or an input that is kept. Its ID has that of its answer in it.
func (h *handler) named(c *api.Call, at, id string) (json.RawMessage, error) {
	none := jobs.ErrNotFound.Because("responses: Item with id %.80q not found: its answer is not stored here, or no longer; send the item itself", id).At(at + ".id")
	words := strings.Split(id, "_")
	if len(words) < 3 {
		return nil, none
	}
	k, err := h.s.Kept(c.R.Context(), c.Owner(), dialect, words[1])
	if errors.Is(err, jobs.ErrNotFound) {
		err = none
	}
	if err != nil {
		return nil, err
	}
	var got struct {
		Output []json.RawMessage `json:"output"`
	}
	if err := json.Unmarshal(k.Answer, &got); err != nil {
		return nil, err
	}
	said, err := itemsOf(k.Input)
	if err != nil {
		return nil, err
	}
	for i, raw := range append(said, got.Output...) {
		if own, _, err := namedItem(k.ID, i, raw); err == nil && own == id {
			return raw, nil
		}
	}
	return nil, none
}

// before is the input and the output of an answer and of all that it goes on from.
func (h *handler) before(c *api.Call, id string) (out []json.RawMessage, err error) {
	const at = "previous_response_id"
	chain, err := h.s.Chain(c.R.Context(), c.Owner(), dialect, strings.TrimPrefix(id, "resp_"))
	if errors.Is(err, jobs.ErrNotFound) {
		return nil, errPrevious.Because("responses: Previous response with id %.80q not found: it is not stored here, or no longer", id).At(at)
	}
	if err != nil {
		return nil, err
	}
	for i := range chain {
		var got struct {
			Output []json.RawMessage `json:"output"`
		}
		if chain[i].State != jobs.Done {
			return nil, openai.Invalid(at, "the response resp_%s is %s: go on from one that is completed", chain[i].ID, statusNow(&chain[i]))
		}
		if err := json.Unmarshal(chain[i].Answer, &got); err != nil {
			return nil, err
		}
		in, err := itemsOf(chain[i].Input)
		if err != nil {
			return nil, err
		}
		out = append(append(out, in...), got.Output...)
	}
	return out, nil
}

// itemsOf is the input as items, a text as the message that it means.
func itemsOf(raw json.RawMessage) (out []json.RawMessage, err error) {
	if openai.IsNull(raw) {
		return nil, openai.Missing("input")
	}
	if raw[0] != '"' {
		err = api.Decode("input", raw, &out, false)
		return out, err
	}
	message, err := json.Marshal(map[string]any{"type": "message", "role": "user", "content": []any{map[string]any{"type": "input_text", "text": raw}}})
	return []json.RawMessage{message}, err
}

// keep stores a whole answer. One that cannot be stored is given all the same, and says that it is not
// stored.
func (h *handler) keep(c *api.Call, b *body, whole *response) {
	text, err := api.Encode(whole)
	if err == nil {
		_, err = h.s.Keep(context.WithoutCancel(c.R.Context()), jobs.Kept{ID: strings.TrimPrefix(whole.ID, "resp_"), Owner: c.Owner(), Key: c.KeyID(), Dialect: dialect,
			Previous: previous(b), State: jobs.Done, Input: b.Input, Answer: text, Expires: time.Now().Add(h.keepFor)})
	}
	whole.Store = err == nil
}

func previous(b *body) string {
	if b.PreviousID == nil {
		return ""
	}
	return strings.TrimPrefix(*b.PreviousID, "resp_")
}

// queue stores an answer that is to be made in the background.
func (h *handler) queue(c *api.Call, b *body, r *chat.Request) error {
	request, err := c.Body()
	if err != nil {
		return err
	}
	// Who may not use the model, or names none that there is, is told now.
	if _, err := c.Backend.Model(c.R.Context(), r.Model); err != nil {
		return err
	}
	first := begin(b, r, api.NewID(), "", time.Now())
	first.Status = "queued"
	text, err := api.Encode(first)
	if err != nil {
		return err
	}
	k, err := h.s.Keep(c.R.Context(), jobs.Kept{ID: strings.TrimPrefix(first.ID, "resp_"), Owner: c.Owner(), Key: c.KeyID(), Dialect: dialect, Previous: previous(b),
		State: jobs.Queued, Path: "/openai/v1/responses", Request: request, Input: b.Input, Answer: text, Expires: time.Now().Add(h.keepFor)})
	if err != nil {
		return err
	}
	if b.Stream {
		return h.follow(c, k, -1, nil)
	}
	return c.JSON(http.StatusOK, first)
}

func (h *handler) kept(c *api.Call) (jobs.Kept, error) {
	k, err := h.s.Kept(c.R.Context(), c.Owner(), dialect, strings.TrimPrefix(c.R.PathValue("id"), "resp_"))
	if errors.Is(err, jobs.ErrNotFound) {
		err = jobs.ErrNotFound.Because("responses: Response with id %.80q not found: it is not stored here, or no longer", c.R.PathValue("id")).At("response_id")
	}
	return k, err
}

// get answers GET /v1/responses/{id}, also as the stream that it was or is.
func (h *handler) get(c *api.Call) error {
	k, err := h.kept(c)
	if err != nil {
		return err
	}
	q := c.R.URL.Query()
	if q.Get("stream") != "true" {
		return render(c, &k)
	}
	if k.Path == "" {
		return openai.Invalid("stream", "only answers that were made in the background can be streamed again")
	}
	after := -1
	if text := q.Get("starting_after"); text != "" {
		if after, err = strconv.Atoi(text); err != nil || after < 0 {
			return openai.Invalid("starting_after", "starting_after is %.60q: it must be an event's sequence_number", text)
		}
	}
	even, err := evenness(q.Get("include_obfuscation"))
	if err != nil {
		return err
	}
	return h.follow(c, k, after, even)
}

// evenness is whether the pieces of a stream are to be of even lengths; nil: as they were made.
func evenness(text string) (*bool, error) {
	switch text {
	case "":
		return nil, nil
	case "true", "false":
		even := text == "true"
		return &even, nil
	}
	return nil, openai.Invalid("include_obfuscation", "include_obfuscation is %.60q: true and false are possible", text)
}

// evened is a kept event as this reader wants it.
func evened(e *jobs.Event, even *bool) ([]byte, error) {
	if even == nil || !strings.HasSuffix(e.Name, ".delta") {
		return e.Text, nil
	}
	var piece event
	if err := json.Unmarshal(e.Text, &piece); err != nil {
		return nil, err
	}
	piece.Obfuscation = ""
	if *even {
		if err := piece.fill(); err != nil {
			return nil, err
		}
	}
	return api.Encode(&piece)
}

func statusNow(k *jobs.Kept) string {
	return map[jobs.State]string{jobs.Queued: "queued", jobs.Working: "in_progress", jobs.Stopping: "cancelled", jobs.Stopped: "cancelled", jobs.Refused: "failed"}[k.State]
}

// nowOf is an answer as it is while it is not done, or when it never will be.
func nowOf(k *jobs.Kept) (*response, error) {
	now := new(response)
	if err := json.Unmarshal(k.Answer, now); err != nil {
		return nil, err
	}
	now.Status = statusNow(k)
	if k.State != jobs.Refused {
		return now, nil
	}
	var failed struct {
		Error responseError `json:"error"`
	}
	err := json.Unmarshal(k.Failure, &failed)
	now.Error = &failed.Error
	return now, err
}

// render answers with an answer as it is now.
func render(c *api.Call, k *jobs.Kept) error {
	if k.State == jobs.Done {
		return c.JSON(http.StatusOK, k.Answer)
	}
	now, err := nowOf(k)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, now)
}

// follow streams the events of an answer in the background, those after one, until it has ended.
// Whoever leaves may come back; the answer does not notice.
func (h *handler) follow(c *api.Call, k jobs.Kept, after int, even *bool) error {
	head := c.W.Header()
	head.Set("Content-Type", "text/event-stream")
	head.Set("Cache-Control", "no-cache")
	head.Set("X-Accel-Buffering", "no")
	c.W.WriteHeader(http.StatusOK)
	control := http.NewResponseController(c.W)
	ctx := c.R.Context()
	tick := time.NewTicker(look)
	defer tick.Stop()
	for last := time.Now(); ; {
		now, err := h.s.Kept(ctx, k.Owner, dialect, k.ID) // before its events: then none is missed at the end
		if err != nil {
			return err // the connection is cut, so that nobody takes the part for the whole
		}
		events, err := h.s.Events(ctx, k.ID, after)
		if err != nil {
			return err
		}
		var out strings.Builder
		for _, e := range events {
			text, err := evened(&e, even)
			if err != nil {
				return err
			}
			fmt.Fprintf(&out, "event: %s\ndata: %s\n\n", e.Name, text)
			after = e.N
		}
		if out.Len() == 0 && time.Since(last) > 10*time.Second {
			out.WriteString(": keep-alive\n\n")
		}
		if out.Len() > 0 {
			last = time.Now()
			_ = control.SetWriteDeadline(last.Add(idle)) // not every writer has deadlines
			if _, err := c.W.Write([]byte(out.String())); err != nil || control.Flush() != nil {
				return nil
			}
		}
		if now.Ended() {
			return h.last(c, &now, after)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// last ends a stream whose answer never came to say so itself.
func (h *handler) last(c *api.Call, k *jobs.Kept, after int) error {
	if k.State == jobs.Done {
		return nil
	}
	now, err := nowOf(k)
	if err != nil {
		return err
	}
	e := event{Type: "response." + now.Status, Number: after + 1, Response: now}
	text, err := api.Encode(&e)
	if err == nil {
		fmt.Fprintf(c.W, "event: %s\ndata: %s\n\n", e.Type, text) // a caller who left needs no end
	}
	return err
}

func (h *handler) remove(c *api.Call) error {
	k, err := h.kept(c)
	if err != nil {
		return err
	}
	if err := h.s.Drop(c.R.Context(), k.Owner, dialect, k.ID); err != nil {
		return err
	}
	return openai.Deleted(c, "resp_"+k.ID, "response")
}

func (h *handler) cancel(c *api.Call) error {
	k, err := h.kept(c)
	if err != nil {
		return err
	}
	if k.Path == "" {
		return openai.Invalid("response_id", "only an answer that is made in the background can be cancelled")
	}
	if k, err = h.s.Stop(c.R.Context(), k.Owner, dialect, k.ID); err != nil {
		return err
	}
	return render(c, &k)
}

// inputItems answers GET /v1/responses/{id}/input_items: each has an ID, its own or one by its place.
func (h *handler) inputItems(c *api.Call) error {
	k, err := h.kept(c)
	if err != nil {
		return err
	}
	p, err := page.Read(c, "", page.Shape{Usual: 20, Most: 100})
	if err != nil {
		return err
	}
	all, err := itemsOf(k.Input)
	if err != nil {
		return err
	}
	items := make([]page.Named, len(all))
	for i, raw := range all {
		if items[i].ID, items[i].As, err = namedItem(k.ID, i, raw); err != nil {
			return err
		}
	}
	out, err := page.Cut(items, p, page.NameOf)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, out)
}

// namedItem is an input item with what clients expect of one: an ID, a type, content as parts.
func namedItem(answer string, place int, raw json.RawMessage) (id string, item map[string]json.RawMessage, err error) {
	if err := json.Unmarshal(raw, &item); err != nil {
		return "", nil, err
	}
	if openai.IsNull(item["type"]) {
		item["type"] = json.RawMessage(`"message"`)
	}
	if content := item["content"]; len(content) > 0 && content[0] == '"' {
		kind := "input_text"
		if string(item["role"]) == `"assistant"` {
			kind = "output_text"
		}
		item["content"], err = json.Marshal([]any{map[string]any{"type": kind, "text": content}})
	}
	if _ = json.Unmarshal(item["id"], &id); id == "" { // not there, or null
		prefix := "item_"
		switch string(item["type"]) {
		case `"message"`:
			prefix = "msg_"
		case `"compaction"`:
			prefix = "cmp_"
		}
		id = fmt.Sprintf("%s%s_in_%d", prefix, answer, place)
		item["id"] = json.RawMessage(strconv.Quote(id))
	}
	return id, item, err
}

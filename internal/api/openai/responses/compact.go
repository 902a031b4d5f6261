package responses

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/openai"
	"github.com/galerne-ai/galerne/internal/chat"
)

// compaction is an item that has a summary in the place of what was said.
const compaction = "compaction"

// compactBody is the request of /v1/responses/compact, without what compactFields lists.
type compactBody struct {
	Model        string          `json:"model"`
	Input        json.RawMessage `json:"input"`
	Instructions *string         `json:"instructions"`
	PreviousID   *string         `json:"previous_response_id"`
}

func (h *handler) compactFields() []api.Field {
	out := append(openai.Hints("prompt_cache_key", "prompt_cache_retention", "prompt_cache_options", "service_tier"),
		openai.Refused("image", "models here read text only"))
	if h.s == nil {
		out = append(out, openai.Refused("previous_response_id", notStored))
	}
	return out
}

// compacted is what a conversation can go on from.
type compacted struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created_at"`
	Output  []any  `json:"output"`
	Usage   *usage `json:"usage"`
}

type compactionItem struct {
	ID        string `json:"id"`
	Type      string `json:"type"`
	Encrypted string `json:"encrypted_content"`
}

// askSummary is what the model is asked at the end of a conversation that is to be compacted.
const askSummary = "Summarize our conversation so far, so that it can go on from your summary and my own messages alone. " +
	"Keep what was found, decided and done, the names, numbers, code and results of tools that still matter, and what is still to be done. Write the summary only."

// compact answers POST /v1/responses/compact: the user's messages stay, and of all else there is a summary.
func (h *handler) compact(c *api.Call) error {
	var own compactBody
	if err := c.Decode(&own, h.compactFields()); err != nil {
		return err
	}
	b := &body{Model: own.Model, Input: own.Input, Instructions: own.Instructions, PreviousID: own.PreviousID}
	r, err := h.request(c, b)
	if err != nil {
		return err
	}
	r.Messages = append(r.Messages, chat.Message{Role: chat.User, Parts: []chat.Part{{Text: askSummary}}})
	got, err := c.Answer(r)
	if err != nil {
		return err
	}
	summary, err := summaryOf(got)
	if err != nil {
		return err
	}
	id := openai.Named("", c.ID)
	out := compacted{ID: "resp_" + id, Object: "response.compaction", Created: got.Created.Unix(), Usage: usageOf(&got.Usage)}
	if out.Output, err = usersOwn(id, b.heard); err != nil {
		return err
	}
	out.Output = append(out.Output, compactionItem{"cmp_" + id, compaction, sealed(summary)})
	return c.JSON(http.StatusOK, &out)
}

// summaryOf is what an answer says, if it says all.
func summaryOf(got *chat.Response) (string, error) {
	var text strings.Builder
	for _, choice := range got.Choices {
		if statusOf(choice.Finish) != "completed" {
			return "", openai.Invalid("input", "the summary was cut, since the model's context is full: compact earlier, or send less")
		}
		for i := range choice.Blocks {
			if choice.Blocks[i].Kind == chat.TextBlock {
				text.WriteString(choice.Blocks[i].Text)
			}
		}
	}
	if strings.TrimSpace(text.String()) == "" {
		return "", openai.Invalid("model", "the model wrote no summary: name another one")
	}
	return strings.TrimSpace(text.String()), nil
}

// usersOwn are the user's messages in a conversation.
func usersOwn(id string, conversation json.RawMessage) ([]any, error) {
	all, err := itemsOf(conversation)
	if err != nil {
		return nil, err
	}
	out := []any{}
	for i, raw := range all {
		_, item, err := namedItem(id, i, raw)
		if err != nil {
			return nil, err
		}
		if string(item["type"]) != `"message"` || string(item["role"]) != `"user"` {
			continue
		}
		item["status"] = json.RawMessage(`"completed"`)
		out = append(out, item)
	}
	return out, nil
}

// seal is what stands in a compaction item. It is no secret: clients keep it and send it back.
type seal struct {
	Summary *string `json:"summary"`
}

func sealed(summary string) string {
	text, _ := json.Marshal(seal{&summary}) // a string: cannot fail
	return base64.StdEncoding.EncodeToString(text)
}

// summary reads a compaction: the model has said it.
func (in *input) summary(at string, it *item) error {
	if it.Encrypted == nil {
		return openai.Missing(at + ".encrypted_content")
	}
	var s seal
	text, err := base64.StdEncoding.DecodeString(*it.Encrypted)
	if err != nil || json.Unmarshal(text, &s) != nil || s.Summary == nil {
		return openai.Invalid(at+".encrypted_content", "%s.encrypted_content is not of this server: send the conversation, or a summary of it as a message", at)
	}
	in.add(chat.Assistant, chat.Part{Text: "Summary of our conversation so far:\n\n" + *s.Summary})
	return nil
}

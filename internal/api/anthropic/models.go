package anthropic

import (
	"net/http"
	"strconv"
	"time"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

type model struct {
	Type         string  `json:"type"`
	ID           string  `json:"id"`
	DisplayName  string  `json:"display_name"`
	CreatedAt    string  `json:"created_at"`
	MaxInput     int     `json:"max_input_tokens,omitempty"`
	MaxTokens    int     `json:"max_tokens,omitempty"`
	Lifecycle    string  `json:"lifecycle"`
	Line         *string `json:"line"`
	Capabilities *string `json:"capabilities"` // what a model can do is found out when it is asked
	DeprecatedAt *string `json:"deprecated_at"`
	RetiresAt    *string `json:"retires_at"`
}

func modelOf(m *chat.Model, name string) model {
	return model{Type: "model", ID: name, DisplayName: m.Name, CreatedAt: m.Created.UTC().Format(time.RFC3339),
		MaxInput: m.Context, MaxTokens: m.Context, Lifecycle: "active"}
}

type modelList struct {
	Data    []model `json:"data"`
	HasMore bool    `json:"has_more"`
	FirstID *string `json:"first_id"`
	LastID  *string `json:"last_id"`
}

const (
	usualModels = 20
	maxModels   = 1000
)

// listModels answers GET /v1/models, a page of it: after_id and before_id say where, limit how many.
func listModels(c *api.Call) error {
	all, err := c.Backend.Models(c.R.Context())
	if err != nil {
		return err
	}
	q := c.R.URL.Query()
	limit := usualModels
	if text := q.Get("limit"); text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > maxModels {
			return invalid("limit", "limit is %q: it must be from 1 to %d", text, maxModels)
		}
	}
	after, before := q.Get("after_id"), q.Get("before_id")
	if after != "" && before != "" {
		return invalid("before_id", "after_id and before_id are both given: send one")
	}
	begin, end := 0, len(all)
	for i := range all {
		switch all[i].Name {
		case after:
			begin = i + 1
		case before:
			end = i
		}
	}
	out := modelList{Data: []model{}, HasMore: end-begin > limit}
	if before != "" {
		begin = max(begin, end-limit)
	}
	for i := begin; i < min(end, begin+limit); i++ {
		out.Data = append(out.Data, modelOf(&all[i], all[i].Name))
	}
	if n := len(out.Data); n > 0 {
		out.FirstID, out.LastID = &out.Data[0].ID, &out.Data[n-1].ID
	}
	return c.JSON(http.StatusOK, &out)
}

// getModel answers GET /v1/models/{id}, where the id is a name or an alias and may have slashes.
func getModel(c *api.Call) error {
	name := c.R.PathValue("id")
	m, err := c.Backend.Model(c.R.Context(), name)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, modelOf(m, name))
}

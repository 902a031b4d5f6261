package openai

import (
	"net/http"
	"time"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

// model is an item of the list. Some paths are shared with other vendors' clients, whose keys for
// the same facts stand beside OpenAI's.
type model struct {
	ID          string `json:"id"`
	Object      string `json:"object"`
	Created     int64  `json:"created"`
	OwnedBy     string `json:"owned_by"`
	MaxModelLen int    `json:"max_model_len,omitempty"`
	Type        string `json:"type"`
	DisplayName string `json:"display_name"`
	CreatedAt   string `json:"created_at"`
}

type modelList struct {
	Object  string       `json:"object"`
	Data    []model      `json:"data"`
	HasMore bool         `json:"has_more"`
	FirstID *string      `json:"first_id"`
	LastID  *string      `json:"last_id"`
	Models  []listedName `json:"models"`
}

type listedName struct {
	Name string `json:"name"`
}

func modelOf(m *chat.Model, name string) model {
	return model{ID: name, Object: "model", Created: m.Created.Unix(), OwnedBy: "galerne", MaxModelLen: m.Context,
		Type: "model", DisplayName: name, CreatedAt: m.Created.UTC().Format(time.RFC3339)}
}

// listModels answers GET /v1/models.
func listModels(c *api.Call) error {
	all, err := c.Backend.Models(c.R.Context())
	if err != nil {
		return err
	}
	out := modelList{Object: "list", Data: []model{}, Models: []listedName{}}
	for i := range all {
		out.Data = append(out.Data, modelOf(&all[i], all[i].Name))
		out.Models = append(out.Models, listedName{all[i].Name})
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

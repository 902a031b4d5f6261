package mistral

import (
	"net/http"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

type model struct {
	ID           string          `json:"id"`
	Object       string          `json:"object"`
	Created      int64           `json:"created"`
	OwnedBy      string          `json:"owned_by"`
	Capabilities map[string]bool `json:"capabilities"`
	Name         string          `json:"name"`
	Description  *string         `json:"description"`
	MaxContext   int             `json:"max_context_length"`
	Aliases      []string        `json:"aliases"`
	Deprecation  *string         `json:"deprecation"`
	Temperature  *float64        `json:"default_model_temperature"`
	Type         string          `json:"type"`
}

func modelOf(m *chat.Model, name string) model {
	out := model{ID: name, Object: "model", Created: m.Created.Unix(), OwnedBy: "galerne", Name: m.Name, MaxContext: m.Context,
		Aliases: m.Aliases, Type: "base", Capabilities: map[string]bool{"completion_chat": m.Chats, "completion_fim": m.FillsMiddle,
			"function_calling": m.CallsTools, "reasoning": m.Thinks, "fine_tuning": false, "vision": false, "classification": len(m.Labels) > 0}}
	if out.Aliases == nil {
		out.Aliases = []string{}
	}
	return out
}

// listModels answers GET /v1/models.
func listModels(c *api.Call) error {
	all, err := c.Backend.Models(c.R.Context())
	if err != nil {
		return err
	}
	out := []model{}
	for i := range all {
		out = append(out, modelOf(&all[i], all[i].Name))
	}
	return c.JSON(http.StatusOK, map[string]any{"object": "list", "data": out})
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

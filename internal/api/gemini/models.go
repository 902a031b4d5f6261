package gemini

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

type model struct {
	Name        string   `json:"name"`
	BaseModelID string   `json:"baseModelId"`
	Version     string   `json:"version"`
	DisplayName string   `json:"displayName"`
	Description string   `json:"description"`
	InputLimit  int      `json:"inputTokenLimit"`
	OutputLimit int      `json:"outputTokenLimit"`
	Methods     []string `json:"supportedGenerationMethods"`
	Thinking    bool     `json:"thinking"`
}

func describe(m *chat.Model, name string) model {
	out := model{Name: "models/" + name, BaseModelID: m.Name, Version: m.Digest, DisplayName: m.Name, InputLimit: m.Context, OutputLimit: m.Context,
		Description: strings.Join(strings.Fields(m.Arch+" "+m.Quantization+" "+m.Licence), " "), Methods: []string{}, Thinking: m.Thinks}
	if m.Chats {
		out.Methods = append(out.Methods, "generateContent", "streamGenerateContent", "countTokens")
	}
	if m.Embeds {
		out.Methods = append(out.Methods, "embedContent", "batchEmbedContents")
	}
	return out
}

const (
	usualModels = 50
	maxModels   = 1000
)

// listModels answers GET /v1/models, a page of it. The token of the next page is the number of the models
// before it.
func listModels(c *api.Call) error {
	all, err := c.Backend.Models(c.R.Context())
	if err != nil {
		return err
	}
	q := c.R.URL.Query()
	size, begin := usualModels, 0
	if text := firstOf(q.Get("pageSize"), q.Get("page_size")); text != "" {
		if size, err = strconv.Atoi(text); err != nil || size < 0 {
			return invalid("pageSize", "pageSize is %q: it must be from 1 to %d", text, maxModels)
		}
		if size == 0 {
			size = usualModels
		}
		size = min(size, maxModels)
	}
	if text := firstOf(q.Get("pageToken"), q.Get("page_token")); text != "" {
		if begin, err = strconv.Atoi(text); err != nil || begin < 0 {
			return invalid("pageToken", "pageToken is %q, which is none of this server's", text)
		}
	}
	out := struct {
		Models []model `json:"models"`
		Next   string  `json:"nextPageToken,omitempty"`
	}{Models: []model{}}
	for i := begin; i < min(begin+size, len(all)); i++ {
		out.Models = append(out.Models, describe(&all[i], all[i].Name))
	}
	if begin+size < len(all) {
		out.Next = strconv.Itoa(begin + size)
	}
	return c.JSON(http.StatusOK, &out)
}

// getModel answers GET /v1/models/{model}, where it is a name or an alias and may have slashes.
func getModel(c *api.Call) error {
	name := c.R.PathValue("model")
	m, err := c.Backend.Model(c.R.Context(), name)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, describe(m, name))
}

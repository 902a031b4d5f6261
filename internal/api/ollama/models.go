package ollama

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

// details describe a model in lists.
type details struct {
	Parent       string   `json:"parent_model"`
	Format       string   `json:"format"`
	Family       string   `json:"family"`
	Families     []string `json:"families"`
	Parameters   string   `json:"parameter_size"`
	Quantization string   `json:"quantization_level"`
}

func detailsOf(m *chat.Model) details {
	d := details{Format: "gguf", Family: m.Arch, Families: []string{}, Parameters: short(m.Parameters), Quantization: m.Quantization}
	if m.Arch != "" {
		d.Families = append(d.Families, m.Arch)
	}
	return d
}

// short is a number of parameters as people say it: 134.5M.
func short(n int64) string {
	for _, unit := range []struct {
		size int64
		name string
	}{{1e9, "B"}, {1e6, "M"}, {1e3, "K"}} {
		if n >= unit.size {
			return strconv.FormatFloat(float64(n)/float64(unit.size), 'f', 1, 64) + unit.name
		}
	}
	return strconv.FormatInt(n, 10)
}

type listed struct {
	Name     string  `json:"name"`
	Model    string  `json:"model"`
	Modified string  `json:"modified_at"`
	Size     int64   `json:"size"`
	Digest   string  `json:"digest"`
	Details  details `json:"details"`
}

// listModels answers GET /api/tags.
func listModels(c *api.Call) error {
	all, err := c.Backend.Models(c.R.Context())
	if err != nil {
		return err
	}
	out := struct {
		Models []listed `json:"models"`
	}{[]listed{}}
	for i := range all {
		m := &all[i]
		out.Models = append(out.Models, listed{tagged(m.Name), tagged(m.Name), timestamp(m.Created), m.Bytes, m.Digest, detailsOf(m)})
	}
	return c.JSON(http.StatusOK, &out)
}

type inMemory struct {
	Name     string  `json:"name"`
	Model    string  `json:"model"`
	Size     int64   `json:"size"`
	Digest   string  `json:"digest"`
	Details  details `json:"details"`
	Expires  string  `json:"expires_at"`
	SizeVRAM int64   `json:"size_vram"` // of a graphics card: none is used
	Context  int     `json:"context_length"`
}

// listLoaded answers GET /api/ps.
func listLoaded(c *api.Call) error {
	all, err := c.Backend.Models(c.R.Context())
	if err != nil {
		return err
	}
	out := struct {
		Models []inMemory `json:"models"`
	}{[]inMemory{}}
	for i := range all {
		m := &all[i]
		if !m.Loaded {
			continue
		}
		expires := m.Expires
		if expires.IsZero() { // it stays: a time that every client can read
			expires = time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC)
		}
		out.Models = append(out.Models, inMemory{Name: tagged(m.Name), Model: tagged(m.Name), Size: m.MemoryBytes, Digest: m.Digest,
			Details: detailsOf(m), Expires: timestamp(expires), Context: m.Context})
	}
	return c.JSON(http.StatusOK, &out)
}

type showBody struct {
	Model string `json:"model"`
	Name  string `json:"name"` // the same in older programs
}

type shown struct {
	Modelfile    string         `json:"modelfile"`
	Parameters   string         `json:"parameters,omitempty"`
	Template     string         `json:"template"`
	License      string         `json:"license,omitempty"`
	Details      details        `json:"details"`
	Info         map[string]any `json:"model_info"`
	Capabilities []string       `json:"capabilities"`
	Modified     string         `json:"modified_at"`
}

// show answers POST /api/show.
func show(c *api.Call) error {
	var b showBody
	if err := c.Decode(&b, showFields()); err != nil {
		return err
	}
	asked := b.Model
	if asked == "" {
		asked = b.Name
	}
	name, err := modelName("model", asked)
	if err != nil {
		return err
	}
	m, err := c.Backend.Model(c.R.Context(), name)
	if err != nil {
		return about(asked, err)
	}
	return c.JSON(http.StatusOK, shownOf(m))
}

func shownOf(m *chat.Model) *shown {
	out := &shown{Modelfile: fmt.Sprintf("# Galerne serves %s; there is no Modelfile.\nFROM %s\n", m.Name, m.Name), Template: m.Template, License: m.Licence,
		Details: detailsOf(m), Info: map[string]any{}, Capabilities: []string{}, Modified: timestamp(m.Created)}
	if m.Arch != "" {
		out.Info["general.architecture"] = m.Arch
		out.Info[m.Arch+".context_length"] = m.Context
	}
	if m.Parameters > 0 {
		out.Info["general.parameter_count"] = m.Parameters
	}
	if m.Tokenizer != "" {
		out.Info["tokenizer.ggml.model"] = m.Tokenizer
	}
	for _, can := range []struct {
		able bool
		word string
	}{{m.Chats, "completion"}, {m.CallsTools, "tools"}, {m.FillsMiddle, "insert"}, {m.Thinks, "thinking"}, {m.Embeds, "embedding"}} {
		if can.able {
			out.Capabilities = append(out.Capabilities, can.word)
		}
	}
	return out
}

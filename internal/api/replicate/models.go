package replicate

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

// own is who owns models whose names tell no owner.
const own = "galerne"

type model struct {
	URL        string   `json:"url"`
	Owner      string   `json:"owner"`
	Name       string   `json:"name"`
	About      string   `json:"description"`
	Visibility string   `json:"visibility"`
	GitHub     *string  `json:"github_url"`
	Paper      *string  `json:"paper_url"`
	Licence    *string  `json:"license_url"`
	Runs       int      `json:"run_count"`
	Cover      *string  `json:"cover_image_url"`
	Example    *string  `json:"default_example"`
	Latest     *version `json:"latest_version"`
}

type version struct {
	ID      string          `json:"id"`
	Created string          `json:"created_at"`
	Cog     string          `json:"cog_version"` // that the schema's form is of
	Schema  json.RawMessage `json:"openapi_schema"`
}

// page is a list, or a part of one.
type page struct {
	Previous *string `json:"previous"`
	Next     *string `json:"next"`
	Results  any     `json:"results"`
}

// slug is a model's name with its owner.
func slug(name string) string {
	if strings.Contains(name, "/") {
		return name
	}
	return own + "/" + name
}

// versionOf is the ID of a model's only version: the digest of its weights, or of its name if that is not
// known.
func versionOf(m *chat.Model) string {
	if m.Digest != "" {
		return m.Digest
	}
	sum := sha256.Sum256([]byte(m.Name))
	return hex.EncodeToString(sum[:])
}

func describe(c *api.Call, m *chat.Model) (*model, error) {
	owner, name, _ := strings.Cut(slug(m.Name), "/")
	v, err := describeVersion(m)
	return &model{URL: base(c) + "/v1/models/" + owner + "/" + name, Owner: owner, Name: name, Visibility: "private", Latest: v,
		About: strings.Join(strings.Fields(m.Arch+" "+m.Quantization+" "+m.Licence), " ")}, err
}

func describeVersion(m *chat.Model) (*version, error) {
	schema, err := api.Encode(openAPI(m))
	return &version{versionOf(m), m.Created.UTC().Format(stamp), "0.13.0", schema}, err
}

// openAPI is the schema by which clients know that the output is text in pieces.
func openAPI(m *chat.Model) any {
	type object = map[string]any
	input := object{"type": "object", "title": "Input", "required": []string{"prompt"}, "properties": inputSchema()}
	output := object{"type": "array", "title": "Output", "items": object{"type": "string"}, "x-cog-array-type": "iterator", "x-cog-array-display": "concatenate"}
	if !m.Chats && m.Embeds {
		input = object{"type": "object", "title": "Input", "properties": object{"text": object{"type": "string"}, "texts": object{"type": "string", "description": "a JSON list of strings"}}}
		output = object{"type": "array", "title": "Output", "items": object{"type": "object", "properties": object{"embedding": object{"type": "array", "items": object{"type": "number"}}}}}
	}
	return object{"openapi": "3.0.2", "info": object{"title": "Cog", "version": "0.1.0"}, "paths": object{},
		"components": object{"schemas": object{"Input": input, "Output": output}}}
}

// find gives the model that a path names.
func find(c *api.Call) (*chat.Model, error) {
	owner, name := c.R.PathValue("owner"), c.R.PathValue("name")
	if owner == own {
		return c.Backend.Model(c.R.Context(), name)
	}
	return c.Backend.Model(c.R.Context(), owner+"/"+name)
}

// byVersion gives the model of a version: its ID, or OWNER/NAME, with or without :ID.
func byVersion(c *api.Call, id string) (*chat.Model, error) {
	name, _ := strings.CutPrefix(id, own+"/")
	if m, err := c.Backend.Model(c.R.Context(), name); err == nil {
		return m, nil
	}
	if i := strings.LastIndexByte(id, ':'); i >= 0 {
		id = id[i+1:]
	}
	all, err := c.Backend.Models(c.R.Context())
	if err != nil {
		return nil, err
	}
	for i := range all {
		if versionOf(&all[i]) == id {
			return &all[i], nil
		}
	}
	return nil, chat.ErrModel.Because("replicate: there is no version %.80q: GET /v1/models lists the models with theirs", id).At("version")
}

// listModels answers GET /v1/models, all of them.
func listModels(c *api.Call) error {
	all, err := c.Backend.Models(c.R.Context())
	if err != nil {
		return err
	}
	out := make([]*model, len(all))
	for i := range all {
		if out[i], err = describe(c, &all[i]); err != nil {
			return err
		}
	}
	return c.JSON(http.StatusOK, page{Results: out})
}

func getModel(c *api.Call) error {
	m, err := find(c)
	if err != nil {
		return err
	}
	out, err := describe(c, m)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, out)
}

func listVersions(c *api.Call) error {
	m, err := find(c)
	if err != nil {
		return err
	}
	v, err := describeVersion(m)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, page{Results: []*version{v}})
}

func getVersion(c *api.Call) error {
	m, err := find(c)
	if err != nil {
		return err
	}
	if id := c.R.PathValue("id"); id != versionOf(m) {
		return chat.ErrModel.Because("replicate: %s has no version %.80q: it has %s", slug(m.Name), id, versionOf(m))
	}
	v, err := describeVersion(m)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, v)
}

func account(c *api.Call) error {
	return c.JSON(http.StatusOK, map[string]any{"type": "organization", "username": own, "name": "Galerne", "github_url": nil})
}

func hardware(c *api.Call) error {
	return c.JSON(http.StatusOK, []map[string]string{{"name": "CPU", "sku": "cpu"}})
}

func collections(c *api.Call) error {
	return c.JSON(http.StatusOK, page{Results: []string{}})
}

// Package azure answers: what does Azure add to OpenAI's API? Deployments in the path, which are
// names of models here, a version in the query, and errors of its own. The rest is package openai's.
package azure

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/openai"
	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/fault"
)

// Surface is Azure OpenAI's API over the routes of OpenAI's.
func Surface(of *api.Surface) *api.Surface {
	s := &api.Surface{
		Name:  "azure",
		Marks: []api.Mark{{Header: "Api-Key"}, {Header: "User-Agent", Prefix: "AzureOpenAI/"}, {Header: "User-Agent", Prefix: "AsyncAzureOpenAI/"}},
		Error: writeError,
		Head: func(c *api.Call, h http.Header) {
			of.Head(c, h)
			h.Set("Apim-Request-Id", c.ID)
		},
	}
	for _, rt := range of.Routes {
		path := strings.TrimPrefix(rt.Pattern, "/v1")
		plain := rt
		plain.Pattern, plain.Body = "/openai/v1"+path, nil // its fields are documented with OpenAI's
		s.Routes = append(s.Routes, plain)
		switch rt.Method + " " + path {
		case "POST /chat/completions", "POST /completions", "POST /embeddings":
			path = "/deployments/{deployment}" + path
		}
		rt.Pattern, rt.Body, rt.Handle = "/openai"+path, nil, versioned(rt.Handle)
		s.Routes = append(s.Routes, rt)
	}
	return s
}

// errVersion: the query has no api-version, or one that is none.
var errVersion = fault.New(fault.NotFound, "404", "azure: no such api-version")

// version is a date, with or without a word after it, or a name.
var version = regexp.MustCompile(`^(\d{4}-\d{2}-\d{2}(-[a-z]+)?|preview|latest|v1)$`)

// versioned refuses requests that do not say which version of the API they are for, as Azure does.
// All versions are answered alike.
func versioned(handle func(*api.Call) error) func(*api.Call) error {
	return func(c *api.Call) error {
		asked := c.R.URL.Query().Get("api-version")
		if asked == "" {
			return errVersion.Because("azure: Resource not found: the query needs api-version, as in ?api-version=2024-10-21")
		}
		if !version.MatchString(asked) {
			return errVersion.Because("azure: Resource not found: api-version is %q: it must be a date such as 2024-10-21, with or without -preview, or preview, latest or v1", asked)
		}
		return handle(c)
	}
}

// writeError writes OpenAI's error with Azure's codes.
func writeError(c *api.Call, f *api.Failure) {
	own := *f
	switch {
	case f.Code == chat.ErrModel.Code:
		own.Code, own.Message = "DeploymentNotFound", "The API deployment for this resource does not exist: "+f.Message
	case f.Status == http.StatusUnauthorized, f.Status == http.StatusNotFound, f.Status == http.StatusTooManyRequests:
		own.Code = strconv.Itoa(f.Status)
	}
	openai.Error(c, &own)
}

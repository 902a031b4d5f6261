package sdk

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/api/apitest"
)

// nobody is a Keys that knows no key, so that a request is told where it belongs and goes no further.
type nobody struct{}

func (nobody) Any() bool                                                { return true }
func (nobody) Lookup(context.Context, api.Credential) (*api.Key, error) { return nil, api.ErrKey }

var segment = regexp.MustCompile(`\{[^}]*\}`)

// TestEveryClientFindsItsVendor sends, for every route of every vendor, a request below the vendor's
// prefix and one to the root path with each of its marks, headers and fields: all of them must arrive there. Who gets a
// root path that several vendors have when nothing tells them apart is a golden table.
func TestEveryClientFindsItsVendor(t *testing.T) {
	var at api.Record
	all := surfaces(nil)
	s, err := api.New(api.Options{Backend: &apitest.Backend{}, Surfaces: all, Keys: nobody{}, Done: func(r api.Record) { at = r }})
	if err != nil {
		t.Fatal(err)
	}
	arrives := func(method, path, body string, header ...string) string {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		for i := 0; i+1 < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		s.ServeHTTP(httptest.NewRecorder(), r)
		return at.Surface
	}
	owners := map[string][]string{}
	for _, sf := range all {
		for _, rt := range sf.Routes {
			path := segment.ReplaceAllString(strings.TrimSuffix(rt.Pattern, "{$}"), "m") + rt.Verb
			if got := arrives(rt.Method, "/"+sf.Name+path, ""); got != sf.Name {
				t.Errorf("%s /%s%s arrives at %s", rt.Method, sf.Name, path, got)
			}
			row := rt.Method + " " + path
			if !slices.Contains(owners[row], sf.Name) {
				owners[row] = append(owners[row], sf.Name)
			}
			for _, m := range sf.Marks {
				value, body := m.Prefix, ""
				if value == "" {
					value = "x"
				}
				header := []string{m.Header, value}
				if m.Field != "" {
					header, body = nil, fmt.Sprintf(`{"model":"m","%s":null}`, m.Field)
				}
				if body != "" && rt.Method != "POST" {
					continue
				}
				// Azure's older paths begin with the name of another surface.
				if got := arrives(rt.Method, path, body, header...); got != sf.Name && !strings.HasPrefix(path, "/openai/v1") {
					t.Errorf("%s %s with %q %s arrives at %s, not at %s", rt.Method, path, header, body, got, sf.Name)
				}
			}
		}
	}
	var rows []string
	for row, names := range owners {
		if len(names) > 1 {
			method, path, _ := strings.Cut(row, " ")
			rows = append(rows, fmt.Sprintf("%-6s %-28s %-10s of %s\n", method, path, arrives(method, path, ""), strings.Join(names, ", ")))
		}
	}
	slices.Sort(rows)
	golden := filepath.Join("testdata", "dispatch.txt")
	if update.Value.String() == "true" {
		if err := os.WriteFile(golden, []byte(strings.Join(rows, "")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(rows, ""); got != string(want) {
		t.Errorf("who gets a shared path has changed (-update writes the table anew); want\n%s\ngot\n%s", want, got)
	}
}

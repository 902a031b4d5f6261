package hub

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"
)

// partial is a file on its way: bytes are appended and hashed, and what is safely on the disk is noted
// beside it from time to time. Its lock is held by whoever has it open.
type partial struct {
	path, notePath string
	file           *os.File
	hash           hash.Hash
	bytes          int64
	limit          int64 // a byte more is an error
	resumed        int64 // bytes that were there already
	note           note
	noted          time.Time
	grew           func(n int64)
}

// note is what one needs to know to continue: FORMAT.md, "partial".
type note struct {
	Format  int      `json:"format"`
	Sources []string `json:"sources"`
	Done    []int64  `json:"done"`   // bytes of each source that is complete
	ETag    string   `json:"etag"`   // of the source that is being read
	Synced  int64    `json:"synced"` // bytes that the disk has for sure
}

// A note is made after so many bytes or so much time: what a kill or a power failure can cost.
const (
	noteBytes = 64 << 20
	noteTime  = 2 * time.Second
	noteRoom  = 64 << 10 // what a full disk gives up for the note
)

// openPartial opens the file of a key, with what earlier tries got if their sources were the same.
func (h *Hub) openPartial(ctx context.Context, key string, sources []string, limit int64, checking func(done, total int64)) (*partial, error) {
	p := &partial{path: h.at(partialDir, key+".part"), notePath: h.at(partialDir, key+".json"), hash: sha256.New(), limit: limit, noted: time.Now()}
	data, err := readLimited(p.notePath, maxCatalogueBytes)
	if err == nil {
		err = json.Unmarshal(data, &p.note)
	}
	if err != nil || p.note.Format != 1 || !slices.Equal(p.note.Sources, sources) || len(p.note.Done) > len(sources) {
		p.note = note{}
	}
	p.note.Format, p.note.Sources = 1, sources
	if p.file, err = os.OpenFile(p.path, os.O_CREATE|os.O_RDWR, 0o644); err != nil {
		return nil, storeError("a partial file cannot be made", err)
	}
	have := min(p.note.Synced, max(sizeOf(p.path), 0))
	if have < p.start() || have > limit {
		p.note.Done, p.note.ETag, have = nil, "", 0
	}
	if err := p.truncate(ctx, have, checking); err != nil {
		p.close()
		return nil, err
	}
	p.resumed = have
	return p, nil
}

// start is where the source that is being read begins.
func (p *partial) start() int64 {
	var n int64
	for _, done := range p.note.Done {
		n += max(done, 0)
	}
	return n
}

// truncate cuts the file and hashes what stays.
func (p *partial) truncate(ctx context.Context, to int64, checking func(done, total int64)) error {
	p.hash.Reset()
	p.bytes = 0
	err := p.file.Truncate(to)
	if err == nil {
		_, err = p.file.Seek(0, io.SeekStart)
	}
	buf := make([]byte, 1<<20)
	for err == nil && p.bytes < to {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var n int
		n, err = io.ReadFull(p.file, buf[:min(int64(len(buf)), to-p.bytes)])
		p.hash.Write(buf[:n])
		p.bytes += int64(n)
		if checking != nil {
			checking(p.bytes, to)
		}
	}
	if err != nil {
		return storeError("a partial file cannot be continued", err)
	}
	p.note.Synced = min(p.note.Synced, to)
	return nil
}

// restart forgets what came of the source that is being read.
func (p *partial) restart(ctx context.Context) error {
	was := p.bytes
	err := p.truncate(ctx, p.start(), nil)
	if p.grew != nil {
		p.grew(p.bytes - was)
	}
	return err
}

// Write appends. Errors: ErrSize, ErrFull, ErrStore.
func (p *partial) Write(b []byte) (int, error) {
	if int64(len(b)) > p.limit-p.bytes {
		return 0, ErrSize.Because("hub: the source sends more than the %d bytes that the file should have", p.limit)
	}
	n, err := p.file.Write(b)
	p.hash.Write(b[:n])
	p.bytes += int64(n)
	if p.grew != nil {
		p.grew(int64(n))
	}
	if err != nil {
		return n, storeError("a file cannot be written", err)
	}
	if p.bytes-p.note.Synced >= noteBytes || time.Since(p.noted) >= noteTime {
		return n, p.sync()
	}
	return n, nil
}

// sync notes what is on the disk.
func (p *partial) sync() error {
	err := p.file.Sync()
	if err == nil {
		p.note.Synced, p.noted = p.bytes, time.Now()
		var data []byte
		if data, err = json.Marshal(p.note); err == nil {
			err = writeAtomic(p.notePath, data)
		}
	}
	if err != nil {
		return storeError("a partial file cannot be kept", err)
	}
	return nil
}

// begin is called before a source is read. What came of another version of it, or of one that cannot be
// told from others, is forgotten.
func (p *partial) begin(ctx context.Context, etag string) error {
	if p.bytes > p.start() && (etag == "" || p.note.ETag != etag) {
		if err := p.restart(ctx); err != nil {
			return err
		}
	}
	p.note.ETag = etag
	return nil
}

// end is called when a source is complete.
func (p *partial) end() error {
	p.note.Done = append(p.note.Done, p.bytes-p.start())
	p.note.ETag = ""
	return p.sync()
}

// place makes a blob of the complete file, if it is the right one; wrong bytes are removed.
// Errors: ErrSize, ErrDigest, ErrFull, ErrStore.
func (p *partial) place(h *Hub, bytes int64, digest string) (string, error) {
	got := hex.EncodeToString(p.hash.Sum(nil))
	switch {
	case bytes > 0 && p.bytes != bytes:
		err := ErrSize.Because("hub: the file has %d bytes, %d were promised: refused", p.bytes, bytes)
		p.discard()
		return "", err
	case digest != "" && got != digest:
		p.discard()
		return "", ErrDigest.Because("hub: the file has SHA-256 %s, %s was promised: refused and removed", got, digest)
	}
	err := p.file.Chmod(0o444)
	if err == nil {
		err = p.file.Sync()
	}
	if closed := p.file.Close(); err == nil {
		err = closed
	}
	if err == nil && !h.hasBlob(got, p.bytes) {
		err = os.Rename(p.path, h.blob(got))
	}
	if err != nil {
		return "", storeError("a complete file cannot be put in place", err)
	}
	syncDir(h.at(blobsDir))
	p.discard()
	return got, nil
}

// discard removes the file and its note.
func (p *partial) discard() {
	p.file.Close()
	_ = os.Remove(p.path)
	_ = os.Remove(p.notePath)
}

// close keeps what came for the next try. A second close, or one after place or discard, does nothing.
func (p *partial) close() {
	if p.bytes > p.note.Synced {
		if err := p.sync(); errors.Is(err, ErrFull) && p.bytes > noteRoom { // a closed file is another error
			if p.bytes -= noteRoom; p.file.Truncate(p.bytes) == nil {
				_ = p.sync()
			}
		}
	}
	if p.bytes == 0 {
		if err := p.file.Close(); !errors.Is(err, fs.ErrClosed) {
			p.discard()
		}
		return
	}
	p.file.Close()
}

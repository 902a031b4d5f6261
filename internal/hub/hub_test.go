package hub

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/galerne-ai/galerne/internal/outbound"
)

// tinyGGUF is a real GGUF file with one tensor of so many random bytes.
func tinyGGUF(seed uint64, data int) []byte {
	var b bytes.Buffer
	u32 := func(v uint32) { binary.Write(&b, binary.LittleEndian, v) }
	u64 := func(v uint64) { binary.Write(&b, binary.LittleEndian, v) }
	str := func(s string) { u64(uint64(len(s))); b.WriteString(s) }
	b.WriteString("GGUF")
	u32(3)
	u64(1) // tensors
	u64(1) // keys
	str("general.architecture")
	u32(8)
	str("llama")
	str("token_embd.weight")
	u32(1)
	u64(uint64(data / 4))
	u32(0) // F32
	u64(0)
	for b.Len()%32 != 0 {
		b.WriteByte(0)
	}
	r := rand.New(rand.NewPCG(seed, 1))
	for range data / 4 {
		u32(r.Uint32())
	}
	return b.Bytes()
}

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

const fakeCommit = "0123456789abcdef0123456789abcdef01234567"

// fakeHub serves files as Hugging Face does: a HEAD with the digest, a redirect to another origin for the
// bytes, ranges. Its switches make it misbehave.
type fakeHub struct {
	t     *testing.T
	hub   *httptest.Server
	store *httptest.Server // another origin: must never see the token
	files map[string][]byte

	mu        sync.Mutex
	status    map[string][]int // "head", "get", "list": statuses to answer with, one a request
	cuts      []int            // of each download, after how many bytes the connection breaks
	noRanges  bool
	noDigest  bool
	noHead    bool
	lie       int // bytes that the length is wrong by
	drip      time.Duration
	corrupt   bool
	token     string // needed for everything, if set
	downloads int
	ranges    []string
	retry     string
}

func newFakeHub(t *testing.T, files map[string][]byte) *fakeHub {
	f := &fakeHub{t: t, files: files, status: map[string][]int{}}
	f.store = httptest.NewServer(http.HandlerFunc(f.bytes))
	f.hub = httptest.NewServer(http.HandlerFunc(f.front))
	t.Cleanup(func() { f.hub.Close(); f.store.Close() })
	return f
}

// change sets switches while an earlier request may still be answered.
func (f *fakeHub) change(set func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	set()
}

func (f *fakeHub) next(kind string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := f.status[kind]
	if len(list) == 0 {
		return 0
	}
	f.status[kind] = list[1:]
	return list[0]
}

func (f *fakeHub) front(w http.ResponseWriter, r *http.Request) {
	if f.token != "" && r.Header.Get("Authorization") != "Bearer "+f.token {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if strings.HasPrefix(r.URL.Path, "/api/models/") {
		if code := f.next("list"); code != 0 {
			w.WriteHeader(code)
			return
		}
		f.list(w)
		return
	}
	kind := map[bool]string{true: "head", false: "get"}[r.Method == http.MethodHead]
	if code := f.next(kind); code != 0 {
		w.Header().Set("Retry-After", f.retry)
		w.WriteHeader(code)
		return
	}
	if r.Method == http.MethodHead && f.noHead {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	_, path, ok := strings.Cut(r.URL.Path, "/resolve/")
	_, path, ok2 := strings.Cut(path, "/")
	data, ok3 := f.files[path]
	if !ok || !ok2 || !ok3 {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("X-Repo-Commit", fakeCommit)
	if !f.noDigest {
		w.Header().Set("X-Linked-Etag", `"`+digestOf(data)+`"`)
		w.Header().Set("X-Linked-Size", strconv.Itoa(len(data)))
	}
	http.Redirect(w, r, f.store.URL+"/"+path, http.StatusFound)
}

func (f *fakeHub) list(w http.ResponseWriter) {
	type sibling struct {
		Name string `json:"rfilename"`
		Size int    `json:"size"`
	}
	var list []sibling
	for name, data := range f.files {
		list = append(list, sibling{name, len(data)})
	}
	json.NewEncoder(w).Encode(map[string]any{"sha": fakeCommit, "siblings": list})
}

func (f *fakeHub) bytes(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "" {
		f.t.Error("the token went to another origin")
	}
	data := f.files[strings.TrimPrefix(r.URL.Path, "/")]
	f.mu.Lock()
	drip, corrupt, noRanges, lie := f.drip, f.corrupt, f.noRanges, f.lie
	f.downloads++
	f.ranges = append(f.ranges, r.Header.Get("Range"))
	cut := -1
	if len(f.cuts) > 0 {
		cut, f.cuts = f.cuts[0], f.cuts[1:]
	}
	f.mu.Unlock()
	if corrupt {
		data = bytes.Clone(data)
		data[len(data)/2] ^= 1
	}
	from := 0
	if text := r.Header.Get("Range"); text != "" && !noRanges {
		fmt.Sscanf(text, "bytes=%d-", &from)
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(data)-1, len(data)))
	}
	rest := data[from:]
	w.Header().Set("Content-Length", strconv.Itoa(len(rest)+lie))
	if from > 0 {
		w.WriteHeader(http.StatusPartialContent)
	}
	if cut >= 0 && cut < len(rest) {
		rest = rest[:cut]
	}
	for len(rest) > 0 {
		n := min(len(rest), 16<<10)
		if _, err := w.Write(rest[:n]); err != nil {
			return
		}
		if rest = rest[n:]; drip > 0 {
			w.(http.Flusher).Flush()
			time.Sleep(drip)
		}
	}
	if cut >= 0 {
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
}

// open makes a hub on a new folder, with a catalogue of test entries.
func open(t *testing.T, f *fakeHub, entries ...*Entry) *Hub {
	t.Helper()
	return openAt(t, t.TempDir(), f, entries...)
}

func openAt(t *testing.T, home string, f *fakeHub, entries ...*Entry) *Hub {
	t.Helper()
	o := Options{Home: home, RetryWait: time.Millisecond}
	if f != nil {
		c, err := outbound.New(outbound.Options{Stall: 2 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		o.Client, o.HubURL, o.HubToken = c, f.hub.URL, f.token
	}
	if len(entries) > 0 {
		o.Catalogues = []string{writeCatalogue(t, entries...)}
	}
	h, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func writeCatalogue(t *testing.T, entries ...*Entry) string {
	t.Helper()
	data, err := json.Marshal(map[string]any{"format": 1, "models": entries})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "catalogue.json")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func entry(name string, files []File, sources ...Parts) *Entry {
	return &Entry{Name: name, Use: "chat", Licence: Licence{SPDX: "Apache-2.0"}, Files: files, Sources: sources}
}

// oneFile is an entry of one file on the fake hub.
func oneFile(name string, data []byte) *Entry {
	return entry(name, []File{{Path: "m.gguf", Bytes: int64(len(data)), SHA256: digestOf(data)}}, Parts{"hf:org/repo/m.gguf"})
}

func pull(t *testing.T, h *Hub, what string) Pulled {
	t.Helper()
	got, err := h.Pull(context.Background(), what, PullOptions{})
	if err != nil {
		t.Fatalf("pull %s: %v", what, err)
	}
	return got
}

// left lists what is in the store beside locks, to see that nothing stays behind.
func left(t *testing.T, h *Hub) []string {
	t.Helper()
	var list []string
	filepath.WalkDir(h.dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && filepath.Base(filepath.Dir(path)) != locksDir {
			list = append(list, strings.TrimPrefix(path, h.dir+"/"))
		}
		return nil
	})
	return list
}

func sameFile(t *testing.T, path string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s: %d bytes, %d wanted, equal %v, %v", path, len(got), len(want), bytes.Equal(got, want), err)
	}
}

package hub

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestPullStoresTheModelOnceAndSaysWhere(t *testing.T) {
	data := tinyGGUF(1, 300_000)
	f := newFakeHub(t, map[string][]byte{"m.gguf": data})
	f.token = "hf_secret" // the fake's other origin fails the test if it sees it
	h := open(t, f, oneFile("tiny", data))
	var last Progress
	got, err := h.Pull(context.Background(), "Tiny", PullOptions{Progress: func(p Progress) { last = p }})
	if err != nil {
		t.Fatal(err)
	}
	sameFile(t, got.Path, data)
	if filepath.Base(got.Path) != "m.gguf" || got.Already || got.Checked != CheckedCatalogue || got.Revision != fakeCommit || got.Bytes() != int64(len(data)) {
		t.Errorf("%+v", got)
	}
	if last.Total != int64(len(data)) {
		t.Errorf("the last progress is %+v", last)
	}
	if again := pull(t, h, "tiny"); !again.Already || f.downloads != 1 {
		t.Errorf("already %v after %d downloads", again.Already, f.downloads)
	}
	r, err := h.Resolve("tiny")
	if err != nil || r.Path != got.Path || r.Name != "tiny" {
		t.Errorf("%+v %v", r, err)
	}
	for _, name := range left(t, h) {
		if strings.HasPrefix(name, "partial") {
			t.Errorf("%s is left", name)
		}
	}
}

func TestABrokenConnectionIsContinued(t *testing.T) {
	data := tinyGGUF(2, 400_000)
	f := newFakeHub(t, map[string][]byte{"m.gguf": data})
	f.cuts = []int{100_000, 0, 50_000, 16 << 10}
	h := open(t, f, oneFile("tiny", data))
	sameFile(t, pull(t, h, "tiny").Path, data)
	if f.downloads != 5 || f.ranges[0] != "" || f.ranges[1] == "" || f.ranges[4] == "" {
		t.Errorf("%d downloads, ranges %q", f.downloads, f.ranges)
	}
}

func TestAServerWithoutRangesIsReadFromTheStart(t *testing.T) {
	data := tinyGGUF(3, 400_000)
	f := newFakeHub(t, map[string][]byte{"m.gguf": data})
	f.cuts, f.noRanges = []int{100_000, 200_000}, true
	sameFile(t, pull(t, open(t, f, oneFile("tiny", data)), "tiny").Path, data)
}

func TestAServerThatKnowsGetOnlyIsEnough(t *testing.T) {
	data := tinyGGUF(4, 100_000)
	f := newFakeHub(t, map[string][]byte{"m.gguf": data})
	f.noHead, f.noDigest = true, true
	sameFile(t, pull(t, open(t, f, oneFile("tiny", data)), "tiny").Path, data)
}

func TestAServerThatAlwaysBreaksIsGivenUpAndTheNextPullContinues(t *testing.T) {
	data := tinyGGUF(5, 400_000)
	f := newFakeHub(t, map[string][]byte{"m.gguf": data})
	f.cuts = append([]int{200_000}, make([]int, 40)...)
	home := t.TempDir()
	h := openAt(t, home, f, oneFile("tiny", data))
	if _, err := h.Pull(context.Background(), "tiny", PullOptions{}); !errors.Is(err, ErrFetch) || !strings.Contains(err.Error(), "continues") {
		t.Fatalf("%v", err)
	}
	if _, err := h.Resolve("tiny"); !errors.Is(err, ErrNotPulled) {
		t.Errorf("resolve: %v", err)
	}
	f.cuts, f.ranges = nil, nil
	sameFile(t, pull(t, openAt(t, home, f, oneFile("tiny", data)), "tiny").Path, data)
	if len(f.ranges) != 1 || f.ranges[0] == "" {
		t.Errorf("the second pull asked for %q", f.ranges)
	}
}

// TestWhoCannotBeReachedIsGivenUpAtOnce: without a network nobody wants to wait for six tries.
func TestWhoCannotBeReachedIsGivenUpAtOnce(t *testing.T) {
	data := tinyGGUF(5, 1000)
	f := newFakeHub(t, map[string][]byte{"m.gguf": data})
	f.hub.Close()
	refuses := open(t, f, oneFile("tiny", data))
	nowhere := open(t, f, oneFile("tiny", data))
	nowhere.o.HubURL = "http://nowhere.invalid"
	for _, h := range []*Hub{refuses, nowhere} {
		for _, what := range []string{"tiny", "hf:org/repo"} {
			tries := 1
			_, err := h.Pull(context.Background(), what, PullOptions{Notice: func(text string) { tries += strings.Count(text, "trying again") }})
			if tries > 2 || !errors.Is(err, ErrFetch) || !strings.Contains(err.Error(), "HTTPS_PROXY") || !strings.Contains(err.Error(), "galerne pull file:") || strings.Contains(err.Error(), "what came is kept") {
				t.Errorf("%s from %s: after %d tries %v", what, h.o.HubURL, tries, err)
			}
		}
	}
}

// TestANetworkThatIsGoneForAWhileIsWaitedFor: a hub that was reached once is worth all tries.
func TestANetworkThatIsGoneForAWhileIsWaitedFor(t *testing.T) {
	data := tinyGGUF(6, 400_000)
	f := newFakeHub(t, map[string][]byte{"m.gguf": data})
	f.cuts = []int{100_000}
	h := open(t, f, oneFile("tiny", data))
	address, refused := f.hub.Listener.Addr().String(), 0
	got, err := h.Pull(context.Background(), "tiny", PullOptions{Notice: func(text string) {
		switch refused++; refused {
		case 1: // half of it is here
			f.hub.Close()
		case 4:
			l, err := net.Listen("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			f.hub = &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(f.front)}}
			f.hub.Start()
		}
	}})
	if err != nil || refused != 4 || f.downloads != 2 || f.ranges[1] == "" {
		t.Fatalf("%v after %d refusals, ranges %q", err, refused, f.ranges)
	}
	sameFile(t, got.Path, data)
}

func TestAWrongDigestIsRefusedAndLeavesNothing(t *testing.T) {
	data := tinyGGUF(6, 200_000)
	f := newFakeHub(t, map[string][]byte{"m.gguf": data})
	f.corrupt, f.noDigest = true, true
	h := open(t, f, oneFile("tiny", data))
	_, err := h.Pull(context.Background(), "tiny", PullOptions{})
	bad := append([]byte(nil), data...)
	bad[len(bad)/2] ^= 1
	if !errors.Is(err, ErrDigest) || !strings.Contains(err.Error(), digestOf(data)) || !strings.Contains(err.Error(), digestOf(bad)) {
		t.Errorf("both digests should be named: %v", err)
	}
	if rest := left(t, h); len(rest) > 0 {
		t.Errorf("left: %q", rest)
	}
}

func TestASourceThatPromisesAnotherDigestIsNotEvenRead(t *testing.T) {
	data := tinyGGUF(7, 100_000)
	f := newFakeHub(t, map[string][]byte{"m.gguf": tinyGGUF(8, 100_000)})
	_, err := open(t, f, oneFile("tiny", data)).Pull(context.Background(), "tiny", PullOptions{})
	if !errors.Is(err, ErrDigest) || f.downloads > 0 {
		t.Errorf("%d downloads: %v", f.downloads, err)
	}
}

func TestWhatAnEarlierTryLeftDamagedIsFetchedAnew(t *testing.T) {
	data := tinyGGUF(9, 400_000)
	f := newFakeHub(t, map[string][]byte{"m.gguf": data})
	f.cuts = append([]int{200_000}, make([]int, 40)...)
	h := open(t, f, oneFile("tiny", data))
	h.Pull(context.Background(), "tiny", PullOptions{})
	parts, _ := filepath.Glob(h.at(partialDir, "*.part"))
	if len(parts) != 1 {
		t.Fatalf("partial files: %q", parts)
	}
	file, err := os.OpenFile(parts[0], os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	file.WriteAt([]byte("damage"), 1000)
	file.Close()
	f.cuts = nil
	sameFile(t, pull(t, h, "tiny").Path, data)
}

func TestAWrongLengthIsRefused(t *testing.T) {
	data := tinyGGUF(10, 100_000)
	for name, lie := range map[string]int{"longer": 7, "shorter": -7} {
		f := newFakeHub(t, map[string][]byte{"m.gguf": data})
		f.lie = lie
		if _, err := open(t, f, oneFile("tiny", data)).Pull(context.Background(), "tiny", PullOptions{}); !errors.Is(err, ErrSize) {
			t.Errorf("%s: %v", name, err)
		}
	}
	f := newFakeHub(t, map[string][]byte{"m.gguf": data})
	e := oneFile("tiny", data)
	e.Files[0].Bytes--
	if _, err := open(t, f, e).Pull(context.Background(), "tiny", PullOptions{}); !errors.Is(err, ErrSize) {
		t.Errorf("catalogue: %v", err)
	}
}

func TestStatusesAreExplained(t *testing.T) {
	data := tinyGGUF(11, 100_000)
	for _, c := range []struct {
		status int
		want   error
		text   string
	}{
		{http.StatusUnauthorized, ErrDenied, "HF_TOKEN"},
		{http.StatusForbidden, ErrDenied, "licence"},
		{http.StatusNotFound, ErrFetch, "404"},
		{http.StatusTeapot, ErrFetch, "418"},
	} {
		f := newFakeHub(t, map[string][]byte{"m.gguf": data})
		f.status["head"] = []int{c.status}
		if _, err := open(t, f, oneFile("tiny", data)).Pull(context.Background(), "tiny", PullOptions{}); !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%d: %v", c.status, err)
		}
	}
}

func TestBusyServersAreAskedAgain(t *testing.T) {
	data := tinyGGUF(12, 100_000)
	f := newFakeHub(t, map[string][]byte{"m.gguf": data})
	f.status["head"] = []int{429, 500}
	f.status["get"] = []int{503, 502, 504}
	sameFile(t, pull(t, open(t, f, oneFile("tiny", data)), "tiny").Path, data)
	f.status["head"] = []int{500, 500, 500, 500, 500, 500, 500, 500}
	h := open(t, f, oneFile("tiny", data))
	if _, err := h.Pull(context.Background(), "tiny", PullOptions{}); !errors.Is(err, ErrFetch) || !strings.Contains(err.Error(), "HTTP 500") {
		t.Errorf("%v", err)
	}
}

func TestASlowDripArrives(t *testing.T) {
	data := tinyGGUF(13, 200_000)
	f := newFakeHub(t, map[string][]byte{"m.gguf": data})
	f.drip = 15 * time.Millisecond
	rates := 0
	h := open(t, f, oneFile("tiny", data))
	got, err := h.Pull(context.Background(), "tiny", PullOptions{Progress: func(p Progress) {
		if p.Rate > 0 {
			rates++
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	sameFile(t, got.Path, data)
	if rates == 0 {
		t.Error("no progress gave a rate")
	}
}

func TestCancellingKeepsWhatCame(t *testing.T) {
	data := tinyGGUF(14, 400_000)
	f := newFakeHub(t, map[string][]byte{"m.gguf": data})
	f.drip = 10 * time.Millisecond
	h := open(t, f, oneFile("tiny", data))
	ctx, cancel := context.WithCancel(context.Background())
	_, err := h.Pull(ctx, "tiny", PullOptions{Progress: func(p Progress) {
		if p.Done > 60_000 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("%v", err)
	}
	f.change(func() { f.drip, f.ranges = 0, nil })
	sameFile(t, pull(t, h, "tiny").Path, data)
	if f.ranges[0] == "" {
		t.Error("the second pull started over")
	}
}

func TestAnUnverifiedDigestIsTakenFromTheSourceOrRecorded(t *testing.T) {
	data := tinyGGUF(15, 100_000)
	for noDigest, want := range map[bool]string{false: CheckedSource, true: CheckedNothing} {
		f := newFakeHub(t, map[string][]byte{"m.gguf": data})
		f.noDigest = noDigest
		e := oneFile("tiny", data)
		e.Files[0] = File{Path: "m.gguf", About: 90_000, SHA256: Unverified}
		got := pull(t, open(t, f, e), "tiny")
		if got.Checked != want || got.Files[0].SHA256 != digestOf(data) || got.Files[0].Bytes != int64(len(data)) {
			t.Errorf("no digest %v: %+v", noDigest, got.Manifest)
		}
	}
	f := newFakeHub(t, map[string][]byte{"m.gguf": data})
	f.corrupt = true // and the source promises the right digest
	e := oneFile("tiny", data)
	e.Files[0] = File{Path: "m.gguf", SHA256: Unverified}
	if _, err := open(t, f, e).Pull(context.Background(), "tiny", PullOptions{}); !errors.Is(err, ErrDigest) {
		t.Errorf("%v", err)
	}
}

func TestTheNextSourceIsTriedAndAllFailuresAreTold(t *testing.T) {
	data := tinyGGUF(16, 100_000)
	f := newFakeHub(t, map[string][]byte{"m.gguf": data})
	e := entry("tiny", []File{{Path: "m.gguf", SHA256: digestOf(data)}}, Parts{"hf:org/repo/absent.gguf"}, Parts{"file:/nowhere/m.gguf"}, Parts{"hf:org/repo/m.gguf"})
	var notices []string
	got, err := open(t, f, e).Pull(context.Background(), "tiny", PullOptions{Notice: func(s string) { notices = append(notices, s) }})
	if err != nil || got.Source[0] != "hf:org/repo/m.gguf" || len(notices) != 2 {
		t.Fatalf("%+v %q %v", got.Manifest, notices, err)
	}
	e.Sources = e.Sources[:2]
	_, err = open(t, f, e).Pull(context.Background(), "tiny", PullOptions{})
	if !errors.Is(err, ErrFetch) || !strings.Contains(err.Error(), "absent.gguf") || !strings.Contains(err.Error(), "/nowhere/m.gguf") {
		t.Errorf("%v", err)
	}
}

func TestPartsAreJoinedAndContinuedPartByPart(t *testing.T) {
	data := tinyGGUF(17, 300_000)
	f := newFakeHub(t, map[string][]byte{"a": data[:100_000], "b": data[100_000:150_000], "c": data[150_000:]})
	e := entry("tiny", []File{{Path: "m.gguf", Bytes: int64(len(data)), SHA256: digestOf(data)}}, Parts{"hf:org/repo/a", "hf:org/repo/b", "hf:org/repo/c"})
	f.cuts = append([]int{-1, -1, 70_000}, make([]int, 40)...)
	h := open(t, f, e)
	if _, err := h.Pull(context.Background(), "tiny", PullOptions{}); !errors.Is(err, ErrFetch) {
		t.Fatalf("%v", err)
	}
	f.cuts, f.ranges = nil, nil
	sameFile(t, pull(t, h, "tiny").Path, data)
	if len(f.ranges) != 1 || f.ranges[0] == "" {
		t.Errorf("the second pull asked for %q", f.ranges)
	}
}

func TestWhatIsNoModelDoesNotStay(t *testing.T) {
	page := []byte("<html>Sign in to continue</html>" + strings.Repeat(" ", 1000))
	f := newFakeHub(t, map[string][]byte{"m.gguf": page})
	h := open(t, f)
	if _, err := h.Pull(context.Background(), "hf:org/repo/m.gguf", PullOptions{}); !errors.Is(err, ErrModel) {
		t.Errorf("%v", err)
	}
	if rest := left(t, h); len(rest) > 0 {
		t.Errorf("left: %q", rest)
	}
}

func TestManyPullsAtOnceFetchOnce(t *testing.T) {
	data := tinyGGUF(18, 300_000)
	f := newFakeHub(t, map[string][]byte{"m.gguf": data})
	f.drip = time.Millisecond
	home := t.TempDir()
	// Two names for one source, each pulled by three hubs: as six processes would.
	a, b := oneFile("one", data), oneFile("two", data)
	b.Files[0].SHA256 = Unverified
	var wg sync.WaitGroup
	for i := range 6 {
		h := openAt(t, home, f, a, b)
		wg.Go(func() {
			got, err := h.Pull(context.Background(), []string{"one", "two"}[i%2], PullOptions{})
			if err != nil {
				t.Error(err)
				return
			}
			sameFile(t, got.Path, data)
		})
	}
	wg.Wait()
	if f.downloads != 1 {
		t.Errorf("%d downloads", f.downloads)
	}
}

func TestAFullDiskIsSaidBeforehand(t *testing.T) {
	data := tinyGGUF(19, 100_000)
	f := newFakeHub(t, map[string][]byte{"m.gguf": data})
	h := open(t, f, oneFile("tiny", data))
	h.free = func(string) (int64, bool) { return 1000, true }
	if _, err := h.Pull(context.Background(), "tiny", PullOptions{}); !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "galerne rm") || f.downloads > 0 {
		t.Errorf("%d downloads: %v", f.downloads, err)
	}
}

func TestADigestCanBeGivenForASource(t *testing.T) {
	data := tinyGGUF(20, 100_000)
	f := newFakeHub(t, map[string][]byte{"m.gguf": data})
	h := open(t, f)
	wrong := strings.Repeat("0", 64)
	if _, err := h.Pull(context.Background(), "hf:org/repo/m.gguf@v1", PullOptions{SHA256: wrong}); !errors.Is(err, ErrDigest) {
		t.Errorf("%v", err)
	}
	got, err := h.Pull(context.Background(), "hf:org/repo/m.gguf@v1", PullOptions{SHA256: strings.ToUpper(digestOf(data)), Name: "mine"})
	if err != nil || got.Name != "mine" || got.Architecture != "llama" || got.Quantization != "F32" || got.Parameters != 25_000 {
		t.Fatalf("%+v %v", got.Manifest, err)
	}
	if _, err := h.Pull(context.Background(), "hf:org/repo/other.gguf", PullOptions{Name: "mine"}); !errors.Is(err, ErrName) || !strings.Contains(err.Error(), "already") {
		t.Errorf("another source of the same name: %v", err)
	}
	for _, o := range []PullOptions{{SHA256: "abc"}, {Name: "../x"}, {Name: "smollm2"}, {Name: "default"}} {
		if _, err := h.Pull(context.Background(), "hf:org/repo/m.gguf", o); !errors.Is(err, ErrName) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if _, err := h.Pull(context.Background(), "smollm2-135m", PullOptions{Name: "x"}); !errors.Is(err, ErrName) {
		t.Errorf("%v", err)
	}
}

func TestAnEndpointThatIsNoAddressIsNamed(t *testing.T) {
	h := open(t, newFakeHub(t, nil))
	for _, address := range []string{"huggingface.co", "ftp://x", "http://", "::", "http://a b"} {
		h.o.HubURL = address
		if _, err := h.Pull(context.Background(), "hf:org/repo/m.gguf", PullOptions{}); !errors.Is(err, ErrFetch) || !strings.Contains(err.Error(), "HF_ENDPOINT") {
			t.Errorf("%q: %v", address, err)
		}
	}
}

func TestAskingAgainMendsADamagedDisk(t *testing.T) {
	data := tinyGGUF(21, 100_000)
	f := newFakeHub(t, map[string][]byte{"m.gguf": data})
	h := open(t, f, oneFile("tiny", data))
	got := pull(t, h, "tiny")
	os.Chmod(got.Path, 0o644)
	bad := append([]byte(nil), data...)
	bad[len(bad)-1] ^= 1
	if err := os.WriteFile(got.Path, bad, 0o644); err != nil { // the same length
		t.Fatal(err)
	}
	var notices []string
	got, err := h.Pull(context.Background(), "tiny", PullOptions{Again: true, Notice: func(s string) { notices = append(notices, s) }})
	if err != nil || len(notices) != 1 || !strings.Contains(notices[0], "damaged") {
		t.Fatalf("%q %v", notices, err)
	}
	sameFile(t, got.Path, data)
	if _, err := h.Pull(context.Background(), "tiny", PullOptions{Again: true}); err != nil || f.downloads != 2 {
		t.Errorf("%d downloads, %v", f.downloads, err)
	}
}

// oddServer answers every request with one function.
func oddServer(t *testing.T, answer http.HandlerFunc) *Hub {
	t.Helper()
	s := httptest.NewServer(answer)
	t.Cleanup(s.Close)
	f := newFakeHub(t, nil)
	h := open(t, f)
	h.o.HubURL = s.URL
	return h
}

func TestOddAnswersEndWithAnError(t *testing.T) {
	data := tinyGGUF(22, 100_000)
	length := func(w http.ResponseWriter) { w.Header().Set("X-Linked-Size", strconv.Itoa(len(data))) }
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   error
		text   string
	}{
		"more bytes than promised, no length": {func(w http.ResponseWriter, r *http.Request) {
			length(w)
			w.(http.Flusher).Flush()
			w.Write(data)
			w.Write(data)
		}, ErrSize, "more than"},
		"fewer bytes than promised, no length": {func(w http.ResponseWriter, r *http.Request) {
			length(w)
			w.(http.Flusher).Flush()
			w.Write(data[:1000])
		}, ErrFetch, "ended after"},
		"another range than was asked for": {func(w http.ResponseWriter, r *http.Request) {
			length(w)
			if r.Header.Get("Range") != "" {
				w.Header().Set("Content-Range", fmt.Sprintf("bytes 7-%d/%d", len(data)-1, len(data)))
				w.WriteHeader(http.StatusPartialContent)
				return
			}
			w.(http.Flusher).Flush()
			w.Write(data[:1000])
		}, ErrFetch, "tries"},
		"no range can be satisfied": {func(w http.ResponseWriter, r *http.Request) {
			length(w)
			if r.Header.Get("Range") != "" {
				w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
				return
			}
			w.(http.Flusher).Flush()
			w.Write(data[:1000])
		}, ErrFetch, "tries"},
		"a circle of redirects": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path, http.StatusTemporaryRedirect)
		}, ErrFetch, "circles"},
		"an absurd size": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Linked-Size", "9223372036854775807")
		}, ErrSize, "are possible"},
	} {
		t.Run(name, func(t *testing.T) {
			h := oddServer(t, c.answer)
			if _, err := h.Pull(context.Background(), "hf:org/repo/m.gguf", PullOptions{}); !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%v", err)
			}
			if models, err := h.Models(); len(models) > 0 || err != nil {
				t.Errorf("%v %v", models, err)
			}
		})
	}
}

func TestARenamedRepositoryIsFollowed(t *testing.T) {
	data := tinyGGUF(23, 100_000)
	h := oddServer(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/org/old/") {
			http.Redirect(w, r, strings.Replace(r.URL.Path, "/old/", "/new/", 1), http.StatusTemporaryRedirect)
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(data)))
		w.Header().Set("X-Linked-Etag", `"`+digestOf(data)+`"`)
		if r.Method == http.MethodGet {
			w.Write(data)
		}
	})
	got := pull(t, h, "hf:org/old/m.gguf")
	sameFile(t, got.Path, data)
	if got.Checked != CheckedSource {
		t.Errorf("the digest of the new place was not used: %+v", got.Manifest)
	}
}

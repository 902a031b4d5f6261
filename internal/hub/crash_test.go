package hub

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/galerne-ai/galerne/internal/outbound"
)

// TestMain lets the test binary stand for a second process: with HUB_TEST_PULL it pulls and exits.
func TestMain(m *testing.M) {
	if os.Getenv("HUB_TEST_PULL") == "" {
		os.Exit(m.Run())
	}
	c, err := outbound.New(outbound.Options{})
	if err == nil {
		var h *Hub
		h, err = Open(Options{Home: os.Getenv("HUB_TEST_HOME"), Catalogues: []string{os.Getenv("HUB_TEST_CATALOGUE")},
			HubURL: os.Getenv("HUB_TEST_URL"), Client: c, RetryWait: time.Millisecond})
		if err == nil {
			_, err = h.Pull(context.Background(), os.Getenv("HUB_TEST_PULL"), PullOptions{})
		}
	}
	if err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
	os.Exit(0)
}

// process starts a pull in a process of its own.
func process(t *testing.T, f *fakeHub, home, catalogue, name string) (*exec.Cmd, *strings.Builder) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "HUB_TEST_PULL="+name, "HUB_TEST_HOME="+home, "HUB_TEST_CATALOGUE="+catalogue, "HUB_TEST_URL="+f.hub.URL)
	said := &strings.Builder{}
	cmd.Stderr = said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, said
}

func TestKillingAPullAtAnyTimeLeavesAStoreThatWorks(t *testing.T) {
	data := tinyGGUF(60, 4<<20)
	f := newFakeHub(t, map[string][]byte{"m.gguf": data})
	f.drip = 500 * time.Microsecond
	home := t.TempDir()
	catalogue := writeCatalogue(t, oneFile("tiny", data))
	for range 8 {
		cmd, _ := process(t, f, home, catalogue, "tiny")
		time.Sleep(time.Duration(20+rand.IntN(180)) * time.Millisecond)
		cmd.Process.Kill()
		cmd.Wait()
		h := openAt(t, home, f, oneFile("tiny", data))
		if r, err := h.Resolve("tiny"); err == nil {
			sameFile(t, r.Path, data) // it was done before the kill
		} else if !errors.Is(err, ErrNotPulled) {
			t.Fatalf("after a kill: %v", err)
		}
	}
	f.change(func() { f.drip = 0 })
	cmd, said := process(t, f, home, catalogue, "tiny")
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	r, err := openAt(t, home, f, oneFile("tiny", data)).Resolve("tiny")
	if err != nil {
		t.Fatal(err)
	}
	sameFile(t, r.Path, data)
}

func TestAKilledPullIsContinued(t *testing.T) {
	data := tinyGGUF(61, 8<<20)
	f := newFakeHub(t, map[string][]byte{"m.gguf": data})
	f.drip = 8 * time.Millisecond // 512 blocks: about four seconds, past the first note
	home := t.TempDir()
	catalogue := writeCatalogue(t, oneFile("tiny", data))
	cmd, _ := process(t, f, home, catalogue, "tiny")
	for range 600 {
		time.Sleep(10 * time.Millisecond)
		if notes, _ := filepath.Glob(filepath.Join(home, "models", partialDir, "*.json")); len(notes) > 0 {
			break
		}
	}
	cmd.Process.Kill()
	cmd.Wait()
	f.change(func() { f.drip, f.ranges = 0, nil })
	sameFile(t, pull(t, openAt(t, home, f, oneFile("tiny", data)), "tiny").Path, data)
	if len(f.ranges) != 1 || !strings.HasPrefix(f.ranges[0], "bytes=") {
		t.Errorf("the second pull asked for %q", f.ranges)
	}
}

func TestTwoProcessesAtOnceFetchOnce(t *testing.T) {
	data := tinyGGUF(62, 2<<20)
	f := newFakeHub(t, map[string][]byte{"m.gguf": data})
	f.drip = time.Millisecond
	home := t.TempDir()
	catalogue := writeCatalogue(t, oneFile("tiny", data))
	var wg sync.WaitGroup
	for range 3 {
		cmd, said := process(t, f, home, catalogue, "tiny")
		wg.Go(func() {
			if err := cmd.Wait(); err != nil {
				t.Errorf("%v: %s", err, said)
			}
		})
	}
	wg.Wait()
	if f.downloads != 1 {
		t.Errorf("%d downloads", f.downloads)
	}
}

// TestPullsAndRemovalsAtOnce throws pulls, removals and clean-ups at one folder: each ends well or says
// that the model is not there, and the last pull gives the right bytes.
func TestPullsAndRemovalsAtOnce(t *testing.T) {
	data := tinyGGUF(63, 200_000)
	f := newFakeHub(t, map[string][]byte{"m.gguf": data})
	home := t.TempDir()
	ctx := context.Background()
	var wg sync.WaitGroup
	for range 3 {
		h := openAt(t, home, f, oneFile("tiny", data))
		wg.Go(func() {
			for range 15 {
				if _, err := h.Pull(ctx, "tiny", PullOptions{}); err != nil && !errors.Is(err, errGone) {
					t.Errorf("pull: %v", err)
				}
			}
		})
		wg.Go(func() {
			for range 15 {
				if _, err := h.Remove(ctx, "tiny", false); err != nil && !errors.Is(err, ErrUnknown) {
					t.Errorf("remove: %v", err)
				}
				if _, err := h.RemoveUnfinished(ctx, false); err != nil {
					t.Errorf("clean up: %v", err)
				}
			}
		})
	}
	wg.Wait()
	sameFile(t, pull(t, openAt(t, home, f, oneFile("tiny", data)), "tiny").Path, data)
}

func TestAFullDiskIsAClearErrorAndThePullContinuesWhenThereIsRoom(t *testing.T) {
	small := t.TempDir()
	mount := exec.Command("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small)
	if out, err := mount.CombinedOutput(); runtime.GOOS != "linux" || err != nil {
		t.Skipf("NOT TESTED: a small file system needs root on Linux: %v %s", err, out)
	}
	t.Cleanup(func() { exec.Command("umount", small).Run() })
	data := tinyGGUF(64, 600_000)
	f := newFakeHub(t, map[string][]byte{"m.gguf": data})
	h := openAt(t, small, f, oneFile("tiny", data))
	h.free = func(string) (int64, bool) { return 0, false } // as where the system does not tell
	ballast := filepath.Join(small, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 700<<10), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := h.Pull(context.Background(), "tiny", PullOptions{})
	if !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "free space") {
		t.Fatalf("%v", err)
	}
	os.Remove(ballast)
	f.ranges = nil
	sameFile(t, pull(t, h, "tiny").Path, data)
	if len(f.ranges) != 1 || f.ranges[0] == "" {
		t.Errorf("the second pull asked for %q", f.ranges)
	}
}

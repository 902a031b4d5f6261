package zoo

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/galerne-ai/galerne/internal/kernel"
	"github.com/galerne-ai/galerne/internal/kv"
	"github.com/galerne-ai/galerne/internal/model"
	"github.com/galerne-ai/galerne/internal/testdeps"
	"github.com/galerne-ai/galerne/internal/weights"
)

// openUnpacked is a network as Open gives it with Early, whose packing has not begun.
func openUnpacked(t *testing.T, path string, pool *kernel.Pool) *Network {
	t.Helper()
	f, err := weights.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	n, err := wire(f, Options{Pool: pool})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close(); f.Close() })
	return n
}

// TestANetworkComputesTheSameBeforeItIsPacked: prompts and single tokens, of all tiny checkpoints, of real files and of a
// mixture; before packing, beside it and behind it.
func TestANetworkComputesTheSameBeforeItIsPacked(t *testing.T) {
	_, two := pools(t)
	paths := []string{testdeps.Mixture{Dim: 256, Layers: 2, FFN: 512, Experts: 4, Used: 2}.Write(t)}
	for _, r := range tinies(t, false) {
		paths = append(paths, r.folder())
	}
	paths = append(paths, testdeps.Dep(t, "models/smollm2-135m.gguf"), testdeps.Dep(t, "models/qwen2.5-coder-0.5b.gguf"))
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			n := openUnpacked(t, path, two)
			answer := func() (out [][]float32) {
				r := newRunner(t, n, two)
				for _, ids := range [][]int32{{1, 2, 3, 4, 5, 6, 7}, {3}, {5}} {
					out = append(out, r.feed(ids...))
				}
				return out
			}
			before := answer()
			if n.packing.over() {
				t.Fatal("it was packed before")
			}
			n.packing.start()
			beside := answer()
			if err := n.Wait(); err != nil {
				t.Fatal(err)
			}
			behind := answer()
			sameBits(t, "before packing", before, behind)
			sameBits(t, "beside packing", beside, behind)
			whole := openTiny(t, path, two)
			if n.WeightBytes != whole.WeightBytes {
				t.Errorf("%d bytes, %d where all is packed first", n.WeightBytes, whole.WeightBytes)
			}
			n = whole
			sameBits(t, "packed at once", answer(), behind)
		})
	}
}

// step runs one token and gives what the engine would be told.
func step(n *Network, pool *kernel.Pool, r *runner) error {
	b := &model.Batch{Tokens: []int32{1}, Positions: []int32{0}, Want: []int32{0}, Cache: r.cache, Pool: pool,
		Logits: make([]float32, n.Config.Vocab), Spans: []kv.Span{{Rows: 1, Table: r.table}}}
	n.Model.Forward(b)
	return b.Err
}

// openEarly opens a mixture of some MB, whose file is closed at once, as serving does.
func openEarly(t *testing.T, pool *kernel.Pool) (n *Network, path string) {
	t.Helper()
	path = testdeps.Mixture{Dim: 256, Layers: 2, FFN: 2304, Experts: 8, Used: 8}.Write(t)
	f, err := weights.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if n, err = Open(f, Options{Pool: pool, Early: true}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n, path
}

// TestAFileThatChangesWhileItIsComputedWithFailsTheStep: whether its pages are gone, or others now.
func TestAFileThatChangesWhileItIsComputedWithFailsTheStep(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("NOT TESTED: a mapped file cannot change there")
	}
	_, two := pools(t)
	for name, change := range map[string]func(path string) error{
		"cut":     func(path string) error { return os.Truncate(path, 1<<16) },
		"touched": func(path string) error { return os.Chtimes(path, time.Time{}, time.Now().Add(time.Hour)) },
	} {
		t.Run(name, func(t *testing.T) {
			path := testdeps.Mixture{Dim: 256, Layers: 2, FFN: 512, Experts: 4, Used: 4}.Write(t)
			n := openUnpacked(t, path, two)
			n.Model = &beside{n.Model, n.packing}
			r := newRunner(t, n, two)
			if err := step(n, two, r); err != nil {
				t.Fatal(err)
			}
			if err := change(path); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := step(n, two, r); !errors.Is(err, weights.ErrChanged) {
					t.Errorf("a step ends with %v", err)
				}
			}
			n.packing.start()
			if err := n.Wait(); !errors.Is(err, weights.ErrChanged) || !errors.Is(n.Err(), weights.ErrChanged) {
				t.Error(err, n.Err())
			}
			if err := step(n, two, r); !errors.Is(err, weights.ErrChanged) {
				t.Errorf("a step behind that ends with %v", err)
			}
		})
	}
}

// TestAFileThatIsRemovedWhileItIsComputedWithStays for those who have it, whether or not another takes its name.
func TestAFileThatIsRemovedWhileItIsComputedWithStays(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("NOT TESTED: a mapped file cannot be removed there")
	}
	_, two := pools(t)
	path := testdeps.Mixture{Dim: 256, Layers: 2, FFN: 512, Experts: 4, Used: 4}.Write(t)
	n := openUnpacked(t, path, two)
	n.Model = &beside{n.Model, n.packing}
	r := newRunner(t, n, two)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := step(n, two, r); err != nil {
		t.Errorf("a step beside a file that was removed: %v", err)
	}
	if err := os.WriteFile(path, []byte("another"), 0o600); err != nil {
		t.Fatal(err)
	}
	n.packing.start()
	if err := n.Wait(); err != nil {
		t.Errorf("packing ends with %v", err)
	}
	if err := step(n, two, r); err != nil {
		t.Errorf("a step behind that ends with %v", err)
	}
}

// TestTheFileIsUnmappedOnceAllIsPacked, or the network is closed before.
func TestTheFileIsUnmappedOnceAllIsPacked(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("NOT TESTED: /proc/self/maps tells it on Linux alone")
	}
	_, two := pools(t)
	n, path := openEarly(t, two)
	if !mapped(t, path) {
		t.Error("it is not mapped while it is packed")
	}
	if err := n.Wait(); err != nil || mapped(t, path) {
		t.Errorf("%v; still mapped: %v", err, mapped(t, path))
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := step(n, two, newRunner(t, n, two)); err != nil {
		t.Errorf("a step without the file ends with %v", err)
	}
	n, path = openEarly(t, two)
	n.Close()
	if err := n.Wait(); !errors.Is(err, ErrClosed) || mapped(t, path) {
		t.Errorf("closed: %v; still mapped: %v", err, mapped(t, path))
	}
}

func mapped(t *testing.T, path string) bool {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(maps), path)
}

// TestProgressEndsWithTheWholeFile, in steps that only grow.
func TestProgressEndsWithTheWholeFile(t *testing.T) {
	_, two := pools(t)
	path := testdeps.Mixture{Dim: 256, Layers: 2, FFN: 512, Experts: 4, Used: 2}.Write(t)
	for _, early := range []bool{false, true} {
		f, err := weights.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		var last, whole int64
		report := func(done, total int64) {
			if done <= last {
				err = fmt.Errorf("%d follows %d", done, last)
			}
			last, whole = done, total
		}
		n, opened := Open(f, Options{Pool: two, Early: early, Progress: report})
		if opened != nil {
			t.Fatal(opened)
		}
		f.Close()
		if waited := n.Wait(); waited != nil || err != nil || last != whole || whole != f.TensorBytes() {
			t.Errorf("%v, %v: %d of %d, the file has %d", waited, err, last, whole, f.TensorBytes())
		}
		n.Close()
	}
}

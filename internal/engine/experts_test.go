package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/galerne-ai/galerne/internal/expert"
	"github.com/galerne-ai/galerne/internal/kernel"
	"github.com/galerne-ai/galerne/internal/sample"
	"github.com/galerne-ai/galerne/internal/testdeps"
	"github.com/galerne-ai/galerne/internal/weights"
	"github.com/galerne-ai/galerne/internal/zoo"
)

// mixture is an engine over a file, with the network behind it.
type mixture struct {
	*Engine
	network *zoo.Network
	memory  Memory
}

// inspected opens a file for a plan of it.
func inspected(t testing.TB, path string) (*weights.File, *zoo.Plan) {
	t.Helper()
	f, err := weights.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := zoo.Inspect(f)
	if err != nil {
		t.Fatal(err)
	}
	return f, plan
}

// openMixture opens a file within limit bytes, 0 for no limit; room, if above 0, is what experts may take instead of
// what the plan says.
func openMixture(t testing.TB, path string, limit, room int64, threads int, o Options) *mixture {
	t.Helper()
	f, plan := inspected(t, path)
	defer f.Close()
	m := &mixture{}
	var err error
	if m.memory, err = Fit(plan.Config, plan.Weights, limit, &o); err != nil {
		t.Fatal(err)
	}
	if room == 0 {
		room = m.memory.ExpertRoom()
	}
	pool := kernel.NewPool(threads)
	if m.network, err = zoo.Open(f, zoo.Options{Pool: pool, ExpertRoom: room}); err != nil {
		t.Fatal(err)
	}
	if m.Engine, err = New(m.network.Model, m.network.Config, pool, o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close(); m.network.Close(); pool.Close() })
	return m
}

// together asks for several answers at once and gives them all, bits included.
func (m *mixture) together(t testing.TB, n int) (out []string) {
	t.Helper()
	var streams []*Stream
	for i := range n {
		s, err := m.Submit(context.Background(), &Request{Prompt: prompt(uint64(1+i), 20+13*i), MaxTokens: 12, IgnoreEnd: true, Logprobs: 3,
			Sampling: sample.Options{Temperature: 1, Seed: uint64(i)}})
		if err != nil {
			t.Fatal(err)
		}
		streams = append(streams, s)
	}
	for _, s := range streams {
		a := drain(s)
		s.Close()
		if a.err != nil {
			t.Fatal(a.err)
		}
		out = append(out, a.String())
	}
	return out
}

func TestExpertsThatComeAndGoGiveTheSameBits(t *testing.T) {
	shape := testdeps.Mixture{Dim: 256, Layers: 4, FFN: 512, Experts: 8, Used: 2}
	path := shape.Write(t)
	all := openMixture(t, path, 0, 0, 2, Options{})
	if all.network.Experts != nil {
		t.Fatal("experts are read although no memory was stated")
	}
	want := all.together(t, 5)
	for _, c := range []struct {
		room    int64 // of 10 MB
		threads int
	}{{1, 1}, {1, 2}, {5 << 20, 2}, {1 << 30, 2}} {
		m := openMixture(t, path, 0, c.room, c.threads, Options{Prompt: 32})
		store := m.network.Experts
		for i := range 3 {
			if got := m.together(t, 5); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("room %d, %d threads, round %d: other answers:\n%s\nwant\n%s", c.room, c.threads, i, got, want)
			}
		}
		s := store.Stats()
		t.Logf("room %d: %d of 32 experts kept, hit rate %.2f, %+v", c.room, store.Share().Count, s.HitRate(), s)
		switch {
		case c.room == 1<<30 && (s.Evicted > 0 || s.Read != 32):
			t.Error("experts were evicted or read twice although there is room for all")
		case c.room < 1<<30 && (s.Evicted == 0 || s.Resident == 0 || s.Resident == s.Used || s.BytesRead == 0 || s.Waited == 0):
			t.Error("experts should have come and gone")
		}
	}
}

func TestExpertsOfTheNextLayerAreReadAhead(t *testing.T) {
	path := testdeps.Mixture{Dim: 256, Layers: 4, FFN: 512, Experts: 8, Used: 2}.Write(t)
	m := openMixture(t, path, 0, 3<<20, 2, Options{Draft: -1})
	for range 20 {
		m.together(t, 1)
		if s := m.network.Experts.Stats(); s.Ahead > 0 {
			return
		}
	}
	t.Errorf("none was read ahead: %+v", m.network.Experts.Stats())
}

func TestAFileThatShrinksFailsItsRequestsAndNothingElse(t *testing.T) {
	path := testdeps.Mixture{Dim: 256, Layers: 4, FFN: 512, Experts: 8, Used: 2}.Write(t)
	m := openMixture(t, path, 0, 1, 2, Options{})
	m.together(t, 2)
	if err := os.Truncate(path, 100_000); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		s, err := m.Submit(context.Background(), &Request{Prompt: prompt(uint64(i), 40), MaxTokens: 4, IgnoreEnd: true, Logprobs: -1})
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan answer, 1)
		go func() { done <- drain(s) }()
		select {
		case a := <-done:
			if !errors.Is(a.err, weights.ErrChanged) {
				t.Errorf("request %d ended with %v, want %v", i, a.err, weights.ErrChanged)
			}
		case <-time.After(30 * time.Second):
			t.Fatal("the request hangs")
		}
		s.Close()
	}
}

// capEnv makes the test binary measure itself: see TestMemoryStaysWithinTheCap.
const capEnv = "GALERNE_TEST_CAP"

// TestMemoryStaysWithinTheCap runs a mixture that is larger than its cap in a process of its own and reads the most
// memory that it ever had.
func TestMemoryStaysWithinTheCap(t *testing.T) {
	if limit, path, ok := strings.Cut(os.Getenv(capEnv), " "); ok {
		bytes, _ := strconv.ParseInt(limit, 10, 64)
		m := openMixture(t, path, bytes, 0, 2, Options{})
		if m.memory.Experts == nil || m.memory.Total > bytes {
			t.Fatalf("the plan is %+v", m.memory)
		}
		m.together(t, 5)
		s := m.network.Experts.Stats()
		fmt.Printf("peak %d evicted %d\n", peak(t), s.Evicted)
		return
	}
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells the peak")
	}
	const limit = 256 << 20
	path := testdeps.Mixture{Dim: 1024, Layers: 8, FFN: 3584, Experts: 8, Used: 2}.Write(t)
	if st, err := os.Stat(path); err != nil || st.Size() < limit*3/2 {
		t.Fatal("the file is not larger than the cap", st.Size(), err)
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^TestMemoryStaysWithinTheCap$", "-test.v")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %s", capEnv, limit, path))
	out, err := cmd.CombinedOutput()
	var most, evicted int64
	if at := bytes.Index(out, []byte("peak ")); err != nil || at < 0 {
		t.Fatalf("%v\n%s", err, out)
	} else if _, err := fmt.Sscanf(string(out[at:]), "peak %d evicted %d", &most, &evicted); err != nil {
		t.Fatal(err)
	}
	t.Logf("at most %d MB of %d MB, %d experts evicted", most>>20, int64(limit)>>20, evicted)
	if most > limit || most < limit/3 || evicted == 0 {
		t.Errorf("the most memory was %d bytes, %d are allowed; %d experts were evicted", most, int64(limit), evicted)
	}
}

// peak is the most memory that this process ever had, in bytes.
func peak(t *testing.T) int64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "VmHWM:")
	kb, err := strconv.ParseInt(strings.Fields(after)[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kb << 10
}

func TestACapThatIsTooSmallSaysWhatWouldDo(t *testing.T) {
	path := testdeps.Mixture{Dim: 256, Layers: 4, FFN: 512, Experts: 8, Used: 2}.Write(t)
	f, plan := inspected(t, path)
	defer f.Close()
	_, err := Fit(plan.Config, plan.Weights, 1<<20, &Options{})
	if !errors.Is(err, ErrMemory) {
		t.Fatal(err)
	}
	var enough int64
	_, after, _ := strings.Cut(err.Error(), "experts: ")
	if _, err := fmt.Sscanf(after, "%d MB would do", &enough); err != nil {
		t.Fatalf("%v in %q", err, after)
	}
	if _, err := Fit(plan.Config, plan.Weights, enough*1e6, &Options{}); err != nil {
		t.Errorf("%d MB do not do: %v", enough, err)
	}
}

// TestMemoryIsCountedAsPeopleWriteIt: --memory 100MB is 100 MB in what is said of it, and what would do does.
func TestMemoryIsCountedAsPeopleWriteIt(t *testing.T) {
	f, plan := inspected(t, testdeps.Mixture{Dim: 256, Layers: 4, FFN: 512, Experts: 8, Used: 2}.Write(t))
	defer f.Close()
	dense := expert.Weights{Dense: plan.Weights.Total()}
	_, err := Fit(plan.Config, dense, 3e6, &Options{Context: 4096})
	if !errors.Is(err, ErrMemory) || !strings.Contains(err.Error(), "3 MB are allowed") {
		t.Fatal(err)
	}
	var enough int64
	_, after, _ := strings.Cut(err.Error(), "3 MB are allowed, ")
	if _, err := fmt.Sscanf(after, "%d MB would do", &enough); err != nil {
		t.Fatalf("%v in %q", err, after)
	}
	if _, err := Fit(plan.Config, dense, enough*1e6, &Options{Context: 4096}); err != nil {
		t.Errorf("%d MB do not do: %v", enough, err)
	}
	if _, err := Fit(plan.Config, dense, (enough-1)*1e6, &Options{Context: 4096}); err == nil {
		t.Errorf("%d MB do too", enough-1)
	}
}

package serve

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/testdeps"
	"github.com/galerne-ai/galerne/internal/weights"
)

// mixture serves one file of about 160 MB of experts.
func mixture(t *testing.T, path string, memory int64) (*Server, *prometheus.Registry) {
	e := Entry{Name: "mixture", Path: path}
	registry := prometheus.NewRegistry()
	s := New(Options{Memory: memory, Context: 256, Registry: registry, Find: func(string) (Entry, error) { return e, nil },
		List: func() ([]Entry, error) { return []Entry{e}, nil }})
	t.Cleanup(s.Close)
	return s, registry
}

// counters are the values of the experts' metrics, by name without the prefix.
func counters(t *testing.T, r *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		if name, ok := strings.CutPrefix(f.GetName(), "galerne_experts_"); ok {
			out[name] = f.Metric[0].GetCounter().GetValue()
		}
	}
	return out
}

func TestAMixtureLargerThanItsMemoryGivesTheSameAnswersAndCounts(t *testing.T) {
	path := testdeps.Mixture{Dim: 512, Layers: 10, FFN: 2304, Experts: 8, Used: 2}.Write(t)
	large, registry := mixture(t, path, 0)
	want := text(whole(t, large, complete("w300 w301 hello", 24)), 0)
	if c := counters(t, registry); len(c) != 0 {
		t.Errorf("all weights are in memory, and there are counters of experts: %v", c)
	}
	small, registry := mixture(t, path, 160<<20)
	for range 2 {
		if got := text(whole(t, small, complete("w300 w301 hello", 24)), 0); got != want {
			t.Errorf("the answer is %q, want %q", got, want)
		}
	}
	c := counters(t, registry)
	if c["wanted_total"] < 10*2*24 || c["found_total"] == 0 || c["found_total"] > c["wanted_total"] || c["read_bytes_total"] == 0 {
		t.Errorf("%v", c)
	}
	if err := small.Check("mixture"); err != nil {
		t.Error(err)
	}
	few, _ := mixture(t, path, 8<<20)
	if err := few.Check("mixture"); err == nil || !strings.Contains(err.Error(), "MB would do") {
		t.Errorf("too little memory: %v", err)
	}
}

func TestAFileThatIsCutWhileItsExpertsAreReadIsSaid(t *testing.T) {
	path := testdeps.Mixture{Dim: 512, Layers: 10, FFN: 2304, Experts: 8, Used: 2}.Write(t)
	s, _ := mixture(t, path, 160<<20)
	whole(t, s, complete("w300", 4))
	if err := os.Truncate(path, 1<<20); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		st, err := s.Respond(context.Background(), complete("w301 and all that is behind it, which wants every expert", 8))
		if err == nil {
			_, err = chat.Collect(context.Background(), st)
		}
		if !errors.Is(err, weights.ErrChanged) {
			t.Errorf("the error is %v, want %v", err, weights.ErrChanged)
		}
	}
}
